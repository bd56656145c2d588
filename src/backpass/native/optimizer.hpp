// What the optimizers' kernels share: the numbers that change from step to step, and the loop over the elements.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {

// Places in the `control` array; backpass/optim/base.py says what they mean.
struct Control {
    double& lr;
    double& t;
    double& factor;
    double& bad;
    explicit Control(Array<double> a) : lr(a[0]), t(a[1]), factor(a[2]), bad(a[3]) {}

    // Pieces on several threads may all say so; whoever is last writes the same 1.
    void set_bad() const { std::atomic_ref<double>(bad).store(1, std::memory_order_relaxed); }
};

// An optimizer's element costs several memory accesses and a division: a piece may be smaller than elsewhere.
inline constexpr long optimizer_grain = 8192;

// step(i) for i = 0 .. n-1; it returns a number that is finite exactly if all that it computed is.
template <class Step>
void sweep(long n, const Control& control, Step&& step) {
    using T = decltype(step(0));
    parallel_elements(n, optimizer_grain, [&](long begin, long end) {
        std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> bad = 0;  // as wide as T: a vector of one, too
#pragma GCC ivdep
        for (long i = begin; i < end; i++) bad |= !(std::abs(step(i)) <= std::numeric_limits<T>::max());
        if (bad) control.set_bad();
    });
}

}  // namespace backpass
