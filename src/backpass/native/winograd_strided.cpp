// Convolution of 3x3 at stride 2 by Winograd's method, forward and backward, from NCHW to NCHW.
//
// The output is cut into tiles of 4 x 4.  Per tile t and channel c, the 9x9 inputs under it become 81 numbers V[p, q, t, c] (the
// transform of winograd_strided.hpp down columns, then along rows); per filter, the weights become 36 numbers U[i, j, c, f].
// A product is named by (p, q); it takes the weight (w(p), w(q)) and counts in the sum (a(p), a(q)):
//
//     M[a, b, t, f] = Σ over (p, q) in sum (a, b), Σ_c V[p, q, t, c] U[w(p), w(q), c, f]
//
// These are 81 products for 16 outputs instead of 144; the 25 sums become the outputs.  The backward is the adjoint, step by
// step: dM from dout,
//
//     dU[i, j, c, f] += Σ over (p, q) with weight (i, j), Σ_t V[p, q, t, c] dM[a(p), a(q), t, f]
//     dV[p, q, t, c]  = Σ_f dM[a(p), a(q), t, f] U[w(p), w(q), c, f],
//
// dw from dU, and dx from dV, whose tiles overlap by a line and add up.
//
// A block of some rows of tiles goes through all steps while it lies in the second cache.
#include "winograd_strided.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "channels_last.hpp"
#include "conv.hpp"
#include "gemm_micro.hpp"
#include "parallel.hpp"

#define WINOGRAD_STRIDED_RULES ", HH = 3, WW = 3, stride_y = 2, stride_x = 2, dilation_y = 1, dilation_x = 1"

namespace backpass {
namespace {

using winograd_strided::inputs, winograd_strided::outputs, winograd_strided::products, winograd_strided::sums,
    winograd_strided::weights, winograd_strided::sum_of, winograd_strided::weight_of;

constexpr long all_products = products * products, all_sums = sums * sums, all_weights = weights * weights;
constexpr int taps = 9;
constexpr long step = inputs - 1;  // lines of the image from one tile to the next

// Bytes of V in a block, and the most tiles.  U, which every block reads, may be larger than the second cache: V then gets a
// sixth of its size, so that U is read less often.
constexpr long block_bytes = 512 << 10, most_tiles = 4 * MR;

template <class T>
struct Layout {
    ConvSizes s;
    long rows, cols;           // tiles of an image
    long block_rows;           // rows of tiles in a block, of one image or several
    long pitch;                // columns under a row of tiles, and those of the image that no tile sees
    long C_stride, F_stride;   // from tile to tile in V and dM
    long V_plane, M_plane, D_plane;  // from plane to plane in V, dM, and a panel of M or dV

