"""Layers, losses, optimizers, schedules and initialisers as plain JSON data, and back.

    to_spec(bp.Affine(10))  ->  {"type": "Affine", "width": 10, "init": {"type": "init.He", "gain": 1.0}}

Everything that a run is made of is a frozen dataclass of numbers, strings and other such objects, so its fields say all.
Only names that are registered here or in a registry can come back: a file cannot name code to run.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

from . import init, schedule
from .average import Average
from .data.augment import Augmentation
from .errors import CheckpointError
from .layers.base import Layer
from .losses import Loss
from .optim import Optimizer


def to_spec(value: Any) -> Any:
    """Return a value as JSON data.

    Raises
    ------
    CheckpointError
        If it holds something that is not a registered dataclass, number, string, bool, None, sequence or dict.

    Examples
    --------
    >>> import backpass as bp
    >>> to_spec(bp.ReLU())
    {'type': 'ReLU'}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [to_spec(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_spec(item) for key, item in value.items()}
    names = {cls: name for name, cls in _known().items()}
    if dataclasses.is_dataclass(value) and type(value) in names:
        fields = {f.name: to_spec(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": names[type(value)], **fields}
    raise CheckpointError(
        f"cannot save {value!r}: expected layers, losses, optimizers, schedules and initialisers of backpass or registered "
        "with it (a subclass of bp.layers.Layer is), made of numbers, strings and such objects"
    )


def from_spec(spec: Any) -> Any:
    """Return the object that `to_spec` described; sequences come back as tuples.

    Raises
    ------
    CheckpointError
        If a type or a field is not known.

    Examples
    --------
    >>> from_spec({"type": "Affine", "width": 3, "init": {"type": "init.Constant", "value": 0.5}})
    Affine(width=3, init=Constant(value=0.5))
    """
    if isinstance(spec, list):
        return tuple(from_spec(item) for item in spec)
    if not isinstance(spec, dict):
        return spec
    if "type" not in spec:
        return {key: from_spec(item) for key, item in spec.items()}
    known = _known()
    if spec["type"] not in known:
        raise CheckpointError(
            f"unknown type {spec['type']!r}; if it is a layer of your own, import its module before loading"
        )
    cls = known[spec["type"]]
    fields = {key: from_spec(item) for key, item in spec.items() if key != "type"}
    try:
        return cls(**fields)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{spec['type']}: cannot be made from {fields} ({error})") from None


def _known() -> dict[str, type]:
    return {
        **Layer.registry,
        **Loss.registry,
        **Optimizer.registry,
        **Average.registry,
        **{"data." + name: cls for name, cls in Augmentation.registry.items()},
        **_dataclasses_of(init, "init."),
        **_dataclasses_of(schedule, "schedule."),
    }


def _dataclasses_of(module: ModuleType, prefix: str) -> dict[str, type]:
    found = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return {prefix + name: value for name, value in found.items() if dataclasses.is_dataclass(value)}
