"""Converter: a SavedModel whose signatures run Planish engines where Planish can take the graph."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

import planish
from planish import FailedPreconditionError, InvalidArgumentError, NotFoundError

from . import (_engines, _graph, _library, _loading, _parameters, _signatures, _summary,
               _weights)
from ._parameters import ConversionParams, ProfileStrategy

SAVE_KINDS = ("plan", "decisions", "none")


class Converted(NamedTuple):
    """One signature after convert()."""

    function: Any                 # ConcreteFunction
    engines: List[_graph.Engine]
    node_count: int               # nodes of the frozen graph
    node_count_after: int
    report: Any                   # what the partition says about the rest; None: kept as it is
    kept: Optional[str]           # why the signature was kept as it is


class Converter:
    """Converts a SavedModel.

        converter = planish.tensorflow.Converter(input_saved_model_dir="model")
        converter.convert()
        converter.build(input_fn)      # optional: engines now, not at the first request
        converter.save("converted")

    input_saved_model_signature_key: the signature whose function convert() returns and build() runs;
    all signatures are converted and saved. use_dynamic_shape, dynamic_shape_profile_strategy: which
    engines build() makes (Range: one for all that it sees; Optimal: one per shape; without
    use_dynamic_shape an engine per shape, each of which serves smaller batches too).
    nodes_denylist, ops_denylist: stay in TensorFlow. maximum_engines: per signature; those with the
    largest gain. maximum_cached_bytes: cap on a segment's engines. build_options: of planish.build:
    fp32 ("fast", "exact"), deterministic, time_budget_s, timing_cache. The other parameters are those
    of ConversionParams.
    """

    def __init__(self, input_saved_model_dir: Optional[str] = None,
                 input_saved_model_tags: Optional[Sequence[str]] = None,
                 input_saved_model_signature_key: Optional[str] = None,
                 use_dynamic_shape: Optional[bool] = None,
                 dynamic_shape_profile_strategy: Optional[str] = None,
                 max_workspace_size_bytes: int = ConversionParams().max_workspace_size_bytes,
                 precision_mode: str = ConversionParams().precision_mode,
                 minimum_segment_size: int = ConversionParams().minimum_segment_size,
                 maximum_cached_engines: int = ConversionParams().maximum_cached_engines,
                 use_calibration: bool = True, allow_build_at_runtime: bool = True,
                 conversion_params: Optional[ConversionParams] = None, *,
                 nodes_denylist: Sequence[str] = (), ops_denylist: Sequence[str] = (),
                 maximum_engines: int = 0, maximum_cached_bytes: int = 0,
                 build_options: Optional[Mapping[str, Any]] = None,
                 partition_options: Optional[Mapping[str, Any]] = None):
        if not input_saved_model_dir:
            raise InvalidArgumentError("input_saved_model_dir: a SavedModel's folder is expected")
        self._params = _parameters.check(conversion_params or ConversionParams(
            max_workspace_size_bytes, precision_mode, minimum_segment_size, maximum_cached_engines,
            use_calibration, allow_build_at_runtime))
        self._folder = os.fspath(input_saved_model_dir)
        self._tags = list(input_saved_model_tags) if input_saved_model_tags else None
        self._key = input_saved_model_signature_key or "serving_default"
        self._dynamic = bool(use_dynamic_shape)
        self._strategy = ProfileStrategy.checked(dynamic_shape_profile_strategy)
        self._deny = _parameters.split_denylist(nodes_denylist), list(ops_denylist)
        self._maximum_engines = maximum_engines
        self._partition_options = dict(partition_options or {})
        params = self._params
        if self._dynamic:  # as many as build() sees shapes
            params = params._replace(maximum_cached_engines=max(64, params.maximum_cached_engines))
        share = not self._dynamic or self._strategy == ProfileStrategy.IMPLICIT_BATCH
        self._options = _parameters.engine_options(params, maximum_cached_bytes, share, build_options)
        self._model: Any = None
        self._converted: Dict[str, Converted] = {}
        self._built = False
        self._held: Optional[_engines.Held] = None
        self._weights: Dict[str, tf.Variable] = {}
        self._reads_original = False  # tables, or variables of a signature that is kept
        _library.load()

    def convert(self, calibration_input_fn: Optional[Callable] = None) -> Any:
        """Converts all signatures; gives the chosen one's ConcreteFunction."""
        if calibration_input_fn is not None:
            raise _parameters.refuse_int8("calibration_input_fn")
        if self._converted:
            raise FailedPreconditionError("convert() was called before")
        self._model = _loading.load(self._folder, self._tags)
        signatures = dict(self._model.signatures)
        if self._key not in signatures:
            raise NotFoundError(f"{self._folder} has no signature {self._key!r}; there are: "
                                f"{', '.join(sorted(signatures)) or 'none'}")
        self._converted = {key: self._convert(function) for key, function in signatures.items()}
        if not self._reads_original:
            self._model = None
        names = {engine.name for one in self._converted.values() for engine in one.engines}
        self._held = _engines.Held(sorted(names))
        return self._converted[self._key].function

    def _convert(self, function: Any) -> Converted:
        kept = _signatures.reason_to_keep(function)
        if kept:
            self._reads_original = True
            return Converted(function, [], len(function.graph.as_graph_def().node), 0, None, kept)
        frozen = _signatures.freeze(function)
        self._reads_original = self._reads_original or bool(frozen.captures)
        before = len(frozen.graph_def.node)
        frozen = frozen._replace(graph_def=_graph.without_idle_waits(frozen.graph_def))
        store = _graph.WeightStore(frozen.weights, self._weights)
        graph = _graph.imported(frozen.graph_def)
        segments, report = self._segments(frozen, graph)
        if _weights.is_known_by(frozen.graph_def, segments, store.arrays):
            _weights.put_back(frozen.graph_def.node, store.arrays)
            store = _graph.WeightStore({}, None)
            segments, report = self._segments(frozen, graph)
        made = _graph.rewrite(frozen.graph_def, graph, segments, list(frozen.fetches.values()),
                              [*frozen.feeds, *(name for name, _ in frozen.captures)], self._options, store)
        fetches = {key: made.names[name] for key, name in frozen.fetches.items()}
        captures = [*frozen.captures, *((f"{name}:0", one.handle) for name, one in made.weights.items())]
        converted = _signatures.signature_of(function, made.graph_def, frozen.feeds, fetches, captures)
        return Converted(converted, made.engines, before, len(made.graph_def.node), report, None)

    def _segments(self, frozen: _signatures.Frozen, graph: tf.Graph) -> Any:
        if self._params.minimum_segment_size == -1:
            return [], None
        result = planish.partition(
            frozen.graph_def.SerializeToString(deterministic=True), fetches=list(frozen.fetches.values()),
            feeds=[*frozen.feeds, *(name for name, _ in frozen.captures)],
            minimum_segment_size=self._params.minimum_segment_size, deny_nodes=self._deny[0],
            deny_ops=self._deny[1], maximum_engines=self._maximum_engines,
            tensors=_graph.known_tensors(graph), **self._partition_options)
        # The report is kept; the segments' graphs are not.
        kept = [dataclasses.replace(one, graph_def=b"") for one in result.segments]
        return result.segments, dataclasses.replace(result, segments=kept)

    def build(self, input_fn: Callable[[], Iterable[Any]]) -> None:
        """Builds engines for the shapes that input_fn yields: an array, a tuple or list in the order of
        the sorted argument names, or a dict."""
        self._require_converted("build")
        if self._built:
            raise FailedPreconditionError("build() was called before")
        function = self._converted[self._key].function
        names = _signatures.argument_names(function)
        specs = function.structured_input_signature[1]
        given = [_arguments(one, {name: specs[name] for name in names}) for one in input_fn()]
        if not given:
            raise InvalidArgumentError("input_fn yields nothing")
        engines = [engine.name for engine in self._converted[self._key].engines]
        if self._dynamic and self._strategy != ProfileStrategy.IMPLICIT_BATCH:
            self._prepare(function, engines, given)
            given = given[:1]
        for one in given:
            function(**one)
        self._built = True

    def _prepare(self, function: Any, engines: Sequence[str], given: Sequence[Any]) -> None:
        for name in engines:
            _engines.control(name, "record")
        for one in given:
            function(**one)
        for name in engines:
            seen = json.loads(_engines.control(name, "recorded")[0])
            shapes = [dims for i, dims in enumerate(seen) if dims not in seen[:i]]
            ranges = []
            if self._strategy != ProfileStrategy.OPTIMAL:
                ranges.append({"min": _elementwise(min, shapes), "max": _elementwise(max, shapes)})
            if self._strategy != ProfileStrategy.RANGE:
                ranges += [{"min": dims, "max": dims} for dims in shapes]
            for one in ranges:
                _engines.control(name, "prepare", json.dumps(one))

    def save(self, output_saved_model_dir: str, save_gpu_specific_engines: bool = True,
             options: Optional[tf.saved_model.SaveOptions] = None, *, save_engines: str = "plan") -> None:
        """Writes the converted SavedModel; engines that were built lie in its assets.

        save_engines: "plan": as plans, which load at once and hold their weights; "decisions": how to
        build them again without measuring, which takes a moment at the first request and no space;
        "none". save_gpu_specific_engines=False is "none" under the name that TensorFlow's own
        integration had.
        """
        self._require_converted("save")
        kind = save_engines if save_gpu_specific_engines else "none"
        if kind not in SAVE_KINDS:
            raise InvalidArgumentError(f"save_engines: got {kind!r}, expected one of {SAVE_KINDS}")
        module = tf.Module()
        signatures = {key: self._exported(one, key) for key, one in self._converted.items()}
        if self._reads_original:
            module.original = self._model
        module.weights = list(self._weights.values())
        module.files, module.engines = [], []
        folder = tempfile.mkdtemp(prefix="planish-")
        try:
            names = dict.fromkeys(e.name for one in self._converted.values() for e in one.engines)
            for name in names:
                assets, shapes = [], []
                for i, record in enumerate(_engines.records(name) if kind != "none" else []):
                    path = _write_record(pathlib.Path(folder), name, i, record, kind)
                    assets.append(tf.saved_model.Asset(str(path)))
                    shapes.append(record.shapes)
                module.files.append(assets)
                module.engines.append(_engines.EngineResource(name, assets, shapes))
            tf.saved_model.save(module, os.fspath(output_saved_model_dir), signatures=signatures,
                                options=options)
        finally:
            shutil.rmtree(folder)

    def _exported(self, converted: Converted, key: str) -> Any:
        if not converted.kept:
            return converted.function
        specs = converted.function.structured_input_signature[1]

        def run(**arguments: Any) -> Any:
            return converted.function(**arguments)

        return tf.function(run).get_concrete_function(
            **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()})

    def summary(self, line_length: int = 160, detailed: bool = True,
                print_fn: Callable[[str], None] = print) -> None:
        """Engines, what is in them, what stays in TensorFlow and why."""
        self._require_converted("summary")
        for line in _summary.lines(self._converted, line_length, detailed):
            print_fn(line)

    def statistics(self) -> Dict[str, Dict[str, Any]]:
        """planish.tensorflow.statistics of all signatures together."""
        self._require_converted("statistics")
        out: Dict[str, Dict[str, Any]] = {}
        for one in self._converted.values():
            out.update(_engines.statistics(one.function))
        return out

    @property
    def signatures(self) -> Dict[str, Converted]:
        """What convert() has made of each signature."""
        return dict(self._converted)

    def _require_converted(self, what: str) -> None:
        if not self._converted:
            raise FailedPreconditionError(f"{what}() needs convert() before it")


