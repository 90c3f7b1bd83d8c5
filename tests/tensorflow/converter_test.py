#!/usr/bin/env python3
"""planish.tensorflow.Converter: how it is asked for, what its engines do at run time, what happens when one
cannot run, and what is refused.

Usage: converter_test.py [TEST...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import gc
import json
import os
import subprocess
import sys
import threading
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

from converter_case import Converter, ConverterCase, data

# The threads that Planish has started when an engine has run.
THREADS = """
import pathlib, sys, time
import tensorflow as tf
import planish.tensorflow
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
model = tf.saved_model.load(sys.argv[1])
model.signatures["serving_default"](image=tf.zeros([4, 12, 12, 3]))
[told] = planish.tensorflow.statistics(model.signatures["serving_default"]).values()
assert told["native_calls"] == 0, told
ours = lambda: sum(path.read_text().startswith("planish-") for path in pathlib.Path("/proc/self/task").glob("*/comm"))
end = time.monotonic() + 10  # a thread has its maker's name until it runs
while ours() < int(sys.argv[3]) and time.monotonic() < end:
    time.sleep(0.05)
print("OURS", ours())
"""


class ConverterTest(ConverterCase):
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
            done = subprocess.run([sys.executable, "-c", THREADS, str(folder), str(threads), str(ours)],
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
        for words, wrong in [("yields 2 arrays", [data(), data()]), ("yields 'x', .* takes 'image'", {"x": data()}),
                             ("'image' as float64, .* float32", data().astype(np.float64)),
                             ("yields nothing", None)]:
            with self.assertRaisesRegex(planish.InvalidArgumentError, words):
                self.converted()[0].build(lambda: iter([] if wrong is None else [wrong]))

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


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *(f"ConverterTest.{name}" for name in sys.argv[1:])], verbosity=1)
