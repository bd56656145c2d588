// Convolution as matrix products with columns that exist a block at a time (implicit im2col).
//
// The output pixels of all images are numbered through, q = (n, y, x), and cut into blocks.  A block of columns
// (rows r = (c, i, j), pixels q) holds x where kernel element (i, j) of channel c meets pixel q, zeros outside:
//
//     forward    out[f, q]  = Σ_r w[f, r] columns[r, q]
//     backward   dw[r, f]  += Σ_q columns[r, q] dout[q, f]          dcolumns[r, q] = Σ_f w[f, r] dout[f, q],
//                and dcolumns are added to dx where columns came from.
//
// Rows are cut into chunks of whole channels, so that a block stays in the second cache.
//
// Where images have enough pixels not even a block is formed: strips.hpp reads the columns in place.
#include "conv.hpp"

#include <algorithm>

#include "gemm_micro.hpp"
#include "parallel.hpp"
#include "pointwise.hpp"
#include "strips.hpp"

namespace backpass {
namespace {

// Pixels of a block: a few tiles; and the most rows of a chunk.
template <class T>
constexpr long block_pixels = 4 * NR<T>;
constexpr long chunk_rows = 768;

struct Chunk {
    long first_channel, channels;  // within the group
};

struct Chunks {
    long K, count;
    explicit Chunks(const ConvSizes& s)
        : K(s.K), count(divide_up(s.K, std::max(1L, chunk_rows / (s.HH * s.WW)))) {}
    Chunk at(long i) const {
        const long begin = i * K / count, end = (i + 1) * K / count;
        return {begin, end - begin};
    }
    long largest() const { return divide_up(K, count); }
};

// f(image, output row, first column, columns, offset in the block) for each run of pixels in one output row.
template <class F>
inline void runs_of(const ConvSizes& s, long q0, long count, F&& f) {
    for (long done = 0; done < count;) {
        const long q = q0 + done, n = q / s.pixels(), y = q % s.pixels() / s.OW, x = q % s.OW;
        const long run = std::min(count - done, s.OW - x);
        f(n, y, x, run, done);
        done += run;
    }
}

// Which of the output columns x .. x + run meet the input with kernel column j: [begin, end).
struct Inside {
    long begin, end;
};
inline Inside inside(const ConvSizes& s, long x, long run, long j) {
    const long first = s.input_col(0, j);  // negative: the first output columns see padding
    const long lowest = first < 0 ? divide_up(-first, s.stride_x) : 0;
    const long highest = first >= s.W ? 0 : divide_up(s.W - first, s.stride_x);
    const long begin = std::clamp(lowest, x, x + run);
    return {begin, std::clamp(highest, begin, x + run)};
}

// Rows of `group` and `chunk`, pixels q0 .. q0 + count: block[r * width + q], filled up with zeros to whole vectors.
template <class T>
void make_columns(T* block, long width, const T* x, const ConvSizes& s, long group, Chunk chunk, long q0, long count) {
    const long full = divide_up(count, lanes<T>) * lanes<T>, rows = chunk.channels * s.HH * s.WW;
    const long first_channel = group * s.K + chunk.first_channel;
    if (full > count)
        for (long r = 0; r < rows; r++) fill_zero(block + r * width + count, full - count);
    runs_of(s, q0, count, [&](long n, long y, long x0, long run, long offset) {
        for (long j = 0; j < s.WW; j++) {
            const Inside in = inside(s, x0, run, j);
            const long first = s.input_col(in.begin, j), length = in.end - in.begin;
            for (long i = 0; i < s.HH; i++) {
                const long row = s.input_row(y, i);
                const bool visible = row >= 0 && row < s.H;
                const T* from = x + ((n * s.C + first_channel) * s.H + row) * s.W + first;
                T* to = block + (i * s.WW + j) * width + offset;
                for (long c = 0; c < chunk.channels; c++, from += s.H * s.W, to += s.HH * s.WW * width) {
                    if (!visible) {
                        fill_zero(to, run);
                        continue;
                    }
                    fill_zero(to, in.begin - x0);
                    T* const middle = to + in.begin - x0;
                    if (s.stride_x == 1)
                        for (long k = 0; k < length; k++) middle[k] = from[k];
                    else if (s.stride_x == 2)
                        for (long k = 0; k < length; k++) middle[k] = from[2 * k];
                    else
                        for (long k = 0; k < length; k++) middle[k] = from[k * s.stride_x];
                    fill_zero(to + in.end - x0, x0 + run - in.end);
                }
            }
        }
    });
}

// The way back: dx += columns, where they came from.
template <class T>
void add_columns(T* dx, const T* block, long width, const ConvSizes& s, long group, Chunk chunk, long q0, long count) {
    const long first_channel = group * s.K + chunk.first_channel;
    runs_of(s, q0, count, [&](long n, long y, long x0, long run, long offset) {
        for (long j = 0; j < s.WW; j++) {
            const Inside in = inside(s, x0, run, j);
            const long first = s.input_col(in.begin, j), length = in.end - in.begin;
            for (long i = 0; i < s.HH; i++) {
                const long row = s.input_row(y, i);
                if (row < 0 || row >= s.H) continue;
                T* to = dx + ((n * s.C + first_channel) * s.H + row) * s.W + first;
                const T* from = block + (i * s.WW + j) * width + offset + in.begin - x0;
                for (long c = 0; c < chunk.channels; c++, to += s.H * s.W, from += s.HH * s.WW * width) {
                    if (s.stride_x == 1)
                        for (long k = 0; k < length; k++) to[k] += from[k];
                    else
                        for (long k = 0; k < length; k++) to[k * s.stride_x] += from[k];
                }
            }
        }
    });
}

// dout of `group` for a block of pixels, (Fg, width); where relu_out is given and zero, the gradient is zero.
template <class T>
void take_upstream(T* block, long width, const T* dout, const T* relu_out, const ConvSizes& s, long group, long q0,
                   long count) {
    const long full = divide_up(count, lanes<T>) * lanes<T>;
    for (long done = 0; done < count;) {
        const long q = q0 + done, n = q / s.pixels(), p = q % s.pixels(), run = std::min(count - done, s.pixels() - p);
        for (long f = 0; f < s.Fg; f++) {
            const long at = (n * s.F + group * s.Fg + f) * s.pixels() + p;
            T* const to = block + f * width + done;
            if (relu_out)
                for (long k = 0; k < run; k++) to[k] = relu_out[at + k] > 0 ? dout[at + k] : T(0);
            else
                for (long k = 0; k < run; k++) to[k] = dout[at + k];
        }
        done += run;
    }
    if (full > count)
        for (long f = 0; f < s.Fg; f++) fill_zero(block + f * width + count, full - count);
}

// Lines of a matrix cut into panels of at most MR, each packed for the tile kernel with all of its k.
template <class T>
struct Panels {
    long lines, k, count;
    T* packed = nullptr;
    Panels(long lines, long k) : lines(lines), k(k), count(divide_up(lines, MR)) {}
    long begin(long i) const { return i * lines / count; }
    long height(long i) const { return begin(i + 1) - begin(i); }
    long size() const { return lines * k + 2 * lanes<T>; }  // packing may write a vector past the end
    T* at(long i) const { return packed + begin(i) * k; }
    void pack(long i, const T* data, long line_stride, long k_stride) const {
        pack_panel(at(i), height(i), data + begin(i) * line_stride, line_stride, k_stride, height(i), k);
    }
};

}  // namespace

namespace {

template <class T>
void forward_by_blocks(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, bool relu, const ConvSizes& s) {
    const Chunks chunks(s);
    const long taps = s.HH * s.WW, total = s.N * s.pixels(), blocks = divide_up(total, block_pixels<T>);
    const long work = total * s.F * s.depth();

    // Filters packed as the rows of A, chunk by chunk; the panels of one chunk lie side by side.
    const Panels<T> shape(s.Fg, s.depth());
    T* const packed = scratch<T>(Slot::packed_a, s.groups * chunks.count * (s.Fg * chunks.largest() * taps + 2 * lanes<T>));
    const auto weights = [&](long group, long chunk) {
        Panels<T> panels(s.Fg, chunks.at(chunk).channels * taps);
        panels.packed = packed + (group * chunks.count + chunk) * (s.Fg * chunks.largest() * taps + 2 * lanes<T>);
        return panels;
    };
    share(s.groups * chunks.count, work, [&](long piece) {
        const long group = piece / chunks.count, chunk = piece % chunks.count;
        const Panels<T> panels = weights(group, chunk);
        const T* from = w.data + group * s.Fg * s.depth() + chunks.at(chunk).first_channel * taps;
        for (long i = 0; i < panels.count; i++) panels.pack(i, from, s.depth(), 1);  // in order: each may spill into the next
    });

    // Few pixels: cut the filters too.
    const long splits = std::clamp(8 / blocks, 1L, shape.count);
    share(blocks * splits * s.groups, work, [&](long piece) {
        const long group = piece % s.groups, split = piece / s.groups % splits, block = piece / s.groups / splits;
        const long q0 = block * block_pixels<T>, count = std::min(block_pixels<T>, total - q0);
        const long width = block_pixels<T> + lanes<T>;  // an odd number of vectors: rows in different cache sets
        T* const columns = scratch<T>(Slot::tile, chunks.largest() * taps * width);
        const long first_panel = split * shape.count / splits, last_panel = (split + 1) * shape.count / splits;
        for (long chunk = 0; chunk < chunks.count; chunk++) {
            make_columns(columns, width, x.data, s, group, chunks.at(chunk), q0, count);
            const Panels<T> panels = weights(group, chunk);
            Epilogue<T> epilogue;
            epilogue.accumulate = chunk > 0;
            for (long i = first_panel; i < last_panel; i++)
                for (long q = 0; q < count; q += NR<T>) {
                    const long n = (q0 + q) / s.pixels(), p = (q0 + q) % s.pixels(), some = std::min<long>(NR<T>, count - q);
                    const long f = group * s.Fg + panels.begin(i), height = panels.height(i);
                    const auto tile = tile_of<T>(height, some);
                    T* const to = out.data + (n * s.F + f) * s.pixels() + p;
                    if (p + some <= s.pixels()) {
                        tile(panels.k, panels.at(i), height, columns + q, width, to, s.pixels(), some, epilogue);
                        continue;
                    }
                    T sums[MR * NR<T>];  // pixels of more than one image
                    tile(panels.k, panels.at(i), height, columns + q, width, sums, NR<T>, some, {});
                    for (long r = 0; r < height; r++)
                        for (long k = 0; k < some; k++) {
                            const long image = (q0 + q + k) / s.pixels(), pixel = (q0 + q + k) % s.pixels();
                            T& o = out[(image * s.F + f + r) * s.pixels() + pixel];
                            o = (chunk > 0 ? o : T(0)) + sums[r * NR<T> + k];
                        }
                }
        }
        if (!b && !relu) return;
        const long first = group * s.Fg + shape.begin(first_panel), last = group * s.Fg + shape.begin(last_panel);
        for (long done = 0; done < count;) {
            const long n = (q0 + done) / s.pixels(), p = (q0 + done) % s.pixels();
            const long run = std::min(count - done, s.pixels() - p);
            for (long f = first; f < last; f++) {
                T* const to = out.data + (n * s.F + f) * s.pixels() + p;
                const T bias = b ? b[f] : T(0);
                if (relu)
                    for (long k = 0; k < run; k++) to[k] = to[k] + bias < 0 ? T(0) : to[k] + bias;
                else
                    for (long k = 0; k < run; k++) to[k] += bias;
            }
            done += run;
        }
    });
}

}  // namespace

// out (N, F, OH, OW), x (N, C, H, W), w (F, C/groups, HH, WW), b (F,) or missing; relu != 0 for the fused conv + relu.
template <class T>
void conv_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                  long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    if (pointwise::fit<T>(s))
        pointwise::forward(out.data, x.data, w.data, b.data, relu != 0, s);
    else if (strips::fit<T>(s))
        strips::forward<T>(out.data, x.data, nullptr, {w.data, false}, b.data, relu != 0, s);
    else
        forward_by_blocks(out, x, w, b, relu != 0, s);
}
BACKPASS_KERNEL(conv_forward,
                "out(N, F, OH, OW) x(N, C, H, W) w(F, K, HH, WW) b?(F) " CONV_GEOMETRY " relu |" CONV_RULES
                ", C % K, F*K % C")

