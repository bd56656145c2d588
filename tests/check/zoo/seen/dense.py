"""Dense layers as other people write them: verbose, einsum, loops, keyword arguments."""

import numpy as np


def affine_forward(x, w, b):
    N = x.shape[0]
    x_row = np.reshape(x, (N, -1))
    out = np.dot(x_row, w) + b
    return out, (x, w, b)


def fc_forward(inp, weight, bias):
    score = np.einsum("nd,hd->nh", inp, weight) + bias
    return score, {"inp": inp, "weight": weight}


def fc_inputs(rng):
    return {"inp": rng.standard_normal((5, 3)), "weight": rng.standard_normal((4, 3)), "bias": rng.standard_normal(4)}


#: right: every step spelled out
def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    D = int(np.prod(x.shape[1:]))
    x_row = np.reshape(x, (N, D))
    dx_row = np.dot(dout, np.transpose(w))
    dx = np.reshape(dx_row, x.shape)
    dw = np.dot(np.transpose(x_row), dout)
    ones = np.ones((1, N))
    db = np.dot(ones, dout)
    db = np.squeeze(db, axis=0)
    return dx, dw, db


#: right: einsum
inputs = fc_inputs


def fc_backward(grad, saved):
    return np.einsum("nh,hd->nd", grad, saved["weight"]), np.einsum("nh,nd->hd", grad, saved["inp"]), np.einsum("nh->h", grad)


#: right: one sample after the other
def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n, g in enumerate(dout):
        dx[n] = (w @ g).reshape(x.shape[1:])
        dw += x[n].reshape(-1, 1) * g[None, :]
        db += g
    return dx, dw, db


#: averaged over the batch, as one does
def affine_backward(dout, cache):
    x, w, b = cache
    m = x.shape[0]
    x_row = x.reshape(m, -1)
    dx = dout.dot(w.T).reshape(*x.shape)
    dw = (1 / m) * x_row.T.dot(dout)  # BUG factor
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: bias by mean
def affine_backward(dout, cache):
    x, w, b = cache
    x_row = x.reshape(x.shape[0], -1)
    db = np.mean(dout, axis=0)  # BUG mean_for_sum|factor
    dx, dw = np.matmul(dout, w.T).reshape(x.shape), np.matmul(x_row.T, dout)
    return dx, dw, db


#: bias not summed
def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.reshape(np.dot(dout, w.T), x.shape)
    dw = np.dot(np.reshape(x, (x.shape[0], -1)).T, dout)
    db = 1.0 * dout  # BUG missing_sum
    return dx, dw, db


#: bias of a row vector
def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = np.reshape(np.dot(dout, w.T), x.shape)
    dw = np.dot(np.reshape(x, (N, -1)).T, dout)
    db = np.dot(np.ones((1, N)), dout)  # BUG keepdims
    return dx, dw, db


#: summed along the features
inputs = fc_inputs


def fc_backward(grad, saved):
    d_inp = grad @ saved["weight"]
    d_weight = grad.T @ saved["inp"]
    d_bias = np.einsum("nh->n", grad)  # BUG axis
    return d_inp, d_weight, d_bias


#: einsum letters swapped
inputs = fc_inputs


def fc_backward(grad, saved):
    d_inp = np.einsum("nh,hd->nd", grad, saved["weight"])
    d_weight = np.einsum("nh,nd->dh", grad, saved["inp"])  # BUG transposed
    d_bias = np.einsum("nh->h", grad)
    return d_inp, d_weight, d_bias


#: weight before input
inputs = fc_inputs


def fc_backward(grad, saved):
    d_inp = grad @ saved["weight"]
    d_weight = grad.T @ saved["inp"]
    d_bias = grad.sum(axis=0)
    return d_weight, d_inp, d_bias  # BUG return_order


#: last sample wins
def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for n in range(x.shape[0]):
        dx[n] = w.dot(dout[n]).reshape(x[n].shape)
        dw[:] = np.outer(x[n], dout[n])  # BUG overlap
    db = dout.sum(0)
    return dx, dw, db


#: weights' gradient without what comes from above
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    x_row = x.reshape(len(x), -1)
    dw = x_row.T.dot(np.ones_like(dout))  # BUG upstream_missing
    db = dout.sum(0)
    return dx, dw, db


#: square weights in the wrong direction
def inputs(rng):
    return rng.standard_normal((5, 3)), rng.standard_normal((3, 3)), rng.standard_normal(3)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w  # BUG transposed
    dw = x.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


#: input stays flat
def inputs(rng):
    return rng.standard_normal((3, 2, 2)), rng.standard_normal((4, 5)), rng.standard_normal(5)


def affine_backward(dout, cache):
    x, w, b = cache
    x_row = x.reshape(x.shape[0], -1)
    dx = dout @ w.T  # BUG shape|keepdims
    dw = x_row.T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


#: weights instead of input
def inputs(rng):
    return rng.standard_normal((4, 4)), rng.standard_normal((4, 4)), rng.standard_normal(4)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w.T
    dw = w.T @ dout  # BUG wrong_variable
    db = dout.sum(axis=0)
    return dx, dw, db


#: bilinear form, second factor with the first's weights
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3)), rng.standard_normal((4, 3))


def bilinear_forward(u, A, v):
    Av = v @ A.T
    return np.sum(u * Av, axis=1), (u, A, v, Av)


def bilinear_backward(dout, cache):
    u, A, v, Av = cache
    du = dout[:, None] * Av
    dA = (dout[:, None] * u).T @ v
    dv = dout[:, None] * (u @ A.T)  # BUG transposed
    return du, dA, dv


#: right: bilinear form
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal((4, 2))


def bilinear_forward(u, A, v):
    Av = v @ A.T
    return np.sum(u * Av, axis=1), (u, A, v, Av)


def bilinear_backward(dout, cache):
    u, A, v, Av = cache
    g = dout[:, None]
    return g * Av, np.einsum("ni,nj,n->ij", u, v, dout), g * (u @ A)


#: scale and shift, shift leaks into the scale
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(3)


def scale_forward(x, s, t):
    y = x * s + t
    return y, (x, s, t, y)


def scale_backward(dy, cache):
    x, s, t, y = cache
    dx = dy * s
    ds = (dy * y).sum(0)  # BUG wrong_variable|extra_term
    dt = dy.sum(0)
    return dx, ds, dt


#: scale and shift, scale forgotten
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(3)


def scale_forward(x, s, t):
    y = x * s + t
    return y, (x, s)


def scale_backward(dy, cache):
    x, s = cache
    dx = dy.copy()  # BUG missing_factor|gamma_missing
    ds = (dy * x).sum(0)
    dt = dy.sum(0)
    return dx, ds, dt


#: normalised rows of weights
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((5, 3))


def cosine_forward(x, v):
    length = np.sqrt(np.sum(v * v, axis=1, keepdims=True))
    unit = v / length
    return x @ unit.T, (x, unit, length)


def cosine_backward(dout, cache):
    x, unit, length = cache
    dx = dout @ unit
    dunit = dout.T @ x
    dv = dunit / length  # BUG missing_term
    return dx, dv


#: forward with a minus
def affine_forward(x, w, b):
    rows = x.reshape(len(x), -1)
    out = np.dot(rows, w) - b  # BUG forward_formula
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, -dout.sum(axis=0)


#: shift's gradient for every sample
def inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(3)


def scale_forward(x, s, t):
    return x * s + t, {"x": x, "s": s}


def scale_backward(dy, cache):
    dt = np.sum(dy, axis=0)
    ds = dy * cache["x"]  # BUG missing_sum
    dx = dy * cache["s"]
    return dx, ds, dt
