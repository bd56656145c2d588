"""The commands of `backpass`, one line each."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ..check.command import check
from ..cs231n import command as cs231n
from . import data
from .bench import bench
from .console import DEBUG, say
from .evaluate import evaluate
from .info import info
from .predict import predict
from .profile import profile
from .report import report
from .train import train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, judge and use neural networks on a CPU; every backward pass is written out, checked and fast.",
    epilog="Start with: backpass train digits",
)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("predict")(predict)
app.command("report")(report)
app.command("profile")(profile)
app.add_typer(data.app, name="data")
app.command("check")(check)
app.add_typer(cs231n.app, name="cs231n")
app.command("bench")(bench)
app.command("info")(info)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        say(f"backpass {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show errors with their traceback.")] = False,
) -> None:
    """Take the options that stand before the command."""
    os.environ[DEBUG] = "1" if debug else "0"
