import math
from collections import namedtuple

import numpy as np


def affine_forward(x, w, b):
    out = x.reshape(x.shape[0], -1).dot(w) + b
    cache = (x, w, b)
    return out, cache


def relu_forward(x):
    out = np.maximum(0, x)
    return out, x


def sigmoid_forward(x):
    out = 1.0 / (1.0 + np.exp(-x))
    return out, out


def tanh_forward(x):
    out = np.tanh(x)
    return out, out


def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p


#: right: affine einsum
def affine_backward(grad_out, cache):
    x, w, b = cache
    flat = x.reshape(len(x), -1)
    grad_w = np.einsum("nd,nm->dm", flat, grad_out)
    grad_x = np.einsum("nm,dm->nd", grad_out, w).reshape(x.shape)
    return grad_x, grad_w, np.einsum("nm->m", grad_out)


#: right: affine sample loop, image input
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.zeros_like(x)
    dw = np.zeros(w.shape)
    db = np.zeros(b.shape)
    for n in range(x.shape[0]):
        dw += np.outer(x[n].ravel(), dout[n])
        db += dout[n]
        dx[n] = w.dot(dout[n]).reshape(x.shape[1:])
    return dx, dw, db


#: affine dx keeps flat shape
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    dx = dout.dot(w.T)  # BUG shape
    dw = x.reshape(N, -1).T.dot(dout)
    db = dout.sum(axis=0)
    return dx, dw, db  # OR


#: affine db averaged
def affine_backward(dout, cache):
    x, w, b = cache
    db = np.mean(dout, axis=0)  # BUG mean_for_sum|factor
    dw = np.dot(np.reshape(x, (x.shape[0], -1)).T, dout)
    dx = np.reshape(np.dot(dout, w.T), x.shape)
    return dx, dw, db


#: affine db over features
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T @ dout
    db = dout.sum(1)  # BUG axis
    return dx, dw, db


#: affine dw from the wrong side
def affine_backward(delta, cache):
    a_prev, W, _ = cache
    a_prev2 = a_prev.reshape(a_prev.shape[0], -1)
    dW = np.dot(delta.T, a_prev2)  # BUG transposed
    dB = np.sum(delta, axis=0)
    dA = np.dot(delta, W.T).reshape(a_prev.shape)
    return dA, dW, dB


#: affine dw over the batch size
def affine_backward(dZ, cache):
    A_prev, W, b = cache
    m = A_prev.shape[0]
    dW = np.dot(A_prev.T, dZ) / m  # BUG factor|mean_for_sum
    db = np.sum(dZ, axis=0)
    dA_prev = np.dot(dZ, W.T)
    return dA_prev, dW, db


#: affine loop forgets to add up
def affine_backward(dout, cache):
    x, w, b = cache
    X = x.reshape(x.shape[0], -1)
    dw = np.zeros_like(w)
    for i in range(X.shape[0]):
        dw = np.outer(X[i], dout[i])  # BUG overlap
    db = dout.sum(axis=0)
    dx = dout.dot(w.T).reshape(x.shape)
    return dx, dw, db


#: affine returns bias before weight
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.ones(dout.shape[0]).dot(dout)
    return dx, db, dw  # BUG return_order


#: affine bias row vector
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout, axis=0, keepdims=True)  # BUG shape
    return dx, dw, db


#: affine squeezes the bias
def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = dout.sum(axis=0, keepdims=True).squeeze()  # BUG keepdims
    return dx, dw, db


#: affine bias summed to a scalar
def affine_backward(dout, cache):
    x, w, _ = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    db = np.sum(dout)  # BUG extra_sum|shape|axis
    return dx, dw, db


#: affine leaves the bias out
def affine_backward(dout, cache):
    x, w, _ = cache
    dx = dout.dot(w.T).reshape(x.shape)
    dw = x.reshape(x.shape[0], -1).T.dot(dout)
    return dx, dw  # BUG missing_gradient


#: affine reshapes the cached input for good
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_backward(dout, cache):
    x, w, b = cache
    shape = x.shape
    x.shape = (shape[0], -1)  # BUG mutation
    dw = x.T.dot(dout)
    db = dout.sum(axis=0)
    dx = dout.dot(w.T).reshape(shape)
    return dx, dw, db


