// The inner kernel of the matrix product, and the packing that feeds it: the pieces that a convolution
// (Winograd, implicit im2col) puts together in its own way.
//
// The kernel computes a tile of C that stays in registers while k runs: `rows` x (`vectors` vectors),
//
//     C[r, :] = sum over p of A[r, p] * B[p, :]        one broadcast of A feeds `vectors` multiply-adds.
//
// Packed operands lie in the order in which the kernel reads them:
//     a panel of A, (k, h):       the h <= MR rows of a tile, column by column;
//     a panel of B, (k, w lanes): the columns of a tile, row by row, filled up with zeros to w = 1 or 2 vectors.
#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "gemm.hpp"
#include "simd.hpp"
#include "transpose.hpp"

namespace backpass {

// The largest tile: 2 vectors wide, and as high as registers allow next to the two of B and one of A:
// 14 x 2 + 4 of AVX-512's 32, 6 x 2 + 4 of the 16 of AVX2 and SSE.  NEON has 32, and uses three for A.
#if defined(__AVX512F__)
inline constexpr int MR = 14;
#elif defined(__aarch64__)
inline constexpr int MR = 12;
#else
inline constexpr int MR = 6;
#endif
template <class T>
inline constexpr int NR = 2 * lanes<T>;

// What a tile does besides, some of it every `stretch` of k: it fetches rows of B that later tiles read into the second cache,
// and copies those that were fetched `copy_behind` rows before.  Thinly spread, neither holds up what the tile itself reads.
// It also fetches its tile of C, which may lie `far`, in time to be there when it is added to, and not long before.
inline constexpr long stretch = 16, copy_behind = 16;
template <class T>
struct Beside {
    const T* fetch = nullptr;  // the first of `rows` rows, `step` apart and `lines` long
    long step = 0, rows = 0, lines = 0;
    T* copy = nullptr;         // where NR of the row `copy_behind` before go, from row `wait` on
    long wait = 0;
    bool far = true;           // C

    void do_rows(long count) {
        for (; count > 0 && rows > 0; count--, rows--, fetch += step) {
            for (long i = 0; i < lines; i++) __builtin_prefetch(fetch + i * 64 / static_cast<long>(sizeof(T)), 0, 2);
            if (!copy || wait-- > 0) continue;
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++, copy += lanes<T>) store(copy, load(fetch - copy_behind * step + v * lanes<T>));
        }
    }
};

// The first lanes of a vector as a narrower one.
template <class Narrow, class V>
inline Narrow first_lanes(const V& v) {
    Narrow narrow;
    __builtin_memcpy(&narrow, &v, sizeof narrow);
    return narrow;
}

// A narrow vector as the first lanes of a whole one, the others anything.
template <class T, class Narrow>
inline Vec<T> widened(const Narrow& narrow) {
    if constexpr (sizeof(Narrow) == sizeof(Vec<T>))
        return narrow;
    else
        return widened<T>([&]<int... i>(std::integer_sequence<int, i...>) {
            constexpr int width = sizeof...(i) / 2;
            return __builtin_shufflevector(narrow, narrow, (i < width ? i : -1)...);
        }(std::make_integer_sequence<int, 2 * sizeof(Narrow) / sizeof(T)>{}));
}

// The same address, but the compiler does not know how it came about: else it holds one for each row of a tile, and where
// registers end it moves them back and forth.
template <class T>
inline T* opaque(T* p) {
    asm("" : "+r"(p));
    return p;
}

