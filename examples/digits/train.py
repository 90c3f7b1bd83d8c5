"""Trains a small convolutional network on handwritten digits and writes it as an ONNX model.

The data are the 1,797 8x8 digits that come with scikit-learn (UCI "Optical Recognition of
Handwritten Digits", E. Alpaydin and C. Kaynak, CC BY 4.0); 450 of them are held out. Training is
plain numpy with a fixed seed and takes well under two minutes. Written next to this file:
digits.onnx, digits_test_images.npy (float32 [450, 1, 8, 8]), digits_test_labels.npy (int64).

The model keeps what a framework's exporter leaves in: separate BatchNormalization and Relu nodes,
a residual addition, a symbolic batch `N`. Run: python3 examples/digits/train.py
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

import layers as nn

HERE = pathlib.Path(__file__).parent
SEED = 20240607
EPOCHS = 30
BATCH = 64
TEST_COUNT = 450


def load_data(rng):
    """Images scaled to [0, 1], shuffled, split into training and test parts."""
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    images = (images[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels[order].astype(np.int64)
    return images[TEST_COUNT:], labels[TEST_COUNT:], images[:TEST_COUNT], labels[:TEST_COUNT]


def make_network(rng):
    return [
        nn.Conv3x3(rng, 1, 16), nn.BatchNorm(16), nn.Relu(),
        nn.Conv3x3(rng, 16, 32), nn.BatchNorm(32), nn.Relu(),
        nn.MaxPool2x2(),
        nn.Residual([
            nn.Conv3x3(rng, 32, 32), nn.BatchNorm(32), nn.Relu(),
            nn.Conv3x3(rng, 32, 32), nn.BatchNorm(32),
        ]),
        nn.Relu(),
        nn.GlobalAveragePool(),
        nn.Linear(rng, 32, 64), nn.Relu(),
        nn.Linear(rng, 64, 10),
    ]  # fmt: skip


def forward(network, x, training=False):
    for layer in network:
        x = layer.forward(x, training)
    return x


def softmax(logits):
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)


def shift(rng, images):
    """Moves every image by -1, 0 or 1 pixels in each direction: the usual cheap augmentation."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moved = np.empty_like(images)
    for i, (dy, dx) in enumerate(rng.choice(3, (len(images), 2), p=[0.15, 0.7, 0.15])):
        moved[i] = padded[i, :, dy : dy + 8, dx : dx + 8]
    return moved


class Adam:
    """Kingma and Ba, 2015, with decoupled weight decay."""

    def __init__(self, network):
        self.layers = [layer for layer in nn.flat(network) if layer.parameters]
        self.moments = [
            [(np.zeros_like(p), np.zeros_like(p)) for p in layer.parameters]
            for layer in self.layers
        ]
        self.count = 0

    def step(self, rate, decay=1e-4):
        self.count += 1
        correction = np.sqrt(1 - 0.999**self.count) / (1 - 0.9**self.count)
        for layer, moments in zip(self.layers, self.moments):
            for p, g, (first, second) in zip(layer.parameters, layer.gradients, moments):
                first += 0.1 * (g - first)
                second += 0.001 * (g * g - second)
                p -= rate * (correction * first / (np.sqrt(second) + 1e-8) + decay * p)


def train(network, rng, images, labels):
    adam = Adam(network)
    for epoch in range(EPOCHS):
        rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        loss = 0.0
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            probability = softmax(forward(network, shift(rng, images[batch]), training=True))
            rows = np.arange(BATCH)
            loss += -np.log(probability[rows, labels[batch]] + 1e-9).sum()
            probability[rows, labels[batch]] -= 1
            grad = (probability / BATCH).astype(np.float32)
            for layer in reversed(network):
                grad = layer.backward(grad)
            adam.step(np.float32(rate))
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:2d}  loss {loss / len(order):.4f}")


def export(network):
    """The network as an ONNX model, one node per layer, batch `N`, softmax at the end."""
    nodes, weights = [], []

    def constant(name, array):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def emit(op, inputs, **attributes):
        name = f"{op.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def walk(sequence, x):
        for layer in sequence:
            at = len(nodes)
            if isinstance(layer, nn.Conv3x3):
                w = constant(f"conv_{at}.weight", layer.parameters[0])
                x = emit("Conv", [x, w], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            elif isinstance(layer, nn.BatchNorm):
                values = [*layer.parameters, layer.mean, layer.var]
                parts = ["scale", "bias", "mean", "var"]
                names = [constant(f"bn_{at}.{part}", v) for part, v in zip(parts, values)]
                x = emit("BatchNormalization", [x, *names], epsilon=layer.epsilon)
            elif isinstance(layer, nn.Relu):
                x = emit("Relu", [x])
            elif isinstance(layer, nn.MaxPool2x2):
                x = emit("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
            elif isinstance(layer, nn.Residual):
                x = emit("Add", [walk(layer.branch, x), x])
            elif isinstance(layer, nn.GlobalAveragePool):
                x = emit("Flatten", [emit("GlobalAveragePool", [x])], axis=1)
            elif isinstance(layer, nn.Linear):
                w = constant(f"gemm_{at}.weight", layer.parameters[0])
                b = constant(f"gemm_{at}.bias", layer.parameters[1])
                x = emit("Gemm", [x, w, b], transB=1)
            else:
                raise TypeError(f"no ONNX form for {type(layer).__name__}")
        return x

    logits = walk(network, "image")
    nodes.append(helper.make_node("Softmax", [logits], ["probability"], "softmax", axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])
    probability = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "digits", [image], [probability], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    rng = np.random.default_rng(SEED)
    train_images, train_labels, test_images, test_labels = load_data(rng)
    network = make_network(rng)
    train(network, rng, train_images, train_labels)
    right = (forward(network, test_images).argmax(1) == test_labels).sum()
    print(f"test accuracy {right}/{TEST_COUNT} = {100 * right / TEST_COUNT:.2f} %")
    (HERE / "digits.onnx").write_bytes(export(network).SerializeToString())
    np.save(HERE / "digits_test_images.npy", test_images)
    np.save(HERE / "digits_test_labels.npy", test_labels)


if __name__ == "__main__":
    main()
