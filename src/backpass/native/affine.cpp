// affine: out = x w + b; dx = dout wᵀ, dw += xᵀ dout, db += Σ dout.
#include "gemm.hpp"
#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

// sums[m] += Σ_n rows[n, m] for the columns before `end` of `width` vectors from `begin` on, which stay in registers.
template <int width, class T>
void add_rows(T* sums, const T* rows, long N, long M, long begin, long end) {
    constexpr long L = lanes<T>;
    Vec<T> sum[width];
#pragma GCC unroll 8
    for (int v = 0; v < width; v++) sum[v] = load_some(sums + begin + v * L, end - begin - v * L);
    for (long n = 0; n < N; n++)
#pragma GCC unroll 8
        for (int v = 0; v < width; v++) sum[v] += load_some(rows + n * M + begin + v * L, end - begin - v * L);
#pragma GCC unroll 8
    for (int v = 0; v < width; v++) store_some(sums + begin + v * L, sum[v], end - begin - v * L);
}

}  // namespace

// x (N, D), w (D, M), b (M,), out (N, M); relu != 0 for the fused affine + relu.
template <class T>
void affine_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long relu) {
    const long N = x.rows(), D = w.shape[0], M = w.shape[1];
    gemm(out.data, M, row_major(x.data, N, D), row_major(w.data, D, M), {b.data, relu != 0, false});
}
BACKPASS_KERNEL(affine_forward, "out(N, M) x(N, D..) w(D, M) b(M) relu")

// dx may be missing (the first layer of a net needs none); accumulate == 0 overwrites dw.
template <class T>
void affine_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x, Array<const T> w,
                     long accumulate) {
    const long N = x.rows(), D = w.shape[0], M = w.shape[1];
    const auto rows = row_major(x.data, N, D), upstream = row_major(dout.data, N, M);
    const MatrixProduct<T> for_dw{dw.data, M, transposed(rows), upstream, {nullptr, false, accumulate != 0}};
    const MatrixProduct<T> for_dx{dx.data, D, upstream, transposed(row_major(w.data, D, M)), {}};
    gemm_pair<T>(for_dw, dx ? &for_dx : nullptr, [&](long part, long parts) {
        constexpr int wide = 8, narrow = 2;  // vectors: whole cache lines in a row where there are many, little besides where few
        long m = M * part / parts;
        const long end = M * (part + 1) / parts;
        for (; m + wide * lanes<T> <= end; m += wide * lanes<T>) add_rows<wide>(db.data, dout.data, N, M, m, end);
        for (; m < end; m += narrow * lanes<T>) add_rows<narrow>(db.data, dout.data, N, M, m, end);
    });
}
BACKPASS_KERNEL(affine_backward, "dx?(N, D..) dw(D, M) db(M) dout(N, M) x(N, D..) w(D, M) accumulate")

// The backward of affine + relu, with `out` that of the relu; dout is masked in place, nobody reads it later.
template <class T>
void affine_relu_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<T> dout, Array<const T> x, Array<const T> w,
                          long accumulate, Array<const T> out) {
    parallel_elements(out.size(), memory_grain, [&](long begin, long end) {
        for (long i = begin; i < end; i++) dout[i] = out[i] > 0 ? dout[i] : T(0);
    });
    Array<const T> upstream;
    upstream.data = dout.data;
    affine_backward<T>(dx, dw, db, upstream, x, w, accumulate);
}
BACKPASS_KERNEL(affine_relu_backward, "dx?(N, D..) dw(D, M) db(M) dout(N, M) x(N, D..) w(D, M) accumulate out(N, M)")

}  // namespace backpass
