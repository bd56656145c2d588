// Vectors of T as wide as the instruction set that this file is compiled for, by compiler extensions:
// `a + b`, `a * b`, `a > b` work lane by lane, and the compiler picks the instructions.
#pragma once
#include <cstdint>
#include <cstring>

namespace backpass {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else  // SSE4.2 (x86-64-v2) and NEON
inline constexpr int vector_bytes = 16;
#endif

template <class T>
struct VectorOf {
    typedef T type __attribute__((vector_size(vector_bytes)));
};

template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

// Loads and stores at any address: memcpy of a whole vector compiles to one unaligned move.
template <class T>
inline Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof(v));
}

template <class T>
inline Vec<T> broadcast(T value) {
    return value - Vec<T>{};  // exact for every value, -0 included, so the compiler drops the subtraction
}

// The lanes added in a fixed order (pairs, then pairs of pairs), so that a sum has one value.
template <class T>
inline T sum_lanes(Vec<T> v) {
    T part[lanes<T>];
    store(part, v);
    for (int width = lanes<T> / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) part[i] += part[i + width];
    return part[0];
}

}  // namespace backpass
