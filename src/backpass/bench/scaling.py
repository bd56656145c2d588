"""How the time of a training step grows with depth, width, batch and threads; PyTorch runs eager, NCHW."""

from __future__ import annotations

from functools import partial

from . import net_case
from .group import Group
from .net_case import NetCase
from .training_step import affine_net

DEPTHS, WIDTHS, BATCHES = (1, 2, 4, 8, 16), (64, 128, 256, 512, 1024, 2048), (1, 4, 16, 64, 256, 1024)
FULL_ONLY = (": 2", ": 8", ": 128", ": 512", ": 2048", " 3 deep: 4", " 3 deep: 64", " 3 deep: 1024")


def _net(depth: int, width: int, batch: int) -> NetCase:
    return affine_net((3072, *[width] * depth, 10), batch)


CASES = {
    **{f"depth of a net 512 wide, batch 128: {n}": _net(n, 512, 128) for n in DEPTHS},
    **{f"width of a net 3 deep, batch 128: {n}": _net(3, n, 128) for n in WIDTHS},
    **{f"batch of a net 512 wide, 3 deep: {n}": _net(3, 512, n) for n in BATCHES},
}

GROUP = Group(
    title="training step of fully connected nets, float32, by depth, width, batch and threads",
    cases=CASES,
    sides={"backpass": partial(net_case.backpass, alone=False), "torch eager": net_case.torch},
    threads=("all", "1"),
    same=1e-2,
    work=net_case.work,
    full=tuple(name for name in CASES if name.endswith(FULL_ONLY)),
)
