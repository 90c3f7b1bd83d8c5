"""Writes ONNX's own node test cases to a folder, one sub-folder per case, for run_node_cases.

Each case becomes model.onnx and, per data set k, set_k/input_i.pb and set_k/output_i.pb (TensorProto;
a sequence or an optional becomes an empty file named .other). index.txt lists name, rtol, atol and
the number of data sets. A stamp with the onnx version and this file's hash makes a second call free.

Usage: extract.py FOLDER [REGULAR_EXPRESSION]
Exit code 77 (skip) with a reason when the onnx package is not installed.
"""
import hashlib
import os
import pathlib
import re
import shutil
import sys

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from onnx.backend.test.case.node import collect_testcases
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)


def stamp():
    source = pathlib.Path(__file__).read_bytes()
    return f"onnx {onnx.__version__} {hashlib.sha256(source).hexdigest()}"


def write_values(folder, prefix, values, infos):
    for i, value in enumerate(values):
        name = infos[i].name if i < len(infos) else ""
        path = folder / f"{prefix}_{i}"
        if isinstance(value, onnx.TensorProto):
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value)
            tensor.name = name
        elif isinstance(value, (np.ndarray, np.generic, int, float, bool)):
            tensor = numpy_helper.from_array(np.asarray(value), name)
        else:
            path.with_suffix(".other").write_bytes(b"")
            continue
        path.with_suffix(".pb").write_bytes(tensor.SerializeToString())


def write_case(folder, case):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for k, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"set_{k}"
        data.mkdir()
        write_values(data, "input", inputs, case.model.graph.input)
        write_values(data, "output", outputs, case.model.graph.output)


def main():
    target = pathlib.Path(sys.argv[1])
    pattern = re.compile(sys.argv[2] if len(sys.argv) > 2 else "")
    stamp_file = target / "stamp.txt"
    wanted = stamp() + pattern.pattern
    if stamp_file.exists() and stamp_file.read_text() == wanted:
        return
    fresh = target.with_name(target.name + f".{os.getpid()}.tmp")
    fresh.mkdir(parents=True)
    lines = []
    for case in sorted(collect_testcases(), key=lambda c: c.name):
        if case.model is None or not pattern.search(case.name):
            continue
        write_case(fresh / case.name, case)
        lines.append(f"{case.name} {case.rtol} {case.atol} {len(case.data_sets)}\n")
    (fresh / "index.txt").write_text("".join(lines))
    (fresh / "stamp.txt").write_text(wanted)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    print(f"{len(lines)} cases in {target}")


main()
