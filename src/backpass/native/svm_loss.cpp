// Multiclass hinge loss: every wrong class within the margin counts, and pulls at its own and the right score.
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

    auto block_loss = [&](long first, long samples, WeightedSum<T>& loss_sum) {
        T* block = read_block(scores.data + first * C, samples, C, (N - first) * C);
        const Bits<T> labels = read_labels<T>(y.data + first, samples);
        const Vec<T> w = weights.block(first, samples, scale);
        Vec<T> right{};
        Bits<T> label{};
        for (long c = 0; c < C; c++, label += 1) right = labels == label ? load(block + c * L) : right;
        const Vec<T> threshold = right - margin;
        Vec<T> sum{}, count{};
        label = Bits<T>{};
        for (long c = 0; c < C; c++, label += 1) {
            const Vec<T> any = load(block + c * L) - threshold;
            const Vec<T> gap = labels == label ? Vec<T>{} : any;  // the right class is never within its own margin
            sum += gap <= T(0) ? Vec<T>{} : gap;                  // NaN stays NaN
            count += gap > T(0) ? broadcast<T>(1) : Vec<T>{};
            store(block + c * L, gap > T(0) ? w : Vec<T>{});
        }
        loss_sum.add(w, sum);
        T broken[L];
        store(broken, count * w);
        T* const to = dscores.data + first * C;
        write_block(to, block, samples, C);
        for (long r = 0; r < samples; r++) to[r * C + y[first + r]] = -broken[r];
    };
    loss[0] = sum_pieces(N, rows_per_piece<T>(C, memory_grain), [&](long begin, long end) {
        WeightedSum<T> sum;
        for (long first = begin; first < end; first += L) block_loss(first, std::min(L, end - first), sum);
        return sum.total();
    });
}
BACKPASS_KERNEL(svm_loss, "dscores(N, C) scores(N, C) y(N) loss(1) sample_weights?(N) class_weights?(C) margin")

}  // namespace backpass
