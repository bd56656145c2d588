"""`report.html`: one file with everything that is to be seen of a run, and the figures as PNG files beside it."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Dataset, Split
from ..errors import ArgumentError, CheckpointError, MissingExtraError
from ..layers.base import Array
from ..spec import from_spec
from ..train import Run, evaluate, load_data
from ..words import about, count, duration, label, metric, percent
from . import figures, pictures
from .health import health
from .record import Record, record_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "report.html"
DPI = 130
MISTAKES = 24


@dataclass(frozen=True)
class Drawn:
    """A figure as it stands in the page."""

    svg: str
    alt: str
    caption: str
    narrow: bool = False


def write_report(run: Run | Record | str | Path, data: Dataset | None = None) -> Path:
    """Write `report.html` and the figures as PNG files into the folder of a run.

    The page is one file that needs no network: result, curves, health check, histograms of the layers, confusion matrix,
    mistakes, settings.

    Parameters
    ----------
    run : Run, or the folder of one
    data : Dataset, optional
        What the run was trained on; None takes that of a live run, or loads it again from where it came.

    Returns
    -------
    Path
        Of `report.html`.

    Raises
    ------
    ArgumentError
        If the run has no folder, or `data` is other data.
    CheckpointError
        If there is no run in the folder, or it is damaged, or the files cannot be written.
    MissingExtraError
        If matplotlib or Jinja2 is not installed; both come with the extra ``plots``.

    Examples
    --------
    >>> import tempfile
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = bp.Trainer(model, data, epochs=1, out=folder).fit()
    ...     print(write_report(run).name)
    report.html
    """
    record = record_of(run)
    if record.folder is None:
        raise ArgumentError(
            "write_report: expected a run with a folder, got one in memory; give the Trainer out='runs/name'"
        )
    template = _template()
    if data is None:
        data = run.trainer.data if isinstance(run, Run) else load_data(record.manifest["data"], record.folder)
    live = isinstance(run, Run) and data is run.trainer.data
    if not live and data.fingerprint() != record.manifest["data"]["fingerprint"]:
        raise ArgumentError(
            f"write_report: expected the data of the run ({record.manifest['data']['name']}), got other data ({data.name})"
        )
    page = _page(record, data)
    try:
        for stale in record.folder.glob("*.png"):
            if stale.stem in FIGURES and stale.stem not in page["figures"]:
                stale.unlink()
        for name, png in page.pop("figures").items():
            (record.folder / f"{name}.png").write_bytes(png)
        path = record.folder / NAME
        temporary = path.with_name(NAME + ".writing")
        temporary.write_text(template.render(page), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"{record.folder}: the report could not be written ({error.strerror or error})"
        ) from error
    return path


FIGURES = (
    "loss",
    "accuracy",
    "learning_rate",
    "update_ratio",
    "activations",
    "gradients",
    "weights",
    "filters",
    "maps",
    "confusion",
    "mistakes",
)


def require_plots() -> None:
    """Raise MissingExtraError unless reports can be written here: they need matplotlib and Jinja2.

    Examples
    --------
    >>> require_plots()
    """
    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"reports need {' and '.join(missing)}; type: pip install 'backpass[plots]'")


def _template() -> Any:
    require_plots()
    from jinja2 import Environment, StrictUndefined

    text = Path(__file__).with_name("template.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["draw"] = _markup
    return environment.from_string(text)


def _markup(drawn: Drawn) -> Any:
    from markupsafe import Markup

    svg = drawn.svg.replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(drawn.alt), 1)
    narrow = " narrow" if drawn.narrow else ""
    return Markup('<figure class="card{}">{}<figcaption>{}</figcaption></figure>').format(
        narrow, Markup(svg), drawn.caption
    )


def _page(record: Record, data: Dataset) -> dict[str, Any]:
    """Return what the template shows; `figures` holds the PNG files by name."""
    history, manifest, model = record.history, record.manifest, record.model
    split_name = "test" if len(data.test) else "validation"
    split = data.test if len(data.test) else data.val
    classification = data.train.y.dtype.kind in "iu"
    judged = _judge(record, split) if len(split) else {}
    pngs: dict[str, bytes] = {}

    def drawn(name: str, figure: Figure, alt: str, caption: str, *, narrow: bool = False) -> Drawn:
        pngs[name] = _png(figure)
        figure.set_layout_engine("none")  # the PNG has found everything's place, the slowest part of drawing
        return Drawn(_svg(figure, name), alt, caption, narrow)

    curves, layers = [], []
    if len(history.step_loss):
        first, last = float(history.step_loss[0]), float(history.step_loss[-1])
        alt = f"Curve of the loss: from {about(first)} in the first step to {about(last)} in the last."
        text = "Training loss in each step with dropout and regularisation; validation loss at the end of each epoch."
        curves.append(drawn("loss", figures.loss_curve(record), alt, text))
    if history:
        if "val_accuracy" in history.columns:
            train, val = (metric("accuracy", history[f"{k}_accuracy"][-1]) for k in ("train", "val"))
            alt = f"Curves of the accuracies: {train} in training and {val} in validation at the end."
            text = "The wider the gap between the two, the more was learned by heart."
            curves.append(drawn("accuracy", figures.accuracy_curve(record), alt, text))
        first, last = history["lr"][0], history["lr"][-1]
        alt = f"Curve of the learning rate: {about(first)} after the first epoch, {about(last)} at the end."
        curves.append(drawn("learning_rate", figures.learning_rate(record), alt, "As the schedule made it."))
        alt = f"Curve of the update ratio, {about(float(np.median(history['update_ratio'])))} in the middle."
        text = "How far one step moves the parameters. Far below the band learning crawls, far above it it jumps about."
        curves.append(drawn("update_ratio", figures.update_ratio(record), alt, text))
        if history.inspections:
            alt = "Histograms of the outputs of each layer over the epochs."
            text = "Strong colour is frequent. A layer that narrows to a line passes nothing on; ReLU has a line at 0 by nature."
            layers.append(drawn("activations", figures.activation_histograms(record), alt, text))
            alt = "Histograms of the gradients of each layer's outputs over the epochs."
            text = "They narrow as the loss falls. From the last layer to the first they should keep about one size."
            layers.append(drawn("gradients", figures.gradient_histograms(record), alt, text))
    filters, maps = None, None
    noise = "Smooth patterns are learned; pure noise means little training or little regularisation."
    if pictures.has_filters(model):
        alt = "The filters of the first layer as small pictures."
        text = f"What each channel looks for at every place; grey is 0. {noise}"
        filters = drawn("filters", pictures.first_layer_weights(model), alt, text, narrow=True)
    elif pictures.has_picture_weights(model):
        alt = "The weights of the first layer as small pictures."
        text = f"What each unit looks for. {noise}"
        layers.append(drawn("weights", pictures.first_layer_weights(model), alt, text, narrow=True))
    if filters and len(split) and figures.is_picture(split.x.shape[1:]):
        alt = f"One {split_name} picture and what each layer makes of it."
        text = (
            f"The first {split_name} picture on its way through the net, the first channels of each layer. "
            "White is 0, blue positive, orange negative."
        )
        figure = pictures.feature_maps(model, split.x[0], max_value=data.max_value)
        maps = drawn("maps", figure, alt, text, narrow=True)

    confusion, per_class, mistakes = None, [], []
    if judged and classification:
        probabilities, y = judged["probabilities"], split.y
        predicted = probabilities.argmax(axis=1)
        wrong = int((predicted != y).sum())
        alt = f"Confusion matrix of {count(len(y), split_name + ' sample')}: {len(y) - wrong:,} right, {wrong:,} wrong."
        text = "Rows are the true classes, columns what the net said. Blue is right, orange is wrong."
        confusion = drawn("confusion", figures.confusion_matrix(y, predicted, data.classes), alt, text)
        per_class = _per_class(y, predicted, data.classes)
        if figures.is_picture(split.x.shape[1:]):
            worst = figures.worst_mistakes(split.x, y, probabilities, data.classes, max_value=data.max_value)
            pngs["mistakes"] = _png(worst)
            mistakes = _mistakes(split, probabilities, data)

    headline, sentences, facts = _words(record, data, split_name, len(split), judged)
    return {
        "title": f"{data.name}: backpass report",
        "headline": headline,
        "sentences": sentences,
        "facts": facts,
        "curves": curves,
        "findings": health(history, record.layers),
        "layers": layers,
        "filters": filters,
        "maps": maps,
        "confusion": confusion,
        "split_name": split_name,
        "per_class": per_class,
        "mistakes": mistakes,
        "summary": model.summary(manifest["trainer"]["batch_size"]),
        "command": _command(manifest),
        "settings": _settings(record, data),
        "figures": pngs,
    }


def _judge(record: Record, split: Split) -> dict[str, Any]:
    loss = from_spec(record.manifest["trainer"]["loss"])
    scores = record.model.predict_scores(split.x).astype(np.float64)
    return {**evaluate(record.model, split, loss), "probabilities": softmax(scores.reshape(len(scores), -1))}


def softmax(scores: Array) -> Array:
    """Return the probabilities (N, C) that softmax makes of scores (N, C).

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1e4, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def interval(right: int, total: int) -> tuple[float, float]:
    """Return the accuracies between which the true one lies with 95 % confidence (Wilson 1927).

    Examples
    --------
    >>> low, high = interval(295, 300)
    >>> f"{low:.3f} {high:.3f}"
    '0.962 0.993'
    """
    z, p = 1.959964, right / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def _words(
    record: Record, data: Dataset, split_name: str, total: int, judged: dict[str, Any]
) -> tuple[str, list[str], list[tuple[str, str]]]:
    """Return headline, sentences and key figures."""
    manifest, history, model = record.manifest, record.history, record.model
    best, monitor, status = manifest["best"], record.monitor, manifest["status"]
    sentences: list[str] = []
    facts: list[tuple[str, str]] = []
    if "accuracy" in judged:
        right = round(judged["accuracy"] * total)
        low, high = interval(right, total)
        headline = f"{data.name}: {percent(judged['accuracy'])} of the {split_name} samples right"
        sentences.append(
            f"{right:,} of {total:,} {split_name} samples, which the net has never seen in training, are classified right. "
            f"With that many samples, the true accuracy lies between {percent(low)} and {percent(high)} (95 % confidence)."
        )
        facts.append((f"{split_name} accuracy", percent(judged["accuracy"])))
    elif judged:
        headline = f"{data.name}: {split_name} loss {about(judged['loss'])}"
        facts.append((f"{split_name} loss", about(judged["loss"])))
    else:
        headline = f"{data.name}: no test samples"
    ended = {
        "finished": "It ran to its end.",
        "running": "It is still running, or was killed: this is the last checkpoint.",
    }.get(status, f"It {'was ' if status != 'failed' else ''}{status}: {manifest['reason']}.")
    epochs = manifest["trainer"]["epochs"]
    if best:
        sentences.append(
            f"The best epoch was {best['epoch']} of {len(history)} by {label(monitor)} ({metric(monitor, best[monitor])}); its "
            f"parameters are kept and judged here. {ended}"
        )
        facts.append(("best epoch", f"{best['epoch']} of {len(history)}"))
    else:
        sentences.append(
            f"No epoch has ended yet (of {epochs}); judged here are the parameters of step {manifest['step']}. {ended}"
        )
    speed = f" at {about(float(np.median(history['samples_per_s'])))} samples per second" if history else ""
    threads = manifest["machine"]["threads"]
    facts.append(("training time", duration(manifest["seconds"])))
    facts.append(("parameters", f"{model.params.size:,}"))
    if history:
        facts.append(("samples per second", f"{float(np.median(history['samples_per_s'])):,.0f}"))
    sentences.append(
        f"A net of {count(len(model.layers), 'layer')} with {model.params.size:,} parameters, trained on "
        f"{count(len(data.train), 'sample')} in {duration(manifest['seconds'])} with {count(threads, 'thread')}."
        if speed
        else f"A net of {count(len(model.layers), 'layer')} with {model.params.size:,} parameters."
    )
    return headline, sentences, facts


