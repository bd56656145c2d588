"""Held out: normalisations, affine and other dense layers, activations and dropout, as learners write them."""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np

#: right: affine with einsum on image batches
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_forward(x, w, b):
    rows = x.reshape(len(x), -1)
    return np.einsum("nd,dm->nm", rows, w) + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    dx = np.einsum("nm,dm->nd", dout, w).reshape(x.shape)
    dw = np.einsum("nd,nm->dm", x.reshape(len(x), -1), dout)
    return dx, dw, np.einsum("nm->m", dout)


#: affine forgets to fold dx back
def inputs(rng):
    return {"x": rng.standard_normal((4, 2, 3)), "w": rng.standard_normal((6, 5)), "b": rng.standard_normal(5)}


def affine_forward(x, w, b):
    N = x.shape[0]
    x_rsp = x.reshape(N, -1)
    out = x_rsp.dot(w) + b
    cache = (x, w, b)
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache
    N = x.shape[0]
    x_rsp = x.reshape(N, -1)
    dx = dout.dot(w.T)  # BUG shape
    dw = x_rsp.T.dot(dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: linear in columns averages over the batch
def inputs(rng):
    return {"A_prev": rng.standard_normal((3, 4)), "W": rng.standard_normal((5, 3)), "b": rng.standard_normal((5, 1))}


def linear_forward(A_prev, W, b):
    Z = np.dot(W, A_prev) + b
    cache = (A_prev, W, b)
    return Z, cache


def linear_backward(dZ, cache):
    A_prev, W, b = cache
    m = A_prev.shape[1]
    dZ = 1. / m * dZ  # BUG factor|mean_for_sum
    dW = np.dot(dZ, A_prev.T)
    db = np.sum(dZ, axis=1, keepdims=True)
    dA_prev = np.dot(W.T, dZ)
    return dA_prev, dW, db


#: affine bias takes the mean
Cache = namedtuple("Cache", "x w")


def affine_forward(x, w, b):
    return x @ w + b, Cache(x, w)


def affine_backward(grad_out, cache):
    grad_x = grad_out @ cache.w.T
    grad_w = cache.x.T @ grad_out
    grad_b = grad_out.mean(0)  # BUG mean_for_sum|factor
    return grad_x, grad_w, grad_b


#: linear class piles up its weight gradient
class Linear:
    def __init__(self, in_features=3, out_features=5):
        k = 1 / np.sqrt(in_features)
        self.W = np.random.uniform(-k, k, (in_features, out_features))
        self.b = np.random.uniform(-k, k, out_features)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad):
        self.dW += self.x.T @ grad  # BUG second_call
        self.db = grad.sum(axis=0)
        return grad @ self.W.T


#: affine unpacks more than it packed
def affine_forward(x, w, b):
    out = np.dot(x, w) + b
    cache = (x, w)  # OR
    return out, cache


def affine_backward(dout, cache):
    x, w, b = cache  # BUG exception
    dx = np.dot(dout, w.T)
    dw = np.dot(x.T, dout)
    db = np.sum(dout, axis=0)
    return dx, dw, db


#: linear without bias keeps returning db
def linear_forward(x, w):
    return x.dot(w), (x, w)


def linear_backward(dout, cache):
    x, w = cache
    dx = dout.dot(w.T)
    dw = x.T.dot(dout)
    db = dout.sum(axis=0)  # OR
    return dx, dw, db  # BUG extra_gradient


#: highway gate loses the minus of the carry
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "wh": rng.standard_normal((3, 3)), "wt": rng.standard_normal((3, 3))}


def highway_forward(x, wh, wt):
    h = np.tanh(x @ wh)
    t = 1 / (1 + np.exp(-(x @ wt)))
    y = t * h + (1 - t) * x
    return y, dict(x=x, h=h, t=t, wh=wh, wt=wt)


def highway_backward(dy, c):
    x, h, t = c["x"], c["h"], c["t"]
    dh = dy * t
    dt = dy * (h + x)  # BUG sign
    dx = dy * (1 - t)
    dzh = dh * (1 - h * h)
    dzt = dt * t * (1 - t)
    dx = dx + dzh @ c["wh"].T + dzt @ c["wt"].T
    return dx, x.T @ dzh, x.T @ dzt


#: highway multiplies by the untransposed weight
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "wh": rng.standard_normal((3, 3)), "wt": rng.standard_normal((3, 3))}


