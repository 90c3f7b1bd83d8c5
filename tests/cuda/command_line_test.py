#!/usr/bin/env python3
"""The command line's way from an ONNX file to a verified plan for --device cuda, on the emulated GPU.

  command_line_test.py PLANISH FAKE_CUDA FAKE_NVRTC

Unlike the tests of engines this one goes through the public API, which looks at every step of a loaded
plan: what a build may choose, a load has to take."""

import os
import pathlib
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
RANDOM = np.random.default_rng(7)


def constant(name, *dims):
    return numpy_helper.from_array((RANDOM.standard_normal(dims) / np.sqrt(dims[0])).astype(np.float32), name)


def model(nodes, dims, constants, out_rank):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, dims)],
                              [value("y", TensorProto.FLOAT, [None] * out_rank)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def products():
    """Two dense layers, the second too small for tensor cores."""
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("MatMul", ["r", "b"], ["y"])]
    return model(nodes, [64, 64], [constant("a", 64, 128), constant("b", 128, 5)], 2)


def positions():
    """A row of a table for each place of an input of run-time length: counted on the host, carried over."""
    integers = [numpy_helper.from_array(np.int64(0), "zero"), numpy_helper.from_array(np.int64(1), "one")]
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "one"], ["n"]),
             helper.make_node("Range", ["zero", "n", "one"], ["places"]),
             helper.make_node("Gather", ["table", "places"], ["rows"]),
             helper.make_node("Add", ["x", "rows"], ["y"])]
    return model(nodes, ["N", "length", 16], [constant("table", 64, 16), *integers], 3)


