"""Results as pictures: ratios, shares of the machine's limits, and how time grows.

matplotlib is used through its objects only, as in `backpass.report`; it comes with the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, MissingExtraError
from .group import GROUPS
from .results import BEYOND_CACHES, Results, lost_seconds
from .targets import targets_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID = "#1f2933", "#c9d0d8"
COLORS = {"torch": "#e07b22", "sklearn": "#2e9e6b", "numpy": "#3b82c4", "jax": "#8f5bb5"}
OTHER_COLOR, LIMIT_COLOR = "#6b7785", "#b33a3a"
BAR_INCHES = 0.22
PAGE_CASES = 70  # of a picture of ratios; more go to another
APART = ("roofline", "scaling")  # they have pictures of their own
FLOPS_LIMIT = "limit: operations at the rate of the matrix product"
BYTES_LIMIT = "limit: bytes at the rate of copying (beyond the caches)"


def save(results: Results, stem: Path) -> list[Path]:
    """Draw what the results hold and write PNG files beside `stem`; return their paths.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `ratios`.
    """
    made = []

    def keep(kind: str, figure: Figure) -> None:
        made.append(stem.with_name(f"{stem.name}-{kind}.png"))
        figure.savefig(made[-1], dpi=110)

    for i, groups in enumerate(pages(results)):
        keep(f"ratios-{i + 1}" if i else "ratios", ratios(results, groups))
    if any(name.startswith("roofline/") for name in results["cases"]):
        keep("roofline", roofline(results))
    if any(name.startswith("scaling/") for name in results["cases"]):
        keep("scaling", scaling(results))
    return made


def pages(results: Results) -> list[list[str]]:
    """Return the benchmarks with ratios to draw, those that share a picture together.

    Examples
    --------
    >>> cases = {f"{group}/{i}": {"ratio": {"torch": {}}} for group in ("conv", "data", "epoch") for i in range(30)}
    >>> pages({"cases": cases})
    [['conv', 'data'], ['epoch']]
    """
    found: list[list[str]] = []
    drawn = PAGE_CASES
    for group in GROUPS:
        there = [name for name, case in results["cases"].items() if name.startswith(f"{group}/") and case["ratio"]]
        if not there or group in APART:
            continue
        if drawn + len(there) > PAGE_CASES:
            found.append([])
            drawn = 0
        found[-1].append(group)
        drawn += len(there)
    return found


def ratios(results: Results, groups: Sequence[str] = GROUPS) -> Figure:
    """Draw for each case and peer how many times as long the peer takes, with the range of the rounds; ticks are targets.

    Parameters
    ----------
    results : dict
    groups : sequence of str
        The benchmarks to draw.

    Raises
    ------
    ArgumentError
        If there is no peer in the results.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> ratio = {"torch": {"median": 3.0, "low": 2.8, "high": 3.3}}
    >>> figure = ratios({"cases": {"conv/pool max 2x2": {"ratio": ratio}}})
    >>> figure.axes[0].get_xlabel()
    'times as long as backpass'
    """
    from matplotlib.lines import Line2D

    rows: list[tuple[str, str, str, dict[str, Any]]] = []
    for group in groups:
        for name, case in results["cases"].items():
            if name.startswith(f"{group}/") and group not in APART:
                rows += [(group, name, peer, ratio) for peer, ratio in case["ratio"].items()]
    if not rows:
        raise ArgumentError("ratios: expected results with at least one peer, got none")
    cases = list(dict.fromkeys(name for _, name, _, _ in rows))
    drawn = list(dict.fromkeys(group for group, _, _, _ in rows))
    figure, axes = _axes(len(cases) + 1.5 * len(drawn))
    axes.grid(axis="y", visible=False)
    labels: dict[float, str] = {}
    y = 0.0
    for group in drawn:
        y += 1.5
        title = {"transform": axes.get_yaxis_transform(), "ha": "right", "weight": "bold", "color": INK}
        axes.text(-0.015, y - 0.8, group.replace("_", " "), **title)
        for name in cases:
            if not name.startswith(f"{group}/"):
                continue
            labels[y] = name.partition("/")[2]
            axes.axhspan(y - 0.46, y + 0.46, color="#f4f6f8", zorder=0)
            mine = [(peer, ratio) for _, case, peer, ratio in rows if case == name]
            for k, (peer, ratio) in enumerate(mine):
                color, at = COLORS.get(peer, OTHER_COLOR), y + 0.24 * (k - (len(mine) - 1) / 2)
                axes.plot(
                    [ratio["low"], ratio["high"]], [at, at], color=color, linewidth=4, alpha=0.45, solid_capstyle="butt"
                )
                axes.plot([ratio["median"]], [at], "o", color=color, markersize=5)
                for target in targets_of(name):
                    if target.peer == peer:
                        axes.plot([target.bound], [at], "|", color=color, markersize=11, markeredgewidth=2)
            y += 1
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_ylim(y + 0.2, -0.2)
    axes.set_xlabel("times as long as backpass", fontsize=9, color=INK)
    peers = list(dict.fromkeys(peer for _, _, peer, _ in rows))
    handles = [
        Line2D([], [], color=COLORS.get(peer, OTHER_COLOR), marker="o", linewidth=4, label=peer) for peer in peers
    ]
    tick: dict[str, Any] = {"marker": "|", "linestyle": "", "markersize": 11, "markeredgewidth": 2}
    handles.append(Line2D([], [], color=INK, label="to reach (in the colour of the peer)", **tick))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    _title(figure, "How many times as long the others take (right of 1: backpass is faster)", results)
    return figure


def roofline(results: Results) -> Figure:
    """Draw how much of the machine's limit each kernel reaches, the one that loses most time at the top.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> case = {"median": {"b": 0.2}, "ours": "b", "sides": {}, "flops": 0.0, "bytes": 1e9, "share": 0.5}
    >>> figure = roofline({"limits": {"copy_bytes": 1e10, "multiply_add_flops": 1e11}, "cases": {"roofline/ReLU": case}})
    >>> figure.axes[0].get_xlabel()
    'share of the limit in %'
    """
    cases = {name: case for name, case in results["cases"].items() if name.startswith("roofline/") and case["share"]}
    names = sorted(cases, key=lambda name: -lost_seconds(cases[name]))
    figure, axes = _axes(len(names) + 1)
    for y, name in enumerate(names):
        share, (target, *_) = 100 * cases[name]["share"], targets_of(name)
        axes.barh(y, share, height=0.7, color="#3b82c4" if target.met(share / 100) else "#e07b22")
        axes.plot([100 * target.bound], [y], "|", color=INK, markersize=11, markeredgewidth=1.6)
        loss = f", loses {1e3 * lost_seconds(cases[name]):.1f} ms" if share < 100 else ""
        inside = share > 30  # there the words fit
        at, color = (1, "white") if inside else (share + 1, INK)
        axes.text(at, y, f"{share:.0f} %{loss}", va="center", fontsize=7, color=color)
    axes.axvline(100, color=INK, linewidth=1)
    axes.set_yticks(range(len(names)), [name.partition("/")[2] for name in names])
    axes.set_ylim(len(names), -1)
    axes.set_xlim(0, max([125.0, *(100 * case["share"] + 25 for case in cases.values())]))
    axes.set_xlabel("share of the limit in %")
    _title(
        figure,
        "What each kernel reaches of this machine's limit (tick: to reach; orange: missed; top: loses most)",
        results,
    )
    return figure


def scaling(results: Results) -> Figure:
    """Draw how the time of a step grows with depth, width, batch and threads, and the limits that the machine sets.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    See `backpass bench scaling`.
    """
    panels: dict[str, dict[float, dict[str, Any]]] = {}
    for name, case in results["cases"].items():
        if name.startswith("scaling/"):
            what, _, number = name.partition("/")[2].rpartition(": ")
            panels.setdefault(what, {})[float(number)] = case
    rows = len(panels) // 2 + 1
    figure = _figure(9.5, 3.4 * rows + 0.5)
    limits = results["limits"]
    for i, (what, cases) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, 2, i + 1)
        _dress(axes)
        xs = sorted(cases)
        peers = list(dict.fromkeys(peer for case in cases.values() for peer in case["ratio"]))
        ours = [1e3 * cases[x]["median"][cases[x]["ours"]] for x in xs]
        axes.plot(xs, ours, "o-", color=INK, linewidth=1.8, markersize=4, label="backpass")
        for peer in peers:
            there = [x for x in xs if peer in cases[x]["ratio"]]
            theirs = [1e3 * cases[x]["median"][cases[x]["ours"]] * cases[x]["ratio"][peer]["median"] for x in there]
            axes.plot(there, theirs, "o-", color=COLORS.get(peer, OTHER_COLOR), linewidth=1.4, markersize=3, label=peer)
        if limits:
            flops = [1e3 * cases[x]["flops"] / limits["matrix_product_flops"] for x in xs]
            beyond = [
                x for x in xs if cases[x]["bytes"] >= BEYOND_CACHES
            ]  # what the caches hold moves faster than a copy
            moved = [1e3 * cases[x]["bytes"] / limits["copy_bytes"] for x in beyond]
            axes.plot(xs, flops, "--", color=LIMIT_COLOR, linewidth=1.2, label=FLOPS_LIMIT)
            axes.plot(beyond, moved, ":", color=LIMIT_COLOR, linewidth=1.6, marker=".", label=BYTES_LIMIT)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        _plain_numbers(axes.yaxis)
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.set_title(what, fontsize=9, loc="left", color=INK)
        axes.set_xlabel(what.split()[0], fontsize=8, color=INK)
        axes.set_ylabel("ms per step", fontsize=8, color=INK)
        if i == 0:
            figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    _draw_threads(figure.add_subplot(rows, 2, len(panels) + 1), results)
    _title(figure, "How the time of a training step grows", results)
    return figure


def _draw_threads(axes: Any, results: Results) -> None:
    """Draw how many times as fast all threads are as one, case by case."""
    _dress(axes)
    axes.set_title("threads, in all of these cases", fontsize=9, loc="left", color=INK)
    axes.set_xlabel("ms per step with one thread", fontsize=8, color=INK)
    axes.set_ylabel("times as fast with all threads", fontsize=8, color=INK)
    cores = results["machine"]["cores"]
    for name, case in results["cases"].items():
        if name.startswith("scaling/") and "backpass@1" in case["median"]:
            one, every = case["median"]["backpass@1"], case["median"][case["ours"]]
            axes.plot([1e3 * one], [one / every], "o", color=INK, markersize=4)
    axes.axhline(cores, color=LIMIT_COLOR, linestyle="--", linewidth=1.2)
    axes.text(0.02, cores, f"{cores} cores", transform=axes.get_yaxis_transform(), va="bottom", fontsize=7, color=INK)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_ylim(0, 1.15 * cores)


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis 1, 2, 5, 10, 20, 50 ... where it is short, 1, 10, 100 ... where it is long."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 20_000 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            'pictures need matplotlib: install it with `pip install "backpass[plots]"`; the figures are in the file all the same'
        ) from None
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _axes(rows: float) -> tuple[Figure, Any]:
    figure = _figure(9.5, 1.3 + BAR_INCHES * rows)
    axes = figure.add_subplot()
    _dress(axes)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    return figure, axes


def _dress(axes: Any) -> None:
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _title(figure: Figure, text: str, results: Results) -> None:
    machine = results.get("machine", {})
    where = f"{machine.get('processor', '')}, {machine.get('cores', '?')} cores, {results.get('when', '')}"
    figure.suptitle(f"{text}\n{where}", fontsize=10, x=0.01, ha="left", color=INK)