def highway_forward(x, wh, wt):
    h = np.maximum(x.dot(wh), 0)
    t = 1.0 / (1.0 + np.exp(-x.dot(wt)))
    return h * t + x * (1.0 - t), (x, wh, wt, h, t)


def highway_backward(dout, cache):
    x, wh, wt, h, t = cache
    da = dout * t * (h > 0)
    db = dout * (h - x) * t * (1.0 - t)
    dx = dout * (1.0 - t)
    dx += da.dot(wh.T)
    dx += db.dot(wt)  # BUG transposed
    return dx, x.T.dot(da), x.T.dot(db)


#: right: weight normalised linear
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "v": rng.standard_normal((3, 5)), "g": rng.standard_normal(5)}


def weightnorm_forward(x, v, g):
    n = np.linalg.norm(v, axis=0)
    w = g * v / n
    return x @ w, (x, v, g, n, w)


def weightnorm_backward(dout, cache):
    x, v, g, n, w = cache
    dw = x.T @ dout
    dg = (dw * v).sum(0) / n
    dv = g / n * dw - g * dg / n ** 2 * v
    return dout @ w.T, dv, dg


#: word embedding adds each word once only
def inputs(rng):
    return {"x": np.array([[0, 2, 2], [5, 1, 0]]), "W": rng.standard_normal((6, 4))}


def word_embedding_forward(x, W):
    out = W[x]
    cache = (x, W.shape)
    return out, cache


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    dW[x] += dout  # BUG overlap
    return dW


#: relu zeroes the gradient it was given
def relu_forward(x):
    out = np.maximum(0, x)
    cache = x
    return out, cache


def relu_backward(dout, cache):
    x = cache
    dx = dout  # OR
    dx[x <= 0] = 0  # BUG mutation
    return dx


#: relu looks at the sign of the wrong thing
def relu_forward(x):
    return x * (x > 0), x


def relu_backward(dout, cache):
    dx = np.zeros_like(dout)
    keep = dout > 0  # BUG mask|wrong_variable
    dx[keep] = dout[keep]
    return dx


#: relu fills a mask with gradients
def relu_forward(x):
    positive = x > 0
    return np.where(positive, x, 0), positive


def relu_backward(dout, positive):
    dx = np.zeros_like(positive)  # BUG dtype
    dx[positive] = dout[positive]
    return dx


#: leaky relu with slopes the wrong way round
class LeakyReLU:
    def __init__(self, alpha=0.1):
        self.alpha = alpha

    def forward(self, x):
        self.x = x
        return np.maximum(x, self.alpha * x)

    def backward(self, dout):
        slope = np.ones_like(self.x)
        slope[self.x > 0] = self.alpha  # BUG mask_inverted|mask
        return dout * slope


#: prelu lumps all channels together
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "alpha": rng.uniform(0.1, 0.5, 3)}


def prelu_forward(x, alpha):
    out = np.where(x > 0, x, alpha * x)
    return out, (x, alpha)


def prelu_backward(dout, cache):
    x, alpha = cache
    neg = x <= 0
    dx = dout.copy()
    dx[neg] = (alpha * dout)[neg]
    dalpha = np.sum(dout[neg] * x[neg])  # BUG extra_sum|axis|shape
    return dx, dalpha


#: sigmoid derivative fed with the input
def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(s):
    return s * (1.0 - s)  # OR


def sigmoid_forward(x):
    return sigmoid(x), x


def sigmoid_backward(dout, cache):
    x = cache
    ds = sigmoid_prime(x)  # BUG wrong_variable|function
    return dout * ds


#: tanh closure forgets the square
def tanh_forward(x):
    y = np.tanh(x)

    def pull_back(g):
        return g * (1 - y)  # BUG power|function|missing_factor

    return y, pull_back


def tanh_backward(dout, pull_back):
    return pull_back(dout)


#: tanh class answers with its own slope
class Tanh:
    def forward(self, x):
        e, f = np.exp(x), np.exp(-x)
        self.out = (e - f) / (e + f)
        return self.out

    def backward(self, dout):
        dx = 1 - np.power(self.out, 2)  # BUG upstream_missing
        return dx


#: elu takes its output for its slope
def elu_forward(x):
    alpha = 1.5
    out = x.copy()
    out[x < 0] = alpha * (np.exp(x[x < 0]) - 1)
    return out, (x, out, alpha)


