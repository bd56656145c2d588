"""A whole training step (forward, softmax loss, backward, optimizer) of the nets of the README, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..layers import BatchNorm
from ..models import fully_connected
from . import net_case
from .group import Group
from .net_case import NetCase


def affine_net(widths: Sequence[int], batch: int, *, norm: bool = False, drop_prob: float = 0.0) -> NetCase:
    """Return the case of a fully connected net, by its widths from the input to the scores."""
    inputs, *hidden, classes = widths
    options: dict[str, Any] = {"classes": classes, "norm": BatchNorm() if norm else None, "drop_prob": drop_prob}
    return NetCase(partial(fully_connected, hidden, **options), (inputs,), batch)


CASES = {
    "A 64-[32]-10, batch 32": affine_net((64, 32, 10), 32),
    "B 64-[100,100]-10, batch norm, batch 64": affine_net((64, 100, 100, 10), 64, norm=True),
    "C 3072-[100]x5-10, batch norm, dropout, batch 100": affine_net(
        (3072, *[100] * 5, 10), 100, norm=True, drop_prob=0.25
    ),
    "D 3072-[1024]x3-10, batch norm, batch 256": affine_net((3072, *[1024] * 3, 10), 256, norm=True),
    "a A without norm": affine_net((64, 32, 10), 32),
    "b B without norm": affine_net((64, 100, 100, 10), 64),
    "c C without norm and dropout": affine_net((3072, *[100] * 5, 10), 100),
}

GROUP = Group(
    title="training step: forward, loss, backward, optimizer, float32; one batch that is already in memory",
    cases=CASES,
    sides=net_case.SIDES,
    same=1e-2,  # gradients of nets in float32: a ReLU near 0 may fall on either side
    work=net_case.work,
    quick=("A 64-[32]-10, batch 32", "C 3072-[100]x5-10, batch norm, dropout, batch 100", "b B without norm"),
)
