"""The figures of a report: each function takes a run (or numbers) and returns a matplotlib Figure to show or save.

    import backpass as bp
    bp.report.loss_curve("runs/digits").savefig("loss.png")

matplotlib is used through its objects only: nothing here touches pyplot, its list of figures or its settings.  The figures
are small, so that their text can be read on a telephone.  They come with the extra ``plots``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Augmentation, Dataset, augmented
from ..errors import ArgumentError, MissingExtraError
from ..layers.base import Array
from ..words import percent
from .record import Record, record_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..train import Run

    AnyRun = Run | Record | str | Path

INK, GRID = "#1f2933", "#c9d0d8"  # the HTML report swaps these two for the page's own colours
BLUE, ORANGE, GREEN = "#3b82c4", "#e07b22", "#2e9e6b"
SIZE = (5.2, 3.3)  # inches
BLOCKS = 300  # a curve of more steps is drawn as the mean and the range of so many blocks
MOST_PANELS = 12


def loss_curve(run: AnyRun) -> Figure:
    """Draw the loss of every step, and the validation loss of every epoch.

    Parameters
    ----------
    run : Run, or the folder of one

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> run = bp.Trainer(bp.Model([bp.Affine(10)], input_shape=data.shape), data, epochs=2).fit()
    >>> loss_curve(run).axes[0].get_ylabel()
    'loss'
    """
    record = record_of(run)
    history = record.history
    figure, axes = _axes("Loss", "epoch", "loss")
    losses = history.step_loss
    per_epoch = _steps_per_epoch(record)
    blocks = np.array_split(losses, min(BLOCKS, len(losses))) if len(losses) else []
    ends = np.cumsum([len(block) for block in blocks]) / per_epoch
    if len(losses) > BLOCKS:
        low, high = [float(b.min()) for b in blocks], [float(b.max()) for b in blocks]
        axes.fill_between(ends, low, high, color=BLUE, alpha=0.25, linewidth=0, label="training, range of steps")
    means = [float(block.mean()) for block in blocks]
    axes.plot(ends, means, color=BLUE, linewidth=1.2, label="training, in each step" if len(ends) else None)
    drawn = list(means)
    if "val_loss" in history.columns:
        axes.plot(history["epoch"], history["val_loss"], color=ORANGE, **_marks(history["epoch"]), label="validation")
        drawn += history["val_loss"]
    if drawn and min(drawn) > 0 and max(drawn) > 20 * min(drawn):
        axes.set_yscale("log")
    _legend(axes)
    return figure


def accuracy_curve(run: AnyRun) -> Figure:
    """Draw the accuracy in training and validation, epoch by epoch, with the best epoch marked.

    Raises
    ------
    ArgumentError
        If the run has no accuracies, because its targets are not classes.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `loss_curve`; the call is the same.
    """
    record = record_of(run)
    history = record.history
    if "val_accuracy" not in history.columns:
        raise ArgumentError("accuracy_curve: expected a run with classes and at least one epoch, got none")
    figure, axes = _axes("Accuracy", "epoch", "accuracy in %")
    epochs = history["epoch"]
    for column, color, name in (("train_accuracy", BLUE, "training"), ("val_accuracy", ORANGE, "validation")):
        axes.plot(epochs, 100 * np.array(history[column]), color=color, **_marks(epochs), label=name)
    best = record.manifest["best"]
    if best:
        value = 100 * best["val_accuracy"]
        axes.plot([best["epoch"]], [value], "o", markersize=9, markerfacecolor="none", color=GREEN, label="best, kept")
    _legend(axes)
    return figure


def learning_rate(run: AnyRun) -> Figure:
    """Draw the learning rate at the end of each epoch.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `loss_curve`; the call is the same.
    """
    history = record_of(run).history
    figure, axes = _axes("Learning rate", "epoch", "learning rate")
    epochs, rates = history["epoch"], history["lr"]
    axes.plot(epochs, rates, color=GREEN, **_marks(epochs))
    axes.set_ylim(0, 1.08 * max(rates, default=1.0))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    axes.yaxis.get_offset_text().set_color(INK)
    return figure


def update_ratio(run: AnyRun) -> Figure:
    """Draw by what part of their size the parameters move in a step, on a logarithmic scale; 1e-3 is usual.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `loss_curve`; the call is the same.
    """
    history = record_of(run).history
    figure, axes = _axes("Size of an update over size of the parameters", "epoch", "ratio")
    epochs = history["epoch"]
    axes.axhspan(1e-4, 1e-2, color=GREEN, alpha=0.15, linewidth=0, label="usual")
    axes.plot(
        epochs, np.maximum(history["update_ratio"], 1e-12), color=BLUE, **_marks(epochs), label="last step of the epoch"
    )
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(max(min(low, 5e-5), 1e-9), max(high, 2e-2))
    _legend(axes)
    return figure


def activation_histograms(run: AnyRun) -> Figure:
    """Draw how the outputs of each layer are spread, epoch by epoch: the stronger the colour, the more frequent.

    Raises
    ------
    ArgumentError
        If the run did not look into its layers (inspect=False), or no epoch has ended.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `loss_curve`; the call is the same.
    """
    return _histograms(record_of(run), "activation", "Outputs of the layers")


def gradient_histograms(run: AnyRun) -> Figure:
    """Draw how the gradients of each layer's outputs are spread, epoch by epoch: the stronger the colour, the more frequent.

    Raises
    ------
    ArgumentError
        If the run did not look into its layers (inspect=False), or no epoch has ended.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `loss_curve`; the call is the same.
    """
    return _histograms(record_of(run), "gradient", "Gradients of the layers' outputs")


def confusion_matrix(y: Array, predicted: Array, classes: Sequence[str]) -> Figure:
    """Draw how often each class was taken for each: right answers blue, mistakes orange.

    Parameters
    ----------
    y, predicted : array (N,) of int
        True and predicted class numbers.
    classes : sequence of str
        Their names.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If the arrays do not fit together, or hold other numbers than those of the classes.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> figure = confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), ["cat", "dog"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '1']
    """
    counts = confusion_counts(y, predicted, len(classes))
    C = len(classes)
    side = min(9.0, 2.0 + 0.34 * max(C, 8))
    figure, axes = _axes("Confusion matrix", "predicted", "true", (side, side))
    axes.grid(visible=False)
    right = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    off = counts * (1 - np.eye(C, dtype=np.int64))
    wrong = off / max(1, off.max())
    # Opaque where much is, clear where nothing is: readable on a light page and on a dark one.
    cells = np.zeros((C, C, 4))
    cells[..., :3] = _rgb(ORANGE)
    cells[np.eye(C, dtype=bool), :3] = _rgb(BLUE)
    cells[..., 3] = np.where(np.eye(C) > 0, right, np.where(off > 0, 0.2 + 0.7 * wrong, 0.0))
    axes.imshow(cells, interpolation="nearest", aspect="equal")
    ticks = list(range(0, C, math.ceil(C / 40)))
    names = [_short(classes[i], 12) for i in ticks]
    longest = max(map(len, names))
    axes.set_xticks(ticks, names, rotation=0 if longest <= 3 else 60, ha="center" if longest <= 3 else "right")
    axes.set_yticks(ticks, names)
    if longest > 3:
        for tick in axes.get_xticklabels():
            tick.set_rotation_mode("anchor")
    if C <= 20:
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if cells[i, j, 3] > 0.75 else INK
            axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=8 if C <= 12 else 6, color=color)
    return figure


def worst_mistakes(
    x: Array, y: Array, probabilities: Array, classes: Sequence[str], *, most: int = 20, max_value: float | None = None
) -> Figure:
    """Draw the pictures that a net got most wrong, the surest mistakes first.

    Parameters
    ----------
    x : array (N, C, H, W)
        Raw pictures, grey (C = 1) or colour (C = 3).
    y : array (N,) of int
        True class numbers.
    probabilities : array (N, classes)
        As softmax makes them of the scores.
    classes : sequence of str
    most : int
        How many to draw at most.
    max_value : float, optional
        The value of white; the largest in x if None.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        If x does not hold pictures.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> x, sure_of_b = np.ones((2, 1, 4, 4)), np.array([[0.1, 0.9], [0.2, 0.8]])
    >>> len(worst_mistakes(x, np.array([0, 1]), sure_of_b, ["a", "b"]).axes)
    1
    """
    if not is_picture(x.shape[1:]):
        raise ArgumentError(f"worst_mistakes: expected pictures (N, C, H, W) with 1 or 3 channels, got shape {x.shape}")
    chosen = worst(y, probabilities, most)
    columns = 5
    rows = max(1, math.ceil(len(chosen) / columns))
    tall = 1.0 + 0.62 * x.shape[2] / x.shape[3]  # of a cell that is 1.15 wide: picture and three lines of words
    title = "The surest mistakes" if len(chosen) else "No mistakes"
    figure, axes = _axes(title, "", "", (SIZE[0], 0.4 + SIZE[0] / columns / 1.15 * tall * rows))
    axes.set_axis_off()
    white = float(max_value or x.max() or 1)
    for place, i in enumerate(chosen):
        left, top = 1.15 * (place % columns), tall * (place // columns)
        extent = (left, left + 1, top + x.shape[2] / x.shape[3], top)
        axes.imshow(picture(x[i], white), interpolation="nearest", cmap="gray", vmin=0, vmax=1, extent=extent)
        guess = int(probabilities[i].argmax())
        sure = percent(float(probabilities[i, guess]), 0)
        words = f"{_short(classes[y[i]], 11)}\nnot {_short(classes[guess], 11)}\n{sure} sure"
        axes.text(left + 0.5, extent[2] + 0.05, words, ha="center", va="top", fontsize=7.5, color=INK)
    axes.set_xlim(0, 1.15 * columns - 0.15)
    axes.set_ylim(tall * rows, 0)
    axes.set_aspect("equal")
    return figure


def augmented_samples(
    data: Dataset, augment: Sequence[Augmentation], *, samples: int = 6, epochs: int = 5, seed: int = 0
) -> Figure:
    """Draw training pictures before and after the augmentation, as the first epochs would see them.

    Parameters
    ----------
    data : Dataset
        Of pictures with 1 or 3 channels.
    augment : sequence of Augmentation
    samples, epochs : int
        How many rows and columns; what is blanked is drawn black.
    seed : int
        Of the run.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError, ShapeError
        If the samples are no pictures, or an augmentation does not fit them.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import backpass as bp
    >>> figure = augmented_samples(bp.data.load("digits"), [bp.data.Translate(1)], samples=2, epochs=3)
    >>> [text.get_text() for text in figure.axes[0].texts[:4]]
    ['before', 'epoch 1', 'epoch 2', 'epoch 3']
    """
    if not is_picture(data.shape):
        raise ArgumentError(
            f"augmented_samples: expected pictures (C, H, W) with 1 or 3 channels, got samples of shape {data.shape}"
        )
    x, y = data.train.x[:samples], data.train.y[:samples]
    columns = [x, *(augmented(x, augment, seed=seed, epoch=epoch) for epoch in range(epochs))]
    white = float(data.max_value or data.train.x.max() or 1)
    tall = data.shape[1] / data.shape[2]
    wide = 0.8 * (1.1 * len(columns) + 0.9)
    figure, axes = _axes("Augmentation", "", "", (wide, 0.6 + 0.8 * (tall + 0.1) * len(x)))
    axes.set_axis_off()
    for k, column in enumerate(columns):
        words = f"epoch {k}" if k else "before"
        axes.text(1.1 * k + 0.5, -0.08, words, ha="center", va="bottom", fontsize=8, color=INK)
        for i, sample in enumerate(column):
            top = i * (tall + 0.1)
            extent = (1.1 * k, 1.1 * k + 1, top + tall, top)
            axes.imshow(picture(sample, white), interpolation="nearest", cmap="gray", vmin=0, vmax=1, extent=extent)
    for i, label in enumerate(y):
        middle = i * (tall + 0.1) + tall / 2
        axes.text(-0.1, middle, _short(data.classes[label], 11), ha="right", va="center", fontsize=8, color=INK)
    axes.set_xlim(-0.9, 1.1 * len(columns) - 0.1)
    axes.set_ylim(len(x) * (tall + 0.1), -0.3)
    axes.set_aspect("equal")
    return figure


# -- what the HTML report shares -----------------------------------------------------------------------------------


def confusion_counts(y: Array, predicted: Array, classes: int) -> Array:
    """Return the matrix (true, predicted) of counts; ArgumentError if a number is not that of a class."""
    y, predicted = np.asarray(y), np.asarray(predicted)
    fits = y.ndim == 1 and y.shape == predicted.shape and y.dtype.kind in "iu" and predicted.dtype.kind in "iu"
    if not fits or any(len(a) and not 0 <= a.min() <= a.max() < classes for a in (y, predicted)):
        raise ArgumentError(f"confusion_matrix: expected two arrays (N,) of class numbers from 0 to {classes - 1}")
    return np.bincount(y.astype(np.int64) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def worst(y: Array, probabilities: Array, most: int) -> Array:
    """Return the indices of the mistakes, the surest first, at most so many."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    # How far the wrong answer was ahead of the true one; equal ones stay in order.
    lead = probabilities[wrong, predicted[wrong]] - probabilities[wrong, y[wrong]]
    return wrong[np.argsort(-lead, kind="stable")][:most]


