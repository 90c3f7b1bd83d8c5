"""Engines at run time: what is kept of them beside a SavedModel, and what they say about themselves."""

from __future__ import annotations

import json
import weakref
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence

import tensorflow as tf

from . import _library


class Record(NamedTuple):
    """An engine for one range of shapes: shapes as JSON, decisions."""

    shapes: str
    decisions: str


def control(name: str, command: str, argument: str = "", session: Any = None) -> List[bytes]:
    """Asks the engines of that name on the CPU: those of this process, or of a session of TensorFlow 1,
    which has its own."""
    if session is not None:
        with session.graph.as_default(), tf.device("/CPU:0"):
            asked = _library.load().planish_engine_control(argument=argument, engine_name=name,
                                                           command=command)
        return list(session.run(asked))
    with tf.device("/CPU:0"):
        reply = _library.load().planish_engine_control(
            argument=tf.constant(argument), engine_name=name, command=command)
    return list(reply.numpy())


def records(name: str) -> List[Record]:
    flat = control(name, "engines")
    return [Record(shapes.decode(), decisions.decode()) for shapes, decisions in zip(flat[0::2], flat[1::2])]


def write_plan(name: str, index: int, path: str) -> bool:
    """Writes the plan of the engine that is records(name)[index]; False: it has none at hand."""
    return bool(control(name, "write", f"{index} {path}"))


def first_plan(name: str) -> bytes:
    """Of records(name)[0]; empty where there is none."""
    return control(name, "embed")[0]


class Held:
    """Engines of these names live as long as this does, or as the functions that have run them."""

    def __init__(self, names: Iterable[str]):
        names = list(names)
        self._handles = [_library.load().create_planish_engine(engine_name=name) for name in names]
        finalizer = weakref.finalize(self, _forget, names)
        finalizer.atexit = False


def _forget(names: Sequence[str]) -> None:
    for name in names:
        control(name, "forget")


class EngineResource(tf.saved_model.experimental.TrackableResource):
    """Makes TensorFlow hand the files of an engine's assets to it when a SavedModel is loaded."""

    def __init__(self, name: str, assets: Sequence[tf.saved_model.Asset], shapes: Sequence[str]):
        super().__init__()
        self._name, self._assets, self._shapes = name, list(assets), list(shapes)

    def _create_resource(self) -> Any:
        return _library.load().create_planish_engine(engine_name=self._name)

    def _initialize(self) -> None:
        _library.load().initialize_planish_engine(
            self.resource_handle, [asset.asset_path for asset in self._assets], shapes=self._shapes)

    def _destroy_resource(self) -> None:
        _library.load().planish_engine_control(argument="", engine_name=self._name, command="forget")


def _graph_defs(model: Any) -> Iterable[Any]:
    if isinstance(model, tf.compat.v1.GraphDef):
        yield model
    elif isinstance(model, tf.Graph):
        yield model.as_graph_def()
    elif hasattr(model, "graph") and isinstance(model.graph, tf.Graph):
        yield model.graph.as_graph_def()
    elif hasattr(model, "signatures"):
        for signature in model.signatures.values():
            yield signature.graph.as_graph_def()
    else:
        raise TypeError(f"engines of a {type(model).__name__}: expected a loaded SavedModel, a "
                        "ConcreteFunction, a Graph or a GraphDef")


def engine_names(model: Any) -> List[str]:
    """The engines in a loaded SavedModel, a ConcreteFunction, a Graph or a GraphDef."""
    found = {}
    for graph_def in _graph_defs(model):
        for nodes in [graph_def.node, *(f.node_def for f in graph_def.library.function)]:
            for node in nodes:
                if node.op == "PlanishEngineOp":
                    found[node.attr["engine_name"].s.decode()] = None
    return list(found)


def statistics(model: Any, session: Any = None) -> Dict[str, Dict[str, Any]]:
    """Per engine of the model: hits, builds, loads, evictions, engines, bytes, build_ms, run_us, and
    native_calls and native_us of the segment in TensorFlow, with refusals (reason: count). session: the
    one of TensorFlow 1 that runs the model's graph."""
    out = {}
    for name in engine_names(model):
        told = json.loads(control(name, "statistics", session=session)[0])
        row = {"hits": 0, "builds": 0, "loads": 0, "evictions": 0, "engines": 0, "bytes": 0,
               "build_ms": 0.0, "run_us": 0.0, "refusals": {}}
        row.update(told["engine"])
        row["native_calls"], row["native_us"] = told["native_calls"], told["native_us"]
        row["notes"] = told["notes"]
        if told["error"]:
            row["refusals"] = {told["error"]: told["native_calls"]}
        out[name] = row
    return out
