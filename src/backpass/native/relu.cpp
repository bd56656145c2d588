// relu: out = max(x, 0), and the gradient passes where out is positive.
#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

template <class T>
void relu_forward(Array<T> out, Array<const T> x) {
    parallel_ranges(x.size(), memory_grain, [&](long begin, long end) {
        for (long i = begin; i < end; i++) out[i] = x[i] < 0 ? T(0) : x[i];  // NaN stays NaN
    });
}
BACKPASS_KERNEL(relu_forward)

// dx may be dout itself.
template <class T>
void relu_backward(Array<T> dx, Array<const T> dout, Array<const T> out) {
    parallel_ranges(out.size(), memory_grain, [&](long begin, long end) {
        for (long i = begin; i < end; i++) dx[i] = out[i] > 0 ? dout[i] : T(0);
    });
}
BACKPASS_KERNEL(relu_backward)

}  // namespace backpass