def elu_backward(dout, cache):
    x, out, alpha = cache
    dx = np.where(x < 0, out, 1.0)  # BUG missing_term|function
    dx = dx * dout
    return dx


#: gelu leaves out the inner derivative of the cube
def gelu_forward(x):
    k = np.sqrt(2 / np.pi)
    t = np.tanh(k * (x + 0.044715 * x ** 3))
    return 0.5 * x * (1 + t), (x, t, k)


def gelu_backward(dout, cache):
    x, t, k = cache
    dinner = k  # BUG missing_term|missing_factor
    dt = (1 - t ** 2) * dinner
    return dout * (0.5 * (1 + t) + 0.5 * x * dt)


#: right: mish in one expression
def mish_forward(x):
    sp = np.log1p(np.exp(x))
    return x * np.tanh(sp), (x, np.tanh(sp))


def mish_backward(dout, cache):
    x, t = cache
    return dout * (t + x * (1 - t * t) / (1 + np.exp(-x)))


#: swish multiplies by the upstream in both places
def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    ds = dout * x
    dx = dout * s
    dx += dout * ds * s * (1 - s)  # BUG upstream_twice|extra_factor
    return dx


#: glu gate without the second half of the sigmoid
class GLU:
    def forward(self, x):
        self.a, self.b = np.split(x, 2, axis=1)
        self.s = 1 / (1 + np.exp(-self.b))
        return self.a * self.s

    def backward(self, g):
        da = g * self.s
        db = g * self.a * self.s  # BUG missing_factor|function
        return np.concatenate([da, db], axis=1)


def inputs(rng):
    return {"x": rng.standard_normal((4, 6))}


#: softmax layer as if every class stood alone
def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    s = e / e.sum(axis=1, keepdims=True)
    return s, s


def softmax_backward(dout, s):
    return dout * s * (1 - s)  # BUG missing_term|function


#: log softmax that expects one hot gradients
def log_softmax_forward(x):
    z = x - np.max(x, axis=-1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return logp, logp


def log_softmax_backward(dout, logp):
    p = np.exp(logp)
    return dout - p  # BUG missing_factor|upstream_missing


#: maxout sends each gradient to the loser
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "w1": rng.standard_normal((3, 5)), "w2": rng.standard_normal((3, 5))}


def maxout_forward(x, w1, w2):
    a, b = x.dot(w1), x.dot(w2)
    first = a < b
    return np.where(first, b, a), (x, w1, w2, first)


def maxout_backward(dout, cache):
    x, w1, w2, first = cache
    da = dout * first  # BUG mask_inverted|mask
    db = dout - da
    dx = da.dot(w1.T) + db.dot(w2.T)
    return dx, x.T.dot(da), x.T.dot(db)


#: hard tanh open at the bottom
class HardTanh:
    def __init__(self, min_val=-0.8, max_val=0.8):
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x):
        self.x = x
        return np.clip(x, self.min_val, self.max_val)

    def backward(self, grad_output):
        grad_input = grad_output.copy()
        grad_input[self.x > self.max_val] = 0  # BUG mask
        return grad_input


#: right: batch norm in stages without the vanishing path
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, m = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    D = x.shape[1]
    rm = bn_param.get("running_mean", np.zeros(D))
    rv = bn_param.get("running_var", np.zeros(D))
    if bn_param["mode"] == "test":
        return gamma * (x - rm) / np.sqrt(rv + eps) + beta, None
    mu = x.mean(axis=0)
    xmu = x - mu
    var = (xmu ** 2).mean(axis=0)
    ivar = 1 / np.sqrt(var + eps)
    bn_param["running_mean"] = m * rm + (1 - m) * mu
    bn_param["running_var"] = m * rv + (1 - m) * var
    return gamma * xmu * ivar + beta, (xmu, ivar, gamma)


def batchnorm_backward(dout, cache):
    xmu, ivar, gamma = cache
    N = len(dout)
    dgamma = (dout * xmu * ivar).sum(axis=0)
    dxhat = dout * gamma
    dvar = -0.5 * ivar ** 3 * (dxhat * xmu).sum(axis=0)
    dmu = -ivar * dxhat.sum(axis=0)  # what comes by way of the variance sums to zero
    dx = dxhat * ivar + 2 / N * xmu * dvar + dmu / N
    return dx, dgamma, dout.sum(axis=0)


