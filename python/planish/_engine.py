"""Engines and their contexts: running plans."""

from __future__ import annotations

import concurrent.futures
import json
import os
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from numpy.typing import NDArray

from . import _planish
from ._planish import CancelToken
from .errors import InvalidArgumentError

Path = Union[str, "os.PathLike[str]"]
Inputs = Union[Mapping[str, Any], Sequence[Any]]
Results = Dict[str, NDArray[Any]]


class TensorInfo(NamedTuple):
    """Name, element type ("f32") and shape of an input or output; dims are numbers or symbols."""

    name: str
    dtype: str
    shape: Tuple[Union[int, str], ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class Context:
    """Run state of one caller at a time: memory and threads. Several contexts of an engine run at
    once; calls on the same one wait for each other.
    """

    def __init__(self, engine: Engine, threads: int = 0, stream: Any = None):
        self.engine = engine
        self._context = _planish.Context(engine._engine, threads, _stream_handle(stream))
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **named: Any) -> Results:
        """Arrays in order or by name (NumPy, or anything that speaks DLPack) to arrays by name."""
        return self.run(self.engine._inputs_of_call(args, named))

    def run(self, inputs: Inputs, *, out: Optional[Mapping[str, Any]] = None, dlpack: bool = False,
            on_device: bool = False, timeout_s: Optional[float] = None,
            cancel: Optional[CancelToken] = None) -> Dict[str, Any]:
        """The same, with options.

        inputs: arrays by name, or in order. They are read where they lie, unless they are not dense.
        out: writable arrays by output name, which receive the results; the rest is made new.
        dlpack: planish.Tensor instead of NumPy arrays. on_device: planish.DeviceTensor, in the GPU's
        memory. timeout_s: DeadlineExceededError beyond it.
        cancel: CancelledError once it is cancelled. No result is ever overwritten by a later run.
        """
        arrays = self.engine._ordered(inputs)
        given = self.engine._ordered_out(out)
        with self._lock:
            results = self._context.run(arrays, given, not dlpack, on_device, timeout_s,
                                        cancel or CancelToken())
        return dict(zip((info.name for info in self.engine.outputs), results))

    @property
    def arena_bytes(self) -> int:
        """Memory that its runs have needed so far."""
        return self._context.arena_bytes()

    @property
    def stream(self) -> int:
        """The CUstream of its runs as a number; 0 on a CPU."""
        return self._context.stream()

    def __repr__(self) -> str:
        return f"<planish.Context of {self.engine!r}, arena {self.arena_bytes} bytes>"


