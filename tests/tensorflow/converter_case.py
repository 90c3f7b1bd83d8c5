"""What the tests of planish.tensorflow.Converter share: a small network as a SavedModel, conversions of it,
and what a fresh process makes of a converted one. Importing this fails without TensorFlow and the
planish package."""

import gc
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import tensorflow as tf

import planish.tensorflow

V1 = tf.compat.v1
Converter = planish.tensorflow.Converter
QUICK = {"build_options": {"deterministic": True}, "partition_options": {"cost_gate": False}}

# Loads a converted model in a process of its own, by TensorFlow 2's loader and by TensorFlow 1's, and
# prints worst errors per signature and the statistics.
FRESH = """
import json, sys
import numpy as np
import tensorflow as tf
import planish.tensorflow
folder, data = sys.argv[1:3]
data = np.load(data)
model = tf.saved_model.load(folder)
out = {"errors": {}, "structure": {}}
for key, signature in model.signatures.items():
    got = signature(image=tf.constant(data["image"]))
    out["errors"][key] = max(float(np.abs(got[name].numpy() - data[name]).max()) for name in got)
    out["structure"][key] = sorted(got)
out["statistics"] = list(planish.tensorflow.statistics(model).values())
V1 = tf.compat.v1
with V1.Session(graph=V1.Graph()) as session:
    meta = V1.saved_model.loader.load(session, ["serve"], folder)
    signature = meta.signature_def["serving_default"]
    got = session.run({k: v.name for k, v in signature.outputs.items()},
                      {signature.inputs["image"].name: data["image"]})
    out["errors"]["v1"] = max(float(np.abs(got[name] - data[name]).max()) for name in got)
print("RESULT " + json.dumps(out))
"""


class Net(tf.Module):
    """A small network whose outputs tell inputs apart."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.kernel = tf.Variable(rng.normal(0, 0.4, (3, 3, 3, 16)).astype(np.float32))
        self.bias = tf.Variable(rng.normal(0, 0.4, 16).astype(np.float32))
        self.variance = tf.Variable(rng.uniform(0.5, 1.5, 16).astype(np.float32))
        self.weights = tf.Variable(rng.normal(0, 1, (16, 5)).astype(np.float32))
        self.count = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None, 12, 12, 3], tf.float32, "image")])
    def run(self, image):
        y = tf.nn.bias_add(tf.nn.conv2d(image, self.kernel, 2, "SAME"), self.bias)
        y, _, _ = V1.nn.fused_batch_norm(y, self.bias, self.bias, self.bias, self.variance,
                                         is_training=False)
        y = tf.reduce_mean(tf.nn.relu(y), [1, 2])
        return {"scores": tf.nn.softmax(y @ self.weights), "features": y}

    @tf.function(input_signature=[tf.TensorSpec([None, 12, 12, 3], tf.float32, "image")])
    def features(self, image):
        return {"features": self.run(image)["features"]}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "by")])
    def add(self, by):
        return {"count": self.count.assign_add(by)}


def data(batch=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, 12, 12, 3)).astype(np.float32)


class ConverterCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp())
        cls.net = Net()
        cls.model = str(cls.root / "model")
        tf.saved_model.save(cls.net, cls.model, signatures={"serving_default": cls.net.run,
                                                            "features": cls.net.features})

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def setUp(self):
        gc.collect()  # the engines of a model live as long as it does, and identical ones are shared
        self.folder = self.root / self.id().split(".")[-1]
        self.folder.mkdir()
        self.addCleanup(os.environ.pop, "PLANISH_TF_ALLOW_NATIVE_SEGMENT", None)

    def want(self, image):
        return {key: value.numpy() for key, value in self.net.run(tf.constant(image)).items()}

    def assert_equal(self, got, image, tolerance=1e-5):
        want = self.want(image)
        for key in got:
            np.testing.assert_allclose(got[key].numpy(), want[key], tolerance, tolerance)

    def converted(self, **more):
        converter = Converter(self.model, **{**QUICK, **more})
        return converter, converter.convert()

    def told(self, converter):
        [row] = {json.dumps(one, sort_keys=True) for one in
                 planish.tensorflow.statistics(converter.signatures["serving_default"].function).values()}
        return json.loads(row)

    def saved(self, name="converted", save={}, **more):
        """A converted model that has one engine, for batches up to 4."""
        converter, _ = self.converted(**more)
        converter.build(lambda: iter([data()]))
        converter.save(str(self.folder / name), **save)
        return self.folder / name

    def fresh(self, folder, **environment):
        image = data()
        np.savez(self.folder / "data.npz", image=image, **self.want(image))
        done = subprocess.run([sys.executable, "-c", FRESH, str(folder), str(self.folder / "data.npz")],
                              capture_output=True, text=True, env={**os.environ, **environment})
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        self.assertTrue(lines, done.stderr[-3000:])
        out = json.loads(lines[0][7:])
        out["log"] = done.stderr
        for key, error in out["errors"].items():
            self.assertLess(error, 1e-5, key)
        self.assertEqual(out["structure"], {"serving_default": ["features", "scores"],
                                            "features": ["features"]})
        return out
