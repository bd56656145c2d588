"""A run over many cases: progress, a file after each case, the machine's limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..words import duration
from .machine import describe
from .protocol import Settings, Workers, measure
from .results import FORMAT, Results, save, share_of_limit

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(
    cases: Sequence[tuple[str, str]],
    settings: Settings | None = None,
    *,
    path: Path | None = None,
    kept: Results | None = None,
    again: bool = False,
    quiet: bool = False,
) -> Results:
    """Measure cases and return the results.

    Parameters
    ----------
    cases : sequence of (group, case)
        As `select` returns them.
    settings : Settings, optional
    path : Path, optional
        Written after each case, so that an interrupted run can go on.
    kept : dict, optional
        Results of an earlier run: cases that are in it stay as they are.
    again : bool
        Measure the given cases although they are in `kept`; only the others stay.
    quiet : bool
        Show no progress.

    Raises
    ------
    BenchmarkError
        If a side fails, or computes something else than ours.

    Examples
    --------
    >>> run([])["cases"]
    {}
    """
    settings = settings or Settings()
    results: Results = kept or {"format": FORMAT, "cases": {}}
    results |= {
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": describe(),
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds, "repeats": settings.repeats},
    }
    todo = [(group, case) for group, case in cases if again or f"{group}/{case}" not in results["cases"]]
    with Workers() as workers, _progress(len(todo), quiet=quiet) as (tell, done):
        ours = f"backpass@{results['machine']['cores']}"
        if todo:
            tell("the limits of this machine")
            limits = workers.ask(ours, "limits")
            results["limits"] = _highest(results.get("limits"), limits) if "copy_bytes" in limits else None
            for result in results["cases"].values():  # those of before: a busy machine may have told them too little
                result["share"] = share_of_limit(result, results["limits"])
        for group, case in todo:
            result = measure(group, case, settings, workers.ask, processes=workers.processes, tell=tell)
            result["share"] = share_of_limit(result, results["limits"])
            results["cases"][f"{group}/{case}"] = result
            if path is not None:
                save(results, path)
            done()
    if path is not None:
        save(results, path)
    return results


def _highest(before: Mapping[str, float] | None, now: Mapping[str, float]) -> dict[str, float]:
    """Return the highest rates that were seen: what disturbs a measurement only makes it slower.

    Examples
    --------
    >>> _highest({"copy_bytes": 7e10, "matrix_product_flops": 1e11}, {"copy_bytes": 4e10, "matrix_product_flops": 2e11})
    {'copy_bytes': 70000000000.0, 'matrix_product_flops': 200000000000.0}
    """
    return {name: max(rate, (before or {}).get(name, 0.0)) for name, rate in now.items()}


@contextmanager
def _progress(count: int, *, quiet: bool) -> Iterator[tuple[Callable[[str], object], Callable[[], object]]]:
    """Show how far it is, drawn between measurements only: a display with a clock of its own would disturb them."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    finished, started = 0, time.perf_counter()

    def left() -> str:
        each = (time.perf_counter() - started) / max(finished, 1)
        return f"{duration(each * (count - finished))} left" if finished else ""

    if quiet or not console.is_terminal:

        def done_plainly() -> None:
            nonlocal finished
            finished += 1
            if not quiet and (finished % 10 == 0 or finished == count):
                console.print(f"{finished} of {count} cases {left()}", soft_wrap=True, markup=False)

        yield (lambda _: None), done_plainly
        return
    columns = (
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[left]} {task.description}"),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=count, left="")

        def tell(text: str) -> None:
            progress.update(task, description=text[:70], left=left(), refresh=True)

        def done() -> None:
            nonlocal finished
            finished += 1
            progress.update(task, completed=finished, left=left(), refresh=True)

        yield tell, done
