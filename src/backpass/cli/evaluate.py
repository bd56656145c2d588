"""`backpass evaluate`: how good a run's net is on a split of its data, or on other data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import train as training
from ..data import Dataset, load
from ..errors import ArgumentError
from ..report.html import interval
from ..spec import from_spec
from ..words import about, percent
from .console import print_json, say, table


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data: Annotated[
        str | None,
        typer.Option(
            help="Other data of the same kind: a name, a folder or an .npz file.", show_default="the run's own"
        ),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data is now, if it has moved.")] = None,
    tta: Annotated[
        str,
        typer.Option(help="Test-time augmentation: none, flip or flip+translate averages the scores of such views."),
    ] = "none",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print loss and accuracy of a run's best net, over all and class by class (loss and r2 of a regression).

    [bold]Examples[/bold]

    backpass evaluate runs/digits

    backpass evaluate runs/digits --split val --json
    """
    arrays, manifest = training.load_run(run)
    model = training.best_model(arrays, manifest, run)
    found = _data(run, manifest, data, data_dir)
    if split not in found.splits:
        raise ArgumentError(f"--split: expected train, val or test, got {split!r}")
    samples = found.splits[split]
    if not len(samples):
        raise ArgumentError(f"--split: {found.name} has no {split} samples; choose another split")
    result = training.evaluate(model, samples, from_spec(manifest["trainer"]["loss"]), tta=tta)
    if found.has_targets:
        if as_json:
            print_json({"run": str(run), "data": found.name, "split": split, "samples": len(samples), **result})
        else:
            say(f"{found.name}, {split}: loss {about(result['loss'])}, r2 {about(result['r2'])}", style="bold")
        return
    right = model.predict(samples.x, tta=tta) == samples.y
    low, high = interval(int(right.sum()), len(right))
    totals = np.bincount(samples.y, minlength=len(found.classes))
    hits = np.bincount(samples.y[right], minlength=len(found.classes))
    per_class: list[dict[str, Any]] = [
        {"class": name, "samples": int(total), "right": int(hit)}
        for name, total, hit in zip(found.classes, totals, hits, strict=True)
    ]
    if as_json:
        print_json(
            {
                "run": str(run),
                "data": found.name,
                "split": split,
                "samples": len(samples),
                "loss": result["loss"],
                "accuracy": result["accuracy"],
                "accuracy_95": [low, high],
                "per_class": per_class,
            }
        )
        return
    say(
        f"{found.name}, {split}: accuracy {percent(result['accuracy'])} ({right.sum():,} of {len(right):,} right)",
        style="bold",
    )
    say(f"true accuracy between {percent(low)} and {percent(high)} (95 % confidence); loss {about(result['loss'])}")
    rows = [
        [row["class"], f"{row['samples']:,}", percent(row["right"] / row["samples"]) if row["samples"] else ""]
        for row in per_class
    ]
    table(["class", "samples", "right"], rows, right=(1, 2))


def _data(run: Path, manifest: dict[str, Any], other: str | None, data_dir: Path | None) -> Dataset:
    """Return the run's own data, checked to be the same, or other data with the same classes."""
    about_data = manifest["data"]
    if other is None:
        found = training.load_data(about_data, run, data_dir=data_dir)
        if found.fingerprint() != about_data["fingerprint"]:
            raise ArgumentError(
                f"{run}: {found.name} is no longer what the run was trained on; judge on it with --data"
            )
        return found
    found = load(other, data_dir=data_dir)
    if list(found.classes) != about_data["classes"]:
        raise ArgumentError(
            f"--data: expected the classes {about_data['classes'][:20]}, got {list(found.classes)[:20]}"
        )
    return found
