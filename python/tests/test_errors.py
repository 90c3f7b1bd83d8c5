"""Exceptions: one per status code, with the library's text, also of Python's own kinds."""

import models
import planish
import pytest
from planish import _planish, errors


def test_every_code_has_an_exception():
    names = _planish.code_names()
    assert len(names) == 13
    for name in names:
        kind = errors.of_code(name)
        assert issubclass(kind, planish.PlanishError) and kind is not planish.PlanishError, name
        assert kind.code == name
        assert kind.__name__ in planish.__all__


@pytest.mark.parametrize("kind, builtin", [
    (planish.InvalidArgumentError, ValueError), (planish.UnsupportedError, NotImplementedError),
    (planish.UnimplementedError, planish.UnsupportedError),
    (planish.NotFoundError, FileNotFoundError), (planish.ResourceExhaustedError, MemoryError),
    (planish.DeadlineExceededError, TimeoutError)])
def test_kinds_that_python_knows(kind, builtin):
    assert issubclass(kind, builtin) and issubclass(kind, RuntimeError)
    with pytest.raises(builtin, match="what happened"):
        raise kind("what happened")


def refuse(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert type(caught.value) is kind


def test_messages_are_the_librarys(digits, engine, tmp_path):
    refuse(lambda: planish.build(tmp_path / "missing.onnx"), planish.NotFoundError, "missing.onnx")
    refuse(lambda: planish.build(models.unknown_op()), planish.UnsupportedError, "NoSuchOp")
    refuse(lambda: planish.build(b"no model"), planish.DataLossError, "not a protobuf message")
    refuse(lambda: planish.build(digits, deterministic=True, max_memory_bytes=1),
           planish.ResourceExhaustedError, "max_memory is 1")
    refuse(lambda: planish.build(digits, device="abacus"), planish.NotFoundError, "abacus")
    refuse(lambda: planish.load_plugin(tmp_path / "none.so"), planish.NotFoundError, "none.so")
    damaged = bytearray(engine.plan_bytes())
    damaged[len(damaged) // 2] ^= 1
    refuse(lambda: planish.load(bytes(damaged)), planish.DataLossError, "plan in memory")
    (tmp_path / "damaged.plan").write_bytes(damaged)
    refuse(lambda: planish.load(tmp_path / "damaged.plan"), planish.DataLossError, "damaged.plan")
    refuse(lambda: engine.save(tmp_path / "no" / "folder.plan"), planish.NotFoundError, "folder.plan")
