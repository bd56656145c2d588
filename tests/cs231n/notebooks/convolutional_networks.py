"""What the cells of the course's notebook on convolutional nets do, 2018 to 2026, in our own words and numbers."""

# ruff: noqa: F403, F405, NPY002, E402 (cells import where they like, and draw from the global random state)

import sys
from time import time

import matplotlib.pyplot as plt
import numpy as np
from cs231n.classifiers.cnn import *
from cs231n.data_utils import get_CIFAR10_data
from cs231n.fast_layers import *
from cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from cs231n.layers import *
from cs231n.solver import Solver


def rel_error(x, y):
    return np.max(np.abs(x - y) / (np.maximum(1e-8, np.abs(x) + np.abs(y))))


def close(what, x, y, bound):
    error = rel_error(np.asarray(x), np.asarray(y))
    print(f"{what}: {error:.2e} (the course: around {bound:g} or less)")
    assert error <= 5 * bound, what


def between(low, high, *shape):
    return np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)


def check(what, forward, backward, arrays, settings, bound):
    """Compare all gradients of a layer with centred differences."""
    out, cache = forward(*arrays, *settings)
    dout = np.random.randn(*out.shape)
    gradients = backward(dout, cache)
    for array, gradient in zip(arrays, gradients if isinstance(gradients, tuple) else (gradients,), strict=True):
        numeric = eval_numerical_gradient_array(lambda _: forward(*arrays, *settings)[0], array, dout)
        close(f"{what} {array.shape}", gradient, numeric, bound)


made_up = "made-up" in sys.argv
if made_up:
    np.random.seed(0)
    data = {}
    shades = 60 * np.random.randn(10, 3, 32, 32)
    for part, count in (("train", 500), ("val", 100)):
        data[f"y_{part}"] = np.random.randint(10, size=count)
        data[f"X_{part}"] = shades[data[f"y_{part}"]] + 60 * np.random.randn(count, 3, 32, 32)
else:
    data = get_CIFAR10_data()

# -- naive layers ----------------------------------------------------------------------------------------------------

x, w, b = between(-0.1, 0.5, 2, 3, 4, 4), between(-0.2, 0.3, 3, 3, 4, 4), between(-0.1, 0.2, 3)
conv_param = {"stride": 2, "pad": 1}
out, _ = conv_forward_naive(x, w, b, conv_param)
padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
wanted = [
    [[[np.sum(p[:, i : i + 4, j : j + 4] * f) + c for j in (0, 2)] for i in (0, 2)] for f, c in zip(w, b, strict=True)]
    for p in padded
]
close("conv_forward_naive", out, np.array(wanted), 1e-8)

x = np.random.rand(2, 3, 200, 200) * 255  # the kitten and the puppy
w, b = np.zeros((2, 3, 3, 3)), np.array([0, 128])
w[0, 0, :, :], w[0, 1, :, :] = [[0, 0, 0], [0, 0.3, 0], [0, 0, 0]], [[0, 0, 0], [0, 0.6, 0], [0, 0, 0]]
w[0, 2, :, :] = [[0, 0, 0], [0, 0.1, 0], [0, 0, 0]]
w[1, 2, :, :] = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
out, _ = conv_forward_naive(x, w, b, {"stride": 1, "pad": 1})


def imshow_no_ax(img, normalize=True):
    if normalize:
        img_max, img_min = np.max(img), np.min(img)
        img = 255.0 * (img - img_min) / (img_max - img_min)
    plt.imshow(img.astype("uint8"))
    plt.gca().axis("off")


for n, image in enumerate((x[0].transpose(1, 2, 0), out[0, 0], out[0, 1]), start=1):
    plt.subplot(2, 3, n)
    imshow_no_ax(image, normalize=n > 1)
plt.show()
close("grayscale", out[:, 0], 0.3 * x[:, 0] + 0.6 * x[:, 1] + 0.1 * x[:, 2], 1e-9)

