// Max pooling: the largest element of each window, the first in reading order where several are; a NaN is larger than all.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "kernel.hpp"
#include "plane.hpp"

namespace backpass {
namespace {

struct Window {
    long HH, WW, stride_y, stride_x, top, left;
};

// Pieces of whole planes, each about `memory_grain` elements.
template <class F>
void planes(long count, long plane_size, F&& f) {
    parallel_ranges(count, std::max(1L, memory_grain / plane_size), f);
}

// Integers as wide as T, to count places in step with values.
template <class T>
using Count = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T, class Index>
struct IndexVector {
    typedef Index type __attribute__((vector_size(lanes<T> * sizeof(Index))));
};

// The running maximum of `lanes` windows and its places.
template <class T>
struct Best {
    Vec<T> value;
    Vec<Count<T>> place;
    void meet(Vec<T> other, Count<T> at) {
        const auto wins = ~(other <= value) & (value == value);  // larger or a NaN; a NaN stays
        value = wins ? other : value;
        place = wins ? at + Vec<Count<T>>{} : place;
    }
};

// The first `count` lanes; whole vectors where there is room.  Rows are written in the order of memory, and what a vector
// writes beyond the end of one is written over by the next: `count` is what is left of the plane.
template <class T, class Index>
inline void save(const Best<T>& best, T* out, Index* argmax, long count) {
    const auto places = __builtin_convertvector(best.place, typename IndexVector<T, Index>::type);
    store_some(out, best.value, count);
    if (!argmax) return;
    if (count >= lanes<T>) {
        __builtin_memcpy(argmax, &places, sizeof(places));
        return;
    }
    Index values[lanes<T>];
    __builtin_memcpy(values, &places, sizeof(places));
    move_some<lanes<T> / 2>(argmax, values, count);
}

// Windows of 2 x 2 side by side, the usual ones, straight from the image; `room` for that many outputs from this row on.
template <class T, class Index>
void halve_row(T* out, Index* argmax, const T* first, const T* second, long OW, long room) {
    constexpr int L = lanes<T>;
    constexpr auto each = std::make_index_sequence<lanes<T>>{};
    for (long v = 0; v < OW; v += L) {
        const long rest = 2 * (OW - v);
        const Vec<T> a0 = load_some(first + 2 * v, rest), a1 = load_some(first + 2 * v + L, rest - L);
        const Vec<T> b0 = load_some(second + 2 * v, rest), b1 = load_some(second + 2 * v + L, rest - L);
        const auto [even, odd] = split_pairs<T>(a0, a1, each);
        const auto [even2, odd2] = split_pairs<T>(b0, b1, each);
        Best<T> best = {even, {}};
        best.meet(odd, 1);
        best.meet(even2, 2);
        best.meet(odd2, 3);
        save(best, out + v, argmax ? argmax + v : nullptr, room - v);
    }
}

// The only window of an image without zeros around: it lies in memory as the image does.
inline bool is_whole(const Window& k, long H, long W) { return k.HH == H && k.WW == W && !k.top && !k.left; }

template <class T, class Index>
void pool(Array<T> out, Array<Index> argmax, Array<const T> x, const Window& k) {
    constexpr int L = lanes<T>;
    const long H = x.shape[2], W = x.shape[3], OH = out.shape[2], OW = out.shape[3];
    const bool halves = k.HH == 2 && k.WW == 2 && k.stride_y == 2 && k.stride_x == 2 && !k.top && !k.left;
    if (is_whole(k, H, W)) {
        planes(out.size(), H * W, [&](long begin, long end) {
            for (long p = begin; p < end; p++) {
                const T* const from = x.data + p * H * W;
                T best = from[0];
                long place = 0;
                for (long t = 1; t < H * W; t++) {
                    const bool wins = !(from[t] <= best) && best == best;  // larger or a NaN; a NaN stays
                    best = wins ? from[t] : best;
                    place = wins ? t : place;
                }
                out[p] = best;
                if (argmax) argmax[p] = static_cast<Index>(place);
            }
        });
        return;
    }
    const ConvSizes sizes{x.shape[0], x.shape[1], H, W, x.shape[1], k.HH, k.WW, OH, OW, k.stride_y, k.stride_x, 1, 1,
                          k.top, k.left, x.shape[1], 1, 1};
    const Plane<T> layout(sizes);
    planes(x.shape[0] * x.shape[1], H * W, [&](long begin, long end) {
        T* const plane = halves ? nullptr : scratch<T>(Slot::tile, layout.size());
        long* const offsets = halves ? nullptr : layout.offsets(scratch<long>(Slot::other, k.HH * k.WW));
        // The first column of each window that lies in the image: the place of a window that is all minus infinity.
        Count<T>* const first_col = halves ? nullptr : scratch<Count<T>>(Slot::panel_a, layout.out_cols);
        constexpr T lowest = -std::numeric_limits<T>::infinity();
        if (!halves) {
            std::fill(plane, plane + layout.size(), lowest);
            for (long v = 0; v < layout.out_cols; v++)
                first_col[v] = static_cast<Count<T>>(std::max(0L, k.left - v * k.stride_x));
        }
        for (long p = begin; p < end; p++) {
            const T* const from = x.data + p * H * W;
            if (!halves) layout.fill(plane, from);
            for (long y = 0; y < OH; y++) {
                const long at = (p * OH + y) * OW;
                const long room = (OH - y) * OW;
                Index* const places = argmax ? argmax.data + at : nullptr;
                if (halves) {
                    halve_row(out.data + at, places, from + 2 * y * W, from + (2 * y + 1) * W, OW, room);
                    continue;
                }
                const Count<T> first_row = static_cast<Count<T>>(std::max(0L, k.top - y * k.stride_y) * k.WW);
                for (long v = 0; v < OW; v += L) {
                    Best<T> best = {broadcast(lowest), load(first_col + v) + first_row};
                    const T* const window = plane + y * layout.line + v;
                    const auto meet_all = [&](auto taps) {
                        for (long t = 0; t < taps; t++) best.meet(load(window + offsets[t]), static_cast<Count<T>>(t));
                    };
                    if (k.HH * k.WW == 9)
                        meet_all(std::integral_constant<long, 9>{});  // the usual 3x3, unrolled
                    else
                        meet_all(k.HH * k.WW);
                    save(best, out.data + at + v, places ? places + v : nullptr, room - v);
                }
            }
        }
    });
}

// A row of dout to the two rows of dx under it, where there is `room` for that many elements; `more` can be read of argmax.
// From the last vector to the first: what one writes beyond its row belongs to the next row, and is written after it.
template <class T, class Index>
void double_row(T* dx, long W, long room, const T* dout, const Index* argmax, long more, long OW) {
    constexpr int L = lanes<T>;
    constexpr auto each = std::make_index_sequence<lanes<T>>{};
    for (long v = (OW - 1) / L * L; v >= 0; v -= L) {
        const long rest = 2 * (OW - v);
        typename IndexVector<T, Index>::type places;
        if (more - v >= L) {
            __builtin_memcpy(&places, argmax + v, sizeof(places));
        } else {
            Index values[L] = {};
            move_some<lanes<T> / 2>(values, argmax + v, OW - v);
            __builtin_memcpy(&places, values, sizeof(places));
        }
        const auto place = __builtin_convertvector(places, Vec<Count<T>>);
        const Vec<T> d = load_some(dout + v, OW - v), none = {};
        const auto put = [&](T* row, Count<T> left) {
            const auto [a, b] = join_pairs<T>(place == left ? d : none, place == left + 1 ? d : none, each);
            const long left_over = room - (row - dx) - 2 * v;
            store_some(row + 2 * v, a, left_over);
            if (rest > L) store_some(row + 2 * v + L, b, left_over - L);
        };
        put(dx, 0);
        put(dx + W, 2);
    }
    if (W % 2) dx[W - 1] = dx[2 * W - 1] = 0;
}

template <class T, class Index>
void unpool(Array<T> dx, Array<const T> dout, Array<const Index> argmax, const Window& k) {
    if (!dx) return;  // the first layer of a net needs none
    const long H = dx.shape[2], W = dx.shape[3], OH = dout.shape[2], OW = dout.shape[3];
    const bool halves = k.HH == 2 && k.WW == 2 && k.stride_y == 2 && k.stride_x == 2 && !k.top && !k.left;
    if (is_whole(k, H, W)) {
        planes(dout.size(), H * W, [&](long begin, long end) {
            fill_zero(dx.data + begin * H * W, (end - begin) * H * W);
            for (long p = begin; p < end; p++) dx[p * H * W + argmax[p]] = dout[p];
        });
        return;
    }
    const ConvSizes sizes{dx.shape[0], dx.shape[1], H, W, dx.shape[1], k.HH, k.WW, OH, OW, k.stride_y, k.stride_x, 1, 1,
                          k.top, k.left, dx.shape[1], 1, 1};
    const Plane<T> layout(sizes);
    planes(dx.shape[0] * dx.shape[1], H * W, [&](long begin, long end) {
        const WayBack<T> way(layout, scratch<long>(Slot::other, WayBack<T>::longs(sizes)));
        T* const upstream = scratch<T>(Slot::panel_a, way.size());
        Count<T>* const places = scratch<Count<T>>(Slot::panel_b, way.size());
        if (!halves) std::fill(upstream, upstream + way.size(), T(0)), std::fill(places, places + way.size(), Count<T>(0));
        for (long plane = begin; plane < end; plane++) {
            T* const to = dx.data + plane * H * W;
            if (halves) {  // every element of dx in one window, or in none at the border
                for (long y = 0; y < OH; y++) {
                    const long at = (plane * OH + y) * OW;
                    double_row(to + 2 * y * W, W, (H - 2 * y) * W, dout.data + at, argmax.data + at, dout.size() - at, OW);
                }
                if (H % 2) std::fill(to + (H - 1) * W, to + H * W, T(0));
                continue;
            }
            for (long y = 0; y < OH; y++) {
                const long at = (plane * OH + y) * OW;
                copy(upstream + way.row(y), dout.data + at, OW);
                std::copy(argmax.data + at, argmax.data + at + OW, places + way.row(y));
            }
            way.gather(to, [&](long count, const long* taps, const long* offsets, long at) {
                Vec<T> sum = {};
                for (long k = 0; k < count; k++) {
                    Vec<Count<T>> place;
                    __builtin_memcpy(&place, places + at + offsets[k], sizeof(place));
                    sum += place == static_cast<Count<T>>(taps[k]) ? load(upstream + at + offsets[k]) : Vec<T>{};
                }
                return sum;
            });
        }
    });
}

}  // namespace

// argmax, the place i * WW + j in the window, is saved unless missing; uint8 for windows of up to 256 elements.
template <class T>
void maxpool_forward(Array<T> out, Array<std::uint8_t> argmax, Array<const T> x, long HH, long WW, long stride_y,
                     long stride_x, long top, long left) {
    pool<T, std::uint8_t>(out, argmax, x, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_forward, "out(N, C, OH, OW) argmax?(N, C, OH, OW) x(N, C, H, W) " POOL_GEOMETRY)

template <class T>
void maxpool_backward(Array<T> dx, Array<const T> dout, Array<const std::uint8_t> argmax, long HH, long WW, long stride_y,
                      long stride_x, long top, long left) {
    unpool<T, std::uint8_t>(dx, dout, argmax, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_backward, "dx?(N, C, H, W) dout(N, C, OH, OW) argmax(N, C, OH, OW) " POOL_GEOMETRY)

// The same for larger windows, whose places need more than a byte.
template <class T>
void maxpool_wide_forward(Array<T> out, Array<std::int64_t> argmax, Array<const T> x, long HH, long WW, long stride_y,
                          long stride_x, long top, long left) {
    pool<T, std::int64_t>(out, argmax, x, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_wide_forward, "out(N, C, OH, OW) argmax?(N, C, OH, OW) x(N, C, H, W) " POOL_GEOMETRY)

template <class T>
void maxpool_wide_backward(Array<T> dx, Array<const T> dout, Array<const std::int64_t> argmax, long HH, long WW,
                           long stride_y, long stride_x, long top, long left) {
    unpool<T, std::int64_t>(dx, dout, argmax, {HH, WW, stride_y, stride_x, top, left});
}
BACKPASS_KERNEL(maxpool_wide_backward, "dx?(N, C, H, W) dout(N, C, OH, OW) argmax(N, C, OH, OW) " POOL_GEOMETRY)

}  // namespace backpass
