"""Writes the seed corpus of fuzz_onnx_import and its dictionary from the onnx package: the smallest
node case of every operator, and hand-made models for what node cases lack (functions, sparse and
external tensors, nested branches). Run by hand when operators come; the result is committed.

Usage: make_corpus.py
"""
import pathlib
import sys

import onnx
from onnx import TensorProto, defs, helper
from onnx.backend.test.case.node import collect_testcases

HERE = pathlib.Path(__file__).parent
F = TensorProto.FLOAT


def model(nodes, inputs, outputs, functions=(), **graph):
    made = helper.make_graph(nodes, "g", inputs, outputs, **graph)
    return helper.make_model(
        made, functions=functions, ir_version=10,
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("local", 1)])


def info(name, dims=("N", 4), dtype=F):
    return helper.make_tensor_value_info(name, dtype, dims)


def branch(op, reads, name):
    return helper.make_graph([helper.make_node(op, [reads], [name])], name, [],
                             [info(name)])


def hand_made():
    x, y = info("x"), info("y")
    values = helper.make_tensor("w", F, [2], [1, 2])
    indices = helper.make_tensor("i", TensorProto.INT64, [2], [0, 3])
    sparse = helper.make_sparse_tensor(values, indices, [4])
    yield "sparse", model([helper.make_node("Add", ["x", "w"], ["y"])], [x], [y],
                          sparse_initializer=[sparse])
    outside = TensorProto(name="w", data_type=F, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "16")):
        outside.external_data.add(key=key, value=value)
    yield "external", model([helper.make_node("Add", ["x", "w"], ["y"])], [x], [y],
                            initializer=[outside])
    leaky = helper.make_node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    function = helper.make_function("local", "F", ["a"], ["b"], [leaky],
                                    [helper.make_opsetid("", 21)], ["slope"])
    yield "function", model(
        [helper.make_node("F", ["x"], ["m"], domain="local", slope=0.5),
         helper.make_node("F", ["m"], ["y"], domain="local", slope=2.0)], [x], [y], [function])
    inner = helper.make_node("If", ["c"], ["t"], then_branch=branch("Abs", "x", "t1"),
                             else_branch=branch("Neg", "x", "e1"))
    outer = helper.make_graph([inner], "outer", [], [info("t")])
    yield "nested_if", model(
        [helper.make_node("If", ["c"], ["y"], then_branch=outer,
                          else_branch=branch("Relu", "x", "e"))],
        [x, info("c", (), TensorProto.BOOL)], [y])
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [-1, 2])
    yield "shape_arithmetic", model(
        [helper.make_node("Shape", ["x"], ["d"]),
         helper.make_node("Concat", ["d", "s"], ["k"], axis=0),
         helper.make_node("Reshape", ["x", "s"], ["r"]),
         helper.make_node("Transpose", ["r"], ["y"], perm=[1, 0])], [x], [info("y", (2, "M"))],
        initializer=[shape])


def smallest_cases():
    best = {}
    for case in collect_testcases():
        if case.model is None or len(case.model.graph.node) != 1:
            continue
        data = case.model.SerializeToString(deterministic=True)
        op = case.model.graph.node[0].op_type
        if len(data) < 3000 and (op not in best or len(data) < len(best[op])):
            best[op] = data
    return best


def main():
    folder = HERE / "corpus" / "fuzz_onnx_import"
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in hand_made():
        (folder / name).write_bytes(made.SerializeToString(deterministic=True))
    for op, data in sorted(smallest_cases().items()):
        (folder / f"op_{op}").write_bytes(data)
    words = set()
    for schema in defs.get_all_schemas():
        if schema.domain == "":
            words.add(schema.name)
            words.update(schema.attributes)
    words.update(["location", "offset", "length", "checksum", "ai.onnx", "ai.onnx.ml"])
    lines = "".join(f'"{word}"\n' for word in sorted(words))
    (HERE / "fuzz_onnx_import.dict").write_text("# Written by make_corpus.py.\n" + lines)


sys.exit(main())
