"""Measure the user's gradients: which are right, which wrong, and what they should be."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric
from backpass.check.findings import exception_finding
from backpass.check.inputs import SCALE, SHIFT
from backpass.check.instrument import Program
from backpass.check.report import GradientRow, Report
from backpass.check.subject import PARAMETER, Layer, Subject, describe
from backpass.errors import BackpassError

Array = NDArray[np.float64]

SMALL = 2000  # elements up to which a wrong gradient is measured whole; beyond, a sample


MEANINGLESS = 1e-12  # a gradient this small, next to its parameter and the loss, says nothing


@dataclass
class Measured:
    """The user's gradients next to the numerical ones."""

    yours: dict[str, Any]
    true: dict[str, Array] = field(default_factory=dict)  # NaN where not measured
    wrong: list[str] = field(default_factory=list)
    rows: list[GradientRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: int = 0  # gradients returned of nothing that the forward takes


@contextmanager
def quiet() -> Iterator[None]:
    """No NumPy warnings from the user's code while it is being shaken."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def attempt(report: Report, what: str, step: Callable[..., None], *arguments: Any) -> None:
    """Take one step of an examination; whatever goes wrong in it is said, and the rest goes on."""
    try:
        with quiet():
            step(*arguments)
    except BackpassError:
        raise  # meant for the caller
    except Exception as error:
        program = next((a for a in arguments if isinstance(a, Program)), None)
        finding = exception_finding(error, program, f"{what} could not be examined to the end")
        finding.severity, finding.cause = "warning", "not_checked"
        report.findings.append(finding)


def measure(subject: Subject) -> Measured:
    """Compare all gradients: along one random direction each, and element by element where that fails."""
    program = subject.program
    with quiet():
        yours = subject.backward(lambda: None)
        measured = Measured(yours)
        if isinstance(subject, Layer):
            _leave_out_data(subject, yours)
        with program.watched("branches") as recorder:
            recorder.reset()
            for leaf, base in subject.leaves.items():
                gradient = yours.get(leaf)
                if gradient is None:
                    measured.missing.append(leaf)
                    continue
                _measure_leaf(subject, measured, leaf, base, gradient)
    return measured


def _leave_out_data(subject: Layer, yours: dict[str, Any]) -> None:
    """Leave out arrays that no gradient is returned of and that hold data by their name or shape: one row for a sample."""
    first, count = next(iter(subject.arguments)), next(iter(subject.leaves.values())).shape[:1]
    for leaf in [k for k in subject.leaves if yours.get(k) is None]:
        learned = PARAMETER.match(leaf) or SCALE.match(leaf) or SHIFT.match(leaf)
        data = subject.leaves[leaf].shape[:1] == count or re.search(
            r"^x$|mask|target|label|truth|sample|class", leaf, re.I
        )
        if leaf != first and data and not learned and any(g is not None for g in yours.values()):
            del subject.leaves[leaf], subject.paths[leaf]


def _measure_leaf(subject: Subject, measured: Measured, leaf: str, base: Array, gradient: Any) -> None:
    recorder = subject.program.recorder

    def loss(moved: Array) -> float:
        recorder.branches = 0
        return subject.loss({**subject.leaves, leaf: moved})

    value = np.asarray(gradient)
    fits = value.shape == base.shape and value.dtype.kind == "f" and bool(np.isfinite(value).all())
    known: list[tuple[Array, numeric.Derivative]] = []
    if fits and base.size:
        u = np.random.default_rng([base.size, 11]).standard_normal(base.shape)
        typical = float(np.sqrt(np.mean(base**2))) or 1.0
        d = numeric.derivative_along(lambda t: loss(base + t * u), lambda: recorder.branches, scale=typical)
        known.append((u, d))
        expected = float(np.sum(value * u))
        norm = max(float(np.sqrt(np.sum(np.square(value, dtype=np.float64)))), abs(d.value))
        error = abs(d.value - expected) / norm if norm > 0 else 0.0
        noise = 30 * d.error / norm if norm > 0 else 0.0
        short = value.dtype.itemsize < 8
        if not d.kink and error <= max(1e-5 if short else numeric.RIGHT, noise):
            note = ""
            if norm * typical < MEANINGLESS * max(1.0, abs(loss(base))):
                note = "so small that the comparison says little"
            measured.true[leaf] = value.astype(np.float64)
            measured.rows.append(GradientRow(leaf, "right", error, base.size, note=note))
            return
    chosen = None if base.size <= SMALL else np.random.default_rng(0).choice(base.size, 200, replace=False)
    true = numeric.smooth_gradient(loss, lambda: recorder.branches, base, known) if chosen is None else None
    true = true or numeric.gradient(loss, lambda: recorder.branches, base, chosen)
    measured.true[leaf] = np.where(np.isnan(true.value), 0.0 if chosen is None else np.nan, true.value)
    kinks = int(true.kink.sum())
    if not fits:
        measured.wrong.append(leaf)
        error = (
            float("nan")
            if value.dtype.kind not in "fiu" or value.shape != base.shape
            else numeric.relative_error(value, true.value)
        )
        note = (
            f"is {describe(gradient)}, should be an array {base.shape}"
            if value.shape != base.shape
            else f"is of {value.dtype}"
        )
        measured.rows.append(GradientRow(leaf, "wrong", error, base.size, kinks, note))
        return
    scale = float(np.nanmax(np.abs(np.where(np.isnan(true.value), 0, true.value)), initial=0.0))
    scale = max(scale, float(np.abs(value).max()))
    difference = np.abs(value - true.value)
    # At a kink any value between the two one-sided slopes is a fair answer.
    low, high = np.minimum(true.left, true.right), np.maximum(true.left, true.right)
    slack = 1e-3 * scale
    difference = np.where(
        true.kink, np.where((value >= low - slack) & (value <= high + slack), 0.0, difference), difference
    )
    difference = np.where(np.isnan(true.value), 0.0, difference)
    error = float(difference.max()) / scale if scale > 0 else 0.0
    noise = 30 * true.error / scale if scale > 0 else 0.0
    if error <= max(numeric.RIGHT, noise):
        status = "right" if kinks < base.size else "excluded"
        measured.rows.append(GradientRow(leaf, status, error, base.size, kinks))
        measured.true[leaf] = value.astype(np.float64)
    else:
        if kinks:
            measured.true[leaf] = np.where(true.kink, value, measured.true[leaf])
        measured.wrong.append(leaf)
        measured.rows.append(GradientRow(leaf, "wrong", error, base.size, kinks, numeric.band(error)))


def gradients_are_right(subject: Subject) -> bool:
    """Whether all gradients are right along one direction for each array: a question to ask of many edits."""
    yours = subject.backward(lambda: None)
    for leaf, base in subject.leaves.items():
        if leaf not in yours or np.shape(yours[leaf]) != base.shape:
            return False
        u = np.random.default_rng(11).standard_normal(base.shape)

        def along(t: float, leaf: str = leaf, base: Array = base, u: Array = u) -> float:
            return subject.loss({**subject.leaves, leaf: base + t * u})

        true, got = numeric.derivative_along(along, lambda: 0).value, float(np.sum(yours[leaf] * u))
        if not abs(true - got) <= 1e-5 * max(abs(true), float(np.sqrt(np.sum(yours[leaf] ** 2)))):
            return False
    return True
