// elu: out = x where x is positive, alpha (exp(x) - 1) elsewhere.
#include "elementwise.hpp"
#include "kernel.hpp"
#include "vector_math.hpp"

namespace backpass {

template <class T>
void elu_forward(Array<T> out, Array<const T> x, double alpha) {
    const T scale = static_cast<T>(alpha);
    elementwise<T>(
        x.size(), arithmetic_grain, out.data,
        [=](Vec<T> v) {
            const Vec<T> negative = v > T(0) ? Vec<T>{} : v;
            return v > T(0) ? v : expm1_of_negative<T>(negative) * scale;
        },
        x.data);
}
BACKPASS_KERNEL(elu_forward, "out(n..) x(n..) alpha")

// dx may be dout itself.  Below zero the derivative alpha exp(x) is out + alpha.
template <class T>
void elu_backward(Array<T> dx, Array<const T> dout, Array<const T> out, double alpha) {
    const T scale = static_cast<T>(alpha);
    elementwise<T>(
        out.size(), memory_grain, dx.data, [=](Vec<T> d, Vec<T> o) { return o > T(0) ? d : d * (o + scale); }, dout.data,
        out.data);
}
BACKPASS_KERNEL(elu_backward, "dx(n..) dout(n..) out(n..) alpha")

}  // namespace backpass
