// Image lines with the channels of a pixel side by side, as transforms on vectors of channels read and write them.
#pragma once
#include "conv.hpp"
#include "simd.hpp"
#include "transpose.hpp"

namespace backpass {

// `count` elements in whole vectors, an odd number of them: lines that far apart fall into different cache sets.
template <class T>
constexpr long odd_vectors(long count) {
    return (divide_up(count, lanes<T>) | 1) * lanes<T>;
}

// Whole vectors of channels: the first `channels` <= L planes of an image, `count` pixels from `from` on, to
// to[pixel][channel], where a line of W pixels is followed by a gap of `gap` pixels.  Squares are turned in registers; only
// constants index them, or the compiler keeps them in memory.
template <class T, bool masked>
inline void gather(T* to, long gap, const T* from, const T* relu_out, long plane, long channels, long W, long count) {
    constexpr int L = lanes<T>;
    long x = 0;
    for (long p = 0; p < count; p += L) {
        Vec<T> v[L];
        const long some = std::min<long>(L, count - p);
        const auto take = [&](int c, auto&& get) {
            v[c] = get(from + c * plane + p);
            if constexpr (masked) v[c] = get(relu_out + c * plane + p) > 0 ? v[c] : Vec<T>{};
        };
        if (channels == L && some == L) {
#pragma GCC unroll 16
            for (int c = 0; c < L; c++) take(c, [](const T* at) { return load(at); });
        } else {
#pragma GCC unroll 16
            for (int c = 0; c < L; c++) {
                v[c] = Vec<T>{};
                if (c < channels) take(c, [&](const T* at) { return load_some(at, some); });
            }
        }
        transpose<T>(v);
        if (some == L && x + L <= W) {  // all in one line
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) store(to + k * L, v[k]);
            to += L * L;
            if ((x += L) == W) x = 0, to += gap * L;
        } else {
            T square[L * L];
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) store(square + k * L, v[k]);
            for (long k = 0; k < some; k++) {
                store(to, load(square + k * L));
                to += L;
                if (++x == W) x = 0, to += gap * L;
            }
        }
    }
}

// The way back: from[pixel][channel] to `channels` planes.
template <class T>
inline void scatter(T* to, long plane, long channels, const T* from, long gap, long W, long count) {
    constexpr int L = lanes<T>;
    long x = 0;
    for (long p = 0; p < count; p += L) {
        Vec<T> v[L];
        const long some = std::min<long>(L, count - p);
        if (some == L && x + L <= W) {
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) v[k] = load(from + k * L);
            from += L * L;
            if ((x += L) == W) x = 0, from += gap * L;
        } else {
            T square[L * L] = {};
            for (long k = 0; k < some; k++) {
                store(square + k * L, load(from));
                from += L;
                if (++x == W) x = 0, from += gap * L;
            }
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) v[k] = load(square + k * L);
        }
        transpose<T>(v);
        if (channels == L && some == L) {
#pragma GCC unroll 16
            for (int c = 0; c < L; c++) store(to + c * plane + p, v[c]);
        } else {
#pragma GCC unroll 16
            for (int c = 0; c < L; c++)
                if (c < channels) store_some(to + c * plane + p, v[c], some);
        }
    }
}

// Zeros in a strip of `height` lines of `pitch` pixels around lines y0 .. y1 and columns x0 .. x1.
template <class T>
inline void zero_border(T* strip, long pitch, long height, long y0, long y1, long x0, long x1) {
    constexpr int L = lanes<T>;
    fill_zero(strip, y0 * pitch * L);
    for (long y = y0; y < y1; y++) {
        fill_zero(strip + y * pitch * L, x0 * L);
        fill_zero(strip + (y * pitch + x1) * L, (pitch - x1) * L);
    }
    fill_zero(strip + y1 * pitch * L, (height - y1) * pitch * L);
}

// lines[i][k] += columns[k][i] for k < count and i < filters, or a vector of them; lines are `step` apart.  Columns may be read up
// to a whole number of vectors.
template <class T>
inline void add_across(T* lines, long step, long filters, const T* columns, long count) {
    constexpr int L = lanes<T>;
    for (long k = 0; k < count; k += L) {
        Vec<T> v[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; i++) v[i] = load(columns + (k + i) * L);
        transpose<T>(v);
        const long some = std::min<long>(L, count - k);
#pragma GCC unroll 16
        for (int i = 0; i < L; i++) {
            if (i >= filters) continue;
            T* const to = lines + i * step + k;
            store_some(to, load_some(to, some) + v[i], some);
        }
    }
}

}  // namespace backpass
