#include "parallel.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace backpass {
namespace {

inline void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

// A thread's share of a job: the pieces that it takes first, one after another.  Whoever has done its own share takes
// pieces from the end of others'.  `ticket` is one 64-bit word (number of the job, end of the pieces, next piece) that
// changes by compare-and-swap, so a thread that wakes late cannot take a piece of a job that is over: the number no longer
// fits.  A share fills one cache line: handing it over costs one transfer between cores.
struct alignas(64) Share {
    static constexpr int bits = 18;
    static constexpr std::uint64_t mask = (1u << bits) - 1;

    std::atomic<std::uint64_t> ticket{0};
    Body body = nullptr;  // the rest is read only by who has taken a piece, and does not change until it is done
    void* context = nullptr;
    std::atomic<bool> several{false};  // shares have several pieces; a single one is begun by its owner, or by the caller

    static std::uint64_t make(std::uint64_t job, long begin, long end) {
        return job << (2 * bits) | static_cast<std::uint64_t>(end) << bits | static_cast<std::uint64_t>(begin);
    }
    static long end(std::uint64_t ticket) { return static_cast<long>(ticket >> bits & mask); }
    static long next(std::uint64_t ticket) { return static_cast<long>(ticket & mask); }
    static bool open(std::uint64_t ticket) { return next(ticket) < end(ticket); }

    void give(std::uint64_t job, long begin, long end, bool several_pieces, Body what, void* with) {
        body = what;
        context = with;
        several.store(several_pieces, std::memory_order_relaxed);
        ticket.store(make(job, begin, end), std::memory_order_release);
    }

    bool open() const { return open(ticket.load(std::memory_order_acquire)); }

    // Runs pieces, from the front or the back, until none is left; returns how many.
    long run(bool front) {
        long done = 0;
        std::uint64_t seen = ticket.load(std::memory_order_acquire);
        while (open(seen)) {
            const long piece = front ? next(seen) : end(seen) - 1;
            const std::uint64_t taken = front ? seen + 1 : seen - (1ull << bits);
            if (!ticket.compare_exchange_weak(seen, taken, std::memory_order_acq_rel)) continue;
            body(context, piece);
            done++;
            seen = ticket.load(std::memory_order_acquire);
        }
        return done;
    }
};

// How long an idle worker looks for the next job before it sleeps: longer than the Python between two
// training steps, shorter than a time slice, so that somebody else's threads get the core soon.
constexpr int spins_before_sleep = 4000;  // some 50 to 150 us
constexpr int spins_before_yield = 2000;

thread_local bool inside_job = false;  // or alone: this thread hands nothing out
thread_local bool sharing = false;     // a job with other threads

class Pool {
public:
    int threads() const { return threads_; }

    void set_threads(int count) {
        std::lock_guard<std::mutex> lock(busy_);
        stop_workers();
        threads_ = count;
        shares_ = std::make_unique<Share[]>(static_cast<std::size_t>(count));
    }

    // Thread t gets the same part of 0 .. pieces in every job, whatever the number of pieces: what it wrote in one
    // kernel lies in its own cache when it reads it in the next.
    void run(long pieces, Body body, void* context) {
        if (pieces <= 1 || threads_ <= 1 || inside_job || !busy_.try_lock()) {
            for (long piece = 0; piece < pieces; piece++) body(context, piece);
            return;
        }
        std::lock_guard<std::mutex> lock(busy_, std::adopt_lock);
        const int threads = threads_;
        if (static_cast<int>(workers_.size()) < threads - 1) start_workers();
        remaining_.store(pieces, std::memory_order_relaxed);
        job_ = (job_ + 1) & ((1ull << (64 - 2 * Share::bits)) - 1);
        const auto begin = [&](long t) { return (pieces * t + threads - 1) / threads; };
        for (int t = threads - 1; t >= 0; t--) shares_[t].give(job_, begin(t), begin(t + 1), pieces > threads, body, context);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // tickets before asleep_: a worker looks in the other order
        if (asleep_.load(std::memory_order_relaxed) > 0) {
            std::lock_guard<std::mutex> sleep(sleep_);
            wake_.notify_all();
        }
        inside_job = sharing = true;
        const long done = take_pieces(0, true);
        inside_job = sharing = false;
        for (int spins = 0; remaining_.load(std::memory_order_acquire) != done; spins++)
            spins < spins_before_yield ? pause() : static_cast<void>(sched_yield());
    }

