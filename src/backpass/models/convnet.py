"""Convolutional nets from a few words: {conv - [norm] - relu} x k - pool ... - affine."""

from __future__ import annotations

import re

from ..errors import ArgumentError
from ..init import He
from ..layers import Affine, AveragePool, Conv, Dropout, GlobalAveragePool, MaxPool, ReLU, SpatialBatchNorm
from ..layers.base import Init, Layer, require

CONV = re.compile(r"(\d+)(?:x(\d+))?(?:k(\d+))?(?:s(\d+))?")  # filters, how often, kernel size, stride
SPEC = "32-pool-64-pool-128-pool-256-gap"


def three_layer_convnet(
    *, classes: int, filters: int = 32, kernel_size: int = 7, hidden: int = 100, init: Init | None = None
) -> list[Layer]:
    """Return the layers of the course's first convolutional net: conv - relu - 2x2 max pool - affine - relu - affine.

    For CIFAR-10 (3 x 32 x 32, 10 classes) with the defaults: 825,046 parameters.  Source: CS231n, assignment 2,
    ThreeLayerConvNet.

    Parameters
    ----------
    classes : int
        How many scores come out.
    filters, kernel_size, hidden : int
        Of the convolution, which keeps the size of the pictures, and width of the hidden affine layer.
    init : callable, optional
        Draws the weights; He by default (the course: `bp.init.Normal(1e-3)`).

    Returns
    -------
    list of Layer

    Raises
    ------
    ArgumentError
        If a size is not a positive whole number.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model(three_layer_convnet(classes=10), input_shape=(3, 32, 32))
    >>> model.params.size
    825046
    """
    init = init or He()
    return [
        Conv(filters, kernel_size, init=init),
        ReLU(),
        MaxPool(2),
        Affine(hidden, init),
        ReLU(),
        Affine(classes, init),
    ]


def convnet(
    spec: str = SPEC,
    *,
    classes: int,
    norm: Layer | None = SpatialBatchNorm(),  # noqa: B008 (a frozen object of numbers)
    activation: Layer | None = None,
    drop_prob: float = 0.0,
    init: Init | None = None,
) -> list[Layer]:
    """Return the layers that a compact spec describes.

    The spec is a list of words with ``-`` between them:

    ======== ==============================================================================================
    64       conv of 64 filters, 3x3, "same" padding - [norm] - activation
    64x2     the same twice
    64k5s2   with a 5x5 kernel, with stride 2 (the order is x, k, s)
    pool     2x2 max pooling; `avg`: 2x2 average pooling; `gap`: global average pooling
    fc100    affine layer of 100 - activation
    drop     dropout of `drop_prob`, which also comes before the last affine layer
    ======== ==============================================================================================

    and an affine layer to the classes comes last by itself.  For CIFAR-10 the default spec has
    391,466 parameters and gets 79.0 % of the validation samples right after 10 epochs of
    `backpass train cifar10 --model convnet`.

    Parameters
    ----------
    spec : str
        Such as ``"32-pool-64-pool-128-pool-256-gap"``.
    classes : int
        How many scores come out.
    norm : Layer or None
        After each convolution, which then has no bias; None leaves it out.
    activation : Layer, optional
        ReLU by default.
    drop_prob : float
        Chance of a value to be zeroed, in [0, 1).
    init : callable, optional
        Draws the weights; He by default.

    Returns
    -------
    list of Layer

    Raises
    ------
    ArgumentError
        If a word is not one of these; the message says which.

    Examples
    --------
    >>> [type(layer).__name__ for layer in convnet("8-pool-fc20", classes=10)]
    ['Conv', 'SpatialBatchNorm', 'ReLU', 'MaxPool', 'Affine', 'ReLU', 'Affine']
    """
    require(isinstance(spec, str), "convnet", "spec", f'words such as "{SPEC}"', spec)
    _check_layers("convnet", norm=norm, activation=activation)
    init, activation = init or He(), activation or ReLU()
    words: dict[str, Layer] = {"pool": MaxPool(2), "avg": AveragePool(2), "gap": GlobalAveragePool()}
    layers: list[Layer] = []
    for word in spec.split("-"):
        if word in words:
            layers.append(words[word])
        elif word == "drop":
            layers += [Dropout(drop_prob)] if drop_prob else []
        elif found := re.fullmatch(r"fc(\d+)", word):
            layers += [Affine(int(found[1]), init), activation]
        elif found := CONV.fullmatch(word):
            filters, times, size, stride = (
                int(number or least) for number, least in zip(found.groups(), (0, 1, 3, 1), strict=True)
            )
            layers += times * conv_block(filters, norm, activation, init, kernel_size=size, stride=stride)
        else:
            raise ArgumentError(
                f"convnet: spec: expected words such as 64, 64x2, 64k5s2, pool, avg, gap, fc100 or drop with - between "
                f'them ("{SPEC}"), got {word!r} in {spec!r}'
            )
    if drop_prob:
        layers.append(Dropout(drop_prob))
    return [*layers, Affine(classes, init)]


