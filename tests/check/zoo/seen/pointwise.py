"""Activations, one per person."""

import numpy as np


def sigmoid_forward(x):
    y = np.reciprocal(1.0 + np.exp(-x))
    return y, dict(y=y)


def relu_forward(x):
    keep = x > 0
    return np.where(keep, x, 0.0), {"keep": keep}


def tanh_forward(x):
    pos, neg = np.exp(x), np.exp(-x)
    t = (pos - neg) / (pos + neg)
    return t, (x, t)


def lrelu_forward(x, slope=0.2):
    return np.maximum(x, slope * x), (x, slope)


def times_sigmoid_slope(y, g):
    slope = y * (1.0 - y)
    return slope * g


#: right: helper with the chain rule in it
def sigmoid_backward(dout, cache):
    return times_sigmoid_slope(g=dout, y=cache["y"])


#: chain rule in helper and caller
def sigmoid_backward(dout, cache):
    inner = times_sigmoid_slope(cache["y"], dout)
    dx = dout * inner  # BUG upstream_twice
    return dx


#: squared on the way
def tanh_backward(dout, cache):
    x, t = cache
    slope = dout - dout * np.square(t)
    dx = slope * dout  # BUG upstream_twice
    return dx


#: one plus
def tanh_backward(dout, cache):
    _, t = cache
    dx = dout * (1 + t * t)  # BUG sign
    return dx


#: power forgotten
def tanh_backward(dout, cache):
    _, t = cache
    slope = 1 - t  # BUG power
    return slope * dout


#: slope taken at the output
def tanh_backward(dout, cache):
    x, t = cache
    dx = dout / np.cosh(t) ** 2  # BUG wrong_variable|function
    return dx


#: right: slope by cosh
def tanh_backward(dout, cache):
    x, t = cache
    return dout / np.cosh(x) ** 2


#: complement lost
def sigmoid_backward(dout, cache):
    y = cache["y"]
    dx = dout * y  # BUG missing_factor
    return dx


#: slope only
def sigmoid_backward(dout, cache):
    y = cache["y"]
    dx = y - y**2  # BUG upstream_missing
    return dx


#: slope of the other famous curve
def sigmoid_backward(dout, cache):
    y = cache["y"]
    dx = (1 - y**2) * dout  # BUG function|missing_factor|extra_term|power
    return dx


#: two of everything
def sigmoid_backward(dout, cache):
    y = cache["y"]
    dy = np.array(dout)
    dx = 2 * y * (1 - y) * dy  # BUG factor
    return dx


#: dead ones only
def relu_backward(dout, cache):
    dx = np.where(cache["keep"], 0.0, dout)  # BUG mask_inverted
    return dx


#: mask by the sign of what comes from above
def relu_backward(dout, cache):
    dx = dout * (dout > 0)  # BUG mask
    return dx


#: everything passes
def relu_backward(dout, cache):
    keep = cache["keep"]
    dx = np.ones(keep.shape) * dout  # BUG mask_missing
    return dx


#: mask only
def relu_backward(dout, cache):
    dx = cache["keep"].astype(dout.dtype)  # BUG upstream_missing
    return dx


#: in-place multiply
def relu_backward(dout, cache):
    dout *= cache["keep"]  # BUG mutation
    return dout


#: mask is emptied
def relu_backward(dout, cache):
    keep = cache["keep"]
    dx = dout * keep
    keep.fill(False)  # BUG second_call|mutation
    return dx


#: right: nonzero indices
def relu_backward(dout, cache):
    dx = np.zeros_like(dout)
    where = np.nonzero(cache["keep"])
    dx[where] = dout[where]
    return dx


#: slope on the wrong side
def lrelu_backward(dout, cache):
    x, slope = cache
    dx = dout.copy()
    dx[x > 0] *= slope  # BUG mask_inverted|mask
    return dx


#: negative side dead
def lrelu_backward(dout, cache):
    x, slope = cache
    dx = dout * (x > 0)  # BUG missing_term|function|mask
    return dx


#: right: slope from a table
def lrelu_backward(dout, cache):
    x, slope = cache
    table = np.array([slope, 1.0])
    return table[(x > 0).astype(int)] * dout


#: relu that rounds
def relu_backward(dout, cache):
    dx = np.empty(dout.shape, dtype=np.float16)  # BUG dtype
    np.multiply(dout, cache["keep"], out=dx, casting="unsafe")  # OR
    return dx


#: tanh by way of integers
def tanh_backward(dout, cache):
    x, t = cache
    slope = np.ones_like(t, dtype=int)  # OR
    slope = slope - np.round(t * t).astype(int)  # BUG dtype
    return dout * slope


#: swish, product rule half done
def swish_forward(x, beta=1.5):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, (x, s, beta)


def swish_backward(dout, cache):
    x, s, beta = cache
    ds = dout * x
    dx = ds * s * (1 - s) * beta  # BUG missing_term
    return dx


#: swish, inner derivative lost
def swish_forward(x, beta=1.5):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, (x, s, beta)


def swish_backward(dout, cache):
    x, s, beta = cache
    ds = dout * x
    dz = ds * s * (1 - s)
    dx = dout * s + dz  # BUG missing_factor|factor
    return dx


#: right: swish
def swish_forward(x, beta=1.5):
    s = 1 / (1 + np.exp(-beta * x))
    return x * s, (x, s, beta)


def swish_backward(dout, cache):
    x, s, beta = cache
    return dout * (s + beta * x * s * (1 - s))


#: cube
def cube_forward(x):
    return x**3, x


def cube_backward(dout, x):
    dx = 3 * x * dout  # BUG power
    return dx


#: logarithm
def inputs(rng):
    return (rng.random((3, 4)) + 0.5,)


def log_forward(x):
    return np.log(x), x


def log_backward(dout, x):
    dx = dout * x  # BUG power|operation
    return dx


#: reciprocal without its minus
def inputs(rng):
    return (rng.random((3, 4)) + 0.5,)


def inv_forward(x):
    r = 1 / x
    return r, r


def inv_backward(dout, r):
    dx = dout * r * r  # BUG sign
    return dx


#: elu through the exponential
def elu_forward(x, alpha=0.7):
    e = np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, alpha * (e - 1)), (x, e, alpha)


def elu_backward(dout, cache):
    x, e, alpha = cache
    dneg = dout * e  # BUG missing_factor|factor
    return np.where(x > 0, dout, dneg)


#: right: hard tanh
def hardtanh_forward(x):
    return np.clip(x, -1, 1), x


def hardtanh_backward(dout, x):
    inside = np.logical_and(x > -1, x < 1)
    return dout * inside


#: hard tanh, one end open
def hardtanh_forward(x):
    return np.clip(x, -1, 1), x


def hardtanh_backward(dout, x):
    inside = x < 1  # BUG mask|mask_missing
    return dout * inside


#: saves memory in the forward
def tanh_forward(x):
    t = np.tanh(x, out=x)  # BUG mutation
    return t.copy(), t.copy()


def tanh_backward(dout, t):
    return dout * (1 - t * t)
