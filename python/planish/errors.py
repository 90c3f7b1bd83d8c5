"""Exceptions, one per kind of failure; each carries the library's own message."""


class PlanishError(RuntimeError):
    """Base of all. `code` is the name of the library's status code."""

    code = "internal"


class InvalidArgumentError(PlanishError, ValueError):
    """A mistake in the call or in the model."""

    code = "invalid argument"


class UnsupportedError(PlanishError):
    """Valid, but outside of what Planish can take; the message lists everything."""

    code = "unsupported"


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
    """Cancelled by the caller, or past its deadline."""

    code = "cancelled"


_OF_CODE = {
    1: InvalidArgumentError,
    2: UnsupportedError,
    3: UnsupportedError,
    4: NotFoundError,
    5: ResourceExhaustedError,
    6: FailedPreconditionError,
    7: DataLossError,
    8: IncompatibleError,
    9: CancelledError,
    10: CancelledError,
}


def of_code(code):
    """The exception class of a status code's number."""
    return _OF_CODE.get(code, PlanishError)
