"""The Python package, installed from its wheel, on the bundled trained model."""

import numpy as np
import planish
import pytest


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
    for got in (engine(image=x), engine({"image": x}), engine.run([x]), engine.context()(x)):
        np.testing.assert_array_equal(got["probability"], want)


def test_save_and_load(engine, tmp_path):
    engine.save(tmp_path / "digits.plan")
    want = engine(image())["probability"]
    for loaded in (planish.load(tmp_path / "digits.plan"), planish.load(engine.plan_bytes())):
        np.testing.assert_array_equal(loaded(image())["probability"], want)
        with pytest.raises(planish.InvalidArgumentError, match="loaded from a plan"):
            loaded.save(tmp_path / "again.plan")


def test_inspect(engine, tmp_path):
    engine.save(tmp_path / "digits.plan")
    described = planish.inspect(tmp_path / "digits.plan")
    assert described["steps"] and described == planish.inspect(engine)
    memory = engine.memory({"image": (4, 1, 8, 8)})
    assert memory["arena_bytes"] >= memory["lower_bound_bytes"] > 0
    assert engine.metadata["planish.version"] == planish.__version__


def test_models_from_memory(digits, engine):
    want = engine(image())["probability"]
    class Proto:
        def SerializeToString(self):
            return digits.read_bytes()

    for model in (digits.read_bytes(), Proto()):
        got = planish.build(model, deterministic=True)(image())["probability"]
        np.testing.assert_array_equal(got, want)
    with pytest.raises(planish.InvalidArgumentError, match="got a int, expected a path"):
        planish.build(3)


def test_decisions_repeat_a_build(digits, engine):
    again = planish.build(digits, decisions=engine.decisions, deterministic=True)
    assert again.decisions == engine.decisions


def test_fixed_shapes_and_profile(digits):
    fixed = planish.build(digits, shapes={"image": (1, 1, 8, 8)}, deterministic=True)
    assert fixed.inputs[0].shape == (1, 1, 8, 8)
    ranged = planish.build(digits, deterministic=True,
                           profile={"image": ((1, 1, 8, 8), (4, 1, 8, 8), (8, 1, 8, 8))})
    assert ranged(image(8))["probability"].shape == (8, 10)


def test_verify(digits, engine, tmp_path):
    report = planish.verify(engine, layers=True)
    assert report and report.good and report.outputs[0].ratio <= 1 and report.layers
    assert "probability" in repr(report) and "elements" in repr(report.outputs[0])
    assert planish.verify(engine, inputs=[image()]).outputs[0].count == 20
    loaded = planish.load(engine.plan_bytes())
    with pytest.raises(planish.InvalidArgumentError, match="give the model"):
        planish.verify(loaded)
    assert planish.verify(loaded, digits, seed=2).good


def test_a_bound_of_nothing_is_not_met(engine):
    report = planish.verify(engine, atol=0, rtol=0)
    assert not report and report.outputs[0].ratio > 1 and "not good" in repr(report)


def test_reprs(engine):
    assert "image: f32[N, 1, 8, 8]" in repr(engine) and "steps on cpu" in repr(engine)
    assert "Context of <planish.Engine" in repr(engine.context())
    assert str(engine.outputs[0]) == "probability: f32[N, 10]"
    assert repr(planish.CancelToken()) == "<planish.CancelToken, not cancelled>"


def test_devices():
    cpu = planish.devices()[0]
    assert cpu.kind == "cpu" and cpu.available and cpu.threads >= 1
    assert all(device.available or device.reason for device in planish.devices())
