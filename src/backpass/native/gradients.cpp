// Between backward and optimizer: L2 regularisation, and the norm of the whole gradient.
#include "optimizer.hpp"
#include "sums.hpp"

namespace backpass {

// loss += 0.5 reg Σ w², dw += reg w.
template <class T>
void add_l2(Array<T> dw, Array<const T> w, Array<double> loss, double reg) {
    const T strength = static_cast<T>(reg);
    const double squares = sum_pieces(w.size(), optimizer_grain, [&](long begin, long end) {
        for (long i = begin; i < end; i++) dw[i] += strength * w[i];
        return sum_of_squares(w.data + begin, end - begin);  // w is still in the cache
    });
    loss[0] += 0.5 * reg * squares;
}
BACKPASS_KERNEL(add_l2, "dw(n..) w(n..) loss(1) reg")

// norm = sqrt(Σ grads²); the optimizer multiplies the gradient by min(1, limit / norm).
template <class T>
void clip_norm(Array<const T> grads, Array<double> control, Array<double> norm, double limit) {
    const Control now(control);
    norm[0] = std::sqrt(sum_pieces(grads.size(), memory_grain, [&](long begin, long end) {
        return sum_of_squares(grads.data + begin, end - begin);
    }));
    const bool finite = std::isfinite(norm[0]);
    now.factor = finite && norm[0] > limit ? limit / norm[0] : 1;
    if (!finite) now.set_bad();
}
BACKPASS_KERNEL(clip_norm, "grads(n..) control(4) norm(1) limit")

}  // namespace backpass
