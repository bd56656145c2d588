"""The compiled kernels: chosen for this processor at import, bound to arrays once, run as programs.

`native.relu_forward(out, x)` looks at its arrays once and returns a bound `Call`; `Program([call, ...]).run()`
runs bound calls one after another in native code.  The kernels live in the C++ files beside this one, one
per layer, and are compiled once per instruction set.

Two environment variables choose: ``BACKPASS_NATIVE=0`` leaves the kernels out (every layer then runs its
NumPy reference), ``BACKPASS_ISA=v3`` takes another instruction set than the best.  ``BACKPASS_THREADS`` sets
how many threads the kernels start with; `set_threads` changes it.
"""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import ArgumentError


class PythonProgram:
    """The program of a package without kernels: the same interface, a Python loop."""

    def __init__(self, steps: Sequence[Callable[[], object]], small: bool = False) -> None:  # noqa: ARG002
        self.steps = list(steps)

    def run(self) -> None:
        """Run every step in order."""
        for step in self.steps:
            step()

    def time(self) -> list[float]:
        """Run every step in order and return the seconds that each took."""
        seconds = []
        for step in self.steps:
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        return seconds


def _load() -> tuple[Any, str]:
    """Import the module for this processor; (None, "none") where there is none."""
    if os.environ.get("BACKPASS_NATIVE") == "0":
        return None, "none"
    try:
        cpu = importlib.import_module(f"{__name__}._cpu")
    except ImportError:
        warnings.warn(
            "backpass was built without its native kernels: everything works, slower, in NumPy. Install it with a "
            "C++20 compiler to get them; set BACKPASS_NATIVE=0 to say that this is meant.",
            stacklevel=4,
        )
        return None, "none"
    found: list[str] = cpu.instruction_sets()
    wanted = os.environ.get("BACKPASS_ISA")
    if wanted and wanted not in found:
        raise ArgumentError(f"BACKPASS_ISA: expected one of {found} on this processor, got {wanted!r}")
    isa = wanted or (found[0] if found else "none")
    return (importlib.import_module(f"{__name__}._{isa}"), isa) if isa != "none" else (None, isa)


_module, isa = _load()
available: bool = _module is not None
Program: Any = _module.Program if available else PythonProgram


def threads() -> int:
    """Return how many threads the kernels use.

    Examples
    --------
    >>> threads() >= 1
    True
    """
    return int(_module.threads()) if available else 1


def set_threads(count: int) -> None:
    """Let the kernels use `count` threads; results do not depend on it, to the last bit.

    Parameters
    ----------
    count : int
        At least 1. More threads than cores never help.

    Raises
    ------
    ArgumentError
        If `count` is not a whole number from 1 to 1024.

    Examples
    --------
    >>> before = threads()
    >>> set_threads(1)
    >>> set_threads(before)
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= 1024:
        raise ArgumentError(f"set_threads: expected a whole number of threads from 1 to 1024, got {count!r}")
    if available:
        _module.set_threads(int(count))


def _initial_threads() -> int:
    given = os.environ.get("BACKPASS_THREADS")
    if not given:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdecimal() or not 1 <= int(given) <= 1024:
        raise ArgumentError(f"BACKPASS_THREADS: expected a whole number from 1 to 1024, got {given!r}")
    return int(given)


_kernels: dict[str, str] = _module.signatures() if available else {}  # name -> what it takes


def __getattr__(name: str) -> Any:
    if name not in _kernels:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    binder = partial(_module.bind, name)  # native.affine_forward(...) binds that kernel
    globals()[name] = binder
    return binder


set_threads(_initial_threads())
