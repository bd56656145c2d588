// gelu: out = x Φ(x), with Φ the standard normal distribution.
#include "elementwise.hpp"
#include "kernel.hpp"
#include "vector_math.hpp"

namespace backpass {

template <class T>
void gelu_forward(Array<T> out, Array<const T> x) {
    elementwise<T>(
        x.size(), arithmetic_grain, out.data, [](Vec<T> v) { return v * normal<T>(v).cdf; }, x.data);
}
BACKPASS_KERNEL(gelu_forward, "out(n..) x(n..)")

// dx may be dout itself.
template <class T>
void gelu_backward(Array<T> dx, Array<const T> dout, Array<const T> x) {
    elementwise<T>(
        x.size(), arithmetic_grain, dx.data,
        [](Vec<T> d, Vec<T> v) {
            const Normal<T> at = normal<T>(v);
            return d * (at.cdf + v * at.density);
        },
        dout.data, x.data);
}
BACKPASS_KERNEL(gelu_backward, "dx(n..) dout(n..) x(n..)")

}  // namespace backpass
