"""Adam: momentum divided by a running root mean square of the gradient, both corrected for their start at zero.

    m ← beta1 m + (1 - beta1) dw
    v ← beta2 v + (1 - beta2) dw²
    m_hat = m / (1 - beta1^t),   v_hat = v / (1 - beta2^t)
    w ← w - lr m_hat / (sqrt(v_hat) + eps)

Source
    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

Derivation
    m after t steps is (1 - beta1) Σ_k beta1^(t-k) dw_k.  If the gradients have the mean E, that sum has the mean
    (1 - beta1) Σ_k beta1^(t-k) E = (1 - beta1^t) E by the geometric series: too small by 1 - beta1^t, which the
    division mends (section 3 of the paper); v likewise.  At t = 1, m_hat = dw and v_hat = dw², so the first step is lr
    times the sign of the gradient, and no step is much longer than lr.

State
    m and v, zero at first; t counts the steps from 1.

Cost
    One pass: reads w, dw, m and v, writes w, m and v.  The kernel multiplies by 1/sqrt(1 - beta2^t) and
    lr/(1 - beta1^t), computed once a step.

Conventions
    eps is added to sqrt(v_hat), as in algorithm 1, in the course's text and in PyTorch.  The variant at the end of the
    paper's section 2 (lr sqrt(1 - beta2^t)/(1 - beta1^t) m / (sqrt(v) + eps)), which the course's solution and
    TensorFlow use, adds it to the uncorrected root: in the first step it counts 1/sqrt(1 - beta2) = 32 times as much.

Example
    >>> import numpy as np
    >>> from backpass.optim.adam import adam_update
    >>> rates = dict(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8)
    >>> w, m, v = adam_update(np.array([1.0, 1.0]), np.array([5.0, -0.1]), np.zeros(2), np.zeros(2), **rates, t=1)
    >>> print(w.round(6))  # the first step is lr times the sign
    [0.999 1.001]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import native
from ..layers.base import Array, Call
from .base import Optimizer, Options, require_fraction, require_positive


def adam_update(
    w: Array, dw: Array, m: Array, v: Array, *, lr: float, beta1: float, beta2: float, eps: float, t: float
) -> tuple[Array, Array, Array]:
    """Return the new w, m and v; t is 1 in the first step."""
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w, m, v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam; see `backpass.optim.adam` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    beta1, beta2 : float
        Weights of the old mean gradient and of the old mean square, in [0, 1).
    eps : float
        Keeps the division away from 0 / 0; positive.
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Adam(lr=1e-3).slots
    ('m', 'v')
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    groups: Any = None

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "beta1")
        require_fraction(self, "beta2")
        require_positive(self, "eps")

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w, m and v."""
        return adam_update(w, dw, *slots, lr=lr, beta1=self.beta1, beta2=self.beta2, eps=self.eps, t=t)

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel."""
        rates = (options["lr_scale"], self.beta1, self.beta2, self.eps)
        return native.adam(w, slots["m"], slots["v"], dw, control, *rates, 0.0)


CASES = [Adam(), Adam(lr=0.5, beta1=0.0, beta2=0.5, eps=1e-3), Adam(beta1=0.99, beta2=0.9999)]
