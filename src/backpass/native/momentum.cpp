// momentum: v = momentum v - lr dw, w += v.
#include "optimizer.hpp"

namespace backpass {

template <class T>
void momentum(Array<T> w, Array<T> v, Array<const T> dw, Array<double> control, double lr_scale, double momentum_) {
    const Control now(control);
    const T lr = static_cast<T>(now.lr * lr_scale), factor = static_cast<T>(now.factor), mu = static_cast<T>(momentum_);
    sweep(w, now, [=](long i) {
        v[i] = mu * v[i] - lr * (dw[i] * factor);
        return w[i] += v[i];
    });
}
BACKPASS_KERNEL(momentum, "w(n..) v(n..) dw(n..) control(4) lr_scale momentum")

}  // namespace backpass
