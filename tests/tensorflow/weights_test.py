#!/usr/bin/env python3
"""Weights of converted models: they are variables of the SavedModel, once, whatever reads them, and no part
of its graphs.

Usage: weights_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import collections
import gc
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
    import planish.tensorflow
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from planish.tensorflow import _signatures, _weights

V1 = tf.compat.v1
QUICK = {"build_options": {"deterministic": True, "fp32": "exact"}, "partition_options": {"cost_gate": False}}
WIDTH, DEPTH = 77, 150  # 11,550 elements: no whole number of aligned ones


class Net(tf.Module):
    def __init__(self):
        rng = np.random.default_rng(4)
        self.first = tf.Variable(rng.normal(0, 0.1, (WIDTH, DEPTH)).astype(np.float32))
        self.second = tf.Variable(rng.normal(0, 0.1, (DEPTH, WIDTH)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, "x")])
    def run(self, x):
        y = tf.nn.relu(x @ self.first)
        # A reader of the weights that a test leaves to TensorFlow.
        z = tf.math.cumsum(self.second, axis=0)
        return {"y": tf.nn.relu(y @ self.second) + 1.0, "z": tf.tanh(x) @ tf.transpose(z)}


def rows(batch=3):
    return np.random.default_rng(8).normal(size=(batch, WIDTH)).astype(np.float32)


class WeightsTest(unittest.TestCase):
    def setUp(self):
        gc.collect()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.net = Net()
        self.model = str(self.folder / "model")
        tf.saved_model.save(self.net, self.model, signatures={"serving_default": self.net.run,
                                                              "again": self.net.run})

    def assert_equal(self, got):
        for key, value in self.net.run(tf.constant(rows())).items():
            np.testing.assert_allclose(got[key], value, 1e-5, 1e-5)

    def converted(self, **more):
        converter = planish.tensorflow.Converter(self.model, **{**QUICK, **more})
        return converter, converter.convert()

    def saved(self, **more):
        converter, function = self.converted(**more)
        self.assert_equal(function(x=tf.constant(rows())))
        converter.save(str(self.folder / "converted"), save_engines="decisions")
        return converter, self.folder / "converted"

    def test_once_and_outside_of_graphs(self):
        converter, folder = self.saved()
        names = {e.name for one in converter.signatures.values() for e in one.engines}
        self.assertEqual(len(names), 1)  # equal signatures share it
        self.assertLess((folder / "saved_model.pb").stat().st_size, 4 * WIDTH * DEPTH)
        held = tf.train.list_variables(str(folder / "variables" / "variables"))
        sizes = [int(np.prod(shape)) for name, shape in held if "OBJECT_GRAPH" not in name]
        self.assertEqual(len(sizes), 1)
        self.assertGreaterEqual(sizes[0], 2 * WIDTH * DEPTH)
        self.assertLess(sizes[0], 2 * WIDTH * DEPTH + 2 * _weights.ALIGNED_ELEMENTS)

    def test_loaded(self):
        _, folder = self.saved()
        gc.collect()
        model = tf.saved_model.load(str(folder))
        self.assert_equal(model.signatures["again"](x=tf.constant(rows())))
        told = planish.tensorflow.statistics(model)
        self.assertEqual([one["native_calls"] for one in told.values()], [0])
        with V1.Session(graph=tf.Graph()) as session:
            meta = V1.saved_model.loader.load(session, ["serve"], str(folder))
            signature = meta.signature_def["serving_default"]
            got = session.run({key: info.name for key, info in signature.outputs.items()},
                              {signature.inputs["x"].name: rows()})
        self.assert_equal(got)

    def test_segments_in_tensorflow_read_them(self):
        converter, function = self.converted(allow_build_at_runtime=False)
        self.assert_equal(function(x=tf.constant(rows())))
        converter.save(str(self.folder / "native"))
        converter = function = None
        gc.collect()
        model = tf.saved_model.load(str(self.folder / "native"))
        signature = model.signatures["serving_default"]
        model = None
        gc.collect()  # a signature keeps its weights when its model is gone
        self.assert_equal(signature(x=tf.constant(rows())))
        self.assertEqual([one["native_calls"] for one in planish.tensorflow.statistics(signature).values()],
                         [1])

    def test_what_stays_in_tensorflow_has_its_own(self):
        converter, function = self.converted(ops_denylist=["Cumsum"])
        self.assertIn("Cumsum", {one.op for one in converter.signatures["serving_default"].report.left})
        self.assert_equal(function(x=tf.constant(rows())))
        self.assertTrue(all(one["native_calls"] == 0 for one in converter.statistics().values()))

    def test_frozen_graphs_hold_them(self):
        frozen = planish.tensorflow.create_inference_graph(
            None, None, is_dynamic_op=True, input_saved_model_dir=self.model, **QUICK)
        self.assertGreater(frozen.ByteSize(), 2 * 4 * WIDTH * DEPTH)
        signature = V1.saved_model.loader.load(V1.Session(graph=tf.Graph()), ["serve"],
                                               self.model).signature_def["serving_default"]
        with V1.Session(graph=tf.Graph()) as session:
            V1.import_graph_def(frozen, name="")
            got = session.run({key: info.name for key, info in signature.outputs.items()},
                              {signature.inputs["x"].name: rows()})
            told = planish.tensorflow.statistics(frozen, session)
        self.assert_equal(got)
        self.assertTrue(told and all(one["native_calls"] == 0 for one in told.values()))

    def test_read_without_tensorflow(self):
        program = os.environ.get("PLANISH_PROGRAM")
        if not program:
            self.skipTest("PLANISH_PROGRAM is not set")
        _, folder = self.saved()
        np.save(self.folder / "x.npy", rows())
        done = subprocess.run([program, "run", str(folder), "--input", f"x={self.folder}/x.npy",
                               "--fp32", "exact", "--output-dir", str(self.folder)],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_equal({key: np.load(self.folder / f"{key}.npy") for key in ("y", "z")})

    def test_too_large_for_a_message(self):
        was = _signatures.MOST_WEIGHT_BYTES
        self.addCleanup(setattr, _signatures, "MOST_WEIGHT_BYTES", was)
        _signatures.MOST_WEIGHT_BYTES = 1000
        with self.assertRaisesRegex(planish.ResourceExhaustedError, "92400 bytes.*2 GiB"):
            self.converted()

    def test_values_written_into_a_segment(self):
        graph = tf.Graph()
        with graph.as_default():
            weights = tf.constant(np.ones((100, 100), np.float32), name="weights")
            tf.add(tf.reduce_sum(weights, name="of_elements"), 1.0, name="taken")
            tf.add(tf.size(weights, name="of_shape"), 1, name="also_taken")
        light, arrays = _weights.take_out(graph.as_graph_def())
        self.assertEqual(list(arrays), ["weights"])
        for reader, is_known in [("taken", True), ("also_taken", False)]:
            part = V1.GraphDef()
            part.node.add(name=reader, op="AddV2", input=["planish_known_0", "y"])
            segment = collections.namedtuple("Segment", "graph_def")(part.SerializeToString())
            self.assertEqual(_weights.is_known_by(light, [segment], arrays), is_known)
        _weights.put_back(light.node, arrays)
        [node] = [one for one in light.node if one.name == "weights"]
        np.testing.assert_array_equal(tf.make_ndarray(node.attr["value"].tensor), np.ones((100, 100)))


if __name__ == "__main__":
    unittest.main()
