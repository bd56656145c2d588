// Batches from a data set: rows picked by index, changed as `data/augment.py` says, turned into the model's numbers.
#include <algorithm>
#include <numeric>
#include <type_traits>

#include "kernel.hpp"
#include "parallel.hpp"
#include "philox.hpp"
#include "simd.hpp"

namespace backpass {
namespace {

constexpr long line = 64;  // bytes
constexpr long few = 64;   // elements of a sample

// The samples of a batch: pieces of some groups, and groups of which all that is read and written stays in the second cache.
struct Groups {
    long N, size, piece;  // samples

    Groups(long N, long D) : N(N), size(std::max(1l, memory_grain / std::max(1l, D))) {
        constexpr long pieces = 32, most = 8;  // of a batch, and groups of a piece: samples are fetched for the group after
        piece = N * D < shared_least ? N : std::min(std::clamp(N / pieces / size, 1l, most) * size, (N + 1) / 2);
    }

    // f(begin, end) for each group
    template <class F>
    void for_each(F&& f) const {
        parallel_ranges(N, std::max(1l, piece), [&](long begin, long end) {
            for (long i = begin; i < end; i += size) f(i, std::min(end, i + size));
        });
    }
};

// out[i] = (from(i) - shift) * scale for the samples begin .. end, element by element.  A few elements of all of them at a time:
// the memory then fetches what is written at several places at once, and shift and scale are met in the first cache.  Samples
// lie anywhere, and a processor sees where only while it reads them: ahead(i), if given, will be read later, and is fetched.
template <class T, class From, class Ahead = std::nullptr_t>
void standardise(Array<T> out, const T* shift, const T* scale, long D, long begin, long end, const From& from,
                 const Ahead& ahead = nullptr) {
    const bool past = pays_past(out.data, out.size(), D);
    const auto elements = [&](long first, auto count) {
        for (long i = begin; i < end; i++) {
            const auto* const values = from(i) + first;
            if constexpr (!std::is_null_pointer_v<Ahead>) {
                const auto* const later = ahead(i) + first;
                for (long d = 0; d < count; d += line / static_cast<long>(sizeof(*later))) __builtin_prefetch(later + d);
            }
            const T *const less = shift + first, *const times = scale + first;
            T* const to = out.data + i * D + first;
            const auto write = [=](T* into) {
#pragma GCC ivdep  // nothing overlaps
                for (long d = 0; d < count; d++) into[d] = (static_cast<T>(values[d]) - less[d]) * times[d];
            };
            if (!past || count < few) {
                write(to);
            } else {
                T some[few];  // in registers
                write(some);
                for (long d = 0; d < few; d += lanes<T>) store_past(to + d, load(some + d));
            }
        }
    };
    long d = 0;
    for (; d + few <= D; d += few) elements(d, std::integral_constant<long, few>{});
    if (d < D) elements(d, D - d);
    if (past) finish_past();
}

// out[i] = (x[indices[i]] - shift) * scale.
template <class T, class X>
void gather(Array<T> out, Array<const X> x, Array<const std::int64_t> indices, Array<const T> shift, Array<const T> scale) {
    const long D = x.cols(), N = indices.size();
    const Groups groups(N, D);
    groups.for_each([&](long begin, long end) {
        standardise(out, shift.data, scale.data, D, begin, end, [&](long i) { return x.data + indices[i] * D; });
    });
}

// The whole numbers of X's size.
template <class X>
using IntegerLike = std::conditional_t<sizeof(X) == 1, std::int8_t, std::conditional_t<sizeof(X) == 4, std::int32_t, std::int64_t>>;

// Where the pixels of a moved picture come from: (h, w) from (rows[h], columns[w]).
struct Moves {
    long H, W;
    std::int32_t *rows, *columns, *spare;

    Moves(long H, long W) : H(H), W(W) {
        rows = scratch<std::int32_t>(Slot::tile, static_cast<std::size_t>(H + W + std::max(H, W)));
        columns = rows + H;
        spare = columns + W;
    }

    void start() {
        std::iota(rows, rows + H, 0);
        std::iota(columns, columns + W, 0);
    }

    void flip() { std::reverse(columns, columns + W); }

    // What comes in at the edge is mirrored at the outermost pixel.
    void translate(long down, long right) {
        const auto by = [this](std::int32_t* places, long n, long way) {
            for (long i = 0; i < n; i++) {
                const long at = std::abs(i - way);
                spare[i] = places[at >= n ? 2 * (n - 1) - at : at];
            }
            std::copy_n(spare, n, places);
        };
        by(rows, H, down);
        by(columns, W, right);
    }

