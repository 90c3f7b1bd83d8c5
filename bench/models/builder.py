"""Builds one ONNX graph layer by layer, with random weights that calibrate.py then scales.

A model file calls `conv`, `bn`, `relu` and so on with value names and gets value names back, as
one would write the network in a framework. Convolution networks are NCHW; `shape(x)` gives their
(c, h, w). Every layer with weights leaves a `Point`: where its output shall get a chosen mean and
standard deviation per channel. Weights are drawn from one generator seeded with the model's name,
so that the same name gives the same bytes.
"""

import contextlib
import dataclasses
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper

_ONNX_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}

# Mean of a layer's output, in standard deviations, where the caller does not say. With 0.5 a ReLU
# that follows is active for 69 %. With a mean of 0 (50 %) a difference between two inputs, and so a
# rounding error, grows by 1.21 per layer (the derivative's mean square over the output's variance),
# with 0.5 by 1.12: over 48 layers a factor of 9,000 against 200.
SHIFT = 0.5


@dataclasses.dataclass
class Point:
    """A value whose statistics per channel calibrate.py sets by changing the weights before it.

    `mean` and `std` are the targets, one per channel. For a linear layer `weight` is scaled along
    `weight_axis` and `bias` (None: no bias, only scaled) is set; for a BatchNormalization
    (`weight` is None) `statistics` names its running mean and variance.
    """

    value: str
    channel_axis: int
    rank: int
    positions: int  # values per channel and sample, about
    mean: np.ndarray
    std: np.ndarray
    weight: str | None = None
    weight_axis: int = 0
    bias: str | None = None
    statistics: tuple[str, str] | None = None
    epsilon: float = 0.0


