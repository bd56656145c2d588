"""A doctor's look at a run, in plain words: what is wrong with the training, why that is said, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..history import History
from ..layers.base import Array
from ..words import about, label, metric, percent

DEAD_NOTE, DEAD_WARNING = 0.1, 0.4  # parts of a layer's units
VANISHING, EXPLODING = 1e-3, 1e3  # first layer's gradient over the last one's; later layers' outputs over the first's
SLOW_UPDATE, FAST_UPDATE = 3e-5, 3e-2  # around the 1e-3 that is usual
OVERFITTING = 0.1  # accuracy in training less accuracy in validation
RISING = 1.15  # validation loss over its least
NOT_FALLING = 0.95  # loss of the last epoch over that of the first steps
VIEWS = ("Flatten", "Dropout", "MaxPool")  # they pass on what the layer before has made


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes
    ----------
    name : str
        Short and fixed, for programs: "dead units", "vanishing gradients", "fine" ...
    level : {"warning", "note", "good"}
        "warning" costs accuracy, "note" may, "good" is good news.
    reason : str
        What was measured, in a sentence.
    advice : str
        What to do about it, in a sentence; empty for good news.
    """

    name: str
    level: str
    reason: str
    advice: str = ""


def health(history: History, layers: Sequence[str] = ()) -> list[Finding]:
    """Look at a history and say in plain words what is wrong with the training, warnings first.

    Parameters
    ----------
    history : History
    layers : sequence of str, optional
        What to call the layers, such as "2 ReLU"; their numbers if not given.

    Returns
    -------
    list of Finding
        Never empty: if nothing is wrong, that is the finding.

    Examples
    --------
    >>> history = History()
    >>> for epoch, (train, val) in enumerate([(0.6, 0.58), (0.9, 0.65), (1.0, 0.65)], 1):
    ...     history.add_step(1 / epoch)
    ...     history.add_epoch({"epoch": epoch, "train_accuracy": train, "val_accuracy": val, "val_loss": 1.0})
    >>> [finding.name for finding in health(history)]
    ['overfitting']
    """
    if not history:
        return [Finding("too early", "note", "No epoch has ended yet, so there is little to judge by.", "Train on.")]
    seen = history.inspections
    count = len(seen["activation_std"][0]) if "activation_std" in seen else 0
    names = list(layers) or [f"{i}" for i in range(count)]
    findings = [*_loss(history), *_fit(history), *_updates(history)]
    if count:
        findings += [*_dead(seen, names), *_gradients(seen, names), *_activations(seen, names)]
    findings.sort(key=lambda finding: ("warning", "note", "good").index(finding.level))
    if all(finding.level == "good" for finding in findings):
        looked = "the loss, the gap between training and validation, the size of the updates"
        looked += ", dead units, and the sizes of gradients and activations in each layer" if count else ""
        findings.append(Finding("fine", "good", f"Nothing wrong was found. Looked at: {looked}."))
    return findings


