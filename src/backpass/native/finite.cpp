// Whether all numbers of an array are finite: what a prediction asks of its input, while that goes into the caches anyway.
#include <atomic>
#include <cmath>
#include <limits>

#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

// finite[0] becomes 1 or 0.
template <class T>
void all_finite(Array<const T> x, Array<double> finite) {
    finite[0] = 1;
    parallel_elements(x.size(), memory_grain, [&](long begin, long end) {
        long bad = 0;
        for (long i = begin; i < end; i++) bad += !(std::abs(x[i]) <= std::numeric_limits<T>::max());
        if (bad) std::atomic_ref<double>(finite[0]).store(0, std::memory_order_relaxed);  // the same from every thread
    });
}
BACKPASS_KERNEL(all_finite, "x(n..) finite(1)")

}  // namespace backpass
