// How a C++ function becomes a bound call.
//
//     template <class T>
//     void relu_forward(Array<T> out, Array<const T> x) { ... }      // outputs first
//     BACKPASS_KERNEL(relu_forward, "out(n..) x(n..)")
//
// registers relu_forward<float> and relu_forward<double>, with what its arguments must be (signature.hpp).  In Python `native.relu_forward(out, x)` then looks
// at the arrays once and returns a Call that holds pointers and sizes; running it costs a function call.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace backpass {

// A C-contiguous array as kernels see it.  Array<const T> is only read; a missing (None) array has no data.
template <class T>
struct Array {
    static constexpr int most_dimensions = 8;
    T* data = nullptr;
    int rank = 0;
    long shape[most_dimensions] = {};

    long size() const {
        long n = data ? 1 : 0;
        for (int i = 0; i < rank; i++) n *= shape[i];
        return n;
    }
    long rows() const { return rank ? shape[0] : 1; }
    long cols() const { return rows() ? size() / rows() : 0; }  // all other dimensions as one
    explicit operator bool() const { return data != nullptr; }
    T& operator[](long i) const { return data[i]; }
};

// An argument as it comes from Python, before its type is known.
struct Argument {
    enum class Kind { none, array, integer, real } kind = Kind::none;
    char type = 0;  // of an array: f float32, d float64, B uint8, l int64, L uint64
    bool writable = false;
    void* data = nullptr;
    int rank = 0;
    long shape[Array<float>::most_dimensions] = {};
    long integer = 0;
    double real = 0;
};

template <class T>
inline constexpr char type_letter = 0;
template <>
inline constexpr char type_letter<float> = 'f';
template <>
inline constexpr char type_letter<double> = 'd';
template <>
inline constexpr char type_letter<std::uint8_t> = 'B';
template <>
inline constexpr char type_letter<std::int64_t> = 'l';
template <>
inline constexpr char type_letter<std::uint64_t> = 'L';

inline const char* type_name(char letter) {
    switch (letter) {
        case 'f': return "float32";
        case 'd': return "float64";
        case 'B': return "uint8";
        case 'l': return "int64";
        case 'L': return "uint64";
    }
    return "another type";
}

template <class P>
struct Unpack;

template <class T>
struct Unpack<Array<T>> {
    static Array<T> from(const Argument& a) {
        Array<T> array;
        if (a.kind == Argument::Kind::none) return array;
        constexpr char wanted = type_letter<std::remove_const_t<T>>;
        if (a.kind != Argument::Kind::array) throw std::invalid_argument("expected an array");
        if (a.type != wanted)
            throw std::invalid_argument(std::string("expected an array of ") + type_name(wanted) + ", got " + type_name(a.type));
        if (!std::is_const_v<T> && !a.writable) throw std::invalid_argument("expected an array that can be written to");
        array.data = static_cast<T*>(a.data);
        array.rank = a.rank;
        for (int i = 0; i < a.rank; i++) array.shape[i] = a.shape[i];
        return array;
    }
};

template <>
struct Unpack<double> {
    static double from(const Argument& a) {
        if (a.kind == Argument::Kind::integer) return static_cast<double>(a.integer);
        if (a.kind != Argument::Kind::real) throw std::invalid_argument("expected a number");
        return a.real;
    }
};

template <>
struct Unpack<long> {
    static long from(const Argument& a) {
        if (a.kind != Argument::Kind::integer) throw std::invalid_argument("expected a whole number");
        return a.integer;
    }
};

struct BadArgument {
    std::size_t index;
    std::string reason;
};

using Bound = std::function<void()>;
using Binder = Bound (*)(const std::vector<Argument>&);

template <class... P, std::size_t... I>
Bound bind_each(void (*kernel)(P...), const std::vector<Argument>& arguments, std::index_sequence<I...>) {
    if (arguments.size() != sizeof...(P))
        throw std::invalid_argument("expected " + std::to_string(sizeof...(P)) + " arguments, got " +
                                    std::to_string(arguments.size()));
    auto unpack = [&]<class Q>(std::size_t i, Q*) {
        try {
            return Unpack<Q>::from(arguments[i]);
        } catch (const std::invalid_argument& error) {
            throw BadArgument{i, error.what()};
        }
    };
    return [kernel, ... values = unpack(I, static_cast<P*>(nullptr))] { kernel(values...); };
}

template <class... P>
Bound bind_all(void (*kernel)(P...), const std::vector<Argument>& arguments) {
    return bind_each(kernel, arguments, std::index_sequence_for<P...>{});
}

// What there is under a kernel's name: the binders of its float32 and float64 versions, and its signature.
struct Kernel {
    Binder single, twice;
    const char* signature;
};
inline std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> registry;
    return registry;
}

struct Register {
    Register(const char* name, Kernel kernel) { kernels()[name] = kernel; }
};

#define BACKPASS_KERNEL(name, signature)                                                               \
    static const Register register_##name(                                                         \
        #name, {[](const std::vector<Argument>& arguments) { return bind_all(&name<float>, arguments); },  \
                [](const std::vector<Argument>& arguments) { return bind_all(&name<double>, arguments); }, signature});

}  // namespace backpass
