"""build(): from a model file to an engine."""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Sequence, Union

from . import _planish
from ._engine import Engine, Path
from ._planish import CancelToken
from ._progress import Progress, report_to
from .errors import InvalidArgumentError

Shapes = Mapping[str, Sequence[int]]


def load_network(model: Any, shapes: Optional[Shapes] = None, *, signature: str = "",
                 tags: Sequence[str] = (), inputs: Sequence[str] = (),
                 outputs: Sequence[str] = ()) -> _planish.Network:
    """The network of a file, of an ONNX model's bytes, or of an onnx.ModelProto."""
    dims = {name: list(map(int, shape)) for name, shape in (shapes or {}).items()}
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, bytes):
        return _planish.parse_onnx(model, "model", dims)
    if not isinstance(model, (str, os.PathLike)):
        raise InvalidArgumentError(f"model: got a {type(model).__name__}, expected a path, an ONNX "
                                   "model's bytes or an onnx.ModelProto")
    return _planish.load_network(os.fspath(model), signature, list(tags), list(inputs), list(outputs),
                                 dims)


def build(model: Union[Path, bytes, Any], *, device: str = "cpu", shapes: Optional[Shapes] = None,
          profile: Optional[Mapping[str, Sequence[Sequence[int]]]] = None, precision: str = "fp32",
          io_precision: str = "fp32", fp32: str = "fast", deterministic: bool = False,
          time_budget: Optional[float] = None, timing_cache: Optional[Path] = None,
          decisions: str = "", threads: int = 0, max_workspace_bytes: int = 0,
          max_memory_bytes: int = 0, packed_weights: bool = False, allow_libraries: bool = False,
          disabled_passes: Sequence[str] = (), signature: str = "", tags: Sequence[str] = (),
          inputs: Sequence[str] = (), outputs: Sequence[str] = (), progress: Progress = None,
          cancel: Optional[CancelToken] = None) -> Engine:
    """Builds an engine from an ONNX file or one of TensorFlow's (SavedModel, GraphDef, checkpoint).

    model: a path, an ONNX model's bytes, or an onnx.ModelProto.
    shapes: fixed shapes by input name. profile: min, opt and max shape by input name.
    precision: "fp32", "tf32", "fp16" or "bf16"; io_precision: of inputs and outputs, too.
    fp32: "exact" leaves out algorithms that round differently. deterministic: nothing is measured.
    time_budget: seconds that measuring may take. timing_cache: file of earlier measurements; empty:
    none. decisions: Engine.decisions of an earlier build. Limits of 0 are none; threads 0: all cores.
    allow_libraries: kernels of cuBLASLt and cuDNN race ours; on a GPU only.
    signature, tags, inputs, outputs: what to take of a TensorFlow model.
    progress: True for a bar, or a function of (phase, fraction, message) that may return False to
    cancel. cancel: ends it from another thread. Python's lock is free meanwhile, and Ctrl-C works.
    """
    options = _planish.BuildOptions()
    options.set_profile({name: [list(map(int, dims)) for dims in three]
                         for name, three in (profile or {}).items()})
    options.set_precision(precision)
    options.set_io_precision(io_precision)
    options.set_fp32(fp32)
    settings = dict(
        device=device, shapes={name: list(map(int, dims)) for name, dims in (shapes or {}).items()},
        deterministic=deterministic, time_budget_s=time_budget,
        timing_cache=None if timing_cache is None else os.fspath(timing_cache), decisions=decisions,
        threads=threads, max_workspace_bytes=max_workspace_bytes, max_memory_bytes=max_memory_bytes,
        packed_weights=packed_weights, allow_libraries=allow_libraries,
        disabled_passes=list(disabled_passes),
        cancel=cancel or CancelToken())
    for name, value in settings.items():
        try:
            setattr(options, name, value)
        except TypeError:
            raise TypeError(f"{name}: got {value!r}, a {type(value).__name__}") from None
    opening = _planish.open_device_async(device)  # beside the reading of the model
    network = load_network(model, shapes, signature=signature, tags=tags, inputs=inputs,
                           outputs=outputs)
    with report_to(progress) as report:
        plan = _planish.build(network, options, report)
    del opening
    return Engine(plan.engine("", threads), plan, network)
