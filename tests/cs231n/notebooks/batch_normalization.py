"""What the cells of the course's notebook on batch and layer normalisation do, 2018 to 2026, in our own words."""

# ruff: noqa: F403, F405, NPY002, B023 (cells import where they like, and draw from the global random state)

import sys
import time

import matplotlib.pyplot as plt
import numpy as np
from cs231n.classifiers.fc_net import *
from cs231n.data_utils import get_CIFAR10_data
from cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from cs231n.solver import Solver

plt.rcParams["image.interpolation"] = "nearest"


def rel_error(x, y):
    return np.max(np.abs(x - y) / (np.maximum(1e-8, np.abs(x) + np.abs(y))))


def close(what, x, y, bound):
    error = rel_error(np.asarray(x), np.asarray(y))
    print(f"{what}: {error:.2e} (the course: around {bound:g} or less)")
    assert error <= 5 * bound, what


def print_mean_std(x, axis=0):
    print("  means: ", x.mean(axis=axis))
    print("  stds:  ", x.std(axis=axis))


def has(x, axis, mean, std, tolerance):
    print_mean_std(x, axis=axis)
    assert np.allclose(x.mean(axis=axis), mean, atol=tolerance)
    assert np.allclose(x.std(axis=axis), std, atol=tolerance)


made_up = "made-up" in sys.argv
if made_up:
    np.random.seed(0)
    y_train, y_val = np.random.randint(10, size=1000), np.random.randint(10, size=200)
    shades = 60 * np.random.randn(10, 3, 32, 32)
    data = {"X_train": shades[y_train] + 60 * np.random.randn(1000, 3, 32, 32), "y_train": y_train}
    data |= {"X_val": shades[y_val] + 60 * np.random.randn(200, 3, 32, 32), "y_val": y_val}
else:
    data = get_CIFAR10_data()
for k, v in data.items():
    print(f"{k}: {v.shape}")

# -- batch norm, forward ---------------------------------------------------------------------------------------------

np.random.seed(231)
N, D1, D2, D3 = 200, 50, 60, 3
X, W1, W2 = np.random.randn(N, D1), np.random.randn(D1, D2), np.random.randn(D2, D3)
a = np.maximum(0, X.dot(W1)).dot(W2)
print_mean_std(a, axis=0)
gamma, beta = np.ones((D3,)), np.zeros((D3,))
a_norm, _ = batchnorm_forward(a, gamma, beta, {"mode": "train"})
has(a_norm, 0, beta, gamma, 1e-6)
gamma, beta = np.asarray([1.0, 2.0, 3.0]), np.asarray([11.0, 12.0, 13.0])
a_norm, _ = batchnorm_forward(a, gamma, beta, {"mode": "train"})
has(a_norm, 0, beta, gamma, 1e-6)

bn_param = {"mode": "train"}
gamma, beta = np.ones(D3), np.zeros(D3)
for _ in range(50):
    X = np.random.randn(N, D1)
    a = np.maximum(0, X.dot(W1)).dot(W2)
    batchnorm_forward(a, gamma, beta, bn_param)
bn_param["mode"] = "test"
a = np.maximum(0, np.random.randn(N, D1).dot(W1)).dot(W2)
a_norm, _ = batchnorm_forward(a, gamma, beta, bn_param)
has(a_norm, 0, 0, 1, 0.25)

# -- batch norm, backward --------------------------------------------------------------------------------------------