    explicit Layout(const ConvSizes& s) : s(s) {
        rows = divide_up(s.OH, outputs);
        cols = divide_up(s.OW, outputs);
        pitch = std::max(step * cols + 1, s.left + s.W);
        C_stride = odd_vectors<T>(s.C);
        F_stride = odd_vectors<T>(s.F);
        const long size = sizeof(T), tile_bytes = all_products * C_stride * size, U_bytes = all_weights * s.C * s.F * size;
        const long wanted = std::clamp<long>(std::max(block_bytes, U_bytes / 6) / tile_bytes, MR, most_tiles);
        block_rows = std::min(std::max(1L, (wanted + cols / 2) / cols), s.N * rows);
        V_plane = odd_vectors<T>(block_rows * cols * C_stride);
        M_plane = odd_vectors<T>(block_rows * cols * F_stride);
        D_plane = odd_vectors<T>(block_rows * cols * NR<T>);
    }
    long work() const { return s.N * rows * cols * all_products * s.C * s.F; }
    long wide() const { return step * cols + 1; }
    // Scratch for the image rows of a block, L channels side by side, and for one row of tiles between two transforms.
    long strip_size() const { return (step * std::min(block_rows, rows) + 1) * pitch * lanes<T>; }
    long half_size() const { return products * pitch * lanes<T>; }
};

// f(begin, end) for each block of the rows first .. last of tiles: as even as can be.
template <class T>
struct Blocks {
    long first, last, count;
    Blocks(const Layout<T>& g, long first, long last) : first(first), last(last), count(divide_up(last - first, g.block_rows)) {}
    long begin(long i) const { return first + i * (last - first) / count; }
};

// Rows of tiles of one image: [first, last) of image n; the block's tiles from `tile` on are theirs.
struct Span {
    long n, first, last, tile;
};

// f(span) for each image that has a part in the rows begin .. end of tiles, numbered through all images.
template <class T, class F>
inline void spans(const Layout<T>& g, long begin, long end, F&& f) {
    for (long row = begin; row < end;) {
        const long n = row / g.rows, first = row % g.rows, last = std::min(g.rows, first + end - row);
        f(Span{n, first, last, (row - begin) * g.cols});
        row += last - first;
    }
}

// V[p, q, t, c] of the rows begin .. end of tiles.
template <class T>
void transform_input(T* V, const T* x, const Layout<T>& g, long begin, long end, T* strip, T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    spans(g, begin, end, [&](Span span) {
        const long height = step * (span.last - span.first) + 1, above = step * span.first - s.top;  // image row of the strip's first
        const long y0 = std::clamp(-above, 0L, height), y1 = std::clamp(s.H - above, y0, height);
        zero_border(strip, g.pitch, height, y0, y1, s.left, s.left + s.W);
        for (long c = 0; c < s.C; c += L) {
            const T* const from = x + ((span.n * s.C + c) * s.H + above + y0) * s.W;
            gather<T, false>(strip + (y0 * g.pitch + s.left) * L, g.pitch - s.W, from, nullptr, s.H * s.W,
                             std::min<long>(L, s.C - c), s.W, (y1 - y0) * s.W);
            T* to = V + span.tile * g.C_stride + c;
            for (long row = span.first; row < span.last; row++) {
                const T* const line = strip + step * (row - span.first) * g.pitch * L;
                for (long col = 0; col < g.wide(); col++) {
                    Vec<T> d[inputs], o[products];
#pragma GCC unroll 9
                    for (int p = 0; p < inputs; p++) d[p] = load(line + (p * g.pitch + col) * L);
                    winograd_strided::input<T>(d, o);
#pragma GCC unroll 9
                    for (int p = 0; p < products; p++) store(half + (p * g.pitch + col) * L, o[p]);
                }
                for (long col = 0; col < g.cols; col++, to += g.C_stride)
                    for (int p = 0; p < products; p++) {
                        Vec<T> d[inputs], o[products];
#pragma GCC unroll 9
                        for (int q = 0; q < inputs; q++) d[q] = load(half + (p * g.pitch + step * col + q) * L);
                        winograd_strided::input<T>(d, o);
#pragma GCC unroll 9
                        for (int q = 0; q < products; q++) store(to + (products * p + q) * g.V_plane, o[q]);
                    }
            }
        }
    });
}

// dM[a, b, t, f] of the rows begin .. end of tiles; where relu_out is given and zero, dout counts as zero.
template <class T>
void transform_upstream(T* M, const T* dout, const T* relu_out, const Layout<T>& g, long begin, long end, T* strip, T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    spans(g, begin, end, [&](Span span) {
        const long height = outputs * (span.last - span.first), y1 = std::min(height, s.OH - outputs * span.first);
        zero_border(strip, g.pitch, height, 0, y1, 0, s.OW);
        for (long f = 0; f < s.F; f += L) {
            const long at = ((span.n * s.F + f) * s.OH + outputs * span.first) * s.OW, some = std::min<long>(L, s.F - f);
            if (relu_out)
                gather<T, true>(strip, g.pitch - s.OW, dout + at, relu_out + at, s.pixels(), some, s.OW, y1 * s.OW);
            else
                gather<T, false>(strip, g.pitch - s.OW, dout + at, nullptr, s.pixels(), some, s.OW, y1 * s.OW);
            T* to = M + span.tile * g.F_stride + f;
            for (long row = span.first; row < span.last; row++) {
                const T* const line = strip + outputs * (row - span.first) * g.pitch * L;
                for (long col = 0; col < outputs * g.cols; col++) {
                    Vec<T> d[outputs], o[sums];
#pragma GCC unroll 4
                    for (int p = 0; p < outputs; p++) d[p] = load(line + (p * g.pitch + col) * L);
                    winograd_strided::output_back<T>(d, o);
#pragma GCC unroll 5
                    for (int a = 0; a < sums; a++) store(half + (a * g.pitch + col) * L, o[a]);
                }
                for (long col = 0; col < g.cols; col++, to += g.F_stride)
#pragma GCC unroll 5
                    for (int a = 0; a < sums; a++) {
                        Vec<T> d[outputs], o[sums];
#pragma GCC unroll 4
                        for (int q = 0; q < outputs; q++) d[q] = load(half + (a * g.pitch + outputs * col + q) * L);
                        winograd_strided::output_back<T>(d, o);
#pragma GCC unroll 5
                        for (int b = 0; b < sums; b++) store(to + (sums * a + b) * g.M_plane, o[b]);
                    }
            }
        }
    });
}

// out of a panel of filters f .. f + L, M at panel[a, b, t], stride NR.
template <class T>
void transform_output(T* out, const T* panel, const T* bias, bool relu, const Layout<T>& g, long f, long begin, long end, T* strip) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    const long some = std::min<long>(L, s.F - f);
    const Vec<T> add = bias ? load_some(bias + f, some) : Vec<T>{};
    spans(g, begin, end, [&](Span span) {
        const T* from = panel + span.tile * NR<T>;
        for (long row = 0; row < span.last - span.first; row++)
            for (long col = 0; col < g.cols; col++, from += NR<T>) {
                Vec<T> half[outputs][sums];
#pragma GCC unroll 5
                for (int b = 0; b < sums; b++) {
                    Vec<T> m[sums], o[outputs];
#pragma GCC unroll 5
                    for (int a = 0; a < sums; a++) m[a] = load(from + (sums * a + b) * g.D_plane);
                    winograd_strided::output<T>(m, o);
#pragma GCC unroll 4
                    for (int p = 0; p < outputs; p++) half[p][b] = o[p];
                }
#pragma GCC unroll 4
                for (int p = 0; p < outputs; p++) {
                    Vec<T> o[outputs];
                    winograd_strided::output<T>(half[p], o);
#pragma GCC unroll 4
                    for (int q = 0; q < outputs; q++) {
                        Vec<T> value = o[q] + add;
                        if (relu) value = value < 0 ? Vec<T>{} : value;
                        store(strip + ((outputs * row + p) * g.pitch + outputs * col + q) * L, value);
                    }
                }
            }
        const long lines = std::min(outputs * (span.last - span.first), s.OH - outputs * span.first);
        scatter(out + ((span.n * s.F + f) * s.OH + outputs * span.first) * s.OW, s.pixels(), some, strip, g.pitch - s.OW, s.OW,
                lines * s.OW);
    });
}

// dx of channels c .. c + L from dV at panel[p, q, t].  The lowest line of a span belongs to the next row of tiles too:
// `carry` (pitch, L) takes it there, from one block of the image to the next.
template <class T>
void transform_input_back(T* dx, const T* panel, T* carry, const Layout<T>& g, long c, long begin, long end, T* strip, T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    const long line_size = g.pitch * L, some = std::min<long>(L, s.C - c);
    spans(g, begin, end, [&](Span span) {
        if (span.first == 0)
            fill_zero(strip, line_size);
        else
            std::copy(carry, carry + line_size, strip);
        const T* from = panel + span.tile * NR<T>;
        for (long row = span.first; row < span.last; row++) {
            T* const line = strip + step * (row - span.first) * line_size;
            for (int p = 0; p < products; p++) fill_zero(half + p * line_size, L);
            for (long col = 0; col < g.cols; col++, from += NR<T>)
                for (int p = 0; p < products; p++) {
                    Vec<T> d[products], o[inputs];
#pragma GCC unroll 9
                    for (int q = 0; q < products; q++) d[q] = load(from + (products * p + q) * g.D_plane);
                    winograd_strided::input_back<T>(d, o);
                    T* const to = half + p * line_size + step * col * L;
                    o[0] += load(to);
#pragma GCC unroll 9
                    for (int q = 0; q < inputs; q++) store(to + q * L, o[q]);
                }
            for (long col = 0; col < g.wide(); col++) {
                Vec<T> d[products], o[inputs];
#pragma GCC unroll 9
                for (int p = 0; p < products; p++) d[p] = load(half + p * line_size + col * L);
                winograd_strided::input_back<T>(d, o);
                T* const to = line + col * L;
                o[0] += load(to);
#pragma GCC unroll 9
                for (int p = 0; p < inputs; p++) store(to + p * line_size, o[p]);
            }
            for (long y = row == span.first ? 0 : 1; y < inputs; y++)  // what no tile sees
                fill_zero(line + y * line_size + g.wide() * L, line_size - g.wide() * L);
        }
        const long above = step * span.first - s.top, height = step * (span.last - span.first);
        const bool ends = span.last == g.rows;
        const long y0 = std::max(0L, -above), y1 = std::clamp(s.H - above, y0, std::max(y0, ends ? height + 1 : height));
        T* const to = dx + ((span.n * s.C + c) * s.H + above + y0) * s.W;
        scatter(to, s.H * s.W, some, strip + (y0 * g.pitch + s.left) * L, g.pitch - s.W, s.W, (y1 - y0) * s.W);
        if (!ends)
            std::copy(strip + height * line_size, strip + height * line_size + line_size, carry);
        else
            for (long k = 0; k < some; k++) fill_zero(to + k * s.H * s.W + (y1 - y0) * s.W, (s.H - above - y1) * s.W);
    });
}

// U in panels for the product with V: panel of NR filters, then (i, j), then c, then the filters side by side.
// With `turned`, panels of channels, then (i, j), then f: for the product with dM.
template <class T>
struct Weights {
    const ConvSizes& s;
    bool turned;
    long lines, depth;  // across and along a panel
    T* packed;

