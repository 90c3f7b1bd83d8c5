"""The weights of a frozen graph, apart from it.

TensorFlow copies graphs at every turn: on the way to a function, for each optimizer, when a model is saved
and when it is loaded. So large constants leave the graph before it goes any way at all, and come back as
slices of one variable per engine. The variable goes with the model like any other; its slices are views
(offsets are aligned), and a segment that runs in TensorFlow reads them as the original reads its variables.
"""

from __future__ import annotations

import hashlib
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

Arrays = Mapping[str, np.ndarray]  # by the name of the constant

LEAST_ELEMENTS = 4096   # smaller constants stay: graphs are folded by their values
ALIGNED_ELEMENTS = 16   # of a slice that TensorFlow takes without a copy: 64 bytes
INPUT = "planish_weights"  # of an engine's function
# What a tensor's shape tells does not depend on its elements.
OF_SHAPES = ("Rank", "Shape", "ShapeN", "Size")


def take_out(graph_def: Any) -> Tuple[Any, Dict[str, np.ndarray]]:
    """A copy of the graph without the elements of its large constants of float32, and these."""
    out = tf.compat.v1.GraphDef()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    arrays = {}
    for node in graph_def.node:
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is None or tensor.dtype != types_pb2.DT_FLOAT:
            out.node.add().CopyFrom(node)
            continue
        content = tensor.tensor_content
        if len(content) < 4 * LEAST_ELEMENTS:
            out.node.add().CopyFrom(node)
            continue
        arrays[node.name] = np.frombuffer(content, np.float32)
        light = out.node.add(name=node.name, op=node.op, device=node.device, input=node.input)
        light.attr["dtype"].type = tensor.dtype
        light.attr["value"].tensor.dtype = tensor.dtype
        light.attr["value"].tensor.tensor_shape.CopyFrom(tensor.tensor_shape)
    return out, arrays


def put_back(nodes: Iterable[Any], arrays: Arrays) -> None:
    """Gives those of the nodes that take_out() has emptied their elements again."""
    for node in nodes:
        if node.op == "Const" and node.name in arrays:
            node.attr["value"].tensor.tensor_content = arrays[node.name].tobytes()


def digest(names: Iterable[str], arrays: Arrays) -> bytes:
    made = hashlib.sha256()
    for name in names:
        made.update(arrays[name].data)
    return made.digest()


class Layout(NamedTuple):
    """Where the constants of a segment lie in its variable."""

    begins: Dict[str, int]
    elements: int


def layout_of(names: Sequence[str], arrays: Arrays) -> Layout:
    begins, end = {}, 0
    for name in names:
        begins[name] = end
        end += -(-arrays[name].size // ALIGNED_ELEMENTS) * ALIGNED_ELEMENTS
    return Layout(begins, end)


def variable_of(layout: Layout, arrays: Arrays, name: str) -> tf.Variable:
    flat = np.zeros(layout.elements, np.float32)
    for key, begin in layout.begins.items():
        flat[begin:begin + arrays[key].size] = arrays[key]
    with tf.device("/CPU:0"):
        return tf.Variable(flat, trainable=False, name=name)


def _add_integers(out: Any, name: str, values: Sequence[int]) -> str:
    node = out.node.add(name=name, op="Const")
    node.attr["dtype"].type = types_pb2.DT_INT32
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values, tf.int32, [len(values)]))
    return name


def with_slices(graph_def: Any, layout: Layout, arrays: Arrays) -> Any:
    """The graph with slices of a placeholder INPUT in place of the constants."""
    out = tf.compat.v1.GraphDef()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    flat = out.node.add(name=INPUT, op="Placeholder")
    flat.attr["dtype"].type = types_pb2.DT_FLOAT
    flat.attr["shape"].shape.dim.add(size=layout.elements)
    for node in graph_def.node:
        if node.name not in layout.begins:
            out.node.add().CopyFrom(node)
            continue
        name, shape = node.name, node.attr["value"].tensor.tensor_shape
        begin = _add_integers(out, f"{name}/planish_begin", [layout.begins[name]])
        size = _add_integers(out, f"{name}/planish_size", [arrays[name].size])
        dims = _add_integers(out, f"{name}/planish_shape", [dim.size for dim in shape.dim])
        part = out.node.add(name=f"{name}/planish_part", op="Slice", input=[INPUT, begin, size])
        part.attr["T"].type, part.attr["Index"].type = types_pb2.DT_FLOAT, types_pb2.DT_INT32
        whole = out.node.add(name=name, op="Reshape", input=[part.name, dims])
        whole.attr["T"].type, whole.attr["Tshape"].type = types_pb2.DT_FLOAT, types_pb2.DT_INT32
    return out


def _readers(graph_def: Any) -> Dict[str, List[Any]]:
    out: Dict[str, List[Any]] = {}
    for node in graph_def.node:
        for text in node.input:
            out.setdefault(text.lstrip("^").split(":")[0], []).append(node)
    return out


def is_known_by(graph_def: Any, segments: Iterable[Any], arrays: Arrays) -> bool:
    """Whether a value that the partition has written into a segment was computed from elements that
    take_out() has taken away."""
    written = {}  # by reader and input: constants that stand for what the graph computes
    for segment in segments:
        for node in tf.compat.v1.GraphDef.FromString(segment.graph_def).node:
            written.update({(node.name, i): text for i, text in enumerate(node.input)
                            if text.startswith("planish_known_")})
    if not written:
        return False
    readers, tainted, stack = _readers(graph_def), set(), list(arrays)
    while stack:
        name = stack.pop()
        if name not in tainted:
            tainted.add(name)
            stack.extend(node.name for node in readers.get(name, []) if node.op not in OF_SHAPES)
    inputs = {node.name: node.input for node in graph_def.node}
    return any(name in inputs and inputs[name][i].split(":")[0] in tainted for name, i in written)
