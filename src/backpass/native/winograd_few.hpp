// winograd.cpp's convolution with kernels of 7 x 7 or 6 x 6, for images of three channels: the first layer of a net.
//
// With so few channels the 36 products are small beside the transforms, which would leave most lanes of a vector of channels
// empty.  Here the lanes are tiles of a row: the columns of the image are sorted by their remainder modulo m = 3, so that
// column q of neighbouring tiles are neighbours.  The products of a tile with its four filters are one sum,
//
//     M[s, t, f] = Σ_ijc V[s, t + (i, j), c] U_ij[s, c, f],        s = (p, q),
//
// of 12 terms (6 or 3 where p or q is the point at infinity), and what they go into stays in the first cache: for a few tiles
// of a row and each q first the products for all p, then Aᵀ on those columns, and last Aᵀ along the lines.
//
// Going back, the columns of dM are computed first and kept for a block; dM[s, t, f] is the sum of at most three of these, so
// it is formed where it is multiplied,
//
//     dU_ij[s, c, f] += Σ_t V[s, t + (i, j), c] (A dout Aᵀ)[s, t, f],
//
// in one tile of sums for all 12 terms.  The way to dx, which the first layer of a net does not need, is that of winograd.cpp.
//
// A relu and a max pooling of 2 x 2 behind can be computed along: then `out` is what they make of it, and `places` says which
// of the four pixels it is, i * 2 + j, or `nowhere` if the relu made it zero.  So large an array is never written, or read.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "channels_last.hpp"
#include "conv.hpp"
#include "parallel.hpp"
#include "winograd.hpp"
#include "winograd_weights.hpp"

namespace backpass::few {

constexpr int m = 3, subs = 2, channels = 3;
constexpr int overlap = 2 * m;  // lines of the input beyond those of the output
constexpr int nowhere = 4;
constexpr int tiles_together = MR;           // of a row, at most, in the forward
constexpr long band_bytes = 256 << 10;       // of the lines of an image that a piece of the forward copies
constexpr long backward_bytes = 320 << 10;   // of dM's columns in a block

inline bool fit(const ConvSizes& s) { return s.C == channels && s.HH > 5; }

template <class T>
struct Layout {
    ConvSizes s;
    long rows, cols;   // tiles of outputs of an image; there is one more row and column of tiles of inputs
    long phase, line;  // columns of the input with the same remainder, in whole vectors; all three of these
    long row;          // V of a row of tiles: (s, c, tile)
    long filters;      // in whole vectors
    long pitch;        // pixels from line to line of outputs, as tiles have them

    explicit Layout(const ConvSizes& s) : s(s) {
        constexpr int L = lanes<T>;
        rows = divide_up(s.OH, m), cols = divide_up(s.OW, m);
        phase = divide_up(cols + 2, L) * L;
        line = m * phase;
        row = 36 * channels * phase;
        filters = divide_up(s.F, L) * L;
        pitch = m * cols;
    }
    long lines(long tile_rows) const { return m * tile_rows + overlap - m; }  // of the input, under rows of tiles of inputs
    long strip_size(long tile_rows) const { return channels * lines(tile_rows) * line + lanes<T>; }
    long work() const { return s.N * rows * cols * 36 * subs * subs * channels * s.F; }

