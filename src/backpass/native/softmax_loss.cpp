// Softmax cross-entropy: the loss, and dscores = (p - target) weight.
#include <cmath>

#include "loss.hpp"

namespace backpass {

template <class T>
void softmax_loss(Array<T> dscores, Array<const T> scores, Array<const std::int64_t> y, Array<double> loss,
                  Array<const T> sample_weights, Array<const T> class_weights, double smoothing) {
    const long N = scores.shape[0], C = scores.shape[1];
    const Weights<T> weights{sample_weights, class_weights, y.data};
    const double scale = weights.scale(N);
    const T spread = static_cast<T>(smoothing / static_cast<double>(C)), rest = static_cast<T>(1 - smoothing);
    loss[0] = sum_rows_loss(N, C, 4096, [&](long begin, long end) {
        double sum = 0;
        for (long n = begin; n < end; n++) {
            const T* s = scores.data + n * C;
            T* ds = dscores.data + n * C;
            T top = s[0];
            for (long c = 1; c < C; c++) top = s[c] > top ? s[c] : top;
            T total = 0, all = 0;
            for (long c = 0; c < C; c++) {
                ds[c] = std::exp(s[c] - top);
                total += ds[c];
                all += s[c] - top;
            }
            const double weight = weights(n) * scale;
            // -Σ target log p = log Σ exp - Σ target (scores - top)
            sum += weight * (std::log(static_cast<double>(total)) - rest * (s[y[n]] - top) - spread * all);
            const T w = static_cast<T>(weight), p = w / total;
            for (long c = 0; c < C; c++) ds[c] = ds[c] * p - spread * w;
            ds[y[n]] -= rest * w;
        }
        return sum;
    });
}
BACKPASS_KERNEL(softmax_loss)

}  // namespace backpass
