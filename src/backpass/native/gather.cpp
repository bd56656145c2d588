// Batches from a data set: rows picked by index, turned into the model's numbers on the way.
#include "kernel.hpp"
#include "parallel.hpp"

namespace backpass {
namespace {

// out[i] = (x[indices[i]] - shift) * scale, element by element of a sample; shift and scale may be missing.
template <class T, class X>
void gather(Array<T> out, Array<const X> x, Array<const std::int64_t> indices, Array<const T> shift, Array<const T> scale) {
    const long D = x.cols();
    const long rows_per_piece = std::max(1l, memory_grain / std::max(1l, D));
    parallel_ranges(indices.size(), rows_per_piece, [&](long begin, long end) {
        for (long i = begin; i < end; i++) {
            const X* from = x.data + indices[i] * D;
            T* to = out.data + i * D;
            if (shift)
                for (long d = 0; d < D; d++) to[d] = (static_cast<T>(from[d]) - shift[d]) * scale[d];
            else
                for (long d = 0; d < D; d++) to[d] = static_cast<T>(from[d]);
        }
    });
}

}  // namespace

template <class T>
void gather_bytes(Array<T> out, Array<const std::uint8_t> x, Array<const std::int64_t> indices, Array<const T> shift,
                  Array<const T> scale) {
    gather(out, x, indices, shift, scale);
}
BACKPASS_KERNEL(gather_bytes)

template <class T>
void gather_reals(Array<T> out, Array<const T> x, Array<const std::int64_t> indices, Array<const T> shift,
                  Array<const T> scale) {
    gather(out, x, indices, shift, scale);
}
BACKPASS_KERNEL(gather_reals)

// Zeros, as a call of a program.
template <class T>
void fill_zeros(Array<T> out) {
    parallel_elements(out.size(), 4 * memory_grain, [&](long begin, long end) { std::fill(out.data + begin, out.data + end, T(0)); });
}
BACKPASS_KERNEL(fill_zeros)

}  // namespace backpass