    // Neighbours come from neighbours or from the same place, so a vector of pixels comes from as many that lie side by side.
    template <class X>
    void apply(X* to, const X* from, long C) const {
        constexpr long bytes = 16, L = bytes / sizeof(X);  // of a vector that every processor shuffles at once
        const auto each_row = [to, from, C, H = H, W = W, rows = rows](auto&& f) {  // nothing that `to` might overlap
            for (long c = 0; c < C; c++)
                for (long h = 0; h < H; h++) f(to + (c * H + h) * W, from + (c * H + rows[h]) * W);
        };
        if (W < L)
            return each_row([W = W, columns = columns](X* row, const X* source) {
                for (long w = 0; w < W; w++) row[w] = source[columns[w]];
            });
        for (long w = 0; w < W; w += L) {
            const long first = std::min(w, W - L);  // the last vector reaches back over what has been moved
            const std::int32_t* const places = columns + first;
            const long begin = std::min<long>(*std::min_element(places, places + L), W - L);
            typename VectorOf<IntegerLike<X>, bytes>::type order;
            for (long i = 0; i < L; i++) order[i] = static_cast<IntegerLike<X>>(places[i] - begin);
            each_row([=](X* row, const X* source) {
                typename VectorOf<X, bytes>::type v;
                __builtin_memcpy(&v, source + begin, bytes);
                v = __builtin_shuffle(v, order);
                __builtin_memcpy(row + first, &v, bytes);
            });
        }
    }
};

// A picture (C, H, W) that is being changed.  While it is only moved, it stays as it came, and nothing is done: `moves` says
// where the pixels are.  `pixels` has them done, and `reals` as numbers of T, for changes of values.
template <class T, class X>
struct Picture {
    const X* original;
    X* moved;       // room for as many pixels
    T *from, *to;   // likewise; a change may exchange them
    long C, H, W;
    const T* blank;  // what stands for nothing
    Moves& moves;
    bool waiting = false, real = false;  // moves wait to be done; the pixels are in `from`

    long size() const { return C * H * W; }

    void flip() {
        moves.flip();
        waiting = true;
    }

    void translate(long down, long right) {
        moves.translate(down, right);
        waiting = true;
    }

    const X* pixels() {
        if (!waiting) return original;
        moves.apply(moved, original, C);
        return moved;
    }

    const T* reals() {
        if (!real) {
            const X* const found = pixels();
            for (long i = 0; i < size(); i++) from[i] = static_cast<T>(found[i]);
        } else if (waiting) {
            moves.apply(to, from, C);
            std::swap(from, to);
        }
        real = true;
        if (waiting) moves.start();
        waiting = false;
        return from;
    }

    // As `translate`, but nothing comes in at the edge.
    void translate_zero(long down, long right) {
        reals();
        const long first = std::clamp(right, 0l, W), last = std::clamp(W + right, first, W);  // columns that are not outside
        std::copy_n(blank, size(), to);
        for (long c = 0; c < C; c++)
            for (long h = std::max(0l, down); h < std::min(H, H + down); h++)
                std::copy_n(from + (c * H + h - down) * W + first - right, last - first, to + (c * H + h) * W + first);
        std::swap(from, to);
    }

    void cutout(long top, long left, long side) {
        reals();
        for (long c = 0; c < C; c++)
            for (long h = std::max(0l, top); h < std::min(H, top + side); h++)
                for (long w = std::max(0l, left); w < std::min(W, left + side); w++)
                    from[(c * H + h) * W + w] = blank[(c * H + h) * W + w];
    }

    void brightness(T factor) {
        reals();
        for (long i = 0; i < size(); i++) from[i] *= factor;
    }

