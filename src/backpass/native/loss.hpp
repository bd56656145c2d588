// What the losses' kernels share: the weights of the mean over the batch, and blocks of samples side by side.
#pragma once
#include <algorithm>

#include "elementwise.hpp"
#include "kernel.hpp"
#include "sums.hpp"
#include "transpose.hpp"
#include "vector_math.hpp"

namespace backpass {

// How much each sample counts, before the division by the sum of all.
template <class T>
struct Weights {
    Array<const T> samples, classes;  // either may be missing
    const std::int64_t* y = nullptr;  // labels, where there are class weights

    double operator()(long n) const {
        return (classes ? static_cast<double>(classes[y[n]]) : 1) * (samples ? static_cast<double>(samples[n]) : 1);
    }
    // 1 / Σ weights, or 0 for a batch in which nothing counts.
    double scale(long N) const {
        if (!classes && !samples) return 1.0 / static_cast<double>(N);
        double total = 0;
        for (long n = 0; n < N; n++) total += (*this)(n);
        return total > 0 ? 1 / total : 0;
    }
    // Weight times `scale` of as many samples as there are lanes, or fewer; zero in the lanes that are left.
    Vec<T> block(long first, long count, double scale) const {
        if (!classes && !samples && count == lanes<T>) return broadcast<T>(static_cast<T>(scale));
        T found[lanes<T>] = {};
        for (long r = 0; r < count; r++) found[r] = static_cast<T>((*this)(first + r) * scale);
        return load(found);
    }
};

// Σ weight loss in float64: each lane adds up its own samples, and the lanes come together at the end.
template <class T>
struct WeightedSum {
    using Wide = typename VectorOf<double, 8 * lanes<T>>::type;
    Wide sum{};

    void add(Vec<T> weight, Vec<T> loss) {
        sum += __builtin_convertvector(weight, Wide) * __builtin_convertvector(loss, Wide);
    }
    double total() const {
        double all = 0;
        for (int i = 0; i < lanes<T>; i++) all += sum[i];
        return all;
    }
};

// The labels of as many samples as there are lanes, or fewer; -1, which is no class, in the lanes that are left.
template <class T>
inline Bits<T> read_labels(const std::int64_t* y, long count) {
    typename Real<T>::Int labels[lanes<T>];
    for (long r = 0; r < lanes<T>; r++) labels[r] = r < count ? static_cast<typename Real<T>::Int>(y[r]) : -1;
    Bits<T> found;
    __builtin_memcpy(&found, labels, sizeof found);
    return found;
}

// Samples per piece: a whole number of blocks, about `grain` scores.
template <class T>
inline long rows_per_piece(long C, long grain) {
    return std::max(1L, grain / (C * lanes<T>)) * lanes<T>;
}

// As many samples as a vector has lanes, transposed: block[c * lanes + r] is the score of class c for sample r.  One
// vector then holds a class for all of them, whatever C is, and no sum runs across a vector.
//
// A row of a few classes is shorter than a vector.  Reading past its end is fine while it is inside the array of
// `available` scores; lanes without a sample are zero and compute something finite.
template <class T>
inline T* read_block(const T* scores, long samples, long C, long available) {
    constexpr long L = lanes<T>;
    T* block = scratch<T>(Slot::tile, static_cast<std::size_t>((C + L) * L));  // C rounded up to whole squares
    for (long c = 0; c < C; c += L) {
        Vec<T> square[L] = {};
        if (samples == L && (L - 1) * C + c + L <= available) {  // known counts: the square stays in registers
#pragma GCC unroll 16
            for (long r = 0; r < L; r++) square[r] = load(scores + r * C + c);
        } else {
            for (long r = 0; r < samples; r++) square[r] = load_some(scores + r * C + c, available - r * C - c);
        }
        transpose<T>(square);
#pragma GCC unroll 16
        for (long i = 0; i < L; i++) store(block + (c + i) * L, square[i]);
    }
    return block;
}

// The way back.  What is written past the end of a row is written over later: squares go from the last classes to the
// first, rows from first to last, and nothing is written past the block's last row.
template <class T>
inline void write_block(T* dscores, const T* block, long samples, long C) {
    constexpr long L = lanes<T>;
    for (long c = (C - 1) / L * L; c >= 0; c -= L) {
        Vec<T> square[L];
#pragma GCC unroll 16
        for (long i = 0; i < L; i++) square[i] = load(block + (c + i) * L);
        transpose<T>(square);
        if (samples == L) {
#pragma GCC unroll 16
            for (long r = 0; r < L; r++) store_some(dscores + r * C + c, square[r], (L - r) * C - c);
        } else {
            for (long r = 0; r < samples; r++) store_some(dscores + r * C + c, square[r], (samples - r) * C - c);
        }
    }
}

}  // namespace backpass
