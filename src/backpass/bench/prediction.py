"""Prediction: one sample and 256, from an array of inputs to an array of scores, in float32."""

from __future__ import annotations

from dataclasses import replace

from . import net_case
from .group import Group
from .image_nets import CASES as IMAGE_NETS
from .training_step import CASES as AFFINE_NETS

NETS = {name.rpartition(", batch")[0]: case for name, case in (AFFINE_NETS | IMAGE_NETS).items() if ", batch" in name}
CASES = {f"{name}, batch {batch}": replace(case, batch=batch) for name, case in NETS.items() for batch in (1, 256)}

GROUP = Group(
    title="prediction of one sample and of 256, float32",
    cases=CASES,
    sides=net_case.PREDICTION_SIDES,
    same=1e-3,
    work=net_case.prediction_work,
    quick=("three-layer convnet, batch 1",),
    full_sides=tuple(f"{side}@1" for side in net_case.PREDICTION_SIDES if "compile" in side),
)
