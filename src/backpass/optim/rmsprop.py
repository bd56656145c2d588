"""RMSProp: the gradient divided by a running root mean square of itself.

    s ← decay s + (1 - decay) dw²
    w ← w - lr dw / (sqrt(s) + eps)

Source
    Tieleman and Hinton 2012, Coursera "Neural Networks for Machine Learning", lecture 6.5 (slide 29).

Explanation
    AdaGrad with a memory that fades: s forgets gradients older than some 1/(1 - decay) steps, so that the learning rate
    of a parameter follows the present scale of its gradient and does not die out.  s starts at zero and is not corrected
    for it: the first step is 1/sqrt(1 - decay) times as long as later ones (10 times at 0.99).

State
    s, the running mean of squared gradients, zero at first.

Cost
    One pass: reads w, dw and s, writes w and s.

Conventions
    As in the course (`decay_rate`, `epsilon`, `cache`) and in PyTorch (alpha): eps outside the root.

Example
    >>> import numpy as np
    >>> from backpass.optim.rmsprop import rmsprop_update
    >>> w, s = rmsprop_update(np.array([1.0]), np.array([2.0]), np.zeros(1), lr=0.01, decay=0.99, eps=1e-8)
    >>> print(f"{w[0]:.3f} {s[0]:.3f}")
    0.900 0.040
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options, require_fraction, require_positive


def rmsprop_update(w: Array, dw: Array, s: Array, *, lr: float, decay: float, eps: float) -> tuple[Array, Array]:
    """Return the new w and s."""
    s = decay * s + (1 - decay) * dw**2
    w = w - lr * dw / (np.sqrt(s) + eps)
    return w, s


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """RMSProp; see `backpass.optim.rmsprop` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    decay : float
        Weight of the old mean square, in [0, 1).
    eps : float
        Keeps the division away from 0 / 0; positive.
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.RMSProp(lr=1e-3).decay
    0.99
    """

    lr: float = 1e-2
    decay: float = 0.99
    eps: float = 1e-8
    groups: Any = None

    slots: ClassVar[tuple[str, ...]] = ("s",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "decay")
        require_positive(self, "eps")

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w and s."""
        return rmsprop_update(w, dw, *slots, lr=lr, decay=self.decay, eps=self.eps)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        return native.rmsprop(w, slots["s"], dw, control, options["lr_scale"], self.decay, self.eps)


CASES = [RMSProp(), RMSProp(lr=0.5, decay=0.5, eps=1e-3)]
