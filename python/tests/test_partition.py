"""planish.partition on a graph written by hand: a field is a tag, a length and bytes."""

import json

import planish
import pytest


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def node(name, op, inputs=(), **attrs):
    body = field(1, name) + field(2, op) + b"".join(field(3, one) for one in inputs)
    body += b"".join(field(5, field(1, key) + field(2, value)) for key, value in attrs.items())
    return field(1, body)


FLOAT = field(6, 1)  # type: DT_FLOAT
SHAPE = field(7, field(2, field(1, 4)) + field(2, field(1, 8)))  # shape: [4, 8]


def graph(*middle):
    out = node("x", "Placeholder", dtype=FLOAT, shape=SHAPE)
    last = "x"
    for name, op in middle:
        out += node(name, op, [last], T=FLOAT)
        last = name
    return out


@pytest.fixture
def chain():
    return graph(("a", "Relu"), ("b", "Exp"), ("c", "NoSuchOp"), ("d", "Relu"), ("e", "Exp"), ("f", "Tanh"))


def test_segments_and_reasons(chain):
    found = planish.partition(chain, minimum_segment_size=2, cost_gate=False)
    assert [one.nodes for one in found.segments] == [["a", "b"], ["d", "e", "f"]]
    first = found.segments[0]
    assert (first.inputs, first.outputs) == (["x:0"], ["b:0"])
    assert first.input_edges[0].dtype == "f32" and first.input_edges[0].shape == (4, 8)
    assert first.placeholders[0].encode() in first.graph_def
    assert first.cost.gain_us == pytest.approx(
        first.cost.tensorflow_us - first.cost.engine_us - first.cost.border_us)
    assert ("NoSuchOp", "not an operator that Planish knows", ["c"]) in found.left
    assert "3x" not in str(found) and json.loads(found.report_json)["taken"] == 5


def test_options(chain):
    def nodes(**options):
        found = planish.partition(chain, cost_gate=False, **options)
        return [one.nodes for one in found.segments]

    assert nodes() == [["d", "e", "f"]]
    assert nodes(minimum_segment_size=2, deny_ops=["Tanh"]) == [["a", "b"], ["d", "e"]]
    assert nodes(minimum_segment_size=2, deny_nodes=["a"]) == [["d", "e", "f"]]
    assert nodes(minimum_segment_size=2, maximum_engines=1) == [["d", "e", "f"]]
    assert nodes(minimum_segment_size=2, fetches=["b"]) == [["a", "b"]]
    assert nodes(minimum_segment_size=2, feeds=["d"]) == [["a", "b"], ["e", "f"]]


def test_measured_times_decide(chain):
    kept = planish.partition(chain, minimum_segment_size=2, cost_gate=False).segments
    slow = {one.key: (10.0, 20.0) for one in kept[:1]} | {one.key: (10.0, 5.0) for one in kept[1:]}
    found = planish.partition(chain, minimum_segment_size=2, measured=slow)
    assert [one.key for one in found.segments] == [kept[1].key]
    assert found.dropped[0].cost.is_measured and found.dropped[0].cost.gain_us == -10


def test_hints_tell_what_the_graph_does_not(chain):
    found = planish.partition(chain, cost_gate=False, tensors={"c:0": ("f32", [4, 8])})
    assert found.segments[0].input_edges[0].shape == (4, 8)
    with pytest.raises(planish.InvalidArgumentError, match="'float' is no element type"):
        planish.partition(chain, tensors={"c:0": ("float", None)})


def test_errors(chain):
    with pytest.raises(planish.DataLossError):
        planish.partition(b"\xff\xff\xff")
    with pytest.raises(planish.InvalidArgumentError, match="minimum_segment_size is 0"):
        planish.partition(chain, minimum_segment_size=0)
    with pytest.raises(planish.InvalidArgumentError, match="fetch 'no'"):
        planish.partition(chain, fetches=["no"])
