"""Held out: loss functions and whole networks, as learners write them."""

import numpy as np

#: right: softmax loss by log probabilities
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    log_probs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    N = x.shape[0]
    loss = -log_probs[np.arange(N), y].sum() / N
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1
    return loss, dx / N


#: softmax loss forgets the batch size
def softmax_loss(scores, y):
    num_train = scores.shape[0]
    exp_scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs = exp_scores / exp_scores.sum(axis=1, keepdims=True)
    loss = np.mean(-np.log(probs[range(num_train), y]))
    dscores = probs.copy()
    dscores[range(num_train), y] -= 1  # OR
    return loss, dscores  # BUG sum_for_mean|factor


def inputs(rng):
    return {"scores": rng.standard_normal((4, 3)), "y": np.array([2, 0, 1, 2])}


#: softmax loss divides before it subtracts
def softmax_loss(x, y):
    N = len(y)
    p = np.exp(x - x.max(1)[:, None])
    p /= p.sum(1)[:, None]
    loss = -np.log(p[np.arange(N), y]).mean()
    dx = p / N
    dx[np.arange(N), y] -= 1  # BUG factor|sum_for_mean
    return loss, dx


#: softmax loss takes one off whole columns
def softmax_loss(x, y):
    probs = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    dx = probs.copy()
    dx[:, y] -= 1  # BUG extra_term|operation|mask
    dx /= N
    return loss, dx


#: softmax loss shifts the scores of its caller
def softmax_loss(x, y):
    x -= np.max(x, axis=1, keepdims=True)  # BUG mutation
    e = np.exp(x)
    p = e / e.sum(axis=1, keepdims=True)
    n = x.shape[0]
    loss = -np.log(p[np.arange(n), y]).sum() / n
    p[np.arange(n), y] -= 1
    p /= n
    return loss, p


#: softmax classifier in loops skips the true class
def softmax_loss_naive(W, X, y, reg):
    loss, dW = 0.0, np.zeros_like(W)
    num_train, num_classes = X.shape[0], W.shape[1]
    for i in range(num_train):
        scores = X[i].dot(W)
        scores -= np.max(scores)
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss -= np.log(p[y[i]])
        for j in range(num_classes):
            if j == y[i]:
                dW[:, j] -= X[i]  # BUG missing_term|missing_factor
            else:
                dW[:, j] += p[j] * X[i]
    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.3}


#: softmax classifier averages only the loss
def softmax_loss_vectorized(W, X, y, reg):
    N = X.shape[0]
    scores = X @ W
    scores -= scores.max(axis=1, keepdims=True)
    probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    loss = -np.log(probs[np.arange(N), y]).sum() / N + reg * (W ** 2).sum()
    onehot = np.zeros_like(probs)
    onehot[np.arange(N), y] = 1
    dW = X.T @ (probs - onehot)  # BUG sum_for_mean|factor
    dW += 2 * reg * W
    return loss, dW


def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.3}


#: softmax loss without a shift on large scores
def softmax_loss(x, y):
    e = np.exp(x)  # BUG not_finite
    p = e / np.sum(e, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.mean(np.log(p[np.arange(N), y]))
    dx = p.copy()
    dx[np.arange(N), y] -= 1
    return loss, dx / N


def inputs(rng):
    return {"x": 900 + 2 * rng.standard_normal((4, 3)), "y": np.array([1, 0, 2, 1])}


#: right: svm classifier with a matrix of margins
def svm_loss_vectorized(W, X, y, reg):
    n = len(X)
    S = X @ W
    margins = np.maximum(0, S - S[np.arange(n), y][:, None] + 1.0)
    margins[np.arange(n), y] = 0
    loss = margins.sum() / n + reg * np.sum(W * W)
    B = (margins > 0).astype(W.dtype)
    B[np.arange(n), y] = -B.sum(axis=1)
    return loss, X.T @ B / n + 2 * reg * W


def inputs(rng):
    return {"W": rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]), "reg": 0.3}


#: svm classifier in loops never pulls the true class
def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    num_classes, num_train = W.shape[1], X.shape[0]
    loss = 0.0
    for i in range(num_train):
        scores = X[i].dot(W)
        correct_class_score = scores[y[i]]
        for j in range(num_classes):
            if j == y[i]:
                continue
            margin = scores[j] - correct_class_score + 1  # note delta = 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]  # BUG missing_term
    loss /= num_train
    dW /= num_train  # OR
    loss += reg * np.sum(W * W)
    dW += 2 * reg * W
    return loss, dW


def inputs(rng):
    return {"W": 0.4 * rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]),
            "reg": 0.3}


#: svm classifier regularises the loss only
def svm_loss_naive(W, X, y, reg):
    loss, dW = 0.0, np.zeros(W.shape)
    N = X.shape[0]
    for i in range(N):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            margin = scores[j] - scores[y[i]] + 1
            if j != y[i] and margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss = loss / N + reg * np.sum(W * W)
    dW = dW / N  # BUG regularisation
    return loss, dW  # OR


