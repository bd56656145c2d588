// Softmax cross-entropy: the loss, and dscores = (p - target) weight.
#include "loss.hpp"
#include "vector_math.hpp"

namespace backpass {

template <class T>
void softmax_loss(Array<T> dscores, Array<const T> scores, Array<const std::int64_t> y, Array<double> loss,
                  Array<const T> sample_weights, Array<const T> class_weights, double smoothing) {
    constexpr long L = lanes<T>;
    const long N = scores.shape[0], C = scores.shape[1];
    const Weights<T> weights{sample_weights, class_weights, y.data};
    const double scale = weights.scale(N);
    const T spread = static_cast<T>(smoothing / static_cast<double>(C)), rest = static_cast<T>(1 - smoothing);

    auto block_loss = [&](long first, long samples, WeightedSum<T>& sum) {
        T* block = read_block(scores.data + first * C, samples, C, (N - first) * C);
        const Bits<T> labels = read_labels<T>(y.data + first, samples);
        const Vec<T> w = weights.block(first, samples, scale);
        Vec<T> top = load(block);
        for (long c = 1; c < C; c++) {
            const Vec<T> s = load(block + c * L);
            top = s > top ? s : top;
        }
        Vec<T> total{}, all{}, right{};
        Bits<T> label{};
        for (long c = 0; c < C; c++, label += 1) {
            const Vec<T> shifted = load(block + c * L) - top, e = exp_of_negative<T>(shifted);
            store(block + c * L, e);
            total += e;
            all += shifted;
            right = labels == label ? shifted : right;
        }
        // -Σ target log p = log Σ exp - Σ target (scores - top)
        sum.add(w, log<T>(total) - rest * right - spread * all);
        const Vec<T> p = w / total, everywhere = spread * w, there = rest * w;
        label = Bits<T>{};
        for (long c = 0; c < C; c++, label += 1) {
            const Vec<T> value = load(block + c * L) * p - everywhere;
            store(block + c * L, labels == label ? value - there : value);
        }
        write_block(dscores.data + first * C, block, samples, C);
    };
    loss[0] = sum_pieces(N, rows_per_piece<T>(C, 4096), [&](long begin, long end) {
        WeightedSum<T> sum;
        for (long first = begin; first < end; first += L) block_loss(first, std::min(L, end - first), sum);
        return sum.total();
    });
}
BACKPASS_KERNEL(softmax_loss, "dscores(N, C) scores(N, C) y(N) loss(1) sample_weights?(N) class_weights?(C) smoothing")

}  // namespace backpass
