// adagrad: s += dw², w -= lr dw / (sqrt(s) + eps).
#include "optimizer.hpp"

namespace backpass {

template <class T>
void adagrad(Array<T> w, Array<T> s, Array<const T> dw, Array<double> control, double lr_scale, double eps_) {
    const Control now(control);
    const T lr = static_cast<T>(now.lr * lr_scale), factor = static_cast<T>(now.factor), eps = static_cast<T>(eps_);
    sweep(w, now, [=](long i) {
        const T g = dw[i] * factor;
        s[i] += g * g;
        w[i] -= lr * g / (std::sqrt(s[i]) + eps);
        return w[i] + 0 * s[i];  // s may overflow where w does not
    });
}
BACKPASS_KERNEL(adagrad, "w(n..) s(n..) dw(n..) control(4) lr_scale eps")

}  // namespace backpass