#: affine does not transpose w
def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.dot(dout, w)  # BUG transposed|exception
    dw = np.dot(x.T, dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: affine with a square weight does not transpose it
def inputs(rng):
    return {"X": rng.standard_normal((4, 3)), "W": rng.standard_normal((3, 3)), "c": rng.standard_normal(3)}


LinCache = namedtuple("LinCache", "X W")


def dense_forward(X, W, c):
    return X @ W + c, LinCache(X=X, W=W)


def dense_backward(g, cache):
    gX = g @ cache.W  # BUG transposed
    gW = cache.X.T @ g
    gc = g.sum(0)
    return gX, gW, gc


#: affine transposed on the wrong factor
def linear_forward(x, weight, bias):
    # like torch: weight is (out_features, in_features)
    return x.dot(weight.T) + bias, {"input": x, "weight": weight, "bias": bias}


def linear_backward(grad_output, ctx):
    grad_input = grad_output.dot(ctx["weight"])
    grad_weight = ctx["input"].T.dot(grad_output)  # BUG transposed
    grad_bias = grad_output.sum(0)
    return grad_input, grad_weight, grad_bias


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal((5, 3)), "bias": rng.standard_normal(5)}


#: affine dw takes w instead of x
def inputs(rng):
    return {"x": rng.standard_normal((3, 3)), "w": rng.standard_normal((3, 3)), "b": rng.standard_normal(3)}


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout @ w.T
    dw = w.T @ dout  # BUG wrong_variable
    db = dout.sum(axis=0)
    return dx, dw, db


#: right: linear in torch layout
def linear_forward(x, weight, bias):
    ctx = {"saved": (x, weight)}
    return x @ weight.T + bias, ctx


def linear_backward(grad_output, ctx):
    x, weight = ctx["saved"]
    return grad_output @ weight, grad_output.T @ x, grad_output.sum(0)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "weight": rng.standard_normal((5, 3)), "bias": rng.standard_normal(5)}


#: right: relu by copy
def relu_backward(dout, cache):
    dx = np.array(dout, copy=True)
    dx[cache <= 0] = 0
    return dx


#: relu gates on the upstream
def relu_backward(dout, cache):
    x = cache
    dx = dout * (dout > 0)  # BUG mask|wrong_variable
    return dx


#: relu zeroes the live half
def relu_backward(dout, cache):
    x = cache
    dx = dout.copy()
    dx[x > 0] = 0  # BUG mask_inverted
    return dx


#: relu overwrites the upstream
def relu_backward(dout, cache):
    x = cache
    dout[x <= 0] = 0  # BUG mutation
    dx = dout
    return dx


#: relu forgets the upstream
def relu_backward(dout, cache):
    x = cache
    dx = np.zeros(x.shape)
    dx[x > 0] = 1  # BUG upstream_missing
    return dx  # OR


#: relu passes everything
def relu_backward(dout, cache):
    x = cache
    dx = 1 * dout  # BUG mask_missing
    return dx


#: relu multiplies with its output
def relu_backward(dout, cache):
    x = cache
    dx = dout * np.maximum(0, x)  # BUG function|mask|extra_factor
    return dx


#: relu into single precision
def relu_backward(dout, cache):
    x = cache
    dx = np.zeros(x.shape, dtype=np.float32)  # BUG dtype
    for idx in np.ndindex(*x.shape):
        if x[idx] > 0:
            dx[idx] = dout[idx]
    return dx


#: leaky relu treated as relu
def leaky_relu_forward(x):
    alpha = 0.1
    return np.where(x > 0, x, alpha * x), (x, alpha)


def leaky_relu_backward(dout, cache):
    x, alpha = cache
    return np.where(x > 0, dout, 0)  # BUG missing_term|function|mask|missing_factor


#: leaky relu slope without the upstream
def leaky_relu_forward(x):
    return np.maximum(0.1 * x, x), x


