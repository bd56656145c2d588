"""What a benchmark is: cases, and sides that each do the same work.

A module of this package with a `GROUP` is a benchmark.  A side has a name such as "torch eager NCHW", of which the first
word is the peer, and a function that takes a case and returns a `Side`.  Asked with a number of threads it is called
"torch eager NCHW@2".  The first side of a group is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import ArgumentError
from ..layers.base import Array

GROUPS = (
    "footprint",
    "matrix_product",
    "conv",
    "layers",
    "optimizers",
    "data",
    "training_step",
    "image_nets",
    "cifar_fast",
    "epoch",
    "prediction",
    "scaling",
    "cs231n",
    "roofline",
)


class Unsuitable(Exception):
    """A side cannot do this case, by its nature: scikit-learn has no batch norm."""


@dataclass(frozen=True)
class Side:
    """One side of a case, built and ready.

    Attributes
    ----------
    step : callable
        The work that is timed.
    arrays : callable
        Goes back to the start, does the work once, and returns its outputs and gradients by name: the same on every side.
    reference : callable, optional
        Ours only: the same arrays from NumPy references, to compare `arrays` with before the peers are.
    """

    step: Callable[[], object]
    arrays: Callable[[], dict[str, Array]]
    reference: Callable[[], dict[str, Array]] | None = None


@dataclass(frozen=True)
class Group:
    """A benchmark: what is measured, on what, by whom.

    Attributes
    ----------
    title : str
        What is measured, in a line.
    cases : mapping
        By name, whatever says to the sides what to do.
    sides : mapping of function(case) -> Side
        The first is ours.
    threads : tuple of {"1", "all"}
        With how many threads our side is asked; the peers are asked with one and with all, and their best counts.
    same : float
        Within which the sides' numbers must agree, relative to the length of each array.
    work : function(case) -> (flops, bytes)
        What the case cannot do without; None where that says nothing.
    quick, full : collection of str
        Cases that `--quick` measures; cases that only `--full` measures.
    full_sides : collection of str
        Sides that only `--full` asks, such as "torch compile@1": slower than others by all experience.
    run : function(case, rounds) -> result, optional
        Measures a case in another way than by timing steps in the sides' processes.
    """

    title: str
    cases: Mapping[str, Any]
    sides: Mapping[str, Callable[[Any], Side]] = field(default_factory=dict)
    threads: tuple[str, ...] = ("all",)
    same: float = 1e-4
    work: Callable[[Any], tuple[float, float]] | None = None
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    full_sides: tuple[str, ...] = ()
    run: Callable[[Any, int], dict[str, Any]] | None = None


@cache
def load_group(name: str) -> Group:
    """Return the benchmark of a name.

    Raises
    ------
    ArgumentError
        If there is none.

    Examples
    --------
    >>> load_group("matrix_product").cases["64 square"]
    (64, 64, 64)
    """
    if name not in GROUPS:
        raise ArgumentError(f"bench: expected a benchmark among {', '.join(GROUPS)}, got {name!r}")
    group: Group = import_module(f"backpass.bench.{name}").GROUP
    return group


def cores() -> list[int]:
    """Return the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def names_of_sides(group: Group, n: int, tier: str = "standard", words: Sequence[str] = ()) -> list[str]:
    """Return the sides to ask on `n` cores, ours first, with their threads: "torch eager@1".

    Parameters
    ----------
    group : Group
    n : int
    tier : {"quick", "standard", "full"}
        Quick leaves out what compiles first, which takes longer than all the rest; only full asks `full_sides`.
    words : sequence of str
        Only peers whose names begin with one of these; empty for all. Ours is always asked.

    Examples
    --------
    >>> names_of_sides(load_group("matrix_product"), 2, words=["numpy"])
    ['backpass@2', 'numpy@1', 'numpy@2']
    """
    names = []
    for i, side in enumerate(group.sides):
        if i and words and not any(side.startswith(word) for word in words):
            continue
        if tier == "quick" and "compile" in side:
            continue
        for threads in group.threads if i == 0 else ("1", "all"):
            if tier == "full" or f"{side}@{threads}" not in group.full_sides:
                names.append(f"{side}@{n if threads == 'all' else threads}")
    return list(dict.fromkeys(names))  # on one core, "1" and "all" are the same


def select(groups: list[str], words: list[str], tier: str = "standard") -> list[tuple[str, str]]:
    """Return (group, case) of what is asked for.

    Parameters
    ----------
    groups : list of str
        Names of benchmarks; empty for all.
    words : list of str
        A case is taken if one of them occurs in "group/case", in whatever case of letters; empty for all.
    tier : {"quick", "standard", "full"}
        How much.

    Raises
    ------
    ArgumentError
        If a group is not known, or nothing is left.

    Examples
    --------
    >>> select(["matrix_product"], ["64 sq"])
    [('matrix_product', '64 square')]
    """
    found = []
    for name in groups or GROUPS:
        group = load_group(name)
        for case in group.cases:
            wanted = case in group.quick if tier == "quick" else tier == "full" or case not in group.full
            if wanted and (not words or any(word.lower() in f"{name}/{case}".lower() for word in words)):
                found.append((name, case))
    if not found:
        asked = " ".join([*groups, *(f"--only {word!r}" for word in words)])
        raise ArgumentError(
            f"bench: expected benchmarks that are there, got none for {asked} ({tier}); `backpass bench --list` shows all"
        )
    return found
