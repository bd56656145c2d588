import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


#: right: softmax loss, labels as one-hot
def softmax_loss(x, y):
    N, C = x.shape
    onehot = np.eye(C)[y]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(onehot * np.log(P)) / N
    dx = (P - onehot) / N
    return loss, dx


#: softmax loss, labels as one-hot, gradient of the sum
def softmax_loss(x, y):
    N, C = x.shape
    onehot = np.eye(C)[y]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(onehot * np.log(P)) / N
    dx = P - onehot  # BUG sum_for_mean|factor
    return loss, dx


#: softmax loss, labels as one-hot, divided by the classes
def softmax_loss(x, y):
    N, C = x.shape
    onehot = np.eye(C)[y]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(onehot * np.log(P)) / N
    dx = (P - onehot) / C  # BUG factor
    return loss, dx


#: softmax loss, labels as one-hot, turned round
def softmax_loss(x, y):
    N, C = x.shape
    onehot = np.eye(C)[y]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(onehot * np.log(P)) / N
    dx = (onehot - P) / N  # BUG sign
    return loss, dx


#: softmax loss, labels as one-hot, labels left out
def softmax_loss(x, y):
    N, C = x.shape
    onehot = np.eye(C)[y]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)
    loss = -np.sum(onehot * np.log(P)) / N
    dx = P / N  # BUG missing_term
    return loss, dx


#: right: svm loss, loops
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            if c == y[n]:
                continue
            m = x[n, c] - x[n, y[n]] + 1
            if m > 0:
                loss += m
                dx[n, c] += 1
                dx[n, y[n]] -= 1
    return loss / N, dx / N


#: svm loss, loops, right class not pushed
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            if c == y[n]:
                continue
            m = x[n, c] - x[n, y[n]] + 1
            if m > 0:
                loss += m
                dx[n, c] += 1  # OR
                pass  # BUG missing_term
    return loss / N, dx / N


#: svm loss, loops, margins as gradient
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            if c == y[n]:
                continue
            m = x[n, c] - x[n, y[n]] + 1
            if m > 0:
                loss += m
                dx[n, c] += m  # BUG function|extra_factor|wrong_variable
                dx[n, y[n]] -= 1
    return loss / N, dx / N


#: svm loss, loops, set once
def svm_loss(x, y):
    N, C = x.shape
    loss = 0.0
    dx = np.zeros_like(x)
    for n in range(N):
        for c in range(C):
            if c == y[n]:
                continue
            m = x[n, c] - x[n, y[n]] + 1
            if m > 0:
                loss += m
                dx[n, c] += 1
                dx[n, y[n]] = -1  # BUG overlap
    return loss / N, dx / N