def leaky_relu_backward(dout, x):
    return np.where(x > 0, dout, 0.1)  # BUG upstream_missing


#: right: leaky relu
def leaky_relu_forward(x):
    slope = np.ones_like(x)
    slope[x < 0] = 0.2
    return slope * x, slope


def leaky_relu_backward(dout, slope):
    return slope * dout


#: sigmoid plus
def sigmoid_backward(dout, cache):
    s = cache
    return dout * s * (1 + s)  # BUG sign


#: sigmoid derivative of the input
def sigmoid_forward(z):
    s = 1 / (1 + np.exp(-z))
    return s, z


def inputs(rng):
    return {"z": rng.standard_normal((4, 3))}


def sigmoid_backward(dA, cache):
    Z = cache
    dZ = dA * Z * (1 - Z)  # BUG wrong_variable
    return dZ


#: sigmoid applied once more
def sigmoid_backward(dout, cache):
    s = 1 / (1 + np.exp(-cache))  # BUG wrong_variable|function
    return dout * s * (1 - s)  # OR


#: right: stable sigmoid
def sigmoid_forward(x):
    out = np.empty_like(x)
    pos = x >= 0
    out[pos] = 1 / (1 + np.exp(-x[pos]))
    ez = np.exp(x[~pos])
    out[~pos] = ez / (1 + ez)
    return out, (out,)


def sigmoid_backward(dout, cache):
    (y,) = cache
    local = y - y * y
    return dout * local


#: tanh without the square
def tanh_backward(dout, cache):
    dx = dout * (1 - cache)  # BUG power
    return dx


#: tanh upstream squared
def tanh_backward(dout, cache):
    t2 = cache * cache
    dx = dout - dout**2 * t2  # BUG upstream_twice|power
    return dx


#: tanh with the sigmoid's derivative
def tanh_backward(dout, cache):
    y = cache
    return dout * y * (1.0 - y)  # BUG function


#: right: tanh by sech
def tanh_backward(dout, cache):
    return dout / np.cosh(np.arctanh(cache)) ** 2


#: elu negative branch
def elu_forward(x):
    a = 1.5
    out = np.where(x > 0, x, a * (np.exp(x) - 1))
    return out, (x, out, a)


def elu_backward(dout, cache):
    x, out, a = cache
    local = np.where(x > 0, 1.0, out)  # BUG missing_term
    return dout * local


#: softplus the other logistic
def softplus_forward(x):
    return np.log(1 + np.exp(x)), x


def softplus_backward(dout, cache):
    return dout / (1 + np.exp(cache))  # BUG sign|function


#: swish only gate
def swish_forward(x):
    sig = 1 / (1 + np.exp(-x))
    return x * sig, (x, sig)


def swish_backward(dout, cache):
    x, sig = cache
    dx = dout * sig  # BUG missing_term
    return dx


#: gelu inner derivative
def gelu_forward(x):
    k = np.sqrt(2 / np.pi)
    t = np.tanh(k * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)


def gelu_backward(dout, cache):
    x, t = cache
    k = np.sqrt(2 / np.pi)
    du = k * (1 + 0.044715 * x**2)  # BUG factor
    dt = (1 - t**2) * du
    return dout * (0.5 * (1 + t) + 0.5 * x * dt)


#: right: exact gelu
def gelu_forward(x):
    phi = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()]).reshape(x.shape)
    return x * phi, {"x": x, "phi": phi}


def gelu_backward(dout, cache):
    x, phi = cache["x"], cache["phi"]
    pdf = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return dout * (phi + x * pdf)


#: scaling per channel misses the sum
def scale_forward(x, s):
    out = x * s
    return out, (x, s)


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "s": rng.standard_normal(3)}


def scale_backward(dout, cache):
    x, s = cache
    dx = dout * s
    ds = dout * x  # BUG missing_sum
    return dx, ds


#: softmax diagonal only
def softmax_backward(dout, cache):
    p = cache
    dx = dout * p * (1 - p)  # BUG missing_term
    return dx


#: softmax contracts the batch
def softmax_backward(dout, p):
    inner = np.sum(dout * p, axis=0)  # BUG axis
    return p * (dout - inner)


