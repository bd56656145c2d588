// The Python face of the kernels: bind a kernel to arrays, string bound calls into a program, run it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "kernel.hpp"
#include "parallel.hpp"
#include "signature.hpp"

namespace nb = nanobind;

namespace backpass {
namespace {

char letter_of(const char* format, Py_ssize_t item_bytes) {
    // NumPy calls a 64-bit integer 'l' or 'q' after the C type that the platform gave it.
    const char last = format[0] == '<' || format[0] == '=' ? format[1] : format[0];
    if (last == 'f' && item_bytes == 4) return 'f';
    if (last == 'd' && item_bytes == 8) return 'd';
    if ((last == 'B' || last == '?') && item_bytes == 1) return 'B';
    if ((last == 'l' || last == 'q') && item_bytes == 8) return 'l';
    if ((last == 'L' || last == 'Q') && item_bytes == 8) return 'L';
    return '?';
}

Argument argument_of(nb::handle value) {
    Argument a;
    PyObject* object = value.ptr();
    if (object == Py_None) return a;
    if (PyFloat_Check(object)) {
        a.kind = Argument::Kind::real;
        a.real = PyFloat_AS_DOUBLE(object);
        return a;
    }
    if (PyLong_Check(object)) {
        a.kind = Argument::Kind::integer;
        a.integer = PyLong_AsLong(object);
        if (a.integer == -1 && PyErr_Occurred()) throw nb::python_error();
        return a;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
        PyErr_Clear();
        throw std::invalid_argument("expected a C-contiguous array or a number");
    }
    a.kind = Argument::Kind::array;
    a.type = letter_of(view.format ? view.format : "B", view.itemsize);
    a.writable = !view.readonly;
    a.data = view.buf;
    a.rank = view.ndim;
    const bool too_many = view.ndim > Array<float>::most_dimensions;
    for (int i = 0; i < view.ndim && !too_many; i++) a.shape[i] = view.shape[i];
    PyBuffer_Release(&view);  // the Call keeps the array itself alive
    if (too_many) throw std::invalid_argument("expected an array of at most 8 dimensions");
    return a;
}

struct Call {
    std::string name;
    Bound run;
    std::vector<nb::object> arrays;  // what the pointers inside `run` point into
};

std::map<std::string, Signature>& signatures() {
    static std::map<std::string, Signature> all;
    return all;
}

Call bind(const std::string& name, nb::args values) {
    const auto found = kernels().find(name);
    if (found == kernels().end()) throw nb::attribute_error(("no kernel is called " + name).c_str());
    const Signature& signature = signatures().at(name);
    const auto refuse = [&](const std::string& reason) { return nb::type_error((name + ": " + reason).c_str()); };
    Call call{name, {}, {}};
    std::vector<Argument> arguments;
    char type = 0;
    for (std::size_t i = 0; i < values.size(); i++) {
        try {
            arguments.push_back(argument_of(values[i]));
        } catch (const std::invalid_argument& error) {
            throw refuse(signature.name_of(i) + ": " + error.what());
        }
        const Argument& a = arguments.back();
        if (a.kind != Argument::Kind::array) continue;
        call.arrays.push_back(nb::borrow<nb::object>(values[i]));
        if (!type && (a.type == 'f' || a.type == 'd')) type = a.type;  // the first real array decides
    }
    if (!type) throw refuse("expected a float32 or float64 array among the arguments");
    try {
        signature.check(arguments);
        call.run = (type == 'f' ? found->second.single : found->second.twice)(arguments);
    } catch (const BadArgument& bad) {
        throw refuse(signature.name_of(bad.index) + ": " + bad.reason);
    } catch (const std::invalid_argument& error) {
        throw refuse(error.what());
    }
    return call;
}

// A list of calls that runs in one go, without the GIL; a Python callable in it takes the GIL while it runs.
//
// For a small one, handing pieces to other threads and fetching what they wrote may cost more than they save.  How much depends
// on how fast cores exchange memory: on the machine, on some from minute to minute.  So it tries both ways now and then, and
// stays with the quicker one; its results do not depend on it.
class Program {
public:
    Program(nb::list steps, bool small) : small_(small) {
        for (nb::handle step : steps) {
            if (nb::isinstance<Call>(step)) {
                steps_.push_back({&nb::cast<Call&>(step), nb::borrow<nb::object>(step)});
            } else if (PyCallable_Check(step.ptr())) {
                steps_.push_back({nullptr, nb::borrow<nb::object>(step)});
            } else {
                throw nb::type_error("Program: expected bound calls and Python callables");
            }
        }
    }

