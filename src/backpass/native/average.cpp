// Averages of parameters over steps: average += weight (value - average); with `back` the value becomes the average.
#include "elementwise.hpp"
#include "kernel.hpp"

namespace backpass {

template <class T>
void move_average(Array<T> average, Array<T> value, Array<const double> weight, long back) {
    const T take = static_cast<T>(weight[0]);
    elementwise<T>(
        average.size(), memory_grain, average.data, [=](Vec<T> a, Vec<T> v) { return a + take * (v - a); }, average.data,
        value.data);
    if (back) elementwise<T>(average.size(), memory_grain, value.data, [](Vec<T> a) { return a; }, average.data);
}
BACKPASS_KERNEL(move_average, "average(n..) value(n..) weight(1) back")

}  // namespace backpass
