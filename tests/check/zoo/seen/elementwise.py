"""Activations."""

import numpy as np


def relu_forward(x):
    out = np.maximum(0, x)
    return out, x


def sigmoid_forward(x):
    s = 1 / (1 + np.exp(-x))
    return s, s


def tanh_forward(x):
    t = np.tanh(x)
    return t, t


def leaky_relu_forward(x, alpha=0.1):
    out = np.where(x > 0, x, alpha * x)
    return out, (x, alpha)


#: right: relu by mask
def relu_backward(dout, cache):
    x = cache
    dx = dout * (x > 0)
    return dx


#: right: relu by where
def relu_backward(dout, x):
    return np.where(x > 0, dout, 0)


#: right: relu by copy and index
def relu_backward(dout, cache):
    dx = np.array(dout, copy=True)
    dx[cache <= 0] = 0
    return dx


#: right: relu by loops
def relu_backward(dout, cache):
    dx = np.zeros_like(dout)
    for i, v in np.ndenumerate(cache):
        if v > 0:
            dx[i] = dout[i]
    return dx


#: right: sigmoid
def sigmoid_backward(dout, s):
    return dout * s * (1 - s)


#: right: sigmoid with its own input kept
def sigmoid_forward(z):
    a = 1.0 / (1.0 + np.exp(-z))
    return a, {"z": z}


def sigmoid_backward(dA, cache):
    z = cache["z"]
    s = 1 / (1 + np.exp(-z))
    dZ = dA * s * (1 - s)
    return dZ


#: right: leaky relu
def leaky_relu_backward(dout, cache):
    x, alpha = cache
    dx = dout.copy()
    dx[x < 0] *= alpha
    return dx


#: right: gelu by tanh
def gelu_forward(x):
    c = np.sqrt(2 / np.pi)
    u = c * (x + 0.044715 * x**3)
    t = np.tanh(u)
    return 0.5 * x * (1 + t), (x, t)


def gelu_backward(dout, cache):
    x, t = cache
    c = np.sqrt(2 / np.pi)
    du = c * (1 + 3 * 0.044715 * x**2)
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * du)


#: right: swish
def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    ds = dout * x
    dx = dout * s + ds * s * (1 - s)
    return dx


#: right: softplus without cache
def softplus_forward(x):
    return np.log(1 + np.exp(x))


def softplus_backward(dout, x):
    return dout / (1 + np.exp(-x))


#: relu mask the wrong way round
def relu_backward(dout, cache):
    x = cache
    dx = dout * (x < 0)  # BUG mask_inverted
    return dx


#: relu without mask
def relu_backward(dout, cache):
    x = cache
    dx = dout  # BUG mask_missing|mask
    return dx


#: relu masked by the upstream gradient
def relu_backward(dout, cache):
    x = cache
    dx = np.maximum(0, dout)  # BUG mask_missing|mask|function|wrong_variable
    return dx


#: relu masked by the sign of dout
def relu_backward(dout, cache):
    x = cache
    mask = dout > 0  # BUG mask|wrong_variable
    dx = dout * mask
    return dx


#: relu keeps the values, not the slope
def relu_backward(dout, cache):
    x = cache
    relu = np.maximum(0, x)
    dx = dout * relu  # BUG extra_factor|mask|function
    return dx


#: relu returns the mask only
def relu_backward(dout, cache):
    x = cache
    dx = (x > 0).astype(float)  # BUG upstream_missing
    return dx


#: relu threshold at one
def relu_backward(dout, cache):
    x = cache
    dx = dout * (x > 1)  # BUG mask
    return dx


#: relu by index, wrong side
def relu_backward(dout, cache):
    dx = dout.copy()
    dx[cache > 0] = 0  # BUG mask_inverted
    return dx


#: relu sets to one instead of zero
def relu_backward(dout, cache):
    dx = dout.copy()
    dx[cache <= 0] = 1  # BUG mask|factor|unknown
    return dx


#: relu with where turned round
def relu_backward(dout, x):
    return np.where(x > 0, 0, dout)  # BUG mask_inverted


