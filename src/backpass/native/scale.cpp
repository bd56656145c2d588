// scale: out = factor x, forward and backward alike.
#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

// out may be x itself.
template <class T>
void scale(Array<T> out, Array<const T> x, double factor) {
    const T by = static_cast<T>(factor);
    if (out) elementwise<T>(x.size(), memory_grain, out.data, [=](Vec<T> v) { return v * by; }, x.data);
}
BACKPASS_KERNEL(scale, "out?(n..) x(n..) factor")

}  // namespace backpass
