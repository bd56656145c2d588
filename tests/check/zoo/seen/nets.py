"""Sandwich layers and whole nets."""

import numpy as np


def fc(x, w, b):
    return x @ w + b


def affine_relu_forward(x, w, b):
    a = fc(x.reshape(len(x), -1), w, b)
    return a.clip(min=0), (x, w, a)


def cross_entropy(s, y):
    s = s - s.max(1, keepdims=True)
    logp = s - np.log(np.exp(s).sum(1, keepdims=True))
    n = len(y)
    d = np.exp(logp)
    d[np.arange(n), y] -= 1
    return -logp[np.arange(n), y].mean(), d / n


class Net:
    def __init__(self, input_dim=5, hidden_dim=4, num_classes=3, weight_scale=0.5, reg=0.1):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes),
        }


class Deep:
    def __init__(self, hidden_dims, input_dim=5, num_classes=3, reg=0.0, weight_scale=0.3, dtype=np.float64):
        sizes = [input_dim] + list(hidden_dims) + [num_classes]
        self.L, self.reg, self.params = len(sizes) - 1, reg, {}
        for k in range(self.L):
            self.params["W%d" % (k + 1)] = (weight_scale * np.random.randn(sizes[k], sizes[k + 1])).astype(dtype)
            self.params["b%d" % (k + 1)] = np.zeros(sizes[k + 1], dtype=dtype)


