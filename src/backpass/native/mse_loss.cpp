// Mean squared error: the loss, and dscores = 2 (scores - y) weight / C.
#include "loss.hpp"

namespace backpass {

template <class T>
void mse_loss(Array<T> dscores, Array<const T> scores, Array<const double> y, Array<double> loss,
              Array<const T> sample_weights) {
    // Without weights a batch is one long row of errors; with them each sample is a row with a weight of its own.
    const long N = sample_weights ? scores.rows() : scores.size(), C = sample_weights ? scores.cols() : 1;
    const Weights<T> weights{sample_weights, {}, nullptr};
    const double scale = weights.scale(N) / static_cast<double>(C);

    auto row_loss = [&](long begin, long end, double weight) {
        for (long i = begin; i < end; i++) dscores[i] = scores[i] - static_cast<T>(y[i]);
        const double squares = sum_of_squares(dscores.data + begin, end - begin);
        const T twice = static_cast<T>(2 * weight);
        for (long i = begin; i < end; i++) dscores[i] *= twice;
        return weight * squares;
    };
    loss[0] = sum_pieces(N, std::max(1L, memory_grain / C), [&](long begin, long end) {
        if (!sample_weights) return row_loss(begin, end, scale);
        double sum = 0;
        for (long n = begin; n < end; n++) sum += row_loss(n * C, (n + 1) * C, weights(n) * scale);
        return sum;
    });
}
BACKPASS_KERNEL(mse_loss, "dscores(N, C..) scores(N, C..) y(N, C..) loss(1) sample_weights?(N)")

}  // namespace backpass
