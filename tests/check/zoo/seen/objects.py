"""Layers and models built in every way: other method names, parameters in lists, inner layers, gradients kept or returned."""

import numpy as np


#: right: class with call and backward
class Relu:
    def __call__(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


#: class with call and backward, broken
class Relu:
    def __call__(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dout):
        return dout * ~self.mask  # BUG mask_inverted


#: right: class with fprop and bprop
class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def fprop(self, x):
        self.x = x
        return x @ self.W + self.b

    def bprop(self, g):
        self.dW = self.x.T @ g
        self.db = g.sum(axis=0)
        return g @ self.W.T


#: class with fprop and bprop, broken
class Dense:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out)
        self.b = np.zeros(n_out)

    def fprop(self, x):
        self.x = x
        return x @ self.W + self.b

    def bprop(self, g):
        self.dW = self.x.T @ g
        self.db = g.sum(axis=0)
        return g @ self.W.T / len(g)  # BUG factor


#: right: class with grads list
class Linear:
    def __init__(self, n_in=3, n_out=2):
        self.params = [np.random.randn(n_in, n_out), np.random.randn(n_out)]
        self.grads = [None, None]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        W, b = self.params
        self.grads[0] = self.x.T @ dout
        self.grads[1] = dout.sum(axis=0)
        return dout @ W.T


#: class with grads list, broken
class Linear:
    def __init__(self, n_in=3, n_out=2):
        self.params = [np.random.randn(n_in, n_out), np.random.randn(n_out)]
        self.grads = [None, None]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        W, b = self.params
        self.grads[0] = self.x.T @ dout
        self.grads[1] = dout.mean(axis=0)  # BUG mean_for_sum|factor
        return dout @ W.T


#: right: class with inputs of x alone
def inputs(rng):
    return rng.standard_normal((2, 3, 4, 4))


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout):
        return dout.reshape(self.shape)


#: class with inputs of x alone, broken
def inputs(rng):
    return rng.standard_normal((2, 3, 4, 4))


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout):
        return dout.reshape(self.shape[::-1]).T  # BUG transposed|shape


#: right: class with a train flag
class Dropout:
    def __init__(self, p=0.4):
        self.p = p

    def forward(self, x, train=True):
        if train:
            self.mask = (np.random.rand(*x.shape) >= self.p) / (1 - self.p)
            return x * self.mask
        return x

    def backward(self, dout):
        return dout * self.mask


#: class with a train flag, broken
class Dropout:
    def __init__(self, p=0.4):
        self.p = p

    def forward(self, x, train=True):
        if train:
            self.mask = (np.random.rand(*x.shape) >= self.p) / (1 - self.p)
            return x * self.mask
        return x

    def backward(self, dout):
        return dout / self.mask.clip(0.5)  # BUG operation|extra_factor|mask|mask_missing|power


#: right: static methods
class Square:
    @staticmethod
    def forward(x):
        return x ** 2, x

    @staticmethod
    def backward(dout, cache):
        return 2 * cache * dout


#: static methods, broken
class Square:
    @staticmethod
    def forward(x):
        return x ** 2, x

    @staticmethod
    def backward(dout, cache):
        return cache * dout  # BUG factor


#: right: function with a context
class Exp:
    @staticmethod
    def forward(ctx, x):
        y = np.exp(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx, grad):
        y, = ctx.saved
        return grad * y


#: function with a context, broken
class Exp:
    @staticmethod
    def forward(ctx, x):
        y = np.exp(x)
        ctx.saved = (y,)
        return y

    @staticmethod
    def backward(ctx, grad):
        y, = ctx.saved
        return grad + y  # BUG operation


#: right: class returns a tuple of gradients
class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        dx = dout @ self.W.T
        dW = self.x.T @ dout
        db = dout.sum(axis=0)
        return dx, dW, db


#: class returns a tuple of gradients, broken
class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        dx = dout @ self.W.T
        dW = self.x.T @ dout
        db = dout.sum(axis=1)  # BUG axis
        return dx, dW, db


#: right: class made by inputs
def inputs(rng):
    return Norm(5, rng), rng.standard_normal((4, 5))


