#include "gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "gemm_micro.hpp"
#include "parallel.hpp"

// C is cut into pieces, one piece is one thread's work, and k runs in blocks:
//
//     for each block of k:   for each panel of B (block, NR) in the piece:
//                                for each panel of A (MR, block) in the piece:    all of them stay in the second cache
//                                    one tile of C += panel of A * panel of B
//
// A panel is read in place where its memory lies well for that, else from a copy: a panel of A is copied before its first
// tile, one of B bit by bit while the tiles of the panel before it are computed, so that its memory has time to come.  Every
// piece copies for itself, so that none waits for another; that costs some hundredths of the tiles.

namespace backpass {
namespace {

// Multiply-adds that a piece should have at least: some 2 us, several times what handing it out costs.
constexpr long piece_work = 1 << 17;
// From so many on, a product is a job of its own: its pieces are equal, those of two products together leave a thread waiting.
constexpr long large_work = 1 << 25;
// k of a block: a panel of B (block, NR) takes 64 KiB with AVX-512, and C is read and written once per block.
template <class T>
constexpr long block_k = 2048 / sizeof(T);
// Rows of a piece, at most: its block of A takes 616 KiB.
constexpr long piece_rows = 22 * MR;
// Bytes in which a block of a panel may lie scattered, at most, to be read in place again and again.
constexpr long near_bytes = 256 << 10;
// Bytes of B or C that need not be fetched ahead: the first cache keeps most of them.
constexpr long first_bytes = 48 << 10;
// A product of at most so many elements is cut into parts of k, if a part keeps at least so many of k.
constexpr long split_size = 1 << 14, split_depth = 768, split_work = 1 << 18, most_parts = 16;

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

// Columns cut into panels of B: NR each, and what is left in one, or two if a vector and a part of one hold it.  A quarter of
// a vector goes with the panel before it.
template <class T>
struct Panels {
    long n, whole, count;
    explicit Panels(long n) : n(n), whole(n / NR<T>) {
        const long left = n % NR<T>;
        const bool wide = whole > 0 && left <= quarter_lanes<T>;
        count = whole + (left > 0 && !wide) + (left > lanes<T> && left - lanes<T> <= half_lanes<T> && half_lanes<T> < lanes<T>);
    }
    long begin(long j) const { return j == count ? n : j <= whole ? j * NR<T> : whole * NR<T> + lanes<T>; }
    long size(long j) const { return begin(j + 1) - begin(j); }
};

// An operand as the kernels see it: lines i (rows of A, columns of B) of k elements each.
template <class T>
struct Operand {
    const T* data;
    long line_stride, k_stride;
    const T* at(long line, long k) const { return data + line * line_stride + k * k_stride; }
    bool along_k() const { return k_stride == 1 && line_stride != 1; }
    long stride() const { return along_k() ? line_stride : k_stride; }
    // Lines of a multiple of 4 KiB fall into a few sets of the caches.
    bool clashes() const { return stride() * sizeof(T) % 4096 == 0; }
};

template <class T>
struct Product {
    T* c;
    long ldc;
    Operand<T> a, b;
    Epilogue<T> epilogue;
    long m, n, k;
    bool copy_a, copy_b;
    long height;         // rows of a panel of A, at most; over MR: all of them for narrow tiles
    Cut row_pieces;      // rows
    Cut column_pieces;   // panels of B
};

// The product while it is over part `i` of `count` of k: later parts add to C, the last one finishes it.
template <class T>
Epilogue<T> at_part(Epilogue<T> epilogue, long i, long count) {
    if (i > 0) epilogue.accumulate = true;
    if (i < count - 1) epilogue = {nullptr, false, epilogue.accumulate, nullptr};
    return epilogue;
}

// A panel of B in a block of k.
template <class T>
struct PanelOfB {
    long block, k0, depth;
    long column, count, width;
    bool few;         // columns, for vectors of rows
    bool packed;      // else read in place
    const T* source;  // its first element
};

// A piece of C: its panels of A times its panels of B over k from k_begin on.
template <class T>
void compute(const Product<T>& x, long piece, Cut blocks, long k_begin) {
    constexpr long line = 64 / sizeof(T), widest = NR<T> + lanes<T>;  // panel of B
    const long p = piece / x.column_pieces.count, q = piece % x.column_pieces.count, first_row = x.row_pieces.begin(p);
    const Cut heights(x.row_pieces.size(p), divide_up(x.row_pieces.size(p), x.height));  // of the panels of A
    const Panels<T> panels(x.n);
    const long first = x.column_pieces.begin(q), across = x.column_pieces.size(q);
    const bool along_k = x.a.along_k() && !x.copy_a, far_c = x.m * x.n * static_cast<long>(sizeof(T)) > first_bytes;
    const auto panel_of_b = [&](long step) {
        const long block = step / across, j = first + step % across, k0 = k_begin + blocks.begin(block);
        const long column = panels.begin(j), count = panels.size(j), width = divide_up(count, lanes<T>) * lanes<T>;
        const bool few = x.height > MR || (!along_k && pays_narrow<T>(heights.shorter, count));
        const bool fills = few || count == width || count == half_lanes<T> || count == quarter_lanes<T> ||
                           count == NR<T> + quarter_lanes<T>;
        return PanelOfB<T>{block, k0, blocks.size(block), column, count, width, few, x.copy_b || !fills, x.b.at(column, k0)};
    };
    const auto pack = [&](T* to, const PanelOfB<T>& panel, long begin, long end) {
        if (end > begin)
            pack_panel(to + begin * panel.width, panel.width, panel.source + begin * x.b.k_stride, x.b.line_stride,
                       x.b.k_stride, panel.count, end - begin);
    };
    // A copied panel of A, with room for the vector that packing may write past its end.
    const long place = divide_up(heights.largest() * blocks.largest() + 2 * lanes<T>, lanes<T>) * lanes<T>;
    T* const own_a = x.copy_a ? scratch<T>(Slot::panel_a, heights.count * place) : nullptr;
    T* own_b = scratch<T>(Slot::panel_b, 2 * widest * blocks.largest());
    T* next_b = own_b + widest * blocks.largest();
    const long steps = blocks.count * across, left = panels.begin(first);
    claim(x.c + first_row * x.ldc + left, x.row_pieces.size(p), x.ldc, panels.begin(first + across) - left);
    PanelOfB<T> panel = panel_of_b(0);
    if (panel.packed) pack(own_b, panel, 0, panel.depth);
    for (long step = 0; step < steps; step++) {
        const PanelOfB<T> next = panel_of_b(step + 1 < steps ? step + 1 : step);
        const bool copying = next.packed && !x.b.along_k() && next.count == NR<T>;
        const bool far = copying || x.n * x.k * static_cast<long>(sizeof(T)) > first_bytes;
        const long grain = x.b.along_k() ? line : 1, work = step + 1 < steps ? next.depth + copying * copy_behind : 0;
        // While a tile is computed: rows to copy evenly, others with a few of the tiles.
        const long tiles = copying ? heights.count : std::min(heights.count, 4L);
        const long share = divide_up(divide_up(work, tiles), grain) * grain;
        const long lines = divide_up(next.count, line) + (reinterpret_cast<std::uintptr_t>(next.source) % 64 > 0);
        const T* const b = panel.packed ? own_b : panel.source;
        const long b_step = panel.packed ? panel.width : x.b.k_stride;
        for (long i = 0; i < heights.count; i++) {
            const long row = first_row + heights.begin(i), height = heights.size(i);
            const T* a = x.a.at(row, panel.k0);
            long a_step = x.a.stride();
            if (x.copy_a) {
                T* const copied = own_a + i * place;
                if (step % across == 0) pack_panel(copied, height, a, x.a.line_stride, x.a.k_stride, height, panel.depth);
                a = copied;
                a_step = height;
            }
            Epilogue<T> epilogue = at_part(x.epilogue, panel.block, blocks.count);
            if (epilogue.bias) epilogue.bias += panel.column;
            if (epilogue.row_bias) epilogue.row_bias += row;
            T* const c = x.c + row * x.ldc + panel.column;
            const long begin = std::min(work, i * share), end = std::min(work, begin + share);
            if (panel.few) {
                narrow_tile_of<T>(panel.count)(panel.depth, a, a_step, height, b, b_step, c, x.ldc, epilogue);
                if (next.packed) pack(next_b, next, begin, std::min(end, next.depth));
                continue;
            }
            Beside<T> beside;
            beside.far = far_c;
            if (far && end > begin) {
                beside.fetch = next.source + begin * x.b.k_stride;
                beside.step = x.b.stride();
                beside.rows = x.b.along_k() ? next.count : end - begin;
                beside.lines = x.b.along_k() ? divide_up(end - begin, line) : lines;
                if (copying) {
                    beside.copy = next_b + std::max(0L, begin - copy_behind) * NR<T>;
                    beside.wait = std::max(0L, copy_behind - begin);
                }
            }
            if (panel.count > NR<T>) {
                const long upper = height > wide_rows ? divide_up(height, 2) : height, lower = height - upper;
                wide_tile_of<T>(upper, along_k)(panel.depth, a, a_step, b, b_step, c, x.ldc, panel.count, epilogue, beside);
                if (epilogue.row_bias) epilogue.row_bias += upper;
                if (lower > 0)
                    wide_tile_of<T>(lower, along_k)(panel.depth, a + upper * (along_k ? a_step : 1), a_step, b, b_step,
                                                    c + upper * x.ldc, x.ldc, panel.count, epilogue);
            } else {
                const Tile<T> tile = along_k ? tile_of<T, true>(height, panel.count) : tile_of<T>(height, panel.count);
                tile(panel.depth, a, a_step, b, b_step, c, x.ldc, panel.count, epilogue, beside);
            }
            if (next.packed && !copying) pack(next_b, next, begin, end);
        }
        std::swap(own_b, next_b);
        panel = next;
    }
}

// C small, k long: every part multiplies a range of k into its own partial product, and those are added in order.
template <class T>
void split_k(const Product<T>& x, long parts) {
    const Cut ranges{x.k, parts};
    const long size = x.m * x.n, pieces = x.row_pieces.count * x.column_pieces.count;
    T* const partial = scratch<T>(Slot::partial, parts * size);
    parallel(parts * pieces, [&](long i) {
        const long part = i / pieces;
        Product<T> own = x;
        own.c = partial + part * size;
        own.ldc = x.n;
        own.epilogue = {};
        compute(own, i % pieces, blocks_of<T>(ranges.size(part)), ranges.begin(part));
    });
    parallel_ranges(x.m, std::max(1L, memory_grain / (parts * x.n)), [&](long begin, long end) {
        for (long i = begin; i < end; i++)
            for (long j = 0; j < x.n; j += lanes<T>) {
                const long count = std::min<long>(lanes<T>, x.n - j);
                const T* const from = partial + i * x.n + j;
                Vec<T> sum = load_some(from, count);
                for (long part = 1; part < parts; part++) sum += load_some(from + part * size, count);
                T* const at = x.c + i * x.ldc + j;
                if (x.epilogue.accumulate) sum += load_some(at, count);
                if (x.epilogue.bias) sum += load_some(x.epilogue.bias + j, count);
                if (x.epilogue.row_bias) sum += broadcast(x.epilogue.row_bias[i]);
                if (x.epilogue.relu) sum = sum < 0 ? Vec<T>{} : sum;
                store_some(at, sum, count);
            }
    });
}

// Cuts C into `pieces` pieces or some more, so that the busiest thread has least to do.  The pieces may follow the number of
// threads: an element of C is the same sum in any.
template <class T>
void cut(Product<T>& x, long pieces) {
    const long columns = x.column_pieces.shorter, lowest = divide_up(x.m, piece_rows);
    const long highest = std::min(x.m, lowest + 2 * pieces);
    const long copying = !x.copy_b ? 1 : x.b.along_k() ? 8 : 4;  // a panel of B, in rows of a tile
    long least = std::numeric_limits<long>::max();
    for (long down = lowest; down <= highest; down++)
        for (long times = 1; times <= 2; times++) {
            const long across = std::clamp(times * pieces / down, 1L, columns);
            const long height = divide_up(x.m, down), width = std::min(x.n, divide_up(columns, across) * NR<T>);
            // In quarters of a vector; copying a row of A costs about one.
            const long each = (height + copying) * (divide_up(4 * width, lanes<T>) + 1);
            const long busy = divide_up(down * across, pieces) * each;
            if (busy >= least) continue;
            least = busy;
            x.row_pieces = {x.m, down};
            x.column_pieces = {columns, across};
        }
}

// A product, and how it will be computed.
template <class T>
struct Planned {
    Product<T> x;
    long parts;  // of k
    long pieces() const { return x.row_pieces.count * x.column_pieces.count; }
};

template <class T>
Planned<T> plan(const MatrixProduct<T>& p) {
    const long m = p.a.rows, n = p.b.cols, k = p.a.cols, columns = Panels<T>(n).count;
    Product<T> x{p.c, p.ldc, {p.a.data, p.a.row_stride, p.a.col_stride}, {p.b.data, p.b.col_stride, p.b.row_stride},
                 p.epilogue, m, n, k, false, false, MR, {m, 1}, {columns, 1}};
    const long bytes = static_cast<long>(sizeof(T));
    // Half a tile's rows that clash still fit where the first cache keeps them.
    const bool half = x.a.along_k() && x.a.clashes() && columns <= 5;
    if (half) x.height = std::min(MR, 7);
    constexpr long whole = divide_up(MR, lanes<T>) * lanes<T>;  // vectors of rows, for a few columns
    if (columns == 1 && !x.a.along_k() && m >= whole && pays_narrow<T>(whole, n)) x.height = whole;
    x.copy_a = columns > 1 && !half && (x.a.along_k() ? x.a.clashes() : std::min(m, piece_rows) * std::min(k, block_k<T>) * bytes > near_bytes);
    x.copy_b = x.b.along_k() || (m > 4 * MR && (x.b.clashes() || x.b.stride() * std::min(k, block_k<T>) * bytes > near_bytes));
    const long most = m * n * k / piece_work;  // more pieces do not pay
    const long parts = m * n > split_size ? 1 : std::max(1L, std::min({m * n * k / split_work, most_parts, k / split_depth}));
    const long pieces = std::min<long>(most, threads()) / parts;
    if (pieces > 1 || m > piece_rows) cut(x, std::max(1L, pieces));
    return {x, parts};
}

template <class T>
void run(const Planned<T>& planned) {
    if (planned.parts > 1) return split_k(planned.x, planned.parts);
    // Blocks depend on k only: they decide how an element of C is summed.
    const Cut blocks = blocks_of<T>(planned.x.k);
    parallel(planned.pieces(), [&](long piece) { compute(planned.x, piece, blocks, 0); });
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
    const bool large = one.x.m * one.x.n * one.x.k > large_work;
    if (one.parts > 1 || two.parts > 1 || large) {
        run(one);
        if (second) run(two);
        const long parts = divide_up(first.b.cols, 256);
        return parallel(parts, [&](long part) { beside(part, parts); });
    }
    // Pieces of both in turn, so that a thread gets the same part of each.
    const long parts = one.pieces(), more = second ? two.pieces() : 0;
    const long pairs = std::min(parts, more);
    parallel(parts + more, [&](long i) {
        const bool paired = i < 2 * pairs;
        const bool is_first = paired ? i % 2 == 0 : parts > more;
        const long piece = paired ? i / 2 : i - pairs;
        const Product<T>& x = is_first ? one.x : two.x;
        compute(x, piece, blocks_of<T>(x.k), 0);
        if (is_first) beside(piece, parts);
    });
}

template void gemm(float*, long, Matrix<float>, Matrix<float>, Epilogue<float>);
template void gemm(double*, long, Matrix<double>, Matrix<double>, Epilogue<double>);
template void gemm_pair(const MatrixProduct<float>&, const MatrixProduct<float>*, const std::function<void(long, long)>&);
template void gemm_pair(const MatrixProduct<double>&, const MatrixProduct<double>*,
                        const std::function<void(long, long)>&);

}  // namespace backpass
