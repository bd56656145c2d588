// A channel of an image, copied to where sliding windows have no edge cases and neighbouring outputs meet neighbouring
// inputs: something around it, and the columns sorted by their remainder modulo the stride,
//
//     plane[row][remainder][col]  =  x[row - top][col * stride + remainder - left].
#pragma once
#include <algorithm>
#include <utility>

#include "conv.hpp"
#include "parallel.hpp"
#include "simd.hpp"
#include "transpose.hpp"

namespace backpass {

template <class T>
struct Plane {
    ConvSizes s;
    long rows, cols;  // of the padded plane; cols per remainder, whole vectors
    long line;        // from one output row to the next
    long out_cols;    // OW in whole vectors

    explicit Plane(const ConvSizes& s) : s(s) {
        out_cols = divide_up(s.OW, lanes<T>) * lanes<T>;
        rows = (s.OH - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1;
        cols = divide_up(out_cols + (s.WW - 1) * s.dilation_x / s.stride_x + 1, lanes<T>) * lanes<T>;
        line = s.stride_y * s.stride_x * cols;
    }
    long size() const { return rows * s.stride_x * cols; }
    // Fills `to` with where each kernel element (i, j) meets the first output, and returns it.
    long* offsets(long* to) const {
        for (long i = 0; i < s.HH; i++)
            for (long j = 0; j < s.WW; j++) {
                const long col = j * s.dilation_x;
                to[i * s.WW + j] = (i * s.dilation_y * s.stride_x + col % s.stride_x) * cols + col / s.stride_x;
            }
        return to;
    }
    // The columns with one remainder that plane and image have: from `begin` on there, from column `first` on here.
    struct Run {
        long begin, first, count;
    };
    Run run_of(long remainder) const {
        const long begin = s.left > remainder ? divide_up(s.left - remainder, s.stride_x) : 0;
        const long end = std::min(cols, divide_up(std::max(0L, s.W + s.left - remainder), s.stride_x));
        return {begin, begin * s.stride_x + remainder - s.left, std::max(0L, end - begin)};
    }
    // f(row of the plane, where that row of the image begins) for every row that both have.
    template <class F>
    void each_row(F&& f) const {
        for (long row = std::max(0L, s.top); row < std::min(rows, s.H + s.top); row++) f(row, (row - s.top) * s.W);
    }
    void fill(T* plane, const T* x) const {  // what lies around is there already
        constexpr auto each = std::make_index_sequence<lanes<T>>{};
        if (s.stride_x == 2) {  // both remainders at once
            const long e = s.left % 2, o = 1 - e;
            const Run even = run_of(e), odd = run_of(o);
            each_row([&](long row, long from) {
                T* const to = plane + row * 2 * cols;
                for (long k = 0; k < even.count; k += lanes<T>) {
                    const Vec<T> a = load_some(x + from + 2 * k, s.W - 2 * k);
                    const Vec<T> b = load_some(x + from + 2 * k + lanes<T>, s.W - 2 * k - lanes<T>);
                    const auto [first, second] = split_pairs<T>(a, b, each);
                    store_some(to + e * cols + even.begin + k, first, even.count - k);
                    store_some(to + o * cols + odd.begin + k, second, odd.count - k);
                }
            });
            return;
        }
        for (long remainder = 0; remainder < s.stride_x; remainder++) {
            const Run run = run_of(remainder);
            each_row([&](long row, long from) {
                T* const at = plane + (row * s.stride_x + remainder) * cols + run.begin;
                const T* const line = x + from + run.first;
                if (s.stride_x == 1)
                    copy(at, line, run.count);
                else
                    for (long k = 0; k < run.count; k++) at[k] = line[k * s.stride_x];
            });
        }
    }
};

// The way back: kernel element (i, j) takes upstream element (y, v) to row y * stride + i * dilation of the plane.  Seen
// from there, a row with remainder a modulo the stride gets from the elements with i * dilation = stride * i' + a,
//
//     plane[stride * m + a][r][c]  =  Σ over those (i, j) of what (i, j) makes of upstream[m - i'][c - j'],
//
// so every element is written once.  `upstream` has zeros around; `line` is the length of its rows.
template <class T>
struct WayBack {
    const Plane<T>& layout;
    long above, before, line;    // rows of zeros at both ends, zeros at the begin of a row
    long *tap, *offset, *first;  // taps sorted by (a, r): those of pair k are first[k] .. first[k + 1]

