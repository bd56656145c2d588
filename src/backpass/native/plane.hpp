// A channel of an image, copied to where sliding windows have no edge cases and neighbouring outputs meet neighbouring
// inputs: something around it, and the columns sorted by their remainder modulo the stride,
//
//     plane[row][remainder][col]  =  x[row - top][col * stride + remainder - left].
#pragma once
#include <algorithm>

#include "conv.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

template <class T>
struct Plane {
    ConvSizes s;
    long rows, cols;  // of the padded plane; cols per remainder, whole vectors
    long line;        // from one output row to the next
    long out_cols;    // OW in whole vectors

    explicit Plane(const ConvSizes& s) : s(s) {
        out_cols = divide_up(s.OW, lanes<T>) * lanes<T>;
        rows = (s.OH - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1;
        cols = divide_up(out_cols + (s.WW - 1) * s.dilation_x / s.stride_x + 1, lanes<T>) * lanes<T>;
        line = s.stride_y * s.stride_x * cols;
    }
    long size() const { return rows * s.stride_x * cols; }
    // Fills `to` with where each kernel element (i, j) meets the first output, and returns it.
    long* offsets(long* to) const {
        for (long i = 0; i < s.HH; i++)
            for (long j = 0; j < s.WW; j++) {
                const long col = j * s.dilation_x;
                to[i * s.WW + j] = (i * s.dilation_y * s.stride_x + col % s.stride_x) * cols + col / s.stride_x;
            }
        return to;
    }
    // f(index in the plane, index in x, how many, one by one) for every run of columns that both have.
    template <class F>
    void each_run(F&& f) const {
        for (long row = std::max(0L, s.top); row < std::min(rows, s.H + s.top); row++)
            for (long remainder = 0; remainder < s.stride_x; remainder++) {
                const long begin = s.left > remainder ? divide_up(s.left - remainder, s.stride_x) : 0;
                const long end = std::min(cols, divide_up(std::max(0L, s.W + s.left - remainder), s.stride_x));
                if (begin < end)
                    f((row * s.stride_x + remainder) * cols + begin,
                      (row - s.top) * s.W + begin * s.stride_x + remainder - s.left, end - begin);
            }
    }
    void fill(T* plane, const T* x) const {  // what lies around is there already
        each_run([&](long to, long from, long count) {
            if (s.stride_x == 1)
                for (long k = 0; k < count; k++) plane[to + k] = x[from + k];
            else if (s.stride_x == 2)  // a number that the compiler knows makes vectors
                for (long k = 0; k < count; k++) plane[to + k] = x[from + 2 * k];
            else
                for (long k = 0; k < count; k++) plane[to + k] = x[from + k * s.stride_x];
        });
    }
    void take_back(T* x, const T* plane) const {
        each_run([&](long to, long from, long count) {
            if (s.stride_x == 1)
                for (long k = 0; k < count; k++) x[from + k] = plane[to + k];
            else if (s.stride_x == 2)
                for (long k = 0; k < count; k++) x[from + 2 * k] = plane[to + k];
            else
                for (long k = 0; k < count; k++) x[from + k * s.stride_x] = plane[to + k];
        });
    }
};

}  // namespace backpass
