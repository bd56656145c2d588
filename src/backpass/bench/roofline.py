"""How much of the machine's limits each kernel reaches, forward and backward on their own, at sizes beyond the caches.

A kernel cannot take less time than its products at the rate of multiply-adds, nor than its bytes at the rate of copying.  Its
share is that time by its own.
"""

from __future__ import annotations

from . import layer_case
from .group import Group
from .layers import cases

GROUP = Group(
    title="one pass of one layer beside the limits of this machine, float32",
    cases={
        name: case for what in ("forward", "backward") for name, (size, case) in cases(what).items() if size == "large"
    },
    sides={"backpass": layer_case.backpass},
    same=layer_case.SAME,
    work=layer_case.work,
    quick=("ReLU large forward", "Conv large forward", "SpatialBatchNorm large backward"),
)
