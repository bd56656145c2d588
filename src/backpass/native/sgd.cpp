// sgd: w -= lr dw.
#include "optimizer.hpp"

namespace backpass {

template <class T>
void sgd(Array<T> w, Array<const T> dw, Array<double> control, double lr_scale) {
    const Control now(control);
    const T lr = static_cast<T>(now.lr * lr_scale), factor = static_cast<T>(now.factor);
    sweep(w, now, [=](long i) { return w[i] -= lr * (dw[i] * factor); });
}
BACKPASS_KERNEL(sgd, "w(n..) dw(n..) control(4) lr_scale")

}  // namespace backpass