namespace {

// dw and db: each piece sums a range of pixels for one chunk of rows into its own place; the sums are added in order.
template <class T>
void weight_gradients_by_blocks(Array<T> dw, Array<T> db, const T* dout, const T* x, const T* relu_out, const ConvSizes& s) {
    const Chunks chunks(s);
    const long taps = s.HH * s.WW, total = s.N * s.pixels(), blocks = divide_up(total, block_pixels<T>);
    const long filters = divide_up(s.Fg, lanes<T>) * lanes<T>, depth = s.depth();
    const long size = (depth + 1) * filters;  // of one range and group: (rows, filters), and the last row for db
    const long ranges = std::clamp(std::min(blocks / 4, (8L << 20) / (size * s.groups)), 1L, 8L);
    const long work = total * s.F * depth;
    T* const partial = scratch<T>(Slot::partial, ranges * s.groups * size);

    share(ranges * s.groups * chunks.count, work, [&](long piece) {
        const long index = piece % chunks.count, range_group = piece / chunks.count;
        const long group = range_group % s.groups, range = range_group / s.groups;
        const Chunk chunk = chunks.at(index);
        const long rows = chunk.channels * taps, width = block_pixels<T> + lanes<T>;
        T* const sums = partial + range_group * size + chunk.first_channel * taps * filters;
        T* const bias_sums = partial + range_group * size + depth * filters;
        T* const columns = scratch<T>(Slot::tile, rows * width);
        T* const upstream = scratch<T>(Slot::panel_a, s.Fg * width);
        T* const turned = scratch<T>(Slot::panel_b, block_pixels<T> * filters + lanes<T>);
        const long panels = divide_up(rows, MR);
        if (index == 0) fill_zero(bias_sums, filters);
        Epilogue<T> epilogue;
        for (long block = range * blocks / ranges; block < (range + 1) * blocks / ranges; block++) {
            const long q0 = block * block_pixels<T>, count = std::min(block_pixels<T>, total - q0);
            make_columns(columns, width, x, s, group, chunk, q0, count);
            take_upstream(upstream, width, dout, relu_out, s, group, q0, count);
            for (long f = 0; f < filters; f += lanes<T>)  // turned[q * filters + f]
                for (long q = 0; q < count; q += lanes<T>) {
                    Vec<T> v[lanes<T>];
#pragma GCC unroll 16
                    for (int k = 0; k < lanes<T>; k++)
                        v[k] = f + k < s.Fg ? load(upstream + (f + k) * width + q) : Vec<T>{};
                    transpose<T>(v);
#pragma GCC unroll 16
                    for (int k = 0; k < lanes<T>; k++)
                        if (k < count - q) store(turned + (q + k) * filters + f, v[k]);
                }
            if (index == 0 && db)
                for (long q = 0; q < count; q++)
                    for (long f = 0; f < filters; f += lanes<T>)
                        store(bias_sums + f, load(bias_sums + f) + load(turned + q * filters + f));
            for (long f = 0; f < filters; f += NR<T>)
                for (long i = 0; i < panels; i++) {
                    const long r = i * rows / panels, height = (i + 1) * rows / panels - r, some = std::min<long>(NR<T>, filters - f);
                    tile_of<T, true>(height, some)(count, columns + r * width, width, turned + f, filters,
                                                   sums + r * filters + f, filters, some, epilogue);
                }
            epilogue.accumulate = true;
        }
    });
    share(s.F, ranges * s.F * depth, [&](long f) {
        const long group = f / s.Fg;
        for (long range = 0; range < ranges; range++) {
            const T* const sums = partial + (range * s.groups + group) * size + f % s.Fg;
            for (long r = 0; r < depth; r++) dw[f * depth + r] += sums[r * filters];
            if (db) db[f] += sums[depth * filters];
        }
    });
}

// dx: a piece owns some channels of some images.
template <class T>
void input_gradient_by_blocks(Array<T> dx, const T* dout, const T* w, const T* relu_out, const ConvSizes& s) {
    const Chunks chunks(s);
    const long taps = s.HH * s.WW, depth = s.depth();
    const long images = std::min(s.N, std::max(1L, block_pixels<T> / s.pixels())), parts = divide_up(s.N, images);
    const long work = s.N * s.pixels() * s.F * depth;

    const long slot = chunks.largest() * taps * s.Fg + 2 * lanes<T>;
    T* const packed = scratch<T>(Slot::packed_a, s.groups * chunks.count * slot);
    const auto weights = [&](long group, long chunk) {  // the rows r of A, Fg elements deep
        Panels<T> panels(chunks.at(chunk).channels * taps, s.Fg);
        panels.packed = packed + (group * chunks.count + chunk) * slot;
        return panels;
    };
    share(s.groups * chunks.count, work, [&](long piece) {
        const long group = piece / chunks.count, chunk = piece % chunks.count;
        const Panels<T> panels = weights(group, chunk);
        const T* from = w + group * s.Fg * depth + chunks.at(chunk).first_channel * taps;
        for (long i = 0; i < panels.count; i++) panels.pack(i, from, 1, depth);
    });

    share(parts * s.groups * chunks.count, work, [&](long piece) {
        const long index = piece % chunks.count, group = piece / chunks.count % s.groups, part = piece / chunks.count / s.groups;
        const long n0 = part * images, n1 = std::min(s.N, n0 + images);
        const Chunk chunk = chunks.at(index);
        const Panels<T> panels = weights(group, index);
        const long width = block_pixels<T> + lanes<T>;
        T* const columns = scratch<T>(Slot::tile, panels.lines * width);
        T* const upstream = scratch<T>(Slot::panel_a, s.Fg * width);
        for (long n = n0; n < n1; n++)
            fill_zero(dx.data + (n * s.C + group * s.K + chunk.first_channel) * s.H * s.W, chunk.channels * s.H * s.W);
        const long last = n1 * s.pixels();
        for (long q0 = n0 * s.pixels(); q0 < last; q0 += block_pixels<T>) {
            const long count = std::min(block_pixels<T>, last - q0);
            take_upstream(upstream, width, dout, relu_out, s, group, q0, count);
            for (long i = 0; i < panels.count; i++)
                for (long q = 0; q < count; q += NR<T>) {
                    // Whole vectors: what lies beyond the last pixel is zero and is not read again.
                    const long some = count - q > lanes<T> ? NR<T> : lanes<T>, height = panels.height(i);
                    tile_of<T>(height, some)(s.Fg, panels.at(i), height, upstream + q, width,
                                             columns + panels.begin(i) * width + q, width, some, {});
                }
            add_columns(dx.data, columns, width, s, group, chunk, q0, count);
        }
    });
}

}  // namespace

