// Convolution at stride 1 by Winograd's algorithm on tiles of 6x6 inputs, forward and backward, from NCHW to NCHW.
//
// The output is cut into tiles of m x m, of which each needs (m + r - 1)² = 6x6 inputs for a filter of r x r: F(4x4, 3x3),
// F(3x3, 4x4) or F(2x2, 5x5).  Per tile t and channel c, the inputs become 36 numbers V[s, t, c]; per filter, the weights
// become U[s, c, f]; then
//
//     M[s, t, f] = Σ_c V[s, t, c] U[s, c, f]      36 matrix products instead of the 144 or 100 of the definition,
//
// and the 36 numbers M[:, t, f] become the tile's outputs.  The backward is the adjoint, step by step: dM from dout,
//
//     dU[s, c, f] += Σ_t V[s, t, c] dM[s, t, f]         dV[s, t, c] = Σ_f dM[s, t, f] U[s, c, f],
//
// dw from dU, and dx from dV, whose tiles overlap and add up.
//
// Seven taps are 3 + 4: filters i = 0 (taps 0 to 2 and a zero) and i = 1 (taps 3 to 6), by F(3, 4).  What the second one
// needs starts m = 3 inputs later, so it is what the next tile has anyway.  With two such filters along each dimension,
//
//     M[s, t, f] = Σ_ij Σ_c V[s, t + (i, j), c] U_ij[s, c, f],    dU_ij[s] = Σ_t V[s, t + (i, j)] dM[s, t],
//
// and dV[s, t] is the sum of dM[s, t - (i, j)] U_ij[s]: one more row and column of tiles of inputs than of outputs.  A zero as
// last tap makes U zero at infinity, so 121 products are left for 9 outputs, instead of 441.  Six taps are 3 + 3.
//
// Where tiles of m do not fill the image, the last ones have m - 1 outputs, for which 25 or 30 products do: 7 x 7 outputs take
// 121 of them instead of 144, 15 x 15 take 529 instead of 576.
//
// Images of three channels go their own way there (winograd_few.hpp).
//
// A block of some rows of tiles goes through all steps while it lies in the second cache.  Transforms work on vectors
// of channels, so a few image rows of as many channels are transposed first, and back at the end.  Outside the image
// there are zeros; what is computed beyond the output is not stored.
//
// What limits it, measured with 64 images of 64 channels, 32x32, and 3x3: products take three quarters of the time, at nine
// tenths of the rate of multiply-adds; a tenth goes into turning pixels and channels around, the rest into transforms.
// With 128-256 channels and 8x8 U and dU have 4.7 MB each, beyond the second cache; then threads go back plane by plane.
#include "winograd.hpp"

#include <algorithm>
#include <utility>

#include "channels_last.hpp"
#include "conv.hpp"
#include "gemm_micro.hpp"
#include "parallel.hpp"
#include "winograd_few.hpp"
#include "winograd_weights.hpp"

#define WINOGRAD_RULES \
    ", HH > 2, HH <= 7, WW = HH, stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1, OH + HH > H + top, OW + WW > W + left"

namespace backpass {
namespace {

// Bytes of V and M that a block should have: about what the second cache holds, and twice as much for the backward, which
// reads and writes dU once for each block.
constexpr long forward_bytes = 1280 << 10, backward_bytes = 2560 << 10;

// Tiles that a block should have: what fills so many bytes, and more where a block reads many more weights than that.
template <class T>
long block_tiles(const ConvSizes& s, long bytes) {
    const long tile_bytes = 36 * sizeof(T) * (odd_vectors<T>(s.C) + odd_vectors<T>(s.F));
    return std::clamp<long>(std::max(bytes / tile_bytes, s.C * s.F / (4 * (s.C + s.F))), MR, 4 * MR);
}

// Tiles of a block whose planes threads share, and from what size of U and dU on they do (`backward_by_planes`).  Measured:
// 128-256 channels take 0.95 of the time and 256-256 0.8, 64-256 1.04.
constexpr long plane_tiles = 128;
inline bool pays_by_planes(const ConvSizes& s) { return s.C * s.F >= 80 * (s.C + s.F); }

// Tiles of m x m outputs, and `subs` filters of 7 - m taps along each dimension: m (subs - 1) + 7 - m taps together.
template <class T, int m, int subs>
struct Layout {
    static constexpr long overlap = m * (subs - 1) + 6 - m;  // lines of the input beyond those of the output
    static constexpr bool shortens = m > 2 && subs == 1;     // whether the last tiles may be one output shorter
    ConvSizes s;
    long rows, cols;       // tiles of an image
    long full_rows, full_cols;  // of these, m outputs high or wide: the first ones
    long wide;             // tiles of inputs in a row
    long together;         // rows of tiles that stay in one block
    long block_rows;       // rows of tiles that a block should have, of one image or several
    long most_rows;        // and may have
    long tiles;            // of inputs in a block, at most
    long pitch;            // columns of the input under a row of tiles
    long C_stride, F_stride;  // from tile to tile in V and M
    long V_plane, M_plane;    // from s to s

