#!/usr/bin/env python3
"""planish.tensorflow.create_inference_graph, the form of TensorFlow 1: frozen graphs, SavedModels of
TensorFlow 1, conditions and loops in frames.

Usage: frozen_graphs_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import os
import pathlib
import shutil
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

V1 = tf.compat.v1
QUICK = {"build_options": {"deterministic": True}, "partition_options": {"cost_gate": False}}


def engines_of(graph_def):
    return [node for node in graph_def.node if node.op == "PlanishEngineOp"]


def run_graph(graph_def, x, fetches):
    with V1.Session(graph=V1.Graph()) as session:
        V1.import_graph_def(graph_def, name="")
        return session.run(fetches, {"x:0": x})


class FrozenGraphs(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(os.environ.pop, "PLANISH_TF_ALLOW_NATIVE_SEGMENT", None)
        self.x = np.random.default_rng(3).normal(size=(2, 8)).astype(np.float32)
        self.weights = np.random.default_rng(2).normal(size=(8, 8)).astype(np.float32)

    def frozen(self):
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 8], "x")
            with tf.control_dependencies([tf.no_op("before")]):
                y = tf.nn.relu(x @ tf.constant(self.weights) + 1.0)
            with tf.control_dependencies([y]):
                z = tf.sin(x, "after")
            tf.add(y * 2.0, z, "out")
            tf.identity(y, "side")
        return graph.as_graph_def()

    def test_create_inference_graph(self):
        graph_def = self.frozen()
        fetches = ["out:0", "side:0"]
        want = run_graph(graph_def, self.x, fetches)
        for dynamic in (False, True):
            made = planish.tensorflow.create_inference_graph(
                graph_def, ["out", "side"], max_batch_size=2, minimum_segment_size=2,
                is_dynamic_op=dynamic, nodes_denylist=["after"], **QUICK)
            engines = engines_of(made)
            self.assertTrue(engines)
            self.assertEqual([bool(node.attr["serialized_engine"].s) for node in engines],
                             [not dynamic] * len(engines))
            for got, expected in zip(run_graph(made, self.x, fetches), want):
                np.testing.assert_allclose(got, expected, 1e-5, 1e-5)
        with self.assertRaisesRegex(planish.UnsupportedError, "INT8"):
            planish.tensorflow.calib_graph_to_infer_graph(made)
        with self.assertRaisesRegex(planish.NotFoundError, "no such node"):
            planish.tensorflow.create_inference_graph(graph_def, ["nothing"])

    def test_static_graph_and_a_larger_batch(self):
        made = planish.tensorflow.create_inference_graph(self.frozen(), ["out"], max_batch_size=2,
                                                         minimum_segment_size=2, **QUICK)
        x = np.random.default_rng(3).normal(size=(5, 8)).astype(np.float32)
        np.testing.assert_allclose(run_graph(made, x, ["out:0"])[0],
                                   run_graph(self.frozen(), x, ["out:0"])[0], 1e-5, 1e-5)
        os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "0"
        with self.assertRaisesRegex(tf.errors.AbortedError, "none may be built"):
            run_graph(made, x, ["out:0"])

    def saved_model(self):
        """A SavedModel as TensorFlow 1 wrote them, with variables of both kinds."""
        path = str(self.folder / "model")
        with V1.Session(graph=V1.Graph()) as session:
            x = V1.placeholder(tf.float32, [None, 8], "x")
            kernel = V1.get_variable("kernel", initializer=self.weights, use_resource=False)
            bias = V1.get_variable("bias", initializer=self.weights[0], use_resource=True)
            y = tf.nn.softmax(tf.nn.relu(x @ kernel + bias), name="y")
            session.run(V1.global_variables_initializer())
            V1.saved_model.simple_save(session, path, {"given": x}, {"scores": y})
            return path, session.run(y, {x: self.x})

    def test_saved_models_of_tensorflow_1(self):
        path, want = self.saved_model()
        for dynamic in (False, True):
            out = str(self.folder / f"out{dynamic}")
            made = planish.tensorflow.create_inference_graph(
                None, None, input_saved_model_dir=path, output_saved_model_dir=out, max_batch_size=2,
                is_dynamic_op=dynamic, **QUICK)
            self.assertEqual(len(engines_of(made)), 1)
            os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "0"
            with V1.Session(graph=V1.Graph()) as session:
                meta = V1.saved_model.loader.load(session, ["serve"], out)
                signature = meta.signature_def["serving_default"]
                got = session.run(signature.outputs["scores"].name,
                                  {signature.inputs["given"].name: self.x})
                np.testing.assert_allclose(got, want, 1e-5, 1e-6)
                told = planish.tensorflow.statistics(session.graph, session)
            loaded = tf.saved_model.load(out).signatures["serving_default"]
            np.testing.assert_allclose(loaded(given=tf.constant(self.x))["scores"].numpy(), want, 1e-5, 1e-6)
            [row] = told.values()
            self.assertEqual((row["native_calls"], row["loads"], row["builds"]),
                             (0, 0, 1) if dynamic else (0, 1, 0))
            os.environ.pop("PLANISH_TF_ALLOW_NATIVE_SEGMENT")

    def test_inputs_that_nothing_reads(self):
        path, out = str(self.folder / "model"), str(self.folder / "out")
        with V1.Session(graph=V1.Graph()) as session:
            x, unread = (V1.placeholder(tf.float32, [None, 8], name) for name in ("x", "unread"))
            y = tf.nn.softmax(tf.nn.relu(x @ tf.constant(self.weights) + 1.0), name="y")
            V1.saved_model.simple_save(session, path, {"x": x, "unread": unread}, {"y": y})
            want = session.run(y, {x: self.x})
        planish.tensorflow.create_inference_graph(None, None, input_saved_model_dir=path,
                                                  output_saved_model_dir=out, is_dynamic_op=True, **QUICK)
        loaded = tf.saved_model.load(out).signatures["serving_default"]
        got = loaded(x=tf.constant(self.x), unread=tf.constant(self.x))["y"].numpy()
        np.testing.assert_allclose(got, want, 1e-5, 1e-6)

    def test_refused(self):
        path, _ = self.saved_model()
        convert = planish.tensorflow.create_inference_graph
        with self.assertRaisesRegex(planish.NotFoundError, "nope.*serving_default"):
            convert(None, None, input_saved_model_dir=path, input_saved_model_signature_key="nope")
        with self.assertRaisesRegex(planish.InvalidArgumentError, "either"):
            convert(self.frozen(), ["out"], input_saved_model_dir=path)
        with self.assertRaisesRegex(planish.InvalidArgumentError, "max_batch_size"):
            convert(self.frozen(), ["out"], max_batch_size=0)
        with self.assertRaisesRegex(planish.InvalidArgumentError, "needs input_saved_model_dir"):
            convert(self.frozen(), ["out"], output_saved_model_dir=str(self.folder / "x"), **QUICK)
        shard, = pathlib.Path(path).glob("variables/*.data-*")
        shard.write_bytes(shard.read_bytes()[:20])
        with self.assertRaisesRegex(planish.DataLossError, shard.name):
            convert(None, None, input_saved_model_dir=path)

    def test_frames_and_branches_of_tensorflow_1(self):
        """What stays of a loop or a condition must stay in its frame: constants are tied to it by control
        inputs alone."""
        was_v2 = V1.control_flow_v2_enabled()
        V1.disable_control_flow_v2()
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 8], "x")
            y = tf.nn.relu(x @ tf.constant(self.weights)) + 1.0
            # Cumulative logarithms stay in TensorFlow, and so do the loop and the condition around them.
            _, z = V1.while_loop(lambda k, v: k < 3,
                                 lambda k, v: (k + 1, tf.math.cumulative_logsumexp(v) * 0.5), [0, y])
            c = V1.cond(tf.reduce_sum(x) > 100.0, lambda: tf.constant(7.0),
                        lambda: tf.reduce_max(tf.math.cumulative_logsumexp(z)))
            tf.add(tf.nn.relu(tf.tanh(z @ tf.constant(self.weights)) + 2.0), c, "out")
        if was_v2:
            V1.enable_control_flow_v2()
        graph_def = graph.as_graph_def()
        made = planish.tensorflow.create_inference_graph(graph_def, ["out"], is_dynamic_op=True, **QUICK)
        self.assertEqual(len(engines_of(made)), 2)
        self.assertIn("CumulativeLogsumexp", {node.op for node in made.node})
        for x in (self.x, self.x + 50):
            np.testing.assert_allclose(run_graph(made, x, "out:0"), run_graph(graph_def, x, "out:0"),
                                       1e-5, 1e-5)

    def test_conditions_in_loops_of_tensorflow_1(self):
        was_v2 = V1.control_flow_v2_enabled()
        V1.disable_control_flow_v2()
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 8], "x")
            _, y = V1.while_loop(lambda k, v: tf.reduce_sum(tf.abs(v)) > 1.0, lambda k, v: (
                k + 1, V1.cond(tf.equal(k % 2, 0), lambda: v * 0.5, lambda: tf.tanh(v))), [0, x])
            tf.add(tf.nn.relu(y @ tf.constant(self.weights)), 1.0, "out")
        if was_v2:
            V1.enable_control_flow_v2()
        graph_def = graph.as_graph_def()
        made = planish.tensorflow.create_inference_graph(graph_def, ["out"], is_dynamic_op=True, **QUICK)
        self.assertEqual(len(engines_of(made)), 1)
        self.assertNotIn("Exit", {node.op for node in made.node})
        os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "0"
        np.testing.assert_allclose(run_graph(made, self.x, "out:0"), run_graph(graph_def, self.x, "out:0"),
                                   1e-5, 1e-5)

    def test_nodes_that_stand_where_others_do(self):
        """TensorFlow 1 ties gradients, Switch nodes and asserts to nodes that are in engines afterwards."""
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 8], "x")
            y = tf.nn.relu(x @ tf.constant(self.weights), "inner") + 1.0
            with V1.colocate_with(y.op.inputs[0].op):
                z = tf.math.cumulative_logsumexp(y)
            tf.add(tf.tanh(z @ tf.constant(self.weights)) * 2.0, 1.0, "out")
        graph_def = graph.as_graph_def()
        self.assertTrue(any("_class" in node.attr for node in graph_def.node))
        made = planish.tensorflow.create_inference_graph(graph_def, ["out"], is_dynamic_op=True, **QUICK)
        self.assertEqual(len(engines_of(made)), 2)
        np.testing.assert_allclose(run_graph(made, self.x, "out:0"), run_graph(graph_def, self.x, "out:0"),
                                   1e-5, 1e-5)
        self.assertTrue(any("_class" in node.attr for node in graph_def.node))  # what was given is as it was


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(f"FrozenGraphs.{name}" for name in sys.argv[1:])], verbosity=1)
