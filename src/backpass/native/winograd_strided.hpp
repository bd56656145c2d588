// The one-dimensional transforms of Winograd's way to convolve with a filter of three at stride 2.
//
// Outputs y[k] = d[2k] g[0] + d[2k + 1] g[1] + d[2k + 2] g[2].  The even inputs meet a filter of two, (g[0], g[2]), the odd ones
// a filter of one, (g[1]), both at stride 1.  F(4, 2) takes 5 products for the first, interpolating at 0, 1, -1, 2 and infinity
// (Lavin and Gray 2015, arXiv:1509.09308, section 4.3; the transforms by Toom and Cook's method), and a filter of one is a
// filter of two whose last tap is zero: its product at infinity is zero, and at the four finite points it has the weight g[1].
// Both have the same points, so their products are added before the way back:
//
//     y = Aᵀ [(G g) ⊙ (Bᵀ d)]      9 inputs, 9 products, 5 sums (products 5 to 8 are added to sums 0 to 3), 4 outputs,
//
// instead of 12 products.  Weight 5 is g[1], of all four products 5 to 8.  G has whole numbers: what divides is in B.
//
// Each function works lane by lane on vectors.  Going back takes the transposed matrices.
#pragma once
#include "simd.hpp"

namespace backpass::winograd_strided {

inline constexpr int outputs = 4, inputs = 9, products = 9, sums = 5, weights = 6;
inline constexpr int sum_of(int product) { return product < sums ? product : product - sums; }
inline constexpr int weight_of(int product) { return product < sums ? product : sums; }

// Bᵀ d
template <class T>
inline void input(const Vec<T> (&d)[inputs], Vec<T> (&o)[products]) {
    constexpr T sixth = T(1) / 6;
    const Vec<T> even = (d[6] - d[2]) * sixth, odd = (d[7] - d[3]) * sixth;
    o[0] = d[0] - d[4] + 3 * even;
    o[1] = (d[2] + d[4]) / 2 - 3 * even;
    o[2] = (d[4] - d[2]) / 2 - even;
    o[3] = even;
    o[4] = d[8] - d[4] - 12 * even;
    o[5] = d[1] - d[5] + 3 * odd;
    o[6] = (d[3] + d[5]) / 2 - 3 * odd;
    o[7] = (d[5] - d[3]) / 2 - odd;
    o[8] = odd;
}

// B g
template <class T>
inline void input_back(const Vec<T> (&g)[products], Vec<T> (&o)[inputs]) {
    constexpr T sixth = T(1) / 6;
    const Vec<T> even = (3 * (g[0] - g[1] - 4 * g[4]) - g[2] + g[3]) * sixth;
    const Vec<T> odd = (3 * (g[5] - g[6]) - g[7] + g[8]) * sixth;
    o[0] = g[0];
    o[1] = g[5];
    o[2] = (g[1] - g[2]) / 2 - even;
    o[3] = (g[6] - g[7]) / 2 - odd;
    o[4] = (g[1] + g[2]) / 2 - g[0] - g[4];
    o[5] = (g[6] + g[7]) / 2 - g[5];
    o[6] = even;
    o[7] = odd;
    o[8] = g[4];
}

// Aᵀ m
template <class T>
inline void output(const Vec<T> (&m)[sums], Vec<T> (&o)[outputs]) {
    const Vec<T> sum = m[1] + m[2], difference = m[1] - m[2];
    o[0] = m[0] + sum + m[3];
    o[1] = difference + 2 * m[3];
    o[2] = sum + 4 * m[3];
    o[3] = difference + 8 * m[3] + m[4];
}

// A g
template <class T>
inline void output_back(const Vec<T> (&g)[outputs], Vec<T> (&o)[sums]) {
    const Vec<T> even = g[0] + g[2], odd = g[1] + g[3];
    o[0] = g[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = g[0] + 2 * g[1] + 4 * g[2] + 8 * g[3];
    o[4] = g[3];
}

// G g
template <class T>
inline void filter(const Vec<T> (&g)[3], Vec<T> (&o)[weights]) {
    o[0] = g[0];
    o[1] = g[0] + g[2];
    o[2] = g[0] - g[2];
    o[3] = g[0] + 2 * g[2];
    o[4] = g[2];
    o[5] = g[1];
}

// Gᵀ u
template <class T>
inline void filter_back(const Vec<T> (&u)[weights], Vec<T> (&o)[3]) {
    o[0] = u[0] + u[1] + u[2] + u[3];
    o[1] = u[5];
    o[2] = u[1] - u[2] + 2 * u[3] + u[4];
}

}  // namespace backpass::winograd_strided
