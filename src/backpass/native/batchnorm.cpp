// Batch normalisation over the rows of (N, D), with the relu that usually follows.
//
// The matrix is cut into pieces that fit a core's cache.  Statistics are taken piece by piece and merged in order, then
// a second pass writes the result: x is read from memory twice, whatever its size.
#include <cmath>

#include "columns.hpp"
#include "kernel.hpp"

namespace backpass {
namespace {

// Mean and summed squared deviation of n rows, joined by those of `rows` more, whose mean lies `delta` higher
// (Chan, Golub and LeVeque 1979).
template <class T>
inline void merge(Vec<T>& mean, Vec<T>& deviation, long n, Vec<T> delta, Vec<T> more_deviation, long rows) {
    const T share = static_cast<T>(rows) / static_cast<T>(n + rows);
    mean += delta * share;
    deviation += more_deviation + delta * delta * (share * static_cast<T>(n));
}

// Mean, less the origin, and summed squared deviation of the rows first .. last.  Every block of rows is summed as the distance
// from the mean of the rows before it, so that Σ x² - (Σ x)²/N never cancels: the first block is one row, the next ones
// three times as many as came before.  The origin, the first row of all, keeps digits where a feature is far from zero.
template <class T>
void moments(T* mean_out, T* deviation_out, const T* x, const T* origin, long D, long first, long last, long begin, long end) {
    constexpr long most = Grid::most_slots<T>;
    const long slots = slots_of<T>(begin, end);
    Vec<T> mean[most], deviation[most], sum[most], squares[most];
    std::fill(deviation, deviation + slots, Vec<T>{});
    for_each_vector<T>(begin, end, [&](auto columns) {
        mean[columns.slot] = columns.get(x + first * D) - columns.get(origin);
    });
    for (long block = first + 1; block < last;) {
        const long before = block - first, rows = std::min({block_rows, 3 * before, last - block});
        std::fill(sum, sum + slots, Vec<T>{});
        std::fill(squares, squares + slots, Vec<T>{});
        for_each_rows<T>(block, block + rows, begin, end, [&](auto columns, long n, auto together) {
            const Vec<T> from = columns.get(origin), m = mean[columns.slot];
            for (int i = 0; i < together; i++) {
                const Vec<T> distance = (columns.get(x + (n + i) * D) - from) - m;
                sum[columns.slot] += distance;
                squares[columns.slot] += distance * distance;
            }
        });
        const T share = T(1) / static_cast<T>(rows);
        for (long v = 0; v < slots; v++) {
            const Vec<T> delta = sum[v] * share, rest = squares[v] - sum[v] * delta;
            merge<T>(mean[v], deviation[v], before, delta, rest < T(0) ? Vec<T>{} : rest, rows);
        }
        block += rows;
    }
    for_each_vector<T>(begin, end, [&](auto columns) {
        columns.put(mean_out, mean[columns.slot]);
        columns.put(deviation_out, deviation[columns.slot]);
    });
}

// out = (x - mean) scale + beta, and the relu.
template <bool relu, class T>
void normalise(T* out, bool past, const T* x, const T* mean, const T* scale, const T* beta, long D, long first, long last,
               long begin, long end) {
    for_each_rows<T>(first, last, begin, end, [&](auto columns, long n, auto together) {
        const Vec<T> m = columns.get(mean), k = columns.get(scale), b = columns.get(beta);
        for (int i = 0; i < together; i++) {
            Vec<T> value = (columns.get(x + (n + i) * D) - m) * k + b;
            if constexpr (relu) value = value < T(0) ? Vec<T>{} : value;
            columns.put(out + (n + i) * D, value, past);
        }
    });
    if (past) finish_past();
}

// What arrives at the normalisation: dout, but nothing where the relu behind it, or the dropout behind that, let nothing
// through; the dropout scaled the rest.
template <bool relu, class T, class C>
inline Vec<T> upstream(const C& columns, const T* dout, const T* relu_out, T factor, long row) {
    const Vec<T> d = columns.get(dout + row);
    if constexpr (relu) return columns.get(relu_out + row) > T(0) ? d * factor : Vec<T>{};
    return d;
}

// Σ upstream and Σ upstream (x - mean) of the rows first .. last.
template <bool relu, class T>
void gradient_sums(T* sum_out, T* product_out, const T* dout, const T* relu_out, T factor, const T* x, const T* mean, long D,
                   long first, long last, long begin, long end) {
    constexpr long most = Grid::most_slots<T>;
    const long slots = slots_of<T>(begin, end);
    Vec<T> total[most], total_product[most], sum[most], product[most];
    std::fill(total, total + slots, Vec<T>{});
    std::fill(total_product, total_product + slots, Vec<T>{});
    for (long block = first; block < last; block += block_rows) {
        std::fill(sum, sum + slots, Vec<T>{});
        std::fill(product, product + slots, Vec<T>{});
        for_each_rows<T>(block, std::min(last, block + block_rows), begin, end, [&](auto columns, long n, auto together) {
            const Vec<T> m = columns.get(mean);
            for (int i = 0; i < together; i++) {
                const long row = (n + i) * D;
                const Vec<T> d = upstream<relu>(columns, dout, relu_out, factor, row);
                sum[columns.slot] += d;
                product[columns.slot] += d * (columns.get(x + row) - m);
            }
        });
        for (long v = 0; v < slots; v++) {
            total[v] += sum[v];
            total_product[v] += product[v];
        }
    }
    for_each_vector<T>(begin, end, [&](auto columns) {
        columns.put(sum_out, total[columns.slot]);
        columns.put(product_out, total_product[columns.slot]);
    });
}

// dx = gamma rstd (upstream - mean of upstream - xhat mean of upstream xhat) = scale upstream - shift - tilt (x - mean)
// dx may be dout: where the last vector reaches back over columns of the one before it, dout is read before that one is written.
template <bool relu, class T>
void input_gradient(T* dx, bool past, const T* dout, const T* relu_out, T factor, const T* x, const T* mean,
                    const T* scale, const T* shift, const T* tilt, long D, long first, long last, long begin, long end) {
    const Columns<T, true> reaching{end - lanes<T>, 0, lanes<T>};
    const bool reaches = end - begin > lanes<T> && (end - begin) % lanes<T> != 0;
    for_some_rows(first, last, [&](long n, auto together) {
        Vec<T> kept[together];
        for (int i = 0; reaches && i < together; i++) kept[i] = upstream<relu>(reaching, dout, relu_out, factor, (n + i) * D);
        for_each_vector<T>(begin, end, [&](auto columns) {
            const bool again = reaches && columns.first == reaching.first;
            const Vec<T> m = columns.get(mean), k = columns.get(scale), a = columns.get(shift), b = columns.get(tilt);
            for (int i = 0; i < together; i++) {
                const long row = (n + i) * D;
                const Vec<T> d = again ? kept[i] : upstream<relu>(columns, dout, relu_out, factor, row);
                columns.put(dx + row, k * d - (a + (columns.get(x + row) - m) * b), past);
            }
        });
    });
    if (past) finish_past();
}

}  // namespace

template <class T>
void batchnorm_forward(Array<T> out, Array<T> mean, Array<T> var, Array<T> rstd, Array<const T> x, Array<const T> gamma,
                       Array<const T> beta, double eps, long relu) {
    const long N = x.shape[0], D = x.shape[1];
    const bool past = out.data != x.data && pays_past(out.data, N * D, D);
    const Grid grid(N, D);
    T* const partial = scratch<T>(Slot::partial, static_cast<std::size_t>(2 * grid.row_pieces * D));
    grid.for_each_piece([&](long r, long first, long last, long begin, long end) {
        moments(partial + 2 * r * D, partial + (2 * r + 1) * D, x.data, x.data, D, first, last, begin, end);
    });
    grid.for_each_piece([&](long r, long first, long last, long begin, long end) {
        // Every piece joins the moments for itself: that is quicker than to wait for one that does.
        T* const own = scratch<T>(Slot::other, static_cast<std::size_t>(4 * D));
        T *const centre = own, *const variance = own + D, *const scale = own + 2 * D, *const root = own + 3 * D;
        for_each_vector<T>(begin, end, [&](auto columns) {
            Vec<T> all = {}, deviation = {};
            for (long p = 0; p < grid.row_pieces; p++) {
                const T* const piece = partial + 2 * p * D;
                const long n = p * grid.rows;
                merge<T>(all, deviation, n, columns.get(piece) - all, columns.get(piece + D), std::min(grid.rows, N - n));
            }
            columns.put(centre, all + columns.get(x.data));
            columns.put(variance, deviation / static_cast<T>(N));
        });
#pragma GCC ivdep
        for (long d = begin; d < end; d++) {
            root[d] = T(1) / std::sqrt(variance[d] + static_cast<T>(eps));
            scale[d] = root[d] * gamma[d];
        }
        if (r == 0) {
            std::copy(centre + begin, centre + end, mean.data + begin);
            std::copy(variance + begin, variance + end, var.data + begin);
            std::copy(root + begin, root + end, rstd.data + begin);
        }
        claim(out.data + first * D + begin, last - first, D, end - begin);
        const auto kernel = relu ? normalise<true, T> : normalise<false, T>;
        kernel(out.data, past, x.data, centre, scale, beta.data, D, first, last, begin, end);
    });
}
BACKPASS_KERNEL(batchnorm_forward, "out(N, D) mean(D) var(D) rstd(D) x(N, D) gamma(D) beta(D) eps relu")

// relu_out is the output of the relu, or of relu and dropout, that were fused behind (or missing): where it is zero, dout
// does not pass, and elsewhere it is multiplied by the dropout's scale.
template <class T>
void batchnorm_backward(Array<T> dx, Array<T> dgamma, Array<T> dbeta, Array<const T> dout, Array<const T> x,
                        Array<const T> gamma, Array<const T> mean, Array<const T> rstd, Array<const T> relu_out,
                        double dropout_scale) {
    const long N = x.shape[0], D = x.shape[1];
    const T factor = static_cast<T>(dropout_scale);
    const bool past = dx && dx.data != dout.data && pays_past(dx.data, N * D, D);
    const Grid grid(N, D);
    T* const partial = scratch<T>(Slot::partial, static_cast<std::size_t>(2 * grid.row_pieces * D));
    grid.for_each_piece([&](long r, long first, long last, long begin, long end) {
        const auto kernel = relu_out ? gradient_sums<true, T> : gradient_sums<false, T>;
        kernel(partial + 2 * r * D, partial + (2 * r + 1) * D, dout.data, relu_out.data, factor, x.data, mean.data, D,
               first, last, begin, end);
    });
    grid.for_each_piece([&](long r, long first, long last, long begin, long end) {
        T* const own = scratch<T>(Slot::other, static_cast<std::size_t>(3 * D));  // as in the forward
        T *const sum = own, *const product = own + D, *const scale = own + 2 * D;
        add_pieces(sum, product, partial, grid.row_pieces, D, begin, end);
        if (r == 0)
            for (long d = begin; d < end; d++) {
                dbeta[d] += sum[d];
                dgamma[d] += product[d] * rstd[d];
            }
        if (!dx) return;
        const T share = T(1) / static_cast<T>(N);
        for (long d = begin; d < end; d++) {  // the sums become the shift and the tilt
            scale[d] = gamma[d] * rstd[d];
            sum[d] *= share * scale[d];
            product[d] = product[d] * rstd[d] * share * scale[d] * rstd[d];  // in an order that does not underflow early
        }
        const auto kernel = relu_out ? input_gradient<true, T> : input_gradient<false, T>;
        kernel(dx.data, past, dout.data, relu_out.data, factor, x.data, mean.data, scale, sum, product, D, first, last, begin, end);
    });
}
BACKPASS_KERNEL(batchnorm_backward,
                "dx?(N, D) dgamma(D) dbeta(D) dout(N, D) x(N, D) gamma(D) mean(D) rstd(D) relu_out?(N, D) "
                "dropout_scale")

template <class T>
void batchnorm_infer(Array<T> out, Array<const T> x, Array<const T> gamma, Array<const T> beta, Array<const T> mean,
                     Array<const T> var, double eps, long relu) {
    const long N = x.shape[0], D = x.shape[1];
    const bool past = out.data != x.data && pays_past(out.data, N * D, D);
    T* const scale = scratch<T>(Slot::other, static_cast<std::size_t>(D));
    for (long d = 0; d < D; d++) scale[d] = gamma[d] / std::sqrt(var[d] + static_cast<T>(eps));
    const auto kernel = relu ? normalise<true, T> : normalise<false, T>;
    Grid(N, D).for_each_piece([&](long, long first, long last, long begin, long end) {
        kernel(out.data, past, x.data, mean.data, scale, beta.data, D, first, last, begin, end);
    });
}
BACKPASS_KERNEL(batchnorm_infer, "out(N, D) x(N, D) gamma(D) beta(D) mean(D) var(D) eps relu")

// mean and var move towards the batch's.
template <class T>
void running_statistics(Array<T> mean, Array<T> var, Array<const T> batch_mean, Array<const T> batch_var, double decay) {
    const T keep = static_cast<T>(decay), take = static_cast<T>(1 - decay);
    for (long d = 0; d < mean.size(); d++) {
        mean[d] = keep * mean[d] + take * batch_mean[d];
        var[d] = keep * var[d] + take * batch_var[d];
    }
}
BACKPASS_KERNEL(running_statistics, "mean(n..) var(n..) batch_mean(n..) batch_var(n..) decay")

}  // namespace backpass
