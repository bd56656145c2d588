"""A look into the layers while they train: how activations and gradients are spread, and which units are dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .layers.base import Array

if TYPE_CHECKING:
    from .losses import Loss
    from .model import Model

BINS = 40


def inspect_layers(model: Model, x: Array, y: Array, loss: Loss) -> dict[str, Array]:
    """Run one training forward and backward on some samples and describe each layer's output and its gradient.

    Parameters
    ----------
    model : Model
        Its running statistics are not touched; `grads` holds the gradients of these samples afterwards.
    x : array (N, *sample shape)
        Raw samples; the model's `preprocess` is applied.
    y : array (N, ...)
        Labels or targets.
    loss : Loss

    Returns
    -------
    dict of ndarray, first dimension L = number of layers
        ``activation_counts`` and ``gradient_counts`` (L, BINS) int64, ``activation_edges`` and ``gradient_edges`` (L, 2) the
        ends of the histograms, ``activation_std``, ``gradient_std``, ``zero_fraction`` (outputs that are exactly 0) and
        ``dead_fraction`` (units that are 0 for every sample) (L,) float64.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model([bp.Affine(8), bp.ReLU(), bp.Affine(2)], (3,))
    >>> seen = inspect_layers(model, np.ones((4, 3)), np.zeros(4, np.int64), bp.SoftmaxLoss())
    >>> seen["activation_counts"].shape
    (3, 40)
    """
    plan = model.inspection_plan(len(x))
    if model.preprocess is None:
        plan.x[...] = x
    else:
        model.preprocess.apply(x, out=plan.x)
    for call in plan.forward:
        call()
    _, plan.dscores[...] = loss.reference(plan.scores, loss.check(plan.scores.shape, y), None)
    model.grads[...] = 0
    for call in plan.backward:
        call()
    rows = [_describe(out, dout) for out, dout in zip(plan.outs, plan.douts, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _describe(out: Array | None, dout: Array | None) -> dict[str, Any]:
    assert out is not None
    assert dout is not None
    units = out.reshape(len(out), -1)
    zero = units == 0
    activation_counts, activation_edges = _histogram(out)
    gradient_counts, gradient_edges = _histogram(dout)
    return {
        "activation_counts": activation_counts,
        "activation_edges": activation_edges,
        "activation_std": out.std(dtype=np.float64),
        "gradient_counts": gradient_counts,
        "gradient_edges": gradient_edges,
        "gradient_std": dout.std(dtype=np.float64),
        "zero_fraction": zero.mean(),
        "dead_fraction": zero.all(axis=0).mean(),
    }


def _histogram(values: Array) -> tuple[Array, Array]:
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(finite, BINS, (low, high))
    return counts.astype(np.int64), np.array([low, high])
