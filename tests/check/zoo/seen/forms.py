"""Pairs and losses whose inputs, caches, outputs and gradients come in every form."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np


#: right: dict of x alone
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def softsign_forward(x):
    bottom = 1 + np.abs(x)
    return x / bottom, bottom


def softsign_backward(dout, bottom):
    return dout / bottom ** 2


#: dict of x alone, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def softsign_forward(x):
    bottom = 1 + np.abs(x)
    return x / bottom, bottom


def softsign_backward(dout, bottom):
    return dout / bottom  # BUG power|missing_factor


#: right: tuple of one
def inputs(rng):
    return (rng.standard_normal((4, 3)),)


def cube_forward(x):
    return x ** 3, (x,)


def cube_backward(dout, cache):
    x, = cache
    return 3 * x ** 2 * dout


#: tuple of one, broken
def inputs(rng):
    return (rng.standard_normal((4, 3)),)


def cube_forward(x):
    return x ** 3, (x,)


def cube_backward(dout, cache):
    x, = cache
    return 2 * x ** 2 * dout  # BUG factor


#: right: x alone, array returned
def inputs(rng):
    return rng.standard_normal((4, 3))


def cosine_forward(v):
    return np.cos(v), v


def cosine_backward(up, v):
    return -np.sin(v) * up


#: x alone, array returned, broken
def inputs(rng):
    return rng.standard_normal((4, 3))


def cosine_forward(v):
    return np.cos(v), v


def cosine_backward(up, v):
    return np.sin(v) * up  # BUG sign


#: right: x alone, one dimension
def inputs(rng):
    return rng.standard_normal(7)


def softmax_vector_forward(z):
    e = np.exp(z - z.max())
    p = e / e.sum()
    return p, p


def softmax_vector_backward(dp, p):
    return p * (dp - np.sum(dp * p))


#: x alone, one dimension, broken
def inputs(rng):
    return rng.standard_normal(7)


def softmax_vector_forward(z):
    e = np.exp(z - z.max())
    p = e / e.sum()
    return p, p


def softmax_vector_backward(dp, p):
    return p * (dp - np.mean(dp * p))  # BUG mean_for_sum|factor|operation


#: right: list of arrays
def inputs(rng):
    return [rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)]


def layer_forward(x, w, b):
    return x @ w + b, [x, w]


def layer_backward(dout, cache):
    x, w = cache
    dx = dout @ w.T
    dw = x.T @ dout
    db = dout.sum(0)
    return [dx, dw, db]


#: list of arrays, broken
def inputs(rng):
    return [rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)]


def layer_forward(x, w, b):
    return x @ w + b, [x, w]


def layer_backward(dout, cache):
    x, w = cache
    dx = dout @ w.T
    dw = x.T @ dout
    db = dout.mean(0)  # BUG mean_for_sum|factor
    return [dx, dw, db]


#: right: zero dimensional temperature
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "tau": np.array(1.7)}


def temper_forward(x, tau):
    return x / tau, (x, tau)


def temper_backward(dout, cache):
    x, tau = cache
    dx = dout / tau
    dtau = -np.sum(dout * x) / tau ** 2
    return dx, dtau


#: zero dimensional temperature, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "tau": np.array(1.7)}


def temper_forward(x, tau):
    return x / tau, (x, tau)


def temper_backward(dout, cache):
    x, tau = cache
    dx = dout / tau
    dtau = np.sum(dout * x) / tau ** 2  # BUG sign
    return dx, dtau


#: right: python float temperature with a gradient
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "tau": 1.7}


def temper_forward(x, tau):
    return np.tanh(x * tau), (x, tau)


def temper_backward(dout, cache):
    x, tau = cache
    t = np.tanh(x * tau)
    dx = dout * (1 - t ** 2) * tau
    dtau = np.sum(dout * (1 - t ** 2) * x)
    return dx, dtau


#: python float temperature with a gradient, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "tau": 1.7}


def temper_forward(x, tau):
    return np.tanh(x * tau), (x, tau)


def temper_backward(dout, cache):
    x, tau = cache
    t = np.tanh(x * tau)
    dx = dout * (1 - t ** 2) * tau
    dtau = np.sum(dout * (1 - t ** 2))  # BUG missing_factor
    return dx, dtau


#: right: numpy scalar gain
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gain": np.float64(1.3), "bias": np.float64(0.2)}


def scaled_forward(x, gain, bias):
    out = gain * x + bias
    return out, (x, gain)


def scaled_backward(dout, cache):
    x, gain = cache
    dgain = (dout * x).sum()
    dbias = dout.sum()
    dx = dout * gain
    return dx, dgain, dbias


#: numpy scalar gain, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gain": np.float64(1.3), "bias": np.float64(0.2)}


def scaled_forward(x, gain, bias):
    out = gain * x + bias
    return out, (x, gain)


def scaled_backward(dout, cache):
    x, gain = cache
    dgain = (dout * x).sum()
    dbias = dout.mean()  # BUG mean_for_sum|factor
    dx = dout * gain
    return dx, dgain, dbias


#: right: five dimensions
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 2, 4, 2)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def instance_norm_3d_forward(x, gamma, beta, eps=1e-3):
    mu = x.mean(axis=(2, 3, 4), keepdims=True)
    var = x.var(axis=(2, 3, 4), keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    g = gamma.reshape(1, -1, 1, 1, 1)
    out = g * xhat + beta.reshape(1, -1, 1, 1, 1)
    return out, (xhat, var, gamma, eps)


def instance_norm_3d_backward(dout, cache):
    xhat, var, gamma, eps = cache
    axes = (2, 3, 4)
    dgamma = (dout * xhat).sum(axis=(0, 2, 3, 4))
    dbeta = dout.sum(axis=(0, 2, 3, 4))
    dxhat = dout * gamma.reshape(1, -1, 1, 1, 1)
    dx = (dxhat - dxhat.mean(axis=axes, keepdims=True) - xhat * (dxhat * xhat).mean(axis=axes, keepdims=True)) / np.sqrt(var + eps)
    return dx, dgamma, dbeta


#: five dimensions, broken
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 2, 4, 2)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def instance_norm_3d_forward(x, gamma, beta, eps=1e-3):
    mu = x.mean(axis=(2, 3, 4), keepdims=True)
    var = x.var(axis=(2, 3, 4), keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    g = gamma.reshape(1, -1, 1, 1, 1)
    out = g * xhat + beta.reshape(1, -1, 1, 1, 1)
    return out, (xhat, var, gamma, eps)


def instance_norm_3d_backward(dout, cache):
    xhat, var, gamma, eps = cache
    axes = (2, 3, 4)
    dgamma = (dout * xhat).sum(axis=(0, 2, 3, 4))
    dbeta = dout.sum(axis=(0, 2, 3, 4))
    dxhat = dout * gamma.reshape(1, -1, 1, 1, 1)
    dx = (dxhat - dxhat.mean(axis=axes, keepdims=True)) / np.sqrt(var + eps)  # BUG missing_term
    return dx, dgamma, dbeta


#: right: state dict in and out
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "state": {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)}}


def dense_forward(x, state):
    out = x @ state["W"] + state["b"]
    return out, {"x": x, "state": state}


def dense_backward(dout, cache):
    x, state = cache["x"], cache["state"]
    return {"x": dout @ state["W"].T, "W": x.T @ dout, "b": dout.sum(axis=0)}


#: state dict in and out, broken
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "state": {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)}}


def dense_forward(x, state):
    out = x @ state["W"] + state["b"]
    return out, {"x": x, "state": state}


def dense_backward(dout, cache):
    x, state = cache["x"], cache["state"]
    return {"x": dout @ state["W"].T, "W": x.T @ dout, "b": dout.mean(axis=0)}  # BUG mean_for_sum|factor


#: right: params dict, gradients named as d
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "params": {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)}}


def perceptron_forward(x, params):
    z = x @ params["W"] + params["b"]
    a = np.tanh(z)
    return a, (x, params, a)


def perceptron_backward(da, cache):
    x, params, a = cache
    dz = da * (1 - a ** 2)
    grads = {}
    grads["dW"] = x.T @ dz
    grads["db"] = dz.sum(axis=0)
    dx = dz @ params["W"].T
    return dx, grads


#: params dict, gradients named as d, broken
def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "params": {"W": rng.standard_normal((3, 4)), "b": rng.standard_normal(4)}}


def perceptron_forward(x, params):
    z = x @ params["W"] + params["b"]
    a = np.tanh(z)
    return a, (x, params, a)


def perceptron_backward(da, cache):
    x, params, a = cache
    dz = da * (1 - a)  # BUG power|function|missing_factor
    grads = {}
    grads["dW"] = x.T @ dz
    grads["db"] = dz.sum(axis=0)
    dx = dz @ params["W"].T
    return dx, grads


#: right: lstm step with two upstream gradients
def inputs(rng):
    return (rng.standard_normal((3, 2)), rng.standard_normal((3, 4)), rng.standard_normal((3, 4)),
            rng.standard_normal((2, 16)), rng.standard_normal((4, 16)), rng.standard_normal(16))


def sig(z):
    return 1 / (1 + np.exp(-z))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o, g = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H]), np.tanh(a[:, 3 * H:])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    do = dnext_h * t
    dc = dnext_c + dnext_h * o * (1 - t ** 2)
    df = dc * prev_c
    di = dc * g
    dg = dc * i
    dprev_c = dc * f
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(0)


#: lstm step with two upstream gradients, broken
def inputs(rng):
    return (rng.standard_normal((3, 2)), rng.standard_normal((3, 4)), rng.standard_normal((3, 4)),
            rng.standard_normal((2, 16)), rng.standard_normal((4, 16)), rng.standard_normal(16))


def sig(z):
    return 1 / (1 + np.exp(-z))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o, g = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H]), np.tanh(a[:, 3 * H:])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    do = dnext_h * t
    dc = dnext_h * o * (1 - t ** 2)  # BUG upstream_missing|missing_term
    df = dc * prev_c
    di = dc * g
    dg = dc * i
    dprev_c = dc * f
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(0)


#: right: lstm step, outputs in a tuple, both gradients in one
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "state": (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
            "W": rng.standard_normal((6, 16)), "b": rng.standard_normal(16)}


def sig(z):
    return 1 / (1 + np.exp(-z))


def cell_forward(x, state, W, b):
    h, c = state
    H = h.shape[1]
    xh = np.concatenate([x, h], axis=1)
    a = xh @ W + b
    i, f, o, g = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H]), np.tanh(a[:, 3 * H:])
    c2 = f * c + i * g
    h2 = o * np.tanh(c2)
    return (h2, c2), (xh, c, W, i, f, o, g, c2)


def cell_backward(dstate, cache):
    dh, dc = dstate
    xh, c, W, i, f, o, g, c2 = cache
    H = c.shape[1]
    t = np.tanh(c2)
    dc = dc + dh * o * (1 - t * t)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g * g)], axis=1)
    dxh = da @ W.T
    D = dxh.shape[1] - H
    return dxh[:, :D], (dxh[:, D:], dc * f), xh.T @ da, da.sum(axis=0)


#: lstm step, outputs in a tuple, both gradients in one, broken
def inputs(rng):
    return {"x": rng.standard_normal((3, 2)), "state": (rng.standard_normal((3, 4)), rng.standard_normal((3, 4))),
            "W": rng.standard_normal((6, 16)), "b": rng.standard_normal(16)}


def sig(z):
    return 1 / (1 + np.exp(-z))


def cell_forward(x, state, W, b):
    h, c = state
    H = h.shape[1]
    xh = np.concatenate([x, h], axis=1)
    a = xh @ W + b
    i, f, o, g = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H]), np.tanh(a[:, 3 * H:])
    c2 = f * c + i * g
    h2 = o * np.tanh(c2)
    return (h2, c2), (xh, c, W, i, f, o, g, c2)


def cell_backward(dstate, cache):
    dh, dc = dstate
    xh, c, W, i, f, o, g, c2 = cache
    H = c.shape[1]
    t = np.tanh(c2)
    dc = dc + dh * o * (1 - t * t)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dh * t * o * (1 - o), dc * i * (1 - g)], axis=1)  # BUG power|function|missing_factor
    dxh = da @ W.T
    D = dxh.shape[1] - H
    return dxh[:, :D], (dxh[:, D:], dc * f), xh.T @ da, da.sum(axis=0)


#: right: rnn over time
def inputs(rng):
    return rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4)), rng.standard_normal((3, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4)


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev = h0
    for t in range(T):
        prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
        h[:, t] = prev
    return h, (x, h0, Wx, Wh, h)


def rnn_backward(dh, cache):
    x, h0, Wx, Wh, h = cache
    N, T, D = x.shape
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    dprev = np.zeros_like(h0)
    for t in reversed(range(T)):
        da = (dh[:, t] + dprev) * (1 - h[:, t] ** 2)
        before = h[:, t - 1] if t > 0 else h0
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += before.T @ da
        db += da.sum(axis=0)
        dprev = da @ Wh.T
    return dx, dprev, dWx, dWh, db


#: rnn over time, broken
def inputs(rng):
    return rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4)), rng.standard_normal((3, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4)


def rnn_forward(x, h0, Wx, Wh, b):
    N, T, D = x.shape
    h = np.zeros((N, T, h0.shape[1]))
    prev = h0
    for t in range(T):
        prev = np.tanh(x[:, t] @ Wx + prev @ Wh + b)
        h[:, t] = prev
    return h, (x, h0, Wx, Wh, h)


def rnn_backward(dh, cache):
    x, h0, Wx, Wh, h = cache
    N, T, D = x.shape
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    dprev = np.zeros_like(h0)
    for t in reversed(range(T)):
        da = (dh[:, t] + dprev) * (1 - h[:, t] ** 2)
        before = h[:, t] if t > 0 else h0  # BUG wrong_variable|window
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += before.T @ da
        db += da.sum(axis=0)
        dprev = da @ Wh.T
    return dx, dprev, dWx, dWh, db


#: right: attention of one head
def inputs(rng):
    return {"Q": rng.standard_normal((2, 3, 4)), "K": rng.standard_normal((2, 5, 4)), "V": rng.standard_normal((2, 5, 3))}


def attention_forward(Q, K, V):
    scale = 1 / np.sqrt(Q.shape[-1])
    scores = Q @ K.transpose(0, 2, 1) * scale
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    A = e / e.sum(axis=-1, keepdims=True)
    return A @ V, (Q, K, V, A, scale)


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.transpose(0, 2, 1) @ dout
    dA = dout @ V.transpose(0, 2, 1)
    dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
    dS = dS * scale
    dQ = dS @ K
    dK = dS.transpose(0, 2, 1) @ Q
    return dQ, dK, dV


#: attention of one head, broken
def inputs(rng):
    return {"Q": rng.standard_normal((2, 3, 4)), "K": rng.standard_normal((2, 5, 4)), "V": rng.standard_normal((2, 5, 3))}


def attention_forward(Q, K, V):
    scale = 1 / np.sqrt(Q.shape[-1])
    scores = Q @ K.transpose(0, 2, 1) * scale
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    A = e / e.sum(axis=-1, keepdims=True)
    return A @ V, (Q, K, V, A, scale)


def attention_backward(dout, cache):
    Q, K, V, A, scale = cache
    dV = A.transpose(0, 2, 1) @ dout
    dA = dout @ V.transpose(0, 2, 1)
    dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
    dS = dS  # BUG missing_factor|factor
    dQ = dS @ K
    dK = dS.transpose(0, 2, 1) @ Q
    return dQ, dK, dV


#: right: embedding of integers
def inputs(rng):
    return rng.integers(0, 6, (3, 4)), rng.standard_normal((6, 2))


def embedding_forward(idx, W):
    return W[idx], (idx, W.shape)


def embedding_backward(dout, cache):
    idx, shape = cache
    dW = np.zeros(shape)
    np.add.at(dW, idx, dout)
    return dW


#: embedding of integers, broken
def inputs(rng):
    return rng.integers(0, 6, (3, 4)), rng.standard_normal((6, 2))


def embedding_forward(idx, W):
    return W[idx], (idx, W.shape)


def embedding_backward(dout, cache):
    idx, shape = cache
    dW = np.zeros(shape)
    dW[idx] += dout  # BUG overlap
    return dW


#: right: embedding returning none for the indices
def inputs(rng):
    return {"tokens": np.array([[0, 2, 2], [1, 0, 3]]), "table": rng.standard_normal((5, 4))}


def lookup_forward(tokens, table):
    return table[tokens], (tokens, table)


def lookup_backward(dout, cache):
    tokens, table = cache
    dtable = np.zeros_like(table)
    for n in range(tokens.shape[0]):
        for t in range(tokens.shape[1]):
            dtable[tokens[n, t]] += dout[n, t]
    return None, dtable


#: embedding returning none for the indices, broken
def inputs(rng):
    return {"tokens": np.array([[0, 2, 2], [1, 0, 3]]), "table": rng.standard_normal((5, 4))}


def lookup_forward(tokens, table):
    return table[tokens], (tokens, table)


def lookup_backward(dout, cache):
    tokens, table = cache
    dtable = np.zeros_like(table)
    for n in range(tokens.shape[0]):
        for t in range(tokens.shape[1]):
            dtable[tokens[n, t]] = dout[n, t]  # BUG overlap
    return None, dtable


#: right: conv in one dimension
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 3)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, L = x.shape
    F, _, K = w.shape
    out = np.zeros((N, F, (L - K) // stride + 1))
    for i in range(out.shape[2]):
        out[:, :, i] = np.tensordot(x[:, :, i * stride:i * stride + K], w, ((1, 2), (1, 2))) + b
    return out, (x, w, stride)


def conv1d_backward(dout, cache):
    x, w, stride = cache
    K = w.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dout.shape[2]):
        window = x[:, :, i * stride:i * stride + K]
        dw += np.tensordot(dout[:, :, i], window, (0, 0))
        dx[:, :, i * stride:i * stride + K] += np.tensordot(dout[:, :, i], w, (1, 0))
    return dx, dw, dout.sum(axis=(0, 2))


#: conv in one dimension, broken
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 9)), "w": rng.standard_normal((4, 3, 3)), "b": rng.standard_normal(4), "stride": 2}


def conv1d_forward(x, w, b, stride):
    N, C, L = x.shape
    F, _, K = w.shape
    out = np.zeros((N, F, (L - K) // stride + 1))
    for i in range(out.shape[2]):
        out[:, :, i] = np.tensordot(x[:, :, i * stride:i * stride + K], w, ((1, 2), (1, 2))) + b
    return out, (x, w, stride)


def conv1d_backward(dout, cache):
    x, w, stride = cache
    K = w.shape[2]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dout.shape[2]):
        window = x[:, :, i:i + K]  # BUG window
        dw += np.tensordot(dout[:, :, i], window, (0, 0))
        dx[:, :, i * stride:i * stride + K] += np.tensordot(dout[:, :, i], w, (1, 0))
    return dx, dw, dout.sum(axis=(0, 2))


#: right: upsampling
def inputs(rng):
    return (rng.standard_normal((2, 3, 4, 5)), 2)


def upsample_forward(x, k):
    return x.repeat(k, axis=2).repeat(k, axis=3), (x.shape, k)


def upsample_backward(dout, cache):
    (N, C, H, W), k = cache
    return dout.reshape(N, C, H, k, W, k).sum(axis=(3, 5))


#: upsampling, broken
def inputs(rng):
    return (rng.standard_normal((2, 3, 4, 5)), 2)


def upsample_forward(x, k):
    return x.repeat(k, axis=2).repeat(k, axis=3), (x.shape, k)


def upsample_backward(dout, cache):
    (N, C, H, W), k = cache
    return dout.reshape(N, C, H, k, W, k).mean(axis=(3, 5))  # BUG mean_for_sum|factor


#: right: bilinear by matrices
def inputs(rng):
    return {"image": rng.standard_normal((2, 3, 3, 4)), "size": (5, 6)}


def matrix(n, m):
    M = np.zeros((n, m))
    for i in range(n):
        p = i * (m - 1) / (n - 1)
        k = min(int(p), m - 2)
        M[i, k] += 1 - (p - k)
        M[i, k + 1] += p - k
    return M


def resize_forward(image, size):
    A, B = matrix(size[0], image.shape[2]), matrix(size[1], image.shape[3])
    return np.einsum("ih,nchw,jw->ncij", A, image, B), (A, B)


def resize_backward(dout, cache):
    A, B = cache
    return np.einsum("ih,ncij,jw->nchw", A, dout, B)


#: bilinear by matrices, broken
def inputs(rng):
    return {"image": rng.standard_normal((2, 3, 3, 4)), "size": (5, 6)}


def matrix(n, m):
    M = np.zeros((n, m))
    for i in range(n):
        p = i * (m - 1) / (n - 1)
        k = min(int(p), m - 2)
        M[i, k] += 1 - (p - k)
        M[i, k + 1] += p - k
    return M


def resize_forward(image, size):
    A, B = matrix(size[0], image.shape[2]), matrix(size[1], image.shape[3])
    return np.einsum("ih,nchw,jw->ncij", A, image, B), (A, B)


def resize_backward(dout, cache):
    A, B = cache
    return np.einsum("ih,ncij,jw->nchw", A, dout, np.ones_like(B))  # BUG missing_factor|wrong_variable|operation|factor


#: right: loss with class weights
def inputs(rng):
    return {"scores": rng.standard_normal((5, 4)), "y": rng.integers(0, 4, 5), "weight": rng.uniform(0.5, 2, 4)}


def weighted_softmax_loss(scores, y, weight):
    N = len(y)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    w = weight[y]
    loss = -np.sum(w * np.log(p[np.arange(N), y])) / w.sum()
    ds = p.copy()
    ds[np.arange(N), y] -= 1
    ds *= w[:, None] / w.sum()
    return loss, ds


#: loss with class weights, broken
def inputs(rng):
    return {"scores": rng.standard_normal((5, 4)), "y": rng.integers(0, 4, 5), "weight": rng.uniform(0.5, 2, 4)}


def weighted_softmax_loss(scores, y, weight):
    N = len(y)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    w = weight[y]
    loss = -np.sum(w * np.log(p[np.arange(N), y])) / w.sum()
    ds = p.copy()
    ds[np.arange(N), y] -= 1
    ds *= w[:, None] / N  # BUG factor|wrong_variable
    return loss, ds


#: right: loss with one hot labels
def inputs(rng):
    return rng.standard_normal((5, 4)), np.eye(4)[rng.integers(0, 4, 5)]


def cross_entropy_loss(logits, targets):
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    loss = -(targets * logp).sum() / len(logits)
    grad = (np.exp(logp) - targets) / len(logits)
    return loss, grad


#: loss with one hot labels, broken
def inputs(rng):
    return rng.standard_normal((5, 4)), np.eye(4)[rng.integers(0, 4, 5)]


def cross_entropy_loss(logits, targets):
    m = logits.max(axis=1, keepdims=True)
    logp = logits - m - np.log(np.exp(logits - m).sum(axis=1, keepdims=True))
    loss = -(targets * logp).sum() / len(logits)
    grad = np.exp(logp) - targets  # BUG sum_for_mean|factor
    return loss, grad


#: right: loss with one hot labels of integers
def inputs(rng):
    return {"logits": rng.standard_normal((5, 4)), "onehot": np.eye(4, dtype=int)[rng.integers(0, 4, 5)]}


def ce_loss(logits, onehot):
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.mean(np.sum(onehot * np.log(p), axis=1))
    return loss, (p - onehot) / logits.shape[0]


#: loss with one hot labels of integers, broken
def inputs(rng):
    return {"logits": rng.standard_normal((5, 4)), "onehot": np.eye(4, dtype=int)[rng.integers(0, 4, 5)]}


def ce_loss(logits, onehot):
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.mean(np.sum(onehot * np.log(p), axis=1))
    return loss, (onehot - p) / logits.shape[0]  # BUG sign


#: right: float32 inputs
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)).astype(np.float32), "w": rng.standard_normal((3, 2)).astype(np.float32)}


def project_forward(x, w):
    return x @ w, (x, w)


def project_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout


#: float32 inputs, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)).astype(np.float32), "w": rng.standard_normal((3, 2)).astype(np.float32)}


def project_forward(x, w):
    return x @ w, (x, w)


def project_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout * 2  # BUG factor


#: right: forward returns out alone, cache on the function
def inputs(rng):
    return rng.standard_normal((4, 3))


def gauss_forward(x):
    out = np.exp(-x ** 2)
    gauss_forward.cache = (x, out)
    return out


def gauss_backward(dout):
    x, out = gauss_forward.cache
    return -2 * x * out * dout


#: forward returns out alone, cache on the function, broken
def inputs(rng):
    return rng.standard_normal((4, 3))


def gauss_forward(x):
    out = np.exp(-x ** 2)
    gauss_forward.cache = (x, out)
    return out


def gauss_backward(dout):
    x, out = gauss_forward.cache
    return -x * out * dout  # BUG factor


#: right: forward returns out alone, backward takes the inputs
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2))


def bilinear_forward(x, w):
    return np.sin(x @ w)


def bilinear_backward(dout, x, w):
    d = dout * np.cos(x @ w)
    return d @ w.T, x.T @ d


#: forward returns out alone, backward takes the inputs, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2))


def bilinear_forward(x, w):
    return np.sin(x @ w)


def bilinear_backward(dout, x, w):
    d = dout * np.sin(x @ w)  # BUG function
    return d @ w.T, x.T @ d


#: right: global cache
def inputs(rng):
    return rng.standard_normal((4, 3))


CACHE = {}


def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    CACHE["x"], CACHE["s"] = x, s
    return x * s


def swish_backward(dout):
    x, s = CACHE["x"], CACHE["s"]
    return dout * (s + x * s * (1 - s))


#: global cache, broken
def inputs(rng):
    return rng.standard_normal((4, 3))


CACHE = {}


def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    CACHE["x"], CACHE["s"] = x, s
    return x * s


def swish_backward(dout):
    x, s = CACHE["x"], CACHE["s"]
    return dout * s + x * s * (1 - s)  # BUG upstream_missing|operation


#: right: namedtuple cache and gradients
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}


Kept = namedtuple("Kept", "x w")
Grads = namedtuple("Grads", "x w b")


def linear_forward(x, w, b):
    return x @ w + b, Kept(x, w)


def linear_backward(dout, kept):
    return Grads(dout @ kept.w.T, kept.x.T @ dout, dout.sum(0))


#: namedtuple cache and gradients, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}


Kept = namedtuple("Kept", "x w")
Grads = namedtuple("Grads", "x w b")


def linear_forward(x, w, b):
    return x @ w + b, Kept(x, w)


def linear_backward(dout, kept):
    return Grads(dout @ kept.w, kept.x.T @ dout, dout.sum(0))  # BUG transposed|exception


#: right: dataclass cache
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal(3)}


@dataclass
class Tape:
    x: object
    w: object
    h: object = None


def gate_forward(x, w):
    tape = Tape(x, w)
    tape.h = 1 / (1 + np.exp(-x * w))
    return tape.h * x, tape


def gate_backward(dout, tape):
    dh = dout * tape.x
    dz = dh * tape.h * (1 - tape.h)
    dw = (dz * tape.x).sum(axis=0)
    dx = dout * tape.h + dz * tape.w
    return dx, dw


#: dataclass cache, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal(3)}


@dataclass
class Tape:
    x: object
    w: object
    h: object = None


def gate_forward(x, w):
    tape = Tape(x, w)
    tape.h = 1 / (1 + np.exp(-x * w))
    return tape.h * x, tape


def gate_backward(dout, tape):
    dh = dout * tape.x
    dz = dh * tape.h * (1 - tape.h)
    dw = (dz * tape.x).sum(axis=0)
    dx = dz * tape.w  # BUG missing_term
    return dx, dw


#: right: closure as cache
def inputs(rng):
    return rng.standard_normal((4, 3))


def log_cosh_forward(x):
    def back(dout):
        return dout * np.tanh(x)
    return np.log(np.cosh(x)), back


def log_cosh_backward(dout, back):
    return back(dout)


#: closure as cache, broken
def inputs(rng):
    return rng.standard_normal((4, 3))


def log_cosh_forward(x):
    def back(dout):
        return dout * np.cosh(x)  # BUG function
    return np.log(np.cosh(x)), back


def log_cosh_backward(dout, back):
    return back(dout)


#: right: gradients in a dict by d name
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def scale_forward(x, gamma, beta):
    return x * gamma + beta, dict(x=x, gamma=gamma)


def scale_backward(dout, cache):
    out = {}
    out["dx"] = dout * cache["gamma"]
    out["dgamma"] = (dout * cache["x"]).sum(axis=0)
    out["dbeta"] = dout.sum(axis=0)
    return out


#: gradients in a dict by d name, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def scale_forward(x, gamma, beta):
    return x * gamma + beta, dict(x=x, gamma=gamma)


def scale_backward(dout, cache):
    out = {}
    out["dx"] = dout * cache["gamma"]
    out["dgamma"] = (dout * cache["x"]).sum(axis=1)  # BUG axis
    out["dbeta"] = dout.sum(axis=0)
    return out


#: right: keyword only arguments
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "k": 2}


def maxout_forward(x, *, k=2):
    N, D = x.shape
    g = x.reshape(N, D // k, k)
    best = g.argmax(axis=2)
    return np.take_along_axis(g, best[..., None], 2)[..., 0], (best, k, x.shape)


def maxout_backward(dout, cache):
    best, k, shape = cache
    dg = np.zeros((shape[0], shape[1] // k, k))
    np.put_along_axis(dg, best[..., None], dout[..., None], 2)
    return dg.reshape(shape)


#: keyword only arguments, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 6)), "k": 2}


def maxout_forward(x, *, k=2):
    N, D = x.shape
    g = x.reshape(N, D // k, k)
    best = g.argmax(axis=2)
    return np.take_along_axis(g, best[..., None], 2)[..., 0], (best, k, x.shape)


def maxout_backward(dout, cache):
    best, k, shape = cache
    dg = np.zeros((shape[0], shape[1] // k, k))
    np.put_along_axis(dg, best[..., None], dout[..., None], 2)
    return dg.reshape(shape) / k  # BUG factor|extra_factor


#: right: cache last of a list returned
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def product_forward(a, b):
    return [a * b, (a, b)]


def product_backward(dout, cache):
    a, b = cache
    return dout * b, dout * a


#: cache last of a list returned, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def product_forward(a, b):
    return [a * b, (a, b)]


def product_backward(dout, cache):
    a, b = cache
    return dout * a, dout * b  # BUG return_order|wrong_variable


#: right: three inputs of one shape, list of gradients
def inputs(rng):
    return [rng.standard_normal((2, 3)) for _ in range(3)]


def mix_forward(a, b, t):
    s = 1 / (1 + np.exp(-t))
    return s * a + (1 - s) * b, (a, b, s)


def mix_backward(g, saved):
    a, b, s = saved
    dt = g * (a - b) * s * (1 - s)
    return [g * s, g * (1 - s), dt]


#: three inputs of one shape, list of gradients, broken
def inputs(rng):
    return [rng.standard_normal((2, 3)) for _ in range(3)]


def mix_forward(a, b, t):
    s = 1 / (1 + np.exp(-t))
    return s * a + (1 - s) * b, (a, b, s)


def mix_backward(g, saved):
    a, b, s = saved
    dt = g * (a + b) * s * (1 - s)  # BUG sign
    return [g * s, g * (1 - s), dt]


#: right: list of arrays as an argument
def inputs(rng):
    return {"xs": [rng.standard_normal((2, 3)), rng.standard_normal((2, 4))], "axis": 1}


def concat_forward(xs, axis):
    return np.concatenate(xs, axis=axis), ([x.shape[axis] for x in xs], axis)


def concat_backward(dout, cache):
    sizes, axis = cache
    return np.split(dout, np.cumsum(sizes)[:-1], axis=axis)


#: list of arrays as an argument, broken
def inputs(rng):
    return {"xs": [rng.standard_normal((2, 3)), rng.standard_normal((2, 4))], "axis": 1}


def concat_forward(xs, axis):
    return np.concatenate(xs, axis=axis), ([x.shape[axis] for x in xs], axis)


def concat_backward(dout, cache):
    sizes, axis = cache
    return [2 * d for d in np.split(dout, np.cumsum(sizes)[:-1], axis=axis)]  # BUG factor


#: right: varargs
def inputs(rng):
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 3))


def add_all_forward(*xs):
    return sum(x ** 2 for x in xs), xs


def add_all_backward(dout, xs):
    return tuple(2 * x * dout for x in xs)


#: varargs, broken
def inputs(rng):
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 3))


def add_all_forward(*xs):
    return sum(x ** 2 for x in xs), xs


def add_all_backward(dout, xs):
    return tuple(x * dout for x in xs)  # BUG factor


#: right: mode as a word
def inputs(rng):
    return rng.standard_normal((6, 5)), 0.4, "train"


def dropout_forward(x, p, mode):
    if mode == "train":
        mask = (np.random.rand(*x.shape) > p) / (1 - p)
        return x * mask, (mask, mode)
    return x, (None, mode)


def dropout_backward(dout, cache):
    mask, mode = cache
    if mode == "train":
        return dout * mask
    return dout


#: mode as a word, broken
def inputs(rng):
    return rng.standard_normal((6, 5)), 0.4, "train"


def dropout_forward(x, p, mode):
    if mode == "train":
        mask = (np.random.rand(*x.shape) > p) / (1 - p)
        return x * mask, (mask, mode)
    return x, (None, mode)


def dropout_backward(dout, cache):
    mask, mode = cache
    if mode == "train":
        return dout * (mask > 0)  # BUG keep_prob|missing_factor|mask|factor
    return dout


#: right: generator as an argument
def inputs(rng):
    return {"x": rng.standard_normal((6, 5)), "rng": np.random.default_rng(4), "sigma": 0.5}


def noise_forward(x, rng, sigma):
    n = 1 + sigma * rng.standard_normal(x.shape)
    return x * n, n


def noise_backward(dout, n):
    return dout * n


#: generator as an argument, broken
def inputs(rng):
    return {"x": rng.standard_normal((6, 5)), "rng": np.random.default_rng(4), "sigma": 0.5}


def noise_forward(x, rng, sigma):
    n = 1 + sigma * rng.standard_normal(x.shape)
    return x * n, n


def noise_backward(dout, n):
    return dout * n ** 2  # BUG power|extra_factor


#: right: mask argument of booleans
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "mask": rng.random((3, 4)) > 0.4}


def masked_mean_forward(x, mask):
    count = mask.sum(axis=1)
    return (x * mask).sum(axis=1) / count, (mask, count)


def masked_mean_backward(dout, cache):
    mask, count = cache
    return mask * (dout / count)[:, None]


#: mask argument of booleans, broken
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "mask": rng.random((3, 4)) > 0.4}


def masked_mean_forward(x, mask):
    count = mask.sum(axis=1)
    return (x * mask).sum(axis=1) / count, (mask, count)


def masked_mean_backward(dout, cache):
    mask, count = cache
    return np.ones(mask.shape) * (dout / count)[:, None]  # BUG mask_missing|mask


#: right: scalar out
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def mse_forward(pred, target):
    diff = pred - target
    return np.mean(diff ** 2), diff


def mse_backward(dloss, diff):
    d = dloss * 2 * diff / diff.size
    return d, -d


#: scalar out, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def mse_forward(pred, target):
    diff = pred - target
    return np.mean(diff ** 2), diff


def mse_backward(dloss, diff):
    d = dloss * 2 * diff / len(diff)  # BUG factor|wrong_variable
    return d, -d


#: right: scalar out, no upstream
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def huber_forward(pred, target, delta=0.7):
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r * r, delta * (np.abs(r) - 0.5 * delta)).sum()
    return loss, (r, small, delta)


def huber_backward(cache):
    r, small, delta = cache
    return np.where(small, r, delta * np.sign(r))


#: scalar out, no upstream, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def huber_forward(pred, target, delta=0.7):
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r * r, delta * (np.abs(r) - 0.5 * delta)).sum()
    return loss, (r, small, delta)


def huber_backward(cache):
    r, small, delta = cache
    return np.where(small, r, delta)  # BUG sign|missing_factor


#: right: loss forward with default upstream
def inputs(rng):
    return {"scores": rng.standard_normal((4, 3)), "y": np.array([0, 2, 1, 1])}


def nll_forward(scores, y):
    z = scores - scores.max(1, keepdims=True)
    lse = np.log(np.exp(z).sum(1, keepdims=True))
    logp = z - lse
    return -logp[np.arange(len(y)), y].mean(), (logp, y)


def nll_backward(cache, dloss=1.0):
    logp, y = cache
    d = np.exp(logp)
    d[np.arange(len(y)), y] -= 1
    return dloss * d / len(y)


#: loss forward with default upstream, broken
def inputs(rng):
    return {"scores": rng.standard_normal((4, 3)), "y": np.array([0, 2, 1, 1])}


def nll_forward(scores, y):
    z = scores - scores.max(1, keepdims=True)
    lse = np.log(np.exp(z).sum(1, keepdims=True))
    logp = z - lse
    return -logp[np.arange(len(y)), y].mean(), (logp, y)


def nll_backward(cache, dloss=1.0):
    logp, y = cache
    d = np.exp(logp)
    d[np.arange(len(y)), y] -= 1
    return dloss * d  # BUG sum_for_mean|factor


#: right: cache first
def inputs(rng):
    return rng.standard_normal((4, 3))


def elu_forward(x):
    return np.where(x > 0, x, np.exp(x) - 1), x


def elu_backward(cache, dout):
    x = cache
    return dout * np.where(x > 0, 1, np.exp(x))


#: cache first, broken
def inputs(rng):
    return rng.standard_normal((4, 3))


def elu_forward(x):
    return np.where(x > 0, x, np.exp(x) - 1), x


def elu_backward(cache, dout):
    x = cache
    return dout * np.where(x > 0, 1, np.exp(x) - 1)  # BUG extra_term|function|missing_term


#: right: several outputs
def inputs(rng):
    return rng.standard_normal((3, 6))


def split_forward(x):
    half = x.shape[1] // 2
    return x[:, :half] ** 2, np.sin(x[:, half:]), x


def split_backward(da, db, x):
    half = x.shape[1] // 2
    dx = np.empty_like(x)
    dx[:, :half] = 2 * x[:, :half] * da
    dx[:, half:] = np.cos(x[:, half:]) * db
    return dx


#: several outputs, broken
def inputs(rng):
    return rng.standard_normal((3, 6))


def split_forward(x):
    half = x.shape[1] // 2
    return x[:, :half] ** 2, np.sin(x[:, half:]), x


def split_backward(da, db, x):
    half = x.shape[1] // 2
    dx = np.empty_like(x)
    dx[:, :half] = 2 * x[:, :half] * da
    dx[:, half:] = np.cos(x[:, half:]) * da  # BUG wrong_variable|upstream_missing
    return dx


#: right: layer of a stack of weights
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "Ws": [rng.standard_normal((3, 5)), rng.standard_normal((5, 2))], "bs": [rng.standard_normal(5), rng.standard_normal(2)]}


def mlp_forward(x, Ws, bs):
    acts = [x]
    for W, b in zip(Ws, bs):
        acts.append(np.tanh(acts[-1] @ W + b))
    return acts[-1], (acts, Ws)


def mlp_backward(dout, cache):
    acts, Ws = cache
    dWs, dbs = [], []
    for i in range(len(Ws) - 1, -1, -1):
        dz = dout * (1 - acts[i + 1] ** 2)
        dWs.insert(0, acts[i].T @ dz)
        dbs.insert(0, dz.sum(axis=0))
        dout = dz @ Ws[i].T
    return dout, dWs, dbs
#: layer of a stack of weights, broken
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "Ws": [rng.standard_normal((3, 5)), rng.standard_normal((5, 2))], "bs": [rng.standard_normal(5), rng.standard_normal(2)]}


def mlp_forward(x, Ws, bs):
    acts = [x]
    for W, b in zip(Ws, bs):
        acts.append(np.tanh(acts[-1] @ W + b))
    return acts[-1], (acts, Ws)


def mlp_backward(dout, cache):
    acts, Ws = cache
    dWs, dbs = [], []
    for i in range(len(Ws) - 1, -1, -1):
        dz = dout * (1 - acts[i] ** 2) if i else dout * (1 - acts[i + 1] ** 2)  # BUG wrong_variable|exception|shape
        dWs.insert(0, acts[i].T @ dz)
        dbs.insert(0, dz.sum(axis=0))
        dout = dz @ Ws[i].T
    return dout, dWs, dbs
#: right: params dict loss
def inputs(rng):
    params = {"W1": rng.standard_normal((4, 5)), "b1": rng.standard_normal(5), "W2": rng.standard_normal((5, 3)), "b2": rng.standard_normal(3)}
    return params, rng.standard_normal((6, 4)), rng.integers(0, 3, 6)


def net_loss(params, X, y):
    h = np.maximum(0, X @ params["W1"] + params["b1"])
    s = h @ params["W2"] + params["b2"]
    e = np.exp(s - s.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    n = len(y)
    loss = -np.log(p[np.arange(n), y]).mean()
    grads = {}
    p[np.arange(n), y] -= 1
    ds = p / n
    grads["W2"] = h.T @ ds
    grads["b2"] = ds.sum(axis=0)
    dh = ds @ params["W2"].T
    dh *= h > 0
    grads["W1"] = X.T @ dh
    grads["b1"] = dh.sum(axis=0)
    return loss, grads


#: params dict loss, broken
def inputs(rng):
    params = {"W1": rng.standard_normal((4, 5)), "b1": rng.standard_normal(5), "W2": rng.standard_normal((5, 3)), "b2": rng.standard_normal(3)}
    return params, rng.standard_normal((6, 4)), rng.integers(0, 3, 6)


def net_loss(params, X, y):
    h = np.maximum(0, X @ params["W1"] + params["b1"])
    s = h @ params["W2"] + params["b2"]
    e = np.exp(s - s.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    n = len(y)
    loss = -np.log(p[np.arange(n), y]).mean()
    grads = {}
    p[np.arange(n), y] -= 1
    ds = p / n
    grads["W2"] = h.T @ ds
    grads["b2"] = ds.sum(axis=0)
    dh = ds @ params["W2"].T
    dh *= h >= 0  # BUG mask
    grads["W1"] = X.T @ dh
    grads["b1"] = dh.sum(axis=0)
    return loss, grads


#: right: pair with params dict, forward returns loss
def inputs(rng):
    return {"params": {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}, "X": rng.standard_normal((6, 4)), "Y": rng.standard_normal((6, 3))}


def ridge_forward(params, X, Y):
    R = X @ params["W"] + params["b"] - Y
    return 0.5 * np.sum(R ** 2) / len(X) + 0.1 * np.sum(params["W"] ** 2), (params, X, R)


def ridge_backward(cache):
    params, X, R = cache
    d = R / len(X)
    grads = {"W": X.T @ d + 0.2 * params["W"],
             "b": d.sum(axis=0)}
    return grads


#: pair with params dict, forward returns loss, broken
def inputs(rng):
    return {"params": {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}, "X": rng.standard_normal((6, 4)), "Y": rng.standard_normal((6, 3))}


def ridge_forward(params, X, Y):
    R = X @ params["W"] + params["b"] - Y
    return 0.5 * np.sum(R ** 2) / len(X) + 0.1 * np.sum(params["W"] ** 2), (params, X, R)


def ridge_backward(cache):
    params, X, R = cache
    d = R / len(X)
    grads = {"W": X.T @ d + 0.1 * params["W"],  # BUG regularisation|factor
             "b": d.sum(axis=0)}
    return grads


#: right: functions of a net with helpers
def inputs(rng):
    return rng.standard_normal((5, 4)), rng.standard_normal((4, 6)), rng.standard_normal(6), rng.standard_normal((6, 3)), rng.standard_normal(3)


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)


def two_layer_forward(x, w1, b1, w2, b2):
    a, c1 = affine_forward(x, w1, b1)
    r, c2 = relu_forward(a)
    out, c3 = affine_forward(r, w2, b2)
    return out, (c1, c2, c3)


def two_layer_backward(dout, cache):
    c1, c2, c3 = cache
    dr, dw2, db2 = affine_backward(dout, c3)
    da = relu_backward(dr, c2)
    dx, dw1, db1 = affine_backward(da, c1)
    return dx, dw1, db1, dw2, db2


#: functions of a net with helpers, broken
def inputs(rng):
    return rng.standard_normal((5, 4)), rng.standard_normal((4, 6)), rng.standard_normal(6), rng.standard_normal((6, 3)), rng.standard_normal(3)


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)


def two_layer_forward(x, w1, b1, w2, b2):
    a, c1 = affine_forward(x, w1, b1)
    r, c2 = relu_forward(a)
    out, c3 = affine_forward(r, w2, b2)
    return out, (c1, c2, c3)


def two_layer_backward(dout, cache):
    c1, c2, c3 = cache
    dr, dw2, db2 = affine_backward(dout, c3)
    da = relu_backward(dr, c2)
    dx, dw1, db1 = affine_backward(dr, c1)  # BUG wrong_variable|mask_missing
    return dx, dw1, db1, dw2, db2


#: right: pred and target, gradient of pred only
def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "truth": rng.standard_normal((4, 3))}


def squared_forward(pred, truth):
    return np.sum((pred - truth) ** 2) / 2, (pred, truth)


def squared_backward(dout, cache):
    pred, truth = cache
    return dout * (pred - truth)


#: pred and target, gradient of pred only, broken
def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "truth": rng.standard_normal((4, 3))}


def squared_forward(pred, truth):
    return np.sum((pred - truth) ** 2) / 2, (pred, truth)


def squared_backward(dout, cache):
    pred, truth = cache
    return dout * (truth - pred)  # BUG sign


#: right: sample weights, none given back
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.uniform(0.5, 1.5, 4)


def weighted_sum_forward(x, sample_weight):
    return (x ** 2).sum(axis=1) * sample_weight, (x, sample_weight)


def weighted_sum_backward(dout, cache):
    x, sample_weight = cache
    return 2 * x * (dout * sample_weight)[:, None]


#: sample weights, none given back, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.uniform(0.5, 1.5, 4)


def weighted_sum_forward(x, sample_weight):
    return (x ** 2).sum(axis=1) * sample_weight, (x, sample_weight)


def weighted_sum_backward(dout, cache):
    x, sample_weight = cache
    return 2 * x * dout[:, None]  # BUG missing_factor


#: right: none for a constant
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def distance_forward(a, anchor):
    d = np.sqrt(((a - anchor) ** 2).sum(axis=1))
    return d, (a, anchor, d)


def distance_backward(dout, cache):
    a, anchor, d = cache
    return (dout / d)[:, None] * (a - anchor), None


#: none for a constant, broken
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


def distance_forward(a, anchor):
    d = np.sqrt(((a - anchor) ** 2).sum(axis=1))
    return d, (a, anchor, d)


def distance_backward(dout, cache):
    a, anchor, d = cache
    return (dout * d)[:, None] * (a - anchor), None  # BUG power|operation


#: right: list of caches
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "weights": [rng.standard_normal((4, 4)) for _ in range(3)]}


def deep_forward(x, weights):
    caches = []
    for w in weights:
        z = x @ w
        caches.append((x, w, z))
        x = np.maximum(z, 0.1 * z)
    return x, caches


def deep_backward(dout, caches):
    grads = []
    for x, w, z in reversed(caches):
        dz = np.where(z > 0, dout, 0.1 * dout)
        grads.append(x.T @ dz)
        dout = dz @ w.T
    return dout, grads[::-1]


#: list of caches, broken
def inputs(rng):
    return {"x": rng.standard_normal((3, 4)), "weights": [rng.standard_normal((4, 4)) for _ in range(3)]}


def deep_forward(x, weights):
    caches = []
    for w in weights:
        z = x @ w
        caches.append((x, w, z))
        x = np.maximum(z, 0.1 * z)
    return x, caches


def deep_backward(dout, caches):
    grads = []
    for x, w, z in reversed(caches):
        dz = np.where(z > 0, dout, 0.2 * dout)  # BUG factor
        grads.append(x.T @ dz)
        dout = dz @ w.T
    return dout, grads[::-1]


#: right: cache on an object given
class Ctx:
    pass


def inputs(rng):
    return {"ctx": Ctx(), "x": rng.standard_normal((3, 4))}


def sine_forward(ctx, x):
    ctx.x = x
    return np.sin(x)


def sine_backward(ctx, dout):
    return np.cos(ctx.x) * dout


#: cache on an object given, broken
class Ctx:
    pass


def inputs(rng):
    return {"ctx": Ctx(), "x": rng.standard_normal((3, 4))}


def sine_forward(ctx, x):
    ctx.x = x
    return np.sin(x)


def sine_backward(ctx, dout):
    return np.sin(ctx.x) * dout  # BUG function


#: right: outputs in a dict
def inputs(rng):
    return rng.standard_normal((3, 4))


def heads_forward(x):
    return {"a": np.tanh(x), "b": x ** 2}, x


def heads_backward(douts, x):
    return douts["a"] * (1 - np.tanh(x) ** 2) + 2 * x * douts["b"]


#: outputs in a dict, broken
def inputs(rng):
    return rng.standard_normal((3, 4))


def heads_forward(x):
    return {"a": np.tanh(x), "b": x ** 2}, x


def heads_backward(douts, x):
    return douts["a"] * (1 - np.tanh(x) ** 2) + x * douts["b"]  # BUG factor


#: right: gru step
def inputs(rng):
    H, D = 3, 2
    return rng.standard_normal((4, D)), rng.standard_normal((4, H)), rng.standard_normal((D, 3 * H)), rng.standard_normal((H, 3 * H)), rng.standard_normal(3 * H)


def gru_step_forward(x, h, Wx, Wh, b):
    H = h.shape[1]
    gx = x @ Wx + b
    gh = h @ Wh
    r = 1 / (1 + np.exp(-(gx[:, :H] + gh[:, :H])))
    z = 1 / (1 + np.exp(-(gx[:, H:2 * H] + gh[:, H:2 * H])))
    n = np.tanh(gx[:, 2 * H:] + r * gh[:, 2 * H:])
    return (1 - z) * n + z * h, (x, h, Wx, Wh, r, z, n, gh)


def gru_step_backward(dout, cache):
    x, h, Wx, Wh, r, z, n, gh = cache
    H = h.shape[1]
    dn = dout * (1 - z)
    dz = dout * (h - n)
    dan = dn * (1 - n ** 2)
    dr = dan * gh[:, 2 * H:]
    daz = dz * z * (1 - z)
    dar = dr * r * (1 - r)
    dgx = np.concatenate([dar, daz, dan], axis=1)
    dgh = np.concatenate([dar, daz, dan * r], axis=1)
    return dgx @ Wx.T, dout * z + dgh @ Wh.T, x.T @ dgx, h.T @ dgh, dgx.sum(axis=0)


#: gru step, broken
def inputs(rng):
    H, D = 3, 2
    return rng.standard_normal((4, D)), rng.standard_normal((4, H)), rng.standard_normal((D, 3 * H)), rng.standard_normal((H, 3 * H)), rng.standard_normal(3 * H)


def gru_step_forward(x, h, Wx, Wh, b):
    H = h.shape[1]
    gx = x @ Wx + b
    gh = h @ Wh
    r = 1 / (1 + np.exp(-(gx[:, :H] + gh[:, :H])))
    z = 1 / (1 + np.exp(-(gx[:, H:2 * H] + gh[:, H:2 * H])))
    n = np.tanh(gx[:, 2 * H:] + r * gh[:, 2 * H:])
    return (1 - z) * n + z * h, (x, h, Wx, Wh, r, z, n, gh)


def gru_step_backward(dout, cache):
    x, h, Wx, Wh, r, z, n, gh = cache
    H = h.shape[1]
    dn = dout * (1 - z)
    dz = dout * (n - h)  # BUG sign
    dan = dn * (1 - n ** 2)
    dr = dan * gh[:, 2 * H:]
    daz = dz * z * (1 - z)
    dar = dr * r * (1 - r)
    dgx = np.concatenate([dar, daz, dan], axis=1)
    dgh = np.concatenate([dar, daz, dan * r], axis=1)
    return dgx @ Wx.T, dout * z + dgh @ Wh.T, x.T @ dgx, h.T @ dgh, dgx.sum(axis=0)


#: right: multi head attention
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "Wq": rng.standard_normal((4, 4)), "Wk": rng.standard_normal((4, 4)), "Wv": rng.standard_normal((4, 4)), "heads": 2}


def split(t, heads):
    N, T, D = t.shape
    return t.reshape(N, T, heads, D // heads).transpose(0, 2, 1, 3)


def merge(t):
    N, H, T, E = t.shape
    return t.transpose(0, 2, 1, 3).reshape(N, T, H * E)


def mha_forward(x, Wq, Wk, Wv, heads):
    q, k, v = (split(x @ W, heads) for W in (Wq, Wk, Wv))
    scale = q.shape[-1] ** -0.5
    s = np.einsum("nhte,nhse->nhts", q, k) * scale
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return merge(p @ v), (x, Wq, Wk, Wv, heads, q, k, v, p, scale)


def mha_backward(dout, cache):
    x, Wq, Wk, Wv, heads, q, k, v, p, scale = cache
    do = split(dout, heads)
    dv = np.swapaxes(p, -1, -2) @ do
    dp = do @ np.swapaxes(v, -1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    dq = np.einsum("nhts,nhse->nhte", ds, k) * scale
    dk = np.einsum("nhts,nhte->nhse", ds, q) * scale
    dx = merge(dq) @ Wq.T + merge(dk) @ Wk.T + merge(dv) @ Wv.T
    dWq, dWk, dWv = (np.einsum("ntd,nte->de", x, merge(g)) for g in (dq, dk, dv))
    return dx, dWq, dWk, dWv


#: multi head attention, broken
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "Wq": rng.standard_normal((4, 4)), "Wk": rng.standard_normal((4, 4)), "Wv": rng.standard_normal((4, 4)), "heads": 2}


def split(t, heads):
    N, T, D = t.shape
    return t.reshape(N, T, heads, D // heads).transpose(0, 2, 1, 3)


def merge(t):
    N, H, T, E = t.shape
    return t.transpose(0, 2, 1, 3).reshape(N, T, H * E)


def mha_forward(x, Wq, Wk, Wv, heads):
    q, k, v = (split(x @ W, heads) for W in (Wq, Wk, Wv))
    scale = q.shape[-1] ** -0.5
    s = np.einsum("nhte,nhse->nhts", q, k) * scale
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return merge(p @ v), (x, Wq, Wk, Wv, heads, q, k, v, p, scale)


def mha_backward(dout, cache):
    x, Wq, Wk, Wv, heads, q, k, v, p, scale = cache
    do = split(dout, heads)
    dv = np.swapaxes(p, -1, -2) @ do
    dp = do @ np.swapaxes(v, -1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    dq = np.einsum("nhts,nhse->nhte", ds, k) * scale
    dk = np.einsum("nhts,nhte->nhse", ds, q)  # BUG missing_factor|factor
    dx = merge(dq) @ Wq.T + merge(dk) @ Wk.T + merge(dv) @ Wv.T
    dWq, dWk, dWv = (np.einsum("ntd,nte->de", x, merge(g)) for g in (dq, dk, dv))
    return dx, dWq, dWk, dWv


#: right: layer norm over last of three
def inputs(rng):
    return rng.standard_normal((2, 3, 5)), rng.standard_normal(5), rng.standard_normal(5)


def layernorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(-1, keepdims=True)
    xc = x - mu
    var = (xc ** 2).mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    xhat = xc * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dbeta = dout.sum(axis=(0, 1))
    dgamma = (dout * xhat).sum(axis=(0, 1))
    dxhat = dout * gamma
    dx = rstd * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx, dgamma, dbeta


#: layer norm over last of three, broken
def inputs(rng):
    return rng.standard_normal((2, 3, 5)), rng.standard_normal(5), rng.standard_normal(5)


def layernorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(-1, keepdims=True)
    xc = x - mu
    var = (xc ** 2).mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    xhat = xc * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dbeta = dout.sum(axis=(0, 1))
    dgamma = (dout * xhat).sum(axis=0)  # BUG missing_sum|axis|shape
    dxhat = dout * gamma
    dx = rstd * (dxhat - dxhat.mean(-1, keepdims=True) - xhat * (dxhat * xhat).mean(-1, keepdims=True))
    return dx, dgamma, dbeta


#: right: contrastive loss with labels of zeros and ones as floats
def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), np.array([0.0, 1, 1, 0, 1])


def contrastive_loss(a, b, same, margin=3.0):
    d = np.sqrt(((a - b) ** 2).sum(1))
    gap = np.maximum(0, margin - d)
    loss = (same * d ** 2 + (1 - same) * gap ** 2).mean()
    g = (2 * same * d - 2 * (1 - same) * gap) / len(d)
    da = (g / d)[:, None] * (a - b)
    return loss, da, -da


#: contrastive loss with labels of zeros and ones as floats, broken
def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), np.array([0.0, 1, 1, 0, 1])


def contrastive_loss(a, b, same, margin=3.0):
    d = np.sqrt(((a - b) ** 2).sum(1))
    gap = np.maximum(0, margin - d)
    loss = (same * d ** 2 + (1 - same) * gap ** 2).mean()
    g = (2 * same * d + 2 * (1 - same) * gap) / len(d)  # BUG sign
    da = (g / d)[:, None] * (a - b)
    return loss, da, -da


#: right: sequence loss with a mask
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4)), "y": rng.integers(0, 4, (2, 3)), "mask": np.array([[1, 1, 0], [1, 0, 1]], dtype=bool)}


def temporal_softmax_loss(x, y, mask):
    N, T, V = x.shape
    flat, yf, mf = x.reshape(N * T, V), y.reshape(-1), mask.reshape(-1)
    p = np.exp(flat - flat.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.sum(mf * np.log(p[np.arange(N * T), yf])) / N
    d = p.copy()
    d[np.arange(N * T), yf] -= 1
    d /= N
    d *= mf[:, None]
    return loss, d.reshape(N, T, V)


#: right: average pooling with float32 inside
def inputs(rng):
    return rng.standard_normal((2, 2, 6)).astype(np.float32), 3


def avgpool1d_forward(x, k):
    N, C, L = x.shape
    return x.reshape(N, C, L // k, k).mean(axis=3), (k, x.shape)


def avgpool1d_backward(dout, cache):
    k, shape = cache
    return np.repeat(dout, k, axis=2) / k


#: average pooling with float32 inside, broken
def inputs(rng):
    return rng.standard_normal((2, 2, 6)).astype(np.float32), 3


def avgpool1d_forward(x, k):
    N, C, L = x.shape
    return x.reshape(N, C, L // k, k).mean(axis=3), (k, x.shape)


def avgpool1d_backward(dout, cache):
    k, shape = cache
    return np.repeat(dout, k, axis=2)  # BUG mean_for_sum|factor|sum_for_mean


#: right: integers given as x
def inputs(rng):
    return {"x": np.arange(12).reshape(3, 4), "w": rng.standard_normal((4, 2))}


def count_forward(x, w):
    return x @ w, x


def count_backward(dout, x):
    return x.T @ dout


#: integers given as x, broken
def inputs(rng):
    return {"x": np.arange(12).reshape(3, 4), "w": rng.standard_normal((4, 2))}


def count_forward(x, w):
    return x @ w, x


def count_backward(dout, x):
    return x.T @ dout / len(x)  # BUG factor


#: right: prelu with one slope
def inputs(rng):
    return rng.standard_normal((4, 5)), np.array([0.25])


def prelu_forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def prelu_backward(dout, cache):
    x, a = cache
    dx = np.where(x > 0, dout, a * dout)
    da = np.array([np.sum(dout * x * (x <= 0))])
    return dx, da


#: prelu with one slope, broken
def inputs(rng):
    return rng.standard_normal((4, 5)), np.array([0.25])


def prelu_forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def prelu_backward(dout, cache):
    x, a = cache
    dx = np.where(x > 0, dout, a * dout)
    da = np.array([np.sum(dout * x)])  # BUG mask_missing|mask
    return dx, da


