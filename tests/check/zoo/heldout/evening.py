"""Evening work of six learners who never met: course homework, one-liners, MATLAB, PyTorch, einsum, objects."""

from collections import namedtuple

import numpy as np


#: right: course_affine
def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(N, -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: affine_images_left_flat
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_forward(x, w, b):
    N = x.shape[0]
    x_row = x.reshape(N, -1)
    out = x_row.dot(w) + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    x_row = x.reshape(N, -1)
    dx = dout.dot(w.T)  # BUG shape
    dw = x_row.T.dot(dout)
    db = dout.sum(axis=0)
    return dx, dw, db


#: affine_bias_by_average
def affine_forward(x, w, b):
    out = np.dot(x.reshape(len(x), -1), w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    X = x.reshape(len(x), -1)
    dx = np.dot(dout, w.T).reshape(x.shape)
    dw = np.dot(X.T, dout)
    db = np.mean(dout, axis=0)  # BUG mean_for_sum|factor
    return dx, dw, db


#: batchnorm_mean_path_forgotten
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D, dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(D, dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        mu = 1.0 / N * np.sum(x, axis=0)
        xmu = x - mu
        var = 1.0 / N * np.sum(xmu**2, axis=0)
        ivar = 1.0 / np.sqrt(var + eps)
        xhat = xmu * ivar
        out = gamma * xhat + beta
        cache = (xhat, xmu, ivar, gamma)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
    elif mode == "test":
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, xmu, ivar, gamma = cache
    N, D = dout.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * xmu * -0.5 * ivar**3, axis=0)
    dx1 = dxhat * ivar + dvar * 2.0 * xmu / N
    dmu = -np.sum(dx1, axis=0)
    dx = dx1  # BUG missing_term
    return dx, dgamma, dbeta


#: batchnorm_momentum_other_way
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    D = x.shape[1]
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    cache = None
    if mode == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        std = np.sqrt(var + eps)
        x_hat = (x - mean) / std
        out = gamma * x_hat + beta
        cache = x_hat, std, gamma
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = (1 - momentum) * running_var + momentum * var  # BUG running_stats
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    x_hat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * x_hat, axis=0)
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - x_hat * np.mean(dxhat * x_hat, axis=0)) / std
    return dx, dgamma, dbeta


#: right: course_dropout
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    else:
        out = x
    return out.astype(x.dtype, copy=False), (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout


#: dropout_not_scaled_back
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = None
    if mode == "train":
        keep = np.random.rand(*x.shape) < p
        mask = keep
        out = x * keep / p
    elif mode == "test":
        out = x
    cache = (dropout_param, mask)
    return out, cache


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    mode = dropout_param["mode"]
    dx = None
    if mode == "train":
        dx = dout * mask  # BUG keep_prob|factor
    elif mode == "test":
        dx = dout
    return dx


#: svm_margin_once
def svm_loss(x, y):
    num_train = x.shape[0]
    correct = x[np.arange(num_train), y].reshape(-1, 1)
    margins = np.maximum(0, x - correct + 1.0)
    margins[np.arange(num_train), y] = 0
    loss = margins.sum() / num_train
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    num_pos = np.any(margins > 0, axis=1)  # BUG operation|missing_sum|missing_factor
    dx[np.arange(num_train), y] -= num_pos
    dx /= num_train
    return loss, dx


#: conv_loops_last_row
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 3, 5, 6)),
        "w": rng.standard_normal((4, 3, 3, 2)),
        "b": rng.standard_normal(4),
        "conv_param": {"stride": 1, "pad": 1},
    }


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H1 = 1 + (H + 2 * pad - HH) // stride
    W1 = 1 + (W + 2 * pad - WW) // stride
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
    out = np.zeros((N, F, H1, W1))
    for n in range(N):
        for f in range(F):
            for i in range(H1):
                for j in range(W1):
                    win = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    out[n, f, i, j] = np.sum(win * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, H1, W1 = dout.shape
    xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), "constant")
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    db = np.zeros_like(b)
    for n in range(N):
        for f in range(F):
            db[f] += dout[n, f].sum()
            for i in range(H1 - 1):  # BUG window
                for j in range(W1):
                    win = xp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
                    dw[f] += win * dout[n, f, i, j]
                    dxp[n, :, i * stride : i * stride + HH, j * stride : j * stride + WW] += w[f] * dout[n, f, i, j]
    dx = dxp[:, :, pad : pad + H, pad : pad + W]
    return dx, dw, db


