"""The protocol: each side in its own process, in turn, several rounds, ratios taken round by round.

A benchmark is a module of this package with

    TITLE                     what is measured, in a line
    CASES                     {case name: anything that says what to do}
    SIDES                     {side name: function(case) -> (step, check)}; the first side is ours
    SAME = relative tolerance within which the checks of all sides must agree

`step()` is timed.  `check()` does the same work once from the same start and returns numbers that must be equal on all
sides, so that nobody is fast at something else.  A side's name may end in "@1" or "@2": how many threads it gets;
a side that cannot run (a package is missing) raises ImportError and is skipped by name.

Machines drift and thread pools disturb each other: a ratio of two medians taken minutes apart says little, the median
of ratios of neighbours says more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP_S = 0.3
MEASURE_S = 0.6
BLOCK_S = 0.02
LONG_S = 5.0  # a side that takes seconds a step is measured less often


def time_step(step: Any) -> dict[str, float]:
    """Return the first-call time and the median and quartiles of the later ones, in seconds."""
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < WARM_UP_S:
        step()
        calls += 1
    per_block = max(1, round(BLOCK_S / ((time.perf_counter() - start) / max(calls, 1))))
    blocks = []
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < MEASURE_S or len(blocks) < (5 if spent < LONG_S else 2):
        start = time.perf_counter()
        for _ in range(per_block):
            step()
        blocks.append((time.perf_counter() - start) / per_block)
    quartiles = statistics.quantiles(blocks, n=4)
    return {"first_s": first, "median_s": statistics.median(blocks), "low_s": quartiles[0], "high_s": quartiles[2]}


def child(module: str, case: str, side: str) -> None:
    """Measure one side of one case in this process and print the result as JSON."""
    start = time.perf_counter()
    bench = importlib.import_module(f"benchmarks.{module}")
    try:
        step, check = bench.SIDES[side](bench.CASES[case])
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    setup = time.perf_counter() - start
    values = [float(v) for v in check()]
    result = {"check": values, "setup_s": setup, **time_step(step)}
    with Path("/proc/self/status").open() as status:
        peak = [line.split()[1] for line in status if line.startswith("VmHWM")]
    print(json.dumps({**result, "peak_MiB": int(peak[0]) / 1024}))


def run_child(module: str, case: str, side: str) -> dict[str, Any]:
    """Measure one side of one case in a process of its own, with the threads that its name says."""
    threads = side.rpartition("@")[2] if "@" in side else str(len(os.sched_getaffinity(0)))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BACKPASS_THREADS")
    env = os.environ | dict.fromkeys(names, threads)
    command = [sys.executable, "-m", "benchmarks.harness", module, case, side]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module}: {case}: {side} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def race(module: str, cases: list[str], rounds: int, only: list[str] | None = None) -> dict[str, Any]:
    """Run all sides of the cases in turn and return the raw times and the ratios peer / ours per round."""
    bench = importlib.import_module(f"benchmarks.{module}")
    sides = [s for s in bench.SIDES if only is None or any(s.startswith(o) for o in only)]
    results: dict[str, Any] = {"title": bench.TITLE, "machine": machine(), "rounds": rounds, "cases": {}}
    for case in cases:
        times: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for turn in range(rounds):
            for side in sides if turn % 2 == 0 else sides[::-1]:
                if times[side] and "missing" in times[side][-1]:
                    continue
                times[side].append(run_child(module, case, side))
        present = {s: t for s, t in times.items() if "missing" not in t[0]}
        agree(module, case, present, bench.SAME)
        summary = summarise(present)
        results["cases"][case] = {"times": times, "summary": summary}
        print_case(case, summary, [s for s in times if s not in present])
    return results


def agree(module: str, case: str, times: dict[str, list[dict[str, Any]]], same: float) -> None:
    """Stop unless every side computed the same numbers."""
    ours = next(iter(times.values()))[0]["check"]
    for side, runs in times.items():
        for run in runs:
            for a, b in zip(ours, run["check"], strict=True):
                if not math.isclose(a, b, rel_tol=same, abs_tol=same):
                    raise SystemExit(f"{module}: {case}: {side} computes {b}, ours {a}: not the same work")


def summarise(times: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the median time per side, and per peer (all its thread counts and modes: its best) the ratios."""
    medians = {side: [run["median_s"] for run in runs] for side, runs in times.items()}
    best: dict[str, list[float]] = {}
    for side, values in medians.items():
        peer = side.split()[0].split("@")[0]
        before = best.get(peer, [math.inf] * len(values))
        best[peer] = [min(a, b) for a, b in zip(before, values, strict=True)]
    ours = best[next(iter(best))]
    ratios = {peer: sorted(b / a for a, b in zip(ours, values, strict=True)) for peer, values in best.items()}
    return {
        "median_s": {side: statistics.median(values) for side, values in medians.items()},
        "first_s": {side: statistics.median([r["first_s"] for r in runs]) for side, runs in times.items()},
        "peak_MiB": {side: statistics.median([r["peak_MiB"] for r in runs]) for side, runs in times.items()},
        "ratio": {
            peer: {"median": statistics.median(r), "low": r[0], "high": r[-1]} for peer, r in list(ratios.items())[1:]
        },
    }


