#!/usr/bin/env python3
"""Arrays in and out without a copy: DLPack, NumPy, and memory of the caller's own.

Anything that speaks DLPack (PyTorch, JAX, CuPy on the host, TensorFlow) goes in as it is; a result
that is asked for as planish.Tensor goes out the same way, `torch.from_dlpack(tensor)` for instance.
Usage: dlpack.py [DIGITS_FOLDER]
"""

import pathlib
import sys

import numpy as np
import planish

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else \
    pathlib.Path(__file__).resolve().parents[1] / "digits"
images = np.load(folder / "digits_test_images.npy")
engine = planish.build(folder / "digits.onnx")

# Results as DLPack objects: a consumer takes over the memory, which lives as long as it does.
tensor = engine.run([images], dlpack=True)["probability"]
taken_over = np.from_dlpack(tensor)
print(tensor, "shares its memory:", np.shares_memory(taken_over, tensor.to_numpy()))

# Results written where the caller wants them.
scores = np.empty((len(images), 10), np.float32)
returned = engine.run({"image": images}, out={"probability": scores})["probability"]
print("written in place:", returned is scores and np.array_equal(scores, taken_over))