#: right: softplus_terse
def softplus_forward(x): return np.logaddexp(0, x), x
def softplus_backward(g, x): return g / (1 + np.exp(-x))


#: selu_scale_only_on_the_left
A, S = 1.6732632423543772, 1.0507009873554805
def selu_forward(x): return S * np.where(x > 0, x, A * np.expm1(x)), x
def selu_backward(g, x):
    return g * np.where(x > 0, 1.0, S * A * np.exp(x))  # BUG factor|missing_factor


#: mish_second_half
def mish_forward(x):
    t = np.tanh(np.log1p(np.exp(x)))
    return x * t, (x, t)
def mish_backward(g, c):
    x, t = c
    s = 1 / (1 + np.exp(-x))
    return g * (t + x * (1 - t) * s)  # BUG power|function


#: hardswish_kink_at_three
def hardswish_forward(x): return x * np.clip(x + 3, 0, 6) / 6, x
def hardswish_backward(g, x):
    d = np.where(x > 3, 1.0, (2 * x + 3) / 6)
    d[x < 0] = 0  # BUG mask
    return g * d


#: celu_alpha
def celu_forward(x, alpha=1.7): return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)), (x, alpha)
def celu_backward(g, c):
    x, alpha = c
    return g * np.where(x > 0, 1, np.exp(x) / alpha)  # BUG function|operation


#: glu_gate_gradient
def inputs(rng): return {"x": rng.standard_normal((3, 8))}
def glu_forward(x):
    a, b = np.split(x, 2, axis=1); s = 1 / (1 + np.exp(-b))
    return a * s, (a, s)
def glu_backward(g, c):
    a, s = c
    return np.hstack([g * s, g * s * (1 - s)])  # BUG missing_factor


#: right: logsoftmax_layer
def log_softmax_forward(x): o = x - np.log(np.exp(x).sum(1, keepdims=True)); return o, o
def log_softmax_backward(g, o): return g - np.exp(o) * g.sum(1, keepdims=True)


#: softmax_layer_diagonal
def softmax_forward(x): e = np.exp(x - x.max(-1, keepdims=True)); p = e / e.sum(-1, keepdims=True); return p, p
def softmax_backward(g, p):
    return g * p * (1 - p)  # BUG missing_term


#: logsigmoid_other_side
def logsigmoid_forward(x): return -np.logaddexp(0, -x), x
def logsigmoid_backward(g, x): return g / (1 + np.exp(-x))  # BUG sign|function


#: prelu_slope_for_each_channel
def inputs(rng): return {"x": rng.standard_normal((4, 3, 2)), "a": rng.uniform(0.1, 0.4, 3)}
def prelu_forward(x, a): return np.where(x > 0, x, a[:, None] * x), (x, a)
def prelu_backward(g, c):
    x, a = c
    gx = np.where(x > 0, g, a[:, None] * g)
    ga = np.where(x > 0, 0, x * g).sum(axis=0)  # BUG shape|missing_sum|axis
    return gx, ga


#: right: columns_are_samples
def inputs(rng):
    return {"X": rng.standard_normal((3, 4)), "W": rng.standard_normal((5, 3)), "b": rng.standard_normal((5, 1))}


def fc_forward(X, W, b):
    # X is D by N, one sample per column
    Z = W @ X + b
    A = 1.0 / (1.0 + np.exp(-Z))
    cache = {"X": X, "W": W, "A": A}
    return A, cache


def fc_backward(dA, cache):
    A = cache["A"]
    delta = dA * A * (1 - A)
    dX = cache["W"].T @ delta
    dW = delta @ cache["X"].T
    db = np.sum(delta, axis=1, keepdims=True)
    return dX, dW, db


#: columns_bias_summed_over_units
def inputs(rng):
    return {"X": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 3)), "b": rng.standard_normal((4, 1))}


def fc_forward(X, W, b):
    Z = W @ X + b
    A = np.tanh(Z)
    cache = {"X": X, "W": W, "A": A}
    return A, cache


