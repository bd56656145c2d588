// exp, log, tanh and the normal distribution for vectors, float and double, right to a few units in the last place.
//
// Each function reduces its argument to a short interval and evaluates a polynomial there, the normal distribution a
// quotient of two.  The coefficients are Chebyshev and least-maximum fits of our own (60 to 100 digits); the relative error
// of each fit is written beside it.  NaN stays NaN, infinities have their limits, and no lane branches.  Results below 1e-38
// (float) may be flushed to zero.
//
// Source of the reductions: Cody and Waite 1980, "Software manual for the elementary functions" (exp, log, tanh);
// Cody 1969, Math. Comp. 23, "Rational Chebyshev approximations for the error function" (the form of the normal tail).
#pragma once
#include <limits>
#include <type_traits>

#include "simd.hpp"

namespace backpass {

// What the bits of T mean, and the polynomials for its precision.
template <class T>
struct Real;

template <>
struct Real<float> {
    using Int = std::int32_t;
    static constexpr int mantissa_bits = 23;
    static constexpr Int one_bits = 0x3f800000, sqrt_half_bits = 0x3f3504f3, magnitude_bits = 0x7fffffff;
    static constexpr Int upper_half_bits = ~0xfff;  // 12 bits of mantissa: squares are exact
    static constexpr float to_integer = 12582912.0f;  // 1.5 2^23: adding it rounds to a whole number
    static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682031e-6f;
    static constexpr float in_range = 87.0f, expm1_least = -18.0f;
    static constexpr float tail_most = 13.19f;  // t²/2 is still in range
    static constexpr float expm1[] = {0.5000000014f, 0.1666657336f, 0.04166645678f, 0.008363776467f,
                                      0.001393454452f};                           // 1.1e-8
    static constexpr float log[] = {0.6666668521f, 0.399887268f, 0.2958203681f};  // 2.7e-9
    static constexpr float mills_above[] = {49.71815694f, 43.30093933f, 18.0121996f, 3.970416634f, 0.3989480479f};
    static constexpr float mills_below[] = {99.43631388f, 165.9406131f, 118.7072896f,
                                            46.13331502f, 9.953100941f, 1.0f};  // 4.9e-9
};

template <>
struct Real<double> {
    using Int = std::int64_t;
    static constexpr int mantissa_bits = 52;
    static constexpr Int one_bits = 0x3ff0000000000000, sqrt_half_bits = 0x3fe6a09e667f3bcd,
                         magnitude_bits = 0x7fffffffffffffff;
    static constexpr Int upper_half_bits = ~0x7ffffffLL;  // 26 bits of mantissa
    static constexpr double to_integer = 6755399441055744.0;
    static constexpr double ln2_high = 0.693147180559663, ln2_low = 2.8235290563031577123e-13;
    static constexpr double in_range = 708.0, expm1_least = -40.0;
    static constexpr double tail_most = 37.6;
    static constexpr double expm1[] = {0.5000000000000001128,    0.1666666666666667144,   0.04166666666662063363,
                                       0.00833333333332554408,   0.001388888891894119116, 0.000198412698768661758,
                                       0.00002480151863875375662, 2.75572528315354186e-6,  2.762133974738187806e-7,
                                       2.510627545232911499e-8};  // 1.9e-17
    static constexpr double log[] = {0.6666666666666669728, 0.3999999999989838918, 0.2857142862645262224,
                                     0.2222221106056441034, 0.181828943200842786,  0.1533155474328091315,
                                     0.1461845207271480175};  // 4.2e-18
    static constexpr double mills_above[] = {899689.11139790006,  1488241.5597402684,  1220526.2764637788,
                                             641191.66817744314,  236717.16540121611,  63879.979820840991,
                                             12743.830471129597,  1858.1330059559628,  190.2279036977023,
                                             12.434460022852792,  0.39894228040153799};
    static constexpr double mills_below[] = {1799378.2227958001, 4412179.2224942046, 5061773.1226529607, 3593569.7176309059,
                                             1758349.1811991753, 624362.31068545206, 164718.67575395235, 32418.876410589770,
                                             4688.8173002277968, 477.83064202865625, 31.168569073111942, 1.0};  // 8.5e-19
};

template <class T>
using Bits = typename VectorOf<typename Real<T>::Int>::type;

template <class T>
inline Vec<T> magnitude(Vec<T> x) {
    return (Vec<T>)((Bits<T>)x & Real<T>::magnitude_bits);
}

// The magnitude of `size` with the sign of `x`.
template <class T>
inline Vec<T> with_sign(Vec<T> size, Vec<T> x) {
    return (Vec<T>)((Bits<T>)magnitude<T>(size) | ((Bits<T>)x & ~Real<T>::magnitude_bits));
}

template <class T, std::size_t terms>
inline Vec<T> polynomial(Vec<T> x, const T (&coefficients)[terms]) {
    Vec<T> sum = broadcast<T>(coefficients[terms - 1]);
    for (std::size_t i = terms - 1; i-- > 0;) sum = sum * x + coefficients[i];
    return sum;
}

// The same by its even and its odd half: for a large x of one sign, where every step's rounding stays, half as many steps.
template <class T, std::size_t terms>
inline Vec<T> polynomial_by_halves(Vec<T> x, const T (&coefficients)[terms]) {
    const Vec<T> square = x * x;
    Vec<T> half[2];
    half[(terms - 1) % 2] = broadcast<T>(coefficients[terms - 1]);
    half[terms % 2] = broadcast<T>(coefficients[terms - 2]);
    for (std::size_t i = terms - 2; i-- > 0;) half[i % 2] = half[i % 2] * square + coefficients[i];
    return half[1] * x + half[0];
}

// 2^k, where the sum k + to_integer is given: its lowest bits are k.
template <class T>
inline Vec<T> power_of_two(Vec<T> sum) {
    return (Vec<T>)(((Bits<T>)sum << Real<T>::mantissa_bits) + Real<T>::one_bits);
}

// exp(x) = 2^k (1 + p), where k is the whole number nearest to x / ln 2; exp(x + low) if what rounding took from x is given.
template <class T>
struct ReducedExp {
    Vec<T> sum, p;  // sum = k + to_integer
};

template <class T, class... Low>
inline ReducedExp<T> reduced_exp(Vec<T> x, Low... low) {
    using R = Real<T>;
    constexpr T log2e = static_cast<T>(1.442695040888963407359925);
    const Vec<T> sum = x * log2e + R::to_integer, k = sum - R::to_integer;
    const Vec<T> r = (((x - k * R::ln2_high) - k * R::ln2_low) + ... + low);
    return {sum, r + r * r * polynomial<T>(r, R::expm1)};
}

// exp(x + low...) for |x| up to about 87 (float), 708 (double), where 2^k is a number.  Beyond, anything.
template <class T, class... Low>
inline Vec<T> exp_in_range(Vec<T> x, Low... low) {
    const ReducedExp<T> e = reduced_exp<T>(x, low...);
    const Vec<T> scale = power_of_two<T>(e.sum);
    return scale * (e.p + T(1));  // scale e.p alone may be too small to be kept
}

// exp(x) for x <= 0; what would be below 1e-38 (float) is 0.
template <class T>
inline Vec<T> exp_of_negative(Vec<T> x) {
    const Vec<T> inside = exp_in_range<T>(x);
    return x < -Real<T>::in_range ? Vec<T>{} : inside;
}

// exp(x) - 1 for x <= 0, without the cancellation near 0.
template <class T>
inline Vec<T> expm1_of_negative(Vec<T> x) {
    const ReducedExp<T> e = reduced_exp<T>(x < Real<T>::expm1_least ? broadcast<T>(Real<T>::expm1_least) : x);
    const Vec<T> scale = power_of_two<T>(e.sum);
    return scale * e.p + (scale - T(1));
}

// tanh|x| = -t / (t + 2) with t = exp(-2|x|) - 1.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
    const Vec<T> t = expm1_of_negative<T>(magnitude<T>(x) * T(-2));
    return with_sign<T>(-t / (t + T(2)), x);
}