#: right: binary cross entropy with logits
def bce_loss(x, y):
    p = sigmoid(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    grad = (p - y) / x.size
    return loss, grad


def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": (rng.random((5, 3)) > 0.5).astype(np.int64)}


#: binary cross entropy with logits, over the rows only
def bce_loss(x, y):
    p = sigmoid(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    grad = (p - y) / x.shape[0]  # BUG factor
    return loss, grad


def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": (rng.random((5, 3)) > 0.5).astype(np.int64)}


#: binary cross entropy with logits, slope once more
def bce_loss(x, y):
    p = sigmoid(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    grad = (p - y) * p * (1 - p) / x.size  # BUG extra_factor
    return loss, grad


def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": (rng.random((5, 3)) > 0.5).astype(np.int64)}


#: binary cross entropy with logits, logits for probabilities
def bce_loss(x, y):
    p = sigmoid(x)
    loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    grad = (x - y) / x.size  # BUG wrong_variable|function
    return loss, grad


def inputs(rng):
    return {"x": rng.standard_normal((5, 3)), "y": (rng.random((5, 3)) > 0.5).astype(np.int64)}


#: right: two-layer net in a class, all by hand
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dZ + 2 * self.reg * W1
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: two-layer net in a class, all by hand, half the penalty
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dZ + self.reg * W1  # BUG regularisation|factor
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: two-layer net in a class, all by hand, slope of the raw input
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * Z * (1 - Z)  # BUG wrong_variable|function
        grads["W1"] = X.T @ dZ + 2 * self.reg * W1
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: two-layer net in a class, all by hand, penalty on the bias
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dZ + 2 * self.reg * W1
        grads["b1"] = dZ.sum(axis=0) + 2 * self.reg * b1  # BUG regularisation|extra_term
        return loss, grads


#: two-layer net in a class, all by hand, first weights from the wrong delta
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dH + 2 * self.reg * W1  # BUG wrong_variable|missing_factor
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: two-layer net in a class, all by hand, no averaging
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)  # OR
        dS[np.arange(n), y] -= 1  # OR
        pass  # BUG sum_for_mean|factor
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = dS.sum(axis=0)
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dZ + 2 * self.reg * W1
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: two-layer net in a class, all by hand, mixed up biases
class TwoLayerNet:
    def __init__(self, input_dim=7, hidden_dim=6, num_classes=3, weight_scale=0.5, reg=0.2):
        self.reg = reg
        self.params = {
            "W1": weight_scale * np.random.randn(input_dim, hidden_dim),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
            "b2": np.zeros(num_classes),
        }

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        Z = X @ W1 + b1
        H = sigmoid(Z)
        S = H @ W2 + b2
        if y is None:
            return S
        n = len(X)
        S = S - S.max(axis=1, keepdims=True)
        logp = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
        loss = -logp[np.arange(n), y].sum() / n + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dS = np.exp(logp)
        dS[np.arange(n), y] -= 1
        dS /= n
        grads = {}
        grads["W2"] = H.T @ dS + 2 * self.reg * W2
        grads["b2"] = S.sum(axis=0)  # BUG wrong_variable|return_order
        dH = dS @ W2.T
        dZ = dH * H * (1 - H)
        grads["W1"] = X.T @ dZ + 2 * self.reg * W1
        grads["b1"] = dZ.sum(axis=0)
        return loss, grads


#: right: deep net with layer norm and dropout, methods for the layers
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, dropout not undone
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * 1.0  # BUG mask_missing|missing_factor|keep_prob
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, relu mask after the norm
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * 1.0  # BUG mask_missing|missing_factor
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)  # OR
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, gamma gradient without the input
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = g.sum(axis=0)  # BUG missing_factor|wrong_variable
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, gamma not multiplied
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * 1.0  # BUG gamma_missing
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, penalty halved in the loss only
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += 0.5 * self.reg * W  # BUG regularisation|factor
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, mask of the forward's output
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = g @ self.params[f"W{self.L}"].T
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (h[:, :1] > 0)  # BUG wrong_variable|mask
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: deep net with layer norm and dropout, methods for the layers, passes on its own input
class FullyConnectedNet:
    def __init__(self, hidden_dims=(6, 5), input_dim=8, num_classes=4, dropout_keep_ratio=1, normalization=None, reg=0.0, weight_scale=0.4, dtype=np.float64, seed=None):
        self.normalization, self.reg, self.dtype, self.keep, self.seed = normalization, reg, dtype, dropout_keep_ratio, seed
        self.params, self.L = {}, len(hidden_dims) + 1
        sizes = [input_dim, *hidden_dims, num_classes]
        for k in range(1, self.L + 1):
            self.params[f"W{k}"] = np.random.randn(sizes[k - 1], sizes[k]) * weight_scale
            self.params[f"b{k}"] = np.zeros(sizes[k])
            if normalization and k < self.L:
                self.params[f"gamma{k}"] = np.ones(sizes[k])
                self.params[f"beta{k}"] = np.zeros(sizes[k])

    def norm(self, h, k):
        axis = 0 if self.normalization == "batchnorm" else 1
        mu = h.mean(axis=axis, keepdims=True)
        rstd = 1 / np.sqrt(h.var(axis=axis, keepdims=True) + 1e-5)
        xhat = (h - mu) * rstd
        return self.params[f"gamma{k}"] * xhat + self.params[f"beta{k}"], (xhat, rstd, axis)

    def norm_back(self, g, k, cache, grads):
        xhat, rstd, axis = cache
        grads[f"gamma{k}"] = (g * xhat).sum(axis=0)
        grads[f"beta{k}"] = g.sum(axis=0)
        g = g * self.params[f"gamma{k}"]
        return rstd * (g - g.mean(axis=axis, keepdims=True) - xhat * (g * xhat).mean(axis=axis, keepdims=True))

    def loss(self, X, y=None):
        h, tape = X.reshape(len(X), -1), []
        if self.seed is not None:
            np.random.seed(self.seed)
        for k in range(1, self.L):
            a = h @ self.params[f"W{k}"] + self.params[f"b{k}"]
            nc = None
            if self.normalization is not None:
                a, nc = self.norm(a, k)
            r = np.maximum(a, 0)
            mask = np.ones_like(r)
            if self.keep != 1 and y is not None:
                mask = (np.random.rand(*r.shape) < self.keep) / self.keep
            tape.append((h, a, nc, mask))
            h = r * mask
        scores = h @ self.params[f"W{self.L}"] + self.params[f"b{self.L}"]
        if y is None:
            return scores
        z = np.exp(scores - scores.max(1, keepdims=True))
        p = z / z.sum(1, keepdims=True)
        loss = -np.log(p[range(len(y)), y]).mean()
        p[range(len(y)), y] -= 1
        g = p / len(y)
        grads = {f"W{self.L}": h.T @ g, f"b{self.L}": g.sum(0)}
        g = p @ self.params[f"W{self.L}"].T  # BUG transposed|wrong_variable
        for k in range(self.L - 1, 0, -1):
            h, a, nc, mask = tape[k - 1]
            g = g * mask
            g = g * (a > 0)
            if self.normalization is not None:
                g = self.norm_back(g, k, nc, grads)
            grads[f"W{k}"] = h.T @ g
            grads[f"b{k}"] = g.sum(0)
            g = g @ self.params[f"W{k}"].T
        for k in range(1, self.L + 1):
            W = self.params[f"W{k}"]
            loss += 0.5 * self.reg * (W**2).sum()
            grads[f"W{k}"] += self.reg * W
        return loss, grads


#: right: recurrent net, list of states
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carry
        da = total * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: recurrent net, list of states, state of the wrong time
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carry
        da = total * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t + 1].T @ da  # BUG wrong_variable|window
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: recurrent net, list of states, nothing carried back
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t]  # BUG missing_term
        da = total * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: recurrent net, list of states, only the last step counts
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carry
        da = total * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx = x[:, t].T @ da  # BUG overlap
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: recurrent net, list of states, slope at the previous state
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carry
        da = total * (1 - hs[t] ** 2)  # BUG wrong_variable|window
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        carry = da @ Wh.T
    return dx, carry, dWx, dWh, db


