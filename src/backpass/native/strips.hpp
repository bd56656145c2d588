// Convolution without columns: the product reads windows where the image lies.
//
// Some channels of a few image rows are copied to a strip with its zeros around, sorted by the remainders of row and
// column modulo the stride.  Then, for any stride, neighbouring outputs meet neighbouring inputs:
//
//     output (y, x), kernel element (i, j) of channel c   meets   strip[offset(c, i, j) + y * pitch + x],
//
// so row r = (c, i, j) of the column matrix is the strip itself from offset(r) on.  The forward takes vectors of it,
//
//     out[f, q] = Σ_r w[f, r] strip[offset(r) + q],
//
// and the gradient of the weights takes one number after another, against dout with its filters side by side,
//
//     dw[r, f] += Σ_q strip[offset(r) + q] dout[q, f].
//
// A vector of pixels lies in one row of the output or, if that fills vectors better, runs over the ends of rows, whose
// surplus (the zeros between rows, seen as pixels) is not stored.
#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "conv.hpp"
#include "gemm_micro.hpp"
#include "parallel.hpp"

namespace backpass::strips {

constexpr long strip_bytes = 160 << 10;  // it shares the second cache with weights
constexpr long most_rows = 1024;         // of the column matrix at a time
constexpr long gradient_pixels = 256;    // of dout at a time

// The strip under output rows y0 .. y0 + lines.
template <class T>
struct Strip {
    ConvSizes s;
    long channels, y0, lines;
    long rows, pitch, plane;  // of one remainder; all remainders of a channel

    Strip(const ConvSizes& s, long channels, long y0, long lines) : s(s), channels(channels), y0(y0), lines(lines) {
        rows = lines + (s.HH - 1) * s.dilation_y / s.stride_y;
        pitch = s.OW + (s.WW - 1) * s.dilation_x / s.stride_x;
        plane = rows * pitch * s.stride_y * s.stride_x;
    }
    // Vectors may reach beyond the last pixel.
    long size() const { return channels * plane + 2 * lanes<T>; }
    long offset(long c, long i, long j) const {
        const long y = i * s.dilation_y, x = j * s.dilation_x;
        return c * plane + ((y % s.stride_y * s.stride_x + x % s.stride_x) * rows + y / s.stride_y) * pitch + x / s.stride_x;
    }
    // `from`: the first of the planes.  Where relu_out is given and zero, the image counts as zero.
    void fill(T* strip, const T* from, const T* relu_out) const {
        // A kernel smaller than the stride does not meet all remainders.
        const long all_ry = std::min(s.stride_y, (s.HH - 1) * s.dilation_y + 1);
        const long all_rx = std::min(s.stride_x, (s.WW - 1) * s.dilation_x + 1);
        for (long rx = 0; rx < all_rx; rx++) {
            // Columns k of the strip are input columns k * stride + rx - left.
            const long first = rx - s.left;
            const long begin = std::clamp(first < 0 ? divide_up(-first, s.stride_x) : 0, 0L, pitch);
            const long end = std::clamp(divide_up(std::max(0L, s.W - first), s.stride_x), begin, pitch);
            const long count = end - begin, skip = first + begin * s.stride_x;
            const bool all = s.stride_y == 1 && s.stride_x == 1 && !relu_out && count == s.W && pitch == s.W && y0 >= s.top &&
                             y0 + rows <= s.H + s.top;  // no zeros around: lines follow each other here and there
            for (long c = 0; c < channels; c++) {
                const T* const image = from + c * s.H * s.W;
                if (all) {
                    foresee(image + (y0 - s.top) * s.W, rows * s.W);
                    copy(strip + c * plane, image + (y0 - s.top) * s.W, rows * s.W);
                    continue;
                }
                for (long ry = 0; ry < all_ry; ry++)
                    for (long r = 0; r < rows; r++) {
                        T* const to = strip + c * plane + ((ry * s.stride_x + rx) * rows + r) * pitch;
                        const long row = (y0 + r) * s.stride_y + ry - s.top;
                        if (row < 0 || row >= s.H) {
                            fill_zero(to, pitch);
                            continue;
                        }
                        fill_zero(to, begin);
                        fill_zero(to + end, pitch - end);
                        const T* const line = image + row * s.W + skip;
                        foresee(line, s.W);
                        if (relu_out) {
                            const T* const gate = relu_out + (line - from);
                            for (long k = 0; k < count; k++)
                                to[begin + k] = gate[k * s.stride_x] > 0 ? line[k * s.stride_x] : T(0);
                        } else if (s.stride_x == 1) {
                            copy(to + begin, line, count);
                        } else if (s.stride_x == 2) {
                            copy_every_second(to + begin, line, count);
                        } else {
                            for (long k = 0; k < count; k++) to[begin + k] = line[k * s.stride_x];
                        }
                    }
            }
        }
        fill_zero(strip + channels * plane, 2 * lanes<T>);
    }
    // The same lines some channels on: too far apart for the hardware to see them coming.
    void foresee(const T* line, long count) const {
        for (long k = 0; k < count; k += lanes<T>) __builtin_prefetch(line + 4 * s.H * s.W + k);
    }
    // to[k] = from[2 * k]
    static void copy_every_second(T* to, const T* from, long count) {
        for (long k = 0; k < count; k += lanes<T>) {
            const long some = 2 * (count - k) - 1;
            const auto [even, odd] = split_pairs<T>(load_some(from + 2 * k, some), load_some(from + 2 * k + lanes<T>, some - lanes<T>),
                                                    std::make_index_sequence<lanes<T>>{});
            store_some(to + k, even, count - k);
        }
    }
};

// How the pixels of `lines` rows are cut into vectors: q = y * pitch + x of the first lane of vector v.
template <class T>
struct Vectors {
    long OW, pitch, per_line, count;
    bool flat;