    // The lines of image n under so many rows of tiles of inputs from `first` on, sorted: strip[c][line][remainder][tile].
    void fill(T* strip, const T* x, long n, long first, long tile_rows) const {
        constexpr int L = lanes<T>;
        constexpr auto each = std::make_index_sequence<lanes<T>>{};
        T* to = strip;
        for (long c = 0; c < channels; c++)
            for (long y = m * first - s.top; y < m * first - s.top + lines(tile_rows); y++, to += line) {
                fill_zero(to, line);
                if (y < 0 || y >= s.H) continue;
                const T* const from = x + ((n * channels + c) * s.H + y) * s.W;
                for (long k = 0; m * k < s.W; k += L) {
                    const long rest = s.W - m * k;
                    const Vec<T> v0 = load_some(from + m * k, rest), v1 = load_some(from + m * k + L, rest - L);
                    const Vec<T> v2 = load_some(from + m * k + 2 * L, rest - 2 * L);
                    const auto put = [&](long column, Vec<T> every) {  // column 0, 1 or 2 of the image, and every third after it
                        const long tile = (column + s.left) / m + k;
                        store_some(to + (column + s.left) % m * phase + tile, every, phase - tile);
                    };
                    put(0, every_third<T, 0>(v0, v1, v2, each));
                    put(1, every_third<T, 1>(v0, v1, v2, each));
                    put(2, every_third<T, 2>(v0, v1, v2, each));
                }
            }
        fill_zero(to, lanes<T>);
    }
    // V[s][c][tile] of a row of tiles, number `at` of those under the strip of `tile_rows`.
    void transform_input(T* V, const T* strip, long at, long tile_rows) const {
        constexpr int L = lanes<T>;
        const long length = line, tiles = phase;
        T* const half = scratch<T>(Slot::other, 6 * length + L);
        for (long c = 0; c < channels; c++) {
            const T* const from = strip + (c * lines(tile_rows) + m * at) * length;
            for (long x = 0; x < length; x += L) {
                Vec<T> d[6], o[6];
#pragma GCC unroll 6
                for (int p = 0; p < 6; p++) d[p] = load(from + p * length + x);
                winograd::input(d, o);
#pragma GCC unroll 6
                for (int p = 0; p < 6; p++) store(half + p * length + x, o[p]);
            }
            fill_zero(half + 6 * length, L);
            for (long p = 0; p < 6; p++)
                for (long t = 0; t < tiles; t += L) {
                    Vec<T> d[6], o[6];
#pragma GCC unroll 6
                    for (int q = 0; q < 6; q++) d[q] = load(half + p * length + q % m * tiles + q / m + t);
                    winograd::input(d, o);
#pragma GCC unroll 6
                    for (int q = 0; q < 6; q++) store(V + ((6 * p + q) * channels + c) * tiles + t, o[q]);
                }
        }
    }
};

// to[t] (vectors) = Σ_ijc inputs[i][c * phase + t + j] u[i][j][c], from i0 and j0 on, for some tiles of a row.
template <class T, int tiles, int vectors>
void sum_terms(const T* const (&inputs)[subs], long phase, const T* u, int i0, int j0, T* to) {
    constexpr int L = lanes<T>;
    Vec<T> sum[tiles][vectors] = {};
    for (int i = i0; i < subs; i++)
        for (int j = j0; j < subs; j++) {
            const T* a = inputs[i] + j;
            const T* from = u + (i * subs + j) * channels * vectors * L;
            for (int c = 0; c < channels; c++, a += phase, from += vectors * L) {
                Vec<T> row[vectors];
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) row[v] = load(from + v * L);
#pragma GCC unroll 16
                for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
                    for (int v = 0; v < vectors; v++) sum[t][v] += broadcast(a[t]) * row[v];
            }
        }
#pragma GCC unroll 16
    for (int t = 0; t < tiles; t++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) store(to + (t * vectors + v) * L, sum[t][v]);
}

template <class T>
auto sum_terms_of(long tiles, long width) {
    static constexpr auto kernels = []<int... t>(std::integer_sequence<int, t...>) {
        return std::array{std::array{sum_terms<T, t + 1, 1>, sum_terms<T, t + 1, 2>}...};
    }(std::make_integer_sequence<int, tiles_together>{});
    return kernels[tiles - 1][width > lanes<T>];
}

// columns[y][q][t] (width) for y = 0, 1, 2: Aᵀ M on the columns of some tiles from t0 on, and `width` filters from f on.
template <class T>
void multiply(T* columns, T* M, const T* const (&inputs)[subs], const Layout<T>& g, const Weights<T, m, subs>& weights, long t0,
              long tiles, long f) {
    const long width = weights.width(f), size = tiles * width;
    const auto kernel = sum_terms_of<T>(tiles, width);
    for (int q = 0; q < 6; q++) {
        for (int p = 0; p < 6; p++) {
            const long point = 6 * p + q, at = point * channels * g.phase + t0;
            kernel({inputs[0] + at, inputs[1] + at}, g.phase, weights.panel(f, point), p == 5, q == 5, M + p * size);
        }
        for (long at = 0; at < size; at += lanes<T>) {
            Vec<T> sums[6], o[m];
#pragma GCC unroll 6
            for (int p = 0; p < 6; p++) sums[p] = load(M + p * size + at);
            winograd::output(sums, o);
#pragma GCC unroll 3
            for (int y = 0; y < m; y++) store(columns + (y * 6 + q) * size + at, o[y]);
        }
    }
}

