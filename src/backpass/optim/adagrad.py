"""AdaGrad: every parameter has a learning rate of its own, which falls as its gradients add up.

    s ← s + dw²
    w ← w - lr dw / (sqrt(s) + eps)

Source
    Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization", figure 1,
    with diagonal matrices.

Explanation
    A parameter whose gradient is rarely or never large takes relatively long steps, one with large gradients short ones,
    and the scale of the gradient cancels: the first step is lr times its sign.  Since s only grows, the steps fall
    like 1/sqrt(t) and may die out before the run ends, which is what RMSProp and Adam mend.

State
    s, the sum of squared gradients, zero at first.

Cost
    One pass: reads w, dw and s, writes w and s.

Conventions
    eps stands outside the root, as in the course; PyTorch has it there too, with the default 1e-10.

Example
    >>> import numpy as np
    >>> from backpass.optim.adagrad import adagrad_update
    >>> w, s = adagrad_update(np.array([1.0, 1.0]), np.array([3.0, 1e-3]), np.zeros(2), lr=0.1, eps=1e-8)
    >>> print(w.round(5))  # both move by lr, whatever their scale
    [0.9 0.9]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options, require_positive


def adagrad_update(w: Array, dw: Array, s: Array, *, lr: float, eps: float) -> tuple[Array, Array]:
    """Return the new w and s."""
    s = s + dw**2
    w = w - lr * dw / (np.sqrt(s) + eps)
    return w, s


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad; see `backpass.optim.adagrad` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    eps : float
        Keeps the division away from 0 / 0; positive.
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.AdaGrad(lr=0.1).slots
    ('s',)
    """

    lr: float = 1e-2
    eps: float = 1e-8
    groups: Any = None

    slots: ClassVar[tuple[str, ...]] = ("s",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "eps")

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w and s."""
        return adagrad_update(w, dw, *slots, lr=lr, eps=self.eps)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        return native.adagrad(w, slots["s"], dw, control, options["lr_scale"], self.eps)


CASES = [AdaGrad(), AdaGrad(lr=0.5, eps=1e-3)]
