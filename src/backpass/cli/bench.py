"""`backpass bench`: how fast backpass is on this machine, beside its peers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import print_json, say, table

if TYPE_CHECKING:
    from ..bench.results import Results

SLOWER = 3  # exit status of --compare where something got slower
WIDE = 140  # columns of a terminal for the tables in full


def bench(
    groups: Annotated[
        list[str] | None, typer.Argument(metavar="[BENCHMARK]...", help="Which; all if none is named.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The most telling cases only: one and a half to two minutes.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Every case and every side: more than the standard hour.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="WORD", help="Cases in whose name it occurs. Repeatable.")
    ] = None,
    sides: Annotated[
        list[str] | None,
        typer.Option(
            "--sides", metavar="PEER", help="Peers whose name begins so (torch, 'torch eager'); 'none' for ours alone."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="How often all sides have their turn.")] = 5,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.001, max=60, help="How long a side is timed in a round. [0.1; quick 0.04]"),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option("--repeats", min=0, max=100, help="How often a noisy case is measured anew. [2; quick 0]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="Where the file goes. [backpass-bench-DATE.json]")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the file of --out: cases that are in it are not measured again."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Go on with the file of --out, but measure anew what is asked for; the rest stays."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="OLD.json",
            exists=True,
            dir_okay=False,
            help="Show what got slower or faster since that file.",
        ),
    ] = None,
    show: Annotated[
        Path | None,
        typer.Option("--show", metavar="FILE.json", exists=True, dir_okay=False, help="Show a file; measure nothing."),
    ] = None,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Draw pictures beside the file.")] = True,
    listing: Annotated[bool, typer.Option("--list", help="List the cases and measure nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of tables.")] = False,
) -> None:
    """Measure backpass beside PyTorch, JAX, scikit-learn and NumPy, where they are installed.

    Each side runs in a process of its own, in turn, several rounds; what they compute is compared before anything is timed.
    Writes a file with every raw time, and pictures. Exit status 3: with --compare, something got slower.
    """
    from ..bench import results as files
    from ..bench.group import select
    from ..bench.protocol import Settings
    from ..bench.run import run
    from ..errors import ArgumentError

    if quick and full:
        raise ArgumentError("bench: expected --quick or --full, got both")
    if resume + again + overwrite > 1:
        raise ArgumentError("bench: expected one of --resume, --again and --overwrite, got more")
    tier = "quick" if quick else "full" if full else "standard"
    wanted = [] if show else select(groups or [], only or [], tier)
    if listing:
        for group, case in wanted:
            say(f"{group}/{case}")
        return
    old = None if compare is None else files.load(compare)
    if show is not None:
        found, path = files.load(show), show
    else:
        settings = Settings(
            rounds=rounds,
            seconds=seconds or (0.04 if quick else 0.1),
            repeats=repeats if repeats is not None else (0 if quick else 2),
            tier=tier,
            sides=tuple(sides or ()),
        )
        path = out or Path(time.strftime("backpass-bench-%Y-%m-%d-%H%M%S.json"))
        if path.exists() and not (resume or again or overwrite):
            raise ArgumentError(
                f"bench: there are already results in {path}; measure what is missing in it (--resume), measure anew what is "
                "asked for and keep the rest (--again), replace it (--overwrite), or give another file (--out)"
            )
        kept = files.load(path) if (resume or again) and path.exists() else None
        found = run(wanted, settings, path=path, kept=kept, again=again, quiet=as_json)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if picture:
        _draw(found, path, quiet=as_json)
    if show is None and not as_json:
        say(f"raw times: {path}")
    if old is not None:
        _print_comparison(old, found)


def _print(results: Results) -> None:
    from ..bench.tables import HOW, notes, tables

    brief = _narrow()
    for title, columns, rows in tables(results, brief=brief):
        say()
        say(title, style="bold")
        table(columns, rows, right=(1,))
    say()
    for line in notes(results):
        say(line)
    say(HOW, style="dim")
    if brief:
        say(
            f"Below a peer's name is how many times as long it takes; ~ is a noisy time; {WIDE} columns have room for all."
        )


def _narrow() -> bool:
    from rich.console import Console

    console = Console()
    return console.is_terminal and console.width < WIDE


def _draw(results: Results, path: Path, *, quiet: bool) -> None:
    from ..bench.figures import save
    from ..errors import MissingExtraError

    try:
        drawn = save(results, path.with_suffix(""))
    except MissingExtraError as error:
        drawn, told = [], str(error)
    else:
        told = f"pictures: {', '.join(map(str, drawn))}"
    if not quiet and (told or drawn):
        say(told)


def _print_comparison(old: Any, new: Any) -> None:
    from ..bench.results import compare, machines_differ
    from ..bench.tables import comparison

    title, columns, rows = comparison(old, new)
    say()
    say(title, style="bold")
    if rows:
        table(columns, rows, right=(1, 2, 3))
    if differ := machines_differ(old, new):
        say(f"the files are of different machines ({differ}): their times cannot be compared")
    elif any(row["verdict"] == "slower" for row in compare(old, new)):
        raise typer.Exit(SLOWER)
