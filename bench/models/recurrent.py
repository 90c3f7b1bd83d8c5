"""Sequence classifiers on ONNX's recurrent operators, batch and sequence symbolic. LSTM: Hochreiter
and Schmidhuber, 1997; over tokens, a layer in both directions, then one forward. GRU: Cho et al.,
2014; over 40 features per step as in speech, two forward layers, reset after the product."""

HIDDEN = 256
CLASSES = 32
VOCABULARY, EMBEDDING = 10000, 128


def recurrent(b, op, x, ic, directions=1, **attributes):
    """One layer over [sequence, N, ic]; its outputs Y and Y_h. Gains above 1 keep states moving."""
    gates = {"LSTM": 4, "GRU": 3}[op]
    rows = gates * HIDDEN
    inputs = [
        x,
        b.weight((directions, rows, ic), 1.5 * ic**-0.5, f"{op.lower()}.w"),
        b.weight((directions, rows, HIDDEN), 1.5 * HIDDEN**-0.5, f"{op.lower()}.r"),
        b.weight((directions, 2 * rows), 0.1, f"{op.lower()}.b"),
    ]
    direction = "bidirectional" if directions == 2 else "forward"
    return b.node(op, inputs, outputs=2, hidden_size=HIDDEN, direction=direction, **attributes)


def classify(b, last):
    """Softmax over classes from the last state [1, N, HIDDEN]."""
    state = b.node("Squeeze", [last, b.ints(0)])
    probability = b.node("Softmax", [b.gemm(state, HIDDEN, CLASSES, gain=2.0, shift=0.0)], axis=1)
    b.output(probability, "output", [b.batch, CLASSES])


def lstm(b):
    b.calibration_batch = 64
    b.properties["dim.sequence"] = "64"
    ids = b.input("tokens", [b.batch, "sequence"], "int64", f"token:0:{VOCABULARY}")
    table = b.weight((VOCABULARY, EMBEDDING), 1.0, "embedding.weight")
    x = b.node("Gather", [table, ids], axis=0)
    x = b.node("Transpose", [x], perm=[1, 0, 2])
    both, _ = recurrent(b, "LSTM", x, EMBEDDING, directions=2)
    both = b.node("Transpose", [both], perm=[0, 2, 1, 3])
    both = b.node("Reshape", [both, b.ints(0, 0, 2 * HIDDEN)])
    _, last = recurrent(b, "LSTM", both, 2 * HIDDEN)
    classify(b, last)


def gru(b):
    b.calibration_batch = 64
    b.properties["dim.sequence"] = "100"
    x = b.input("features", [b.batch, "sequence", 40])
    x = b.node("Transpose", [x], perm=[1, 0, 2])
    steps, _ = recurrent(b, "GRU", x, 40, linear_before_reset=1)
    x = b.node("Squeeze", [steps, b.ints(1)])
    _, last = recurrent(b, "GRU", x, HIDDEN, linear_before_reset=1)
    classify(b, last)