// Aᵀ along the lines: three lines of outputs of L filters, `pitch` pixels from one to the next.
template <class T>
void finish_lines(T* lines, long pitch, const T* columns, long tiles, long width, Vec<T> bias) {
    constexpr int L = lanes<T>;
    for (long y = 0; y < m; y++)
        for (long t = 0; t < tiles; t++) {
            Vec<T> sums[6], o[m];
#pragma GCC unroll 6
            for (int q = 0; q < 6; q++) sums[q] = load(columns + ((y * 6 + q) * tiles + t) * width);
            winograd::output(sums, o);
#pragma GCC unroll 3
            for (int k = 0; k < m; k++) store(lines + (y * pitch + m * t + k) * L, o[k] + bias);
        }
}

template <class T>
void relu_lines(T* lines, long count) {
    for (long i = 0; i < count; i += lanes<T>) {
        const Vec<T> value = load(lines + i);
        store(lines + i, value < 0 ? Vec<T>{} : value);
    }
}

// The places of L pixels of as many filters: bytes of a plane here, and there a vector of integers for each pixel.  Words of a
// lane's size are exchanged: in_word pixels of a filter.
template <class T>
struct Places {
    static constexpr int L = lanes<T>, in_word = std::min<int>(sizeof(T), L), words = L / in_word;
    typedef std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> Word;
    Word word[words][L] = {};

    // The first `count` pixels of the first `filters` planes.
    void load_bytes(const std::uint8_t* from, long plane, long filters, long count) {
        for (long f = 0; f < filters; f++, from += plane)
            for (int j = 0; j < words; j++) {
                if (count == L)
                    std::memcpy(&word[j][f], from + j * in_word, in_word);
                else
                    for (long k = j * in_word; k < std::min<long>(count, (j + 1) * in_word); k++)
                        word[j][f] |= static_cast<Word>(from[k]) << (8 * (k - j * in_word));
            }
    }
    void store_bytes(std::uint8_t* to, long plane, long filters, long count) const {
        for (long f = 0; f < filters; f++, to += plane)
            for (int j = 0; j < words; j++) {
                if (count == L)
                    std::memcpy(to + j * in_word, &word[j][f], in_word);
                else
                    for (long k = j * in_word; k < std::min<long>(count, (j + 1) * in_word); k++)
                        to[k] = static_cast<std::uint8_t>(word[j][f] >> (8 * (k - j * in_word)));
            }
    }
    Vec<Word> of_pixel(long k) const { return load(word[k / in_word]) >> (8 * (k % in_word)) & 255; }
    void take_pixels(const Word* places) {  // L of them
        for (int j = 0; j < words; j++) {
            Vec<Word> all = {};
#pragma GCC unroll 8
            for (int k = 0; k < in_word; k++) all |= load(places + (j * in_word + k) * L) << (8 * k);
            store(word[j], all);
        }
    }
};

// Two lines of outputs, L filters side by side, through pooling and relu.
template <class T, class Word>
void pool_lines(T* best, Word* places, const T* line, long pitch, long OW) {
    constexpr int L = lanes<T>;
    for (long x = 0; x < OW; x++) {
        Vec<T> value = load(line + 2 * x * L);
        Vec<Word> place = {};
        const auto meet = [&](const T* other_at, Word where) {
            const Vec<T> other = load(other_at);
            const auto wins = ~(other <= value) & (value == value);  // larger or a NaN; a NaN stays
            value = wins ? other : value;
            place = wins ? broadcast(where) : place;
        };
        meet(line + (2 * x + 1) * L, 1);
        meet(line + (pitch + 2 * x) * L, 2);
        meet(line + (pitch + 2 * x + 1) * L, 3);
        store(places + x * L, value > 0 ? place : broadcast(nowhere + Word(0)));
        store(best + x * L, value < 0 ? Vec<T>{} : value);
    }
}

