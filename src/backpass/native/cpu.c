// Which of our instruction sets this processor has: a module so small that it runs anywhere.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject* instruction_sets(PyObject* self, PyObject* unused) {
    (void)self;
    (void)unused;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const int v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512cd");
    return v4   ? Py_BuildValue("[sss]", "v4", "v3", "v2")
           : v3 ? Py_BuildValue("[ss]", "v3", "v2")
           : v2 ? Py_BuildValue("[s]", "v2")
                : Py_BuildValue("[]");
#else
    return Py_BuildValue("[s]", "base");
#endif
}

static PyMethodDef methods[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS, "The instruction sets that this processor has, best first."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT, .m_name = "_cpu", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__cpu(void) { return PyModuleDef_Init(&module); }