#: softmax jacobian adds
def softmax_backward(dout, p):
    dx = np.zeros_like(p)
    for i in range(p.shape[0]):
        J = np.diag(p[i]) + np.outer(p[i], p[i])  # BUG sign
        dx[i] = J.dot(dout[i])
    return dx


#: right: softmax jacobian per row
def softmax_backward(dout, p):
    rows = []
    for s, g in zip(p, dout):
        s = s.reshape(-1, 1)
        rows.append((np.diagflat(s) - s @ s.T) @ g)
    return np.stack(rows)


#: log softmax forgets the upstream sum
def log_softmax_forward(x):
    z = x - x.max(1, keepdims=True)
    lp = z - np.log(np.exp(z).sum(1, keepdims=True))
    return lp, lp


def log_softmax_backward(dout, lp):
    return dout - np.exp(lp)  # BUG missing_factor|upstream_missing


#: softmax loss without batch mean
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    probs = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    return loss, dx  # BUG sum_for_mean


#: softmax loss sign of the one
def softmax_loss(x, y):
    probs = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.log(probs[np.arange(N), y]).mean()
    dx = probs.copy()
    dx[np.arange(N), y] += 1  # BUG sign
    dx /= N
    return loss, dx


#: softmax loss subtracts from whole columns
def softmax_loss(x, y):
    m = y.shape[0]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = np.sum(-np.log(p[range(m), y])) / m
    grad = p.copy()
    grad[:, y] -= 1  # BUG extra_term|mask
    grad = grad / m
    return loss, grad


#: softmax loss gradient of the scores
def softmax_loss(x, y):
    e = np.exp(x - x.max(1)[:, None])
    p = e / e.sum(1)[:, None]
    onehot = np.zeros_like(x)
    onehot[np.arange(len(y)), y] = 1
    loss = -(onehot * np.log(p)).sum() / len(y)
    dx = (x - onehot) / len(y)  # BUG wrong_variable
    return loss, dx


#: softmax loss divides by the classes
def softmax_loss(x, y):
    N, C = x.shape
    z = x - x.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    loss = -logp[np.arange(N), y].sum() / N
    dx = np.exp(logp)
    dx[np.arange(N), y] -= 1.0
    dx /= C  # BUG factor|wrong_variable
    return loss, dx


#: softmax loss normalises the caller's scores
def softmax_loss(x, y):
    x -= x.max(axis=1, keepdims=True)  # BUG mutation
    p = np.exp(x)
    p /= p.sum(axis=1, keepdims=True)
    n = len(x)
    loss = -np.mean(np.log(p[np.arange(n), y]))
    p[np.arange(n), y] -= 1
    return loss, p / n


#: softmax loss with temperature
def softmax_loss(x, y):
    T = 2.0
    z = x / T
    z = z - z.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    N = len(y)
    loss = -np.log(p[np.arange(N), y]).sum() / N
    dz = p.copy()
    dz[np.arange(N), y] -= 1
    dz /= N  # OR
    return loss, dz  # BUG factor|missing_factor


#: softmax loss gradient in integers
def softmax_loss(x, y):
    N = len(y)
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = 0.0
    dx = np.zeros(x.shape, dtype=int)  # BUG dtype
    for i in range(N):
        loss -= np.log(p[i, y[i]])
        dx[i] = p[i]  # OR
        dx[i, y[i]] -= 1
    return loss / N, dx / N


#: right: softmax loss
def softmax_loss(x, y):
    n = len(y)
    z = x - x.max(axis=1, keepdims=True)
    lse = np.log(np.exp(z).sum(axis=1))
    loss = (lse - z[np.arange(n), y]).mean()
    return loss, (np.exp(z - lse[:, None]) - np.eye(x.shape[1])[y]) / n


#: svm loss leaves the correct class alone
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    dx = np.zeros_like(x)
    dx[margins > 0] = 1  # BUG missing_term
    dx /= N  # OR
    return loss, dx  # OR


