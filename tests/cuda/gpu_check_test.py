"""scripts/gpu_check without a GPU: that it goes on behind what dies, keeps what it found out, and takes
up where it stopped. The programs that it calls are stood in for by scripts."""

import argparse
import json
import pathlib
import runpy
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Six problems; the third kills the process, the fifth loses the device.
CONFORMANCE = """
import json, pathlib, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
path = pathlib.Path(options["--lines"])
done = [json.loads(line)["number"] for line in path.read_text().splitlines()] if path.exists() else []
first, count = map(int, options["--share"].split("/"))
for number in range(first, 6, count):
    if number in done: continue
    if number == 2: sys.exit(134)
    if number == 5 and options.get("--filter") == "slow": sys.exit(4)
    row = {"number": number, "of": 6, "name": f"Op.{number}", "right": 3, "wrong": ["[1] off"] if number == 3 else []}
    if number == 5: row["refused"] = True
    with path.open("a") as file: file.write(json.dumps(row) + "\\n")
    if number == 4: sys.exit(3)
sys.exit(1)
"""

# One of twenty graphs fails, of the second twenty; the third twenty kill the process.
GRAPHS = """
import os, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.environ["PATH"].endswith("nowhere"): sys.exit(77)
chunk = (int(options["--first"]) - 500000) // 20
if chunk == 2: sys.exit(134)
failed = int(chunk == 1)
if failed: print("graph 500021: wrong")
print(f"{options['--count']} graphs from seed {options['--first']}, 9 nodes: {failed} failed")
sys.exit(failed)
"""

PLANISH = """
import json, os, sys, pathlib
if sys.argv[1] == "--version": sys.exit(print("planish 1.2.3"))
calls = pathlib.Path(os.environ["CALLS"])
calls.write_text(calls.read_text() + " ".join(sys.argv[1:3]) + "\\n")
if "--json" in sys.argv and sys.argv[1] == "bench":
    pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(
        {"device_us": {"compute": 50}, "build_ms": 1, "steps": 3, "reference_steps": 0}))
sys.exit(4 if "mlp" in sys.argv[2] and sys.argv[1] == "verify" else 0)
"""

