"""The doctor on backpass itself: everything registered passes, and a fault planted in a copy is found where it is."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract.cases import package_layers

import backpass as bp
from backpass import native
from backpass.check.own import parts
from backpass.check.sandbox import examine
from backpass.errors import ArgumentError
from backpass.layers.base import Layer, Reference
from backpass.losses.base import Loss
from backpass.optim.base import Optimizer

SLOW = {"Conv": [1, 11, 20], "MaxPool": [1, 4, 5], "AveragePool": [3, 4, 5]}  # indices of CASES


def registered(base):
    return sorted((c for c in base.registry.values() if c.__module__.startswith("backpass.")), key=lambda c: c.__name__)


@pytest.mark.parametrize("cls", package_layers(), ids=lambda cls: cls.__name__)
def test_layer_passes(cls, monkeypatch):
    module = sys.modules[cls.__module__]
    if cls.__name__ in SLOW:
        monkeypatch.setattr(module, "CASES", [module.CASES[i] for i in SLOW[cls.__name__]])
    names = []
    for name, run in parts(cls):
        report = run()
        assert report.ok, str(report)
        assert all(f.severity == "note" for f in report.findings), str(report)
        assert report.gradients or cls.__name__ == "Flatten", "nothing was compared"
        names.append(name)
    assert names == [f"{cls.__name__}.backward", f"{cls.__name__}.staged"]


@pytest.mark.parametrize("cls", registered(Loss), ids=lambda cls: cls.__name__)
def test_loss_passes(cls):
    report = bp.check(cls)
    assert report.ok, str(report)
    assert [row.name for row in report.gradients] == ["scores", "scores"]


@pytest.mark.parametrize("cls", registered(Optimizer), ids=lambda cls: cls.__name__)
def test_optimizer_passes(cls):
    report = bp.check(cls())
    assert report.ok, str(report)
    assert any("1e-10" in words for words in report.checked)


MODELS = {
    "norm and dropout": (bp.models.fully_connected([7, 5], classes=3, norm=bp.BatchNorm(), drop_prob=0.3), (4,)),
    "images": ([bp.Conv(4, 3), bp.SpatialBatchNorm(), bp.ReLU(), bp.MaxPool(2), bp.Flatten(), bp.Affine(3)], (2, 6, 6)),
    "one layer": ([bp.Affine(3)], (4,)),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_passes(name):
    layers, shape = MODELS[name]
    model = bp.Model(layers, shape, seed=1)
    before = model.params.copy()
    x = np.random.default_rng(0).standard_normal((5, *shape))
    for y in (np.array([0, 1, 2, 0, 1]), np.random.default_rng(1).standard_normal((5, 3)), None):
        report = bp.check(model, x, y)
        assert report.ok, str(report)
    assert {row.name for row in report.gradients} == {"x", *model.named_params()}
    assert (model.params == before).all()


# -- planted faults -----------------------------------------------------------------------------------------------


def planted(tmp_path, monkeypatch, original, old, new):
    """Load a copy of a layer's file with one line changed; return its module and the number of that line."""
    text = Path(sys.modules[original.__module__].__file__).read_text()
    assert text.count(old) == 1
    text = text.replace("from ..", "from backpass.").replace("from backpass. import", "from backpass import")
    text = text.replace("from .", "from backpass.layers.").replace(old, new)
    path = tmp_path / "planted.py"
    path.write_text(text)
    monkeypatch.setattr(Layer, "registry", dict(Layer.registry))
    spec = importlib.util.spec_from_file_location("planted", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "planted", module)
    spec.loader.exec_module(module)
    return module, text[: text.index(new)].count("\n") + 1


FAULTS = [
    ("cache.rstd**3", "cache.rstd**2", "staged"),
    ("2 / N * cache.centered * dvar", "1 / N * cache.centered * dvar", "staged"),
    ("dx = dcentered + dmean / N", "dx = dcentered", "staged"),
    ("(dgamma / -N)", "(-dgamma)", "backward"),
]


@pytest.mark.parametrize(("old", "new", "part"), FAULTS, ids=[new for _, new, _ in FAULTS])
def test_fault_in_a_layer_is_found(tmp_path, monkeypatch, old, new, part):
    module, line = planted(tmp_path, monkeypatch, bp.BatchNorm, old, new)
    report = bp.check(module.BatchNorm)
    assert not report.ok
    assert report.findings[0].line == line, str(report)
    assert report.findings[0].function == ("batchnorm_backward_staged" if part == "staged" else "batchnorm_backward")


def test_fault_in_an_optimizer_is_found():
    class LateAdam(bp.Adam):
        def update(self, w, dw, *slots, lr, t, options):
            return super().update(w, dw, *slots, lr=lr, t=t + 1, options=options)

    report = bp.check(LateAdam())
    assert not report.ok
    assert "t is increased" in report.findings[0].message
    Optimizer.registry.pop("LateAdam")


def test_wrong_reference_in_a_model_names_layer_and_line(tmp_path, monkeypatch):
    module, line = planted(tmp_path, monkeypatch, bp.BatchNorm, "(dgamma / -N)", "-(1 / N)")
    model = bp.Model([bp.Affine(5), module.BatchNorm(), bp.Affine(3)], (4,), seed=0, kernels=False)
    report = bp.check(model, np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, 2, 0, 1, 2]))
    assert not report.ok
    assert report.findings[0].message.startswith("layer 1, BatchNorm")
    assert report.findings[0].line == line
    assert "0.w (w of layer 0, Affine)" in str(report)


@pytest.mark.skipif(not native.available, reason="needs the compiled kernels")
def test_wrong_kernel_in_a_model_names_the_layer(monkeypatch):
    right = bp.Sigmoid.backward_kernel

    def wrong(self, dx, *others):
        call = right(self, dx, *others)

        def doubled():
            call()
            if dx is not None:
                dx[...] *= 2

        return doubled

    monkeypatch.setattr(bp.Sigmoid, "backward_kernel", wrong)
    model = bp.Model([bp.Affine(5), bp.Sigmoid(), bp.Affine(3)], (4,), seed=0)
    report = bp.check(model, np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, 2, 0, 1, 2]))
    assert [f.message for f in report.findings] == [
        "layer 1, Sigmoid: its kernel gives a wrong dx also when the layer runs alone"
    ]


# -- the faces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("backpass.layers.Tanh", ["Tanh.backward", "Tanh.staged"]),
        ("backpass.ReLU", ["ReLU.backward", "ReLU.staged"]),
        ("backpass.optim.SGD", ["SGD.update", "SGD.kernel"]),
        ("backpass.losses.svm_loss", ["svm_loss"]),
    ],
)
def test_dotted_names(target, names):
    reports = examine(target)
    assert [r.name for r in reports] == names
    assert all(reports)


def test_an_object_is_checked_with_its_own_settings_and_a_given_x():
    report = bp.check(replace(bp.LeakyReLU(), slope=0.7), np.zeros((3, 5)))
    assert report.ok
    assert any("slope=0.7" in words and "(3, 5)" in words for words in report.checked)


def test_a_layer_without_cases_needs_an_x():
    class Twice(Layer):
        reference = Reference(lambda x: (2 * x, None), lambda dout, cache: 2 * dout, lambda dout, cache: 2 * dout)

    Layer.registry.pop("Twice")
    with pytest.raises(ArgumentError, match="CASES"):
        bp.check(Twice())
