#!/usr/bin/env python3
"""Models through `planish run` against TensorFlow: those of model_zoo.py, and every TensorFlow file of
../shared/models (where that folder is; it is passed over with a note elsewhere).

Usage: models_test.py PLANISH [--full] [--table FILE] [MODEL...]
--full: in full size, and all of them unless some are named; --table: results as a page of docs/.
Skips (exit code 77) without TensorFlow.
"""

import argparse
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "models"


# Largest difference as a part of the output's largest element, by --fp32.
BOUNDS = {"exact": 1e-5, "fast": 1e-4}

PAGE = """# TensorFlow models, imported alone

<!-- Made by tests/tensorflow/models_test.py PLANISH --full --table FILE; not by hand. -->

Each model in its full size, saved by TensorFlow {version} and run by Planish without TensorFlow, against
TensorFlow's own results. Weights and batch-norm statistics are random, from fixed seeds, of a spread
that keeps outputs apart. The difference is the largest one over all outputs, as a part of the
output's largest element; the bounds are {exact:g} (`--fp32 exact`) and {fast:g} (`--fp32 fast`).

| model | input | nodes of the file | steps | difference, exact | difference, fast |
|---|---|---|---|---|---|
"""


def planish_run(planish, path, folder, feeds, *options):
    out = folder / "out"
    command = [planish, "run", str(path), "--quiet", "--output-dir", str(out), *options]
    if path.suffix != ".plan":
        command += ["--deterministic"] + ([] if "--fp32" in options else ["--fp32", "exact"])
    for index, (name, array) in enumerate(feeds.items()):
        np.save(folder / f"feed{index}.npy", array)
        command += ["--input", f"{name}={folder / f'feed{index}.npy'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip()[:800]
    manifest = json.loads((out / "manifest.json").read_text())
    return {name: np.load(out / one["file"]) for name, one in manifest.items()}, ""


def difference(got, want):
    return float(np.max(np.abs(got - want), initial=0)) / max(1e-6, float(np.max(np.abs(want), initial=0)))


def worst(got, want, bound):
    """What is wrong, or an empty text."""
    if got is None or got.shape != want.shape:
        return f"got {None if got is None else got.shape}, expected {want.shape}"
    error = difference(got, want)
    return "" if error <= bound else f"differs by {error:.3g} of its scale, bound {bound}"


def build(planish, saved, folder, mode):
    """The plan for the shapes of the inputs, and how many steps it has."""
    plan = folder / f"{mode}.plan"
    shapes = [word for key, x in saved.feeds.items()
              for word in ("--shape", f"{key}:{'x'.join(map(str, x.shape))}")]
    subprocess.run([planish, "build", str(saved.path), "--deterministic", "--quiet", "--fp32", mode,
                    "--output", str(plan), *shapes], check=True, capture_output=True)
    text = subprocess.run([planish, "inspect", str(plan), "--json"], check=True, capture_output=True,
                          text=True).stdout
    return plan, len(json.loads(text)["steps"])


def check_model(planish, name, folder, is_full, with_steps):
    """(what is wrong, the row of the table)."""
    saved = model_zoo.MODELS[name].build(tf, folder, is_full)
    flat = [key for key, value in saved.expected.items()
            if value.size > 2 and np.std(value) < 1e-4 * np.max(np.abs(value))]
    problems = [f"{key}: the outputs hardly differ from each other" for key in flat]
    cells, steps = [], 0
    for mode, bound in BOUNDS.items():
        if with_steps:
            plan, steps = build(planish, saved, folder, mode)
            got, error = planish_run(planish, plan, folder, saved.feeds)
        else:
            got, error = planish_run(planish, saved.path, folder, saved.feeds, "--fp32", mode)
        if got is None:
            return error, ""
        problems += [f"{mode} {key}: {problem}" for key, want in saved.expected.items()
                     if (problem := worst(got.get(key), want, bound))]
        if not problems:
            cells.append(max(difference(got[key], want) for key, want in saved.expected.items()))
    if problems or not with_steps:
        return "; ".join(problems), ""
    inputs = ", ".join(str(list(x.shape)) for x in saved.feeds.values())
    return "", f"| {name} | {inputs} | {saved.nodes} | {steps} | {cells[0]:.1e} | {cells[1]:.1e} |"


def frozen_outputs(path, feeds, fetch):
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run(fetch + ":0", {k: v for k, v in feeds.items()})


def saved_model_outputs(path, image):
    """Inputs for serving_default and what TensorFlow 1's loader gives for them: it also reads models
    that today's Keras cannot."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        signature = meta.signature_def["serving_default"]
        feeds = {}
        for key, info in signature.inputs.items():
            dims = [d.size if d.size > 0 else 2 for d in info.tensor_shape.dim]
            feeds[key] = image(*dims).astype(tf.as_dtype(info.dtype).as_numpy_dtype)
        outputs = session.run({key: info.name for key, info in signature.outputs.items()},
                              {signature.inputs[key].name: value for key, value in feeds.items()})
    return feeds, outputs


def check_shared(planish, folder):
    """(name, problem) of every file in ../shared/models."""
    rng = np.random.default_rng(11)
    results = []

    def against(name, path, feeds, output, want, *options):
        sub = folder / str(len(results))
        sub.mkdir()
        got, error = planish_run(planish, path, sub, feeds, *options)
        results.append((name, error if got is None else worst(got.get(output), want, 1e-5)))

    def image(*shape):
        return rng.uniform(0, 1, shape).astype(np.float32)

    cifar = SHARED / "mlnet_tf"
    x = image(2, 32, 32, 3)
    want = frozen_outputs(cifar / "cifar_model/frozen_model.pb", {"Input:0": x}, "Output")
    against("cifar frozen", cifar / "cifar_model/frozen_model.pb", {"Input": x}, "Output", want)
    against("cifar checkpoint", cifar / "cifar_model", {"Input": x}, "Output", want,
            "--from-node", "Input", "--to-node", "Output")
    x = np.float32(1.7)
    base = SHARED / "tf2onnx_tests_models"
    want = frozen_outputs(base / "regression/graphdef/frozen.pb", {"X:0": x}, "pred")
    against("regression frozen", base / "regression/graphdef/frozen.pb", {"X": x}, "pred", want)
    against("regression SavedModel", base / "regression/saved_model", {"X": x}, "pred", want)
    against("regression checkpoint", base / "regression/checkpoint", {"X": x}, "pred", want,
            "--from-node", "X", "--to-node", "pred")
    for name in ["fc-layers", "lstm", "gru"]:
        path = base / name / "frozen.pb"
        graph_def = tf.compat.v1.GraphDef()
        graph_def.ParseFromString(path.read_bytes())
        feeds = {}
        for node in graph_def.node:
            if node.op == "Placeholder":
                feeds[node.name] = np.float32(1) if node.name == "keep_prob" else image(2, 784)
        want = frozen_outputs(path, {k + ":0": v for k, v in feeds.items()}, "output")
        against(name, path, feeds, "output", want)
    for name, path in [("cifar SavedModel", cifar / "cifar_saved_model"),
                       ("mnist_conv", cifar / "mnist_conv_model"),
                       ("mnist_lr", cifar / "mnist_lr_model"),
                       ("redundant inputs", base / "saved_model_with_redundant_inputs"),
                       ("basic_pitch", SHARED / "basic_pitch/nmp_saved_model")]:
        feeds, outputs = saved_model_outputs(path, image)
        for key, value in outputs.items():
            against(f"{name} {key}", path, feeds, key, value)
    # The sound is an input of the model; its rate, on which the filters depend, is fixed.
    wav = rng.uniform(-0.5, 0.5, (16000, 1)).astype(np.float32)
    for name in ["DNN_S", "CNN_S", "DS_CNN_S", "LSTM_S"]:
        path = SHARED / "kws_tf_frozen" / f"{name}.pb"
        want = frozen_outputs(path, {"decoded_sample_data:0": wav, "decoded_sample_data:1": 16000},
                              "labels_softmax")
        against(name, path, {"decoded_sample_data": wav}, "labels_softmax", want, "--set",
                "decoded_sample_data:1=16000", "--to-node", "labels_softmax")
    # Values of Keras's network of Ultra-Light-Fast, saved by objects: a checkpoint without a graph.
    index, = (SHARED / "ultraface").rglob("*.index")
    done = subprocess.run([planish, "ops", "--check", str(index)], capture_output=True, text=True)
    is_listed = done.returncode != 0 and "values and no graph" in done.stderr and "f32[" in done.stderr
    results.append(("ultraface checkpoint", "" if is_listed else done.stderr[:300]))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("planish")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--table", type=pathlib.Path)
    args = parser.parse_intermixed_args()
    daily = [name for name, model in model_zoo.MODELS.items() if model.is_daily]
    chosen = args.models or (list(model_zoo.MODELS) if args.full else daily + ["shared"])
    results, rows = [], []
    for name in chosen:
        if name == "shared":
            continue
        with tempfile.TemporaryDirectory() as folder:
            problem, row = check_model(args.planish, name, pathlib.Path(folder), args.full,
                                       bool(args.table))
        results.append((name, problem))
        rows += [row] if row else []
        if args.table:
            args.table.write_text(PAGE.format(version=tf.__version__, **BOUNDS) + "\n".join(rows) + "\n")
        print("FAILED" if problem else "ok    ", name, problem, flush=True)
    if "shared" in chosen and SHARED.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            shared = check_shared(args.planish, pathlib.Path(folder))
        for name, problem in shared:
            print("FAILED" if problem else "ok    ", name, problem)
        results += shared
    elif "shared" in chosen:
        print("passed over: ../shared/models is not there")
    failed = sum(bool(problem) for _, problem in results)
    print(f"{len(results)} models, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
