"""Every layer of the registry, forward and forward + backward, at three sizes: a new layer is found by itself.

The layer and the rank of its input come from the first of its `CASES`, made larger: `width` and `filters` become what nets
use, and where a layer takes only the channels of its case, they stay.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, cast

from ..errors import BackpassError
from ..layers.base import Layer, Shape
from . import layer_case
from .group import Group
from .layer_case import LayerCase

SIZES: dict[str, dict[int, Shape]] = {
    "small": {2: (64, 128), 4: (16, 16, 16, 16)},
    "medium": {2: (256, 1024), 4: (64, 32, 32, 32)},
    "large": {2: (8192, 2048), 4: (256, 64, 32, 32)},  # 67 MB: beyond the caches (34 MB are not, on an EPYC)
}
LARGEST_PRODUCT = {2: (256, 2048), 4: (64, 64, 32, 32)}  # layers with weights have enough to do


def registered() -> dict[str, tuple[Layer, Shape]]:
    """Return each layer of the package with the first of its cases, by name.

    Examples
    --------
    >>> registered()["ReLU"]
    (ReLU(), (5, 7))
    """
    found = {}
    for name, cls in sorted(Layer.registry.items()):
        cases = getattr(sys.modules[cls.__module__], "CASES", [])
        mine = [(layer, tuple(x)) for layer, x in cases if type(layer) is cls]
        if cls.__module__.startswith("backpass.") and mine:
            found[name] = mine[0]
    return found


def enlarged(layer: Layer, x: Shape, size: str) -> tuple[Layer, Shape] | None:
    """Return a layer and a shape of the given size ("small", "medium", "large"); None where the layer takes none of it.

    Examples
    --------
    >>> import backpass as bp
    >>> enlarged(bp.Affine(5), (4, 3), "medium")[1]
    (256, 1024)
    """
    if len(x) not in SIZES[size]:
        return None
    shape = SIZES[size][len(x)]
    wider: dict[str, Any] = {
        field.name: shape[1] for field in dataclasses.fields(cast(Any, layer)) if field.name in ("width", "filters")
    }
    if wider and size == "large":
        shape = LARGEST_PRODUCT[len(x)]
        wider = dict.fromkeys(wider, shape[1])
    for candidate, its_shape in (
        (dataclasses.replace(cast(Any, layer), **wider), shape),
        (layer, (shape[0], x[1], *shape[2:])),
    ):
        try:
            declared = candidate.declare(its_shape)
        except BackpassError:
            continue
        return None if candidate.is_view(training=True) or not declared.out else (candidate, its_shape)
    return None


def cases(what: str) -> dict[str, tuple[str, LayerCase]]:
    """Return (size, case) by name, for every layer, every size and one pass."""
    found = {}
    for name, (layer, x) in registered().items():
        for size in SIZES:
            made = enlarged(layer, x, size)
            if made is not None:
                found[f"{name} {size} {what}"] = (size, LayerCase((made[0],), made[1], what))
    return found


ALL = cases("both") | cases("forward")
GROUP = Group(
    title="each layer alone, forward and forward + backward (both), float32",
    cases={name: case for name, (_, case) in ALL.items()},
    sides=layer_case.SIDES,
    same=layer_case.SAME,
    work=layer_case.work,
    quick=("BatchNorm medium both",),
    full=tuple(name for name, (size, case) in ALL.items() if size != "medium" or case.what == "forward"),
    full_sides=(
        "torch compile NCHW@1",
        "torch compile NCHW@all",
        "torch compile channels_last@1",
        "torch compile channels_last@all",
    ),
)
