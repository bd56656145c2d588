import numpy as np


def softmax_loss(x, y):
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    n = len(y)
    loss = -np.log(p[np.arange(n), y]).mean()
    p[np.arange(n), y] -= 1
    return loss, p / n


#: right: net with dropout by a flag
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads


#: net with dropout by a flag, always training
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = True  # BUG test_mode
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads


#: net with dropout by a flag, turned round
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if training:  # BUG test_mode
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads


#: net with dropout by a flag, penalty on all
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k] * 2  # BUG regularisation|extra_term
        return loss, grads


#: net with dropout by a flag, bias gradient averaged
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.mean(axis=0)  # BUG mean_for_sum|factor
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads


#: net with dropout by a flag, mask not used
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * (z > 0)  # BUG mask_missing|keep_prob
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads


#: net with dropout by a flag, relu not used
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5,), input_dim=6, num_classes=4, dropout_keep_ratio=0.7, reg=0.0, weight_scale=0.4, seed=None):
        self.keep, self.reg, self.params, self.L, self.seed = dropout_keep_ratio, reg, {}, len(hidden_dims) + 1, seed
        dims = [input_dim, *hidden_dims, num_classes]
        for i in range(1, self.L + 1):
            self.params["W%d" % i] = weight_scale * np.random.randn(dims[i - 1], dims[i])
            self.params["b%d" % i] = np.zeros(dims[i])

    def drop(self, h, training):
        if not training:
            return h, np.ones_like(h)
        if self.seed is not None:
            np.random.seed(self.seed)
        m = (np.random.rand(*h.shape) < self.keep) / self.keep
        return h * m, m

    def loss(self, X, y=None):
        h, tape = X, []
        training = y is not None
        for i in range(1, self.L):
            z = h @ self.params["W%d" % i] + self.params["b%d" % i]
            r, m = self.drop(np.maximum(z, 0), training)
            tape.append((h, z, m))
            h = r
        scores = h @ self.params["W%d" % self.L] + self.params["b%d" % self.L]
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        grads = {"W%d" % self.L: h.T @ d, "b%d" % self.L: d.sum(0)}
        d = d @ self.params["W%d" % self.L].T
        for i in range(self.L - 1, 0, -1):
            h, z, m = tape.pop()
            d = d * m  # BUG mask_missing
            grads["W%d" % i], grads["b%d" % i] = h.T @ d, d.sum(axis=0)
            d = d @ self.params["W%d" % i].T
        for k in self.params:
            if k[0] == "W":
                loss += 0.5 * self.reg * np.sum(self.params[k] ** 2)
                grads[k] += self.reg * self.params[k]
        return loss, grads
