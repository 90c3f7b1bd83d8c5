#!/usr/bin/env python3
"""Builds by a compiler that is not asked to compile. A second one of the same model compiles nothing and
times nothing: with both caches filled, it gives the same plan from a compiler that refuses and a driver
that launches no graph. And what a graph may become is priced as kernels of the device.

  warm_build_test.py PLANISH FAKE_CUDA FAKE_NVRTC"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

PLANISH, FAKE_CUDA, FAKE_NVRTC = sys.argv[1:4]
RANDOM = np.random.default_rng(3)


def model():
    """Two branches of convolutions with batch norms, joined: regions, pairs, launches to choose."""
    value, constants, nodes = helper.make_tensor_value_info, [], []

    def conv(source, to, channels, out, size):
        weights = RANDOM.standard_normal((out, channels, size, size)) / np.sqrt(channels * size * size)
        constants.append(numpy_helper.from_array(weights.astype(np.float32), "w_" + to))
        for name, values in (("s", RANDOM.uniform(0.5, 1.5, out)), ("b", RANDOM.standard_normal(out)),
                             ("m", RANDOM.standard_normal(out)), ("v", RANDOM.uniform(0.5, 1.5, out))):
            constants.append(numpy_helper.from_array(values.astype(np.float32), f"{name}_{to}"))
        nodes.append(helper.make_node("Conv", [source, "w_" + to], ["c_" + to], pads=[size // 2] * 4))
        nodes.append(helper.make_node("BatchNormalization", ["c_" + to] + [f"{n}_{to}" for n in "sbmv"],
                                      ["n_" + to]))
        nodes.append(helper.make_node("Relu", ["n_" + to], [to]))

    conv("x", "a", 64, 64, 1)
    conv("a", "b", 64, 64, 3)
    conv("x", "c", 64, 64, 3)
    nodes.append(helper.make_node("Add", ["b", "c"], ["y"]))
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2, 64, 14, 14])],
                              [value("y", TensorProto.FLOAT, [None] * 4)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def encoder():
    """Two blocks of dense layers with residuals, each behind a LayerNormalization."""
    value, constants, nodes = helper.make_tensor_value_info, [], []

    def constant(name, *dims):
        constants.append(numpy_helper.from_array((RANDOM.standard_normal(dims) / np.sqrt(dims[0])).astype(np.float32),
                                                 name))
        return name

    for i in range(2):
        x, normal, hidden, positive, out = ("x" if i == 0 else f"y{i - 1}"), f"n{i}", f"h{i}", f"r{i}", f"y{i}"
        nodes += [helper.make_node("MatMul", [x, constant(f"a{i}", 256, 256)], [f"m{i}"]),
                  helper.make_node("Add", [f"m{i}", x], [f"s{i}"]),
                  helper.make_node("LayerNormalization", [f"s{i}", constant(f"g{i}", 256), constant(f"b{i}", 256)],
                                   [normal], epsilon=1e-5),
                  helper.make_node("MatMul", [normal, constant(f"u{i}", 256, 1024)], [hidden]),
                  helper.make_node("Relu", [hidden], [positive]),
                  helper.make_node("MatMul", [positive, constant(f"d{i}", 1024, 256)], [f"z{i}"]),
                  helper.make_node("Add", [f"z{i}", normal], [out])]
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [256, 256])],
                              [value("y1", TensorProto.FLOAT, [None, None])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


class WarmBuild(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.model = self.folder / "model.onnx"
        save(model(), self.model)

    def build(self, name, nvrtc, cuda="", *more):
        """(exit code, plan's bytes, report)"""
        plan, report = self.folder / f"{name}.plan", self.folder / f"{name}.json"
        environment = dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                           FAKE_NVRTC=nvrtc, FAKE_CUDA=cuda, XDG_CACHE_HOME=str(self.folder / "cache"))
        environment.pop("PLANISH_CUDA_CACHE", None)
        done = subprocess.run([PLANISH, "build", self.model, "-o", plan, "--device", "cuda", "--precision",
                               "fp16", "--json", report, "--quiet", *more], env=environment, text=True,
                              capture_output=True, timeout=280)
        if done.returncode:
            return done.returncode, b"", done.stdout + done.stderr
        return 0, plan.read_bytes(), json.loads(report.read_text())

    @staticmethod
    def measured(report):
        return sum("measured_us" in one for step in report["steps"] for one in step["considered"])

    def test_nothing_is_compiled_or_timed_twice(self):
        code, first, report = self.build("cold", "stub")
        self.assertEqual(code, 0, report)
        self.assertGreater(self.measured(report), len(report["steps"]))
        self.assertGreater(report["report"]["launches"]["tried"], 0)
        self.assertGreater(report["report"]["tactics"]["tried"], 0)
        no_launch = "cuGraphLaunch=719@1"
        code, second, warm = self.build("warm", "refuse", no_launch)
        self.assertEqual(code, 0, warm)
        self.assertEqual(first, second)
        # The same without one of the caches is seen by this test.
        shutil.rmtree(self.folder / "cache" / "planish" / "cuda")
        code, _, said = self.build("no_cubins", "refuse")
        self.assertNotEqual(code, 0)
        self.assertIn("told to refuse", said)
        (self.folder / "cache" / "planish" / "timing.cache").unlink()
        code, _, said = self.build("no_times", "stub", no_launch)
        self.assertNotEqual(code, 0)
        self.assertIn("cuGraphLaunch", said)

    def test_whole_runs_decide_between_tactics_where_they_may(self):
        code, _, report = self.build("free", "stub")
        self.assertEqual(code, 0, report)
        for trial in report["report"]["tactics"]["trials"]:
            self.assertNotEqual(trial["tried"], trial["had"])
            had = {report["steps"][s]["kernel"] for s in trial["steps"]}
            self.assertEqual(len(had), 1)
            self.assertGreater(trial["us"], 0)
        decisions = self.folder / "decisions.json"
        decisions.write_text(json.dumps(report["decisions"]))
        for more in (["--deterministic"], ["--decisions", decisions], ["--max-memory", "1000000000"]):
            code, _, other = self.build("bound", "stub", "", *more)
            self.assertEqual(code, 0, other)
            self.assertFalse(other["report"].get("tactics", {}).get("tried"), more)

    def test_deferred_normalizations_are_priced_as_kernels_of_the_device(self):
        save(encoder(), self.model)
        code, _, report = self.build("encoder", "stub", "", "--deterministic", "--io-precision", "fp16")
        self.assertEqual(code, 0, report)
        deferred = report["report"]["deferred_norms"]
        self.assertLess(deferred["steps"], deferred["plain_steps"])
        self.assertLess(deferred["us"], 2 * deferred["plain_us"])  # a step on reference code takes milliseconds

    def test_deferred_normalizations_are_refused_by_name_elsewhere(self):
        """Only kernels for Hopper know moments of rows (docs/decisions/0039)."""
        save(encoder(), self.model)
        code, _, report = self.build("encoder", "stub", "", "--deterministic", "--io-precision", "fp16")
        self.assertEqual(code, 0, report)
        done = subprocess.run([PLANISH, "bench", self.folder / "encoder.plan", "--iterations", "1"], text=True,
                              capture_output=True, timeout=280,
                              env=dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                                       FAKE_NVRTC="stub", FAKE_CUDA="capability=80"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"step \d+ \(cuda\.contraction_wgmma\) from '.*made for sm_90a, the device is "
                                      r"sm_80, and no kernel here takes .*Moments")

    def test_phases_add_up_to_the_build(self):
        code, _, report = self.build("cold", "stub")
        self.assertEqual(code, 0, report)
        phases = {one["phase"]: one["seconds"] for one in report["build_phases"]}
        for name in ("import", "device", "passes", "candidates", "compile", "measure", "emit", "launches",
                     "tactics", "encode", "write"):
            self.assertIn(name, phases)
            self.assertGreaterEqual(phases[name], 0)
        before_the_report = sum(phases.values()) - phases["report"]
        self.assertLessEqual(before_the_report, report["build_seconds"] + 0.001)
        self.assertGreater(before_the_report, 0.5 * report["build_seconds"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
