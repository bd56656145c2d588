// The matrix product under affine and convolution layers.
#pragma once
#include <functional>

namespace backpass {

// A matrix in memory: element (i, j) is data[i * row_stride + j * col_stride].  A transposed matrix is
// the same memory with the two strides exchanged; one of them must be 1.
template <class T>
struct Matrix {
    const T* data;
    long rows, cols;
    long row_stride, col_stride;
};

template <class T>
Matrix<T> row_major(const T* data, long rows, long cols) {
    return {data, rows, cols, cols, 1};
}

template <class T>
Matrix<T> transposed(Matrix<T> m) {
    return {m.data, m.cols, m.rows, m.col_stride, m.row_stride};
}

// What happens to C = A B on its way to memory, in this order.
template <class T>
struct Epilogue {
    const T* bias = nullptr;      // (n,) added to every row
    bool relu = false;            // negative values become zero
    bool accumulate = false;      // added to what C holds (before bias and relu)
    const T* row_bias = nullptr;  // (m,) added to every column
};

template <class T>
struct MatrixProduct {
    T* c;
    long ldc;
    Matrix<T> a, b;
    Epilogue<T> epilogue;
};

// C (m, n), rows `ldc` apart, = epilogue(A (m, k) B (k, n)).  C overlaps neither A nor B.
template <class T>
void gemm(T* c, long ldc, Matrix<T> a, Matrix<T> b, Epilogue<T> epilogue = {});

// Two products (the second may be missing) that do not need each other, and beside(part, parts) for all parts of something
// that needs neither: where they are small, all at once; large ones one after the other, each in equal pieces.
template <class T>
void gemm_pair(const MatrixProduct<T>& first, const MatrixProduct<T>* second,
               const std::function<void(long, long)>& beside);

}  // namespace backpass
