"""The operator library: compiled for the TensorFlow that is installed, kept, loaded once.

TensorFlow's C++ interface changes with every minor version, so the sources in op/, one unit of
compilation, are compiled against the headers of TensorFlow's own wheel: at `python -m planish.tensorflow`, else at the
first import of planish.tensorflow. The result lies in the user's cache folder under a name that
contains everything it depends on.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Any, List

import tensorflow as tf

import planish
from planish import FailedPreconditionError, IncompatibleError

PACKAGE = pathlib.Path(planish._planish.__file__).absolute().parent
SOURCE = pathlib.Path(__file__).resolve().parent / "op" / "engine_op.cc"
OLDEST = (2, 16)

_loaded: Any = None


def _check_version() -> None:
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if version < OLDEST:
        raise IncompatibleError(f"planish.tensorflow needs TensorFlow {OLDEST[0]}.{OLDEST[1]} or "
                                f"newer, found {tf.__version__}")


def _compiler() -> str:
    for name in filter(None, [os.environ.get("CXX"), "c++", "g++", "clang++"]):
        if shutil.which(name):
            return name
    raise FailedPreconditionError(
        "planish.tensorflow compiles a small operator library for the TensorFlow that is installed "
        "and finds no C++ compiler: install g++, or set CXX")


def _headers() -> pathlib.Path:
    """Where planish/c lies: in the wheel."""
    return PACKAGE / "include"


def _command(output: str) -> List[str]:
    libraries = sorted(PACKAGE.glob("libplanish.so*"))
    if not libraries:
        raise IncompatibleError(f"{PACKAGE} has no libplanish: the installation is incomplete")
    return [_compiler(), "-shared", "-fPIC", "-O2", "-DNDEBUG", "-w", "-fvisibility=hidden",
            "-fvisibility-inlines-hidden", "-pthread", *tf.sysconfig.get_compile_flags(),
            f"-I{_headers()}", str(SOURCE), "-o", output, *tf.sysconfig.get_link_flags(),
            f"-L{PACKAGE}", f"-l:{libraries[0].name}", "-Wl,--exclude-libs,ALL",
            f"-Wl,-rpath,{PACKAGE}"]


def cache_folder() -> pathlib.Path:
    """$PLANISH_CACHE, or planish in the user's cache folder."""
    given = os.environ.get("PLANISH_CACHE")
    if given:
        return pathlib.Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "planish"


def library_path() -> pathlib.Path:
    """Where the library for this TensorFlow and this Planish is kept."""
    digest = hashlib.sha256()
    for part in [tf.__version__, tf.version.GIT_VERSION, planish.__version__, *_command("")]:
        digest.update(str(part).encode() + b"\0")
    headers = [*SOURCE.parent.glob("*.h"), *(_headers() / "planish" / "c").glob("*.h")]
    for file in [SOURCE, *sorted(headers)]:
        digest.update(file.read_bytes())
    return cache_folder() / "tensorflow" / f"engine_op-{tf.__version__}-{digest.hexdigest()[:16]}.so"


def build() -> pathlib.Path:
    """Compiles the library unless it is there. Several processes may do so at once."""
    _check_version()
    path = library_path()
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        command = _command(temporary)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise FailedPreconditionError(
                f"the operator library does not compile against TensorFlow {tf.__version__}:\n"
                f"  {' '.join(command)}\n{done.stderr.strip()[-3000:]}")
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return path


def _is_registered() -> bool:
    from tensorflow.python.framework import op_def_registry
    return op_def_registry.get("PlanishEngineOp") is not None


def load() -> Any:
    """The module of generated operators. Loads the library the first time."""
    global _loaded
    if _loaded is None:
        _check_version()
        if _is_registered():
            raise FailedPreconditionError(
                "PlanishEngineOp is registered already, by another copy of planish or of its operator "
                "library: two copies in one process break every engine; load one only")
        _loaded = tf.load_op_library(str(build()))
    return _loaded