    Weights(const ConvSizes& s, bool turned, T* packed)
        : s(s), turned(turned), lines(turned ? s.C : s.F), depth(turned ? s.F : s.C), packed(packed) {}
    long size() const { return divide_up(lines, lanes<T>) * lanes<T> * all_weights * depth; }
    // The last panel is one vector wide if that is enough.
    long width(long line) const { return lines - line > lanes<T> ? NR<T> : lanes<T>; }
    // Of product (p, q).
    const T* panel(long line, int p, int q) const {
        return packed + (line * all_weights + (weights * weight_of(p) + weight_of(q)) * width(line)) * depth;
    }

    void transform(const T* w) const {
        constexpr int L = lanes<T>;
        const long chunk = 32, chunks = divide_up(depth, chunk), groups = divide_up(lines, L);
        share(groups * chunks, 64 * lines * depth, [&](long piece) {
            const long line = piece / chunks * L, k0 = piece % chunks * chunk, k1 = std::min(depth, k0 + chunk);
            const long some = std::min<long>(L, lines - line), panel_line = line / NR<T> * NR<T>, across = width(panel_line);
            T* const kernels = scratch<T>(Slot::panel_a, (chunk * taps + 1) * L);  // (k, tap, line)
            const long line_stride = turned ? taps : s.C * taps, k_stride = turned ? s.C * taps : taps;
            const T* const from = w + line * line_stride + k0 * k_stride;
            if (turned)
                for (long k = 0; k < k1 - k0; k++) pack_panel(kernels + k * taps * L, L, from + k * k_stride, taps, 1, some, taps);
            else
                pack_panel(kernels, L, from, line_stride, 1, some, (k1 - k0) * taps);
            for (long k = k0; k < k1; k++) {
                Vec<T> half[weights][3];
#pragma GCC unroll 3
                for (int j = 0; j < 3; j++) {
                    Vec<T> g[3], o[weights];
#pragma GCC unroll 3
                    for (int i = 0; i < 3; i++) g[i] = load(kernels + ((k - k0) * taps + 3 * i + j) * L);
                    winograd_strided::filter<T>(g, o);
#pragma GCC unroll 6
                    for (int i = 0; i < weights; i++) half[i][j] = o[i];
                }
                T* const to = packed + panel_line * all_weights * depth + k * across + line - panel_line;
#pragma GCC unroll 6
                for (int i = 0; i < weights; i++) {
                    Vec<T> o[weights];
                    winograd_strided::filter<T>(half[i], o);
#pragma GCC unroll 6
                    for (int j = 0; j < weights; j++) store(to + (weights * i + j) * depth * across, o[j]);
                }
            }
        });
    }
};

// Several products into the same sums: A and B of each.
template <class T>
struct Factors {
    static constexpr int most = 16;
    const T *a[most], *b[most];
    int count = 0;
    void add(const T* left, const T* right) { a[count] = left, b[count++] = right; }
};

// C (rows, vectors) (+)= Σ over the factors, Σ_k A[r, k] B[k, :], where A[r, k] is a[r * a_step + k] when `along_k`, else
// a[k * a_step + r].
template <class T, int rows, int vectors, bool along_k>
void sum_tile(const Factors<T>& factors, long k, long a_step, long b_step, T* c, long ldc, bool accumulate) {
    constexpr int L = lanes<T>;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) __builtin_prefetch(c + r * ldc, 1);
    Vec<T> sum[rows][vectors] = {};
    for (int i = 0; i < factors.count; i++) {
        const T *a = factors.a[i], *b = factors.b[i];
        for (long p = 0; p < k; p++) {
            Vec<T> row[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) row[v] = load(b + v * L);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                const Vec<T> value = broadcast(along_k ? a[r * a_step] : a[r]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sum[r][v] += value * row[v];
            }
            a += along_k ? 1 : a_step;
            b += b_step;
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

// The kernel for `rows` in 1 .. MR and `columns` in 1 .. NR, whole vectors of them.
template <class T, bool along_k>
inline auto sum_tile_of(long rows, long columns) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array{std::array{sum_tile<T, r + 1, 1, along_k>, sum_tile<T, r + 1, 2, along_k>}...};
    }(std::make_integer_sequence<int, MR>{});
    return kernels[rows - 1][columns > lanes<T>];
}

// f(first, count) for lines 0 .. lines cut into parts that are as even as can be, of at most MR.
template <class F>
inline void each_part(long lines, F&& f) {
    const long parts = divide_up(lines, MR);
    for (long part = 0; part < parts; part++) {
        const long first = part * lines / parts;
        f(first, (part + 1) * lines / parts - first);
    }
}

// M at panel[a, b, t, :] for the filters from `line` on.
template <class T>
void multiply(T* panel, const T* V, const Weights<T>& U, long line, const Layout<T>& g, long tiles) {
    const long width = U.width(line);
    for (int a = 0; a < sums; a++)
        for (int b = 0; b < sums; b++)
            each_part(tiles, [&](long t, long height) {
                Factors<T> factors;
                for (int p = a; p < products; p += sums)
                    for (int q = b; q < products; q += sums)
                        factors.add(V + (products * p + q) * g.V_plane + t * g.C_stride, U.panel(line, p, q));
                sum_tile_of<T, true>(height, width)(factors, U.depth, g.C_stride, width,
                                                    panel + (sums * a + b) * g.D_plane + t * NR<T>, NR<T>, false);
            });
}

// dV at panel[p, q, t, :] for the channels from `line` on.
template <class T>
void multiply_back(T* panel, const T* M, const Weights<T>& U, long line, const Layout<T>& g, long tiles) {
    const long width = U.width(line);
    for (int p = 0; p < products; p++)
        for (int q = 0; q < products; q++)
            each_part(tiles, [&](long t, long height) {
                Factors<T> factors;
                factors.add(M + (sums * sum_of(p) + sum_of(q)) * g.M_plane + t * g.F_stride, U.panel(line, p, q));
                sum_tile_of<T, true>(height, width)(factors, U.depth, g.F_stride, width,
                                                    panel + (products * p + q) * g.D_plane + t * NR<T>, NR<T>, false);
            });
}

// dU (weights, weights, C, filters) (+)= what a block gives.
template <class T>
void multiply_weights(T* dU, const T* V, const T* M, const Layout<T>& g, long filters, long tiles, bool accumulate) {
    for (int i = 0; i < weights; i++)
        for (int j = 0; j < weights; j++)
            for (long f = 0; f < filters; f += NR<T>)
                each_part(g.s.C, [&](long c, long height) {
                    Factors<T> factors;
                    for (int p = i; p < products && weight_of(p) == i; p++)
                        for (int q = j; q < products && weight_of(q) == j; q++)
                            factors.add(V + (products * p + q) * g.V_plane + c,
                                        M + (sums * sum_of(p) + sum_of(q)) * g.M_plane + f);
                    sum_tile_of<T, false>(height, filters - f)(factors, tiles, g.C_stride, g.F_stride,
                                                               dU + ((weights * i + j) * g.s.C + c) * filters + f, filters, accumulate);
                });
}

// dw += Gᵀ dU G, where dU is the sum of `pieces` that lie `size` apart, for L filters and some channels at a time.
template <class T>
void transform_weights_back(T* dw, const T* dU, long pieces, long size, const ConvSizes& s, long filters) {
    constexpr int L = lanes<T>;
    const long chunk = 32, chunks = divide_up(s.C, chunk);
    share(filters / L * chunks, pieces * size, [&](long piece) {
        const long f = piece / chunks * L, c0 = piece % chunks * chunk, c1 = std::min(s.C, c0 + chunk);
        T* const kernels = scratch<T>(Slot::panel_a, (chunk * taps + L) * L);  // (c, tap, filter)
        for (long c = c0; c < c1; c++) {
            Vec<T> half[3][weights];
#pragma GCC unroll 6
            for (int j = 0; j < weights; j++) {
                Vec<T> u[weights], o[3];
#pragma GCC unroll 6
                for (int i = 0; i < weights; i++) {
                    const T* const from = dU + ((weights * i + j) * s.C + c) * filters + f;
                    u[i] = load(from);
                    for (long other = 1; other < pieces; other++) u[i] += load(from + other * size);
                }
                winograd_strided::filter_back<T>(u, o);
#pragma GCC unroll 3
                for (int i = 0; i < 3; i++) half[i][j] = o[i];
            }
#pragma GCC unroll 3
            for (int i = 0; i < 3; i++) {
                Vec<T> o[3];
                winograd_strided::filter_back<T>(half[i], o);
#pragma GCC unroll 3
                for (int j = 0; j < 3; j++) store(kernels + ((c - c0) * taps + 3 * i + j) * L, o[j]);
            }
        }
        add_across(dw + (f * s.C + c0) * taps, s.C * taps, s.F - f, kernels, (c1 - c0) * taps);
    });
}

}  // namespace

