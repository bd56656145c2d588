"""`backpass predict`: what a run's net says of pictures and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import train as training
from ..data.folder import SUFFIXES, read_picture
from ..errors import ArgumentError, DataError
from ..layers.base import Array
from ..report.html import softmax
from ..words import about, percent
from .console import print_json, say


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    files: Annotated[list[Path], typer.Argument(help="Pictures (.png, .jpg ...), or arrays of samples (.npy, .npz).")],
    top: Annotated[int, typer.Option(help="How many classes to name, the likeliest first.", min=1)] = 1,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert",
            help="Turn pictures to their negative: for dark ink on light paper, where the net has learned light on dark.",
        ),
    ] = False,
    tta: Annotated[
        str,
        typer.Option(help="Test-time augmentation: none, flip or flip+translate averages the scores of such views."),
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the class of each picture or sample, and how probable the net holds it.

    Pictures are brought to the size, channels and range of the training data, which is said. Arrays must have them already:
    one sample, or N of them.

    [bold]Examples[/bold]

    backpass predict runs/digits three.png

    backpass predict runs/cifar10 *.jpg --top 3 --json
    """
    arrays, manifest = training.load_run(run)
    model = training.best_model(arrays, manifest, run)
    classes = manifest["data"]["classes"]
    assert model.preprocess is not None
    shape = model.preprocess.shift.shape
    answers: list[dict[str, Any]] = []
    for file in files:
        for name, sample, done in _samples(file, shape, manifest["data"], invert=invert):
            scores = model.predict_scores(sample[None], tta=tta).astype(np.float64).reshape(1, -1)
            if not classes:  # a regression
                answers.append({"file": name, "prediction": scores[0].tolist(), "changed": done})
                if not as_json:
                    say(f"{name}: {', '.join(map(about, scores[0].tolist()))}")
                continue
            probabilities = softmax(scores)[0]
            order = np.argsort(-probabilities, kind="stable")[: min(top, len(classes))]
            guesses = [{"class": classes[i], "probability": float(probabilities[i])} for i in order]
            answers.append({"file": name, "prediction": guesses, "changed": done})
            if not as_json:
                words = ", ".join(f"{guess['class']} {percent(guess['probability'])}" for guess in guesses)
                say(f"{name}: {words}" + (f"   ({', '.join(done)})" if done else ""))
    if as_json:
        print_json(answers)


def _samples(
    file: Path, shape: tuple[int, ...], data: dict[str, Any], *, invert: bool
) -> Iterator[tuple[str, Array, list[str]]]:
    """Yield name, sample and what was done to it, for each sample in a file."""
    if not file.is_file():
        raise DataError(f"{file}: expected a picture or an array, found no such file")
    if file.suffix.lower() in SUFFIXES:
        yield str(file), *_picture(file, shape, data, invert=invert)
        return
    if file.suffix.lower() not in (".npy", ".npz"):
        raise ArgumentError(f"{file}: expected a picture ({', '.join(SUFFIXES)}), .npy or .npz")
    for key, array in _arrays(file).items():
        name = f"{file}:{key}" if key else str(file)
        many = array.ndim == len(shape) + 1
        if array.shape[int(many) :] != shape:
            wanted = ", ".join(map(str, shape))
            raise DataError(f"{name}: expected a sample of shape ({wanted}) or N of them, got {array.shape}")
        for i, sample in enumerate(array if many else [array]):
            yield f"{name}[{i}]" if many else name, sample, []


def _arrays(file: Path) -> dict[str, Array]:
    try:
        loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return {"": loaded}
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{file}: cannot be read as an array ({error})") from None


def _picture(file: Path, shape: tuple[int, ...], data: dict[str, Any], *, invert: bool) -> tuple[Array, list[str]]:
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ArgumentError(f"{file}: the net takes samples of shape {shape}, which are no pictures; give an .npy file")
    channels, height, width = shape
    original = read_picture(file, channels=channels)
    done = []
    found = original
    if original.shape[1:] != (height, width):
        found = read_picture(file, channels=channels, image_size=(height, width))
        done.append(f"resized from {original.shape[2]} x {original.shape[1]} to {width} x {height} pixels")
    values = found.astype(np.float64)
    if invert:
        values = 255.0 - values
        done.append("inverted")
    white = data.get("max_value")
    if white not in (None, 255.0):
        values *= white / 255.0
        done.append(f"values from 0 to 255 brought to 0 to {white:g}")
    return values.astype(np.float32), done
