"""Latency while another process keeps one core busy, against one thread left alone.

  python3 bench/busy.py [MODEL] [--threads N] [--seconds 5] [--contenders planish onnxruntime ...]

The neighbour spins on one core for as long as the disturbed part lasts. A thread team that waits
for its slowest member runs at the pace of the core that is shared; the goal is a mean latency
within 1.2 times that of one undisturbed thread. Prints, per contender, the means in ms: one
thread alone, all threads alone, all threads disturbed, and the last over the first.
"""

import project_python

project_python.use()

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import tempfile

import numpy as np

from contender import PLANISH, Contender, command
from models import generate, inputs

GOAL = 1.2


def spin(core):
    os.sched_setaffinity(0, {core})
    while True:
        pass


@contextlib.contextmanager
def busy_neighbour():
    """A process that keeps the last usable core busy."""
    process = multiprocessing.Process(
        target=spin, args=(max(os.sched_getaffinity(0)),), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def mean_ms(contender, seconds):
    """The mean over rounds of about 0.2 s that fill `seconds`, after one to warm up."""
    first = contender.round(5)["mean_ms"]
    iterations = int(np.clip(200 / first, 5, 2000))
    means, spent = [], 0.0
    while spent < 1000 * seconds:
        means.append(contender.round(iterations)["mean_ms"])
        spent += means[-1] * iterations
    return float(np.mean(means))


def measure(name, path, files, arguments, folder):
    def start(threads):
        line = command(name, path, threads, files, arguments.planish)
        return Contender(name, line, folder / f"{name}.log")

    with start(1) as alone:
        single = mean_ms(alone, arguments.seconds)
    with start(arguments.threads) as team:
        quiet = mean_ms(team, arguments.seconds)
        with busy_neighbour():
            disturbed = mean_ms(team, arguments.seconds)
    return single, quiet, disturbed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="resnet50")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--contenders", nargs="+", default=["planish"], metavar="NAME")
    parser.add_argument("--planish", type=pathlib.Path, default=PLANISH, help="the command")
    arguments = parser.parse_args()
    path = pathlib.Path(arguments.model)
    path = path if path.suffix == ".onnx" else generate.ensure(arguments.model)
    print("| mean ms | 1 thread alone | all alone | all disturbed | disturbed / 1 thread |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        files = {}
        for at, (name, array) in enumerate(inputs.make_inputs(path).items()):
            files[name] = folder / f"input_{at}.npy"
            np.save(files[name], array)
        for name in arguments.contenders:
            single, quiet, disturbed = measure(name, path, files, arguments, folder)
            ratio = disturbed / single
            mark = f"{ratio:.2f} ({'within' if ratio <= GOAL else 'above'} {GOAL})"
            print(f"| {name} | {single:.2f} | {quiet:.2f} | {disturbed:.2f} | {mark} |", flush=True)


if __name__ == "__main__":
    main()