    Vectors(long OW, long pitch, long lines) : OW(OW), pitch(pitch), per_line(divide_up(OW, lanes<T>)) {
        const long across = divide_up((lines - 1) * pitch + OW, lanes<T>);
        flat = across < lines * per_line;
        count = flat ? across : lines * per_line;
    }
    // Whether each vector is one run of pixels: pixels(v) of them from pixel(v) on.
    bool in_place() const { return !flat || pitch == OW; }
    long pixel(long v) const { return flat ? v * lanes<T> : v / per_line * OW + v % per_line * lanes<T>; }
    long pixels(long v, long lines) const {
        return std::min<long>(lanes<T>, flat ? lines * OW - v * lanes<T> : OW - v % per_line * lanes<T>);
    }
    long first(long v) const { return flat ? v * lanes<T> : v / per_line * pitch + v % per_line * lanes<T>; }
    // f(lane, pixel, how many) for each run of lanes of vector v that are pixels, in rows numbered from 0.
    template <class F>
    void runs(long v, long lines, F&& f) const {
        const long q = first(v);
        long y = q / pitch, x = q % pitch;
        for (long lane = 0; lane < lanes<T> && y < lines;) {
            if (x < OW) {
                const long run = std::min(OW - x, lanes<T> - lane);
                f(lane, y * OW + x, run);
                lane += run;
                x += run;
                if (!flat) return;
            } else {
                lane += pitch - x;
                x = 0;
                y++;
            }
        }
    }
};

// Whether vectors are filled well enough; images of few pixels are better off with columns of several images.
template <class T>
bool fit(const ConvSizes& s) {
    const Strip<T> strip(s, 1, 0, s.OH);
    return Vectors<T>(s.OW, strip.pitch, s.OH).count * lanes<T> * 2 <= s.pixels() * 3;
}

// Where the two vectors of a tile go: rows `step` apart, `count` elements of each vector.
template <class T>
struct Target {
    T *first, *second;
    long step, first_count, second_count;
    const T* bias;  // of each row, or null
    bool relu, accumulate;
};

// target (rows, 2 vectors) = Σ_k a[k, rows] (base0[offset[k]] ..., base1[offset[k]] ...)
template <class T, int rows>
void tile_at(long k, const T* a, const int* offset, const T* base0, const T* base1, const Target<T>& to) {
    Vec<T> sum[rows][2] = {};
    for (long p = 0; p < k; p++, a += rows) {
        const Vec<T> first = load(base0 + offset[p]), second = load(base1 + offset[p]);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const Vec<T> value = broadcast(a[r]);
            sum[r][0] += value * first;
            sum[r][1] += value * second;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        T *const first = to.first + r * to.step, *const second = to.second + r * to.step;
        if (to.accumulate) sum[r][0] += load_some(first, to.first_count), sum[r][1] += load_some(second, to.second_count);
        if (to.bias) sum[r][0] += to.bias[r], sum[r][1] += to.bias[r];
        if (to.relu) sum[r][0] = sum[r][0] < 0 ? Vec<T>{} : sum[r][0], sum[r][1] = sum[r][1] < 0 ? Vec<T>{} : sum[r][1];
        store_some(first, sum[r][0], to.first_count);
        store_some(second, sum[r][1], to.second_count);
    }
}

// c (rows, vectors) += Σ_{y, x} strip[offset[r] + y * pitch + x] b[y * width + x, vectors]
template <class T, int rows, int vectors>
void gradient_tile(long lines, long width, const T* strip, long pitch, const int* offset, const T* b, long b_step, T* c,
                   long ldc, bool accumulate) {
    constexpr int L = lanes<T>;
    const T* a[rows];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) a[r] = strip + offset[r];
    Vec<T> sum[rows][vectors] = {};
    for (long y = 0; y < lines; y++)
        for (long x = 0; x < width; x++, b += b_step) {
            Vec<T> row[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) row[v] = load(b + v * L);
            const long at = y * pitch + x;
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                const Vec<T> value = broadcast(a[r][at]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sum[r][v] += value * row[v];
            }
        }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            T* const to = c + r * ldc + v * L;
            store(to, accumulate ? load(to) + sum[r][v] : sum[r][v]);
        }
}

