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

// step(i) for all elements of w; it returns a number that is finite exactly if all that it computed is.
template <class T, class Step>
void sweep(Array<T> w, const Control& control, Step&& step) {
    // All threads have read w in the forward and the backward; a small one is still in the caches of all.
    const bool everywhere = w.size() * sizeof(T) <= 256 << 10;
    parallel_elements(w.size(), optimizer_grain, [&](long begin, long end) {
        std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> bad = 0;  // as wide as T: a vector of one, too
        const long some = everywhere ? 1024 / sizeof(T) : end - begin;
        for (long first = begin; first < end; first += some) {
            const long last = std::min(end, first + some);
            if (everywhere) claim(w.data + first, 1, 0, last - first);
#pragma GCC ivdep
            for (long i = first; i < last; i++) bad |= !(std::abs(step(i)) <= std::numeric_limits<T>::max());
        }
        if (bad) control.set_bad();
    });
}

}  // namespace backpass
