// leaky relu: out = x where x is positive, slope x elsewhere.
#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

template <class T>
void leaky_relu_forward(Array<T> out, Array<const T> x, double slope) {
    const T below = static_cast<T>(slope);
    elementwise<T>(
        x.size(), memory_grain, out.data, [=](Vec<T> v) { return v > T(0) ? v : v * below; }, x.data);
}
BACKPASS_KERNEL(leaky_relu_forward, "out(n..) x(n..) slope")

// dx may be dout itself.
template <class T>
void leaky_relu_backward(Array<T> dx, Array<const T> dout, Array<const T> out, double slope) {
    const T below = static_cast<T>(slope);
    elementwise<T>(
        out.size(), memory_grain, dx.data, [=](Vec<T> d, Vec<T> o) { return o > T(0) ? d : d * below; }, dout.data,
        out.data);
}
BACKPASS_KERNEL(leaky_relu_backward, "dx(n..) dout(n..) out(n..) slope")

}  // namespace backpass