template <class T>
auto tile_at_of(long rows) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array{tile_at<T, r + 1>...};
    }(std::make_integer_sequence<int, MR>{});
    return kernels[rows - 1];
}

template <class T>
auto gradient_tile_of(long rows, long columns) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array{std::array{gradient_tile<T, r + 1, 1>, gradient_tile<T, r + 1, 2>}...};
    }(std::make_integer_sequence<int, MR>{});
    return kernels[rows - 1][columns > lanes<T>];
}

// w (F, C/groups, HH, WW) as the forward takes it, or as the way back to the input does: F and C exchanged, rotated.
template <class T>
struct Filters {
    const T* w;
    bool back;
    T at(const ConvSizes& s, long group, long f, long c, long tap) const {
        const long taps = s.HH * s.WW;
        if (!back) return w[((group * s.Fg + f) * s.K + c) * taps + tap];
        return w[((group * s.K + c) * s.Fg + f) * taps + taps - 1 - tap];
    }
};

// Channels of a group cut into chunks of at most `most_rows` rows of columns.
struct ChannelChunks {
    long K, count;
    explicit ChannelChunks(const ConvSizes& s)
        : K(s.K), count(divide_up(s.K, std::max(1L, most_rows / (s.HH * s.WW)))) {}
    long begin(long i) const { return i * K / count; }
    long size(long i) const { return begin(i + 1) - begin(i); }
    long largest() const { return divide_up(K, count); }
};

template <class T>
void fill_offsets(int* offsets, const Strip<T>& strip) {
    for (long c = 0; c < strip.channels; c++)
        for (long i = 0; i < strip.s.HH; i++)
            for (long j = 0; j < strip.s.WW; j++) *offsets++ = static_cast<int>(strip.offset(c, i, j));
}

