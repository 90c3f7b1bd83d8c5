"""Exceptions, one per kind of failure; each carries the library's own message.

    except planish.UnsupportedError as error:
        print(error)           # every node that Planish cannot take
        print(error.code)      # "unsupported"
"""

from __future__ import annotations

from typing import ClassVar, Dict, Type


_OF_CODE: Dict[str, Type[PlanishError]] = {}


class PlanishError(RuntimeError):
    """Base of all. `code` is the name of the library's status code."""

    code: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        _OF_CODE[cls.code] = cls


class InvalidArgumentError(PlanishError, ValueError):
    """A mistake in the call or in the model."""

    code = "invalid argument"


class UnsupportedError(PlanishError, NotImplementedError):
    """Valid, but outside of what Planish can take; the message lists everything."""

    code = "unsupported"


class UnimplementedError(UnsupportedError):
    """Planned, not done yet."""

    code = "unimplemented"


class NotFoundError(PlanishError, FileNotFoundError):
    """No such file, name or device."""

    code = "not found"


class ResourceExhaustedError(PlanishError, MemoryError):
    """Memory or a declared limit; the message names it."""

    code = "resource exhausted"


class FailedPreconditionError(PlanishError):
    """The right call at the wrong time."""

    code = "failed precondition"


class DataLossError(PlanishError):
    """Damaged bytes."""

    code = "data loss"


class IncompatibleError(PlanishError):
    """A plan of another version, device or library."""

    code = "incompatible"


class CancelledError(PlanishError):
    """Cancelled by the caller."""

    code = "cancelled"


class DeadlineExceededError(PlanishError, TimeoutError):
    """Past the deadline that the caller gave."""

    code = "deadline exceeded"


class DeviceError(PlanishError):
    """The device or its driver failed."""

    code = "device error"


class VerificationError(PlanishError):
    """Results beyond their bound."""

    code = "verification failed"


class InternalError(PlanishError):
    """A mistake of Planish's own: please report it."""

    code = "internal error"


def of_code(code: str) -> Type[PlanishError]:
    """The exception class of a status code's name."""
    return _OF_CODE.get(code, PlanishError)
