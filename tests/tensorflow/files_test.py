#!/usr/bin/env python3
"""TensorFlow's file formats and what is wrong with them: text and binary graphs, partitioned and
sharded variables, signatures, functions that call themselves, damaged checkpoints. Each bad file
must end in an error that says what is wrong, and in no crash.

Usage: files_test.py PLANISH. Skips (exit code 77) without TensorFlow.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
    from google.protobuf import text_format
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

PLANISH = ""
V1 = tf.compat.v1


def check(path, *options):
    """Exit code and text of an import."""
    done = subprocess.run([PLANISH, "ops", "--check", str(path), *options], capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def run(path, folder, x, *options):
    np.save(folder / "x.npy", x)
    out = folder / "out"
    subprocess.run([PLANISH, "run", str(path), "--deterministic", "--quiet", "--input",
                    f"x={folder / 'x.npy'}", "--output-dir", str(out), *options], check=True,
                   capture_output=True, timeout=60)
    return np.load(out / "y.npy")


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.x = np.arange(8, dtype=np.float32).reshape(2, 4)

    def graph(self, build):
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            tf.identity(build(x), "y")
        return graph

    def saved_model(self):
        """Two signatures over one variable."""
        module = tf.Module()
        module.w = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))
        spec = tf.TensorSpec([None, 4], tf.float32, name="x")
        product = tf.function(lambda x: {"y": x @ module.w}, input_signature=[spec])
        total = tf.function(lambda x: {"y": tf.reduce_sum(x @ module.w, 1)}, input_signature=[spec])
        path = self.folder / "model"
        tf.saved_model.save(module, str(path), signatures={
            "serving_default": product.get_concrete_function(),
            "total": total.get_concrete_function()})
        return path, self.x @ module.w.numpy()

    def test_variables_by_their_objects(self):
        """Saved without export(), a Keras model's signatures read other variable nodes than those that are
        restored; layers of equal names share the names of their variables."""
        layers = tf.keras.layers

        class Twins(tf.keras.Model):
            def __init__(self):
                super().__init__()
                self.first, self.second = (layers.Dense(4, name="twin") for _ in range(2))

            def call(self, x):
                return self.second(self.first(x))

        model = Twins()
        model(self.x[:1])
        for k, weight in enumerate(model.variables):
            weight.assign(np.random.default_rng(k).normal(size=weight.shape))
        path = self.folder / "keras"
        tf.saved_model.save(model, str(path))
        signature = tf.saved_model.load(str(path)).signatures["serving_default"]
        [key] = signature.structured_input_signature[1]
        want = signature(**{key: tf.constant(self.x[:1])})
        np.save(self.folder / "x.npy", self.x[:1])
        subprocess.run([PLANISH, "run", str(path), "--deterministic", "--quiet", "--input",
                        f"{key}={self.folder / 'x.npy'}", "--output-dir", str(self.folder / "out")],
                       check=True, capture_output=True, timeout=60)
        for name, value in want.items():
            np.testing.assert_allclose(np.load(self.folder / "out" / f"{name}.npy"), value.numpy(),
                                       rtol=1e-5, atol=1e-5)

    def refused(self, path, *texts, options=()):
        code, text = check(path, *options)
        self.assertIn(code, (1, 2, 3, 4), text)
        for one in texts:
            self.assertIn(one, text)

    def test_text_and_binary_agree(self):
        definition = self.graph(
            lambda x: tf.nn.relu(x * 2.0 - 5.5) + [[0.1, 1e-7, -3, 4]]).as_graph_def()
        (self.folder / "graph.pb").write_bytes(definition.SerializeToString())
        (self.folder / "graph.pbtxt").write_text(text_format.MessageToString(definition))
        got = [run(self.folder / name, self.folder, self.x) for name in ("graph.pb", "graph.pbtxt")]
        np.testing.assert_array_equal(got[0], got[1])
        want = np.maximum(self.x * 2 - 5.5, 0) + np.array([[0.1, 1e-7, -3, 4]], np.float32)
        np.testing.assert_allclose(got[0], want, rtol=1e-6)

    def test_signatures(self):
        path, want = self.saved_model()
        np.testing.assert_allclose(run(path, self.folder, self.x), want)
        np.testing.assert_allclose(run(path, self.folder, self.x, "--signature", "total"), want.sum(1))
        self.refused(path, "no signature is named 'other'; there are 'serving_default', 'total'",
                     options=["--signature", "other"])
        self.refused(path, "no meta graph has the tags [gpu]", "'serve'", options=["--tags", "gpu"])

    def test_partitioned_variables(self):
        def build(x):
            with V1.variable_scope("", partitioner=V1.fixed_size_partitioner(3, axis=1)):
                parts = V1.get_variable("w", shape=[4, 7], use_resource=False,
                                        initializer=V1.random_normal_initializer(seed=1))
            return x @ tf.convert_to_tensor(parts)

        graph = self.graph(build)
        with V1.Session(graph=graph) as session, graph.as_default():
            session.run(V1.global_variables_initializer())
            V1.train.Saver().save(session, str(self.folder / "model.ckpt"))
            want = session.run("y:0", {"x:0": self.x})
        got = run(self.folder / "model.ckpt.meta", self.folder, self.x, "--from-node", "x",
                  "--to-node", "y")
        np.testing.assert_allclose(got, want, rtol=1e-5)

    def test_damaged_checkpoints(self):
        path, _ = self.saved_model()
        data = path / "variables" / "variables.data-00000-of-00001"
        index = path / "variables" / "variables.index"
        good_data, good_index = data.read_bytes(), index.read_bytes()
        at = good_data.find(np.arange(12, dtype=np.float32).tobytes())
        data.write_bytes(good_data[:at] + b"\x01" + good_data[at + 1:])
        self.refused(path, "does not match its CRC-32C")
        data.write_bytes(good_data[:at + 8])
        self.refused(path, "which has")
        data.unlink()
        self.refused(path, "variables.data-00000-of-00001")
        data.write_bytes(good_data)
        for cut in range(0, len(good_index), 7):
            index.write_bytes(good_index[:cut])
            self.refused(path)
        for k in range(0, len(good_index), 3):
            index.write_bytes(good_index[:k] + bytes([good_index[k] ^ 0x40]) + good_index[k + 1:])
            code, text = check(path)
            self.assertIn(code, (0, 1, 2, 3, 4), text)
        index.unlink()
        self.refused(path, "there is no checkpoint")

    def test_truncated_graphs(self):
        path, _ = self.saved_model()
        model = path / "saved_model.pb"
        good = model.read_bytes()
        for cut in range(0, len(good) - 1, max(1, len(good) // 60)):
            model.write_bytes(good[:cut])
            code, text = check(path)
            self.assertIn(code, (0, 1, 2, 3, 4), text)

    def test_functions_that_call_themselves(self):
        path, _ = self.saved_model()
        model = path / "saved_model.pb"
        from tensorflow.core.protobuf import saved_model_pb2
        proto = saved_model_pb2.SavedModel.FromString(model.read_bytes())
        library = proto.meta_graphs[0].graph_def.library.function
        outer = [f for f in library if any(n.op.endswith("PartitionedCall") for n in f.node_def)]
        self.assertTrue(outer)
        for function in outer:
            for node in function.node_def:
                if node.op.endswith("PartitionedCall"):
                    node.attr["f"].func.name = function.signature.name
        model.write_bytes(proto.SerializeToString())
        self.refused(path, "calls itself")

    def test_unknown_operators_are_listed(self):
        definition = self.graph(lambda x: tf.raw_ops.Betainc(a=x, b=x, x=x) +
                                tf.raw_ops.Lgamma(x=x)).as_graph_def()
        (self.folder / "graph.pb").write_bytes(definition.SerializeToString())
        self.refused(self.folder / "graph.pb", "2 parts of the model", "\n  Betainc", "\n  Lgamma")

    def test_unknown_attributes_are_passed_over(self):
        definition = self.graph(lambda x: x + 1.0).as_graph_def()
        for node in definition.node:
            node.attr["_of_a_later_version"].s = b"\xff\x00"
        definition.versions.producer = 99999
        (self.folder / "graph.pb").write_bytes(definition.SerializeToString())
        np.testing.assert_array_equal(run(self.folder / "graph.pb", self.folder, self.x), self.x + 1)

    def test_broken_graphs(self):
        cases = {
            "reads output 9": lambda d: d.node[-1].input.__setitem__(0, "x:9"),
            "which nothing produces": lambda d: d.node[-1].input.__setitem__(0, "nobody"),
            "two nodes are named": lambda d: d.node.append(d.node[0]),
        }
        for text, damage in cases.items():
            definition = self.graph(lambda x: x + 1.0).as_graph_def()
            damage(definition)
            (self.folder / "graph.pb").write_bytes(definition.SerializeToString())
            self.refused(self.folder / "graph.pb", text)

    def test_broken_text(self):
        for text, expected in [("node { name: \"x\"", "does not end"), ("node { op: 7 }", "line 1"),
                               ("{" * 5000, "line 1"), ("node {" * 200, "nested deeper"),
                               ("node { name: \"\\q\" }", "unknown escape")]:
            (self.folder / "graph.pbtxt").write_text(text)
            self.refused(self.folder / "graph.pbtxt", expected)

    def test_paths_of_the_checkpoint_file_stay_inside(self):
        (self.folder / "checkpoint").write_text('model_checkpoint_path: "../../../etc/passwd"\n')
        self.refused(self.folder, "passwd.meta")
        (self.folder / "checkpoint").write_text('model_checkpoint_path: ".."\n')
        self.refused(self.folder, "names the checkpoint")


if __name__ == "__main__":
    PLANISH = sys.argv.pop(1)
    unittest.main()
