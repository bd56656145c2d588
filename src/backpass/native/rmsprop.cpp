// rmsprop: s = decay s + (1 - decay) dw², w -= lr dw / (sqrt(s) + eps).
#include "optimizer.hpp"

namespace backpass {

template <class T>
void rmsprop(Array<T> w, Array<T> s, Array<const T> dw, Array<double> control, double lr_scale, double decay,
             double eps_) {
    const Control now(control);
    const T lr = static_cast<T>(now.lr * lr_scale), factor = static_cast<T>(now.factor), eps = static_cast<T>(eps_);
    const T keep = static_cast<T>(decay), take = static_cast<T>(1 - decay);
    sweep(w, now, [=](long i) {
        const T g = dw[i] * factor;
        s[i] = keep * s[i] + take * (g * g);
        w[i] -= lr * g / (std::sqrt(s[i]) + eps);
        return w[i] + 0 * s[i];  // s may overflow where w does not
    });
}
BACKPASS_KERNEL(rmsprop, "w(n..) s(n..) dw(n..) control(4) lr_scale decay eps")

}  // namespace backpass
