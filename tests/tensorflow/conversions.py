"""One model of model_zoo.py converted inside TensorFlow: SavedModels by Converter, frozen graphs by
create_inference_graph; what came of it, and how far its results are from TensorFlow's own."""

import dataclasses
import os
from typing import Any, Dict, List, Optional

import numpy as np
import tensorflow as tf

import model_zoo
import planish.tensorflow
from planish.tensorflow import _graph

V1 = tf.compat.v1

# Engines and nodes that remain, at most.
BARS = {name: (4, 277) if name.startswith("SSD") else (1, 12) for name in model_zoo.MODELS}


@dataclasses.dataclass
class Conversion:
    saved: model_zoo.Saved
    nodes: int                      # of the frozen graph, constants among them
    nodes_after: int
    engine_nodes: List[int]
    left: List[Any]                 # what the partition left to TensorFlow: op, reason, nodes
    dropped: List[Any]
    costs: List[Any]                # predicted, per engine
    results: Dict[str, np.ndarray]
    statistics: List[Dict[str, Any]]
    converter: Any = None           # of a SavedModel

    def error(self) -> float:
        """The largest difference as a part of its output's largest element."""
        worst = 0.0
        for key, want in self.saved.expected.items():
            got = self.results[key]
            if got.shape != want.shape or got.dtype != want.dtype:
                return float("inf")
            scale = max(1e-6, float(np.max(np.abs(want), initial=0)))
            distance = float(np.max(np.abs(got.astype(np.float64) - want), initial=0)) / scale
            worst = max(worst, distance if distance == distance else float("inf"))
        return worst

    def native_calls(self) -> int:
        return sum(row["native_calls"] for row in self.statistics)

    def problem(self, name: str, bound: float) -> str:
        """What is wrong, or an empty text."""
        engines, nodes = BARS[name]
        if len(self.engine_nodes) > engines or self.nodes_after > nodes:
            return (f"{len(self.engine_nodes)} engines and {self.nodes_after} nodes, expected at most "
                    f"{engines} and {nodes}; left: {[(one.op, one.reason) for one in self.left]}")
        if not self.engine_nodes:
            return f"no engine; left: {[(one.op, one.reason) for one in self.left]}"
        if self.native_calls():
            return f"TensorFlow ran an engine's part: {[row['refusals'] for row in self.statistics]}"
        if not self.error() <= bound:
            return f"differs by {self.error():.3g} of the scale, expected at most {bound:g}"
        return ""


def _engine_sizes(graph_def) -> List[int]:
    """Nodes in each engine's function, without constants and what only names."""
    functions = {one.signature.name: one for one in graph_def.library.function}
    sizes = []
    for node in graph_def.node:
        if node.op == "PlanishEngineOp":
            inner = functions[node.attr["engine_name"].s.decode() + "_segment"]
            sizes.append(sum(one.op not in ("Const", "NoOp") for one in inner.node_def))
    return sizes


def _costs(found: Any) -> List[Any]:
    return [segment.cost._asdict() for segment in found.segments]


def _frozen(saved: model_zoo.Saved, options: Dict[str, Any]) -> Conversion:
    graph_def = V1.GraphDef.FromString(saved.path.read_bytes())
    made = planish.tensorflow.create_inference_graph(graph_def, list(saved.expected), is_dynamic_op=True,
                                                     maximum_cached_engines=2, **options)
    with V1.Session(graph=tf.Graph()) as session:
        V1.import_graph_def(made, name="")
        results = session.run({key: f"{key}:0" for key in saved.expected},
                              {f"{key}:0": value for key, value in saved.feeds.items()})
        rows = list(planish.tensorflow.statistics(made, session).values())
    seen = _graph.without_idle_waits(graph_def)
    found = planish.partition(seen.SerializeToString(deterministic=True), fetches=list(saved.expected),
                              tensors=_graph.known_tensors(_graph.imported(graph_def)),
                              **options["partition_options"])
    return Conversion(saved, len(graph_def.node), len(made.node), _engine_sizes(made), found.left,
                      found.dropped, _costs(found), results, rows)


def convert(name: str, is_full: bool, folder: Any, build_options: Dict[str, Any],
            partition_options: Dict[str, Any], saved: Optional[model_zoo.Saved] = None) -> Conversion:
    """Converts the model and runs it once, with the fallback forbidden. saved: of an earlier conversion."""
    saved = saved or model_zoo.MODELS[name].build(tf, folder, is_full)
    options = {"build_options": build_options, "partition_options": partition_options}
    was = os.environ.get("PLANISH_TF_ALLOW_NATIVE_SEGMENT")
    os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "0"
    try:
        if saved.path.is_file():
            return _frozen(saved, options)
        converter = planish.tensorflow.Converter(str(saved.path), maximum_cached_engines=4, **options)
        function = converter.convert()
        made = converter.signatures["serving_default"]
        results = {key: value.numpy() for key, value in function(
            **{key: tf.constant(value) for key, value in saved.feeds.items()}).items()}
        rows = list(planish.tensorflow.statistics(function).values())
        return Conversion(saved, made.node_count, made.node_count_after,
                          [engine.node_count for engine in made.engines], made.report.left,
                          made.report.dropped, _costs(made.report), results, rows, converter)
    finally:
        os.environ.pop("PLANISH_TF_ALLOW_NATIVE_SEGMENT")
        if was is not None:
            os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = was