#: svm loss subtracts one for the correct class
def svm_loss(x, y):
    N = x.shape[0]
    margins = np.maximum(0, x - x[np.arange(N), y][:, None] + 1.0)
    margins[np.arange(N), y] = 0
    loss = margins.sum() / N
    dx = (margins > 0).astype(x.dtype)
    dx[np.arange(N), y] -= 1  # BUG missing_factor|missing_sum|factor
    return loss, dx / N


#: squared svm loss with the plain one's gradient
def squared_hinge_loss(x, y):
    N = x.shape[0]
    margins = np.maximum(0, x - x[np.arange(N), y][:, None] + 1.0)
    margins[np.arange(N), y] = 0
    loss = (margins**2).sum() / N
    dm = 1.0 * (margins > 0)  # BUG missing_factor|function
    dm[np.arange(N), y] = -dm.sum(axis=1)
    return loss, dm / N


#: right: svm loss in loops
def svm_loss(x, y):
    N, C = x.shape
    loss, dx = 0.0, np.zeros_like(x)
    for i in range(N):
        for j in range(C):
            if j == y[i]:
                continue
            margin = x[i, j] - x[i, y[i]] + 1
            if margin > 0:
                loss += margin
                dx[i, j] += 1
                dx[i, y[i]] -= 1
    return loss / N, dx / N


#: mse without the two
def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "target": rng.standard_normal((4, 3))}


def mse_loss(pred, target):
    diff = pred - target
    loss = np.mean(diff**2)
    grad = diff / diff.size  # BUG factor
    return loss, grad


#: mse over rows
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "y": rng.standard_normal((4, 3))}


def mse_loss(x, y):
    loss = ((x - y) ** 2).mean()
    dx = 2.0 * (x - y) / x.shape[0]  # BUG factor|sum_for_mean
    return loss, dx


#: bce other way round
def inputs(rng):
    return {"logits": rng.standard_normal((4, 3)), "labels": (rng.random((4, 3)) > 0.5).astype(float)}


def bce_loss(logits, labels):
    p = 1 / (1 + np.exp(-logits))
    loss = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    dlogits = (labels - p) / labels.size  # BUG sign
    return loss, dlogits


#: bce on probabilities with the logits' gradient
def inputs(rng):
    return {"p": rng.uniform(0.1, 0.9, (4, 3)), "t": (rng.random((4, 3)) > 0.5).astype(float)}


def bce_loss(p, t):
    n = p.shape[0]
    loss = -np.sum(t * np.log(p) + (1 - t) * np.log(1 - p)) / n
    dp = (p - t) / n  # BUG missing_factor|function
    return loss, dp


#: right: bce with logits
def inputs(rng):
    return {"z": rng.standard_normal((4, 3)), "t": (rng.random((4, 3)) > 0.5).astype(float)}


def bce_loss(z, t):
    loss = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    return loss.mean(), (1 / (1 + np.exp(-z)) - t) / z.size


#: huber tail without direction
def inputs(rng):
    return {"a": 2 * rng.standard_normal((5, 3)), "target": 2 * rng.standard_normal((5, 3))}


def huber_loss(a, target):
    d = a - target
    small = np.abs(d) < 1.0
    loss = np.where(small, 0.5 * d**2, np.abs(d) - 0.5).mean()
    grad = np.where(small, d, 1.0)  # BUG missing_factor|sign
    return loss, grad / d.size