// out = x * filters (+ bias, then relu), `x` gated by relu_out if that is given.
template <class T>
void forward(T* out, const T* x, const T* relu_out, Filters<T> filters, const T* bias, bool relu, const ConvSizes& s) {
    const ChannelChunks chunks(s);
    const long taps = s.HH * s.WW, panels = divide_up(s.Fg, MR), work = s.N * s.pixels() * s.F * s.depth();
    const auto panel_begin = [&](long i) { return i * s.Fg / panels; };

    // The filters: panels of f, each (k, f), chunk after chunk.
    T* const packed = scratch<T>(Slot::packed_a, s.F * s.depth());
    const auto place = [&](long group, long chunk, long panel) {
        return packed + group * s.Fg * s.depth() + s.Fg * chunks.begin(chunk) * taps +
               panel_begin(panel) * chunks.size(chunk) * taps;
    };
    share(s.groups * chunks.count * panels, 8 * s.F * s.depth(), [&](long piece) {
        const long panel = piece % panels, chunk = piece / panels % chunks.count, group = piece / panels / chunks.count;
        T* to = place(group, chunk, panel);
        for (long c = chunks.begin(chunk); c < chunks.begin(chunk + 1); c++)
            for (long tap = 0; tap < taps; tap++)
                for (long f = panel_begin(panel); f < panel_begin(panel + 1); f++) *to++ = filters.at(s, group, f, c, tap);
    });

    // Bands of output rows whose strip fits, and, where there are few, a share of the filters for each piece.
    const Strip<T> line(s, chunks.largest(), 0, 1);
    const long step_bytes = line.pitch * s.stride_y * s.stride_x * chunks.largest() * static_cast<long>(sizeof(T));
    const long most_lines = std::max(1L, strip_bytes / step_bytes - (line.rows - 1));
    const long bands = divide_up(s.OH, most_lines), splits = std::clamp(8 / (s.N * bands * s.groups), 1L, panels);
    share(s.N * bands * s.groups * splits, work, [&](long piece) {
        const long split = piece % splits, group = piece / splits % s.groups, band = piece / splits / s.groups % bands;
        const long n = piece / splits / s.groups / bands, y0 = band * s.OH / bands, lines = (band + 1) * s.OH / bands - y0;
        int* const offsets = scratch<int>(Slot::panel_b, chunks.largest() * taps);
        for (long chunk = 0; chunk < chunks.count; chunk++) {
            const Strip<T> strip(s, chunks.size(chunk), y0, lines);
            const Vectors<T> vectors(s.OW, strip.pitch, lines);
            T* const image = scratch<T>(Slot::tile, strip.size() + NR<T>);
            const long first = ((n * s.C + group * s.K + chunks.begin(chunk)) * s.H) * s.W;
            strip.fill(image, x + first, relu_out ? relu_out + first : nullptr);
            fill_offsets(offsets, strip);
            const bool last = chunk == chunks.count - 1;
            for (long panel = split * panels / splits; panel < (split + 1) * panels / splits; panel++) {
                const long f0 = panel_begin(panel), height = panel_begin(panel + 1) - f0;
                const auto tile = tile_at_of<T>(height);
                const T* const a = place(group, chunk, panel);
                for (long v = 0; v < vectors.count; v += 2) {
                    const long w = std::min(v + 1, vectors.count - 1), f = group * s.Fg + f0;
                    T* const to = out + (n * s.F + f) * s.pixels() + y0 * s.OW;
                    const T *const first = image + vectors.first(v), *const second = image + vectors.first(w);
                    if (vectors.in_place()) {
                        // An odd vector at the end counts twice.
                        tile(strip.channels * taps, a, offsets, first, second,
                             {to + vectors.pixel(v), to + vectors.pixel(w), s.pixels(), vectors.pixels(v, lines), vectors.pixels(w, lines),
                              last && bias ? bias + f : nullptr, last && relu, chunk > 0});
                        continue;
                    }
                    T sums[MR * NR<T>];
                    tile(strip.channels * taps, a, offsets, first, second, {sums, sums + lanes<T>, NR<T>, lanes<T>, lanes<T>, nullptr, false, false});
                    for (long half = 0; half <= w - v; half++)
                        vectors.runs(v + half, lines, [&](long lane, long pixel, long run) {
                            for (long r = 0; r < height; r++) {
                                T* const at = to + r * s.pixels() + pixel;
                                Vec<T> sum = load(sums + r * NR<T> + half * lanes<T> + lane);
                                if (chunk > 0) sum += load_some(at, run);
                                if (last && bias) sum += bias[f + r];
                                if (last && relu) sum = sum < 0 ? Vec<T>{} : sum;
                                store_some(at, sum, run);
                            }
                        });
                }
            }
        }
    });
}