np.random.seed(231)
arrays = (np.random.randn(4, 3, 5, 5), np.random.randn(2, 3, 3, 3), np.random.randn(2))
check("conv_backward_naive", conv_forward_naive, conv_backward_naive, arrays, ({"stride": 1, "pad": 1},), 1e-8)

x = between(-0.3, 0.4, 2, 3, 4, 4)
pool_param = {"pool_width": 2, "pool_height": 2, "stride": 2}
out, _ = max_pool_forward_naive(x, pool_param)
close("max_pool_forward_naive", out, x[:, :, 1::2, 1::2], 1e-8)  # values that rise: the last of each window
pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
check(
    "max_pool_backward_naive",
    max_pool_forward_naive,
    max_pool_backward_naive,
    (np.random.randn(3, 2, 8, 8),),
    (pool_param,),
    1e-10,
)

# -- fast layers -----------------------------------------------------------------------------------------------------

np.random.seed(231)
x, w, b, dout = (np.random.randn(*s) for s in ((5, 3, 31, 31), (25, 3, 3, 3), (25,), (5, 25, 16, 16)))
conv_param = {"stride": 2, "pad": 1}
t0 = time()
out_naive, cache_naive = conv_forward_naive(x, w, b, conv_param)
t1 = time()
out_fast, cache_fast = conv_forward_fast(x, w, b, conv_param)
t2 = time()
print(f"Naive: {t1 - t0:f}s, fast: {t2 - t1:f}s, speedup: {(t1 - t0) / (t2 - t1):f}x")
close("conv_forward_fast", out_naive, out_fast, 1e-7)
for what, naive, fast in zip(
    ("dx", "dw", "db"), conv_backward_naive(dout, cache_naive), conv_backward_fast(dout, cache_fast), strict=True
):
    close(f"conv_backward_fast {what}", naive, fast, 1e-7)

x, dout = np.random.randn(100, 3, 32, 32), np.random.randn(100, 3, 16, 16)
out_naive, cache_naive = max_pool_forward_naive(x, pool_param)
out_fast, cache_fast = max_pool_forward_fast(x, pool_param)
close("max_pool_forward_fast", out_naive, out_fast, 0)
close("max_pool_backward_fast", max_pool_backward_naive(dout, cache_naive), max_pool_backward_fast(dout, cache_fast), 0)

from cs231n.layer_utils import (
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)

np.random.seed(231)
arrays = (np.random.randn(2, 3, 16, 16), np.random.randn(3, 3, 3, 3), np.random.randn(3))
settings = ({"stride": 1, "pad": 1}, pool_param)
check("conv_relu_pool", conv_relu_pool_forward, conv_relu_pool_backward, arrays, settings, 1e-6)
arrays = (np.random.randn(2, 3, 8, 8), np.random.randn(3, 3, 3, 3), np.random.randn(3))
check("conv_relu", conv_relu_forward, conv_relu_backward, arrays, ({"stride": 1, "pad": 1},), 1e-6)

# -- the net of three layers -----------------------------------------------------------------------------------------

model = ThreeLayerConvNet()
N = 50
X, y = np.random.randn(N, 3, 32, 32), np.random.randint(10, size=N)
loss, grads = model.loss(X, y)
print("Initial loss (no regularization): ", loss)
assert abs(loss - np.log(10)) < 0.01
model.reg = 0.5
regularised, grads = model.loss(X, y)
print("Initial loss (with regularization): ", regularised)
assert regularised > loss

np.random.seed(231)
X, y = np.random.randn(2, 3, 16, 16), np.random.randint(10, size=2)
model = ThreeLayerConvNet(num_filters=3, filter_size=3, input_dim=(3, 16, 16), hidden_dim=7, dtype=np.float64)
loss, grads = model.loss(X, y)
for param_name in sorted(grads):
    f = lambda _: model.loss(X, y)[0]  # noqa: E731 (as in the notebook)
    param_grad_num = eval_numerical_gradient(f, model.params[param_name], verbose=False, h=1e-6)
    close(f"{param_name} max relative error", param_grad_num, grads[param_name], 3e-2)

