// Average pooling: the mean of the elements of each window that lie in the image.
#include <algorithm>

#include "conv.hpp"
#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {
namespace {

// f(output index in the plane, first row, last row, first column, last column) for each window, cut at the border.
template <class F>
void windows(long H, long W, long OH, long OW, long HH, long WW, long stride_y, long stride_x, long top, long left, F&& f) {
    for (long y = 0; y < OH; y++) {
        const long row = y * stride_y - top, y0 = std::max(0L, row), y1 = std::min(H, row + HH);
        for (long v = 0; v < OW; v++) {
            const long col = v * stride_x - left;
            f(y * OW + v, y0, y1, std::max(0L, col), std::min(W, col + WW));
        }
    }
}

}  // namespace

template <class T>
void averagepool_forward(Array<T> out, Array<const T> x, long HH, long WW, long stride_y, long stride_x, long top, long left) {
    const long H = x.shape[2], W = x.shape[3], OH = out.shape[2], OW = out.shape[3];
    parallel_ranges(x.shape[0] * x.shape[1], std::max(1L, memory_grain / (H * W)), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            const T* const from = x.data + plane * H * W;
            T* const to = out.data + plane * OH * OW;
            if (HH == 2 && WW == 2 && stride_y == 2 && stride_x == 2 && !top && !left) {  // the usual ones, as vectors
                for (long y = 0; y < OH; y++) {
                    const T *const first = from + 2 * y * W, *const second = first + W;
                    for (long v = 0; v < OW; v++)
                        to[y * OW + v] = ((first[2 * v] + first[2 * v + 1]) + (second[2 * v] + second[2 * v + 1])) / T(4);
                }
                continue;
            }
            windows(H, W, OH, OW, HH, WW, stride_y, stride_x, top, left, [&](long o, long y0, long y1, long x0, long x1) {
                T sum = 0;
                for (long y = y0; y < y1; y++)
                    for (long v = x0; v < x1; v++) sum += from[y * W + v];
                to[o] = sum / static_cast<T>((y1 - y0) * (x1 - x0));
            });
        }
    });
}
BACKPASS_KERNEL(averagepool_forward, "out(N, C, OH, OW) x(N, C, H, W) " POOL_GEOMETRY)

template <class T>
void averagepool_backward(Array<T> dx, Array<const T> dout, long HH, long WW, long stride_y, long stride_x, long top, long left) {
    if (!dx) return;  // the first layer of a net needs none
    const long H = dx.shape[2], W = dx.shape[3], OH = dout.shape[2], OW = dout.shape[3];
    parallel_ranges(dx.shape[0] * dx.shape[1], std::max(1L, memory_grain / (H * W)), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            T* const to = dx.data + plane * H * W;
            const T* const from = dout.data + plane * OH * OW;
            if (HH == 2 && WW == 2 && stride_y == 2 && stride_x == 2 && !top && !left) {  // the usual ones, as vectors
                for (long y = 0; y < OH; y++) {
                    T *const first = to + 2 * y * W, *const second = first + W;
                    for (long v = 0; v < OW; v++) {
                        const T part = from[y * OW + v] / T(4);
                        first[2 * v] = first[2 * v + 1] = part;
                        second[2 * v] = second[2 * v + 1] = part;
                    }
                    if (W % 2) first[W - 1] = second[W - 1] = 0;
                }
                if (H % 2) std::fill(to + (H - 1) * W, to + H * W, T(0));
                continue;
            }
            std::fill(to, to + H * W, T(0));
            windows(H, W, OH, OW, HH, WW, stride_y, stride_x, top, left, [&](long o, long y0, long y1, long x0, long x1) {
                const T part = from[o] / static_cast<T>((y1 - y0) * (x1 - x0));
                for (long y = y0; y < y1; y++)
                    for (long v = x0; v < x1; v++) to[y * W + v] += part;
            });
        }
    });
}
BACKPASS_KERNEL(averagepool_backward, "dx?(N, C, H, W) dout(N, C, OH, OW) " POOL_GEOMETRY)

}  // namespace backpass
