"""Small ONNX models, made for one test each."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def _model(nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def relu():
    """y = relu(x), f32[N, 4]."""
    value = (TensorProto.FLOAT, ["N", 4])
    return _model([helper.make_node("Relu", ["x"], ["y"])], [("x", *value)], [("y", *value)])


def doubled(dtype):
    """y = x + x (x or x for booleans), of a NumPy type, [N, 3]."""
    value = (helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["N", 3])
    op = "Or" if np.dtype(dtype) == np.bool_ else "Add"
    return _model([helper.make_node(op, ["x", "x"], ["y"])], [("x", *value)], [("y", *value)])


def two_by_two():
    """Inputs a and b, outputs sum and product, f32[N]."""
    value = (TensorProto.FLOAT, ["N"])
    return _model([helper.make_node("Add", ["a", "b"], ["sum"]),
                   helper.make_node("Mul", ["a", "b"], ["product"])],
                  [("a", *value), ("b", *value)], [("sum", *value), ("product", *value)])


def products(count, size):
    """x multiplied by itself again and again: as long a run as is wanted, with a look at
    cancelling between any two products."""
    names = ["x"] + [f"x{i}" for i in range(1, count)] + ["y"]
    nodes = [helper.make_node("MatMul", [name, name], [after])
             for name, after in zip(names, names[1:])]
    value = (TensorProto.FLOAT, [size, size])
    return _model(nodes, [("x", *value)], [("y", *value)])


def towers(count):
    """Convolutions of different sizes: each is measured, so that a build takes its time."""
    random = np.random.default_rng(0)
    nodes, constants, outputs = [], [], []
    for i in range(count):
        channels = 16 + i
        weights = random.standard_normal((channels, 8, 3, 3)).astype(np.float32)
        constants.append((f"w{i}", weights))
        nodes.append(helper.make_node("Conv", ["x", f"w{i}"], [f"y{i}"], strides=[1 + i % 3] * 2))
        outputs.append((f"y{i}", TensorProto.FLOAT, [1, channels, None, None]))
    return _model(nodes, [("x", TensorProto.FLOAT, [1, 8, 96, 96])], outputs, constants)


def unknown_op():
    value = (TensorProto.FLOAT, [1])
    return _model([helper.make_node("NoSuchOp", ["x"], ["y"])], [("x", *value)], [("y", *value)])
