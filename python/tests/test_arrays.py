"""Arrays in and out: types, memory that is shared, and who keeps it alive."""

import gc

import ml_dtypes
import models
import numpy as np
import planish
import pytest

TYPES = ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16",
         "uint32", "uint64", "bool"]


@pytest.fixture(scope="module")
def relu():
    return planish.build(models.relu(), deterministic=True)


@pytest.fixture(scope="module")
def bf16():
    return planish.build(models.relu(), precision="bf16", io_precision="bf16", deterministic=True)


class Producer:
    """What speaks DLPack and nothing else."""

    def __init__(self, array, device=None):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if self.device:
            raise BufferError("elsewhere")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.array.__dlpack_device__()


def x(n=2):
    return np.linspace(-1, 1, 4 * n, dtype=np.float32).reshape(n, 4)


@pytest.mark.parametrize("dtype", TYPES)
def test_element_types(dtype):
    engine = planish.build(models.doubled(dtype), deterministic=True)
    given = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    got = engine(given)["y"]
    assert got.dtype == given.dtype
    np.testing.assert_array_equal(got, given | given if dtype == "bool" else given + given)
    tensor = engine.run([Producer(given)], dlpack=True)["y"]
    np.testing.assert_array_equal(np.from_dlpack(tensor), got)


def test_layouts_that_are_not_dense(relu):
    want = np.maximum(x(4), 0)
    wide = np.zeros((4, 8), np.float32)
    wide[:, ::2] = x(4)
    readonly = x(4)
    readonly.flags.writeable = False
    for given in (np.asfortranarray(x(4)), wide[:, ::2], readonly, x(4)[::-1][::-1], Producer(x(4))):
        np.testing.assert_array_equal(relu(given)["y"], want)


def test_batches_of_any_size(relu):
    for n in (3, 1, 50, 2):
        np.testing.assert_array_equal(relu(x(n))["y"], np.maximum(x(n), 0))
    with pytest.raises(planish.InvalidArgumentError, match="N must be at least 1"):
        relu(x(0))


def test_memory_is_read_and_written_where_it_lies(relu):
    # The library refuses outputs over inputs: it sees the caller's own memory on both sides.
    both = x()
    with pytest.raises(planish.InvalidArgumentError, match="'y' overlaps input 'x'"):
        relu.run([both], out={"y": both})
    with pytest.raises(planish.InvalidArgumentError, match="'y' overlaps input 'x'"):
        relu.run([Producer(both)], out={"y": both})
    out = np.full((2, 4), np.nan, np.float32)
    assert relu.run([x()], out={"y": out})["y"] is out
    np.testing.assert_array_equal(out, np.maximum(x(), 0))


def test_dlpack_objects_share_the_result(relu):
    tensor = relu.run([x()], dlpack=True)["y"]
    assert isinstance(tensor, planish.Tensor) and repr(tensor) == "<planish.Tensor f32[2, 4]>"
    assert tensor.shape == (2, 4) and tensor.__dlpack_device__() == (1, 0)
    for taken in (np.from_dlpack(tensor), np.asarray(tensor)):
        assert np.shares_memory(taken, tensor.to_numpy())
    assert "dltensor" in repr(tensor.__dlpack__())
    assert np.asarray(tensor, np.float64).dtype == np.float64


def test_results_are_never_overwritten(relu):
    context = relu.context()
    first = context(x())["y"]
    kept = first.copy()
    second = context(-x())["y"]
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    del first, second
    # Nobody holds the last result any more: its memory may serve again, and no other can tell.
    third = context(x())["y"]
    np.testing.assert_array_equal(third, kept)


def test_results_outlive_engine_and_context():
    engine = planish.build(models.relu(), deterministic=True)
    context = engine.context()
    result, tensor = context(x())["y"], context.run([x()], dlpack=True)["y"]
    taken = np.from_dlpack(tensor)
    del engine, context, tensor
    gc.collect()
    for kept in (result, taken):
        np.testing.assert_array_equal(kept, np.maximum(x(), 0))


