"""Transformer, base size: Vaswani et al., "Attention Is All You Need", 2017. Encoder and one
teacher-forced pass of the decoder over all target positions, with the source's padding mask and
the causal mask made in the graph; embeddings shared by both sides and the output, transposed there.

Other than bert.py it uses LayerNormalization, reshapes by constants and masks by Where.
"""

import numpy as np

HIDDEN, HEADS, LAYERS, INNER = 512, 8, 6, 2048
VOCABULARY, POSITIONS = 37000, 512


def positional_table():
    """Sines and cosines of geometrically growing wavelengths, float32 [POSITIONS, HIDDEN]."""
    angle = np.arange(POSITIONS)[:, None] / 10000 ** (np.arange(0, HIDDEN, 2) / HIDDEN)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(POSITIONS, HIDDEN).astype("float32")


def layer_norm(b, x):
    scale = b.vector(b.rng.uniform(0.8, 1.2, HIDDEN), "norm.weight")
    bias = b.vector(0.1 * b.rng.standard_normal(HIDDEN), "norm.bias")
    return b.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=1e-5)


def length(b, ids):
    """The sequence length, int64 scalar."""
    return b.node("Gather", [b.node("Shape", [ids]), b.constant(np.int64(1), "axis")], axis=0)


def embed(b, ids, table, places):
    scale = b.constant(np.float32(HIDDEN**0.5), "scalar")
    words = b.node("Mul", [b.node("Gather", [table, ids], axis=0), scale])
    end = b.node("Unsqueeze", [length(b, ids), b.ints(0)])
    return b.node("Add", [words, b.node("Slice", [places, b.ints(0), end, b.ints(0)])])


def project(b, name, x, gain=1.0):
    with b.scope(name):
        return b.linear(x, HIDDEN, HIDDEN, gain=gain, shift=0.0)


def attention(b, x, memory, visible):
    """Multi-head attention of `x` to `memory`, where `visible` (broadcast bool) allows it."""
    split = b.ints(0, 0, HEADS, HIDDEN // HEADS)
    heads = lambda y: b.node("Transpose", [b.node("Reshape", [y, split])], perm=[0, 2, 1, 3])
    query = heads(project(b, "query", x, 1.3))
    key = heads(project(b, "key", memory))
    value = heads(project(b, "value", memory))
    scale = b.constant(np.float32((HIDDEN / HEADS) ** -0.5), "scalar")
    scores = b.node("MatMul", [query, b.node("Transpose", [key], perm=[0, 1, 3, 2])])
    scores = b.node("Mul", [scores, scale])
    scores = b.node("Where", [visible, scores, b.constant(np.float32(-1e9), "hidden")])
    joined = b.node("MatMul", [b.node("Softmax", [scores], axis=-1), value])
    joined = b.node("Transpose", [joined], perm=[0, 2, 1, 3])
    return project(b, "output", b.node("Reshape", [joined, b.ints(0, 0, HIDDEN)]), 0.5)


def sublayer(b, name, x, function):
    with b.scope(name):
        return layer_norm(b, b.node("Add", [x, function(x)]))


def feed_forward(b, x):
    inner = b.node("Relu", [b.linear(x, HIDDEN, INNER)])
    return b.linear(inner, INNER, HIDDEN, gain=0.5, shift=0.0)


def causal_mask(b, ids):
    """Bool [target, target]: a position sees itself and those before it."""
    limits = [b.constant(np.int64(0), "start"), length(b, ids), b.constant(np.int64(1), "step")]
    at = b.node("Range", limits)
    return b.node("LessOrEqual", [at, b.node("Unsqueeze", [at, b.ints(1)])])


def transformer(b):
    b.properties.update({"dim.source": "64", "dim.target": "64", "class_output": "logits"})
    source = b.input("source_ids", [b.batch, "source"], "int64", f"token:0:{VOCABULARY}")
    mask = b.input("source_mask", [b.batch, "source"], "int64", "mask")
    target = b.input("target_ids", [b.batch, "target"], "int64", f"token:0:{VOCABULARY}")
    table = b.weight((VOCABULARY, HIDDEN), HIDDEN**-0.5, "embedding.weight")
    places = b.constant(positional_table(), "positions")
    visible = b.node("Unsqueeze", [b.node("Cast", [mask], to=9), b.ints(1, 2)])
    causal = causal_mask(b, target)
    memory = embed(b, source, table, places)
    for layer in range(LAYERS):
        with b.scope(f"encoder.{layer}"):
            memory = sublayer(b, "self", memory, lambda x: attention(b, x, x, visible))
            memory = sublayer(b, "inner", memory, lambda x: feed_forward(b, x))
    x = embed(b, target, table, places)
    for layer in range(LAYERS):
        with b.scope(f"decoder.{layer}"):
            x = sublayer(b, "self", x, lambda y: attention(b, y, y, causal))
            x = sublayer(b, "cross", x, lambda y: attention(b, y, memory, visible))
            x = sublayer(b, "inner", x, lambda y: feed_forward(b, y))
    logits = b.node("MatMul", [x, b.node("Transpose", [table], perm=[1, 0])])
    b.output(logits, "logits", [b.batch, "target", VOCABULARY])
