// The one-dimensional transforms of Winograd's F(4, 3), F(3, 4) and F(2, 5): four outputs of a filter of three, three of a
// filter of four, or two of a filter of five, from six inputs with six products instead of twelve or ten (Lavin and Gray
// 2015, arXiv:1509.09308, section 4.3; all interpolate at 0, 1, -1, 2, -2 and infinity, so B is the same; the columns of A
// and G are powers of these points):
//
//     y = Aᵀ [(G g) ⊙ (Bᵀ d)],       in two dimensions     Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A.
//
// Each function works lane by lane on vectors.  Going back takes the transposed matrices, A, B and Gᵀ.
//
// At the edge of an image a tile may have one output less.  Then five points are enough, and -2 is left out: the last output
// and product 4 are.  At the other points G is the same, and A with a zero for product 4; B is another matrix.
#pragma once
#include <type_traits>

#include "simd.hpp"

namespace backpass::winograd {

// Bᵀ d
template <class V>
inline void input(const V (&d)[6], V (&o)[6]) {
    const V even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
    o[0] = 4 * d[0] - 5 * d[2] + d[4];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = 4 * d[1] - 5 * d[3] + d[5];
}

// B g
template <class V>
inline void input_back(const V (&g)[6], V (&o)[6]) {
    const V sum = g[1] + g[2], difference = g[2] - g[1], sum2 = g[3] + g[4], difference2 = 2 * (g[4] - g[3]);
    o[0] = 4 * g[0];
    o[1] = 4 * difference + difference2 + 4 * g[5];
    o[2] = -5 * g[0] - 4 * sum - sum2;
    o[3] = -difference - difference2 - 5 * g[5];
    o[4] = g[0] + sum + sum2;
    o[5] = g[5];
}

// Bᵀ d and B g of a tile with one output less; o[4] and d[5], or g[4] and o[5], are not there.
template <class V>
inline void shorter_input(const V (&d)[6], V (&o)[6]) {
    const V odd = d[3] - d[1], even = d[2] - d[0];
    o[0] = 2 * odd - 4 * even;
    o[1] = 3 * (d[3] - d[2] - 2 * d[1]);
    o[2] = d[3] - 3 * d[2] + 2 * d[1];
    o[3] = 4 * odd;
    o[5] = (d[4] - d[2]) - 2 * odd;
}

template <class V>
inline void shorter_input_back(const V (&g)[6], V (&o)[6]) {
    const V odd = 2 * (g[0] - g[5]) + 3 * g[1] + 4 * g[3] + g[2];
    o[0] = 4 * g[0];
    o[1] = 3 * (g[2] - g[1]) - odd;
    o[2] = -4 * g[0] - 3 * (g[1] + g[2]) - g[5];
    o[3] = odd;
    o[4] = g[5];
}

// Aᵀ m
template <class V>
inline void output(const V (&m)[6], V (&o)[4]) {
    const V sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    o[0] = m[0] + sum + sum2;
    o[1] = difference + 2 * difference2;
    o[2] = sum + 4 * sum2;
    o[3] = difference + 8 * difference2 + m[5];
}

template <class V>
inline void output(const V (&m)[6], V (&o)[3]) {
    const V sum = m[1] + m[2], sum2 = m[3] + m[4];
    o[0] = m[0] + sum + sum2;
    o[1] = (m[1] - m[2]) + 2 * (m[3] - m[4]);
    o[2] = sum + 4 * sum2 + m[5];
}

template <class V>
inline void output(const V (&m)[6], V (&o)[2]) {
    o[0] = m[0] + (m[1] + m[2]) + (m[3] + m[4]);
    o[1] = (m[1] - m[2]) + 2 * (m[3] - m[4]) + m[5];
}

// A g
template <class V>
inline void output_back(const V (&g)[4], V (&o)[6]) {
    const V even = g[0] + g[2], odd = g[1] + g[3], even2 = g[0] + 4 * g[2], odd2 = 2 * g[1] + 8 * g[3];
    o[0] = g[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = g[3];
}

template <class V>
inline void output_back(const V (&g)[3], V (&o)[6]) {
    const V even = g[0] + g[2], even2 = g[0] + 4 * g[2], odd2 = 2 * g[1];
    o[0] = g[0];
    o[1] = even + g[1];
    o[2] = even - g[1];
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = g[2];
}

template <class V>
inline void output_back(const V (&g)[2], V (&o)[6]) {
    o[0] = g[0];
    o[1] = g[0] + g[1];
    o[2] = g[0] - g[1];
    o[3] = g[0] + 2 * g[1];
    o[4] = g[0] - 2 * g[1];
    o[5] = g[1];
}

// Fractions as factors: a division takes ten times as long.
template <class V>
inline constexpr auto one = std::remove_cvref_t<decltype(V{}[0])>(1);
template <class V>
inline constexpr auto sixth = one<V> / 6;
template <class V>
inline constexpr auto twelfth = one<V> / 12;
template <class V>
inline constexpr auto twenty_fourth = one<V> / 24;

// G g
template <class V>
inline void filter(const V (&g)[3], V (&o)[6]) {
    const V ends = sixth<V> * (g[0] + g[2]), middle = sixth<V> * g[1];
    const V ends2 = twenty_fourth<V> * g[0] + sixth<V> * g[2], middle2 = twelfth<V> * g[1];
    o[0] = one<V> / 4 * g[0];
    o[1] = -ends - middle;
    o[2] = middle - ends;
    o[3] = ends2 + middle2;
    o[4] = ends2 - middle2;
    o[5] = g[2];
}

template <class V>
inline void filter(const V (&g)[4], V (&o)[6]) {
    const V even = sixth<V> * (g[0] + g[2]), odd = sixth<V> * (g[1] + g[3]);
    const V even2 = twenty_fourth<V> * g[0] + sixth<V> * g[2], odd2 = twelfth<V> * (g[1] + 4 * g[3]);
    o[0] = one<V> / 4 * g[0];
    o[1] = -even - odd;
    o[2] = odd - even;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = g[3];
}

template <class V>
inline void filter(const V (&g)[5], V (&o)[6]) {
    const V even = sixth<V> * (g[0] + g[2] + g[4]), odd = sixth<V> * (g[1] + g[3]);
    const V even2 = twenty_fourth<V> * g[0] + sixth<V> * g[2] + 4 * (sixth<V> * g[4]), odd2 = twelfth<V> * (g[1] + 4 * g[3]);
    o[0] = one<V> / 4 * g[0];
    o[1] = -even - odd;
    o[2] = odd - even;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = g[4];
}

// Gᵀ u
template <class V>
inline void filter_back(const V (&u)[6], V (&o)[3]) {
    const V sum = u[1] + u[2], sum2 = u[3] + u[4];
    o[0] = one<V> / 4 * u[0] - sixth<V> * sum + twenty_fourth<V> * sum2;
    o[1] = sixth<V> * (u[2] - u[1]) + twelfth<V> * (u[3] - u[4]);
    o[2] = sixth<V> * (sum2 - sum) + u[5];
}

template <class V>
inline void filter_back(const V (&u)[6], V (&o)[4]) {
    const V sum = u[1] + u[2], sum2 = u[3] + u[4], difference = sixth<V> * (u[2] - u[1]);
    const V difference2 = twelfth<V> * (u[3] - u[4]);
    o[0] = one<V> / 4 * u[0] - sixth<V> * sum + twenty_fourth<V> * sum2;
    o[1] = difference + difference2;
    o[2] = sixth<V> * (sum2 - sum);
    o[3] = difference + 4 * difference2 + u[5];
}

template <class V>
inline void filter_back(const V (&u)[6], V (&o)[5]) {
    const V sum = sixth<V> * (u[1] + u[2]), difference = sixth<V> * (u[2] - u[1]);
    const V sum2 = twenty_fourth<V> * (u[3] + u[4]), difference2 = twenty_fourth<V> * (u[3] - u[4]);
    o[0] = one<V> / 4 * u[0] - sum + sum2;
    o[1] = difference + 2 * difference2;
    o[2] = 4 * sum2 - sum;
    o[3] = difference + 8 * difference2;
    o[4] = 16 * sum2 - sum + u[5];
}

}  // namespace backpass::winograd