def inputs(rng):
    return {"W": 0.4 * rng.standard_normal((5, 3)), "X": rng.standard_normal((4, 5)), "y": np.array([0, 2, 1, 2]),
            "reg": 0.3}


#: svm loss takes one off however many margins fail
def svm_loss(x, y):
    rows = np.arange(x.shape[0])
    margins = np.maximum(0, x - x[rows, y][:, np.newaxis] + 1.0)
    margins[rows, y] = 0
    loss = margins.sum() / x.shape[0]
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[rows, y] -= 1  # BUG missing_factor|factor
    return loss, dx / x.shape[0]


def inputs(rng):
    return {"x": 0.3 * rng.standard_normal((4, 5)), "y": np.array([3, 0, 4, 1])}


#: squared hinge with the slope of the plain hinge
def squared_hinge_loss(x, y):
    n = x.shape[0]
    correct = x[np.arange(n), y].reshape(-1, 1)
    m = np.maximum(0, x - correct + 1)
    m[np.arange(n), y] = 0
    loss = (m ** 2).sum() / n
    dx = 2.0 * (m > 0)  # BUG missing_factor|power
    dx[np.arange(n), y] -= dx.sum(axis=1)
    return loss, dx / n


#: hinge of the worst rival finds the answer itself
def worst_rival_loss(x, y):
    n = np.arange(len(x))
    margins = x - x[n, y][:, None] + 1
    margins[n, y] = -np.inf
    loss = np.maximum(margins.max(axis=1), 0).mean()
    rival = np.argmax(x, axis=1)  # BUG argmax
    active = (margins.max(axis=1) > 0) * 1.0
    dx = np.zeros_like(x)
    np.add.at(dx, (n, rival), active / len(x))
    np.add.at(dx, (n, y), -active / len(x))
    return loss, dx


def inputs(rng):
    x = 0.4 * rng.standard_normal((4, 5))
    x[1, 0] += 1.5  # one sample that is right already
    x[2, 4] += 1.2
    return {"x": x, "y": np.array([3, 0, 4, 1])}


#: mse loss averages over everything but its gradient over rows
def mse_loss(pred, target):
    diff = pred - target
    loss = np.mean(diff ** 2)
    dpred = 2 * diff / pred.shape[0]  # BUG factor|sum_for_mean
    return loss, dpred


def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "target": rng.standard_normal((4, 3))}


#: mse loss points away from the target
def mse_loss(y_hat, y_true):
    N = y_hat.shape[0]
    loss = 0.5 / N * np.sum((y_true - y_hat) ** 2)
    grad = (y_true - y_hat) / N  # BUG sign|transposed
    return loss, grad


def inputs(rng):
    return {"y_hat": rng.standard_normal((4, 3)), "y_true": rng.standard_normal((4, 3))}


#: logistic loss multiplies by the sigmoid slope again
def bce_with_logits_loss(z, t):
    p = 1 / (1 + np.exp(-z))
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    delta = (p - t) / z.size
    return loss, delta * p * (1 - p)  # BUG extra_factor


def inputs(rng):
    return {"z": rng.standard_normal((4, 3)), "t": rng.integers(0, 2, (4, 3)).astype(float)}


#: binary cross entropy of probabilities with the slope for logits
def bce_loss(p, t):
    p = np.clip(p, 1e-12, 1 - 1e-12)
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / len(p)
    grad = (p - t) / len(p)  # BUG missing_factor|function
    return loss, grad


def inputs(rng):
    return {"p": rng.uniform(0.2, 0.8, 6), "t": np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])}


#: focal loss takes the weight for a constant
def focal_loss(x, y):
    gamma = 2.0
    idx = np.arange(x.shape[0])
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    pt = p[idx, y]
    weight = (1 - pt) ** gamma
    loss = np.mean(-weight * np.log(pt))
    dpt = -weight / pt  # BUG missing_term
    dp = np.zeros_like(p)
    dp[idx, y] = dpt / x.shape[0]
    dx = p * (dp - np.sum(dp * p, axis=1, keepdims=True))
    return loss, dx


#: focal loss keeps the exponent when it differentiates
def focal_loss(x, y):
    gamma, n = 3, len(x)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    pt = p[range(n), y]
    loss = -np.sum((1 - pt) ** gamma * np.log(pt)) / n
    # d loss / d pt by the product rule
    first = gamma * (1 - pt) ** gamma * np.log(pt)  # BUG power
    second = -(1 - pt) ** gamma / pt
    dpt = (first + second) / n
    onehot = np.eye(x.shape[1])[y]
    dx = (dpt * pt)[:, None] * (onehot - p)
    return loss, dx


