// out[i] = f(a[i], b[i], ...) for whole arrays, a vector at a time, on all threads.
#pragma once
#include "parallel.hpp"
#include "simd.hpp"

namespace backpass {

// Elements per piece where each costs some 20 to 50 instructions (an exp): about 5 us of work.
inline constexpr long arithmetic_grain = 4096;

// f takes and returns vectors; out may be one of the inputs.
template <class T, class F, class... Inputs>
inline void elementwise(long n, long grain, T* out, F f, const Inputs*... in) {
    const bool past = ((static_cast<const void*>(in) != out) && ...) && pays_past(out, n, lanes<T>);  // else `out` was read
    parallel_elements(n, grain, [=](long begin, long end) {
        long i = begin;
        if (past) {
            for (; i + lanes<T> <= end; i += lanes<T>) store_past(out + i, f(load(in + i)...));
            finish_past();
        }
        for (; i + lanes<T> <= end; i += lanes<T>) store(out + i, f(load(in + i)...));
        if (i < end) store_some<T>(out + i, f(load_some(in + i, end - i)...), end - i);
    });
}

}  // namespace backpass
