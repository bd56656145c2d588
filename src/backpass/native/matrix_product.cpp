// out = op(a) op(b), with op the transpose where asked: the matrix product on its own, for whitening and for benchmarks.
#include "gemm.hpp"
#include "kernel.hpp"

namespace backpass {

// a is (m, k), or (k, m) if transposed; b is (k, n), or (n, k); out (m, n).
template <class T>
void matrix_product(Array<T> out, Array<const T> a, Array<const T> b, long transpose_a, long transpose_b) {
    Matrix<T> left = row_major(a.data, a.shape[0], a.shape[1]), right = row_major(b.data, b.shape[0], b.shape[1]);
    if (transpose_a) left = transposed(left);
    if (transpose_b) right = transposed(right);
    gemm(out.data, right.cols, left, right, {});
}
// Transposed (ta = 1), a (P, Q) has Q rows: P + ta (Q - P).
BACKPASS_KERNEL(matrix_product,
                "out(M, N) a(P, Q) b(R, S) ta tb | ta > -1, 2 > ta, tb > -1, 2 > tb,"
                "M = P + ta*Q - ta*P, N = S + tb*R - tb*S, Q + ta*P - ta*Q = R + tb*S - tb*R")

}  // namespace backpass
