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
    rows: list[dict[str, Any]] = [{} for _ in model.layers]
    plan = model.watched_plan(len(x), lambda which, i, array: rows[i].update(_describe(which, array)))
    if model.preprocess is None:
        plan.x[...] = x
    else:
        model.preprocess.apply(x, out=plan.x)
    for call in plan.forward:
        call()
    _, plan.dscores[...] = loss.reference(plan.scores, loss.check(plan.scores.shape, y), None)
    for call in plan.backward:
        call()
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def layer_outputs(model: Model, x: Any) -> list[Array]:
    """Predict layer by layer and return what each of them puts out; the last are the scores.

    It is a prediction, with running statistics and without dropout: in training, the batch norm of a single sample would
    subtract what it is to show.  A Residual counts as one layer.  The NumPy references compute it.

    Parameters
    ----------
    model : Model
    x : array (N, *sample shape)
        Raw samples; the model's `preprocess` is applied.

    Returns
    -------
    list of ndarray (N, ...)
        One for each layer, in the model's dtype.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If x has another shape, is not numeric, or holds NaN or infinity.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model([bp.Conv(4, 3), bp.ReLU(), bp.MaxPool(2), bp.Flatten(), bp.Affine(2)], (1, 8, 8))
    >>> [out.shape for out in layer_outputs(model, np.ones((1, 1, 8, 8)))]
    [(1, 4, 8, 8), (1, 4, 8, 8), (1, 4, 4, 4), (1, 64), (1, 2)]
    """
    x = np.asarray(x)
    if model.preprocess is not None:
        x = model.preprocess.apply(x)
    out = model._check_input(x).astype(model.dtype)
    outs = []
    for layer, p, s in zip(model.layers, model.p, model.s, strict=True):
        x, out = out, np.empty(layer.declare(out.shape).out, model.dtype)
        layer.reference_infer(out, x, p, s)
        outs.append(out)
    return outs


def _describe(which: str, array: Array) -> dict[str, Any]:
    """Describe the output of a layer ("out") or its gradient ("dout")."""
    name = "activation" if which == "out" else "gradient"
    counts, edges = _histogram(array)
    found = {f"{name}_counts": counts, f"{name}_edges": edges, f"{name}_std": array.std(dtype=np.float64)}
    if which == "out":
        zero = array.reshape(len(array), -1) == 0
        found |= {"zero_fraction": zero.mean(), "dead_fraction": zero.all(axis=0).mean()}
    return found


def _histogram(values: Array) -> tuple[Array, Array]:
    finite = values if np.isfinite(values).all() else values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(finite, BINS, (low, high))
    return counts.astype(np.int64), np.array([low, high])