def conv_block(
    filters: int,
    norm: Layer | None,
    activation: Layer,
    init: Init,
    *,
    kernel_size: int = 3,
    stride: int = 1,
) -> list[Layer]:
    """Return conv - [norm] - activation; with a norm the convolution has no bias, which the norm would take away again.

    Examples
    --------
    >>> [type(layer).__name__ for layer in conv_block(8, SpatialBatchNorm(), ReLU(), He())]
    ['Conv', 'SpatialBatchNorm', 'ReLU']
    """
    conv = Conv(filters, kernel_size, stride=stride, bias=norm is None, init=init)
    return [conv, *([] if norm is None else [norm]), activation]


# {conv-norm-relu} blocks between the poolings: Simonyan and Zisserman 2015, table 1, columns A, B, D and E.
VGG = {
    11: "64-pool-128-pool-256x2-pool-512x2-pool-512x2-pool",
    13: "64x2-pool-128x2-pool-256x2-pool-512x2-pool-512x2-pool",
    16: "64x2-pool-128x2-pool-256x3-pool-512x3-pool-512x3-pool",
    19: "64x2-pool-128x2-pool-256x4-pool-512x4-pool-512x4-pool",
}


def vgg(
    depth: int = 16,
    *,
    classes: int,
    norm: Layer | None = SpatialBatchNorm(),  # noqa: B008 (a frozen object of numbers)
    drop_prob: float = 0.0,
    init: Init | None = None,
) -> list[Layer]:
    """Return the layers of a VGG net for pictures of 32 x 32: 3x3 convolutions only, five poolings, one affine layer.

    For CIFAR-10: 9.2 M (11), 9.4 M (13), 14.7 M (16) and 20.0 M (19) parameters.  Source: Simonyan and Zisserman 2015,
    arXiv:1409.1556, table 1, with batch norm and, for small pictures, one affine layer in place of three.

    Parameters
    ----------
    depth : {11, 13, 16, 19}
        Layers with weights in the paper, which counts three affine ones.
    classes : int
        How many scores come out.
    norm : Layer or None
        After each convolution.
    drop_prob : float
        Before the affine layer, in [0, 1).
    init : callable, optional
        Draws the weights; He by default.

    Returns
    -------
    list of Layer

    Raises
    ------
    ArgumentError
        If there is no such depth.

    Examples
    --------
    >>> import backpass as bp
    >>> sum(isinstance(layer, bp.Conv) for layer in vgg(16, classes=10))
    13
    """
    require(depth in VGG, "vgg", "depth", f"one of {tuple(VGG)}", depth)
    return convnet(VGG[depth], classes=classes, norm=norm, drop_prob=drop_prob, init=init)


def _check_layers(where: str, **layers: Layer | None) -> None:
    for name, layer in layers.items():
        fits = layer is None or isinstance(layer, Layer)
        require(fits, where, name, "a layer object such as bp.SpatialBatchNorm(), or None", layer)