class Engine:
    """An optimized network that runs. Immutable; may be called by several threads."""

    def __init__(self, engine: _planish.Engine, plan: Optional[_planish.Plan] = None,
                 network: Optional[_planish.Network] = None):
        self._engine, self._plan, self._network = engine, plan, network
        self.inputs = [TensorInfo(*one) for one in engine.inputs()]
        self.outputs = [TensorInfo(*one) for one in engine.outputs()]
        self._idle: List[Context] = []
        self._lock = threading.Lock()
        self._pool: Optional[concurrent.futures.ThreadPoolExecutor] = None

    def __call__(self, *args: Any, **named: Any) -> Results:
        """Runs on a context of the engine's own pool. One mapping, or arrays in order or by name."""
        return self.run(self._inputs_of_call(args, named))

    def run(self, inputs: Inputs, *, out: Optional[Mapping[str, Any]] = None, dlpack: bool = False,
            on_device: bool = False, timeout_s: Optional[float] = None,
            cancel: Optional[CancelToken] = None) -> Dict[str, Any]:
        """The same, with the options of Context.run."""
        with self._lock:
            context = self._idle.pop() if self._idle else None
        context = context or Context(self)
        try:
            return context.run(inputs, out=out, dlpack=dlpack, on_device=on_device,
                               timeout_s=timeout_s, cancel=cancel)
        finally:
            with self._lock:
                self._idle.append(context)

    def submit(self, *args: Any, **named: Any) -> concurrent.futures.Future[Results]:
        """Calls it on another thread: a future of the result. The arrays must not change until then.
        In a coroutine: `await asyncio.wrap_future(engine.submit(image))`.
        """
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "planish")
        return self._pool.submit(self, *args, **named)

    def context(self, threads: int = 0, stream: Any = None) -> Context:
        """A context of the caller's own. threads: 0 for as many as the engine has. stream: on a GPU,
        the stream that its runs are enqueued on (torch.cuda.Stream, or a CUstream as a number), which
        must live as long; None for one of the context's own.
        """
        return Context(self, threads, stream)

    def save(self, path: Path) -> None:
        """Writes the plan file. Only of an engine that build() made."""
        self._own_plan().save(os.fspath(path))

    def plan_bytes(self) -> bytes:
        """The plan file's bytes, which load() takes. Only of an engine that build() made."""
        return self._own_plan().to_bytes()

    def describe(self) -> Dict[str, Any]:
        """Everything about the plan: steps, kernels, memory, as `planish inspect --json` gives it."""
        described: Dict[str, Any] = json.loads(self._engine.describe_json())
        return described

    def memory(self, shapes: Optional[Mapping[str, Sequence[int]]] = None) -> Dict[str, int]:
        """Bytes of weights, packed weights and one context's arena for these input shapes."""
        dims: List[List[int]] = []
        if shapes is not None:
            self._check_names("input", self.inputs, shapes)
            dims = [list(map(int, shapes[info.name])) for info in self.inputs]
        return dict(self._engine.memory(dims))

    @property
    def device(self) -> str:
        """Kind of the device it runs on: "cpu", "cuda"."""
        return self._engine.device()

    @property
    def threads(self) -> int:
        return self._engine.threads()

    @property
    def metadata(self) -> Dict[str, str]:
        """The model's own, and how the plan was made ("planish.version", ...)."""
        return dict(self._engine.metadata())

    @property
    def decisions(self) -> str:
        """Every choice of the build as JSON; build(decisions=...) repeats them."""
        return self._engine.decisions()

    def _own_plan(self) -> _planish.Plan:
        if self._plan is None:
            raise InvalidArgumentError("the engine was loaded from a plan: copy that file")
        return self._plan

    def _inputs_of_call(self, args: Tuple[Any, ...], named: Mapping[str, Any]) -> Inputs:
        if args and named:
            raise InvalidArgumentError("give the inputs in order or by name, not both")
        if len(args) == 1 and isinstance(args[0], Mapping):
            return args[0]
        return named or args

    def _ordered(self, inputs: Inputs) -> List[Any]:
        if isinstance(inputs, Mapping):
            self._check_names("input", self.inputs, inputs)
            return [inputs[info.name] for info in self.inputs]
        if not isinstance(inputs, (list, tuple)):
            raise InvalidArgumentError(f"inputs: got a {type(inputs).__name__}, expected a mapping "
                                       "by name, or a list or tuple of arrays in order")
        if len(inputs) != len(self.inputs):
            raise InvalidArgumentError(f"got {len(inputs)} inputs, expected {len(self.inputs)}: "
                                       f"{', '.join(map(str, self.inputs))}")
        return list(inputs)

    def _ordered_out(self, out: Optional[Mapping[str, Any]]) -> List[Any]:
        if not out:
            return []
        names = [info.name for info in self.outputs]
        unknown = [name for name in out if name not in names]
        if unknown:
            raise InvalidArgumentError(f"out: no output {_quoted(unknown)}; there is: {_quoted(names)}")
        return [out.get(name) for name in names]

    @staticmethod
    def _check_names(role: str, wanted: Sequence[TensorInfo], given: Mapping[str, Any]) -> None:
        names = [info.name for info in wanted]
        unknown = [name for name in given if name not in names]
        missing = [name for name in names if name not in given]
        if unknown:
            raise InvalidArgumentError(f"no {role} {_quoted(unknown)}; there is: {_quoted(names)}")
        if missing:
            raise InvalidArgumentError(f"{role} {_quoted(missing)} is missing; expected "
                                       f"{', '.join(map(str, wanted))}")

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        return (f"<planish.Engine {inputs} -> {outputs}, {self._engine.step_count()} steps on "
                f"{self.device}, {self.threads} threads>")


def _stream_handle(stream: Any) -> int:
    """A CUstream as a number: CUDA's legacy default stream, which PyTorch calls 0, is 1."""
    if stream is None:
        return 0
    handle = getattr(stream, "cuda_stream", stream)
    if not isinstance(handle, int):
        raise InvalidArgumentError(f"stream: got a {type(stream).__name__}, expected an object with "
                                   "a cuda_stream, or a CUstream as a number")
    return handle or 1


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def load(plan: Union[Path, bytes], *, device: str = "", threads: int = 0,
         max_device_memory_bytes: int = 0) -> Engine:
    """Loads an engine from a plan file, or from its bytes. device: empty for the plan's own.
    max_device_memory_bytes: cap on what it and its contexts take of a GPU's memory; 0 for none.
    """
    if isinstance(plan, bytes):
        return Engine(_planish.parse_engine(plan, device, threads, max_device_memory_bytes))
    return Engine(_planish.load_engine(os.fspath(plan), device, threads, max_device_memory_bytes))


def inspect(plan: Union[Path, bytes, Engine]) -> Dict[str, Any]:
    """Everything about a plan, as `planish inspect --json` gives it."""
    return (plan if isinstance(plan, Engine) else load(plan)).describe()
