"""SSD on MobileNet V1: Liu et al., "SSD: Single Shot MultiBox Detector", 2015, with the sizes,
anchors and post-processing of TensorFlow's object detection models (300x300, 1,917 anchors, 90
classes and background). Decoding, suppression and the choice of the best 100 are in the graph, for
any batch; the raw boxes and scores are outputs too, because they can be compared exactly."""

import numpy as np

from models.mobilenet import conv_bn_relu6, v1_features

CLASSES = 90
DETECTIONS = 100
MAX_OVERLAP = 0.6
MIN_SCORE = 0.3
# Feature maps: width, and per anchor its (scale, aspect ratio).
_SCALES = [*np.linspace(0.2, 0.95, 6), 1.0]
_RATIOS = [1.0, 2.0, 0.5, 3.0, 1 / 3]
MAPS = [(19, [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)])] + [
    (size, [(_SCALES[i], r) for r in _RATIOS] + [((_SCALES[i] * _SCALES[i + 1]) ** 0.5, 1.0)])
    for i, size in enumerate([10, 5, 3, 2, 1], start=1)
]


def anchors():
    """Centre y, centre x, height, width of every anchor, float32 [1917, 4], in [0, 1]."""
    rows = []
    for size, shapes in MAPS:
        centres = (np.arange(size) + 0.5) / size
        for cy in centres:
            for cx in centres:
                rows += [(cy, cx, s / r**0.5, s * r**0.5) for s, r in shapes]
    return np.array(rows, np.float32)


def feature_maps(b, image):
    features = v1_features(b, image)
    maps = [features[10], features[12]]
    x = maps[-1]
    for at, (squeezed, oc) in enumerate([(256, 512), (128, 256), (128, 256), (64, 128)]):
        with b.scope(f"extra{at + 1}"):
            x = conv_bn_relu6(b, conv_bn_relu6(b, x, squeezed, 1), oc, 3, 2)
        maps.append(x)
    return maps


def predict(b, maps):
    """Box codes [N, 1917, 4] and class scores [N, 1917, 91]: 1x1 convolutions on every map."""
    codes, scores = [], []
    for at, (x, (_, shapes)) in enumerate(zip(maps, MAPS)):
        with b.scope(f"head{at + 1}"):
            # The shift leaves about 70 of 172,530 scores above the threshold.
            for found, size, shift in [(codes, 4, 0.0), (scores, CLASSES + 1, -4.5)]:
                y = b.conv(x, len(shapes) * size, 1, shift=shift)
                y = b.node("Transpose", [y], perm=[0, 2, 3, 1])
                found.append(b.node("Reshape", [y, b.ints(0, -1, size)]))
    return b.node("Concat", codes, axis=1), b.node("Concat", scores, axis=1)


def scalar(b, value):
    return b.constant(np.float32(value), "scalar")


def decode(b, codes):
    """Boxes (top, left, bottom, right) in [0, 1] from codes relative to the anchors."""
    table = anchors()
    centre = lambda axis: b.constant(table[:, axis : axis + 1], "anchor.centre")
    size = lambda axis: b.constant(table[:, 2 + axis : 3 + axis], "anchor.size")
    parts = b.node("Split", [codes, b.ints(1, 1, 1, 1)], outputs=4, axis=2)
    low, high = [], []
    for axis in (0, 1):
        offset = b.node("Mul", [b.node("Div", [parts[axis], scalar(b, 10)]), size(axis)])
        middle = b.node("Add", [offset, centre(axis)])
        extent = b.node("Exp", [b.node("Div", [parts[2 + axis], scalar(b, 5)])])
        half = b.node("Div", [b.node("Mul", [extent, size(axis)]), scalar(b, 2)])
        low.append(b.node("Sub", [middle, half]))
        high.append(b.node("Add", [middle, half]))
    boxes = b.node("Concat", low + high, axis=2)
    return b.node("Clip", [boxes, scalar(b, 0), scalar(b, 1)])


def select(b, boxes, scores):
    """Boxes, classes, scores and count of the best detections; unused places hold zeros."""
    count = len(anchors())
    by_class = b.node("Transpose", [scores], perm=[0, 2, 1])
    limits = [b.ints(DETECTIONS), b.constant(np.array([MAX_OVERLAP], np.float32)),
              b.constant(np.array([MIN_SCORE], np.float32))]  # fmt: skip
    kept = b.node("NonMaxSuppression", [boxes, by_class, *limits])
    kept_scores = b.node("GatherND", [by_class, kept])
    empty = b.node("ConstantOfShape", [b.node("Shape", [by_class])])
    surviving = b.node("ScatterND", [empty, kept, kept_scores])
    flat = b.node("Reshape", [surviving, b.ints(0, CLASSES * count)])
    best, index = b.node("TopK", [flat, b.ints(DETECTIONS)], outputs=2, axis=1)
    anchor = b.node("Mod", [index, b.ints(count)])
    category = b.node("Add", [b.node("Div", [index, b.ints(count)]), b.ints(1)])
    valid = b.node("Cast", [b.node("Greater", [best, scalar(b, 0)])], to=1)
    at = b.node("Unsqueeze", [anchor, b.ints(2)])
    found = b.node("GatherND", [boxes, at], batch_dims=1)
    found = b.node("Mul", [found, b.node("Unsqueeze", [valid, b.ints(2)])])
    category = b.node("Mul", [b.node("Cast", [category], to=1), valid])
    return found, category, best, b.node("ReduceSum", [valid, b.ints(1)], keepdims=0)


def ssd_mobilenet_v1(b):
    codes, logits = predict(b, feature_maps(b, b.image(3, 300, 300)))
    boxes = decode(b, codes)
    scores = b.node("Sigmoid", [logits])
    scores = b.node("Slice", [scores, b.ints(1), b.ints(CLASSES + 1), b.ints(2)])
    found, category, best, count = select(b, boxes, scores)
    b.output(found, "detection_boxes", [b.batch, DETECTIONS, 4])
    b.output(category, "detection_classes", [b.batch, DETECTIONS])
    b.output(best, "detection_scores", [b.batch, DETECTIONS])
    b.output(count, "num_detections", [b.batch])
    b.output(boxes, "raw_detection_boxes", [b.batch, len(anchors()), 4])
    b.output(scores, "raw_detection_scores", [b.batch, len(anchors()), CLASSES])
    b.properties["class_output"] = "raw_detection_scores"
