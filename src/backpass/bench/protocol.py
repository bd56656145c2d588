"""How a case is measured: each side in a process of its own, in turn, several rounds, ratios taken round by round.

1. Each side is built in its process, runs once (the first step, reported), and its outputs and gradients are compared with
   NumPy's (ours) and with ours (the peers'). A mode of a peer that fails or computes something else is left out and named; where
   no mode of a peer agrees with ours, the benchmark ends.
2. All sides are timed once.  Of a peer's threads and modes, those within a quarter of its best go on.
3. Rounds: all that are left, in turn, forwards and backwards.  A round's time is the median of blocks of steps; its ratio is the
   peer's best time by ours.  Reported are the median ratio and the lowest and highest round.
4. Where the rounds spread too far, or the processor was at work for somebody else, the rounds are repeated, and the
   result says so.

Machines drift and thread pools disturb each other: a ratio of two medians taken minutes apart says little, the median of
ratios of neighbours says more.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BackpassError
from .group import cores, load_group, names_of_sides
from .machine import PEERS, Watch

SPREAD = 0.2  # of the rounds: (highest - lowest) / median
OTHERS = 0.1  # cores at work for other processes, or taken by the host
CONTENDER = 1.25  # times its peer's best: who took longer in the first round is not asked again

Ask = Callable[..., dict[str, Any]]


class BenchmarkError(BackpassError, RuntimeError):
    """A side failed, or computes something else than the others."""


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes
    ----------
    rounds : int
    seconds : float
        How long a side is timed in each round.
    repeats : int
        How often a noisy case is measured anew.
    tier : {"quick", "standard", "full"}
        Which sides are asked.
    sides : tuple of str
        Only peers whose names begin so; empty for all.
    """

    rounds: int = 5
    seconds: float = 0.1
    repeats: int = 2
    tier: str = "standard"
    sides: tuple[str, ...] = ()