// 1 / (1 + exp(-x)); beyond the range of exp_in_range it is 0 or 1.
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> inside = T(1) / (T(1) + exp_in_range<T>(-x));
    const Vec<T> above = x > Real<T>::in_range ? broadcast<T>(1) : inside;
    return x < -Real<T>::in_range ? Vec<T>{} : above;
}

// Natural logarithm: x = 2^k m with sqrt(1/2) <= m < sqrt(2), log m by s = (m - 1) / (m + 1).
template <class T>
inline Vec<T> log(Vec<T> x) {
    using R = Real<T>;
    const Bits<T> offset = (Bits<T>)x - R::sqrt_half_bits;
    const Bits<T> exponent = offset >> R::mantissa_bits;
    const Vec<T> m = (Vec<T>)((Bits<T>)x - (exponent << R::mantissa_bits));
    const Bits<T> shifted = exponent + (Bits<T>)broadcast<T>(R::to_integer);
    const Vec<T> k = (Vec<T>)shifted - R::to_integer;
    const Vec<T> f = m - T(1), s = f / (f + T(2)), z = s * s, half_square = f * f * T(0.5);
    const Vec<T> rest = z * polynomial<T>(z, R::log);
    const Vec<T> value = k * R::ln2_high - ((half_square - (s * (half_square + rest) + k * R::ln2_low)) - f);
    constexpr T infinity = std::numeric_limits<T>::infinity();
    Vec<T> result = x < infinity ? value : x;  // infinity and NaN are their own logarithms
    result = x < std::numeric_limits<T>::min() ? broadcast<T>(-infinity) : result;  // what is below counts as zero
    return x < T(0) ? broadcast<T>(std::numeric_limits<T>::quiet_NaN()) : result;
}

// The standard normal distribution: its density, and the probability Φ(x) of a value below x.
template <class T>
struct Normal {
    Vec<T> cdf, density;
};

// With t = |x|, Φ(-t) = exp(-t²/2) M(t), where M is a quotient of polynomials that have no negative coefficient: nothing
// cancels.  t² is split into a part that is exact and a small rest, since an error of t² is one of the exponent.
template <class T>
inline Normal<T> normal(Vec<T> x) {
    using R = Real<T>;
    const auto beyond = magnitude<T>(x) > R::tail_most;  // both tails are 0 there
    const Vec<T> t = beyond ? broadcast<T>(R::tail_most) : magnitude<T>(x);
    const Vec<T> upper = (Vec<T>)((Bits<T>)t & R::upper_half_bits);
    const Vec<T> inside = exp_in_range<T>(upper * upper * T(-0.5), (t + upper) * (t - upper) * T(-0.5));
    const Vec<T> gauss = beyond ? Vec<T>{} : inside;
    const Vec<T> tail = gauss * (polynomial_by_halves<T>(t, R::mills_above) / polynomial_by_halves<T>(t, R::mills_below));
    const Vec<T> cdf = x > T(0) ? T(1) - tail : tail;
    return {cdf, gauss * static_cast<T>(0.3989422804014326779399461)};
}

}  // namespace backpass