    Layout(const ConvSizes& s, long wanted) : s(s) {  // tiles in a block
        rows = divide_up(s.OH, m);
        cols = divide_up(s.OW, m);
        full_rows = shortens ? std::max(0L, s.OH - (m - 1) * rows) : rows;
        full_cols = shortens ? std::max(0L, s.OW - (m - 1) * cols) : cols;
        block_rows = std::max(1L, (wanted + cols / 2) / cols);
        together = subs > 1 && block_rows >= rows ? rows : 1;  // each image has a row of inputs more
        block_rows -= block_rows % together;
        wide = cols + subs - 1;
        most_rows = std::min(block_rows + block_rows / 2 + together, s.N * rows);
        const long images = (most_rows + 2 * rows - 2) / rows;  // that have a part in a block, at most
        tiles = (most_rows + images * (subs - 1)) * wide;
        pitch = first_col(cols) + overlap;
        C_stride = odd_vectors<T>(s.C);
        F_stride = odd_vectors<T>(s.F);
        V_plane = odd_vectors<T>(tiles * C_stride);
        M_plane = odd_vectors<T>((tiles + subs - 1) * F_stride);
    }
    // Where a row or column of tiles begins, in lines or columns of the output.
    long first_line(long row) const { return m * row - std::max(0L, row - full_rows); }
    long first_col(long col) const { return m * col - std::max(0L, col - full_cols); }
    // f(std::true_type) for tiles that are shorter along a dimension, else f(std::false_type).
    template <class F>
    static void with_height(bool is_short, F&& f) {
        if constexpr (shortens)
            if (is_short) return f(std::true_type{});
        f(std::false_type{});
    }
    // Blocks of `total` rows: an even number, so that two threads share equally, and of equal size, up to half above what it
    // should be.
    long blocks(long total) const { return std::clamp((total + block_rows) / (2 * block_rows) * 2, 1L, total / together); }
    long block_begin(long total, long block) const { return total / together * block / blocks(total) * together; }
    long work() const { return s.N * rows * cols * 36 * subs * subs * s.C * s.F; }
    // Scratch for the image lines of a block, L channels side by side, and for one row of tiles between two transforms.
    long strip_size() const { return (m * std::min(most_rows, rows) + overlap) * pitch * lanes<T>; }
    long half_size() const { return 6 * pitch * lanes<T>; }
};

// The transforms of the input of a tile, or of a shorter one.
template <bool is_short, class V>
inline void input_of(const V (&d)[6], V (&o)[6]) {
    is_short ? winograd::shorter_input(d, o) : winograd::input(d, o);
}
template <bool is_short, class V>
inline void input_back_of(const V (&g)[6], V (&o)[6]) {
    is_short ? winograd::shorter_input_back(g, o) : winograd::input_back(g, o);
}

// Rows of tiles of one image: [first, last) of image n; the block's tiles from `tile` on are theirs, `wide`
// in each of last - first + subs - 1 rows.
struct Span {
    long n, first, last, tile;
};

// f(span) for each image that has a part in the rows begin .. end of tiles, numbered through all images.
template <class T, int m, int subs, class F>
inline void spans(const Layout<T, m, subs>& g, long begin, long end, F&& f) {
    for (long row = begin, tile = 0; row < end;) {
        const long n = row / g.rows, first = row % g.rows, last = std::min(g.rows, first + end - row);
        f(Span{n, first, last, tile});
        row += last - first;
        tile += (last - first + subs - 1) * g.wide;
    }
}

// Fetches a line of each of L planes into the second cache.  The transforms of a tile call it for as many lines as the
// tile has: of the channels that come next, or of the output, before it is written.
template <class T>
inline void fetch(const T* at, long plane) {
#pragma GCC unroll 16
    for (long k = 0; k < lanes<T>; k++) __builtin_prefetch(at + k * plane, 0, 2);
}

// Where the tiles of the rows begin .. end lie in V, M and dV.  No shorter tile has a product at the point -2 of its dimension;
// sorted like this, those that have one lie side by side:
//
//     short rows, full columns  |  full rows, full columns  |  full rows, short columns  |  short rows, short columns
template <class T, int m, int subs>
struct Order {
    const Layout<T, m, subs>& g;
    long begin, short_rows, full_rows, wide;

