// Where the branches of a residual layer meet: their sum, with the relu that may follow.
#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

// out may be a or b.
template <class T>
void add_forward(Array<T> out, Array<const T> a, Array<const T> b, long relu) {
    if (relu)
        elementwise<T>(
            out.size(), memory_grain, out.data,
            [](Vec<T> u, Vec<T> v) {
                const Vec<T> sum = u + v;
                return sum < T(0) ? Vec<T>{} : sum;  // NaN stays NaN
            },
            a.data, b.data);
    else
        elementwise<T>(
            out.size(), memory_grain, out.data, [](Vec<T> u, Vec<T> v) { return u + v; }, a.data, b.data);
}
BACKPASS_KERNEL(add_forward, "out(n..) a(n..) b(n..) relu")

}  // namespace backpass
