// Global average pooling: the mean of each plane, and its share for every pixel.
#include <algorithm>

#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

template <class T>
void global_averagepool_forward(Array<T> out, Array<const T> x) {
    const long pixels = x.shape[2] * x.shape[3];
    constexpr int L = lanes<T>;
    parallel_ranges(out.size(), std::max(1L, memory_grain / pixels), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            const T* const from = x.data + plane * pixels;
            Vec<T> a = {}, b = {};  // two sums: one would wait for itself
            long k = 0;
            for (; k + 2 * L <= pixels; k += 2 * L) {
                a += load(from + k);
                b += load(from + k + L);
            }
            T sum = sum_lanes<T>(a + b);
            for (; k < pixels; k++) sum += from[k];
            out[plane] = sum / static_cast<T>(pixels);
        }
    });
}
BACKPASS_KERNEL(global_averagepool_forward, "out(P..) x(N, C, H, W) | P = N*C")

template <class T>
void global_averagepool_backward(Array<T> dx, Array<const T> dout) {
    if (!dx) return;  // the first layer of a net needs none
    const long pixels = dx.shape[2] * dx.shape[3];
    parallel_ranges(dout.size(), std::max(1L, memory_grain / pixels), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++)
            std::fill(dx.data + plane * pixels, dx.data + (plane + 1) * pixels, dout[plane] / static_cast<T>(pixels));
    });
}
BACKPASS_KERNEL(global_averagepool_backward, "dx?(N, C, H, W) dout(P..) | P = N*C")

}  // namespace backpass