def _arguments(given: Any, specs: Mapping[str, tf.TensorSpec]) -> Dict[str, Any]:
    names = list(specs)
    if isinstance(given, Mapping):
        arguments = dict(given)
        if sorted(arguments) != names:
            raise InvalidArgumentError(f"input_fn yields {', '.join(map(repr, sorted(arguments))) or 'nothing'}, "
                                       f"the signature takes {', '.join(map(repr, names))}")
    elif isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise InvalidArgumentError(f"input_fn yields {len(given)} arrays, the signature takes "
                                       f"{len(names)}: {', '.join(names)}")
        arguments = dict(zip(names, given))
    else:
        if len(names) != 1:
            raise InvalidArgumentError("input_fn yields one array, the signature takes "
                                       f"{len(names)}: {', '.join(names)}")
        arguments = {names[0]: given}
    tensors = {name: tf.convert_to_tensor(value) for name, value in arguments.items()}
    for name, tensor in tensors.items():
        if tensor.dtype != specs[name].dtype:
            raise InvalidArgumentError(f"input_fn yields {name!r} as {tensor.dtype.name}, the signature takes "
                                       f"{specs[name].dtype.name}")
    return tensors


def _elementwise(choose: Callable, shapes: Sequence[Any]) -> List[List[int]]:
    """Of shapes[run][input][axis]."""
    return [[choose(dims) for dims in zip(*one_input)] for one_input in zip(*shapes)]


def _write_record(folder: pathlib.Path, name: str, index: int, record: _engines.Record,
                  kind: str) -> pathlib.Path:
    stem = f"planish-{name}-{index}"
    plan = folder / f"{stem}.plan"
    if kind == "plan" and _engines.write_plan(name, index, str(plan)):
        return plan
    path = folder / f"{stem}.json"
    path.write_text(json.dumps({"shapes": json.loads(record.shapes), "decisions": record.decisions,
                                "planish": planish.__version__}))
    return path
