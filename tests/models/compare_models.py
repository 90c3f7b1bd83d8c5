#!/usr/bin/env python3
"""Whole models against other people's results, element by element within verify's bound.

  compare_models.py PLANISH bench   [--models DIR] [--time-limit S] [NAME...]
  compare_models.py PLANISH zeroed  [--models DIR] [--time-limit S] [NAME...]
  compare_models.py PLANISH light
  compare_models.py PLANISH shared  [--shared DIR]

bench   bench/models (generated where missing) against onnxruntime on the same inputs; no step of
        their plans may run on reference code
zeroed  a plan against its model with the weights of one layer set to zero: verify must fail, layer
        by layer
light   the light_* networks of the onnx package against the outputs stored with them
shared  trained models of other projects against their authors' outputs, and against onnxruntime

Planish runs as `planish verify MODEL --inputs FOLDER`: it compares with the interpreter, too.
Exit code: 0 all right, 1 a model is wrong, 77 nothing to do here (with the reason).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
sys.path.insert(0, str(ROOT / "bench"))

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skipped: {missing} (scripts/requirements.txt names the packages)")
    sys.exit(SKIPPED)


def write_set(folder, feeds, outputs):
    """A test_data_set folder: inputs in order, outputs in order (None: not known)."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, tensors in (("input", feeds), ("output", outputs)):
        for at, (name, array) in enumerate(tensors.items()):
            proto = numpy_helper.from_array(np.ascontiguousarray(array), name)
            (folder / f"{kind}_{at}.pb").write_bytes(proto.SerializeToString())