// C (rows, columns) = epilogue(A (rows, k) B (k, columns)), columns in the last vector or filling it.
// A[r, p] is a[r * a_step + p] when `along_k`, else a[p * a_step + r] (packed: a_step = rows).
// B[p, :] is at b + p * b_step, `vectors` times `width` of it readable (packed: b_step = vectors * lanes).
// A few columns take less time in a vector of `width` < lanes: processors that have two units of half the width for a
// wide one do two at a time.  `more` columns behind whole vectors go along in a last vector of that width.
template <class T, int rows, int vectors, int width, bool along_k, int more = 0>
void tile(long k, const T* a, long a_step, const T* b, long b_step, T* c, long ldc, long columns,
          const Epilogue<T>& epilogue, Beside<T> beside) {
    constexpr int L = lanes<T>;
    constexpr int all = vectors + (more > 0);
    using V = typename VectorOf<T, width * sizeof(T)>::type;
    using Last = typename VectorOf<T, (more ? more : width) * sizeof(T)>::type;
    constexpr int group = along_k ? 4 : rows;  // rows that share an address
    const T* lines[(rows + group - 1) / group];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r += group) lines[r / group] = opaque(a + r * a_step);
    V sums[rows][vectors] = {};
    [[maybe_unused]] Last last_sums[rows] = {};
    // The tile of C is fetched in time to be there when it is added to, and not long before.
    long length = k, each = 0, row_of_c = 0, each_of_c = beside.far && k > 2 * rows ? rows : 0;
    if (beside.rows > 0) {
        const long stretches = (k + stretch - 1) / stretch;
        length = stretch;
        each = (beside.rows + stretches - 1) / stretches;
        each_of_c = beside.far ? (rows + stretches - 1) / stretches : 0;
        row_of_c = std::min(0L, rows + 2 - stretches);
    }
    for (long left = k; left > 0; left -= length) {
        for (long i = 0; i < each_of_c; i++, row_of_c++) {
            if (row_of_c < 0 || row_of_c >= rows) continue;
            __builtin_prefetch(c + row_of_c * ldc, 1);
            __builtin_prefetch(c + row_of_c * ldc + columns - 1, 1);
        }
        beside.do_rows(each);
        const long some = std::min(left, length);
        for (long p = 0; p < some; p++) {
            V row[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) __builtin_memcpy(&row[v], b + v * width, sizeof(V));
            [[maybe_unused]] Last last_of_row;
            if constexpr (more > 0) __builtin_memcpy(&last_of_row, b + vectors * width, sizeof(Last));
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) {
                const V value = lines[r / group][along_k ? r % group * a_step : r] - V{};  // broadcast
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sums[r][v] += value * row[v];
                if constexpr (more > 0) last_sums[r] += first_lanes<Last>(value) * last_of_row;
            }
#pragma GCC unroll 4
            for (auto& line : lines) line += along_k ? 1 : a_step;
            b += b_step;
        }
    }
    Vec<T> sum[rows][all];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sum[r][v] = widened<T>(sums[r][v]);
        if constexpr (more > 0) sum[r][vectors] = widened<T>(last_sums[r]);
    }
    const long last = columns - (all - 1) * L;  // columns in the last vector
    const auto count = [&](int v) { return v < all - 1 ? L : last; };
    if (epilogue.accumulate) {
        const T* at = c;
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++, at = opaque(at + ldc))
#pragma GCC unroll 4
            for (int v = 0; v < all; v++) sum[r][v] += load_some(at + v * L, count(v));
    }
    if (epilogue.bias) {
#pragma GCC unroll 4
        for (int v = 0; v < all; v++) {
            const Vec<T> bias = load_some(epilogue.bias + v * L, count(v));
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) sum[r][v] += bias;
        }
    }
    if (epilogue.row_bias) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < all; v++) sum[r][v] += broadcast(epilogue.row_bias[r]);
    }
    if (epilogue.relu) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < all; v++) sum[r][v] = sum[r][v] < 0 ? Vec<T>{} : sum[r][v];  // a NaN stays one
    }
    T* at = c;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, at = opaque(at + ldc))
#pragma GCC unroll 4
        for (int v = 0; v < all; v++) store_some(at + v * L, sum[r][v], count(v));
}

template <class T>
struct Tile {
    void (*kernel)(long, const T*, long, const T*, long, T*, long, long, const Epilogue<T>&, Beside<T>);
    void operator()(long k, const T* a, long a_step, const T* b, long b_step, T* c, long ldc, long columns,
                    const Epilogue<T>& epilogue, Beside<T> beside = {}) const {
        kernel(k, a, a_step, b, b_step, c, ldc, columns, epilogue, beside);
    }
};

// Lanes of half and of a quarter of a vector, but 16 bytes at least.
template <class T>
inline constexpr int half_lanes = std::max<int>(lanes<T> / 2, 16 / sizeof(T));
template <class T>
inline constexpr int quarter_lanes = std::max<int>(lanes<T> / 4, 16 / sizeof(T));

// The kernel for `rows` in 1 .. MR and `columns` in 1 .. NR; each height has its own, so edges cost what
// they contain.
template <class T, bool along_k = false>
inline Tile<T> tile_of(long rows, long columns) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array<std::array<decltype(Tile<T>::kernel), 4>, MR>{
            {{tile<T, r + 1, 1, quarter_lanes<T>, along_k>, tile<T, r + 1, 1, half_lanes<T>, along_k>,
              tile<T, r + 1, 1, lanes<T>, along_k>, tile<T, r + 1, 2, lanes<T>, along_k>}...}};
    }(std::make_integer_sequence<int, MR>{});
    return {kernels[rows - 1][(columns > quarter_lanes<T>) + (columns > half_lanes<T>) + (columns > lanes<T>)]};
}

// The kernel for NR columns and a quarter of a vector more, which are not worth tiles of their own: for up to `wide_rows` rows,
// as registers allow.
inline constexpr int wide_rows = (MR + 1) / 2;
template <class T>
inline Tile<T> wide_tile_of(long rows, bool along_k) {
    static constexpr auto kernels = []<int... r>(std::integer_sequence<int, r...>) {
        return std::array<std::array<decltype(Tile<T>::kernel), 2>, wide_rows>{
            {{tile<T, r + 1, 2, lanes<T>, false, quarter_lanes<T>>, tile<T, r + 1, 2, lanes<T>, true, quarter_lanes<T>>}...}};
    }(std::make_integer_sequence<int, wide_rows>{});
    return {kernels[rows - 1][along_k]};
}