#: relu in a loop, wrong test
def relu_backward(dout, cache):
    dx = np.zeros_like(dout)
    for i, v in np.ndenumerate(cache):
        if v > 0.5:  # BUG mask
            dx[i] = dout[i]
    return dx


#: relu doubled
def relu_backward(dout, cache):
    mask = cache > 0
    grad = mask * dout
    dx = grad + grad  # BUG factor|extra_term
    return dx


#: sigmoid without the second factor
def sigmoid_backward(dout, s):
    dx = dout * s  # BUG missing_factor
    return dx


#: sigmoid with plus
def sigmoid_backward(dout, s):
    dx = dout * s * (1 + s)  # BUG sign
    return dx


#: sigmoid of the output again
def sigmoid_backward(dout, cache):
    s = 1 / (1 + np.exp(-cache))  # BUG function|wrong_variable|extra_factor|unknown
    return dout * s * (1 - s)


#: sigmoid squared
def sigmoid_backward(dA, s):
    local = s * (1 - s) ** 2  # BUG power
    dZ = dA * local
    return dZ


#: sigmoid without upstream
def sigmoid_backward(dA, s):
    dZ = s * (1 - s)  # BUG upstream_missing
    return dZ


#: tanh without square
def tanh_backward(dout, t):
    dx = dout * (1 - t)  # BUG power
    return dx


#: tanh plus
def tanh_backward(dout, t):
    return dout * (1 + t**2)  # BUG sign


#: tanh without upstream
def tanh_backward(dout, t):
    grad = 1 - np.square(t)  # BUG upstream_missing
    return grad


#: tanh factor two
def tanh_backward(dout, t):
    slope = 2 * (1 - t * t)  # BUG factor
    return slope * dout


#: leaky relu forgets the slope
def leaky_relu_backward(dout, cache):
    x, alpha = cache
    dx = dout.copy()
    dx[x < 0] = 0  # BUG missing_factor|mask|factor|missing_term
    return dx


#: leaky relu slope on the wrong side
def leaky_relu_backward(dout, cache):
    x, alpha = cache
    slope = np.where(x > 0, alpha, 1.0)  # BUG mask_inverted
    return slope * dout


#: leaky relu mask squared
def leaky_relu_backward(dout, cache):
    x, alpha = cache
    slope = np.where(x > 0, 1.0, alpha)
    dx = dout * slope
    dx = dx * slope  # BUG mask_twice|extra_factor
    return dx


#: swish, the product rule half done
def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    ds = dout * x
    dx = ds * s * (1 - s)  # BUG missing_term
    return dx


#: swish, the other half
def swish_forward(x):
    s = 1 / (1 + np.exp(-x))
    out = x * s
    return out, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    dx = dout * s  # BUG missing_term
    return dx


#: gelu with a wrong constant
def gelu_forward(x):
    c = np.sqrt(2 / np.pi)
    u = c * (x + 0.044715 * x**3)
    t = np.tanh(u)
    return 0.5 * x * (1 + t), (x, t)


def gelu_backward(dout, cache):
    x, t = cache
    c = np.sqrt(2 / np.pi)
    du = c * (1 + 2 * 0.044715 * x**2)  # BUG factor
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * du)


#: elu, alpha missing
def elu_forward(x, alpha=0.1):
    neg = alpha * (np.exp(x) - 1)
    return np.where(x > 0, x, neg), (x, alpha)


def elu_backward(dout, cache):
    x, alpha = cache
    slope = np.where(x > 0, 1, np.exp(x))  # BUG missing_factor|factor
    return dout * slope


#: softplus, wrong side of the sigmoid
def softplus_forward(x):
    return np.log(1 + np.exp(x)), x


def softplus_backward(dout, x):
    return dout / (1 + np.exp(x))  # BUG sign


#: relu forward that clips at one
def relu_forward(x):
    out = np.maximum(1, x)  # BUG forward_formula
    return out, x


def relu_backward(dout, x):
    return dout * (x > 1)


#: sigmoid forward with the wrong sign
def sigmoid_forward(x):
    s = 1 / (1 + np.exp(x))  # BUG forward_formula
    return s, s


def sigmoid_backward(dout, s):
    return -dout * s * (1 - s)