def _per_class(y: Array, predicted: Array, classes: tuple[str, ...]) -> list[dict[str, str]]:
    counts = figures.confusion_counts(y, predicted, len(classes))
    rows = []
    for i, name in enumerate(classes):
        total = int(counts[i].sum())
        wrong = counts[i].copy()
        wrong[i] = 0
        j = int(wrong.argmax())
        rows.append(
            {
                "name": name,
                "samples": f"{total:,}",
                "right": percent(counts[i, i] / total) if total else "",
                "taken_for": f"{classes[j]} ({wrong[j]:,})" if wrong[j] else "",
            }
        )
    return rows


def _mistakes(split: Split, probabilities: Array, data: Dataset) -> list[dict[str, Any]]:
    from PIL import Image  # matplotlib depends on Pillow

    white = float(data.max_value or split.x.max() or 1)
    shown = []
    for i in figures.worst(split.y, probabilities, MISTAKES):
        image = Image.fromarray(np.round(255 * figures.picture(split.x[i], white)).astype(np.uint8))
        file = io.BytesIO()
        image.save(file, "PNG")
        guess = int(probabilities[i].argmax())
        true, said = data.classes[split.y[i]], data.classes[guess]
        shown.append(
            {
                "png": base64.b64encode(file.getvalue()).decode(),
                "alt": f"Sample {i}: {true}, taken for {said}",
                "width": image.width,
                "height": image.height,
                "true": true,
                "guess": said,
                "sure": percent(float(probabilities[i, guess]), 0),
            }
        )
    return shown