// out (N, F, OH, OW), or with `pooled` (N, F, OH / 2, OW / 2) after a relu and a pooling, with places if they are given.
template <class T>
void forward(const ConvSizes& s, T* out, std::uint8_t* places, const T* x, const T* w, const T* b, bool relu, bool pooled) {
    constexpr int L = lanes<T>;
    const Layout<T> g(s);
    Weights<T, m, subs> weights(s, false, nullptr);
    weights.packed = scratch<T>(Slot::packed_a, weights.size());
    weights.transform(w);

    // Where images are few or large, a piece has some rows of tiles of one: pairs of them, which are whole windows of a pooling.
    const long pairs = divide_up(g.rows, 2), parts = divide_up(g.cols, tiles_together);
    const long bytes = g.strip_size(g.rows + 1) * static_cast<long>(sizeof(T));
    const long bands = std::clamp(std::max(8 / s.N, bytes / band_bytes), 1L, pairs);
    share(s.N * bands, g.work(), [&](long piece) {
        const long n = piece / bands, band = piece % bands;
        const long begin = band * pairs / bands * 2, end = std::min(g.rows, (band + 1) * pairs / bands * 2);
        const long outputs = 2 * m * g.pitch * L, pool = pooled ? outputs / 4 : 0;  // of L filters, in two rows of tiles
        T* const strip = scratch<T>(Slot::tile, g.strip_size(end - begin + 1));
        T* const V = scratch<T>(Slot::panel_b, 2 * g.row);
        T* const M = scratch<T>(Slot::panel_a, (6 + 6 * m) * tiles_together * NR<T> + g.filters / L * outputs + pool);
        T *const columns = M + 6 * tiles_together * NR<T>, *const lines = columns + 6 * m * tiles_together * NR<T>;
        T* const best = lines + g.filters / L * outputs;
        typedef typename Places<T>::Word Word;
        Word* const place = scratch<Word>(Slot::partial, pool + L * L);
        g.fill(strip, x, n, begin, end - begin + 1);
        g.transform_input(V, strip, 0, end - begin + 1);
        for (long row = 0; row < end - begin; row++) {
            T *const upper = V + row % 2 * g.row, *const lower = V + (row + 1) % 2 * g.row;
            g.transform_input(lower, strip, row + 1, end - begin + 1);
            for (long part = 0; part < parts; part++)
                for (long panel = 0; panel < s.F; panel += NR<T>) {
                    const long t0 = part * g.cols / parts, tiles = (part + 1) * g.cols / parts - t0, width = weights.width(panel);
                    multiply(columns, M, {upper, lower}, g, weights, t0, tiles, panel);
                    for (long f = panel; f < panel + width; f += L)
                        finish_lines(lines + f / L * outputs + (row % 2 * m * g.pitch + m * t0) * L, g.pitch, columns + f - panel,
                                     tiles, width, b ? load_some(b + f, s.F - f) : Vec<T>{});
                }
            if (row % 2 == 0 && begin + row + 1 < end) continue;
            const long top = m * (begin + row - row % 2), height = std::min(m * (begin + row + 1), s.OH) - top;
            for (long f = 0; f < s.F; f += L) {
                T* const from = lines + f / L * outputs;
                const long some = std::min<long>(L, s.F - f);
                if (!pooled) {
                    if (relu) relu_lines(from, height * g.pitch * L);
                    scatter(out + ((n * s.F + f) * s.OH + top) * s.OW, s.pixels(), some, from, g.pitch - s.OW, s.OW, height * s.OW);
                    continue;
                }
                const long OW = s.OW / 2, plane = s.pixels() / 4, to = (n * s.F + f) * plane + top / 2 * OW;
                for (long y = 0; y < height / 2; y++)
                    pool_lines(best + y * OW * L, place + y * OW * L, from + 2 * y * g.pitch * L, g.pitch, OW);
                scatter(out + to, plane, some, best, 0, OW, height / 2 * OW);
                for (long p = 0; places && p < height / 2 * OW; p += L) {
                    const long count = std::min<long>(L, height / 2 * OW - p);
                    Places<T> few;
                    few.take_pixels(place + p * L);  // beyond the last pixel anything
                    few.store_bytes(places + to + p, plane, some, count);
                }
            }
        }
    });
}

// The gradient of the outputs: of all of them, zero where relu_out is given and zero, or of what a relu and a pooling left.
template <class T>
struct Upstream {
    const T *dout, *relu_out;
    const std::uint8_t* places;
};