// The kernel for packed panels.
template <class T>
inline void micro_kernel(long k, const T* packed_a, const T* packed_b, T* c, long ldc, long rows, long columns,
                         Epilogue<T> epilogue = {}) {
    const long width = columns > lanes<T> ? NR<T> : lanes<T>;
    tile_of<T>(rows, columns)(k, packed_a, rows, packed_b, width, c, ldc, columns, epilogue);
}

// Whether a few columns are better computed by vectors of rows: one vector of A then feeds `columns` multiply-adds.
inline constexpr int most_narrow = MR < 12 ? 6 : 12;
template <class T>
inline bool pays_narrow(long rows, long columns) {
    const long vectors = (rows + lanes<T> - 1) / lanes<T>;
    return columns <= most_narrow && (columns > half_lanes<T> ? 4 * vectors * columns <= 3 * rows : 2 * vectors * columns <= rows);
}

// The tile of a few columns: A[r, p] is a[p * a_step + r], B[p, j] is b[p * b_step + j].  Each sum is that of `tile`.
template <class T, int columns>
void narrow_tile(long k, const T* a, long a_step, long rows, const T* b, long b_step, T* c, long ldc,
                 Epilogue<T> epilogue) {
    constexpr int L = lanes<T>;
    for (long row = 0; row < rows; row += L) {
        const long count = std::min<long>(L, rows - row);
        Vec<T> sum[columns] = {};
        for (long p = 0; p < k; p++) {
            const Vec<T> value = load_some(a + p * a_step + row, count);
#pragma GCC unroll 12
            for (int j = 0; j < columns; j++) sum[j] += value * broadcast(b[p * b_step + j]);
        }
#pragma GCC unroll 3
        for (int first = 0; first < columns; first += L) {
            Vec<T> block[L];
#pragma GCC unroll 16
            for (int j = 0; j < L; j++) block[j] = first + j < columns ? sum[first + j] : Vec<T>{};
            transpose<T>(block);
            const long some = columns - first;
            const Vec<T> bias = epilogue.bias ? load_some(epilogue.bias + first, some) : Vec<T>{};
#pragma GCC unroll 16
            for (int r = 0; r < L; r++) {
                if (r >= count) break;
                T* const at = c + (row + r) * ldc + first;
                if (epilogue.accumulate) block[r] += load_some(at, some);
                if (epilogue.bias) block[r] += bias;
                if (epilogue.row_bias) block[r] += broadcast(epilogue.row_bias[row + r]);
                if (epilogue.relu) block[r] = block[r] < 0 ? Vec<T>{} : block[r];
                store_some(at, block[r], some);
            }
        }
    }
}

template <class T>
using NarrowTile = void (*)(long k, const T* a, long a_step, long rows, const T* b, long b_step, T* c, long ldc,
                            Epilogue<T> epilogue);

// The kernel for `columns` in 1 .. most_narrow.
template <class T>
inline NarrowTile<T> narrow_tile_of(long columns) {
    static constexpr auto kernels = []<int... c>(std::integer_sequence<int, c...>) {
        return std::array<NarrowTile<T>, most_narrow>{narrow_tile<T, c + 1>...};
    }(std::make_integer_sequence<int, most_narrow>{});
    return kernels[columns - 1];
}

// packed[p * width + i] = element (i, p) of a panel: `count` <= width lines i, k elements p each; zeros for
// the other lines.  One of the strides is 1.  May write up to a vector past the end of the panel.
template <class T>
inline void pack_panel(T* packed, long width, const T* data, long line_stride, long k_stride, long count, long k) {
    constexpr int L = lanes<T>;
    if (line_stride == 1) {  // copy: each p has its lines side by side
        constexpr long ahead = 12;  // rows of a wide matrix: too far apart for the hardware to foresee
        for (long p = 0; p < k; p++, packed += width, data += k_stride)
            for (long i = 0; i < width; i += L) {
                __builtin_prefetch(data + i + ahead * k_stride);
                store(packed + i, load_some(data + i, count - i));
            }
        return;
    }
    for (long start = 0; start < k; start += L) {  // transpose L x L blocks, the last one in part a second time
        const long p = std::max(0L, std::min(start, k - L)), depth = std::min<long>(L, k);
        // The last lines first: their vectors reach into the next p, whose first lines are written after.
        for (long i = (width - 1) / L * L; i >= 0; i -= L) {
            Vec<T> block[L];
#pragma GCC unroll 16
            for (int j = 0; j < L; j++)
                block[j] = i + j < count ? load_some(data + (i + j) * line_stride + p, depth) : Vec<T>{};
            for (int j = 0; j < std::min<long>(L, count - i); j++) __builtin_prefetch(data + (i + j) * line_stride + p + 4 * L);
            transpose<T>(block);
            for (int q = 0; q < depth; q++) store(packed + (p + q) * width + i, block[q]);
        }
    }
}

}  // namespace backpass