def _command(manifest: dict[str, Any]) -> str:
    command = (manifest.get("note") or {}).get("command")
    return shlex.join(command) if isinstance(command, list) else ""


def _settings(record: Record, data: Dataset) -> list[tuple[str, str]]:
    manifest = record.manifest
    settings = {name.replace("_", " "): _said(value) for name, value in manifest["trainer"].items()}
    sizes = ", ".join(f"{name} {size:,}" for name, size in manifest["data"]["samples"].items())
    note = {name: value for name, value in (manifest.get("note") or {}).items() if name != "command"}
    return [
        ("data", f"{data.name}; {sizes}"),
        ("data from", _said(manifest["data"]["source"] or "arrays")),
        ("data SHA-256", manifest["data"]["fingerprint"]),
        ("preprocessing", str(record.model.preprocess)),
        ("model seed", str(manifest["model"]["seed"])),
        ("dtype", manifest["model"]["dtype"]),
        *settings.items(),
        *((name, _said(value)) for name, value in note.items()),
        ("machine", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in manifest["machine"].items())),
        ("versions", ", ".join(f"{name} {value}" for name, value in manifest["versions"].items())),
    ]


def _said(value: Any) -> str:
    """Return a specification (see `backpass.spec`) as one writes it in Python."""
    if isinstance(value, dict) and "type" in value:
        fields = ", ".join(f"{k}={_said(v)}" for k, v in value.items() if k != "type" and v not in (None, []))
        return f"{value['type']}({fields})"
    if isinstance(value, dict):
        return ", ".join(f"{k}={_said(v)}" for k, v in value.items())
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor="white")
    return file.getvalue()


def _svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG to stand inside a page: in the page's colours, and with names of its own."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, dpi=DPI, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return svg.replace(figures.INK, "currentColor").replace(figures.GRID, "var(--grid)")