// Lines top .. top + count of L filters or fewer, filters side by side.
template <class T>
void fill_lines(T* lines, long pitch, Upstream<T> from, const ConvSizes& s, long n, long f, long top, long count) {
    constexpr int L = lanes<T>;
    const long some = std::min<long>(L, s.F - f), at = ((n * s.F + f) * s.OH + top) * s.OW;
    if (!from.places && from.relu_out)
        return gather<T, true>(lines, pitch - s.OW, from.dout + at, from.relu_out + at, s.pixels(), some, s.OW, count * s.OW);
    if (!from.places)
        return gather<T, false>(lines, pitch - s.OW, from.dout + at, nullptr, s.pixels(), some, s.OW, count * s.OW);
    const long OW = s.OW / 2, plane = s.pixels() / 4, first = (n * s.F + f) * plane + top / 2 * OW, pixels = count / 2 * OW;
    const auto put = [&](Vec<T> value, auto place) {
        store(lines, place == 0 ? value : Vec<T>{});
        store(lines + L, place == 1 ? value : Vec<T>{});
        store(lines + pitch * L, place == 2 ? value : Vec<T>{});
        store(lines + (pitch + 1) * L, place == 3 ? value : Vec<T>{});
        lines += 2 * L;
    };
    for (long p = 0, x = 0; p < pixels; p += L) {
        const long more = std::min<long>(L, pixels - p);
        Places<T> places;
        places.load_bytes(from.places + first + p, plane, some, more);
        Vec<T> v[L];
#pragma GCC unroll 16
        for (int k = 0; k < L; k++) v[k] = k < some ? load_some(from.dout + first + k * plane + p, more) : Vec<T>{};
        transpose<T>(v);
        if (more == L && x + L <= OW) {  // all in one line
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) put(v[k], places.of_pixel(k));
            x += L;
        } else {
            T square[L * L];
#pragma GCC unroll 16
            for (int k = 0; k < L; k++) store(square + k * L, v[k]);
            for (long k = 0; k < more; k++, x++) {
                if (x == OW) x = 0, lines += (2 * pitch - s.OW) * L;
                put(load(square + k * L), places.of_pixel(k));
            }
        }
        if (x == OW) x = 0, lines += (2 * pitch - s.OW) * L;
    }
}

// (A d)[p] of three vectors `step` apart.
template <class T, int p>
inline Vec<T> at_point(const T* d, long step) {
    if constexpr (p == 0) return load(d);
    if constexpr (p == 5) return load(d + 2 * step);
    constexpr T square = p > 2 ? 4 : 1, single = (p > 2 ? 2 : 1) * (p % 2 ? 1 : -1);
    return (load(d) + square * load(d + 2 * step)) + single * load(d + step);
}

// Where a tile of sums of dU reads and writes: V, from tile to tile 1, from channel to channel `phase` and from row to row
// `row`; the columns of dM, (tile_rows, 3, cols, vectors); and where to[i][j][c] are.
template <class T>
struct Sums {
    const T* V;
    long phase, row;
    const T* columns;
    long tile_rows, cols;
    T* to;
    long i_step, j_step, c_step;
    bool accumulate;
};

// dU[p, q] for `is` filters i and `js` filters j, of all channels.
template <class T, int p, int is, int js, int vectors>
void sum_gradients(const Sums<T>& x) {
    constexpr int L = lanes<T>;
    Vec<T> sum[is][js][channels][vectors] = {};
    const long line = x.cols * vectors * L;
    const T* d = x.columns;
    for (long y = 0; y < x.tile_rows; y++, d += (m - 1) * line) {
        const T* a[is][channels];
#pragma GCC unroll 2
        for (int i = 0; i < is; i++)
#pragma GCC unroll 3
            for (int c = 0; c < channels; c++) a[i][c] = x.V + (y + i) * x.row + c * x.phase;
        for (long t = 0; t < x.cols; t++, d += vectors * L) {
            Vec<T> value[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) value[v] = at_point<T, p>(d + v * L, line);
#pragma GCC unroll 2
            for (int i = 0; i < is; i++)
#pragma GCC unroll 2
                for (int j = 0; j < js; j++)
#pragma GCC unroll 3
                    for (int c = 0; c < channels; c++)
#pragma GCC unroll 2
                        for (int v = 0; v < vectors; v++) sum[i][j][c][v] += broadcast(a[i][c][t + j]) * value[v];
        }
    }
#pragma GCC unroll 2
    for (int i = 0; i < is; i++)
#pragma GCC unroll 2
        for (int j = 0; j < js; j++)
#pragma GCC unroll 3
            for (int c = 0; c < channels; c++)
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) {
                    T* const to = x.to + i * x.i_step + j * x.j_step + c * x.c_step + v * L;
                    store(to, x.accumulate ? load(to) + sum[i][j][c][v] : sum[i][j][c][v]);
                }
}

// Filters i whose sums fit into registers together.
constexpr int most_is = MR < subs * subs * channels ? 1 : 2;

