"""An SSD-MobileNet-v1 detector made of TensorFlow operators, as TensorFlow's object detection exports
are: images are resized one by one in a loop, boxes are decoded from anchors, and a second loop keeps
the best boxes of every class and image. Weights are constants, as in a frozen graph."""

import numpy as np


class Detector:
    def __init__(self, tf, classes, size, width, most=100):
        self.tf, self.classes, self.size, self.width, self.most = tf, classes, size, width, most
        self.rng = np.random.default_rng(23)

    def channels(self, count):
        return max(8, int(count * self.width))

    def spread(self, *shape, fan):
        return self.rng.normal(0, np.sqrt(1.8 / fan), shape).astype(np.float32)

    def normalized(self, x, channels):
        y = self.tf.raw_ops.FusedBatchNormV3(
            x=x, scale=self.rng.uniform(0.8, 1.2, channels).astype(np.float32),
            offset=self.rng.normal(0, 0.1, channels).astype(np.float32),
            mean=self.rng.normal(0, 0.1, channels).astype(np.float32),
            variance=self.rng.uniform(0.5, 1.5, channels).astype(np.float32), epsilon=0.001,
            is_training=False).y
        return self.tf.nn.relu6(y)

    def conv(self, x, out, kernel, stride=1):
        weights = self.spread(kernel, kernel, x.shape[-1], out, fan=kernel * kernel * x.shape[-1])
        return self.normalized(self.tf.nn.conv2d(x, weights, stride, "SAME"), out)

    def separable(self, x, out, stride=1):
        depth = self.spread(3, 3, x.shape[-1], 1, fan=9)
        x = self.tf.nn.depthwise_conv2d(x, depth, [1, stride, stride, 1], "SAME")
        return self.conv(self.normalized(x, x.shape[-1]), out, 1)

    def preprocessed(self, images):
        def one(image):
            resized = self.tf.compat.v1.image.resize_bilinear(
                self.tf.expand_dims(self.tf.cast(image, self.tf.float32), 0),
                [self.size, self.size])
            return self.tf.squeeze(resized, [0])

        resized = self.tf.map_fn(one, images, fn_output_signature=self.tf.float32)
        resized.set_shape([None, self.size, self.size, 3])
        return resized * (2.0 / 255.0) - 1.0

    def features(self, x):
        x = self.conv(x, self.channels(32), 3, 2)
        maps = []
        plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
                (512, 1), (512, 1), (1024, 2), (1024, 1)]
        for index, (out, stride) in enumerate(plan):
            x = self.separable(x, self.channels(out), stride)
            if index in (10, 12):
                maps.append(x)
        for out in (512, 256, 256, 128):
            x = self.conv(self.conv(x, self.channels(out // 2), 1), self.channels(out), 3, 2)
            maps.append(x)
        return maps

    def predicted(self, maps):
        """Box codes, class scores (with background) and anchors of all feature maps."""
        tf = self.tf
        codes, scores, anchors = [], [], []
        for level, x in enumerate(maps):
            count = 3 if level == 0 else 6
            inputs = x.shape[-1]
            for outputs, size in ((codes, 4), (scores, self.classes + 1)):
                # Scores of small spread: where they saturate, rounding alone would order the boxes.
                fan = inputs if size == 4 else 16 * inputs
                weights = self.spread(1, 1, inputs, count * size, fan=fan)
                y = tf.nn.bias_add(tf.nn.conv2d(x, weights, 1, "SAME"),
                                   self.rng.normal(0, 0.1, count * size).astype(np.float32))
                outputs.append(tf.reshape(y, tf.stack([tf.shape(x)[0], -1, size])))
            height, width = x.shape[1], x.shape[2]
            scale = 0.2 + 0.75 * level / (len(maps) - 1)
            ratios = [1.0, 2.0, 0.5, 3.0, 1.0 / 3.0, 1.3][:count]
            places = np.stack(np.meshgrid((np.arange(height) + 0.5) / height,
                                          (np.arange(width) + 0.5) / width, indexing="ij"), -1)
            boxes = np.stack([np.concatenate([
                places, np.broadcast_to([scale / np.sqrt(r), scale * np.sqrt(r)], places.shape)], -1)
                for r in ratios], 2)
            anchors.append(boxes.reshape(-1, 4).astype(np.float32))
        return tf.concat(codes, 1), tf.concat(scores, 1), np.concatenate(anchors)

    def decoded(self, codes, anchors):
        """Centres and sizes relative to the anchors become corners."""
        tf = self.tf
        batch = tf.shape(codes)[0]
        tiled = tf.reshape(tf.tile(tf.expand_dims(tf.constant(anchors), 0), [batch, 1, 1]), [-1, 4])
        cy, cx, height, width = tf.unstack(tf.transpose(tiled))
        ty, tx, th, tw = tf.unstack(tf.transpose(tf.reshape(codes, [-1, 4])))
        height, width = tf.exp(th / 5.0) * height, tf.exp(tw / 5.0) * width
        cy, cx = ty / 10.0 * height + cy, tx / 10.0 * width + cx
        corners = tf.transpose(tf.stack([cy - height / 2.0, cx - width / 2.0, cy + height / 2.0,
                                         cx + width / 2.0]))
        return tf.reshape(corners, tf.stack([batch, -1, 4]))

    def kept(self, args):
        """The best boxes of one image: per class, then over all classes, padded to `most`."""
        tf = self.tf
        boxes, scores = args
        found_boxes, found_scores, found_classes = [], [], []
        count = tf.minimum(self.most, tf.shape(boxes)[0])
        for label, column in enumerate(tf.unstack(scores, self.classes, 1)):
            chosen = tf.image.non_max_suppression(boxes, column, count, iou_threshold=0.6,
                                                  score_threshold=0.5)
            found_boxes.append(tf.gather(boxes, chosen))
            found_scores.append(tf.gather(column, chosen))
            found_classes.append(tf.zeros_like(found_scores[-1]) + float(label))
        boxes = tf.clip_by_value(tf.concat(found_boxes, 0), 0.0, 1.0)
        scores, classes = tf.concat(found_scores, 0), tf.concat(found_classes, 0)
        count = tf.minimum(self.most, tf.shape(scores)[0])
        scores, order = tf.nn.top_k(scores, count, sorted=True)
        boxes, classes = tf.gather(boxes, order), tf.gather(classes, order)
        rest = self.most - count
        return (tf.reshape(tf.pad(boxes, tf.stack([tf.stack([0, rest]), [0, 0]])), [self.most, 4]),
                tf.reshape(tf.pad(scores, [tf.stack([0, rest])]), [self.most]),
                tf.reshape(tf.pad(classes, [tf.stack([0, rest])]), [self.most]),
                tf.cast(count, tf.float32))

    def __call__(self, images):
        tf = self.tf
        codes, scores, anchors = self.predicted(self.features(self.preprocessed(images)))
        boxes = self.decoded(codes, anchors)
        scores = tf.slice(tf.sigmoid(scores), [0, 0, 1], [-1, -1, -1])
        boxes, scores, classes, count = tf.map_fn(
            self.kept, (boxes, scores),
            fn_output_signature=(tf.float32, tf.float32, tf.float32, tf.float32))
        return {"detection_boxes": boxes, "detection_scores": scores,
                "detection_classes": classes + 1.0, "num_detections": count}
