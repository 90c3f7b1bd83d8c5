#!/usr/bin/env python3
"""planish.tensorflow.Converter end to end: what is saved, what a fresh process makes of it, what happens
when an engine cannot run, and what is refused.

Usage: converter_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import gc
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
    import planish.tensorflow
    from planish.tensorflow import _engines
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

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

# The threads that Planish has started when an engine has run.
THREADS = """
import pathlib, sys
import tensorflow as tf
import planish.tensorflow
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
model = tf.saved_model.load(sys.argv[1])
model.signatures["serving_default"](image=tf.zeros([4, 12, 12, 3]))
[told] = planish.tensorflow.statistics(model.signatures["serving_default"]).values()
assert told["native_calls"] == 0, told
names = [path.read_text() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
print("OURS", sum(name.startswith("planish-") for name in names))
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


class ConverterTest(unittest.TestCase):
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

    # Engines at run time.

    def test_cache_of_shapes(self):
        converter, function = self.converted(maximum_cached_engines=1)
        for batch in (1, 2, 4, 2):  # 2 is served by the engine for 4
            image = data(batch)
            self.assert_equal(function(image=tf.constant(image)), image)
        told = self.told(converter)
        self.assertEqual((told["builds"], told["hits"], told["evictions"], told["engines"]), (3, 1, 2, 1))

    def test_profiles(self):
        # The range's engine is tuned for its largest shape: with Range+Optimal that one needs no other.
        for strategy, engines in [("Range", 1), ("Optimal", 2), ("Range+Optimal", 2),
                                  ("ImplicitBatchModeCompatible", 2)]:
            converter, function = self.converted(use_dynamic_shape=True,
                                                 dynamic_shape_profile_strategy=strategy,
                                                 allow_build_at_runtime=False
                                                 if strategy != "ImplicitBatchModeCompatible" else True)
            converter.build(lambda: iter([data(2), data(6)]))
            told = self.told(converter)
            self.assertEqual(told["engines"], engines, strategy)
            before = told["native_calls"]
            image = data(6)
            self.assert_equal(function(image=tf.constant(image)), image)
            self.assertEqual(self.told(converter)["native_calls"], before, strategy)

    def test_fallback_is_counted_and_named(self):
        converter, function = self.converted(allow_build_at_runtime=False)
        image = data(3)
        for _ in range(2):
            self.assert_equal(function(image=tf.constant(image)), image)
        told = self.told(converter)
        self.assertEqual(told["native_calls"], 2)
        self.assertGreater(told["native_us"], 0)
        [(reason, count)] = told["refusals"].items()
        self.assertIn("none may be built", reason)
        self.assertEqual(count, 2)
        os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "0"
        with self.assertRaisesRegex(tf.errors.AbortedError, "none may be built"):
            function(image=tf.constant(image))

    def test_constant_input_and_identical_nodes(self):
        converter, _ = self.converted()
        converter.build(lambda: iter([data()]))
        function = converter.signatures["serving_default"].function
        image = data()
        constant = tf.constant(image)
        before = self.told(converter)["hits"]
        twice = tf.function(lambda: [function(image=constant)["scores"], function(image=constant)["scores"]])
        for _ in range(3):
            first, second = twice()
            np.testing.assert_array_equal(first.numpy(), second.numpy())
        self.assertEqual(self.told(converter)["hits"] - before, 6)

    def test_threads(self):
        converter, function = self.converted(maximum_cached_engines=2)
        images = [data(batch, seed) for seed, batch in enumerate([1, 2, 3, 4])]
        wants = [self.want(image) for image in images]
        wrong = []

        def work(k):
            for _ in range(25):
                got = function(image=tf.constant(images[k]))
                if not np.allclose(got["scores"].numpy(), wants[k]["scores"], 1e-5, 1e-5):
                    wrong.append(k)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertFalse(wrong)
        told = self.told(converter)
        # Builds that end late may put out an engine that is wanted again: how many there are is open.
        self.assertEqual(told["native_calls"], 0)
        self.assertEqual(told["hits"] + told["builds"], 100)

    def test_tensorflows_threads_serve(self):
        out = self.fresh(self.saved(), PLANISH_TF_THREADS="tensorflow",
                         PLANISH_TF_ALLOW_NATIVE_SEGMENT="0")
        self.assertEqual({row["native_calls"] for row in out["statistics"]}, {0})

    def test_engines_go_with_their_model(self):
        folder = self.saved()
        gc.collect()  # the converter's own engines
        for _ in range(2):
            loaded = tf.saved_model.load(str(folder))
            signature = loaded.signatures["serving_default"]
            [name] = planish.tensorflow.engine_names(signature)
            signature(image=tf.constant(data()))
            self.assertEqual(planish.tensorflow.statistics(signature)[name]["loads"], 1)
            loaded = signature = None
            gc.collect()

    def test_a_signature_that_outlives_its_model(self):
        folder = self.saved()
        gc.collect()
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
        gc.collect()
        image = data()
        self.assert_equal(signature(image=tf.constant(image)), image)
        [told] = planish.tensorflow.statistics(signature).values()
        self.assertEqual((told["loads"], told["builds"], told["native_calls"]), (1, 0, 0))

    def test_one_setting_governs_both_pools(self):
        folder = self.saved()
        for threads, pool, ours in [(1, "planish", 0), (3, "planish", 2), (3, "tensorflow", 0)]:
            done = subprocess.run([sys.executable, "-c", THREADS, str(folder), str(threads)],
                                  capture_output=True, text=True, check=True,
                                  env={**os.environ, "PLANISH_TF_THREADS": pool})
            self.assertIn(f"OURS {ours}\n", done.stdout, (threads, pool))

    def test_output_shapes_are_known(self):
        _, function = self.converted()
        self.assertEqual(function.structured_outputs["scores"].shape.as_list(), [None, 5])

    def test_half_precision(self):
        for mode, tolerance in [("FP16", 2e-2), ("bf16", 5e-2)]:
            converter, function = self.converted(precision_mode=mode)
            image = data()
            self.assert_equal(function(image=tf.constant(image)), image, tolerance)
            self.assertEqual(self.told(converter)["native_calls"], 0)

    # How it is asked for.

    def test_build_takes_every_form(self):
        for form in (data(), [data()], (data(),), {"image": data()}):
            converter, _ = self.converted()
            converter.build(lambda: iter([form]))
        with self.assertRaisesRegex(planish.FailedPreconditionError, "called before"):
            converter.build(lambda: iter([data()]))
        with self.assertRaisesRegex(planish.InvalidArgumentError, "yields 2 arrays"):
            self.converted()[0].build(lambda: iter([[data(), data()]]))

    def test_minimum_segment_size(self):
        for size in (-1, 1000):
            converter, function = self.converted(minimum_segment_size=size)
            self.assertEqual(converter.signatures["serving_default"].engines, [])
            image = data()
            self.assert_equal(function(image=tf.constant(image)), image)

    def test_denied(self):
        converter, _ = self.converted(ops_denylist=["Conv2D", "Relu"])
        for engine in converter.signatures["serving_default"].engines:
            self.assertFalse({"Conv2D", "Relu"} & set(engine.op_counts))
        lines = []
        converter.summary(print_fn=lines.append)
        self.assertTrue(any("Conv2D" in line for line in lines), lines)

    def test_conversion_params(self):
        params = planish.tensorflow.ConversionParams(precision_mode="FP16", maximum_cached_engines=3)
        converter, _ = self.converted(conversion_params=params)
        self.assertEqual(converter._options.precision_mode, "FP16")
        self.assertEqual(converter._options.maximum_cached_engines, 3)

    def test_refused(self):
        for words, arguments in [
                ("INT8", {"precision_mode": "INT8"}), ("precision_mode: got 'FP64'", {"precision_mode": "FP64"}),
                ("minimum_segment_size: got 0", {"minimum_segment_size": 0}),
                ("maximum_cached_engines: got 0", {"maximum_cached_engines": 0}),
                ("dynamic_shape_profile_strategy: got 'Best'", {"dynamic_shape_profile_strategy": "Best"})]:
            with self.assertRaisesRegex(planish.PlanishError, words):
                Converter(self.model, **arguments)
        with self.assertRaisesRegex(planish.UnsupportedError, "calibration"):
            Converter(self.model).convert(lambda: iter([]))
        with self.assertRaisesRegex(planish.NotFoundError, "features, serving_default"):
            Converter(self.model, input_saved_model_signature_key="nope").convert()
        with self.assertRaisesRegex(planish.FailedPreconditionError, "convert"):
            Converter(self.model).save(str(self.folder / "x"))
        with self.assertRaisesRegex(planish.FailedPreconditionError, "convert"):
            Converter(self.model).summary()

    def test_bad_build_option_is_named(self):
        converter = Converter(self.model, build_options={"determinstic": True},
                              partition_options={"cost_gate": False})
        function = converter.convert()
        image = data()
        self.assert_equal(function(image=tf.constant(image)), image)
        self.assertIn("determinstic", json.dumps(self.told(converter)["refusals"]))

    # Files.

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
    unittest.main(argv=[sys.argv[0], *(f"ConverterTest.{name}" for name in sys.argv[1:])], verbosity=1)