class Workers:
    """The processes of the sides, by peer and threads; started when first asked, ended by `close`.

    Examples
    --------
    >>> with Workers() as workers:
    ...     result = measure("matrix_product", "64 square", Settings(1, 0.001, 0, "quick", ("numpy",)), workers.ask)
    >>> result["ours"].partition("@")[0]
    'backpass'
    """

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}

    def ask(self, side: str, do: str, **request: Any) -> dict[str, Any]:
        """Return the answer of a side's process to a request."""
        peer, threads = side.split()[0].split("@")[0], side.rpartition("@")[2]
        key = f"{peer}@{threads}"
        if key not in self.running:
            self.running[key] = _start(peer, threads)
        process = self.running[key]
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"do": do, "side": side, **request}) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            del self.running[key]
            return {"failed": f"its process ended with status {_end(process)}"}
        return dict(json.loads(answer))

    def processes(self) -> list[int]:
        """Return the ids of the processes, this one among them."""
        return [os.getpid(), *(process.pid for process in self.running.values())]

    def close(self) -> None:
        """End the processes."""
        for process in self.running.values():
            _end(process)
        self.running.clear()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start(peer: str, threads: str) -> subprocess.Popen[str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BACKPASS_THREADS")
    env = os.environ | dict.fromkeys(names, threads)
    if peer != "backpass":
        env["BACKPASS_NATIVE"] = "0"  # a peer's process has no kernels and no thread pool of ours
    command = [sys.executable, "-m", "backpass.bench.worker", threads]
    return subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _end(process: subprocess.Popen[str]) -> int:
    """End a process by ending its input, and return its status."""
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


def measure(
    group_name: str,
    case: str,
    settings: Settings,
    ask: Ask,
    *,
    processes: Callable[[], Iterable[int]] = lambda: (os.getpid(),),
    tell: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Measure a case and return its result as JSON data.

    Parameters
    ----------
    group_name, case : str
    settings : Settings
    ask : function(side, do, **request) -> answer
        As `Workers.ask`.
    processes : function() -> ids
        Whose work is ours.
    tell : function(str)
        Hears what is going on.

    Raises
    ------
    BenchmarkError
        If a side fails, or computes something else than ours.

    Examples
    --------
    See `Workers`.
    """
    group = load_group(group_name)
    if group.run is not None:
        tell(case)
        return group.run(group.cases[case], settings.rounds)
    names = names_of_sides(group, len(cores()), settings.tier, settings.sides)

    def asked(side: str, do: str, **request: Any) -> dict[str, Any]:
        answer = ask(side, do, **request)
        if "failed" in answer:
            raise BenchmarkError(f"{group_name}/{case}: {side} failed: {answer['failed']}")
        return answer

    told: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    unfit: dict[str, str] = {}
    ours, expected = names[0], None
    for side in names:
        if peer_of(side) in skipped:
            continue
        tell(f"{case}: {side}: building")
        answer = ask(side, "build", group=group_name, case=case, expected=expected)
        if "skipped" in answer:
            skipped |= _why_skipped(side, answer, ours)
            continue
        if "failed" in answer:
            unfit[side] = f"failed: {answer['failed'].strip()}"
        elif answer["wrong"]:
            against = "the NumPy reference" if side == ours else ours
            unfit[side] = f"does not compute what {against} computes: {answer['wrong']}"
        if side in unfit:
            if side == ours:
                break
            continue
        if side == ours:
            expected = answer["numbers"]
        tried = asked(side, "time", seconds=settings.seconds)
        told[side] = {"setup_s": answer["setup_s"], "first_s": answer["first_s"], "tried_s": tried["median_s"]}
    for side, why in unfit.items():  # a mode of a peer may be broken here; if none of a peer agrees, something else is
        if not any(peer_of(other) == peer_of(side) for other in told):
            raise BenchmarkError(f"{group_name}/{case}: {side} {why}. It was not timed")
        skipped[side] = why.splitlines()[-1] if why.startswith("failed") else why
    if ours not in told:
        raise BenchmarkError(f"{group_name}/{case}: {ours}: {skipped[peer_of(ours)]}")
    running = contenders({side: known["tried_s"] for side, known in told.items()})
    for side in told.keys() - running:
        ask(side, "drop")
    attempts: list[dict[str, Any]] = []
    for attempt in range(1 + settings.repeats):
        tell(f"{case}: {settings.rounds} rounds" + (f", noisy, attempt {attempt + 1}" if attempt else ""))
        watch = Watch(processes())
        rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in running}
        for turn in range(settings.rounds):
            for side in running if turn % 2 == 0 else running[::-1]:
                rounds[side].append(asked(side, "time", seconds=settings.seconds))
        load = watch.load()
        times = {side: [answer["median_s"] for answer in answers] for side, answers in rounds.items()}
        spread = max(_spread(times[ours]), *(_spread(r["rounds"]) for r in ratios_of(times, ours).values()), 0.0)
        noise = noise_of(spread, load)
        attempts.append({"rounds": rounds, "times": times, "load": load, "spread": spread, "noise": noise})
        if not attempts[-1]["noise"]:
            break
    for side in running:
        ask(side, "drop")
    best = min(attempts, key=lambda found: (bool(found["noise"]), found["spread"]))
    for side, times in best["times"].items():
        told[side] |= {"rounds": times, "blocks": [answer["blocks_s"] for answer in best["rounds"][side]]}
    result = {
        "sides": told,
        "ours": ours,
        "unit": "s",
        "median": {side: statistics.median(times) for side, times in best["times"].items()},
        "ratio": ratios_of(best["times"], ours),
        "skipped": skipped,
        "spread": best["spread"],
        "load": best["load"],
        "noise": best["noise"],
        "attempts": len(attempts),
    }
    if group.work is not None:
        result["flops"], result["bytes"] = group.work(group.cases[case])
    return result


def peer_of(side: str) -> str:
    """Return the peer that a side belongs to.

    Examples
    --------
    >>> peer_of("torch eager NCHW@2"), peer_of("numpy@1")
    ('torch', 'numpy')
    """
    return side.split()[0].split("@")[0]


def _why_skipped(side: str, answer: dict[str, Any], ours: str) -> dict[str, str]:
    """Say why of a peer that is missing; nothing of one that has no such thing."""
    if answer["missing"] and side != ours:
        package = PEERS.get(answer["missing"].split(".")[0], answer["missing"])
        return {peer_of(side): f"{package} is not installed"}
    return {peer_of(side): answer["skipped"]} if side == ours else {}


def contenders(tried_s: Mapping[str, float]) -> list[str]:
    """Return the sides that go on after the first round: all of ours, and of each peer those near its best.

    Examples
    --------
    >>> contenders({"backpass@2": 1.0, "torch eager@1": 5.0, "torch eager@2": 3.0, "torch compile@2": 3.5})
    ['backpass@2', 'torch eager@2', 'torch compile@2']
    """
    ours = peer_of(next(iter(tried_s)))
    best: dict[str, float] = {}
    for side, seconds in tried_s.items():
        best[peer_of(side)] = min(seconds, best.get(peer_of(side), math.inf))
    return [
        side for side, seconds in tried_s.items() if peer_of(side) == ours or seconds <= CONTENDER * best[peer_of(side)]
    ]


def ratios_of(times: Mapping[str, list[float]], ours: str) -> dict[str, dict[str, Any]]:
    """Return for each peer its best time by ours, round by round, with the median, the lowest and the highest.

    Examples
    --------
    >>> ratios_of({"backpass@2": [1.0, 2.0], "torch@1": [3.0, 5.0], "torch@2": [4.0, 4.0]}, "backpass@2")
    {'torch': {'rounds': [3.0, 2.0], 'median': 2.5, 'low': 2.0, 'high': 3.0}}
    """
    best: dict[str, list[float]] = {}
    for side, seconds in times.items():
        if peer_of(side) != peer_of(ours):
            before = best.get(peer_of(side), [math.inf] * len(seconds))
            best[peer_of(side)] = [min(pair) for pair in zip(before, seconds, strict=True)]
    ratios = {}
    for peer, seconds in best.items():
        rounds = [theirs / mine for theirs, mine in zip(seconds, times[ours], strict=True)]
        ratios[peer] = {
            "rounds": rounds,
            "median": statistics.median(rounds),
            "low": min(rounds),
            "high": max(rounds),
        }
    return ratios


def noise_of(spread: float, load: Mapping[str, float] | None) -> str:
    """Return in words why a measurement is not to be trusted; "" if it is.

    Examples
    --------
    >>> noise_of(0.05, {"others": 0.0, "steal": 0.5})
    'the host took 0.50 cores'
    """
    if load is not None and load["steal"] > OTHERS:
        return f"the host took {load['steal']:.2f} cores"
    if load is not None and load["others"] > OTHERS:
        return f"other processes took {load['others']:.2f} cores"
    if spread > SPREAD:
        return f"the rounds spread by {100 * spread:.0f} %"
    return ""


def _spread(rounds: list[float]) -> float:
    return (max(rounds) - min(rounds)) / statistics.median(rounds)
