#!/usr/bin/env python3
"""The command line from outside: exit codes, files, JSON, Ctrl-C. Needs no package.

Usage: command_line_test.py PLANISH, in the repository's root.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PLANISH = None
MODEL = "examples/digits/digits.onnx"
IMAGES = "examples/digits/digits_test_images.npy"


def planish(*arguments, stdin=None):
    return subprocess.run([PLANISH, *map(str, arguments)], capture_output=True, text=True,
                          input=stdin, timeout=300)


def one_node(path, op, inputs):
    """An ONNX file by hand: one node of that operator, on inputs and to an output 'y' of f32[1, 2]."""
    def field(number, payload):
        return bytes([number << 3 | 2, len(payload)]) + payload
    def value(name):
        shape = b"".join(field(1, bytes([1 << 3, dim])) for dim in (1, 2))
        return field(1, name) + field(2, field(1, bytes([1 << 3, 1]) + field(2, shape)))
    node = b"".join(field(1, name) for name in inputs) + field(2, b"y") + field(3, b"n") + field(4, op)
    graph = field(1, node) + field(2, b"g") + b"".join(field(11, value(name)) for name in inputs) + field(12, value(b"y"))
    path.write_bytes(bytes([1 << 3, 8]) + field(7, graph) + field(8, bytes([2 << 3, 17])))
    return path


def two_zeros(path):
    """A .npy file of f32[1, 2]."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8))
    return path


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        cls.plan = cls.work / "digits.plan"
        os.environ["XDG_CACHE_HOME"] = str(cls.work / "cache")
        done = planish("build", MODEL, "-o", cls.plan, "--deterministic")
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def expect(self, code, *arguments, error=None, stdin=None):
        done = planish(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        if error:
            self.assertIn(error, done.stderr)
        return done

    def test_usage_is_1(self):
        self.expect(1)
        self.expect(1, "dance", error="there is no command 'dance'; there are build, run")
        self.expect(1, "build", MODEL)
        self.expect(1, "build", MODEL, "-o", self.work / "x.plan", "--shape", "image", error="image")
        self.expect(1, "build", MODEL, "-o", self.work / "x.plan", "--fp32", "slow")
        self.expect(1, "build", MODEL, "-o", self.work / "x.plan", "--max-memory", "many",
                    error="many")
        self.assertFalse((self.work / "x.plan").exists())

    def test_help_and_version_are_0(self):
        self.assertIn("planish", self.expect(0, "--version").stdout)
        for command in ("build", "run", "bench", "verify", "inspect", "ops"):
            self.assertIn("Usage", self.expect(0, command, "--help").stdout)

    def test_bad_input_is_2(self):
        self.expect(2, "build", "/nowhere.onnx", "-o", self.work / "x.plan", error="/nowhere.onnx")
        broken = self.work / "broken.onnx"
        broken.write_bytes(pathlib.Path(MODEL).read_bytes()[:1000])
        self.expect(2, "build", broken, "-o", self.work / "x.plan", error="broken.onnx")
        self.expect(2, "run", self.plan, error="'image' is missing")
        self.expect(2, "build", MODEL, "-o", self.work / "x.plan", "--shape", "image:1x3x8x8",
                    error="dim 1 is 3")
        self.expect(2, "build", MODEL, "-o", self.work / "x.plan", "--device", "tpu", error="tpu")
        self.expect(2, "build", MODEL, "-o", "/nowhere/x.plan", error="/nowhere")
        self.expect(2, "build", MODEL, "-o", self.work, error="is a folder, expected a file")
        self.expect(2, "build", MODEL, "-o", self.work / "x.plan", "--decisions", "/nowhere.json",
                    error="/nowhere.json")
        self.expect(2, "run", self.plan, "--input", f"image={IMAGES}", "--device", "cuda",
                    error="the plan was built for device 'cpu', got --device cuda")
        self.expect(1, "bench", self.plan, "--iterations", 0, error="not in range 1")
        two = two_zeros(self.work / "two.npy")
        for command in ("bench", "run"):
            self.expect(2, command, self.plan, "--input", f"image={two}", error=f"{self.plan}: ")
        damaged = self.work / "damaged.plan"
        data = bytearray(self.plan.read_bytes())
        data[len(data) // 2] ^= 1
        damaged.write_bytes(data)
        self.expect(2, "inspect", damaged, error="damaged.plan")
        self.assertFalse((self.work / "x.plan").exists())

    def test_unsupported_is_3(self):
        path = one_node(self.work / "unsupported.onnx", b"NoSuchOp", [b"x"])
        self.expect(3, "ops", "--check", path, error="NoSuchOp")
        self.expect(3, "build", path, "-o", self.work / "x.plan", error="NoSuchOp")

    def test_print_after(self):
        def printed(*passes):
            flags = [flag for name in passes for flag in ("--print-after", name)]
            error = self.expect(0, "build", MODEL, "-o", self.work / "printed.plan",
                                "--deterministic", *flags).stderr
            self.assertNotIn("// after", error)
            return {line[9:] for line in error.splitlines() if line.startswith("-- after ")}

        self.assertEqual(printed("fold_batch_norm", "fuse_regions"), {"fold_batch_norm", "fuse_regions"})
        self.assertLess({"fold_batch_norm", "fuse_regions", "eliminate_dead"}, printed("all"))

    def test_a_damaged_timing_cache_is_told_once(self):
        cache = self.work / "damaged.cache"
        cache.write_text("garbage")
        done = self.expect(0, "build", MODEL, "-o", self.work / "warned.plan", "--timing-cache", cache,
                           "--time-budget", "0.1")
        self.assertEqual(done.stderr.count("not one of this version"), 1, done.stderr)

    def test_verification(self):
        done = self.expect(0, "verify", MODEL, "--plan", self.plan, "--json", self.work / "v.json",
                           "--layers")
        self.assertIn("verified", done.stdout)
        report = json.loads((self.work / "v.json").read_text())
        self.assertTrue(report["good"])
        self.assertGreater(len(report["layers"]), 0)
        self.expect(4, "verify", MODEL, "--plan", self.plan, "--atol", "0", "--rtol", "1e-12")

    def test_run_writes_outputs_and_a_manifest(self):
        out = self.work / "out"
        self.expect(0, "run", self.plan, "--input", f"image={IMAGES}", "--output-dir", out)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertEqual(manifest["probability"]["shape"], [450, 10])
        self.assertTrue((out / manifest["probability"]["file"]).exists())
        self.expect(0, "run", self.plan, "--input", IMAGES, "--output-dir", out,
                    "--output-format", "pb")
        self.assertTrue((out / "probability.pb").exists())
        summary = self.expect(0, "run", self.plan, "--input", IMAGES).stdout
        self.assertIn("f32 450x10", summary)
        self.expect(2, "run", self.plan, "--input", f"picture={IMAGES}", error="picture")
        self.expect(2, "run", self.plan, "--input", IMAGES, "--dump", "nothing", error="nothing")

    def test_candidates_are_told_apart(self):
        timed = self.work / "timed.plan"
        self.expect(0, "build", MODEL, "-o", timed, "--timing-cache", "", "--time-budget", "2")
        for step in json.loads(self.expect(0, "inspect", timed, "--json").stdout)["steps"]:
            measured = [(one["kernel"], one["tactic"]) for one in step["considered"] if "measured_us" in one]
            self.assertEqual(len(measured), len(set(measured)), measured)

    def test_inspect_json(self):
        plan = json.loads(self.expect(0, "inspect", self.plan, "--json").stdout)
        memory = plan["memory"]
        self.assertLessEqual(memory["lower_bound_bytes"], memory["arena_bytes"])
        self.assertEqual(len(plan["steps"]), plan["steps"][-1]["index"] + 1)
        for value in memory["values"]:
            self.assertLessEqual(value["offset"] + value["bytes"], memory["arena_bytes"])
        self.assertIn("kernel", self.expect(0, "inspect", self.plan, "--layers").stdout)

    def test_caps_are_kept_or_refused(self):
        capped = self.work / "capped.plan"
        one_byte = planish("build", MODEL, "-o", capped, "--deterministic",
                           "--max-workspace", 1)
        if one_byte.returncode == 0:  # oneDNN's primitives need none for these shapes
            self.assertIn("needs     libplanish_onednn.so", one_byte.stdout)
            self.assertNotIn("cpu.conv", one_byte.stdout)
            capped.unlink()
        else:
            self.assertEqual(one_byte.returncode, 2)
            self.assertIn("max_workspace = 1 bytes", one_byte.stderr)
        self.expect(2, "build", MODEL, "-o", capped, "--deterministic", "--max-memory", "20K",
                    error="max_memory is 20480")
        self.assertFalse(capped.exists())
        self.expect(0, "build", MODEL, "-o", capped, "--deterministic", "--max-workspace", "20000",
                    "--max-memory", "1M")
        self.assertIn("max_workspace is 20000", self.expect(0, "inspect", capped, "--layers").stdout)

    def test_bench_json(self):
        self.expect(0, "bench", self.plan, "--iterations", 20, "--warm-up", 1, "--contexts", 2,
                    "--threads", 1, "--profile", "--json", self.work / "b.json")
        result = json.loads((self.work / "b.json").read_text())
        self.assertEqual(result["iterations"], 40)
        latency = result["latency_ms"]
        self.assertLessEqual(latency["min"], latency["median"])
        self.assertLessEqual(latency["median"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["max"])
        self.assertEqual(len(result["layers"]), result["steps"])

    def test_bench_draws_the_inputs_that_are_not_given(self):
        path, two = one_node(self.work / "add.onnx", b"Add", [b"a", b"b"]), two_zeros(self.work / "two.npy")
        once = ("bench", path, "--iterations", 1, "--warm-up", 0)
        self.expect(0, *once, "--input", f"b={two}")
        self.expect(2, *once, "--input", f"c={two}", error="'c'")

    def test_bench_counts_short_runs_whole(self):
        for _ in range(5):
            self.expect(0, "bench", self.plan, "--iterations", 1, "--warm-up", 0, "--json",
                        self.work / "b.json")
            result = json.loads((self.work / "b.json").read_text())
            self.assertGreaterEqual(result["seconds"] * 1e3, result["latency_ms"]["mean"] * 0.999)

    def test_serve_rounds(self):
        done = self.expect(0, "bench", self.plan, "--threads", 1, "--serve-rounds", stdin="3\n1\n")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "ready")
        for line in lines[1:]:
            self.assertGreater(json.loads(line)["median_ms"], 0)
        self.assertEqual(len(lines), 3)
        self.expect(1, "bench", self.plan, "--serve-rounds", stdin="x\n")

    def test_ops(self):
        ops = json.loads(self.expect(0, "ops", "--json").stdout)
        self.assertIn("Conv", [op["name"] for op in ops])
        self.expect(0, "ops", "--check", MODEL)
        checked = json.loads(self.expect(0, "ops", "--check", MODEL, "--json").stdout)
        self.assertEqual(checked["nodes"], sum(checked["ops"].values()))
        self.expect(1, "ops", "--check", MODEL, "Conv")
        self.expect(2, "ops", "Conw")

    def test_interrupt_leaves_no_file(self):
        out = self.work / "interrupted.plan"
        # A fresh cache, so that there is something to measure.
        for delay in (0.0, 0.05, 0.2):
            process = subprocess.Popen(
                [PLANISH, "build", MODEL, "-o", out, "--timing-cache", ""],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            error = process.communicate(timeout=60)[1]
            if process.returncode == 0:  # it was through already
                self.assertTrue(out.exists())
                out.unlink()
                continue
            self.assertIn(process.returncode, (130, -signal.SIGINT), error)
            self.assertEqual([p for p in self.work.iterdir() if p.name.startswith("interrupted")], [])


if __name__ == "__main__":
    PLANISH = sys.argv.pop(1)
    unittest.main()
