// Multiclass hinge loss: every wrong class within the margin counts, and pulls at its own and the right score.
#include "loss.hpp"

namespace backpass {

template <class T>
void svm_loss(Array<T> dscores, Array<const T> scores, Array<const std::int64_t> y, Array<double> loss,
              Array<const T> sample_weights, Array<const T> class_weights, double margin_) {
    const long N = scores.shape[0], C = scores.shape[1];
    const Weights<T> weights{sample_weights, class_weights, y.data};
    const double scale = weights.scale(N);
    const T margin = static_cast<T>(margin_);
    loss[0] = sum_rows_loss(N, C, memory_grain, [&](long begin, long end) {
        double sum = 0;
        for (long n = begin; n < end; n++) {
            const T* s = scores.data + n * C;
            T* ds = dscores.data + n * C;
            const double weight = weights(n) * scale;
            const T w = static_cast<T>(weight), right = s[y[n]];
            double hinges = 0;
            T broken = 0;
            for (long c = 0; c < C; c++) {
                const T gap = s[c] - right + margin;
                const bool inside = gap > 0 && c != y[n];
                hinges += inside ? gap : T(0);
                broken += inside ? T(1) : T(0);
                ds[c] = inside ? w : T(0);
            }
            ds[y[n]] = -broken * w;
            sum += weight * hinges;
        }
        return sum;
    });
}
BACKPASS_KERNEL(svm_loss)

}  // namespace backpass
