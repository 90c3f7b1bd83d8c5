"""The models of models_test.py: each row builds a model in a small or in its full size, saves it as
its users would, and gives inputs for it. Weights and batch-norm statistics come from fixed seeds, of
a spread that keeps outputs apart from each other."""

import dataclasses
import pathlib
from typing import Callable

import numpy as np

import detector


@dataclasses.dataclass
class Saved:
    path: pathlib.Path
    feeds: dict
    expected: dict
    nodes: int


@dataclasses.dataclass
class Model:
    build: Callable  # (tf, folder, is_full) -> Saved
    is_daily: bool = False  # in every test run, small; all others on request


def spread_weights(model, seed=3):
    """Random weights of a scale that keeps activations alive, and batch norms that discriminate."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            shape, name = tuple(weight.shape), weight.name
            if "variance" in name:
                values.append(rng.uniform(0.5, 1.5, shape))
            elif "mean" in name or "beta" in name or "bias" in name:
                values.append(rng.normal(0, 0.1, shape))
            elif "gamma" in name:
                values.append(rng.uniform(0.8, 1.2, shape))
            elif "embedding" in layer.name:
                values.append(rng.normal(0, 0.5, shape))
            elif "normalization" in layer.name or len(shape) < 2:
                values.append(np.asarray(weight))
            else:
                fan = float(np.prod(shape[:-1])) if "depthwise" not in name else float(np.prod(shape[:2]))
                values.append(rng.normal(0, np.sqrt(1.8 / fan), shape))
        if values:
            layer.set_weights([np.asarray(value, np.float32) for value in values])


def node_count(path):
    """Nodes of a SavedModel: those of its graph and of the functions that it may call."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def saved(tf, path, feeds):
    """What TensorFlow itself gives for the SavedModel's serving_default."""
    outputs = tf.saved_model.load(str(path)).signatures["serving_default"](
        **{key: tf.constant(value) for key, value in feeds.items()})
    return Saved(path, feeds, {key: value.numpy() for key, value in outputs.items()},
                 node_count(path))


def keras(make, feed):
    """A row for a Keras model: make(tf, is_full) gives it and stays at hand as the row's `network`;
    feed(rng, shape) gives an input."""
    def build(tf, folder, is_full):
        tf.keras.utils.set_random_seed(1)
        model = make(tf, is_full)
        spread_weights(model)
        path = folder / "saved_model"
        model.export(str(path), verbose=False)
        rng = np.random.default_rng(5)
        feeds = {}
        inputs = tf.saved_model.load(str(path)).signatures["serving_default"]
        for key, spec in inputs.structured_input_signature[1].items():
            shape = [(1 if is_full else 2) if d is None else d for d in spec.shape]
            feeds[key] = feed(rng, shape).astype(spec.dtype.as_numpy_dtype)
        return saved(tf, path, feeds)
    build.network = make
    return build


def application(name, small, full, **options):
    """Networks of tf.keras.applications up to their logits: with random weights a softmax is either one
    class alone, or turns the rounding of large logits into errors of the result."""
    def make(tf, is_full):
        size = full if is_full else small
        more = {} if is_full else options
        return getattr(tf.keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=1000 if is_full else 20,
            classifier_activation=None, **more)
    return keras(make, lambda rng, shape: rng.normal(0, 1, shape))


