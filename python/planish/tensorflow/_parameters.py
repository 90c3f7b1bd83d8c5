"""The parameters of a conversion, under the names that users of TensorFlow's TensorRT integration know,
and what is said about those that cannot be honoured."""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from planish import InvalidArgumentError, UnsupportedError

from ._graph import EngineOptions

DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES = 1 << 30


class TrtPrecisionMode:
    FP32 = "FP32"
    FP16 = "FP16"
    BF16 = "BF16"
    INT8 = "INT8"

    @staticmethod
    def supported_precision_modes():
        return [TrtPrecisionMode.FP32, TrtPrecisionMode.FP16, TrtPrecisionMode.BF16]


class ConversionParams(NamedTuple):
    """max_workspace_size_bytes: cap on one step's scratch memory. precision_mode: FP32, FP16 or BF16.
    minimum_segment_size: smaller segments stay in TensorFlow; -1: all do. maximum_cached_engines:
    engines kept per segment, those used last. use_calibration: only with INT8, which is not there yet.
    allow_build_at_runtime: False: shapes without an engine run in TensorFlow.
    """

    max_workspace_size_bytes: int = DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES
    precision_mode: str = TrtPrecisionMode.FP32
    minimum_segment_size: int = 3
    maximum_cached_engines: int = 1
    use_calibration: bool = True
    allow_build_at_runtime: bool = True


DEFAULT_TRT_CONVERSION_PARAMS = ConversionParams()
TrtConversionParams = ConversionParams


class ProfileStrategy:
    """Which engines build() makes of the shapes that it sees, with use_dynamic_shape."""

    RANGE = "Range"
    OPTIMAL = "Optimal"
    RANGE_OPTIMAL = "Range+Optimal"
    IMPLICIT_BATCH = "ImplicitBatchModeCompatible"
    ALL = (RANGE, OPTIMAL, RANGE_OPTIMAL, IMPLICIT_BATCH)

    @staticmethod
    def checked(strategy: Optional[str]) -> str:
        wanted = (strategy or ProfileStrategy.RANGE).lower().replace(" ", "")
        for known in ProfileStrategy.ALL:
            if wanted == known.lower():
                return known
        raise InvalidArgumentError(f"dynamic_shape_profile_strategy: got {strategy!r}, expected one "
                                   f"of {', '.join(ProfileStrategy.ALL)}")


def refuse_int8(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what}: INT8 engines and their calibration are not there yet. FP32, FP16 and BF16 are; "
        "FakeQuant and QuantizeAndDequantize nodes of the model are computed as TensorFlow does")


def check(params: ConversionParams) -> ConversionParams:
    """The parameters as they are used; an error names the first that cannot be."""
    mode = str(params.precision_mode).upper()
    if mode == TrtPrecisionMode.INT8:
        raise refuse_int8("precision_mode INT8")
    if mode not in TrtPrecisionMode.supported_precision_modes():
        raise InvalidArgumentError(
            f"precision_mode: got {params.precision_mode!r}, expected one of "
            f"{', '.join(TrtPrecisionMode.supported_precision_modes())} (INT8 comes later)")
    if params.minimum_segment_size <= 0 and params.minimum_segment_size != -1:
        raise InvalidArgumentError(f"minimum_segment_size: got {params.minimum_segment_size}, "
                                   "expected 1 or more, or -1 (nothing is converted)")
    if params.maximum_cached_engines < 1:
        raise InvalidArgumentError(f"maximum_cached_engines: got {params.maximum_cached_engines}, "
                                   "expected at least 1")
    if params.max_workspace_size_bytes < 0:
        raise InvalidArgumentError(f"max_workspace_size_bytes: got "
                                   f"{params.max_workspace_size_bytes}, expected 0 (no cap) or more")
    return params._replace(precision_mode=mode)


def engine_options(params: ConversionParams, maximum_cached_bytes: int,
                   share_batches: bool, build_options: Optional[Mapping[str, Any]]) -> EngineOptions:
    build = {"precision": params.precision_mode.lower(), **(build_options or {})}
    return EngineOptions(params.precision_mode, params.max_workspace_size_bytes,
                         params.maximum_cached_engines, maximum_cached_bytes,
                         params.allow_build_at_runtime, share_batches,
                         json.dumps(build, sort_keys=True))


def split_denylist(names: Optional[Sequence[str]]) -> list:
    return [str(getattr(name, "name", name)).split(":")[0] for name in names or ()]
