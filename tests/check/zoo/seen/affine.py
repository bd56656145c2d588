"""Affine layers: right and broken, in the styles in which people write them."""

import numpy as np


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def linear_forward(X, W, b):
    """Rows in, weights as torch keeps them: (out, in)."""
    Z = X @ W.T + b
    return Z, {"X": X, "W": W, "b": b}


#: right: course style
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: right: einsum and one return
def affine_backward(dout, cache):
    x, w, _ = cache
    flat = x.reshape(len(x), -1)
    return np.einsum("nm,dm->nd", dout, w).reshape(x.shape), np.einsum("nd,nm->dm", flat, dout), np.einsum("nm->m", dout)


#: right: loop over samples
def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(x.shape[0]):
        g = dout[n]
        dx[n] = (w @ g).reshape(x[n].shape)
        dw += np.outer(x[n].ravel(), g)
        db += g
    return dx, dw, db


#: right: torch layout, dict cache, dict result
def linear_backward(dZ, cache):
    X, W = cache["X"], cache["W"]
    grads = {}
    grads["dX"] = dZ @ W
    grads["dW"] = dZ.T @ X
    grads["db"] = dZ.sum(0)
    return grads


#: right: ones trick for the bias
def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    rows = np.reshape(x, (N, -1))
    db = np.ones(N) @ dout
    dw = (dout.T @ rows).T
    dx = np.reshape((w @ dout.T).T, x.shape)
    return dx, dw, db


#: bias summed over the wrong axis
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=1)  # BUG axis
    return dx, dw, db


#: bias not summed
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = dout  # BUG missing_sum
    return dx, dw, db


#: bias summed over everything
def affine_backward(dout, cache):
    x, w, b = cache
    rows = x.reshape(x.shape[0], -1)
    return dout.dot(w.T).reshape(x.shape), rows.T @ dout, dout.sum()  # BUG axis


#: bias keeps a dimension
def linear_backward(dZ, cache):
    X, W, b = cache["X"], cache["W"], cache["b"]
    dX = np.dot(dZ, W)
    dW = np.dot(dZ.T, X)
    db = np.sum(dZ, axis=0, keepdims=True)  # BUG keepdims
    return dX, dW, db


#: divided by the batch size in one place
def linear_backward(dZ, cache):
    X, W, b = cache["X"], cache["W"], cache["b"]
    m = X.shape[0]
    dX = dZ @ W
    dW = dZ.T @ X / m  # BUG factor
    db = dZ.sum(axis=0)
    return dX, dW, db


#: divided by the batch size everywhere
def affine_backward(dout, cache):
    x, w, b = cache
    N = len(x)
    dw = (1.0 / N) * x.reshape(N, -1).T @ dout  # BUG factor
    db = (1.0 / N) * dout.sum(axis=0)
    dx = (dout @ w.T).reshape(x.shape)
    return dx, dw, db


#: mean instead of sum
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.mean(axis=0)  # BUG mean_for_sum|factor
    return dx, dw, db


#: dx without the weights transposed, torch layout
def linear_forward(X, W, b):
    return X @ W.T + b, (X, W)


def linear_backward(dZ, cache):
    X, W = cache
    dX = (W.T @ dZ.T)  # BUG transposed
    dW = dZ.T @ X
    db = dZ.sum(axis=0)
    return dX, dW, db


#: dw transposed
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = dout.T.dot(x.reshape(x.shape[0], -1))  # BUG transposed
    db = dout.sum(axis=0)
    return dx, dw, db


#: order of results
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dw, dx, db  # BUG return_order


#: order of results, the bias first
def linear_backward(dZ, cache):
    dX = dZ @ cache["W"]
    dW = dZ.T @ cache["X"]
    db = dZ.sum(axis=0)
    return db, dW, dX  # BUG return_order


#: dx flat, not the shape of x
def affine_backward(dout, cache):
    x, w, b = cache
    flat = x.reshape(x.shape[0], -1)
    dx = dout.dot(w.T)  # BUG shape
    dw = flat.T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: loop that overwrites
def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(x.shape[0]):
        dx[n] = (w @ dout[n]).reshape(x[n].shape)
        dw[:, :] = np.outer(x[n].ravel(), dout[n])  # BUG overlap
        db += dout[n]
    return dx, dw, db


#: loop that overwrites the bias by name
def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for xi, gi, n in zip(x, dout, range(len(x))):
        dx[n] = (w @ gi).reshape(xi.shape)
        dw += np.outer(xi.ravel(), gi)
        db = gi  # BUG overlap|missing_sum
    return dx, dw, db


#: upstream gradient forgotten in dw
def affine_backward(dout, cache):
    x, w, b = cache
    ones = np.ones_like(dout)
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(ones)  # BUG upstream_missing
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: bias gradient of ones
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = np.ones(b.shape) * len(x)  # BUG upstream_missing
    return dx, dw, db


#: upstream gradient squared
def linear_backward(dZ, cache):
    X, W = cache["X"], cache["W"]
    dX = dZ @ W
    dW = (dZ * dZ).T @ X  # BUG upstream_twice
    db = dZ.sum(axis=0)
    return dX, dW, db


#: sign
def affine_backward(dout, cache):
    x, w, b = cache
    dx = -dout.dot(w.T).reshape(x.shape)  # BUG sign
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: weight decay left in the layer
def affine_backward(dout, cache):
    x, w, b = cache
    reg = 0.1
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout) + reg * w  # BUG regularisation|extra_term
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: reshape in Fortran order
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape, order="F")  # BUG shape|transposed|unknown
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: a helper sums wrongly
def _bias_gradient(delta):
    return delta.sum(axis=0) * 2  # BUG factor


def affine_backward(delta_out, cache):
    x, w, b = cache
    delta_x = delta_out.dot(w.T).reshape(x.shape)
    delta_w = x.reshape(x.shape[0], -1).T.dot(delta_out)
    delta_b = _bias_gradient(delta_out)
    return delta_x, delta_w, delta_b


#: forward adds the bias twice in effect
def affine_forward(x, w, b):
    flat = x.reshape(x.shape[0], -1)
    out = flat @ w + 2 * b  # BUG forward_formula
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = 2 * np.sum(dout, axis=0)
    return dx, dw, db


#: forward forgets the bias
def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1) @ w  # BUG forward_formula
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: two faults in one
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = 2 * x.reshape(x.shape[0], -1).T.dot(dout)  # BUG factor
    db = -np.sum(dout, axis=0)
    return dx, dw, db


#: names that follow no rule
def affine_backward(up, stuff):
    a, q, r = stuff
    one = up @ q.T
    two = one.reshape(a.shape)
    three = a.reshape(a.shape[0], -1)
    four = three.T @ up
    five = up.sum(axis=0) / 2  # BUG factor
    return two, four, five


#: right: names of nobody's rule
def affine_backward(up, stuff):
    a, q, r = stuff
    one = up @ q.T
    two = one.reshape(a.shape)
    three = a.reshape(a.shape[0], -1)
    four = three.T @ up
    five = up.sum(axis=0)
    return two, four, five