// dx and db may be missing; relu_out is the output of the relu that was fused behind, or missing.
template <class T>
void conv_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x, Array<const T> w,
                   Array<const T> relu_out, long stride_y, long stride_x, long dilation_y, long dilation_x, long top,
                   long left) {
    const ConvSizes s = conv_sizes(dout, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    if (pointwise::fit<T>(s))
        return pointwise::backward(dx.data, dw.data, db.data, dout.data, x.data, w.data, relu_out.data, s);
    if (strips::fit<T>(s))
        strips::weight_gradients(dw.data, db.data, dout.data, x.data, relu_out.data, s);
    else
        weight_gradients_by_blocks(dw, db, dout.data, x.data, relu_out.data, s);
    if (!dx) return;
    // At stride 1 dx is a correlation of dout with the kernels rotated: a forward again, F and C exchanged.
    ConvSizes back = s;
    back.C = s.F, back.H = s.OH, back.W = s.OW, back.F = s.C, back.OH = s.H, back.OW = s.W, back.K = s.Fg, back.Fg = s.K;
    back.top = (s.HH - 1) * s.dilation_y - s.top, back.left = (s.WW - 1) * s.dilation_x - s.left;
    if (s.stride_y == 1 && s.stride_x == 1 && strips::fit<T>(back))
        strips::forward<T>(dx.data, dout.data, relu_out.data, {w.data, true}, nullptr, false, back);
    else
        input_gradient_by_blocks(dx, dout.data, w.data, relu_out.data, s);
}
BACKPASS_KERNEL(conv_backward,
                "dx?(N, C, H, W) dw(F, K, HH, WW) db?(F) dout(N, F, OH, OW) x(N, C, H, W) w(F, K, HH, WW) "
                "relu_out?(N, F, OH, OW) " CONV_GEOMETRY " |" CONV_RULES ", C % K, F*K % C")

}  // namespace backpass
