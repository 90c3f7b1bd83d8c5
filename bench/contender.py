"""The processes that bench/run and bench/busy.py time: Planish and its peers, one process each.

Thread pools spin while they wait, and two spinning pools in one machine disturb each other; in
one process even more so. So every contender is a process, and only the one whose round it is may
run: the others are stopped by SIGSTOP.
"""

import json
import pathlib
import signal
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
PLANISH = TOP / "build" / "release" / "bin" / "planish"
PEERS = ["onnxruntime", "openvino"]


class Failed(RuntimeError):
    """A contender could not load or run the model; the text ends with what it said."""


def command(name, model, threads, files, planish=PLANISH):
    """The command line of a contender; `files` are its inputs by name, as .npy files."""
    feeds = [text for item in files.items() for text in ("--input", "=".join(map(str, item)))]
    common = [str(model), "--threads", str(threads), *feeds]
    if name == "planish":
        return [str(planish), "bench", *common, "--serve-rounds"]
    return [sys.executable, str(TOP / "bench" / "peer_worker.py"), name, *common]


class Contender:
    """A started contender, stopped whenever it is not in `round`. Use as a context manager."""

    def __init__(self, name, arguments, log):
        self.name = name
        self.log = pathlib.Path(log)
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        try:
            while (line := self._read()) != "ready":
                print(f"  {name}: {line}")
        except Failed:
            self.close()
            raise
        self.process.send_signal(signal.SIGSTOP)

    def _read(self):
        line = self.process.stdout.readline()
        if line:
            return line.strip()
        said = self.log.read_text(errors="replace").strip()[-2000:]
        code = self.process.wait()
        raise Failed(f"{self.name} ended with status {code}: {said or 'nothing on stderr'}")

    def round(self, iterations):
        """Runs `iterations` while the others are stopped; its times as a dict."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(f"{iterations}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # _read says what happened
        times = json.loads(self._read())
        self.process.send_signal(signal.SIGSTOP)
        return times

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
