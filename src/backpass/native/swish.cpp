// swish: out = x sigmoid(x).
#include "elementwise.hpp"
#include "kernel.hpp"
#include "vector_math.hpp"

namespace backpass {

template <class T>
void swish_forward(Array<T> out, Array<const T> x) {
    elementwise<T>(
        x.size(), arithmetic_grain, out.data, [](Vec<T> v) { return v * sigmoid<T>(v); }, x.data);
}
BACKPASS_KERNEL(swish_forward, "out(n..) x(n..)")

// dx may be dout itself.
template <class T>
void swish_backward(Array<T> dx, Array<const T> dout, Array<const T> x) {
    elementwise<T>(
        x.size(), arithmetic_grain, dx.data,
        [](Vec<T> d, Vec<T> v) {
            const Vec<T> s = sigmoid<T>(v);
            return d * (s * (T(1) + v * (T(1) - s)));
        },
        dout.data, x.data);
}
BACKPASS_KERNEL(swish_backward, "dx(n..) dout(n..) x(n..)")

}  // namespace backpass
