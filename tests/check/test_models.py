"""Whole models: any depth, a batch of one, float32, and objects that are none."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from backpass.check import check, check_model_class
from backpass.errors import ArgumentError

sys.path.insert(0, str(Path(__file__).parent / "zoo"))
import keeper


@pytest.fixture(scope="module")
def net_class():
    """The zoo's correct net, with batch norm."""
    animal = next(a for a in keeper.animals("seen") if a.id == "models: fully connected net of any depth")
    module = types.ModuleType("net")
    exec(compile(animal.source, "<net>", "exec"), module.__dict__)
    return module.FullyConnectedNet


@pytest.fixture(autouse=True)
def _seeded():
    np.random.seed(0)  # noqa: NPY002 - course-style constructors draw from the global generator


def batch(n=5):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 6)), rng.integers(0, 4, n)


def test_a_model_with_a_batch(net_class):
    report = check(net_class([5, 4], reg=0.1, weight_scale=0.5), *batch())
    assert report.ok
    assert sorted(g.name for g in report.gradients) == ["W1", "W2", "W3", "b1", "b2", "b3"]
    assert "with a batch of one" in report.checked


def test_all_shapes_of_a_class(net_class):
    report = check_model_class(net_class)
    assert report.ok
    assert {"no hidden layer", "one hidden layer", "five layers", "batch norm", "no regularisation"} <= set(
        report.checked
    )


def test_a_wrong_gradient_names_layer_and_parameter(net_class):
    class Wrong(net_class):
        def loss(self, X, y=None):
            loss, grads = super().loss(X, y)
            grads["W2"] = grads["W2"] * 2
            return loss, grads

    report = check(Wrong([5, 4], weight_scale=0.5), *batch())
    assert not report.ok
    assert report.findings[0].code == 'grads["W2"] = grads["W2"] * 2'
    assert any("W2 (weights of layer 2)" in d for d in report.findings[0].details)


def test_the_parameters_are_as_before(net_class):
    model = net_class([5], weight_scale=0.5)
    before = {k: (v, v.copy()) for k, v in model.params.items()}
    check(model, *batch())
    for key, (array, copy) in before.items():
        assert model.params[key] is array
        np.testing.assert_array_equal(array, copy)


def test_what_is_no_model():
    with pytest.raises(ArgumentError, match="params"):
        check(3)
    with pytest.raises(ArgumentError, match="batch"):
        check(types.SimpleNamespace(params={}, loss=lambda x, y: (0, {})))
