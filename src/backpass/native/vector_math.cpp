// The functions of vector_math.hpp as kernels of their own, so that tests can count their units in the last place.
#include "vector_math.hpp"

#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

#define BACKPASS_FUNCTION(name, expression)                                                              \
    template <class T>                                                                                   \
    void name(Array<T> out, Array<const T> x) {                                                          \
        elementwise<T>(x.size(), arithmetic_grain, out.data, [](Vec<T> v) { return expression; }, x.data); \
    }                                                                                                    \
    BACKPASS_KERNEL(name, "out(n..) x(n..)")

BACKPASS_FUNCTION(vector_exp_of_negative, exp_of_negative<T>(v))
BACKPASS_FUNCTION(vector_log, log<T>(v))
BACKPASS_FUNCTION(vector_tanh, tanh<T>(v))
BACKPASS_FUNCTION(vector_normal_cdf, normal<T>(v).cdf)
BACKPASS_FUNCTION(vector_normal_density, normal<T>(v).density)

}  // namespace backpass
