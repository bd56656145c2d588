from __future__ import annotations

import numpy as np
import pytest

from backpass.history import History
from backpass.report import health

LAYERS = ["0 Affine", "1 ReLU", "2 Affine", "3 ReLU", "4 Affine"]
RISING = np.linspace(0.3, 0.9, 20)


def history(epochs: int = 20, **changed: object) -> History:
    """A run with nothing wrong; arguments replace columns or inspections: a constant, or a value for each epoch."""
    made = History()
    at = np.arange(1, epochs + 1)
    columns = {
        "epoch": at,
        "step": 10 * at,
        "loss": 2.0 / at,
        "train_loss": 2.0 / at,
        "train_accuracy": np.minimum(0.97, 0.5 + 0.1 * at),
        "val_loss": 2.0 / np.minimum(at, 8),
        "val_accuracy": np.minimum(0.96, 0.5 + 0.1 * at),
        "lr": np.linspace(1e-3, 1e-5, epochs),
        "update_ratio": np.linspace(2e-3, 1e-6, epochs),
    }
    inspected = {
        "activation_std": np.ones(5),
        "gradient_std": np.full(5, 1e-3),
        "dead_fraction": np.zeros(5),
        "zero_fraction": np.zeros(5),
    }
    for name, value in changed.items():
        if name in inspected:
            inspected[name] = np.asarray(value, float)
        elif name != "step_loss":
            columns[name] = np.broadcast_to(np.asarray(value, float), epochs)
    losses = changed.get("step_loss", np.repeat(columns["loss"], 10))
    for loss in np.asarray(losses):
        made.add_step(float(loss))
    for i in range(epochs):
        made.add_epoch({name: float(column[i]) for name, column in columns.items()}, inspected)
    return made


def names(made: History) -> list[str]:
    return [finding.name for finding in health(made, LAYERS)]


def test_a_healthy_run_is_said_to_be_fine_and_what_was_looked_at():
    (finding,) = health(history(), LAYERS)
    assert finding.name == "fine"
    assert finding.level == "good"
    assert "dead units" in finding.reason


@pytest.mark.parametrize(
    ("planted", "name", "level", "words"),
    [
        ({"dead_fraction": [0, 0.6, 0, 0, 0]}, "dead units", "warning", ["1 ReLU", "60.0 %"]),
        ({"dead_fraction": [0, 0, 0, 0.2, 0]}, "dead units", "note", ["3 ReLU", "20.0 %"]),
        ({"gradient_std": [1e-9, 1e-7, 1e-5, 1e-4, 1e-3]}, "vanishing gradients", "warning", ["first layers", "1e-06"]),
        ({"gradient_std": [1e3, 1e2, 1e1, 1, 1e-1]}, "exploding gradients", "warning", ["1e+04"]),
        ({"gradient_std": np.zeros(5)}, "no gradient", "warning", ["every layer"]),
        ({"activation_std": [1, 0.1, 0.01, 1e-3, 1e-5]}, "vanishing activations", "warning", ["4 Affine"]),
        ({"activation_std": [1, 10, 1e2, 1e3, 1e5]}, "exploding activations", "warning", ["4 Affine"]),
        ({"update_ratio": 1e-6}, "tiny updates", "warning", ["1e-06", "0.001"]),
        ({"update_ratio": 0.2}, "huge updates", "warning", ["0.2"]),
        ({"train_accuracy": 0.99, "val_accuracy": 0.7}, "overfitting", "warning", ["99.0 %", "70.0 %"]),
        ({"val_loss": np.r_[np.linspace(1, 0.5, 10), np.linspace(0.55, 1, 10)]}, "validation loss rising", "note", ["epoch 10"]),
        ({"val_accuracy": RISING, "train_accuracy": RISING + 0.02}, "still improving", "note", ["fifth"]),
        ({"step_loss": np.full(200, 2.303)}, "loss not falling", "warning", ["2.303"]),
    ],
)  # fmt: skip
def test_each_planted_illness_is_found_with_its_reason_and_an_advice(planted, name, level, words):
    found = {finding.name: finding for finding in health(history(**planted), LAYERS)}
    assert name in found
    assert "fine" not in found
    assert found[name].level == level
    for word in words:
        assert word in found[name].reason
    assert found[name].advice.endswith(".")


def test_only_the_planted_illness_is_found():
    assert names(history(dead_fraction=[0, 0.6, 0, 0, 0])) == ["dead units"]
    assert names(history(gradient_std=[1e-9, 1e-7, 1e-5, 1e-4, 1e-3])) == ["vanishing gradients"]
    assert names(history(train_accuracy=0.99, val_accuracy=0.7)) == ["overfitting"]


def test_the_zeros_of_dropout_are_not_called_dead_units():
    made = history(dead_fraction=[0, 0, 0, 0.6, 0])
    assert [f.name for f in health(made, [*LAYERS[:3], "3 Dropout", "4 Affine"])] == ["fine"]


def test_a_rate_that_a_schedule_has_brought_down_is_not_called_tiny():
    assert "tiny updates" not in names(history(update_ratio=np.geomspace(1e-2, 1e-8, 20)))


def test_warnings_come_first():
    levels = [finding.level for finding in health(history(val_accuracy=0.6, dead_fraction=[0, 0.2, 0, 0, 0]), LAYERS)]
    assert levels == sorted(levels, key=("warning", "note", "good").index)


def test_a_run_without_an_epoch_or_without_inspections_is_not_an_error():
    assert names(History()) == ["too early"]
    bare = History()
    bare.add_step(1.0)
    bare.add_epoch({"epoch": 1})
    assert names(bare) == ["fine"]
