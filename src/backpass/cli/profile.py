"""`backpass profile`: where the time of a training step goes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from .. import train as training
from ..errors import ArgumentError
from ..model import Model
from ..profile import COLUMNS
from . import choices
from .console import say, table
from .recipes import OTHERS


def profile(
    net: Annotated[str, typer.Argument(help=f"The folder of a run, or a net: {', '.join(choices.MODELS)}.")],
    spec: Annotated[str, typer.Option(help="Words of a convnet; see backpass train --help.")] = OTHERS.spec,
    depth: Annotated[int, typer.Option(help="Layers of a vgg or a resnet.", show_default="vgg 16, resnet 20")] = 0,
    width: Annotated[int, typer.Option(help="Filters of a resnet's first stage.", show_default="the net's own")] = 0,
    hidden: Annotated[str, typer.Option(help="Widths of a fully connected net.")] = OTHERS.hidden,
    norm: Annotated[str, typer.Option(help="batch, layer, group or none.")] = OTHERS.norm,
    input_shape: Annotated[str, typer.Option("--input", help="Channels x height x width of a sample.")] = "3x32x32",
    classes: Annotated[int, typer.Option(help="How many scores come out.")] = 10,
    batch: Annotated[int, typer.Option(help="Samples in a step.")] = 64,
    rounds: Annotated[int, typer.Option(help="How many steps are timed; medians count.")] = 5,
    threads: Annotated[int | None, typer.Option(help="Threads of the kernels.", show_default="all cores")] = None,
    by_time: Annotated[bool, typer.Option("--by-time", help="The slowest layers first.")] = False,
) -> None:
    """Print time, GFLOP/s, GB/s and share of each layer, forward and backward.

    [bold]Examples[/bold]

    backpass profile runs/cifar10 --by-time

    backpass profile resnet --depth 20 --batch 128

    backpass profile convnet --spec 32x2-pool-64x2-pool-fc100
    """
    from .. import set_threads

    if threads is not None:
        set_threads(threads)
    if net in choices.MODELS:
        chosen = replace(
            OTHERS, model=net, spec=spec, depth=depth, width=width, hidden=hidden, norm=norm, drop_prob=0.0
        )
        model = Model(choices.layers(chosen, classes, {}), _sizes(input_shape))
    elif Path(net).is_dir():
        arrays, manifest = training.load_run(Path(net))
        model = training.best_model(arrays, manifest, Path(net))
    else:
        raise ArgumentError(
            f"backpass profile: expected the folder of a run or one of {', '.join(choices.MODELS)}, got {net!r}"
        )
    measured = model.profile(batch, rounds=rounds)
    table(list(COLUMNS), measured.cells(by_time=by_time), right=tuple(range(2, len(COLUMNS))))
    say(measured.caption, style="bold")


def _sizes(text: str) -> tuple[int, ...]:
    """Return the sizes in "3x32x32".

    >>> _sizes("3x32x32")
    (3, 32, 32)
    """
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise ArgumentError(f"--input: expected sizes such as 3x32x32, got {text!r}")
    return tuple(map(int, text.split("x")))