def branches():
    """Convolutions, a pool and a Concat of two more, side by side in one tensor."""
    constants, nodes = [], []

    def conv(source, to, channels, out, height, width):
        weights = RANDOM.standard_normal((out, channels, height, width)) / np.sqrt(channels * height * width)
        constants.append(numpy_helper.from_array(weights.astype(np.float32), "w_" + to))
        pads = [height // 2, width // 2] * 2
        nodes.append(helper.make_node("Conv", [source, "w_" + to], ["c_" + to], pads=pads))
        nodes.append(helper.make_node("Relu", ["c_" + to], [to]))

    conv("x", "one", 64, 64, 1, 1)
    conv("x", "three", 64, 96, 3, 3)
    nodes.append(helper.make_node("MaxPool", ["x"], ["pool"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    conv("x", "low", 64, 32, 1, 3)
    conv("x", "high", 64, 32, 3, 1)
    nodes.append(helper.make_node("Concat", ["low", "high"], ["pair"], axis=1))
    nodes.append(helper.make_node("Concat", ["one", "three", "pool", "pair"], ["all"], axis=1))
    conv("all", "y", 288, 64, 1, 1)
    return model(nodes, [4, 64, 17, 15], constants, 4)


def pooled():
    """A first convolution with an overlapping pool behind it, one that a pool follows pair by pair, and one
    whose pooled values are read before the pool, too."""
    constants, nodes = [], []

    def conv(source, to, channels, out, size, stride):
        weights = RANDOM.standard_normal((out, channels, size, size)) / np.sqrt(channels * size * size)
        constants.append(numpy_helper.from_array(weights.astype(np.float32), "w_" + to))
        nodes.append(helper.make_node("Conv", [source, "w_" + to], ["c_" + to], pads=[size // 2] * 4, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", ["c_" + to], [to]))

    conv("x", "first", 3, 64, 7, 2)
    nodes.append(helper.make_node("MaxPool", ["first"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    conv("a", "second", 64, 64, 3, 1)
    nodes.append(helper.make_node("MaxPool", ["second"], ["b"], kernel_shape=[2, 2], strides=[2, 2]))
    conv("b", "third", 64, 64, 3, 1)
    nodes.append(helper.make_node("MaxPool", ["third"], ["c"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", ["third"], ["mean"]))
    nodes.append(helper.make_node("Add", ["c", "mean"], ["y"]))
    return model(nodes, [3, 3, 67, 53], constants, 4)


def repeated():
    """A dense layer, then another three times over in a Loop, or not at all where an If says so."""
    value, integer, boolean = helper.make_tensor_value_info, TensorProto.INT64, TensorProto.BOOL

    def state(name):
        return value(name, TensorProto.FLOAT, [64, 128])

    step = helper.make_graph(
        [helper.make_node("MatMul", ["s", "w"], ["p"]), helper.make_node("Tanh", ["p"], ["next"]),
         helper.make_node("Identity", ["c"], ["again"])], "step",
        [value("i", integer, []), value("c", boolean, []), state("s")], [value("again", boolean, []), state("next")],
        [constant("w", 128, 128)])
    then = helper.make_graph([helper.make_node("Loop", ["three", "yes", "r"], ["l"], body=step)], "then", [],
                             [state("l")])
    other = helper.make_graph([helper.make_node("Identity", ["r"], ["same"])], "other", [], [state("same")])
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("ReduceMax", ["r"], ["most"], keepdims=0),
             helper.make_node("Greater", ["most", "zero"], ["positive"]),
             helper.make_node("If", ["positive"], ["z"], then_branch=then, else_branch=other),
             helper.make_node("MatMul", ["z", "b"], ["y"])]
    numbers = [numpy_helper.from_array(np.int64(3), "three"), numpy_helper.from_array(np.array(True), "yes"),
               numpy_helper.from_array(np.float32(0), "zero")]
    return model(nodes, [64, 64], [constant("a", 64, 128), constant("b", 128, 64), *numbers], 2)


class CommandLine(unittest.TestCase):
    def verify(self, onnx, *options):
        out = self.run_planish("verify", onnx, *options)
        self.assertIn("all outputs within their bounds", out)

    def run_planish(self, command, onnx, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            save(onnx, path)
            environment = dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                               PLANISH_CUDA_CACHE="none")
            done = subprocess.run([PLANISH, command, path, "--device", "cuda", "--deterministic", *options],
                                  env=environment, cwd=folder, text=True, capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_every_precision(self):
        for precision in ("fp32", "tf32", "fp16", "bf16"):
            with self.subTest(precision):
                self.verify(products(), "--precision", precision)

    def test_values_of_the_host_are_carried_over(self):
        self.verify(positions(), "--shape", "x:2x9x16")
        self.verify(positions())

    def test_a_plan_of_another_architecture(self):
        """Made for Hopper, on Ampere: other kernels where NVRTC is, refused with both names where it is not."""
        for made in (branches, repeated):
            with self.subTest(made.__name__), tempfile.TemporaryDirectory() as folder:
                save(made(), pathlib.Path(folder) / "model.onnx")

                def planish(*arguments, **environment):
                    return subprocess.run([PLANISH, *arguments], cwd=folder, text=True, capture_output=True,
                                          timeout=600,
                                          env=dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                                                   PLANISH_CUDA_CACHE="none") | environment)
                built = planish("build", "model.onnx", "-o", "plan", "--device", "cuda", "--deterministic",
                                "--precision", "fp16")
                self.assertIn("cuda.contraction_wgmma", built.stdout, built.stderr)
                done = planish("verify", "model.onnx", "--plan", "plan", FAKE_CUDA="capability=80")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("all outputs within their bounds", done.stdout)
                self.assertIn("the plan was made for sm_90a, the device is sm_80", done.stderr)
                done = planish("bench", "plan", "--iterations", "1", FAKE_CUDA="capability=80",
                               PLANISH_NVRTC="/nowhere/libnvrtc.so.13")
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn("made for sm_90a, the device is sm_80) and cannot be made anew: no NVRTC", done.stderr)

    def test_errors_of_runs_name_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            save(products(), pathlib.Path(folder) / "model.onnx")

            def planish(code, *arguments, fault=""):
                done = subprocess.run([PLANISH, *arguments], cwd=folder, text=True, capture_output=True, timeout=600,
                                      env=dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                                               PLANISH_CUDA_CACHE="none", FAKE_CUDA=fault))
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                return done.stderr

            planish(0, "build", "model.onnx", "-o", "two.plan", "--device", "cuda", "--deterministic")
            np.save(pathlib.Path(folder) / "x.npy", np.ones((64, 64), np.float32))
            for command in (["bench"], ["bench", "--serve-rounds"], ["run", "--input", "x.npy"]):
                with self.subTest(command):
                    said = planish(5, command[0], "two.plan", *command[1:], fault="cuGraphLaunch=719@1")
                    self.assertRegex(said, r"^planish: .*two\.plan: .*cuGraphLaunch")

    def test_members_of_a_concat_are_written_in_place(self):
        steps = self.run_planish("build", branches(), "-o", "plan", "--precision", "fp16")
        self.assertIn("MaxPool", steps)
        self.assertNotIn("Concat", steps)
        self.verify(branches(), "--precision", "fp16")

    def test_a_pool_joins_the_convolution_in_front(self):
        steps = self.run_planish("build", pooled(), "-o", "plan", "--precision", "fp16")
        self.assertIn("Conv 7x7 + {max} + MaxPool 3x3", steps)
        self.verify(pooled(), "--precision", "fp16")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
