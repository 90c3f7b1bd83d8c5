"""Checks that a model's weights let an error show, with onnxruntime.

  python3 bench/models/check_statistics.py [NAME|FILE...] [--fast]

  active   20 to 80 % of the outputs of each ReLU (and ReLU6: between its limits) are active
  classes  at least 10 different top-1 classes over 64 inputs
  range    the root mean square of each weighted layer's output lies in [1e-2, 1e2]
  zeroing  setting any one layer's weights to zero changes the outputs by over 1e-2 of their scale

Also printed, without a bound: `noise`, the worst difference between onnxruntime with and without
its optimizations over the outputs' scale. It says how far rounding alone goes. The weights are fed
as inputs, so one session serves all the zeroings. --fast skips zeroing. Exit status 1 if any fails.
"""

import argparse
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import project_python

    project_python.use()

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from models import generate, inputs

WEIGHTED = {"Conv": [1], "ConvTranspose": [1], "Gemm": [1], "MatMul": [0, 1], "Gather": [0],
            "LSTM": [1, 2], "GRU": [1, 2]}  # fmt: skip
SAMPLES = 64
CHUNK = 4


def session(model, optimized=True):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def mean(value, name):
    """A node for the mean over all axes, in any opset."""
    return helper.make_node("ReduceMean", [value], [name], keepdims=0)


class Probe:
    """The model with measuring nodes added and its float weights turned into inputs."""

    def __init__(self, model):
        self.properties = {p.key: p.value for p in model.metadata_props}
        graph = model.graph
        self.weights = {}
        kept = []
        for weight in graph.initializer:
            if weight.data_type == TensorProto.FLOAT and len(weight.dims) >= 2:
                self.weights[weight.name] = numpy_helper.to_array(weight)
                graph.input.append(
                    helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, weight.dims)
                )
            else:
                kept.append(weight)
        del graph.initializer[:]
        graph.initializer.extend(kept)
        self.outputs = [o.name for o in graph.output]
        self.class_output = self.properties.get("class_output", self.outputs[0])
        # Only these layers are zeroed: a weight that feeds nothing weighted is a table or a mask.
        self.layers = self._find_layers(graph)
        self.plain = session(model)
        self.active, self.rms = self._add_measures(graph)
        self.measuring = session(model)

    def _find_layers(self, graph):
        layers = {}
        for node in graph.node:
            for at in WEIGHTED.get(node.op_type, []):
                name = node.input[at] if at < len(node.input) else ""
                if name in self.weights:
                    layers[name] = node.output[0]
        return layers

    def _add_measures(self, graph):
        """Adds scalars: the active share of each ReLU, the mean square of each layer's output."""
        for name, value in [("probe/zero", 0.0), ("probe/six", 6.0)]:
            graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
        active, rms = {}, {}
        for node in list(graph.node):
            value = node.output[0]
            if node.op_type in ("Relu", "Clip") and not self._is_plain_clip(node):
                above = helper.make_node("Greater", [value, "probe/zero"], [f"{value}/above"])
                state = f"{value}/above"
                graph.node.append(above)
                if node.op_type == "Clip":
                    below = helper.make_node("Less", [value, "probe/six"], [f"{value}/below"])
                    both = helper.make_node("And", [state, f"{value}/below"], [f"{value}/inside"])
                    graph.node.extend([below, both])
                    state = f"{value}/inside"
                cast = helper.make_node("Cast", [state], [f"{value}/cast"], to=TensorProto.FLOAT)
                graph.node.extend([cast, mean(f"{value}/cast", f"{value}/active")])
                active[value] = f"{value}/active"
            if node.op_type in WEIGHTED and any(i in self.weights for i in node.input):
                square = helper.make_node("Mul", [value, value], [f"{value}/square"])
                graph.node.extend([square, mean(f"{value}/square", f"{value}/mean_square")])
                rms[value] = f"{value}/mean_square"
        for name in [*active.values(), *rms.values()]:
            graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, []))
        return active, rms

    @staticmethod
    def _is_plain_clip(node):
        """A Clip that is no activation: the box decoder's, whose limits are 0 and 1."""
        return node.op_type == "Clip" and "limit" not in node.input[1]

    def measure(self, names, feeds):
        return self.measuring.run(names, {**feeds, **self.weights})

    def outputs_with(self, feeds, **changed):
        """The model's outputs with some weights replaced."""
        return self.plain.run(self.outputs, {**feeds, **self.weights, **changed})