def fc_backward(dA, cache):
    A = cache["A"]
    delta = dA * (1 - A**2)
    dX = cache["W"].T @ delta
    dW = delta @ cache["X"].T
    db = np.sum(delta, axis=0).reshape(-1, 1)  # BUG axis
    return dX, dW, db


#: square_weights_not_transposed
def inputs(rng):
    return {"X": rng.standard_normal((3, 5)), "W": rng.standard_normal((3, 3)), "b": rng.standard_normal((3, 1))}


def layer_forward(X, W, b):
    m = X.shape[1]
    Z = np.zeros((W.shape[0], m))
    for i in range(m):
        Z[:, i] = W.dot(X[:, i]) + b[:, 0]
    return Z, (X, W)


def layer_backward(dZ, cache):
    X, W = cache
    m = X.shape[1]
    dX = np.zeros(X.shape)
    dW = np.zeros(W.shape)
    db = np.zeros((W.shape[0], 1))
    for i in range(m):
        dX[:, i] = W.dot(dZ[:, i])  # BUG transposed
        dW = dW + np.outer(dZ[:, i], X[:, i])
        db[:, 0] = db[:, 0] + dZ[:, i]
    return dX, dW, db


#: outer_product_keeps_last_sample
def inputs(rng):
    return {"X": rng.standard_normal((3, 4)), "W": rng.standard_normal((2, 3)), "b": rng.standard_normal(2)}


def layer_forward(X, W, b):
    Z = np.zeros((W.shape[0], X.shape[1]))
    for k in range(X.shape[1]):
        Z[:, k] = np.dot(W, X[:, k]) + b
    return Z, [X, W]


def layer_backward(dZ, cache):
    X, W = cache
    [n, m] = X.shape
    dX = np.zeros((n, m))
    dW = np.zeros(W.shape)
    db = np.zeros(W.shape[0])
    for k in range(m):
        d = dZ[:, k]
        dX[:, k] = np.dot(W.T, d)
        dW = np.outer(d, X[:, k])  # BUG overlap|missing_sum
        db = db + d
    return dX, dW, db


#: conv1d_valid_not_full
def inputs(rng):
    return {"x": rng.standard_normal((3, 8)), "w": rng.standard_normal(3), "b": rng.standard_normal(1)}


def conv1_forward(x, w, b):
    # correlation, as conv(x, fliplr(w), 'valid') in MATLAB
    y = np.zeros((x.shape[0], x.shape[1] - len(w) + 1))
    for i in range(x.shape[0]):
        y[i] = np.convolve(x[i], w[::-1], "valid") + b[0]
    return y, (x, w)


def conv1_backward(dy, cache):
    x, w = cache
    dx = np.zeros(x.shape)
    dw = np.zeros(w.shape)
    for i in range(x.shape[0]):
        dx[i] = np.convolve(dy[i], w[::-1], "full")  # BUG transposed|operation|window
        dw += np.convolve(x[i], dy[i][::-1], "valid")
    db = np.array([dy.sum()])
    return dx, dw, db


#: mean_pooling_1d_last_block
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "k": 3}


def avgpool1_forward(x, k):
    [N, C, L] = x.shape
    M = L // k
    out = np.zeros((N, C, M))
    for m in range(M):
        out[:, :, m] = np.mean(x[:, :, m * k : (m + 1) * k], axis=2)
    return out, (x.shape, k)


def avgpool1_backward(dout, cache):
    shape, k = cache
    dx = np.zeros(shape)
    M = dout.shape[2]
    for m in range(M):
        dx[:, :, m * k : (m + 1) * k - 1] = dout[:, :, m : m + 1] / k  # BUG window
    return dx


#: right: torch_layernorm_two_axes
def inputs(rng):
    return {
        "input": rng.standard_normal((4, 3, 2)),
        "weight": rng.standard_normal((3, 2)),
        "bias": rng.standard_normal((3, 2)),
    }


def layer_norm_forward(input, weight, bias, eps=1e-5):
    mean = input.mean(axis=(-2, -1), keepdims=True)
    rstd = 1 / np.sqrt(input.var(axis=(-2, -1), keepdims=True) + eps)
    normalized = (input - mean) * rstd
    return normalized * weight + bias, {"normalized": normalized, "rstd": rstd, "weight": weight}


