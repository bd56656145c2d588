// Sums over a plane of pixels and what normalisation makes of it: the inner loops of spatial batch norm and group norm.
#pragma once
#include <array>
#include <type_traits>

#include "simd.hpp"

namespace backpass {

// f(std::true_type or false_type): a loop of its own for each, with nothing to decide inside.
template <class F>
inline auto choose(bool flag, F&& f) {
    return flag ? f(std::true_type{}) : f(std::false_type{});
}

// What a plane's pixels become: (x - mean) * scale + shift, then relu if there is one.
template <class T>
struct Norm {
    T mean, scale, shift;
    bool relu;

    template <class V>  // T or Vec<T>
    V before_relu(V x) const {
        return (x - mean) * scale + shift;
    }
    // dout where relu let x pass, else zero.  The same expression again, so the same bits: to read what the forward made would
    // be one more trip to memory.
    template <bool relu_behind, class V>
    V upstream(V dout, V x) const {
        if constexpr (relu_behind)
            return before_relu(x) > 0 ? dout : V{};
        else
            return dout;
    }
};

template <class T>
struct PlaneSums {
    T first, second;
};

// Σ_k of the two that terms(from[k]...) returns; four partial sums of each, since one would wait for itself.
template <class T, class Terms, class... From>
inline PlaneSums<T> plane_sums(long count, Terms&& terms, const From*... from) {
    constexpr int L = lanes<T>;
    Vec<T> first[4] = {}, second[4] = {};
    const auto add = [&](int part, long k) {
        const auto [a, b] = terms(load(from + k)...);
        first[part] += a;
        second[part] += b;
    };
    long k = 0;
    for (; k + 4 * L <= count; k += 4 * L)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) add(i, k + i * L);
    for (; k + L <= count; k += L) add(0, k);
    PlaneSums<T> total = {sum_lanes<T>((first[0] + first[1]) + (first[2] + first[3])),
                          sum_lanes<T>((second[0] + second[1]) + (second[2] + second[3]))};
    for (; k < count; k++) {
        const auto [a, b] = terms(from[k]...);
        total.first += a;
        total.second += b;
    }
    return total;
}

// Sum and squares of several planes from one pass: of x - near, where `near` is the mean of the first plane, in float64 from
// plane to plane.  Without it, a mean that is large beside the deviations would cost digits.  With it, the square of its
// distance to the mean is at most `planes` times the variance, for that plane is one of them.
template <class T>
struct Moments {
    T near;
    double sum = 0, squares = 0;

    Moments(const T* first_plane, long count) {
        const auto value = [](auto x) { return std::array{x, x}; };
        near = plane_sums<T>(count, value, first_plane).first / static_cast<T>(count);
    }
    void add(const T* plane, long count) {
        const auto terms = [&](auto x) {
            const auto off = x - near;
            return std::array{off, off * off};
        };
        const auto both = plane_sums<T>(count, terms, plane);
        sum += both.first;
        squares += both.second;
    }
    // Σ x and Σ (x - mean)² of the `count` values that were added
    double total(double count) const { return near * count + sum; }
    double squares_about(double mean, double count) const {
        const double off = mean - near;
        return std::max(0.0, squares - off * (2 * sum - off * count));
    }
};

// Fetches lines that will be written, all at once, instead of one store after another waiting for its own.
template <class T>
inline void expect_writing(T* to, long count) {
    for (long k = 0; k < count; k += lanes<T>) __builtin_prefetch(to + k, 1, 2);
}

template <class T>
inline void normalise_plane(T* out, const T* x, long count, const Norm<T>& norm) {
    choose(norm.relu, [&](auto relu) {
        const auto value = [&](Vec<T> v) {
            v = norm.before_relu(v);
            if constexpr (relu) v = v < 0 ? Vec<T>{} : v;  // NaN stays NaN
            return v;
        };
        long k = 0;
        for (; k + lanes<T> <= count; k += lanes<T>) store(out + k, value(load(x + k)));
        if (k < count) store_some<T>(out + k, value(load_some(x + k, count - k)), count - k);
    });
}

// Σ d and Σ d * (x - mean), where d is dout as it comes out of the relu.
template <class T>
inline PlaneSums<T> upstream_sums(const T* dout, const T* x, long count, const Norm<T>& norm) {
    return choose(norm.relu, [&](auto relu) {
        const auto terms = [&](auto d, auto v) {
            d = norm.template upstream<relu>(d, v);
            return std::array{d, d * (v - norm.mean)};
        };
        return plane_sums<T>(count, terms, dout, x);
    });
}

// dx = scale * d - shift - (x - mean) * slope
template <class T>
inline void denormalise_plane(T* dx, const T* dout, const T* x, long count, const Norm<T>& norm, T scale, T shift, T slope) {
    choose(norm.relu, [&](auto relu) {
        const auto value = [&](Vec<T> d, Vec<T> v) {
            return scale * norm.template upstream<relu>(d, v) - shift - (v - norm.mean) * slope;
        };
        long k = 0;
        for (; k + lanes<T> <= count; k += lanes<T>) store(dx + k, value(load(dout + k), load(x + k)));
        if (k < count) store_some<T>(dx + k, value(load_some(dout + k, count - k), load_some(x + k, count - k)), count - k);
    });
}

}  // namespace backpass
