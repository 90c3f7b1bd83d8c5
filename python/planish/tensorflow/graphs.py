"""The 1.x forms: frozen GraphDefs in, GraphDefs with engines out."""

from __future__ import annotations

import os
import warnings
from typing import Any, List, Mapping, Optional, Sequence

import tensorflow as tf

import planish
from planish import InvalidArgumentError, NotFoundError

from . import _engines, _functions, _graph, _library, _loading, _parameters, _weights
from ._parameters import ConversionParams

V1 = tf.compat.v1


def _names(outputs: Sequence[Any]) -> List[str]:
    return [str(getattr(one, "name", one)) for one in outputs]


def create_inference_graph(
        input_graph_def: Any, outputs: Optional[Sequence[Any]], max_batch_size: int = 1,
        max_workspace_size_bytes: int = 2 << 20, precision_mode: str = "FP32",
        minimum_segment_size: int = 3, is_dynamic_op: bool = False, maximum_cached_engines: int = 1,
        cached_engine_batches: Optional[Sequence[int]] = None, use_calibration: bool = True,
        input_saved_model_dir: Optional[str] = None,
        input_saved_model_tags: Optional[Sequence[str]] = None,
        input_saved_model_signature_key: Optional[str] = None,
        output_saved_model_dir: Optional[str] = None, *, nodes_denylist: Sequence[str] = (),
        build_options: Optional[Mapping[str, Any]] = None,
        partition_options: Optional[Mapping[str, Any]] = None) -> Any:
    """A GraphDef of the same outputs, with engines in place of what Planish can take.

    input_graph_def: frozen. outputs: nodes or tensors that are fetched; their names survive. Instead of
    both: input_saved_model_dir, a SavedModel whose signature is frozen, and, if wanted,
    output_saved_model_dir. is_dynamic_op: engines are built at run time, up to maximum_cached_engines
    each; otherwise now, for batches up to max_batch_size: larger ones run in TensorFlow (and are
    counted). cached_engine_batches is ignored, as in TensorFlow's own later versions.
    """
    params = _parameters.check(ConversionParams(
        max_workspace_size_bytes, precision_mode, minimum_segment_size, maximum_cached_engines,
        use_calibration, is_dynamic_op))
    if not is_dynamic_op and (not isinstance(max_batch_size, int) or max_batch_size < 1):
        raise InvalidArgumentError(f"max_batch_size: got {max_batch_size!r}, expected at least 1 "
                                   "unless is_dynamic_op")
    if (input_graph_def is None) == (input_saved_model_dir is None):
        raise InvalidArgumentError("give either input_graph_def or input_saved_model_dir")
    signature = None
    if input_saved_model_dir:
        input_graph_def, signature = _frozen(os.fspath(input_saved_model_dir), input_saved_model_tags,
                                             input_saved_model_signature_key)
        outputs = [info.name for info in signature.outputs.values()]
    if not outputs:
        raise InvalidArgumentError("outputs: at least one node is expected")
    made = _convert(input_graph_def, _names(outputs), params, nodes_denylist, build_options,
                    partition_options, None if is_dynamic_op else max_batch_size)
    if output_saved_model_dir:
        if signature is None:
            raise InvalidArgumentError("output_saved_model_dir needs input_saved_model_dir")
        _save(made, signature, os.fspath(output_saved_model_dir), input_saved_model_tags,
              input_saved_model_signature_key)
    return made


def calib_graph_to_infer_graph(calibration_graph_def: Any, is_dynamic_op: bool = False) -> Any:
    """Refused: calibration comes with INT8."""
    raise _parameters.refuse_int8("calib_graph_to_infer_graph")


