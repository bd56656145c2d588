// Depthwise convolution: every filter sees one channel, so there is no matrix product, only sums along rows.
//
// A piece is a channel of all images, so dw and db are summed in image order.  Each plane is copied once to where the
// sums need no edge cases (plane.hpp).
#include <algorithm>

#include "conv.hpp"
#include "plane.hpp"

namespace backpass {


template <class T>
void depthwise_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                       long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Plane<T> layout(s);
    const long taps = s.HH * s.WW;
    constexpr int L = lanes<T>;
    share(s.C, s.N * s.F * s.pixels() * s.HH * s.WW, [&](long c) {
        T* const plane = scratch<T>(Slot::tile, layout.size());
        long* const offsets = layout.offsets(scratch<long>(Slot::other, taps));
        fill_zero(plane, layout.size());
        for (long n = 0; n < s.N; n++) {
            layout.fill(plane, x.data + (n * s.C + c) * s.H * s.W);
            for (long f = c * s.Fg; f < (c + 1) * s.Fg; f++) {
                T* const to = out.data + (n * s.F + f) * s.pixels();
                const Vec<T> bias = broadcast(b ? b[f] : T(0));
                for (long y = 0; y < s.OH; y++)
                    for (long v = 0; v < s.OW; v += L) {
                        Vec<T> sum = bias;
                        const T* const from = plane + y * layout.line + v;
                        for (long t = 0; t < taps; t++) sum += w[f * taps + t] * load(from + offsets[t]);
                        if (relu) sum = sum < 0 ? Vec<T>{} : sum;
                        if (v + L <= s.OW) {
                            store(to + y * s.OW + v, sum);
                        } else {
                            T rest[L];
                            store(rest, sum);
                            for (long k = 0; k < s.OW - v; k++) to[y * s.OW + v + k] = rest[k];
                        }
                    }
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
    const long taps = s.HH * s.WW;
    constexpr int L = lanes<T>;
    share(s.C, s.N * s.F * s.pixels() * s.HH * s.WW, [&](long c) {
        T* const plane = scratch<T>(Slot::tile, layout.size());
        T* const back = scratch<T>(Slot::panel_a, layout.size());
        T* const upstream = scratch<T>(Slot::panel_b, s.OH * layout.out_cols);  // dout, rows filled up with zeros
        T* const sums = scratch<T>(Slot::partial, s.Fg * (taps + 1));
        long* const offsets = layout.offsets(scratch<long>(Slot::other, taps));
        fill_zero(plane, layout.size());
        fill_zero(upstream, s.OH * layout.out_cols);
        fill_zero(sums, s.Fg * (taps + 1));
        for (long n = 0; n < s.N; n++) {
            layout.fill(plane, x.data + (n * s.C + c) * s.H * s.W);
            if (dx) fill_zero(back, layout.size());
            for (long m = 0; m < s.Fg; m++) {
                const long f = c * s.Fg + m, first = (n * s.F + f) * s.pixels();
                for (long y = 0; y < s.OH; y++) {
                    T* const to = upstream + y * layout.out_cols;
                    const long at = first + y * s.OW;
                    if (relu_out)
                        for (long v = 0; v < s.OW; v++) to[v] = relu_out[at + v] > 0 ? dout[at + v] : T(0);
                    else
                        for (long v = 0; v < s.OW; v++) to[v] = dout[at + v];
                }
                Vec<T> total = {};
                for (long k = 0; k < s.OH * layout.out_cols; k += L) total += load(upstream + k);
                sums[m * (taps + 1) + taps] += sum_lanes<T>(total);
                for (long t = 0; t < taps; t++) {
                    Vec<T> sum = {};
                    const T weight = w[f * taps + t];
                    for (long y = 0; y < s.OH; y++) {
                        const T* const up = upstream + y * layout.out_cols;
                        const T* const from = plane + y * layout.line + offsets[t];
                        T* const to = back + y * layout.line + offsets[t];
                        for (long v = 0; v < s.OW; v += L) {
                            const Vec<T> d = load(up + v);
                            sum += d * load(from + v);
                            if (dx) store(to + v, load(to + v) + weight * d);
                        }
                    }
                    sums[m * (taps + 1) + t] += sum_lanes<T>(sum);
                }
            }
            if (dx) {
                T* const to = dx.data + (n * s.C + c) * s.H * s.W;
                fill_zero(to, s.H * s.W);  // strides may step over some
                layout.take_back(to, back);
            }
        }
        for (long m = 0; m < s.Fg; m++) {
            const long f = c * s.Fg + m;
            for (long t = 0; t < taps; t++) dw[f * taps + t] += sums[m * (taps + 1) + t];
            if (db) db[f] += sums[m * (taps + 1) + taps];
        }
    });
}
BACKPASS_KERNEL(depthwise_backward,
                "dx?(N, C, H, W) dw(F, K, HH, WW) db?(F) dout(N, F, OH, OW) x(N, C, H, W) w(F, K, HH, WW) "
                "relu_out?(N, F, OH, OW) " CONV_GEOMETRY " |" CONV_RULES ", K = 1, F % C")

}  // namespace backpass
