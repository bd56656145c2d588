"""Every layer of the package with its CASES: the suite finds new layers by itself."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import backpass.layers
from backpass import native
from backpass.layers.base import Layer

for _module in pkgutil.iter_modules(backpass.layers.__path__):
    importlib.import_module(f"backpass.layers.{_module.name}")


def package_layers() -> list[type[Layer]]:
    """The registered layers that the package itself defines, by name."""
    layers = [cls for cls in Layer.registry.values() if cls.__module__.startswith("backpass.")]
    return sorted(layers, key=lambda cls: cls.__name__)


def cases_of(cls: type[Layer]) -> list[tuple[Layer, tuple[int, ...]]]:
    """The (layer, x_shape) pairs of a layer's module that are of this class."""
    cases = getattr(sys.modules[cls.__module__], "CASES", [])
    return [(layer, shape) for layer, shape in cases if type(layer) is cls]


def paths_of(layer: Layer) -> list[str]:
    """The implementations that a layer has here: its NumPy reference, and its kernels if they can run."""
    ours = type(layer).__module__.startswith("backpass.")
    has_kernels = layer.has_kernels() and (native.available or not ours)
    return ["reference", "kernel"] if has_kernels else ["reference"]


def all_cases() -> list[tuple[str, Layer, tuple[int, ...]]]:
    """(id, layer, x_shape) of every case of every layer."""
    return [
        (f"{cls.__name__}-{i}", layer, tuple(shape))
        for cls in package_layers()
        for i, (layer, shape) in enumerate(cases_of(cls))
    ]