#: right: focal loss for binary logits
def focal_loss(x, t):
    g = 2.0
    s = np.where(t == 1, 1.0, -1.0)
    q = 1 / (1 + np.exp(-s * x))
    loss = -((1 - q) ** g * np.log(q)).mean()
    dq = g * (1 - q) ** (g - 1) * np.log(q) - (1 - q) ** g / q
    return loss, dq * q * (1 - q) * s / x.size


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "t": rng.integers(0, 2, (4, 3)).astype(float)}


#: label smoothing softens the loss but not the gradient
def label_smoothing_loss(x, y):
    eps = 0.1
    N, C = x.shape
    logp = x - x.max(1, keepdims=True)
    logp = logp - np.log(np.exp(logp).sum(1, keepdims=True))
    onehot = np.eye(C)[y]
    target = (1 - eps) * onehot + eps / C
    loss = -(target * logp).sum() / N
    dx = (np.exp(logp) - onehot) / N  # BUG wrong_variable
    return loss, dx


#: right: label smoothing as a mixture of two losses
def smooth_loss(x, y):
    eps, (n, c) = 0.2, x.shape
    lse = np.log(np.exp(x).sum(axis=1))
    nll = lse - x[np.arange(n), y]
    uniform = lse - x.mean(axis=1)
    loss = ((1 - eps) * nll + eps * uniform).mean()
    dx = np.exp(x - lse[:, None]) - eps / c
    dx[np.arange(n), y] -= 1 - eps
    return loss, dx / n


#: kl of a warm student forgets the temperature
def distillation_loss(student, teacher):
    T = 2.5
    N = student.shape[0]
    softmax = lambda v: np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)
    q, p = softmax(student / T), softmax(teacher / T)
    loss = np.sum(p * (np.log(p) - np.log(q))) / N
    dstudent = (q - p) / N  # BUG factor|missing_factor
    return loss, dstudent


def inputs(rng):
    return {"student": rng.standard_normal((4, 3)), "teacher": rng.standard_normal((4, 3))}


#: kl against hard targets takes the logarithm of nought
def kl_loss(x, target):
    z = x - x.max(axis=1, keepdims=True)
    q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    kl = target * np.log(target / q)  # BUG not_finite
    loss = kl.sum() / len(x)
    dx = (q - target) / len(x)
    return loss, dx


def inputs(rng):
    return {"x": rng.standard_normal((4, 3)), "target": np.eye(3)[[0, 2, 1, 1]]}


#: cosine loss with one norm too few
def cosine_loss(a, b):
    na = np.linalg.norm(a, axis=1, keepdims=True)
    nb = np.linalg.norm(b, axis=1, keepdims=True)
    cos = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    loss = np.mean(1 - cos)
    da = -(b / (na * nb) - cos * a / na)  # BUG power|missing_factor
    return loss, da / a.shape[0]


def inputs(rng):
    return {"a": rng.standard_normal((4, 3)), "b": rng.standard_normal((4, 3))}


#: right: cosine loss through unit vectors
def cosine_loss(a, b):
    r = np.sqrt((a * a).sum(-1, keepdims=True))
    u, v = a / r, b / np.sqrt((b * b).sum(-1, keepdims=True))
    loss = 1 - np.mean((u * v).sum(-1))
    du = -v / len(a)
    return loss, (du - u * (du * u).sum(-1, keepdims=True)) / r


def inputs(rng):
    return {"a": rng.standard_normal((4, 3)), "b": rng.standard_normal((4, 3))}


#: huber loss with the slope of unit delta
def huber_loss(pred, target):
    delta = 0.5
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r ** 2, delta * (np.abs(r) - 0.5 * delta)).mean()
    grad = np.where(small, r, np.sign(r))  # BUG factor
    return loss, grad / r.size


def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "target": rng.standard_normal((4, 3))}


#: log cosh loss with a hyperbolic slip
def log_cosh_loss(pred, target):
    e = pred - target
    loss = np.mean(np.log(np.cosh(e)))
    dpred = np.sinh(e) / e.size  # BUG function|missing_factor
    return loss, dpred


def inputs(rng):
    return {"pred": rng.standard_normal((4, 3)), "target": rng.standard_normal((4, 3))}


#: right: two layer net of the first assignment
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.0):
        self.reg = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        N = X.shape[0]
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(N), y]).mean() + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        p[np.arange(N), y] -= 1
        p /= N
        grads = {"W2": h.T @ p + 2 * self.reg * W2, "b2": p.sum(axis=0)}
        dh = p @ W2.T
        dh[h == 0] = 0
        grads["W1"] = X.T @ dh + 2 * self.reg * W1
        grads["b1"] = dh.sum(axis=0)
        return loss, grads


