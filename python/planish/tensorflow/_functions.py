"""Functions of graphs: a part of a graph as one, and which of them do more than compute."""

from __future__ import annotations

import collections
from typing import Any, Iterable, Mapping, Sequence, Tuple

import tensorflow as tf


def split_name(text: str) -> Tuple[str, int]:
    """"node:1" to ("node", 1); "node" is its output 0."""
    node, _, port = text.partition(":")
    return node, int(port or 0)


def tensor_name(text: str) -> str:
    node, port = split_name(text)
    return f"{node}:{port}"


def function_def(graph_def: Any, inputs: Sequence[str], outputs: Sequence[str], name: str) -> Any:
    """The FunctionDef of a graph between two lists of tensors."""
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    pruned = wrapped.prune([tensor_name(one) for one in inputs], [tensor_name(one) for one in outputs])
    made = tf.compat.v1.GraphDef().library.function.add()
    made.CopyFrom(pruned.function_def)
    made.signature.name = name
    return made


def calling(inner: Any, name: str, is_stateful: bool) -> Any:
    """A function that only calls `inner`. Run by it, a segment is optimized as any function of
    TensorFlow's is; instantiated by a kernel directly, it would not be."""
    made = tf.compat.v1.GraphDef().library.function.add()
    made.signature.CopyFrom(inner.signature)
    made.signature.name = name
    made.signature.ClearField("control_output")
    call = made.node_def.add(name="call",
                             op="StatefulPartitionedCall" if is_stateful else "PartitionedCall")
    call.attr["f"].func.name = inner.signature.name
    call.attr["Tin"].list.type.extend(arg.type for arg in inner.signature.input_arg)
    call.attr["Tout"].list.type.extend(arg.type for arg in inner.signature.output_arg)
    call.input.extend(arg.name for arg in inner.signature.input_arg)
    for i, arg in enumerate(inner.signature.output_arg):
        made.ret[arg.name] = f"call:output:{i}"
    return made


# They do what the functions do that they call.
CALLS = ("Case", "If", "PartitionedCall", "StatefulPartitionedCall", "While")


def is_stateful(nodes: Iterable[Any], functions: Mapping[str, Any] = {}, depth: int = 0) -> bool:
    from tensorflow.python.framework import op_def_registry

    def one(node: Any) -> bool:
        definition = op_def_registry.get(node.op)
        if definition is None:
            return True
        if node.op not in CALLS:
            return definition.is_stateful
        called = [attr.func.name for attr in node.attr.values() if attr.HasField("func")]
        called += [one.name for attr in node.attr.values() for one in attr.list.func]
        return depth > 16 or any(
            name not in functions or is_stateful(functions[name].node_def, functions, depth + 1)
            for name in called)

    return any(one(node) for node in nodes)


def with_effects(graph_def: Any) -> set:
    """Nodes that do something besides giving results, and all that stand behind such nodes."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    readers = collections.defaultdict(list)
    for node in graph_def.node:
        for text in node.input:
            readers[split_name(text.lstrip("^"))[0]].append(node.name)
    out, stack = set(), [node.name for node in graph_def.node if is_stateful([node], functions)]
    while stack:
        name = stack.pop()
        if name not in out:
            out.add(name)
            stack.extend(readers[name])
    return out
