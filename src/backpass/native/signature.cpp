#include "signature.hpp"

#include <algorithm>
#include <cctype>
#include <stdexcept>

namespace backpass {
namespace {

std::string trimmed(const std::string& text) {
    const std::size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::vector<std::string> split(const std::string& text, char by) {
    std::vector<std::string> parts;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find(by, start), text.size());
        if (const std::string part = trimmed(text.substr(start, end - start)); !part.empty()) parts.push_back(part);
        start = end + 1;
    }
    return parts;
}

bool is_name(const std::string& text) {
    return !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

std::string shape_of(const Argument& a) {
    std::string text = "(";
    for (int i = 0; i < a.rank; i++) text += (i ? ", " : "") + std::to_string(a.shape[i]);
    return text + (a.rank == 1 ? ",)" : ")");
}

}  // namespace

Signature::Size Signature::parse_size(const std::string& whole) {
    Size size{whole, {}};
    std::string text = whole;
    size.any = text == "_";
    if (size.any) return size;
    size.rest = text.size() > 2 && text.ends_with("..");
    if (size.rest) text.resize(text.size() - 2);
    long sign = 1;
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t end = std::min(text.find_first_of("+-", start), text.size());
        Term term{sign, {}};
        for (const std::string& factor : split(text.substr(start, end - start), '*')) {
            if (is_name(factor))
                term.names.push_back(factor);
            else
                term.factor *= std::stol(factor);  // logic_error where it is no number
        }
        if (end > start) size.terms.push_back(term);  // nothing before a leading minus
        sign = end < text.size() && text[end] == '-' ? -1 : 1;
        start = end + 1;
    }
    return size;
}

Signature::Signature(const std::string& text) {
    const std::size_t bar = std::min(text.find('|'), text.size());
    for (std::size_t at = 0; (at = text.find_first_not_of(' ', at)) < bar;) {
        Parameter p;
        std::size_t end = std::min(text.find_first_of(" (?", at), bar);
        p.name = text.substr(at, end - at);
        if (!is_name(p.name)) throw std::logic_error("expected a name in the signature: " + text.substr(at));
        p.optional = end < bar && text[end] == '?';
        if (p.optional) end++;
        p.is_array = end < bar && text[end] == '(';
        if (p.is_array) {
            const std::size_t close = text.find(')', end);
            if (close == std::string::npos) throw std::logic_error("expected ) in the signature: " + text.substr(at));
            p.text = text.substr(end, close + 1 - end);
            for (const std::string& size : split(text.substr(end + 1, close - end - 1), ',')) p.sizes.push_back(parse_size(size));
            end = close + 1;
        }
        parameters_.push_back(p);
        at = end;
    }
    for (const std::string& condition : split(bar < text.size() ? text.substr(bar + 1) : "", ',')) {
        const std::size_t at = condition.find_first_of("=<>%");
        if (at == std::string::npos) throw std::logic_error("expected a comparison in the signature: " + condition);
        const std::size_t length = condition.substr(at, 2) == "<=" ? 2 : 1;
        conditions_.push_back({parse_size(trimmed(condition.substr(0, at))), parse_size(trimmed(condition.substr(at + length))),
                               condition.substr(at, length)});
    }
}

std::string Signature::name_of(std::size_t argument) const {
    const std::string number = "argument " + std::to_string(argument + 1);
    return argument < parameters_.size() ? number + " (" + parameters_[argument].name + ")" : number;
}

const long* Signature::find(const Known& known, const std::string& name) {
    for (const auto& [other, size] : known)
        if (other == name) return &size;
    return nullptr;
}

long Signature::value(const Size& size, const Known& known) {
    long sum = 0;
    for (const Term& term : size.terms) {
        long product = term.factor;
        for (const std::string& name : term.names) {
            const long* const found = find(known, name);
            if (!found) throw std::logic_error("the signature does not say what " + name + " is");
            product *= *found;
        }
        sum += product;
    }
    return sum;
}

// Whether the sizes of an array are what they must be; a name that was not met before is known afterwards.
bool Signature::fits(const Parameter& p, const Argument& a, Known& known) {
    const bool open = !p.sizes.empty() && p.sizes.back().rest;
    const int fixed = static_cast<int>(p.sizes.size()) - open;
    if (open ? a.rank < fixed : a.rank != fixed) return false;
    for (int i = 0; i < fixed + open; i++) {
        const Size& size = p.sizes[static_cast<std::size_t>(i)];
        long found = i < fixed ? a.shape[i] : 1;
        for (int j = fixed; i == fixed && j < a.rank; j++) found *= a.shape[j];
        if (i < fixed && found < 1) return false;
        if (size.any) continue;
        const Term& first = size.terms.front();
        if (size.terms.size() == 1 && first.factor == 1 && first.names.size() == 1 && !find(known, first.names[0]))
            known.emplace_back(first.names[0], found);
        else if (found != value(size, known))
            return false;
    }
    return true;
}

void Signature::check_condition(const Condition& c, const Known& known) {
    const auto missing = [&](const Size& size) {  // of an array that is None
        for (const Term& term : size.terms)
            for (const std::string& name : term.names)
                if (!find(known, name)) return true;
        return false;
    };
    if (missing(c.left) || missing(c.right)) return;
    const long left = value(c.left, known), right = value(c.right, known);
    const bool holds = c.comparison == "="    ? left == right
                       : c.comparison == "<=" ? left <= right
                       : c.comparison == ">"  ? left > right
                                              : right != 0 && left % right == 0;
    if (holds) return;
    const std::string wanted =
        c.comparison == "%" ? c.left.text + " to be a multiple of " + c.right.text : c.left.text + " " + c.comparison + " " + c.right.text;
    throw std::invalid_argument("expected " + wanted + ", got " + std::to_string(left) + " and " + std::to_string(right));
}

void Signature::check(const std::vector<Argument>& arguments) const {
    if (arguments.size() != parameters_.size())
        throw std::invalid_argument("expected " + std::to_string(parameters_.size()) + " arguments, got " +
                                    std::to_string(arguments.size()));
    Known known;
    for (std::size_t i = 0; i < arguments.size(); i++) {
        const Argument& a = arguments[i];
        const Parameter& p = parameters_[i];
        if (a.kind == Argument::Kind::integer) known.emplace_back(p.name, a.integer);
        const bool is_array = a.kind == Argument::Kind::array, is_none = a.kind == Argument::Kind::none;
        if (is_none ? !p.optional : is_array != p.is_array) {
            const char* const got = is_array ? "an array" : is_none ? "None" : "a number";
            throw std::invalid_argument(name_of(i) + ": expected " + (p.is_array ? "an array" : "a number") + ", got " + got);
        }
    }
    for (std::size_t i = 0; i < arguments.size(); i++) {
        const Parameter& p = parameters_[i];
        if (arguments[i].kind != Argument::Kind::array || fits(p, arguments[i], known)) continue;
        std::string sizes;
        for (const Size& size : p.sizes)
            for (const Term& term : size.terms)
                for (const std::string& name : term.names)
                    if (const long* const found = find(known, name))
                        sizes += (sizes.empty() ? " with " : ", ") + name + " = " + std::to_string(*found);
        throw std::invalid_argument(name_of(i) + ": expected shape " + p.text + sizes + ", got " + shape_of(arguments[i]));
    }
    for (const Condition& condition : conditions_) check_condition(condition, known);
}

}  // namespace backpass
