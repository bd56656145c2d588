"""What a net looks at, as pictures: its filters, its feature maps, and three filters made by hand as a first lesson.

import backpass as bp
bp.report.feature_maps(model, data.test.x[0]).savefig("maps.png")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..inspection import layer_outputs
from ..layers.base import Array
from ..layers.conv import Conv
from ..model import Model
from .figures import BLUE, GRID, INK, MOST_PANELS, ORANGE, SIZE, _axes, _rgb, is_picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FILTERS = 64  # in a grid
MOST_ROWS = 16  # filters, and channels of each, where every channel is a tile of its own
MOST_MAPS = 10  # of a layer

# The weights of red, green and blue in what the eye sees as brightness.  Source: ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114])
BLUR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16  # weights that sum to 1 keep the brightness
EDGES = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 4  # weights that sum to 0 make an even area 0


def filter_grid(w: Array, *, title: str = "Filters") -> Figure:
    """Draw the filters of a convolution as a grid of small pictures.

    Each filter is scaled by its largest absolute value: grey is 0, white the largest positive weight, black the same
    negative; a filter of zeros is plain grey.  Filters of 1 channel are grey pictures and of 3 channels coloured ones,
    the first 64 of them; of any other number of channels each filter is a row with a tile for each channel, the first 16
    of both.

    Parameters
    ----------
    w : array (F, C, HH, WW)
        Such as ``model.named_params()["0.w"]``; any F from 1.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If w has not four dimensions, or is empty or not finite.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> filter_grid(np.eye(3).reshape(1, 1, 3, 3)).axes[0].get_title()
    'Filters: 1'
    >>> filter_grid(np.ones((32, 20, 3, 3))).axes[0].get_title()
    'Filters: 16 of 32 (rows), 16 of 20 channels (columns)'
    """
    w = np.asarray(w)
    if w.ndim != 4 or w.size == 0 or not np.isfinite(w).all():
        raise ArgumentError(f"filter_grid: expected finite weights (F, C, HH, WW), got an array of shape {w.shape}")
    F, C = w.shape[:2]
    if C in (1, 3):
        tiles = _centred(w[:MOST_FILTERS])
        rows, columns = grid_shape(len(tiles))
        words = _of(len(tiles), F)
    else:
        shown = _centred(w[:MOST_ROWS])[:, :MOST_ROWS]
        rows, columns = shown.shape[:2]
        tiles = shown.reshape(-1, 1, *w.shape[2:])
        words = f"{_of(rows, F)} (rows), {_of(columns, C)} channels (columns)"
    wall = tile_wall(tiles, columns)
    tall, wide = wall.shape[:2]
    scale = min(4.2 / wide, 5.0 / tall, 1.1 / w.shape[3])  # inches of a weight
    figure, axes = _axes(f"{title}: {words}", "", "", (4.4, 0.4 + scale * tall))
    axes.set_axis_off()
    axes.imshow(wall, interpolation="nearest")
    H, W = w.shape[2:]
    places = [tile_place(k, columns, H, W) for k in range(len(tiles))]
    _frame(axes, [(left - 0.5, top - 0.5, W, H) for top, left in places])  # pixel 0 reaches from -0.5 to 0.5
    return figure


def first_layer_weights(model: Model) -> Figure:
    """Draw the weights of the first layer as pictures: the filters of a convolution, or what each affine unit looks for.

    Raises
    ------
    ArgumentError
        If the first layer with weights is neither a Conv nor sees pictures of 1 or 3 channels; see `has_picture_weights`.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import backpass as bp
    >>> first_layer_weights(bp.Model([bp.Affine(10)], input_shape=(1, 8, 8))).axes[0].get_title()
    'Weights of the first layer: 10'
    >>> first_layer_weights(bp.Model([bp.Conv(8, 5)], input_shape=(3, 16, 16))).axes[0].get_title()
    'Filters of the first layer: 8'
    """
    w = _first_weights(model)
    if w is None:
        raise ArgumentError(
            "first_layer_weights: expected a first layer of weights that convolves, or sees pictures of 1 or 3 channels"
        )
    what = "Filters" if has_filters(model) else "Weights"
    return filter_grid(w, title=f"{what} of the first layer")


def feature_maps(model: Model, image: Array, *, max_value: float | None = None) -> Figure:
    """Draw what each layer makes of one picture, from the first to the last; a column follows one channel.

    White is 0, blue positive, orange negative; the strongest colour is for the largest 1 % of the layer's absolute values.
    A row shows the first 10 channels; values without a place in the picture, such as the scores, are plain squares.  Of
    more than 12 layers some in between are left out; Flatten and Dropout, which change nothing here, always are.

    Parameters
    ----------
    model : Model
    image : array (C, H, W)
        A raw picture, grey (C = 1) or colour (C = 3), such as ``data.test.x[0]``; the model's `preprocess` is applied.
    max_value : float, optional
        The value of white in the picture; the largest in it if None.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError, ShapeError
        If the image is no picture, or not one that the model takes.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> model = bp.Model(bp.models.three_layer_convnet(classes=10, filters=4, kernel_size=3), data.shape)
    >>> figure = feature_maps(model, data.test.x[0], max_value=data.max_value)
    >>> [text.get_text().split(chr(10))[0] for text in figure.axes[0].texts]
    ['the picture', '0 Conv', '1 ReLU', '2 MaxPool', '3 Affine', '4 ReLU', '5 Affine']
    """
    image = np.asarray(image)
    if not is_picture(image.shape):
        raise ArgumentError(
            f"feature_maps: expected one picture (C, H, W) with 1 or 3 channels, got shape {image.shape}"
        )
    names = [f"{i} {type(layer).__name__}" for i, layer in enumerate(model.layers)]
    seen = [
        (name, _maps(out[0]))
        for name, out in zip(names, layer_outputs(model, image[None]), strict=True)
        if not name.endswith(("Flatten", "Dropout"))
    ]
    if len(seen) > MOST_PANELS:
        seen = [seen[i] for i in np.linspace(0, len(seen) - 1, MOST_PANELS).round().astype(int)]

    gap, talls = 0.12, [image.shape[1] / image.shape[2], *(maps.shape[1] / maps.shape[2] for _, maps in seen)]
    tops = np.cumsum([0.0, *(tall + gap for tall in talls)])
    wide, label = MOST_MAPS * (1 + gap) - gap, 2.6
    figure, axes = _axes("Feature maps", "", "", (6.5, 0.4 + 6.4 * (tops[-1] - gap) / (wide + label)))
    axes.set_axis_off()
    white = float(max_value or image.max() or 1)
    _draw(axes, np.broadcast_to(picture(image, white).reshape(*image.shape[1:], -1), (*image.shape[1:], 3)), 0.0, 0.0)
    axes.text(-0.2, talls[0] / 2, "the picture", ha="right", va="center", fontsize=8, color=INK)
    for (name, maps), top, tall in zip(seen, tops[1:], talls[1:], strict=False):
        F, H, W = maps.shape
        strong = np.quantile(np.abs(maps), 0.99) or np.abs(maps).max() or 1
        shown = np.clip(maps[:MOST_MAPS] / strong, -1, 1)
        for k, one in enumerate(shown):
            _draw(axes, _coloured(one), (1 + gap) * k, top)
        _frame(axes, [((1 + gap) * k, top, 1, tall) for k in range(len(shown))])
        words = f"{name}\n{_of(len(shown), F)}{f', {H} x {W}' if H * W > 1 else ' values'}"
        axes.text(-0.2, top + tall / 2, words, ha="right", va="center", fontsize=7.5, color=INK, linespacing=1.1)
    axes.set_xlim(-label, wide)
    axes.set_ylim(tops[-1] - gap, 0)
    axes.set_aspect("equal")
    return figure


def image_filters(images: Array, *, max_value: float | None = None) -> Figure:
    """Draw pictures, and what three 3 x 3 filters made by hand make of them: brightness, edges, blur.

    It is the first lesson on convolution, `docs/image_filters.md`; a `Conv` with the weights of `lesson_weights` computes it.

    Parameters
    ----------
    images : array (N, C, H, W)
        Grey (C = 1) or colour (C = 3).
    max_value : float, optional
        The value of white; the largest in images if None.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If images does not hold pictures.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import backpass as bp
    >>> figure = image_filters(bp.data.load("digits").test.x[:2])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['picture', 'grey', 'edges', 'blur']
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0 or not is_picture(images.shape[1:]):
        raise ArgumentError(
            f"image_filters: expected pictures (N, C, H, W) with 1 or 3 channels, got shape {images.shape}"
        )
    white = float(max_value or images.max() or 1)
    # Zeros around a picture would be an edge: the outermost pixels are repeated instead.
    x = np.pad(images / white, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    model = Model([Conv(3, 3, padding=0)], input_shape=x.shape[1:])
    model.named_params()["0.w"][...], model.named_params()["0.b"][...] = lesson_weights(x.shape[1])
    grey, edges, blur = model.infer(x).transpose(1, 0, 2, 3)  # (N, H, W) each
    tall, gap = images.shape[2] / images.shape[3], 0.08
    height = len(images) * (tall + gap)
    figure, axes = _axes("", "", "", (SIZE[0], 0.3 + SIZE[0] * height / (4 + 3 * gap)))
    axes.set_axis_off()
    columns = {
        "picture": [picture(x, white) for x in images],
        "grey": grey,
        "edges": edges,
        "blur": blur,
    }
    for k, (name, column) in enumerate(columns.items()):
        left = (1 + gap) * k
        axes.text(left + 0.5, -0.04, name, ha="center", va="bottom", fontsize=9, color=INK)
        for i, shown in enumerate(column):
            _draw(axes, shown, left, i * (tall + gap))
    axes.set_xlim(0, 4 + 3 * gap)
    axes.set_ylim(height - gap, -0.2)
    axes.set_aspect("equal")
    return figure


def lesson_weights(channels: int) -> tuple[Array, Array]:
    """Return the weights (3, C, 3, 3) and biases (3,) of the first lesson: filters for brightness, edges and blur.

    Examples
    --------
    >>> w, b = lesson_weights(3)
    >>> w[0, :, 1, 1], b
    (array([0.299, 0.587, 0.114]), array([0. , 0.5, 0. ]))
    """
    same = np.zeros((3, 3))
    same[1, 1] = 1
    luma = LUMA if channels == 3 else np.ones(1)
    w = np.array([[weight * plane for weight in luma] for plane in (same, EDGES, BLUR)])
    return w, np.array([0, 0.5, 0])  # an edge is positive on one side and negative on the other: grey is 0


# -- what the HTML report shares -----------------------------------------------------------------------------------


def has_picture_weights(model: Model) -> bool:
    """Return whether `first_layer_weights` can draw the model.

    Examples
    --------
    >>> import backpass as bp
    >>> has_picture_weights(bp.Model([bp.Affine(10)], input_shape=(4,)))
    False
    """
    return _first_weights(model) is not None


def has_filters(model: Model) -> bool:
    """Return whether the first layer with weights is a convolution.

    Examples
    --------
    >>> import backpass as bp
    >>> has_filters(bp.Model([bp.ReLU(), bp.Conv(8, 3)], input_shape=(1, 8, 8)))
    True
    """
    w = _first_w(model)
    return w is not None and w.ndim == 4


def grid_shape(count: int) -> tuple[int, int]:
    """Return (rows, columns) of a grid for so many tiles: from square to twice as wide as tall, with the fewest gaps.

    Examples
    --------
    >>> grid_shape(32), grid_shape(7), grid_shape(1)
    ((4, 8), (2, 4), (1, 1))
    """
    square = math.ceil(math.sqrt(count))
    columns = min(range(square, min(count, 2 * square) + 1), key=lambda c: -count % c)  # the first of the best
    return math.ceil(count / columns), columns


def tile_wall(tiles: Array, columns: int) -> Array:
    """Return tiles (count, 1 or 3, H, W) of numbers from 0 to 1 as one picture (height, width, 4), clear between them.

    Examples
    --------
    >>> tile_wall(np.zeros((5, 1, 3, 3)), columns=3).shape
    (7, 11, 4)
    """
    count, _, H, W = tiles.shape
    bottom, right = tile_place(columns * math.ceil(count / columns) - 1, columns, H, W)  # of the last place
    wall = np.zeros((bottom + H, right + W, 4))
    for k, tile in enumerate(tiles):
        top, left = tile_place(k, columns, H, W)
        wall[top : top + H, left : left + W, :3] = tile.transpose(1, 2, 0)
        wall[top : top + H, left : left + W, 3] = 1
    return wall


def tile_place(k: int, columns: int, H: int, W: int) -> tuple[int, int]:
    """Return where tile k of H x W pixels begins in a `tile_wall`: (top, left).

    Examples
    --------
    >>> tile_place(4, 3, 5, 7)
    (6, 8)
    """
    gap = max(1, round(0.08 * W))
    return k // columns * (H + gap), k % columns * (W + gap)


# -- small things ----------------------------------------------------------------------------------------------------


def _first_w(model: Model) -> Array | None:
    return next((vars(p)["w"] for p in model.p if "w" in vars(p)), None)


def _first_weights(model: Model) -> Array | None:
    """Return the first weights as pictures (filters, C, H, W), or None where they are none."""
    w = _first_w(model)
    if w is None or w.ndim == 4:
        return w
    if w.ndim == 2 and is_picture(model.input_shape) and len(w) == math.prod(model.input_shape):
        return w.T.reshape(-1, *model.input_shape)
    return None


def _centred(w: Array) -> Array:
    """Return filters scaled to numbers from 0 to 1 with 0.5 for a weight of 0, each by itself."""
    w = w.astype(np.float64)
    largest = np.abs(w).max(axis=(1, 2, 3), keepdims=True)
    return 0.5 + 0.5 * w / np.where(largest > 0, largest, 1.0)


def _maps(out: Array) -> Array:
    """Return one sample's output as maps (F, H, W): those of a convolution as they are, other values as maps of 1 x 1."""
    return (out if out.ndim == 3 else out.reshape(-1, 1, 1)).astype(np.float64)


def _coloured(values: Array) -> Array:
    """Return numbers from -1 to 1 as colours (..., 3): orange, white, blue."""
    strength = np.abs(values)[..., None]
    return 1 - strength * (1 - np.where(values[..., None] > 0, _rgb(BLUE), _rgb(ORANGE)))


def _draw(axes: Axes, shown: Array, left: float, top: float) -> None:
    """Draw a picture one unit wide."""
    extent: Any = (left, left + 1, top + shown.shape[0] / shown.shape[1], top)
    axes.imshow(shown, interpolation="nearest", cmap="gray", vmin=0, vmax=1, extent=extent)


def _frame(axes: Axes, boxes: Sequence[tuple[float, float, float, float]]) -> None:
    """Draw a thin line around boxes (left, top, width, height), so that white ones are seen on a white page."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    frames = [Rectangle((left, top), width, height) for left, top, width, height in boxes]
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor=GRID, linewidth=0.6, clip_on=False))


def _of(shown: int, total: int) -> str:
    return f"{shown} of {total}" if shown < total else f"{total}"
