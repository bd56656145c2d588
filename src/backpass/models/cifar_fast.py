"""The net that learns CIFAR-10 in about ten epochs: a whitening layer, then three groups of two convolutions.

Source: Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3, which builds on Page 2018,
"How to train your ResNet".  `bp.recipes.fast` trains it as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..basics import Array, require
from ..errors import ArgumentError
from ..init import Dirac, He
from ..layers import GELU, Affine, Conv, Flatten, MaxPool, Scale, SpatialBatchNorm
from ..layers.base import Layer
from ..layers.windows import sliding_windows
from ..model import Model

WHITENING = 24  # filters: both signs of the twelve principal axes of 2 x 2 patches of three channels


def cifar_fast(
    widths: Sequence[int] = (64, 256, 256), *, classes: int, input_shape: Sequence[int] = (3, 32, 32)
) -> list[Layer]:
    """Return the layers of the fast net for small pictures; `whiten` has to set its first weights.

    Parameters
    ----------
    widths : sequence of int
        Filters of each group; each halves the picture.
    classes : int
        How many scores come out.
    input_shape : tuple of int
        Of the pictures, (C, H, W).

    Returns
    -------
    list of Layer
        {2x2 conv, gelu} - {conv, 2x2 max pool, norm, gelu, conv, norm, gelu} x groups - max pool over what is left - affine -
        scale.

    Raises
    ------
    ArgumentError
        If a width is not a positive whole number, or there is none, or the picture is too small for so many groups.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model(cifar_fast(classes=10), input_shape=(3, 32, 32))
    >>> model.params.size
    1972802
    >>> {type(layer).__name__ for layer in model.layers} >= {"Conv", "SpatialBatchNorm", "GELU", "Scale"}
    True
    """
    sizes = isinstance(widths, (list, tuple)) and len(widths) > 0
    require(sizes, "cifar_fast", "widths", "one or more widths such as (64, 256, 256)", widths)
    channels, *size = input_shape
    rows, cols = ((n - 1) >> len(widths) for n in size)
    require(
        min(rows, cols) >= 1,
        "cifar_fast",
        "input_shape",
        f"(C, H, W) that can be halved {len(widths)} times",
        input_shape,
    )
    # eps is tiny and the statistics forget fast: both as in the paper.
    norm = SpatialBatchNorm(eps=1e-12, decay=0.6)
    layers: list[Layer] = [Conv(8 * channels, 2, padding=0), GELU()]
    for width in widths:
        layers += [Conv(width, 3, bias=False, init=Dirac()), MaxPool(2), norm, GELU()]
        layers += [Conv(width, 3, bias=False, init=Dirac()), norm, GELU()]
    return [*layers, MaxPool((rows, cols)), Flatten(), Affine(classes, He(gain=6**-0.5)), Scale(1 / 9)]


def whiten(model: Model, x: Array, *, eps: float = 5e-4) -> None:
    """Set the first convolution's weights so that its outputs on patches of `x` are uncorrelated and of variance 1.

    Its filters become the eigenvectors of the patches' covariance, each divided by the root of its eigenvalue, the
    largest first, and then the same with the other sign.  Freeze them afterwards: ``Trainer(..., frozen=["0.w"])``.

    Parameters
    ----------
    model : Model
        Whose first layer is a convolution with twice as many filters as a patch has values, C·HH·WW.
    x : ndarray (N, C, H, W)
        Preprocessed pictures; some thousands are enough.
    eps : float
        Added to the eigenvalues, so that directions with hardly any variance are not blown up.

    Raises
    ------
    ArgumentError
        If the first layer is not such a convolution, or x does not fit.

    Examples
    --------
    >>> import backpass as bp
    >>> x = np.random.default_rng(0).standard_normal((100, 3, 8, 8)).cumsum(axis=3)  # neighbours are alike
    >>> model = bp.Model([bp.Conv(24, 2, padding=0), bp.Flatten(), bp.Affine(10)], input_shape=(3, 8, 8))
    >>> bp.models.whiten(model, x)
    >>> out, _ = bp.layers.conv.conv_forward(x, model.named_params()["0.w"], None, stride=1, padding=0, dilation=1, groups=1)
    >>> bool(np.allclose(np.square(out[:, :12]).mean(axis=(0, 2, 3)), 1, atol=0.02))
    True
    """
    first = model.layers[0]
    w = model.named_params().get("0.w")
    fits = isinstance(first, Conv) and w is not None and len(w) == 2 * w[0].size
    require(fits, "whiten", "model", "a first layer Conv with 2·C·HH·WW filters, such as Conv(24, 2) for C = 3", first)
    assert w is not None
    if x.ndim != 4 or x.shape[1:] != model.input_shape:
        raise ArgumentError(f"whiten: x: expected pictures (N, {str(model.input_shape)[1:-1]}), got shape {x.shape}")
    windows = sliding_windows(x, w.shape[2:], (1, 1), (1, 1))  # (N, C, H', W', HH, WW)
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, w[0].size).astype(np.float64)
    variance, axes = np.linalg.eigh(patches.T @ patches / len(patches))  # ascending
    filters = (axes / np.sqrt(np.maximum(variance, 0) + eps)).T[::-1].reshape(-1, *w.shape[1:])
    filters *= np.sign(filters.reshape(len(filters), -1).sum(axis=1))[
        :, None, None, None
    ]  # an axis has no sign: fix it
    w[...] = np.concatenate([filters, -filters])
