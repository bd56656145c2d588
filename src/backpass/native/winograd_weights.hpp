// The weights of winograd.hpp's convolutions: to U before the products, and from dU to dw after them.
#pragma once
#include <algorithm>

#include "channels_last.hpp"
#include "conv.hpp"
#include "gemm_micro.hpp"
#include "parallel.hpp"
#include "winograd.hpp"

namespace backpass {

// U_ij is zero at infinity if i or j is a filter with a zero as its last tap: all but the last.
inline bool is_zero(int subs, long point, int i) { return point == 5 && i < subs - 1; }

// U in panels for the product with V: panel of NR filters, then s, then (i, j), then c, then the filters side by side.
// With `turned`, panels of channels, and f at the place of c: for the product with dM.
template <class T, int m, int subs>
struct Weights {
    static constexpr int r = 7 - m, all = subs * subs;
    const ConvSizes& s;
    bool turned;
    long first, last, depth;  // lines across the panels, first .. last of all, and the length of a panel
    T* packed;

    Weights(const ConvSizes& s, bool turned, T* packed)
        : s(s), turned(turned), first(0), last(turned ? s.C : s.F), depth(turned ? s.F : s.C), packed(packed) {}
    long size() const { return divide_up(last - first, NR<T>) * 36 * plane(NR<T>); }
    // Whether filter i of a kernel of so many taps has one of its own at its place y: the first ones end where the next one begins.
    static bool has_tap(long taps, int i, int y) { return subs == 1 || ((i == subs - 1 || y < m) && m * i + y < taps); }
    // The last panel is one vector wide if that is enough.
    long width(long line) const { return last - line > lanes<T> ? NR<T> : lanes<T>; }
    // From s to s in a panel: with 256 channels, say, all 36 would else lie in the same few sets of the caches.
    long plane(long width) const { return odd_vectors<T>(all * depth * width); }
    T* panel(long line, long s) const { return packed + (line - first) / NR<T> * 36 * plane(NR<T>) + s * plane(width(line)); }

    void transform(const T* w) const {
        constexpr int L = lanes<T>;
        const long chunk = 32, chunks = divide_up(depth, chunk), groups = divide_up(last - first, L);
        share(groups * chunks, 64 * (last - first) * depth, [&](long piece) {
            const long line = first + piece / chunks * L, k0 = piece % chunks * chunk, k1 = std::min(depth, k0 + chunk);
            const long some = std::min<long>(L, last - line), panel_line = line - (line - first) % NR<T>, step = width(panel_line);
            const long size = s.HH, taps = size * size, from_s = plane(step), from_sub = depth * step;
            T* const to_line = panel(panel_line, 0) + line - panel_line;
            T* const kernels = scratch<T>(Slot::panel_a, (chunk * taps + 1) * L);  // (k, tap, line)
            const long line_stride = turned ? taps : s.C * taps, k_stride = turned ? s.C * taps : taps;
            const T* const from = w + line * line_stride + k0 * k_stride;
            if (turned)
                for (long k = 0; k < k1 - k0; k++) pack_panel(kernels + k * taps * L, L, from + k * k_stride, taps, 1, some, taps);
            else
                pack_panel(kernels, L, from, line_stride, 1, some, (k1 - k0) * taps);
            for (long k = k0; k < k1; k++)
                for (int i = 0; i < subs; i++)
                    for (int j = 0; j < subs; j++) {
                        const T* const kernel = kernels + (k - k0) * taps * L;
                        Vec<T> half[6][r];
#pragma GCC unroll 5
                        for (int x = 0; x < r; x++) {
                            Vec<T> g[r], o[6];
#pragma GCC unroll 5
                            for (int y = 0; y < r; y++)
                                g[y] = has_tap(size, i, y) && has_tap(size, j, x) ? load(kernel + ((m * i + y) * size + m * j + x) * L) : Vec<T>{};
                            winograd::filter(g, o);
#pragma GCC unroll 6
                            for (int p = 0; p < 6; p++) half[p][x] = o[p];
                        }
                        T* const to = to_line + (i * subs + j) * from_sub + k * step;
#pragma GCC unroll 6
                        for (int p = 0; p < 6; p++) {
                            Vec<T> o[6];
                            winograd::filter(half[p], o);
#pragma GCC unroll 6
                            for (int q = 0; q < 6; q++) store(to + (6 * p + q) * from_s, o[q]);
                        }
                    }
        });
    }
};

// From one plane of dU to the next, each for an s and (i, j); as those of U, they fall into different sets of the caches.
template <class T>
long weights_plane(const ConvSizes& s) {
    return odd_vectors<T>(s.C * divide_up(s.F, lanes<T>) * lanes<T>);
}

// dw += Gᵀ dU G, where dU is the sum of `pieces` that lie `size` apart, for L filters and some channels at a time.
template <class T, int m, int subs>
void transform_weights_back(T* dw, const T* dU, long pieces, long size, const Weights<T, m, subs>& weights, const ConvSizes& s) {
    constexpr int L = lanes<T>, r = 7 - m, all = subs * subs;
    const long filters = divide_up(s.F, L) * L, plane = weights_plane<T>(s);
    const long taps = s.HH * s.HH, chunk = 32, chunks = divide_up(s.C, chunk);
    share(filters / L * chunks, pieces * size, [&](long piece) {
        const long f = piece / chunks * L, c0 = piece % chunks * chunk, c1 = std::min(s.C, c0 + chunk);
        const long panel = f / NR<T> * NR<T>, width = std::min<long>(NR<T>, filters - panel);
        T* const kernels = scratch<T>(Slot::panel_a, (chunk * taps + L) * L);  // (c, tap, filter)
        for (long c = c0; c < c1; c++)
            for (int i = 0; i < subs; i++)
                for (int j = 0; j < subs; j++) {
                    Vec<T> half[r][6];
#pragma GCC unroll 6
                    for (int q = 0; q < 6; q++) {
                        Vec<T> u[6] = {}, o[r];
#pragma GCC unroll 6
                        for (int p = 0; p < 6; p++) {
                            if (is_zero(subs, p, i) || is_zero(subs, q, j)) continue;
                            const T* const from = dU + ((6 * p + q) * all + i * subs + j) * plane + panel * s.C + c * width + f - panel;
                            u[p] = load(from);
                            for (long other = 1; other < pieces; other++) u[p] += load(from + other * size);
                        }
                        winograd::filter_back(u, o);
#pragma GCC unroll 5
                        for (int y = 0; y < r; y++) half[y][q] = o[y];
                    }
                    T* const kernel = kernels + (c - c0) * taps * L;
#pragma GCC unroll 5
                    for (int y = 0; y < r; y++) {
                        Vec<T> o[r];
                        winograd::filter_back(half[y], o);
#pragma GCC unroll 5
                        for (int x = 0; x < r; x++)
                            if (weights.has_tap(s.HH, i, y) && weights.has_tap(s.HH, j, x))
                                store(kernel + ((m * i + y) * s.HH + m * j + x) * L, o[x]);
                    }
                }
        add_across(dw + (f * s.C + c0) * taps, s.C * taps, s.F - f, kernels, (c1 - c0) * taps);
    });
}

}  // namespace backpass
