"""Small graphs that TensorFlow's own integration was tested with, by intent, on explicit batch: the rows
of segments_test.py. A row: name, function of named tensors, inputs as arrays, and what is expected of
its conversion (engines, operators denied, operators that must stay in TensorFlow)."""

import dataclasses
from typing import Any, Callable, Dict, Sequence

import numpy as np


@dataclasses.dataclass
class Row:
    name: str
    function: Callable
    inputs: Dict[str, Any]
    engines: int = 1
    deny: Sequence[str] = ()
    stays: Sequence[str] = ()      # op types that are outside of engines
    open_batch: bool = True        # the first dim is None in the signature
    may_run_native: bool = False
    more: Sequence[Dict[str, Any]] = ()  # further inputs, of other shapes
    open_dims: Sequence[int] = ()  # further None dims
    half: bool = True              # computed in FP16 too
    minimum: int = 2


def rows(tf):
    rng = np.random.default_rng(5)
    nn, raw = tf.nn, tf.raw_ops

    def f(*shape, low=-1.0, high=1.0):
        return rng.uniform(low, high, shape).astype(np.float32)

    def c(*shape, low=-1.0, high=1.0):
        return tf.constant(f(*shape, low=low, high=high))

    out = []

    def add(name, function, inputs, **expected):
        out.append(Row(name, function, inputs, **expected))

    image = {"x": f(3, 12, 12, 4)}
    kernel, bias = c(3, 3, 4, 6), c(6)
    other, same = c(3, 3, 6, 6), c(1, 1, 4, 4)

    def block(x):
        y = nn.bias_add(nn.conv2d(x, kernel, 2, "SAME"), bias)
        return tf.identity(nn.max_pool2d(nn.relu(y), 2, 2, "VALID"))

    add("SimpleSingleEngine", lambda x: {"y": tf.squeeze(tf.reduce_mean(block(x), [1, 2], True), [1, 2])},
        image)
    add("SimpleMultiEngines", lambda x: {"y": nn.relu(nn.conv2d(tf.sin(block(x)), other, 1, "SAME")) * 2.0},
        image, engines=2, deny=["Sin"], stays=["Sin"])

    def branches(x):
        a = nn.relu(nn.conv2d(x, same, 1, "SAME")) + 1.0
        b = nn.relu(nn.conv2d(tf.sin(x), same, 1, "SAME")) * 0.5
        return {"y": tf.sin(a) + tf.sin(b)}

    add("SimpleMultiEngines2", branches, image, engines=2, deny=["Sin", "AddV2"], stays=["Sin"],
        half=False)
    shared = c(4)
    add("ConstInput", lambda x: {"y": nn.relu(tf.sin((x + shared) * shared) + shared) * 2.0}, image,
        engines=2, deny=["Sin"], stays=["Sin"])
    add("ConstDataInput", lambda x: {"y": (tf.constant(np.float32(2)) * x + shared) - tf.constant(f(1, 12, 1, 4))},
        image)
    add("ConstDataInputMultipleEngines",
        lambda x: {"y": (tf.sin(shared * x + shared) + shared) * tf.constant(f(4))}, image, engines=2,
        deny=["Sin"], stays=["Sin"])
    add("TwoTensorBatchMatMul", lambda x, y: {"z": nn.relu(tf.matmul(x, y) * 0.5)},
        {"x": f(2, 3, 4, 5), "y": f(2, 3, 5, 6)})
    add("WeightBroadcastBatchMatMul", lambda x: {"z": tf.matmul(x, tf.constant(f(1, 1, 5, 6))) + 1.0},
        {"x": f(2, 3, 4, 5)})
    add("WeightBroadcastDims2", lambda x: {"z": tf.matmul(x, tf.constant(f(5, 6))) + 1.0}, {"x": f(2, 4, 5)})

    def matmuls(x):
        flat = tf.reshape(x, [-1, 48])
        a = nn.bias_add(tf.matmul(flat, tf.constant(f(48, 4))), tf.constant(f(4)))
        b = tf.matmul(flat, tf.constant(f(4, 48)), transpose_b=True) + tf.constant(f(4))
        d = nn.bias_add(x, tf.constant(f(4)))
        e = tf.transpose(nn.bias_add(tf.transpose(x, [0, 3, 1, 2]), tf.constant(f(4)), "NCHW"), [0, 2, 3, 1])
        return {"y": tf.reshape(tf.concat([a, b, tf.reduce_sum(d, [1, 2]), tf.reduce_sum(e, [1, 2])], 1), [-1])}

    add("BiasaddMatMul", matmuls, {"x": f(2, 3, 4, 4)})

    def broadcasts(x):
        y = x
        for shape in [(1,), (4,), (12, 1), (12, 4), (12, 12, 1), (12, 12, 4), (1, 12, 1, 1), (1, 1, 12, 4)]:
            weights = tf.constant(f(*shape))
            y = (weights + y) * 0.5
            y = (y - weights) * 0.5
        return {"y": y}

    add("BinaryTensorWeightBroadcast", broadcasts, image)
    add("Bool", lambda x, y: {"z": tf.logical_and(tf.logical_or(x > y, tf.logical_not(x < y)), x >= -0.5)},
        {"x": f(3, 7), "y": f(3, 7)}, half=False)
    add("CastInt32ToFp32", lambda x: {"y": tf.cast(x, tf.float32) * 0.5 + 1.0},
        {"x": rng.integers(-9, 9, (3, 8)).astype(np.int32)})
    add("CastFp16", lambda x: {"y": tf.cast(tf.cast(x, tf.float16) * 2.0, tf.float32) + 1.0}, image)

    def suppressed(boxes, scores):
        scaled = (boxes + 1.0) * 0.25
        wide = tf.concat([scaled[..., :2], scaled[..., :2] + 0.3 + scaled[..., 2:]], -1)
        found = tf.image.combined_non_max_suppression(wide, scores * 0.5 + 0.5, 4, 8, 0.4, 0.2)
        return {"boxes": found[0], "scores": found[1], "classes": found[2], "valid": found[3]}

    # Planish takes the operator or leaves it; both give TensorFlow's results.
    add("CombinedNms", suppressed, {"boxes": f(2, 12, 1, 4), "scores": f(2, 12, 3)}, engines=-1,
        half=False)
    add("Concatenation", lambda x: {"y": tf.reshape(tf.concat(
        [tf.concat([x * float(k), x + float(k)], 3) for k in range(4)], 1), [-1, 48 * 12, 8])}, image)
    add("ConstBroadcast", lambda x: {"y": nn.relu(nn.conv2d(
        nn.relu(nn.conv2d(x, tf.fill([3, 3, 4, 2], 0.1), 1, "SAME")), tf.fill([3, 3, 2, 1], 0.2), 1, "SAME"))},
        image)
    add("Conv2DStridedDilated", lambda x: {"y": nn.relu(nn.conv2d(
        nn.conv2d(x, kernel, 1, "SAME", dilations=2), other, [1, 2, 3, 1], "VALID"))}, image)
    add("Conv2DTranspose", lambda x: {"y": nn.relu(nn.conv2d_transpose(
        x, tf.constant(f(3, 3, 5, 4)), [3, 24, 24, 5], 2, "SAME"))}, image, open_batch=False)

    def unique(x):
        found, index = tf.unique(tf.reshape(tf.cast(x * 3.0, tf.int32), [-1]))
        return {"y": tf.cast(found, tf.float32) * 2.0 + 1.0, "i": tf.cast(index, tf.float32) + 1.0}

    add("DataDependentShape", unique, {"x": f(2, 9)}, engines=3, deny=["Unique"], stays=["Unique"],
        may_run_native=True, half=False)
    add("DynamicInputShapes", lambda x: {"y": nn.relu(nn.conv2d(nn.bias_add(
        nn.conv2d(x, kernel, 1, "SAME"), bias), other, 2, "SAME"))}, image, open_dims=[1, 2],
        more=[{"x": f(1, h, w, 4)} for h, w in [(5, 8), (12, 9), (7, 7), (16, 16)]])

    def same_thrice(x):
        y = nn.relu(x * 2.0 + 1.0)
        return {"a": tf.identity(y), "b": tf.identity(y), "c": tf.identity(y)}

    add("IdentityOutput", same_thrice, image)
    add("Int32", lambda x: {"y": tf.reduce_sum((x * 3 + 1) // 2, 1)},
        {"x": rng.integers(-9, 9, (3, 8)).astype(np.int32)}, half=False)
    add("Int64Indices", lambda x, i: {"y": tf.gather(x * 2.0, i, axis=1) + 1.0},
        {"x": f(3, 8), "i": np.array([1, 5, 7, 2], np.int64)}, open_batch=False, half=False)

    def neighbours(x):
        a, b = nn.relu(x * 2.0 + 1.0), nn.relu(x - 0.5) * 3.0
        stays = tf.sin(a)
        return {"y": (a + b) * stays + b, "z": nn.relu(b * 0.25 + stays)}

    add("MultiConnectionNeighbourEngines", neighbours, image, engines=-1, deny=["Sin"], stays=["Sin"])

    def fake_quantized(x):
        y = tf.quantization.fake_quant_with_min_max_args(x, -1, 1)
        y = nn.conv2d(y, tf.quantization.fake_quant_with_min_max_vars(kernel, -1.0, 1.0), 1, "SAME")
        y = nn.relu(tf.quantization.fake_quant_with_min_max_args(y, -6, 6))
        return {"y": tf.quantization.quantize_and_dequantize_v2(y, -6.0, 6.0, range_given=True) * 2.0}

    add("QuantizationDoesNotSplit", fake_quantized, image, half=False)
    add("RankTwo", lambda x, y: {"z": (tf.expand_dims(tf.expand_dims(nn.relu(x + 1.0), 1), 1) + nn.relu(y * 2.0)) * 0.5},
        {"x": f(3, 4), "y": f(3, 12, 12, 4)})

    def reshaped(x):
        y = tf.reshape(x, [-1, 24, 24])
        y = tf.reshape(tf.transpose(y, [0, 2, 1]) + 1.0, [-1, 12, 4, 12])
        return {"y": tf.reshape(tf.transpose(y, [3, 0, 1, 2]) * 2.0, [12, -1])}

    add("ReshapeTranspose", reshaped, image)
    add("Resize", lambda x: {"a": tf.image.resize(x * 2.0, [24, 18]),
                             "b": tf.image.resize(x + 1.0, tf.shape(x)[1:3] * 2, "nearest")}, image)
    add("ShapeOutput", lambda x: {"q": 2.0 * x, "s": tf.shape(x * 2.0) + 1}, {"x": f(3, 5)}, half=False)
    add("PrunedInput", lambda x, unused: {"y": nn.relu(x + 1.0) * 2.0, "n": tf.shape(unused)[0] * 2},
        {"x": f(3, 5), "unused": f(3, 2)}, engines=2, half=False)
    add("ReshapeByInput", lambda x, shape: {"y": tf.reshape(x * 2.0 + 1.0, shape) * 0.5},
        {"x": f(4, 6), "shape": np.array([3, -1], np.int32)}, open_batch=False, half=False,
        more=[{"x": f(4, 6), "shape": np.array([12, 2], np.int32)}])
    add("InputProfile", lambda x, scale: {"y": nn.relu(x * tf.cast(scale, tf.float32) + 1.0) * 2.0},
        {"x": f(3, 5), "scale": np.array([2], np.int32)}, open_batch=False, open_dims=[0],
        more=[{"x": f(6, 5), "scale": np.array([3], np.int32)}])
    add("TfFunction", lambda x: {"y": tf.function(lambda z: nn.relu(z + 1.0))(x) * tf.function(nn.sigmoid)(x)},
        image)

    def top(x):
        values, indices = tf.math.top_k(x * 2.0, 3)
        return {"v": values + 1.0, "i": tf.reshape(indices, [-1, 3])}

    add("TopK", top, {"x": f(4, 9)}, half=False)
    add("SqueezeOnBatch", lambda x: {"y": tf.squeeze(nn.relu(x + 1.0) * 2.0, [0])}, {"x": f(1, 5, 6)})

    def unaries(x):
        positive, y = tf.abs(x) * 0.5 + 0.1, 0.0
        for function in [tf.exp, tf.math.log, tf.sqrt, tf.math.rsqrt, tf.math.reciprocal, tf.negative,
                         tf.sin, tf.cos, tf.tanh, tf.sinh, tf.cosh, tf.asinh, tf.atan, tf.math.erf,
                         nn.elu, nn.selu, nn.softsign, nn.softplus, nn.sigmoid, nn.leaky_relu, tf.square]:
            y += function(positive)
        return {"y": y, "r": tf.round(x * 3.0) + tf.math.ceil(x) + tf.floor(x) + tf.sign(x)}

    add("Unary", unaries, {"x": f(3, 9)}, half=False)

    def vgg(x):
        y, _, _ = tf.compat.v1.nn.fused_batch_norm(x, tf.constant(f(4)), tf.constant(f(4)), tf.constant(f(4)),
                                                   tf.constant(f(4, low=0.5)), is_training=False)
        return {"y": block(y)}

    add("VggBlock", vgg, image)
    add("Clip", lambda x: {"y": tf.clip_by_value(x * 2.0, -0.5, 0.75) + nn.relu6(x * 8.0)}, image)
    add("SelectAndTile", lambda x: {"y": tf.where(x > 0.0, tf.tile(x[:1], [tf.shape(x)[0], 1]), x * 2.0)},
        {"x": f(3, 5)}, half=False)
    return out
