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

    auto block_loss = [&](long first, long samples) {
        T* block = read_block(scores.data + first * C, samples, C, (N - first) * C);
        T right[L] = {}, weight[L] = {}, losses[L];
        for (long r = 0; r < samples; r++) {
            right[r] = block[y[first + r] * L + r];
            weight[r] = static_cast<T>(weights(first + r) * scale);
        }
        Vec<T> top = load(block);
        for (long c = 1; c < C; c++) {
            const Vec<T> s = load(block + c * L);
            top = s > top ? s : top;
        }
        Vec<T> total{}, all{};
        for (long c = 0; c < C; c++) {
            const Vec<T> shifted = load(block + c * L) - top, e = exp<T>(shifted);
            store(block + c * L, e);
            total += e;
            all += shifted;
        }
        // -Σ target log p = log Σ exp - Σ target (scores - top)
        store(losses, log<T>(total) - rest * (load(right) - top) - spread * all);
        const Vec<T> w = load(weight), p = w / total, everywhere = spread * w;
        for (long c = 0; c < C; c++) store(block + c * L, load(block + c * L) * p - everywhere);
        double sum = 0;
        for (long r = 0; r < samples; r++) {
            block[y[first + r] * L + r] -= rest * weight[r];
            sum += static_cast<double>(weight[r]) * static_cast<double>(losses[r]);
        }
        write_block(dscores.data + first * C, block, samples, C);
        return sum;
    };
    loss[0] = sum_pieces(N, rows_per_piece<T>(C, 4096), [&](long begin, long end) {
        double sum = 0;
        for (long first = begin; first < end; first += L) sum += block_loss(first, std::min(L, end - first));
        return sum;
    });
}
BACKPASS_KERNEL(softmax_loss, "dscores(N, C) scores(N, C) y(N) loss(1) sample_weights?(N) class_weights?(C) smoothing")

}  // namespace backpass
