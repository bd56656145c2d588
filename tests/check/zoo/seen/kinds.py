"""The kinds of slips that a held-out zoo once showed the doctor to miss, in other spellings."""

import numpy as np


def softmax_rows(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gate_forward(x, w, v):
    z = x @ w
    s = 1 / (1 + np.exp(-z))
    h = np.tanh(x @ v)
    return s * h, (x, w, v, s, h)


def gate_inputs(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal((3, 2))


def smooth_forward(x):
    return x.mean(axis=(1, 3)), x.shape


def images(rng):
    return (rng.standard_normal((2, 3, 4, 5)),)


def half_forward(x):
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    return blocks.max(axis=(3, 5)), x


def tied(rng):
    return (rng.integers(0, 3, (2, 2, 4, 4)).astype(float),)


def score_inputs(rng):
    return {"scores": 2 * rng.standard_normal((5, 4)), "y": rng.integers(0, 4, 5)}


#: right: ties in the inputs, shared
inputs = tied


def half_backward(dout, x):
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    first = blocks == blocks.max(axis=(3, 5), keepdims=True)
    share = first / first.sum(axis=(3, 5), keepdims=True)
    return (share * dout[:, :, :, None, :, None]).reshape(x.shape)


#: ties in the inputs, all of them paid in full
inputs = tied


def half_backward(dout, x):
    n, c, h, w = x.shape
    up = dout.repeat(2, axis=2).repeat(2, axis=3)
    top = x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
    winners = np.isclose(x, top.repeat(2, axis=2).repeat(2, axis=3))  # BUG ties
    dx = np.zeros_like(x)
    dx[winners] = up[winners]  # OR
    return dx


#: axis sizes of the wrong kind
inputs = images


def smooth_backward(dout, shape):
    n, c, h, w = shape
    area = h * w  # BUG factor
    dx = np.empty(shape)
    dx[...] = dout[:, None, :, None] / area  # OR
    return dx


#: one size too few in two places
def rms_forward(x):
    n, d = x.shape
    r = np.sqrt((x * x).sum() / (n * d) + 0.01)
    return x / r, (x, r)


def rms_backward(dout, cache):
    x, r = cache
    n, d = x.shape
    total = (dout * x).sum()
    dx = dout / r - x * total / (n * r**3)  # BUG factor
    return dx


#: mask with one bound forgotten, in place
def window_forward(x):
    return np.where((x > -1) & (x < 0.5), x**2, 0.25), x


def window_backward(dout, x):
    outside = x >= 0.5  # BUG mask|mask_missing
    dx = 2 * x * dout
    dx[outside] = 0
    return dx


#: mask from a rounded copy
def softsign_forward(x):
    return x / (1 + np.abs(x)), x


def softsign_backward(dout, x):
    scale = (1 + np.abs(x)).astype(np.int32)  # BUG dtype
    return dout / scale**2


#: sigmoid gate treated as a tanh
inputs = gate_inputs


def gate_backward(dout, cache):
    x, w, v, s, h = cache
    g1 = dout * h * (1 - s**2)  # BUG function|power|missing_factor
    g2 = dout * s * (1 - h**2)
    both = np.concatenate((g1, g2), axis=1)
    return both @ np.concatenate((w, v), axis=1).T, x.T @ g1, x.T @ g2


#: gates joined the other way round
inputs = gate_inputs


def gate_backward(dout, cache):
    x, w, v, s, h = cache
    g1 = dout * h * s * (1 - s)
    g2 = dout * s * (1 - h**2)
    both = np.hstack([g2, g1])  # BUG wrong_variable|transposed|return_order
    return both @ np.hstack([w, v]).T, x.T @ g1, x.T @ g2


#: tanh from its input
class Squash:
    def forward(self, x):
        self.x = x
        return np.tanh(x)

    def backward(self, dout):
        g = 1 - self.x**2  # BUG wrong_variable|function
        return dout * g  # OR


#: softmax layer, diagonal alone
def soft_forward(z):
    p = softmax_rows(z)
    return p, p


def soft_backward(dout, p):
    dz = dout * (p - p * p)  # BUG missing_term|function
    return dz


#: softmax layer, centred without the weights
def soft_forward(z):
    p = softmax_rows(z)
    return p, p


def soft_backward(dout, p):
    dz = p * (dout - dout.sum(axis=1, keepdims=True))  # BUG missing_factor
    return dz


#: hinge, the right class pays one only
inputs = score_inputs


def hinge_loss(scores, y):
    rows = np.arange(len(y))
    gap = np.maximum(0, scores - scores[rows, y].reshape(-1, 1) + 1)
    gap[rows, y] = 0
    over = (gap > 0).astype(float) / len(y)
    over[rows, y] = -1 / len(y)  # BUG missing_sum|factor|missing_factor|wrong_variable
    return gap.sum() / len(y), over  # OR


#: cross entropy, one-hot of the labels of another batch row
inputs = score_inputs


def entropy_loss(scores, y):
    p = softmax_rows(scores)
    best = scores.argmax(axis=1)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    target = np.zeros(p.shape)
    target[np.arange(len(y)), best] = 1  # BUG wrong_variable
    grad = (p - target) / len(y)  # OR
    return loss, grad


#: loss averaged, its gradient only in part
def inputs(rng):
    return {"W": rng.standard_normal((4, 3)), "X": rng.standard_normal((6, 4)), "t": rng.standard_normal((6, 3)), "reg": 0.2}


def ridge_loss(W, X, t, reg):
    e = X @ W - t
    loss = 0.5 * (e * e).sum() / X.shape[0] + reg * (W * W).sum()
    dW = X.T @ e + 2 * reg * W  # BUG sum_for_mean|factor
    return loss, dW


#: penalty left out of one of two
def inputs(rng):
    return {"W": rng.standard_normal((4, 3)), "X": rng.standard_normal((6, 4)), "t": rng.standard_normal((6, 3)), "reg": 0.2}


def ridge_loss(W, X, t, reg):
    e = X @ W - t
    penalty = reg * np.linalg.norm(W) ** 2
    loss = 0.5 * np.sum(e**2) + penalty
    dW = X.T @ e  # BUG regularisation
    return loss, dW


#: channels last, reshaped back as if first
inputs = images


def rows_forward(x):
    n, c, h, w = x.shape
    flat = np.rollaxis(x, 1, 4).reshape(-1, c)
    return np.tanh(flat), (x.shape, np.tanh(flat))


def rows_backward(dout, cache):
    (n, c, h, w), t = cache
    d = dout * (1 - t * t)
    return d.reshape(n, c, h, w)  # BUG transposed|axis|shape


#: correlation turned round
def inputs(rng):
    return rng.standard_normal(8), rng.standard_normal(3)


def filter_forward(a, k):
    return np.correlate(a, k, mode="valid"), (a, k)


def filter_backward(dout, cache):
    a, k = cache
    da = np.convolve(dout, np.flip(k), mode="full")  # BUG transposed|window
    dk = np.correlate(a, dout, mode="valid")
    return da, dk


#: rows of a table overwritten
def inputs(rng):
    return rng.standard_normal((5, 3)), np.array([0, 3, 3, 1, 3])


def lookup_forward(table, index):
    return table[index], (table, index)


def lookup_backward(dout, cache):
    table, index = cache
    dtable = np.zeros_like(table)
    dtable[index, :] = dout  # BUG overlap
    return dtable


#: gradients kept from the call before
class Scale:
    def __init__(self, size):
        self.g, self.dg = np.linspace(0.5, 1.5, size), np.zeros(size)

    def forward(self, x):
        self.x = x
        return x * self.g

    def backward(self, dout):
        self.dg += (dout * self.x).sum(axis=0)  # BUG second_call
        return dout * self.g


#: right: a slope of one's own
def inputs(rng):
    return rng.standard_normal((4, 3)), 0.3


def prelu_forward(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def prelu_backward(dout, cache):
    x, a = cache
    return dout * np.where(x > 0, 1.0, a)


#: right: a clipped relu
def relu_clipped_forward(x):
    return np.minimum(np.maximum(x, 0), 1.0), x


def relu_clipped_backward(dout, x):
    return dout * ((x > 0) & (x < 1.0))


#: right: hard sigmoid
def hard_sigmoid_forward(x):
    return np.clip(0.2 * x + 0.5, 0, 1), x


def hard_sigmoid_backward(dout, x):
    return 0.2 * dout * (np.abs(x) < 2.5)