    Order(const Layout<T, m, subs>& g, long begin, long end) : g(g), begin(begin) {
        short_rows = short_before(end) - short_before(begin);
        full_rows = end - begin - short_rows;
        wide = g.cols - g.full_cols;
    }
    long short_before(long row) const {
        return row / g.rows * (g.rows - g.full_rows) + std::max(0L, row % g.rows - g.full_rows);
    }
    // The first of a row's full tiles, and of its short ones.
    struct Place {
        long full, narrow;
    };
    Place place(Span span, long row) const {
        if (!g.shortens) return {span.tile + (row - span.first) * g.wide, 0};
        const long number = span.n * g.rows + row, among_short = short_before(number) - short_before(begin);
        const long all_full = (short_rows + full_rows) * g.full_cols;
        if (row >= g.full_rows) return {among_short * g.full_cols, all_full + full_rows * wide + among_short * wide};
        const long among_full = number - begin - among_short;
        return {(short_rows + among_full) * g.full_cols, all_full + among_full * wide};
    }
    // The tiles from `tile` on, `tiles` of them, that have a product s.
    struct Run {
        long tile, tiles;
    };
    Run with_product(long s, Run all) const {
        if (!g.shortens) return all;
        const long first = s / 6 == 4 ? short_rows * g.full_cols : 0;
        const long narrow = s / 6 == 4 ? full_rows : full_rows + short_rows;
        return {first, (short_rows + full_rows) * g.full_cols - first + (s % 6 == 4 ? 0 : narrow * wide)};
    }
};

// V[s, t, c] of the rows begin .. end of tiles, for channels from c0 on to c1, whole vectors or to the last one.
template <class T, int m, int subs>
void transform_input(T* V, const T* x, const Layout<T, m, subs>& g, long begin, long end, long c0, long c1, T* strip, T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    const Order order(g, begin, end);
    spans(g, begin, end, [&](Span span) {
        const long top = g.first_line(span.first), height = g.first_line(span.last) - top + g.overlap;
        const long above = top - s.top;  // image row of the strip's first
        const long y0 = std::clamp(-above, 0L, height), y1 = std::clamp(s.H - above, y0, height);
        zero_border(strip, g.pitch, height, y0, y1, s.left, s.left + s.W);
        for (long c = c0; c < c1; c += L) {
            const T* const from = x + ((span.n * s.C + c) * s.H + above + y0) * s.W;
            gather<T, false>(strip + (y0 * g.pitch + s.left) * L, g.pitch - s.W, from, nullptr, s.H * s.W,
                             std::min<long>(L, s.C - c), s.W, (y1 - y0) * s.W);
            const T* next = from + L * s.H * s.W;
            for (long row = span.first; row < span.last + subs - 1; row++)
                g.with_height(row >= g.full_rows, [&](auto low) {
                    constexpr int lines = 6 - low;
                    const T* const line = strip + (g.first_line(row) - top) * g.pitch * L;
                    for (long col = 0; col < g.pitch; col++) {
                        Vec<T> d[6], o[6];
#pragma GCC unroll 6
                        for (int p = 0; p < lines; p++) d[p] = load(line + (p * g.pitch + col) * L);
                        input_of<low>(d, o);
#pragma GCC unroll 6
                        for (int p = 0; p < 6; p++)
                            if (!(low && p == 4)) store(half + (p * g.pitch + col) * L, o[p]);
                    }
                    const auto [full, narrow] = order.place(span, row);
                    const auto across = [&](auto is_narrow, T* to, long col, long end) {
                        constexpr int columns = 6 - is_narrow;
                        for (; col < end; col++, to += g.C_stride, next += m * m) {
                            fetch(next, s.H * s.W);
#pragma GCC unroll 6
                            for (int p = 0; p < 6; p++) {
                                if (low && p == 4) continue;
                                const T* const from = half + (p * g.pitch + g.first_col(col)) * L;
                                Vec<T> d[6], o[6];
#pragma GCC unroll 6
                                for (int q = 0; q < columns; q++) d[q] = load(from + q * L);
                                input_of<is_narrow>(d, o);
#pragma GCC unroll 6
                                for (int q = 0; q < 6; q++)
                                    if (!(is_narrow && q == 4)) store(to + (6 * p + q) * g.V_plane, o[q]);
                            }
                        }
                    };
                    across(std::false_type{}, V + full * g.C_stride + c, 0, g.full_cols + subs - 1);
                    if constexpr (Layout<T, m, subs>::shortens) across(std::true_type{}, V + narrow * g.C_stride + c, g.full_cols, g.cols);
                });
        }
    });
}

// dM[s, t, f] of the rows begin .. end of tiles, for filters from f0 on to f1; where relu_out is given and zero, dout counts as
// zero.  Where there are more tiles of inputs than of outputs, each row ends with a zero, and so does the one after the last.
template <class T, int m, int subs>
void transform_upstream(T* M, const T* dout, const T* relu_out, const Layout<T, m, subs>& g, long begin, long end, long f0, long f1,
                        T* strip, T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    const Order order(g, begin, end);
    spans(g, begin, end, [&](Span span) {
        const long top = g.first_line(span.first), height = g.first_line(span.last) - top, y1 = std::min(height, s.OH - top);
        zero_border(strip, g.pitch, height, 0, y1, 0, s.OW);
        for (long f = f0; f < f1; f += L) {
            const long at = ((span.n * s.F + f) * s.OH + top) * s.OW, some = std::min<long>(L, s.F - f);
            if (relu_out)
                gather<T, true>(strip, g.pitch - s.OW, dout + at, relu_out + at, s.pixels(), some, s.OW, y1 * s.OW);
            else
                gather<T, false>(strip, g.pitch - s.OW, dout + at, nullptr, s.pixels(), some, s.OW, y1 * s.OW);
            const T* next = dout + at + L * s.pixels();
            for (long row = span.first; row < span.last; row++)
                g.with_height(row >= g.full_rows, [&](auto low) {
                    constexpr int lines = m - low;
                    const T* const line = strip + (g.first_line(row) - top) * g.pitch * L;
                    for (long col = 0; col < g.first_col(g.cols); col++) {
                        Vec<T> d[lines], o[6];
#pragma GCC unroll 4
                        for (int p = 0; p < lines; p++) d[p] = load(line + (p * g.pitch + col) * L);
                        winograd::output_back(d, o);
#pragma GCC unroll 6
                        for (int p = 0; p < 6; p++) store(half + (p * g.pitch + col) * L, o[p]);
                    }
                    const auto [full, narrow] = order.place(span, row);
                    const auto across = [&](auto is_narrow, T* to, long col, long end) {
                        constexpr int columns = m - is_narrow;
                        for (; col < end; col++, to += g.F_stride, next += m * m) {
                            fetch(next, s.pixels());
#pragma GCC unroll 6
                            for (int p = 0; p < 6; p++) {
                                if (low && p == 4) continue;
                                const T* const from = half + (p * g.pitch + g.first_col(col)) * L;
                                Vec<T> d[columns], o[6];
#pragma GCC unroll 4
                                for (int q = 0; q < columns; q++) d[q] = load(from + q * L);
                                winograd::output_back(d, o);
#pragma GCC unroll 6
                                for (int q = 0; q < 6; q++)
                                    if (!(is_narrow && q == 4)) store(to + (6 * p + q) * g.M_plane, o[q]);
                            }
                        }
                    };
                    T* const to = M + full * g.F_stride + f;
                    across(std::false_type{}, to, 0, g.full_cols);
                    if constexpr (Layout<T, m, subs>::shortens) across(std::true_type{}, M + narrow * g.F_stride + f, g.full_cols, g.cols);
                    if (subs > 1)
                        for (int p = 0; p < 36; p++) store(to + g.cols * g.F_stride + p * g.M_plane, Vec<T>{});
                });
            if (subs > 1) {
                T* const after = M + (span.tile + (span.last - span.first) * g.wide + g.cols) * g.F_stride + f;
                for (int p = 0; p < 36; p++) store(after + p * g.M_plane, Vec<T>{});
            }
        }
    });
}

// out of the rows begin .. end of tiles, for filters from f0 on to f1, whole vectors or to the last one.
template <class T, int m, int subs>
void transform_output(T* out, const T* M, const T* bias, bool relu, const Layout<T, m, subs>& g, long begin, long end, long f0,
                      long f1, T* strip) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    const Order order(g, begin, end);
    spans(g, begin, end, [&](Span span) {
        const long top = g.first_line(span.first);
        for (long f = f0; f < f1; f += L) {
            const long some = std::min<long>(L, s.F - f);
            const Vec<T> add = bias ? load_some(bias + f, some) : Vec<T>{};
            T* const to = out + ((span.n * s.F + f) * s.OH + top) * s.OW;
            const T* next = to;
            for (long row = span.first; row < span.last; row++)
                g.with_height(row >= g.full_rows, [&](auto low) {
                    const auto [full, narrow] = order.place(span, row);
                    const auto across = [&](auto is_narrow, const T* from, long col, long end) {
                        constexpr int lines = m - low, columns = m - is_narrow;
                        for (; col < end; col++, from += g.F_stride, next += m * m) {
                            fetch(next, s.pixels());
                            Vec<T> half[lines][6] = {};
#pragma GCC unroll 6
                            for (int q = 0; q < 6; q++) {
                                if (is_narrow && q == 4) continue;
                                Vec<T> sums[6] = {}, o[lines];
#pragma GCC unroll 6
                                for (int p = 0; p < 6; p++)
                                    if (!(low && p == 4)) sums[p] = load(from + (6 * p + q) * g.M_plane);
                                winograd::output(sums, o);
#pragma GCC unroll 4
                                for (int p = 0; p < lines; p++) half[p][q] = o[p];
                            }
                            T* const at = strip + ((g.first_line(row) - top) * g.pitch + g.first_col(col)) * L;
#pragma GCC unroll 4
                            for (int p = 0; p < lines; p++) {
                                Vec<T> o[columns];
                                winograd::output(half[p], o);
#pragma GCC unroll 4
                                for (int q = 0; q < columns; q++) {
                                    Vec<T> value = o[q] + add;
                                    if (relu) value = value < 0 ? Vec<T>{} : value;
                                    store(at + (p * g.pitch + q) * L, value);
                                }
                            }
                        }
                    };
                    across(std::false_type{}, M + full * g.F_stride + f, 0, g.full_cols);
                    if constexpr (Layout<T, m, subs>::shortens) across(std::true_type{}, M + narrow * g.F_stride + f, g.full_cols, g.cols);
                });
            const long lines = std::min(g.first_line(span.last), s.OH) - top;
            scatter(to, s.pixels(), some, strip, g.pitch - s.OW, s.OW, lines * s.OW);
        }
    });
}

// dx of the rows begin .. end of tiles, from dV, for channels from c0 on to c1.  The lowest lines of a span belong to the next row of tiles too: `carry`
// (channels / L, overlap, pitch, L) takes them there, from one span of the image to the next.
template <class T, int m, int subs>
void transform_input_back(T* dx, const T* V, T* carry, const Layout<T, m, subs>& g, long begin, long end, long c0, long c1, T* strip,
                          T* half) {
    constexpr int L = lanes<T>;
    const ConvSizes& s = g.s;
    constexpr int overlap = Layout<T, m, subs>::overlap, shared_by_tiles = 6 - m;
    const long shared = overlap * g.pitch * L;
    const Order order(g, begin, end);
    spans(g, begin, end, [&](Span span) {
        const long top = g.first_line(span.first), above = top - s.top, height = g.first_line(span.last) - top;
        const bool ends = span.last == g.rows;
        const long y0 = std::max(0L, -above), y1 = std::clamp(s.H - above, y0, ends ? height + overlap : std::max(y0, height));
        for (long c = c0; c < c1; c += L) {
            const long some = std::min<long>(L, s.C - c);
            T* const carried = carry + c * overlap * g.pitch;
            if (span.first == 0)
                fill_zero(strip, shared);
            else
                std::copy(carried, carried + shared, strip);
            T* const to = dx + ((span.n * s.C + c) * s.H + above + y0) * s.W;
            const T* next = to;
            for (long row = span.first; row < span.last + subs - 1; row++)
                g.with_height(row >= g.full_rows, [&](auto low) {
                    const auto [full, narrow] = order.place(span, row);
#pragma GCC unroll 6
                    for (int p = 0; p < 6; p++) {
                        if (low && p == 4) continue;
                        Vec<T> before[shared_by_tiles] = {};  // what the last tile adds to the first columns of the next
                        T* at = half + p * g.pitch * L;
                        const auto across = [&](auto is_narrow, const T* from, long tiles) {
                            constexpr int columns = m - is_narrow;
                            for (long tile = 0; tile < tiles; tile++, from += g.C_stride, at += columns * L) {
                                Vec<T> d[6], o[6];
#pragma GCC unroll 6
                                for (int q = 0; q < 6; q++)
                                    if (!(is_narrow && q == 4)) d[q] = load(from + (6 * p + q) * g.V_plane);
                                input_back_of<is_narrow>(d, o);
#pragma GCC unroll 6
                                for (int q = 0; q < shared_by_tiles; q++) o[q] += before[q];
#pragma GCC unroll 6
                                for (int q = 0; q < columns + shared_by_tiles; q++)
                                    q < columns ? store(at + q * L, o[q]) : void(before[q - columns] = o[q]);
                            }
                        };
                        across(std::false_type{}, V + full * g.C_stride + c, g.full_cols + subs - 1);
                        if constexpr (Layout<T, m, subs>::shortens) across(std::true_type{}, V + narrow * g.C_stride + c, g.cols - g.full_cols);
#pragma GCC unroll 6
                        for (int q = 0; q < shared_by_tiles; q++) store(at + q * L, before[q]);
                    }
                    constexpr int lines = 6 - low;
                    T* const line = strip + (g.first_line(row) - top) * g.pitch * L;
                    for (long col = 0; col < g.pitch; col++) {
                        if (col % m == 0) fetch(next, s.H * s.W), next += m * m;
                        Vec<T> d[6], o[6];
#pragma GCC unroll 6
                        for (int p = 0; p < 6; p++)
                            if (!(low && p == 4)) d[p] = load(half + (p * g.pitch + col) * L);
                        input_back_of<low>(d, o);
#pragma GCC unroll 6
                        for (int p = 0; p < lines; p++) {
                            T* const at = line + (p * g.pitch + col) * L;
                            store(at, p < shared_by_tiles || (row == span.first && p < overlap) ? load(at) + o[p] : o[p]);
                        }
                    }
                });
            scatter(to, s.H * s.W, some, strip + (y0 * g.pitch + s.left) * L, g.pitch - s.W, s.W, (y1 - y0) * s.W);
            if (!ends) std::copy(strip + height * g.pitch * L, strip + height * g.pitch * L + shared, carried);
        }
    });
}

// Which products make up a tile of M: A and B of each, as offsets.
struct Terms {
    int count = 0;
    long a[4], b[4];
    void add(long from, long weights) { a[count] = from, b[count++] = weights; }
};

// c (rows, vectors), lines `c_stride` apart, = Σ over the terms of A (rows, depth), lines `stride` apart, B (depth, vectors).
template <class T, int rows, int vectors>
void sum_of_products(const Terms& terms, long depth, const T* a, long stride, const T* b, T* c, long c_stride) {
    constexpr int L = lanes<T>;
    Vec<T> sum[rows][vectors] = {};
    for (int term = 0; term < terms.count; term++) {
        const T *from = a + terms.a[term], *weights = b + terms.b[term];
        for (long k = 0; k < depth; k++, from++, weights += vectors * L) {
            Vec<T> row[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) row[v] = load(weights + v * L);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sum[r][v] += broadcast(from[r * stride]) * row[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) store(c + r * c_stride + v * L, sum[r][v]);
}

// c (tiles, lines) = Σ over the terms of A (tiles, depth), panels of weights: for any number of tiles, in parts as equal as
// possible.
template <class T, int m, int subs>
void multiply_run(const Terms& terms, const T* a, long stride, const Weights<T, m, subs>& weights, long s, T* c, long c_stride,
                  long tiles) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array{std::array{sum_of_products<T, r + 1, 1>, sum_of_products<T, r + 1, 2>}...};
    }(std::make_integer_sequence<int, MR>{});
    const long parts = divide_up(tiles, MR);
    for (long line = weights.first; line < weights.last; line += NR<T>) {
        const long width = weights.width(line);
        Terms here = terms;
        for (int i = 0; i < terms.count; i++) here.b[i] *= weights.depth * width;
        for (long part = 0; part < parts; part++) {
            const long t = part * tiles / parts, height = (part + 1) * tiles / parts - t;
            kernels[height - 1][width > lanes<T>](here, weights.depth, a + t * stride, stride, weights.panel(line, s),
                                                  c + t * c_stride + line, c_stride);
        }
    }
}

// M[s, t, f] = Σ_ij Σ_c V[s, t + (i, j), c] U_ij[s, c, f].
template <class T, int m, int subs>
void multiply(T* M, const T* V, const Weights<T, m, subs>& weights, const Layout<T, m, subs>& g, long begin, long end, long s) {
    Terms terms;
    for (int i = 0; i < subs; i++)
        for (int j = 0; j < subs; j++)
            if (!is_zero(subs, s / 6, i) && !is_zero(subs, s % 6, j)) terms.add((i * g.wide + j) * g.C_stride, i * subs + j);
    const Order order(g, begin, end);
    const auto run = [&](long first, long count) {
        const auto [tile, tiles] = order.with_product(s, {first, count});
        multiply_run(terms, V + s * g.V_plane + tile * g.C_stride, g.C_stride, weights, s, M + s * g.M_plane + tile * g.F_stride,
                     g.F_stride, tiles);
    };
    if (subs == 1) return run(0, (end - begin) * g.cols);
    spans(g, begin, end, [&](Span span) {
        for (long row = 0; row < span.last - span.first; row++) run(span.tile + row * g.wide, g.cols);
    });
}

// dV[s, t, c] = Σ_ij Σ_f dM[s, t - (i, j), f] U_ij[s, c, f].
template <class T, int m, int subs>
void multiply_back(T* V, const T* M, const Weights<T, m, subs>& weights, const Layout<T, m, subs>& g, long begin, long end, long s) {
    // For a row of tiles of inputs: the rows of outputs from i = first to last before it.
    const Order order(g, begin, end);
    const auto run = [&](long from, long count, int first, int last) {
        const auto [tile, tiles] = order.with_product(s, {from, count});
        Terms terms;
        for (int i = first; i <= last; i++)
            for (int j = 0; j < subs; j++)
                if (!is_zero(subs, s / 6, i) && !is_zero(subs, s % 6, j)) terms.add(-(i * g.wide + j) * g.F_stride, i * subs + j);
        multiply_run(terms, M + s * g.M_plane + tile * g.F_stride, g.F_stride, weights, s, V + s * g.V_plane + tile * g.C_stride,
                     g.C_stride, tiles);
    };
    if (subs == 1) return run(0, (end - begin) * g.cols, 0, 0);
    spans(g, begin, end, [&](Span span) {
        const long rows = span.last - span.first;
        for (long row = 0; row <= rows; row++) run(span.tile + row * g.wide, g.wide, row == rows, row > 0);
    });
}

// dU_ij[s] (+)= Σ_t V[s, t + (i, j)] dM[s, t], in panels of NR filters, each (C, NR), for each (i, j).
template <class T, int m, int subs>
void multiply_weights(T* dU, const T* V, const T* M, const Layout<T, m, subs>& g, long begin, long end, long s, bool accumulate) {
    const long C = g.s.C, filters = divide_up(g.s.F, lanes<T>) * lanes<T>, parts = divide_up(C, MR);
    Epilogue<T> epilogue;
    epilogue.accumulate = accumulate;
    const bool far = 36 * (g.V_plane + g.M_plane) * static_cast<long>(sizeof(T)) > forward_bytes;
    long column = 0;  // then each tile of sums fetches a column of vectors of the next V or dM
    const auto beside = [&](long tile, long tiles) -> Beside<T> {
        if (!far) return {};
        const long at = std::exchange(column, column + lanes<T>), more = at - g.C_stride;
        if (more < 0) return {V + (s + 1) * g.V_plane + tile * g.C_stride + at, g.C_stride, tiles, 1};
        if (more < g.F_stride) return {M + (s + 1) * g.M_plane + tile * g.F_stride + more, g.F_stride, tiles, 1};
        return {};
    };
    const Order order(g, begin, end);
    const auto run = [&](long first, long count) {
        const auto [tile, tiles] = order.with_product(s, {first, count});
        for (int i = 0; i < subs; i++)
            for (int j = 0; j < subs; j++) {
                if (is_zero(subs, s / 6, i) || is_zero(subs, s % 6, j)) continue;
                const T* const from = V + s * g.V_plane + (tile + i * g.wide + j) * g.C_stride;
                T* const sums = dU + ((s * subs + i) * subs + j) * weights_plane<T>(g.s);
                for (long f = 0; f < filters; f += NR<T>) {
                    const long width = std::min<long>(NR<T>, filters - f);
                    for (long part = 0; part < parts; part++) {
                        const long c = part * C / parts, height = (part + 1) * C / parts - c;
                        tile_of<T>(height, width)(tiles, from + c, g.C_stride, M + s * g.M_plane + tile * g.F_stride + f, g.F_stride,
                                                  sums + f * C + c * width, width, width, epilogue, beside(tile, tiles));
                    }
                }
            }
        epilogue.accumulate = true;
    };
    if (subs == 1) return run(0, (end - begin) * g.cols);
    spans(g, begin, end, [&](Span span) { run(span.tile, (span.last - span.first) * g.wide - (subs - 1)); });
}

// bias[f] += Σ_t of the tiles' sums of dout, which is what the transform is at the point 1.
template <class T, int m, int subs>
void add_bias(T* bias, const T* M, const Layout<T, m, subs>& g, long begin, long end) {
    spans(g, begin, end, [&](Span span) {
        for (long row = 0; row < span.last - span.first; row++)
            for (long t = span.tile + row * g.wide; t < span.tile + row * g.wide + g.cols; t++)
                for (long f = 0; f < g.s.F; f += lanes<T>)
                    store(bias + f, load(bias + f) + load(M + 7 * g.M_plane + t * g.F_stride + f));
    });
}

template <class T, int m, int subs>
void forward(const ConvSizes& s, Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long relu) {
    const Layout<T, m, subs> g(s, block_tiles<T>(s, forward_bytes));
    constexpr int L = lanes<T>;
    Weights<T, m, subs> weights(s, false, nullptr);
    const long total = s.N * g.rows;
    if (g.blocks(total) == 1) {
        // A small image, say: threads share its channels and then the filters, whose U is met once and stays in the second cache.
        T *const V = scratch<T>(Slot::packed_a, 36 * (g.V_plane + g.M_plane)), *const M = V + 36 * g.V_plane;
        share(divide_up(s.C, L), g.work(), [&](long piece) {
            T* const strip = scratch<T>(Slot::tile, g.strip_size() + g.half_size());
            transform_input(V, x.data, g, 0, total, piece * L, std::min(s.C, (piece + 1) * L), strip, strip + g.strip_size());
        });
        share(divide_up(s.F, L), g.work(), [&](long piece) {
            Weights<T, m, subs> some = weights;
            some.first = piece * L, some.last = std::min(s.F, some.first + L);
            some.packed = scratch<T>(Slot::packed_b, some.size());
            some.transform(w.data);
            for (long k = 0; k < 36; k++) multiply(M, V, some, g, 0, total, k);
            T* const strip = scratch<T>(Slot::tile, g.strip_size());
            transform_output(out.data, M, b.data, relu != 0, g, 0, total, some.first, some.last, strip);
        });
        return;
    }
    weights.packed = scratch<T>(Slot::packed_a, weights.size());
    weights.transform(w.data);
    share(g.blocks(total), g.work(), [&](long block) {
        const long begin = g.block_begin(total, block), end = g.block_begin(total, block + 1);
        T* const V = scratch<T>(Slot::tile, 36 * (g.V_plane + g.M_plane) + g.strip_size() + g.half_size());
        T *const M = V + 36 * g.V_plane, *const strip = M + 36 * g.M_plane, *const half = strip + g.strip_size();
        transform_input(V, x.data, g, begin, end, 0, s.C, strip, half);
        for (long k = 0; k < 36; k++) multiply(M, V, weights, g, begin, end, k);
        transform_output(out.data, M, b.data, relu != 0, g, begin, end, 0, s.F, strip);
    });
}

// The backward where U and dU are far larger than the second cache.  A block reads both once, so it has more tiles, and threads
// share it: first its channels, then its planes s, of which V, dM, U and dU stay in the cache, then its channels again.
template <class T, int m>
void backward_by_planes(const ConvSizes& s, Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x,
                        Array<const T> w, Array<const T> relu_out) {
    constexpr int L = lanes<T>;
    const Layout<T, m, 1> g(s, plane_tiles);
    Weights<T, m, 1> weights(s, true, nullptr);
    if (dx) {
        weights.packed = scratch<T>(Slot::packed_a, weights.size());
        weights.transform(w.data);
    }
    const long channels = divide_up(s.C, L), filters = divide_up(s.F, L), size = 36 * weights_plane<T>(s);
    T *const dU = scratch<T>(Slot::partial, size + filters * L), *const bias = dU + size;
    fill_zero(bias, filters * L);
    T *const V = scratch<T>(Slot::packed_b, 36 * (g.V_plane + g.M_plane) + channels * L * g.overlap * g.pitch);
    T *const M = V + 36 * g.V_plane, *const carry = M + 36 * g.M_plane;
    const long total = s.N * g.rows;
    for (long block = 0; block < g.blocks(total); block++) {
        const long begin = g.block_begin(total, block), end = g.block_begin(total, block + 1);
        share(channels + filters, g.work(), [&](long piece) {
            T *const strip = scratch<T>(Slot::tile, g.strip_size() + g.half_size()), *const half = strip + g.strip_size();
            const long c = piece * L, f = (piece - channels) * L;
            if (piece < channels)
                transform_input(V, x.data, g, begin, end, c, std::min(s.C, c + L), strip, half);
            else
                transform_upstream(M, dout.data, relu_out.data, g, begin, end, f, std::min(s.F, f + L), strip, half);
        });
        add_bias(bias, M, g, begin, end);
        share(36, g.work(), [&](long k) {
            multiply_weights(dU, V, M, g, begin, end, k, block > 0);
            if (dx) multiply_back(V, M, weights, g, begin, end, k);  // in the place of V, which is done with
        });
        if (!dx) continue;
        share(channels, g.work(), [&](long piece) {
            T *const strip = scratch<T>(Slot::tile, g.strip_size() + g.half_size()), *const half = strip + g.strip_size();
            const long c = piece * L;
            transform_input_back(dx.data, V, carry, g, begin, end, c, std::min(s.C, c + L), strip, half);
        });
    }
    transform_weights_back(dw.data, dU, 1, size, weights, s);
    if (db)
        for (long f = 0; f < s.F; f++) db[f] += bias[f];
}

// dx, or dw and db, may be missing.
template <class T, int m, int subs>
void backward(const ConvSizes& s, Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x,
              Array<const T> w, Array<const T> relu_out) {
    constexpr int L = lanes<T>, all = subs * subs;
    if constexpr (subs == 1)
        if (pays_by_planes(s)) return backward_by_planes<T, m>(s, dx, dw, db, dout, x, w, relu_out);
    const Layout<T, m, subs> g(s, block_tiles<T>(s, backward_bytes));
    Weights<T, m, subs> weights(s, true, nullptr);
    if (dx) {
        weights.packed = scratch<T>(Slot::packed_a, weights.size());
        weights.transform(w.data);
    }
    // A piece is some images; it sums dU and db into its own place.
    const long filters = divide_up(s.F, L) * L, plane = weights_plane<T>(s), size = 36 * all * plane + filters;
    const long pieces = std::min(s.N, std::clamp(divide_up(s.N * g.rows * g.cols, 256), 2L, 8L));
    T* const partial = scratch<T>(Slot::partial, pieces * size);
    share(pieces, g.work(), [&](long piece) {
        const long first = piece * s.N / pieces * g.rows, last = (piece + 1) * s.N / pieces * g.rows;
        const long carry_size = divide_up(s.C, L) * L * g.overlap * g.pitch;
        T* const V = scratch<T>(Slot::tile, 36 * (g.V_plane + g.M_plane) + g.strip_size() + g.half_size() + carry_size);
        T *const M = V + 36 * g.V_plane + (subs - 1) * g.F_stride, *const strip = V + 36 * (g.V_plane + g.M_plane);
        T *const half = strip + g.strip_size(), *const carry = half + g.half_size();
        T *const dU = partial + piece * size, *const bias = dU + 36 * all * plane;
        fill_zero(bias, filters);
        if (subs > 1)  // the tile before the first one
            for (int k = 0; k < 36; k++) fill_zero(M + k * g.M_plane - g.F_stride, g.F_stride);
        for (long block = 0; block < g.blocks(last - first); block++) {
            const long begin = first + g.block_begin(last - first, block), end = first + g.block_begin(last - first, block + 1);
            if (dw) transform_input(V, x.data, g, begin, end, 0, s.C, strip, half);
            transform_upstream(M, dout.data, relu_out.data, g, begin, end, 0, s.F, strip, half);
            if (dw) add_bias(bias, M, g, begin, end);
            for (long k = 0; k < 36; k++) {
                if (dw) multiply_weights(dU, V, M, g, begin, end, k, block > 0);
                if (dx) multiply_back(V, M, weights, g, begin, end, k);  // in the place of V, which is done with
            }
            if (dx) transform_input_back(dx.data, V, carry, g, begin, end, 0, s.C, strip, half);
        }
    });

    if (!dw) return;
    transform_weights_back(dw.data, partial, pieces, size, weights, s);
    if (db)
        for (long piece = 0; piece < pieces; piece++)
            for (long f = 0; f < s.F; f++) db[f] += partial[piece * size + 36 * all * plane + f];
}

// f with m and subs for kernels of `size`.
template <class F>
void with_tiles_for(long size, F&& f) {
    using std::integral_constant;
    switch (size) {
        case 3: return f(integral_constant<int, 4>{}, integral_constant<int, 1>{});
        case 4: return f(integral_constant<int, 3>{}, integral_constant<int, 1>{});
        case 5: return f(integral_constant<int, 2>{}, integral_constant<int, 1>{});
        default: return f(integral_constant<int, 3>{}, integral_constant<int, 2>{});
    }
}

// The sizes of a convolution of whose outputs `pooled` has a quarter.
template <class A, class B, class C>
ConvSizes pooled_sizes(const A& pooled, const B& x, const C& w, long top, long left) {
    ConvSizes s = conv_sizes(pooled, x, w, 1, 1, 1, 1, top, left);
    s.OH *= 2, s.OW *= 2;
    return s;
}

}  // namespace