#: two layer net without the relu on the way back
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.0):
        self.params = {}
        self.reg = reg
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)

    def loss(self, X, y=None):
        W1, b1 = self.params["W1"], self.params["b1"]
        W2, b2 = self.params["W2"], self.params["b2"]
        N = X.shape[0]
        hidden = np.maximum(0, np.dot(X, W1) + b1)
        scores = np.dot(hidden, W2) + b2
        if y is None:
            return scores
        exp_scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
        loss = np.sum(-np.log(probs[range(N), y])) / N
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dscores = probs
        dscores[range(N), y] -= 1
        dscores /= N
        grads = {}
        grads["W2"] = np.dot(hidden.T, dscores) + self.reg * W2
        grads["b2"] = np.sum(dscores, axis=0)
        dhidden = np.dot(dscores, W2.T)  # BUG mask_missing
        grads["W1"] = np.dot(X.T, dhidden) + self.reg * W1  # OR
        grads["b1"] = np.sum(dhidden, axis=0)
        return loss, grads


#: two layer net halves the penalty but not its slope
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.1):
        self.reg = reg
        self.params = dict(W1=weight_scale * np.random.randn(input_dim, hidden_dim), b1=np.zeros(hidden_dim),
                           W2=weight_scale * np.random.randn(hidden_dim, num_classes), b2=np.zeros(num_classes))

    def loss(self, X, y=None):
        P, N = self.params, len(X)
        a = X @ P["W1"] + P["b1"]
        h = a * (a > 0)
        s = h @ P["W2"] + P["b2"]
        if y is None:
            return s
        s = s - s.max(1, keepdims=True)
        logp = s - np.log(np.exp(s).sum(1, keepdims=True))
        loss = -logp[np.arange(N), y].mean() + 0.5 * self.reg * sum((P[k] ** 2).sum() for k in ("W1", "W2"))
        ds = (np.exp(logp) - np.eye(s.shape[1])[y]) / N
        da = ds @ P["W2"].T * (a > 0)
        grads = {"W1": X.T @ da, "b1": da.sum(0), "W2": h.T @ ds, "b2": ds.sum(0)}
        for k in ("W1", "W2"):
            grads[k] += 2 * self.reg * P[k]  # BUG regularisation|factor
        return loss, grads


#: two layer net averages twice
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.0):
        rng = np.random.RandomState(1)
        self.reg = reg
        self.params = {"W1": rng.randn(input_dim, hidden_dim) * weight_scale, "b1": np.zeros(hidden_dim),
                       "W2": rng.randn(hidden_dim, num_classes) * weight_scale, "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        m = X.shape[0]
        W1, b1, W2, b2 = self.params["W1"], self.params["b1"], self.params["W2"], self.params["b2"]
        A1 = np.tanh(X.dot(W1) + b1)
        Z2 = A1.dot(W2) + b2
        if y is None:
            return Z2
        A2 = np.exp(Z2) / np.sum(np.exp(Z2), axis=1, keepdims=True)
        loss = -np.sum(np.log(A2[np.arange(m), y])) / m + 0.5 * self.reg * (np.sum(W1 ** 2) + np.sum(W2 ** 2))
        dZ2 = A2.copy()
        dZ2[np.arange(m), y] -= 1
        dZ2 /= m
        dW2 = A1.T.dot(dZ2) / m + self.reg * W2  # BUG factor
        db2 = dZ2.sum(axis=0)
        dZ1 = dZ2.dot(W2.T) * (1 - A1 ** 2)
        dW1 = X.T.dot(dZ1) + self.reg * W1
        db1 = dZ1.sum(axis=0)
        return loss, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


#: sigmoid net squashes the wrong thing
class SigmoidNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        p, n = self.params, X.shape[0]
        z1 = X @ p["W1"] + p["b1"]
        a1 = 1 / (1 + np.exp(-z1))
        out = a1 @ p["W2"] + p["b2"]
        if y is None:
            return out
        probs = np.exp(out) / np.exp(out).sum(1, keepdims=True)
        loss = -np.log(probs[np.arange(n), y]).sum() / n
        delta2 = probs
        delta2[np.arange(n), y] -= 1
        delta2 /= n
        delta1 = delta2 @ p["W2"].T * z1 * (1 - z1)  # BUG wrong_variable
        grads = {"W2": a1.T @ delta2, "b2": delta2.sum(0), "W1": X.T @ delta1, "b1": delta1.sum(0)}
        for k in ("W1", "W2"):
            loss += 0.5 * self.reg * np.sum(p[k] ** 2)
            grads[k] += self.reg * p[k]
        return loss, grads


#: net that punishes its biases in the gradient alone
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.2):
        self.reg = reg
        sizes = [input_dim, hidden_dim, num_classes]
        self.params = {}
        for i in (1, 2):
            self.params[f"W{i}"] = weight_scale * np.random.randn(sizes[i - 1], sizes[i])
            self.params[f"b{i}"] = weight_scale * np.random.randn(sizes[i])

    def loss(self, X, y=None):
        p, N = self.params, X.shape[0]
        pre = X @ p["W1"] + p["b1"]
        h = np.where(pre > 0, pre, 0)
        s = h @ p["W2"] + p["b2"]
        if y is None:
            return s
        prob = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        loss = -np.log(prob[range(N), y]).mean() + 0.5 * self.reg * sum((p[k] ** 2).sum() for k in ("W1", "W2"))
        ds = (prob - np.eye(s.shape[1])[y]) / N
        dpre = np.where(pre > 0, ds @ p["W2"].T, 0)
        grads = {"W1": X.T @ dpre, "b1": dpre.sum(0), "W2": h.T @ ds, "b2": ds.sum(0)}
        for name in grads:  # OR
            grads[name] += self.reg * p[name]  # BUG regularisation
        return loss, grads