def test_inputs_are_let_go(relu):
    import weakref

    class Array(np.ndarray):
        pass

    given = x().view(Array)
    watched = weakref.ref(given)
    relu(given)
    del given
    gc.collect()
    assert watched() is None


def test_bf16_as_bits_or_by_name(bf16):
    given = x().astype(ml_dtypes.bfloat16)
    want = np.maximum(given, 0)
    for array in (given, given.view(np.uint16)):
        got = bf16(array)["y"]
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got.view(ml_dtypes.bfloat16), want)
    tensor = bf16.run([given], dlpack=True)["y"]
    assert tensor.dtype == "bf16"
    out = np.zeros((2, 4), ml_dtypes.bfloat16)
    bf16.run([given], out={"y": out})
    np.testing.assert_array_equal(out, want)
    with pytest.raises(ValueError, match="got float16, expected bf16"):
        bf16(x().astype(np.float16))


def test_several_inputs_and_outputs():
    engine = planish.build(models.two_by_two(), deterministic=True)
    a, b = np.arange(3, dtype=np.float32), np.full(3, 2, np.float32)
    for result in (engine(a, b), engine(b=b, a=a), engine.run({"a": a, "b": b})):
        assert list(result) == ["sum", "product"]
        np.testing.assert_array_equal(result["sum"], a + b)
        np.testing.assert_array_equal(result["product"], a * b)
    product = np.empty(3, np.float32)
    result = engine.run([a, b], out={"product": product})
    assert result["product"] is product
    np.testing.assert_array_equal(product, a * b)
    np.testing.assert_array_equal(result["sum"], a + b)


@pytest.mark.parametrize("given, message", [
    (lambda: [x().astype(np.float64)], "input 'x': got float64, expected f32"),
    (lambda: [x().astype(np.complex64)], "input 'x': got complex64, expected f32"),
    (lambda: [x()[:, :3]], r"input 'x': got shape \[2, 3\], expected \[N, 4\]"),
    (lambda: [x()[0]], r"input 'x': got shape \[4\], expected \[N, 4\]"),
    (lambda: [[1.0, 2.0]], "input 'x' is a list, expected an array of f32"),
    (lambda: [None], "input 'x' is a NoneType, expected an array"),
    (lambda: [Producer(x(), (2, 0))], r"lies on DLPack device \(2, 0\), expected host memory"),
    (lambda: [x(), x()], "got 2 inputs, expected 1: x: f32"),
    (lambda: [], "got 0 inputs, expected 1"),
    (lambda: {"z": x()}, "no input 'z'; there is: 'x'"),
    (lambda: {}, r"input 'x' is missing; expected x: f32\[N, 4\]"),
    (lambda: x(), "got a ndarray, expected a mapping by name, or a list"),
])
def test_wrong_inputs(relu, given, message):
    with pytest.raises(planish.InvalidArgumentError, match=message):
        relu.run(given())
    np.testing.assert_array_equal(relu(x())["y"], np.maximum(x(), 0))


@pytest.mark.parametrize("out, message", [
    (lambda: {"z": x()}, "out: no output 'z'; there is: 'y'"),
    (lambda: {"y": np.empty((2, 4), np.float64)}, "out 'y': expected a writable array of f32.*float64"),
    (lambda: {"y": np.empty((2, 8), np.float32)[:, ::2]}, "out 'y'.*strided"),
    (lambda: {"y": np.broadcast_to(np.float32(0), (2, 4))}, "out 'y'.*read-only"),
    (lambda: {"y": np.empty((1, 4), np.float32)}, "takes 32 bytes, the bound buffer has 16"),
    (lambda: {"y": np.empty((4, 4), np.float32)}, r"got an array of \[4, 4\], expected \[2, 4\]"),
    (lambda: {"y": [0.0]}, "out 'y' is a list"),
])
def test_wrong_outputs(relu, out, message):
    with pytest.raises(planish.InvalidArgumentError, match=message):
        relu.run([x()], out=out())
    np.testing.assert_array_equal(relu(x())["y"], np.maximum(x(), 0))


def test_in_order_or_by_name_not_both(relu):
    with pytest.raises(ValueError, match="in order or by name, not both"):
        relu(x(), x=x())