def layer_norm_backward(grad_output, ctx):
    normalized, rstd = ctx["normalized"], ctx["rstd"]
    grad_weight = (grad_output * normalized).sum(axis=0)
    grad_bias = grad_output.sum(axis=0)
    grad_norm = grad_output * ctx["weight"]
    c1 = grad_norm.mean(axis=(-2, -1), keepdims=True)
    c2 = (grad_norm * normalized).mean(axis=(-2, -1), keepdims=True)
    grad_input = (grad_norm - c1 - normalized * c2) * rstd
    return grad_input, grad_weight, grad_bias


#: layernorm_statistics_along_batch
def inputs(rng):
    return {"input": rng.standard_normal((4, 3)), "weight": rng.standard_normal(3), "bias": rng.standard_normal(3)}


def layer_norm_forward(input, weight, bias, eps=1e-5):
    mean = input.mean(axis=-1, keepdims=True)
    rstd = (input.var(axis=-1, keepdims=True) + eps) ** -0.5
    normalized = (input - mean) * rstd
    ctx = {"normalized": normalized, "rstd": rstd, "weight": weight}
    return normalized * weight + bias, ctx


def layer_norm_backward(grad_output, ctx):
    normalized, rstd, weight = ctx["normalized"], ctx["rstd"], ctx["weight"]
    grad_weight = (grad_output * normalized).sum(axis=0)
    grad_bias = grad_output.sum(axis=0)
    grad_norm = grad_output * weight
    mean_grad = grad_norm.mean(axis=-1, keepdims=True)
    mean_grad_norm = (grad_norm * normalized).mean(axis=0, keepdims=True)  # BUG axis
    grad_input = rstd * (grad_norm - mean_grad - normalized * mean_grad_norm)
    return grad_input, grad_weight, grad_bias


#: groupnorm_counts_all_channels
def inputs(rng):
    return {
        "x": rng.standard_normal((2, 6, 2, 3)),
        "weight": rng.standard_normal(6),
        "bias": rng.standard_normal(6),
        "num_groups": 2,
    }


def group_norm_forward(x, weight, bias, num_groups, eps=1e-5):
    N, C, H, W = x.shape
    xg = x.reshape(N, num_groups, -1)
    mu = xg.mean(axis=2, keepdims=True)
    inv = 1 / np.sqrt(xg.var(axis=2, keepdims=True) + eps)
    x_hat = ((xg - mu) * inv).reshape(x.shape)
    out = weight.reshape(1, C, 1, 1) * x_hat + bias.reshape(1, C, 1, 1)
    return out, (x_hat, inv, weight, num_groups)


def group_norm_backward(grad_out, saved):
    x_hat, inv, weight, num_groups = saved
    N, C, H, W = grad_out.shape
    grad_weight = np.sum(grad_out * x_hat, axis=(0, 2, 3))
    grad_bias = np.sum(grad_out, axis=(0, 2, 3))
    g = (grad_out * weight.reshape(1, C, 1, 1)).reshape(N, num_groups, -1)
    xh = x_hat.reshape(N, num_groups, -1)
    M = C * H * W  # BUG factor|wrong_variable
    grad_x = inv / M * (M * g - g.sum(2, keepdims=True) - xh * (g * xh).sum(2, keepdims=True))
    return grad_x.reshape(N, C, H, W), grad_weight, grad_bias


#: rmsnorm_cubed_forgotten
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 5)), "weight": rng.standard_normal(5)}


def rms_norm_forward(x, weight, eps=1e-6):
    r = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    return x * r * weight, (x, weight, r)


def rms_norm_backward(grad_output, ctx):
    x, weight, r = ctx
    d = x.shape[-1]
    grad_weight = (grad_output * x * r).sum(axis=(0, 1))
    gw = grad_output * weight
    dot = (gw * x).sum(axis=-1, keepdims=True)
    grad_x = r * gw - x * r**2 * dot / d  # BUG power
    return grad_x, grad_weight


#: instancenorm_returns_bias_first
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 3, 4)), "weight": rng.standard_normal(3), "bias": rng.standard_normal(3)}


