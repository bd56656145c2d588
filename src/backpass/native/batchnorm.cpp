// Batch normalisation over the rows of (N, D), with the relu that usually follows.
//
// The features are cut into strips a cache line or more wide; a strip is one piece of work, so that each sum runs
// over the rows in order, whatever thread does it, and one strip of x stays in the cache from pass to pass.
#include <cmath>

#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

// Strip widths: 16 floats are a cache line; wider strips when there are few rows, so that a piece is worth its while.
inline long strip_width(long N) { return N >= 1024 ? 16 : N >= 128 ? 64 : 256; }

// Rows are summed in blocks of this many, and the blocks' sums then: float32 keeps its accuracy over long batches.
inline constexpr long block_rows = 64;

// f(begin, end) for each strip of D features.
template <class F>
void strips(long N, long D, F&& f) {
    parallel_ranges(D, strip_width(N), f);
}

// total[j] = Σ_n value(n, begin + j), for the features of one strip.
template <class T, class Value>
inline void sum_rows(T* total, long N, long begin, long end, Value&& value) {
    T block[256];
    const long width = end - begin;
    for (long j = 0; j < width; j++) total[j] = 0;
    for (long first = 0; first < N; first += block_rows) {
        for (long j = 0; j < width; j++) block[j] = 0;
        for (long n = first; n < std::min(N, first + block_rows); n++)
            for (long j = 0; j < width; j++) block[j] += value(n, begin + j);
        for (long j = 0; j < width; j++) total[j] += block[j];
    }
}

}  // namespace

template <class T>
void batchnorm_forward(Array<T> out, Array<T> mean, Array<T> var, Array<T> rstd, Array<const T> x, Array<const T> gamma,
                       Array<const T> beta, double eps, long relu) {
    const long N = x.shape[0], D = x.shape[1];
    strips(N, D, [&](long begin, long end) {
        T total[256];
        sum_rows(total, N, begin, end, [&](long n, long d) { return x[n * D + d]; });
        for (long d = begin; d < end; d++) mean[d] = total[d - begin] / static_cast<T>(N);
        sum_rows(total, N, begin, end, [&](long n, long d) {
            const T centered = x[n * D + d] - mean[d];
            return centered * centered;
        });
        for (long d = begin; d < end; d++) {
            var[d] = total[d - begin] / static_cast<T>(N);
            rstd[d] = T(1) / std::sqrt(var[d] + static_cast<T>(eps));
        }
        for (long n = 0; n < N; n++)
            for (long d = begin; d < end; d++) {
                const T value = (x[n * D + d] - mean[d]) * rstd[d] * gamma[d] + beta[d];
                out[n * D + d] = relu && value < 0 ? T(0) : value;
            }
    });
}
BACKPASS_KERNEL(batchnorm_forward)

// relu_out is the output of the relu that was fused behind (or missing): where it is zero, dout does not pass.
template <class T>
void batchnorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                        Array<const T> gamma, Array<const T> mean, Array<const T> rstd, Array<const T> relu_out) {
    const long N = x.shape[0], D = x.shape[1];
    auto upstream = [&](long i) { return !relu_out || relu_out[i] > 0 ? dout[i] : T(0); };
    strips(N, D, [&](long begin, long end) {
        T sum[256], sum_xhat[256];
        sum_rows(sum, N, begin, end, [&](long n, long d) { return upstream(n * D + d); });
        sum_rows(sum_xhat, N, begin, end,
                 [&](long n, long d) { return upstream(n * D + d) * ((x[n * D + d] - mean[d]) * rstd[d]); });
        for (long d = begin; d < end; d++) {
            dbeta[d] += sum[d - begin];
            dgamma[d] += sum_xhat[d - begin];
            sum[d - begin] /= static_cast<T>(N);
            sum_xhat[d - begin] /= static_cast<T>(N);
        }
        if (!dx) return;
        for (long n = 0; n < N; n++)
            for (long d = begin; d < end; d++) {
                const long i = n * D + d;
                const T xhat = (x[i] - mean[d]) * rstd[d];
                dx[i] = gamma[d] * rstd[d] * (upstream(i) - sum[d - begin] - xhat * sum_xhat[d - begin]);
            }
    });
}
BACKPASS_KERNEL(batchnorm_backward)

template <class T>
void batchnorm_infer(Array<T> out, Array<const T> x, Array<const T> gamma, Array<const T> beta, Array<const T> mean,
                     Array<const T> var, double eps, long relu) {
    const long N = x.shape[0], D = x.shape[1];
    strips(N, D, [&](long begin, long end) {
        T scale[256], shift[256];
        for (long d = begin; d < end; d++) {
            scale[d - begin] = gamma[d] / std::sqrt(var[d] + static_cast<T>(eps));
            shift[d - begin] = beta[d] - mean[d] * scale[d - begin];
        }
        for (long n = 0; n < N; n++)
            for (long d = begin; d < end; d++) {
                const T value = x[n * D + d] * scale[d - begin] + shift[d - begin];
                out[n * D + d] = relu && value < 0 ? T(0) : value;
            }
    });
}
BACKPASS_KERNEL(batchnorm_infer)

// mean and var move towards the batch's.
template <class T>
void running_statistics(Array<T> mean, Array<T> var, Array<const T> batch_mean, Array<const T> batch_var, double decay) {
    const T keep = static_cast<T>(decay), take = static_cast<T>(1 - decay);
    for (long d = 0; d < mean.size(); d++) {
        mean[d] = keep * mean[d] + take * batch_mean[d];
        var[d] = keep * var[d] + take * batch_var[d];
    }
}
BACKPASS_KERNEL(running_statistics)

}  // namespace backpass
