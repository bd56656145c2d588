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
                layout.fill(plane, x.data + image);
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
                    for (long t = 0; t < taps; t += most_taps)
                        weight_sums_of<T>(std::min<long>(most_taps, taps - t))(sum + t, up, way.line, plane, layout, offsets + t);
                }
                if (!dx) continue;
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
