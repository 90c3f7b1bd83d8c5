"""GPU memory in and out by DLPack, on the emulated GPU: the tests run again in a process whose driver
and compiler are the fake ones (PLANISH_FAKE_GPU: their folder), where GPU memory is the host's.
"""

import ctypes
import os
import pathlib
import subprocess
import sys

import models
import numpy as np
import planish
import pytest

FAKES = pathlib.Path(os.environ.get("PLANISH_FAKE_GPU", "/nonexistent"))
DRIVER, COMPILER = FAKES / "libplanish_fake_cuda.so", FAKES / "libplanish_fake_nvrtc.so"
INSIDE = os.environ.get("PLANISH_CUDA_DRIVER") == str(DRIVER)
emulated = pytest.mark.skipif(not INSIDE, reason="runs in the process of test_on_the_emulated_gpu")

CUDA, FLOAT, BFLOAT, INT = 2, 2, 4, 0  # DLPack's numbers


@pytest.mark.skipif(INSIDE, reason="this is that process")
def test_on_the_emulated_gpu():
    if not (DRIVER.exists() and COMPILER.exists()):
        pytest.skip("no emulated GPU in this build")
    environment = dict(os.environ, PLANISH_CUDA_DRIVER=str(DRIVER), PLANISH_NVRTC=str(COMPILER),
                       PLANISH_CUDA_CACHE="none", FAKE_CUDA="devices=2")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
                          env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout, done.stdout


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32),
                ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p,
                                                               ctypes.c_void_p]


class GpuArray:
    """Another library's tensor over a DeviceTensor's memory, with a type, shape and strides of its own."""

    def __init__(self, memory, shape, strides=None, code=FLOAT, bits=32, device=0):
        self.memory, self.device, self.streams = memory, device, []
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        self.strides = (ctypes.c_int64 * len(shape))(*strides) if strides else None
        tensor = DLTensor(address_of(memory), CUDA, device, len(shape), code, bits, 1, self.shape,
                          self.strides, 0)
        self.managed = DLManagedTensor(tensor, None, None)

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        return new_capsule(ctypes.addressof(self.managed), b"dltensor", None)

    def __dlpack_device__(self):
        return CUDA, self.device


def address_of(tensor):
    capsule = tensor.__dlpack__()
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return DLManagedTensor.from_address(get(capsule, b"dltensor")).tensor.data


@pytest.fixture(scope="module")
def engine():
    return planish.build(models.relu(), device="cuda", shapes={"x": (2, 4)}, deterministic=True)


def x():
    return np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


@emulated
def test_results_stay_on_the_gpu_and_come_back_without_copies(engine):
    result = engine.run({"x": x()}, on_device=True)["y"]
    assert isinstance(result, planish.DeviceTensor)
    assert (result.dtype, result.shape) == ("f32", (2, 4))
    assert result.__dlpack_device__() == (CUDA, 0)
    np.testing.assert_array_equal(engine(result)["y"], np.maximum(x(), 0))
    # No later run writes there again.
    other = engine.run({"x": -x()}, on_device=True)["y"]
    assert address_of(other) != address_of(result)
    np.testing.assert_array_equal(engine(result)["y"], np.maximum(x(), 0))


@emulated
def test_the_producer_is_told_the_stream(engine):
    context = engine.context()
    assert context.stream != 0
    given = GpuArray(engine.run({"x": x()}, on_device=True)["y"], (2, 4))
    np.testing.assert_array_equal(context(given)["y"], np.maximum(x(), 0))
    assert given.streams == [context.stream]
    assert engine.context(stream=context.stream).stream == context.stream
    with pytest.raises(planish.InvalidArgumentError, match="stream: got a str"):
        engine.context(stream="mine")


@emulated
def test_results_go_where_the_caller_wants_them(engine):
    out = GpuArray(engine.run({"x": -x()}, on_device=True)["y"], (2, 4))
    assert engine.run({"x": x()}, out={"y": out})["y"] is out
    np.testing.assert_array_equal(engine(out.memory)["y"], np.maximum(x(), 0))


@emulated
def test_what_cannot_be_taken_is_named(engine):
    memory = engine.run({"x": x()}, on_device=True)["y"]
    with pytest.raises(planish.InvalidArgumentError, match=r"input 'x': got .*, expected f32"):
        engine(GpuArray(memory, (2, 4), code=INT))
    with pytest.raises(planish.InvalidArgumentError, match="'x' is strided in GPU memory"):
        engine(GpuArray(memory, (2, 4), strides=(1, 2)))
    with pytest.raises(planish.InvalidArgumentError,
                       match=r"lies on DLPack device \(2, 1\), expected .*GPU 0's, \(2, 0\)"):
        engine(GpuArray(memory, (2, 4), device=1))
    with pytest.raises(planish.InvalidArgumentError, match=r"got shape \[4, 2\]"):
        engine(GpuArray(memory, (4, 2)))
    on_cpu = planish.build(models.relu(), deterministic=True)
    with pytest.raises(planish.InvalidArgumentError, match=r"\(2, 0\), expected host memory"):
        on_cpu(memory)
    with pytest.raises(planish.InvalidArgumentError, match="on_device"):
        on_cpu.run({"x": x()}, on_device=True)


@emulated
def test_a_cap_on_device_memory(engine, tmp_path):
    engine.save(tmp_path / "relu.plan")
    small = planish.load(tmp_path / "relu.plan", max_device_memory_bytes=64)
    with pytest.raises(planish.ResourceExhaustedError, match="the engine's cap is 64"):
        small(x())
    large = planish.load(tmp_path / "relu.plan", max_device_memory_bytes=1 << 20)
    np.testing.assert_array_equal(large(x())["y"], np.maximum(x(), 0))
