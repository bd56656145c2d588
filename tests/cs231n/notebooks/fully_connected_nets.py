"""What the cells of the course's notebook on fully connected nets do, 2018 to 2024, in our own words and numbers."""

# ruff: noqa: F403, F405, NPY002, B023, E402 (cells import where they like, and draw from the global random state)

import sys

import matplotlib.pyplot as plt
import numpy as np
from cs231n.classifiers.fc_net import *
from cs231n.data_utils import get_CIFAR10_data
from cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from cs231n.solver import Solver

plt.rcParams["figure.figsize"] = (10.0, 8.0)


def rel_error(x, y):
    return np.max(np.abs(x - y) / (np.maximum(1e-8, np.abs(x) + np.abs(y))))


def close(what, x, y, bound):
    error = rel_error(np.asarray(x), np.asarray(y))
    print(f"{what}: {error:.2e} (the course: around {bound:g} or less)")
    assert error <= 5 * bound, what


def between(low, high, *shape):
    return np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)


# -- the data: CIFAR-10, or with the word "made-up" pictures in its shapes ------------------------------------------

made_up = "made-up" in sys.argv
if made_up:
    np.random.seed(0)
    data = {}
    shades = 60 * np.random.randn(10, 3, 32, 32)
    for part, count in (("train", 4000), ("val", 200), ("test", 200)):
        data[f"y_{part}"] = np.random.randint(10, size=count)
        data[f"X_{part}"] = shades[data[f"y_{part}"]] + 60 * np.random.randn(count, 3, 32, 32)
else:
    data = get_CIFAR10_data()
for k, v in list(data.items()):
    print(f"{k}: {v.shape}")

# -- layers ----------------------------------------------------------------------------------------------------------

x, w, b = between(-0.1, 0.5, 2, 4, 5, 6), between(-0.2, 0.3, 120, 3), between(-0.3, 0.1, 3)
out, _ = affine_forward(x, w, b)
close("affine_forward", out, np.einsum("nabc,abcm->nm", x, w.reshape(4, 5, 6, 3)) + b, 1e-9)

np.random.seed(231)
x, w, b, dout = np.random.randn(10, 2, 3), np.random.randn(6, 5), np.random.randn(5), np.random.randn(10, 5)
dx_num = eval_numerical_gradient_array(lambda x: affine_forward(x, w, b)[0], x, dout)
dw_num = eval_numerical_gradient_array(lambda w: affine_forward(x, w, b)[0], w, dout)
db_num = eval_numerical_gradient_array(lambda b: affine_forward(x, w, b)[0], b, dout)
_, cache = affine_forward(x, w, b)
dx, dw, db = affine_backward(dout, cache)
for what, mine, numeric in (("dx", dx, dx_num), ("dw", dw, dw_num), ("db", db, db_num)):
    close(f"affine_backward {what}", mine, numeric, 1e-9)

x = between(-0.5, 0.5, 3, 4)
out, _ = relu_forward(x)
close("relu_forward", out, np.where(x > 0, x, 0), 1e-12)
np.random.seed(231)
x, dout = np.random.randn(10, 10), np.random.randn(10, 10)
_, cache = relu_forward(x)
close(
    "relu_backward",
    relu_backward(dout, cache),
    eval_numerical_gradient_array(lambda x: relu_forward(x)[0], x, dout),
    1e-11,
)

from cs231n.layer_utils import affine_relu_backward, affine_relu_forward

np.random.seed(231)
x, w, b, dout = np.random.randn(2, 3, 4), np.random.randn(12, 10), np.random.randn(10), np.random.randn(2, 10)
out, cache = affine_relu_forward(x, w, b)
dx, dw, db = affine_relu_backward(dout, cache)
for what, mine, array in (("dx", dx, x), ("dw", dw, w), ("db", db, b)):
    numeric = eval_numerical_gradient_array(lambda _: affine_relu_forward(x, w, b)[0], array, dout)
    close(f"affine_relu_backward {what}", mine, numeric, 1e-8)

