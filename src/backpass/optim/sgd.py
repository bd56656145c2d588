"""Stochastic gradient descent: a step against the gradient of one batch.

    w ← w - lr dw

Source
    Robbins and Monro 1951, "A stochastic approximation method", eq. 6; Bottou, Curtis and Nocedal 2018, arXiv:1606.04838,
    algorithm 4.1.

Explanation
    To first order, a step d changes the loss by dw·d.  Among all steps of the same length, d = -lr dw lowers it most.
    The gradient of a batch is the true one plus noise of mean zero, so the steps are right on average; the noise does
    not die out by itself, which is why learning rates fall towards the end of a run (`backpass.schedule`).

State
    None.

Cost
    One pass: reads w and dw, writes w.

Conventions
    The same in the course (`learning_rate`) and in PyTorch.  Weight decay is no part of it: the trainer's `reg` adds
    reg·w to dw.

Example
    >>> import numpy as np
    >>> from backpass.optim.sgd import sgd_update
    >>> sgd_update(np.array([1.0, 2.0]), np.array([10.0, 0.0]), lr=0.01)
    array([0.9, 2. ])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options


def sgd_update(w: Array, dw: Array, *, lr: float) -> Array:
    """Return the new w."""
    return w - lr * dw


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent; see `backpass.optim.sgd` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.SGD(lr=0.1).slots
    ()
    """

    lr: float = 1e-2
    groups: Any = None

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w."""
        return (sgd_update(w, dw, lr=lr),)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        return native.sgd(w, dw, control, options["lr_scale"])


CASES = [SGD(), SGD(lr=1.5)]
