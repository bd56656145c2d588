"""`backpass report`: write the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..report import require_plots, write_report
from ..train import load_data, load_run
from .console import say


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    data_dir: Annotated[Path | None, typer.Option(help="Where the data is now, if it has moved.")] = None,
) -> None:
    """Write report.html and its figures into the folder of a run.

    [bold]Example[/bold]

    backpass report runs/digits
    """
    require_plots()
    _, manifest = load_run(run)
    say(f"report: {write_report(run, load_data(manifest['data'], run, data_dir=data_dir))}")