class Norm:
    def __init__(self, d, rng):
        self.gamma, self.beta = rng.standard_normal(d), rng.standard_normal(d)

    def forward(self, x):
        mu = x.mean(axis=1, keepdims=True)
        self.std = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        self.xhat = (x - mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.grad_gamma = (dout * self.xhat).sum(axis=0)
        self.grad_beta = dout.sum(axis=0)
        d = dout * self.gamma
        return (d - d.mean(axis=1, keepdims=True) - self.xhat * (d * self.xhat).mean(axis=1, keepdims=True)) / self.std


#: class made by inputs, broken
def inputs(rng):
    return Norm(5, rng), rng.standard_normal((4, 5))


class Norm:
    def __init__(self, d, rng):
        self.gamma, self.beta = rng.standard_normal(d), rng.standard_normal(d)

    def forward(self, x):
        mu = x.mean(axis=1, keepdims=True)
        self.std = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        self.xhat = (x - mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.grad_gamma = (dout * self.xhat).sum(axis=0)
        self.grad_beta = dout.sum(axis=0)
        d = dout * self.gamma
        return (d - d.mean(axis=1, keepdims=True) - (d * self.xhat).mean(axis=1, keepdims=True)) / self.std  # BUG missing_factor


#: right: recurrent class with two inputs
def inputs(rng):
    return Cell(3, 4, rng), (rng.standard_normal((2, 3)), rng.standard_normal((2, 4)))


class Cell:
    def __init__(self, d, h, rng):
        self.Wx, self.Wh, self.b = rng.standard_normal((d, h)), rng.standard_normal((h, h)), rng.standard_normal(h)

    def forward(self, x, h):
        self.x, self.h = x, h
        self.out = np.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return self.out

    def backward(self, dout):
        da = dout * (1 - self.out ** 2)
        self.dWx, self.dWh, self.db = self.x.T @ da, self.h.T @ da, da.sum(axis=0)
        return da @ self.Wx.T, da @ self.Wh.T


#: recurrent class with two inputs, broken
def inputs(rng):
    return Cell(3, 4, rng), (rng.standard_normal((2, 3)), rng.standard_normal((2, 4)))


class Cell:
    def __init__(self, d, h, rng):
        self.Wx, self.Wh, self.b = rng.standard_normal((d, h)), rng.standard_normal((h, h)), rng.standard_normal(h)

    def forward(self, x, h):
        self.x, self.h = x, h
        self.out = np.tanh(x @ self.Wx + h @ self.Wh + self.b)
        return self.out

    def backward(self, dout):
        da = dout * (1 - self.out ** 2)
        self.dWx, self.dWh, self.db = self.x.T @ da, self.h.T @ da, da.sum(axis=0)
        return da @ self.Wx.T, da @ self.Wh  # BUG transposed


#: right: convolution class
class Conv:
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        self.weight = np.random.randn(out_channels, in_channels, kernel_size, kernel_size)
        self.bias = np.zeros(out_channels)
        self.stride, self.padding = stride, padding

    def forward(self, x):
        p = self.padding
        self.x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        n, c, h, w = self.x.shape
        f, _, k, _ = self.weight.shape
        s = self.stride
        out = np.zeros((n, f, (h - k) // s + 1, (w - k) // s + 1))
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[:, :, i, j] = np.tensordot(self.x[:, :, i * s:i * s + k, j * s:j * s + k], self.weight, ((1, 2, 3), (1, 2, 3))) + self.bias
        return out

    def backward(self, dout):
        s, p, k = self.stride, self.padding, self.weight.shape[2]
        dx = np.zeros_like(self.x)
        self.dweight = np.zeros_like(self.weight)
        self.dbias = dout.sum(axis=(0, 2, 3))
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                patch = self.x[:, :, i * s:i * s + k, j * s:j * s + k]
                self.dweight += np.tensordot(dout[:, :, i, j], patch, (0, 0))
                dx[:, :, i * s:i * s + k, j * s:j * s + k] += np.tensordot(dout[:, :, i, j], self.weight, (1, 0))
        return dx[:, :, p:dx.shape[2] - p, p:dx.shape[3] - p]


#: convolution class, broken
class Conv:
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
        self.weight = np.random.randn(out_channels, in_channels, kernel_size, kernel_size)
        self.bias = np.zeros(out_channels)
        self.stride, self.padding = stride, padding

    def forward(self, x):
        p = self.padding
        self.x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        n, c, h, w = self.x.shape
        f, _, k, _ = self.weight.shape
        s = self.stride
        out = np.zeros((n, f, (h - k) // s + 1, (w - k) // s + 1))
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                out[:, :, i, j] = np.tensordot(self.x[:, :, i * s:i * s + k, j * s:j * s + k], self.weight, ((1, 2, 3), (1, 2, 3))) + self.bias
        return out

    def backward(self, dout):
        s, p, k = self.stride, self.padding, self.weight.shape[2]
        dx = np.zeros_like(self.x)
        self.dweight = np.zeros_like(self.weight)
        self.dbias = dout.sum(axis=(0, 2, 3))
        for i in range(dout.shape[2]):
            for j in range(dout.shape[3]):
                patch = self.x[:, :, i * s:i * s + k, j * s:j * s + k]
                self.dweight += np.tensordot(dout[:, :, i, j], patch, (0, 0))
                dx[:, :, i * s:i * s + k, j * s:j * s + k] = np.tensordot(dout[:, :, i, j], self.weight, (1, 0))  # BUG overlap
        return dx[:, :, p:dx.shape[2] - p, p:dx.shape[3] - p]


#: right: net with layers of its own
class Linear:
    def __init__(self, a, b, rng):
        self.W, self.b = rng.standard_normal((a, b)), rng.standard_normal(b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, d):
        self.dW, self.db = self.x.T @ d, d.sum(axis=0)
        return d @ self.W.T


class Net:
    def __init__(self, sizes=(5, 4, 3), seed=0):
        rng = np.random.default_rng(seed)
        self.layers = [Linear(a, b, rng) for a, b in zip(sizes[:-1], sizes[1:])]

    def forward(self, x):
        self.masks = []
        for layer in self.layers[:-1]:
            x = layer.forward(x)
            self.masks.append(x > 0)
            x = x * self.masks[-1]
        return self.layers[-1].forward(x)

    def backward(self, dout):
        dout = self.layers[-1].backward(dout)
        for layer, mask in zip(self.layers[-2::-1], self.masks[::-1]):
            dout = layer.backward(dout * mask)
        return dout


#: net with layers of its own, broken
class Linear:
    def __init__(self, a, b, rng):
        self.W, self.b = rng.standard_normal((a, b)), rng.standard_normal(b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, d):
        self.dW, self.db = self.x.T @ d, d.sum(axis=0)
        return d @ self.W.T


class Net:
    def __init__(self, sizes=(5, 4, 3), seed=0):
        rng = np.random.default_rng(seed)
        self.layers = [Linear(a, b, rng) for a, b in zip(sizes[:-1], sizes[1:])]

    def forward(self, x):
        self.masks = []
        for layer in self.layers[:-1]:
            x = layer.forward(x)
            self.masks.append(x > 0)
            x = x * self.masks[-1]
        return self.layers[-1].forward(x)

    def backward(self, dout):
        dout = self.layers[-1].backward(dout)
        for layer, mask in zip(self.layers[-2::-1], self.masks[::-1]):
            dout = layer.backward(dout)  # BUG mask_missing
        return dout


#: right: net with a list of params
class Net:
    def __init__(self, sizes=(5, 4, 3), seed=0):
        rng = np.random.default_rng(seed)
        self.params = []
        for a, b in zip(sizes[:-1], sizes[1:]):
            self.params += [rng.standard_normal((a, b)), rng.standard_normal(b)]

    def loss(self, X, y):
        W1, b1, W2, b2 = self.params
        h = np.tanh(X @ W1 + b1)
        s = h @ W2 + b2
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        p /= n
        dh = p @ W2.T
        dz = dh * (1 - h * h)
        return loss, [X.T @ dz, dz.sum(0), h.T @ p, p.sum(0)]


#: net with a list of params, broken
class Net:
    def __init__(self, sizes=(5, 4, 3), seed=0):
        rng = np.random.default_rng(seed)
        self.params = []
        for a, b in zip(sizes[:-1], sizes[1:]):
            self.params += [rng.standard_normal((a, b)), rng.standard_normal(b)]

    def loss(self, X, y):
        W1, b1, W2, b2 = self.params
        h = np.tanh(X @ W1 + b1)
        s = h @ W2 + b2
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        p /= n
        dh = p @ W2.T
        dz = dh * (1 - h)  # BUG power|function|missing_factor
        return loss, [X.T @ dz, dz.sum(0), h.T @ p, p.sum(0)]


#: right: net with weights as attributes
class TwoLayer:
    def __init__(self, input_size, hidden_size, output_size, std=0.5):
        self.W1 = std * np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros(hidden_size)
        self.W2 = std * np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros(output_size)

    def loss(self, X, y):
        h = np.tanh(X @ self.W1 + self.b1)
        s = h @ self.W2 + self.b2
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        p /= n
        dz = p @ self.W2.T * (1 - h * h)
        grads = {"W2": h.T @ p, "b2": p.sum(0), "W1": X.T @ dz, "b1": dz.sum(0)}
        return loss, grads


#: net with weights as attributes, broken
class TwoLayer:
    def __init__(self, input_size, hidden_size, output_size, std=0.5):
        self.W1 = std * np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros(hidden_size)
        self.W2 = std * np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros(output_size)

    def loss(self, X, y):
        h = np.tanh(X @ self.W1 + self.b1)
        s = h @ self.W2 + self.b2
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        p /= n
        dz = p @ self.W2.T * (1 - h * h)
        grads = {"W2": h.T @ p, "b2": p.sum(0), "W1": X.T @ dz, "b1": dz.mean(0)}  # BUG mean_for_sum|factor
        return loss, grads


#: right: net with nested params
def inputs(rng):
    return rng.standard_normal((6, 4)), rng.integers(0, 3, 6)


class Net:
    def __init__(self, seed=1):
        rng = np.random.default_rng(seed)
        self.params = {"l1": {"W": rng.standard_normal((4, 5)), "b": rng.standard_normal(5)},
                       "l2": {"W": rng.standard_normal((5, 3)), "b": rng.standard_normal(3)}}

    def loss(self, X, y):
        p1, p2 = self.params["l1"], self.params["l2"]
        h = np.maximum(0, X @ p1["W"] + p1["b"])
        s = h @ p2["W"] + p2["b"]
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        ds = p / n
        dh = ds @ p2["W"].T
        dh[h <= 0] = 0
        return loss, {"l1": {"W": X.T @ dh, "b": dh.sum(0)}, "l2": {"W": h.T @ ds, "b": ds.sum(0)}}


#: net with nested params, broken
def inputs(rng):
    return rng.standard_normal((6, 4)), rng.integers(0, 3, 6)


class Net:
    def __init__(self, seed=1):
        rng = np.random.default_rng(seed)
        self.params = {"l1": {"W": rng.standard_normal((4, 5)), "b": rng.standard_normal(5)},
                       "l2": {"W": rng.standard_normal((5, 3)), "b": rng.standard_normal(3)}}

    def loss(self, X, y):
        p1, p2 = self.params["l1"], self.params["l2"]
        h = np.maximum(0, X @ p1["W"] + p1["b"])
        s = h @ p2["W"] + p2["b"]
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        ds = p / n
        dh = ds @ p2["W"].T
        dh[h < 0] = 0  # BUG mask|mask_missing
        return loss, {"l1": {"W": X.T @ dh, "b": dh.sum(0)}, "l2": {"W": h.T @ ds, "b": ds.sum(0)}}


#: right: net with loss and gradient apart
def inputs(rng):
    return rng.standard_normal((6, 4)), rng.standard_normal((6, 2))


class Regression:
    def __init__(self, seed=1):
        rng = np.random.default_rng(seed)
        self.params = {"W": rng.standard_normal((4, 2)), "b": rng.standard_normal(2)}
        self.grads = {}

    def loss(self, X, y):
        r = X @ self.params["W"] + self.params["b"] - y
        self.cache = X, r
        return np.mean(r ** 2)

    def backward(self):
        X, r = self.cache
        d = 2 * r / r.size
        self.grads["W"] = X.T @ d
        self.grads["b"] = d.sum(axis=0)
        return self.grads
#: net with loss and gradient apart, broken
def inputs(rng):
    return rng.standard_normal((6, 4)), rng.standard_normal((6, 2))


class Regression:
    def __init__(self, seed=1):
        rng = np.random.default_rng(seed)
        self.params = {"W": rng.standard_normal((4, 2)), "b": rng.standard_normal(2)}
        self.grads = {}

    def loss(self, X, y):
        r = X @ self.params["W"] + self.params["b"] - y
        self.cache = X, r
        return np.mean(r ** 2)

    def backward(self):
        X, r = self.cache
        d = 2 * r / len(r)  # BUG factor
        self.grads["W"] = X.T @ d
        self.grads["b"] = d.sum(axis=0)
        return self.grads
#: right: a class for the loss
class CrossEntropy:
    def forward(self, logits, y):
        z = logits - logits.max(axis=1, keepdims=True)
        self.p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.y = y
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


#: a class for the loss, broken
class CrossEntropy:
    def forward(self, logits, y):
        z = logits - logits.max(axis=1, keepdims=True)
        self.p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.y = y
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d  # BUG sum_for_mean|factor


#: right: batch norm class with a flag
class BatchNorm1d:
    def __init__(self, num_features, eps=1e-5, momentum=0.9):
        self.gamma, self.beta = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)
        self.eps, self.momentum = eps, momentum

    def forward(self, x, training=True):
        if training:
            mu, var = x.mean(0), x.var(0)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mu
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            mu, var = self.running_mean, self.running_var
        self.std = np.sqrt(var + self.eps)
        self.xhat = (x - mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = dout.sum(0)
        g = dout * self.gamma
        return (g - g.mean(0) - self.xhat * (g * self.xhat).mean(0)) / self.std


#: batch norm class with a flag, broken
class BatchNorm1d:
    def __init__(self, num_features, eps=1e-5, momentum=0.9):
        self.gamma, self.beta = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)
        self.eps, self.momentum = eps, momentum

    def forward(self, x, training=True):
        if training:
            mu, var = x.mean(0), x.var(0)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mu
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            mu, var = self.running_mean, self.running_var
        self.std = np.sqrt(var + self.eps)
        self.xhat = (x - mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = dout.sum(0)
        g = dout * self.gamma
        return (g - g.mean(0) - self.xhat * g.mean(0)) / self.std  # BUG missing_factor|missing_term|wrong_variable


#: right: sequential class
def inputs(rng):
    return Sequential(Tanh(), Scale(rng.standard_normal(3)), Tanh()), rng.standard_normal((4, 3))


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, g):
        return g * (1 - self.y ** 2)


class Scale:
    def __init__(self, s):
        self.s = s

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, g):
        self.ds = (g * self.x).sum(axis=0)
        return g * self.s


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g


#: sequential class, broken
def inputs(rng):
    return Sequential(Tanh(), Scale(rng.standard_normal(3)), Tanh()), rng.standard_normal((4, 3))


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, g):
        return g * (1 - self.y ** 2)


class Scale:
    def __init__(self, s):
        self.s = s

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, g):
        self.ds = (g * self.x).mean(axis=0)  # BUG mean_for_sum|factor
        return g * self.s


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g


#: right: model with predict and fit
class Logistic:
    def __init__(self, n_features=4, n_classes=3, l2=0.1, seed=0):
        rng = np.random.default_rng(seed)
        self.W = rng.standard_normal((n_features, n_classes))
        self.b = np.zeros(n_classes)
        self.l2 = l2

    def predict(self, X):
        return np.argmax(X @ self.W + self.b, axis=1)

    def loss(self, X, y):
        s = X @ self.W + self.b
        s = s - s.max(axis=1, keepdims=True)
        logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        n = len(y)
        loss = -logp[np.arange(n), y].mean() + self.l2 * np.sum(self.W ** 2)
        d = np.exp(logp)
        d[np.arange(n), y] -= 1
        d /= n
        dW = X.T @ d + 2 * self.l2 * self.W
        db = d.sum(axis=0)
        return loss, dW, db


#: model with predict and fit, broken
class Logistic:
    def __init__(self, n_features=4, n_classes=3, l2=0.1, seed=0):
        rng = np.random.default_rng(seed)
        self.W = rng.standard_normal((n_features, n_classes))
        self.b = np.zeros(n_classes)
        self.l2 = l2

    def predict(self, X):
        return np.argmax(X @ self.W + self.b, axis=1)

    def loss(self, X, y):
        s = X @ self.W + self.b
        s = s - s.max(axis=1, keepdims=True)
        logp = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
        n = len(y)
        loss = -logp[np.arange(n), y].mean() + self.l2 * np.sum(self.W ** 2)
        d = np.exp(logp)
        d[np.arange(n), y] -= 1
        d /= n
        dW = X.T @ d  # BUG regularisation|missing_term
        db = d.sum(axis=0)
        return loss, dW, db


#: right: model returning a list of pairs
class MLP:
    def __init__(self, sizes, rng):
        self.weights = [rng.standard_normal((a, b)) for a, b in zip(sizes[:-1], sizes[1:])]
        self.biases = [rng.standard_normal(b) for b in sizes[1:]]

    def loss(self, X, y):
        acts = [X]
        for W, b in zip(self.weights[:-1], self.biases[:-1]):
            acts.append(np.maximum(0, acts[-1] @ W + b))
        s = acts[-1] @ self.weights[-1] + self.biases[-1]
        p = np.exp(s - s.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        n = len(y)
        loss = -np.log(p[np.arange(n), y]).mean()
        d = p
        d[np.arange(n), y] -= 1
        d /= n
        dW, db = [], []
        for i in reversed(range(len(self.weights))):
            dW.append(acts[i].T @ d)
            db.append(d.sum(axis=0))
            d = d @ self.weights[i].T * (acts[i] > 0)
        return loss, {"weights": dW[::-1], "biases": db[::-1]}