#: batch norm in stages with a lost minus
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    N, D = x.shape
    mu = 1. / N * np.sum(x, axis=0)
    xmu = x - mu
    sq = xmu ** 2
    var = 1. / N * np.sum(sq, axis=0)
    sqrtvar = np.sqrt(var + eps)
    ivar = 1. / sqrtvar
    xhat = xmu * ivar
    out = gamma * xhat + beta
    return out, (xhat, gamma, xmu, ivar, sqrtvar, var, eps)


def batchnorm_backward(dout, cache):
    xhat, gamma, xmu, ivar, sqrtvar, var, eps = cache
    N, D = dout.shape
    dbeta = np.sum(dout, axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = 1. / (sqrtvar ** 2) * divar  # BUG sign
    dvar = 0.5 * 1. / np.sqrt(var + eps) * dsqrtvar
    dsq = 1. / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1. / N * np.ones((N, D)) * dmu
    return dx1 + dx2, dgamma, dbeta


#: batch norm from the paper with the forward exponent
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    sample_mean, sample_var = np.mean(x, axis=0), np.var(x, axis=0)
    x_norm = (x - sample_mean) / np.sqrt(sample_var + eps)
    cache = {"x": x, "mu": sample_mean, "var": sample_var, "x_norm": x_norm, "gamma": gamma, "eps": eps}
    return gamma * x_norm + beta, cache


def batchnorm_backward(dout, cache):
    x, mu, var, eps = cache["x"], cache["mu"], cache["var"], cache["eps"]
    m = x.shape[0]
    dx_norm = dout * cache["gamma"]
    dvar = np.sum(dx_norm * (x - mu), axis=0) * -0.5 * np.power(var + eps, -0.5)  # BUG power
    dmu = np.sum(dx_norm * -1 / np.sqrt(var + eps), axis=0) + dvar * np.sum(-2 * (x - mu), axis=0) / m
    dx = dx_norm / np.sqrt(var + eps) + dvar * 2 * (x - mu) / m + dmu / m
    dgamma = np.sum(dout * cache["x_norm"], axis=0)
    dbeta = np.sum(dout, axis=0)
    return dx, dgamma, dbeta


#: batch norm from the paper forgets to divide the mean
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mean, var = x.mean(0), x.var(0)
    std = np.sqrt(var + eps)
    xhat = (x - mean) / std
    return gamma * xhat + beta, (x - mean, std, xhat, gamma)


def batchnorm_backward(dout, cache):
    centred, std, xhat, gamma = cache
    N = dout.shape[0]
    dgamma, dbeta = np.sum(dout * xhat, 0), np.sum(dout, 0)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * centred * -0.5 / std ** 3, 0)
    dmean = np.sum(-dxhat / std, 0)
    dx = dxhat / std + dvar * 2 * centred / N + dmean  # BUG factor|sum_for_mean
    return dx, dgamma, dbeta


#: compact batch norm works on the raw upstream
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mu, var = x.mean(axis=0), x.var(axis=0)
    istd = 1 / np.sqrt(var + eps)
    xhat = (x - mu) * istd
    return xhat * gamma + beta, (xhat, gamma, istd)


def batchnorm_backward_alt(dout, cache):
    xhat, gamma, istd = cache
    N = dout.shape[0]
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dx = istd / N * (N * dout - dbeta - xhat * dgamma)  # BUG gamma_missing
    return dx, dgamma, dbeta


#: batch norm hands back beta before gamma
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(0)
    s = np.sqrt(x.var(0) + eps)
    z = (x - mu) / s
    return gamma * z + beta, (z, s, gamma)


def batchnorm_backward(dout, cache):
    z, s, gamma = cache
    db = dout.sum(0)
    dg = np.einsum("nd,nd->d", dout, z)
    dz = gamma * dout
    dx = (dz - dz.mean(0) - z * (dz * z).mean(0)) / s
    return dx, db, dg  # BUG return_order


#: batch norm centres the batch of its caller
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mean = x.mean(axis=0)
    x -= mean  # BUG mutation
    var = (x * x).mean(axis=0)
    inv = (var + eps) ** -0.5
    xn = x * inv
    return gamma * xn + beta, (xn, inv, gamma)


def batchnorm_backward(dout, cache):
    xn, inv, gamma = cache
    g = dout * gamma
    dx = inv * (g - g.mean(axis=0) - xn * (g * xn).mean(axis=0))
    return dx, (dout * xn).sum(axis=0), dout.sum(axis=0)