// out (N, F, OH, OW), x (N, C, H, W), w (F, C, 3, 3), b (F,) or missing; relu != 0 for the fused conv + relu.
template <class T>
void winograd_strided_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                              long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Layout<T> g(s);
    Weights<T> U(s, false, nullptr);
    U.packed = scratch<T>(Slot::packed_a, U.size());
    U.transform(w.data);
    const Blocks<T> blocks(g, 0, s.N * g.rows);
    share(blocks.count, g.work(), [&](long block) {
        const long begin = blocks.begin(block), end = blocks.begin(block + 1), tiles = (end - begin) * g.cols;
        T* const V = scratch<T>(Slot::tile, all_products * g.V_plane + all_sums * g.D_plane + g.strip_size() + g.half_size());
        T *const panel = V + all_products * g.V_plane, *const strip = panel + all_sums * g.D_plane, *const half = strip + g.strip_size();
        transform_input(V, x.data, g, begin, end, strip, half);
        for (long line = 0; line < s.F; line += NR<T>) {
            multiply(panel, V, U, line, g, tiles);
            for (long f = line; f < std::min(s.F, line + NR<T>); f += lanes<T>)
                transform_output(out.data, panel + f - line, b.data, relu != 0, g, f, begin, end, strip);
        }
    });
}
BACKPASS_KERNEL(winograd_strided_forward,
                "out(N, F, OH, OW) x(N, C, H, W) w(F, C, HH, WW) b?(F) " CONV_GEOMETRY " relu |" CONV_RULES WINOGRAD_STRIDED_RULES)

