// Batch normalisation of images (N, C, H, W), with the relu that usually follows.
//
// Pieces of work are images, and each pass goes through memory from one end to the other: a channel by itself is a page here
// and there, a power of two apart, so that its planes drive each other out of the second cache and no prefetcher finds the
// next one.  A plane is summed in vectors, the planes' sums are added in float64, and those of the pieces in their order.
#include <cmath>

#include "channel_sums.hpp"
#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {
namespace {

// Some images each; where these are few, some of their channels.
struct Pieces {
    long N, C, pixels, ranges, splits;

    explicit Pieces(const long (&shape)[Array<float>::most_dimensions])
        : N(shape[0]), C(shape[1]), pixels(shape[2] * shape[3]) {
        const long most = std::clamp(N * C * pixels / memory_grain, 1L, 16L);
        ranges = std::min(N, most);
        splits = std::min(C, most / ranges);
    }
    long first_image(long range) const { return range * N / ranges; }
    double values(long range) const {  // of a channel
        return static_cast<double>((first_image(range + 1) - first_image(range)) * pixels);
    }
    // f(range, image, channel, where its plane begins) for all, on all threads; a piece's in the order of memory
    template <class F>
    void each_plane(F&& f) const {
        parallel(ranges * splits, [&](long piece) {
            const long range = piece / splits, split = piece % splits;
            for (long n = first_image(range); n < first_image(range + 1); n++)
                for (long c = split * C / splits; c < (split + 1) * C / splits; c++) f(range, n, c, (n * C + c) * pixels);
        });
    }
    template <class F>
    void each_channel(F&& f) const {
        parallel_ranges(C, 64, [&](long begin, long end) {
            for (long c = begin; c < end; c++) f(c);
        });
    }
};

}  // namespace

template <class T>
void spatial_batchnorm_forward(Array<T> out, Array<T> mean, Array<T> var, Array<T> rstd, Array<const T> x,
                               Array<const T> gamma, Array<const T> beta, double eps, long relu) {
    const Pieces pieces(x.shape);
    const long C = pieces.C, pixels = pieces.pixels;
    const double count = static_cast<double>(pieces.N * pixels);
    Moments<T>* const moments = scratch<Moments<T>>(Slot::partial, pieces.ranges * C);
    pieces.each_plane([&](long range, long n, long c, long at) {
        Moments<T>& here = moments[range * C + c];
        if (n == pieces.first_image(range)) here = Moments<T>(x.data + at, pixels);
        here.add(x.data + at, pixels);
    });
    pieces.each_channel([&](long c) {
        double sum = 0, squares = 0;
        for (long r = 0; r < pieces.ranges; r++) sum += moments[r * C + c].total(pieces.values(r));
        for (long r = 0; r < pieces.ranges; r++)
            squares += moments[r * C + c].squares_about(sum / count, pieces.values(r));
        mean[c] = static_cast<T>(sum / count);
        var[c] = static_cast<T>(squares / count);
        rstd[c] = T(1) / std::sqrt(var[c] + static_cast<T>(eps));
    });
    pieces.each_plane([&](long, long, long c, long at) {
        const Norm<T> norm = {mean[c], rstd[c] * gamma[c], beta[c], relu != 0};
        expect_writing(out.data + at, pixels);  // within a net, out is in no cache
        normalise_plane(out.data + at, x.data + at, pixels, norm);
    });
}
BACKPASS_KERNEL(spatial_batchnorm_forward,
                "out(N, C, H, W) mean(C) var(C) rstd(C) x(N, C, H, W) gamma(C) beta(C) eps relu")

// `relu` as in the forward.
template <class T>
void spatial_batchnorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                                Array<const T> gamma, Array<const T> beta, Array<const T> mean, Array<const T> rstd,
                                long relu) {
    const Pieces pieces(x.shape);
    const long C = pieces.C, pixels = pieces.pixels;
    const double count = static_cast<double>(pieces.N * pixels);
    struct Sums {
        double upstream, along;  // of dout, and of dout * (x - mean)
    };
    Sums* const sums = scratch<Sums>(Slot::partial, pieces.ranges * C);
    pieces.each_plane([&](long range, long n, long c, long at) {
        const Norm<T> norm = {mean[c], rstd[c] * gamma[c], beta[c], relu != 0};
        const auto both = upstream_sums(dout.data + at, x.data + at, pixels, norm);
        Sums& here = sums[range * C + c];
        if (n == pieces.first_image(range)) here = {0, 0};
        here.upstream += both.first;
        here.along += both.second;
    });
    pieces.each_channel([&](long c) {
        for (long r = 1; r < pieces.ranges; r++) {
            sums[c].upstream += sums[r * C + c].upstream;
            sums[c].along += sums[r * C + c].along;
        }
        dbeta[c] += static_cast<T>(sums[c].upstream);
        dgamma[c] += static_cast<T>(sums[c].along * rstd[c]);
    });
    if (!dx) return;
    pieces.each_plane([&](long, long, long c, long at) {
        // dx = gamma rstd (dout - mean of dout - xhat mean of dout xhat)
        const Norm<T> norm = {mean[c], rstd[c] * gamma[c], beta[c], relu != 0};
        const T shift = norm.scale * static_cast<T>(sums[c].upstream / count);
        const T slope = norm.scale * static_cast<T>(sums[c].along * rstd[c] / count) * rstd[c];
        if (dx.data != dout.data) expect_writing(dx.data + at, pixels);
        denormalise_plane(dx.data + at, dout.data + at, x.data + at, pixels, norm, norm.scale, shift, slope);
    });
}
BACKPASS_KERNEL(spatial_batchnorm_backward,
                "dx?(N, C, H, W) dgamma(C) dbeta(C) dout(N, C, H, W) x(N, C, H, W) gamma(C) beta(C) mean(C) rstd(C) relu")

template <class T>
void spatial_batchnorm_infer(Array<T> out, Array<const T> x, Array<const T> gamma, Array<const T> beta, Array<const T> mean,
                             Array<const T> var, double eps, long relu) {
    const long N = x.shape[0], C = x.shape[1], pixels = x.shape[2] * x.shape[3];
    parallel_ranges(N * C, std::max(1L, memory_grain / pixels), [&](long begin, long end) {
        for (long plane = begin; plane < end; plane++) {
            const long c = plane % C;
            const T scale = gamma[c] / std::sqrt(var[c] + static_cast<T>(eps));
            normalise_plane(out.data + plane * pixels, x.data + plane * pixels, pixels, {mean[c], scale, beta[c], relu != 0});
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
