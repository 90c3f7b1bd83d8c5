#!/usr/bin/env python3
"""Every TensorFlow operator of op_cases*.py, on each of its inputs: TensorFlow's own
result against `planish run` of the same GraphDef. One graph per operator holds all its inputs.

Usage: ops_test.py PLANISH [OPERATOR...]. Skips (exit code 77) without TensorFlow.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import op_cases
import op_cases_more
import op_cases_rare

# Drawn numbers are nothing to compare.
RANDOM = {"RandomStandardNormal", "RandomUniform"}
# Errors beyond rounding, with their reason.
LOOSE = {"Mfcc": 1e-3, "AudioSpectrogram": 1e-4,
         # TensorFlow takes the weights from a table of 1024 positions between two pixels.
         "ResizeBicubic00": 2e-3, "ResizeBicubic01": 2e-3, "ResizeBicubic10": 2e-3}


def build_graph(function, inputs, is_run=True):
    """GraphDef with inputs in{case}_{i} and outputs out{case}_{j}, and what TensorFlow computes."""
    graph = tf.Graph()
    feeds, fetches = {}, {}
    with graph.as_default():
        for case, arrays in enumerate(inputs):
            tensors = []
            for k, array in enumerate(arrays):
                array = np.asarray(array)
                name = f"in{case}_{k}"
                tensors.append(tf.compat.v1.placeholder(array.dtype, array.shape, name))
                feeds[name] = array
            outputs = function(*tensors)
            if not isinstance(outputs, (list, tuple)):
                outputs = [outputs]
            for k, output in enumerate(outputs):
                name = f"out{case}_{k}"
                fetches[name] = tf.identity(output, name)
    if not is_run:
        graph_def = graph.as_graph_def()
        getattr(function, "edit", lambda _: None)(graph_def)
        return graph_def, feeds, None
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run(fetches, {name + ":0": array for name, array in feeds.items()})
    return graph.as_graph_def(), feeds, expected


def run_planish(planish, folder, graph_def, feeds):
    (folder / "graph.pb").write_bytes(graph_def.SerializeToString())
    command = [planish, "run", str(folder / "graph.pb"), "--deterministic", "--quiet",
               "--output-dir", str(folder / "out")]
    for name, array in feeds.items():
        np.save(folder / f"{name}.npy", array)
        command += ["--input", f"{name}={folder / name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[:600])
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    return {name: np.load(folder / "out" / one["file"]) for name, one in manifest.items()}


def compare(name, key, got, want):
    """The first difference as text, or None. Floats: 1e-5 of the tensor's scale, written for NaN."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{key}: got {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
    if want.dtype.kind != "f":
        return None if np.array_equal(got, want) else f"{key}: got {got.ravel()[:8]}, expected {want.ravel()[:8]}"
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = want[np.isfinite(want)]
    scale = max(1e-6, float(np.max(np.abs(finite)))) if finite.size else 1.0
    with np.errstate(invalid="ignore"):
        close = np.abs(got - want) <= LOOSE.get(name, 1e-5) * scale
    wrong = ~(same | close)
    if not wrong.any():
        return None
    at = int(np.argmax(wrong.ravel()))
    return f"{key}[{at}]: got {got.ravel()[at]}, expected {want.ravel()[at]} (scale {scale})"


def imported_operators(planish):
    text = subprocess.run([planish, "ops", "--json"], check=True, capture_output=True, text=True).stdout
    return {name.split("(")[0] for op in json.loads(text) for name in op["tensorflow"].split(", ") if name}


def output_names_that_lack(planish):
    """Functions name outputs where graphs number them: those of imported operators that src/frontend does
    not know, or in another order."""
    from tensorflow.python.framework import op_def_registry
    names = imported_operators(planish)
    root = pathlib.Path(__file__).resolve().parents[2]
    table = (root / "src" / "frontend" / "tensorflow" / "source.cc").read_text()
    table = "".join(table.split())
    for name in sorted(names):
        definition = op_def_registry.get(name)
        outputs = [one.name for one in definition.output_arg] if definition else []
        if len(outputs) > 1 and f'{{"{name}",{{"' + '","'.join(outputs) + '"}}' not in table:
            yield f"{name}: source.cc lacks its outputs {', '.join(outputs)}"


def main():
    planish, chosen = sys.argv[1], sys.argv[2:]
    failures, count = [] if chosen else list(output_names_that_lack(planish)), 0
    seen = set(RANDOM)
    rows = [(*row, None) for row in op_cases.cases(tf)] + op_cases_more.cases(tf)
    rows += op_cases_rare.cases(tf)
    for name, function, inputs, reference in rows:
        if chosen and name not in chosen:
            continue
        if len(inputs) < 3:
            failures.append(f"{name}: {len(inputs)} inputs, expected at least 3")
        try:
            graph_def, feeds, expected = build_graph(function, inputs, is_run=not reference)
            if reference:
                expected = build_graph(reference, inputs)[2]
        except Exception as error:  # noqa: BLE001 - the row itself is wrong
            failures.append(f"{name}: TensorFlow: {str(error)[:300]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                got = run_planish(planish, pathlib.Path(folder), graph_def, feeds)
            except RuntimeError as error:
                failures.append(f"{name}: {error}")
                continue
        count += 1
        for nodes in [graph_def.node, *(one.node_def for one in graph_def.library.function)]:
            seen.update(node.op for node in nodes)
        for key, want in expected.items():
            problem = compare(name, key, got[key], np.asarray(want)) if key in got else f"{key} is missing"
            if problem:
                failures.append(f"{name}: {problem}")
                break
    if not chosen:
        failures += [f"{name}: no row has it" for name in sorted(imported_operators(planish) - seen)]
    print(f"{count} operator cases ran, {len(failures)} failed")
    for failure in failures:
        print("FAILED", failure)
    if failures:
        print(f"rerun one: {sys.argv[0]} {planish} {failures[0].split(':')[0]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