// out (N, F, OH, OW), x (N, C, H, W), w (F, C, HH, HH) with HH = 3 to 7, b (F,) or missing; relu != 0 for the fused conv + relu.
template <class T>
void winograd_forward(Array<T> out, Array<const T> x, Array<const T> w, Array<const T> b, long stride_y, long stride_x,
                      long dilation_y, long dilation_x, long top, long left, long relu) {
    const ConvSizes s = conv_sizes(out, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    if (few::fit(s)) return few::forward<T>(s, out.data, nullptr, x.data, w.data, b.data, relu != 0, false);
    with_tiles_for(s.HH, [&](auto m, auto subs) { forward<T, m, subs>(s, out, x, w, b, relu); });
}
BACKPASS_KERNEL(winograd_forward,
                "out(N, F, OH, OW) x(N, C, H, W) w(F, C, HH, WW) b?(F) " CONV_GEOMETRY " relu |" CONV_RULES WINOGRAD_RULES)

// dx and db may be missing; relu_out is the output of the relu that was fused behind, or missing.
template <class T>
void winograd_backward(Array<T> dx, Array<T> dw, Array<T> db, Array<const T> dout, Array<const T> x, Array<const T> w,
                       Array<const T> relu_out, long stride_y, long stride_x, long dilation_y, long dilation_x, long top,
                       long left) {
    const ConvSizes s = conv_sizes(dout, x, w, stride_y, stride_x, dilation_y, dilation_x, top, left);
    if (few::fit(s)) {
        few::weight_gradients<T>(s, dw.data, db.data, {dout.data, relu_out.data, nullptr}, x.data);
        if (!dx) return;
        dw = db = {};
    }
    with_tiles_for(s.HH, [&](auto m, auto subs) { backward<T, m, subs>(s, dx, dw, db, dout, x, w, relu_out); });
}
BACKPASS_KERNEL(winograd_backward,
                "dx?(N, C, H, W) dw(F, C, HH, WW) db?(F) dout(N, F, OH, OW) x(N, C, H, W) w(F, C, HH, WW) "
                "relu_out?(N, F, OH, OW) " CONV_GEOMETRY " |" CONV_RULES WINOGRAD_RULES)

#define WINOGRAD_POOL_RULES                                                                                \
    " | C = 3, HH > 5, HH <= 7, WW = HH, top > -1, left > -1, 2*PH + HH <= H + 2*top + 2, 2*PW + WW <= W + 2*left + 2"

// Convolution, relu and max pooling of 2 x 2 windows: out, places (N, F, PH, PW), of 2 PH x 2 PW outputs of the convolution;
// places may be missing.
template <class T>
void winograd_pool_forward(Array<T> out, Array<std::uint8_t> places, Array<const T> x, Array<const T> w, Array<const T> b,
                           long top, long left) {
    const ConvSizes s = pooled_sizes(out, x, w, top, left);
    few::forward<T>(s, out.data, places.data, x.data, w.data, b.data, true, true);
}
BACKPASS_KERNEL(winograd_pool_forward,
                "out(N, F, PH, PW) places?(N, F, PH, PW) x(N, C, H, W) w(F, C, HH, WW) b?(F) top left" WINOGRAD_POOL_RULES)

template <class T>
void winograd_pool_backward(Array<T> dw, Array<T> db, Array<const T> dout, Array<const std::uint8_t> places, Array<const T> x,
                            long top, long left) {
    const ConvSizes s = pooled_sizes(dout, x, dw, top, left);
    few::weight_gradients<T>(s, dw.data, db.data, {dout.data, nullptr, places.data}, x.data);
}
BACKPASS_KERNEL(winograd_pool_backward,
                "dw(F, C, HH, WW) db?(F) dout(N, F, PH, PW) places(N, F, PH, PW) x(N, C, H, W) top left" WINOGRAD_POOL_RULES)

}  // namespace backpass
