"""AdamW: Adam, with a decay of the weights beside it instead of inside the gradient.

    m, v, m_hat, v_hat as in Adam
    w ← w - lr (m_hat / (sqrt(v_hat) + eps) + weight_decay w)

Source
    Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.

Explanation
    L2 regularisation adds reg·w to the gradient, and Adam then divides it by sqrt(v_hat) with the rest: weights with
    large gradients are hardly regularised at all.  Here the decay does not pass through the division, and every weight
    shrinks by the same fraction lr·weight_decay in each step.

State
    m and v, zero at first; t counts the steps from 1.

Cost
    One pass: reads w, dw, m and v, writes w, m and v.

Conventions
    The decay is multiplied by the learning rate, as in PyTorch (algorithm 2 multiplies it by the schedule's factor only:
    its λ is our lr·weight_decay).  Weights decay, biases, gammas and betas do not, unless `groups` says so;
    PyTorch decays whatever it is given.

Example
    >>> import numpy as np
    >>> from backpass.optim.adamw import adamw_update
    >>> rates = dict(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.5)
    >>> w, m, v = adamw_update(np.array([2.0]), np.array([3.0]), np.zeros(1), np.zeros(1), **rates, t=1)
    >>> print(w.round(6))  # 2 - 0.1 · (1 + 0.5 · 2)
    [1.8]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import native
from ..layers.base import Array, Call, is_number, require
from .adam import adam_update
from .base import Optimizer, Options, require_fraction, require_positive


def adamw_update(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    t: float,
) -> tuple[Array, Array, Array]:
    """Return the new w, m and v; t is 1 in the first step."""
    stepped, m, v = adam_update(w, dw, m, v, lr=lr, beta1=beta1, beta2=beta2, eps=eps, t=t)
    w = stepped - lr * weight_decay * w
    return w, m, v


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay; see `backpass.optim.adamw` for the mathematics.

    Parameters
    ----------
    lr : float
        Learning rate, in (0, 1000].
    beta1, beta2 : float
        Weights of the old mean gradient and of the old mean square, in [0, 1).
    eps : float
        Keeps the division away from 0 / 0; positive.
    weight_decay : float
        Of the weights; biases, gammas and betas have none unless `groups` gives them one.  In [0, 1e6].
    groups : dict of dict, optional
        Options of single groups of parameters: ``{"bias": {"lr_scale": 2.0, "weight_decay": 0.1}}``.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.AdamW().options("weight"), bp.AdamW().options("gamma")
    ({'lr_scale': 1.0, 'weight_decay': 0.01}, {'lr_scale': 1.0, 'weight_decay': 0.0})
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    groups: Any = None

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "beta1")
        require_fraction(self, "beta2")
        require_positive(self, "eps")
        fits = is_number(self.weight_decay) and 0 <= self.weight_decay <= 1e6
        require(fits, self, "weight_decay", "a number in [0, 1e6]", self.weight_decay)

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new w, m and v."""
        m, v = slots
        return adamw_update(
            w,
            dw,
            m,
            v,
            lr=lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            weight_decay=options["weight_decay"],
            t=t,
        )

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Bind the kernel, which is Adam's."""
        rates = (options["lr_scale"], self.beta1, self.beta2, self.eps, options["weight_decay"])
        return native.adam(w, slots["m"], slots["v"], dw, control, *rates)


CASES = [AdamW(), AdamW(lr=0.5, weight_decay=0.3), AdamW(weight_decay=0.0)]