template <class T>
auto sum_gradients_of(int p, int q, long width) {
    static constexpr auto kernels = []<int... p_>(std::integer_sequence<int, p_...>) {
        return std::array{std::array{sum_gradients<T, p_, p_ < 5 ? most_is : 1, 2, 1>, sum_gradients<T, p_, p_ < 5 ? most_is : 1, 2, 2>,
                                     sum_gradients<T, p_, p_ < 5 ? most_is : 1, 1, 1>, sum_gradients<T, p_, p_ < 5 ? most_is : 1, 1, 2>}...};
    }(std::make_integer_sequence<int, 6>{});
    return kernels[p][2 * (q == 5) + (width > lanes<T>)];
}

// dw and db.
template <class T>
void weight_gradients(const ConvSizes& s, T* dw, T* db, Upstream<T> upstream, const T* x) {
    constexpr int L = lanes<T>, all = subs * subs;
    const Layout<T> g(s);
    const long plane = weights_plane<T>(s), size = 36 * all * plane + g.filters;
    // A piece is some images; it sums dU and db into its own place.
    const long pieces = std::min(s.N, std::clamp(divide_up(s.N * g.rows * g.cols, 256), 2L, 8L));
    T* const partial = scratch<T>(Slot::partial, pieces * size);
    const long row_bytes = 6 * m * g.cols * NR<T> * static_cast<long>(sizeof(T));
    const long block_rows = std::min(g.rows, std::max(2L, backward_bytes / row_bytes / 2 * 2));
    share(pieces, g.work(), [&](long piece) {
        T *const dU = partial + piece * size, *const bias = dU + 36 * all * plane;
        fill_zero(bias, g.filters);
        T* const strip = scratch<T>(Slot::tile, g.strip_size(block_rows + 1));
        T* const V = scratch<T>(Slot::panel_b, (block_rows + 1) * g.row);
        const long column = m * block_rows * g.cols * NR<T>;  // of dM, for a q
        T* const columns = scratch<T>(Slot::panel_a, 6 * column + m * block_rows * g.pitch * L), *const lines = columns + 6 * column;
        bool accumulate = false;
        for (long n = piece * s.N / pieces; n < (piece + 1) * s.N / pieces; n++)
            for (long begin = 0; begin < g.rows; begin += block_rows) {
                const long tile_rows = std::min(block_rows, g.rows - begin), top = m * begin, height = m * tile_rows;
                g.fill(strip, x, n, begin, tile_rows + 1);
                for (long row = 0; row <= tile_rows; row++) g.transform_input(V + row * g.row, strip, row, tile_rows + 1);
                for (long f = 0; f < s.F; f += NR<T>) {
                    const long width = std::min<long>(NR<T>, g.filters - f);
                    for (long v = 0; v < width; v += L) {
                        const long count = std::min(height, s.OH - top);
                        zero_border(lines, g.pitch, height, 0, count, 0, s.OW);
                        fill_lines(lines, g.pitch, upstream, s, n, f + v, top, count);
                        Vec<T> sum = load(bias + f + v);
                        const long tiles = height * g.cols;
                        for (long at = 0; at < tiles; at++) {
                            Vec<T> d[m], o[6];
#pragma GCC unroll 3
                            for (int k = 0; k < m; k++) d[k] = load(lines + (m * at + k) * L);
                            winograd::output_back(d, o);
                            sum += o[1];  // the point 1 has the sum of the three
#pragma GCC unroll 6
                            for (int q = 0; q < 6; q++) store(columns + q * column + at * width + v, o[q]);
                        }
                        store(bias + f + v, sum);
                    }
                    for (int q = 0; q < 6; q++)
                        for (int p = 0; p < 6; p++) {
                            const long point = 6 * p + q;
                            const auto kernel = sum_gradients_of<T>(p, q, width);
                            const int first_j = q == 5, step = p < 5 ? most_is : 1;
                            for (int i = p == 5; i < subs; i += step)
                                kernel({V + i * g.row + point * channels * g.phase + first_j, g.phase, g.row, columns + q * column,
                                        tile_rows, g.cols, dU + (point * all + i * subs + first_j) * plane + f * channels,
                                        subs * plane, plane, width, accumulate});
                        }
                }
                accumulate = true;
            }
    });
    transform_weights_back(dw, partial, pieces, size, Weights<T, m, subs>(s, true, nullptr), s);
    if (db)
        for (long piece = 0; piece < pieces; piece++)
            for (long f = 0; f < s.F; f++) db[f] += partial[piece * size + 36 * all * plane + f];
}

}  // namespace backpass::few
