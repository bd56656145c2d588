"""The course's nets and Solver."""

# ruff: noqa: NPY002 (the course draws from NumPy's global random state)

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from backpass.cs231n.classifiers.cnn import ThreeLayerConvNet
from backpass.cs231n.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from backpass.cs231n.gradient_check import eval_numerical_gradient
from backpass.cs231n.layer_utils import affine_relu_backward, affine_relu_forward, conv_relu_pool_forward
from backpass.cs231n.layers import affine_backward, affine_forward, dropout_forward, layernorm_forward, softmax_loss
from backpass.cs231n.solver import Solver
from backpass.errors import CheckpointError


def toy(count=200, features=15, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, features))
    y = (X @ rng.standard_normal((features, 4))).argmax(axis=1)
    return {"X_train": X, "y_train": y, "X_val": X[:50] + 0.1, "y_val": y[:50]}


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("keep", [1, 0.75])
@pytest.mark.parametrize("hidden", [[8], [7, 6]])
def test_gradients_of_fully_connected_nets(normalization, keep, hidden):  # E1, E14
    np.random.seed(231)
    net = FullyConnectedNet(hidden, 15, 10, keep, normalization, 3.14, 5e-2, np.float64, seed=123)
    X, y = np.random.randn(4, 15), np.array([0, 9, 3, 3])
    _, grads = net.loss(X, y)
    assert grads.keys() == net.params.keys()
    for name, gradient in grads.items():
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6, err_msg=name)


def test_two_layer_net_is_the_course_functions():
    net = TwoLayerNet(input_dim=6, hidden_dim=5, num_classes=4, weight_scale=0.5, reg=0.3)
    X, y = np.random.default_rng(0).standard_normal((3, 2, 3)), np.array([0, 1, 3])
    p = net.params
    hidden, first = affine_relu_forward(X, p["W1"], p["b1"])
    scores, second = affine_forward(hidden, p["W2"], p["b2"])
    loss, dscores = softmax_loss(scores, y)
    dhidden, dW2, db2 = affine_backward(dscores, second)
    _, dW1, db1 = affine_relu_backward(dhidden, first)
    mine, grads = net.loss(X, y)
    np.testing.assert_allclose(mine, loss + 0.15 * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum()))
    np.testing.assert_allclose(net.loss(X), scores)
    for name, wanted in {"W1": dW1 + 0.3 * p["W1"], "b1": db1, "W2": dW2 + 0.3 * p["W2"], "b2": db2}.items():
        np.testing.assert_allclose(grads[name], wanted, atol=1e-12)


def test_dropout_of_a_net_is_the_course_function():
    net = FullyConnectedNet([50], 6, 3, 0.5, dtype=np.float64, weight_scale=1.0, seed=7)
    X, y = np.random.default_rng(0).standard_normal((4, 6)), np.array([0, 1, 2, 2])
    hidden, _ = affine_relu_forward(X, net.params["W1"], net.params["b1"])
    kept, _ = dropout_forward(hidden, {"mode": "train", "p": 0.5, "seed": 7})
    scores, _ = affine_forward(kept, net.params["W2"], net.params["b2"])
    np.testing.assert_allclose(net.loss(X, y)[0], softmax_loss(scores, y)[0])


def test_conv_net():  # E19, E20
    np.random.seed(231)
    net = ThreeLayerConvNet()
    X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
    loss, grads = net.loss(X, y)
    assert abs(loss - np.log(10)) < 0.01
    assert {g.dtype for g in grads.values()} == {np.dtype("float32")}  # defect 9: X is float64
    net.reg = 0.5
    assert net.loss(X, y)[0] > loss
    net = ThreeLayerConvNet((3, 16, 16), 3, 3, 7, weight_scale=0.1, dtype=np.float64)
    X, y = np.random.randn(2, 3, 16, 16), np.array([1, 3])
    _, grads = net.loss(X, y)
    pooled, _ = conv_relu_pool_forward(
        X,
        net.params["W1"],
        net.params["b1"],
        {"stride": 1, "pad": 1},
        {"pool_height": 2, "pool_width": 2, "stride": 2},
    )
    hidden, _ = affine_relu_forward(pooled, net.params["W2"], net.params["b2"])
    scores, _ = affine_forward(hidden, net.params["W3"], net.params["b3"])
    np.testing.assert_allclose(net.loss(X), scores, atol=1e-12)
    for name in ("W1", "b1", "b2", "W3", "b3"):
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False, h=1e-6)
        np.testing.assert_allclose(grads[name], numeric, rtol=1e-4, atol=1e-7, err_msg=name)


