#!/usr/bin/env python3
"""The models of model_zoo.py converted inside TensorFlow: every engine runs (the fallback is forbidden),
the results are TensorFlow's own within 1e-5 of their scale with fp32 "exact", engines and remaining
nodes are at most what conversions.py allows.

Usage: conversions_test.py [--full] [MODEL...]: in small or full size, those named or, of each kind, the
quickest. bench/tensorflow --no-speed makes a table of all.
Skips (exit code 77) without TensorFlow and the planish package.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import tensorflow as tf
    import planish.tensorflow
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import conversions

BOUND = 1e-5
DAILY = ["MobileNet", "LSTM", "NCF", "BERT encoder", "SSD-MobileNet-v1 frozen",
         "SSD-MobileNet-v1 SavedModel"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    names = args.models or DAILY
    failed = []
    print(f"{'model':28} {'before':>7} {'after':>6} {'error':>8}  nodes per engine")
    for name in names:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = conversions.convert(name, args.full, pathlib.Path(folder),
                                           {"deterministic": True, "fp32": "exact"}, {"cost_gate": False})
                problem = made.problem(name, BOUND)
                print(f"{name:28} {made.nodes:7} {made.nodes_after:6} {made.error():8.1e}  "
                      f"{made.engine_nodes}, {time.monotonic() - begin:.0f} s", flush=True)
            except Exception as error:  # noqa: BLE001: every model is reported
                problem = f"{type(error).__name__}: {error}"
        made = None
        tf.keras.backend.clear_session()
        if problem:
            failed.append(name)
            print(f"FAILED  {name}: {problem}", flush=True)
    print(f"{len(names) - len(failed)} of {len(names)} conversions as expected")
    if failed:
        print(f"again: {sys.argv[0]} {' '.join(map(repr, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