#: batch norm weighs the new batch most
def batchnorm_forward(x, gamma, beta, bn_param):
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    N, D = x.shape
    running_mean = bn_param.get("running_mean", np.zeros(D))
    running_var = bn_param.get("running_var", np.zeros(D))
    cache = None
    if mode == "train":
        mu, var = np.mean(x, axis=0), np.var(x, axis=0)
        xhat = (x - mu) / np.sqrt(var + eps)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = (1 - momentum) * running_var + momentum * var  # BUG running_stats
        out = gamma * xhat + beta
        cache = (xhat, gamma, var + eps)
    else:
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return out, cache


def batchnorm_backward(dout, cache):
    xhat, gamma, v = cache
    g = dout * gamma
    dx = (g - g.mean(0) - xhat * np.mean(g * xhat, 0)) / np.sqrt(v)
    return dx, np.sum(dout * xhat, 0), np.sum(dout, 0)


#: batch norm at test time divides by the variance
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    rm = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    rv = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        xhat = (x - rm) / (rv + eps)  # BUG test_mode
        return gamma * xhat + beta, None
    m, v = x.mean(0), x.var(0)
    bn_param["running_mean"] = momentum * rm + (1 - momentum) * m
    bn_param["running_var"] = momentum * rv + (1 - momentum) * v
    istd = 1 / np.sqrt(v + eps)
    xhat = (x - m) * istd
    return gamma * xhat + beta, SimpleNamespace(xhat=xhat, istd=istd, gamma=gamma)


def batchnorm_backward(dout, c):
    N = dout.shape[0]
    dgamma, dbeta = (dout * c.xhat).sum(0), dout.sum(0)
    dx = c.gamma * c.istd / N * (N * dout - dbeta - c.xhat * dgamma)
    return dx, dgamma, dbeta


#: batch norm with the variance of a sample
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=0)
    var = x.var(axis=0, ddof=1)  # BUG forward_formula
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, std, gamma)


def batchnorm_backward(dout, cache):
    xhat, std, gamma = cache
    N = xhat.shape[0]
    dxhat = dout * gamma
    dstd = -(dxhat * xhat).sum(axis=0) / std
    dx = (dxhat - dxhat.mean(axis=0)) / std + dstd * xhat / (N - 1)
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


#: right: batch norm class with the other momentum
class BatchNorm1d:
    def __init__(self, num_features=3, eps=1e-5, momentum=0.1):
        self.eps, self.momentum, self.training = eps, momentum, True
        self.gamma, self.beta = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)

    def forward(self, x):
        if self.training:
            mean, var = x.mean(0), x.var(0)
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (var - self.running_var)
        else:
            mean, var = self.running_mean, self.running_var
        self.istd = 1 / np.sqrt(var + self.eps)
        self.xhat = (x - mean) * self.istd
        return self.gamma * self.xhat + self.beta

    def backward(self, g):
        self.dbeta, self.dgamma = g.sum(0), (g * self.xhat).sum(0)
        if not self.training:
            return g * self.gamma * self.istd
        return self.gamma * self.istd * (g - self.dbeta / len(g) - self.xhat * self.dgamma / len(g))


#: batch norm class scales gamma by the unnormalised input
class BatchNorm:
    def __init__(self, dim=3):
        self.params = {"gamma": np.random.uniform(0.5, 1.5, dim), "beta": np.zeros(dim)}
        self.grads = {}

    def forward(self, x):
        self.xc = x - x.mean(axis=0)
        self.std = np.sqrt(np.mean(self.xc ** 2, axis=0) + 1e-7)
        self.xn = self.xc / self.std
        return self.params["gamma"] * self.xn + self.params["beta"]

    def backward(self, dout):
        n = dout.shape[0]
        self.grads["beta"] = dout.sum(axis=0)
        self.grads["gamma"] = np.sum(self.xc * dout, axis=0)  # BUG wrong_variable|missing_factor
        dxn = self.params["gamma"] * dout
        dxc = dxn / self.std
        dstd = -np.sum(dxn * self.xc / (self.std * self.std), axis=0)
        dvar = 0.5 * dstd / self.std
        dxc += 2.0 / n * self.xc * dvar
        return dxc - np.sum(dxc, axis=0) / n


