"""Planish: builds and runs optimized neural networks.

    import planish
    engine = planish.build("resnet50.onnx")     # or a TensorFlow SavedModel
    scores = engine(image)["scores"]
"""

from ._build import build
from ._devices import DeviceInfo, devices, load_plugin
from ._engine import Context, Engine, TensorInfo, inspect, load
from ._partition import Partition, Segment, partition
from ._planish import CancelToken, DeviceTensor, Tensor, VerifyReport, VerifyRow
from ._planish import version as _version
from ._verify import verify
from .errors import (CancelledError, DataLossError, DeadlineExceededError, DeviceError,
                     FailedPreconditionError, IncompatibleError, InternalError,
                     InvalidArgumentError, NotFoundError, PlanishError, ResourceExhaustedError,
                     UnimplementedError, UnsupportedError, VerificationError)

__version__ = _version()

__all__ = [
    "CancelToken", "CancelledError", "Context", "DataLossError", "DeadlineExceededError",
    "DeviceError", "DeviceInfo", "DeviceTensor", "Engine", "FailedPreconditionError", "IncompatibleError",
    "InternalError", "InvalidArgumentError", "NotFoundError", "Partition", "PlanishError",
    "ResourceExhaustedError", "Segment", "Tensor", "TensorInfo", "UnimplementedError",
    "UnsupportedError", "VerificationError", "VerifyReport", "VerifyRow", "build", "devices",
    "inspect", "load", "load_plugin", "partition", "verify",
]
