// Layer normalisation: each row of (N, D) to mean 0 and variance 1, then gamma and beta per feature; and the relu that may
// follow.
#include <cmath>

#include "columns.hpp"
#include "kernel.hpp"

namespace backpass {
namespace {

// Σ_d f(d) over one row, in one order: four vectors at a time keep the adders busy, what is left over comes last.
// vector(d) gives the terms of the vector at column d, single(d) that of one column.
template <class T, class Vector, class Single>
inline T sum_row(long D, Vector&& vector, Single&& single) {
    constexpr long L = lanes<T>;
    Vec<T> sum[4] = {};
    long d = 0;
    for (; d + 4 * L <= D; d += 4 * L)
        for (int i = 0; i < 4; i++) sum[i] += vector(d + i * L);
    for (; d + L <= D; d += L) sum[0] += vector(d);
    T rest = 0;
    for (; d < D; d++) rest += single(d);
    return sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

// f(columns) for each vector of a row of D, each column once; the last vector has what is left over, and zeros.
template <class T, class F>
inline void for_each_once(long D, F&& f) {
    constexpr long L = lanes<T>;
    long d = 0;
    for (; d + L <= D; d += L) f(Columns<T, true>{d, 0, L});
    if (d < D) f(Columns<T, false>{d, 0, D - d});
}

}  // namespace

template <class T>
void layernorm_forward(Array<T> out, Array<T> mean, Array<T> rstd, Array<const T> x, Array<const T> gamma,
                       Array<const T> beta, double eps, long relu) {
    const long N = x.rows(), D = x.cols();
    const T share = T(1) / static_cast<T>(D);
    const bool past = out.data != x.data && pays_past(out.data, N * D, D);
    parallel_ranges(N, std::max(1l, memory_grain / D), [=](long first, long last) {
        for (long n = first; n < last; n++) {
            const T* const row = x.data + n * D;
            T* const to = out.data + n * D;
            auto square = [](auto value) { return value * value; };
            const T origin = row[0];  // sums of x - origin are exact for a constant row
            const T m = origin + share * sum_row<T>(D, [=](long d) { return load(row + d) - origin; },
                                                    [=](long d) { return row[d] - origin; });
            const T var = share * sum_row<T>(D, [=](long d) { return square(load(row + d) - m); },
                                             [=](long d) { return square(row[d] - m); });
            const T r = T(1) / std::sqrt(var + static_cast<T>(eps));
            for_each_vector<T>(0, D, [=](auto columns) {
                __builtin_prefetch(row + D + columns.first);  // the next row, while nothing else is asked of the memory
                if (!past) __builtin_prefetch(to + D + columns.first, 1);
                const Vec<T> value = (columns.get(row) - m) * r * columns.get(gamma.data) + columns.get(beta.data);
                columns.put(to, relu ? (value < T(0) ? Vec<T>{} : value) : value, past);
            });
            if (mean) mean[n] = m;
            if (rstd) rstd[n] = r;
        }
        if (past) finish_past();
    });
}
BACKPASS_KERNEL(layernorm_forward, "out(N, D..) mean?(N) rstd?(N) x(N, D..) gamma(D..) beta(D..) eps relu")

// relu_out is the output of the relu that was fused behind (or missing): where it is zero, dout does not pass.
// A piece of rows adds up its own part of dgamma and dbeta; the parts are added in order at the end.
template <class T>
void layernorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                        Array<const T> gamma, Array<const T> mean, Array<const T> rstd, Array<const T> relu_out) {
    const long N = x.rows(), D = x.cols();
    const T share = T(1) / static_cast<T>(D);
    const long rows = std::max(32l, memory_grain / D);  // not fewer: each piece has 2 D sums of its own
    const long pieces = (N + rows - 1) / rows;
    const bool past = dx && dx.data != dout.data && pays_past(dx.data, N * D, D);
    T* const partial = scratch<T>(Slot::partial, static_cast<std::size_t>(2 * pieces * D));
    T* const totals = scratch<T>(Slot::other, static_cast<std::size_t>(2 * D));
    parallel_ranges(N, rows, [=](long first, long last) {
        T* const sum = partial + 2 * (first / rows) * D;
        T* const product = sum + D;
        std::fill(sum, sum + 2 * D, T(0));
        auto arriving = [&](auto columns, long row) {
            const Vec<T> d = columns.get(dout.data + row * D);
            return relu_out ? (columns.get(relu_out.data + row * D) > T(0) ? d : Vec<T>{}) : d;
        };
        auto normalised = [&](auto columns, long row) { return (columns.get(x.data + row * D) - mean[row]) * rstd[row]; };
        constexpr long most = 4;
        const long pitch = D + 5 * lanes<T>;  // no multiple of 4 KiB: a store there holds up loads of other rows
        T* const dxhats = scratch<T>(Slot::tile, static_cast<std::size_t>(most * pitch));
        auto some_rows = [&](long n, auto count) {  // several rows share each access to the sums
            Vec<T> shifts[count] = {}, tilts[count] = {};
            for_each_once<T>(D, [&](auto columns) {
                const Vec<T> scale = columns.get(gamma.data);
                Vec<T> d_sum = columns.get(sum), product_sum = columns.get(product);
                for (int i = 0; i < count; i++) {
                    __builtin_prefetch(x.data + (n + i + count) * D + columns.first, 0, 2);
                    const Vec<T> d = arriving(columns, n + i), xhat = normalised(columns, n + i), dxhat = d * scale;
                    d_sum += d;
                    product_sum += d * xhat;
                    if (dx) columns.put(dxhats + i * pitch, dxhat);  // rounded here, so that it cancels exactly below
                    shifts[i] += dxhat;
                    tilts[i] += dxhat * xhat;
                }
                columns.put(sum, d_sum);
                columns.put(product, product_sum);
            });
            for (int i = 0; dx && i < count; i++) {
                const T shift = share * sum_lanes<T>(shifts[i]), tilt = share * sum_lanes<T>(tilts[i]), r = rstd[n + i];
                for_each_once<T>(D, [&](auto columns) {
                    __builtin_prefetch(dout.data + (n + i + count) * D + columns.first, 0, 2);
                    const Vec<T> dxhat = columns.get(dxhats + i * pitch);
                    columns.put(dx.data + (n + i) * D, r * (dxhat - shift - normalised(columns, n + i) * tilt), past);
                });
            }
        };
        long n = first;
        for (; n + most <= last; n += most) some_rows(n, std::integral_constant<int, most>{});
        for (; n < last; n++) some_rows(n, std::integral_constant<int, 1>{});
        if (past) finish_past();
    });
    add_pieces(totals, totals + D, partial, pieces, D, 0, D);
    for (long j = 0; j < D; j++) {
        dbeta[j] += totals[j];
        dgamma[j] += totals[D + j];
    }
}
BACKPASS_KERNEL(layernorm_backward,
                "dx?(N, D..) dgamma(D..) dbeta(D..) dout(N, D..) x(N, D..) gamma(D..) mean(N) rstd(N) "
                "relu_out?(N, D..)")

}  // namespace backpass