#: recurrent net, list of states, carried on without weights
def inputs(rng):
    return {"x": rng.standard_normal((3, 4, 2)), "h0": rng.standard_normal((3, 5)), "Wx": rng.standard_normal((2, 5)), "Wh": rng.standard_normal((5, 5)), "b": rng.standard_normal(5)}


def rnn_forward(x, h0, Wx, Wh, b):
    hs = [h0]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
    return np.stack(hs[1:], axis=1), (x, hs, Wx, Wh)


def rnn_backward(dh, cache):
    x, hs, Wx, Wh = cache
    dx, dWx, dWh = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh)
    db = np.zeros(Wh.shape[0])
    carry = np.zeros_like(hs[0])
    for t in reversed(range(x.shape[1])):
        total = dh[:, t] + carry
        da = total * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        db += da.sum(axis=0)
        carry = da @ Wh  # BUG missing_factor|transposed
    return dx, carry, dWx, dWh, db


#: right: single head attention
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a.transpose(0, 2, 1) @ dout
    da = dout @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T + dv @ cache["Wv"].T
    return dx, dWq, dWk, dWv


#: single head attention, values' path left out
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a.transpose(0, 2, 1) @ dout
    da = dout @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T  # BUG missing_term
    return dx, dWq, dWk, dWv


#: single head attention, weights not transposed
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a @ dout  # BUG transposed
    da = dout @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T + dv @ cache["Wv"].T
    return dx, dWq, dWk, dWv


#: single head attention, softmax half done
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a.transpose(0, 2, 1) @ dout
    da = dout @ v.transpose(0, 2, 1)
    ds = a * da / np.sqrt(q.shape[-1])  # BUG missing_term
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T + dv @ cache["Wv"].T
    return dx, dWq, dWk, dWv


#: single head attention, scaled by the wrong size
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a.transpose(0, 2, 1) @ dout
    da = dout @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.sqrt(x.shape[-1])  # BUG factor
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dk)
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T + dv @ cache["Wv"].T
    return dx, dWq, dWk, dWv


