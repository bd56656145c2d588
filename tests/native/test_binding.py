"""The binding: what a kernel accepts, programs, threads, forks, and the variables that choose the kernels."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError

pytestmark = pytest.mark.skipif(not native.available, reason="the kernels are switched off")

TINY = np.full(64, 1e-40, np.float32)  # a denormal number


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with other environment variables."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def affine_step(batch: int = 400) -> tuple[native.Program, np.ndarray]:
    """A program long enough for several pieces, and the array that it fills."""
    rng = np.random.default_rng(batch)
    x, w, b = rng.standard_normal((batch, 90)), rng.standard_normal((90, 300)), rng.standard_normal(300)
    out, rectified = np.empty((batch, 300)), np.empty((batch, 300))
    calls = [native.affine_forward(out, x, w, b, 0), native.relu_forward(rectified, out)]
    return native.Program(calls), rectified


# -- binding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda a: (a,), "expected 2 arguments, got 1"),
        (lambda a: (a, a, a), "expected 2 arguments, got 3"),
        (lambda a: (a, a.astype("f8")), "argument 2 (x): expected an array of float32, got float64"),
        (lambda a: (a, a.astype("i4")), "argument 2 (x): expected an array of float32"),
        (lambda a: (a, a.astype("f2")), "argument 2 (x): expected an array of float32"),
        (lambda a: (a, a.astype(">f4")), "argument 2 (x): expected an array of float32"),
        (lambda a: (a[::2], a), "argument 1 (out): expected a C-contiguous array"),
        (lambda a: (a, np.asfortranarray(a.reshape(2, 4))), "argument 2 (x): expected a C-contiguous array"),
        (lambda a: (a, 3), "argument 2 (x): expected an array"),
        (lambda a: (a, "x"), "argument 2"),
        (lambda a: (a, a.reshape((1,) * 8 + (8,))), "at most 8 dimensions"),
        (lambda a: (3, 4), "expected a float32 or float64 array"),
    ],
)
def test_wrong_arguments_are_type_errors(arguments, words):
    with pytest.raises(TypeError) as raised:
        native.relu_forward(*arguments(np.ones(8, np.float32)))
    assert words in str(raised.value)
    assert str(raised.value).startswith("relu_forward:")


def test_wrong_numbers_are_type_errors():
    x, w, b = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
    for flag in (0.5, "1", None):
        with pytest.raises(TypeError, match="argument 5"):
            native.affine_forward(np.ones((2, 4)), x, w, b, flag)


def test_outputs_must_be_writable_and_inputs_need_not():
    x = np.array([-1.0, 2.0])
    x.flags.writeable = False
    out = np.empty(2)
    native.relu_forward(out, x)()
    assert out.tolist() == [0, 2]
    out.flags.writeable = False
    with pytest.raises(TypeError, match=r"argument 1 \(out\): expected an array that can be written to"):
        native.relu_forward(out, x)


def test_unknown_kernel():
    with pytest.raises(AttributeError, match="no_such_kernel"):
        native.no_such_kernel(np.ones(3))
    assert not hasattr(native, "_no_such_name")


def test_a_call_keeps_its_arrays_alive():
    out, x = np.zeros(1000), np.ones(1000)
    gone = weakref.ref(x)
    call = native.relu_forward(out, x)
    assert call.name == "relu_forward"
    assert repr(call) == "<bound call relu_forward>"
    del x
    gc.collect()
    assert gone() is not None
    call()
    assert (out == 1).all()
    del call
    gc.collect()
    assert gone() is None


# -- programs -------------------------------------------------------------------------------------------------------------


def test_program_runs_calls_and_callables_in_order():
    x, y = np.array([-1.0, 3.0]), np.empty(2)
    seen = []
    program = native.Program([native.relu_forward(y, x), lambda: seen.append(y.copy()), native.relu_forward(x, y)])
    assert program.names == ["relu_forward", "python", "relu_forward"]
    program.run()
    assert seen[0].tolist() == [0, 3]
    assert x.tolist() == [0, 3]
    times = program.time()
    assert len(times) == 3
    assert all(seconds >= 0 for seconds in times)
    with pytest.raises(TypeError, match="callables"):
        native.Program([3])


def test_exceptions_pass_through_a_program_and_stop_it():
    class Stop(Exception):
        pass

    x, y = np.ones(3), np.zeros(3)

    def fail():
        raise Stop("here")

    program = native.Program([fail, native.relu_forward(y, x)])
    for _ in range(3):
        with pytest.raises(Stop, match="here"):
            program.run()
        with pytest.raises(Stop):
            program.time()
    assert (y == 0).all()
    native.relu_forward(y, x)()
    assert (y == 1).all()


def test_the_garbage_collector_frees_programs_in_circles():
    class Owner:
        def __init__(self):
            self.program = native.Program([self.step])

        def step(self):
            pass

    owner = Owner()
    gone = weakref.ref(owner)
    owner.program.run()
    del owner
    gc.collect()
    assert gone() is None


def test_denormals_are_flushed_in_kernels_only():
    scale = np.float32(0.5)
    inside, w, b = [], np.eye(1, dtype=np.float32) * scale, np.zeros(1, np.float32)
    out = np.ones((64, 1), np.float32)
    call = native.affine_forward(out, TINY.reshape(64, 1), w, b, 0)
    native.Program([call, lambda: inside.append(TINY * scale), call]).run()
    assert (out == 0).all(), "a kernel counts numbers below 1e-38 as zero"
    assert (inside[0] != 0).all(), "a Python step of a program does not"
    assert (TINY * scale != 0).all(), "nor does NumPy afterwards"
    call()
    assert (TINY * scale != 0).all()
    other = []
    worker = threading.Thread(target=lambda: other.append(TINY * scale))
    worker.start()
    worker.join()
    assert (other[0] != 0).all()


# -- threads ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, 1025, 1.5, "2", None, True])
def test_set_threads_refuses(count):
    before = bp.threads()
    with pytest.raises(ArgumentError, match="set_threads"):
        bp.set_threads(count)
    assert bp.threads() == before


def test_set_threads_changes_no_bit():
    found = []
    for count in (1, 2, 7, 3, 1):
        bp.set_threads(count)
        assert bp.threads() == count
        program, out = affine_step()
        program.run()
        found.append(out.tobytes())
    assert len(set(found)) == 1


def test_python_threads_run_programs_at_the_same_time():
    bp.set_threads(2)
    made = [affine_step(100 + 50 * i) for i in range(4)]
    wanted = []
    for program, out in made:
        program.run()
        wanted.append(out.copy())
        out[...] = 0
    wrong = []

    def work(i):
        for round_ in range(30):
            program, out = made[i]
            program.run()
            if (out != wanted[i]).any():
                wrong.append((i, round_))
            out[...] = 0

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(10):  # and somebody changes the number of threads meanwhile
        bp.set_threads(3)
        bp.set_threads(2)
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_its_own_threads():
    bp.set_threads(2)
    program, out = affine_step()
    program.run()  # the pool runs now
    wanted = out.copy()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            out[...] = 0
            program.run()
            os._exit(0 if (out == wanted).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
        program.run()
        assert (out == wanted).all()


# -- the variables --------------------------------------------------------------------------------------------------------------

TRAIN = """
import numpy as np, backpass as bp
from backpass import native
model = bp.Model([bp.Affine(8), bp.BatchNorm(), bp.ReLU(), bp.Affine(3)], (5,), dtype="float64")
x = np.random.default_rng(0).standard_normal((6, 5))
scores = model.forward(x); model.backward(np.ones((6, 3))); model.update()
print(native.isa, native.available, bp.threads(), repr(float(np.abs(model.grads).sum())))
"""


def test_without_kernels_everything_works():
    slow = python(TRAIN, BACKPASS_NATIVE="0")
    assert slow.returncode == 0, slow.stderr
    assert slow.stderr == ""
    isa, available, threads, total = slow.stdout.split()
    assert (isa, available, threads) == ("none", "False", "1")
    fast = python(TRAIN)
    assert fast.returncode == 0, fast.stderr
    assert float(fast.stdout.split()[3]) == pytest.approx(float(total), rel=1e-12)


def built_instruction_sets() -> list[str]:
    from backpass.native import _cpu

    folder = Path(_cpu.__file__).parent
    return [isa for isa in _cpu.instruction_sets() if list(folder.glob(f"_{isa}.*"))]


@pytest.mark.parametrize("isa", built_instruction_sets() if native.available else [])
def test_every_instruction_set_computes_the_same(isa):
    found = python(TRAIN, BACKPASS_ISA=isa)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split()[0] == isa
    best = python(TRAIN)
    assert float(found.stdout.split()[3]) == pytest.approx(float(best.stdout.split()[3]), rel=1e-12)


@pytest.mark.parametrize(
    ("variable", "value"), [("BACKPASS_ISA", "z80"), ("BACKPASS_THREADS", "0"), ("BACKPASS_THREADS", "many")]
)
def test_wrong_variables_are_named(variable, value):
    found = python("import backpass", **{variable: value})
    assert found.returncode != 0
    assert f"{variable}: expected" in found.stderr.strip().splitlines()[-1]


def test_threads_variable():
    found = python(TRAIN, BACKPASS_THREADS="3")
    assert found.stdout.split()[2] == "3", found.stderr


def test_an_empty_variable_counts_as_none():
    found = python(TRAIN, BACKPASS_THREADS="", BACKPASS_ISA="")
    assert found.returncode == 0, found.stderr


IMPORTED = """
import sys, backpass
late = ["hashlib", "json", "matplotlib", "PIL", "rich", "typer", "urllib.request"]
late += ["backpass." + name for name in ("check", "cli", "data.cifar10", "data.fetch", "report", "schedule", "train")]
print([name for name in late if name in sys.modules])
print(backpass.Trainer.__module__, backpass.schedule.__name__, backpass.data.download.__name__)
"""


def test_import_brings_in_only_what_every_user_needs():
    found = python(IMPORTED)
    assert found.stdout.splitlines() == ["[]", "backpass.train backpass.schedule download"], found.stderr
    missing = python("import backpass; backpass.no_such_name")
    assert "has no attribute 'no_such_name'" in missing.stderr
