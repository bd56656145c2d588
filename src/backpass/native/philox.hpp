// Random numbers that are a function of where they are used: Philox4x32-10.
//
// Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11), section 4.3.
//
// A block of four 32-bit words is the image of a counter (4 words) under a key (2 words).  Here the key is the seed, and
// the counter is (block, layer, step low, step high): no two layers, steps or elements ever share a counter.
// Element e takes word e % 4 of block e / 4.  `backpass/philox.py` is the twin in NumPy.
#pragma once
#include <cstdint>

#include "simd.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace backpass {

// The image of one counter under a key, in place.
inline void philox4x32(std::uint32_t (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0], second = std::uint64_t{0xCD9E8D57} * counter[2];
        const std::uint32_t b = counter[1], d = counter[3];
        counter[0] = static_cast<std::uint32_t>(second >> 32) ^ b ^ key0;
        counter[1] = static_cast<std::uint32_t>(second);
        counter[2] = static_cast<std::uint32_t>(first >> 32) ^ d ^ key1;
        counter[3] = static_cast<std::uint32_t>(first);
        key0 += 0x9E3779B9;  // the golden ratio
        key1 += 0xBB67AE85;  // sqrt(3) - 1
    }
}

inline constexpr long philox_tile = 64;  // words that are drawn together: 16 blocks

struct PhiloxStream {
    std::uint32_t layer, step[2];
    std::uint64_t key0[10], key1[10];  // of each round

    // random: seed, layer, step
    explicit PhiloxStream(const std::uint64_t* random) : layer(low(random[1])), step{low(random[2]), high(random[2])} {
        std::uint32_t first = low(random[0]), second = high(random[0]);
        for (int round = 0; round < 10; round++) {
            key0[round] = first;
            key1[round] = second;
            first += 0x9E3779B9;  // the golden ratio
            second += 0xBB67AE85;  // sqrt(3) - 1
        }
    }

    // The words of elements 64 tile ... 64 tile + 63.
    void draw(std::uint32_t* words, long tile) const {
        constexpr int width = lanes<std::uint64_t>;  // blocks side by side, each word in the lower half of a lane
        Vec<std::uint64_t> index, front, back;
        for (int i = 0; i < width; i++) {
            index[i] = static_cast<std::uint64_t>(i);
            front[i] = static_cast<std::uint64_t>(i / 2 + i % 2 * width);
        }
        back = front + static_cast<std::uint64_t>(width / 2);
        for (int group = 0; group < philox_tile / 4; group += 2 * width) {
            // Two vectors of blocks in turn: a round's products wait for the round before.
            Vec<std::uint64_t> a[2], b[2], c[2], d[2];
            for (int i = 0; i < 2; i++) {
                a[i] = index + static_cast<std::uint64_t>(tile * (philox_tile / 4) + group + i * width);
                b[i] = broadcast<std::uint64_t>(layer);
                c[i] = broadcast<std::uint64_t>(step[0]), d[i] = broadcast<std::uint64_t>(step[1]);
            }
#pragma GCC unroll 10
            for (int round = 0; round < 10; round++)
#pragma GCC unroll 2
                for (int i = 0; i < 2; i++) {
                    const Vec<std::uint64_t> first = product_of_lower_halves(a[i], broadcast<std::uint64_t>(0xD2511F53));
                    const Vec<std::uint64_t> second = product_of_lower_halves(c[i], broadcast<std::uint64_t>(0xCD9E8D57));
                    a[i] = second >> 32 ^ b[i] ^ key0[round];
                    b[i] = second;  // what is in the upper halves does not matter
                    c[i] = first >> 32 ^ d[i] ^ key1[round];
                    d[i] = first;
                }
            for (int i = 0; i < 2; i++) {
                const Vec<std::uint64_t> ab = (a[i] & 0xffffffff) | b[i] << 32, cd = (c[i] & 0xffffffff) | d[i] << 32;
                Vec<std::uint64_t> ordered[2] = {__builtin_shuffle(ab, cd, front), __builtin_shuffle(ab, cd, back)};
                __builtin_memcpy(words + 4 * (group + i * width), ordered, sizeof ordered);
            }
        }
    }

private:
    static std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
    static std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

    // 32 x 32 -> 64 bits, one instruction that no compiler finds in the expression below.
    static Vec<std::uint64_t> product_of_lower_halves(Vec<std::uint64_t> x, Vec<std::uint64_t> y) {
#if defined(__AVX512F__)
        return (Vec<std::uint64_t>)_mm512_maskz_mul_epu32(0xff, (__m512i)x, (__m512i)y);
#elif defined(__AVX2__)
        return (Vec<std::uint64_t>)_mm256_mul_epu32((__m256i)x, (__m256i)y);
#elif defined(__x86_64__)
        return (Vec<std::uint64_t>)_mm_mul_epu32((__m128i)x, (__m128i)y);
#else
        return (x & 0xffffffff) * (y & 0xffffffff);
#endif
    }
};

}  // namespace backpass
