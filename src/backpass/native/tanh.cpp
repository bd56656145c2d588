// tanh: out = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).
#include "elementwise.hpp"
#include "kernel.hpp"
#include "vector_math.hpp"

namespace backpass {

template <class T>
void tanh_forward(Array<T> out, Array<const T> x) {
    elementwise<T>(
        x.size(), arithmetic_grain, out.data, [](Vec<T> v) { return tanh<T>(v); }, x.data);
}
BACKPASS_KERNEL(tanh_forward, "out(n..) x(n..)")

// dx may be dout itself.
template <class T>
void tanh_backward(Array<T> dx, Array<const T> dout, Array<const T> out) {
    elementwise<T>(
        out.size(), memory_grain, dx.data, [](Vec<T> d, Vec<T> o) { return d * (T(1) - o * o); }, dout.data, out.data);
}
BACKPASS_KERNEL(tanh_backward, "dx(n..) dout(n..) out(n..)")

}  // namespace backpass
