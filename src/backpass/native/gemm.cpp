#include "gemm.hpp"

#include <algorithm>

#include "gemm_micro.hpp"
#include "parallel.hpp"

// C is cut into pieces of whole tiles, one piece is one thread's work, and k runs in blocks:
//
//     for each block of k:   for each panel of B (block, NR) in the piece:    it stays in the first cache
//                                for each panel of A (MR, block) in the piece:    all of them stay in the second
//                                    one tile of C += panel of A * panel of B
//
// Packing: an operand that only this piece reads is packed by the piece, a panel at a time, just before
// its first use; one that several pieces read is packed by all threads together before.  Small products
// read an operand where it lies, if that costs less than packing.

namespace backpass {
namespace {

// Multiply-adds that a piece should have at least: some 5 us, several times what handing it out costs.
constexpr long piece_work = 1 << 18;
// k of a block: a panel of B (block, NR) takes 64 KiB with AVX-512, and C is read and written once per block.
template <class T>
constexpr long block_k = 2048 / sizeof(T);
// Rows and columns of a piece, at most: its block of A (616 KiB) and its part of C (308 KiB) share the second cache.
constexpr long piece_rows = 22 * MR;
template <class T>
constexpr long piece_columns = 8 * NR<T>;
// Bytes of packed operands that threads share, at most: they come from the third cache.
constexpr long shared_bytes = 16 << 20;
// A product of at most so many elements is cut into parts of k, if a part keeps at least so many of k.
constexpr long split_size = 1 << 14, split_depth = 384, most_parts = 16;

constexpr long divide_up(long a, long b) { return (a + b - 1) / b; }

// 0 .. extent cut into `count` parts, the first `longer` of which have one more than `shorter`.
struct Cut {
    long count, shorter, longer;
    Cut(long extent, long count) : count(count), shorter(extent / count), longer(extent % count) {}
    long begin(long i) const { return i * shorter + std::min(i, longer); }
    long size(long i) const { return shorter + (i < longer); }
    long largest() const { return size(0); }
};

template <class T>
Cut blocks_of(long k) { return {k, std::max(1L, divide_up(k, block_k<T>))}; }

// An operand as the kernels see it: lines i (rows of A, columns of B) of k elements each.
template <class T>
struct Operand {
    const T* data;
    long line_stride, k_stride;
    const T* at(long line, long k) const { return data + line * line_stride + k * k_stride; }
};

template <class T>
struct Product {
    T* c;
    long ldc;
    Operand<T> a, b;
    Epilogue<T> epilogue;
    long m, n;
    Cut rows;                     // panels of A
    long columns;                 // panels of B
    const T *shared_a, *shared_b;  // packed, or null
    bool direct_a, direct_b;      // read in place