class Builder:
    """One graph under construction. `batch` is the batch dim: a symbol or a number."""

    def __init__(self, name, batch="N", opset=17):
        self.name = name
        self.batch = batch
        self.opset = opset
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes = []
        self.weights = {}  # float32 initializers by name, in order of creation
        self.constants = {}  # small initializers that are no weights: shapes, limits, tables
        self.inputs = []
        self.outputs = []
        self.points = []
        self.properties = {}
        self.calibration_batch = 16
        self.shapes = {}
        self._scope = []
        self._counts = {}

    # Names and plain nodes ------------------------------------------------------------------

    @contextlib.contextmanager
    def scope(self, name):
        """Prefixes the names of the layers built inside, as a framework's module path does."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def unique(self, stem):
        path = ".".join([*self._scope, stem])
        count = self._counts.get(path, 0)
        self._counts[path] = count + 1
        return f"{path}_{count}" if count else path

    def node(self, op, inputs, outputs=1, domain="", **attributes):
        """Adds a node; the result is its output name, or a list when `outputs` is above one."""
        name = self.unique(op)
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def input(self, name, shape, dtype="float32", kind="normal"):
        """A graph input; `kind` tells inputs.py what to fill it with."""
        self.inputs.append((name, list(shape), dtype))
        self.properties[f"input.{name}"] = kind
        if len(shape) == 4:
            self.shapes[name] = tuple(shape[1:])
        return name

    def image(self, c, h, w):
        return self.input("input", [self.batch, c, h, w], kind="image")

    def output(self, value, name, shape, dtype="float32"):
        """Makes `value` the graph output `name`, by renaming it where it is produced."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, old in enumerate(names):
                    if old == value:
                        names[i] = name
        for point in self.points:
            if point.value == value:
                point.value = name
        self.outputs.append((name, list(shape), dtype))

    def constant(self, array, stem="constant"):
        """An initializer that calibration leaves alone."""
        name = self.unique(stem)
        self.constants[name] = np.asarray(array)
        return name

    def ints(self, *values):
        return self.constant(np.array(values, np.int64), "ints")

    def weight(self, shape, std, stem, input_axes=()):
        """Normal random weights. `input_axes` are those an output sums over: there the weights get
        a mean of zero, so that the common part of inputs that passed a ReLU cancels in the sum.
        Left to the bias, it makes bright images brighter and dark ones darker layer by layer."""
        name = self.unique(stem)
        array = self.rng.standard_normal(shape, dtype=np.float32)
        array *= np.float32(std)
        if input_axes:
            array -= array.mean(input_axes, keepdims=True)
        self.weights[name] = array
        return name

    def vector(self, array, stem):
        name = self.unique(stem)
        self.weights[name] = np.asarray(array, np.float32)
        return name

    def shape(self, x):
        return self.shapes[x]

    # Layers with weights --------------------------------------------------------------------

    def _targets(self, c, gain, shift):
        mean = shift + 0.25 * gain * self.rng.standard_normal(c)
        return mean.astype(np.float32), (gain * self.rng.uniform(0.8, 1.2, c)).astype(np.float32)

    def _point_4d(self, value, mean, std, **rest):
        _, h, w = self.shape(value)
        self.points.append(Point(value, 1, 4, h * w, mean, std, **rest))

    def _conv_output(self, x, oc, kernel, stride, pads, dilation):
        _, h, w = self.shape(x)
        size = lambda n, k, s, before, after: (n + before + after - dilation * (k - 1) - 1) // s + 1
        return (
            oc,
            size(h, kernel[0], stride[0], pads[0], pads[2]),
            size(w, kernel[1], stride[1], pads[1], pads[3]),
        )

    def _pads(self, x, pad, kernel, stride, dilation=1):
        """`pad`: a number, (top, left, bottom, right), or "same" as TensorFlow defines it."""
        if pad == "same":
            total = [
                max((-(-n // s) - 1) * s + dilation * (k - 1) + 1 - n, 0)
                for n, k, s in zip(self.shape(x)[1:], kernel, stride)
            ]
            before = [t // 2 for t in total]
            return before + [t - b for t, b in zip(total, before)]
        if isinstance(pad, int):
            return [pad] * 4
        return [pad[0], pad[1], pad[0], pad[1]] if len(pad) == 2 else list(pad)

    def conv(
        self, x, oc, k, stride=1, pad=0, group=1, dilation=1, bias=True, gain=1.0, shift=SHIFT
    ):
        """Convolution. Without bias a `bn` is expected to follow, and to be what is calibrated."""
        kernel, strides = pair(k), pair(stride)
        pads = self._pads(x, pad, kernel, strides, dilation)
        ic = self.shape(x)[0] // group
        fan_in = ic * kernel[0] * kernel[1]
        axes = (1, 2, 3) if ic >= 8 else ()
        weight = self.weight((oc, ic, *kernel), fan_in**-0.5, "conv.weight", axes)
        inputs = [x, weight]
        if bias:
            inputs.append(self.vector(np.zeros(oc), "conv.bias"))
        y = self.node(
            "Conv", inputs, kernel_shape=kernel, strides=strides, pads=pads, group=group,
            dilations=[dilation, dilation],
        )  # fmt: skip
        self.shapes[y] = self._conv_output(x, oc, kernel, strides, pads, dilation)
        if bias:
            mean, std = self._targets(oc, gain, shift)
            self._point_4d(y, mean, std, weight=weight, bias=inputs[2])
        return y

    def conv_transpose(self, x, oc, k, stride):
        """Transposed convolution with bias, no padding."""
        c, h, w = self.shape(x)
        weight = self.weight((c, oc, k, k), c**-0.5, "conv_transpose.weight", (0,))
        bias = self.vector(np.zeros(oc), "conv_transpose.bias")
        y = self.node(
            "ConvTranspose", [x, weight, bias], kernel_shape=[k, k], strides=[stride, stride]
        )
        self.shapes[y] = (oc, (h - 1) * stride + k, (w - 1) * stride + k)
        mean, std = self._targets(oc, 1.0, SHIFT)
        self._point_4d(y, mean, std, weight=weight, weight_axis=1, bias=bias)
        return y

    def bn(self, x, epsilon=1e-5, gain=1.0, shift=SHIFT):
        c = self.shape(x)[0]
        mean, std = self._targets(c, gain, shift)
        names = [
            self.vector(values, f"bn.{part}")
            for part, values in [("scale", std), ("bias", mean), ("mean", mean * 0), ("var", std)]
        ]
        y = self.node("BatchNormalization", [x, *names], epsilon=epsilon)
        self.shapes[y] = self.shape(x)
        self._point_4d(y, mean, std, statistics=(names[2], names[3]), epsilon=epsilon)
        return y

    def gemm(self, x, k, n, gain=1.0, shift=SHIFT):
        """Fully connected layer [N, k] -> [N, n]: Gemm with transposed weights, as exporters do."""
        weight = self.weight((n, k), k**-0.5, "gemm.weight", (1,))
        bias = self.vector(np.zeros(n), "gemm.bias")
        y = self.node("Gemm", [x, weight, bias], transB=1)
        mean, std = self._targets(n, gain, shift)
        self.points.append(Point(y, 1, 2, 1, mean, std, weight, 0, bias))
        return y

    def linear(self, x, k, n, gain=1.0, shift=0.0, rank=3):
        """Fully connected layer over the last axis: MatMul, then Add, as exporters write it."""
        weight = self.weight((k, n), k**-0.5, "linear.weight", (0,))
        bias = self.vector(np.zeros(n), "linear.bias")
        y = self.node("Add", [bias, self.node("MatMul", [x, weight])])
        mean, std = self._targets(n, gain, shift)
        self.points.append(Point(y, rank - 1, rank, 64, mean, std, weight, 1, bias))
        return y

    # Layers without weights -----------------------------------------------------------------

    def like(self, op, inputs, **attributes):
        """A node whose output has the (c, h, w) of its first input."""
        y = self.node(op, inputs, **attributes)
        if inputs[0] in self.shapes:
            self.shapes[y] = self.shape(inputs[0])
        return y

    def relu(self, x):
        return self.like("Relu", [x])

    def relu6(self, x):
        limits = [self.constant(np.float32(v), "clip.limit") for v in (0, 6)]
        return self.like("Clip", [x, *limits])

    def silu(self, x):
        return self.like("Mul", [x, self.like("Sigmoid", [x])])

    def add(self, a, b):
        return self.like("Add", [a, b])

    def concat(self, values):
        y = self.node("Concat", values, axis=1)
        _, h, w = self.shape(values[0])
        self.shapes[y] = (sum(self.shape(v)[0] for v in values), h, w)
        return y

    def max_pool(self, x, k, stride, pad=0, ceil=False):
        return self._pool("MaxPool", x, k, stride, pad, ceil)

    def avg_pool(self, x, k, stride, pad=0, include_pad=False):
        return self._pool(
            "AveragePool", x, k, stride, pad, False, count_include_pad=int(include_pad)
        )

    def _pool(self, op, x, k, stride, pad, ceil, **attributes):
        kernel, strides = pair(k), pair(stride)
        pads = self._pads(x, pad, kernel, strides)
        if ceil:
            attributes["ceil_mode"] = 1
        y = self.node(op, [x], kernel_shape=kernel, strides=strides, pads=pads, **attributes)
        extra = [stride - 1 if ceil else 0] * 2
        padded = [pads[0], pads[1], pads[2] + extra[0], pads[3] + extra[1]]
        self.shapes[y] = self._conv_output(x, self.shape(x)[0], kernel, strides, padded, 1)
        return y

    def global_avg_pool(self, x):
        y = self.node("GlobalAveragePool", [x])
        self.shapes[y] = (self.shape(x)[0], 1, 1)
        return y

    def flatten(self, x):
        return self.node("Flatten", [x], axis=1)

    def classifier(self, x, classes=1000):
        """Global average pool, fully connected layer, softmax: the end of most image networks."""
        c = self.shape(x)[0]
        logits = self.gemm(self.flatten(self.global_avg_pool(x)), c, classes, gain=2.0)
        probability = self.node("Softmax", [logits], axis=1)
        self.output(probability, "output", [self.batch, classes])

    def reduce_mean(self, x, axis):
        if self.opset >= 18:
            return self.node("ReduceMean", [x, self.ints(axis)], keepdims=1)
        return self.node("ReduceMean", [x], axes=[axis], keepdims=1)

    # The model ------------------------------------------------------------------------------

    def model(self):
        """The ONNX model with the present weights."""
        tensors = [tensor(n, a) for n, a in [*self.weights.items(), *self.constants.items()]]
        graph = helper.make_graph(
            self.nodes, self.name, value_infos(self.inputs), value_infos(self.outputs), tensors
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=ir_version(opsets),
            producer_name="planish bench/models",
        )  # fmt: skip
        helper.set_model_props(model, self.properties)
        return model


def ir_version(opsets):
    return max(8, helper.find_min_ir_version_for(opsets))


def pair(value):
    return [value, value] if isinstance(value, int) else list(value)


def tensor(name, array):
    """Like numpy_helper.from_array, without its copies of large arrays."""
    data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    return TensorProto(name=name, data_type=data_type, dims=array.shape, raw_data=array.tobytes())


def value_infos(values):
    return [helper.make_tensor_value_info(n, _ONNX_TYPES[t], s) for n, s, t in values]


def save(model, path):
    """Writes by way of a temporary name, so that an interrupted run leaves no torn file."""
    temporary = path.with_suffix(".part")
    onnx.save_model(model, temporary, format="protobuf")
    temporary.rename(path)