    // `memory` for longs(s) numbers.
    WayBack(const Plane<T>& layout, long* memory) : layout(layout) {
        const ConvSizes& s = layout.s;
        above = (s.HH - 1) * s.dilation_y / s.stride_y;
        before = (s.WW - 1) * s.dilation_x / s.stride_x;
        line = before + layout.cols;
        tap = memory, offset = tap + s.HH * s.WW, first = offset + s.HH * s.WW;
        long count = 0, pair = 0;
        for (long a = 0; a < s.stride_y; a++)
            for (long r = 0; r < s.stride_x; r++) {
                first[pair++] = count;
                for (long t = 0; t < s.HH * s.WW; t++) {
                    const long y = t / s.WW * s.dilation_y, x = t % s.WW * s.dilation_x;
                    if (y % s.stride_y != a || x % s.stride_x != r) continue;
                    tap[count] = t;
                    offset[count++] = before - y / s.stride_y * line - x / s.stride_x;
                }
            }
        first[pair] = count;
    }
    static long longs(const ConvSizes& s) { return 2 * s.HH * s.WW + s.stride_y * s.stride_x + 1; }
    long size() const { return (layout.s.OH + 2 * above) * line + lanes<T>; }  // of upstream; vectors may reach beyond
    long row(long y) const { return (above + y) * line + before; }             // where output row y begins in it
    // dx = vectors sum_of(count, taps, offsets, at): the sums over `count` of taps[k] with upstream[at + offsets[k]]; zero
    // where no window reaches.
    template <class F>
    void gather(T* dx, F&& sum_of) const {
        constexpr auto each = std::make_index_sequence<lanes<T>>{};
        const ConvSizes& s = layout.s;
        if (layout.rows < s.H + s.top || layout.cols * s.stride_x < s.W + s.left) fill_zero(dx, s.H * s.W);
        const auto sum = [&](long pair, long from) {
            return sum_of(first[pair + 1] - first[pair], tap + first[pair], offset + first[pair], from);
        };
        if (s.stride_x == 2) {
            const long e = s.left % 2, o = 1 - e;
            const auto even = layout.run_of(e), odd = layout.run_of(o);
            const long count = even.count + odd.count;
            layout.each_row([&](long row, long to) {
                const long pair = row % s.stride_y * 2, from = (above + row / s.stride_y) * line;
                for (long k = 0; 2 * k < count; k += lanes<T>) {
                    const auto [a, b] = join_pairs<T>(sum(pair + e, from + even.begin + k), sum(pair + o, from + odd.begin + k), each);
                    store_some(dx + to + 2 * k, a, count - 2 * k);
                    store_some(dx + to + 2 * k + lanes<T>, b, count - 2 * k - lanes<T>);
                }
            });
            return;
        }
        for (long remainder = 0; remainder < s.stride_x; remainder++) {
            const auto run = layout.run_of(remainder);
            layout.each_row([&](long row, long to) {
                const long pair = row % s.stride_y * s.stride_x + remainder, from = (above + row / s.stride_y) * line + run.begin;
                for (long k = 0; k < run.count; k += lanes<T>) {
                    const Vec<T> value = sum(pair, from + k);
                    const long some = std::min<long>(lanes<T>, run.count - k);
                    T* const at = dx + to + run.first + k * s.stride_x;
                    if (s.stride_x == 1)
                        store_some(at, value, some);
                    else
                        for (long i = 0; i < some; i++) at[i * s.stride_x] = value[i];
                }
            });
        }
    }
};

}  // namespace backpass