    long column_count(long panel) const { return std::min<long>(NR<T>, n - panel * NR<T>); }
};

// A packed panel's place, with room for the vector that packing may write past its end.
template <class T>
constexpr long slot_a(long depth) { return divide_up(MR * depth + 2 * lanes<T>, lanes<T>) * lanes<T>; }
template <class T>
constexpr long slot_b(long depth) { return NR<T> * depth; }

// Packs panels i0 .. i1, `place` apart.  Where their lines lie side by side, few rows of all panels at a time:
// panels end within a cache line, and the next one wants the rest of it.
constexpr long rows_at_a_time = 16;

template <class T>
void pack_a(const Product<T>& x, T* packed, long place, long i0, long i1, long k0, long depth) {
    const long step = x.a.line_stride == 1 ? rows_at_a_time : std::max(1L, depth);
    for (long p = 0; p < depth; p += step)
        for (long i = i0; i < i1; i++) {
            const long height = x.rows.size(i);
            pack_panel(packed + (i - i0) * place + p * height, height, x.a.at(x.rows.begin(i), k0 + p),
                       x.a.line_stride, x.a.k_stride, height, std::min(step, depth - p));
        }
}

template <class T>
void pack_b(const Product<T>& x, T* packed, long place, long j0, long j1, long k0, long depth) {
    for (long j = j0; j < j1; j++) {
        const long count = x.column_count(j), width = count > lanes<T> ? NR<T> : lanes<T>;
        pack_panel(packed + (j - j0) * place, width, x.b.at(j * NR<T>, k0), x.b.line_stride, x.b.k_stride, count, depth);
    }
}

// The product while it is over part `i` of `count` of k: later parts add to C, the last one finishes it.
template <class T>
Product<T> at_part(Product<T> x, long i, long count) {
    if (i > 0) x.epilogue.accumulate = true;
    if (i < count - 1) x.epilogue = {nullptr, false, x.epilogue.accumulate};
    return x;
}

// Panels i0 .. i1 of A times panels j0 .. j1 of B over the blocks of k from k_begin on.
template <class T>
void compute(const Product<T>& whole, long i0, long i1, long j0, long j1, Cut blocks, long k_begin) {
    const long place_a = slot_a<T>(blocks.largest()), place_b = slot_b<T>(blocks.largest());
    T* const own_a = whole.shared_a || whole.direct_a ? nullptr : scratch<T>(Slot::panel_a, (i1 - i0) * place_a);
    T* const own_b = whole.shared_b ? nullptr : scratch<T>(Slot::panel_b, place_b);
    for (long block = 0; block < blocks.count; block++) {
        const Product<T> x = at_part(whole, block, blocks.count);
        const long k0 = k_begin + blocks.begin(block), depth = blocks.size(block);
        if (own_a) pack_a(x, own_a, place_a, i0, i1, k0, depth);
        for (long j = j0; j < j1; j++) {
            const long column = j * NR<T>, count = x.column_count(j);
            const T* b = x.b.at(column, k0);
            long b_step = x.b.k_stride;
            if (!x.direct_b || count % lanes<T>) {
                b_step = count > lanes<T> ? NR<T> : lanes<T>;
                b = x.shared_b ? x.shared_b + (block * x.columns + j) * place_b : own_b;
                if (!x.shared_b) pack_b(x, own_b, place_b, j, j + 1, k0, depth);
            }
            Epilogue<T> epilogue = x.epilogue;
            if (epilogue.bias) epilogue.bias += column;
            for (long i = i0; i < i1; i++) {
                const long row = x.rows.begin(i), height = x.rows.size(i);
                const T* a = x.a.at(row, k0);
                long a_step = x.a.line_stride == 1 ? x.a.k_stride : x.a.line_stride;
                if (!x.direct_a) {
                    a = own_a ? own_a + (i - i0) * place_a : x.shared_a + (block * x.rows.count + i) * place_a;
                    a_step = height;
                }
                const bool along_k = x.direct_a && x.a.line_stride != 1;
                const Tile<T> tile = along_k ? tile_of<T, true>(height, count) : tile_of<T>(height, count);
                tile(depth, a, a_step, b, b_step, x.c + row * x.ldc + column, x.ldc, count, epilogue);
            }
        }
    }
}

// The operands that several pieces read, packed by all threads, four panels at a time.
template <class T>
void pack_shared(Product<T>& x, bool share_a, bool share_b, Cut blocks, long k_begin) {
    const long place_a = slot_a<T>(blocks.largest()), place_b = slot_b<T>(blocks.largest());
    const long panels_a = share_a ? x.rows.count : 0, panels_b = share_b ? x.columns : 0;
    const long groups_a = divide_up(panels_a, 4), groups = groups_a + divide_up(panels_b, 4);
    T* const a = share_a ? scratch<T>(Slot::packed_a, blocks.count * panels_a * place_a) : nullptr;
    T* const b = share_b ? scratch<T>(Slot::packed_b, blocks.count * panels_b * place_b) : nullptr;
    parallel(blocks.count * groups, [&](long piece) {
        const long block = piece / groups, group = piece % groups;
        const long k0 = k_begin + blocks.begin(block), depth = blocks.size(block);
        if (group < groups_a) {
            const long i = 4 * group;
            pack_a(x, a + (block * panels_a + i) * place_a, place_a, i, std::min(i + 4, panels_a), k0, depth);
        } else {
            const long j = 4 * (group - groups_a);
            pack_b(x, b + (block * panels_b + j) * place_b, place_b, j, std::min(j + 4, panels_b), k0, depth);
        }
    });
    x.shared_a = a;
    x.shared_b = b;
}

// C small, k long: every piece multiplies a range of k into its own partial product, and those are added in order.
template <class T>
void split_k(const Product<T>& x, long k, long pieces) {
    const Cut ranges{k, pieces};
    const long size = x.m * x.n;
    T* const partial = scratch<T>(Slot::partial, pieces * size);
    parallel(pieces, [&](long piece) {
        Product<T> own = x;
        own.c = partial + piece * size;
        own.ldc = x.n;
        own.epilogue = {};
        compute(own, 0, x.rows.count, 0, x.columns, blocks_of<T>(ranges.size(piece)), ranges.begin(piece));
    });
    parallel_ranges(x.m, std::max(1L, memory_grain / (pieces * x.n)), [&](long begin, long end) {
        for (long i = begin; i < end; i++)
            for (long j = 0; j < x.n; j += lanes<T>) {
                const long count = std::min<long>(lanes<T>, x.n - j);
                const T* const from = partial + i * x.n + j;
                Vec<T> sum = load_some(from, count);
                for (long piece = 1; piece < pieces; piece++) sum += load_some(from + piece * size, count);
                T* const at = x.c + i * x.ldc + j;
                if (x.epilogue.accumulate) sum += load_some(at, count);
                if (x.epilogue.bias) sum += load_some(x.epilogue.bias + j, count);
                if (x.epilogue.relu) sum = sum < 0 ? Vec<T>{} : sum;
                store_some(at, sum, count);
            }
    });
}

}  // namespace

template <class T>
void gemm(T* c, long ldc, Matrix<T> a, Matrix<T> b, Epilogue<T> epilogue) {
    const long m = a.rows, n = b.cols, k = a.cols;
    if (m == 0 || n == 0) return;
    Product<T> x{c, ldc, {a.data, a.row_stride, a.col_stride}, {b.data, b.col_stride, b.row_stride}, epilogue, m, n,
                 {m, divide_up(m, MR)}, divide_up(n, NR<T>), nullptr, nullptr, false, false};
    // Read in place what is read once or twice or sits in the first cache, unless its lines all fall into a few sets there.
    const bool clash = std::max(x.a.line_stride, x.a.k_stride) * sizeof(T) % 2048 == 0;
    x.direct_a = x.columns == 1 || (x.columns <= 4 && !clash);
    x.direct_b = x.b.line_stride == 1 && (x.rows.count <= 2 || n * k * static_cast<long>(sizeof(T)) <= 24 << 10);
    if (x.direct_a && clash && x.a.line_stride != 1) x.rows = {m, divide_up(m, std::min(MR, 7))};

    const long most = m * n * k / piece_work;  // more pieces do not pay
    const long parts = std::min({most, most_parts, k / split_depth});
    if (m * n <= split_size && parts > 1) return split_k(x, k, parts);

    // The pieces of rows and columns may follow the number of threads: an element of C is the same sum in any.
    long down = 1, across = 1;
    if (most > 1) {
        const long wanted = threads() > 1 ? std::min<long>(most, 2 * threads()) : 1;
        down = divide_up(m, piece_rows);
        across = divide_up(n, piece_columns<T>);
        while (down * across < wanted) {  // cut the longer side, as long as a piece keeps some panels
            const long height = divide_up(x.rows.count, down), width = divide_up(x.columns, across);
            if (height <= 2 && width <= 2) break;
            if (height * MR > width * NR<T>) down++; else across++;
        }
    }
    const Cut row_pieces{x.rows.count, down}, column_pieces{x.columns, across};
    const bool share_a = across > 1 && !x.direct_a, share_b = down > 1 && !x.direct_b;
    const long shared_line = ((share_a ? m : 0) + (share_b ? n : 0)) * static_cast<long>(sizeof(T));
    const Cut rounds{k, std::max(1L, divide_up(k * shared_line, shared_bytes))};
    for (long round = 0; round < rounds.count; round++) {
        Product<T> now = at_part(x, round, rounds.count);
        const long k0 = rounds.begin(round);
        const Cut blocks = blocks_of<T>(rounds.size(round));
        if (share_a || share_b) pack_shared(now, share_a, share_b, blocks, k0);
        parallel(down * across, [&](long piece) {
            const long p = piece / across, q = piece % across;
            compute(now, row_pieces.begin(p), row_pieces.begin(p + 1), column_pieces.begin(q),
                    column_pieces.begin(q + 1), blocks, k0);
        });
    }
}

template void gemm(float*, long, Matrix<float>, Matrix<float>, Epilogue<float>);
template void gemm(double*, long, Matrix<double>, Matrix<double>, Epilogue<double>);

}  // namespace backpass
