"""Every check catches its animals, healthy layers keep the contract, and no check is there for show."""

from __future__ import annotations

import numpy as np
import pytest

from backpass.layers.base import Layer

from . import zoo
from .cases import package_layers, paths_of
from .checks import check_docstring, checks_for
from .zoo import ANIMALS, HEALTHY

NO_TEXT = (check_docstring,)  # the zoo's healthy layers have no module of their own


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.bug.replace(" ", "_"))
def test_checks_catch_their_animals(animal):
    for check in animal.caught_by:
        with pytest.raises(AssertionError) as caught, np.errstate(all="warn"):
            check(animal.layer, animal.x_shape, animal.path)
        assert type(animal.layer).__name__ in str(caught.value), f"{check.__name__} does not name the layer"


@pytest.mark.parametrize(
    ("check", "layer", "shape", "path"),
    [
        pytest.param(check, layer, shape, path, id=f"{type(layer).__name__}-{i}-{path}-{check.__name__}")
        for i, (layer, shape) in enumerate(HEALTHY)
        for path in paths_of(layer)
        for check in checks_for(path)
        if check not in NO_TEXT
    ],
)
def test_healthy_layers_pass(check, layer, shape, path):
    check(layer, shape, path)


def test_every_check_catches_something():
    checks = {check for path in ("reference", "kernel") for check in checks_for(path)}
    useful = {check for animal in ANIMALS for check in animal.caught_by}
    assert checks <= useful, f"no animal for {sorted(check.__name__ for check in checks - useful)}"


def test_zoo_is_large_and_stays_out_of_the_registry():
    assert len(ANIMALS) >= 25
    assert len({animal.bug for animal in ANIMALS}) == len(ANIMALS)
    assert not [name for name, cls in Layer.registry.items() if cls.__module__.startswith(zoo.__name__)]
    assert package_layers()
