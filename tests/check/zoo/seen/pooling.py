"""Pooling and dropout."""

import numpy as np


def max_pool_forward(x, pool_param):
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    OH, OW = (H - h) // s + 1, (W - w) // s + 1
    out = np.full((N, C, OH, OW), -np.inf)
    for i in range(OH):
        for j in range(OW):
            for a in range(h):
                for b in range(w):
                    out[..., i, j] = np.maximum(out[..., i, j], x[..., i * s + a, j * s + b])
    return out, {"x": x, "out": out, "pool_param": pool_param}


def maxpool2_forward(x):
    N, C, H, W = x.shape
    tiles = x.reshape(N, C, H // 2, 2, W // 2, 2).swapaxes(3, 4).reshape(N, C, H // 2, W // 2, 4)
    best = tiles.argmax(-1)
    return tiles.max(-1), (best, x.shape)


def even(rng):
    return (rng.standard_normal((2, 2, 4, 4)),)


def meanpool_forward(x, k=2, step=1):
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::step, ::step]
    return view.mean((4, 5)), (x.shape, k, step)


def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x, (dropout_param, None)
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    kept = np.random.uniform(size=x.shape) < p
    return np.where(kept, x / p, 0), (dropout_param, kept)


#: right: equality with the output, first one only
def max_pool_backward(dout, cache):
    x, pp = cache["x"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        win = x[n, c, i * s : i * s + h, j * s : j * s + w]
        k = int(np.argmax(win))
        dx[n, c, i * s + k // w, j * s + k % w] += dout[n, c, i, j]
    return dx


#: right: tiles
inputs = even


def maxpool2_backward(dout, cache):
    best, shape = cache
    N, C, H, W = shape
    d = np.zeros((*dout.shape, 4))
    np.put_along_axis(d, best[..., None], dout[..., None], axis=-1)
    return d.reshape(N, C, H // 2, W // 2, 2, 2).swapaxes(3, 4).reshape(shape)


#: every equal one gets all
def inputs(rng):
    return np.round(rng.standard_normal((2, 2, 4, 4))), {"pool_height": 2, "pool_width": 2, "stride": 2}


def max_pool_backward(dout, cache):
    x, out, pp = cache["x"], cache["out"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            for a in range(h):
                for b in range(w):
                    same = x[..., i * s + a, j * s + b] == out[..., i, j]  # OR
                    dx[..., i * s + a, j * s + b] += same * dout[..., i, j]  # BUG ties
    return dx


#: every equal one gets all, constant image
def inputs(rng):
    return (np.repeat(np.repeat(rng.standard_normal((2, 2, 2, 2)), 2, axis=2), 2, axis=3),)


def maxpool2_forward(x):
    N, C, H, W = x.shape
    tiles = x.reshape(N, C, H // 2, 2, W // 2, 2)
    top = tiles.max((3, 5))
    return top, (tiles, top)


def maxpool2_backward(dout, cache):
    tiles, top = cache
    hit = tiles == top[:, :, :, None, :, None]  # OR
    dtiles = hit * dout[:, :, :, None, :, None]  # BUG ties
    N, C, h, _, w, _ = tiles.shape
    return dtiles.reshape(N, C, 2 * h, 2 * w)


#: row and column from the wrong side
def inputs(rng):
    return rng.standard_normal((1, 2, 6, 6)), {"pool_height": 3, "pool_width": 3, "stride": 3}


def max_pool_backward(dout, cache):
    x, pp = cache["x"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        win = x[n, c, i * s : i * s + h, j * s : j * s + w]
        k = int(np.argmax(win))
        dx[n, c, i * s + k % w, j * s + k // w] += dout[n, c, i, j]  # BUG argmax|transposed|window
    return dx


#: always the first of the window
def max_pool_backward(dout, cache):
    x, pp = cache["x"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(dout.shape[2]):
                for j in range(dout.shape[3]):
                    dx[n, c, i * s, j * s] += dout[n, c, i, j]  # BUG argmax
    return dx


#: smallest gets it
inputs = even


def maxpool2_forward(x):
    N, C, H, W = x.shape
    tiles = x.reshape(N, C, H // 2, 2, W // 2, 2).swapaxes(3, 4).reshape(N, C, H // 2, W // 2, 4)
    return tiles.max(-1), (tiles, x.shape)


def maxpool2_backward(dout, cache):
    tiles, shape = cache
    N, C, H, W = shape
    best = tiles.argmin(-1)  # BUG argmax
    d = np.zeros(tiles.shape)
    np.put_along_axis(d, best[..., None], dout[..., None], axis=-1)  # OR
    return d.reshape(N, C, H // 2, W // 2, 2, 2).swapaxes(3, 4).reshape(shape)


#: overlapping windows, assigned
def inputs(rng):
    return rng.standard_normal((2, 2, 5, 5)), {"pool_height": 3, "pool_width": 3, "stride": 1}


def max_pool_backward(dout, cache):
    x, pp = cache["x"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        win = x[n, c, i * s : i * s + h, j * s : j * s + w]
        a, b = divmod(int(win.argmax()), w)
        dx[n, c, i * s + a, j * s + b] = dout[n, c, i, j]  # BUG overlap
    return dx


#: reshaped without swapping
inputs = even


def maxpool2_backward(dout, cache):
    best, shape = cache
    d = np.zeros((*dout.shape, 4))
    np.put_along_axis(d, best[..., None], dout[..., None], axis=-1)
    dx = d.reshape(shape)  # BUG transposed|axis|window|shape
    return dx


#: window one short
def max_pool_backward(dout, cache):
    x, pp = cache["x"], cache["pool_param"]
    h, w, s = pp["pool_height"], pp["pool_width"], pp["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        win = x[n, c, i * s : i * s + h - 1, j * s : j * s + w]  # BUG window
        a, b = divmod(int(win.argmax()), w)
        dx[n, c, i * s + a, j * s + b] += dout[n, c, i, j]  # OR
    return dx


#: mean pool spread without dividing
inputs = even


def meanpool_backward(dout, cache):
    shape, k, step = cache
    dx = np.zeros(shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i * step : i * step + k, j * step : j * step + k] += dout[:, :, i, j, None, None]  # BUG factor|sum_for_mean|missing_factor
    return dx


#: mean pool divided by the side
inputs = even


def meanpool_backward(dout, cache):
    shape, k, step = cache
    g = dout / k  # BUG factor
    dx = np.zeros(shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            dx[:, :, i * step : i * step + k, j * step : j * step + k] += g[:, :, i, j, None, None]  # OR
    return dx


#: right: mean pool by shifts
inputs = even


def meanpool_backward(dout, cache):
    shape, k, step = cache
    dx = np.zeros(shape)
    for a in range(k):
        for b in range(k):
            dx[:, :, a : a + step * dout.shape[2] : step, b : b + step * dout.shape[3] : step] += dout / k**2
    return dx


#: global average, spread over the channels
def inputs(rng):
    return (rng.standard_normal((2, 3, 4, 2)),)


def global_average_forward(x):
    return x.mean((2, 3)), x.shape


def global_average_backward(dout, shape):
    N, C, H, W = shape
    g = dout / C  # BUG factor
    return np.broadcast_to(g[:, :, None, None], shape).copy()


#: right: dropout by where
def dropout_backward(dout, cache):
    dropout_param, kept = cache
    if dropout_param["mode"] == "test":
        return dout.copy()
    return np.where(kept, dout / dropout_param["p"], 0)


#: dropout, scale forgotten
def dropout_backward(dout, cache):
    dropout_param, kept = cache
    dx = dout.copy()
    if dropout_param["mode"] == "train":
        dx[~kept] = 0  # BUG keep_prob
    return dx


#: dropout, divided by what is dropped
def inputs(rng):
    return rng.standard_normal((4, 5)), {"p": 0.7, "mode": "train", "seed": 3}


def dropout_backward(dout, cache):
    dropout_param, kept = cache
    if dropout_param["mode"] == "test":
        return dout.copy()
    q = 1 - dropout_param["p"]
    dx = kept * dout / q  # BUG keep_prob
    return dx


#: dropout, draws again
def dropout_backward(dout, cache):
    dropout_param, kept = cache
    p = dropout_param["p"]
    if dropout_param["mode"] == "test":
        return dout.copy()
    fresh = np.random.uniform(size=dout.shape) < p  # BUG randomness|mask|second_call
    return fresh * dout / p


#: dropout, dropped ones pass
def dropout_backward(dout, cache):
    dropout_param, kept = cache
    if dropout_param["mode"] == "test":
        return dout.copy()
    dx = np.where(kept, 0, dout / dropout_param["p"])  # BUG mask_inverted
    return dx


#: dropout, scale in mask and gradient
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x, (mode, p, None)
    np.random.seed(dropout_param.get("seed", 0))
    mask = (np.random.rand(*x.shape) < p) / p
    return x * mask, (mode, p, mask)


def dropout_backward(dout, cache):
    mode, p, mask = cache
    if mode == "test":
        return dout
    dx = dout * mask**2  # BUG mask_twice
    return dx


#: dropout, test mode scaled
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    np.random.seed(dropout_param.get("seed", 0))
    mask = (np.random.rand(*x.shape) < p) / p if mode == "train" else None
    out = x * mask if mode == "train" else x * p  # BUG test_mode
    return out, (mode, p, mask)


def dropout_backward(dout, cache):
    mode, p, mask = cache
    return dout * (mask if mode == "train" else p)


#: dropout, not inverted, test mode not scaled
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if mode == "test":
        return x + 0, None  # OR
    np.random.seed(dropout_param.get("seed", 0))
    kept = np.random.rand(*x.shape) < p
    out = x * kept  # BUG test_mode|keep_prob|forward_formula
    return out, kept


def dropout_backward(dout, kept):
    if kept is None:
        return dout
    return dout * kept


#: dropout twice then once
def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    if dropout_param["mode"] == "test":
        return x.copy(), (None, None)
    np.random.seed(dropout_param.get("seed", 0))
    mask = (np.random.rand(*x.shape) < p) / p
    dropped = x * mask
    return dropped, (mask, dropped)


def dropout_backward(dout, cache):
    mask, dropped = cache
    if mask is None:
        return dout.copy()
    through = dout * mask
    dx = through * mask  # BUG mask_twice
    return dx
