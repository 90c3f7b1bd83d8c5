#!/usr/bin/env python3
"""The graphs of segment_rows.py, converted: the expected engines, the expected operators outside, and
TensorFlow's own results, twice per input, with the fallback forbidden unless the row allows it. Each
row runs in FP32 with an engine per shape and, where half precision can hold its values, in FP16 with
shape profiles.

Usage: segments_test.py [ROW...]. Skips (exit code 77) without TensorFlow and the planish package.
"""

import os
import pathlib
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
    import planish.tensorflow
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import segment_rows

TOLERANCE = {"FP32": (1e-5, 1e-5), "FP16": (2e-2, 1e-2)}


def save(row, folder):
    """The row's function as a SavedModel, and what TensorFlow computes for each of its inputs."""
    def spec(name, array):
        shape = list(array.shape)
        if row.open_batch and shape:
            shape[0] = None
        for axis in row.open_dims:
            shape[axis] = None
        return tf.TensorSpec(shape, array.dtype, name)

    specs = {name: spec(name, np.asarray(array)) for name, array in row.inputs.items()}
    module = tf.Module()
    module.run = tf.function(row.function)
    concrete = module.run.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures=concrete)
    return [{key: value.numpy() for key, value in
             module.run(**{n: tf.constant(a) for n, a in inputs.items()}).items()}
            for inputs in [row.inputs, *row.more]]


def compare(got, want, precision):
    absolute, relative = TOLERANCE[precision]
    for key, expected in want.items():
        value = got[key].numpy()
        if value.shape != expected.shape or value.dtype != expected.dtype:
            return f"{key}: got {value.dtype}{value.shape}, expected {expected.dtype}{expected.shape}"
        if expected.dtype.kind != "f":
            if not np.array_equal(value, expected):
                return f"{key}: got {value.ravel()[:6]}, expected {expected.ravel()[:6]}"
            continue
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        worst = np.abs(value - expected) - relative * np.abs(expected)
        if not bool(np.all(worst <= absolute * scale)):
            return f"{key}: {float(np.max(np.abs(value - expected))):.3g} away, of {scale:.3g}"
    return None


def outside(graph_def):
    return {node.op for node in graph_def.node}


def check(row, precision, dynamic):
    """What is wrong, or None."""
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        wants = save(row, folder / "model")
        converter = planish.tensorflow.Converter(
            str(folder / "model"), precision_mode=precision, minimum_segment_size=row.minimum,
            maximum_cached_engines=8, use_dynamic_shape=dynamic, ops_denylist=row.deny,
            build_options={"deterministic": True}, partition_options={"cost_gate": False})
        function = converter.convert()
        given = [{name: tf.constant(array) for name, array in inputs.items()}
                 for inputs in [row.inputs, *row.more]]
        if dynamic:
            converter.build(lambda: iter(given))
        os.environ["PLANISH_TF_ALLOW_NATIVE_SEGMENT"] = "1" if row.may_run_native else "0"
        engines = converter.signatures["serving_default"].engines
        if row.engines >= 0 and len(engines) != row.engines:
            return (f"{len(engines)} engines, expected {row.engines}:\n"
                    f"{converter.signatures['serving_default'].report}")
        missing = set(row.stays) - outside(function.graph.as_graph_def()) - {
            node.op for f in function.graph.as_graph_def().library.function for node in f.node_def}
        if missing:
            return f"{missing} should stay in TensorFlow"
        for inputs, want in zip(given, wants):
            for _ in range(2):
                wrong = compare(function(**inputs), want, precision)
                if wrong:
                    return wrong
        for name, told in converter.statistics().items():
            if not row.may_run_native and told["native_calls"]:
                return f"{name} was run by TensorFlow: {told['refusals']}"
        return None
    finally:
        os.environ.pop("PLANISH_TF_ALLOW_NATIVE_SEGMENT", None)
        shutil.rmtree(folder)


def main(names):
    failed, count = [], 0
    for row in segment_rows.rows(tf):
        if names and row.name not in names:
            continue
        for precision, dynamic in [("FP32", False), ("FP16", True)]:
            if precision == "FP16" and not row.half:
                continue
            count += 1
            try:
                wrong = check(row, precision, dynamic)
            except Exception as error:  # noqa: BLE001: every row is reported
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                failed.append(f"{row.name} {precision}")
                print(f"FAILED  {row.name} {precision}{' dynamic' if dynamic else ''}: {wrong}")
    print(f"{count - len(failed)} of {count} conversions as expected")
    if failed:
        print(f"again: {sys.argv[0]} {' '.join(sorted({name.split()[0] for name in failed}))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
