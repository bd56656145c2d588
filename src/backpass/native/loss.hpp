// What the losses' kernels share: the weights of the mean over the batch, and the order in which losses are added.
#pragma once
#include "kernel.hpp"
#include "parallel.hpp"

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
};

// rows(begin, end) returns the sum of the weighted losses of these rows; each piece has about `grain` elements.
template <class Rows>
double sum_rows_loss(long N, long C, long grain, Rows&& rows) {
    const long block = std::max(1L, grain / std::max(1L, C)), pieces = (N + block - 1) / block;
    double* partial = scratch<double>(Slot::partial, static_cast<std::size_t>(pieces));
    parallel_ranges(N, block, [&](long begin, long end) { partial[begin / block] = rows(begin, end); });
    double total = 0;
    for (long piece = 0; piece < pieces; piece++) total += partial[piece];
    return total;
}

}  // namespace backpass
