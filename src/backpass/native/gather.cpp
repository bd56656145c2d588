// Batches from a data set: rows picked by index, changed as `data/augment.py` says, turned into the model's numbers.
#include <algorithm>
#include <type_traits>

#include "kernel.hpp"
#include "parallel.hpp"
#include "philox.hpp"
#include "transpose.hpp"

namespace backpass {
namespace {

constexpr long line = 64, page = 4096;  // bytes

// Asks for a sample, or for its first page, before its turn comes: a processor sees where it lies only while it reads it.
template <class X>
inline void prefetch(const X* sample, long D) {
    constexpr long size = sizeof(X);
    for (long d = 0; d < std::min(D, page / size); d += line / size) __builtin_prefetch(sample + d);
}

// out[i] = (from(i) - shift) * scale for the samples begin .. end, element by element.  A few elements of all of them at a time:
// the memory then fetches what is written at several places at once, and shift and scale are met in the first cache.
template <class T, class From>
void standardise(T* out, const T* shift, const T* scale, long D, long begin, long end, From&& from) {
    constexpr long few = 64;
    const auto elements = [&](long first, auto count) {
        for (long i = begin; i < end; i++) {
            const auto* const values = from(i) + first;
            const T *const less = shift + first, *const times = scale + first;
            T* const to = out + i * D + first;
#pragma GCC ivdep  // nothing overlaps
            for (long d = 0; d < count; d++) to[d] = (static_cast<T>(values[d]) - less[d]) * times[d];
        }
    };
    long d = 0;
    for (; d + few <= D; d += few) elements(d, std::integral_constant<long, few>{});
    if (d < D) elements(d, D - d);
}

// out[i] = (x[indices[i]] - shift) * scale.
template <class T, class X>
void gather(Array<T> out, Array<const X> x, Array<const std::int64_t> indices, Array<const T> shift, Array<const T> scale) {
    const long D = x.cols(), N = indices.size(), most = std::max(1l, memory_grain / std::max(1l, D));
    const long rows_per_piece = N * D < shared_least ? most : std::min(most, (N + 1) / 2);  // two pieces at least
    parallel_ranges(N, rows_per_piece, [&](long begin, long end) {
        standardise(out.data, shift.data, scale.data, D, begin, end, [&](long i) { return x.data + indices[i] * D; });
    });
}

// to[i] = from[i]: a row of a picture is too short for a call of the C library to pay.
template <class T>
inline void copy_row(T* to, const T* from, long n) {
    constexpr long L = lanes<T>;
    if (n < L) {
        std::copy_n(from, n, to);
        return;
    }
    for (long i = 0; i < n; i += L) {
        const long first = std::min(i, n - L);  // the last vector reaches back over what has been copied
        store(to + first, load(from + first));
    }
}

// to[i] = from[n - 1 - i].
template <class T>
inline void reverse_row(T* to, const T* from, long n) {
    constexpr long L = lanes<T>;
    if (n < L) {
        std::reverse_copy(from, from + n, to);
        return;
    }
    for (long i = 0; i < n; i += L) {
        const long first = std::min(i, n - L);
        store(to + first, reversed<T>(load(from + n - L - first)));
    }
}

// A picture (C, H, W) that is being changed: `from` holds it, `to` is as large; a change may exchange them.
template <class T>
struct Picture {
    T *from, *to;
    long C, H, W;
    const T* blank;  // what stands for nothing

    long size() const { return C * H * W; }

    void flip() {
        for (long row = 0; row < C * H; row++) reverse_row(to + row * W, from + row * W, W);
        std::swap(from, to);
    }

    // Pixel (h, w) comes from (h - down, w - right); what lies outside is mirrored at the outermost pixel, or nothing.
    void translate(long down, long right, bool reflect) {
        const auto mirrored = [](long at, long n) {
            at = std::abs(at);
            return at >= n ? 2 * (n - 1) - at : at;
        };
        const long first = std::clamp(right, 0l, W), last = std::clamp(W + right, first, W);  // columns that are not outside
        for (long c = 0; c < C; c++)
            for (long h = 0; h < H; h++) {
                T* const into = to + (c * H + h) * W;
                const long above = h - down;
                if (!reflect) copy_row(into, blank + (c * H + h) * W, W);
                if (!reflect && (above < 0 || above >= H)) continue;
                const T* const source = from + (c * H + mirrored(above, H)) * W;
                copy_row(into + first, source + first - right, last - first);
                if (!reflect) continue;
                for (long w = 0; w < first; w++) into[w] = source[right - w];
                for (long w = last; w < W; w++) into[w] = source[2 * (W - 1) - (w - right)];
            }
        std::swap(from, to);
    }

    void cutout(long top, long left, long side) {
        for (long c = 0; c < C; c++)
            for (long h = std::max(0l, top); h < std::min(H, top + side); h++)
                for (long w = std::max(0l, left); w < std::min(W, left + side); w++)
                    from[(c * H + h) * W + w] = blank[(c * H + h) * W + w];
    }

    void brightness(T factor) {
        for (long i = 0; i < size(); i++) from[i] *= factor;
    }

    void contrast(T factor) {
        double total = 0;
        for (long i = 0; i < size(); i++) total += static_cast<double>(from[i]);
        const T mean = static_cast<T>(total / static_cast<double>(size()));
        for (long i = 0; i < size(); i++) from[i] = (from[i] - mean) * factor;
        for (long i = 0; i < size(); i++) from[i] += mean;  // a loop of its own: no fused multiply-add, as in NumPy
    }
};

// The codes of the classes in data/augment.py.
enum Change : long { flip, alternating_flip, translate_reflect, translate_zero, cutout, brightness, contrast };

template <class T>
void change(Picture<T>& picture, Change kind, double amount, const std::uint32_t* words, std::uint64_t epoch) {
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
        case translate_zero:
            picture.translate(shift(words[0]), shift(words[1]), kind == translate_reflect);
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
    const long N = indices.size(), rows = std::max(1l, memory_grain / D);
    parallel_ranges(N, rows, [&](long begin, long end) {
        T* const space = scratch<T>(Slot::other, static_cast<std::size_t>(2 * rows * D));
        const T** const changed = scratch<const T*>(Slot::partial, static_cast<std::size_t>(rows));
        for (long i = begin; i < end; i++) {
            const X* original = x.data + indices[i] * D;
            if (i + 1 < N) prefetch(x.data + indices[i + 1] * D, D);
            T* const own = space + 2 * (i - begin) * D;
            Picture<T> picture{own, own + D, x.shape[1], x.shape[2], x.shape[3], shift.data};
            for (long d = 0; d < D; d++) own[d] = static_cast<T>(original[d]);
            for (long k = 0; k < K; k++) {
                const Change kind = static_cast<Change>(list[2 * k]);
                const auto drawn = static_cast<std::uint32_t>(kind == alternating_flip ? 0 : epoch);
                std::uint32_t words[4] = {static_cast<std::uint32_t>(indices[i]), 0xffffffffu - static_cast<std::uint32_t>(k),
                                          drawn, 0};
                philox4x32(words, seed[0], seed[1]);
                change(picture, kind, list[2 * k + 1], words, epoch);
            }
            changed[i - begin] = picture.from;
        }
        standardise(out.data, shift.data, scale.data, D, begin, end, [&](long i) { return changed[i - begin]; });
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
