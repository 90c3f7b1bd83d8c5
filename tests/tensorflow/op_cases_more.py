"""More rows for ops_test.py: what TensorFlow's optimizer fuses, detection, segments and sparse tensors,
Fourier transforms and complex numbers, trained quantization. A row with a fourth part has a reference
of its own: TensorFlow has no kernel for its operator on the CPU."""

import numpy as np


def cases(tf):
    raw = tf.raw_ops
    rng = np.random.default_rng(17)

    def f(*shape, low=-2.0, high=2.0):
        return rng.uniform(low, high, shape).astype(np.float32)

    def i(*shape, low=-5, high=6, dtype=np.int32):
        return rng.integers(low, high, shape).astype(dtype)

    shapes = [(7,), (2, 3), (2, 3, 4, 5)]
    rows = []

    def add(name, function, *inputs, reference=None):
        rows.append((name, function, [list(one) for one in inputs], reference))

    def as_node(op, operands, **attributes):
        """A row's function for an operator that has no wrapper in Python, or is not in TensorFlow's CPU
        package: an IdentityN of its operands stands for it until the graph is written."""
        def function(*inputs):
            return raw.IdentityN(input=[tf.convert_to_tensor(x) for x in operands(*inputs)],
                                 name="fused")[0]

        def write(graph_def):
            for node in graph_def.node:
                if node.op != "IdentityN":
                    continue
                node.op = op
                for key, value in attributes.items():
                    if isinstance(value, str):
                        node.attr[key].s = value.encode()
                    elif isinstance(value, float):
                        node.attr[key].f = value
                    elif isinstance(value, list) and isinstance(value[0], str):
                        node.attr[key].list.s.extend(word.encode() for word in value)
                    elif isinstance(value, list):
                        node.attr[key].list.i.extend(value)
                    elif isinstance(value, bool):
                        node.attr[key].b = value
                    else:
                        node.attr[key].i = value

        function.edit = write
        return function

    # What TensorFlow's optimizer writes.
    bias, other = f(6), [f(6, low=0.5, high=1.5) for _ in range(4)]
    images = [f(1, 7, 8, 4), f(2, 5, 5, 4), f(1, 9, 6, 4)]
    activations = {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6, "Elu": tf.nn.elu, "Tanh": tf.tanh,
                   "Sigmoid": tf.sigmoid, "LeakyRelu": tf.nn.leaky_relu}
    weights, spread = f(3, 2, 4, 6), f(3, 3, 4, 1)
    for name, act in activations.items():
        fused = dict(num_args=1, fused_ops=["BiasAdd", name], leakyrelu_alpha=0.2)
        add("_FusedConv2D" + name, as_node("_FusedConv2D", lambda x: [x, weights, bias],
                                           strides=[1, 2, 1, 1], padding="SAME", **fused),
            *[[x] for x in images],
            reference=lambda x, a=act: a(tf.nn.conv2d(x, weights, [2, 1], "SAME") + bias))
        add("_FusedMatMul" + name, as_node("_FusedMatMul", lambda x, y: [x, y, bias],
                                           transpose_a=False, transpose_b=True, **fused),
            *[[f(n, k), f(6, k)] for n, k in ((2, 3), (1, 7), (5, 4))],
            reference=lambda x, y, a=act: a(tf.matmul(x, y, transpose_b=True) + bias))
    add("_FusedConv2DBatchNorm", as_node(
        "_FusedConv2D", lambda x: [x, weights, *other], strides=[1, 1, 1, 1], padding="VALID",
        num_args=4, fused_ops=["FusedBatchNorm", "Relu"], epsilon=0.01), *[[x] for x in images],
        reference=lambda x: tf.nn.relu(tf.nn.batch_normalization(
            tf.nn.conv2d(x, weights, 1, "VALID"), other[2], other[3], other[1], other[0], 0.01)))
    add("_FusedDepthwiseConv2dNative", as_node(
        "_FusedDepthwiseConv2dNative", lambda x: [x, spread, bias[:4]], strides=[1, 1, 1, 1],
        padding="SAME", num_args=1, fused_ops=["BiasAdd", "Relu6"]), *[[x] for x in images],
        reference=lambda x: tf.nn.relu6(
            tf.nn.depthwise_conv2d(x, spread, [1, 1, 1, 1], "SAME") + bias[:4]))
    scale, offset, mean, variance = (f(4, low=0.5, high=2) for _ in range(4))
    add("_FusedBatchNormEx", as_node(
        "_FusedBatchNormEx", lambda x, y: [x, scale, offset, mean, variance, y], epsilon=0.01,
        is_training=False, num_side_inputs=1, activation_mode="Relu"),
        *[[x, x[::-1, ::-1]] for x in images], reference=lambda x, y: tf.nn.relu(
            tf.nn.batch_normalization(x, mean, variance, offset, scale, 0.01) + y))
    add("FusedConv2DBiasActivation", as_node(
        "FusedConv2DBiasActivation",
        lambda x, side: [x, weights, bias, side, np.float32(1.5), np.float32(0.5)],
        strides=[1, 1, 1, 1], padding="SAME", activation_mode="Relu"),
        *[[x, f(*x.shape[:3], 6)] for x in images], reference=lambda x, side: tf.nn.relu(
            1.5 * tf.nn.conv2d(x, weights, 1, "SAME") + 0.5 * side + bias))

    volume = f(2, 3, 3, 3, 6)
    add("_FusedConv3D", as_node("_FusedConv3D", lambda x: [x, volume, bias], strides=[1, 1, 2, 2, 1],
                                padding="SAME", num_args=1, fused_ops=["BiasAdd", "Relu"]),
        [f(1, 4, 5, 6, 3)], [f(2, 2, 3, 3, 3)], [f(1, 3, 7, 5, 3)],
        reference=lambda x: tf.nn.relu(tf.nn.conv3d(x, volume, [1, 1, 2, 2, 1], "SAME") + bias))
    for scaled in (False, True):
        add(f"BatchNormWithGlobalNormalization{int(scaled)}", as_node(
            "BatchNormWithGlobalNormalization", lambda x: [x, mean, variance, offset, scale],
            variance_epsilon=0.01, scale_after_normalization=scaled), *[[x] for x in images],
            reference=lambda x, s=scaled: tf.nn.batch_normalization(
                x, mean, variance, offset, scale if s else None, 0.01))

    add("TopK", as_node("TopK", lambda x: [x], k=2), [f(5)], [f(2, 3)], [f(2, 3, 7)],
        reference=lambda x: tf.math.top_k(x, 2)[0])

    # Detection.
    def boxes(*shape):
        corner = rng.uniform(-0.1, 0.6, (*shape, 2))
        return np.concatenate([corner, corner + rng.uniform(0.1, 0.5, (*shape, 2))], -1).astype(np.float32)

    def apart(*shape):
        """Scores that differ from each other, so that their order is sure."""
        count = int(np.prod(shape))
        return rng.permutation(np.linspace(0, 1, count, dtype=np.float32)).reshape(shape)

    for label, own, padded in [("", False, False), ("OwnBoxes", True, False), ("Padded", False, True)]:
        add("CombinedNonMaxSuppression" + label, lambda x, s, p=padded: list(
            raw.CombinedNonMaxSuppression(
                boxes=x, scores=s, max_output_size_per_class=3, max_total_size=8, iou_threshold=0.4,
                score_threshold=0.3, pad_per_class=p, clip_boxes=not p)),
            *[[boxes(n, count, classes if own else 1), apart(n, count, classes)]
              for n, count, classes in ((1, 6, 2), (2, 20, 3), (3, 2, 1))])
    for method in ("bilinear", "nearest"):
        add("CropAndResize" + method.title(), lambda x, y, m=method: raw.CropAndResize(
            image=x, boxes=y, box_ind=np.arange(y.shape[0]) % x.shape[0], crop_size=[3, 4], method=m,
            extrapolation_value=0.25), [f(1, 5, 6, 2), boxes(3)], [f(2, 9, 7, 1), boxes(5)],
            [f(1, 4, 4, 3), np.array([[0, 0, 1, 1], [1, 1, 0, 0]], np.float32)])
    add("CropAndResizeOne", lambda x, y: raw.CropAndResize(
        image=x, boxes=y, box_ind=[0, 0], crop_size=[1, 5]), [f(1, 5, 6, 2), boxes(2)],
        [f(1, 9, 7, 1), boxes(2)], [f(1, 2, 2, 3), boxes(2)])

    # Segments, partitions, sparse tensors.
    def ids(count, limit):
        return np.sort(i(count, low=0, high=limit))

    for name in ("Max", "Mean", "Min", "Prod", "Sum"):
        add("Segment" + name, lambda x, y, n=name: getattr(raw, "Segment" + n)(
            data=x, segment_ids=y), [f(5), ids(5, 4)], [f(3, 2), np.array([0, 0, 2], np.int32)],
            [f(4, 2, 3), ids(4, 7)])
    add("SegmentSumKnown", lambda x: raw.SegmentSum(data=x, segment_ids=[0, 2, 2]), [f(3)],
        [f(3, 2)], [i(3, 4)])
    for name in ("Max", "Min", "Prod", "Sum"):
        add("UnsortedSegment" + name, lambda x, y, n=name: getattr(raw, "UnsortedSegment" + n)(
            data=x, segment_ids=y, num_segments=4), [f(5), i(5, low=-1, high=4)],
            [f(3, 2), i(3, low=-1, high=4)], [i(4, 2, 3), i(4, low=0, high=4)])
    for name in ("Mean", "SqrtN", "Sum"):
        add("SparseSegment" + name, lambda x, y, z, n=name: getattr(raw, "SparseSegment" + n)(
            data=x, indices=y, segment_ids=z), [f(5), i(3, low=0, high=5), ids(3, 3)],
            [f(3, 2), i(6, low=0, high=3), ids(6, 4)], [f(4, 2, 3), i(1, low=0, high=4), ids(1, 2)])
        add(f"SparseSegment{name}WithNumSegments",
            lambda x, y, z, n=name: getattr(raw, f"SparseSegment{n}WithNumSegments")(
                data=x, indices=y, segment_ids=z, num_segments=6),
            [f(5), i(3, low=0, high=5), ids(3, 3)], [f(3, 2), i(6, low=0, high=3), ids(6, 4)],
            [f(4, 2, 3), i(1, low=0, high=4), ids(1, 2)])
    for name in ("DynamicStitch", "ParallelDynamicStitch"):
        add(name, lambda x, y, n=name: getattr(raw, n)(indices=[[0, 3], [[2], [1]]], data=[x, y]),
            [f(2), f(2, 1)], [f(2, 3), f(2, 1, 3)], [i(2, 2, 2), i(2, 1, 2, 2)])
    add("DynamicPartition", lambda x, y: list(raw.DynamicPartition(
        data=x, partitions=y, num_partitions=3)), [f(5), i(5, low=0, high=3)],
        [f(3, 2), i(3, low=0, high=3)], [f(2, 3, 4), i(2, 3, low=0, high=3)])
    add("ListDiff", lambda x, y: list(raw.ListDiff(x=x, y=y)), [i(9), i(3)], [i(4), i(4)],
        [i(1), i(6)])
    add("SparseToDense", lambda x: raw.SparseToDense(
        sparse_indices=[[0, 1], [2, 0]], output_shape=[3, 4], sparse_values=x, default_value=-1.0),
        [f(2)], [f(2)], [f(2)])
    add("SparseTensorDenseMatMul", lambda x, y: raw.SparseTensorDenseMatMul(
        a_indices=np.array([[0, 1], [2, 0], [2, 2]], np.int64), a_values=x,
        a_shape=np.array([4, 3], np.int64), b=y), [f(3), f(3, 2)], [f(3), f(3, 1)], [f(3), f(3, 5)])
    add("ScatterNdNonAliasingAdd", lambda x, u: raw.ScatterNdNonAliasingAdd(
        input=x, indices=[[1], [3]], updates=u), [f(5), f(2)], [f(4, 3), f(2, 3)],
        [f(6, 2, 2), f(2, 2, 2)])
    add("UniqueWithCountsV2", lambda x: list(raw.UniqueWithCountsV2(
        x=x, axis=np.zeros([0], np.int32))), [i(5)], [i(9)], [i(1)])
    add("Bucketize", lambda x: raw.Bucketize(input=x, boundaries=[-1.0, 0.0, 0.5]),
        *[[f(*s)] for s in shapes])
    for name in ("LowerBound", "UpperBound"):
        add(name, lambda x, y, n=name: getattr(raw, n)(sorted_inputs=x, values=y),
            [np.sort(i(1, 5)), i(1, 3)], [np.sort(i(2, 4)), i(2, 6)], [np.sort(f(3, 7)), f(3, 1)])
    add("Bincount", lambda x, w: raw.Bincount(arr=x, size=5, weights=w), [i(7, low=0), f(7)],
        [i(3, low=0), np.zeros(0, np.float32)], [i(2, 3, low=0), f(2, 3)])
    for binary in (False, True):
        add(f"DenseBincount{int(binary)}", lambda x, b=binary: raw.DenseBincount(
            input=x, size=6, weights=np.zeros(0, np.float32), binary_output=b), [i(7, low=0)],
            [i(2, 3, low=0)], [i(3, 5, low=0)])
    add("NthElement", lambda x: raw.NthElement(input=x, n=2), [f(5)], [f(2, 3)], [f(2, 3, 7)])
    add("ParallelConcat", lambda x, y: raw.ParallelConcat(values=[x, y], shape=[2, *x.shape[1:]]),
        [f(1), f(1)], [f(1, 3), f(1, 3)], [f(1, 2, 2), f(1, 2, 2)])
    add("Empty", lambda n: raw.Empty(shape=n, dtype=tf.float32, init=True) + 0.5,
        *[[np.array(s, np.int32)] for s in shapes])
    add("MatrixDeterminant", lambda x: raw.MatrixDeterminant(input=x), [f(2, 2)], [f(3, 4, 4)],
        [f(1, 1)])
    add("AdjustContrastv2", lambda x: raw.AdjustContrastv2(images=x, contrast_factor=1.5),
        [f(3, 4, 2)], [f(2, 5, 5, 3)], [f(1, 2, 1)])
    add("BroadcastArgs", lambda x, y: [tf.broadcast_to(one, raw.BroadcastArgs(
        s0=tf.shape(x), s1=tf.shape(y))) for one in (x, y)],
        [f(3, 1), f(1, 4)], [f(5), f(2, 1)], [f(2, 3, 4), f()])
    for name in ("GuaranteeConst", "DebugGradientIdentity", "DeepCopy"):
        key = {"DeepCopy": "x"}.get(name, "input")
        add(name, lambda x, n=name, k=key: getattr(raw, n)(**{k: x}), *[[f(*s)] for s in shapes])
    add("Print", lambda x: tf.compat.v1.Print(x, [x], first_n=0), *[[f(*s)] for s in shapes])

    # Fourier transforms and complex numbers.
    add("Atan2", lambda x, y: raw.Atan2(y=x, x=y), [f(7), f(7)],
        [np.array([[0, 0, 1, -1]], np.float32), np.array([[0, -1, 0, 0]], np.float32)],
        [f(2, 3, 4), f(2, 3, 4)])
    add("RFFT", lambda x: raw.ComplexAbs(x=raw.RFFT(input=x, fft_length=[8])), [f(8)], [f(2, 9)],
        [f(3, 2, 11)])
    add("RFFTParts", lambda x: [raw.Real(input=z) + 2.0 * raw.Imag(input=z)
                                for z in [raw.RFFT(input=x, fft_length=[9])]], [f(9)], [f(2, 10)],
        [f(1, 12)])
    add("RFFTLong", lambda x: raw.ComplexAbs(x=raw.RFFT(input=x, fft_length=[2500])), [f(2500)],
        [f(2, 2500)], [f(1, 2600)])
    add("IRFFT", lambda x, y: raw.IRFFT(input=raw.Complex(real=x, imag=y), fft_length=[8]),
        [f(5), f(5)], [f(2, 5), f(2, 5)], [f(3, 6), f(3, 6)])
    add("RFFT2D", lambda x: raw.IRFFT2D(input=raw.RFFT2D(input=x, fft_length=[4, 6]) * 2.0,
                                        fft_length=[4, 6]), [f(4, 6)], [f(2, 4, 6)], [f(1, 5, 7)])
    for name in ("FFT", "IFFT", "FFT2D", "IFFT2D"):
        add(name, lambda x, y, n=name: [raw.Real(input=z) - 0.5 * raw.Imag(input=z) for z in [
            getattr(raw, n)(input=raw.Complex(real=x, imag=y))]], [f(3, 4), f(3, 4)],
            [f(2, 5, 5), f(2, 5, 5)], [f(1, 8), f(1, 8)])
    add("Angle", lambda x, y: raw.Angle(input=raw.Complex(real=x, imag=y)),
        *[[f(*s), f(*s)] for s in shapes])

    def arithmetic(x, y):
        a = tf.complex(x, y)
        b = tf.math.conj(tf.transpose(tf.stack([a, a * a / (a + tf.cast(3.0, tf.complex64))])))
        c = tf.concat([b[..., :1], tf.cast(tf.math.real(b), tf.complex64)], -1)
        return [tf.abs(c), tf.shape(c)]

    add("Complex", arithmetic, [f(7), f(7)], [f(2, 3), f(2, 3)], [f(1, 2, 3), f(1, 2, 3)])

    def mel_features(x):
        power = tf.abs(tf.signal.stft(x, 64, 32, 64)) ** 2
        mel = tf.matmul(power, tf.signal.linear_to_mel_weight_matrix(8, 33, 8000))
        return tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-6))

    add("Stft", mel_features, [f(1, 160)], [f(2, 200)], [f(1, 64)])
    add("InverseStft", lambda x: tf.signal.inverse_stft(
        tf.signal.stft(x, 32, 16, 32) * 0.5, 32, 16, 32,
        window_fn=tf.signal.inverse_stft_window_fn(16)), [f(1, 160)], [f(2, 96)], [f(1, 64)])

    # Trained quantization.
    weights8 = f(3, 3, 4, 6)
    lows, highs = f(6, low=-2, high=-0.5), f(6, low=0.5, high=2)

    def trained(x):
        w = raw.FakeQuantWithMinMaxVarsPerChannel(inputs=weights8, min=lows, max=highs,
                                                  narrow_range=True)
        x = raw.FakeQuantWithMinMaxVars(inputs=x, min=-2.0, max=2.0)
        return tf.nn.relu6(tf.nn.conv2d(x, w, 1, "SAME") + bias)

    add("FakeQuantConv", trained, *[[x] for x in images])
    for axis in (0, 1):
        add(f"QuantizeAndDequantizeV4Axis{axis}", lambda x, a=axis: raw.QuantizeAndDequantizeV4(
            input=x, input_min=-np.arange(1.0, x.shape[a] + 1, dtype=np.float32),
            input_max=np.full(x.shape[a], 1.5, np.float32), range_given=True, axis=a),
            [f(3, 4)], [f(2, 2)], [f(4, 5, 2)], reference=lambda x, a=axis: tf.stack(
                [raw.QuantizeAndDequantizeV4(input=one, input_min=-1.0 - k, input_max=1.5,
                                             range_given=True)
                 for k, one in enumerate(tf.unstack(x, axis=a))], a))
        add(f"QuantizeAndDequantizeV3Axis{axis}", lambda x, a=axis: raw.QuantizeAndDequantizeV3(
            input=x, input_min=np.zeros(x.shape[a], np.float32),
            input_max=np.zeros(x.shape[a], np.float32), num_bits=6, range_given=False, axis=a),
            [f(3, 4)], [f(2, 2)], [f(4, 5, 2)])
    add("QuantizeAndDequantizeV4Unsigned", lambda x: raw.QuantizeAndDequantizeV4(
        input=x, input_min=0.0, input_max=1.7, signed_input=False, range_given=True),
        *[[f(*s)] for s in shapes])
    add("FakeQuantWide", lambda x: raw.FakeQuantWithMinMaxArgs(inputs=x, min=-1.5, max=1.7,
                                                               num_bits=12), *[[f(*s)] for s in shapes])
    for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
        for kind in (tf.quint8, tf.qint8):
            add(f"Dequantize_{mode}_{kind.name}", lambda x, m=mode, k=kind: raw.Dequantize(
                input=tf.bitcast(x, k), min_range=-1.3, max_range=2.1, mode=m),
                *[[i(*s, low=0, high=127).astype(np.uint8 if kind == tf.quint8 else np.int8)]
                  for s in shapes])
    return rows
