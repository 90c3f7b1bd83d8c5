"""From a frozen graph and its segments to a graph with an engine in place of each segment."""

from __future__ import annotations

import collections
import hashlib
import json
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from . import _library, _weights
from ._functions import calling, function_def, is_stateful, split_name, tensor_name, with_effects


class EngineOptions(NamedTuple):
    """What an engine's node carries: see the attributes of PlanishEngineOp in op/engine_op.cc."""

    precision_mode: str = "FP32"
    max_workspace_size_bytes: int = 0
    maximum_cached_engines: int = 1
    maximum_cached_bytes: int = 0
    allow_build_at_runtime: bool = True
    share_batches: bool = True
    build_options: str = "{}"


class Engine(NamedTuple):
    """One engine of a converted graph."""

    name: str
    node_count: int
    op_counts: Dict[str, int]
    inputs: Tuple[tf.TensorSpec, ...]
    outputs: Tuple[tf.TensorSpec, ...]


class Rewritten(NamedTuple):
    graph_def: Any
    engines: List[Engine]
    names: Dict[str, str]  # where the tensor of a name is now
    weights: Dict[str, tf.Variable]  # by the placeholder that stands for one's handle


def without_idle_waits(graph_def: Any) -> Any:
    """The graph without control inputs that name nodes that only compute: they order nothing, but keep
    nodes in the graph and paths around segments (Keras' results wait for all weights and loops).

    In the frames and branches of TensorFlow 1 a control input also says where a node belongs: such
    graphs stay as they are.
    """
    if any(node.op in ("Enter", "RefEnter", "Switch", "RefSwitch") for node in graph_def.node):
        return graph_def
    effects = with_effects(graph_def)
    out = tf.compat.v1.GraphDef()
    out.CopyFrom(graph_def)
    for node in out.node:
        kept = [one for one in node.input if not one.startswith("^") or one[1:] in effects]
        if len(kept) < len(node.input):
            node.input[:] = kept
    return out


def without_colocations(graph_def: Any) -> Any:
    """The graph, changed in place, without constraints to run nodes where others run: some of those are in
    engines afterwards, and TensorFlow takes no graph that names a node that is not there."""
    for nodes in [graph_def.node, *(one.node_def for one in graph_def.library.function)]:
        for node in nodes:
            node.attr.pop("_class", None)
    return graph_def


def _specs(graph: tf.Graph, names: Sequence[str]) -> Tuple[tf.TensorSpec, ...]:
    tensors = [graph.get_tensor_by_name(tensor_name(name)) for name in names]
    return tuple(tf.TensorSpec(one.shape, one.dtype, one.op.name) for one in tensors)


# Names of element types, for planish.partition.
DTYPES = {tf.float32: "f32", tf.float16: "f16", tf.bfloat16: "bf16", tf.float64: "f64", tf.int8: "i8",
          tf.uint8: "u8", tf.int16: "i16", tf.uint16: "u16", tf.int32: "i32", tf.int64: "i64",
          tf.uint32: "u32", tf.uint64: "u64", tf.bool: "bool"}


def imported(graph_def: Any) -> tf.Graph:
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    return graph


def known_tensors(graph: tf.Graph) -> Dict[str, Tuple[Any, Any]]:
    """Types and shapes as TensorFlow infers them, for what planish.partition does not know."""
    out = {}
    for operation in graph.get_operations():
        if operation.type == "Const":
            continue
        for tensor in operation.outputs:
            if tensor.dtype in DTYPES and tensor.shape.rank is not None:
                out[tensor.name] = (DTYPES[tensor.dtype],
                                    [-1 if dim is None else dim for dim in tensor.shape])
    return out


