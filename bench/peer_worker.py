"""One contender of bench/run as a process of its own: onnxruntime or openvino on one model.

It loads the model and the inputs, runs once, prints `ready`, and then for each line `K` on its
standard input runs K iterations and prints one JSON line with `median_ms`, `min_ms`, `mean_ms`.
`planish bench MODEL --serve-rounds` speaks the same. Both peers get the exact shapes and fp32, and
run on buffers bound before the clock starts.

  python3 bench/peer_worker.py onnxruntime|openvino MODEL --threads N --input NAME=FILE.npy...
"""

import argparse
import json
import sys
import time

import numpy as np


def onnxruntime_step(path, inputs, threads):
    """A function that runs the model once on `inputs`."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, size in symbolic_dims(path, inputs).items():
        options.add_free_dimension_override_by_name(name, size)
    session = ort.InferenceSession(path, options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name, "cpu")
    return lambda: session.run_with_iobinding(binding)


def symbolic_dims(path, inputs):
    """Symbol -> size, as the arrays in `inputs` say."""
    import onnx

    sizes = {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape):
            if dim.dim_param:
                sizes[dim.dim_param] = size
    return sizes


def openvino_step(path, inputs, threads):
    """The same for openvino."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape({name: list(array.shape) for name, array in inputs.items()})
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", config).create_infer_request()
    for name, array in inputs.items():
        request.set_tensor(name, ov.Tensor(array, shared_memory=True))

    def step():
        request.start_async()
        request.wait()

    return step


STEPS = {"onnxruntime": onnxruntime_step, "openvino": openvino_step}


def time_round(step, count):
    """Latencies of `count` runs in milliseconds, summed up."""
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        step()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return {"median_ms": np.median(times), "min_ms": min(times), "mean_ms": np.mean(times)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peer", choices=STEPS)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", action="append", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    pairs = [text.split("=", 1) for text in arguments.input]
    inputs = {name: np.ascontiguousarray(np.load(file)) for name, file in pairs}
    step = STEPS[arguments.peer](arguments.model, inputs, arguments.threads)
    step()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(time_round(step, int(line))), flush=True)


if __name__ == "__main__":
    main()
