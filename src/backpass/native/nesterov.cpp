// nesterov: v = momentum v - lr dw, w += momentum v - lr dw.
#include "optimizer.hpp"

namespace backpass {

template <class T>
void nesterov(Array<T> w, Array<T> v, Array<const T> dw, Array<double> control, double lr_scale, double momentum) {
    const Control now(control);
    const T lr = static_cast<T>(now.lr * lr_scale), factor = static_cast<T>(now.factor), mu = static_cast<T>(momentum);
    sweep(w, now, [=](long i) {
        const T push = lr * (dw[i] * factor);
        v[i] = mu * v[i] - push;
        return w[i] += mu * v[i] - push;
    });
}
BACKPASS_KERNEL(nesterov, "w(n..) v(n..) dw(n..) control(4) lr_scale momentum")

}  // namespace backpass
