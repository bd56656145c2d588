// What a kernel takes, said beside it in one line and checked whenever it is bound.
//
//     BACKPASS_KERNEL(groupnorm_forward,
//                     "out(N, C, H, W) mean?(N, groups) rstd?(N, groups) x(N, C, H, W) gamma(C) beta(C) groups eps relu"
//                     "| groups > 0, C % groups")
//
// A name with sizes is an array; with `?` it may be None.  A name alone is a number.  A letter stands for the same size
// wherever it is found; `D..` is the product of all sizes that are left, of any number of dimensions; `3` is a size itself,
// `2*N` an expression, `_` any size.  After `|` come conditions on sizes and whole numbers: `A = B`, `A <= B`, `A > B`, and
// `A % B`, which wants A to be a multiple of B.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernel.hpp"

namespace backpass {

class Signature {
public:
    // Throws std::logic_error where the text is not such a line.
    explicit Signature(const std::string& text);

    // Throws std::invalid_argument, with words for the user, where arguments do not fit.
    void check(const std::vector<Argument>& arguments) const;

    // "argument 2 (x)"
    std::string name_of(std::size_t argument) const;

private:
    // A sum of products: 2*top + H - 1 is {2, {top}}, {1, {H}}, {-1, {}}.
    struct Term {
        long factor;
        std::vector<std::string> names;
    };
    struct Size {
        std::string text;
        std::vector<Term> terms;
        bool any = false, rest = false;  // `_`, `D..`
    };
    struct Parameter {
        std::string name, text;
        bool is_array = false, optional = false;
        std::vector<Size> sizes;
    };
    struct Condition {
        Size left, right;
        std::string comparison;
    };
    using Known = std::vector<std::pair<std::string, long>>;

    static Size parse_size(const std::string& text);
    static const long* find(const Known& known, const std::string& name);
    static long value(const Size& size, const Known& known);
    static bool fits(const Parameter& parameter, const Argument& a, Known& known);
    static void check_condition(const Condition& condition, const Known& known);

    std::vector<Parameter> parameters_;
    std::vector<Condition> conditions_;
};

}  // namespace backpass