#: deep net leaves its last weights unpunished
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5, 4), input_dim=6, num_classes=3, weight_scale=0.4, reg=0.2):
        dims = [input_dim, *hidden_dims, num_classes]
        self.reg, self.L, self.params = reg, len(dims) - 1, {}
        for i in range(self.L):
            self.params[f"W{i + 1}"] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params[f"b{i + 1}"] = np.zeros(dims[i + 1])

    def loss(self, X, y=None):
        a, acts, p = X, [X], self.params
        for i in range(1, self.L):
            a = np.maximum(0, a @ p[f"W{i}"] + p[f"b{i}"])
            acts.append(a)
        s = a @ p[f"W{self.L}"] + p[f"b{self.L}"]
        if y is None:
            return s
        q = np.exp(s - s.max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        loss = -np.log(q[np.arange(len(X)), y]).mean()
        q[np.arange(len(X)), y] -= 1
        d, grads = q / len(X), {}
        for i in range(self.L, 0, -1):
            loss += 0.5 * self.reg * np.sum(p[f"W{i}"] ** 2)
            grads[f"W{i}"] = acts[i - 1].T @ d  # BUG regularisation
            grads[f"b{i}"] = d.sum(0)
            if i < self.L:  # OR
                grads[f"W{i}"] += self.reg * p[f"W{i}"]
            d = d @ p[f"W{i}"].T * (acts[i - 1] > 0)
        return loss, grads


#: deep net forgets the bias of its last layer
class FullyConnectedNet:
    def __init__(self, hidden_dims=(5, 4), input_dim=6, num_classes=3, weight_scale=0.4, reg=0.0):
        dims = [input_dim, *hidden_dims, num_classes]
        self.reg, self.num_layers, self.params = reg, len(dims) - 1, {}
        for i, (n, m) in enumerate(zip(dims[:-1], dims[1:]), start=1):
            self.params["W%d" % i] = np.random.normal(0, weight_scale, (n, m))
            self.params["b%d" % i] = np.zeros(m)

    def loss(self, X, y=None):
        out, caches, L = X, [], self.num_layers
        for i in range(1, L + 1):
            w, b = self.params["W%d" % i], self.params["b%d" % i]
            z = out.dot(w) + b
            caches.append((out, w, z))
            out = np.maximum(z, 0) if i < L else z
        if y is None:
            return out
        N, grads = X.shape[0], {}
        p = np.exp(out - out.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.mean(np.log(p[np.arange(N), y]))
        p[np.arange(N), y] -= 1
        x, w, _ = caches[-1]
        dout = (p / N).dot(w.T)
        grads["W%d" % L] = x.T.dot(p / N) + self.reg * w  # BUG missing_gradient
        loss += 0.5 * self.reg * np.sum(w * w)
        for i in range(L - 1, 0, -1):
            x, w, z = caches[i - 1]
            dz = dout * (z > 0)
            grads["W%d" % i], grads["b%d" % i] = x.T.dot(dz) + self.reg * w, dz.sum(axis=0)
            loss += 0.5 * self.reg * np.sum(w * w)
            dout = dz.dot(w.T)
        return loss, grads  # OR


#: deep net that uses the mask of the layer above
class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg, s = reg, weight_scale
        self.params = {"W1": s * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": s * np.random.randn(hidden_dim, hidden_dim), "b2": np.zeros(hidden_dim),
                       "W3": s * np.random.randn(hidden_dim, num_classes), "b3": np.zeros(num_classes)}

    def loss(self, X, y=None):
        P, N = self.params, X.shape[0]
        h1 = np.maximum(0, X.dot(P["W1"]) + P["b1"])
        h2 = np.maximum(0, h1.dot(P["W2"]) + P["b2"])
        scores = h2.dot(P["W3"]) + P["b3"]
        if y is None:
            return scores
        probs = np.exp(scores) / np.exp(scores).sum(axis=1)[:, None]
        reg_loss = sum(np.sum(P[w] ** 2) for w in ("W1", "W2", "W3"))
        loss = -np.log(probs[np.arange(N), y]).sum() / N + 0.5 * self.reg * reg_loss
        probs[np.arange(N), y] -= 1
        d3 = probs / N
        d2 = d3.dot(P["W3"].T)
        d2[h2 <= 0] = 0
        d1 = d2.dot(P["W2"].T)
        d1[h2 <= 0] = 0  # BUG mask|wrong_variable
        grads = {"b3": d3.sum(0), "b2": d2.sum(0), "b1": d1.sum(0)}
        for k, (a, d) in {"W1": (X, d1), "W2": (h1, d2), "W3": (h2, d3)}.items():
            grads[k] = a.T.dot(d) + self.reg * P[k]
        return loss, grads


#: deep net forgets to transpose its square weight
class ThreeLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg, s = reg, weight_scale
        self.params = {"W1": s * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": s * np.random.randn(hidden_dim, hidden_dim), "b2": np.zeros(hidden_dim),
                       "W3": s * np.random.randn(hidden_dim, num_classes), "b3": np.zeros(num_classes)}

    def loss(self, X, y=None):
        W1, W2, W3 = self.params["W1"], self.params["W2"], self.params["W3"]
        h1 = np.tanh(X @ W1 + self.params["b1"])
        h2 = np.tanh(h1 @ W2 + self.params["b2"])
        scores = h2 @ W3 + self.params["b3"]
        if y is None:
            return scores
        N, g = len(y), {}
        margins = np.maximum(0, scores - scores[np.arange(N), y][:, None] + 1)
        margins[np.arange(N), y] = 0
        loss = margins.sum() / N + self.reg * ((W1 ** 2).sum() + (W2 ** 2).sum() + (W3 ** 2).sum())
        ds = (margins > 0) / N
        ds[np.arange(N), y] -= ds.sum(axis=1)
        g["W3"], g["b3"] = h2.T @ ds + 2 * self.reg * W3, ds.sum(0)
        dz2 = (ds @ W3.T) * (1 - h2 ** 2)
        g["W2"], g["b2"] = h1.T @ dz2 + 2 * self.reg * W2, dz2.sum(0)
        dz1 = (dz2 @ W2) * (1 - h1 ** 2)  # BUG transposed
        g["W1"], g["b1"] = X.T @ dz1 + 2 * self.reg * W1, dz1.sum(0)
        return loss, g


#: residual net drops the shortcut on the way back
class ResidualNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg, s = reg, weight_scale
        self.params = {"W1": s * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": s * np.random.randn(hidden_dim, hidden_dim), "b2": np.zeros(hidden_dim),
                       "W3": s * np.random.randn(hidden_dim, num_classes), "b3": np.zeros(num_classes)}

    def loss(self, X, y=None):
        p, N = self.params, X.shape[0]
        h = X @ p["W1"] + p["b1"]
        z = h @ p["W2"] + p["b2"]
        r = np.maximum(z, 0) + h
        scores = r @ p["W3"] + p["b3"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(1, keepdims=True))
        probs = e / e.sum(1, keepdims=True)
        loss = -np.log(probs[np.arange(N), y]).mean() + 0.5 * self.reg * sum((p[f"W{i}"] ** 2).sum() for i in (1, 2, 3))
        ds = (probs - np.eye(probs.shape[1])[y]) / N
        dr = ds @ p["W3"].T
        dz = dr * (z > 0)
        dh = dz @ p["W2"].T  # BUG missing_term
        pairs = {1: (X, dh), 2: (h, dz), 3: (r, ds)}
        grads = {f"W{i}": a.T @ d + self.reg * p[f"W{i}"] for i, (a, d) in pairs.items()}
        grads.update({f"b{i}": d.sum(0) for i, (a, d) in pairs.items()})
        return loss, grads


#: tied net lets the decoder overwrite the encoder
class TiedNet:
    """The classes come out of a hidden layer whose weight is used twice."""

    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg = reg
        self.params = {"W": weight_scale * np.random.randn(input_dim, hidden_dim),
                       "V": weight_scale * np.random.randn(input_dim, num_classes), "b": np.zeros(num_classes)}

    def loss(self, X, y=None):
        W, V = self.params["W"], self.params["V"]
        code = np.tanh(X @ W)
        rebuilt = code @ W.T
        scores = rebuilt @ V + self.params["b"]
        if y is None:
            return scores
        n, grads = X.shape[0], {}
        probs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(n), y]).mean() + 0.5 * self.reg * ((V * V).sum() + (W * W).sum())
        probs[np.arange(n), y] -= 1
        dscores = probs / n
        grads["V"], grads["b"] = rebuilt.T @ dscores + self.reg * V, dscores.sum(axis=0)
        drebuilt = dscores @ V.T
        grads["W"] = drebuilt.T @ code
        dcode = drebuilt @ W * (1 - code * code)
        grads["W"] = X.T @ dcode + self.reg * W  # BUG overlap|missing_term
        return loss, grads


