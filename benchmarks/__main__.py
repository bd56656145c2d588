"""Run benchmarks from a source checkout: `python -m benchmarks [BENCHMARK]... [options of backpass bench]`.

Without --record the results go to a file in the folder for temporary ones, in place of the last, or to that of --out. With
--record they go to benchmarks/results/DAY.json, case by case, and benchmarks/RESULTS.md is written anew from everything that is
recorded there. An interrupted recording goes on with the same command: what the day's file holds is not measured again; with
--again the cases that are asked for are, and the others stay. --write only writes RESULTS.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from backpass.cli import main

from .record import write_page

RESULTS = Path(__file__).parent / "results"


def run(arguments: list[str]) -> None:
    """Hand the command over to `backpass bench`, and write the page afterwards if it records."""
    if "--write" in arguments:
        print(write_page(RESULTS))
        return
    rest = [argument for argument in arguments if argument != "--record"]
    if "--record" not in arguments:
        if not any(argument.startswith("--out") for argument in rest):
            kept = {"--resume", "--again", "--overwrite"} & set(rest)
            last = Path(tempfile.gettempdir()) / "backpass-bench.json"
            rest += ["--out", str(last), *([] if kept else ["--overwrite"])]
        main(["bench", "--no-picture", *rest])
        return
    day = RESULTS / f"{time.strftime('%Y-%m-%d')}.json"
    rest += ["--out", str(day), *([] if "--again" in rest else ["--resume"])]
    try:
        main(["bench", *rest])
    finally:
        if day.exists():
            print(write_page(RESULTS))


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
    run(sys.argv[1:])
