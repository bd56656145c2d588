// Between backward and optimizer: L2 regularisation, and the norm of the whole gradient.
// Sums are in float64: every piece adds its elements in an order that depends on nothing, then the pieces are added.
#include "optimizer.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

inline constexpr long sum_grain = memory_grain;

// Σ value(i) over 0 .. n-1.
template <class Value>
double sum(long n, Value&& value) {
    const long pieces = (n + sum_grain - 1) / sum_grain;
    double* partial = scratch<double>(Slot::partial, static_cast<std::size_t>(pieces));
    parallel_ranges(n, sum_grain, [&](long begin, long end) {
        double lane[16] = {};
        long i = begin;
        for (; i + 16 <= end; i += 16)
            for (int j = 0; j < 16; j++) lane[j] += value(i + j);
        for (int j = 0; i < end; i++, j++) lane[j] += value(i);
        for (int width = 8; width > 0; width /= 2)
            for (int j = 0; j < width; j++) lane[j] += lane[j + width];
        partial[begin / sum_grain] = lane[0];
    });
    double total = 0;
    for (long piece = 0; piece < pieces; piece++) total += partial[piece];
    return total;
}

}  // namespace

// loss += 0.5 reg Σ w², dw += reg w.
template <class T>
void add_l2(Array<T> dw, Array<const T> w, Array<double> loss, double reg) {
    const T strength = static_cast<T>(reg);
    const double squares = sum(w.size(), [=](long i) {
        dw[i] += strength * w[i];
        return static_cast<double>(w[i]) * static_cast<double>(w[i]);
    });
    loss[0] += 0.5 * reg * squares;
}
BACKPASS_KERNEL(add_l2)

// norm = sqrt(Σ grads²); the optimizer multiplies the gradient by min(1, limit / norm).
template <class T>
void clip_norm(Array<const T> grads, Array<double> control, Array<double> norm, double limit) {
    const Control now(control);
    norm[0] = std::sqrt(sum(grads.size(), [=](long i) { return static_cast<double>(grads[i]) * static_cast<double>(grads[i]); }));
    const bool finite = std::isfinite(norm[0]);
    now.factor = finite && norm[0] > limit ? limit / norm[0] : 1;
    if (!finite) now.set_bad();
}
BACKPASS_KERNEL(clip_norm)

}  // namespace backpass
