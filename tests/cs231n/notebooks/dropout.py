"""What the cells of the course's notebook on dropout do, 2018 to 2026, in our own words."""

# ruff: noqa: F403, F405, NPY002, B023 (cells import where they like, and draw from the global random state)

import sys

import matplotlib.pyplot as plt
import numpy as np
from cs231n.classifiers.fc_net import *
from cs231n.data_utils import get_CIFAR10_data
from cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from cs231n.solver import Solver


def rel_error(x, y):
    return np.max(np.abs(x - y) / (np.maximum(1e-8, np.abs(x) + np.abs(y))))


made_up = "made-up" in sys.argv
if made_up:
    np.random.seed(0)
    data = {f"y_{part}": np.random.randint(10, size=500) for part in ("train", "val")}
    data |= {f"X_{part}": 60 * np.random.randn(500, 3, 32, 32) for part in ("train", "val")}
else:
    data = get_CIFAR10_data()

np.random.seed(231)
x = np.random.randn(500, 500) + 10
for p in [0.25, 0.4, 0.7]:
    out, _ = dropout_forward(x, {"mode": "train", "p": p})
    out_test, _ = dropout_forward(x, {"mode": "test", "p": p})
    print(f"p = {p}: means {x.mean():.4f} {out.mean():.4f} {out_test.mean():.4f}; zeros {(out == 0).mean():.4f}")
    assert abs(out.mean() - x.mean()) < 0.15
    assert abs((out == 0).mean() - (1 - p)) < 0.01
    assert (out_test == 0).mean() == 0
    assert np.array_equal(out_test, x)

x, dout = np.random.randn(10, 10) + 10, np.random.randn(10, 10)
dropout_param = {"mode": "train", "p": 0.2, "seed": 123}
out, cache = dropout_forward(x, dropout_param)
dx = dropout_backward(dout, cache)
dx_num = eval_numerical_gradient_array(lambda xx: dropout_forward(xx, dropout_param)[0], x, dout)
print("dx relative error: ", rel_error(dx, dx_num))
assert rel_error(dx, dx_num) < 1e-8  # the course: around 1e-10; differences of values near 50 have that rounding

for keyword in ("dropout", "dropout_keep_ratio"):  # to 2020, and from 2021
    np.random.seed(231)
    N, D, H1, H2, C = 2, 15, 20, 30, 10
    X, y = np.random.randn(N, D), np.random.randint(C, size=(N,))
    for keep in [1, 0.75, 0.5]:
        model = FullyConnectedNet(
            [H1, H2], input_dim=D, num_classes=C, weight_scale=5e-2, dtype=np.float64, seed=123, **{keyword: keep}
        )
        loss, grads = model.loss(X, y)
        print(f"{keyword} {keep}: initial loss {loss}")
        assert abs(loss - np.log(10)) < 0.1
        for name in sorted(grads):
            f = lambda _: model.loss(X, y)[0]  # noqa: E731 (as in the notebook)
            numeric = eval_numerical_gradient(f, model.params[name], verbose=False, h=1e-5)
            print(f"{name} relative error: {rel_error(numeric, grads[name]):.2e}")
            assert rel_error(numeric, grads[name]) < 1e-4 or np.abs(numeric - grads[name]).max() < 1e-9

np.random.seed(231)
num_train = 500
small_data = {**data, "X_train": data["X_train"][:num_train], "y_train": data["y_train"][:num_train]}
solvers = {}
for dropout in [1, 0.25]:
    model = FullyConnectedNet([500], dropout_keep_ratio=dropout)
    print(dropout)
    solver = Solver(
        model,
        small_data,
        num_epochs=3 if made_up else 25,
        batch_size=100,
        update_rule="adam",
        optim_config={"learning_rate": 5e-4},
        verbose=True,
        print_every=100,
    )
    solver.train()
    solvers[dropout] = solver
for n, history in enumerate(("train_acc_history", "val_acc_history"), start=1):
    plt.subplot(3, 1, n)
    for dropout, solver in solvers.items():
        plt.plot(getattr(solver, history), "o", label=f"{dropout:.2f} dropout")
    plt.legend(ncol=2, loc="lower right")
plt.gcf().set_size_inches(15, 15)
plt.show()
assert solvers[0.25].train_acc_history[-1] <= solvers[1].train_acc_history[-1]
print("all cells ran")