def instance_norm_forward(x, weight, bias, eps=1e-5):
    mean = x.mean(axis=(2, 3), keepdims=True)
    var = ((x - mean) ** 2).mean(axis=(2, 3), keepdims=True)
    std = np.sqrt(var + eps)
    xn = (x - mean) / std
    out = xn * weight[None, :, None, None] + bias[None, :, None, None]
    return out, (xn, std, weight)


def instance_norm_backward(grad_output, ctx):
    xn, std, weight = ctx
    grad_bias = grad_output.sum(axis=(0, 2, 3))
    grad_weight = (grad_output * xn).sum(axis=(0, 2, 3))
    grad_xn = grad_output * weight[None, :, None, None]
    m1 = grad_xn.mean(axis=(2, 3), keepdims=True)
    m2 = (grad_xn * xn).mean(axis=(2, 3), keepdims=True)
    grad_input = (grad_xn - m1 - xn * m2) / std
    return grad_input, grad_bias, grad_weight  # BUG return_order


#: weightnorm_direction_not_projected
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "v": rng.standard_normal((5, 3)), "g": rng.uniform(0.5, 2, 5)}


def weight_norm_forward(x, v, g):
    norm = np.linalg.norm(v, axis=1)
    weight = v * (g / norm)[:, None]
    return x @ weight.T, (x, v, g, norm, weight)


def weight_norm_backward(grad_output, ctx):
    x, v, g, norm, weight = ctx
    grad_x = grad_output @ weight
    grad_weight = grad_output.T @ x
    grad_g = (grad_weight * v).sum(axis=1) / norm
    grad_v = (g / norm)[:, None] * grad_weight  # BUG missing_term
    return grad_x, grad_v, grad_g


#: strided_view_conv_flipped_once
def inputs(rng):
    w, b = rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(3)
    return {"x": rng.standard_normal((2, 2, 5, 4)), "weight": w, "bias": b}