def _convert(graph_def: Any, fetches: List[str], params: ConversionParams, deny: Sequence[str],
             build_options: Optional[Mapping[str, Any]],
             partition_options: Optional[Mapping[str, Any]], batch: Optional[int]) -> Any:
    _library.load()
    if params.minimum_segment_size == -1:
        return graph_def
    there = {node.name for node in graph_def.node}
    for name in fetches:
        if _functions.split_name(name)[0] not in there:
            raise NotFoundError(f"output {name!r}: the graph has no such node")
    graph_def, arrays = _weights.take_out(_graph.without_idle_waits(graph_def))
    graph_def = _graph.without_colocations(graph_def)
    graph = _graph.imported(graph_def)

    def partition() -> planish.Partition:
        return planish.partition(graph_def.SerializeToString(deterministic=True), fetches=fetches,
                                 minimum_segment_size=params.minimum_segment_size,
                                 deny_nodes=_parameters.split_denylist(deny),
                                 tensors=_graph.known_tensors(graph), **dict(partition_options or {}))

    found = partition()
    if _weights.is_known_by(graph_def, found.segments, arrays):
        _weights.put_back(graph_def.node, arrays)
        arrays = {}
        found = partition()
    options = _parameters.engine_options(params, 0, True, build_options)
    feeds = [node.name for node in graph_def.node if node.op == "Placeholder"]
    made = _graph.rewrite(graph_def, graph, found.segments, fetches, feeds, options,
                          _graph.WeightStore(arrays))
    if batch:
        for engine, segment in zip(made.engines, found.segments):
            node = next(node for node in made.graph_def.node if node.name == engine.name)
            _embed(node, engine, segment, batch, arrays)
    return made.graph_def


def _embed(node: Any, engine: _graph.Engine, segment: Any, batch: int, arrays: _weights.Arrays) -> None:
    """Builds the engine by running it once and puts its plan into the node."""
    shapes = []
    for spec in engine.inputs:
        dims = None if spec.shape.rank is None else spec.shape.as_list()
        if dims and dims[0] is None:
            dims[0] = batch
        shapes.append(dims)
    if any(dims is None or None in dims for dims in shapes):
        node.attr["allow_build_at_runtime"].b = True
        warnings.warn(f"{engine.name}: its shapes are open beyond the batch, so it is built at run time")
        return
    graph_def = tf.compat.v1.GraphDef.FromString(segment.graph_def)
    _weights.put_back(graph_def.node, arrays)
    wrapped = V1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    native = wrapped.prune([_functions.tensor_name(one) for one in segment.placeholders],
                           list(segment.outputs))
    name = f"{engine.name}_static_{batch}"
    with tf.device("/CPU:0"):
        _library.load().planish_engine_op(
            in_tensor=[tf.zeros(dims, spec.dtype) for dims, spec in zip(shapes, engine.inputs)],
            OutT=[spec.dtype for spec in engine.outputs], engine_name=name, native_segment=native,
            input_shapes=[spec.shape for spec in engine.inputs],
            output_shapes=[spec.shape for spec in engine.outputs],
            workspace_size_bytes=node.attr["workspace_size_bytes"].i,
            build_options=node.attr["build_options"].s)
    plan = _engines.first_plan(name)
    if not plan:
        told = _engines.control(name, "statistics")[0].decode()
        node.attr["allow_build_at_runtime"].b = True
        warnings.warn(f"{engine.name}: no engine could be built now: {told}")
        return
    node.attr["serialized_engine"].s = plan
    _engines.control(name, "forget")


def _frozen(folder: str, tags: Optional[Sequence[str]], key: Optional[str]) -> Any:
    key = key or "serving_default"
    with V1.Session(graph=tf.Graph()) as session, _loading.explained(folder, tags):
        meta = V1.saved_model.loader.load(session, list(tags or ["serve"]), folder)
        if key not in meta.signature_def:
            raise NotFoundError(f"{folder} has no signature {key!r}; there are: "
                                f"{', '.join(sorted(meta.signature_def))}")
        signature = meta.signature_def[key]
        # Inputs that no output reads belong to the signature too.
        infos = [*signature.outputs.values(), *signature.inputs.values()]
        nodes = [_functions.split_name(info.name)[0] for info in infos if info.name]
        frozen = V1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(),
                                                              nodes)
    return frozen, signature


def _save(graph_def: Any, signature: Any, folder: str, tags: Optional[Sequence[str]],
          key: Optional[str]) -> None:
    with V1.Session(graph=_graph.imported(graph_def)) as session:
        builder = V1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(
            session, list(tags or ["serve"]),
            signature_def_map={key or "serving_default": signature})
        builder.save()
