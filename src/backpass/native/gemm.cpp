// Plain loops; the fast version follows.
#include "gemm.hpp"

namespace backpass {

template <class T>
void gemm(T* c, long ldc, Matrix<T> a, Matrix<T> b, Epilogue<T> e) {
    for (long i = 0; i < a.rows; i++)
        for (long j = 0; j < b.cols; j++) {
            T sum = e.accumulate ? c[i * ldc + j] : 0;
            for (long p = 0; p < a.cols; p++)
                sum += a.data[i * a.row_stride + p * a.col_stride] * b.data[p * b.row_stride + j * b.col_stride];
            if (e.bias) sum += e.bias[j];
            c[i * ldc + j] = e.relu && sum < 0 ? T(0) : sum;
        }
}
template void gemm(float*, long, Matrix<float>, Matrix<float>, Epilogue<float>);
template void gemm(double*, long, Matrix<double>, Matrix<double>, Epilogue<double>);

}  // namespace backpass