#: net whose gradients pile up from call to call
class LinearClassifier:
    def __init__(self, input_dim=6, num_classes=3, weight_scale=0.3, reg=0.0):
        self.reg = reg
        self.params = {"W": weight_scale * np.random.randn(input_dim, num_classes), "b": np.zeros(num_classes)}
        self.grads = {k: np.zeros_like(v) for k, v in self.params.items()}

    def loss(self, X, y=None):
        W, b = self.params["W"], self.params["b"]
        scores = X @ W + b
        if y is None:
            return scores
        total = 0.0
        for i in range(len(X)):
            p = np.exp(scores[i] - scores[i].max())
            p /= p.sum()
            total -= np.log(p[y[i]])
            p[y[i]] -= 1
            self.grads["W"] += np.outer(X[i], p) / len(X)  # BUG second_call
            self.grads["b"] += p / len(X)
        self.grads["W"] += self.reg * W
        return total / len(X) + 0.5 * self.reg * np.sum(W * W), self.grads


#: net that centres the data it is lent
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.0):
        self.reg = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        W1, b1, W2, b2 = [self.params[k] for k in ("W1", "b1", "W2", "b2")]
        X -= np.mean(X, axis=0)  # BUG mutation
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        N = X.shape[0]
        scores = scores - scores.max(axis=1, keepdims=True)
        probs = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
        loss = -np.mean(np.log(probs[np.arange(N), y])) + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        probs[np.arange(N), y] -= 1
        dscores = probs / N
        dh = (dscores @ W2.T) * (h > 0)
        grads = {"W1": X.T @ dh + 2 * self.reg * W1, "b1": dh.sum(0),
                 "W2": h.T @ dscores + 2 * self.reg * W2, "b2": dscores.sum(0)}
        return loss, grads