#: two layer net forgets the decay
class TwoLayerNet:
    def __init__(self, input_dim=5, hidden_dim=7, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        h = np.maximum(0, X.dot(W1) + b1)
        scores = h.dot(W2) + b2
        if y is None:
            return scores
        N = len(y)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = -np.log(p[np.arange(N), y]).mean()
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        ds = p.copy()
        ds[np.arange(N), y] -= 1
        ds /= N
        grads = {}
        grads["W2"] = h.T.dot(ds) + self.reg * W2
        grads["b2"] = ds.sum(axis=0)
        dh = ds.dot(W2.T)
        dh[h <= 0] = 0
        grads["W1"] = X.T.dot(dh)  # BUG regularisation|missing_term
        grads["b1"] = dh.sum(axis=0)
        return loss, grads


#: two layer net doubles the decay
class TwoLayerNet:
    def __init__(self, input_dim=5, hidden_dim=7, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.params, self.reg = {}, reg
        self.params["W1"] = np.random.normal(0, weight_scale, (input_dim, hidden_dim))
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = np.random.normal(0, weight_scale, (hidden_dim, num_classes))
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        p = self.params
        a1, _ = affine_forward(X, p["W1"], p["b1"])
        h1 = np.maximum(a1, 0)
        scores = h1 @ p["W2"] + p["b2"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        q = z / z.sum(1, keepdims=True)
        data = -np.log(q[range(len(y)), y]).mean()
        loss = data + 0.5 * self.reg * sum((p[k] ** 2).sum() for k in ("W1", "W2"))
        dscores = (q - np.eye(q.shape[1])[y]) / len(y)
        grads = {"W2": h1.T @ dscores, "b2": dscores.sum(0)}
        da1 = (dscores @ p["W2"].T) * (a1 > 0)
        grads["W1"] = X.T @ da1
        grads["b1"] = da1.sum(0)
        for k in ("W1", "W2"):
            grads[k] += 2 * self.reg * p[k]  # BUG regularisation|factor
        return loss, grads


#: two layer net skips the relu
class TwoLayerNet:
    def __init__(self, input_dim=5, hidden_dim=7, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.params, self.reg = {}, reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z1 = np.dot(X, W1) + b1
        A1 = np.maximum(Z1, 0)
        Z2 = np.dot(A1, W2) + b2
        if y is None:
            return Z2
        m = X.shape[0]
        E = np.exp(Z2 - np.max(Z2, axis=1, keepdims=True))
        P = E / np.sum(E, axis=1, keepdims=True)
        loss = -np.sum(np.log(P[np.arange(m), y])) / m
        loss += self.reg * (np.sum(W1**2) + np.sum(W2**2))
        P[np.arange(m), y] -= 1
        dZ2 = P / m
        dA1 = np.dot(dZ2, W2.T)
        dZ1 = dA1  # BUG mask_missing
        grads = {
            "W1": np.dot(X.T, dZ1) + 2 * self.reg * W1,
            "b1": np.sum(dZ1, axis=0),
            "W2": np.dot(A1.T, dZ2) + 2 * self.reg * W2,
            "b2": np.sum(dZ2, axis=0),
        }
        return loss, grads


#: right: two layer tanh net
class TwoLayerNet:
    def __init__(self, input_dim=5, hidden_dim=6, num_classes=3, weight_scale=1e-1, reg=0.0):
        self.reg = reg
        shapes = {"W1": (input_dim, hidden_dim), "W2": (hidden_dim, num_classes)}
        self.params = {k: weight_scale * np.random.randn(*s) for k, s in shapes.items()}
        self.params.update(b1=np.zeros(hidden_dim), b2=np.zeros(num_classes))

    def loss(self, X, y=None):
        p = self.params
        h = np.tanh(X @ p["W1"] + p["b1"])
        s = h @ p["W2"] + p["b2"]
        if y is None:
            return s
        s = s - s.max(axis=1, keepdims=True)
        prob = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
        n = len(y)
        loss = -np.log(prob[np.arange(n), y]).sum() / n
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        d = prob
        d[np.arange(n), y] -= 1
        d = d / n
        back = (d @ p["W2"].T) * (1 - h**2)
        return loss, {
            "W1": X.T @ back + self.reg * p["W1"],
            "b1": back.sum(0),
            "W2": h.T @ d + self.reg * p["W2"],
            "b2": d.sum(0),
        }


#: linear layer accumulates for ever
class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.5
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW += self.x.T @ dout  # BUG second_call
        self.db = dout.sum(axis=0)
        return dout @ self.W.T


#: right: linear layer
class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.5
        self.b = np.zeros(n_out)

    def forward(self, x):
        self.inputs = x
        return np.dot(x, self.W) + self.b

    def backward(self, grad):
        self.dW = np.dot(self.inputs.T, grad)
        self.db = np.sum(grad, axis=0)
        return np.dot(grad, self.W.T)
