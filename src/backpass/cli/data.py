"""`backpass data`: what data sets there are, get one, look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import data as datasets
from ..data.augment import from_text
from ..words import about
from .console import print_json, say, table

app = typer.Typer(no_args_is_help=True, help="List, get and look at data sets.")


@app.command("list")
def list_sets(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder to look in.", show_default="BACKPASS_DATA and the cache")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the named data sets and where they are on this machine."""
    found = datasets.available(data_dir)
    if as_json:
        rows = [
            {
                "name": one.name,
                "description": one.description,
                "location": None if one.location is None else str(one.location),
                "command": one.command,
            }
            for one in found
        ]
        print_json(rows)
        return
    table(["name", "what", "where"], [[one.name, one.description, str(one.location or one.command)] for one in found])


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="cifar10, mnist or fashion-mnist.")],
    dest: Annotated[
        Path | None, typer.Option(help="Folder to put the files into.", show_default="the cache, where it is found")
    ] = None,
    mirror: Annotated[
        list[str] | None, typer.Option(help="Address of a folder to get the files from; may be repeated.")
    ] = None,
) -> None:
    """Download a data set, checked by its SHA-256; what broke off is continued.

    [bold]Example[/bold]

    backpass data get cifar10
    """
    if name == "digits":
        say("digits ships with the package; there is nothing to get")
        return
    say(f"{name} is in {datasets.download(name, dest, mirrors=mirror or None)}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A name, a folder of pictures, or an .npz file.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder to look for a named set in.")] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="Draw some pictures before and after, such as flip,translate:2,cutout:8 (see train --help)."),
    ] = None,
    picture: Annotated[Path, typer.Option(help="Where to draw them.")] = Path("augmented.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what is in a data set: shapes, classes, splits and ranges; or draw what an augmentation makes of it.

    [bold]Examples[/bold]

    backpass data show digits

    backpass data show cifar10 --augment alternating-flip,translate:2
    """
    found = datasets.load(name, data_dir=data_dir)
    if augment is not None:
        from ..report import augmented_samples

        augmented_samples(found, from_text(augment)).savefig(picture, dpi=200)
        say(f"drawn: {picture}")
        return
    described = datasets.describe(found)
    if as_json:
        print_json(described)
        return
    say(str(found), style="bold")
    say(f"{described['size_bytes'] / 1e6:,.1f} MB in memory, fingerprint {described['fingerprint']}")
    splits = described["splits"]
    rows = [
        [split, f"{one['count']:,}", *("" if one[k] is None else about(one[k]) for k in ("min", "max", "mean"))]
        for split, one in splits.items()
    ]
    table(["split", "samples", "least", "greatest", "mean"], rows, right=(1, 2, 3, 4))
    say()
    rows = [
        [label, *(f"{one['per_class'][i]:,}" for one in splits.values())]
        for i, label in enumerate(described["classes"])
    ]
    table(["class", *splits], rows, right=(1, 2, 3))
