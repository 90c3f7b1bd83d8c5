"""Random inputs for a benchmark model: `make_inputs(model, batch, seed)`.

The generated models carry in their metadata what each input means (`input.NAME`) and the usual
size of every symbolic dim but the batch (`dim.NAME`):

  image           smooth noise with the spectrum of photographs, whole multiples of 1/64
  normal          standard normal, whole multiples of 1/64
  token:LOW:HIGH  integers in [LOW, HIGH)
  mask            1 for a random length of at least half of the last dim, then 0

For a model without metadata floats are standard normal, integers 0 or 1, unknown dims 1.
Multiples of 1/64 make the values the same on every machine, whatever its rounding.
As a command: python3 bench/models/inputs.py MODEL.onnx --out inputs.npz
"""

import argparse
import pathlib
import sys

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import project_python

    project_python.use()

import numpy as np

DEFAULT_DIR = pathlib.Path(__file__).resolve().parents[2] / "build" / "models"


def load(model):
    """`model`: a ModelProto, a path, or the name of a generated model."""
    import onnx

    if isinstance(model, onnx.ModelProto):
        return model
    path = pathlib.Path(model)
    if path.suffix != ".onnx":
        path = DEFAULT_DIR / f"{model}.onnx"
    return onnx.load(path, load_external_data=False)


def make_inputs(model, batch=1, seed=0, dims=None):
    """A dict of arrays by input name; `dims` overrides sizes of symbolic dims by name."""
    from onnx import helper

    model = load(model)
    weights = {w.name for w in model.graph.initializer}
    declared = []
    for value in model.graph.input:
        if value.name in weights:
            continue
        tensor = value.type.tensor_type
        shape = [d.dim_param or (d.dim_value if d.HasField("dim_value") else None)
                 for d in tensor.shape.dim]  # fmt: skip
        declared.append((value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type).name))
    properties = {p.key: p.value for p in model.metadata_props}
    return random_inputs(declared, properties, batch, seed, dims)


def random_inputs(declared, properties, batch, seed, dims=None):
    """The same from (name, shape, dtype) triples and metadata; a first dim that is symbolic is
    the batch."""
    arrays = {}
    for at, (name, shape, dtype) in enumerate(declared):
        rng = np.random.default_rng([seed, at])
        sizes = [_size(i, d, properties, batch, dims or {}) for i, d in enumerate(shape)]
        kind = properties.get(f"input.{name}", "normal" if "float" in dtype else "token:0:2")
        arrays[name] = _fill(rng, kind, sizes).astype(dtype)
    return arrays


def _size(axis, dim, properties, batch, dims):
    if isinstance(dim, int):
        return dim
    if dim in dims:
        return dims[dim]
    if f"dim.{dim}" in properties:
        return int(properties[f"dim.{dim}"])
    return batch if axis == 0 else 1


def _fill(rng, kind, shape):
    name, *arguments = kind.split(":")
    if name == "image":
        return smooth_noise(rng, shape)
    if name == "token":
        return rng.integers(int(arguments[0]), int(arguments[1]), shape)
    if name == "mask":
        length = shape[-1]
        ends = rng.integers((length + 1) // 2, length + 1, shape[:-1])
        return np.arange(length) < ends[..., None]
    if name == "normal":
        return np.round(rng.standard_normal(shape, dtype=np.float32) * 64) / 64
    raise ValueError(f"input kind '{kind}': expected image, normal, token:LOW:HIGH or mask")


def smooth_noise(rng, shape):
    """Images [n, c, h, w]: noise on grids of 1, 2, 4 ... points across, fainter as it gets finer,
    mean about 0, deviation about 1, limited to [-3, 3]."""
    n, c, h, w = shape
    image = np.zeros(shape, np.float32)
    grid, amplitude = 1, 0.7
    while grid < min(h, w):
        coarse = rng.standard_normal((n, c, grid, grid), dtype=np.float32)
        coarse += 1.5 * rng.standard_normal((n, 1, grid, grid), dtype=np.float32)
        image += amplitude * (_spread(h, grid) @ coarse @ _spread(w, grid).T)
        grid, amplitude = 2 * grid, 0.75 * amplitude
    # Images of equal energy: with a few much stronger ones the calibration would follow those.
    image -= 0.8 * image.mean((1, 2, 3), keepdims=True)
    image *= rng.uniform(0.9, 1.1, (n, 1, 1, 1)) / image.std((1, 2, 3), keepdims=True)
    return np.round(np.clip(image, -3, 3) * 64) / 64


def _spread(size, grid):
    """Matrix [size, grid] of linear interpolation from `grid` points to `size` pixels."""
    at = np.clip((np.arange(size) + 0.5) * grid / size - 0.5, 0, grid - 1)
    distance = np.abs(at[:, None] - np.arange(grid))
    return np.maximum(1 - distance, 0).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="an ONNX file or the name of a generated model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the .npz file to write")
    arguments = parser.parse_args()
    arrays = make_inputs(arguments.model, arguments.batch, arguments.seed)
    np.savez(arguments.out, **arrays)
    for name, array in arrays.items():
        print(f"{name} {array.dtype} {list(array.shape)}")


if __name__ == "__main__":
    main()