def top_classes(value):
    """One class per sample: the index on the last axis whose largest value wins. A model with a
    single number per sample has the bucket of that number: 20 between the least and the largest."""
    flat = value.reshape(len(value), -1, value.shape[-1]).max(1)
    if flat.shape[1] == 1:
        return np.round(19 * (flat - flat.min()) / (np.ptp(flat) + 1e-30)).ravel()
    return flat.argmax(1)


def measure(probe, declared):
    """Active share and root mean square by value, classes, over SAMPLES inputs."""
    names = [probe.class_output, *probe.active.values(), *probe.rms.values()]
    classes, rows = [], []
    for chunk in range(SAMPLES // CHUNK):
        feeds = inputs.random_inputs(declared, probe.properties, CHUNK, 100 + chunk)
        results = probe.measure(names, feeds)
        classes.append(results[0])
        rows.append([float(r) for r in results[1:]])
    means = np.mean(rows, axis=0)
    active = dict(zip(probe.active, means))
    rms = dict(zip(probe.rms, np.sqrt(means[len(active) :])))
    return active, rms, len(set(top_classes(np.concatenate(classes)).tolist()))


def difference(got, want):
    """The largest change of any output over that output's scale (its largest magnitude)."""
    worst = 0.0
    for a, b in zip(got, want):
        if a.shape != b.shape:
            return np.inf
        scale = np.abs(b).max() if b.size else 0
        worst = max(worst, float(np.abs(a - b).max() / (scale + 1e-30))) if b.size else worst
    return worst


def zeroing(probe, declared):
    """The change of the outputs by weight name, when that weight alone is zero."""
    feeds = inputs.random_inputs(declared, probe.properties, 1, 7)
    want = probe.outputs_with(feeds)
    changes = {}
    for name in probe.layers:
        got = probe.outputs_with(feeds, **{name: np.zeros_like(probe.weights[name])})
        changes[name] = difference(got, want)
    return changes


def check(name, fast=False):
    """Prints one block for a model; the list of what failed."""
    path = pathlib.Path(name) if name.endswith(".onnx") else generate.ensure(name)
    start = time.monotonic()
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    declared = [
        (i.name, [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim],
         helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type).name)
        for i in model.graph.input
    ]  # fmt: skip
    properties = {p.key: p.value for p in model.metadata_props}
    feeds = inputs.random_inputs(declared, properties, 2, 7)
    plain, optimized = (session(model, o).run(None, feeds) for o in (False, True))
    noise = difference(optimized, plain)
    probe = Probe(model)
    active, rms, classes = measure(probe, declared)
    failed = []
    if active:
        low, high = min(active, key=active.get), max(active, key=active.get)
        text = f"{active[low]:.2f} ({low}) to {active[high]:.2f} ({high})"
        failed += ["active"] if active[low] < 0.2 or active[high] > 0.8 else []
    else:
        text = "no ReLU"
    lines = [f"active   {text}", f"classes  {classes}", f"noise    {noise:.1e}"]
    failed += ["classes"] if classes < 10 else []
    small, large = min(rms, key=rms.get), max(rms, key=rms.get)
    lines.append(f"range    {rms[small]:.2g} ({small}) to {rms[large]:.2g} ({large})")
    failed += ["range"] if not (rms[small] >= 1e-2 and rms[large] <= 1e2) else []
    if not fast:
        changes = zeroing(probe, declared)
        least = min(changes, key=changes.get)
        lines.append(f"zeroing  {changes[least]:.2g} ({least}), the least of {len(changes)}")
        failed += ["zeroing"] if not changes[least] > 1e-2 else []
    state = f"FAILED: {', '.join(failed)}" if failed else "ok"
    print(f"{name}: {state}  ({time.monotonic() - start:.0f} s)")
    print("".join(f"  {line}\n" for line in lines), end="", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(generate.MODELS))
    parser.add_argument("--fast", action="store_true", help="skip zeroing")
    arguments = parser.parse_args()
    failed = [name for name in arguments.models if check(name, arguments.fast)]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
