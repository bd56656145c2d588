"""How much of the machine's limits each kernel reaches on its own, at sizes beyond the caches, and what it loses.

A kernel cannot take less time than its products at the rate of multiply-adds, nor than its bytes at the rate of copying.  Its
share is that time by its own.  Here are all of them in one list: the forward and the backward of each layer, the
optimizers, the losses, and the reading of a batch.

Some hosts share their memory among machines, and its rate doubles and halves within minutes.  So each round also copies as many
bytes as the kernel moves, in its turn, and the kernel's share is taken in that round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers.base import Array
from ..losses.base import Loss
from . import data, layer_case, layers, optimizers
from .data import BatchCase
from .group import Group, Side
from .layer_case import LayerCase
from .limits import copying
from .optimizers import OptimizerCase
from .results import BEYOND_CACHES, COPY

SAMPLES, CLASSES = 1_000_000, 10


@dataclass(frozen=True)
class LossCase:
    """A loss and its gradient, of so many samples and classes."""

    loss: Any
    samples: int = SAMPLES
    classes: int = CLASSES

    def arrays(self) -> tuple[Array, Array]:
        """Return scores and what they should be, in the form that the loss takes."""
        rng = np.random.default_rng(0)
        shape = (self.samples, self.classes)
        labels = self.loss.wants == "class labels"
        targets = rng.integers(0, self.classes, self.samples) if labels else rng.standard_normal(shape)
        return rng.standard_normal(shape, np.float32), self.loss.check(shape, targets)


def _loss_side(case: LossCase) -> Side:
    from .. import native

    scores, y = case.arrays()
    loss, dscores = np.zeros(1), np.empty_like(scores)
    step = native.Program([case.loss.kernel(loss, dscores, scores, y)]).run

    def arrays() -> dict[str, Array]:
        step()
        return {"loss": loss, "dscores": dscores}

    def reference() -> dict[str, Array]:
        expected, gradient = case.loss.reference(scores.astype(np.float64), y)
        return {"loss": np.array([expected]), "dscores": gradient}

    return Side(step, arrays, reference)


def _loss_work(case: LossCase) -> tuple[float, float]:
    """Return no operations to speak of, and bytes: the scores and the targets read, the gradient written."""
    targets = 8.0 * case.samples * (case.classes if case.loss.wants == "targets" else 1)
    return 0.0, 8.0 * case.samples * case.classes + targets


SIDES: dict[type, Callable[[Any], Side]] = {
    LayerCase: layer_case.backpass,
    OptimizerCase: optimizers.backpass,
    BatchCase: data.backpass,
    LossCase: _loss_side,
}
WORK: dict[type, Callable[[Any], tuple[float, float]]] = {
    LayerCase: layer_case.work,
    OptimizerCase: optimizers.work,
    BatchCase: data.work,
    LossCase: _loss_work,
}


def backpass(case: Any) -> Side:
    """Run one kernel, as the benchmark of its kind does."""
    return SIDES[type(case)](case)


def work(case: Any) -> tuple[float, float]:
    """Return the operations and bytes that a case cannot do without."""
    return WORK[type(case)](case)


def _cases() -> dict[str, Any]:
    """Return every kernel by name, except what stays in the caches and computes little: it has no limit to compare with."""
    found: dict[str, Any] = {}
    for what in ("forward", "backward"):
        large = {name: case for name, (size, case) in layers.cases(what).items() if size == "large"}
        found |= {name.replace(" large", ""): case for name, case in large.items()}
    found |= {name: case for name, case in optimizers.CASES.items() if name.endswith("10^7")}
    found |= {name: case for name, case in data.CASES.items() if case.batch == data.LARGE}
    found |= {
        name: LossCase(cls()) for name, cls in sorted(Loss.registry.items()) if cls.__module__.startswith("backpass.")
    }

    def beyond(case: Any) -> bool:
        flops, moved = work(case)
        return moved >= BEYOND_CACHES or flops >= moved

    return {name: case for name, case in found.items() if beyond(case)}


CASES = _cases()
GROUP = Group(
    title="one kernel beside the limits of this machine, float32, arrays of some 67 MB; what loses most comes first",
    cases=CASES,
    sides={"backpass": backpass, COPY: copying(work)},
    same=layer_case.SAME,
    work=work,
    full_sides=(f"{COPY}@1",),
    quick=("Conv forward",),
)