def test_params_are_read_at_every_loss_and_gradients_are_copies():
    net = TwoLayerNet(4, 5, 3)
    X, y = np.ones((2, 4)), np.array([0, 1])
    _, first = net.loss(X, y)
    kept = first["W2"].copy()
    net.params["W1"] = net.params["W1"] + 1.0
    _, second = net.loss(X, y)
    np.testing.assert_array_equal(first["W2"], kept)
    assert not np.allclose(second["W2"], kept)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.loss(X), net.loss(X))
    net.params["W1"] = np.zeros((5, 5))
    with pytest.raises(ValueError, match="params\\['W1'\\]"):
        net.loss(X)


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
def test_solver_prints_and_keeps_histories(rule, capsys):
    np.random.seed(0)
    net = FullyConnectedNet([20], 15, 4, weight_scale=0.2)
    solver = Solver(net, toy(), update_rule=rule, optim_config={"learning_rate": 1e-2}, num_epochs=3, batch_size=50)
    solver.train()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("(Iteration 1 / 12) loss: ")
    assert said[1].startswith("(Epoch 0 / 3) train acc: ")
    assert "; val_acc: " in said[-1]
    assert len(solver.loss_history) == 12
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == 4
    assert solver.best_val_acc == max(solver.val_acc_history)
    assert net.params["W1"].dtype == np.float32


def test_defect_6_a_net_that_is_never_right_keeps_its_parameters_and_best_brings_statistics():
    data = toy()
    wrong = data | {"y_val": np.full(50, 9)}
    net = FullyConnectedNet([20], 15, 4)
    Solver(net, wrong, num_epochs=1, verbose=False).train()
    assert net.params
    for seed in range(20):  # until the last check is not the best
        np.random.seed(seed)
        net = FullyConnectedNet([20], 15, 4, normalization="batchnorm", weight_scale=0.2)
        solver = Solver(net, data, update_rule="adam", optim_config={"learning_rate": 1.0}, num_epochs=6, verbose=False)
        solver.train()
        if solver.val_acc_history[-1] < solver.best_val_acc:
            break
    assert solver.val_acc_history[-1] < solver.best_val_acc
    assert solver.check_accuracy(data["X_val"], data["y_val"]) == solver.best_val_acc


def test_defect_6_an_epoch_can_be_a_pass():
    net = TwoLayerNet(15, 5, 4)
    solver = Solver(net, toy(count=205), num_epochs=1, batch_size=50, verbose=False, with_replacement=False)
    rows = np.concatenate([solver._batch(t, 4) for t in range(4)])
    assert sorted(rows) == list(range(205))


def test_defect_7_a_dropout_seed_does_not_repeat_the_batches():
    net = FullyConnectedNet([20], 15, 4, 0.5, seed=3)
    seen = []
    inner = net.loss
    net.loss = lambda X, y=None: seen.append(X) or inner(X, y)
    data = toy()
    Solver(net, data, num_epochs=1, batch_size=20, verbose=False, num_train_samples=None).train()
    batches = [X for X in seen if len(X) == 20]
    assert len({X.tobytes() for X in batches}) == len(batches) > 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_defect_9_a_net_computes_in_its_own_dtype(dtype):
    X, y = np.random.default_rng(0).standard_normal((3, 3, 8, 8)), np.array([0, 1, 2])
    for given in (X, X.astype(np.float32)):
        for net in (
            ThreeLayerConvNet((3, 8, 8), 2, 3, 4, 3, dtype=dtype),
            FullyConnectedNet([4], 192, 3, 0.5, "batchnorm", dtype=dtype),
        ):
            assert net.loss(given).dtype == dtype
            assert {g.dtype for g in net.loss(given, y)[1].values()} == {np.dtype(dtype)}


def test_defect_11_names_subsets_depths_and_layouts_are_what_they_say():
    x = np.random.default_rng(0).standard_normal((4, 50)) * 3 + 7
    out, _ = layernorm_forward(x, np.ones(50), np.zeros(50), {})  # not in layernorm_backward
    np.testing.assert_allclose([out.mean(axis=1), out.std(axis=1)], [[0] * 4, [1] * 4], atol=1e-5)
    assert sorted(name for name in TwoLayerNet().params if name[0] == "W") == ["W1", "W2"]  # one hidden layer
    data = toy(count=400)
    few = data | {"X_train": data["X_train"][:100], "y_train": data["y_train"][:100]}
    net = TwoLayerNet(15, 20, 4, weight_scale=0.3)
    solver = Solver(net, few, num_epochs=1, verbose=False, num_train_samples=None)
    solver.train()
    of_few = (net.loss(few["X_train"]).argmax(axis=1) == few["y_train"]).mean()
    of_all = (net.loss(data["X_train"]).argmax(axis=1) == data["y_train"]).mean()
    assert solver.train_acc_history[-1] == solver.check_accuracy(few["X_train"], few["y_train"]) == of_few != of_all
    assert solver.check_accuracy(data["X_train"], data["y_train"]) == of_all


