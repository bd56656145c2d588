"""Course-style models, whole: what goes wrong where layers meet."""

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


def dropout_forward(x, param):
    np.random.seed(param["seed"])
    mask = (np.random.rand(*x.shape) < param["p"]) / param["p"]
    return x * mask, mask


def softmax_data_loss(x, y):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    n = len(x)
    loss = -np.log(p[np.arange(n), y]).mean()
    d = p.copy()
    d[np.arange(n), y] -= 1
    return loss, d / n


def norm_forward(x, gamma, beta):
    mean, var = x.mean(axis=0), x.var(axis=0)
    rstd = 1 / np.sqrt(var + 1e-5)
    xhat = (x - mean) * rstd
    return gamma * xhat + beta, (xhat, rstd, gamma)


def norm_backward(dout, cache):
    xhat, rstd, gamma = cache
    g = dout * gamma
    dx = rstd * (g - g.mean(0) - xhat * (g * xhat).mean(0))
    return dx, (dout * xhat).sum(0), dout.sum(0)


class Base:
    def __init__(self, hidden_dims, input_dim=6, num_classes=4, reg=0.0, weight_scale=1e-2, normalization=None, dtype=np.float64):
        dims = [input_dim, *hidden_dims, num_classes]
        self.num_layers, self.reg, self.normalization = len(dims) - 1, reg, normalization
        self.params = {}
        for i in range(1, len(dims)):
            self.params[f"W{i}"] = (weight_scale * np.random.randn(dims[i - 1], dims[i])).astype(dtype)
            self.params[f"b{i}"] = np.zeros(dims[i], dtype=dtype)
            if normalization == "batchnorm" and i < len(dims) - 1:
                self.params[f"gamma{i}"] = np.ones(dims[i], dtype=dtype)
                self.params[f"beta{i}"] = np.zeros(dims[i], dtype=dtype)


#: right: fully connected net of any depth
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, {}
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            norm = None
            if self.normalization == "batchnorm":
                h, norm = norm_forward(h, self.params[f"gamma{i}"], self.params[f"beta{i}"])
            h, act = relu_forward(h)
            caches[i] = (fc, norm, act)
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        if y is None:
            return scores
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, norm, act = caches[i]
            dh = relu_backward(dh, act)
            if norm is not None:
                dh, grads[f"gamma{i}"], grads[f"beta{i}"] = norm_backward(dh, norm)
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(dh, fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads


#: right: two layers by hand
class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, std=1e-2):
        self.params = {"W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
                       "W2": std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}

    def loss(self, X, y=None, reg=0.1):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        a = X @ W1 + b1
        h = np.maximum(0, a)
        scores = h @ W2 + b2
        if y is None:
            return scores
        loss, dscores = softmax_data_loss(scores, y)
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dh = dscores @ W2.T
        da = dh * (a > 0)
        grads = {"W2": h.T @ dscores + 2 * reg * W2, "b2": dscores.sum(0), "W1": X.T @ da + 2 * reg * W1, "b1": da.sum(0)}
        return loss, grads


#: regularisation not in the gradient
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)  # OR
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)  # BUG regularisation
        return loss, grads


#: regularisation doubled
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += 2 * self.reg * self.params[f"W{i}"]  # BUG regularisation
        return loss, grads


#: bias regularised in the gradient
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
            grads[f"b{i}"] += self.reg * self.params[f"b{i}"]  # BUG regularisation
        return loss, grads


#: last layer not regularised
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        loss += 0.5 * self.reg * sum(np.sum(self.params[f"W{i}"] ** 2) for i in range(1, L + 1))
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)  # BUG regularisation
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads


#: relu skipped on the way back
class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, std=1e-2):
        self.params = {"W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
                       "W2": std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}

    def loss(self, X, y=None, reg=0.1):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        a = X @ W1 + b1
        h = np.maximum(0, a)
        scores = h @ W2 + b2
        if y is None:
            return scores
        loss, dscores = softmax_data_loss(scores, y)
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dh = dscores @ W2.T
        da = dh  # BUG mask_missing|mask
        grads = {"W2": h.T @ dscores + 2 * reg * W2, "b2": dscores.sum(0), "W1": X.T @ da + 2 * reg * W1, "b1": da.sum(0)}
        return loss, grads


#: the wrong layer's input
class TwoLayerNet:
    def __init__(self, input_size, hidden_size, output_size, std=1e-2):
        self.params = {"W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
                       "W2": std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size)}

    def loss(self, X, y=None, reg=0.1):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        a = X @ W1 + b1
        h = np.maximum(0, a)
        scores = h @ W2 + b2
        if y is None:
            return scores
        loss, dscores = softmax_data_loss(scores, y)
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        grads = {}
        grads["W2"] = a.T @ dscores + 2 * reg * W2  # BUG wrong_variable
        grads["b2"] = dscores.sum(axis=0)
        dh = dscores @ W2.T
        dh[a <= 0] = 0
        grads["W1"] = X.T @ dh + 2 * reg * W1
        grads["b1"] = dh.sum(axis=0)
        return loss, grads


#: helper's bias summed wrongly
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.mean(axis=0)  # BUG mean_for_sum|factor
    return dx, dw, db


class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads


#: batch norm's backward left out
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, {}
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            norm = None
            if self.normalization == "batchnorm":
                h, norm = norm_forward(h, self.params[f"gamma{i}"], self.params[f"beta{i}"])
            h, act = relu_forward(h)
            caches[i] = (fc, norm, act)
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        if y is None:
            return scores
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, norm, act = caches[i]
            dh = relu_backward(dh, act)
            if norm is not None:
                _, grads[f"gamma{i}"], grads[f"beta{i}"] = norm_backward(dh, norm)
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(dh, fc)  # BUG wrong_variable|missing_term|unknown
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads


#: a gradient forgotten
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in range(L - 1, 0, -1):
            fc, act = caches[i - 1]
            dh, grads[f"W{i}"], _ = affine_backward(relu_backward(dh, act), fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads  # BUG missing_gradient


#: works for two hidden layers only
class FullyConnectedNet(Base):
    def loss(self, X, y=None):
        L = self.num_layers
        h, caches = X, []
        for i in range(1, L):
            h, fc = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            h, act = relu_forward(h)
            caches.append((fc, act))
        scores, last = affine_forward(h, self.params[f"W{L}"], self.params[f"b{L}"])
        loss, dscores = softmax_data_loss(scores, y)
        grads = {}
        dh, grads[f"W{L}"], grads[f"b{L}"] = affine_backward(dscores, last)
        for i in (2, 1):
            fc, act = caches[i - 1]  # BUG exception
            dh, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(relu_backward(dh, act), fc)
        for i in range(1, L + 1):
            loss += 0.5 * self.reg * np.sum(self.params[f"W{i}"] ** 2)
            grads[f"W{i}"] += self.reg * self.params[f"W{i}"]
        return loss, grads