def conv2d_forward(x, weight, bias):
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    out = np.tensordot(windows, weight, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
    return out + bias[:, None, None], (windows, weight)


def conv2d_backward(grad_output, ctx):
    windows, weight = ctx
    kh, kw = weight.shape[2:]
    grad_bias = grad_output.sum(axis=(0, 2, 3))
    grad_weight = np.tensordot(grad_output, windows, axes=([0, 2, 3], [0, 2, 3]))
    padded = np.pad(grad_output, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    full = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    flipped = weight[:, :, ::-1, :]  # BUG transposed|operation
    grad_x = np.tensordot(full, flipped, axes=([1, 4, 5], [0, 2, 3])).transpose(0, 3, 1, 2)
    return grad_x, grad_weight, grad_bias


#: right: einsum_attention_causal
def inputs(rng):
    return {n: rng.standard_normal((2, 4, 3)) for n in ("q", "k", "v")}


def attention_forward(q, k, v):
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.where(np.tri(s.shape[1], dtype=bool), s, -1e30)
    a = np.exp(s - s.max(-1, keepdims=True))
    a /= a.sum(-1, keepdims=True)
    return np.einsum("bts,bsd->btd", a, v), (q, k, v, a)


def attention_backward(do, cache):
    q, k, v, a = cache
    dv = np.einsum("bts,btd->bsd", a, do)
    da = np.einsum("btd,bsd->bts", do, v)
    ds = a * (da - np.einsum("bts,bts->bt", da, a)[..., None]) / np.sqrt(q.shape[-1])
    return np.einsum("bts,bsd->btd", ds, k), np.einsum("bts,btd->bsd", ds, q), dv


#: einsum_attention_scale_once_too_few
def inputs(rng):
    shapes = {"q": (2, 4, 3), "k": (2, 5, 3), "v": (2, 5, 2)}
    return {n: rng.standard_normal(s) for n, s in shapes.items()}


def attention_forward(q, k, v):
    scale = q.shape[-1] ** -0.5
    s = np.einsum("bqd,bkd->bqk", q, k) * scale
    e = np.exp(s - s.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    o = np.einsum("bqk,bkv->bqv", p, v)
    return o, (q, k, v, p, scale)


def attention_backward(do, cache):
    q, k, v, p, scale = cache
    dv = np.einsum("bqk,bqv->bkv", p, do)
    dp = np.einsum("bqv,bkv->bqk", do, v)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    dq = np.einsum("bqk,bkd->bqd", ds, k) * scale
    dk = np.einsum("bqk,bqd->bkd", ds, q)  # BUG factor|missing_factor
    return dq, dk, dv


#: einsum_attention_values_by_the_wrong_index
def inputs(rng):
    return {n: rng.standard_normal((4, 3)) for n in ("q", "k", "v")}


def attention_forward(q, k, v):
    s = np.einsum("id,jd->ij", q, k) / np.sqrt(q.shape[1])
    p = np.exp(s - s.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    return np.einsum("ij,jd->id", p, v), (q, k, v, p)


def attention_backward(do, cache):
    q, k, v, p = cache
    dp = np.einsum("id,jd->ij", do, v)
    ds = p * (dp - np.einsum("ij,ij->i", dp, p)[:, None]) / np.sqrt(q.shape[1])
    dq = np.einsum("ij,jd->id", ds, k)
    dk = np.einsum("ij,id->jd", ds, q)
    dv = np.einsum("ij,jd->id", p, do)  # BUG transposed|axis
    return dq, dk, dv


#: multihead_projection_reads_the_input
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "wo": rng.standard_normal((2, 2, 4))}


def heads_forward(x, wo):
    B, T, E = x.shape
    h = np.tanh(x.reshape(B, T, 2, E // 2))
    return np.einsum("bthd,hde->bte", h, wo), (x, h, wo)


def heads_backward(dy, cache):
    x, h, wo = cache
    dwo = np.einsum("bthd,bte->hde", x.reshape(h.shape), dy)  # BUG wrong_variable
    dh = np.einsum("bte,hde->bthd", dy, wo)
    dx = (dh * (1 - h**2)).reshape(x.shape)
    return dx, dwo


#: bilinear_pool_forgets_the_other_place
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4))}


def gram_forward(x):
    return np.einsum("ncp,ndp->ncd", x, x) / x.shape[-1], x


def gram_backward(dg, x):
    return np.einsum("ncd,ndp->ncp", dg, x) / x.shape[-1]  # BUG missing_term


#: right: object_linear
class Linear:
    def __init__(self, n_in=3, n_out=2):
        self.W = np.random.randn(n_in, n_out) * np.sqrt(2 / n_in)
        self.b = np.zeros(n_out)
        self.dW = self.db = None

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW = self.x.T @ grad
        self.db = grad.sum(0)
        return grad @ self.W.T


#: object_linear_adds_for_ever
class Linear:
    def __init__(self, n_in=3, n_out=2):
        self.W = 0.5 * np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW[...] = self.x.T @ grad
        self.db += grad.sum(axis=0)  # BUG second_call
        return grad @ self.W.T


#: object_sigmoid_upstream_changed
class Sigmoid:
    def forward(self, x):
        self.out = 1.0 / (1.0 + np.exp(-x))
        return self.out

    def backward(self, grad):
        grad *= self.out * (1.0 - self.out)  # BUG mutation
        return grad


#: object_relu_mask_of_the_gradient
class ReLU:
    def __init__(self):
        self.x = None

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dout):
        dx = dout.copy()
        dx[dout <= 0] = 0  # BUG mask|wrong_variable
        return dx


#: object_tanh_of_the_output
class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        t = np.tanh(self.y)  # BUG wrong_variable|function|operation
        return dy * (1 - t * t)


#: right: namedtuple_swish
SwishCache = namedtuple("SwishCache", "x s beta")


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": rng.uniform(0.5, 1.5, 3)}


def swish_forward(x, beta):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, SwishCache(x, s, beta)


def swish_backward(dout, cache):
    x, s, beta = cache
    slope = s * (1 - s)
    return dout * (s + x * beta * slope), np.sum(dout * x * x * slope, axis=0)


#: namedtuple_swish_beta_squared
SwishCache = namedtuple("SwishCache", "x s beta")


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": rng.uniform(0.5, 1.5, 3)}


def swish_forward(x, beta):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, SwishCache(x, s, beta)


def swish_backward(dout, cache):
    slope = cache.s * (1 - cache.s)
    dx = dout * (cache.s + cache.beta * cache.x * slope)
    dbeta = dout * cache.x * slope  # BUG power|missing_factor
    return dx, dbeta.sum(axis=0)


#: right: course_batchnorm_in_steps
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if mode == "test":
        return (x - running_mean) / np.sqrt(running_var + eps) * gamma + beta, None
    mu = x.mean(axis=0)
    xc = x - mu
    var = np.mean(xc**2, axis=0)
    std = np.sqrt(var + eps)
    xn = xc / std
    bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mu
    bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
    return gamma * xn + beta, (gamma, xc, std, xn)


def batchnorm_backward(dout, cache):
    gamma, xc, std, xn = cache
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (xn * dout).sum(axis=0)
    dxn = gamma * dout
    dxc = dxn / std
    dstd = -np.sum(dxn * xc / std**2, axis=0)
    dvar = 0.5 * dstd / std
    dxc += (2.0 / N) * xc * dvar
    dmu = np.sum(dxc, axis=0)
    dx = dxc - dmu / N
    return dx, dgamma, dbeta


#: batchnorm_test_without_root
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    r_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    r_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "train":
        mu, var = x.mean(axis=0), x.var(axis=0)
        inv = 1 / np.sqrt(var + eps)
        z = (x - mu) * inv
        bn_param["running_mean"] = r_mean * momentum + mu * (1 - momentum)
        bn_param["running_var"] = r_var * momentum + var * (1 - momentum)
        return z * gamma + beta, (z, inv, gamma)
    z = (x - r_mean) / (r_var + eps)  # BUG test_mode|power
    return z * gamma + beta, None


def batchnorm_backward(dout, cache):
    z, inv, gamma = cache
    n = dout.shape[0]
    dbeta, dgamma = dout.sum(axis=0), (dout * z).sum(axis=0)
    dx = gamma * inv / n * (n * dout - dbeta - z * dgamma)
    return dx, dgamma, dbeta


#: dropout_test_scaled_as_well
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == "test":
        mask = p  # BUG test_mode|keep_prob
        out = x * mask
    return out, (mask,)


def dropout_backward(dout, cache):
    (mask,) = cache
    return dout * mask


#: dropout_backward_throws_again
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode != "train":
        return x, (p, mode, None)
    mask = (np.random.uniform(size=x.shape) < p) / p
    return x * mask, (p, mode, mask)


def dropout_backward(dout, cache):
    p, mode, mask = cache
    if mode != "train":
        return dout
    mask = (np.random.uniform(size=dout.shape) < p) / p  # BUG randomness|mask|second_call
    return dout * mask


#: spatial_dropout_mask_squared
def inputs(rng):
    x = rng.standard_normal((3, 5, 2, 2))
    return {"x": x, "dropout_param": {"p": 0.6, "mode": "train", "seed": 3}}


def dropout2d_forward(x, dropout_param):
    if dropout_param["mode"] == "test":
        return x, None
    rs = np.random.RandomState(dropout_param["seed"])
    mask = (rs.rand(x.shape[0], x.shape[1], 1, 1) < dropout_param["p"]) / dropout_param["p"]
    return x * mask, mask


def dropout2d_backward(dout, mask):
    if mask is None:
        return dout
    dx = dout * mask
    return dx * mask  # BUG mask_twice|keep_prob


#: layernorm_sample_variance
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    n = x.shape[1] - 1  # BUG forward_formula
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    var = (xc**2).sum(axis=1, keepdims=True) / n
    inv = 1 / np.sqrt(var + eps)
    xn = xc * inv
    return gamma * xn + beta, (xn, inv, gamma, n)


def layernorm_backward(dout, cache):
    xn, inv, gamma, n = cache
    dxn = dout * gamma
    dx = inv * (dxn - dxn.mean(axis=1, keepdims=True) - xn * (dxn * xn).sum(axis=1, keepdims=True) / n)
    return dx, (dout * xn).sum(axis=0), dout.sum(axis=0)


#: unit_length_eps_outside
def inputs(rng):
    return {"x": 0.3 * rng.standard_normal((4, 3)), "eps": 0.05}


def normalize_forward(x, eps):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True) + eps)
    return x / n, (x, eps)