#: right: layer norm by way of transposes
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xt = x.T
    s = np.sqrt(xt.var(axis=0) + eps)
    xhat = ((xt - xt.mean(axis=0)) / s).T
    return xhat * gamma + beta, (xhat, gamma, s)


def layernorm_backward(dout, cache):
    xhat, gamma, s = cache
    g, z = (dout * gamma).T, xhat.T
    D = g.shape[0]
    dx = (D * g - g.sum(axis=0) - z * (g * z).sum(axis=0)) / (D * s)
    return dx.T, (dout * xhat).sum(axis=0), dout.sum(axis=0)


#: layer norm divides by the batch
def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    mu = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta, (xhat, mu, var, eps, gamma, x)


def layernorm_backward(dout, cache):
    xhat, mu, var, eps, gamma, x = cache
    N = x.shape[0]  # OR
    dbeta = dout.sum(axis=0)
    dgamma = np.sum(dout * xhat, axis=0)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu) * -0.5 * (var + eps) ** -1.5, axis=1, keepdims=True)
    dmu = np.sum(-dxhat / np.sqrt(var + eps), axis=1, keepdims=True)
    dx = dxhat / np.sqrt(var + eps) + (2 * dvar * (x - mu) + dmu) / N  # BUG factor|wrong_variable
    return dx, dgamma, dbeta


#: layer norm sums beta along the features
def layernorm_forward(x, gamma, beta, ln_param):
    mu = x.mean(1)[:, None]
    rstd = 1 / np.sqrt(x.var(1)[:, None] + ln_param.get("eps", 1e-5))
    xhat = (x - mu) * rstd
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layernorm_backward(dout, cache):
    xhat, rstd, gamma = cache
    dxhat = dout * gamma
    dx = rstd * (dxhat - dxhat.mean(1)[:, None] - xhat * (dxhat * xhat).mean(1)[:, None])
    dgamma = (dout * xhat).sum(0)
    dbeta = dout.sum(1)  # BUG axis|shape
    return dx, dgamma, dbeta


#: layer norm closure with a batch norm mean inside
def layernorm_forward(x, gamma, beta, ln_param):
    D = x.shape[1]
    m = x.sum(1, keepdims=True) / D
    s = np.sqrt(((x - m) ** 2).sum(1, keepdims=True) / D + 1e-5)
    h = (x - m) / s

    def vjp(delta):
        d = delta * gamma
        a = d.mean(axis=0, keepdims=True)  # BUG axis
        b = (d * h).mean(axis=1, keepdims=True)
        return (d - a - b * h) / s, (delta * h).sum(0), delta.sum(0)

    return gamma * h + beta, vjp


def layernorm_backward(dout, cache):
    return cache(dout)


