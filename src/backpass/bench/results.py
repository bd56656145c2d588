"""A file of results: what was measured, on what, how; and two such files compared.

    {"format": 1, "machine": {...}, "limits": {...}, "settings": {...}, "cases": {"conv/pool max 2x2": {...}}}

A case has its sides with every raw time, the ratios round by round, and what was noisy or missing.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError

FORMAT = 1
Results = dict[str, Any]
BEYOND_CACHES = 60e6  # bytes
COPY = "backpass copy"  # the side that copies as many bytes as a case moves, in turn with it
BEYOND = 0.03  # a change is told if the rounds of the two files do not overlap and the medians differ by more


def save(results: Results, path: Path) -> None:
    """Write results, all or nothing.

    Examples
    --------
    See `load`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(_rounded(results), indent=1) + "\n")
    beside.replace(path)


def load(path: Path) -> Results:
    """Read results.

    Raises
    ------
    DataError
        If the file is not one of results, or of a format that this version does not know.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save({"format": 1, "cases": {}}, Path(folder) / "a.json")
    ...     load(Path(folder) / "a.json")
    {'format': 1, 'cases': {}}
    """
    try:
        results = json.loads(path.read_text())
        known = results["format"] == FORMAT and isinstance(results["cases"], dict)
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: expected a file that `backpass bench --out` wrote, got something else") from None
    if not known:
        raise DataError(f"{path}: expected results of format {FORMAT}, got {results['format']!r}; measure them anew")
    return dict(results)


def share_of_limit(result: Mapping[str, Any], limits: Mapping[str, float] | None) -> float | None:
    """Return which part of the machine's limit a case reaches; None where nothing says what it cannot do without.

    Where as many bytes were copied in turn with the case, the share is the median of the rounds' shares.

    Examples
    --------
    >>> result = {"flops": 2e9, "bytes": 1e9, "ours": "backpass@2", "median": {"backpass@2": 0.2}, "sides": {}}
    >>> share_of_limit(result, {"multiply_add_flops": 1e11, "copy_bytes": 1e10})
    0.5
    """
    copied = _copied_seconds(result)
    if copied:
        ours = result["sides"][result["ours"]]["rounds"]
        return statistics.median(least / mine for least, mine in zip(copied, ours, strict=True))
    least = least_seconds(result, limits)
    return None if least is None else least / float(result["median"][result["ours"]])


def lost_seconds(result: Mapping[str, Any]) -> float:
    """Return the time that a case takes beyond what the machine's limit allows.

    Examples
    --------
    >>> lost_seconds({"ours": "backpass@2", "median": {"backpass@2": 0.2}, "share": 0.75})
    0.05
    """
    return float(result["median"][result["ours"]]) * max(0.0, 1 - (result["share"] or 0.0))


def least_seconds(result: Mapping[str, Any], limits: Mapping[str, float] | None) -> float | None:
    """Return the time below which this machine cannot do a case: operations or bytes, whichever takes longer.

    Examples
    --------
    >>> least_seconds({"flops": 1e9, "bytes": 1e9, "sides": {}}, {"multiply_add_flops": 1e11, "copy_bytes": 1e10})
    0.1
    >>> copied = {"backpass copy@1": {"rounds": [0.3, 0.4]}, "backpass copy@2": {"rounds": [0.2, 0.2]}}
    >>> least_seconds({"flops": 0, "bytes": 1e9, "sides": copied}, None)
    0.2
    """
    if copied := _copied_seconds(result):
        return float(statistics.median(copied))
    if limits is None or not result.get("bytes"):
        return None
    computing, moving = result["flops"] / limits["multiply_add_flops"], result["bytes"] / limits["copy_bytes"]
    if moving > computing and result["bytes"] < BEYOND_CACHES:
        return None  # what stays in the caches moves faster than any copy
    return float(max(computing, moving))


def _copied_seconds(result: Mapping[str, Any]) -> list[float]:
    """Return the time in which each round copied as many bytes as the case moves, by one thread or all; [] if it did not."""
    sides = [known["rounds"] for side, known in result["sides"].items() if side.startswith(COPY) and "rounds" in known]
    return [min(times) for times in zip(*sides, strict=True)]


def compare(old: Results, new: Results) -> list[dict[str, Any]]:
    """Return how our times changed, case by case, the slowest change first.

    Parameters
    ----------
    old, new : dict
        As `load` returns them; cases that only one has are left out.

    Returns
    -------
    list of dict
        name, old, new (medians), ratio (new by old), and verdict: "slower", "faster" or "same".

    Examples
    --------
    >>> def file(rounds):
    ...     side = {"rounds": rounds}
    ...     return {"cases": {"a": {"ours": "b", "unit": "s", "median": {"b": rounds[1]}, "sides": {"b": side}}}}
    >>> compare(file([1.0, 1.1, 1.2]), file([1.3, 1.4, 1.5]))[0]["verdict"]
    'slower'
    >>> compare(file([1.0, 1.1, 1.2]), file([1.1, 1.2, 1.3]))[0]["verdict"]
    'same'
    """
    rows = []
    for name, after in new["cases"].items():
        before = old["cases"].get(name)
        if before is None:
            continue
        was, now = float(before["median"][before["ours"]]), float(after["median"][after["ours"]])
        rounds_before, rounds_after = before["sides"][before["ours"]]["rounds"], after["sides"][after["ours"]]["rounds"]
        verdict = "same"
        if min(rounds_after) > max(rounds_before) and now > (1 + BEYOND) * was:
            verdict = "slower"
        elif max(rounds_after) < min(rounds_before) and was > (1 + BEYOND) * now:
            verdict = "faster"
        rows.append(
            {"name": name, "old": was, "new": now, "ratio": now / was, "verdict": verdict, "unit": after["unit"]}
        )
    return sorted(rows, key=lambda row: -row["ratio"])


def machines_differ(old: Results, new: Results) -> str:
    """Return in words what is not the same about the two machines; "" if times can be compared.

    Examples
    --------
    >>> machines_differ({"machine": {"cores": 2}}, {"machine": {"cores": 4}})
    'cores: 2, now 4'
    """
    names = ("processor", "cores", "system", "instruction_set")
    was, now = old.get("machine", {}), new.get("machine", {})
    return "; ".join(
        f"{name}: {was.get(name)}, now {now.get(name)}" for name in names if was.get(name) != now.get(name)
    )


def _rounded(value: Any) -> Any:
    """Five digits of each number are more than any clock has to say."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value