np.random.seed(231)
x, y = 0.001 * np.random.randn(50, 10), np.random.randint(10, size=50)
for function, near in ((svm_loss, 9.0), (softmax_loss, np.log(10))):
    dx_num = eval_numerical_gradient(lambda x, f=function: f(x, y)[0], x, verbose=False)
    loss, dx = function(x, y)
    print(f"{function.__name__}: loss {loss}")
    assert abs(loss - near) < 0.01
    close(f"{function.__name__} dx", dx, dx_num, 1e-6)

# -- the net of two layers (to 2020) ---------------------------------------------------------------------------------

np.random.seed(231)
N, D, H, C = 3, 5, 50, 7
X, y, std = np.random.randn(N, D), np.random.randint(C, size=N), 1e-3
model = TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, weight_scale=std)
assert abs(model.params["W1"].std() - std) < std / 10, "first layer weights"
assert np.all(model.params["b1"] == 0), "first layer biases"
assert abs(model.params["W2"].std() - std) < std / 10, "second layer weights"
assert np.all(model.params["b2"] == 0), "second layer biases"

model.params["W1"], model.params["b1"] = between(-0.7, 0.3, D, H), between(-0.1, 0.9, H)
model.params["W2"], model.params["b2"] = between(-0.3, 0.4, H, C), between(-0.9, 0.1, C)
X = between(-5.5, 4.5, D, N).T
hidden = X @ model.params["W1"] + model.params["b1"]
scores = hidden * (hidden > 0) @ model.params["W2"] + model.params["b2"]
close("TwoLayerNet scores", model.loss(X), scores, 1e-10)
y = np.asarray([0, 5, 1])
nll = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(N), y])
squares = sum((model.params[k] ** 2).sum() for k in ("W1", "W2"))
for reg in (0.0, 1.0):
    model.reg = reg
    loss, grads = model.loss(X, y)
    close(f"TwoLayerNet loss, reg {reg}", loss, nll + 0.5 * reg * squares, 1e-10)
for reg in [0.0, 0.7]:
    model.reg = reg
    loss, grads = model.loss(X, y)
    for name in sorted(grads):
        f = lambda _: model.loss(X, y)[0]  # noqa: E731 (as in the notebook)
        close(f"{name}, reg {reg}", grads[name], eval_numerical_gradient(f, model.params[name], verbose=False), 1e-6)

model = TwoLayerNet(hidden_dim=60)
part = {k: v[:1000] for k, v in data.items()}
solver = Solver(
    model, part, update_rule="sgd", optim_config={"learning_rate": 1e-3}, lr_decay=0.95, num_epochs=3, batch_size=100
)
solver.train()
plt.subplot(2, 1, 1)
plt.plot(solver.loss_history, "o")
plt.subplot(2, 1, 2)
plt.plot(solver.train_acc_history, "-o", label="train")
plt.plot(solver.val_acc_history, "-o", label="val")
plt.plot([0.5] * len(solver.val_acc_history), "k--")
plt.legend(loc="lower right")
plt.gcf().set_size_inches(15, 12)
plt.show()

# -- nets of any depth -----------------------------------------------------------------------------------------------

np.random.seed(231)
N, D, H1, H2, C = 2, 15, 20, 30, 10
X, y = np.random.randn(N, D), np.random.randint(C, size=(N,))
for reg in [0, 3.14]:
    model = FullyConnectedNet([H1, H2], input_dim=D, num_classes=C, reg=reg, weight_scale=5e-2, dtype=np.float64)
    loss, grads = model.loss(X, y)
    print("Initial loss: ", loss)
    for name in sorted(grads):
        f = lambda _: model.loss(X, y)[0]  # noqa: E731
        numeric = eval_numerical_gradient(f, model.params[name], verbose=False, h=1e-5)
        close(f"{name}, reg {reg}", grads[name], numeric, 1e-4)