def recurrent(name, bidirectional=False):
    def make(tf, is_full):
        layer = getattr(tf.keras.layers, name)
        steps, units = (40, 128) if is_full else (10, 16)

        def two(*args, **more):
            one = layer(*args, **more)
            return tf.keras.layers.Bidirectional(one) if bidirectional else one

        x = tf.keras.Input((steps, 6), name="x")
        y = two(units, return_sequences=True)(x)
        return tf.keras.Model(x, tf.keras.layers.Dense(3)(two(units // 2)(y)))
    return keras(make, lambda rng, shape: rng.normal(0, 1, shape))


def encoder(tf, is_full):
    """BERT's encoder: embeddings, blocks of masked attention and a wide layer, and the pooler."""
    layers = tf.keras.layers
    depth, width, heads, length, words = (12, 768, 12, 128, 30522) if is_full else (2, 32, 4, 16, 50)
    ids = tf.keras.Input((length,), dtype="int32", name="input_ids")
    kinds = tf.keras.Input((length,), dtype="int32", name="token_type_ids")
    places = tf.range(length)
    x = layers.Embedding(words, width, name="word_embedding")(ids)
    x = x + layers.Embedding(2, width, name="type_embedding")(kinds)
    x = x + layers.Embedding(length, width, name="place_embedding")(places)
    x = layers.LayerNormalization(epsilon=1e-12)(x)
    mask = tf.keras.ops.expand_dims(tf.keras.ops.not_equal(ids, 0), 1)
    for _ in range(depth):
        attended = layers.MultiHeadAttention(heads, width // heads)(x, x, attention_mask=mask)
        x = layers.LayerNormalization(epsilon=1e-12)(x + attended)
        wide = layers.Dense(4 * width, activation=tf.keras.activations.gelu)(x)
        x = layers.LayerNormalization(epsilon=1e-12)(x + layers.Dense(width)(wide))
    pooled = layers.Dense(width, activation="tanh")(x[:, 0])
    return tf.keras.Model([ids, kinds], {"sequence": x, "pooled": pooled})


def recommender(tf, is_full):
    """Neural collaborative filtering: a product and a perceptron of two embeddings."""
    layers = tf.keras.layers
    users, items, width = (6040, 3706, 64) if is_full else (30, 20, 8)
    user = tf.keras.Input((1,), dtype="int32", name="user")
    item = tf.keras.Input((1,), dtype="int32", name="item")

    def embedded(x, count, size, name):
        return layers.Flatten()(layers.Embedding(count, size, name=name)(x))

    product = (embedded(user, users, width, "user_product_embedding") *
               embedded(item, items, width, "item_product_embedding"))
    x = layers.Concatenate()([embedded(user, users, 4 * width, "user_embedding"),
                              embedded(item, items, 4 * width, "item_embedding")])
    for size in (4 * width, 2 * width, width):
        x = layers.Dense(size, activation="relu")(x)
    score = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([product, x]))
    return tf.keras.Model([user, item], score)


def indices(limit):
    return lambda rng, shape: rng.integers(0, limit, shape)


def detector_of(tf, is_full):
    return (detector.Detector(tf, 90, 300, 1.0) if is_full else detector.Detector(tf, 3, 96, 0.25, 20))


def images_for(is_full):
    shape = (1, 320, 400, 3) if is_full else (1, 80, 100, 3)
    return np.random.default_rng(9).integers(0, 256, shape).astype(np.uint8)


def frozen_detector(tf, folder, is_full):
    """A frozen graph with the loops of TensorFlow 1."""
    was_v2 = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    graph = tf.Graph()
    with graph.as_default():
        images = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
        outputs = detector_of(tf, is_full)(images)
        fetches = {key: tf.identity(value, key) for key, value in outputs.items()}
    if was_v2:
        tf.compat.v1.enable_control_flow_v2()
    image = images_for(is_full)
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run(fetches, {images: image})
    path = folder / "frozen_inference_graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return Saved(path, {"image_tensor": image}, expected, len(graph.get_operations()))


def saved_detector(tf, folder, is_full):
    """A SavedModel with the loops of TensorFlow 2, for images of one size."""
    image = images_for(is_full)
    spec = tf.TensorSpec(image.shape, tf.uint8, name="image_tensor")
    module = tf.Module()
    module.detect = tf.function(detector_of(tf, is_full), input_signature=[spec])
    path = folder / "saved_model"
    tf.saved_model.save(module, str(path), signatures=module.detect.get_concrete_function())
    return saved(tf, path, {"image_tensor": image})


MODELS = {
    "ResNet50": Model(application("ResNet50", 64, 224), True),
    "ResNet50V2": Model(application("ResNet50V2", 64, 224)),
    "MobileNet": Model(application("MobileNet", 96, 224, alpha=0.25), True),
    "MobileNetV2": Model(application("MobileNetV2", 96, 224, alpha=0.35), True),
    "InceptionV3": Model(application("InceptionV3", 96, 299)),
    "VGG16": Model(application("VGG16", 32, 224)),
    "VGG19": Model(application("VGG19", 32, 224)),
    "NASNetMobile": Model(application("NASNetMobile", 64, 224)),
    "DenseNet121": Model(application("DenseNet121", 64, 224)),
    "EfficientNetB0": Model(application("EfficientNetB0", 64, 224), True),
    "SSD-MobileNet-v1 frozen": Model(frozen_detector, True),
    "SSD-MobileNet-v1 SavedModel": Model(saved_detector, True),
    "BERT encoder": Model(keras(encoder, indices(2)), True),
    "NCF": Model(keras(recommender, indices(20)), True),
    "LSTM": Model(recurrent("LSTM"), True),
    "GRU": Model(recurrent("GRU"), True),
    "bidirectional LSTM": Model(recurrent("LSTM", True), True),
    "bidirectional GRU": Model(recurrent("GRU", True), True),
}