# PyTorch whose every run takes 2 ms.
TORCH = """
import sys, unittest.mock
torch = unittest.mock.MagicMock(__version__="stand-in")
torch.cuda.Event.return_value.elapsed_time.side_effect = lambda end: 2.0
sys.modules["torch"] = torch
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        self.state, self.bin, self.results = root / "state", root / "bin", root / "results.json"
        self.calls = root / "calls"
        self.calls.write_text("")
        self.path = "/usr/bin:/bin"
        self.bin.mkdir()
        for name, text in (("conformance_test", CONFORMANCE), ("random_graphs", GRAPHS), ("planish", PLANISH)):
            (self.bin / name).write_text(f"#!{sys.executable}\n{text}")
            (self.bin / name).chmod(0o755)
        models = self.state / "models_1"
        models.mkdir(parents=True)
        for name in ("mlp", "ncf"):
            (models / f"{name}.onnx").write_text("")

    def tearDown(self):
        self.folder.cleanup()

    def check(self, *arguments):
        done = subprocess.run([sys.executable, str(ROOT / "scripts" / "gpu_check"), *arguments, "--bin", str(self.bin),
                               "--state", str(self.state), "--results", str(self.results)], text=True,
                              capture_output=True, env={"CALLS": str(self.calls), "PATH": self.path,
                                                         "PYTHONPATH": self.folder.name})
        return done.returncode, done.stdout + done.stderr

    def found(self, part):
        return json.loads(self.results.read_text())[part]

    def test_conformance_goes_on_behind_what_dies(self):
        code, text = self.check("conformance")
        self.assertEqual(code, 1, text)
        counts = self.found("conformance")
        self.assertEqual((counts["right"], counts["wrong"], counts["refused"], counts["problems"]), (15, 2, 1, 6), text)
        self.assertTrue(counts["finished"])
        self.assertEqual(counts["not_run"], 0)
        self.assertEqual(self.found("machine")["versions"]["planish"], "1.2.3")
        self.assertIn("the process ended with 134", " ".join(counts["wrong_list"]))

    def test_conformance_in_several_processes_counts_each_problem_once(self):
        for _ in range(2):
            code, text = self.check("conformance", "--jobs", "4")
            self.assertEqual(code, 1, text)
            counts = self.found("conformance")
            self.assertEqual((counts["right"], counts["wrong"], counts["refused"], counts["problems"],
                              counts["not_run"]), (15, 2, 1, 6, 0), text)

    def test_graphs_that_fail_or_kill_the_process_are_named(self):
        code, text = self.check("graphs")
        self.assertEqual(code, 1, text)
        counts = self.found("graphs")
        self.assertEqual((counts["right"], counts["wrong"], counts["not_run"]), (379, 2, 20), text)
        self.assertEqual([(row["first"], row["said"][-1]) for row in counts["wrong_list"]],
                         [(500020, "ended with 1"), (500040, "ended with 134")])
        self.assertIn("graph 500021: wrong", counts["wrong_list"][0]["said"])

    def test_without_a_device_no_graph_is_wrong(self):
        self.path += ":/nowhere"
        code, text = self.check("graphs")
        self.assertEqual(code, 1, text)
        self.assertEqual(self.found("graphs"), {"right": 0, "wrong": 0, "not_run": 400, "wrong_list": []}, text)

    def test_what_the_time_did_not_allow_is_counted_as_not_run(self):
        code, text = self.check("conformance", "--only", "slow")
        self.assertEqual(code, 1, text)
        counts = self.found("conformance")
        self.assertFalse(counts["finished"])
        self.assertEqual((counts["problems"], counts["not_run"], counts["cases"]), (5, 1, "slow"), text)

    def test_a_sanitizer_that_the_machine_refuses_is_recorded_as_not_run(self):
        tool = self.bin / "compute-sanitizer"
        tool.write_text("#!/bin/sh\ncase $2 in memcheck) echo '========= ERROR SUMMARY: 0 errors';; "
                        "*) echo 'Device not supported'; exit 1;; esac\n")
        tool.chmod(0o755)
        self.path = f"{self.bin}:/usr/bin:/bin"
        self.check("sanitize", "--only", "Relu,MatMul")
        self.assertEqual([(row["tool"], row["cases"], row["outcome"]) for row in self.found("sanitize")],
                         [("memcheck", "Relu", "right"), ("memcheck", "MatMul", "right"),
                          ("racecheck", "Relu", "not_run"), ("racecheck", "MatMul", "not_run")])
        self.assertEqual(self.found("sanitize")[2]["said"], ["Device not supported"])

    def test_sanitizers_that_the_time_did_not_allow_are_recorded_as_not_run(self):
        (self.bin / "compute-sanitizer").write_text("#!/bin/sh\nexit 1\n")
        (self.bin / "compute-sanitizer").chmod(0o755)
        self.path = f"{self.bin}:/usr/bin:/bin"
        code, text = self.check("sanitize", "--only", "Relu", "--limit", "5")
        self.assertEqual(code, 1, text)
        self.assertEqual([row["said"] for row in self.found("sanitize")], ["out of time"] * 2)

    def test_models_are_taken_up_where_they_stopped(self):
        self.assertEqual(self.check("models", "--only", "ncf", "--precision", "fp16")[0], 0)
        code, text = self.check("models", "--only", "ncf,mlp", "--precision", "fp16")
        self.assertEqual(code, 1, text)
        self.assertEqual([row["outcome"] for row in self.found("models")], ["right", "wrong"])
        self.assertEqual(len(self.calls.read_text().splitlines()), 2)  # ncf once, mlp once

    def test_no_time_leaves_rows_for_the_next_call(self):
        code, text = self.check("bench", "--only", "mlp", "--precision", "fp16", "--limit", "5")
        self.assertEqual(code, 1, text)
        self.assertIn("bench: not finished", text)
        self.assertEqual(self.found("bench"), [])
        code, text = self.check("bench", "--only", "mlp", "--precision", "fp16")
        self.assertEqual(code, 0, text)
        self.assertEqual(self.found("bench")[0]["planish_ms"], 0.05)

    def test_pytorch_stands_beside_every_row(self):
        (pathlib.Path(self.folder.name) / "torch.py").write_text(TORCH)
        code, text = self.check("bench", "--only", "mlp", "--precision", "fp16", "--peers", "graph,compile")
        self.assertEqual(code, 0, text)
        row = self.found("bench")[0]
        self.assertEqual(row["torch"]["torch"], "stand-in")
        self.assertAlmostEqual(row["peer_ms"], 2 / 30)
        self.assertIn(row["peer"], ("torch graph", "torch compile"))

    def test_a_row_stands_where_pytorch_does_not(self):
        (pathlib.Path(self.folder.name) / "torch.py").write_text("raise ImportError('no such library')")
        code, text = self.check("bench", "--only", "mlp", "--precision", "fp16", "--peers", "graph")
        self.assertEqual(code, 0, text)
        row = self.found("bench")[0]
        self.assertEqual(row["planish_ms"], 0.05)
        self.assertNotIn("peer_ms", row)
        self.assertIn("no such library", row["torch"]["error"])

    def test_nothing_of_what_ran_too_long_goes_on(self):
        names = runpy.run_path(str(ROOT / "scripts" / "gpu_check"))
        check = names["Check"](argparse.Namespace(bin=self.bin, state=self.state, limit=60))
        code, text = check.run(["/bin/sh", "-c", "sleep 300 & echo $!; wait"], timeout=1)
        self.assertEqual(code, 124, text)
        status = pathlib.Path(f"/proc/{int(text)}/stat")
        runs = lambda: status.exists() and status.read_text().split()[2] not in "ZX"  # or nobody waits for a zombie
        for _ in range(200):
            if not runs():
                break
            time.sleep(0.05)
        self.assertFalse(runs(), text)

    def test_everything_stops_with_the_time(self):
        code, text = self.check("all", "--limit", "5")
        self.assertEqual(code, 1, text)
        self.assertIn("all: not finished", text)


if __name__ == "__main__":
    unittest.main()
