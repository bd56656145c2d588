"""Losses that return (loss, gradient)."""

import numpy as np


#: right: softmax by log-sum-exp
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= N
    return loss, dx


#: right: softmax with weights and regularisation, loops
def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    N = X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for c in range(W.shape[1]):
            dW[:, c] += (p[c] - (c == y[i])) * X[i]
    loss = loss / N + reg * np.sum(W * W)
    dW = dW / N + 2 * reg * W
    return loss, dW


#: right: svm
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    num_pos = np.sum(margins > 0, axis=1)
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(N), y] -= num_pos
    dx /= N
    return loss, dx


#: right: one-hot cross entropy
def cross_entropy_loss(logits, labels):
    n, c = logits.shape
    onehot = np.eye(c)[labels]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -(onehot * np.log(p)).sum() / n
    return loss, (p - onehot) / n


#: right: mean squared error
def mse_loss(pred, target):
    diff = pred - target
    loss = np.mean(diff**2)
    return loss, 2 * diff / diff.size


#: softmax, gradient of the sum
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1  # BUG sum_for_mean
    return loss, dx


#: softmax, not minus one
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs.copy()
    dx[np.arange(N), y] += 1  # BUG sign
    dx /= N
    return loss, dx


#: softmax, correct class forgotten
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N = x.shape[0]
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs / N  # BUG missing_term
    return loss, dx


#: softmax, divided by the number of classes
def softmax_loss(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    Z = np.sum(np.exp(shifted), axis=1, keepdims=True)
    log_probs = shifted - np.log(Z)
    probs = np.exp(log_probs)
    N, C = x.shape
    loss = -np.sum(log_probs[np.arange(N), y]) / N
    dx = probs.copy()
    dx[np.arange(N), y] -= 1
    dx /= C  # BUG factor
    return loss, dx


#: softmax, sign
def cross_entropy_loss(logits, labels):
    n, c = logits.shape
    onehot = np.eye(c)[labels]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -(onehot * np.log(p)).sum() / n
    dlogits = (onehot - p) / n  # BUG sign
    return loss, dlogits


#: softmax normalised over the wrong axis in the gradient
def cross_entropy_loss(logits, labels):
    n, c = logits.shape
    onehot = np.eye(c)[labels]
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -(onehot * np.log(p)).sum() / n
    q = e / e.sum(axis=0, keepdims=True)  # BUG axis
    return loss, (q - onehot) / n


#: softmax with weights, regularisation without the two
def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    N = X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for c in range(W.shape[1]):
            dW[:, c] += (p[c] - (c == y[i])) * X[i]
    loss = loss / N + reg * np.sum(W * W)
    dW = dW / N + reg * W  # BUG regularisation|factor
    return loss, dW


#: softmax with weights, regularisation forgotten
def softmax_loss_vectorized(W, X, y, reg):
    N = X.shape[0]
    scores = X @ W
    scores = scores - scores.max(axis=1, keepdims=True)
    e = np.exp(scores)
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(N), y]).sum() / N + 0.5 * reg * np.sum(W**2)
    dscores = p.copy()
    dscores[np.arange(N), y] -= 1
    dscores /= N
    dW = X.T @ dscores  # BUG regularisation
    return loss, dW


#: softmax with weights, regularisation doubled
def softmax_loss_vectorized(W, X, y, reg):
    N = X.shape[0]
    scores = X @ W
    scores = scores - scores.max(axis=1, keepdims=True)
    e = np.exp(scores)
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(N), y]).sum() / N + 0.5 * reg * np.sum(W**2)
    dscores = p.copy()
    dscores[np.arange(N), y] -= 1
    dscores /= N
    dW = X.T @ dscores
    dW += 2 * reg * W  # BUG regularisation|factor
    return loss, dW


#: softmax with weights, gradient of one class only
def softmax_loss_naive(W, X, y, reg):
    loss = 0.0
    dW = np.zeros_like(W)
    N = X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        scores -= scores.max()
        p = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(p[y[i]])
        for c in range(W.shape[1]):
            dW[:, c] = (p[c] - (c == y[i])) * X[i]  # BUG overlap
    loss = loss / N + reg * np.sum(W * W)
    dW = dW / N + 2 * reg * W
    return loss, dW


#: svm, the correct class counted as positive
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    num_pos = np.sum(margins > 0, axis=1)
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(N), y] += num_pos  # BUG sign
    dx /= N
    return loss, dx


#: svm, correct class minus one only
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    num_pos = np.sum(margins > 0, axis=1)
    dx = np.zeros_like(x)
    dx[margins > 0] = 1
    dx[np.arange(N), y] -= 1  # BUG missing_factor|wrong_variable|factor|missing_sum|missing_term
    dx /= N
    return loss, dx


#: svm, not divided
def svm_loss(x, y):
    N = x.shape[0]
    correct = x[np.arange(N), y]
    margins = np.maximum(0, x - correct[:, np.newaxis] + 1.0)
    margins[np.arange(N), y] = 0
    loss = np.sum(margins) / N
    mask = (margins > 0).astype(x.dtype)
    mask[np.arange(N), y] = -mask.sum(axis=1)
    dx = mask  # BUG sum_for_mean
    return loss, dx


#: squared error without the two
def mse_loss(pred, target):
    diff = pred - target
    loss = np.mean(diff**2)
    return loss, diff / diff.size  # BUG factor


#: squared error divided by the rows only
def mse_loss(pred, target):
    diff = pred - target
    loss = np.mean(diff**2)
    dpred = 2 * diff / len(diff)  # BUG factor
    return loss, dpred


#: squared error, difference turned round
def mse_loss(pred, target):
    diff = target - pred
    loss = np.mean(diff**2)
    dpred = 2 * diff / diff.size  # BUG sign
    return loss, dpred


#: huber, square part doubled
def huber_loss(pred, target, delta=1.0):
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)).mean()
    d = np.where(small, 2 * r, delta * np.sign(r))  # BUG factor
    return loss, d / r.size


#: right: huber
def huber_loss(pred, target, delta=1.0):
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)).mean()
    d = np.where(small, r, delta * np.sign(r))
    return loss, d / r.size
