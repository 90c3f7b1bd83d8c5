#!/usr/bin/env python3
"""Broken and hostile TensorFlow files: every one ends in an error that says what is wrong, and what
lies outside of the wanted outputs' cone does not matter. Files that only look strange load.

Usage: bad_files_test.py PLANISH. Skips (exit code 77) without TensorFlow.
"""

import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

try:
    import numpy as np
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

PLANISH = ""
V1 = tf.compat.v1


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def masked(data):
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries, restarts=(0,)):
    """Entries (shared, key tail, value) as LevelDB writes them."""
    out = b"".join(varint(shared) + varint(len(tail)) + varint(len(value)) + tail + value
                   for shared, tail, value in entries)
    return out + b"".join(struct.pack("<I", at) for at in restarts) + struct.pack("<I", len(restarts))


def table(data, compression=0, handle=None, magic=0xDB4775248B80FB57):
    """A table of one data block, given as its bytes."""
    body = bytearray()

    def put(content, kind):
        at = len(body)
        body.extend(content + bytes([kind]) + struct.pack("<I", masked(content + bytes([kind]))))
        return varint(at) + varint(len(content))

    first = put(data, compression)
    meta = put(block([]), 0)
    index = put(block([(0, b"\xff", handle or first)]), 0)
    return bytes(body) + (meta + index).ljust(40, b"\0") + struct.pack("<Q", magic)


def shape(*dims):
    return b"".join(field(2, field(1, d)) for d in dims)


def entry(values, dims=None, dtype=1, **other):
    data = values.tobytes()
    return b"".join([
        field(1, dtype), field(2, shape(*(values.shape if dims is None else dims))),
        field(3, other.get("shard", 0)), field(4, other.get("offset", 0)),
        field(5, other.get("size", len(data))),
        varint(6 << 3 | 5) + struct.pack("<I", other.get("crc", masked(data)))])


