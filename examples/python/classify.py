#!/usr/bin/env python3
"""Handwritten digits by the bundled trained model: from file to result in three lines.

Usage: classify.py [DIGITS_FOLDER]    (default: examples/digits of this checkout)
"""

import pathlib
import sys

import numpy as np
import planish

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else \
    pathlib.Path(__file__).resolve().parents[1] / "digits"
images = np.load(folder / "digits_test_images.npy")
labels = np.load(folder / "digits_test_labels.npy")

engine = planish.build(folder / "digits.onnx")
result = engine(images)

right = int((result["probability"].argmax(axis=1) == labels).sum())
print(engine)
print(f"{right} of {len(labels)} test images right")
print(planish.verify(engine))