    void run() {
        nb::gil_scoped_release free;
        const long turn = small_ ? runs_++ % period : period;
        if (turn >= 2 * tries) return run_steps(alone_);
        alone_ = turn < tries;
        const auto start = std::chrono::steady_clock::now();
        run_steps(alone_);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        double& best = alone_ ? best_alone_ : best_shared_;
        best = turn % tries == 0 ? infinite : std::min(best, seconds);  // the first one brings memory to where it is used
        if (turn == 2 * tries - 1) alone_ = best_alone_ <= best_shared_;
    }

    // Runs once and returns the seconds that each step took.
    std::vector<double> time() {
        std::vector<double> seconds;
        nb::gil_scoped_release free;
        for (const Step& step : steps_) {
            const auto start = std::chrono::steady_clock::now();
            run_step(step);
            seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
        return seconds;
    }

    std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const Step& step : steps_) names.push_back(step.call ? step.call->name : "python");
        return names;
    }

    // A Python step often reaches whoever holds the program (a bound method, say): the garbage collector must see
    // that circle to free it.
    static int traverse(PyObject* self, visitproc visit, void* arg) {
        Py_VISIT(Py_TYPE(self));
        if (!nb::inst_ready(self)) return 0;
        for (const Step& step : nb::inst_ptr<Program>(self)->steps_) Py_VISIT(step.object.ptr());
        return 0;
    }
    static int clear(PyObject* self) {
        std::vector<Step> steps;
        if (nb::inst_ready(self)) steps.swap(nb::inst_ptr<Program>(self)->steps_);
        return 0;
    }

private:
    struct Step {
        Call* call;
        nb::object object;
    };

    void run_steps(bool alone) const {
        const Alone nobody_else(alone);
        for (const Step& step : steps_) run_step(step);
    }

    static void run_step(const Step& step) {
        if (step.call) {
            FlushDenormals flush;  // for each call: a Python step between them keeps the numbers that NumPy has elsewhere
            return step.call->run();
        }
        nb::gil_scoped_acquire held;
        step.object();
    }

    static constexpr long tries = 4, period = 512;  // runs of each way, among so many
    static constexpr double infinite = std::numeric_limits<double>::infinity();

    std::vector<Step> steps_;
    bool small_, alone_ = false;
    long runs_ = 0;
    double best_alone_ = infinite, best_shared_ = infinite;
};

PyType_Slot program_slots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(&Program::traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(&Program::clear)},
    {0, nullptr},
};

}  // namespace

NB_MODULE(BACKPASS_MODULE, m) {
    nb::class_<Call>(m, "Call")
        .def_ro("name", &Call::name)
        .def("__call__",
             [](Call& call) {
                 nb::gil_scoped_release free;
                 FlushDenormals flush;
                 call.run();
             })
        .def("__repr__", [](const Call& call) { return "<bound call " + call.name + ">"; });
    nb::class_<Program>(m, "Program", nb::type_slots(program_slots))
        .def(nb::init<nb::list, bool>(), nb::arg("steps"), nb::arg("small") = false)
        .def("run", &Program::run)
        .def("time", &Program::time)
        .def_prop_ro("names", &Program::names);
    m.def("bind", &bind);
    for (const auto& [name, kernel] : kernels()) signatures().emplace(name, Signature(kernel.signature));
    m.def("signatures", [] {
        std::map<std::string, std::string> texts;
        for (const auto& [name, kernel] : kernels()) texts.emplace(name, kernel.signature);
        return texts;
    });
    m.def("threads", &threads);
    m.def("set_threads", [](int count) {
        nb::gil_scoped_release free;
        set_threads(count);
    });
}

}  // namespace backpass
