"""Signatures of a SavedModel: frozen, and made again around a converted graph."""

from __future__ import annotations

import gc
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf
from planish import ResourceExhaustedError
from tensorflow.python.framework import convert_to_constants

from . import _graph, _weights

# What a graph as a protobuf message can hold, less what its nodes take.
MOST_WEIGHT_BYTES = (1 << 31) - (16 << 20)

# Operators that change state which a frozen copy would not have.
WRITES = ("Assign", "Scatter", "ResourceApply", "Save", "LookupTableImport", "LookupTableInsert")


class Frozen(NamedTuple):
    """A signature as one graph: variables are constants, calls are inlined."""

    graph_def: Any                   # large constants without their elements
    weights: _weights.Arrays         # their elements
    feeds: Tuple[str, ...]           # tensors, in the order of the sorted argument names
    fetches: Dict[str, str]          # output key to tensor
    captures: Tuple[Tuple[str, Any], ...]  # placeholder tensor, what it stands for (a table)


def _all_nodes(graph: tf.Graph) -> List[Any]:
    graph_def = graph.as_graph_def()
    return [node for nodes in [graph_def.node, *(f.node_def for f in graph_def.library.function)]
            for node in nodes]


def reason_to_keep(function: Any) -> Optional[str]:
    """Why a signature cannot be frozen, or None."""
    for node in _all_nodes(function.graph):
        if any(node.op.startswith(prefix) and node.op != "AssignVariableOp_" for prefix in WRITES):
            return f"it changes state ({node.op})"
    if any(not isinstance(one, (tf.Tensor, tf.TensorSpec))
           for one in tf.nest.flatten(function.structured_outputs)):
        return "an output is no dense tensor"
    return None


def _check_size(function: Any) -> None:
    byte_count = sum(one.dtype.size * (one.shape.num_elements() or 0) for one in function.graph.variables)
    if byte_count > MOST_WEIGHT_BYTES:
        raise ResourceExhaustedError(
            f"the signature's variables take {byte_count} bytes: TensorFlow freezes graphs as protobuf "
            f"messages, which end at 2 GiB (expected at most {MOST_WEIGHT_BYTES})")


def freeze(function: Any) -> Frozen:
    """As TensorFlow's convert_variables_to_constants_v2 does it, but that the weights leave the graph before
    it becomes a function again: that takes seven copies more."""
    _check_size(function)
    data = convert_to_constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=False, aggressive_inlining=True)
    graph_def, indices = convert_to_constants._replace_variables_by_constants(converter_data=data)
    data = None
    graph_def, weights = _weights.take_out(_graph.without_colocations(graph_def))
    gc.collect()  # TensorFlow's converter is full of cycles that hold its graphs
    frozen = convert_to_constants._construct_concrete_function(function, graph_def, indices)
    graph_def = frozen.graph.as_graph_def()
    for nodes in [graph_def.node, *(one.node_def for one in graph_def.library.function)]:
        for node in nodes:
            # A saved model has no gradients, and TensorFlow saves no function whose nodes name their own.
            node.attr.pop("_gradient_op_type", None)
    # Tables stay what the function has captured; TensorFlow hands them on as inputs behind the others.
    captured = {inner.name: outer for outer, inner in function.graph.captures}
    feeds = [one for one in frozen.inputs if one.name not in captured]
    keys = sorted(function.structured_outputs)
    outputs = tf.nest.flatten(frozen.outputs)
    return Frozen(graph_def, weights, tuple(one.name for one in feeds),
                  {key: one.name for key, one in zip(keys, outputs)},
                  tuple((one.name, captured[one.name]) for one in frozen.inputs if one.name in captured))


def argument_names(function: Any) -> List[str]:
    """In the order of the function's inputs."""
    return sorted(function.structured_input_signature[1])


def signature_of(function: Any, graph_def: Any, feeds: Sequence[str], fetches: Dict[str, str],
                 captures: Sequence[Tuple[str, Any]]) -> Any:
    """A ConcreteFunction of `function`'s arguments and outputs that runs the graph."""
    keys = sorted(fetches)
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    inputs = [*feeds, *(name for name, _ in captures)]
    pruned = wrapped.prune([wrapped.graph.get_tensor_by_name(name) for name in inputs],
                           [wrapped.graph.get_tensor_by_name(fetches[key]) for key in keys])
    names = argument_names(function)
    held = [outer for _, outer in captures]

    def run(**arguments: Any) -> Dict[str, Any]:
        results = pruned(*(arguments[name] for name in names), *held)
        return dict(zip(keys, tf.nest.flatten(results)))

    specs = function.structured_input_signature[1]
    made = tf.function(run).get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()})
    return made
