// Rows become columns, pairs go apart, and the last becomes the first, within registers.
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

// The last lane first.
template <class T, std::size_t... k>
inline Vec<T> reversed(Vec<T> v, std::index_sequence<k...>) {
    return __builtin_shufflevector(v, v, (lanes<T> - 1 - static_cast<int>(k))...);
}

template <class T>
inline Vec<T> reversed(Vec<T> v) {
    return reversed<T>(v, std::make_index_sequence<lanes<T>>{});
}

// (a0 a1 a2 ...) (... b0 b1 b2) to (a0 a2 ... b0 b2 ...) (a1 a3 ... b1 b3 ...), and the way back.
template <class T, std::size_t... k>
inline std::pair<Vec<T>, Vec<T>> split_pairs(Vec<T> a, Vec<T> b, std::index_sequence<k...>) {
    return {__builtin_shufflevector(a, b, (2 * static_cast<int>(k))...),
            __builtin_shufflevector(a, b, (2 * static_cast<int>(k) + 1)...)};
}

template <class T, std::size_t... k>
inline std::pair<Vec<T>, Vec<T>> join_pairs(Vec<T> even, Vec<T> odd, std::index_sequence<k...>) {
    constexpr int L = lanes<T>;
    return {__builtin_shufflevector(even, odd, (static_cast<int>(k) / 2 + static_cast<int>(k) % 2 * L)...),
            __builtin_shufflevector(even, odd, (L / 2 + static_cast<int>(k) / 2 + static_cast<int>(k) % 2 * L)...)};
}

// Every third of the lanes of a, b and c one after the other, from lane `first` on.
template <class T, int first, std::size_t... k>
inline Vec<T> every_third(Vec<T> a, Vec<T> b, Vec<T> c, std::index_sequence<k...>) {
    constexpr int L = lanes<T>;
    const Vec<T> of_two = __builtin_shufflevector(a, b, (first + 3 * static_cast<int>(k) < 2 * L ? first + 3 * static_cast<int>(k) : 0)...);
    return __builtin_shufflevector(
        of_two, c, (first + 3 * static_cast<int>(k) < 2 * L ? static_cast<int>(k) : first + 3 * static_cast<int>(k) - L)...);
}

}  // namespace backpass
