"""Fully connected nets of any depth: {affine - [norm] - relu - [dropout]} x (L - 1) - affine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..init import He
from ..layers import Affine, BatchNorm, Dropout, LayerNorm, ReLU
from ..layers.base import Init, Layer, require


def fully_connected(
    hidden: Sequence[int],
    *,
    classes: int,
    norm: Layer | None = None,
    activation: Layer | None = None,
    drop_prob: float = 0.0,
    init: Init | None = None,
) -> list[Layer]:
    """Return the layers of a fully connected net.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers; empty for a linear classifier.
    classes : int
        How many scores come out.
    norm : Layer, optional
        Such as `BatchNorm()` or `LayerNorm()`, before each activation.
    activation : Layer, optional
        After each hidden layer; ReLU by default.
    drop_prob : float
        Chance of a hidden activation to be zeroed, in [0, 1).
    init : callable, optional
        Draws the weights; He by default.

    Returns
    -------
    list of Layer
        {affine - [norm] - activation - [dropout]} for each hidden width, then affine.

    Raises
    ------
    ArgumentError
        If a width is not a positive whole number, or drop_prob not a probability below 1.

    Examples
    --------
    >>> import backpass as bp
    >>> [type(layer).__name__ for layer in fully_connected([100], classes=10, norm=bp.BatchNorm(), drop_prob=0.25)]
    ['Affine', 'BatchNorm', 'ReLU', 'Dropout', 'Affine']
    """
    whole = isinstance(hidden, (list, tuple, np.ndarray))
    require(whole, "fully_connected", "hidden", "a list of widths such as [100, 100]", hidden)
    for name, layer in (("norm", norm), ("activation", activation)):
        require(
            layer is None or isinstance(layer, Layer),
            "fully_connected",
            name,
            "a layer object such as bp.BatchNorm(), or None",
            layer,
        )
    init = init or He()
    layers: list[Layer] = []
    for width in hidden:
        layers.append(Affine(width, init))
        if norm is not None:
            layers.append(norm)
        layers.append(activation or ReLU())
        if drop_prob:
            layers.append(Dropout(drop_prob))
    return [*layers, Affine(classes, init)]


NORMS = {"none": None, "batch": BatchNorm(), "layer": LayerNorm()}
