// Max pooling: the largest element of each window, the first in reading order where several are; a NaN is larger than all.
#include <algorithm>
#include <cstdint>

#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

struct Window {
    long HH, WW, stride_y, stride_x, top, left;
};

// Pieces of whole planes, each about `memory_grain` elements.
template <class F>
void planes(long count, long plane_size, F&& f) {
    parallel_ranges(count, std::max(1L, memory_grain / plane_size), f);
}

// Windows of 2 x 2 side by side, the usual ones: the loop has no edges and the compiler makes vectors of it.
template <class T, class Index>
void halve_row(T* out, Index* argmax, const T* first, const T* second, long OW) {
    for (long v = 0; v < OW; v++) {
        T best = first[2 * v];
        Index place = 0;
        const auto meet = [&](T value, Index at) {
            const bool wins = value > best || (value != value && best == best);
            best = wins ? value : best;
            place = wins ? at : place;
        };
        meet(first[2 * v + 1], 1);
        meet(second[2 * v], 2);
        meet(second[2 * v + 1], 3);
        out[v] = best;
        if (argmax) argmax[v] = place;
    }
}

template <class T, class Index>
void pool(Array<T> out, Array<Index> argmax, Array<const T> x, const Window& k) {
    const long H = x.shape[2], W = x.shape[3], OH = out.shape[2], OW = out.shape[3];
    const bool halves = k.HH == 2 && k.WW == 2 && k.stride_y == 2 && k.stride_x == 2 && !k.top && !k.left;
    planes(x.shape[0] * x.shape[1], H * W, [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            const T* const from = x.data + plane * H * W;
            for (long y = 0; y < OH; y++) {
                const long at = (plane * OH + y) * OW;
                if (halves) {
                    const T* const row = from + 2 * y * W;
                    halve_row(out.data + at, argmax ? argmax.data + at : nullptr, row, row + W, OW);
                    continue;
                }
                const long row = y * k.stride_y - k.top, i0 = std::max(0L, -row), i1 = std::min(k.HH, H - row);
                for (long v = 0; v < OW; v++) {
                    const long col = v * k.stride_x - k.left, j0 = std::max(0L, -col), j1 = std::min(k.WW, W - col);
                    T best = from[(row + i0) * W + col + j0];
                    long place = i0 * k.WW + j0;
                    for (long i = i0; i < i1; i++)
                        for (long j = j0; j < j1; j++) {
                            const T value = from[(row + i) * W + col + j];
                            if (value > best || (value != value && best == best)) {
                                best = value;
                                place = i * k.WW + j;
                            }
                        }
                    out[at + v] = best;
                    if (argmax) argmax[at + v] = static_cast<Index>(place);
                }
            }
        }
    });
}

template <class T, class Index>
void unpool(Array<T> dx, Array<const T> dout, Array<const Index> argmax, const Window& k) {
    if (!dx) return;  // the first layer of a net needs none
    const long H = dx.shape[2], W = dx.shape[3], OH = dout.shape[2], OW = dout.shape[3];
    const bool halves = k.HH == 2 && k.WW == 2 && k.stride_y == 2 && k.stride_x == 2 && !k.top && !k.left;
    planes(dx.shape[0] * dx.shape[1], H * W, [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            T* const to = dx.data + plane * H * W;
            if (halves) {  // every element of dx in one window, or in none at the border
                for (long y = 0; y < OH; y++) {
                    const T* const up = dout.data + (plane * OH + y) * OW;
                    const Index* const place = argmax.data + (plane * OH + y) * OW;
                    T *const first = to + 2 * y * W, *const second = first + W;
                    for (long v = 0; v < OW; v++) {
                        first[2 * v] = place[v] == 0 ? up[v] : T(0);
                        first[2 * v + 1] = place[v] == 1 ? up[v] : T(0);
                        second[2 * v] = place[v] == 2 ? up[v] : T(0);
                        second[2 * v + 1] = place[v] == 3 ? up[v] : T(0);
                    }
                    if (W % 2) first[W - 1] = second[W - 1] = 0;
                }
                if (H % 2) std::fill(to + (H - 1) * W, to + H * W, T(0));
                continue;
            }
            std::fill(to, to + H * W, T(0));
            for (long y = 0; y < OH; y++)
                for (long v = 0; v < OW; v++) {
                    const long at = (plane * OH + y) * OW + v, place = static_cast<long>(argmax[at]);
                    to[(y * k.stride_y - k.top + place / k.WW) * W + v * k.stride_x - k.left + place % k.WW] += dout[at];
                }
        }
    });
}

}  // namespace

// argmax, the place i * WW + j in the window, is saved unless missing; uint8 for windows of up to 256 elements.
template <class T>
void maxpool_forward(Array<T> out, Array<std::uint8_t> argmax, Array<const T> x, long HH, long WW, long stride_y,
                     long stride_x, long top, long left) {
    pool<T, std::uint8_t>(out, argmax, x, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_forward)

template <class T>
void maxpool_backward(Array<T> dx, Array<const T> dout, Array<const std::uint8_t> argmax, long HH, long WW, long stride_y,
                      long stride_x, long top, long left) {
    unpool<T, std::uint8_t>(dx, dout, argmax, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_backward)

// The same for larger windows, whose places need more than a byte.
template <class T>
void maxpool_wide_forward(Array<T> out, Array<std::int64_t> argmax, Array<const T> x, long HH, long WW, long stride_y,
                          long stride_x, long top, long left) {
    pool<T, std::int64_t>(out, argmax, x, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_wide_forward)

template <class T>
void maxpool_wide_backward(Array<T> dx, Array<const T> dout, Array<const std::int64_t> argmax, long HH, long WW,
                           long stride_y, long stride_x, long top, long left) {
    unpool<T, std::int64_t>(dx, dout, argmax, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_wide_backward)

}  // namespace backpass