np.random.seed(231)
N, D = 4, 5
x, gamma, beta, dout = 5 * np.random.randn(N, D) + 12, np.random.randn(D), np.random.randn(D), np.random.randn(N, D)
bn_param = {"mode": "train"}
fx = lambda x: batchnorm_forward(x, gamma, beta, bn_param)[0]  # noqa: E731 (as in the notebook)
fg = lambda a: batchnorm_forward(x, a, beta, bn_param)[0]  # noqa: E731
fb = lambda b: batchnorm_forward(x, gamma, b, bn_param)[0]  # noqa: E731
dx_num = eval_numerical_gradient_array(fx, x, dout)
da_num = eval_numerical_gradient_array(fg, gamma.copy(), dout)
db_num = eval_numerical_gradient_array(fb, beta.copy(), dout)
_, cache = batchnorm_forward(x, gamma, beta, bn_param)
dx, dgamma, dbeta = batchnorm_backward(dout, cache)
close("batchnorm_backward dx", dx, dx_num, 1e-8)
close("batchnorm_backward dgamma", dgamma, da_num, 1e-9)
close("batchnorm_backward dbeta", dbeta, db_num, 1e-9)

N, D = 100, 500
x, gamma, beta, dout = 5 * np.random.randn(N, D) + 12, np.random.randn(D), np.random.randn(D), np.random.randn(N, D)
out, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
t1 = time.time()
dx1, dgamma1, dbeta1 = batchnorm_backward(dout, cache)
t2 = time.time()
dx2, dgamma2, dbeta2 = batchnorm_backward_alt(dout, cache)
t3 = time.time()
close("dx of both", dx1, dx2, 1e-11)
close("dgamma of both", dgamma1, dgamma2, 1e-11)
close("dbeta of both", dbeta1, dbeta2, 1e-11)
print(f"speedup: {(t2 - t1) / (t3 - t2):.2f}x")

# -- nets with normalisation -----------------------------------------------------------------------------------------


def check_net(normalization):
    np.random.seed(231)
    N, D, H1, H2, C = 2, 15, 20, 30, 10
    X, y = np.random.randn(N, D), np.random.randint(C, size=(N,))
    for reg in [0, 3.14]:
        model = FullyConnectedNet(
            [H1, H2],
            input_dim=D,
            num_classes=C,
            reg=reg,
            weight_scale=5e-2,
            dtype=np.float64,
            normalization=normalization,
        )
        loss, grads = model.loss(X, y)
        print("Initial loss: ", loss)
        for name in sorted(grads):
            f = lambda _: model.loss(X, y)[0]  # noqa: E731 (as in the notebook)
            numeric = eval_numerical_gradient(f, model.params[name], verbose=False, h=1e-5)
            # b before batch norm has no effect: both are rounding, and 1e-8 or less
            same = np.abs(grads[name] - numeric).max() < 1e-8
            print(f"{normalization} {name}, reg {reg}: relative error {rel_error(numeric, grads[name]):.2e}")
            assert same or rel_error(numeric, grads[name]) < 1e-3, name


check_net("batchnorm")

num_train = 1000
small_data = {k: v[:num_train] for k, v in data.items() if k.split("_")[1] in ("train", "val")}


def train(hidden, num_epochs, batch_size, rate, weight_scale=2e-2, normalization=None, **more):
    model = FullyConnectedNet(hidden, weight_scale=weight_scale, normalization=normalization)
    solver = Solver(
        model,
        small_data,
        num_epochs=num_epochs,
        batch_size=batch_size,
        update_rule="adam",
        optim_config={"learning_rate": rate},
        **{"verbose": False, **more},
    )
    solver.train()
    return solver


epochs = 2 if made_up else 10
bn_solver = train([100] * 5, epochs, 50, 1e-3, normalization="batchnorm", verbose=True, print_every=20)
solver = train([100] * 5, epochs, 50, 1e-3, verbose=True, print_every=20)


def plot_training_history(title, label, baseline, bn_solvers, plot_fn, bl_marker=".", bn_marker=".", labels=None):
    plt.title(title)
    plt.xlabel(label)
    for i, each in enumerate(bn_solvers):
        plt.plot(plot_fn(each), bn_marker, label="with_norm" + (str(labels[i]) if labels is not None else ""))
    plt.plot(plot_fn(baseline), bl_marker, label="baseline" + (str(labels[0]) if labels is not None else ""))
    plt.legend(loc="lower center", ncol=len(bn_solvers) + 1)


