"""What happens around a build: progress, exceptions of callbacks, Ctrl-C."""

import os
import subprocess
import sys
import textwrap

import models
import planish
import pytest


def test_progress_is_told(digits):
    seen = []
    planish.build(digits, timing_cache="", progress=lambda *state: seen.append(state))
    fractions = [fraction for _, fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {"passes", "tune", "write"} <= {phase for phase, _, _ in seen}


def test_progress_cancels(digits):
    with pytest.raises(planish.CancelledError, match="cancelled"):
        planish.build(digits, deterministic=True, progress=lambda *state: False)


def test_an_exception_of_the_callback_comes_back(digits):
    def fail(*state):
        raise KeyError("of the callback")

    with pytest.raises(KeyError, match="of the callback"):
        planish.build(digits, deterministic=True, progress=fail)
    planish.build(digits, deterministic=True, progress=None)


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_progress_bar(digits, capfd, monkeypatch, has_tqdm):
    if has_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    planish.build(digits, deterministic=True, progress=True)
    shown = capfd.readouterr().err
    assert "planish" in shown and "100%" in shown


INTERRUPTED = """
    import os, pathlib, signal, sys, threading
    import numpy as np
    import models, planish

    cache = pathlib.Path("timing.cache")

    def interrupt(*state):
        os.kill(os.getpid(), signal.SIGINT)

    def expect_interrupt(what, call, after=None):
        timer = threading.Timer(after or 0, interrupt)
        try:
            if after:
                timer.start()
            call()
        except KeyboardInterrupt:
            print(what, "interrupted")
        if after:
            timer.join()

    big = models.towers(200)
    expect_interrupt("build", lambda: planish.build(big, timing_cache=cache, progress=interrupt))
    expect_interrupt("silent build", lambda: planish.build(big, timing_cache=cache), after=0.3)
    slow = models.products(50, 256)
    engine = planish.build(slow, deterministic=True)
    expect_interrupt("verify", lambda: planish.verify(engine, layers=True), after=0.3)

    relu = planish.build(models.relu(), timing_cache=cache)
    x = np.array([[-1, 0, 1, 2]], np.float32)
    print("builds and runs again:", np.array_equal(relu(x)["y"], np.maximum(x, 0)))
    print("left behind:", sorted(path.name for path in pathlib.Path().iterdir()
                                  if path.name not in ("timing.cache", "timing.cache.lock")))
    print("threads:", threading.active_count())
"""


def test_ctrl_c_leaves_things_sane(tmp_path):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(INTERRUPTED)], cwd=tmp_path,
                          capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": models.__file__.rpartition("/")[0],
                               "XDG_CACHE_HOME": str(tmp_path / "none")})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "build interrupted", "silent build interrupted", "verify interrupted",
        "builds and runs again: True", "left behind: []", "threads: 1"]


@pytest.mark.parametrize("options, message", [
    ({"precision": "int8"}, "precision: got 'int8', expected 'fp32', 'tf32', 'fp16' or 'bf16'"),
    ({"fp32": "slow"}, "fp32: got 'slow', expected 'fast' or 'exact'"),
    ({"profile": {"image": [(1, 1, 8, 8)]}}, "profile of 'image': got 1 shapes, expected min, opt"),
    ({"shapes": {"imag": (1, 1, 8, 8)}}, "'imag'.*no such input"),
    ({"shapes": {"image": (1, 2, 8, 8)}}, r"'image'.*dim 1 is 2, expected"),
    ({"disabled_passes": ["no_such_pass"]}, "no_such_pass"),
    ({"decisions": "{"}, "decisions"),
])
def test_wrong_options(digits, options, message):
    with pytest.raises(planish.InvalidArgumentError, match=message):
        planish.build(digits, deterministic=True, **options)


def test_options_of_a_wrong_type(digits):
    with pytest.raises(TypeError, match="threads: got 'two', a str"):
        planish.build(digits, threads="two")


def test_a_gpu_that_is_not_there(digits):
    """It is opened beside the reading of the model; what comes first to be wrong is said, once."""
    environment = dict(os.environ, PLANISH_CUDA_DRIVER="/nowhere/libcuda.so.1")
    for model, error, says in ((str(digits), "NotFoundError", "cuda"),
                               ("/nowhere.onnx", "NotFoundError", "/nowhere.onnx")):
        code = f"import planish\ntry: planish.build({model!r}, device='cuda')\nexcept planish.{error} as e: print(e)"
        done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert says in done.stdout