def print_case(case: str, summary: dict[str, Any], missing: list[str]) -> None:
    """Print a case as lines of a table."""
    times = ", ".join(f"{side} {1e3 * t:.4g} ms" for side, t in summary["median_s"].items())
    print(f"{case}\n    {times}")
    for peer, r in summary["ratio"].items():
        print(f"    {peer} takes {r['median']:.2f} times as long (rounds: {r['low']:.2f} to {r['high']:.2f})")
    for side in missing:
        print(f"    {side}: not installed, skipped")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """Describe the machine and the versions."""
    from importlib.metadata import PackageNotFoundError, version

    import backpass.native

    found = {}
    for package in ("numpy", "torch", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction_set": backpass.native.isa,
        "python": platform.python_version(),
        **found,
    }


def main(module: str, argv: list[str]) -> None:
    """Run one benchmark from the command line."""
    bench = importlib.import_module(f"benchmarks.{module}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {module}", description=bench.TITLE)
    parser.add_argument("--only", nargs="*", help="cases whose names contain one of these words")
    parser.add_argument("--sides", nargs="*", help="sides whose names start with one of these words")
    parser.add_argument("--rounds", type=int, default=5, help="how often all sides run in turn (default: 5)")
    parser.add_argument("--out", type=Path, help="also write raw times, machine and versions there, as JSON")
    parser.add_argument("--record", action="store_true", help="keep them in benchmarks/results and renew RESULTS.md")
    given = parser.parse_args(argv)
    cases = [c for c in bench.CASES if given.only is None or any(word in c for word in given.only)]
    print(f"{bench.TITLE}\n{', '.join(f'{k} {v}' for k, v in machine().items())}; {given.rounds} rounds")
    results = race(module, cases, given.rounds, given.sides)
    if given.out:
        given.out.write_text(json.dumps(results, indent=1))
    if given.record:
        record(module, results)


def record(module: str, results: dict[str, Any]) -> None:
    """Keep the results of these cases beside those of others, and write RESULTS.md from all that is kept."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{module}.json"
    kept = json.loads(file.read_text())["cases"] if file.exists() else {}
    for case in results["cases"].values():
        case["machine"], case["rounds"] = results["machine"], results["rounds"]
    file.write_text(json.dumps({"title": results["title"], "cases": kept | results["cases"]}, indent=1) + "\n")
    pages = [table(json.loads(f.read_text())) for f in sorted(folder.glob("*.json"))]
    head = "# Measured\n\nWritten by `python -m benchmarks NAME --record`; do not edit. Raw times are in `results/`.\n"
    (folder.parent / "RESULTS.md").write_text(head + "".join(pages))


def table(results: dict[str, Any]) -> str:
    """Return one benchmark's results as a section of Markdown."""
    cases = results["cases"]
    peers = sorted({peer for case in cases.values() for peer in case["summary"]["ratio"]})
    lines = [
        f"\n## {results['title']}\n",
        f"| case | backpass, best | {' | '.join(f'{p}: times as long' for p in peers)} |",
    ]
    lines.append("|---|---|" + "---|" * len(peers))
    for name, case in cases.items():
        summary = case["summary"]
        ours = min(t for side, t in summary["median_s"].items() if side.startswith("backpass"))
        cells = [
            f"{r['median']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if r else ""
            for r in map(summary["ratio"].get, peers)
        ]
        lines.append(f"| {name} | {1e3 * ours:.4g} ms | {' | '.join(cells)} |")
    machines = {
        ", ".join(f"{k} {v}" for k, v in c["machine"].items()) + f"; {c['rounds']} rounds" for c in cases.values()
    }
    lines.append(
        "\nMedian of the rounds' ratios (lowest to highest round), each side at its best of threads and modes."
    )
    return "\n".join([*lines, *sorted(machines)]) + "\n"


if __name__ == "__main__":
    child(*sys.argv[1:])
