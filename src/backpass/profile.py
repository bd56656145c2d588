"""Where the time of a training step goes: seconds, products and bytes of each layer, forward and backward.

What a layer has to do follows from what it declares: an output of a layer with a weight w is a sum of w.size / F products
for its F outputs per sample (or per pixel), and every array that it reads or writes counts once.  A convolution counts as
the direct one does, whatever algorithm runs: Winograd's GFLOP/s may exceed what the processor can do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import native
from .basics import require
from .layers.base import Declared, Layer, Shape
from .layers.fusion import leave_out_unread, unit_reads, units_of

if TYPE_CHECKING:
    from .model import Model

COLUMNS = ("layer", "output", "forward", "GFLOP/s", "GB/s", "backward", "GFLOP/s", "GB/s", "share")


@dataclass(frozen=True)
class Row:
    """A layer, or two that run as one: what it takes, and what it does.

    Attributes
    ----------
    name : str
        Number and kind, such as ``"3.main.0 Conv"``.
    depth : int
        0 for the model's layers, 1 for a layer in a layer.
    output : tuple of int
        Without the batch dimension.
    forward_s, backward_s : float
        Seconds of one training step, medians over the rounds.
    forward_flops, backward_flops : int
        Multiplications and additions of the products with weights; 0 for layers without.
    forward_bytes, backward_bytes : int
        Of all arrays read and written, each counted once.
    """

    name: str
    depth: int
    output: Shape
    forward_s: float
    backward_s: float
    forward_flops: int
    backward_flops: int
    forward_bytes: int
    backward_bytes: int


@dataclass(frozen=True)
class Profile:
    """The rows of a profile in the order of the layers; prints as a table."""

    rows: tuple[Row, ...]
    batch: int
    threads: int
    dtype: str

    @property
    def forward_s(self) -> float:
        """Seconds of the forward."""
        return sum(row.forward_s for row in self.rows if row.depth == 0)

    @property
    def backward_s(self) -> float:
        """Seconds of the backward."""
        return sum(row.backward_s for row in self.rows if row.depth == 0)

    def cells(self, *, by_time: bool = False) -> list[list[str]]:
        """Return the table's cells, a list for each row, and the totals last.

        Parameters
        ----------
        by_time : bool
            The slowest first, layers in layers among all others, instead of the order of the net.
        """
        total = self.forward_s + self.backward_s
        rows = list(self.rows)
        if by_time:
            parents = {row.name.split(".")[0].split()[0] for row in rows if row.depth}
            rows = [row for row in rows if row.depth or row.name.split()[0] not in parents]
            rows.sort(key=lambda row: row.forward_s + row.backward_s, reverse=True)
        cells = [
            [
                ("" if by_time else "   " * row.depth) + row.name,
                f"({', '.join(map(str, ('N', *row.output)))})",
                *_rates(row.forward_s, row.forward_flops, row.forward_bytes),
                *_rates(row.backward_s, row.backward_flops, row.backward_bytes),
                f"{(row.forward_s + row.backward_s) / total:.1%}" if total else "",
            ]
            for row in rows
        ]
        top = [row for row in self.rows if row.depth == 0]
        forward = (self.forward_s, sum(r.forward_flops for r in top), sum(r.forward_bytes for r in top))
        backward = (self.backward_s, sum(r.backward_flops for r in top), sum(r.backward_bytes for r in top))
        return [*cells, ["all", "", *_rates(*forward), *_rates(*backward), "100.0%"]]

    def __str__(self) -> str:
        table = [list(COLUMNS), *self.cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([line.rstrip() for line in lines] + [self.caption])

    @property
    def caption(self) -> str:
        """What was measured, in a line."""
        step = self.forward_s + self.backward_s
        return (
            f"batch {self.batch}, {self.dtype}, {self.threads} thread{'s' if self.threads > 1 else ''}, kernels {native.isa}: "
            f"{1e3 * step:.2f} ms forward and backward, {self.batch / step:,.0f} samples/s"
        )


def profile(model: Model, batch: int = 64, *, rounds: int = 5) -> Profile:
    """Time each layer of a training step on random numbers; parameters, running statistics and the step stay as they are.

    Parameters
    ----------
    model : Model
        `grads` holds other numbers afterwards.
    batch : int
        N.
    rounds : int
        Forwards and backwards that are timed, after one that is not.

    Returns
    -------
    Profile

    Raises
    ------
    ArgumentError
        If batch or rounds is not a positive whole number.
    ShapeError
        If a layer cannot train on such a batch.

    Examples
    --------
    >>> import backpass as bp
    >>> measured = profile(bp.Model([bp.Affine(3), bp.ReLU(), bp.Affine(2)], (4,)), batch=8)
    >>> [row.name for row in measured.rows]
    ['0 Affine + ReLU', '2 Affine']
    >>> measured.rows[0].forward_flops  # 2 · 8 · 4 · 3
    192
    """
    for name, value in (("batch", batch), ("rounds", rounds)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
        require(whole, "profile", name, "a whole number >= 1", value)
    plan = model.plan(batch, input_gradient=False)
    model._current = None  # what the last forward saved is overwritten
    rng = np.random.default_rng(0)
    forward, backward = native.Program(plan.forward), native.Program(plan.backward)
    times = []
    for _ in range(rounds + 1):
        plan.x[...] = rng.standard_normal(plan.x.shape)
        plan.dscores[...] = 0  # the scores may lie beside it, in memory that was used
        first = forward.time()
        plan.dscores[...] = rng.standard_normal(plan.dscores.shape) / batch
        times.append([*first, *backward.time()])
    median = np.median(np.array(times[1:]), axis=0)
    seconds: dict[tuple[str, str], float] = {}
    for way, name, value in zip(
        ["forward"] * len(plan.forward) + ["backward"] * len(plan.backward),
        [*plan.forward_names, *plan.backward_names],
        median,
        strict=True,
    ):
        seconds[way, name] = seconds.get((way, name), 0.0) + float(value)
    named = [
        (str(i), layer, x) for i, (layer, (x, _)) in enumerate(zip(model.layers, model._declare(batch), strict=True))
    ]
    rows = _rows(named, 0, seconds, model)
    return Profile(tuple(rows), batch, native.threads(), model.dtype.name)


def _rows(
    named: Sequence[tuple[str, Layer, Shape]], depth: int, seconds: dict[tuple[str, str], float], model: Model
) -> list[Row]:
    layers = [layer for _, layer, _ in named]
    shapes = [shape for _, _, shape in named]
    all_declared: Sequence[Declared] = [layer.declare(shape) for _, layer, shape in named]
    if model.kernels and not depth:  # as the model's own program does
        all_declared = leave_out_unread(layers, shapes, all_declared)
    rows: list[Row] = []
    for unit in units_of(layers, shapes, fuse=model.kernels):
        name, layer, x = named[unit.first]
        declared = all_declared[unit.span]
        given = all_declared[unit.first - 1].out if unit.first else x  # x, or the part of it that is computed
        words = f"{name} {' + '.join(type(part).__name__ for part in layers[unit.span])}"
        out = declared[-1].out
        forward_s = sum(s for (way, at), s in seconds.items() if way == "forward" and f"{at}.".startswith(f"{name}."))
        backward_s = sum(s for (way, at), s in seconds.items() if way == "backward" and f"{at}.".startswith(f"{name}."))
        inner_rows: list[Row] = []
        if parts := layer.parts(x):
            inner = [(f"{name}.{at}", part, shape) for at, part, shape in parts]
            for chain in dict.fromkeys(at.rpartition(".")[0] for at, _, _ in inner):
                chained = [one for one in inner if one[0].rpartition(".")[0] == chain]
                inner_rows += _rows(chained, depth + 1, seconds, model)
            size = math.prod(out) * model.dtype.itemsize
            sums = (seconds.get(("forward", f"{name}.sum"), 0.0), seconds.get(("backward", f"{name}.sum"), 0.0))
            relu = len(declared) - 1
            inner_rows.append(Row(f"{name}.sum", depth + 1, out[1:], *sums, 0, 0, 3 * size, (3 + 3 * relu) * size))
            direct = [row for row in inner_rows if row.depth == depth + 1]
            amounts = [
                sum(getattr(row, amount) for row in direct)
                for amount in ("forward_flops", "backward_flops", "forward_bytes", "backward_bytes")
            ]
        else:
            flops = 2 * sum(d.products for d in declared)
            view = unit.fusion is None and layer.is_view(training=True)
            first = depth == 0 and unit.first == 0
            item = model.dtype.itemsize
            params = item * sum(math.prod(param.shape) for d in declared for param in d.params.values())
            saved = sum(_size_bytes(spec, item) for d in declared for spec in d.cache.values())
            reads = unit_reads(unit, layers, all_declared, kernels=model.kernels)
            x_bytes, out_bytes = item * math.prod(given), item * math.prod(out)
            back = out_bytes + ("x" in reads) * x_bytes + ("out" in reads) * out_bytes + (not first) * x_bytes
            amounts = [
                flops,
                flops if first else 2 * flops,
                0 if view else x_bytes + out_bytes + params + saved,
                0 if view else back + 2 * params + saved,
            ]
        rows += [Row(words, depth, out[1:], forward_s, backward_s, *amounts), *inner_rows]
    return rows


def _size_bytes(spec: Any, item: int) -> int:
    shape, dtype = spec if spec and isinstance(spec[-1], str) else (spec, None)
    return math.prod(shape) * (np.dtype(dtype).itemsize if dtype else item)


def _rates(seconds: float, flops: int, moved_bytes: int) -> list[str]:
    if not seconds:
        return ["", "", ""]
    return [
        f"{1e3 * seconds:.3f} ms",
        f"{flops / seconds / 1e9:.1f}" if flops else "",
        f"{moved_bytes / seconds / 1e9:.1f}",
    ]