def test_checkpoints_are_safe_and_resume_ends_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def begin(**more):
        np.random.seed(1)
        net = FullyConnectedNet([20], 15, 4, 0.8, "batchnorm", weight_scale=0.2)
        return net, Solver(net, toy(), update_rule="adam", num_epochs=4, batch_size=50, verbose=False, **more)

    net, solver = begin(checkpoint_name="run")
    solver.train()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"run_epoch_{k}.npz" for k in range(5)]
    for k in (0, 2):
        other, _ = begin()
        np.random.seed(99)
        again = Solver.resume(tmp_path / f"run_epoch_{k}.npz", other, toy())
        again.checkpoint_name = None
        again.train()
        assert again.loss_history == solver.loss_history
        assert again.val_acc_history == solver.val_acc_history
        for name, value in net.params.items():
            np.testing.assert_array_equal(other.params[name], value)
        np.testing.assert_array_equal(other.bn_params[0]["running_var"], net.bn_params[0]["running_var"])
    with pytest.raises(CheckpointError, match="another model"):
        Solver.resume(tmp_path / "run_epoch_0.npz", FullyConnectedNet([3], 15, 4), toy())


def test_solver_refuses_what_it_does_not_know():
    net = TwoLayerNet(15, 5, 4)
    for wrong in ({"update_rule": "sdg"}, {"learning_rate": 1}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="Solver"):
            Solver(net, toy(), **wrong)
    with pytest.raises(ValueError, match="X_val"):
        Solver(net, {"X_train": 1, "y_train": 1})


@pytest.mark.parametrize("layers", [2, 4])
def test_e3_e4_overfit_50(layers):
    np.random.seed(0)
    rng = np.random.default_rng(0)
    data = {"X_train": rng.standard_normal((50, 300)) * 60, "y_train": rng.integers(10, size=50)}
    data |= {"X_val": data["X_train"], "y_val": data["y_train"]}
    net = FullyConnectedNet([100] * layers, 300, weight_scale=0.1, dtype=np.float64)
    rule = {"optim_config": {"learning_rate": 1e-3}, "update_rule": "adam"}
    solver = Solver(net, data, num_epochs=20, batch_size=25, verbose=False, **rule)
    solver.train()
    assert solver.best_val_acc == 1.0


def test_a_run_that_diverges_says_so_and_can_go_on_from_its_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    net = FullyConnectedNet([20], 15, 4, weight_scale=0.2, normalization="batchnorm")
    settings = {"num_epochs": 6, "batch_size": 50, "checkpoint_name": "run"}
    solver = Solver(net, toy(), optim_config={"learning_rate": 0.1}, **settings)
    inner, calls = net.loss, []

    def loss(X, y=None):  # from the 10th step on, in the third epoch, the loss is NaN
        found = inner(X, y)
        calls.append(y is not None)
        return (float("nan"), found[1]) if y is not None and sum(calls) == 10 else found

    net.loss = loss
    with pytest.warns(RuntimeWarning, match=r"loss is nan at iteration 10 of 24.*best parameters back.*learning rate"):
        solver.train()
    assert np.isfinite(solver.loss_history[:-1]).all()
    assert np.isnan(solver.loss_history[-1])
    assert len(solver.loss_history) == 10
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == 4  # at steps 1, 4, 8, and where it ended
    assert solver.best_val_acc == max(solver.val_acc_history[:3])
    assert solver.check_accuracy(toy()["X_val"], toy()["y_val"]) == solver.best_val_acc
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"run_epoch_{k}.npz" for k in range(3)]
    capsys.readouterr()
    other = FullyConnectedNet([20], 15, 4, normalization="batchnorm")
    again = Solver.resume("run_epoch_2.npz", other, toy(), optim_config={"learning_rate": 0.01})
    assert {config["learning_rate"] for config in again.optim_configs.values()} == {0.01}
    again.train()
    assert len(again.loss_history) == 24
    assert np.isfinite(again.loss_history).all()
    assert "(Epoch 6 / 6)" in capsys.readouterr().out


def test_a_run_that_explodes_names_the_parameter_and_never_calls_infinities_the_best():
    np.random.seed(0)
    for rate, words in ((1e30, r"largest value is \d.*e\+\d+, in 'W\d'"), (1e45, r"params\['W\d'\] is not finite")):
        net = FullyConnectedNet([20, 20], 15, 4, weight_scale=0.2)
        solver = Solver(net, toy(), optim_config={"learning_rate": rate}, num_epochs=3, batch_size=50, verbose=False)
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match=words):
            solver.train()
        assert all(np.isfinite(w).all() for w in solver.best_params.values())
        assert bool(solver.best_params) == (rate == 1e30)  # at 1e45 the very first step left nothing finite
    net = FullyConnectedNet([20, 20], 15, 4, weight_scale=0.2)
    net.params["W1"][0, 0] = np.nan
    solver = Solver(net, toy(), num_epochs=3, batch_size=50, verbose=False)
    with pytest.warns(RuntimeWarning, match=r"iteration 1 of 12"):
        solver.train()
    assert solver.best_params == {}
    assert net.params
    assert len(solver.val_acc_history) == len(solver.loss_history) == 1
