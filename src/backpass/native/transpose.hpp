// Rows become columns, within registers.
#pragma once
#include <utility>

#include "simd.hpp"

namespace backpass {

// Lane k of the result: a[k] where bit `half` of k is clear, b[k - half] where it is set (`upper`: a[k + half], b[k]).
template <class T, int half, bool upper, std::size_t... k>
inline Vec<T> exchanged(Vec<T> a, Vec<T> b, std::index_sequence<k...>) {
    constexpr int L = lanes<T>, from_a = upper ? half : 0, from_b = upper ? L : L - half;
    return __builtin_shufflevector(a, b, (static_cast<int>(k) + (static_cast<int>(k) & half ? from_b : from_a))...);
}

// v[i][k] = v[k][i] for a square of lanes x lanes: first elements change places across the diagonal of every 2 x 2
// square, then 2 x 2 squares within those of 4 x 4, and so on.
template <class T, int half = 1>
inline void transpose(Vec<T> (&v)[lanes<T>]) {
    if constexpr (half < lanes<T>) {
        constexpr auto each = std::make_index_sequence<lanes<T>>{};
        for (int i = 0; i < lanes<T>; i++) {
            if (i & half) continue;
            const Vec<T> a = v[i], b = v[i + half];
            v[i] = exchanged<T, half, false>(a, b, each);
            v[i + half] = exchanged<T, half, true>(a, b, each);
        }
        transpose<T, 2 * half>(v);
    }
}

}  // namespace backpass
