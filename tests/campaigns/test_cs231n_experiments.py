"""The course's experiments on real CIFAR-10; prints the figures and asserts the course's bars (pytest -m slow -s)."""

# ruff: noqa: NPY002 (the course draws from NumPy's global random state)

from __future__ import annotations

import numpy as np
import pytest

from backpass.cs231n.classifiers.cnn import ThreeLayerConvNet
from backpass.cs231n.classifiers.fc_net import FullyConnectedNet
from backpass.cs231n.data_utils import get_CIFAR10_data
from backpass.cs231n.solver import Solver

pytestmark = pytest.mark.slow
ADAM = {"update_rule": "adam", "optim_config": {"learning_rate": 1e-3}}


@pytest.fixture(scope="module")
def cifar():
    return get_CIFAR10_data(10_000)


def run(name, net, data, count, **settings):
    small = data | {"X_train": data["X_train"][:count], "y_train": data["y_train"][:count]}
    solver = Solver(net, small, verbose=False, **settings)
    solver.train()
    last, train, val = solver.loss_history[-1], max(solver.train_acc_history), solver.best_val_acc
    print(f"{name}: last loss {last:.3f}, best train {train:.3f}, best val {val:.3f}")
    return solver


@pytest.fixture(autouse=True)
def _needs_data(data_dir):
    np.random.seed(231)


@pytest.mark.parametrize(("name", "layers", "scale", "rate"), [("E3", 2, 1e-2, 1e-2), ("E4", 4, 5e-2, 3e-3)])
def test_overfit_50(cifar, name, layers, scale, rate):
    net = FullyConnectedNet([100] * layers, weight_scale=scale, dtype=np.float64)
    solver = run(name, net, cifar, 50, num_epochs=20, batch_size=25, optim_config={"learning_rate": rate})
    assert max(solver.train_acc_history) == 1.0


def test_e5_e6_update_rules(cifar):
    losses = {}
    for rule, rate in (("sgd", 5e-3), ("sgd_momentum", 5e-3), ("rmsprop", 1e-4), ("adam", 1e-3)):
        net = FullyConnectedNet([100] * 5, weight_scale=5e-2)
        config = {"learning_rate": rate}
        solver = run(
            f"E6 {rule}", net, cifar, 4000, num_epochs=5, batch_size=100, update_rule=rule, optim_config=config
        )
        losses[rule] = np.mean(solver.loss_history[-20:])
    assert max(losses["sgd_momentum"], losses["adam"]) < losses["sgd"]


def test_e8_batchnorm_learns_faster(cifar):
    best = {}
    for norm in (None, "batchnorm"):
        net = FullyConnectedNet([100] * 5, weight_scale=2e-2, normalization=norm)
        best[norm] = max(run(f"E8 {norm}", net, cifar, 1000, num_epochs=10, batch_size=50, **ADAM).train_acc_history)
    assert best["batchnorm"] > best[None]


def test_e15_dropout_lowers_training_accuracy(cifar):
    last = {}
    for keep in (1, 0.25):
        net = FullyConnectedNet([500], dropout_keep_ratio=keep)
        settings = {"update_rule": "adam", "optim_config": {"learning_rate": 5e-4}}
        last[keep] = run(f"E15 {keep}", net, cifar, 500, num_epochs=25, batch_size=100, **settings).train_acc_history[
            -1
        ]
    assert last[0.25] <= last[1]


def test_e21_overfit_100_with_a_conv_net(cifar):
    net = ThreeLayerConvNet(weight_scale=1e-2)
    assert max(run("E21", net, cifar, 100, num_epochs=15, batch_size=50, **ADAM).train_acc_history) > 0.8


def test_e22_one_epoch_of_a_conv_net():
    net = ThreeLayerConvNet(weight_scale=1e-3, hidden_dim=500, reg=1e-3)
    solver = run("E22", net, get_CIFAR10_data(), 49_000, num_epochs=1, batch_size=50, **ADAM)
    assert solver.train_acc_history[-1] > 0.4
