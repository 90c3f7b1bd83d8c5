"""From a frozen graph and its segments to a graph with an engine in place of each segment."""

from __future__ import annotations

import collections
import hashlib
import json
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

import tensorflow as tf

from . import _library


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


def _calling(inner: Any, name: str, is_stateful: bool) -> Any:
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


def _is_stateful(nodes: Iterable[Any], functions: Mapping[str, Any] = {}, depth: int = 0) -> bool:
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
            name not in functions or _is_stateful(functions[name].node_def, functions, depth + 1)
            for name in called)

    return any(one(node) for node in nodes)


def _with_effects(graph_def: Any) -> set:
    """Nodes that do something besides giving results, and all that stand behind such nodes."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    readers = collections.defaultdict(list)
    for node in graph_def.node:
        for text in node.input:
            readers[split_name(text.lstrip("^"))[0]].append(node.name)
    out, stack = set(), [node.name for node in graph_def.node if _is_stateful([node], functions)]
    while stack:
        name = stack.pop()
        if name not in out:
            out.add(name)
            stack.extend(readers[name])
    return out


def without_idle_waits(graph_def: Any) -> Any:
    """The graph without control inputs that name nodes that only compute: they order nothing, but keep
    nodes in the graph and paths around segments (Keras' results wait for all weights and loops).

    In the frames and branches of TensorFlow 1 a control input also says where a node belongs: such
    graphs stay as they are.
    """
    if any(node.op in ("Enter", "RefEnter", "Switch", "RefSwitch") for node in graph_def.node):
        return graph_def
    effects = _with_effects(graph_def)
    out = tf.compat.v1.GraphDef()
    out.CopyFrom(graph_def)
    for node in out.node:
        kept = [one for one in node.input if not one.startswith("^") or one[1:] in effects]
        if len(kept) < len(node.input):
            node.input[:] = kept
    return out


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


def _hash_of(segment: Any, specs: Any, options: EngineOptions) -> str:
    digest = hashlib.sha256(segment.key.encode())
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


class _Made(NamedTuple):
    """One segment as an engine."""

    engine: Engine
    node: Any
    functions: Tuple[Any, Any]


def _make(graph: tf.Graph, index: int, segment: Any, options: EngineOptions) -> _Made:
    specs = _specs(graph, segment.inputs), _specs(graph, segment.outputs)
    name = f"PlanishEngine_{index:03d}_{_hash_of(segment, specs, options)}"
    inner = function_def(tf.compat.v1.GraphDef.FromString(segment.graph_def), segment.placeholders,
                         segment.outputs, f"{name}_segment")
    outer = _calling(inner, f"{name}_native_segment", _is_stateful(inner.node_def))
    for function in (inner, outer):
        # TensorFlow leaves functions so marked alone when it optimizes the graph they are in: an engine
        # is built from these nodes, not from what its CPU kernels fuse them to. Run, they are optimized.
        function.attr["_tf_data_function"].b = True
    node = tf.compat.v1.NodeDef()
    _engine_node(node, name, outer.signature.name, specs, options)
    node.device = segment.device
    types = {operation.name: operation.type for operation in graph.get_operations()}
    counts = collections.Counter(types[member] for member in segment.nodes
                                 if types[member] != "Const")
    return _Made(Engine(name, sum(counts.values()), dict(counts), *specs), node, (inner, outer))


def rewrite(graph_def: Any, graph: tf.Graph, segments: Sequence[Any], fetches: Sequence[str],
            feeds: Sequence[str], options: EngineOptions) -> Rewritten:
    """Puts an engine in place of each segment that planish.partition has found.

    fetches stay reachable; a fetched node that is in an engine keeps its name, by an Identity.
    """
    _library.load()
    made = [_make(graph, index, segment, options) for index, segment in enumerate(segments)]
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
    for one, segment in zip(made, segments):
        one.node.input.extend(new_inputs([*segment.inputs,
                                          *(f"^{name}" for name in segment.control_inputs)]))
        nodes.append(one.node)
    where = {name: moved.get(tensor_name(name), tensor_name(name)) for name in fetches}
    for fetch, (name, port) in ((fetch, split_name(fetch)) for fetch in dict.fromkeys(fetches)):
        if name in owner and port == 0 and where[fetch] != f"{name}:0":
            node = tf.compat.v1.NodeDef(name=name, op="Identity", input=[where[fetch]])
            node.attr["T"].type = graph.get_tensor_by_name(f"{name}:0").dtype.as_datatype_enum
            if name not in (other.name for other in nodes):
                nodes.append(node)
            where[fetch] = f"{name}:0"
    out = tf.compat.v1.GraphDef()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    out.library.function.extend(function for one in made for function in one.functions)
    keep = _reachable(nodes, [split_name(one)[0] for one in [*where.values(), *feeds]])
    out.node.extend(node for node in nodes if node.name in keep)
    return Rewritten(out, [one.engine for one in made], where)
