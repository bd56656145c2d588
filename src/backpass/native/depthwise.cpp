// Depthwise convolution: every filter sees one channel, so there is no matrix product, only sums along rows.
//
// Each plane is copied once to where the sums need no edge cases (plane.hpp).  Planes are taken in the order of memory; for
// dw and db a piece sums some images into its own place, and the sums are added in image order.
#include <algorithm>
#include <array>
#include <utility>

#include "conv.hpp"
#include "plane.hpp"

namespace backpass {
namespace {

// Taps whose sums stay in registers.
constexpr int most_taps = 9;

// `rows` x lanes outputs: c[r] = bias + Σ_t w[t] plane[offset[t] ...] of each row, `count` pixels of them.
template <class T, int rows>
inline void sum_rows(T* c, long ldc, long count, T bias, bool relu, const T* w, long taps, const T* plane, long line,
                     const long* offsets) {
    Vec<T> sum[rows];
    for (int r = 0; r < rows; r++) sum[r] = broadcast(bias);
    for (long t = 0; t < taps; t++) {
        const Vec<T> weight = broadcast(w[t]);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) sum[r] += weight * load(plane + r * line + offsets[t]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) store_some(c + r * ldc, relu ? (sum[r] < 0 ? Vec<T>{} : sum[r]) : sum[r], count);
}

// sums[t] += Σ over the output pixels of upstream * plane[offset[t] ...], for `taps` taps.
template <class T, int taps>
void weight_sums(T* sums, const T* upstream, long upstream_line, const T* plane, const Plane<T>& layout, const long* offsets) {
    Vec<T> sum[taps] = {};
    for (long y = 0; y < layout.s.OH; y++)
        for (long v = 0; v < layout.s.OW; v += lanes<T>) {
            const Vec<T> d = load(upstream + y * upstream_line + v);
            const T* const from = plane + y * layout.line + v;
#pragma GCC unroll 9
            for (int t = 0; t < taps; t++) sum[t] += d * load(from + offsets[t]);
        }
    for (int t = 0; t < taps; t++) sums[t] += sum_lanes<T>(sum[t]);
}

// The usual kernel, 3x3 that moves by one pixel, goes down a column of vectors: what it loads of a row, shifted by 0, 1 and 2,
// serves the three output rows around, whose sums stay in registers.
inline bool is_usual(const ConvSizes& s) {
    return s.HH == 3 && s.WW == 3 && s.stride_y == 1 && s.stride_x == 1 && s.dilation_y == 1 && s.dilation_x == 1;
}

// a[j] * b[j], summed
template <class T>
inline Vec<T> dot3(const Vec<T>* a, const Vec<T>* b) {
    return a[0] * b[0] + (a[1] * b[1] + a[2] * b[2]);
}

// out[y][v] = bias + Σ_ij w[i][j] plane[y + i][v + j], then relu
template <class T>
void usual_forward(T* out, long OH, long OW, T bias, bool relu, const T* w, const T* plane, long line) {
    Vec<T> weight[9];
    for (int t = 0; t < 9; t++) weight[t] = broadcast(w[t]);
    for (long v = 0; v < OW; v += lanes<T>) {
        Vec<T> last = {}, middle = {};  // of the output rows that want one row more, and two
        for (long row = 0; row < OH + 2; row++) {
            const T* const from = plane + row * line + v;
            const Vec<T> shifted[3] = {load(from), load(from + 1), load(from + 2)};
            Vec<T> sum = last + dot3<T>(weight + 6, shifted);
            last = middle + dot3<T>(weight + 3, shifted);
            middle = bias + dot3<T>(weight, shifted);
            if (relu) sum = sum < 0 ? Vec<T>{} : sum;
            if (row >= 2) store_some(out + (row - 2) * OW + v, sum, OW - v);
        }
    }
}

// Both sums of a plane at once.  Seen from x[r][c], kernel element (i, j) meets the upstream element that is i rows above and
// j columns left of the last one it meets; `upstream` is the first of these for x[0][0], i = j = 2, with zeros around.
//
//     dx[r][c] = Σ_ij w[i][j] upstream[r + 2 - i][c + 2 - j],     sums[i][j] += Σ_rc x[r][c] upstream[r + 2 - i][c + 2 - j]
template <class T>
void usual_backward(T* dx, T* sums, const T* x, long H, long W, const T* upstream, long line, const T* w) {
    Vec<T> weight[9], sum[9] = {};
    for (int t = 0; t < 9; t++) weight[t] = broadcast(w[t / 3 * 3 + 2 - t % 3]);
    for (long c = 0; c < W; c += lanes<T>) {
        Vec<T> last = {}, middle = {};  // of the rows of dx that want one row more, and two
        Vec<T> above[2] = {};           // x two rows and one row above
        for (long row = 0; row < H + 2; row++) {
            const T* const from = upstream + row * line + c;
            const Vec<T> shifted[3] = {load(from), load(from + 1), load(from + 2)};
            const Vec<T> here = row < H ? load_some(x + row * W + c, W - c) : Vec<T>{};
            for (int j = 0; j < 3; j++) {
                sum[j] += shifted[2 - j] * above[0];
                sum[3 + j] += shifted[2 - j] * above[1];
                sum[6 + j] += shifted[2 - j] * here;
            }
            above[0] = above[1];
            above[1] = here;
            const Vec<T> done = last + dot3<T>(weight, shifted);
            last = middle + dot3<T>(weight + 3, shifted);
            middle = dot3<T>(weight + 6, shifted);
            if (dx && row >= 2) store_some(dx + (row - 2) * W + c, done, W - c);
        }
    }
    for (int t = 0; t < 9; t++) sums[t] += sum_lanes<T>(sum[t]);
}

// A 3x3 kernel that moves by two pixels takes a plane in pairs of rows and columns.  The rows of the one kind, and the columns,
// meet the kernel's middle (i = 1) in one upstream row; those of the other kind its ends, i = 0 in an upstream row and i = 2 in
// the row above.
inline bool is_halving(const ConvSizes& s) {
    const auto reaches_all = [](long out, long in, long zeros) { return (in + 1) / 2 + (zeros + 1) / 2 - 1 <= out; };
    return s.HH == 3 && s.WW == 3 && s.stride_y == 2 && s.stride_x == 2 && s.dilation_y == 1 && s.dilation_x == 1 &&
           s.top <= 2 && s.left <= 2 && reaches_all(s.OH, s.H, s.top) && reaches_all(s.OW, s.W, s.left);
}

// Both sums of a plane at once, as above; `upstream` is its element [0][0], with a row and a column of zeros around.
template <class T>
void halving_backward(T* dx, T* sums, const T* x, const ConvSizes& s, const T* upstream, long line, const T* w) {
    constexpr int L = lanes<T>;
    constexpr auto each = std::make_index_sequence<lanes<T>>{};
    const long middle_x = s.left % 2, middle_y = s.top % 2;  // 1 where even columns, even rows meet the middle
    Vec<T> weight[9], sum[9] = {};
    for (int t = 0; t < 9; t++) weight[t] = broadcast(w[t]);
    for (long c = 0; 2 * c < s.W; c += L) {
        const T* from = upstream + ((s.top + 1) / 2 - 1) * line + c + (s.left + 1) / 2;
        Vec<T> above[2] = {load(from), load(from - 1)}, here[2];  // for j = 0 and j = 2
        const auto row_of_x = [&](long row, auto&& meet_all) {
            if (row >= s.H) return;
            const long at = row * s.W + 2 * c, rest = s.W - 2 * c;
            const auto [even, odd] = split_pairs<T>(load_some(x + at, rest), load_some(x + at + L, rest - L), each);
            const Vec<T> ends = middle_x ? odd : even, middle = middle_x ? even : odd;
            Vec<T> d_ends = {}, d_middle = {};
            meet_all([&](int i, const Vec<T>* u) {
                const Vec<T> u_middle = u[middle_x];
                sum[3 * i] += u[0] * ends;
                sum[3 * i + 1] += u_middle * middle;
                sum[3 * i + 2] += u[1] * ends;
                d_ends += weight[3 * i] * u[0] + weight[3 * i + 2] * u[1];
                d_middle += weight[3 * i + 1] * u_middle;
            });
            if (!dx) return;
            const auto [a, b] = join_pairs<T>(middle_x ? d_middle : d_ends, middle_x ? d_ends : d_middle, each);
            store_some(dx + at, a, rest);
            store_some(dx + at + L, b, rest - L);
        };
        for (long row = 0; row < s.H; row += 2) {
            from += line;
            here[0] = load(from), here[1] = load(from - 1);
            row_of_x(row + middle_y, [&](auto&& meet) { meet(0, here), meet(2, above); });
            row_of_x(row + 1 - middle_y, [&](auto&& meet) { meet(1, middle_y ? above : here); });
            above[0] = here[0], above[1] = here[1];
        }
    }
    for (int t = 0; t < 9; t++) sums[t] += sum_lanes<T>(sum[t]);
}

template <class T>
auto weight_sums_of(long taps) {
    static constexpr auto kernels = []<int... t>(std::integer_sequence<int, t...>) {
        return std::array{weight_sums<T, t + 1>...};
    }(std::make_integer_sequence<int, most_taps>{});
    return kernels[taps - 1];
}

}  // namespace

template <class T>
void depthwise_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                       long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Plane<T> layout(s);
    const long taps = s.HH * s.WW, grain = std::max(1L, memory_grain / (s.Fg * s.pixels() * taps));
    constexpr int L = lanes<T>;
    parallel_ranges(s.N * s.C, grain, [&](long begin, long end) {
        T* const plane = scratch<T>(Slot::tile, layout.size());
        long* const offsets = layout.offsets(scratch<long>(Slot::other, taps));
        fill_zero(plane, layout.size());
        for (long p = begin; p < end; p++) {
            layout.fill(plane, x.data + p * s.H * s.W);
            for (long m = 0; m < s.Fg; m++) {
                const long f = p % s.C * s.Fg + m;
                T* const to = out.data + (p * s.Fg + m) * s.pixels();
                if (is_usual(s)) {
                    usual_forward(to, s.OH, s.OW, b ? b[f] : T(0), relu != 0, w.data + f * taps, plane, layout.line);
                    continue;
                }
                const auto rows_at = [&](auto rows, long y) {
                    for (long v = 0; v < s.OW; v += L)
                        sum_rows<T, rows()>(to + y * s.OW + v, s.OW, s.OW - v, b ? b[f] : T(0), relu != 0, w.data + f * taps, taps,
                                            plane + y * layout.line + v, layout.line, offsets);
                };
                long y = 0;
                for (; y + 4 <= s.OH; y += 4) rows_at(std::integral_constant<int, 4>{}, y);
                for (; y < s.OH; y++) rows_at(std::integral_constant<int, 1>{}, y);
            }
        }
    });
}
BACKPASS_KERNEL(depthwise_forward,
                "out(N, F, OH, OW) x(N, C, H, W) w(F, K, HH, WW) b?(F) " CONV_GEOMETRY " relu |" CONV_RULES
                ", K = 1, F % C")

