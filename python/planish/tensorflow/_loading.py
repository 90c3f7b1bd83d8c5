"""Loading a SavedModel, and what is wrong with one that TensorFlow cannot load."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
import weakref
from typing import Any, Iterator, Optional, Sequence

import tensorflow as tf

from planish import InvalidArgumentError, PlanishError, UnsupportedError
from planish._build import load_network
from tensorflow.core.protobuf import saved_model_pb2


@contextlib.contextmanager
def explained(folder: str, tags: Optional[Sequence[str]]) -> Iterator[None]:
    """Around TensorFlow's loaders: Planish's errors name the file, the variable or the tags that are wrong,
    where TensorFlow's may be an AssertionError or an IndexError."""
    try:
        yield
    except PlanishError:
        raise
    except (tf.errors.OpError, AssertionError, AttributeError, LookupError, OSError, RuntimeError,
            ValueError) as error:
        raise _explanation(folder, tags, error) from error


def load(folder: str, tags: Optional[Sequence[str]]) -> Any:
    with explained(folder, tags):
        try:
            return tf.saved_model.load(folder, tags)
        except AttributeError as error:
            if "add_slot" not in str(error):
                raise
        return _load_without_slots(pathlib.Path(folder).absolute(), tags)


def _load_without_slots(folder: pathlib.Path, tags: Optional[Sequence[str]]) -> Any:
    """What an optimizer of Keras 2 keeps beside each weight stops TensorFlow's loader since Keras 3. No
    signature reads it."""
    copy = pathlib.Path(tempfile.mkdtemp(prefix="planish-"))
    for entry in folder.iterdir():
        if entry.name != "saved_model.pb":
            (copy / entry.name).symlink_to(entry)
    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for graph in proto.meta_graphs:
        for node in graph.object_graph_def.nodes:
            node.ClearField("slot_variables")
    (copy / "saved_model.pb").write_bytes(proto.SerializeToString())
    try:
        model = tf.saved_model.load(str(copy), tags)
    except BaseException:
        shutil.rmtree(copy)
        raise
    weakref.finalize(model, shutil.rmtree, copy, ignore_errors=True)  # assets are read when it is saved
    return model


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
