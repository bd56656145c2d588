"""Residual nets for small pictures: He et al. 2015, section 4.2 (CIFAR-10), and the 18 layers of table 1."""

from __future__ import annotations

from ..init import He
from ..layers import Affine, Conv, GlobalAveragePool, ReLU, Residual, SpatialBatchNorm
from ..layers.base import Init, Layer, require

WIDE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # blocks per stage, widths from 64


def resnet(
    depth: int = 20,
    *,
    classes: int,
    width: int | None = None,
    preactivation: bool = False,
    norm: Layer = SpatialBatchNorm(),  # noqa: B008 (a frozen object of numbers)
    init: Init | None = None,
) -> list[Layer]:
    """Return the layers of a residual net.

    A 3x3 convolution, then stages of blocks of two 3x3 convolutions with a shortcut; each stage but the first halves the
    pictures and doubles the width.  Global average pooling and an affine layer end it.

    A depth of 6n + 2 gives the nets of He et al. 2015 for CIFAR-10: three stages of n blocks, widths 16, 32, 64;
    272,474 (20), 466,906 (32), 661,338 (44), 855,770 (56) and 1,730,714 (110) parameters.  18 and 34 give four stages of
    widths 64 to 512 (table 1) behind a 3x3 convolution without pooling: 11,173,962 and 21,282,122 parameters.  Where the shape
    changes, the shortcut is a 1x1 convolution with norm (option B); the paper's 0.27 M for 20 layers is with zeros
    (option A), 2,752 less.

    Source: He, Zhang, Ren and Sun 2015, arXiv:1512.03385; pre-activation: He et al. 2016, arXiv:1603.05027.

    Parameters
    ----------
    depth : int
        6n + 2, or 18 or 34.
    classes : int
        How many scores come out.
    width : int, optional
        Filters of the first stage; 16 for depths of 6n + 2, 64 for 18 and 34.
    preactivation : bool
        Norm and relu before each convolution instead of behind it.
    norm : Layer
        Such as `SpatialBatchNorm()` or `GroupNorm(8)`.
    init : callable, optional
        Draws the weights; He by default.

    Returns
    -------
    list of Layer

    Raises
    ------
    ArgumentError
        If depth is neither 6n + 2 nor 18 or 34, or width not a positive whole number.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model(resnet(20, classes=10), input_shape=(3, 32, 32))
    >>> model.params.size, sum(isinstance(layer, bp.Residual) for layer in model.layers)
    (272474, 9)
    """
    whole = isinstance(depth, int) and not isinstance(depth, bool)
    fits = whole and (depth in WIDE or (depth >= 8 and depth % 6 == 2))
    require(fits, "resnet", "depth", "18, 34, or 6n + 2 such as 20, 32, 56", depth)
    require(isinstance(norm, Layer), "resnet", "norm", "a layer object such as bp.SpatialBatchNorm()", norm)
    init = init or He()
    blocks = WIDE.get(depth, 3 * ((depth - 2) // 6,))
    width = width or (64 if depth in WIDE else 16)
    layers: list[Layer] = [Conv(width, 3, bias=False, init=init)]
    if not preactivation:
        layers += [norm, ReLU()]
    for stage, count in enumerate(blocks):
        for block in range(count):
            filters, stride = width << stage, 2 if stage and not block else 1
            if preactivation:
                layers += _preactivation_block(filters, stride, norm, init, first=not stage and not block)
            else:
                layers += _block(filters, stride, norm, init)
    if preactivation:
        layers += [norm, ReLU()]
    return [*layers, GlobalAveragePool(), Affine(classes, init)]


def _block(filters: int, stride: int, norm: Layer, init: Init) -> list[Layer]:
    """Conv - norm - relu - conv - norm, the sum, relu."""
    main = [
        Conv(filters, 3, stride=stride, bias=False, init=init),
        norm,
        ReLU(),
        Conv(filters, 3, bias=False, init=init),
        norm,
    ]
    shortcut = [] if stride == 1 else [Conv(filters, 1, stride=stride, bias=False, init=init), norm]
    return [Residual(main, shortcut), ReLU()]


def _preactivation_block(filters: int, stride: int, norm: Layer, init: Init, *, first: bool) -> list[Layer]:
    """Norm - relu - conv - norm - relu - conv, and the sum.

    The net's first block and those that change the shape take the shortcut behind the first norm and relu (He et al.
    2016, section 4.1).
    """
    before = [norm, ReLU()]
    convs = [
        Conv(filters, 3, stride=stride, bias=False, init=init),
        norm,
        ReLU(),
        Conv(filters, 3, bias=False, init=init),
    ]
    if first:
        return [*before, Residual(convs)]
    if stride > 1:
        return [*before, Residual(convs, [Conv(filters, 1, stride=stride, bias=False, init=init)])]
    return [Residual([*before, *convs])]