def _engine_node(node: Any, name: str, native: str, specs: Tuple[Any, Any],
                 options: EngineOptions) -> None:
    inputs, outputs = specs
    node.name, node.op = name, "PlanishEngineOp"
    node.attr["engine_name"].s = name.encode()
    node.attr["native_segment"].func.name = native
    node.attr["InT"].list.type.extend(spec.dtype.as_datatype_enum for spec in inputs)
    node.attr["OutT"].list.type.extend(spec.dtype.as_datatype_enum for spec in outputs)
    node.attr["input_shapes"].list.shape.extend(spec.shape.as_proto() for spec in inputs)
    node.attr["output_shapes"].list.shape.extend(spec.shape.as_proto() for spec in outputs)
    node.attr["precision_mode"].s = options.precision_mode.encode()
    node.attr["workspace_size_bytes"].i = options.max_workspace_size_bytes
    node.attr["max_cached_engines_count"].i = options.maximum_cached_engines
    node.attr["max_cached_engines_bytes"].i = options.maximum_cached_bytes
    node.attr["allow_build_at_runtime"].b = options.allow_build_at_runtime
    node.attr["share_batches"].b = options.share_batches
    node.attr["build_options"].s = options.build_options.encode()
    # An empty list attribute must say that it is one.
    for key in ("InT", "input_shapes", "output_shapes"):
        node.attr[key].list.SetInParent()


