// Batch normalisation of images (N, C, H, W), with the relu that usually follows.
//
// A channel is a piece of work: its sums run over the images in order, and while it fits (1 MiB of a batch) it stays in
// the second cache from pass to pass.  A plane is summed in vectors, the planes' sums are added in float64.
#include <cmath>

#include "channel_sums.hpp"
#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {
namespace {

template <class F>
void channels(const long (&shape)[Array<float>::most_dimensions], F&& f) {
    const long N = shape[0], C = shape[1], pixels = shape[2] * shape[3];
    parallel_ranges(C, std::max(1L, memory_grain / (N * pixels)), [&](long begin, long end) {
        for (long c = begin; c < end; c++) f(c);
    });
}

}  // namespace

template <class T>
void spatial_batchnorm_forward(Array<T> out, Array<T> mean, Array<T> var, Array<T> rstd, Array<const T> x,
                               Array<const T> gamma, Array<const T> beta, double eps, long relu) {
    const long N = x.shape[0], C = x.shape[1], pixels = x.shape[2] * x.shape[3];
    const double count = static_cast<double>(N * pixels);
    channels(x.shape, [&](long c) {
        double sum = 0, squares = 0;
        for (long n = 0; n < N; n++) sum += plane_sum(x.data + (n * C + c) * pixels, pixels);
        const T m = static_cast<T>(sum / count);
        for (long n = 0; n < N; n++) squares += plane_squares(x.data + (n * C + c) * pixels, pixels, m);
        const T v = static_cast<T>(squares / count), r = T(1) / std::sqrt(v + static_cast<T>(eps));
        if (mean) mean[c] = m, var[c] = v, rstd[c] = r;
        for (long n = 0; n < N; n++) {
            const T* const from = x.data + (n * C + c) * pixels;
            T* const to = out.data + (n * C + c) * pixels;
            normalise_plane(to, from, pixels, m, r * gamma[c], beta[c], relu != 0);
        }
    });
}
BACKPASS_KERNEL(spatial_batchnorm_forward,
                "out(N, C, H, W) mean(C) var(C) rstd(C) x(N, C, H, W) gamma(C) beta(C) eps relu")

// relu_out is the output of the relu that was fused behind (or missing): where it is zero, dout does not pass.
template <class T>
void spatial_batchnorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                                Array<const T> gamma, Array<const T> mean, Array<const T> rstd, Array<const T> relu_out) {
    const long N = x.shape[0], C = x.shape[1], pixels = x.shape[2] * x.shape[3];
    const double count = static_cast<double>(N * pixels);
    channels(x.shape, [&](long c) {
        double sum = 0, along = 0;  // of dout, and of dout * (x - mean)
        for (long n = 0; n < N; n++) {
            const long at = (n * C + c) * pixels;
            const auto both = plane_sums(dout.data + at, x.data + at, relu_out ? relu_out.data + at : nullptr, pixels, mean[c]);
            sum += both.sum;
            along += both.along;
        }
        const double sum_xhat = along * rstd[c];
        dbeta[c] += static_cast<T>(sum);
        dgamma[c] += static_cast<T>(sum_xhat);
        if (!dx) return;
        // dx = gamma rstd (dout - mean of dout - xhat mean of dout xhat)
        const T scale = gamma[c] * rstd[c], shift = scale * static_cast<T>(sum / count);
        const T slope = scale * static_cast<T>(sum_xhat / count) * rstd[c];
        for (long n = 0; n < N; n++) {
            const long at = (n * C + c) * pixels;
            denormalise_plane(dx.data + at, dout.data + at, x.data + at, relu_out ? relu_out.data + at : nullptr, pixels,
                              mean[c], scale, shift, slope);
        }
    });
}
BACKPASS_KERNEL(spatial_batchnorm_backward,
                "dx?(N, C, H, W) dgamma(C) dbeta(C) dout(N, C, H, W) x(N, C, H, W) gamma(C) mean(C) rstd(C) "
                "relu_out?(N, C, H, W)")

template <class T>
void spatial_batchnorm_infer(Array<T> out, Array<const T> x, Array<const T> gamma, Array<const T> beta, Array<const T> mean,
                             Array<const T> var, double eps, long relu) {
    const long N = x.shape[0], C = x.shape[1], pixels = x.shape[2] * x.shape[3];
    parallel_ranges(N * C, std::max(1L, memory_grain / pixels), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            const long c = plane % C;
            const T scale = gamma[c] / std::sqrt(var[c] + static_cast<T>(eps));
            normalise_plane(out.data + plane * pixels, x.data + plane * pixels, pixels, mean[c], scale, beta[c], relu != 0);
        }
    });
}
BACKPASS_KERNEL(spatial_batchnorm_infer, "out(N, C, H, W) x(N, C, H, W) gamma(C) beta(C) mean(C) var(C) eps relu")

// For prediction, the norm as part of the convolution before it: every filter scaled, every bias shifted.  b may be missing.
template <class T>
void fold_batchnorm(Array<T> w_folded, Array<T> b_folded, Array<const T> w, Array<const T> b, Array<const T> gamma,
                    Array<const T> beta, Array<const T> mean, Array<const T> var, double eps) {
    const long F = w.rows(), taps = w.cols();
    parallel_ranges(F, std::max(1L, memory_grain / taps), [&](long begin, long end) {
        for (long f = begin; f < end; f++) {
            const T scale = gamma[f] / std::sqrt(var[f] + static_cast<T>(eps));
            for (long k = 0; k < taps; k++) w_folded[f * taps + k] = w[f * taps + k] * scale;
            b_folded[f] = beta[f] + ((b ? b[f] : T(0)) - mean[f]) * scale;
        }
    });
}
BACKPASS_KERNEL(fold_batchnorm,
                "w_folded(F, K..) b_folded(F) w(F, K..) b?(F) gamma(F) beta(F) mean(F) var(F) eps")

}  // namespace backpass
