"""Planish: builds and runs optimized neural networks.

    import planish
    engine = planish.build("resnet50.onnx")     # or a TensorFlow SavedModel
    scores = engine(image)["scores"]
"""

from ._engine import Context, Engine, TensorInfo, build, inspect, load, verify
from ._partition import Partition, Segment, partition
from ._planish import version as __version__
from .errors import (CancelledError, DataLossError, FailedPreconditionError, IncompatibleError,
                     InvalidArgumentError, NotFoundError, PlanishError, ResourceExhaustedError,
                     UnsupportedError)

__all__ = [
    "CancelledError", "Context", "DataLossError", "Engine", "FailedPreconditionError",
    "IncompatibleError", "InvalidArgumentError", "NotFoundError", "Partition", "PlanishError",
    "ResourceExhaustedError", "Segment", "TensorInfo", "UnsupportedError", "build", "inspect", "load",
    "partition", "verify",
]