plots = (
    ("Training loss", "Iteration", lambda x: x.loss_history, "o"),
    ("Training accuracy", "Epoch", lambda x: x.train_acc_history, "-o"),
    ("Validation accuracy", "Epoch", lambda x: x.val_acc_history, "-o"),
)
for n, (title, label, plot_fn, marker) in enumerate(plots, start=1):
    plt.subplot(3, 1, n)
    plot_training_history(title, label, solver, [bn_solver], plot_fn, bl_marker=marker, bn_marker=marker)
plt.gcf().set_size_inches(15, 15)
plt.show()
assert made_up or max(bn_solver.train_acc_history) > max(solver.train_acc_history)

bn_solvers_ws, solvers_ws = {}, {}
weight_scales = np.logspace(-4, 0, num=3 if made_up else 20)
for i, weight_scale in enumerate(weight_scales):
    print(f"Running weight scale {i + 1} / {len(weight_scales)}")
    bn_solvers_ws[weight_scale] = train([50] * 7, epochs, 50, 1e-3, weight_scale, "batchnorm")
    solvers_ws[weight_scale] = train([50] * 7, epochs, 50, 1e-3, weight_scale)
for which in (solvers_ws, bn_solvers_ws):
    plt.semilogx(weight_scales, [max(which[ws].val_acc_history) for ws in weight_scales], "-o")
    plt.semilogx(weight_scales, [max(which[ws].train_acc_history) for ws in weight_scales], "-o")
    plt.semilogx(weight_scales, [np.mean(which[ws].loss_history[-100:]) for ws in weight_scales], "-o")
plt.gca().set_ylim(1.0, 3.5)
plt.show()


def run_batchsize_experiments(normalization_mode):
    n_epochs, batch_sizes = 1 if made_up else 10, [5, 10, 50]
    solver_bsize = batch_sizes[0]
    base = train([100] * 5, n_epochs, solver_bsize, 10**-3.5)
    return [train([100] * 5, n_epochs, size, 10**-3.5, normalization=normalization_mode) for size in batch_sizes], base


for mode in ("batchnorm", "layernorm"):
    bn_solvers_bsize, solver_bsize = run_batchsize_experiments(mode)
    plt.subplot(2, 1, 1)
    plot_training_history(
        "Training accuracy",
        "Epoch",
        solver_bsize,
        bn_solvers_bsize,
        lambda x: x.train_acc_history,
        "-^",
        "-o",
        [5, 10, 50],
    )
    plt.show()

# -- layer norm ------------------------------------------------------------------------------------------------------

np.random.seed(231)
N, D1, D2, D3 = 4, 50, 60, 3
X, W1, W2 = np.random.randn(N, D1), np.random.randn(D1, D2), np.random.randn(D2, D3)
a = np.maximum(0, X.dot(W1)).dot(W2)
gamma, beta = np.ones(D3), np.zeros(D3)
has(layernorm_forward(a, gamma, beta, {"mode": "train"})[0], 1, 0, 1, 1e-5)
gamma, beta = np.asarray([3.0, 3.0, 3.0]), np.asarray([5.0, 5.0, 5.0])
has(layernorm_forward(a, gamma, beta, {"mode": "train"})[0], 1, 5, 3, 1e-5)

np.random.seed(231)
N, D = 4, 5
x, gamma, beta, dout = 5 * np.random.randn(N, D) + 12, np.random.randn(D), np.random.randn(D), np.random.randn(N, D)
ln_param = {}
_, cache = layernorm_forward(x, gamma, beta, ln_param)
dx, dgamma, dbeta = layernorm_backward(dout, cache)
for what, mine, array in (("dx", dx, x), ("dgamma", dgamma, gamma), ("dbeta", dbeta, beta)):
    numeric = eval_numerical_gradient_array(lambda _: layernorm_forward(x, gamma, beta, ln_param)[0], array, dout)
    close(f"layernorm_backward {what}", mine, numeric, 1e-8)
check_net("layernorm")
print("all cells ran")
