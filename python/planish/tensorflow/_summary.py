"""The table that Converter.summary() prints."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Sequence

# Columns as TensorFlow's own integration had them, with their share of the width.
COLUMNS = (("Engine", 28), ("Device", 6), ("# Nodes", 6), ("# Inputs", 7), ("# Outputs", 7),
           ("Input DTypes", 10), ("Output DTypes", 10), ("Input Shapes", 13), ("Output Shapes", 13))


def _row(cells: Sequence[str], width: int) -> str:
    out = ""
    for (_, share), cell in zip(COLUMNS, cells):
        space = max(4, width * share // 100)
        out += (cell if len(cell) < space else cell[:space - 4] + "...").ljust(space)
    return out.rstrip()


def _shape(spec: Any) -> str:
    if spec.shape.rank is None:
        return "?"
    return "[" + ", ".join("-1" if dim is None else str(dim) for dim in spec.shape) + "]"


def lines(converted: Dict[str, Any], line_length: int, detailed: bool) -> Iterator[str]:
    width = max(line_length, 120)
    for key, one in converted.items():
        yield "=" * width
        yield f"signature {key}"
        if one.kept:
            yield f"  kept as it is: {one.kept}"
            continue
        yield _row([name for name, _ in COLUMNS], width)
        yield "-" * width
        for engine in one.engines:
            yield _row([engine.name, "CPU:0", str(engine.node_count), str(len(engine.inputs)),
                        str(len(engine.outputs)), str([s.dtype.name for s in engine.inputs]),
                        str([s.dtype.name for s in engine.outputs]),
                        str([_shape(s) for s in engine.inputs]),
                        str([_shape(s) for s in engine.outputs])], width)
            if detailed:
                for op, count in sorted(engine.op_counts.items()):
                    yield f"      - {op}: {count}x"
        yield "-" * width
        inside = sum(engine.node_count for engine in one.engines)
        yield (f"engines: {len(one.engines)}      nodes: {one.node_count} before, "
               f"{one.node_count_after} after, {inside} of them in engines (constants not counted)")
        if detailed and one.report is not None:
            yield "left to TensorFlow:"
            yield from ("  " + line for line in str(one.report).splitlines())
    yield "=" * width
    yield ("The saved model has these signatures and nothing else of the original: no Keras layers, "
           "no functions besides.")
