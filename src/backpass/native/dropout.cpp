// dropout: out = x factor, factor 0 with the given probability, else 1 / (1 - probability).
#include "elementwise.hpp"
#include "kernel.hpp"
#include "philox.hpp"
#include "vector_math.hpp"

namespace backpass {
namespace {

constexpr long draw_grain = 4096;  // elements per piece: a random word costs about as much as an exp
static_assert(philox_tile == 64);  // ranges of elements begin at multiples of it

// As many random words, and as many bytes, as a vector has lanes.
template <class T>
using Words = typename VectorOf<std::uint32_t, 4 * lanes<T>>::type;
template <class T>
using Bytes = typename VectorOf<std::int8_t, lanes<T>>::type;

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
            stream.draw(words, begin / philox_tile);
            if (begin + philox_tile > end) {
                for (long i = begin; i < end; i++) {
                    const bool keep = words[i - begin] >= least;
                    out[i] = x[i] * (keep ? factor : T(0));
                    if (kept) kept[i] = keep;
                }
                return;
            }
            for (long i = 0; i < philox_tile; i += lanes<T>) {
                Words<T> word;
                __builtin_memcpy(&word, words + i, sizeof word);
                const auto keep = word >= least;  // all bits, or none
                const Vec<T> factors = (Vec<T>)((Bits<T>)broadcast<T>(factor) & __builtin_convertvector(keep, Bits<T>));
                store(out.data + begin + i, load(x.data + begin + i) * factors);
                if (!kept) continue;
                const Bytes<T> ones = __builtin_convertvector(keep, Bytes<T>) & std::int8_t{1};
                __builtin_memcpy(kept.data + begin + i, &ones, sizeof ones);
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
