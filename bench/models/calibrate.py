"""Scales a builder's random weights so that every layer's output has chosen statistics.

Randomly initialized deep networks map every input to nearly the same output, and an error in one
layer disappears. So every `Point` of the builder gets its target mean and standard deviation per
channel, measured on a few inputs. All layers are measured in a single run: the graph is rewritten
so that a point normalizes its value with the statistics of the batch at hand and gives them out;
afterwards they are folded into the weights. A channel's variance is blended with the average of
its layer's: a hundredth of that at least, because blowing up a channel that hardly varies only
amplifies rounding errors, and more where few values were measured (a fully connected layer sees
one per sample), because a variance underestimated by chance makes one class win every time.
"""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from models import inputs
from models.builder import ir_version, tensor, value_infos

LEAST_SHARE = 0.01  # of the layer's average variance in that of a channel
PRIOR_COUNT = 64  # measured values per channel at which its own variance counts for a half
TINY = 1e-20  # keeps a layer whose output is constant from dividing by zero


def calibrate(builder, seed=1):
    """Sets the weights and running statistics of `builder` in place."""
    if not builder.points:
        return
    nodes, small = _measuring_nodes(builder)
    names = [f"{p.value}/{part}" for p in builder.points for part in ("mean", "var")]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
    # Weights are fed as inputs: they may be too large to be copied into a second model.
    fed = [(n, list(a.shape), "float32") for n, a in builder.weights.items()]
    free = [(n, [None] * len(s), t) for n, s, t in builder.inputs]
    small = [tensor(n, a) for n, a in {**builder.constants, **small}.items()]
    graph = helper.make_graph(nodes, builder.name, value_infos(free + fed), outputs, small)
    opsets = [helper.make_opsetid("", builder.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version(opsets))
    batch = builder.calibration_batch
    # The same samples whatever the batch of the model, so that its weights are the same too.
    declared = [(name, [None, *shape[1:]], dtype) for name, shape, dtype in builder.inputs]
    feeds = inputs.random_inputs(declared, builder.properties, batch, seed)
    results = iter(_session(model).run(names, {**feeds, **builder.weights}))
    for point, mean, var in zip(builder.points, results, results):
        _apply(builder, point, mean.ravel(), var.ravel())


def _session(model):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 2  # fixed, so that sums are split the same way everywhere
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _measuring_nodes(builder):
    """The builder's nodes with a normalization in the place of every point."""
    points = {p.value: p for p in builder.points}
    nodes = []
    constants = {"calibrate/tiny": np.float32(TINY)}
    for node in builder.nodes:
        point = points.get(node.output[0])
        if point is None:
            nodes.append(node)
            continue
        raw = node.input[0]
        if point.statistics is None:
            raw = f"{point.value}/raw"
            renamed = type(node)()
            renamed.CopyFrom(node)
            renamed.output[0] = raw
            nodes.append(renamed)
        nodes += _normalize(builder, point, raw, constants)
    return nodes, constants


def _normalize(builder, point, raw, constants):
    """Nodes for value = (raw - mean) / sqrt(var + epsilon) * target_std + target_mean."""
    v = point.value
    count = builder.calibration_batch * point.positions
    share = max(LEAST_SHARE, PRIOR_COUNT / (count + PRIOR_COUNT))
    axes = [a for a in range(point.rank) if a != point.channel_axis]
    channel = [-1 if a == point.channel_axis else 1 for a in range(point.rank)]
    constants[f"{v}/target_mean"] = point.mean.reshape(channel)
    constants[f"{v}/target_std"] = point.std.reshape(channel)
    constants[f"{v}/epsilon"] = np.float32(point.epsilon)
    constants[f"{v}/share"], constants[f"{v}/own"] = np.float32(share), np.float32(1 - share)

    def node(op, inputs, part, **attributes):
        inputs = [i if i == raw or i.startswith("calibrate/") else f"{v}/{i}" for i in inputs]
        return helper.make_node(op, inputs, [v if part == "" else f"{v}/{part}"], **attributes)

    def mean(value, over, part):
        if builder.opset < 18:
            return node("ReduceMean", [value], part, axes=over, keepdims=1)
        constants[f"{v}/{part}_axes"] = np.array(over, np.int64)
        return node("ReduceMean", [value, f"{part}_axes"], part, keepdims=1)

    return [
        mean(raw, axes, "mean"),
        node("Sub", [raw, "mean"], "centered"),
        node("Mul", ["centered", "centered"], "squares"),
        mean("squares", axes, "measured_var"),
        mean("measured_var", [point.channel_axis], "average_var"),
        node("Mul", ["average_var", "share"], "shared_part"),
        node("Mul", ["measured_var", "own"], "own_part"),
        node("Add", ["shared_part", "own_part"], "blended"),
        node("Add", ["blended", "calibrate/tiny"], "var"),
        node("Add", ["var", "epsilon"], "square"),
        node("Sqrt", ["square"], "root"),
        node("Div", ["centered", "root"], "unit"),
        node("Mul", ["unit", "target_std"], "scaled"),
        node("Add", ["scaled", "target_mean"], ""),
    ]


def _apply(builder, point, mean, var):
    weights = builder.weights
    if point.statistics is not None:
        weights[point.statistics[0]] = mean
        weights[point.statistics[1]] = var
        return
    factor = point.std / np.sqrt(var)
    weight = weights[point.weight]
    shape = [1] * weight.ndim
    shape[point.weight_axis] = -1
    weight *= factor.reshape(shape)
    if point.bias is not None:
        weights[point.bias] = point.mean - mean * factor
