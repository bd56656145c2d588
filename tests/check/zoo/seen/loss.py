"""Losses: softmax, hinge, least squares, logistic."""

import numpy as np


def probabilities(scores):
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def wxy(rng):
    return {"W": rng.standard_normal((4, 3)), "X": rng.standard_normal((5, 4)), "y": rng.integers(0, 3, 5), "reg": 0.3}


#: right: softmax by a helper
def softmax_loss(x, y):
    p = probabilities(x)
    n = len(y)
    picked = np.take_along_axis(p, y[:, None], axis=1)
    dx = p / n
    np.add.at(dx, (np.arange(n), y), -1 / n)
    return -np.log(picked).mean(), dx


#: right: svm, double loop
inputs = wxy


def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(len(X)):
        s = X[i] @ W
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = s[j] - s[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    loss /= len(X)
    dW /= len(X)
    return loss + reg * (W**2).sum(), dW + 2 * reg * W


#: right: binary logistic
def inputs(rng):
    return {"z": rng.standard_normal(6), "t": rng.integers(0, 2, 6).astype(float)}


def logistic_loss(z, t):
    loss = np.mean(np.logaddexp(0, z) - t * z)
    s = 1 / (1 + np.exp(-z))
    return loss, (s - t) / z.size


#: softmax, batch forgotten
def softmax_loss(x, y):
    p = probabilities(x)
    n = len(y)
    loss = np.mean(-np.log(p[np.arange(n), y]))
    t = np.zeros_like(p)
    t[np.arange(n), y] = 1
    dx = p - t  # BUG sum_for_mean|factor
    return loss, dx


#: softmax, one-hot of the guess
def softmax_loss(x, y):
    p = probabilities(x)
    n = len(y)
    loss = np.mean(-np.log(p[np.arange(n), y]))
    t = np.zeros_like(p)
    t[np.arange(n), p.argmax(1)] = 1  # BUG wrong_variable
    dx = (p - t) / n  # OR
    return loss, dx


#: softmax, logits instead of probabilities
def softmax_loss(x, y):
    p = probabilities(x)
    n = len(y)
    loss = np.mean(-np.log(p[np.arange(n), y]))
    t = np.eye(x.shape[1])[y]
    dx = (x - t) / n  # BUG wrong_variable
    return loss, dx


#: softmax, mean over everything
def softmax_loss(x, y):
    p = probabilities(x)
    n = len(y)
    loss = np.mean(-np.log(p[np.arange(n), y]))
    t = np.eye(x.shape[1])[y]
    dx = (p - t) / p.size  # BUG factor
    return loss, dx


#: softmax classifier, regularised twice
inputs = wxy


def softmax_loss_vectorized(W, X, y, reg):
    n = X.shape[0]
    P = probabilities(X.dot(W))
    loss = -np.log(P[range(n), y]).sum() / n
    loss += 0.5 * reg * np.sum(W * W)
    P[range(n), y] -= 1
    dW = X.T.dot(P) / n
    dW += 2 * reg * W  # BUG regularisation
    return loss, dW


#: softmax classifier, penalty only in the loss
inputs = wxy


def softmax_loss_vectorized(W, X, y, reg):
    n = X.shape[0]
    P = probabilities(X.dot(W))
    loss = -np.log(P[range(n), y]).sum() / n
    loss += reg * np.sum(W * W)
    P[range(n), y] -= 1
    dW = X.T.dot(P) / n  # BUG regularisation
    return loss, dW


#: softmax classifier, penalty divided as well
inputs = wxy


def softmax_loss_naive(W, X, y, reg):
    loss, dW = 0, np.zeros_like(W)
    for xi, yi in zip(X, y):
        p = probabilities(xi @ W)
        loss -= np.log(p[yi])
        p[yi] -= 1
        dW += np.outer(xi, p)
    loss = loss / len(X) + reg * (W * W).sum()
    dW += 2 * reg * W  # OR
    dW /= len(X)  # BUG regularisation
    return loss, dW


#: softmax classifier, loss averaged, gradient not
inputs = wxy


def softmax_loss_naive(W, X, y, reg):
    loss, dW = 0, np.zeros_like(W)
    for xi, yi in zip(X, y):
        p = probabilities(xi @ W)
        loss -= np.log(p[yi])
        p[yi] -= 1
        dW += np.outer(xi, p)  # OR
    loss /= X.shape[0]
    loss += reg * np.sum(W**2)
    dW += 2 * reg * W  # BUG sum_for_mean
    return loss, dW


#: svm, the right class moves once
def svm_loss(x, y):
    n = x.shape[0]
    m = np.maximum(0, x - x[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    loss = m.sum() / n
    dx = (m > 0).astype(float)
    dx[np.arange(n), y] = -1  # BUG missing_factor|factor|missing_sum|wrong_variable
    return loss, dx / n


#: svm, the right class not moved
def svm_loss(x, y):
    n = x.shape[0]
    m = np.maximum(0, x - x[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    loss = m.sum() / n
    dx = np.where(m > 0, 1.0, 0.0) / n  # BUG missing_term
    return loss, dx


#: svm, naive, sign of the right class
inputs = wxy


def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(len(X)):
        s = X[i] @ W
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = s[j] - s[y[i]] + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] += X[i]  # BUG sign
    loss /= len(X)
    dW /= len(X)
    return loss + reg * (W**2).sum(), dW + 2 * reg * W


#: svm, margins as gradient
def svm_loss(x, y):
    n = x.shape[0]
    m = np.maximum(0, x - x[np.arange(n), y][:, None] + 1)
    m[np.arange(n), y] = 0
    loss = m.sum() / n
    d = m.copy()  # BUG function|wrong_variable|extra_factor
    d[np.arange(n), y] -= d.sum(1)
    return loss, d / n


#: squared hinge without its factor
def inputs(rng):
    return {"z": rng.standard_normal(6), "t": np.sign(rng.standard_normal(6))}


def squared_hinge_loss(z, t):
    m = np.maximum(0, 1 - t * z)
    loss = np.mean(m**2)
    dz = -t * m / len(z)  # BUG factor
    return loss, dz


#: absolute error, sign of the target
def inputs(rng):
    return {"pred": rng.standard_normal((3, 4)), "target": rng.standard_normal((3, 4))}


def l1_loss(pred, target):
    e = pred - target
    loss = np.abs(e).mean()
    dpred = np.sign(target) / e.size  # BUG wrong_variable
    return loss, dpred


#: logistic, target first
def inputs(rng):
    return {"z": rng.standard_normal(6), "t": rng.integers(0, 2, 6).astype(float)}


def logistic_loss(z, t):
    s = 1 / (1 + np.exp(-z))
    loss = -(t * np.log(s) + (1 - t) * np.log(1 - s)).mean()
    dz = (t - s) / len(z)  # BUG sign
    return loss, dz


#: logistic, slope once too often
def inputs(rng):
    return {"z": rng.standard_normal(6), "t": rng.integers(0, 2, 6).astype(float)}


def logistic_loss(z, t):
    s = 1 / (1 + np.exp(-z))
    loss = -(t * np.log(s) + (1 - t) * np.log(1 - s)).mean()
    dz = (s - t) * s * (1 - s) / len(z)  # BUG extra_factor
    return loss, dz


#: right: huber
def inputs(rng):
    return {"pred": 2 * rng.standard_normal((3, 4)), "target": rng.standard_normal((3, 4))}


def huber_loss(pred, target):
    e = pred - target
    small = np.abs(e) <= 1
    loss = np.where(small, 0.5 * e**2, np.abs(e) - 0.5).sum() / len(pred)
    return loss, np.clip(e, -1, 1) / len(pred)


#: softmax changes its scores
def softmax_loss(x, y):
    x -= x.max(axis=1, keepdims=True)  # BUG mutation
    n = len(y)
    p = probabilities(x)
    loss = -np.log(p[np.arange(n), y]).mean()
    return loss, (p - np.eye(x.shape[1])[y]) / n
