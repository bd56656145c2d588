"""Layers made of layers, recurrent steps, attention, embeddings, and other people's habits."""

import numpy as np


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)


def affine_relu_forward(x, w, b):
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    next_h = np.tanh(a)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def inputs_rnn(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 5)), rng.standard_normal((3, 5)), rng.standard_normal((5, 5)), rng.standard_normal(5)


#: right: affine relu
def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db


#: right: rnn step
inputs = inputs_rnn


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    dx, dWx = da @ Wx.T, x.T @ da
    dprev_h, dWh = da @ Wh.T, prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


#: right: lstm step with two outputs
def inputs(rng):
    n, d, h = 3, 4, 2
    return (rng.standard_normal((n, d)), rng.standard_normal((n, h)), rng.standard_normal((n, h)),
            rng.standard_normal((d, 4 * h)), rng.standard_normal((h, 4 * h)), rng.standard_normal(4 * h))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-v)) for v in (ai, af, ao))
    g = np.tanh(ag)
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    do = dnext_h * t
    dc = dnext_c + dnext_h * o * (1 - t**2)
    df, dprev_c = dc * prev_c, dc * f
    di, dg = dc * g, dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: right: attention
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


def attention_forward(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v, (q, k, v, p)


def attention_backward(dout, cache):
    q, k, v, p = cache
    dv = p.T @ dout
    dp = dout @ v.T
    dscores = p * (dp - (dp * p).sum(axis=1, keepdims=True))
    dscores = dscores / np.sqrt(q.shape[1])
    dq = dscores @ k
    dk = dscores.T @ q
    return dq, dk, dv


#: right: embedding
def embedding_forward(idx, W):
    return W[idx], (idx, W.shape)


def embedding_backward(dout, cache):
    idx, shape = cache
    dW = np.zeros(shape, dtype=dout.dtype)
    np.add.at(dW, idx, dout)
    return dW


#: right: residual block with an object as cache
class Memory:
    pass


def residual_forward(x, w):
    c = Memory()
    c.x, c.w = x, w
    c.h = np.tanh(x @ w)
    return x + c.h, c


def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((3, 3))


def residual_backward(dout, c):
    dh = dout
    dz = dh * (1 - c.h**2)
    dx = dout + dz @ c.w.T
    dw = c.x.T @ dz
    return dx, dw


#: affine relu in the forward's order
def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(dout, fc_cache)  # BUG wrong_variable|mask_missing
    return dx, dw, db


#: affine relu, helper with a wrong sum
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.mean(axis=0)  # BUG mean_for_sum|factor
    return dx, dw, db


def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db


#: affine relu, helper with a wrong mask
def relu_backward(dout, x):
    dx = dout * (x >= 0.3)  # BUG mask
    return dx


def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    da = relu_backward(dout, relu_cache)
    dx, dw, db = affine_backward(da, fc_cache)
    return dx, dw, db


#: rnn step, square forgotten
inputs = inputs_rnn


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h)  # BUG power
    dx, dWx = da @ Wx.T, x.T @ da
    dprev_h, dWh = da @ Wh.T, prev_h.T @ da
    db = da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


#: rnn step, the other weights
inputs = inputs_rnn


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    dx, dWx = da @ Wx.T, x.T @ da
    dprev_h, dWh = da @ Wh, prev_h.T @ da  # BUG transposed
    db = da.sum(axis=0)
    return dx, dprev_h, dWx, dWh, db


#: lstm step, the cell's own gradient forgotten
def inputs(rng):
    n, d, h = 3, 4, 2
    return (rng.standard_normal((n, d)), rng.standard_normal((n, h)), rng.standard_normal((n, h)),
            rng.standard_normal((d, 4 * h)), rng.standard_normal((h, 4 * h)), rng.standard_normal(4 * h))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-v)) for v in (ai, af, ao))
    g = np.tanh(ag)
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    do = dnext_h * t
    dc = dnext_h * o * (1 - t**2)  # BUG missing_term
    df, dprev_c = dc * prev_c, dc * f
    di, dg = dc * g, dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: lstm step, gates mixed up
def inputs(rng):
    n, d, h = 3, 4, 2
    return (rng.standard_normal((n, d)), rng.standard_normal((n, h)), rng.standard_normal((n, h)),
            rng.standard_normal((d, 4 * h)), rng.standard_normal((h, 4 * h)), rng.standard_normal(4 * h))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    a = x @ Wx + prev_h @ Wh + b
    ai, af, ao, ag = np.split(a, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-v)) for v in (ai, af, ao))
    g = np.tanh(ag)
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    next_h = o * t
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    do = dnext_h * t
    dc = dnext_c + dnext_h * o * (1 - t**2)
    df, dprev_c = dc * prev_c, dc * f
    di, dg = dc * i, dc * i  # BUG wrong_variable
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


#: attention, the sum in the softmax forgotten
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


def attention_forward(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v, (q, k, v, p)


def attention_backward(dout, cache):
    q, k, v, p = cache
    dv = p.T @ dout
    dp = dout @ v.T
    dscores = p * (dp - (dp * p).sum(axis=0, keepdims=True))  # BUG axis
    dscores = dscores / np.sqrt(q.shape[1])
    dq = dscores @ k
    dk = dscores.T @ q
    return dq, dk, dv


#: attention, the scale forgotten
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


def attention_forward(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v, (q, k, v, p)


def attention_backward(dout, cache):
    q, k, v, p = cache
    dv = p.T @ dout
    dp = dout @ v.T
    dscores = p * (dp - (dp * p).sum(axis=1, keepdims=True))
    dq = dscores @ k / q.shape[1]  # BUG power|factor
    dk = dscores.T @ q / np.sqrt(q.shape[1])
    return dq, dk, dv


#: embedding, repeated words overwrite
def embedding_forward(idx, W):
    return W[idx], (idx, W.shape)


def embedding_backward(dout, cache):
    idx, shape = cache
    dW = np.zeros(shape, dtype=dout.dtype)
    dW[idx] += dout  # BUG overlap
    return dW


#: residual, the short way forgotten
class Memory:
    pass


def residual_forward(x, w):
    c = Memory()
    c.x, c.w = x, w
    c.h = np.tanh(x @ w)
    return x + c.h, c


def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((3, 3))


def residual_backward(dout, c):
    dh = dout
    dz = dh * (1 - c.h**2)
    dx = dz @ c.w.T  # BUG missing_term
    dw = c.x.T @ dz
    return dx, dw
