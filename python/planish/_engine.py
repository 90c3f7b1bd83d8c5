"""Engine and the functions around it, over the extension module."""

from __future__ import annotations

import concurrent.futures
import json
import os
import threading
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _planish
from .errors import InvalidArgumentError

Arrays = Union[Any, Sequence[Any], Mapping[str, Any]]
Shapes = Mapping[str, Sequence[int]]
Progress = Callable[[str, float, str], Optional[bool]]


class TensorInfo(NamedTuple):
    """Name, element type ("f32") and shape of an input or output; dims are numbers or symbols."""

    name: str
    dtype: str
    shape: Tuple[Union[int, str], ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class Context:
    """Run state of one caller at a time. Several contexts of an engine run at once."""

    def __init__(self, engine: "Engine", threads: int = 0):
        self._engine = engine
        self._context = _planish._Context.create(engine._engine, threads)
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **named: Any) -> Dict[str, Any]:
        """Arrays in order or by name (NumPy, or anything that speaks DLPack) to arrays by name."""
        inputs = self._engine._ordered(args, named)
        with self._lock:
            outputs = self._context.run(self._engine._engine, inputs)
        return dict(zip((info.name for info in self._engine.outputs), outputs))

    def __repr__(self) -> str:
        return f"<planish.Context of {self._engine!r}>"


class Engine:
    """An optimized network that runs. Immutable; may be called by several threads."""

    def __init__(self, engine: Any, plan: Any = None, network: Any = None):
        self._engine, self._plan, self._network = engine, plan, network
        self.inputs = [TensorInfo(*one) for one in engine.inputs()]
        self.outputs = [TensorInfo(*one) for one in engine.outputs()]
        self._idle: list = []
        self._lock = threading.Lock()
        self._pool: Optional[concurrent.futures.ThreadPoolExecutor] = None

    def __call__(self, *args: Any, **named: Any) -> Dict[str, Any]:
        """Runs on a context of the engine's own pool. One dict, or arrays in order or by name."""
        with self._lock:
            context = self._idle.pop() if self._idle else None
        context = context or Context(self)
        try:
            return context(*args, **named)
        finally:
            with self._lock:
                self._idle.append(context)

    def submit(self, *args: Any, **named: Any) -> "concurrent.futures.Future[Dict[str, Any]]":
        """The same, at once: a future of the result. The arrays must not change until then."""
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "planish")
        return self._pool.submit(self, *args, **named)

    def context(self, threads: int = 0) -> Context:
        """A context of the caller's own."""
        return Context(self, threads)

    def save(self, path: Union[str, os.PathLike]) -> None:
        """Writes the plan. Only of an engine that build() made."""
        if self._plan is None:
            raise InvalidArgumentError("the engine was loaded from a plan: copy that file")
        self._plan.save(os.fspath(path))

    def describe(self) -> Dict[str, Any]:
        """Everything about the plan: steps, kernels, memory, as `planish inspect --json` gives it."""
        return json.loads(self._engine.describe_json())

    def _ordered(self, args: Tuple[Any, ...], named: Mapping[str, Any]) -> list:
        if len(args) == 1 and not named and isinstance(args[0], Mapping):
            args, named = (), args[0]
        names = [info.name for info in self.inputs]
        if args and named:
            raise InvalidArgumentError("give the inputs in order or by name, not both")
        if not named:
            if len(args) != len(names):
                raise InvalidArgumentError(f"got {len(args)} inputs, expected {len(names)}: {names}")
            return list(args)
        if sorted(named) != sorted(names):
            raise InvalidArgumentError(f"got the inputs {sorted(named)}, expected {sorted(names)}")
        return [named[name] for name in names]

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        return (f"<planish.Engine {inputs} -> {outputs}, {self._engine.step_count()} steps, "
                f"{self._engine.threads()} threads>")


def build(model: Union[str, os.PathLike], *, device: str = "cpu", shapes: Optional[Shapes] = None,
          profile: Optional[Mapping[str, Sequence[Sequence[int]]]] = None, fp32: str = "fast",
          deterministic: bool = False, time_budget: Optional[float] = None,
          timing_cache: Optional[str] = None, threads: int = 0, signature: str = "",
          tags: Sequence[str] = (), inputs: Sequence[str] = (), outputs: Sequence[str] = (),
          progress: Optional[Progress] = None) -> Engine:
    """Builds an engine from an ONNX file or one of TensorFlow's (SavedModel, GraphDef, checkpoint).

    shapes: fixed shapes by input name. profile: min, opt and max shape by input name. signature,
    tags, inputs, outputs: what to take of a TensorFlow model. progress(phase, fraction, message) is
    called while it builds; returning False cancels.
    """
    given = {name: list(map(int, dims)) for name, dims in (shapes or {}).items()}
    try:
        network = _planish.load_network(os.fspath(model), signature, list(tags), list(inputs),
                                        list(outputs), {})
    except Exception:
        if not given:
            raise
        network = _planish.load_network(os.fspath(model), signature, list(tags), list(inputs),
                                        list(outputs), given)
    ranges = {name: [list(map(int, dims)) for dims in three]
              for name, three in (profile or {}).items()}

    def report(phase: str, fraction: float, message: str) -> bool:
        return progress(phase, fraction, message) is not False

    plan = _planish.build(network, device, given, ranges, fp32, deterministic, time_budget,
                          timing_cache, threads, report if progress else None)
    return Engine(plan.engine(threads), plan, network)


def load(path: Union[str, os.PathLike], *, threads: int = 0) -> Engine:
    """Loads an engine from a plan file."""
    return Engine(_planish.load_engine(os.fspath(path), threads))


def verify(engine: Engine, model: Union[None, str, os.PathLike] = None, *, seed: int = 1,
           atol: Optional[float] = None, rtol: Optional[float] = None,
           layers: bool = False) -> Dict[str, Any]:
    """Compares the engine with the reference interpreter on random inputs.

    model: what it was built from; not needed for an engine that build() gave.
    """
    network = engine._network if model is None else _planish.load_network(os.fspath(model))
    if network is None:
        raise InvalidArgumentError("the engine was loaded from a plan: give the model as well")
    return _planish.verify(network, engine._engine, seed, atol, rtol, layers)


def inspect(path: Union[str, os.PathLike]) -> Dict[str, Any]:
    """Everything about a plan file, as `planish inspect --json` gives it."""
    return load(path).describe()