class BadFiles(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "graph.pb"
        self.x = np.arange(8, dtype=np.float32).reshape(2, 4)

    def check(self, path, *options):
        """Exit code and text of an import; with options, of a build, which knows more of them."""
        command = ["ops", "--check", str(path)]
        if options:
            command = ["build", str(path), "--deterministic", "--quiet", "--output",
                       str(self.folder / "model.plan"), *options]
        done = subprocess.run([PLANISH, *command], capture_output=True, text=True, timeout=60)
        self.assertNotIn("was not expected", done.stderr)
        return done.returncode, done.stdout + done.stderr

    def refused(self, *texts, path=None, options=()):
        code, text = self.check(path or self.path, *options)
        self.assertIn(code, (1, 2, 3, 4), text)
        for one in texts:
            self.assertIn(one, text)

    def loads(self, path=None, *options):
        code, text = self.check(path or self.path, *options)
        self.assertEqual(code, 0, text)

    def definition(self, build):
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            tf.identity(build(x), "y")
        return graph.as_graph_def()

    def write(self, definition):
        self.path.write_bytes(definition.SerializeToString())

    def node(self, definition, name):
        return next(node for node in definition.node if node.name == name)

    # Functions.

    def saved_model(self):
        module = tf.Module()
        module.w = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))

        @tf.function
        def inner(x):
            return x @ module.w

        @tf.function
        def middle(x):
            return inner(x) + 1.0

        spec = tf.TensorSpec([None, 4], tf.float32, name="x")
        outer = tf.function(lambda x: {"y": middle(x)}, input_signature=[spec])
        path = self.folder / "model"
        tf.saved_model.save(module, str(path), signatures=outer.get_concrete_function())
        return path

    def change(self, path, change):
        """change() of the SavedModel's message, written back."""
        model = path / "saved_model.pb"
        proto = saved_model_pb2.SavedModel.FromString(model.read_bytes())
        change(proto)
        model.write_bytes(proto.SerializeToString())

    def test_functions_that_call_each_other(self):
        path = self.saved_model()

        def tangle(proto):
            library = proto.meta_graphs[0].graph_def.library.function
            names = {kind: next(f.signature.name for f in library if kind in f.signature.name)
                     for kind in ("inner", "middle")}
            inner = next(f for f in library if f.signature.name == names["inner"])
            product = next(n for n in inner.node_def if n.op == "MatMul")
            arguments = [a.name for a in inner.signature.input_arg]
            product.op = "StatefulPartitionedCall"
            product.attr["f"].func.name = names["middle"]
            product.input[:] = arguments
            for node in inner.node_def:
                node.input[:] = [i.replace("MatMul:product:0", "MatMul:output:0") for i in node.input]

        self.change(path, tangle)
        self.refused("calls itself", path=path)

    def test_many_functions(self):
        path = self.saved_model()

        def add(proto):
            library = proto.meta_graphs[0].graph_def.library
            for k in range(20000):
                library.function.add().signature.name = f"f{k}"

        self.change(path, add)
        self.loads(path)

    def test_a_newer_tensorflow(self):
        path = self.saved_model()

        def renew(proto):
            proto.saved_model_schema_version = 7
            graph = proto.meta_graphs[0].graph_def
            graph.versions.producer = 99999
            for function in graph.library.function:
                function.attr["_of_a_later_version"].s = b"\xff"
                for node in function.node_def:
                    node.attr["_of_a_later_version"].list.i.extend([1, 2])

        self.change(path, renew)
        model = path / "saved_model.pb"
        # Fields that no version has had yet.
        model.write_bytes(model.read_bytes() + field(1234, b"new") + field(1235, 7))
        self.loads(path)

    def test_signatures_that_keep_something(self):
        """What a signature leaves for its next run is nothing that a plan could do: a counter, and a buffer
        that is shifted after it was read, in a function of its own."""
        module = tf.Module()
        module.runs, module.seen = tf.Variable(0.0), tf.Variable(tf.zeros([3, 4]))
        module.unread = tf.Variable(0.0)
        spec = tf.TensorSpec([1, 4], tf.float32, name="x")
        shift = tf.function(lambda y: module.seen.assign(y))

        def stream(x):
            window = tf.concat([module.seen[1:], x], 0)
            shift(window)
            return {"y": tf.reduce_sum(window, 0)}

        def counted(x):
            module.unread.assign_add(1.0)
            return {"y": x * 2.0}

        path = self.folder / "stateful"
        tf.saved_model.save(module, str(path), signatures={
            name: tf.function(body, input_signature=[spec]).get_concrete_function()
            for name, body in {"count": lambda x: {"y": x + module.runs.assign_add(1.0)}, "stream": stream,
                               "counted": counted}.items()})
        for name, op in (("count", "AssignAddVariableOp"), ("stream", "AssignVariableOp")):
            self.refused(op, "it changes the variable", "keeps nothing from run to run", path=path,
                         options=["--signature", name])
        self.loads(path, "--signature", "counted")

    def test_meta_graphs(self):
        path = self.saved_model()
        good = (path / "saved_model.pb").read_bytes()
        self.change(path, lambda proto: proto.ClearField("meta_graphs"))
        self.refused("no meta graph", path=path)
        (path / "saved_model.pb").write_bytes(good)
        self.change(path, lambda proto: proto.meta_graphs.append(proto.meta_graphs[0]))
        self.loads(path)  # equal tags: the first one
        (path / "saved_model.pb").write_bytes(good)
        self.change(path, lambda proto: proto.meta_graphs[0].signature_def[
            "serving_default"].outputs["y"].__setattr__("name", "nobody:0"))
        self.refused("nobody", "nothing produces", path=path)

    def test_text_beside_binary(self):
        path = self.saved_model()
        (path / "saved_model.pbtxt").write_text("nonsense {")
        self.loads(path)

    # Nodes.

    def test_attributes(self):
        def broken(change):
            definition = self.definition(lambda x: tf.nn.conv2d(
                tf.reshape(x, [-1, 2, 2, 1]), np.ones((1, 1, 1, 2), np.float32), 1, "SAME", name="c"))
            change(self.node(definition, "c"))
            self.write(definition)

        broken(lambda node: node.attr["strides"].__setattr__("s", b"one"))
        self.refused("strides", "node 'c'")
        broken(lambda node: node.attr["strides"].list.i.__setitem__(1, 0))
        self.refused("stride")
        broken(lambda node: node.attr["strides"].list.i.pop())
        self.refused("strides")
        broken(lambda node: node.attr["data_format"].__setattr__("s", b"CHWN"))
        self.refused("data_format", "CHWN")
        broken(lambda node: node.attr["unknown"].__setattr__("i", 3))
        self.loads()

    def test_constants(self):
        def broken(change):
            definition = self.definition(lambda x: x + np.arange(4, dtype=np.float32))
            constant = next(node for node in definition.node if node.op == "Const")
            change(constant.attr["value"].tensor)
            self.write(definition)

        def dims(tensor, *sizes):
            del tensor.tensor_shape.dim[:]
            for size in sizes:
                tensor.tensor_shape.dim.add().size = size

        broken(lambda tensor: tensor.__setattr__("tensor_content", tensor.tensor_content[:7]))
        self.refused("7 bytes")
        broken(lambda tensor: dims(tensor, -4))
        self.refused("-4")
        broken(lambda tensor: dims(tensor, 1 << 40, 1 << 40))
        self.refused()
        broken(lambda tensor: tensor.tensor_shape.__setattr__("unknown_rank", True))
        self.refused()
        broken(lambda tensor: tensor.__setattr__("dtype", 77))
        self.refused("77")

    def test_control_inputs(self):
        definition = self.definition(lambda x: x + 1.0)
        definition.node[-1].input.append("^nobody")
        self.write(definition)
        self.refused("^nobody", "nothing produces")

    def test_loops(self):
        was_v2 = V1.control_flow_v2_enabled()
        V1.disable_control_flow_v2()
        good = self.definition(lambda x: V1.while_loop(
            lambda k, v: k < 3, lambda k, v: (k + 1, v * 2.0), [0, x])[1])
        if was_v2:
            V1.enable_control_flow_v2()
        self.write(good)
        self.loads()

        def broken(change):
            definition = V1.GraphDef()
            definition.CopyFrom(good)
            change(definition)
            self.write(definition)

        def of(definition, op):
            return next(node for node in definition.node if node.op == op)

        def forward(definition):
            """The Merge reads what the body gives, past the NextIteration."""
            after = of(definition, "NextIteration")
            for node in definition.node:
                node.input[:] = [after.input[0] if name == after.name else name for name in node.input]

        broken(forward)
        self.refused("NextIteration")
        broken(lambda d: of(d, "Merge").input.pop())
        self.refused()
        broken(lambda d: of(d, "Enter").attr["frame_name"].__setattr__("s", b"other"))
        self.refused()
        broken(lambda d: of(d, "Enter").attr["frame_name"].__setattr__("s", b""))
        self.refused("frame_name")

    def test_what_touches_files_is_refused_in_the_cone_alone(self):
        for op, build in [("ReadFile", lambda: tf.raw_ops.ReadFile(filename="/etc/passwd")),
                          ("WriteFile", lambda: tf.raw_ops.WriteFile(filename="/tmp/x", contents="x"))]:
            definition = self.definition(lambda x, b=build: (b(), x + 1.0)[1])
            self.write(definition)
            self.loads(None, "--to-node", "y")
        definition = self.definition(lambda x: tf.cast(tf.strings.length(
            tf.raw_ops.ReadFile(filename="/etc/passwd")), tf.float32) + x)
        self.write(definition)
        self.refused("ReadFile", "StringLength")
        definition = self.definition(lambda x: x + 1.0)
        for op in ("PyFunc", "EagerPyFunc", "TRTEngineOp", "NobodysCustomOp"):
            self.node(definition, "y").op = op
            self.write(definition)
            self.refused(op)

    def test_text_variables(self):
        graph = V1.Graph()
        with graph.as_default():
            word = V1.get_variable("word", initializer=tf.constant("x"), use_resource=False)
            tf.identity(tf.strings.length(word), "y")
        self.write(graph.as_graph_def())
        self.refused(options=["--to-node", "y"])

    def test_text_format(self):
        text = text_format.MessageToString(self.definition(lambda x: x + 1.0))
        path = self.folder / "graph.pbtxt"
        for damage, expected in [
                (text + "node { " * 10000, "nested"),
                (text.replace("size: -1", "size: " + "9" * 30, 1), "9" * 20),
                (text + 'node { name: "y" op: "NoOp" }', "two nodes are named"),
                (text.replace("DT_FLOAT", "DT_NOTHING", 1), "DT_NOTHING")]:
            path.write_text(damage)
            self.refused(expected, path=path)

    # Checkpoints.

    def checkpoint(self, index, data=b""):
        """A graph that reads the variable w, beside a checkpoint of these bytes."""
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            w = V1.get_variable("w", shape=[4, 3], use_resource=False)
            tf.identity(x @ w, "y")
            meta = V1.train.export_meta_graph(graph=graph)
        (self.folder / "w.meta").write_bytes(meta.SerializeToString())
        (self.folder / "w.index").write_bytes(index)
        (self.folder / "w.data-00000-of-00001").write_bytes(data)

    def test_forged_checkpoints(self):
        w = np.arange(12, dtype=np.float32).reshape(4, 3)
        data = w.tobytes()

        def index(value, header=field(1, 1)):
            return table(block([(0, b"", header), (0, b"w", value)]))

        def judged(index_bytes, *texts):
            self.checkpoint(index_bytes, data)
            options = ["--to-node", "y"]
            if texts:
                self.refused(*texts, path=self.folder / "w.meta", options=options)
            else:
                self.loads(self.folder / "w.meta", *options)

        judged(index(entry(w)))
        judged(index(entry(w, crc=1)), "CRC-32C")
        judged(index(entry(w, shard=3)), "shard 3")
        judged(index(entry(w, offset=4)), "which has 48 bytes")
        judged(index(entry(w, offset=-4)), "lies at")
        judged(index(entry(w, size=44)), "takes 44 bytes")
        judged(index(entry(w, size=-1)), "takes -1 bytes")
        judged(index(entry(w, dims=(1 << 33, 1 << 33))), "w")
        judged(index(entry(w, dims=(-4, 3))), "w")
        judged(index(entry(w, dtype=3)), "w")
        judged(index(entry(w), field(1, 1 << 31)), "shards")
        judged(index(entry(w), field(1, 1) + field(2, 1)), "big-endian")
        judged(table(block([(0, b"", field(1, 1)), (9, b"w", entry(w))])), "w.index")
        judged(table(block([(0, b"", field(1, 1)), (0, b"w", entry(w))], restarts=[1 << 30])), "w.index")
        judged(table(block([(0, b"w", entry(w))])), "no header")
        judged(table(block([(0, b"", field(1, 1))])), "'w' is not in the checkpoint")
        judged(table(varint(1 << 40) + b"\0", compression=1), "w.index")  # a bomb of a TiB
        judged(table(b"", handle=varint(1 << 50) + varint(10)), "w.index")
        judged(table(block([]), magic=1), "w.index")

    def test_shards(self):
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            parts = [V1.get_variable(f"w{k}", shape=[4, 3], use_resource=False,
                                     initializer=V1.random_normal_initializer(seed=k)) for k in range(2)]
            tf.identity(x @ parts[0] - x @ parts[1], "y")
            saves = [tf.raw_ops.SaveV2(prefix=str(self.folder / f"part{k}"), tensor_names=[f"w{k}"],
                                       shape_and_slices=[""], tensors=[w]) for k, w in enumerate(parts)]
            with tf.control_dependencies(saves):
                merged = tf.raw_ops.MergeV2Checkpoints(
                    checkpoint_prefixes=[str(self.folder / f"part{k}") for k in range(2)],
                    destination_prefix=str(self.folder / "model"))
            with V1.Session(graph=graph) as session:
                session.run(V1.global_variables_initializer())
                want = session.run("y:0", {"x:0": self.x})
                session.run(merged)
            definition = V1.train.export_meta_graph(graph=graph)
        meta = self.folder / "model.meta"
        meta.write_bytes(definition.SerializeToString())
        shards = sorted(self.folder.glob("model.data-*-of-00002"))
        self.assertEqual(len(shards), 2)
        np.save(self.folder / "x.npy", self.x)
        subprocess.run([PLANISH, "run", str(meta), "--deterministic", "--quiet", "--to-node", "y",
                        "--input", f"x={self.folder / 'x.npy'}", "--output-dir",
                        str(self.folder / "out")], check=True, capture_output=True)
        np.testing.assert_allclose(np.load(self.folder / "out" / "y.npy"), want, rtol=1e-5, atol=1e-6)
        good = shards[1].read_bytes()
        shards[1].write_bytes(bytes([good[0] ^ 1]) + good[1:])
        self.refused("w1", "CRC-32C", shards[1].name, path=meta, options=["--to-node", "y"])
        shards[1].unlink()
        self.refused(shards[1].name, path=meta, options=["--to-node", "y"])

    def test_missing_variables_are_named(self):
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            there = V1.get_variable("there", shape=[4, 3], use_resource=True)
            absent = V1.get_variable("absent", shape=[4, 3], use_resource=True)
            tf.identity(x @ there + x @ absent, "y")
            with V1.Session(graph=graph) as session:
                session.run(V1.global_variables_initializer())
                V1.train.Saver([there]).save(session, str(self.folder / "model"))
        self.refused("'absent' is not in the checkpoint", path=self.folder / "model.meta",
                     options=["--to-node", "y"])

    def test_formats_that_are_not_read(self):
        (self.folder / "saved_model.cpb").write_bytes(b"")
        self.refused("in chunks", path=self.folder)
        graph = V1.Graph()
        with graph.as_default():
            tf.identity(V1.get_variable("w", shape=[4, 3], use_resource=False) * 2.0, "y")
            with V1.Session(graph=graph) as session:
                session.run(V1.global_variables_initializer())
                V1.train.Saver(write_version=V1.train.SaverDef.V1).save(
                    session, str(self.folder / "old"))
        self.refused("the first format", path=self.folder / "old.meta", options=["--to-node", "y"])

    def test_checkpoint_of_objects_with_a_graph(self):
        """TensorFlow 2 calls variables by the objects that hold them; the graph by their names."""
        w = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3), name="layer/kernel")
        prefix = tf.train.Checkpoint(first=tf.Module(), weights=w).write(str(self.folder / "objects"))
        graph = V1.Graph()
        with graph.as_default():
            x = V1.placeholder(tf.float32, [None, 4], "x")
            kernel = V1.get_variable("layer/kernel", shape=[4, 3], use_resource=True)
            tf.identity(x @ kernel, "y")
        self.write(graph.as_graph_def())
        self.refused("no value", options=["--to-node", "y"])
        np.save(self.folder / "x.npy", self.x)
        for name in (prefix, prefix + ".index"):
            subprocess.run([PLANISH, "run", str(self.path), "--checkpoint", name, "--to-node", "y",
                            "--deterministic", "--quiet", "--input", f"x={self.folder / 'x.npy'}",
                            "--output-dir", str(self.folder / "out")], check=True, capture_output=True)
            np.testing.assert_allclose(np.load(self.folder / "out" / "y.npy"), self.x @ w.numpy())
        self.refused("values and no graph", "weights/.ATTRIBUTES/VARIABLE_VALUE: f32[4, 3]",
                     path=prefix + ".index")


if __name__ == "__main__":
    PLANISH = sys.argv.pop(1)
    unittest.main()
