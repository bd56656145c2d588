"""What a value of the backward should have been, where no value of the forward answers to it.

Many a slip sits in a value without a counterpart: a mask, a size, a factor of the user's own.  But what follows from it
is known: the gradient that it leads to.  A backward is linear in nearly all of its values, so the value is nudged,
element by element, the gradient watched, and the equations solved for the value that makes the gradient right.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.causes import Cause, Context, explain, number_in_words
from backpass.check.edits import asides, statements_at
from backpass.check.instrument import Program
from backpass.check.locate import Key, Location, Truth, Verdict
from backpass.check.measure import Measured
from backpass.check.nested import stems
from backpass.check.numeric import relative_error
from backpass.check.reasons import context_of, named_values
from backpass.check.recorder import Allowance, Event, is_real
from backpass.check.subject import Subject

Array = NDArray[np.float64]

LARGEST = 150  # elements up to which a value is solved for
SOLVED = 1e-6


@dataclass
class Target:
    """The value that is known to be wrong, and what it should be."""

    key: Key
    right: Array


def needed(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any], allowance: Allowance) -> Any:
    """Return what the value of an event should have been for the target to come out right, or None.

    None as well where the allowance ends before that is known.
    """
    value = np.asarray(event.value)
    if value.dtype.kind == "b":
        return _mask(subject, event, target, overrides)
    if value.ndim == 0:
        return _number(subject, event, target, overrides)
    if value.dtype.kind not in "fiu" or not 0 < value.size <= LARGEST:
        return None
    base = value.astype(np.float64)
    start = _run(subject, event, base, target, overrides)
    if start is None or not np.isfinite(start).all():
        return None
    columns = []
    step = float(np.abs(base).max()) or 1.0
    for index in np.ndindex(base.shape):
        nudged = base.copy()
        nudged[index] += step
        moved = _run(subject, event, nudged, target, overrides)
        if moved is None or not allowance.left():
            return None
        columns.append((moved - start).ravel() / step)
    jacobian = np.stack(columns, axis=1)
    if not np.isfinite(jacobian).all() or not jacobian.any():
        return None
    change, *_ = np.linalg.lstsq(jacobian, (target.right - start).ravel(), rcond=1e-9)
    solved = base + change.reshape(base.shape)
    return solved if _right(subject, event, solved, target, overrides) else None


def _run(subject: Subject, event: Event, value: Any, target: Target, overrides: dict[Key, Any]) -> Array | None:
    """Return the target with another value in the place of an event's."""
    recorder = subject.program.recorder
    with subject.program.watched("values"), np.errstate(all="ignore"):
        try:
            put = np.array(value) if np.ndim(value) else value  # a copy: the user's code may change it in place
            subject.backward(lambda: recorder.reset(record=True, overrides={**overrides, event.key: put}))
        except Exception:  # the user's code may do anything with a value that it did not expect
            return None
        found = next((e.value for e in recorder.events or [] if e.key == target.key), None)
        recorder.reset()
    if found is None or np.shape(found) != target.right.shape:
        return None
    return np.asarray(found, dtype=np.float64)


def _right(subject: Subject, event: Event, value: Any, target: Target, overrides: dict[Key, Any]) -> bool:
    got = _run(subject, event, value, target, overrides)
    return got is not None and relative_error(got, target.right) < SOLVED


def _mask(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any]) -> NDArray[np.bool_] | None:
    """All on, and all off: each element of the right gradient comes from one of the two."""
    shape = np.shape(event.value)
    ends = [_run(subject, event, np.full(shape, on), target, overrides) for on in (False, True)]
    off, on = ends
    if off is None or on is None or shape != target.right.shape:
        return None
    near = SOLVED * float(np.abs(target.right).max())
    solved = np.where(np.abs(on - off) > near, np.abs(on - target.right) < near, np.asarray(event.value))
    return solved if _right(subject, event, solved, target, overrides) else None


