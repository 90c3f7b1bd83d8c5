#!/usr/bin/env python3
"""Models through `planish run` against TensorFlow: Keras networks saved as SavedModels, and every
TensorFlow file of ../shared/models (where that folder is; it is passed over with a note elsewhere).

Usage: models_test.py PLANISH [MODEL...]. Skips (exit code 77) without TensorFlow.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "models"


def spread_weights(model, seed=3):
    """Random weights of a scale that keeps activations alive, and batch norms that discriminate."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            shape, name = tuple(weight.shape), weight.name
            if "variance" in name:
                values.append(rng.uniform(0.5, 1.5, shape))
            elif "mean" in name or "beta" in name or "bias" in name:
                values.append(rng.normal(0, 0.1, shape))
            elif "gamma" in name:
                values.append(rng.uniform(0.8, 1.2, shape))
            elif "normalization" in layer.name or len(shape) < 2:
                values.append(np.asarray(weight))
            else:
                fan = float(np.prod(shape[:-1])) if "depthwise" not in name else float(np.prod(shape[:2]))
                values.append(rng.normal(0, np.sqrt(1.8 / fan), shape))
        if values:
            layer.set_weights([np.asarray(value, np.float32) for value in values])


def keras_models():
    apps = tf.keras.applications

    def image(function, size=96, **more):
        return lambda: function(weights=None, input_shape=(size, size, 3), classes=20, **more)

    def recurrent(layer):
        def build():
            x = tf.keras.Input((10, 6), name="x")
            y = layer(16, return_sequences=True)(x)
            return tf.keras.Model(x, tf.keras.layers.Dense(3)(layer(8)(y)))
        return build

    return {
        "MobileNet": image(apps.MobileNet, alpha=0.25),
        "MobileNetV2": image(apps.MobileNetV2, alpha=0.35),
        "ResNet50": image(apps.ResNet50, 64),
        "LSTM": recurrent(tf.keras.layers.LSTM),
        "GRU": recurrent(tf.keras.layers.GRU),
        # On request only: larger than what every test run should pay for.
        "ResNet50V2": image(apps.ResNet50V2, 64),
        "InceptionV3": image(apps.InceptionV3),
        "VGG16": image(apps.VGG16, 32),
        "VGG19": image(apps.VGG19, 32),
        "DenseNet121": image(apps.DenseNet121, 64),
        "NASNetMobile": image(apps.NASNetMobile, 64),
        "EfficientNetB0": image(apps.EfficientNetB0, 64),
    }


DAILY = ["MobileNet", "MobileNetV2", "ResNet50", "LSTM", "GRU"]


def planish_run(planish, path, folder, feeds, *options):
    out = folder / "out"
    command = [planish, "run", str(path), "--deterministic", "--quiet", "--fp32", "exact",
               "--output-dir", str(out), *options]
    for index, (name, array) in enumerate(feeds.items()):
        np.save(folder / f"feed{index}.npy", array)
        command += ["--input", f"{name}={folder / f'feed{index}.npy'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip()[:800]
    manifest = json.loads((out / "manifest.json").read_text())
    return {name: np.load(out / one["file"]) for name, one in manifest.items()}, ""


def worst(got, want, bound, discriminates=False):
    """What is wrong, or an empty text."""
    if got is None or got.shape != want.shape:
        return f"got {None if got is None else got.shape}, expected {want.shape}"
    scale = max(1e-6, float(np.max(np.abs(want))))
    error = float(np.max(np.abs(got - want))) / scale
    spread = float(np.std(want)) / scale
    if not error <= bound:
        return f"differs by {error:.3g} of its scale, bound {bound}"
    is_flat = discriminates and spread < 1e-4
    return f"the outputs hardly differ from each other ({spread:.3g})" if is_flat else ""


def check_keras(planish, name, build, folder):
    tf.keras.utils.set_random_seed(1)
    model = build()
    spread_weights(model)
    path = folder / "saved_model"
    model.export(str(path), verbose=False)
    loaded = tf.saved_model.load(str(path)).signatures["serving_default"]
    (key, spec), = loaded.structured_input_signature[1].items()
    shape = [2 if d is None else d for d in spec.shape]
    x = np.random.default_rng(5).normal(0, 1, shape).astype(np.float32)
    expected = {k: v.numpy() for k, v in loaded(**{key: tf.constant(x)}).items()}
    got, error = planish_run(planish, path, folder, {key: x})
    if got is None:
        return error
    return "; ".join(filter(None, (worst(got.get(k), v, 1e-5, True) for k, v in expected.items())))


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
    wav = rng.uniform(-0.5, 0.5, (16000, 1)).astype(np.float32)
    for name in ["DNN_S", "CNN_S", "DS_CNN_S", "LSTM_S"]:
        path = SHARED / "kws_tf_frozen" / f"{name}.pb"
        want = frozen_outputs(path, {"decoded_sample_data:0": wav, "decoded_sample_data:1": 16000},
                              "labels_softmax")
        mfcc = frozen_outputs(path, {"decoded_sample_data:0": wav, "decoded_sample_data:1": 16000},
                              "Mfcc")
        against(name, path, {"Mfcc": mfcc}, "labels_softmax", want, "--from-node", "Mfcc",
                "--to-node", "labels_softmax")
    return results


def main():
    planish, chosen = sys.argv[1], sys.argv[2:]
    results = []
    for name, build in keras_models().items():
        if name not in (chosen or DAILY):
            continue
        with tempfile.TemporaryDirectory() as folder:
            results.append((name, check_keras(planish, name, build, pathlib.Path(folder))))
    if not chosen or "shared" in chosen:
        if SHARED.is_dir():
            with tempfile.TemporaryDirectory() as folder:
                results += check_shared(planish, pathlib.Path(folder))
        else:
            print("passed over: ../shared/models is not there")
    for name, problem in results:
        print("FAILED" if problem else "ok    ", name, problem)
    failed = sum(bool(problem) for _, problem in results)
    print(f"{len(results)} models, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
