"""Nesterov's accelerated gradient: momentum whose gradient is taken where the velocity will have led.

    v ← momentum v - lr dw
    w ← w + momentum v - lr dw          (with the new v)

Source
    Nesterov 1983, "A method of solving a convex programming problem with convergence rate O(1/k²)"; Sutskever et al. 2013,
    "On the importance of initialization and momentum in deep learning", eq. 3-4; the form used here: Bengio,
    Boulanger-Lewandowski and Pascanu 2012, arXiv:1212.0901, eq. 7.

Derivation
    Nesterov evaluates the gradient at the point ahead, u = θ + momentum v:
        v' = momentum v - lr ∇f(u),   θ' = θ + v'.
    A net computes gradients at its parameters, so let the parameters be the point ahead, w = u.  Then
        w' = θ' + momentum v' = θ + v' + momentum v' = w - momentum v + v' + momentum v',
    and since v' - momentum v = -lr dw, this is w' = w + momentum v' - lr dw.

State
    v, the velocity, zero at first.

Cost
    One pass: reads w, dw and v, writes w and v.

Conventions
    w is the point ahead, as in PyTorch (nesterov=True); at the end of a run, when v is small, it is θ.  The learning rate
    is inside v, as in `backpass.optim.momentum`: the same as PyTorch while lr is constant.

Example
    >>> import numpy as np
    >>> from backpass.optim.nesterov import nesterov_update
    >>> w, v = nesterov_update(np.array([1.0]), np.array([2.0]), np.array([0.5]), lr=0.1, momentum=0.9)
    >>> print(f"{w[0]:.3f} {v[0]:.3f}")  # v = 0.45 - 0.2, w = 1 + 0.225 - 0.2
    1.025 0.250
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options, require_fraction


def nesterov_update(w: Array, dw: Array, v: Array, *, lr: float, momentum: float) -> tuple[Array, Array]:
    """Return the new w and v."""
    v = momentum * v - lr * dw
    w = w + momentum * v - lr * dw
    return w, v


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Nesterov's accelerated gradient; see `backpass.optim.nesterov` for the mathematics.

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
    >>> bp.Nesterov(lr=0.1).momentum
    0.9
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
        return nesterov_update(w, dw, *slots, lr=lr, momentum=self.momentum)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        return native.nesterov(w, slots["v"], dw, control, options["lr_scale"], self.momentum)


CASES = [Nesterov(), Nesterov(lr=0.3, momentum=0.0), Nesterov(momentum=0.99)]