def _number(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any]) -> float | int | None:
    """Solve for a size or a factor: the gradient is some power of it too large, everywhere by the same amount."""
    value = event.value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number) or not value:
        return None
    start = _run(subject, event, value, target, overrides)
    square = 0.0 if start is None else float(np.sum(start * start))
    if start is None or not square:
        return None
    ratio = float(np.sum(target.right * start)) / square
    for power in (1, -1, 0.5, -0.5):
        if power != int(power) and ratio <= 0:
            continue
        solved = float(value) * ratio**power
        solved = round(solved) if abs(solved - round(solved)) < SOLVED * abs(solved) else solved
        if solved != value and _right(subject, event, solved, target, overrides):
            return solved
    return None


def solve_for(
    subject: Subject,
    truth: Truth,
    measured: Measured,
    location: Location,
    events: list[Event],
    known: Cause | None,
    overrides: dict[Key, Any],
    budget_s: float,
) -> tuple[Cause, Verdict] | None:
    """Look, among what the first wrong value is made of, for one whose fault would explain everything."""
    first = location.first_wrong
    assert first is not None
    right = measured.true[first.leaf] if first.leaf else truth.full(first.node) if first.node else None
    if right is None or np.isnan(right).any() or np.shape(first.events[-1].value) != right.shape:
        return None
    target = Target(first.events[-1].key, right)
    arrays, upstream = named_values(truth.events), getattr(subject, "upstream", [])
    slopes = Slopes(truth)
    limit = known.cost if known is not None else 3.0 if _only_assembles(subject.program, first) else 1.6
    best: tuple[Cause, Verdict] | None = None
    allowance = Allowance(subject.program.recorder, budget_s)
    for verdict in _ingredients(subject.program, truth, location, events):
        event = verdict.events[-1]
        if isinstance(event.value, np.ndarray) and not event.value.any():
            continue  # room for a sum: anything could be solved for there
        if slopes.hold(event.value):
            continue  # a true derivative of one value of the forward by another
        value = needed(subject, event, target, overrides, allowance)
        if value is None:
            continue
        cause = _explain_solved(event, value, context_of(subject, measured, arrays, upstream))
        # What is wrong at some elements only was made wrong by the first store that is wrong at the same ones.
        alike = known is not None and cause.key == known.key == "missing_sum" and cause.cost <= limit
        alike = alike and bool(stems(event.site.name)) and not along_some_uses(verdict)
        if slopes.hold(value):
            key = "function" if cause.key == "unknown" else cause.key
            cause = replace(cause, key=key, cost=min(cause.cost, 0.6))
        if cause.cost > 2 and 1 < np.size(value) < right.size:
            cause = replace(cause, cost=1.45)  # fewer unknowns than equations, and yet solved: no coincidence
        if (alike or cause.cost < limit - 0.1) and (best is None or cause.cost <= best[0].cost):
            best = cause, verdict  # of values that are wrong in the same way the first is at fault
    return best


class Slopes:
    """Derivatives of the forward's values by each other, element by element: what local slopes in a backward should be."""

    def __init__(self, truth: Truth, most: int = 10) -> None:
        self.truth, self.most = truth, most
        self.known: dict[tuple[int, ...], list[Array]] = {}

    def hold(self, value: Any) -> bool:
        """Whether an array is one of them."""
        array = np.asarray(value)
        if array.dtype.kind != "f" or not 2 < array.size <= LARGEST or np.ptp(array) == 0:
            return False
        if array.shape not in self.known:
            self.known[array.shape] = self._measure(array.shape)
        return any(relative_error(array, s) < 1e-5 for s in self.known[array.shape])

    def _measure(self, shape: tuple[int, ...]) -> list[Array]:
        truth = self.truth
        recorder = truth.subject.program.recorder
        named = [n for n in truth.nodes if n.kind in ("argument", "assign", "after") and n.shape == shape]
        found = []
        with truth.subject.program.watched("exact"), np.errstate(all="ignore"):
            for node in named[: self.most]:
                runs = []
                for step in (1e-6, -1e-6):

                    def moved(value: Any, step: float = step) -> Any:
                        return value + step

                    recorder.reset(record=True, nudge=(*node.keys[0], moved))
                    truth.subject.loss(truth.subject.leaves)
                    runs.append({e.key: e for e in recorder.events or []})
                    recorder.reset()
                for key, event in runs[0].items():
                    other = runs[1].get(key)
                    if (
                        other is None
                        or event.order <= node.order
                        or not (is_real(event.value) and is_real(other.value))
                    ):
                        continue
                    if np.shape(event.value) == np.shape(other.value) == shape:
                        slope = (event.value - other.value) / 2e-6
                        if np.ptp(slope) > 1e-6:
                            found.append(slope)
        return found


