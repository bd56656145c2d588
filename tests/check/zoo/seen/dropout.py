"""Inverted dropout."""

import numpy as np


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


#: right: course style
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    mode = dropout_param["mode"]
    if mode == "train":
        dx = (dout * mask).astype(dout.dtype)
    else:
        dx = dout
    return dx


#: right: boolean mask kept, scaled in the backward
def dropout_forward(x, drop_prob, mode, rng):
    if mode == "test":
        return x.copy(), (None, drop_prob)
    keep = rng.random(x.shape) >= drop_prob
    return x * keep / (1 - drop_prob), (keep, drop_prob)


def dropout_backward(dout, cache):
    keep, drop_prob = cache
    if keep is None:
        return dout.copy()
    return np.where(keep, dout, 0) / (1 - drop_prob)


#: right: unseeded generator inside
def dropout_forward(x, keep_prob=0.7):
    rng = np.random.default_rng()
    mask = (rng.random(x.shape) < keep_prob) / keep_prob
    return x * mask, mask


def dropout_backward(dout, mask):
    return dout * mask


#: mask forgotten
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dx = dout  # BUG mask_missing
    else:
        dx = dout
    return dx


#: mask twice
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    mode = dropout_param["mode"]
    if mode == "train":
        dx = dout * mask * mask  # BUG mask_twice
    elif mode == "test":
        dx = dout
    return dx


#: divided by p again
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dx = dout * mask / dropout_param["p"]  # BUG keep_prob
    else:
        dx = dout
    return dx


#: boolean mask, the scale forgotten
def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        dx = dout * (mask > 0)  # BUG keep_prob
    else:
        dx = dout
    return dx


#: boolean mask kept, scale forgotten
def dropout_forward(x, drop_prob, mode, rng):
    if mode == "test":
        return x.copy(), (None, drop_prob)
    keep = rng.random(x.shape) >= drop_prob
    return x * keep / (1 - drop_prob), (keep, drop_prob)


def dropout_backward(dout, cache):
    keep, drop_prob = cache
    if keep is None:
        return dout.copy()
    return dout * keep  # BUG keep_prob


#: divided by the wrong probability
def dropout_forward(x, drop_prob, mode, rng):
    if mode == "test":
        return x.copy(), (None, drop_prob)
    keep = rng.random(x.shape) >= drop_prob
    return x * keep / (1 - drop_prob), (keep, drop_prob)


def dropout_backward(dout, cache):
    keep, drop_prob = cache
    if keep is None:
        return dout.copy()
    return dout * keep / drop_prob  # BUG keep_prob


#: the dropped ones get the gradient
def dropout_forward(x, drop_prob, mode, rng):
    if mode == "test":
        return x.copy(), (None, drop_prob)
    keep = rng.random(x.shape) >= drop_prob
    return x * keep / (1 - drop_prob), (keep, drop_prob)


def dropout_backward(dout, cache):
    keep, drop_prob = cache
    if keep is None:
        return dout.copy()
    dx = dout.copy()
    dx[keep] = 0  # BUG mask_inverted
    return dx / (1 - drop_prob)


#: a new mask in the backward
def dropout_forward(x, keep_prob=0.7):
    mask = (np.random.rand(*x.shape) < keep_prob) / keep_prob
    return x * mask, (mask, keep_prob)


def dropout_backward(dout, cache):
    _, keep_prob = cache
    mask = (np.random.rand(*dout.shape) < keep_prob) / keep_prob  # BUG randomness|mask
    return dout * mask


#: forward without scaling
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p).astype(x.dtype)  # BUG test_mode|keep_prob
        out = x * mask  # OR
    else:
        out = x
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout


#: test mode scaled as well
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    if mode == "train":
        mask = ((np.random.rand(*x.shape) < p) / p).astype(x.dtype)
        out = x * mask
    else:
        out = x * p  # BUG test_mode
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout * dropout_param["p"]
