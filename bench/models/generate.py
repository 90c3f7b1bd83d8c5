"""Writes the benchmark models as ONNX files with calibrated random weights.

  python3 bench/models/generate.py [NAME...] [--out DIR] [--batch N|symbolic] [--opset N] [--list]

Without names all of them. The structure of each network is written down from its publication,
named in its file; the weights are ours (builder.py, calibrate.py), fixed by the model's name, so
two runs on a machine give the same bytes. check_statistics.py judges the result.
"""

import argparse
import importlib
import pathlib
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    import project_python

    project_python.use()

from models import inputs
from models.builder import Builder, save
from models.calibrate import calibrate

# Model name -> file of this folder; the file has a function of the model's name.
MODELS = {
    "resnet50": "resnet",
    "resnet152": "resnet",
    "vgg16": "vgg",
    "vgg19": "vgg",
    "googlenet": "inception",
    "inception_v3": "inception",
    "mobilenet_v1": "mobilenet",
    "mobilenet_v2": "mobilenet",
    "squeezenet": "squeezenet",
    "densenet121": "densenet",
    "nasnet_mobile": "nasnet",
    "ssd_mobilenet_v1": "ssd",
    "efficientnet_b0": "efficientnet",
    "unet": "unet",
    "bert_base": "bert",
    "transformer": "transformer",
    "ncf": "tabular",
    "mlp": "tabular",
    "lstm": "recurrent",
    "gru": "recurrent",
}


def build(name, batch="N", opset=17):
    """The calibrated ModelProto of one network."""
    builder = Builder(name, batch, opset)
    getattr(importlib.import_module(f"models.{MODELS[name]}"), name)(builder)
    calibrate(builder)
    return builder.model()


def ensure(name, out=inputs.DEFAULT_DIR):
    """The path of a generated model; writes it where it is missing."""
    path = pathlib.Path(out) / f"{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save(build(name), path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--out", type=pathlib.Path, default=inputs.DEFAULT_DIR)
    parser.add_argument("--batch", default="symbolic", help="a number, or 'symbolic' (default)")
    parser.add_argument("--opset", type=int, default=17, help="17 or above")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    arguments = parser.parse_args()
    unknown = [n for n in arguments.names if n not in MODELS]
    if unknown:
        parser.error(f"unknown model {', '.join(unknown)}; there are {', '.join(MODELS)}")
    if arguments.list:
        print("\n".join(MODELS))
        return
    batch = "N" if arguments.batch == "symbolic" else int(arguments.batch)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or MODELS:
        start = time.monotonic()
        path = arguments.out / f"{name}.onnx"
        save(build(name, batch, arguments.opset), path)
        size_mb = path.stat().st_size / 1e6
        print(f"{path}  {size_mb:.1f} MB  {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