// dx and db may be missing; relu_out is the output of the relu that was fused behind, or missing.
template <class T>
void winograd_strided_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x, Array<const T> w,
                               Array<const T> relu_out, long stride_y, long stride_x, long dilation_y, long dilation_x, long top,
                               long left) {
    constexpr int L = lanes<T>;
    const ConvSizes s = conv_sizes(dout, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    const Layout<T> g(s);
    Weights<T> U(s, true, nullptr);
    if (dx) {
        U.packed = scratch<T>(Slot::packed_a, U.size());
        U.transform(w.data);
    }
    // A piece is some images; it sums dU and db into its own place.  Their number is even, for two threads.
    const long filters = divide_up(s.F, L) * L, plane = s.C * filters, size = all_weights * plane + filters;
    const long pieces = std::min(s.N, std::clamp(2 * divide_up(s.N * g.rows * g.cols, 512), 2L, 8L));
    T* const partial = scratch<T>(Slot::partial, pieces * size);
    share(pieces, g.work(), [&](long piece) {
        const Blocks<T> blocks(g, piece * s.N / pieces * g.rows, (piece + 1) * s.N / pieces * g.rows);
        const long carry_size = g.pitch * L, carries = divide_up(s.C, L);
        // dV is done with before V comes.
        const long shared = all_products * std::max(g.V_plane, g.D_plane);
        T* const V = scratch<T>(Slot::tile, shared + all_sums * g.M_plane + g.strip_size() + g.half_size() + carries * carry_size);
        T *const panel = V, *const M = V + shared, *const strip = M + all_sums * g.M_plane;
        T *const half = strip + g.strip_size(), *const carry = half + g.half_size();
        T *const dU = partial + piece * size, *const bias = dU + all_weights * plane;
        fill_zero(bias, filters);
        for (long block = 0; block < blocks.count; block++) {
            const long begin = blocks.begin(block), end = blocks.begin(block + 1), tiles = (end - begin) * g.cols;
            transform_upstream(M, dout.data, relu_out.data, g, begin, end, strip, half);
            for (long t = 0; t < tiles; t++)  // at the point 1 the transform is the sum of the tile
                for (long f = 0; f < filters; f += L)
                    store(bias + f, load(bias + f) + load(M + (sums + 1) * g.M_plane + t * g.F_stride + f));
            if (dx)
                for (long line = 0; line < s.C; line += NR<T>) {
                    multiply_back(panel, M, U, line, g, tiles);
                    for (long c = line; c < std::min(s.C, line + NR<T>); c += L)
                        transform_input_back(dx.data, panel + c - line, carry + c / L * carry_size, g, c, begin, end, strip, half);
                }
            transform_input(V, x.data, g, begin, end, strip, half);
            multiply_weights(dU, V, M, g, filters, tiles, block > 0);
        }
    });
    transform_weights_back(dw.data, partial, pieces, size, s, filters);
    if (db)
        for (long piece = 0; piece < pieces; piece++)
            for (long f = 0; f < s.F; f++) db[f] += partial[piece * size + all_weights * plane + f];
}
BACKPASS_KERNEL(winograd_strided_backward,
                "dx?(N, C, H, W) dw(F, C, HH, WW) db?(F) dout(N, F, OH, OW) x(N, C, H, W) w(F, C, HH, WW) "
                "relu_out?(N, F, OH, OW) " CONV_GEOMETRY " |" CONV_RULES WINOGRAD_STRIDED_RULES)

}  // namespace backpass