#: single head attention, queries for keys
def inputs(rng):
    return {"x": rng.standard_normal((2, 5, 4)), "Wq": rng.standard_normal((4, 3)), "Wk": rng.standard_normal((4, 3)), "Wv": rng.standard_normal((4, 6))}


def attention_forward(x, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    s = np.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1])
    s = np.exp(s - s.max(-1, keepdims=True))
    a = s / s.sum(-1, keepdims=True)
    return a @ v, dict(x=x, q=q, k=k, v=v, a=a, Wq=Wq, Wk=Wk, Wv=Wv)


def attention_backward(dout, cache):
    x, q, k, v, a = (cache[n] for n in "xqkva")
    dv = a.transpose(0, 2, 1) @ dout
    da = dout @ v.transpose(0, 2, 1)
    ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.sqrt(q.shape[-1])
    dq = ds @ k
    dk = ds.transpose(0, 2, 1) @ q
    dWq = np.einsum("btd,bte->de", x, dq)
    dWk = np.einsum("btd,bte->de", x, dq)  # BUG wrong_variable
    dWv = np.einsum("btd,bte->de", x, dv)
    dx = dq @ cache["Wq"].T + dk @ cache["Wk"].T + dv @ cache["Wv"].T
    return dx, dWq, dWk, dWv


#: right: swish with a slope of its own
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": np.array(1.7)}


def swish_forward(x, beta):
    s = sigmoid(beta * x)
    return x * s, (x, s, beta)


def swish_backward(g, cache):
    x, s, beta = cache
    ds = g * x
    dz = ds * s * (1 - s)
    return g * s + beta * dz, np.sum(dz * x)


#: swish with a slope of its own, inner factor lost
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": np.array(1.7)}


def swish_forward(x, beta):
    s = sigmoid(beta * x)
    return x * s, (x, s, beta)


def swish_backward(g, cache):
    x, s, beta = cache
    ds = g * x
    dz = ds * s * (1 - s)
    return g * s + dz, np.sum(dz * x)  # BUG missing_factor|factor


#: swish with a slope of its own, the outer path lost
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": np.array(1.7)}


def swish_forward(x, beta):
    s = sigmoid(beta * x)
    return x * s, (x, s, beta)


def swish_backward(g, cache):
    x, s, beta = cache
    ds = g * x
    dz = ds * s * (1 - s)
    return beta * dz, np.sum(dz * x)  # BUG missing_term


#: swish with a slope of its own, upstream lost
def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "beta": np.array(1.7)}


def swish_forward(x, beta):
    s = sigmoid(beta * x)
    return x * s, (x, s, beta)


def swish_backward(g, cache):
    x, s, beta = cache
    ds = x  # BUG upstream_missing
    dz = ds * s * (1 - s)
    return g * s + beta * dz, np.sum(dz * x)


#: right: layer class, batch norm with a flag
class BatchNorm:
    def __init__(self, dim=3, eps=1e-5):
        self.gamma, self.beta, self.eps = 1 + 0.1 * np.arange(dim), np.zeros(dim), eps

    def forward(self, x):
        self.mu = x.mean(0)
        self.var = x.var(0)
        self.std = (self.var + self.eps) ** 0.5
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = dout.sum(0)
        dxhat = dout * self.gamma
        return (N * dxhat - dxhat.sum(0) - self.xhat * (dxhat * self.xhat).sum(0)) / (N * self.std)


#: layer class, batch norm with a flag, gradients pile up
class BatchNorm:
    def __init__(self, dim=3, eps=1e-5):
        self.gamma, self.beta, self.eps = 1 + 0.1 * np.arange(dim), np.zeros(dim), eps

    def forward(self, x):
        self.mu = x.mean(0)
        self.var = x.var(0)
        self.std = (self.var + self.eps) ** 0.5
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = getattr(self, "dbeta", 0) + dout.sum(0)  # BUG second_call
        dxhat = dout * self.gamma
        return (N * dxhat - dxhat.sum(0) - self.xhat * (dxhat * self.xhat).sum(0)) / (N * self.std)


