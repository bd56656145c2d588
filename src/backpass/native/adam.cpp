// adam and adamw: m and v are running means of dw and dw², w -= lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w).
#include "optimizer.hpp"

namespace backpass {

template <class T>
void adam(Array<T> w, Array<T> m, Array<T> v, Array<const T> dw, Array<double> control, double lr_scale, double beta1,
          double beta2, double eps_, double weight_decay) {
    const Control now(control);
    const double lr = now.lr * lr_scale;
    const T factor = static_cast<T>(now.factor), eps = static_cast<T>(eps_);
    const T keep1 = static_cast<T>(beta1), take1 = static_cast<T>(1 - beta1);
    const T keep2 = static_cast<T>(beta2), take2 = static_cast<T>(1 - beta2);
    // m_hat / (sqrt(v_hat) + eps), with the corrections as two factors; eps stays beside the corrected root.
    const T lr_hat = static_cast<T>(lr / (1 - std::pow(beta1, now.t)));
    const T root_hat = static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, now.t)));
    const T decay = static_cast<T>(lr * weight_decay);
    sweep(w, now, [=](long i) {
        const T g = dw[i] * factor;
        m[i] = keep1 * m[i] + take1 * g;
        v[i] = keep2 * v[i] + take2 * (g * g);
        w[i] -= lr_hat * m[i] / (std::sqrt(v[i]) * root_hat + eps) + decay * w[i];
        return w[i] + 0 * v[i];  // v may overflow where w does not
    });
}
BACKPASS_KERNEL(adam, "w(n..) m(n..) v(n..) dw(n..) control(4) lr_scale beta1 beta2 eps weight_decay")

}  // namespace backpass
