"""Numbers right, manners wrong: arrays changed in place, state between calls, number types."""

import numpy as np


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)


def relu_forward(x):
    return np.maximum(x, 0), x


def tanh_forward(x):
    t = np.tanh(x)
    return t, {"t": t}


#: relu changes dout
def relu_backward(dout, x):
    dout[x <= 0] = 0  # BUG mutation
    return dout


#: relu changes dout through another name
def relu_backward(dout, x):
    dx = dout
    dx[x <= 0] = 0  # BUG mutation
    return dx


#: relu forward in place
def relu_forward(x):
    cache = x.copy()
    x[x < 0] = 0  # BUG mutation
    return x, cache


def relu_backward(dout, x):
    return dout * (x > 0)


#: tanh spoils its cache
def tanh_backward(dout, cache):
    t = cache["t"]
    t *= t  # BUG mutation
    return dout * (1 - t)


#: multiplication in place
def tanh_backward(dout, cache):
    local = 1 - cache["t"] ** 2
    dout *= local  # BUG mutation
    return dout


#: out= into the cache
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.sum(axis=0)
    np.multiply(w, 0.9, out=w)  # BUG mutation
    return dx, dw, db


#: gradients accumulate in a global
_dw = {}


def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    if "dw" in _dw and _dw["dw"].shape == dw.shape:
        dw = dw + _dw["dw"]  # BUG second_call|extra_term
    _dw["dw"] = dw
    db = dout.sum(axis=0)
    return dx, dw, db


#: cache popped
def tanh_backward(dout, cache):
    t = cache.pop("t")  # BUG second_call|mutation
    return dout * (1 - t**2)


#: integer result
def relu_backward(dout, x):
    dx = np.zeros(x.shape, dtype=int)  # BUG dtype
    dx[x > 0] = dout[x > 0]
    return dx


#: integers by zeros_like of an integer mask
def relu_backward(dout, x):
    mask = (x > 0).astype(int)
    dx = np.zeros_like(mask)  # BUG dtype
    dx += (dout * mask).astype(int)
    return dx


#: half precision
def tanh_backward(dout, cache):
    t = cache["t"].astype(np.float16)  # BUG dtype
    dx = dout * (1 - t**2)
    return dx


#: single precision out of double
def relu_backward(dout, x):
    dx = (dout * (x > 0)).astype(np.float32)  # BUG dtype warning
    return dx


#: double precision out of single
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = np.zeros(w.shape)  # BUG dtype warning
    for n in range(len(x)):
        dw += np.outer(x[n].ravel(), dout[n])
    db = dout.sum(axis=0)
    return dx, dw, db


#: NaN
def tanh_backward(dout, cache):
    t = cache["t"]
    dx = dout * np.sqrt(t - 1)  # BUG not_finite|function
    return dx


#: exception in the backward
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w  # BUG exception|transposed
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


#: a gradient too few
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    return dx, dw  # BUG missing_gradient


#: right: copies
def relu_backward(dout, x):
    dx = dout.copy()
    dx[x <= 0] = 0
    return dx


#: right: keeps a counter, which is nobody's business
_calls = []


def tanh_backward(dout, cache):
    _calls.append(1)
    return dout * (1 - cache["t"] ** 2)
