// gelu: out = x Φ(x), with Φ the standard normal distribution.
#include "elementwise.hpp"
#include "kernel.hpp"
#include "vector_math.hpp"

namespace backpass {

// slope, the derivative Φ(x) + x φ(x), may be missing.
template <class T>
void gelu_forward(Array<T> out, Array<T> slope, Array<const T> x) {
    parallel_elements(x.size(), arithmetic_grain, [&](long begin, long end) {
        for (long i = begin; i < end; i += lanes<T>) {
            const Vec<T> v = load_some(x.data + i, end - i);
            const Normal<T> at = normal<T>(v);
            store_some(out.data + i, v * at.cdf, end - i);
            if (slope) store_some(slope.data + i, at.cdf + v * at.density, end - i);
        }
    });
}
BACKPASS_KERNEL(gelu_forward, "out(n..) slope?(n..) x(n..)")

// dx may be dout itself.
template <class T>
void gelu_backward(Array<T> dx, Array<const T> dout, Array<const T> slope) {
    elementwise<T>(
        dout.size(), memory_grain, dx.data, [](Vec<T> d, Vec<T> s) { return d * s; }, dout.data, slope.data);
}
BACKPASS_KERNEL(gelu_backward, "dx(n..) dout(n..) slope(n..)")

}  // namespace backpass