np.random.seed(231)
num_train = 100
small_data = {**data, "X_train": data["X_train"][:num_train], "y_train": data["y_train"][:num_train]}
model = ThreeLayerConvNet(weight_scale=1e-2)
solver = Solver(
    model,
    small_data,
    num_epochs=4 if made_up else 15,
    batch_size=50,
    update_rule="adam",
    optim_config={"learning_rate": 1e-3},
    verbose=True,
    print_every=1,
)
solver.train()
plt.subplot(2, 1, 1)
plt.plot(solver.loss_history, "o")
plt.subplot(2, 1, 2)
plt.plot(solver.train_acc_history, "-o")
plt.plot(solver.val_acc_history, "-o")
plt.show()
print("Small data training accuracy:", solver.check_accuracy(small_data["X_train"], small_data["y_train"]))
print("Small data validation accuracy:", solver.check_accuracy(small_data["X_val"], small_data["y_val"]))
assert made_up or max(solver.train_acc_history) > 0.8

model = ThreeLayerConvNet(weight_scale=0.001, hidden_dim=500, reg=0.001)
solver = Solver(
    model,
    data,
    num_epochs=1,
    batch_size=50,
    update_rule="adam",
    optim_config={"learning_rate": 1e-3},
    verbose=True,
    print_every=20,
)
solver.train()
accuracy = solver.check_accuracy(data["X_train"], data["y_train"], num_samples=2000)
print("Full data training accuracy:", accuracy)
assert made_up or accuracy > 0.4

from cs231n.vis_utils import visualize_grid

grid = visualize_grid(model.params["W1"].transpose(0, 2, 3, 1))
plt.imshow(grid.astype("uint8"))
plt.axis("off")
plt.gcf().set_size_inches(5, 5)
plt.show()

# -- spatial batch norm and group norm -------------------------------------------------------------------------------

np.random.seed(231)
N, C, H, W = 2, 3, 4, 5
x = 4 * np.random.randn(N, C, H, W) + 10
for gamma, beta in ((np.ones(C), np.zeros(C)), (np.asarray([3, 4, 5]), np.asarray([6, 7, 8]))):
    out, _ = spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})
    print("means:", out.mean(axis=(0, 2, 3)), "stds:", out.std(axis=(0, 2, 3)))
    assert out.shape == x.shape
    assert np.allclose(out.mean(axis=(0, 2, 3)), beta, atol=1e-6)
    assert np.allclose(out.std(axis=(0, 2, 3)), gamma, atol=1e-4)
bn_param, gamma, beta = {"mode": "train"}, np.ones(4), np.zeros(4)
for _ in range(50):
    spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
bn_param["mode"] = "test"
a_norm, _ = spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
assert np.allclose(a_norm.mean(axis=(0, 2, 3)), 0, atol=0.15)
assert np.allclose(a_norm.std(axis=(0, 2, 3)), 1, atol=0.15)

arrays = (5 * np.random.randn(N, C, H, W) + 12, np.random.randn(C), np.random.randn(C))
check("spatial_batchnorm", spatial_batchnorm_forward, spatial_batchnorm_backward, arrays, ({"mode": "train"},), 1e-6)

N, C, H, W, G = 2, 6, 4, 5, 2
x = 4 * np.random.randn(N, C, H, W) + 10
gamma, beta = np.ones((1, C, 1, 1)), np.zeros((1, C, 1, 1))
out, _ = spatial_groupnorm_forward(x, gamma, beta, G, {"mode": "train"})
assert np.allclose(out.reshape(N * G, -1).mean(axis=1), 0, atol=1e-6)
assert np.allclose(out.reshape(N * G, -1).std(axis=1), 1, atol=1e-5)
arrays = (5 * np.random.randn(N, C, H, W) + 12, np.random.randn(1, C, 1, 1), np.random.randn(1, C, 1, 1))
check("spatial_groupnorm", spatial_groupnorm_forward, spatial_groupnorm_backward, arrays, (G, {}), 1e-6)
print("all cells ran")
