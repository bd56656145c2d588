"""What happens to a gradient between the backward pass and the optimizer: L2 regularisation, then clipping.

    loss ← loss + 0.5 reg Σ w²,   dw ← dw + reg w
    norm = sqrt(Σ dw²),           dw is multiplied by min(1, limit / norm)

Source
    L2: Krogh and Hertz 1991, "A simple weight decay can improve generalization", eq. 2-3.  Clipping: Pascanu, Mikolov
    and Bengio 2013, arXiv:1211.5063, algorithm 1.

Explanation
    Clipping shortens a gradient and keeps its direction, which is why the norm is that of all parameters together.
    Nothing is multiplied here: the factor goes into `control`, and the optimizer multiplies by it in the pass that it makes
    anyway.

Conventions
    reg carries the factor 0.5, as in the course.  PyTorch's clip_grad_norm_ divides by norm + 1e-6; here a clipped
    gradient has the norm `limit` exactly, up to rounding.

Example
    >>> control, norm = np.array([0.1, 1.0, 1.0, 0.0]), np.zeros(1)
    >>> clip_norm_reference(control, norm, np.array([3.0, 4.0]), 1.0)
    >>> float(norm[0]), float(control[FACTOR])
    (5.0, 0.2)
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import native
from ..layers.base import Array, Call, is_number, require
from .base import BAD, FACTOR


def add_l2_reference(loss: Array, dw: Array, w: Array, reg: float) -> None:
    """Add 0.5 reg Σ w² to `loss` (1,) and reg w to `dw`, in NumPy.

    Examples
    --------
    >>> loss, dw = np.array([1.0]), np.zeros(2)
    >>> add_l2_reference(loss, dw, np.array([3.0, 4.0]), reg=0.1)
    >>> loss, dw
    (array([2.25]), array([0.3, 0.4]))
    """
    loss += 0.5 * reg * np.sum(w.astype(np.float64) ** 2)
    dw += reg * w


def clip_norm_reference(control: Array, norm: Array, grads: Array, limit: float) -> None:
    """Write the length of `grads` into `norm` (1,) and the factor that shortens it to `limit` into `control`."""
    norm[0] = np.sqrt(np.sum(grads.astype(np.float64) ** 2))
    control[FACTOR] = limit / norm[0] if norm[0] > limit and np.isfinite(norm[0]) else 1.0
    if not np.isfinite(norm[0]):
        control[BAD] = 1


def add_l2(loss: Array, dw: Array, w: Array, reg: float, *, kernels: bool = True) -> Call:
    """Return a call that adds L2 regularisation to the loss and to the gradient.

    Parameters
    ----------
    loss : array (1,) of float64
    dw, w : array (n,)
        Gradient and weights; w is only read.
    reg : float
        Strength, >= 0.
    kernels : bool
        False takes the NumPy reference, as `Model(kernels=False)` does.

    Raises
    ------
    ArgumentError
        If reg is negative or not finite.

    Examples
    --------
    >>> loss, dw = np.array([1.0]), np.zeros(2)
    >>> _ = add_l2(loss, dw, np.array([3.0, 4.0]), reg=0.1)()
    >>> loss, dw
    (array([2.25]), array([0.3, 0.4]))
    """
    require(is_number(reg) and 0 <= reg <= 1e6, "add_l2", "reg", "a number in [0, 1e6]", reg)
    if kernels and native.available:
        return native.add_l2(dw, w, loss, float(reg))
    return partial(add_l2_reference, loss, dw, w, reg)


def clip_norm(control: Array, norm: Array, grads: Array, limit: float, *, kernels: bool = True) -> Call:
    """Return a call that measures the length of the whole gradient and sets the factor that the optimizer applies.

    Parameters
    ----------
    control : array (4,) of float64
        Receives the factor; its flag is set if the length is not finite (the factor is then 1).
    norm : array (1,) of float64
        Receives the length before clipping.
    grads : array (n,)
        Only read.
    limit : float
        The greatest length let through, > 0; infinity only measures.
    kernels : bool
        False takes the NumPy reference.

    Raises
    ------
    ArgumentError
        If limit is not positive.

    Examples
    --------
    >>> control, norm = np.array([0.1, 1.0, 1.0, 0.0]), np.zeros(1)
    >>> _ = clip_norm(control, norm, np.array([3.0, 4.0]), limit=10.0)()
    >>> float(norm[0]), float(control[FACTOR])
    (5.0, 1.0)
    """
    fits = is_number(limit) or limit == float("inf")
    require(fits and limit > 0, "clip_norm", "limit", "a number > 0, or infinity", limit)
    if kernels and native.available:
        return native.clip_norm(grads, control, norm, float(limit))
    return partial(clip_norm_reference, control, norm, grads, limit)
