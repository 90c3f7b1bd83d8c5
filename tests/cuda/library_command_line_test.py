#!/usr/bin/env python3
"""--allow-libraries from the command line on the emulated GPU, with fakes of cuBLASLt and cuDNN: a plan that
names what it needs, and what becomes of it where that is another version, absent, or has no stand-in.

  library_command_line_test.py PLANISH FAKE_CUDA FAKE_NVRTC FAKE_CUBLASLT FAKE_CUDNN"""

import json
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

PLANISH, FAKE_CUDA, FAKE_NVRTC, FAKE_CUBLASLT, FAKE_CUDNN = sys.argv[1:6]


def model():
    """A convolution with bias and ReLU, and a product."""
    random = np.random.default_rng(3)
    constants = [numpy_helper.from_array((random.standard_normal(dims) * 0.1).astype(np.float32), name)
                 for name, dims in (("w", (16, 8, 3, 3)), ("b", (16,)), ("m", (256, 24)))]
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["c"], ["r"], name="relu"),
             helper.make_node("Flatten", ["r"], ["f"], name="flatten"),
             helper.make_node("MatMul", ["f", "m"], ["y"], name="product")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2, 8, 4, 4])],
                              [value("y", TensorProto.FLOAT, [2, 24])], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


class Libraries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        save(model(), cls.root / "model.onnx")
        # Nothing is measured here: a decision takes the libraries' kernels.
        cls.planish("build", "model.onnx", "--device", "cuda", "--deterministic", "-o", "own.plan", check=True)
        steps = {"r": {"kernel": "cuda.cudnn_conv"}, "y": {"kernel": "cuda.cublaslt"}}
        (cls.root / "decisions.json").write_text(json.dumps({"version": 1, "steps": steps}))
        cls.planish("build", "model.onnx", "--device", "cuda", "--deterministic", "--allow-libraries", "--decisions",
                    "decisions.json", "-o", "plan", check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def planish(cls, *arguments, check=False, **environment):
        done = subprocess.run([PLANISH, *arguments], cwd=cls.root, text=True, timeout=300, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              env=dict(os.environ, PLANISH_CUDA_DRIVER=FAKE_CUDA, PLANISH_NVRTC=FAKE_NVRTC,
                                       PLANISH_CUDA_CACHE=str(cls.root / "cubins"),
                                       PLANISH_CUBLASLT=FAKE_CUBLASLT,
                                       PLANISH_CUDNN=FAKE_CUDNN) | environment)
        if check and done.returncode:
            raise AssertionError(done.stdout)
        return done.stdout if check else (done.returncode, done.stdout)

    def test_a_plan_names_library_and_version(self):
        text = self.planish("inspect", "plan", check=True)
        self.assertIn("cuBLASLt 13.1", text)
        self.assertIn("cuDNN 9.19", text)
        self.assertNotIn("cuDNN", self.planish("inspect", "own.plan", check=True))

    def test_it_runs(self):
        text = self.planish("bench", "plan", "--iterations", "2", "--profile", check=True)
        self.assertIn("cuDNN 9.19", text)

    def test_another_version_gets_a_kernel_of_ours(self):
        text = self.planish("bench", "plan", "--iterations", "2", check=True, FAKE_CUBLASLT="version=130200")
        self.assertIn("wants cuBLASLt 13.1, found cuBLASLt 13.2", text)

    def test_without_nvrtc_it_runs_and_no_other_version_does(self):
        self.planish("bench", "plan", "--iterations", "2", check=True, PLANISH_NVRTC="/nowhere/libnvrtc.so.13")
        code, text = self.planish("bench", "plan", "--iterations", "2", PLANISH_NVRTC="/nowhere/libnvrtc.so.13",
                                  FAKE_CUBLASLT="version=130200")
        self.assertNotEqual(code, 0, text)
        self.assertIn("wants cuBLASLt 13.1, found cuBLASLt 13.2", text)

    def test_a_missing_library_is_named_with_what_was_tried(self):
        code, text = self.planish("bench", "plan", "--iterations", "2", PLANISH_NVRTC="/nowhere/libnvrtc.so.13",
                                  PLANISH_CUDNN="/nowhere/libcudnn.so.9")
        self.assertNotEqual(code, 0, text)
        self.assertIn("wants cuDNN 9.19, found none: no cuDNN: tried /nowhere/libcudnn.so.9", text)

    def test_a_build_goes_on_without_them_and_says_so(self):
        text = self.planish("build", "model.onnx", "--device", "cuda", "--deterministic", "--allow-libraries", "-o",
                            "other.plan", check=True, PLANISH_CUBLASLT="/nowhere/libcublasLt.so.13",
                            PLANISH_CUDNN="/nowhere/libcudnn.so.9")
        for name in ("no cuBLASLt: tried /nowhere/libcublasLt.so.13", "no cuDNN: tried /nowhere/libcudnn.so.9"):
            self.assertIn(name, text)
        self.assertIn("kernels of our own are taken", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