small_data = {
    "X_train": data["X_train"][:50],
    "y_train": data["y_train"][:50],
    "X_val": data["X_val"],
    "y_val": data["y_val"],
}
for hidden, weight_scale, learning_rate in (([100, 100], 1e-2, 1e-2), ([100, 100, 100, 100], 5e-2, 3e-3)):
    np.random.seed(231)
    model = FullyConnectedNet(hidden, weight_scale=weight_scale, dtype=np.float64)
    solver = Solver(
        model,
        small_data,
        print_every=10,
        num_epochs=20,
        batch_size=25,
        update_rule="sgd",
        optim_config={"learning_rate": learning_rate},
    )
    solver.train()
    assert made_up or max(solver.train_acc_history) == 1.0
    plt.plot(solver.loss_history)
    plt.show()

# -- update rules ----------------------------------------------------------------------------------------------------

from cs231n.optim import adam, rmsprop, sgd_momentum

N, D = 4, 5
w, dw, v = between(-0.4, 0.6, N, D), between(-0.6, 0.4, N, D), between(0.6, 0.9, N, D)
config = {"learning_rate": 1e-3, "velocity": v}
next_w, _ = sgd_momentum(w, dw, config=config)
close("sgd_momentum velocity", config["velocity"], 0.9 * v - 1e-3 * dw, 1e-8)
close("sgd_momentum next_w", next_w, w + 0.9 * v - 1e-3 * dw, 1e-8)
config = {"learning_rate": 1e-2, "cache": v}
next_w, _ = rmsprop(w, dw, config=config)
mean_square = 0.99 * v + 0.01 * dw * dw
close("rmsprop cache", config["cache"], mean_square, 1e-7)
close("rmsprop next_w", next_w, w - 1e-2 * dw / (np.sqrt(mean_square) + 1e-8), 1e-7)
m, second = between(0.6, 0.9, N, D), between(0.7, 0.5, N, D)
config = {"learning_rate": 1e-2, "m": m, "v": second, "t": 5}
next_w, _ = adam(w, dw, config=config)
first, square = 0.9 * m + 0.1 * dw, 0.999 * second + 0.001 * dw**2
close("adam m", config["m"], first, 1e-7)
close("adam v", config["v"], square, 1e-7)
step = first / (1 - 0.9**6) / (np.sqrt(square / (1 - 0.999**6)) + 1e-8)
close("adam next_w", next_w, w - 1e-2 * step, 1e-7)
assert config["t"] == 6

small_data = {**data, "X_train": data["X_train"][:4000], "y_train": data["y_train"][:4000]}
solvers = {}
learning_rates = {"sgd": 5e-3, "sgd_momentum": 5e-3, "rmsprop": 1e-4, "adam": 1e-3}
for update_rule, rate in learning_rates.items():
    model = FullyConnectedNet([100, 100, 100, 100, 100], weight_scale=5e-2)
    solver = Solver(
        model,
        small_data,
        num_epochs=1 if made_up else 5,
        batch_size=100,
        update_rule=update_rule,
        optim_config={"learning_rate": rate},
        verbose=update_rule == "sgd",
    )
    solvers[update_rule] = solver
    solver.train()
fig, axes = plt.subplots(3, 1, figsize=(15, 15))
for update_rule, solver in solvers.items():
    axes[0].plot(solver.loss_history, label=f"loss_{update_rule}")
    axes[1].plot(solver.train_acc_history, label=f"train_acc_{update_rule}")
    axes[2].plot(solver.val_acc_history, label=f"val_acc_{update_rule}")
for ax in axes:
    ax.legend(loc="best", ncol=4)
plt.show()
assert solvers["adam"].loss_history[-1] < solvers["sgd"].loss_history[-1]

best_model = solvers["adam"].model
y_test_pred = np.argmax(best_model.loss(data["X_test"]), axis=1)
y_val_pred = np.argmax(best_model.loss(data["X_val"]), axis=1)
print("Validation set accuracy: ", (y_val_pred == data["y_val"]).mean())
print("Test set accuracy: ", (y_test_pred == data["y_test"]).mean())
assert (y_val_pred == data["y_val"]).mean() == solvers["adam"].best_val_acc
print("all cells ran")
