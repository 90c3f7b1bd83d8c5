"""Which parts of a TensorFlow graph Planish can take. Needs no TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import _planish


class Edge(NamedTuple):
    """A tensor that crosses a segment's border."""

    tensor: str                         # "node:port" in the whole graph
    name: str                           # in the segment's graph_def: the placeholder, or "node:port"
    dtype: Optional[str]                # "f32"; None: not known
    shape: Optional[Tuple[int, ...]]    # -1: an unknown dim; None: unknown rank


class Cost(NamedTuple):
    """Microseconds of one call, predicted or measured."""

    gain_us: float                      # tensorflow_us - engine_us - border_us
    tensorflow_us: float
    engine_us: float
    border_us: float
    is_measured: bool
    is_known: bool                      # False: unknown dims count as 32, loops that data end as 8 iterations


@dataclasses.dataclass(frozen=True)
class Segment:
    """A convex group of nodes that one engine can replace.

    A rewrite removes `nodes`, puts an engine that reads `inputs` and gives `outputs`, in order, in their
    place, makes it wait for `control_inputs`, and points control inputs that name a member to it.
    `copied` nodes stay in the graph where somebody else reads them.
    """

    name: str                           # "segment_000", in topological order
    key: str                            # hash of the content: equal where the content is equal
    device: str                         # TensorFlow's name, as far as the nodes agree; may be empty
    nodes: List[str]                    # topological
    copied: List[str]                   # constants that are in graph_def as copies
    input_edges: List[Edge]
    output_edges: List[Edge]
    control_inputs: List[str]           # nodes outside that must run before
    control_outputs: List[str]          # nodes outside that wait for a member
    cost: Cost
    graph_def: bytes                    # the segment alone: placeholders, constants, nodes

    @property
    def inputs(self) -> List[str]:
        """Tensors of the whole graph that the engine reads: "node:port"."""
        return [edge.tensor for edge in self.input_edges]

    @property
    def outputs(self) -> List[str]:
        """Tensors of the whole graph that the engine gives: "node:port"; the same in graph_def."""
        return [edge.tensor for edge in self.output_edges]

    @property
    def placeholders(self) -> List[str]:
        """Names of the placeholders in graph_def, one per input."""
        return [edge.name for edge in self.input_edges]

    def __repr__(self) -> str:
        return (f"Segment({self.name}: {len(self.nodes)} nodes, {len(self.input_edges)} inputs, "
                f"{len(self.output_edges)} outputs)")


class Dropped(NamedTuple):
    """A segment that was found and not kept."""

    nodes: List[str]
    reason: str
    cost: Cost


class Left(NamedTuple):
    """Nodes of one op that stay in TensorFlow for one reason."""

    op: str
    reason: str
    nodes: List[str]


@dataclasses.dataclass(frozen=True)
class Partition:
    """What partition() found. str() of it is the report as text."""

    segments: List[Segment]
    dropped: List[Dropped]
    left: List[Left]                    # most nodes first
    node_count: int                     # that the fetches depend on
    taken_count: int                    # in segments
    constant_count: int                 # constants, in no other count
    report_text: str
    report_csv: str                     # a row per engine, dropped segment, and op with its reason
    report_json: str

    def __str__(self) -> str:
        return self.report_text

    def __repr__(self) -> str:
        return (f"Partition({self.taken_count} of {self.node_count} nodes in "
                f"{len(self.segments)} segments)")


def _segment(values: Dict[str, Any]) -> Segment:
    values = dict(values)
    inputs, outputs = values.pop("inputs"), values.pop("outputs")
    return Segment(input_edges=[Edge(*one) for one in inputs],
                   output_edges=[Edge(*one) for one in outputs], cost=Cost(**values.pop("cost")),
                   **values)


def partition(graph_def: bytes, *, fetches: Sequence[str] = (), feeds: Sequence[str] = (),
              minimum_segment_size: int = 3, deny_ops: Sequence[str] = (),
              deny_nodes: Sequence[str] = (), maximum_engines: Optional[int] = None,
              device_type: str = "", cost_gate: bool = True, assumed_batch: int = 1,
              tensors: Optional[Mapping[str, Tuple[Optional[str], Optional[Sequence[int]]]]] = None,
              measured: Optional[Mapping[str, Tuple[Optional[float], Optional[float]]]] = None,
              ) -> Partition:
    """Cuts a frozen TensorFlow graph into segments that Planish can run.

    graph_def: a serialized GraphDef, variables as constants, calls inlined.
    fetches: tensors ("node", "node:1") or nodes ("^node") that are wanted; empty: every node. A result
    that only hands on what it reads stays outside; any other can be an output of a segment.
    feeds: tensors that come from outside, besides all placeholders.
    minimum_segment_size: nodes that only name, hand on or hold a constant do not count.
    deny_ops, deny_nodes: stay in TensorFlow.
    maximum_engines: those that gain most; None or 0: all.
    device_type: "CPU" or "GPU": nodes placed on another type stay; "": no matter.
    cost_gate: drop segments that are predicted to gain less than their border costs.
    assumed_batch: for an open first dim, when gains are predicted.
    tensors: what the graph does not tell, by "node:port": (dtype as "f32", shape with -1), either may
    be None.
    measured: by Segment.key, microseconds of one call: (TensorFlow's, the engine's with its border);
    they replace the model's figures in a second call.

    The result is the same for every order of the graph's nodes. Raises DataLossError,
    InvalidArgumentError, ResourceExhaustedError.
    """
    found = _planish.partition(
        graph_def, list(fetches), list(feeds),
        {name: (dtype, None if shape is None else list(shape))
         for name, (dtype, shape) in (tensors or {}).items()},
        minimum_segment_size, list(deny_ops), list(deny_nodes), maximum_engines or 0, device_type,
        cost_gate, assumed_batch, {key: (host, engine) for key, (host, engine) in (measured or {}).items()})
    found["segments"] = [_segment(one) for one in found["segments"]]
    found["dropped"] = [Dropped(nodes, reason, Cost(**cost))
                        for nodes, reason, cost in found["dropped"]]
    found["left"] = [Left(*one) for one in found["left"]]
    return Partition(**found)
