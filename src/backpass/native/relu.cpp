// relu: out = max(x, 0), and the gradient passes where out is positive.
#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

template <class T>
void relu_forward(Array<T> out, Array<const T> x) {
    elementwise<T>(  // NaN stays NaN
        x.size(), memory_grain, out.data, [](Vec<T> v) { return v < T(0) ? Vec<T>{} : v; }, x.data);
}
BACKPASS_KERNEL(relu_forward, "out(n..) x(n..)")

// dx may be dout itself.
template <class T>
void relu_backward(Array<T> dx, Array<const T> dout, Array<const T> out) {
    elementwise<T>(
        out.size(), memory_grain, dx.data, [](Vec<T> d, Vec<T> o) { return o > T(0) ? d : Vec<T>{}; }, dout.data,
        out.data);
}
BACKPASS_KERNEL(relu_backward, "dx(n..) dout(n..) out(n..)")

}  // namespace backpass