#: right: sandwich
def affine_relu_backward(dout, cache):
    x, w, a = cache
    da = dout * (a > 0)
    return (da @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ da, da.sum(0)


#: sandwich, bread only
def affine_relu_backward(dout, cache):
    x, w, a = cache
    dx = (dout @ w.T).reshape(x.shape)  # BUG mask_missing
    dw = x.reshape(len(x), -1).T @ dout  # OR
    db = dout.sum(0)  # OR
    return dx, dw, db


#: sandwich, mask after the weights
def affine_relu_backward(dout, cache):
    x, w, a = cache
    da = dout * (a > 0)
    dx = (da @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ da
    db = dout.sum(0)  # BUG mask_missing|wrong_variable
    return dx, dw, db


#: sandwich, inverted filling
def affine_relu_backward(dout, cache):
    x, w, a = cache
    da = np.array(dout)
    da[a > 0] = 0  # BUG mask_inverted
    return (da @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ da, da.sum(0)


#: right: two layers
class TwoLayerNet(Net):
    def loss(self, X, y=None):
        p = self.params
        a = fc(X.reshape(len(X), -1), p["W1"], p["b1"])
        h = np.maximum(a, 0)
        s = fc(h, p["W2"], p["b2"])
        if y is None:
            return s
        loss, ds = cross_entropy(s, y)
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        da = (ds @ p["W2"].T) * (a > 0)
        return loss, {
            "W1": X.reshape(len(X), -1).T @ da + self.reg * p["W1"], "b1": da.sum(0),
            "W2": h.T @ ds + self.reg * p["W2"], "b2": ds.sum(0),
        }


#: second weights not regularised
class TwoLayerNet(Net):
    def loss(self, X, y=None):
        p = self.params
        X = X.reshape(len(X), -1)
        a = fc(X, p["W1"], p["b1"])
        h = np.maximum(a, 0)
        s = fc(h, p["W2"], p["b2"])
        if y is None:
            return s
        loss, ds = cross_entropy(s, y)
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        grads = {}
        grads["W2"] = h.T @ ds  # BUG regularisation
        grads["b2"] = ds.sum(0)
        da = (ds @ p["W2"].T) * (a > 0)
        grads["W1"] = X.T @ da + self.reg * p["W1"]
        grads["b1"] = da.sum(0)
        return loss, grads


#: penalty with the wrong half
class TwoLayerNet(Net):
    def loss(self, X, y=None):
        p = self.params
        X = X.reshape(len(X), -1)
        a = fc(X, p["W1"], p["b1"])
        h = np.maximum(a, 0)
        s = fc(h, p["W2"], p["b2"])
        if y is None:
            return s
        loss, ds = cross_entropy(s, y)
        loss += self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        grads = {}
        grads["W2"] = h.T @ ds + 2 * self.reg * p["W2"]
        grads["b2"] = ds.sum(0)
        da = (ds @ p["W2"].T) * (a > 0)
        grads["W1"] = X.T @ da + self.reg * p["W1"]  # BUG regularisation
        grads["b1"] = da.sum(0)
        return loss, grads


#: gate by the second layer's input gradient
class TwoLayerNet(Net):
    def loss(self, X, y=None):
        p = self.params
        X = X.reshape(len(X), -1)
        a = fc(X, p["W1"], p["b1"])
        h = np.maximum(a, 0)
        s = fc(h, p["W2"], p["b2"])
        if y is None:
            return s
        loss, ds = cross_entropy(s, y)
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        dh = ds @ p["W2"].T
        da = dh * (dh > 0)  # BUG mask
        return loss, {
            "W1": X.T @ da + self.reg * p["W1"], "b1": da.sum(0),
            "W2": h.T @ ds + self.reg * p["W2"], "b2": ds.sum(0),
        }


#: first bias averaged
class TwoLayerNet(Net):
    def loss(self, X, y=None):
        p = self.params
        X = X.reshape(len(X), -1)
        a = fc(X, p["W1"], p["b1"])
        h = np.maximum(a, 0)
        s = fc(h, p["W2"], p["b2"])
        if y is None:
            return s
        loss, ds = cross_entropy(s, y)
        loss += 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        grads = {"W2": h.T @ ds + self.reg * p["W2"], "b2": ds.sum(0)}
        da = (ds @ p["W2"].T) * (a > 0)
        grads["W1"] = X.T @ da + self.reg * p["W1"]
        grads["b1"] = da.mean(0)  # BUG mean_for_sum|factor
        return loss, grads


#: right: any depth
class FullyConnectedNet(Deep):
    def loss(self, X, y=None):
        p, acts = self.params, [X.reshape(len(X), -1)]
        for k in range(1, self.L + 1):
            z = fc(acts[-1], p["W%d" % k], p["b%d" % k])
            acts.append(np.maximum(z, 0) if k < self.L else z)
        if y is None:
            return acts[-1]
        loss, d = cross_entropy(acts[-1], y)
        grads = {}
        for k in range(self.L, 0, -1):
            if k < self.L:
                d = d * (acts[k] > 0)
            grads["W%d" % k] = acts[k - 1].T @ d + self.reg * p["W%d" % k]
            grads["b%d" % k] = d.sum(0)
            loss += 0.5 * self.reg * np.sum(p["W%d" % k] ** 2)
            d = d @ p["W%d" % k].T
        return loss, grads


#: any depth, one layer off
class FullyConnectedNet(Deep):
    def loss(self, X, y=None):
        p, acts = self.params, [X.reshape(len(X), -1)]
        for k in range(1, self.L + 1):
            z = fc(acts[-1], p["W%d" % k], p["b%d" % k])
            acts.append(np.maximum(z, 0) if k < self.L else z)
        if y is None:
            return acts[-1]
        loss, d = cross_entropy(acts[-1], y)
        grads = {}
        for k in range(self.L, 0, -1):
            grads["W%d" % k] = acts[k - 1].T @ d + self.reg * p["W%d" % k]  # OR
            grads["b%d" % k] = d.sum(0)
            loss += 0.5 * self.reg * np.sum(p["W%d" % k] ** 2)
            d = d @ p["W%d" % k].T  # BUG mask_missing
        return loss, grads


#: any depth, biases punished as well
class FullyConnectedNet(Deep):
    def __init__(self, hidden_dims, input_dim=5, num_classes=3, reg=0.0, weight_scale=0.3, dtype=np.float64):
        super().__init__(hidden_dims, input_dim, num_classes, reg, weight_scale, dtype)
        for name in self.params:
            if name.startswith("b"):
                self.params[name] = self.params[name] + np.asarray(0.1, dtype)

    def loss(self, X, y=None):
        p, acts = self.params, [X.reshape(len(X), -1)]
        for k in range(1, self.L + 1):
            z = fc(acts[-1], p["W%d" % k], p["b%d" % k])
            acts.append(np.maximum(z, 0) if k < self.L else z)
        if y is None:
            return acts[-1]
        loss, d = cross_entropy(acts[-1], y)
        grads = {}
        for k in range(self.L, 0, -1):
            if k < self.L:
                d = d * (acts[k] > 0)
            grads["W%d" % k] = acts[k - 1].T @ d
            grads["b%d" % k] = d.sum(0)
            loss += 0.5 * self.reg * np.sum(p["W%d" % k] ** 2)
            d = d @ p["W%d" % k].T
        for name in p:
            grads[name] += self.reg * p[name]  # BUG regularisation
        return loss, grads


#: right: class with forward and backward
class Linear:
    def __init__(self, n_in, n_out):
        self.W, self.b = 0.1 * np.ones((n_in, n_out)), np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = np.einsum("ni,no->io", self.x, dout)
        self.db = np.einsum("no->o", dout)
        return np.einsum("no,io->ni", dout, self.W)


#: class, last gradient kept
class Linear:
    def __init__(self, n_in, n_out):
        self.W, self.b = 0.1 * np.ones((n_in, n_out)), np.zeros(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.dW + self.x.T @ dout  # BUG second_call
        self.db = dout.sum(0)
        return dout @ self.W.T


#: class, sigmoid keeps its input
class Sigmoid:
    def forward(self, x):
        self.x = x
        return 1 / (1 + np.exp(-x))

    def backward(self, dout):
        return dout * self.x * (1 - self.x)  # BUG wrong_variable|function
