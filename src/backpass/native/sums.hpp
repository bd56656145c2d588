// Sums of many numbers in float64, in an order that depends on nothing but their count.
#pragma once
#include "kernel.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

// Σ p[i]²: four vectors of float64 take turns, so that no addition waits for the one before.
template <class T>
inline double sum_of_squares(const T* p, long n) {
    constexpr int width = lanes<double>, turns = 4;
    typedef T Narrow __attribute__((vector_size(width * sizeof(T))));
    Vec<double> sum[turns] = {};
    long i = 0;
    for (; i + turns * width <= n; i += turns * width)
        for (int turn = 0; turn < turns; turn++) {
            Narrow narrow;
            __builtin_memcpy(&narrow, p + i + turn * width, sizeof(narrow));
            const Vec<double> v = __builtin_convertvector(narrow, Vec<double>);
            sum[turn] += v * v;
        }
    double rest = 0;
    for (; i < n; i++) rest += static_cast<double>(p[i]) * static_cast<double>(p[i]);
    return sum_lanes<double>((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

// Σ of what piece(begin, end) returns, over 0 .. n in pieces of `grain` items, added in the order of the pieces.
template <class Piece>
double sum_pieces(long n, long grain, Piece&& piece) {
    const long pieces = (n + grain - 1) / grain;
    double* partial = scratch<double>(Slot::partial, static_cast<std::size_t>(pieces));
    parallel_ranges(n, grain, [&](long begin, long end) { partial[begin / grain] = piece(begin, end); });
    double total = 0;
    for (long i = 0; i < pieces; i++) total += partial[i];
    return total;
}

}  // namespace backpass
