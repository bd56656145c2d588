// Convolution with a kernel of one pixel, at stride 1 and without padding: plain matrix products, with pixels p of an image,
//
//     out[f, p] = Σ_c w[f, c] x[c, p]        dx[c, p] = Σ_f w[f, c] dout[f, p]        dw[f, c] += Σ_p dout[f, p] x[c, p].
//
// The backward computes dx and its part of dw image by image, while dout is in the second cache.
#pragma once
#include <algorithm>

#include "conv.hpp"
#include "gemm.hpp"
#include "parallel.hpp"

namespace backpass::pointwise {

// Images of fewer pixels than a vector are better off together.
template <class T>
bool fit(const ConvSizes& s) {
    return s.HH == 1 && s.WW == 1 && s.stride_y == 1 && s.stride_x == 1 && s.top == 0 && s.left == 0 && s.OH == s.H &&
           s.OW == s.W && s.pixels() >= lanes<T>;
}

template <class T>
void forward(T* out, const T* x, const T* w, const T* bias, bool relu, const ConvSizes& s) {
    const long P = s.pixels();
    share(s.N, s.N * P * s.F * s.K, [&](long n) {
        for (long group = 0; group < s.groups; group++) {
            const long first = group * s.Fg;
            gemm<T>(out + (n * s.F + first) * P, P, row_major(w + first * s.K, s.Fg, s.K),
                    row_major(x + (n * s.C + group * s.K) * P, s.K, P),
                    {nullptr, relu, false, bias ? bias + first : nullptr});
        }
    });
}

// dw and db: each range of images sums into its own place; the sums are added in order.  dx and db may be missing.
template <class T>
void backward(T* dx, T* dw, T* db, const T* dout, const T* x, const T* w, const T* relu_out, const ConvSizes& s) {
    constexpr long L = lanes<T>;
    const long P = s.pixels(), weights = s.F * s.K, size = weights + s.F;
    const long ranges = std::clamp((8L << 20) / size, 1L, std::min(s.N, 8L));
    const bool turned = s.K > s.Fg;  // partial sums are (K, Fg): the smaller operand of dw is the one that must be transposed
    T* const partial = scratch<T>(Slot::other, ranges * size);
    share(ranges, 2 * s.N * P * weights, [&](long range) {
        T *const sums = partial + range * size, *const bias_sums = sums + weights;
        T* const gated = relu_out ? scratch<T>(Slot::tile, s.F * P) : nullptr;
        const long first = range * s.N / ranges, last = (range + 1) * s.N / ranges;
        for (long n = first; n < last; n++) {
            const T* upstream = dout + n * s.F * P;
            if (relu_out) {
                for (long i = 0; i < s.F * P; i++) gated[i] = relu_out[n * s.F * P + i] > 0 ? upstream[i] : T(0);
                upstream = gated;
            }
            for (long group = 0; group < s.groups; group++) {
                const auto up = row_major(upstream + group * s.Fg * P, s.Fg, P);
                const long image = (n * s.C + group * s.K) * P, at = group * s.Fg * s.K;
                const auto pixels = row_major(x + image, s.K, P);
                if (dx) gemm<T>(dx + image, P, transposed(row_major(w + at, s.Fg, s.K)), up);
                const Epilogue<T> add{nullptr, false, n > first};
                if (turned)
                    gemm<T>(sums + at, s.Fg, pixels, transposed(up), add);
                else
                    gemm<T>(sums + at, s.K, up, transposed(pixels), add);
            }
            for (long f = 0; db && f < s.F; f++) {
                Vec<T> sum{};
                for (long p = 0; p < P; p += L) sum += load_some(upstream + f * P + p, P - p);
                bias_sums[f] = (n > first ? bias_sums[f] : T(0)) + sum_lanes<T>(sum);
            }
        }
    });
    share(s.F, ranges * weights, [&](long f) {
        const long group = f / s.Fg, first = f % s.Fg, step = turned ? s.Fg : 1;
        for (long range = 0; range < ranges; range++) {
            const T* const sums = partial + range * size;
            const T* const from = sums + group * s.Fg * s.K + (turned ? first : first * s.K);
            for (long c = 0; c < s.K; c++) dw[f * s.K + c] += from[c * step];
            if (db) db[f] += sums[weights + f];
        }
    });
}

}  // namespace backpass::pointwise