def normalize_backward(dout, cache):
    x, eps = cache
    n = np.sqrt((x * x).sum(axis=1, keepdims=True)) + eps  # BUG eps
    return dout / n - x * (dout * x).sum(axis=1, keepdims=True) / n**3


#: gelu_upstream_in_both_places
def gelu_forward(x):
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t, c)


def gelu_backward(dout, cache):
    x, t, c = cache
    inner = c * (1 + 3 * 0.044715 * x**2)
    dt = dout * 0.5 * x * (1 - t**2)  # OR
    dx = dout * (0.5 * (1 + t) + dt * inner)  # BUG upstream_twice
    return dx


#: arctan_alone
def arctan_forward(x):
    return np.arctan(x), x


def arctan_backward(dout, x):
    return 1 / (1 + x**2)  # BUG upstream_missing


#: relu_mask_by_division
def relu_forward(x):
    out = np.maximum(0, x)
    return out, (x, out)


def relu_backward(dout, cache):
    x, out = cache
    mask = out / out  # BUG not_finite
    return dout * mask


#: affine_with_hidden_decay
def affine_forward(x, w, b):
    return x @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w.T
    dw = x.T @ dout + 0.01 * w  # BUG extra_term|regularisation
    db = dout.sum(axis=0)
    return dx, dw, db