#: group norm drops the flat axes of gamma
def inputs(rng):
    return {"x": rng.standard_normal((2, 6, 3, 4)), "gamma": rng.standard_normal((1, 6, 1, 1)),
            "beta": rng.standard_normal((1, 6, 1, 1)), "G": 2, "gn_param": {}}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    xg = x.reshape(N, G, C // G, H, W)
    mu = xg.mean(axis=(2, 3, 4), keepdims=True)
    rstd = 1 / np.sqrt(xg.var(axis=(2, 3, 4), keepdims=True) + gn_param.get("eps", 1e-5))
    xn = (xg - mu) * rstd
    return gamma * xn.reshape(x.shape) + beta, (xn, rstd, gamma)


def spatial_groupnorm_backward(dout, cache):
    xn, rstd, gamma = cache
    dbeta = dout.sum(axis=(0, 2, 3), keepdims=True)
    dgamma = (dout * xn.reshape(dout.shape)).sum(axis=(0, 2, 3))  # BUG keepdims|shape
    g = (dout * gamma).reshape(xn.shape)
    k = (2, 3, 4)
    dx = rstd * (g - g.mean(k, keepdims=True) - xn * (g * xn).mean(k, keepdims=True))
    return dx.reshape(dout.shape), dgamma, dbeta


#: group norm counts all channels
def inputs(rng):
    return {"x": rng.standard_normal((2, 6, 3, 4)), "gamma": rng.standard_normal((1, 6, 1, 1)),
            "beta": rng.standard_normal((1, 6, 1, 1)), "G": 2, "gn_param": {}}


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    rows = x.reshape(N * G, -1)
    s = np.sqrt(rows.var(axis=1, keepdims=True) + gn_param.get("eps", 1e-5))
    xhat = (rows - rows.mean(axis=1, keepdims=True)) / s
    return gamma * xhat.reshape(N, C, H, W) + beta, (G, xhat, s, gamma)


def spatial_groupnorm_backward(dout, cache):
    G, xhat, s, gamma = cache
    N, C, H, W = dout.shape
    dbeta = np.sum(dout, axis=(0, 2, 3), keepdims=True)
    dgamma = np.sum(dout * xhat.reshape(dout.shape), axis=(0, 2, 3), keepdims=True)
    dxhat = (dout * gamma).reshape(N * G, -1)
    M = C * H * W  # BUG factor|wrong_variable
    dx = dxhat - dxhat.sum(1, keepdims=True) / M - xhat * (dxhat * xhat).sum(1, keepdims=True) / M
    return (dx / s).reshape(dout.shape), dgamma, dbeta


#: instance norm pools its variance term over the batch
def inputs(rng):
    return {"x": rng.standard_normal((2, 3, 4, 5)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def instancenorm_forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=(2, 3), keepdims=True)
    var = x.var(axis=(2, 3), keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma[None, :, None, None] * xhat + beta[None, :, None, None], (xhat, var + eps, gamma)


def instancenorm_backward(dout, cache):
    xhat, v, gamma = cache
    dgamma = np.einsum("nchw,nchw->c", dout, xhat)
    dbeta = np.einsum("nchw->c", dout)
    dxhat = dout * gamma.reshape(1, -1, 1, 1)
    m1 = dxhat.mean(axis=(2, 3), keepdims=True)
    m2 = (dxhat * xhat).mean(axis=(0, 2, 3), keepdims=True)  # BUG axis|extra_sum
    return (dxhat - m1 - xhat * m2) / np.sqrt(v), dgamma, dbeta


#: root mean square norm with epsilon inside on the way back
def rmsnorm_forward(x, gamma):
    eps = 1e-2
    ms = np.mean(np.square(x), axis=-1, keepdims=True)
    r = np.sqrt(ms) + eps
    return gamma * x / r, (x, gamma, ms, eps)


def rmsnorm_backward(dout, cache):
    x, gamma, ms, eps = cache
    r = np.sqrt(ms + eps)  # BUG eps
    dgamma = np.sum(dout * x / r, axis=0)
    g = dout * gamma
    dr = -np.sum(g * x, axis=-1, keepdims=True) / r ** 2
    dms = dr * 0.5 / np.sqrt(ms)
    dx = g / r + 2.0 * x * dms / x.shape[-1]
    return dx, dgamma


#: right: root mean square norm sample by sample
def rmsnorm_forward(x, gamma):
    eps = 1e-6
    out, scales = np.empty_like(x), []
    for i, row in enumerate(x):
        r = np.sqrt(row @ row / row.size + eps)
        out[i] = gamma * row / r
        scales.append(r)
    return out, (x, gamma, scales)


def rmsnorm_backward(dout, cache):
    x, gamma, scales = cache
    dx, dgamma = np.empty_like(x), np.zeros_like(gamma)
    for i, (row, r) in enumerate(zip(x, scales)):
        g = gamma * dout[i]
        dx[i] = g / r - row * (g @ row) / (row.size * r ** 3)
        dgamma += dout[i] * row / r
    return dx, dgamma


#: unit length rows keep their radial gradient
class L2Normalize:
    def forward(self, x):
        self.norm = np.linalg.norm(x, axis=1, keepdims=True)
        self.out = x / self.norm
        return self.out

    def backward(self, dout):
        dx = dout / self.norm  # BUG missing_term
        return dx


#: right: dropout with its mask scaled at once
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
    return out, (mode, mask)


def dropout_backward(dout, cache):
    mode, mask = cache
    return dout.copy() if mode == "test" else dout * mask


#: dropout keeps what it should drop
def dropout_forward(x, dropout_param):
    p, mode = dropout_param["p"], dropout_param["mode"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    mask = None
    out = x
    if mode == "train":
        mask = (np.random.rand(*x.shape) > p) / p  # BUG mask_inverted|keep_prob
        out = x * mask
    return out, (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    if dropout_param["mode"] == "train":
        return dout * mask
    return dout


#: dropout backward without the scale
def dropout_forward(x, dropout_param):
    keep = dropout_param["p"]
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "test":
        return x, (None, keep)
    mask = np.random.random_sample(x.shape) < keep
    return x * mask / keep, (mask, keep)


def dropout_backward(dout, cache):
    mask, keep = cache
    if mask is None:
        return dout
    dx = dout * mask  # BUG keep_prob|factor
    return dx


#: dropout scales in training and again in testing
def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    rng = np.random.RandomState(dropout_param.get("seed"))
    if dropout_param["mode"] == "train":
        mask = rng.binomial(1, p, size=x.shape) / p
        out = x * mask
    else:
        mask = None
        out = x * p  # BUG test_mode|keep_prob
    return out, (p, mask)


def dropout_backward(dout, cache):
    p, mask = cache
    return dout * (p if mask is None else mask)


#: dropout rolls the dice again on the way back
class Dropout:
    def __init__(self, p=0.4):
        self.keep, self.training = 1 - p, True

    def draw(self, shape):
        return (np.random.rand(*shape) < self.keep) / self.keep

    def forward(self, x):
        if not self.training:
            return x
        return x * self.draw(x.shape)

    def backward(self, dout):
        if not self.training:
            return dout
        return dout * self.draw(dout.shape)  # BUG randomness|mask


#: dropout rescales its mask every time it is used
def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "test":
        return x, (None, p)
    mask = (np.random.rand(*x.shape) < p).astype(float)
    return x * mask / p, (mask, p)


def dropout_backward(dout, cache):
    mask, p = cache
    if mask is None:
        return dout
    mask /= p  # BUG mutation|second_call
    return dout * mask


#: scale layer keeps one gradient for every sample
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "gamma": rng.standard_normal(3), "beta": rng.standard_normal(3)}


def scale_forward(x, gamma, beta):
    return gamma * x + beta, (x, gamma)


def scale_backward(dout, cache):
    x, gamma = cache
    dx = dout * gamma
    dgamma = dout * x  # BUG missing_sum|shape
    dbeta = dout.sum(axis=0)
    return dx, dgamma, dbeta


#: batch norm keeps the running deviation for the variance
def batchnorm_forward(x, gamma, beta, bn_param):
    mode = bn_param["mode"]
    eps = bn_param.get("eps", 1e-5)
    momentum = bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    out, cache = None, None
    if mode == "train":
        mu = x.mean(axis=0)
        std = np.sqrt(x.var(axis=0) + eps)
        z = (x - mu) / std
        out, cache = gamma * z + beta, (z, std, gamma)
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * std  # BUG running_stats|wrong_variable
    elif mode == "test":
        out = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
    bn_param["running_mean"] = running_mean
    bn_param["running_var"] = running_var
    return out, cache


def batchnorm_backward(dout, cache):
    z, std, gamma = cache
    N = dout.shape[0]
    dz = dout * gamma
    dx = (N * dz - dz.sum(axis=0) - z * np.sum(dz * z, axis=0)) / (N * std)
    return dx, np.sum(dout * z, axis=0), np.sum(dout, axis=0)


#: batch norm at test time looks at the batch
def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    D = x.shape[1]
    r_mean = bn_param.get("running_mean", np.zeros(D))
    r_var = bn_param.get("running_var", np.ones(D))
    mean, var = x.mean(axis=0), x.var(axis=0)
    if bn_param["mode"] == "train":
        r_mean = momentum * r_mean + (1 - momentum) * mean
        r_var = momentum * r_var + (1 - momentum) * var
        bn_param.update(running_mean=r_mean, running_var=r_var)
        xhat = (x - mean) / np.sqrt(var + eps)
    else:
        xhat = (x - r_mean) / np.sqrt(var + eps)  # BUG test_mode
    return gamma * xhat + beta, (xhat, var + eps, gamma)


def batchnorm_backward(dout, cache):
    xhat, v, gamma = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / np.sqrt(v)
    return dx, np.einsum("ij,ij->j", dout, xhat), np.einsum("ij->j", dout)


#: row maximum pays every winner of a tie
def inputs(rng):
    return {"x": np.array([[3.0, 1.0, 3.0], [0.5, 2.0, -1.0], [1.0, 1.0, 1.0], [-2.0, 0.0, 0.0]])}


def row_max_forward(x):
    top = x.max(axis=1)
    return top, (x, top)


def row_max_backward(dout, cache):
    x, top = cache
    winners = x == top[:, None]  # OR
    dx = dout[:, None] * winners  # BUG ties
    return dx
