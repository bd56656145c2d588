// Sums over a plane of pixels and what normalisation makes of it: the inner loops of spatial batch norm and group norm.
#pragma once
#include "simd.hpp"

namespace backpass {

// Σ_k value(k) over vectors and then what is left; four partial sums, since one would wait for itself.
template <class T, class Whole, class One>
inline T sum_over(long count, Whole&& whole, One&& one) {
    constexpr int L = lanes<T>;
    Vec<T> part[4] = {};
    long k = 0;
    for (; k + 4 * L <= count; k += 4 * L)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) part[i] += whole(k + i * L);
    for (; k + L <= count; k += L) part[0] += whole(k);
    T sum = sum_lanes<T>((part[0] + part[1]) + (part[2] + part[3]));
    for (; k < count; k++) sum += one(k);
    return sum;
}

template <class T>
inline T plane_sum(const T* x, long count) {
    return sum_over<T>(count, [&](long k) { return load(x + k); }, [&](long k) { return x[k]; });
}

// Σ (x - mean)²
template <class T>
inline T plane_squares(const T* x, long count, T mean) {
    return sum_over<T>(
        count,
        [&](long k) {
            const Vec<T> centered = load(x + k) - mean;
            return centered * centered;
        },
        [&](long k) { return (x[k] - mean) * (x[k] - mean); });
}

template <class T>
struct PlaneSums {
    T sum, along;
};

// Σ dout and Σ dout * (x - mean); where relu_out is given and zero, dout counts as zero.
template <class T>
inline PlaneSums<T> plane_sums(const T* dout, const T* x, const T* relu_out, long count, T mean) {
    constexpr int L = lanes<T>;
    Vec<T> sum[2] = {}, along[2] = {};
    const auto upstream = [&](long k) {
        const Vec<T> d = load(dout + k);
        return relu_out ? (load(relu_out + k) > 0 ? d : Vec<T>{}) : d;
    };
    long k = 0;
    for (; k + 2 * L <= count; k += 2 * L)
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            const Vec<T> d = upstream(k + i * L);
            sum[i] += d;
            along[i] += d * (load(x + k + i * L) - mean);
        }
    PlaneSums<T> total = {sum_lanes<T>(sum[0] + sum[1]), sum_lanes<T>(along[0] + along[1])};
    for (; k < count; k++) {
        const T d = !relu_out || relu_out[k] > 0 ? dout[k] : T(0);
        total.sum += d;
        total.along += d * (x[k] - mean);
    }
    return total;
}

// out = (x - mean) * scale + shift, then relu.
template <class T>
inline void normalise_plane(T* out, const T* x, long count, T mean, T scale, T shift, bool relu) {
    if (relu)
        for (long k = 0; k < count; k++) {
            const T value = (x[k] - mean) * scale + shift;
            out[k] = value < 0 ? T(0) : value;
        }
    else
        for (long k = 0; k < count; k++) out[k] = (x[k] - mean) * scale + shift;
}

// dx = scale * dout - shift - (x - mean) * slope; where relu_out is given and zero, dout counts as zero.
template <class T>
inline void denormalise_plane(T* dx, const T* dout, const T* x, const T* relu_out, long count, T mean, T scale, T shift,
                              T slope) {
    if (relu_out)
        for (long k = 0; k < count; k++) {
            const T d = relu_out[k] > 0 ? dout[k] : T(0);
            dx[k] = scale * d - shift - (x[k] - mean) * slope;
        }
    else
        for (long k = 0; k < count; k++) dx[k] = scale * dout[k] - shift - (x[k] - mean) * slope;
}

}  // namespace backpass
