#!/usr/bin/env python3
"""SavedModels with something wrong in them, given to planish.tensorflow.Converter: each ends in an error
that says what and where, and what a newer TensorFlow may have added does no harm.

Usage: bad_models_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
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
    from tensorflow.core.protobuf import saved_model_pb2
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

QUICK = {"build_options": {"deterministic": True}, "partition_options": {"cost_gate": False}}


class BadModels(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        module = tf.Module()
        module.kernel = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
        module.bias = tf.Variable(np.ones(3, np.float32))
        spec = tf.TensorSpec([None, 4], tf.float32, name="x")
        module.run = tf.function(lambda x: {"y": tf.nn.relu(tf.sin(x @ module.kernel) + module.bias)},
                                 input_signature=[spec])
        self.x = np.random.default_rng(2).normal(size=(2, 4)).astype(np.float32)
        self.want = module.run(tf.constant(self.x))["y"].numpy()
        self.module, self.model = module, self.folder / "model"
        tf.saved_model.save(module, str(self.model), signatures=module.run.get_concrete_function())
        self.file, self.shard = self.model / "saved_model.pb", next(self.model.glob("variables/*.data-*"))

    def change(self, edit):
        proto = saved_model_pb2.SavedModel.FromString(self.file.read_bytes())
        edit(proto)
        self.file.write_bytes(proto.SerializeToString())

    def change_nodes(self, edit):
        self.change(lambda proto: [edit(node) for function in
                                   proto.meta_graphs[0].graph_def.library.function
                                   for node in function.node_def])

    def converter(self, **more):
        return planish.tensorflow.Converter(str(self.model), **{**QUICK, **more})

    def refused(self, kind, *texts, **more):
        with self.assertRaises(kind) as raised:
            self.converter(**more).convert()
        for text in texts:
            self.assertIn(text, str(raised.exception))

    def converts(self, engines=1):
        converter = self.converter()
        function = converter.convert()
        np.testing.assert_allclose(function(x=tf.constant(self.x))["y"].numpy(), self.want, 1e-5, 1e-5)
        made = converter.signatures["serving_default"]
        self.assertEqual(len(made.engines), engines)
        return made

    def test_damaged_shards(self):
        good = self.shard.read_bytes()
        self.shard.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        self.refused(planish.DataLossError, "CRC-32C", self.shard.name)
        self.shard.write_bytes(good[:20])
        self.refused(planish.DataLossError, self.shard.name, "which has 20")
        self.shard.unlink()
        self.refused(planish.NotFoundError, self.shard.name)
        self.shard.with_name("variables.index").unlink()
        self.refused(planish.NotFoundError, "there is no checkpoint")

    def test_missing_variable_is_named(self):
        tf.train.Checkpoint(kernel=self.module.kernel).write(str(self.model / "variables" / "variables"))
        self.refused(planish.NotFoundError, "'bias/", "is not in the checkpoint")

    def test_damaged_files(self):
        good = self.file.read_bytes()
        self.file.write_bytes(good[:len(good) // 2])
        self.refused(planish.DataLossError, "saved_model.pb")
        self.file.write_bytes(good)
        self.change(lambda proto: proto.ClearField("meta_graphs"))
        self.refused(planish.InvalidArgumentError, "no meta graph")
        self.file.unlink()
        self.refused(planish.NotFoundError, "saved_model.pb")
        shutil.rmtree(self.model)
        self.refused(planish.NotFoundError, str(self.model))
        self.model.mkdir()

    def test_what_there_is_is_listed(self):
        self.refused(planish.NotFoundError, "'nope'", "serving_default",
                     input_saved_model_signature_key="nope")
        self.refused(planish.PlanishError, "train", input_saved_model_tags=["train"])

    def test_a_newer_tensorflow(self):
        def renew(node):
            node.attr["_of_a_later_version"].list.i.extend([1, 2])
            if node.op == "MatMul":
                node.attr["of_a_later_version"].i = 3

        self.change_nodes(renew)

        def grow(proto):
            proto.meta_graphs[0].graph_def.versions.producer = 99999
            proto.meta_graphs[0].meta_info_def.tensorflow_version = "9.9.9"

        self.change(grow)
        self.converts()

    def test_slots_of_optimizers(self):
        """Keras 2 saved them beside the weights; TensorFlow's loader no longer knows what to do with them."""
        def add_slot(proto):
            nodes = proto.meta_graphs[0].object_graph_def.nodes
            variables = [k for k, node in enumerate(nodes) if node.HasField("variable")]
            nodes[0].slot_variables.add(original_variable_node_id=variables[0], slot_name="m",
                                        slot_variable_node_id=variables[1])

        self.change(add_slot)
        with self.assertRaisesRegex(AttributeError, "add_slot"):
            tf.saved_model.load(str(self.model))
        self.converts()

    def test_operators_of_nobody(self):
        def foreign(node):
            if node.op == "Sin":
                node.op = "NobodysSin"

        self.change_nodes(foreign)
        self.refused(planish.UnsupportedError, "NobodysSin", "load that first")

    def test_what_stays_is_listed(self):
        def other(node):
            if node.op == "Sin":
                node.op = "Dawsn"  # TensorFlow knows it, Planish does not

        self.change_nodes(other)
        converter = self.converter(minimum_segment_size=1)
        function = converter.convert()
        self.want = tf.nn.relu(tf.math.special.dawsn(self.x @ self.module.kernel) + self.module.bias).numpy()
        np.testing.assert_allclose(function(x=tf.constant(self.x))["y"].numpy(), self.want, 1e-5, 1e-5)
        lines = []
        converter.summary(print_fn=lines.append)
        self.assertTrue(any("1x Dawsn: a special function" in line for line in lines), lines)
        self.assertEqual(len(converter.signatures["serving_default"].engines), 2)

    def test_recursive_functions(self):
        def recurse(proto):
            library = proto.meta_graphs[0].graph_def.library.function
            caller = next(function for function in library
                          if any(node.op == "StatefulPartitionedCall" for node in function.node_def))
            for node in caller.node_def:
                if node.op == "StatefulPartitionedCall":
                    node.attr["f"].func.name = caller.signature.name

        self.change(recurse)
        self.refused(planish.PlanishError, "itself")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(f"BadModels.{name}" for name in sys.argv[1:])], verbosity=1)
