"""Gradient descent with momentum: a velocity that remembers past gradients moves the parameters.

    v ← momentum v - lr dw
    w ← w + v

Source
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods", eq. 9; Sutskever et al. 2013, "On the
    importance of initialization and momentum in deep learning", eq. 1-2.

Explanation
    Written out, v = -lr Σ_k momentum^k dw[t - k]: a sum of past gradients with weights that fade.  Where they point the
    same way the velocity grows to lr/(1 - momentum) times the gradient, ten times at 0.9; where they swing from side to
    side, across a narrow valley, they cancel.

State
    v, the velocity, zero at first.

Cost
    One pass: reads w, dw and v, writes w and v.

Conventions
    As in the course (`sgd_momentum`): the learning rate is inside v.  PyTorch keeps it outside (v ← momentum v + dw,
    w ← w - lr v), which is the same while lr is constant; when lr drops, ours lets old gradients fade with their old lr.

Example
    >>> import numpy as np
    >>> from backpass.optim.momentum import momentum_update
    >>> w, v = momentum_update(np.array([1.0]), np.array([2.0]), np.array([0.5]), lr=0.1, momentum=0.9)
    >>> print(f"{w[0]:.3f} {v[0]:.3f}")  # v = 0.45 - 0.2
    1.250 0.250
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options, require_fraction


def momentum_update(w: Array, dw: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    """Return the new w and v."""
    v = momentum * v - lr * dw
    w = w + v
    return w, v


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum; see `backpass.optim.momentum` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    momentum : float
        Weight of the old velocity, in [0, 1).
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Momentum(lr=0.1).slots
    ('v',)
    """

    lr: float = 1e-2
    momentum: float = 0.9
    groups: Any = None

    slots: ClassVar[tuple[str, ...]] = ("v",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "momentum")

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w and v."""
        return momentum_update(w, dw, *slots, lr=lr, momentum=self.momentum)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        return native.momentum(w, slots["v"], dw, control, options["lr_scale"], self.momentum)


CASES = [Momentum(), Momentum(lr=0.3, momentum=0.0), Momentum(momentum=0.99)]