#: batch normalised net swaps two answers
def bn_forward(x, gamma, beta):
    std = np.sqrt(x.var(0) + 1e-5)
    xhat = (x - x.mean(0)) / std
    return gamma * xhat + beta, (xhat, gamma, std)


def bn_backward(dout, cache):
    xhat, gamma, std = cache
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    return gamma / std * (dout - dbeta / len(dout) - xhat * dgamma / len(dout)), dgamma, dbeta


class NormNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "gamma1": np.ones(hidden_dim),
                       "beta1": np.zeros(hidden_dim), "W2": weight_scale * np.random.randn(hidden_dim, num_classes),
                       "b2": np.zeros(num_classes)}

    def loss(self, X, y):
        p, N = self.params, len(X)
        n, cache = bn_forward(X @ p["W1"], p["gamma1"], p["beta1"])
        h = np.maximum(n, 0)
        s = h @ p["W2"] + p["b2"]
        q = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        loss = -np.log(q[np.arange(N), y]).mean() + 0.5 * self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        ds = (q - np.eye(s.shape[1])[y]) / N
        grads = {"W2": h.T @ ds + self.reg * p["W2"], "b2": ds.sum(0)}
        da, grads["beta1"], grads["gamma1"] = bn_backward(ds @ p["W2"].T * (n > 0), cache)  # BUG return_order
        grads["W1"] = X.T @ da + self.reg * p["W1"]
        return loss, grads


#: dropout net forgets the dropped units going back
class DropoutNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0, keep=0.6, seed=3):
        self.reg, self.keep, self.seed = reg, keep, seed
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        p, N = self.params, X.shape[0]
        z = X @ p["W1"] + p["b1"]
        h = np.maximum(z, 0)
        if y is None:
            return h @ p["W2"] + p["b2"]
        mask = (np.random.RandomState(self.seed).rand(*h.shape) < self.keep) / self.keep
        hd = h * mask
        scores = hd @ p["W2"] + p["b2"]
        probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        loss = -np.log(probs[np.arange(N), y]).mean()
        ds = (probs - np.eye(scores.shape[1])[y]) / N
        dh = ds @ p["W2"].T  # BUG mask_missing
        dz = dh * (z > 0)  # OR
        grads = {"W1": X.T @ dz, "b1": dz.sum(0), "W2": hd.T @ ds, "b2": ds.sum(0)}
        for k in ("W1", "W2"):
            loss += 0.5 * self.reg * np.sum(p[k] * p[k])
            grads[k] += self.reg * p[k]
        return loss, grads


#: right: dropout net whose relu mask is read from the dropped units
class DropoutNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0, keep=0.6, seed=3):
        self.reg, self.keep, self.seed = reg, keep, seed
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        p, N = self.params, X.shape[0]
        h = np.maximum(X @ p["W1"] + p["b1"], 0)
        if y is not None:
            h *= (np.random.RandomState(self.seed).rand(*h.shape) < self.keep) / self.keep
        scores = h @ p["W2"] + p["b2"]
        if y is None:
            return scores
        probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        loss = -np.log(probs[np.arange(N), y]).mean()
        ds = (probs - np.eye(scores.shape[1])[y]) / N
        dz = ds @ p["W2"].T / self.keep
        dz[h == 0] = 0
        grads = {"W1": X.T @ dz, "b1": dz.sum(0), "W2": h.T @ ds, "b2": ds.sum(0)}
        for k in ("W1", "W2"):
            loss += self.reg * np.sum(p[k] * p[k])
            grads[k] += 2 * self.reg * p[k]
        return loss, grads


