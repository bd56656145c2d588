// dropout: out = x factor, factor 0 with the given probability, else 1 / (1 - probability).
#include "elementwise.hpp"
#include "kernel.hpp"
#include "philox.hpp"

namespace backpass {
namespace {

constexpr long draw_grain = 4096;  // elements per piece: a random word costs about as much as an exp
static_assert(philox_tile == 64);  // ranges of elements begin at multiples of it

}  // namespace

// random: seed, layer, step.  A word below `threshold` drops its element: drop_prob 2^32, the same for float and double.
// out may be x itself; kept may be missing.
template <class T>
void dropout_forward(Array<T> out, Array<std::uint8_t> kept, Array<const T> x, Array<const std::uint64_t> random,
                     long threshold, double scale) {
    const PhiloxStream stream(random.data);
    const auto least = static_cast<std::uint32_t>(threshold);
    const T factor = static_cast<T>(scale);
    parallel_elements(x.size(), draw_grain, [=](long begin, long end) {
        for (; begin < end; begin += philox_tile) {
            std::uint32_t words[philox_tile];
            T factors[philox_tile];
            std::uint8_t keep[philox_tile];
            stream.draw(words, begin / philox_tile);
            for (int i = 0; i < philox_tile; i++) keep[i] = words[i] >= least;
            for (int i = 0; i < philox_tile; i++) factors[i] = static_cast<T>(keep[i]) * factor;
            const long count = std::min(philox_tile, end - begin);
            if (kept) std::copy(keep, keep + count, kept.data + begin);
            if (count == philox_tile) {
                for (long i = 0; i < philox_tile; i += lanes<T>)
                    store(out.data + begin + i, load(x.data + begin + i) * load(factors + i));
            } else {
                for (long i = 0; i < count; i++) out[begin + i] = x[begin + i] * factors[i];
            }
        }
    });
}
BACKPASS_KERNEL(dropout_forward, "out(n..) kept?(n..) x(n..) random(3) threshold scale")

// dx may be dout itself.
template <class T>
void dropout_backward(Array<T> dx, Array<const T> dout, Array<const std::uint8_t> kept, double scale) {
    const T factor = static_cast<T>(scale);
    parallel_elements(dout.size(), memory_grain, [=](long begin, long end) {
        T* const to = dx.data;
        const T* const from = dout.data;
        const std::uint8_t* const keep = kept.data;
        for (long i = begin; i < end; i++) to[i] = from[i] * (static_cast<T>(keep[i]) * factor);
    });
}
BACKPASS_KERNEL(dropout_backward, "dx(n..) dout(n..) kept(n..) scale")

}  // namespace backpass