template <class T>
void depthwise_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x, Array<const T> w,
                        Array<const T> relu_out, long stride_y, long stride_x, long dilation_y, long dilation_x, long top,
                        long left) {
    const ConvSizes s = conv_sizes(dout, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Plane<T> layout(s);
    const long taps = s.HH * s.WW, size = s.F * (taps + 1);  // of the sums of some images: per filter its taps and db
    const long ranges = std::min(s.N, 8L), splits = std::min(s.C, 8 / ranges);
    // x may not reach beyond the rows and columns of upstream that lie there.
    const bool usual = is_usual(s) && s.Fg == 1 && s.OH >= s.H + s.top - 2 && s.OW >= s.W + s.left - 2;
    const bool halving = is_halving(s) && s.Fg == 1;
    constexpr int L = lanes<T>;
    T* const partial = scratch<T>(Slot::partial, ranges * size);
    share(ranges * splits, s.N * s.F * s.pixels() * taps, [&](long piece) {
        const long range = piece / splits, split = piece % splits;
        const long c0 = split * s.C / splits, c1 = (split + 1) * s.C / splits;
        long* const numbers = scratch<long>(Slot::other, taps + WayBack<T>::longs(s));
        const long* const offsets = layout.offsets(numbers);
        const WayBack<T> way(layout, numbers + taps);
        T* const plane = scratch<T>(Slot::tile, layout.size());
        T* const upstream = scratch<T>(Slot::panel_b, s.Fg * way.size());
        T* const sums = partial + range * size;
        fill_zero(plane, layout.size());
        fill_zero(upstream, s.Fg * way.size());
        fill_zero(sums + c0 * s.Fg * (taps + 1), (c1 - c0) * s.Fg * (taps + 1));
        for (long n = range * s.N / ranges; n < (range + 1) * s.N / ranges; n++)
            for (long c = c0; c < c1; c++) {
                const long image = (n * s.C + c) * s.H * s.W;
                if (!usual && !halving) layout.fill(plane, x.data + image);
                for (long m = 0; m < s.Fg; m++) {
                    const long f = c * s.Fg + m, first = (n * s.F + f) * s.pixels();
                    T *const up = upstream + m * way.size() + way.row(0), *const sum = sums + f * (taps + 1);
                    Vec<T> total = {};
                    for (long y = 0; y < s.OH; y++)
                        for (long v = 0; v < s.OW; v += L) {
                            const long at = first + y * s.OW + v;
                            Vec<T> d = load_some(dout.data + at, s.OW - v);
                            if (relu_out) d = load_some(relu_out.data + at, s.OW - v) > 0 ? d : Vec<T>{};
                            store_some(up + y * way.line + v, d, s.OW - v);
                            total += d;
                        }
                    sum[taps] += sum_lanes<T>(total);
                    if (usual) {
                        usual_backward(dx ? dx.data + image : nullptr, sum, x.data + image, s.H, s.W,
                                       up + (s.top - 2) * way.line + s.left - 2, way.line, w.data + f * taps);
                        continue;
                    }
                    if (halving) {
                        halving_backward(dx ? dx.data + image : nullptr, sum, x.data + image, s, up, way.line, w.data + f * taps);
                        continue;
                    }
                    for (long t = 0; t < taps; t += most_taps)
                        weight_sums_of<T>(std::min<long>(most_taps, taps - t))(sum + t, up, way.line, plane, layout, offsets + t);
                }
                if (!dx || usual || halving) continue;
                way.gather(dx.data + image, [&](long count, const long* tap, const long* offset, long at) {
                    Vec<T> sum = {};
                    for (long m = 0; m < s.Fg; m++) {
                        const T *const weights = w.data + (c * s.Fg + m) * taps, *const up = upstream + m * way.size() + at;
                        for (long k = 0; k < count; k++) sum += weights[tap[k]] * load(up + offset[k]);
                    }
                    return sum;
                });
            }
    });
    for (long range = 0; range < ranges; range++)
        for (long f = 0; f < s.F; f++) {
            const T* const sums = partial + range * size + f * (taps + 1);
            for (long t = 0; t < taps; t++) dw[f * taps + t] += sums[t];
            if (db) db[f] += sums[taps];
        }
}
BACKPASS_KERNEL(depthwise_backward,
                "dx?(N, C, H, W) dw(F, K, HH, WW) db?(F) dout(N, F, OH, OW) x(N, C, H, W) w(F, K, HH, WW) "
                "relu_out?(N, F, OH, OW) " CONV_GEOMETRY " |" CONV_RULES ", K = 1, F % C")

}  // namespace backpass