def with_onnxruntime(path, feeds):
    """onnxruntime's outputs by name, without its optimizations."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def verify(planish, model, folder, *more):
    """(good, worst ratio to the bound, text of what failed) of the engine against the set."""
    line = [planish, "verify", model, "--inputs", folder, "--deterministic", "--quiet",
            "--json", "-", *more]  # fmt: skip
    done = subprocess.run([str(part) for part in line], capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return False, float("inf"), (done.stdout + done.stderr).strip()
    rows = report.get("outputs", []) + report.get("expected", [])
    worst = max((row["ratio"] or 0 for row in rows), default=0)
    bad = [f"{row['name']}: got {row['got']}, expected {row['expected']}, error "
           f"{row['worst_error']}, bound {row['bound']}" for row in rows if not row["good"]]  # fmt: skip
    good = done.returncode == 0 and bool(report.get("expected"))
    return good, worst, "; ".join(bad) or done.stderr.strip()


def reference_steps(planish, model, plan):
    """Builds the plan without measuring; how many of its steps run on reference code."""
    line = [planish, "build", model, "-o", plan, "--deterministic", "--quiet", "--json", "-"]
    done = subprocess.run([str(part) for part in line], capture_output=True, text=True, check=True)
    return json.loads(done.stdout[done.stdout.index("{") :])["report"]["reference_steps"]


class Tally:
    """Prints a line per model and counts."""

    def __init__(self):
        self.right = self.wrong = 0

    def add(self, name, result, start):
        good, worst, text = result
        self.right += good
        self.wrong += not good
        fine = "ok" if worst is None else f"ok, worst {worst:.3f} of its bound"
        state = fine if good else f"WRONG: {text}"
        print(f"{name}: {state}  ({time.monotonic() - start:.1f} s)", flush=True)

    def exit_code(self):
        print(f"{self.right} right, {self.wrong} wrong")
        return 1 if self.wrong else 0


# Models by the time that the interpreter takes for them, the quickest first.
BY_COST = ["mlp", "ncf", "squeezenet", "mobilenet_v2", "mobilenet_v1", "lstm", "gru",
           "efficientnet_b0", "nasnet_mobile", "googlenet", "ssd_mobilenet_v1", "densenet121",
           "resnet50", "inception_v3", "transformer", "unet", "bert_base", "resnet152", "vgg16",
           "vgg19"]  # fmt: skip


def compare_bench(arguments, work):
    from models import generate, inputs

    tally = Tally()
    names = arguments.names or BY_COST + [n for n in generate.MODELS if n not in BY_COST]
    begin = time.monotonic()
    for name in names:
        start = time.monotonic()
        if start - begin > arguments.time_limit:
            print(f"{name}: not compared, the time limit of {arguments.time_limit:.0f} s is over")
            continue
        path = generate.ensure(name, arguments.models)
        feeds = inputs.make_inputs(path, batch=1, seed=5)
        write_set(work / name, feeds, with_onnxruntime(path, feeds))
        plan = work / f"{name}.plan"
        reference = reference_steps(arguments.planish, path, plan)
        good, worst, text = verify(arguments.planish, path, work / name, "--plan", plan)
        if reference:
            good, text = False, f"{reference} steps on reference code; {text}"
        tally.add(name, (good, worst, text), start)
        plan.unlink()
    return tally.exit_code()


# Quick ones of every kind of layer; a layer costs a run of the interpreter.
ZEROED = ["mlp", "ncf", "lstm", "gru", "squeezenet"]
WEIGHTED = {"Conv": [1], "Gemm": [1], "MatMul": [0, 1], "Gather": [0], "LSTM": [1, 2], "GRU": [1, 2]}
VERIFICATION_FAILED = 4


def compare_zeroed(arguments, work):
    from models import generate

    tally = Tally()
    begin = time.monotonic()
    for name in arguments.names or ZEROED:
        path = generate.ensure(name, arguments.models)
        plan = work / "zeroed.plan"
        reference_steps(arguments.planish, path, plan)
        model = onnx.load(path)
        weights = {w.name: w for w in model.graph.initializer if len(w.dims) >= 2}
        layers = {node.input[at] for node in model.graph.node
                  for at in WEIGHTED.get(node.op_type, []) if at < len(node.input)}  # fmt: skip
        for layer in sorted(layers & weights.keys()):
            start = time.monotonic()
            if start - begin > arguments.time_limit:
                print(f"{name} {layer}: not tried, the time limit is over")
                continue
            kept = weights[layer].SerializeToString()
            zero = np.zeros_like(numpy_helper.to_array(weights[layer]))
            weights[layer].CopyFrom(numpy_helper.from_array(zero, layer))
            onnx.save(model, work / "zeroed.onnx")
            weights[layer].ParseFromString(kept)
            line = [arguments.planish, "verify", work / "zeroed.onnx", "--plan", plan, "--quiet"]
            done = subprocess.run([str(part) for part in line], capture_output=True, text=True)
            found = done.returncode == VERIFICATION_FAILED
            tally.add(f"{name} without {layer}",
                      (found, None, f"verify ended with {done.returncode}"), start)
    return tally.exit_code()


def compare_light(arguments, work):
    folder = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    models = sorted(folder.glob("*.onnx"))
    if not models:
        print(f"skipped: the onnx package {onnx.__version__} has no models in {folder}")
        return SKIPPED
    tally = Tally()
    for path in models:
        start = time.monotonic()
        graph = onnx.load(path).graph
        weights = {w.name for w in graph.initializer}
        feeds = {}
        for value in graph.input:
            if value.name in weights:
                continue
            dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
            count = int(np.prod(dims))  # what the package's own runner feeds
            feeds[value.name] = (np.arange(count).reshape(dims) / count).astype(np.float32)
        stored = {}
        for at, value in enumerate(graph.output):
            tensor = onnx.TensorProto()
            tensor.ParseFromString((path.parent / f"{path.stem}_output_{at}.pb").read_bytes())
            stored[value.name] = numpy_helper.to_array(tensor)
        write_set(work / path.stem, feeds, stored)
        tally.add(path.stem, verify(arguments.planish, path, work / path.stem), start)
    return tally.exit_code()


def basic_pitch_windows(folder):
    """The recording as the authors cut it: 22050 Hz, windows of 43844 samples that overlap by 30
    frames of 256."""
    import wave

    from scipy.signal import resample_poly

    with wave.open(str(folder / "vocadito_10.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        assert file.getframerate() == 44100
    audio = resample_poly(samples, 1, 2, window=("kaiser", 14.0)).astype(np.float32)
    overlap = 30 * 256
    padded = np.concatenate([np.zeros(overlap // 2, np.float32), audio])
    starts = range(0, len(padded), 43844 - overlap)
    windows = [np.pad(w, (0, 43844 - len(w))) for w in (padded[s : s + 43844] for s in starts)]
    return np.stack(windows)[:, :, None], len(audio)


def basic_pitch_unwrapped(output, samples):
    """One row per frame of the recording, as the authors join the windows."""
    joined = np.concatenate([window[15:-15] for window in output])
    return joined[: int(np.floor(samples * (22050 // 256) / 22050))]


def compare_basic_pitch(arguments, folder, work, tally):
    """Against onnxruntime within the bound, and no further from the authors' outputs than
    onnxruntime is: what is left is the resampling of the recording, which is not theirs."""
    start = time.monotonic()
    model = folder / "nmp.onnx"
    windows, samples = basic_pitch_windows(folder)
    wanted = with_onnxruntime(model, {"serving_default_input_2:0": windows})
    write_set(work / "basic_pitch", {"serving_default_input_2:0": windows}, wanted)
    result = verify(arguments.planish, model, work / "basic_pitch")
    tally.add("basic_pitch against onnxruntime", result, start)
    start = time.monotonic()
    np.save(work / "windows.npy", windows)
    out = work / "basic_pitch_out"
    subprocess.run([str(arguments.planish), "run", str(model), "--deterministic", "--quiet", "--input",
                    f"serving_default_input_2:0={work / 'windows.npy'}", "--output-dir", str(out)],
                   check=True, capture_output=True)  # fmt: skip
    manifest = json.loads((out / "manifest.json").read_text())
    theirs = np.load(folder / "model_output.npz", allow_pickle=True)["arr_0"].item()
    for kind, name in (("note", "StatefulPartitionedCall:1"), ("onset", "StatefulPartitionedCall:2"),
                       ("contour", "StatefulPartitionedCall:0")):  # fmt: skip
        ours = basic_pitch_unwrapped(np.load(out / manifest[name]["file"]), samples)
        peer = basic_pitch_unwrapped(wanted[name], samples)
        rows = min(len(ours), len(theirs[kind]))
        off = np.abs(ours[:rows] - theirs[kind][:rows]).max()
        peer_off = np.abs(peer[:rows] - theirs[kind][:rows]).max()
        good = bool(off <= peer_off + 1e-4 and peer_off < 0.01 and rows > 0.98 * len(theirs[kind]))
        text = f"{off:.2e} off over {rows} frames, onnxruntime {peer_off:.2e}"
        tally.add(f"basic_pitch {kind} against its authors ({text})", (good, off / 0.01, text), start)


def image_feed(path, value):
    """A photo for a detector: nearest pixels, (x - 127) / 128."""
    dims = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    try:
        from PIL import Image

        image = np.asarray(Image.open(path).convert("RGB").resize((dims[3], dims[2])), np.float32)
        return ((image.transpose(2, 0, 1)[None] - 127) / 128).astype(np.float32)
    except ImportError:
        rng = np.random.default_rng(3)
        return rng.uniform(-1, 1, dims).astype(np.float32)


def compare_shared(arguments, work):
    if not arguments.shared.exists():
        print(f"skipped: {arguments.shared} is absent (trained models of other projects)")
        return SKIPPED
    tally = Tally()
    for name in ("mnist_8", "super_resolution_10"):
        folder = arguments.shared / "onnx_zoo" / name
        for data in sorted(folder.glob("test_data_set_*")):
            start = time.monotonic()
            result = verify(arguments.planish, folder / "model.onnx", data)
            tally.add(f"{name} {data.name}", result, start)
    compare_basic_pitch(arguments, arguments.shared / "basic_pitch", work, tally)
    start = time.monotonic()
    model = arguments.shared / "ultraface" / "version-RFB-320.onnx"
    value = onnx.load(model).graph.input[0]
    feeds = {value.name: image_feed(arguments.shared / "ultraface" / "1.jpg", value)}
    write_set(work / "ultraface", feeds, with_onnxruntime(model, feeds))
    tally.add("ultraface", verify(arguments.planish, model, work / "ultraface"), start)
    return tally.exit_code()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("planish", type=pathlib.Path)
    parser.add_argument("what", choices=["bench", "zeroed", "light", "shared"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "build" / "models")
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--time-limit", type=float, default=float("inf"), metavar="S")
    arguments = parser.parse_args()
    run = {"bench": compare_bench, "zeroed": compare_zeroed, "light": compare_light, "shared": compare_shared}
    with tempfile.TemporaryDirectory() as work:
        sys.exit(run[arguments.what](arguments, pathlib.Path(work)))


if __name__ == "__main__":
    main()
