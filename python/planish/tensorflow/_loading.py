"""Loading a SavedModel, and what is wrong with one that TensorFlow cannot load."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Optional, Sequence

import tensorflow as tf

from planish import InvalidArgumentError, PlanishError, UnsupportedError
from planish._build import load_network


@contextlib.contextmanager
def explained(folder: str, tags: Optional[Sequence[str]]) -> Iterator[None]:
    """Around TensorFlow's loaders: Planish's errors name the file, the variable or the tags that are wrong,
    where TensorFlow's may be an AssertionError or an IndexError."""
    try:
        yield
    except PlanishError:
        raise
    except (tf.errors.OpError, AssertionError, LookupError, OSError, RuntimeError,
            ValueError) as error:
        raise _explanation(folder, tags, error) from error


def load(folder: str, tags: Optional[Sequence[str]]) -> Any:
    with explained(folder, tags):
        return tf.saved_model.load(folder, tags)


def _explanation(folder: str, tags: Optional[Sequence[str]], error: BaseException) -> PlanishError:
    told = f"{folder}: TensorFlow cannot load it: {' '.join(str(error).split())[:600]}"
    if "Op type not registered" in told:
        return UnsupportedError(f"{told} (an operator of another library: load that first)")
    try:
        load_network(folder, tags=tags or ())
    except UnsupportedError:
        pass
    except PlanishError as ours:
        return type(ours)(f"{told}\nPlanish's reader: {ours}")
    return InvalidArgumentError(told)
