"""The few neural network layers that train.py needs, forward and backward, in numpy.

Activations are float32 [n, c, h, w]. A layer keeps in its forward pass what its backward pass
needs; `backward` takes the gradient of its output, stores the gradients of its parameters in
`gradients` (same order as `parameters`) and returns the gradient of its input.
"""

import numpy as np


class Layer:
    """A layer without parameters; `training` selects batch statistics where that matters."""

    def __init__(self):
        self.parameters = []
        self.gradients = []


class Conv3x3(Layer):
    """3x3 convolution, stride 1, padding 1, no bias (a BatchNorm follows)."""

    def __init__(self, rng, ic, oc):
        super().__init__()
        weights = rng.standard_normal((oc, ic, 3, 3)) * np.sqrt(2 / (9 * ic))
        self.parameters = [weights.astype(np.float32)]

    def forward(self, x, training):
        n, c, h, w = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        # Rows are output positions, columns the 9 * c inputs that each of them sees.
        self.columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)
        self.shape = x.shape
        weights = self.parameters[0]
        out = self.columns @ weights.reshape(len(weights), -1).T
        return out.reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, grad):
        n, c, h, w = self.shape
        weights = self.parameters[0]
        rows = grad.transpose(0, 2, 3, 1).reshape(n * h * w, -1)
        self.gradients = [(rows.T @ self.columns).reshape(weights.shape)]
        taps = (rows @ weights.reshape(len(weights), -1)).reshape(n, h, w, c, 3, 3)
        padded = np.zeros((n, c, h + 2, w + 2), np.float32)
        for kh in range(3):
            for kw in range(3):
                padded[:, :, kh : kh + h, kw : kw + w] += taps[..., kh, kw].transpose(0, 3, 1, 2)
        return padded[:, :, 1:-1, 1:-1]


class BatchNorm(Layer):
    """Normalization per channel; running statistics are kept for the exported model."""

    epsilon = 1e-5
    momentum = 0.9

    def __init__(self, c):
        super().__init__()
        self.parameters = [np.ones(c, np.float32), np.zeros(c, np.float32)]
        self.mean, self.var = np.zeros(c, np.float32), np.ones(c, np.float32)

    def forward(self, x, training):
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean = self.momentum * self.mean + (1 - self.momentum) * mean
            self.var = self.momentum * self.var + (1 - self.momentum) * var
        else:
            mean, var = self.mean, self.var
        self.inv_std = (1 / np.sqrt(var + self.epsilon))[:, None, None]
        self.normalized = (x - mean[:, None, None]) * self.inv_std
        scale, bias = (p[:, None, None] for p in self.parameters)
        return self.normalized * scale + bias

    def backward(self, grad):
        axes = (0, 2, 3)
        self.gradients = [(grad * self.normalized).sum(axes), grad.sum(axes)]
        count = grad.size // grad.shape[1]
        d_scale, d_bias = (g[:, None, None] / count for g in self.gradients)
        scale = self.parameters[0][:, None, None]
        return scale * self.inv_std * (grad - d_bias - self.normalized * d_scale)


class Relu(Layer):
    def forward(self, x, training):
        self.active = x > 0
        return x * self.active

    def backward(self, grad):
        return grad * self.active


class MaxPool2x2(Layer):
    def forward(self, x, training):
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        blocks = blocks.reshape(n, c, h // 2, w // 2, 4)
        self.where = blocks.argmax(-1)
        self.shape = x.shape
        return blocks.max(-1)

    def backward(self, grad):
        n, c, h, w = self.shape
        blocks = (np.arange(4) == self.where[..., None]) * grad[..., None]
        blocks = blocks.reshape(n, c, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5)
        return blocks.reshape(n, c, h, w)


class GlobalAveragePool(Layer):
    def forward(self, x, training):
        self.shape = x.shape
        return x.mean((2, 3))

    def backward(self, grad):
        n, c, h, w = self.shape
        return np.broadcast_to(grad[:, :, None, None] / (h * w), self.shape)


class Linear(Layer):
    def __init__(self, rng, k, n):
        super().__init__()
        weights = rng.standard_normal((n, k)) * np.sqrt(2 / k)
        self.parameters = [weights.astype(np.float32), np.zeros(n, np.float32)]

    def forward(self, x, training):
        self.input = x
        return x @ self.parameters[0].T + self.parameters[1]

    def backward(self, grad):
        self.gradients = [grad.T @ self.input, grad.sum(0)]
        return grad @ self.parameters[0]


class Residual(Layer):
    """`x + branch(x)`."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x, training):
        out = x
        for layer in self.branch:
            out = layer.forward(out, training)
        return x + out

    def backward(self, grad):
        through = grad
        for layer in reversed(self.branch):
            through = layer.backward(through)
        return grad + through


def flat(layers):
    """All layers with those inside residual branches, in order of execution."""
    for layer in layers:
        yield from flat(layer.branch) if isinstance(layer, Residual) else [layer]
