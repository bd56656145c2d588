// The one thread pool of the process, and memory that each thread keeps for scratch work.
//
// Same bits for any number of threads: a kernel cuts its work into pieces that depend on sizes only,
// every piece writes its own output (or its own partial sum, added later in piece order), and which
// thread takes which piece does not matter.  That leaves the pool free to hand out pieces as threads
// become free, so a core that somebody else disturbs does less and nobody waits for it.
#pragma once
#include <algorithm>
#include <cstddef>
#include <type_traits>

namespace backpass {

int threads();                // how many threads share the work, the calling one included; within a job, one
void set_threads(int count);  // count >= 1
bool among_others();          // whether the calling thread does a piece of a job that others work on too

// While one lives, with `alone`, the calling thread does all pieces of its jobs: for work so small that handing it out, and
// fetching what the other thread wrote, costs more than it saves.
class Alone {
public:
    explicit Alone(bool alone);
    ~Alone();
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

private:
    bool before_;
};

using Body = void (*)(void* context, long piece);
void run_pieces(long pieces, Body body, void* context);

// f(piece) for piece = 0 .. pieces-1, in any order, on all threads.  f must not throw.
template <class F>
void parallel(long pieces, F&& f) {
    using Function = std::remove_reference_t<F>;
    run_pieces(pieces, [](void* context, long piece) { (*static_cast<Function*>(context))(piece); }, &f);
}

// f(begin, end) over 0 .. n in ranges of `grain` items (the last one may be shorter).
template <class F>
void parallel_ranges(long n, long grain, F&& f) {
    parallel((n + grain - 1) / grain, [&](long piece) { f(piece * grain, std::min(n, (piece + 1) * grain)); });
}

// Elements per piece where each costs about a memory access: 64 KiB of float32, some 10 us of work,
// ten times what handing out a piece costs, and few enough that both cores get some of a small layer.
inline constexpr long memory_grain = 16384;

// Fewer elements than this are done by the calling thread: handing out costs about what it would save.
inline constexpr long shared_least = 4096;

// f(begin, end) over 0 .. n elements in an even number of ranges of whole cache lines, `grain` elements each at most.
// Even, so that two threads share equally, and find what they wrote in one kernel in their caches in the next.
template <class F>
void parallel_elements(long n, long grain, F&& f) {
    constexpr long line = 64;
    const long pieces = n < shared_least ? 1 : (n + 2 * grain - 1) / (2 * grain) * 2;
    parallel_ranges(n, std::max(1L, (n + pieces * line - 1) / (pieces * line)) * line, f);
}

// Writes what is there to `rows` rows of `count` values, `stride` apart: a part of the calling piece's own output, which it is
// about to compute.  Before a line is written that other threads have read, their copies must go: that takes some 20 ns
// where other work lies between such writes, and 6 where they follow one another.  Nothing happens where the calling thread does
// a job by itself, or to more than the first cache keeps.
template <class T>
inline void claim(T* p, long rows, long stride, long count) {
    constexpr long line = 64 / sizeof(T), most = 32 << 10;  // most: bytes
    if (!among_others() || rows * count * static_cast<long>(sizeof(T)) > most) return;
    for (long row = 0; row < rows; row++)
        for (long i = 0; i < count; i += line) {
            volatile T& value = p[row * stride + i];
            value = value;
        }
}

// Scratch memory of the calling thread, 64-byte aligned; grows once, is reused ever after, and is the
// only memory that kernels take.  A slot is valid until the same thread asks for the same slot again.
enum class Slot { packed_a, packed_b, panel_a, panel_b, tile, partial, other, count };
void* scratch_bytes(Slot slot, std::size_t bytes);

template <class T>
T* scratch(Slot slot, std::size_t elements) {
    return static_cast<T*>(scratch_bytes(slot, elements * sizeof(T)));
}

// Numbers below 1e-38 count as zero while kernels run: an optimizer's squared gradients get there, and
// the hardware is a hundred times slower on them.
class FlushDenormals {
public:
    FlushDenormals();
    ~FlushDenormals();
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

private:
    unsigned long saved_;
};

}  // namespace backpass
