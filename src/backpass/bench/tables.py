"""Results as tables: on a terminal, and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from ..words import about
from .group import GROUPS, load_group
from .results import Results, compare, lost_seconds
from .targets import verdict

Table = tuple[str, list[str], list[list[str]]]  # title, columns, rows

HOW = (
    "A ratio says how many times as long the peer takes, at its best of threads, modes and layouts: the median of the "
    "rounds' ratios (lowest to highest round). A share is the part of this machine's limit that is reached: operations at the "
    "measured rate of multiply-adds, or bytes at the measured rate of copying, whichever takes longer."
)


def value(number: float, unit: str) -> str:
    """Return a figure with its unit, in steps of a thousand.

    Examples
    --------
    >>> value(0.00123, "s"), value(2e-6, "s"), value(14.2, "MB")
    ('1.23 ms', '2 us', '14.2 MB')
    """
    if unit == "s":
        for scale, name in ((1, "s"), (1e3, "ms"), (1e6, "us")):
            if number * scale >= 1 or name == "us":
                return f"{number * scale:.3g} {name}"
    return f"{about(number)} {unit}"


def tables(results: Results, *, brief: bool = False) -> list[Table]:
    """Return a table for each benchmark of the results.

    Parameters
    ----------
    results : dict
    brief : bool
        For 80 columns: no ranges of the rounds, of targets a word, and ~ where it is noisy.

    Examples
    --------
    >>> tables({"cases": {}})
    []
    """
    there = [group for group in GROUPS if any(name.startswith(f"{group}/") for name in results["cases"])]
    return [table(group, results, brief=brief) for group in there]


def table(group: str, results: Results, *, brief: bool = False) -> Table:
    """Return the table of one benchmark; the kernels beside their limits are sorted by the time they lose.

    Examples
    --------
    See `backpass bench matrix_product`.
    """
    cases = {name.partition("/")[2]: case for name, case in results["cases"].items() if name.startswith(f"{group}/")}
    if group == "roofline":
        cases = dict(sorted(cases.items(), key=lambda item: -lost_seconds(item[1])))
    peers = list(dict.fromkeys(peer for case in cases.values() for peer in case["ratio"]))
    shares = any(case.get("share") is not None for case in cases.values())
    said = {name: verdict(f"{group}/{name}", case, brief=brief) for name, case in cases.items()}
    takes = {peer: peer if brief else f"{peer} takes" for peer in peers}
    noisy = any(case["noise"] for case in cases.values())
    columns = [
        "case",
        "backpass",
        *takes.values(),
        *(["share"] if shares else []),
        *(["lost"] if group == "roofline" else []),
        *(["target"] if any(said.values()) else []),
        *(["noise"] if noisy and not brief else []),
    ]
    rows = []
    for name, case in cases.items():
        about_so = "~" if brief and case["noise"] else ""
        row = {"case": name, "backpass": about_so + value(float(case["median"][case["ours"]]), case["unit"])}
        row |= {takes[peer]: _ratio(ratio, brief=brief) for peer, ratio in case["ratio"].items()}
        row["share"] = "" if case.get("share") is None else f"{100 * case['share']:.0f} %"
        row["lost"] = value(lost_seconds(case), "s") if group == "roofline" else ""
        row |= {"target": said[name], "noise": case["noise"]}
        rows.append([row.get(column, "") for column in columns])
    return f"{group}: {load_group(group).title}", columns, rows


def _ratio(ratio: Mapping[str, Any], *, brief: bool) -> str:
    if brief:
        return f"{about(ratio['median'])} x"
    return f"{ratio['median']:.2f} x ({ratio['low']:.2f} to {ratio['high']:.2f})"


def geometric_mean(results: Results, beginning: str, peer: str) -> float | None:
    """Return the geometric mean of a peer's ratios over the cases whose names begin so; None if there are none.

    Examples
    --------
    >>> cases = {"conv/a": {"ratio": {"torch": {"median": 2.0}}}, "conv/b": {"ratio": {"torch": {"median": 8.0}}}}
    >>> geometric_mean({"cases": cases}, "conv/", "torch")
    4.0
    """
    found = [
        float(case["ratio"][peer]["median"])
        for name, case in results["cases"].items()
        if name.startswith(beginning) and peer in case["ratio"]
    ]
    return statistics.geometric_mean(found) if found else None


def notes(results: Results) -> list[str]:
    """Return what a reader of the tables has to know: machine, threads, who was missing, what was noisy.

    Examples
    --------
    >>> notes({"machine": {"cores": 2}, "settings": {"rounds": 5}, "cases": {}})[0]
    'cores 2; 5 rounds'
    """
    machine = ", ".join(f"{name.replace('_', ' ')} {known}" for name, known in results["machine"].items())
    said = [f"{machine}; {results['settings']['rounds']} rounds"]
    if limits := results.get("limits"):
        said.append(
            f"limits measured here: {limits['multiply_add_flops'] / 1e9:.0f} GFLOP/s of multiply-adds, "
            f"{limits['matrix_product_flops'] / 1e9:.0f} in a matrix product, {limits['copy_bytes'] / 1e9:.1f} GB/s copied"
        )
    skipped = {f"{peer}: {why}" for case in results["cases"].values() for peer, why in case["skipped"].items()}
    said += [f"skipped: {why}" for why in sorted(skipped)]
    mean = geometric_mean(results, "conv/winograd", "torch")
    if mean is not None:
        said.append(
            f"geometric mean of the winograd rows: {mean:.2f} x torch ({'reached' if mean >= 3.5 else 'MISSED'}: at least 3.5)"
        )
    noisy = [name for name, case in results["cases"].items() if case["noise"]]
    if noisy:
        said.append(
            f"{len(noisy)} of {len(results['cases'])} cases stayed noisy after every repeat; measure them again when idle"
        )
    return said


def comparison(old: Results, new: Results) -> Table:
    """Return what changed between two files beyond the spread of their rounds.

    Examples
    --------
    >>> comparison({"cases": {}}, {"cases": {}})[2]
    []
    """
    rows = compare(old, new)
    changed = [row for row in rows if row["verdict"] != "same"]
    told = [
        [
            row["name"],
            value(row["old"], row["unit"]),
            value(row["new"], row["unit"]),
            f"{row['ratio']:.2f}",
            row["verdict"],
        ]
        for row in changed
    ]
    title = f"{len(rows)} cases compared, {len(changed)} changed beyond the spread of the rounds"
    return title, ["case", "before", "now", "times", ""], told


def markdown(results: Results) -> str:
    """Return everything as Markdown.

    Examples
    --------
    >>> markdown({"machine": {}, "settings": {"rounds": 5}, "cases": {}}).splitlines()[0]
    '; 5 rounds'
    """
    lines = ["\n\n".join(notes(results)), "", HOW]
    for title, columns, rows in tables(results):
        lines += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