#: layer class, batch norm with a flag, upstream for normalised
class BatchNorm:
    def __init__(self, dim=3, eps=1e-5):
        self.gamma, self.beta, self.eps = 1 + 0.1 * np.arange(dim), np.zeros(dim), eps

    def forward(self, x):
        self.mu = x.mean(0)
        self.var = x.var(0)
        self.std = (self.var + self.eps) ** 0.5
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = dout.sum(0)
        dxhat = dout * self.gamma
        return (N * dxhat - dxhat.sum(0) - self.xhat * (dout * self.xhat).sum(0)) / (N * self.std)  # BUG gamma_missing|wrong_variable


#: layer class, batch norm with a flag, one sum too few
class BatchNorm:
    def __init__(self, dim=3, eps=1e-5):
        self.gamma, self.beta, self.eps = 1 + 0.1 * np.arange(dim), np.zeros(dim), eps

    def forward(self, x):
        self.mu = x.mean(0)
        self.var = x.var(0)
        self.std = (self.var + self.eps) ** 0.5
        self.xhat = (x - self.mu) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        N = len(dout)
        self.dgamma = (dout * self.xhat).sum(0)
        self.dbeta = dout.sum(0)
        dxhat = dout * self.gamma
        return (dxhat - dxhat.sum(0) - self.xhat * (dxhat * self.xhat).sum(0)) / (N * self.std)  # BUG factor|missing_factor


#: right: embedding bag
def inputs(rng):
    return {"idx": np.array([[0, 2, 2], [1, 4, 0]]), "table": rng.standard_normal((5, 3))}


def bag_forward(idx, table):
    return table[idx].mean(axis=1), (idx, table.shape)


def bag_backward(dout, cache):
    idx, shape = cache
    dtable = np.zeros(shape)
    for b in range(idx.shape[0]):
        for j in idx[b]:
            dtable[j] += dout[b] / idx.shape[1]
    return dtable


#: embedding bag, sum instead of mean
def inputs(rng):
    return {"idx": np.array([[0, 2, 2], [1, 4, 0]]), "table": rng.standard_normal((5, 3))}


def bag_forward(idx, table):
    return table[idx].mean(axis=1), (idx, table.shape)


def bag_backward(dout, cache):
    idx, shape = cache
    dtable = np.zeros(shape)
    for b in range(idx.shape[0]):
        for j in idx[b]:
            dtable[j] += dout[b]  # BUG factor|missing_factor
    return dtable


#: embedding bag, repeated words
def inputs(rng):
    return {"idx": np.array([[0, 2, 2], [1, 4, 0]]), "table": rng.standard_normal((5, 3))}


def bag_forward(idx, table):
    return table[idx].mean(axis=1), (idx, table.shape)


def bag_backward(dout, cache):
    idx, shape = cache
    dtable = np.zeros(shape)
    for b in range(idx.shape[0]):
        for j in idx[b]:
            dtable[j] = dout[b] / idx.shape[1]  # BUG overlap
    return dtable


#: right: float32 all the way, l2 normalised rows
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def unit_forward(x):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True))
    u = x / n
    return u, (u, n)


def unit_backward(du, cache):
    u, n = cache
    along = (du * u).sum(axis=1, keepdims=True)
    return (du - u * along) / n


#: float32 all the way, l2 normalised rows, not projected
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def unit_forward(x):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True))
    u = x / n
    return u, (u, n)


def unit_backward(du, cache):
    u, n = cache
    along = (du * u).sum(axis=1, keepdims=True)
    return du / n  # BUG missing_term


#: float32 all the way, l2 normalised rows, projected over the rows
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def unit_forward(x):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True))
    u = x / n
    return u, (u, n)


def unit_backward(du, cache):
    u, n = cache
    along = (du * u).sum(axis=0, keepdims=True)  # BUG axis
    return (du - u * along) / n


#: float32 all the way, l2 normalised rows, added instead
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def unit_forward(x):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True))
    u = x / n
    return u, (u, n)


def unit_backward(du, cache):
    u, n = cache
    along = (du * u).sum(axis=1, keepdims=True)
    return (du + u * along) / n  # BUG sign


#: float32 all the way, l2 normalised rows, cut to float32
def inputs(rng):
    return {"x": rng.standard_normal((4, 3))}


def unit_forward(x):
    n = np.sqrt((x * x).sum(axis=1, keepdims=True))
    u = x / n
    return u, (u, n)


def unit_backward(du, cache):
    u, n = cache
    along = (du * u).sum(axis=1, keepdims=True)
    return ((du - u * along) / n).astype(np.float32)  # BUG dtype