def _explain_solved(event: Event, right: Any, context: Context) -> Cause:
    """Say what is wrong with a value that should have been another."""
    name, value = event.site.name or "a value", np.asarray(event.value)
    if value.dtype.kind == "b":
        count = int(np.sum(value != right))
        return Cause("mask", f"{name} is wrong in {count} of {value.size} elements", 0.5)
    if value.ndim == 0:
        return Cause("factor", f"{name} is {value:.6g}, but should be {number_in_words(float(right), context)[0]}", 0.5)
    if value.dtype.kind in "iu" and np.abs(right - np.round(right)).max() > 1e-6:
        return Cause("dtype", f"{name} is of {value.dtype}, so its values are cut off", 0.5)
    context.others = {}
    cause = explain(name, value.astype(np.float64), right, context)
    return cause or Cause("unknown", f"{name} is wrong: with another value of it all would be right", 2.5)


def _ingredients(program: Program, truth: Truth, location: Location, events: list[Event]) -> list[Verdict]:
    """Values that lead to the first wrong one and were judged neither right nor wrong, the latest first.

    Masks, sizes and the like, which do not move with the upstream gradient, are among them, but not what came out of the
    cache: that is the forward's.
    """
    first = location.first_wrong
    assert first is not None
    found = [v for v in location.suspects if v is not first and len(v.events) == 1]
    found += [v for v in location.verdicts if along_some_uses(v) and v.order < first.order and len(v.events) == 1]
    function = program.function_at(first.site.path, first.site.line)
    source = program.source(function) if function is not None else None
    if source is None:
        return found[::-1]
    statements = statements_at(source[1], {v.site.line for v in location.suspects})
    lines = {s.lineno for s in asides(source[1], statements)}
    judged = {e.key for v in location.verdicts for e in v.events}
    forward = [e.value for e in truth.events if isinstance(e.value, np.ndarray)]
    for event in events:
        site = event.site
        if (
            site.path == first.site.path
            and site.line in lines
            and site.kind in ("assign", "after")
            and not site.in_loop
            and event.key not in judged
            and event.order < first.order
            and isinstance(event.value, np.ndarray | int | float | np.number)
            and not any(a.shape == np.shape(event.value) and np.array_equal(a, event.value) for a in forward)
        ):
            found.append(Verdict(site, "open", event.order, [event]))
    return sorted(found, key=lambda v: -v.order)


def along_some_uses(verdict: Verdict) -> bool:
    """Whether a value is right as the derivative along some of the uses of a variable: others may have been forgotten."""
    return verdict.status == "right" and verdict.node is not None and verdict.node.kind in ("use", "uses")


def _only_assembles(program: Program, verdict: Verdict) -> bool:
    """Whether a line only puts together, or passes on, what lines before it have computed."""
    function = program.function_at(verdict.site.path, verdict.site.line)
    source = program.source(function) if function is not None else None
    if source is None:
        return False
    statements = statements_at(source[1], {verdict.site.line})
    return not any(
        isinstance(n, ast.BinOp | ast.AugAssign) for s in statements if not isinstance(s, ast.For) for n in ast.walk(s)
    )