def is_picture(shape: Sequence[int]) -> bool:
    """Return whether a sample of this shape can be shown: (1 or 3, H, W)."""
    return len(shape) == 3 and shape[0] in (1, 3)


def picture(x: Array, white: float) -> Array:
    """Return a sample (C, H, W) as a picture (H, W) or (H, W, 3) of numbers from 0 to 1."""
    shown = np.clip(x.astype(np.float64) / white, 0, 1)
    return shown[0] if len(shown) == 1 else shown.transpose(1, 2, 0)


# -- small things ----------------------------------------------------------------------------------------------------


def _histograms(record: Record, what: str, title: str) -> Figure:
    seen = record.history.inspections
    if f"{what}_counts" not in seen:
        raise ArgumentError(f"{what}_histograms: expected a run with inspect=True and at least one epoch, got none")
    counts, edges = seen[f"{what}_counts"], seen[f"{what}_edges"]  # (epochs, layers, bins), (epochs, layers, 2)
    layers = [i for i, name in enumerate(record.layers) if not name.endswith(("Flatten", "Dropout"))]
    if len(layers) > MOST_PANELS:
        layers = [layers[i] for i in np.linspace(0, len(layers) - 1, MOST_PANELS).round().astype(int)]
        title += f" ({MOST_PANELS} of {len(record.layers)})"
    columns = min(3, len(layers))
    rows = math.ceil(len(layers) / columns)
    figure = _figure((max(SIZE[0], 1.75 * columns), 0.5 + 1.75 * rows))
    figure.suptitle(title, color=INK, fontsize=11)
    color = _rgb(BLUE if what == "activation" else GREEN)
    first, last = record.history["epoch"][0], record.history["epoch"][-1]
    for place, i in enumerate(layers):
        axes = figure.add_subplot(rows, columns, place + 1)
        _style(axes)
        image, low, high = _over_time(counts[:, i], edges[:, i])
        cells = np.empty((*image.shape, 4))
        cells[..., :3] = color
        cells[..., 3] = image
        extent = (first - 0.5, last + 0.5, low, high)
        axes.imshow(cells, aspect="auto", origin="lower", extent=extent, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_title(record.layers[i], fontsize=8.5, color=INK, loc="right")  # the exponent stands left
        axes.locator_params(axis="y", nbins=5)
        axes.locator_params(axis="x", integer=True, nbins=4)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        axes.yaxis.get_offset_text().set(color=INK, fontsize=7)
        axes.tick_params(labelsize=7)
        if place >= len(layers) - columns:
            axes.set_xlabel("epoch", fontsize=8, color=INK)
        if place % columns == 0:
            axes.set_ylabel("value", fontsize=8, color=INK)
    return figure


def _over_time(counts: Array, edges: Array, bins: int = 48) -> tuple[Array, float, float]:
    """Bring histograms (epochs, bins) to common edges; return opacities (bins, epochs) and the range of values.

    The range leaves out the outermost 1 % of each epoch's values, so that a few of them do not squeeze the rest.
    """
    total = np.maximum(counts.sum(axis=1), 1)
    below = np.cumsum(counts, axis=1) / total[:, None]
    width = (edges[:, 1] - edges[:, 0]) / counts.shape[1]
    low = float((edges[:, 0] + width * (below > 0.005).argmax(axis=1)).min())
    high = float((edges[:, 0] + width * ((below >= 0.995).argmax(axis=1) + 1)).max())
    grid = np.linspace(low, high, bins + 1)
    density = np.empty((len(counts), bins))
    for epoch, (row, (start, end)) in enumerate(zip(counts, edges, strict=True)):
        ends = np.linspace(start, end, len(row) + 1)
        cumulative = np.concatenate([[0.0], np.cumsum(row)])
        density[epoch] = np.diff(np.interp(grid, ends, cumulative))
    # The square root shows rare values beside the peak at 0 that ReLU makes.
    opacity = np.sqrt(density / np.maximum(density.max(axis=1, keepdims=True), 1e-300))
    return opacity.T, low, high


def _steps_per_epoch(record: Record) -> float:
    rows = record.history.rows
    return rows[0]["step"] / rows[0]["epoch"] if rows else max(1, len(record.history.step_loss))


def _figure(size: tuple[float, float] = SIZE) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("figures need matplotlib; type: pip install 'backpass[plots]'") from error
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes(title: str, x: str, y: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = _figure(size)
    axes = figure.add_subplot()
    _style(axes)
    axes.set_title(title, color=INK, fontsize=11)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    if x == "epoch":
        axes.locator_params(axis="x", integer=True)
    return figure, axes


def _style(axes: Axes) -> None:
    axes.patch.set_alpha(0)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8.5, which="both")
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(GRID)


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8.5, frameon=False, labelcolor=INK)


def _marks(epochs: Sequence[float]) -> dict[str, Any]:
    """Return the style of a curve: a few epochs are dots on a line, many a line."""
    return {"marker": "o" if len(epochs) <= 30 else "", "markersize": 3.5, "linewidth": 1.4}


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
