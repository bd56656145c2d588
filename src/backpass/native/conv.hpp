// The sizes of a convolution, as every algorithm for it takes them.
#pragma once
#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

// For signatures.  Padding may reach one row further below than above, a column further right than left ("same"); a window
// of a pooling must meet the image.
#define CONV_GEOMETRY "stride_y stride_x dilation_y dilation_x top left"
#define CONV_RULES                                                                                       \
    "stride_y > 0, stride_x > 0, dilation_y > 0, dilation_x > 0, top > -1, left > -1,"                    \
    "OH*stride_y + HH*dilation_y <= H + 2*top + stride_y + dilation_y,"                                  \
    "OW*stride_x + WW*dilation_x <= W + 2*left + stride_x + dilation_x"
#define POOL_GEOMETRY                                                                                     \
    "HH WW stride_y stride_x top left | stride_y > 0, stride_x > 0, top > -1, left > -1, HH > top, WW > left," \
    "OH*stride_y + HH <= H + 2*top + stride_y, OW*stride_x + WW <= W + 2*left + stride_x"

namespace backpass {

struct ConvSizes {
    long N, C, H, W;    // input
    long F, HH, WW;     // filters
    long OH, OW;        // output
    long stride_y, stride_x, dilation_y, dilation_x, top, left;
    long groups, K, Fg;  // K = C / groups channels and Fg = F / groups filters in each group

    long depth() const { return K * HH * WW; }  // elements of a window
    long pixels() const { return OH * OW; }
    // Row of the input (possibly outside) that kernel row i meets for output row y; columns alike.
    long input_row(long y, long i) const { return y * stride_y + i * dilation_y - top; }
    long input_col(long x, long j) const { return x * stride_x + j * dilation_x - left; }
};

constexpr long divide_up(long a, long b) { return (a + b - 1) / b; }

// Short runs, such as the border of a line: less than what calling the library costs.
template <class T>
inline void fill_zero(T* to, long count) {
    for (long i = 0; i < count; i += lanes<T>) store_some(to + i, Vec<T>{}, count - i);
}

template <class T>
inline void copy(T* to, const T* from, long count) {
    for (long i = 0; i < count; i += lanes<T>) store_some(to + i, load_some(from + i, count - i), count - i);
}

// f(piece) for all pieces: on all threads, unless the multiply-adds of all together are not worth waking them.
template <class F>
void share(long pieces, long work, F&& f) {
    if (work >= 1 << 18) return parallel(pieces, f);
    for (long piece = 0; piece < pieces; piece++) f(piece);
}

template <class A, class B, class C>
ConvSizes conv_sizes(const A& out, const B& x, const C& w, long stride_y, long stride_x, long dilation_y,
                     long dilation_x, long top, long left) {
    const long groups = x.shape[1] / w.shape[1];
    return {x.shape[0], x.shape[1], x.shape[2], x.shape[3], w.shape[0], w.shape[2], w.shape[3], out.shape[2],
            out.shape[3], stride_y, stride_x, dilation_y, dilation_x, top, left, groups, w.shape[1], w.shape[0] / groups};
}

}  // namespace backpass
