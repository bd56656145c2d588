// Vectors of T as wide as the instruction set that this file is compiled for, by compiler extensions:
// `a + b`, `a * b`, `a > b` work lane by lane, and the compiler picks the instructions.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace backpass {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else  // SSE4.2 (x86-64-v2) and NEON
inline constexpr int vector_bytes = 16;
#endif

template <class T, int bytes = vector_bytes>
struct VectorOf {
    typedef T type __attribute__((vector_size(bytes)));
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

// A store that goes past the caches: the memory is spared the reading of what will be overwritten.  It pays where so much is
// written in a row that none of it would still be in a cache when it is read.
template <class T>
inline void store_past(T* p, Vec<T> v) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
#elif defined(__x86_64__)
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(v));
#else
    store(p, v);
#endif
}

// What was stored past the caches is there for other threads after this.
inline void finish_past() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

// Whether to store `size` values at p past the caches, in rows of D: such stores take whole aligned vectors.
template <class T>
inline bool pays_past(const T* p, long size, long D) {
    constexpr long bytes = sizeof(T), most = 24L << 20;  // that a third cache may still hold
    return size * bytes > most && reinterpret_cast<std::uintptr_t>(p) % vector_bytes == 0 && D * bytes % vector_bytes == 0;
}

// Moves `count` values, fewer than 2 * width: two moves of a power of two that overlap make any count.
template <long width, class T>
inline void move_some(T* to, const T* from, long count) {
    if constexpr (width == 1) {
        if (count > 0) *to = *from;
    } else if (count >= width) {
        T head[width], tail[width];
        __builtin_memcpy(head, from, sizeof(head));
        __builtin_memcpy(tail, from + count - width, sizeof(tail));
        __builtin_memcpy(to, head, sizeof(head));
        __builtin_memcpy(to + count - width, tail, sizeof(tail));
    } else {
        move_some<width / 2>(to, from, count);
    }
}

// The first `count` values at p, zeros after them, and a store of only those; nothing beyond them is touched.
// This has to be said in instructions: AVX-512 has masks for it.
template <class T>
inline Vec<T> load_some(const T* p, long count) {
    if (count >= lanes<T>) return load(p);
#if defined(__AVX512F__)
    const unsigned mask = (1u << std::max(count, 0L)) - 1;
    if constexpr (sizeof(T) == 4)
        return reinterpret_cast<Vec<T>>(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p));
    else
        return reinterpret_cast<Vec<T>>(_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p));
#else
    alignas(vector_bytes) T values[lanes<T>] = {};
    move_some<lanes<T> / 2>(values, p, count);
    return load(values);
#endif
}

template <class T>
inline void store_some(T* p, Vec<T> v, long count) {
    if (count >= lanes<T>) return store(p, v);
#if defined(__AVX512F__)
    const unsigned mask = (1u << std::max(count, 0L)) - 1;
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>(mask), reinterpret_cast<__m512>(v));
    else
        _mm512_mask_storeu_pd(p, static_cast<__mmask8>(mask), reinterpret_cast<__m512d>(v));
#else
    alignas(vector_bytes) T values[lanes<T>];
    store(values, v);
    move_some<lanes<T> / 2>(p, values, count);
#endif
}

template <class T>
inline Vec<T> broadcast(T value) {
    return value - Vec<T>{};  // exact for every value, -0 included, so the compiler drops the subtraction
}

// The lanes added in a fixed order (halves, then halves of these), so that a sum has one value.
template <class T, int width = lanes<T>>
inline T sum_lanes(typename VectorOf<T, width * sizeof(T)>::type v) {
    if constexpr (width == 2)
        return v[0] + v[1];
    else
        return [&]<int... i>(std::integer_sequence<int, i...>) {
            return sum_lanes<T, width / 2>(__builtin_shufflevector(v, v, i...) + __builtin_shufflevector(v, v, (i + width / 2)...));
        }(std::make_integer_sequence<int, width / 2>{});
}

}  // namespace backpass