#: right: net of closures that unrolls its tape
def dense(x, w, b):
    return x @ w + b, lambda g: (g @ w.T, x.T @ g, g.sum(0))


def softplus(x):
    return np.logaddexp(0, x), lambda g: g / (1 + np.exp(-x))


class TapeNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.5, reg=0.0):
        self.reg = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros(num_classes)}

    def loss(self, X, y=None):
        p = self.params
        z, back_z = dense(X, p["W1"], p["b1"])
        h, back_h = softplus(z)
        s, back_s = dense(h, p["W2"], p["b2"])
        if y is None:
            return s
        n = np.arange(len(X))
        loss = (np.log(np.exp(s).sum(1)) - s[n, y]).mean()
        loss += 0.5 * self.reg * sum((p[k] ** 2).sum() for k in ("W1", "W2"))
        ds = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        ds[n, y] -= 1
        dh, dW2, db2 = back_s(ds / len(X))
        _, dW1, db1 = back_z(back_h(dh))
        return loss, {"W1": dW1 + self.reg * p["W1"], "b1": db1, "W2": dW2 + self.reg * p["W2"], "b2": db2}


#: poisson loss sums but its gradient averages
def poisson_loss(log_rate, count):
    rate = np.exp(log_rate)
    loss = 0.0
    for i in range(log_rate.shape[0]):
        loss += np.sum(rate[i] - count[i] * log_rate[i])
    grad = np.zeros_like(log_rate)
    for i in range(log_rate.shape[0]):
        grad[i] = (rate[i] - count[i]) / log_rate.shape[0]  # BUG mean_for_sum|factor
    return loss, grad


def inputs(rng):
    return {"log_rate": rng.standard_normal((4, 3)), "count": rng.integers(0, 5, (4, 3)).astype(float)}


#: net whose penalty is shared by the batch in the cost alone
class TwoLayerNet:
    def __init__(self, input_dim=6, hidden_dim=5, num_classes=3, weight_scale=0.3, reg=0.7):
        self.lambd = reg
        self.params = {"W1": weight_scale * np.random.randn(input_dim, hidden_dim), "b1": np.zeros((1, hidden_dim)),
                       "W2": weight_scale * np.random.randn(hidden_dim, num_classes), "b2": np.zeros((1, num_classes))}

    def loss(self, X, y=None):
        m, lambd = X.shape[0], self.lambd
        W1, b1, W2, b2 = self.params["W1"], self.params["b1"], self.params["W2"], self.params["b2"]
        Z1 = np.dot(X, W1) + b1
        A1 = np.maximum(0, Z1)
        Z2 = np.dot(A1, W2) + b2
        if y is None:
            return Z2
        expZ = np.exp(Z2 - np.max(Z2, axis=1, keepdims=True))
        A2 = expZ / np.sum(expZ, axis=1, keepdims=True)
        Y = np.eye(A2.shape[1])[y]
        cross_entropy_cost = -1. / m * np.sum(Y * np.log(A2))
        L2_cost = lambd / (2. * m) * (np.sum(np.square(W1)) + np.sum(np.square(W2)))
        dZ2 = A2 - Y
        dW2 = 1. / m * np.dot(A1.T, dZ2) + lambd * W2  # BUG regularisation|factor|missing_factor
        db2 = 1. / m * np.sum(dZ2, axis=0, keepdims=True)
        dA1 = np.dot(dZ2, W2.T)
        dZ1 = np.multiply(dA1, np.int64(A1 > 0))
        dW1 = 1. / m * np.dot(X.T, dZ1) + lambd / m * W1
        db1 = 1. / m * np.sum(dZ1, axis=0, keepdims=True)
        return cross_entropy_cost + L2_cost, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


#: lasso classifier decays its weights like a ridge
class LassoClassifier:
    def __init__(self, input_dim=6, num_classes=3, weight_scale=0.5, reg=0.1):
        self.reg = reg
        self.params = {"W": np.random.normal(scale=weight_scale, size=(input_dim, num_classes)),
                       "b": np.zeros(num_classes)}

    def loss(self, X, y=None):
        W, b = self.params["W"], self.params["b"]
        scores = X @ W + b
        if y is None:
            return scores
        N = len(X)
        log_z = np.log(np.exp(scores).sum(axis=1))
        data_loss = np.mean(log_z - scores[np.arange(N), y])
        reg_loss = self.reg * np.abs(W).sum()
        dscores = np.exp(scores - log_z[:, None])
        dscores[np.arange(N), y] -= 1
        dscores /= N
        dW = X.T @ dscores
        dW += self.reg * W  # BUG regularisation|function
        return data_loss + reg_loss, {"W": dW, "b": dscores.sum(axis=0)}
