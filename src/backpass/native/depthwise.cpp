// Depthwise convolution: every filter sees one channel, so there is no matrix product, only sums along rows.
//
// A piece is a channel of all images, so dw and db are summed in image order.  Each plane is copied once to where the
// sums need no edge cases: zeros around it, and the columns sorted by their remainder modulo the stride, so that
// neighbouring outputs meet neighbouring inputs:
//
//     plane[row][remainder][col]  =  x[row - top][col * stride + remainder - left]
#include <algorithm>

#include "conv.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

template <class T>
struct Plane {
    ConvSizes s;
    long rows, cols;  // of the padded plane; cols per remainder, whole vectors
    long out_cols;    // OW in whole vectors

    explicit Plane(const ConvSizes& s) : s(s) {
        out_cols = divide_up(s.OW, lanes<T>) * lanes<T>;
        rows = (s.OH - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1;
        cols = divide_up(out_cols + (s.WW - 1) * s.dilation_x / s.stride_x + 1, lanes<T>) * lanes<T>;
    }
    long size() const { return rows * s.stride_x * cols; }
    // Where output row y and kernel element (i, j) begin to read.
    long at(long y, long i, long j) const {
        const long col = j * s.dilation_x;
        return ((y * s.stride_y + i * s.dilation_y) * s.stride_x + col % s.stride_x) * cols + col / s.stride_x;
    }
    // f(index in the plane, index in x, how many, one by one) for every run of columns that both have.
    template <class F>
    void each_run(F&& f) const {
        for (long row = std::max(0L, s.top); row < std::min(rows, s.H + s.top); row++)
            for (long remainder = 0; remainder < s.stride_x; remainder++) {
                const long begin = s.left > remainder ? divide_up(s.left - remainder, s.stride_x) : 0;
                const long end = std::min(cols, divide_up(std::max(0L, s.W + s.left - remainder), s.stride_x));
                if (begin < end)
                    f((row * s.stride_x + remainder) * cols + begin,
                      (row - s.top) * s.W + begin * s.stride_x + remainder - s.left, end - begin);
            }
    }
    void fill(T* plane, const T* x) const {  // the zeros around are there already
        each_run([&](long to, long from, long count) {
            if (s.stride_x == 1)
                for (long k = 0; k < count; k++) plane[to + k] = x[from + k];
            else
                for (long k = 0; k < count; k++) plane[to + k] = x[from + k * s.stride_x];
        });
    }
    void take_back(T* x, const T* plane) const {
        each_run([&](long to, long from, long count) {
            for (long k = 0; k < count; k++) x[from + k * s.stride_x] = plane[to + k];
        });
    }
};

}  // namespace

template <class T>
void depthwise_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                       long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Plane<T> layout(s);
    constexpr int L = lanes<T>;
    share(s.C, s.N * s.F * s.pixels() * s.HH * s.WW, [&](long c) {
        T* const plane = scratch<T>(Slot::tile, layout.size());
        fill_zero(plane, layout.size());
        for (long n = 0; n < s.N; n++) {
            layout.fill(plane, x.data + (n * s.C + c) * s.H * s.W);
            for (long f = c * s.Fg; f < (c + 1) * s.Fg; f++) {
                T* const to = out.data + (n * s.F + f) * s.pixels();
                const Vec<T> bias = broadcast(b ? b[f] : T(0));
                for (long y = 0; y < s.OH; y++)
                    for (long v = 0; v < s.OW; v += L) {
                        Vec<T> sum = bias;
                        for (long i = 0; i < s.HH; i++)
                            for (long j = 0; j < s.WW; j++)
                                sum += w[(f * s.HH + i) * s.WW + j] * load(plane + layout.at(y, i, j) + v);
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
BACKPASS_KERNEL(depthwise_forward)

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
        T* const sums = scratch<T>(Slot::other, s.Fg * (taps + 1));
        fill_zero(plane, layout.size());
        fill_zero(upstream, s.OH * layout.out_cols);
        fill_zero(sums, s.Fg * (taps + 1));
        for (long n = 0; n < s.N; n++) {
            layout.fill(plane, x.data + (n * s.C + c) * s.H * s.W);
            if (dx) fill_zero(back, layout.size());
            for (long m = 0; m < s.Fg; m++) {
                const long f = c * s.Fg + m, first = (n * s.F + f) * s.pixels();
                for (long y = 0; y < s.OH; y++)
                    for (long v = 0; v < s.OW; v++) {
                        const long at = first + y * s.OW + v;
                        upstream[y * layout.out_cols + v] = !relu_out || relu_out[at] > 0 ? dout[at] : T(0);
                    }
                Vec<T> total = {};
                for (long k = 0; k < s.OH * layout.out_cols; k += L) total += load(upstream + k);
                sums[m * (taps + 1) + taps] += sum_lanes<T>(total);
                for (long i = 0; i < s.HH; i++)
                    for (long j = 0; j < s.WW; j++) {
                        Vec<T> sum = {};
                        const T weight = w[f * taps + i * s.WW + j];
                        for (long y = 0; y < s.OH; y++) {
                            const T* const up = upstream + y * layout.out_cols;
                            const long at = layout.at(y, i, j);
                            for (long v = 0; v < s.OW; v += L) {
                                sum += load(up + v) * load(plane + at + v);
                                if (dx) store(back + at + v, load(back + at + v) + weight * load(up + v));
                            }
                        }
                        sums[m * (taps + 1) + i * s.WW + j] += sum_lanes<T>(sum);
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
BACKPASS_KERNEL(depthwise_backward)

}  // namespace backpass
