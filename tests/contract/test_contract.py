"""The contract suite: every layer of the registry x its CASES x {reference, kernel}, each check in both dtypes."""

from __future__ import annotations

import pkgutil

import pytest

import backpass as bp
import backpass.layers

from .cases import all_cases, cases_of, package_layers, paths_of
from .checks import checks_for

RUNS = [
    pytest.param(check, layer, shape, path, id=f"{name}-{path}-{check.__name__.removeprefix('check_')}")
    for name, layer, shape in all_cases()
    for path in paths_of(layer)
    for check in checks_for(path)
]


@pytest.mark.parametrize(("check", "layer", "x_shape", "path"), RUNS)
def test_layer_keeps_the_contract(check, layer, x_shape, path):
    check(layer, x_shape, path)


@pytest.mark.parametrize("cls", package_layers(), ids=lambda cls: cls.__name__)
def test_layer_is_exported_and_has_cases(cls):
    assert getattr(bp, cls.__name__, None) is cls, f"import {cls.__name__} in backpass/layers/__init__.py"
    assert cases_of(cls), f"{cls.__module__}: expected CASES with at least one (layer, x_shape) of {cls.__name__}"


def test_every_layer_file_is_imported_by_the_package():
    # cases.py imports every file, so a layer whose import line is missing would still be in the registry.
    modules = {m.name for m in pkgutil.iter_modules(backpass.layers.__path__)}
    assert {cls.__module__.rpartition(".")[2] for cls in package_layers()} <= modules
    assert len(package_layers()) >= 3
