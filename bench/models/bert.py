"""BERT-base: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018.

Spelled out as a framework's exporter leaves it: layer normalization, GELU and attention in small
operations, every reshape from shape arithmetic (Shape, Gather, Unsqueeze, Concat). Batch and
sequence are symbolic. Recognizing all this is the optimizer's work.
"""

import numpy as np

HIDDEN, HEADS, LAYERS, INNER = 768, 12, 12, 3072
VOCABULARY, POSITIONS = 30522, 512


def scalar(b, value):
    return b.constant(np.float32(value), "scalar")


def layer_norm(b, x):
    scale = b.vector(b.rng.uniform(0.8, 1.2, HIDDEN), "norm.weight")
    bias = b.vector(0.1 * b.rng.standard_normal(HIDDEN), "norm.bias")
    centered = b.node("Sub", [x, b.reduce_mean(x, -1)])
    variance = b.reduce_mean(b.node("Pow", [centered, scalar(b, 2)]), -1)
    root = b.node("Sqrt", [b.node("Add", [variance, scalar(b, 1e-12)])])
    return b.node("Add", [b.node("Mul", [b.node("Div", [centered, root]), scale]), bias])


def gelu(b, x):
    erf = b.node("Erf", [b.node("Div", [x, scalar(b, 2**0.5)])])
    twice = b.node("Mul", [x, b.node("Add", [erf, scalar(b, 1)])])
    return b.node("Mul", [twice, scalar(b, 0.5)])


def size_of(b, x, axis):
    """The size of one axis, int64 [1], computed in the graph."""
    size = b.node("Gather", [b.node("Shape", [x]), b.constant(np.int64(axis), "axis")], axis=0)
    return b.node("Unsqueeze", [size, b.ints(0)])


def view(b, x, *last):
    """Reshape to (size of axis 0, size of axis 1, *last)."""
    target = b.node("Concat", [size_of(b, x, 0), size_of(b, x, 1), *map(b.ints, last)], axis=0)
    return b.node("Reshape", [x, target])


def heads(b, x, perm):
    return b.node("Transpose", [view(b, x, HEADS, HIDDEN // HEADS)], perm=perm)


def attention(b, x, mask):
    linear = lambda name, gain: named_linear(b, name, x, gain)
    query = heads(b, linear("query", 1.3), [0, 2, 1, 3])
    key = heads(b, linear("key", 1.0), [0, 2, 3, 1])
    value = heads(b, linear("value", 1.0), [0, 2, 1, 3])
    scores = b.node("MatMul", [query, key])
    scores = b.node("Div", [scores, scalar(b, (HIDDEN / HEADS) ** 0.5)])
    weights = b.node("Softmax", [b.node("Add", [scores, mask])], axis=-1)
    joined = b.node("Transpose", [b.node("MatMul", [weights, value])], perm=[0, 2, 1, 3])
    return named_linear(b, "output", view(b, joined, HIDDEN), 0.5)


def named_linear(b, name, x, gain):
    with b.scope(name):
        return b.linear(x, HIDDEN, HIDDEN, gain=gain, shift=0.0)


def encoder_layer(b, x, mask):
    with b.scope("attention"):
        x = layer_norm(b, b.node("Add", [attention(b, x, mask), x]))
    inner = gelu(b, b.linear(x, HIDDEN, INNER))
    return layer_norm(b, b.node("Add", [b.linear(inner, INNER, HIDDEN, gain=0.5, shift=0.0), x]))


def embeddings(b, ids, types):
    table = lambda rows, std, name: b.weight((rows, HIDDEN), std, f"{name}.weight")
    words = b.node("Gather", [table(VOCABULARY, 1.0, "word"), ids], axis=0)
    kinds = b.node("Gather", [table(2, 0.5, "type"), types], axis=0)
    positions = b.constant(np.arange(POSITIONS)[None], "position_ids")
    positions = b.node("Slice", [positions, b.ints(0), size_of(b, ids, 1), b.ints(1)])
    places = b.node("Gather", [table(POSITIONS, 0.5, "position"), positions], axis=0)
    return layer_norm(b, b.node("Add", [b.node("Add", [words, kinds]), places]))


def additive_mask(b, mask):
    """0 where the mask is 1, -10000 where it is 0, as [batch, 1, 1, sequence]."""
    mask = b.node("Unsqueeze", [b.node("Unsqueeze", [mask, b.ints(1)]), b.ints(2)])
    hidden = b.node("Sub", [scalar(b, 1), b.node("Cast", [mask], to=1)])
    return b.node("Mul", [hidden, scalar(b, -10000)])


def bert_base(b):
    batch = "batch" if b.batch == "N" else b.batch
    shape = [batch, "sequence"]
    b.properties["dim.sequence"] = "128"
    ids = b.input("input_ids", shape, "int64", f"token:0:{VOCABULARY}")
    mask = additive_mask(b, b.input("attention_mask", shape, "int64", "mask"))
    types = b.input("token_type_ids", shape, "int64", "token:0:2")
    with b.scope("embeddings"):
        x = embeddings(b, ids, types)
    for layer in range(LAYERS):
        with b.scope(f"encoder.layer.{layer}"):
            x = encoder_layer(b, x, mask)
    first = b.node("Gather", [x, b.constant(np.int64(0), "axis")], axis=1)
    with b.scope("pooler"):
        pooled = b.node("Tanh", [b.gemm(first, HIDDEN, HIDDEN, shift=0.0)])
    b.output(x, "last_hidden_state", [*shape, HIDDEN])
    b.output(pooled, "pooler_output", [batch, HIDDEN])
    b.properties["class_output"] = "pooler_output"
