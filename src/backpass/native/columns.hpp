// Walking over a matrix (N, D) for sums down its columns: rows are read along memory, four at a time.
#pragma once
#include <type_traits>

#include "elementwise.hpp"

namespace backpass {

// Rows are summed in blocks of this many, and the blocks' sums then: float32 keeps its accuracy over long batches.
inline constexpr long block_rows = 64;

// One vector of columns.  `slot` counts the vectors of a strip, for sums that are kept per vector.
template <class T, bool whole>
struct Columns {
    long first, slot;
    long count;  // of a matrix narrower than a vector

    Vec<T> get(const T* row) const {
        if constexpr (whole) return load(row + first);
        return load_some(row + first, count);
    }
    void put(T* row, Vec<T> v, bool past = false) const {  // past the caches, where that pays (simd.hpp)
        if constexpr (whole) return past ? store_past(row + first, v) : store(row + first, v);
        store_some(row + first, v, count);
    }
};

template <class T>
inline long slots_of(long begin, long end) {
    return (end - begin + lanes<T> - 1) / lanes<T>;
}

// f(columns) for vectors that cover begin .. end.  The last one reaches back over columns that another has had: what f
// writes for a column must not depend on how often it is asked.
template <class T, class F>
inline void for_each_vector(long begin, long end, F&& f) {
    constexpr long L = lanes<T>;
    if (end - begin < L) return f(Columns<T, false>{begin, 0, end - begin});
    long slot = 0;
    for (long d = begin; d < end; d += L) f(Columns<T, true>{std::min(d, end - L), slot++, L});
}

// f(n, rows) for the rows n .. n + rows: rows is 8, or 1 for those that are left over.
template <class F>
inline void for_some_rows(long first, long last, F&& f) {
    long n = first;
    for (; n + 8 <= last; n += 8) f(n, std::integral_constant<int, 8>{});
    for (; n < last; n++) f(n, std::integral_constant<int, 1>{});
}

// f(columns, n, rows) for each vector of the rows that `for_some_rows` takes together.
template <class T, class F>
inline void for_each_rows(long first, long last, long begin, long end, F&& f) {
    for_some_rows(first, last, [&](long n, auto rows) {
        for_each_vector<T>(begin, end, [&](auto columns) { f(columns, n, rows); });
    });
}

// A matrix cut into pieces of some blocks of rows, and of strips of columns where rows are very long.  Strips are wide, since
// memory is read fastest in one run.  There are two pieces of rows at least: that is how the matrix product before them is
// cut, so that each thread finds its rows in its own cache.  There are few, since each of them adds up the sums of all.
struct Grid {
    static constexpr long widest = 1024, most_row_pieces = 16;  // columns; pieces
    template <class T>
    static constexpr long most_slots = 2 * widest / lanes<T>;   // vectors of a strip: the last has up to twice the columns

    long N, D, strips, rows, row_pieces;

    Grid(long N, long D) : N(N), D(D) {
        strips = std::max(1l, D / widest);
        const long least = std::max(memory_grain / std::min(D, widest), N / most_row_pieces);
        rows = std::max(1l, least / block_rows) * block_rows;
        if (N * D >= shared_least) rows = std::min(rows, (N + 1) / 2);
        row_pieces = (N + rows - 1) / rows;
    }

    // f(row piece, first row, end of rows, first column, end of columns)
    template <class F>
    void for_each_piece(F&& f) const {
        parallel(strips * row_pieces, [&](long piece) {
            const long r = piece / strips, s = piece % strips;
            f(r, r * rows, std::min(N, (r + 1) * rows), s * widest, s == strips - 1 ? D : (s + 1) * widest);
        });
    }
};

// first[d] and second[d] = the sums, in order of the pieces, of the pairs of rows in `partial` (pieces, 2, D), for d = begin .. end.
template <class T>
inline void add_pieces(T* first, T* second, const T* partial, long pieces, long D, long begin, long end) {
    for_each_vector<T>(begin, end, [&](auto columns) {
        Vec<T> sum_first = {}, sum_second = {};
        for (long r = 0; r < pieces; r++) {
            sum_first += columns.get(partial + 2 * r * D);
            sum_second += columns.get(partial + (2 * r + 1) * D);
        }
        columns.put(first, sum_first);
        columns.put(second, sum_second);
    });
}

}  // namespace backpass
