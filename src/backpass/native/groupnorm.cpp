// Group normalisation of images (N, C, H, W), with the relu that may follow: an image is a piece of work.
#include <cmath>

#include "channel_sums.hpp"
#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {

// mean and rstd (N, G) are saved unless missing.
template <class T>
void groupnorm_forward(Array<T> out, Array<T> mean, Array<T> rstd, Array<const T> x, Array<const T> gamma,
                       Array<const T> beta, long groups, double eps, long relu) {
    const long C = x.shape[1], K = C / groups, pixels = x.shape[2] * x.shape[3];
    const double count = static_cast<double>(K * pixels);
    parallel_ranges(x.shape[0] * groups, std::max(1L, memory_grain / (K * pixels)), [&](long begin, long end) {
        for (long group = begin; group < end; group++) {  // of all images, numbered through
            const T* const from = x.data + group * K * pixels;
            double sum = 0, squares = 0;
            for (long c = 0; c < K; c++) sum += plane_sum(from + c * pixels, pixels);
            const T m = static_cast<T>(sum / count);
            for (long c = 0; c < K; c++) squares += plane_squares(from + c * pixels, pixels, m);
            const T r = T(1) / std::sqrt(static_cast<T>(squares / count) + static_cast<T>(eps));
            if (mean) mean[group] = m, rstd[group] = r;
            for (long c = 0; c < K; c++) {
                const long channel = group % groups * K + c;
                normalise_plane(out.data + (group * K + c) * pixels, from + c * pixels, pixels, m, r * gamma[channel],
                                beta[channel], relu != 0);
            }
        }
    });
}
BACKPASS_KERNEL(groupnorm_forward,
                "out(N, C, H, W) mean?(N, groups) rstd?(N, groups) x(N, C, H, W) gamma(C) beta(C) groups eps "
                "relu | groups > 0, C % groups")

// relu_out is the output of the relu that was fused behind, or missing.
template <class T>
void groupnorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                        Array<const T> gamma, Array<const T> mean, Array<const T> rstd, Array<const T> relu_out) {
    const long N = x.shape[0], C = x.shape[1], pixels = x.shape[2] * x.shape[3], groups = mean.shape[1], K = C / groups;
    const double count = static_cast<double>(K * pixels);
    T* const sums = scratch<T>(Slot::partial, 2 * N * C);  // of each image and channel: Σ dout, Σ dout * xhat
    parallel_ranges(N * groups, std::max(1L, memory_grain / (K * pixels)), [&](long begin, long end) {
        for (long group = begin; group < end; group++) {
            double sum = 0, along = 0;  // over the group, of dxhat and dxhat * xhat
            for (long c = 0; c < K; c++) {
                const long plane = group * K + c, at = plane * pixels;
                const auto both =
                    plane_sums(dout.data + at, x.data + at, relu_out ? relu_out.data + at : nullptr, pixels, mean[group]);
                sums[2 * plane] = both.sum;
                sums[2 * plane + 1] = both.along * rstd[group];
                sum += static_cast<double>(sums[2 * plane] * gamma[plane % C]);
                along += static_cast<double>(sums[2 * plane + 1] * gamma[plane % C]);
            }
            if (!dx) continue;
            // dx = rstd (gamma dout - mean of dxhat - xhat mean of dxhat xhat)
            const T r = rstd[group], shift = r * static_cast<T>(sum / count), slope = r * static_cast<T>(along / count) * r;
            for (long c = 0; c < K; c++) {
                const long plane = group * K + c, at = plane * pixels;
                denormalise_plane(dx.data + at, dout.data + at, x.data + at, relu_out ? relu_out.data + at : nullptr, pixels,
                                  mean[group], r * gamma[plane % C], shift, slope);
            }
        }
    });
    for (long n = 0; n < N; n++)
        for (long c = 0; c < C; c++) {
            dbeta[c] += sums[2 * (n * C + c)];
            dgamma[c] += sums[2 * (n * C + c) + 1];
        }
}
BACKPASS_KERNEL(groupnorm_backward,
                "dx?(N, C, H, W) dgamma(C) dbeta(C) dout(N, C, H, W) x(N, C, H, W) gamma(C) mean(N, G) rstd(N, "
                "G) relu_out?(N, C, H, W) | C % G")

}  // namespace backpass
