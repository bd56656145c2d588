// Mean squared error: the loss, and dscores = 2 (scores - y) weight / C.
#include "loss.hpp"

namespace backpass {

template <class T>
void mse_loss(Array<T> dscores, Array<const T> scores, Array<const double> y, Array<double> loss,
              Array<const T> sample_weights) {
    const long N = scores.rows(), C = scores.cols();
    const Weights<T> weights{sample_weights, {}, nullptr};
    const double scale = weights.scale(N);
    loss[0] = sum_rows_loss(N, C, memory_grain, [&](long begin, long end) {
        double sum = 0;
        for (long n = begin; n < end; n++) {
            const double weight = weights(n) * scale / static_cast<double>(C);
            const T twice = static_cast<T>(2 * weight);
            double squares = 0;
            for (long i = n * C; i < (n + 1) * C; i++) {
                const T error = scores[i] - static_cast<T>(y[i]);
                dscores[i] = twice * error;
                squares += static_cast<double>(error) * static_cast<double>(error);
            }
            sum += weight * squares;
        }
        return sum;
    });
}
BACKPASS_KERNEL(mse_loss)

}  // namespace backpass
