#!/usr/bin/env python3
"""Partition against TensorFlow: frozen Keras networks and a detector are cut into segments, every
segment is run by TensorFlow itself as a graph of its own, and the whole gives what it gave before.

Usage: partition_test.py PLANISH [MODEL...]. Skips (exit code 77) without TensorFlow. The segments come
from `planish partition --report json`.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import model_zoo
from models_test import SHARED

# Nodes that remain when each segment is one node, without constants; engines.
BARS = {"ResNet50": (12, 1), "MobileNet": (12, 1), "MobileNetV2": (12, 1), "SSD": (277, 4)}


def frozen(function, *specs):
    from tensorflow.python.framework import convert_to_constants
    made = tf.function(function).get_concrete_function(*specs)
    made = convert_to_constants.convert_variables_to_constants_v2(made, lower_control_flow=False)
    return made.graph.as_graph_def(), [one.name for one in made.outputs]


def keras(name):
    tf.keras.utils.set_random_seed(1)
    model = model_zoo.MODELS[name].build.network(tf, is_full=False)
    model_zoo.spread_weights(model)
    spec = tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32)
    return frozen(lambda x: model(x, training=False), spec)


def detector():
    """Boxes and scores by convolutions, then the best ones of each class."""
    rng = np.random.default_rng(3)
    weights = [tf.constant(rng.normal(0, 0.2, shape), tf.float32)
               for shape in ((3, 3, 3, 8), (3, 3, 8, 4), (3, 3, 8, 3))]

    def detect(image):
        deep = tf.nn.relu(tf.nn.conv2d(image, weights[0], 2, "SAME"))
        corner = tf.reshape(tf.nn.conv2d(deep, weights[1], 2, "SAME"), [-1, 4])
        boxes = tf.concat([corner[:, :2], corner[:, :2] + tf.abs(corner[:, 2:])], 1)
        scores = tf.sigmoid(tf.reshape(tf.nn.conv2d(deep, weights[2], 2, "SAME"), [-1, 3]))
        found = []
        for label in range(3):
            chosen = tf.image.non_max_suppression(boxes, scores[:, label], 10)
            found.append(tf.gather(boxes, chosen) * tf.gather(scores[:, label], chosen)[:, None])
        return tf.concat(found, 0)

    return frozen(detect, tf.TensorSpec([1, 64, 64, 3], tf.float32))


def partition(planish, path, fetches, *options):
    command = [planish, "partition", str(path), "--report", "json", *options]
    for name in fetches:
        command += ["--to-node", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def segment_graph(graph_def, segment):
    """The segment's nodes behind placeholders, as a host would cut them out."""
    inside = set(segment["nodes"]) | set(segment["copied"])
    sources = {one["tensor"]: one["name"] for one in segment["inputs"]}
    full = lambda text: text if ":" in text else text + ":0"
    out = tf.compat.v1.GraphDef()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    for one in segment["inputs"]:
        dtype = tf.as_dtype({"f32": "float32", "i32": "int32", "i64": "int64", "bool": "bool"}[one["dtype"]])
        node = out.node.add(name=one["name"], op="Placeholder")
        node.attr["dtype"].type = dtype.as_datatype_enum
    for node in graph_def.node:
        if node.name not in inside:
            continue
        copy = out.node.add()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(sources.get(full(text), text) for text in node.input
                          if not text.startswith("^") or text[1:] in inside)
    return out


def run(graph_def, feeds, fetches):
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(fetches, feeds)


def check(planish, name, graph_def, fetches, folder, *options):
    """(nodes, nodes in engines, engines, rest after rewriting, what is wrong)"""
    path = folder / f"{name}.pb"
    path.write_bytes(graph_def.SerializeToString())
    report = partition(planish, path, fetches, *options)
    engines = report["engines"]
    rest = report["nodes"] - report["taken"] - report["constants"] + len(engines)
    row = [report["nodes"], report["taken"], len(engines), rest]
    bar_rest, bar_engines = BARS.get(name, (10 ** 9, 10 ** 9))
    if not options and (rest > bar_rest or len(engines) > bar_engines):
        return row + [f"expected at most {bar_rest} nodes and {bar_engines} engines"]
    rng = np.random.default_rng(5)
    feeds = {}
    for node in graph_def.node:
        if node.op == "Placeholder":
            shape = [2 if d.size < 0 else d.size for d in node.attr["shape"].shape.dim]
            feeds[node.name + ":0"] = rng.normal(0, 1, shape).astype(np.float32)
    border = sorted({one["tensor"] for engine in engines for one in engine["inputs"] + engine["outputs"]})
    border = [one for one in border if one not in feeds]
    values = dict(zip(border, run(graph_def, feeds, border)))
    values.update(feeds)
    for engine in engines:
        part = segment_graph(graph_def, engine)
        got = run(part, {one["name"] + ":0": values[one["tensor"]] for one in engine["inputs"]},
                  [one["name"] for one in engine["outputs"]])
        for one, value in zip(engine["outputs"], got):
            want = values[one["tensor"]]
            shape = one["shape"]
            if shape is not None and (len(shape) != want.ndim or any(
                    a not in (-1, b) for a, b in zip(shape, want.shape))):
                return row + [f"{one['tensor']} is {want.shape}, the report says {shape}"]
            scale = max(1e-6, float(np.max(np.abs(want)))) if want.size else 1
            if value.shape != want.shape or not np.all(np.abs(value - want) <= 1e-5 * scale):
                return row + [f"{engine['name']} gives another {one['tensor']}"]
    return row + [""]


def main():
    planish, names = sys.argv[1], sys.argv[2:] or ["MobileNet", "ResNet50", "LSTM", "SSD", "speech"]
    failed = False
    print(f"{'model':14} {'nodes':>6} {'taken':>6} {'engines':>8} {'after':>6}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def show(name, row):
            nonlocal failed
            failed = failed or bool(row[-1])
            print(f"{name:14} {row[0]:6} {row[1]:6} {row[2]:8} {row[3]:6}  {row[-1] or 'good'}", flush=True)

        for name in names:
            if name == "speech":
                for path in sorted((SHARED / "kws_tf_frozen").glob("*.pb")):
                    report = partition(planish, path, ["labels_softmax"])
                    audio = {"DecodeWav"} <= {one["op"] for one in report["left"]}
                    rest = report["nodes"] - report["taken"] - report["constants"] + len(report["engines"])
                    good = audio and len(report["engines"]) == 1 and rest <= 8
                    show(path.stem, [report["nodes"], report["taken"], len(report["engines"]), rest,
                                     "" if good else "expected one engine and DecodeWav outside"])
                continue
            graph_def, fetches = detector() if name == "SSD" else keras(name)
            show(name, check(planish, name, graph_def, fetches, folder))
            # In pieces: some operators in the middle stay in TensorFlow.
            show(name + " cut", check(planish, name, graph_def, fetches, folder, "--deny-op", "Mean",
                                      "--deny-op", "MaxPool", "--deny-op", "Sigmoid", "--no-cost-gate"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