def _loss(history: History) -> list[Finding]:
    losses = history.step_loss
    epochs = len(history)
    first = float(losses[: max(1, min(10, len(losses) // epochs // 2))].mean()) if len(losses) else 0.0
    last = float(losses[-max(1, len(losses) // epochs) :].mean()) if len(losses) else 0.0
    if len(losses) >= 2 and not last < NOT_FALLING * first:
        return [
            Finding(
                "loss not falling",
                "warning",
                f"The loss was {about(first)} in the first steps and is {about(last)} in the last epoch: "
                "the net has learned next to nothing.",
                "Try a learning rate ten times smaller, then one ten times larger; check that labels belong to their samples; "
                "see whether the net can learn 50 samples by heart, without regularisation.",
            )
        ]
    return []


def _fit(history: History) -> list[Finding]:
    if "val_loss" not in history.rows[0]:
        return []
    found = []
    row = history.rows[-1]
    val_losses = np.array(history["val_loss"])
    accuracies = "val_accuracy" in row and "train_accuracy" in row
    gap = row["train_accuracy"] - row["val_accuracy"] if accuracies else 0.0
    rising = len(val_losses) >= 3 and val_losses[-1] > RISING * val_losses.min() > 0
    if gap > OVERFITTING:
        found.append(
            Finding(
                "overfitting",
                "warning",
                f"The net is right on {percent(row['train_accuracy'])} of the training samples but only on "
                f"{percent(row['val_accuracy'])} of the validation samples: it learns by heart what does not carry over.",
                "Add dropout, weight decay or label smoothing, take a smaller net or more data, or stop earlier.",
            )
        )
    elif rising:
        best = int(val_losses.argmin())
        found.append(
            Finding(
                "validation loss rising",
                "note",
                f"The validation loss was least in epoch {history.rows[best]['epoch']} ({about(val_losses[best])}) and has "
                f"risen to {about(val_losses[-1])}: the net grows sure of its mistakes.",
                "Label smoothing, dropout or weight decay help; the best epoch's parameters are kept anyway.",
            )
        )
    if not rising:
        found += _still_improving(history, "val_accuracy" if accuracies else "val_loss", gap)
    return found


def _still_improving(history: History, column: str, gap: float) -> list[Finding]:
    """Compare the last fifth of the run with the fifth before it."""
    span = len(history) // 5
    if span == 0 or gap > OVERFITTING:
        return []
    values = np.array(history[column])
    before, after = float(values[-2 * span : -span].mean()), float(values[-span:].mean())
    better = after > before + 0.01 if column.endswith("accuracy") else after < 0.97 * before
    if not better:
        return []
    return [
        Finding(
            "still improving",
            "note",
            f"The {label(column)} went from {metric(column, before)} to {metric(column, after)} from one fifth of the run to "
            "the last, so it has not levelled off.",
            "Train for more epochs.",
        )
    ]


def _updates(history: History) -> list[Finding]:
    if "update_ratio" not in history.rows[0] or "lr" not in history.rows[0]:
        return []
    ratios, rates = np.array(history["update_ratio"]), np.array(history["lr"])
    # A schedule ends in tiny steps on purpose: only epochs with at least half of the highest rate are judged.
    ratio = float(np.median(ratios[rates >= 0.5 * rates.max()]))
    said = f"A step changes the parameters by {about(ratio)} of their size; about 0.001 is usual."
    if ratio < SLOW_UPDATE:
        return [Finding("tiny updates", "warning", said, "Learning crawls: try a learning rate ten times larger.")]
    if ratio > FAST_UPDATE:
        return [Finding("huge updates", "warning", said, "Try a learning rate ten times smaller, or a warm-up.")]
    return []


def _dead(seen: dict[str, Array], names: list[str]) -> list[Finding]:
    dead = seen["dead_fraction"][-1]
    found = []
    for i, part in enumerate(dead):
        passed_on = any(view in names[i] for view in VIEWS)
        if passed_on or part <= DEAD_NOTE or not np.isfinite(part):
            continue
        found.append(
            Finding(
                "dead units",
                "warning" if part > DEAD_WARNING else "note",
                f"In layer {names[i]}, {percent(part)} of the units are 0 for every sample looked at: they have no "
                "gradient and learn nothing any more.",
                "Try a smaller learning rate or a warm-up, a norm layer before the activation, or leaky_relu or gelu.",
            )
        )
    return found


def _gradients(seen: dict[str, Array], names: list[str]) -> list[Finding]:
    sizes = seen["gradient_std"][-1]
    if len(sizes) < 2:
        return []
    if not np.any(sizes > 0):
        return [
            Finding(
                "no gradient",
                "warning",
                "The gradient is 0 in every layer: nothing is learned any more.",
                "Try a smaller learning rate, or another start (init, seed).",
            )
        ]
    # The last layer's gradient may be tiny because the loss is: what counts is how it changes on its way back.
    ratio = float(sizes[0] / sizes[-1]) if sizes[-1] > 0 else np.inf
    steps = _ratios(sizes[:-1], sizes[1:])
    if ratio < VANISHING:
        where = names[int(np.argmin(steps))]
        return [
            Finding(
                "vanishing gradients",
                "warning",
                f"On its way from the last layer to the first the gradient shrinks to {about(ratio)} of its size, most in "
                f"layer {where}: the first layers hardly learn.",
                "Use relu instead of sigmoid or tanh, He weights, a norm layer before each activation, or fewer layers.",
            )
        ]
    if ratio > EXPLODING:
        where = names[int(np.argmax(steps))]
        return [
            Finding(
                "exploding gradients",
                "warning",
                f"On its way from the last layer to the first the gradient grows {about(ratio)}-fold, most in layer {where}: "
                "the first layers make steps that are far too long.",
                "Use He weights, a norm layer before each activation, clip_norm, or fewer layers.",
            )
        ]
    return []


def _activations(seen: dict[str, Array], names: list[str]) -> list[Finding]:
    sizes = seen["activation_std"][-1]
    if len(sizes) < 2 or not sizes[0] > 0:
        return []
    ratio = sizes / sizes[0]
    small, large = int(np.argmin(ratio)), int(np.argmax(ratio))
    if ratio[small] < VANISHING:
        return [
            Finding(
                "vanishing activations",
                "warning",
                f"The outputs of layer {names[small]} are spread over only {about(ratio[small])} of what the first layer's "
                "are: almost the same comes out for every sample.",
                "Use He weights (the init has too small a scale), or a norm layer before each activation.",
            )
        ]
    if ratio[large] > EXPLODING:
        return [
            Finding(
                "exploding activations",
                "warning",
                f"The outputs of layer {names[large]} are {about(ratio[large])} times as large as the first layer's.",
                "Use He weights (the init has too large a scale), a norm layer before each activation, or weight decay.",
            )
        ]
    return []


def _ratios(a: Array, b: Array) -> Array:
    return np.asarray(a, np.float64) / np.maximum(np.asarray(b, np.float64), 1e-300)
