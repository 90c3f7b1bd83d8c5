#!/usr/bin/env python3
"""What planish.tensorflow.Converter saves: signatures, engines among the assets, what a fresh process makes of
them in another folder, and what the command line does.

Usage: saved_models_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import gc
import json
import os
import shutil
import subprocess
import sys
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

from converter_case import QUICK, Converter, ConverterCase, data


class SavedModels(ConverterCase):
    # What is saved.

    def test_fresh_process_moved_folder(self):
        folder = self.saved()
        moved = self.folder / "elsewhere" / "deep"
        moved.parent.mkdir()
        shutil.move(folder, moved)
        out = self.fresh(moved, PLANISH_TF_ALLOW_NATIVE_SEGMENT="0")
        self.assertIn((1, 0), {(row["loads"], row["builds"]) for row in out["statistics"]})
        self.assertEqual({row["native_calls"] for row in out["statistics"]}, {0})

    def test_onednn_off(self):
        self.fresh(self.saved(), TF_ENABLE_ONEDNN_OPTS="0", PLANISH_TF_ALLOW_NATIVE_SEGMENT="0")

    def test_damaged_engine(self):
        # Built anew where that is allowed; otherwise TensorFlow runs the segment.
        for allowed in (True, False):
            folder = self.saved(f"converted{allowed}", allow_build_at_runtime=allowed,
                                use_dynamic_shape=True)
            plans = list((folder / "assets").glob("*.plan"))
            self.assertTrue(plans)
            for plan in plans:
                content = bytearray(plan.read_bytes())
                content[len(content) // 2] ^= 0x55
                plan.write_bytes(content[:len(content) * 3 // 4])
            out = self.fresh(folder)
            [row] = [row for row in out["statistics"] if row["notes"]]
            self.assertIn("not taken over", row["notes"][0])
            self.assertEqual((row["builds"], row["native_calls"]), (1, 0) if allowed else (0, 1))

    def test_decisions_need_no_weights(self):
        folder = self.saved(save={"save_engines": "decisions"})
        assets = list((folder / "assets").iterdir())
        self.assertTrue(assets and all(one.suffix == ".json" for one in assets))
        out = self.fresh(folder, PLANISH_TF_ALLOW_NATIVE_SEGMENT="0")
        self.assertIn(1, {row["builds"] for row in out["statistics"]})

    def test_no_engine_no_asset(self):
        converter, _ = self.converted()
        converter.save(str(self.folder / "unbuilt"))
        self.assertFalse(list((self.folder / "unbuilt").glob("assets/*")))
        folder = self.saved("without", save={"save_gpu_specific_engines": False})
        self.assertFalse(list(folder.glob("assets/*")))
        out = self.fresh(folder, PLANISH_TF_ALLOW_NATIVE_SEGMENT="0")
        self.assertEqual({row["loads"] for row in out["statistics"]}, {0})

    def test_options_of_the_save(self):
        converter, _ = self.converted()
        path = self.folder / "with_options"
        converter.save(str(path), options=tf.saved_model.SaveOptions(save_debug_info=True))
        self.assertTrue(list(path.glob("debug/*")))

    def test_a_signature_that_changes_state_is_kept(self):
        path = str(self.folder / "counting")
        tf.saved_model.save(self.net, path, signatures={"serving_default": self.net.run,
                                                        "add": self.net.add})
        converter = Converter(path, **QUICK)
        converter.convert()
        self.assertIn("changes state", converter.signatures["add"].kept)
        converter.save(str(self.folder / "out"))
        loaded = tf.saved_model.load(str(self.folder / "out"))
        self.assertEqual([int(loaded.signatures["add"](by=tf.constant(2))["count"]) for _ in range(2)],
                         [2, 4])
        image = data()
        self.assert_equal(loaded.signatures["serving_default"](image=tf.constant(image)), image)
        lines = []
        converter.summary(print_fn=lines.append)
        self.assertTrue(any("kept as it is: it changes state" in line for line in lines))

    def test_signatures_keep_their_names_and_shapes(self):
        folder = self.saved()
        original, loaded = tf.saved_model.load(self.model), tf.saved_model.load(str(folder))
        for key, signature in original.signatures.items():
            self.assertEqual(loaded.signatures[key].structured_input_signature,
                             signature.structured_input_signature)
            self.assertEqual(loaded.signatures[key].structured_outputs, signature.structured_outputs)

    def test_equal_signatures_share_their_engine(self):
        """Keras's export() writes every model twice, as serve and serving_default."""
        layers = tf.keras.layers
        model = tf.keras.Sequential([layers.Input((12, 12, 3), name="image"), layers.Conv2D(4, 3),
                                     layers.Flatten(), layers.Dense(300)])
        model.export(str(self.folder / "keras"), verbose=False)
        converter = Converter(str(self.folder / "keras"), **QUICK)
        converter.convert()
        first, second = converter.signatures.values()
        self.assertEqual(first.engines, second.engines)
        self.assertEqual(len(first.engines), 1)
        converter.save(str(self.folder / "out"))
        file = self.folder / "out" / "saved_model.pb"
        weights = 4 * sum(int(np.prod(one.shape)) for one in model.weights)
        self.assertLess(file.stat().st_size, 1.5 * weights)  # once

    def test_trained_ranges_stay_in_the_segment(self):
        """What FakeQuant nodes were trained for is there when an engine is built, whatever its precision."""
        kernel = tf.constant(np.random.default_rng(1).normal(0, 0.4, (3, 3, 3, 4)).astype(np.float32))
        quantize = tf.quantization

        def run(image):
            y = quantize.fake_quant_with_min_max_vars(image, -2.5, 2.5)
            y = tf.nn.conv2d(y, quantize.fake_quant_with_min_max_vars_per_channel(
                kernel, tf.fill([4], -1.25), tf.fill([4], 1.25), narrow_range=True), 1, "SAME")
            return {"y": quantize.quantize_and_dequantize_v2(tf.nn.relu(y), 0.0, 6.0, range_given=True)}

        module = tf.Module()
        module.run = tf.function(run, input_signature=[tf.TensorSpec([None, 12, 12, 3], tf.float32, "image")])
        tf.saved_model.save(module, str(self.folder / "qat"), signatures=module.run.get_concrete_function())
        converter = Converter(str(self.folder / "qat"), **QUICK)
        converter.convert()
        converter.save(str(self.folder / "out"))
        loaded = tf.saved_model.load(str(self.folder / "out")).signatures["serving_default"]
        [engine] = converter.signatures["serving_default"].engines
        [segment] = [one for one in loaded.graph.as_graph_def().library.function
                     if f"{engine.name}_segment" in one.signature.name]
        nodes = {node.name: node for node in segment.node_def}
        quantizers = [node for node in nodes.values() if "Quant" in node.op]
        self.assertEqual(sorted(node.op for node in quantizers),
                         ["FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
                          "QuantizeAndDequantizeV4"])

        def known(text):
            node = nodes[text.split(":")[0]]
            while node.op == "Identity":
                node = nodes[node.input[0].split(":")[0]]
            return float(tf.make_ndarray(node.attr["value"].tensor).flat[0]) if node.op == "Const" else None

        ranges = {node.op: [known(text) for text in node.input[1:3]] for node in quantizers}
        self.assertEqual(ranges["FakeQuantWithMinMaxVars"], [-2.5, 2.5])
        self.assertEqual(ranges["QuantizeAndDequantizeV4"], [0, 6])
        image = data()
        np.testing.assert_allclose(loaded(image=tf.constant(image))["y"].numpy(),
                                   run(tf.constant(image))["y"].numpy(), 1e-5, 1e-5)

    def test_functions_with_gradients_of_their_own(self):
        """Keras' swish (EfficientNet) is one."""
        @tf.custom_gradient
        def swish(x):
            return x * tf.sigmoid(x), lambda dy: dy

        module = tf.Module()
        module.run = tf.function(lambda image: {"y": tf.reduce_mean(swish(image) + 1.0, [1, 2])},
                                 input_signature=[tf.TensorSpec([None, 12, 12, 3], tf.float32, "image")])
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
        tf.saved_model.save(module, str(self.folder / "m"), options=options,
                            signatures=module.run.get_concrete_function())
        converter = Converter(str(self.folder / "m"), **QUICK)
        converter.convert()
        self.assertEqual(len(converter.signatures["serving_default"].engines), 1)
        converter.save(str(self.folder / "out"))
        image = data()
        loaded = tf.saved_model.load(str(self.folder / "out")).signatures["serving_default"]
        np.testing.assert_allclose(loaded(image=tf.constant(image))["y"].numpy(),
                                   module.run(tf.constant(image))["y"].numpy(), 1e-5, 1e-5)

    def test_an_engine_that_was_loaded_is_saved_as_a_plan(self):
        """A model that is converted while its earlier conversion is loaded shares that one's engines."""
        first = self.saved()
        loaded = tf.saved_model.load(str(first))
        image = data()
        self.assert_equal(loaded.signatures["serving_default"](image=tf.constant(image)), image)
        gc.collect()  # the first converter's own hold on the engines
        second = self.saved("again")
        names = [sorted(path.name for path in (folder / "assets").iterdir()) for folder in (first, second)]
        self.assertEqual(names[0], names[1])
        loaded = None
        gc.collect()
        loaded = tf.saved_model.load(str(second))
        signature = loaded.signatures["serving_default"]
        self.assert_equal(signature(image=tf.constant(image)), image)
        [told] = planish.tensorflow.statistics(signature).values()
        self.assertEqual((told["loads"], told["builds"], told["native_calls"]), (1, 0, 0))

    def test_tables_stay_what_they_are(self):
        """What a signature captures besides variables: Keras' lookup layers hold tables."""
        module = tf.Module()
        keys = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([2.0, 3.0]))
        module.table = tf.lookup.StaticHashTable(keys, -1.0)
        module.weights = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
        module.run = tf.function(lambda word, x: {
            "y": tf.nn.relu(tf.sin(x @ module.weights) + 1.0) * module.table.lookup(word)[:, None]})
        concrete = module.run.get_concrete_function(word=tf.TensorSpec([None], tf.string, "word"),
                                                    x=tf.TensorSpec([None, 4], tf.float32, "x"))
        tf.saved_model.save(module, str(self.folder / "m"), signatures=concrete)
        converter = Converter(str(self.folder / "m"), **QUICK)
        function = converter.convert()
        self.assertTrue(converter.signatures["serving_default"].engines)
        self.assertIn("a table: its entries belong to TensorFlow",
                      str(converter.signatures["serving_default"].report))
        given = {"word": tf.constant(["b", "z"]), "x": tf.constant(data(2)[:, 0, 0, :1] * np.ones(4, np.float32))}
        want = module.run(**given)["y"].numpy()
        np.testing.assert_allclose(function(**given)["y"].numpy(), want, 1e-5, 1e-5)
        converter.save(str(self.folder / "out"))
        loaded = tf.saved_model.load(str(self.folder / "out")).signatures["serving_default"]
        np.testing.assert_allclose(loaded(**given)["y"].numpy(), want, 1e-5, 1e-5)

    def test_no_inputs(self):
        module = tf.Module()
        module.v = tf.Variable(np.arange(6, dtype=np.float32))
        module.run = tf.function(lambda: {"a": module.v * 2.0 + 1.0, "b": tf.reduce_sum(module.v) * 3.0})
        tf.saved_model.save(module, str(self.folder / "m"),
                            signatures=module.run.get_concrete_function())
        converter = Converter(str(self.folder / "m"), **QUICK)
        function = converter.convert()
        np.testing.assert_allclose(function()["a"].numpy(), np.arange(6) * 2 + 1)
        converter.save(str(self.folder / "out"))
        loaded = tf.saved_model.load(str(self.folder / "out")).signatures["serving_default"]
        self.assertEqual(float(loaded()["b"]), 45)

    def test_command_line_takes_engines_out(self):
        planish_program = os.environ.get("PLANISH_PROGRAM")
        if not planish_program:
            self.skipTest("PLANISH_PROGRAM is not set")
        folder = self.saved()
        image = data()
        np.save(self.folder / "image.npy", image)
        [name] = {path.stem for path in (folder / "assets").glob("*.plan")
                  if len(self.outputs_of(planish_program, path)) == 2}
        for arguments in (["inspect"], ["run", "--input", f"input_0={self.folder / 'image.npy'}",
                                        "--output-dir", str(self.folder / "out")]):
            done = subprocess.run([planish_program, arguments[0], str(folder), "--engine", name,
                                   *arguments[1:]], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        got = [np.load(path) for path in sorted((self.folder / "out").glob("*.npy"))]
        for want in self.want(image).values():
            self.assertTrue(any(one.shape == want.shape and np.allclose(one, want, 1e-5, 1e-5) for one in got))
        done = subprocess.run([planish_program, "inspect", str(folder), "--engine", "nope"],
                              capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(name, done.stderr)

    def outputs_of(self, program, path):
        done = subprocess.run([program, "inspect", "--json", str(path)], capture_output=True, text=True)
        return json.loads(done.stdout)["outputs"]


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(f"SavedModels.{name}" for name in sys.argv[1:])], verbosity=1)