    void contrast(T factor) {
        reals();
        double total = 0;
        for (long i = 0; i < size(); i++) total += static_cast<double>(from[i]);
        const T mean = static_cast<T>(total / static_cast<double>(size()));
        for (long i = 0; i < size(); i++) from[i] = (from[i] - mean) * factor;
        for (long i = 0; i < size(); i++) from[i] += mean;  // a loop of its own: no fused multiply-add, as in NumPy
    }
};

// The codes of the classes in data/augment.py.
enum Change : long { flip, alternating_flip, translate_reflect, translate_zero, cutout, brightness, contrast };

// Whether a change puts pixels in other places, and leaves their values.
inline bool only_moves(Change kind) { return kind == flip || kind == alternating_flip || kind == translate_reflect; }

template <class T, class X>
void change(Picture<T, X>& picture, Change kind, double amount, const std::uint32_t* words, std::uint64_t epoch) {
    const long whole = static_cast<long>(amount);
    auto below = [](long n, std::uint32_t word) { return static_cast<long>(static_cast<std::uint64_t>(n) * word >> 32); };
    auto shift = [&](std::uint32_t word) { return below(2 * whole + 1, word) - whole; };
    const T factor = static_cast<T>(1.0 + static_cast<double>(static_cast<float>(amount * (words[0] / 2147483648.0 - 1.0))));
    switch (kind) {
        case flip:
            if (words[0] >> 31) picture.flip();
            break;
        case alternating_flip:
            if ((words[0] >> 31) ^ (epoch & 1)) picture.flip();
            break;
        case translate_reflect:
            picture.translate(shift(words[0]), shift(words[1]));
            break;
        case translate_zero:
            picture.translate_zero(shift(words[0]), shift(words[1]));
            break;
        case cutout:
            picture.cutout(below(picture.H, words[0]) - whole / 2, below(picture.W, words[1]) - whole / 2, whole);
            break;
        case brightness:
            picture.brightness(factor);
            break;
        case contrast:
            picture.contrast(factor);
            break;
    }
}

// As gather, for pictures x (N, C, H, W), with the changes of `list` (K, 2), each a code and an amount, on the way.
// random: seed and epoch.
template <class T, class X>
void gather_augmented(Array<T> out, Array<const X> x, Array<const std::int64_t> indices, Array<const T> shift,
                      Array<const T> scale, Array<const std::uint64_t> random, Array<const double> list) {
    const long D = x.cols(), K = list.rows();
    const std::uint32_t seed[2] = {static_cast<std::uint32_t>(random[0]), static_cast<std::uint32_t>(random[0] >> 32)};
    const std::uint64_t epoch = random[1];
    const long N = indices.size();
    const Groups groups(N, D);
    const auto sample = [&](long i) { return x.data + indices[i] * D; };
    const auto ahead = [&](long i) { return sample(std::min(i + groups.size, N - 1)); };
    bool only_moved = true;
    for (long k = 0; k < K; k++) only_moved &= only_moves(static_cast<Change>(list[2 * k]));
    groups.for_each([&](long begin, long end) {
        const auto places = static_cast<std::size_t>(groups.size);
        T* const space = scratch<T>(Slot::other, 2 * places * D);
        X* const moved = scratch<X>(Slot::panel_a, places * D);
        const X** const pixels = scratch<const X*>(Slot::partial, places);
        const T** const reals = scratch<const T*>(Slot::panel_b, places);
        Moves moves(x.shape[2], x.shape[3]);
        for (long i = begin; i < end; i++) {
            const long at = i - begin;
            T* const own = space + 2 * at * D;
            Picture<T, X> picture{sample(i), moved + at * D, own, own + D, x.shape[1], x.shape[2], x.shape[3], shift.data, moves};
            moves.start();
            for (long k = 0; k < K; k++) {
                const Change kind = static_cast<Change>(list[2 * k]);
                const auto drawn = static_cast<std::uint32_t>(kind == alternating_flip ? 0 : epoch);
                std::uint32_t words[4] = {static_cast<std::uint32_t>(indices[i]), 0xffffffffu - static_cast<std::uint32_t>(k),
                                          drawn, 0};
                philox4x32(words, seed[0], seed[1]);
                change(picture, kind, list[2 * k + 1], words, epoch);
            }
            if (only_moved)
                pixels[at] = picture.pixels();
            else
                reals[at] = picture.reals();
        }
        const auto from = [=](auto** found) { return [=](long i) { return found[i - begin]; }; };
        if (only_moved)
            standardise(out, shift.data, scale.data, D, begin, end, from(pixels), ahead);
        else
            standardise(out, shift.data, scale.data, D, begin, end, from(reals), ahead);
    });
}

}  // namespace

template <class T>
void augment_bytes(Array<T> out, Array<const std::uint8_t> x, Array<const std::int64_t> indices, Array<const T> shift,
                   Array<const T> scale, Array<const std::uint64_t> random, Array<const double> list) {
    gather_augmented(out, x, indices, shift, scale, random, list);
}
BACKPASS_KERNEL(augment_bytes,
                "out(B, D..) x(_, C, H, W) indices(B) shift(D..) scale(D..) random(2) list(_, 2) | D = C*H*W")

template <class T>
void augment_reals(Array<T> out, Array<const T> x, Array<const std::int64_t> indices, Array<const T> shift,
                   Array<const T> scale, Array<const std::uint64_t> random, Array<const double> list) {
    gather_augmented(out, x, indices, shift, scale, random, list);
}
BACKPASS_KERNEL(augment_reals,
                "out(B, D..) x(_, C, H, W) indices(B) shift(D..) scale(D..) random(2) list(_, 2) | D = C*H*W")

template <class T>
void gather_bytes(Array<T> out, Array<const std::uint8_t> x, Array<const std::int64_t> indices, Array<const T> shift,
                  Array<const T> scale) {
    gather(out, x, indices, shift, scale);
}
BACKPASS_KERNEL(gather_bytes, "out(B, D..) x(_, D..) indices(B) shift(D..) scale(D..)")

template <class T>
void gather_reals(Array<T> out, Array<const T> x, Array<const std::int64_t> indices, Array<const T> shift,
                  Array<const T> scale) {
    gather(out, x, indices, shift, scale);
}
BACKPASS_KERNEL(gather_reals, "out(B, D..) x(_, D..) indices(B) shift(D..) scale(D..)")

// Zeros, as a call of a program.
template <class T>
void fill_zeros(Array<T> out) {
    parallel_elements(out.size(), 4 * memory_grain, [&](long begin, long end) { std::fill(out.data + begin, out.data + end, T(0)); });
}
BACKPASS_KERNEL(fill_zeros, "out(n..)")

}  // namespace backpass
