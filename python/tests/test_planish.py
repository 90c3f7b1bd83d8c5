"""The Python package, installed from its wheel, on the bundled trained model."""

import pathlib
import threading

import numpy as np
import planish
import pytest

MODEL = pathlib.Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def engine():
    return planish.build(MODEL, deterministic=True)


def image(n=2, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, (n, 1, 8, 8)).astype(np.float32)


def test_three_lines(engine):
    result = engine(image())
    assert list(result) == ["probability"]
    assert result["probability"].shape == (2, 10)
    np.testing.assert_allclose(result["probability"].sum(1), 1, rtol=1e-5)


def test_by_name_and_in_order_agree(engine):
    x = image(3)
    want = engine(x)["probability"]
    for got in (engine(image=x), engine({"image": x}), engine.context()(x)):
        np.testing.assert_array_equal(got["probability"], want)


def test_results_outlive_the_next_run(engine):
    context = engine.context()
    first = context(image(2, 1))["probability"]
    kept = first.copy()
    context(image(2, 2))
    np.testing.assert_array_equal(first, kept)


def test_save_and_load(engine, tmp_path):
    engine.save(tmp_path / "digits.plan")
    loaded = planish.load(tmp_path / "digits.plan")
    np.testing.assert_array_equal(loaded(image())["probability"], engine(image())["probability"])
    assert planish.inspect(tmp_path / "digits.plan")["steps"]
    with pytest.raises(planish.InvalidArgumentError, match="loaded from a plan"):
        loaded.save(tmp_path / "again.plan")


def test_verify(engine):
    report = planish.verify(engine)
    assert report["good"] and report["outputs"][0]["ratio"] <= 1


def test_futures_and_threads(engine):
    inputs = [image(2, seed) for seed in range(8)]
    want = [engine(x)["probability"] for x in inputs]
    for future, expected in zip([engine.submit(x) for x in inputs], want):
        np.testing.assert_array_equal(future.result()["probability"], expected)
    wrong = []

    def work(k):
        for _ in range(20):
            if not np.array_equal(engine(inputs[k])["probability"], want[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_dlpack_without_copies(engine):
    class OnlyDlpack:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **more):
            return self.array.__dlpack__(**more)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    x = image()
    np.testing.assert_array_equal(engine(OnlyDlpack(x))["probability"], engine(x)["probability"])


def test_progress_and_cancel():
    seen = []
    planish.build(MODEL, deterministic=True, progress=lambda *state: seen.append(state))
    assert seen and seen[-1][1] == 1.0
    with pytest.raises(planish.CancelledError):
        planish.build(MODEL, deterministic=True, progress=lambda *state: False)


def test_errors_carry_the_librarys_text(engine, tmp_path):
    with pytest.raises(planish.NotFoundError, match="missing.onnx"):
        planish.build(tmp_path / "missing.onnx")
    with pytest.raises(planish.InvalidArgumentError, match="f64"):
        engine(image().astype(np.float64))
    with pytest.raises(ValueError, match="got 2 inputs, expected 1"):
        engine(image(), image())
    (tmp_path / "damaged.plan").write_bytes(b"no plan at all")
    with pytest.raises(planish.PlanishError):
        planish.load(tmp_path / "damaged.plan")


def test_reprs(engine):
    assert "image: f32[N, 1, 8, 8]" in repr(engine) and "steps" in repr(engine)
