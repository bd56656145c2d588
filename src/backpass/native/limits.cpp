// The two limits that every kernel works under, for `backpass bench` to measure: multiply-adds in registers, and copying.
#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

// Each piece does `rounds` multiply-adds on ten vectors that stay in registers: enough of them in flight to hide the
// latency, few enough for sixteen registers.  out (pieces) keeps the compiler from dropping the loop; flops (1) says how
// many additions and multiplications that was.
template <class T>
void limit_multiply_add(Array<T> out, Array<double> flops, long rounds) {
    constexpr int chains = 10;
    flops[0] = 2.0 * chains * lanes<T> * static_cast<double>(rounds) * static_cast<double>(out.size());
    parallel(out.size(), [=](long piece) {
        const Vec<T> factor = broadcast(T(0.999)), term = broadcast(out[piece]);
        Vec<T> chain[chains];
        for (int i = 0; i < chains; i++) chain[i] = broadcast(T(i));
        for (long round = 0; round < rounds; round++)
            for (int i = 0; i < chains; i++) chain[i] = chain[i] * factor + term;
        for (int i = 1; i < chains; i++) chain[0] += chain[i];
        out[piece] = sum_lanes<T>(chain[0]) * T(1e-9);
    });
}
BACKPASS_KERNEL(limit_multiply_add, "out(n..) flops(1) rounds")

// out = x, in the pieces that kernels take: faster than the C library's copy of larger ones at sizes just beyond the caches.
template <class T>
void limit_copy(Array<T> out, Array<const T> x) {
    parallel_ranges(x.size(), memory_grain, [=](long begin, long end) {
        for (long i = begin; i < end; i += lanes<T>) store_some(&out[i], load_some(&x[i], end - i), end - i);
    });
}
BACKPASS_KERNEL(limit_copy, "out(n..) x(n..)")

}  // namespace backpass
