#include "gemm.hpp"

#include <algorithm>
#include <limits>

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

// Multiply-adds that a piece should have at least: some 2 us, several times what handing it out costs.
constexpr long piece_work = 1 << 17;
// k of a block: a panel of B (block, NR) takes 64 KiB with AVX-512, and C is read and written once per block.
template <class T>
constexpr long block_k = 2048 / sizeof(T);
// Rows and columns of a piece, at most: its block of A (616 KiB) and its part of C (308 KiB) share the second cache.
constexpr long piece_rows = 22 * MR;
template <class T>
constexpr long piece_columns = 8 * NR<T>;
// Bytes of packed operands that threads share, at most: they come from the third cache.
constexpr long shared_bytes = 16 << 20;
// Bytes of B, at most, that every piece packs for itself rather than wait for all, and that are read in place.
constexpr long own_bytes = 128 << 10, direct_bytes = 24 << 10;
// A product of at most so many elements is cut into parts of k, if a part keeps at least so many of k.
constexpr long split_size = 1 << 14, split_depth = 384, split_work = 1 << 18, most_parts = 16;

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
    bool direct_a, direct_b;       // read in place
    long height;                   // rows of a panel of A, at most
    Cut row_pieces;                // rows
    Cut column_pieces;             // panels of B
    const T *shared_a, *shared_b;  // packed, or null

    long columns() const { return divide_up(n, NR<T>); }  // panels of B
    long column_count(long panel) const { return std::min<long>(NR<T>, n - panel * NR<T>); }
    Cut panels(long row_piece) const { return {row_pieces.size(row_piece), divide_up(row_pieces.size(row_piece), height)}; }
    long most_panels() const { return divide_up(row_pieces.largest(), height); }
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
void pack_a(const Product<T>& x, T* packed, long place, long row, Cut panels, long i0, long i1, long k0, long depth) {
    const long step = x.a.line_stride == 1 ? rows_at_a_time : std::max(1L, depth);
    for (long p = 0; p < depth; p += step)
        for (long i = i0; i < i1; i++) {
            const long height = panels.size(i);
            pack_panel(packed + (i - i0) * place + p * height, height, x.a.at(row + panels.begin(i), k0 + p),
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

// A piece of C: its panels of A times its panels of B over the blocks first .. last of k.
template <class T>
void compute(const Product<T>& whole, long piece, Cut blocks, long first, long last, long k_begin) {
    const long p = piece / whole.column_pieces.count, q = piece % whole.column_pieces.count;
    const long piece_row = whole.row_pieces.begin(p);
    const Cut panels = whole.panels(p);
    const long place_a = slot_a<T>(blocks.largest()), place_b = slot_b<T>(blocks.largest());
    T* const own_a = whole.shared_a || whole.direct_a ? nullptr : scratch<T>(Slot::panel_a, panels.count * place_a);
    T* const own_b = whole.shared_b ? nullptr : scratch<T>(Slot::panel_b, place_b);
    for (long block = first; block < last; block++) {
        const Product<T> x = at_part(whole, block, blocks.count);
        const long k0 = k_begin + blocks.begin(block), depth = blocks.size(block);
        const T* packed_a = own_a;
        if (x.shared_a) packed_a = x.shared_a + ((block - first) * x.row_pieces.count + p) * x.most_panels() * place_a;
        if (own_a) pack_a(x, own_a, place_a, piece_row, panels, 0, panels.count, k0, depth);
        for (long j = x.column_pieces.begin(q); j < x.column_pieces.begin(q + 1); j++) {
            const long column = j * NR<T>, count = x.column_count(j);
            const bool few = !(x.direct_a && x.a.line_stride != 1) && pays_narrow<T>(panels.shorter, count);
            const T* b = x.b.at(column, k0);
            long b_step = x.b.k_stride;
            if (x.shared_b || !x.direct_b || (!few && count % lanes<T>)) {
                b_step = count > lanes<T> ? NR<T> : lanes<T>;
                b = x.shared_b ? x.shared_b + ((block - first) * x.columns() + j) * place_b : own_b;
                if (!x.shared_b) pack_b(x, own_b, place_b, j, j + 1, k0, depth);
            }
            Epilogue<T> epilogue = x.epilogue;
            if (epilogue.bias) epilogue.bias += column;
            for (long i = 0; i < panels.count; i++) {
                const long row = piece_row + panels.begin(i), height = panels.size(i);
                const T* a = x.direct_a ? x.a.at(row, k0) : packed_a + i * place_a;
                const bool along_k = x.direct_a && x.a.line_stride != 1;
                const long a_step = !x.direct_a ? height : along_k ? x.a.line_stride : x.a.k_stride;
                T* const c = x.c + row * x.ldc + column;
                if (few) {
                    narrow_tile_of<T>(count)(depth, a, a_step, height, b, b_step, c, x.ldc, epilogue);
                    continue;
                }
                const Tile<T> tile = along_k ? tile_of<T, true>(height, count) : tile_of<T>(height, count);
                tile(depth, a, a_step, b, b_step, c, x.ldc, count, epilogue);
            }
        }
    }
}

// The operands that several pieces read, packed by all threads, four panels at a time, for the blocks first .. last.
template <class T>
void pack_shared(Product<T>& x, bool share_a, bool share_b, Cut blocks, long first, long last) {
    const long place_a = slot_a<T>(blocks.largest()), place_b = slot_b<T>(blocks.largest());
    const long pieces = x.row_pieces.count, most = x.most_panels(), columns = x.columns();
    const long groups = divide_up(most, 4), groups_a = share_a ? pieces * groups : 0;
    const long groups_b = share_b ? divide_up(columns, 4) : 0, all = groups_a + groups_b;
    T* const a = share_a ? scratch<T>(Slot::packed_a, (last - first) * pieces * most * place_a) : nullptr;
    T* const b = share_b ? scratch<T>(Slot::packed_b, (last - first) * columns * place_b) : nullptr;
    parallel((last - first) * all, [&](long piece) {
        const long block = piece / all, group = piece % all;
        const long k0 = blocks.begin(first + block), depth = blocks.size(first + block);
        if (group < groups_a) {
            const long p = group / groups, i = 4 * (group % groups);
            const Cut panels = x.panels(p);
            pack_a(x, a + ((block * pieces + p) * most + i) * place_a, place_a, x.row_pieces.begin(p), panels, i,
                   std::min(i + 4, panels.count), k0, depth);
        } else {
            const long j = 4 * (group - groups_a);
            pack_b(x, b + (block * columns + j) * place_b, place_b, j, std::min(j + 4, columns), k0, depth);
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
        const Cut blocks = blocks_of<T>(ranges.size(piece));
        compute(own, 0, blocks, 0, blocks.count, ranges.begin(piece));
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

// Cuts C into pieces for a product of `most` times the work that a piece should have at least.  The pieces may follow the
// number of threads: an element of C is the same sum in any.
template <class T>
void cut(Product<T>& x, long most, bool small) {
    const long columns = x.columns(), wanted = std::min<long>(most, threads());
    long down = 1, across = 1;
    if (small) {  // one piece for each thread, so that the busiest has least to do: rows of tiles, and what they load
        long least = std::numeric_limits<long>::max();
        for (long i = 1; i <= wanted; i++) {
            const long height = divide_up(x.m, i), width = std::min(x.n, divide_up(columns, wanted / i) * NR<T>);
            const long busy = (height + 4) * (divide_up(width, lanes<T>) + 1);
            if (busy >= least) continue;
            least = busy;
            down = i;
            across = wanted / i;
        }
    } else {  // two for each: cut the longer side, as long as a piece keeps some panels
        down = divide_up(x.m, piece_rows);
        across = divide_up(x.n, piece_columns<T>);
        while (down * across < 2 * wanted) {
            const long height = divide_up(x.m, down), width = divide_up(columns, across) * NR<T>;
            if (height <= 2 * MR && width <= 2 * NR<T>) break;
            if (height > width) down++; else across++;
        }
    }
    x.row_pieces = {x.m, std::min(down, x.m)};
    x.column_pieces = {columns, std::min(across, columns)};
}

// A product, and how it will be computed.
template <class T>
struct Planned {
    Product<T> x;
    long k, parts;          // of k, if more than one
    bool share_a, share_b;  // packed by all threads first
    long pieces() const { return x.row_pieces.count * x.column_pieces.count; }
    bool at_once() const { return parts <= 1 && !share_a && !share_b; }
};

template <class T>
Planned<T> plan(const MatrixProduct<T>& p) {
    const long m = p.a.rows, n = p.b.cols, k = p.a.cols, columns = divide_up(n, NR<T>);
    Product<T> x{p.c, p.ldc, {p.a.data, p.a.row_stride, p.a.col_stride}, {p.b.data, p.b.col_stride, p.b.row_stride},
                 p.epilogue, m, n, false, false, MR, {m, 1}, {columns, 1}, nullptr, nullptr};
    // Read in place what is read once or twice or sits in the first cache, unless its lines all fall into a few sets there.
    const long bytes_b = n * k * static_cast<long>(sizeof(T));
    const bool clash = std::max(x.a.line_stride, x.a.k_stride) * sizeof(T) % 2048 == 0;
    const bool narrow = x.a.line_stride != 1 && pays_narrow<T>(MR - 1, x.column_count(columns - 1));  // wants A packed
    x.direct_a = columns == 1 || (columns <= 4 && !clash && !narrow);
    x.direct_b = x.b.line_stride == 1 && (m <= 2 * MR || bytes_b <= direct_bytes);
    if (x.direct_a && clash && x.a.line_stride != 1) x.height = std::min(MR, 7);

    const long parts = std::min({m * n * k / split_work, most_parts, k / split_depth});
    if (m * n <= split_size && parts > 1) return {x, k, parts, false, false};
    const long most = m * n * k / piece_work;  // more pieces do not pay
    const bool small = bytes_b <= own_bytes;
    if (most > 1) cut(x, most, small);
    const bool share_a = x.column_pieces.count > 1 && !x.direct_a;
    const bool share_b = x.row_pieces.count > 1 && !x.direct_b && !small;
    return {x, k, 1, share_a, share_b};
}

template <class T>
void run(const Planned<T>& planned) {
    const auto& [x, k, parts, share_a, share_b] = planned;
    if (parts > 1) return split_k(x, k, parts);
    // Blocks depend on k only: they decide how an element of C is summed.
    const Cut blocks = blocks_of<T>(k);
    const long shared_line = ((share_a ? x.m : 0) + (share_b ? x.n : 0)) * static_cast<long>(sizeof(T));
    const Cut rounds{blocks.count, std::clamp(divide_up(k * shared_line, shared_bytes), 1L, blocks.count)};
    for (long round = 0; round < rounds.count; round++) {
        Product<T> now = x;
        const long first = rounds.begin(round), last = rounds.begin(round + 1);
        if (share_a || share_b) pack_shared(now, share_a, share_b, blocks, first, last);
        parallel(planned.pieces(), [&](long piece) { compute(now, piece, blocks, first, last, 0); });
    }
}

}  // namespace

template <class T>
void gemm(T* c, long ldc, Matrix<T> a, Matrix<T> b, Epilogue<T> epilogue) {
    if (a.rows > 0 && b.cols > 0) run(plan<T>({c, ldc, a, b, epilogue}));
}

template <class T>
void gemm_pair(const MatrixProduct<T>& first, const MatrixProduct<T>* second,
               const std::function<void(long, long)>& beside) {
    const Planned<T> one = plan(first), two = plan(second ? *second : first);
    if (!one.at_once() || !two.at_once()) {
        run(one);
        if (second) run(two);
        const long parts = divide_up(first.b.cols, 256);
        return parallel(parts, [&](long part) { beside(part, parts); });
    }
    // Pieces of both in turn, so that a thread gets the same part of each.
    const long parts = one.pieces(), more = second ? two.pieces() : 0;
    const auto run_piece = [](const Planned<T>& p, long piece) {
        const Cut blocks = blocks_of<T>(p.k);
        compute(p.x, piece, blocks, 0, blocks.count, 0);
    };
    const long pairs = std::min(parts, more);
    parallel(parts + more, [&](long i) {
        const bool paired = i < 2 * pairs;
        const bool is_first = paired ? i % 2 == 0 : parts > more;
        const long piece = paired ? i / 2 : i - pairs;
        run_piece(is_first ? one : two, piece);
        if (is_first) beside(piece, parts);
    });
}

template void gemm(float*, long, Matrix<float>, Matrix<float>, Epilogue<float>);
template void gemm(double*, long, Matrix<double>, Matrix<double>, Epilogue<double>);
template void gemm_pair(const MatrixProduct<float>&, const MatrixProduct<float>*, const std::function<void(long, long)>&);
template void gemm_pair(const MatrixProduct<double>&, const MatrixProduct<double>*,
                        const std::function<void(long, long)>&);

}  // namespace backpass
