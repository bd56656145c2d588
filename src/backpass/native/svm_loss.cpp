// Multiclass hinge loss: every wrong class within the margin counts, and pulls at its own and the right score.
#include <limits>

#include "loss.hpp"

namespace backpass {

template <class T>
void svm_loss(Array<T> dscores, Array<const T> scores, Array<const std::int64_t> y, Array<double> loss,
              Array<const T> sample_weights, Array<const T> class_weights, double margin_) {
    constexpr long L = lanes<T>;
    const long N = scores.shape[0], C = scores.shape[1];
    const Weights<T> weights{sample_weights, class_weights, y.data};
    const double scale = weights.scale(N);
    const T margin = static_cast<T>(margin_);

    auto block_loss = [&](long first, long samples) {
        T* block = read_block(scores.data + first * C, samples, C, (N - first) * C);
        T right[L] = {}, weight[L] = {}, hinges[L], broken[L];
        for (long r = 0; r < samples; r++) {
            T& score = block[y[first + r] * L + r];
            right[r] = score;
            weight[r] = static_cast<T>(weights(first + r) * scale);
            score = -std::numeric_limits<T>::infinity();  // never within the margin of itself
        }
        const Vec<T> threshold = load(right) - margin, w = load(weight);
        Vec<T> sum{}, count{};
        for (long c = 0; c < C; c++) {
            const Vec<T> gap = load(block + c * L) - threshold;
            sum += gap <= T(0) ? Vec<T>{} : gap;  // NaN stays NaN
            count += gap > T(0) ? broadcast<T>(1) : Vec<T>{};
            store(block + c * L, gap > T(0) ? w : Vec<T>{});
        }
        store(hinges, sum);
        store(broken, count * w);
        double total = 0;
        for (long r = 0; r < samples; r++) {
            block[y[first + r] * L + r] = -broken[r];
            total += static_cast<double>(weight[r]) * static_cast<double>(hinges[r]);
        }
        write_block(dscores.data + first * C, block, samples, C);
        return total;
    };
    loss[0] = sum_pieces(N, rows_per_piece<T>(C, memory_grain), [&](long begin, long end) {
        double sum = 0;
        for (long first = begin; first < end; first += L) sum += block_loss(first, std::min(L, end - first));
        return sum;
    });
}
BACKPASS_KERNEL(svm_loss, "dscores(N, C) scores(N, C) y(N) loss(1) sample_weights?(N) class_weights?(C) margin")

}  // namespace backpass