#: affine_one_output_squeezed
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 1)), "b": rng.standard_normal(1)}


def affine_forward(x, w, b):
    return np.dot(x, w) + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    dx = np.dot(dout, w.T)
    dw = np.dot(x.T, dout)
    db = np.squeeze(dout.sum(axis=0, keepdims=True))  # BUG keepdims|shape
    return dx, dw, db


#: affine_sequence_crashes
def inputs(rng):
    return {"x": rng.standard_normal((2, 4, 3)), "w": rng.standard_normal((3, 5)), "b": rng.standard_normal(5)}


def affine_time_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_time_backward(dout, cache):
    x, w = cache
    dx = dout @ w.T
    dw = x.T @ dout  # BUG exception|shape|transposed
    db = dout.sum(axis=(0, 1))
    return dx, dw, db


#: scale_gradient_one_number
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def scale_shift_forward(x, gamma, beta):
    return x * gamma + beta, (x, gamma)


def scale_shift_backward(dout, cache):
    x, gamma = cache
    dgamma = np.sum(dout * x)  # BUG extra_sum|shape|axis
    dbeta = np.sum(dout, axis=0)
    return dout * gamma, dgamma, dbeta


#: centred_input_in_place
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 2))}


def centre_forward(x, w):
    return (x - x.mean(axis=0)) @ w, (x, w)


def centre_backward(dout, cache):
    x, w = cache
    x -= x.mean(axis=0)  # BUG mutation
    dw = x.T @ dout
    d = dout @ w.T
    return d - d.mean(axis=0), dw


#: right: groupnorm_by_loops
def inputs(rng):
    gamma, beta = rng.standard_normal((2, 6))
    return {"x": rng.standard_normal((2, 6, 3)), "gamma": gamma, "beta": beta, "G": 3}


def gn_forward(x, gamma, beta, G, eps=1e-5):
    N, C, L = x.shape
    k = C // G
    xn, inv = np.zeros(x.shape), np.zeros((N, G))
    for n in range(N):
        for g in range(G):
            part = x[n, g * k : (g + 1) * k]
            inv[n, g] = 1 / np.sqrt(part.var() + eps)
            xn[n, g * k : (g + 1) * k] = (part - part.mean()) * inv[n, g]
    return xn * gamma[:, None] + beta[:, None], (xn, inv, gamma, k)


def gn_backward(dout, cache):
    xn, inv, gamma, k = cache
    dx = np.zeros(dout.shape)
    for n, g in np.ndindex(*inv.shape):
        s = slice(g * k, (g + 1) * k)
        d = dout[n, s] * gamma[s, None]
        dx[n, s] = inv[n, g] * (d - d.mean() - xn[n, s] * np.mean(d * xn[n, s]))
    return dx, np.sum(dout * xn, axis=(0, 2)), np.sum(dout, axis=(0, 2))