    // A child process after fork has the calling thread only: forget the others, start new ones on demand.
    void forget_workers_after_fork() {
        for (auto& worker : workers_) new (&worker) std::thread();  // their handles mean nothing here
        workers_.clear();
        new (&busy_) std::mutex();
        new (&sleep_) std::mutex();
        new (&wake_) std::condition_variable();
        asleep_ = 0;
        for (int t = 0; t < threads_; t++) shares_[t].ticket = 0;
        inside_job = sharing = false;
    }

private:
    long take_pieces(int own, bool others) {
        long done = shares_[own].run(true);
        for (int i = 1; others && i < threads_; i++) done += shares_[(own + i) % threads_].run(false);
        return done;
    }

    void work(int own) {
        inside_job = sharing = true;
        FlushDenormals flush;
        const Share& share = shares_[own];
        int spins = 0;
        while (!stop_.load(std::memory_order_relaxed)) {
            if (share.open()) {
                remaining_.fetch_sub(take_pieces(own, share.several), std::memory_order_acq_rel);
                spins = 0;
            } else if (++spins < spins_before_sleep) {
                pause();
            } else {
                std::unique_lock<std::mutex> lock(sleep_);
                asleep_.fetch_add(1, std::memory_order_relaxed);
                std::atomic_thread_fence(std::memory_order_seq_cst);
                wake_.wait(lock, [&] { return stop_.load() || share.open(); });
                asleep_.fetch_sub(1, std::memory_order_relaxed);
                spins = 0;
            }
        }
    }

    void start_workers() {
        stop_ = false;
        while (static_cast<int>(workers_.size()) < threads_ - 1) {
            const int own = static_cast<int>(workers_.size()) + 1;
            workers_.emplace_back([this, own] { work(own); });
        }
    }

    void stop_workers() {
        {
            std::lock_guard<std::mutex> lock(sleep_);
            stop_ = true;
            wake_.notify_all();
        }
        for (auto& worker : workers_) worker.join();
        workers_.clear();
    }

    std::atomic<int> threads_{1};                               // read without the lock
    std::unique_ptr<Share[]> shares_ = std::make_unique<Share[]>(1);  // one per thread, that of the caller first
    std::vector<std::thread> workers_;
    std::mutex busy_;  // held while a job runs; a second Python thread then works alone
    std::uint64_t job_ = 0;
    alignas(64) std::atomic<long> remaining_{0};  // pieces less those done by workers
    alignas(64) std::atomic<int> asleep_{0};
    std::atomic<bool> stop_{false};
    std::mutex sleep_;
    std::condition_variable wake_;
};

// Never destroyed: at exit workers may still be spinning, and the system ends them with the process.
Pool& pool() {
    static Pool* const instance = [] {
        auto* made = new Pool();
        pthread_atfork(nullptr, nullptr, [] { pool().forget_workers_after_fork(); });
        return made;
    }();
    return *instance;
}

struct Scratch {
    void* memory = nullptr;
    std::size_t bytes = 0;
    ~Scratch() { std::free(memory); }
};

}  // namespace

Alone::Alone(bool alone) : before_(inside_job) { inside_job = before_ || alone; }
Alone::~Alone() { inside_job = before_; }

int threads() { return inside_job ? 1 : pool().threads(); }

bool among_others() { return sharing; }

void set_threads(int count) { pool().set_threads(count); }

void run_pieces(long pieces, Body body, void* context) {
    constexpr long most = Share::mask;
    if (pieces <= most) return pool().run(pieces, body, context);
    const long stride = (pieces + most - 1) / most;  // more pieces than a ticket counts: several at a time
    auto several = [&](long group) {
        for (long piece = group * stride; piece < std::min(pieces, (group + 1) * stride); piece++) body(context, piece);
    };
    parallel((pieces + stride - 1) / stride, several);
}

void* scratch_bytes(Slot slot, std::size_t bytes) {
    thread_local Scratch slots[static_cast<int>(Slot::count)];
    Scratch& s = slots[static_cast<int>(slot)];
    if (s.bytes < bytes) {
        std::free(s.memory);
        // Large memory in large pages: packed matrices are walked end to end, and a page is a look-up each.
        const std::size_t page = bytes < 1 << 20 ? 4096 : 2 << 20;
        s.bytes = (bytes + page - 1) / page * page;
        s.memory = std::aligned_alloc(page, s.bytes);
        if (!s.memory) {
            s.bytes = 0;
            throw std::bad_alloc();
        }
#if defined(MADV_HUGEPAGE)
        if (page > 4096) madvise(s.memory, s.bytes, MADV_HUGEPAGE);
#endif
    }
    return s.memory;
}

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | 1ul << 24));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

}  // namespace backpass