def _hash_of(segment: Any, specs: Any, options: EngineOptions, weights: bytes) -> str:
    digest = hashlib.sha256(segment.key.encode())
    digest.update(weights)
    digest.update(repr([[(s.dtype, s.shape) for s in one] for one in specs]).encode())
    digest.update(json.dumps(options._asdict(), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _reachable(nodes: Iterable[Any], roots: Iterable[str]) -> set:
    named = {node.name: node for node in nodes}
    seen, stack = set(), list(roots)
    while stack:
        name = stack.pop()
        if name in seen or name not in named:
            continue
        seen.add(name)
        stack.extend(split_name(text.lstrip("^"))[0] for text in named[name].input)
    return seen


class WeightStore:
    """The elements of a graph's large constants (_weights.take_out), and the variables that hold an
    engine's. Without variables the elements go back into constants of the engine's function."""

    def __init__(self, arrays: _weights.Arrays, variables: Optional[Dict[str, tf.Variable]] = None):
        self.arrays = arrays
        self.variables = variables  # by the engine's name; equal engines share one


class _Made(NamedTuple):
    """One segment as an engine."""

    engine: Engine
    node: Any
    functions: Tuple[Any, Any]
    variable: Optional[tf.Variable]


def _make(graph: tf.Graph, index: int, segment: Any, options: EngineOptions, store: WeightStore) -> _Made:
    specs = _specs(graph, segment.inputs), _specs(graph, segment.outputs)
    held = [one for one in segment.copied if one in store.arrays]
    name = (f"PlanishEngine_{index:03d}_"
            f"{_hash_of(segment, specs, options, _weights.digest(held, store.arrays))}")
    body = tf.compat.v1.GraphDef.FromString(segment.graph_def)
    variable, inputs, layout = None, list(segment.placeholders), _weights.layout_of(held, store.arrays)
    with_variable = store.variables is not None and bool(held)
    if with_variable:
        variable = store.variables.get(name)
        if variable is None:
            variable = store.variables[name] = _weights.variable_of(layout, store.arrays, name)
        body = _weights.with_slices(body, layout, store.arrays)
        inputs.append(_weights.INPUT)
    inner = function_def(body, inputs, segment.outputs, f"{name}_segment")
    if not with_variable:
        _weights.put_back(inner.node_def, store.arrays)
    outer = calling(inner, f"{name}_native_segment", is_stateful(inner.node_def))
    for function in (inner, outer):
        # TensorFlow leaves functions so marked alone when it optimizes the graph they are in: an engine
        # is built from these nodes, not from what its CPU kernels fuse them to. Run, they are optimized.
        function.attr["_tf_data_function"].b = True
    node = tf.compat.v1.NodeDef()
    flat = [tf.TensorSpec([layout.elements], tf.float32)] if with_variable else []
    _engine_node(node, name, outer.signature.name, ([*specs[0], *flat], specs[1]), options)
    node.attr["weight_inputs"].i = len(flat)
    node.device = segment.device
    types = {operation.name: operation.type for operation in graph.get_operations()}
    counts = collections.Counter(types[member] for member in segment.nodes
                                 if types[member] != "Const")
    return _Made(Engine(name, sum(counts.values()), dict(counts), *specs), node, (inner, outer), variable)


def _add_weights(nodes: List[Any], made: _Made) -> str:
    """Adds what reads the engine's variable; gives the placeholder of the variable's handle."""
    name = made.engine.name
    handle = tf.compat.v1.NodeDef(name=f"{name}/handle", op="Placeholder")
    handle.attr["dtype"].type = tf.resource.as_datatype_enum
    handle.attr["shape"].shape.SetInParent()
    read = tf.compat.v1.NodeDef(name=f"{name}/weights", op="ReadVariableOp", input=[handle.name])
    read.attr["dtype"].type = tf.float32.as_datatype_enum
    nodes.extend((handle, read))
    return handle.name


def _named_results(fetches: Sequence[str], owner: Mapping[str, str], moved: Mapping[str, str],
                   graph: tf.Graph) -> Iterator[Any]:
    """Nodes under the names of fetched ones that are in engines now, which hand on what they gave."""
    ports: Dict[str, int] = {}
    for name, port in map(split_name, fetches):
        if name in owner:
            ports[name] = max(port, ports.get(name, 0))
    for name, last in ports.items():
        tensors = [f"{name}:{port}" for port in range(last + 1)]
        if any(one not in moved for one in tensors):
            continue  # there is nothing to give for an output that nobody reads
        node = tf.compat.v1.NodeDef(name=name, op="IdentityN" if last else "Identity",
                                    input=[moved[one] for one in tensors])
        types = [graph.get_tensor_by_name(one).dtype.as_datatype_enum for one in tensors]
        if last:
            node.attr["T"].list.type.extend(types)
        else:
            node.attr["T"].type = types[0]
        yield node


def rewrite(graph_def: Any, graph: tf.Graph, segments: Sequence[Any], fetches: Sequence[str],
            feeds: Sequence[str], options: EngineOptions, store: WeightStore) -> Rewritten:
    """Puts an engine in place of each segment that planish.partition has found.

    fetches stay reachable; a fetched node that is in an engine keeps its name, by an Identity. The graph's
    large constants are without their elements; those that stay in TensorFlow get them back.
    """
    _library.load()
    made = [_make(graph, index, segment, options, store) for index, segment in enumerate(segments)]
    owner = {member: one.engine.name for one, segment in zip(made, segments)
             for member in segment.nodes}
    moved = {tensor_name(output): f"{one.engine.name}:{port}"
             for one, segment in zip(made, segments) for port, output in enumerate(segment.outputs)}

    def new_inputs(texts: Iterable[str]) -> List[str]:
        texts = list(texts)
        data = [moved.get(tensor_name(one), one) for one in texts if not one.startswith("^")]
        before = ["^" + owner.get(one[1:], one[1:]) for one in texts if one.startswith("^")]
        return data + list(dict.fromkeys(before))

    nodes = []
    for node in graph_def.node:
        if node.name in owner:
            continue
        copy = tf.compat.v1.NodeDef()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(new_inputs(node.input))
        nodes.append(copy)
    handles = {}
    for one, segment in zip(made, segments):
        inputs = list(segment.inputs)
        if one.variable is not None:
            handles[_add_weights(nodes, one)] = one.variable
            inputs.append(nodes[-1].name)
        one.node.input.extend(new_inputs([*inputs, *(f"^{name}" for name in segment.control_inputs)]))
        nodes.append(one.node)
    where = {name: moved.get(tensor_name(name), tensor_name(name)) for name in fetches}
    for node in _named_results(fetches, owner, moved, graph):
        nodes.append(node)
        where.update({one: tensor_name(one) for one in fetches if split_name(one)[0] == node.name})
    out = tf.compat.v1.GraphDef()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    out.library.function.extend(function for one in made for function in one.functions)
    keep = _reachable(nodes, [split_name(one)[0] for one in [*where.values(), *feeds]])
    out.node.extend(node for node in nodes if node.name in keep)
    _weights.put_back(out.node, store.arrays)
    return Rewritten(out, [one.engine for one in made], where,
                     {name: variable for name, variable in handles.items() if name in keep})