// dw and db: each piece sums some images for one chunk of channels into its own place; the sums are added in order.
template <class T>
void weight_gradients(T* dw, T* db, const T* dout, const T* x, const T* relu_out, const ConvSizes& s) {
    constexpr int L = lanes<T>;
    const ChannelChunks chunks(s);
    const long taps = s.HH * s.WW, depth = s.depth(), filters = divide_up(s.Fg, L) * L, size = (depth + 1) * filters;
    const long wanted = std::min(s.N * s.pixels() / 512, (8L << 20) / (size * s.groups));
    const long ranges = std::min(s.N, std::clamp(wanted, 1L, 8L)), work = s.N * s.pixels() * s.F * depth;
    T* const partial = scratch<T>(Slot::partial, ranges * s.groups * size);

    const Strip<T> line(s, chunks.largest(), 0, 1);
    const long step_bytes = line.pitch * s.stride_y * s.stride_x * chunks.largest() * static_cast<long>(sizeof(T));
    const long most_lines =
        std::max(1L, std::min(strip_bytes / step_bytes - (line.rows - 1), gradient_pixels / s.OW));
    const long bands = divide_up(s.OH, most_lines);
    share(ranges * s.groups * chunks.count, work, [&](long piece) {
        const long chunk = piece % chunks.count, place = piece / chunks.count, group = place % s.groups, range = place / s.groups;
        const long rows = chunks.size(chunk) * taps, panels = divide_up(rows, MR);
        T* const sums = partial + place * size + chunks.begin(chunk) * taps * filters;
        T* const bias_sums = partial + place * size + depth * filters;
        T* const turned = scratch<T>(Slot::panel_a, (divide_up(s.OH, bands) * s.OW + L) * filters);  // dout[q, f]
        int* const offsets = scratch<int>(Slot::panel_b, rows);
        const bool sums_bias = chunk == 0 && db;
        if (sums_bias) fill_zero(bias_sums, filters);
        bool accumulate = false;
        for (long n = range * s.N / ranges; n < (range + 1) * s.N / ranges; n++)
            for (long band = 0; band < bands; band++) {
                const long y0 = band * s.OH / bands, lines = (band + 1) * s.OH / bands - y0, count = lines * s.OW;
                const Strip<T> strip(s, chunks.size(chunk), y0, lines);
                T* const image = scratch<T>(Slot::tile, strip.size());
                strip.fill(image, x + (n * s.C + group * s.K + chunks.begin(chunk)) * s.H * s.W, nullptr);
                fill_offsets(offsets, strip);
                for (long f = 0; f < filters; f += L)
                    for (long q = 0; q < count; q += L) {
                        Vec<T> v[L];
                        const long some = std::min<long>(L, count - q);
                        const long at = (n * s.F + group * s.Fg + f) * s.pixels() + y0 * s.OW + q;
                        const auto take = [&](int k) {
                            v[k] = load_some(dout + at + k * s.pixels(), some);
                            if (relu_out) v[k] = load_some(relu_out + at + k * s.pixels(), some) > 0 ? v[k] : Vec<T>{};
                        };
#pragma GCC unroll 16
                        for (int k = 0; k < L; k++) {
                            v[k] = Vec<T>{};
                            if (f + k < s.Fg) take(k);
                        }
                        transpose<T>(v);
                        if (sums_bias) {
                            Vec<T> sum = load(bias_sums + f);
#pragma GCC unroll 16
                            for (int k = 0; k < L; k++) sum += v[k];
                            store(bias_sums + f, sum);
                        }
                        T* const to = turned + q * filters + f;
#pragma GCC unroll 16
                        for (int k = 0; k < L; k++)
                            if (k < some) store(to + k * filters, v[k]);
                    }
                for (long f = 0; f < filters; f += NR<T>)
                    for (long i = 0; i < panels; i++) {
                        const long r = i * rows / panels, height = (i + 1) * rows / panels - r;
                        gradient_tile_of<T>(height, filters - f)(lines, s.OW, image, strip.pitch, offsets + r, turned + f,
                                                                 filters, sums + r * filters + f, filters, accumulate);
                    }
                accumulate = true;
            }
    });
    // (rows, filters) to (filters, rows), a square of vectors at a time.
    const long squares = divide_up(depth, L);
    share(s.groups * filters / L * squares, ranges * s.F * depth, [&](long piece) {
        const long r = piece % squares * L, f = piece / squares % (filters / L) * L, group = piece / squares / (filters / L);
        Vec<T> v[L];
#pragma GCC unroll 16
        for (int k = 0; k < L; k++) {
            v[k] = Vec<T>{};
            for (long range = 0; range < ranges && r + k < depth; range++)
                v[k] += load(partial + (range * s.groups + group) * size + (r + k) * filters + f);
        }
        transpose<T>(v);
#pragma GCC unroll 16
        for (int k = 0; k < L; k++) {
            if (f + k >= s.Fg) continue;
            T* const to = dw + (group * s.Fg + f + k) * depth + r;
            const long some = std::min<long>(L, depth - r);
            store_some(to, load_some(to, some) + v[k], some);
        }
    });
    if (db)
        for (long range = 0; range < ranges; range++)
            for (long f = 0; f < s.F; f++)
                db[f] += partial[(range * s.groups + f / s.Fg) * size + depth * filters + f % s.Fg];
}

}  // namespace backpass::strips
