"""The process of a side: builds it, checks what it computes, times it.

    python -m backpass.bench.worker THREADS

reads requests from standard input and answers on standard output, a line of JSON each.  It stays while the others have
their turn: waiting for the next line costs nothing, and nobody pays for imports and warm-up twice.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..layers.base import Array
from .group import Side, Unsuitable, cores, load_group

BLOCK_S = 0.005
LONG = 10  # times the seconds asked for: a step that takes so long needs no warm-up and no repeats in a round
WARM_UP = 0.3  # of the time that is measured
PERIOD = 1024
DIRECTIONS = 256
REST_S, LONGEST_REST = 0.01, 50
SMALL = 1e-4  # of the longest array: what is shorter, such as the gradient of a bias before batch norm, may be rounding

Numbers = dict[str, list[float]]


def numbers(arrays: Mapping[str, Array]) -> Numbers:
    """Return numbers for each array that only equals bring about: along fixed random directions, and last its length.

    Examples
    --------
    >>> numbers({"out": np.array([3.0, 4.0])})["out"][-1]
    5.0
    """
    found = {}
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array, np.float64).ravel()
        rows = -(-flat.size // PERIOD)
        padded = np.zeros(rows * PERIOD)
        padded[: flat.size] = flat
        rng = np.random.default_rng(7)
        along = rng.uniform(0.5, 1.5, rows) @ (padded.reshape(rows, PERIOD) @ rng.standard_normal((PERIOD, DIRECTIONS)))
        found[name] = [*along.tolist(), float(np.sqrt(flat @ flat))]
    return found


def difference(expected: Numbers, found: Numbers, same: float) -> str:
    """Return in words how the numbers of two sides differ by more than `same` of an array's length; "" if they agree.

    Examples
    --------
    >>> difference({"dw": [0.1, 2.0]}, {"dw": [0.1, 2.0]}, 1e-4)
    ''
    >>> difference({"dw": [0.1, 2.0]}, {"dw": [0.2, 4.0]}, 1e-4)
    'dw has the length 4, expected 2'
    """
    both = [name for name in expected if name in found]
    if not both:
        return f"expected some of {', '.join(expected)}, got {', '.join(found) or 'nothing'}"
    longest = max(lengths[-1] for lengths in expected.values())
    for name in both:
        (*along, length), (*along_too, length_too) = expected[name], found[name]
        allowed = same * max(length, SMALL * longest)
        if not abs(length - length_too) <= allowed:
            return f"{name} has the length {length_too:.6g}, expected {length:.6g}"
        # The root mean square over the directions is about the length of the difference, which one of them alone may
        # overstate or hide.
        apart = math.sqrt(sum((a - b) ** 2 for a, b in zip(along, along_too, strict=True)) / len(along))
        if not apart <= allowed:
            return f"{name} has the length {length:.6g} and another direction (apart by {apart:.6g}, allowed {allowed:.2g})"
    return ""


def time_step(step: Callable[[], object], seconds: float) -> list[float]:
    """Return the seconds of a step, several times: after a short warm-up, blocks of steps for about `seconds`.

    Examples
    --------
    >>> len(time_step(lambda: None, 0.01)) >= 3
    True
    """
    clock = time.perf_counter
    start, calls = clock(), 0
    while calls < 1 or clock() - start < WARM_UP * seconds:
        step()
        calls += 1
    if (each := (clock() - start) / calls) > LONG * seconds:
        return [each]
    per_block = max(1, round(BLOCK_S / each))
    blocks: list[float] = []
    begin = clock()
    while clock() - begin < seconds or len(blocks) < 3:
        start = clock()
        for _ in range(per_block):
            step()
        blocks.append((clock() - start) / per_block)
    return blocks


def rest() -> None:
    """Wait until the threads of this process have come to rest.

    OpenBLAS's spin for 26 ms after a product, on cores that the next side needs.

    Examples
    --------
    >>> rest()
    """
    for _ in range(LONGEST_REST):
        before = time.process_time()
        time.sleep(REST_S)
        if time.process_time() - before < 0.1 * REST_S:
            return


class Worker:
    """The sides that are built at present, and what can be asked of them."""

    def __init__(self) -> None:
        self.sides: dict[str, Side] = {}

    def build(self, side: str, group: str, case: str, expected: Numbers | None) -> dict[str, Any]:
        """Build a side, run it once, and compare what it computes with the reference or with what others computed."""
        start = time.perf_counter()
        found = load_group(group)
        built = self.sides[side] = found.sides[side.partition("@")[0]](found.cases[case])
        setup = time.perf_counter() - start
        built.step()
        first = time.perf_counter() - start - setup
        mine = numbers(built.arrays())
        if built.reference is not None:
            expected = numbers(built.reference())
        wrong = "" if expected is None else difference(expected, mine, found.same)
        if not all(math.isfinite(n) for pair in mine.values() for n in pair):
            wrong = "NaN or infinity in what it computes"
        rest()
        return {"setup_s": setup, "first_s": first, "numbers": mine, "wrong": wrong}

    def time(self, side: str, seconds: float) -> dict[str, Any]:
        """Time a side."""
        blocks = time_step(self.sides[side].step, seconds)
        rest()
        return {"median_s": statistics.median(blocks), "blocks_s": blocks}

    def drop(self, side: str) -> dict[str, Any]:
        """Let go of a side and its memory."""
        self.sides.pop(side, None)
        return {}

    def limits(self, side: str) -> dict[str, Any]:  # noqa: ARG002 (every request says whom it asks)
        """Measure what this machine can do at most."""
        from .limits import measure

        return measure()


def main(threads: int) -> None:
    """Answer requests until standard input ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:threads])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except (ImportError, Unsuitable) as error:
            answer = {"skipped": str(error) or type(error).__name__, "missing": getattr(error, "name", None)}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
