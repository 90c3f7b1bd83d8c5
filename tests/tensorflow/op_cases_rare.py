"""Still more rows for ops_test.py: operators that few models have (colors, losses, decoders, small linear
systems, resampling, quantization), lists that grow, branches by number, edges that are computed."""

import numpy as np


def cases(tf):
    raw = tf.raw_ops
    rng = np.random.default_rng(27)

    def f(*shape, low=-2.0, high=2.0):
        return rng.uniform(low, high, shape).astype(np.float32)

    def i(*shape, low=-5, high=6, dtype=np.int32):
        return rng.integers(low, high, shape).astype(dtype)

    shapes = [(7,), (2, 3), (2, 3, 4, 5)]
    rows = []

    def add(name, function, *inputs, reference=None):
        rows.append((name, function, [list(one) for one in inputs], reference))

    # Colors.
    gray = np.full((2, 3), 0.5, np.float32)
    pictures = [f(4, 5, 3, low=0, high=1), f(2, 3, 3, 3, low=0, high=1), gray]
    add("RGBToHSV", lambda x: raw.RGBToHSV(images=x), *[[x] for x in pictures])
    add("HSVToRGB", lambda x: raw.HSVToRGB(images=x), *[[x] for x in pictures])
    for name, key in (("AdjustHue", "delta"), ("AdjustSaturation", "scale")):
        add(name, lambda x, y, n=name, k=key: getattr(raw, n)(images=x, **{k: y}),
            *[[x, np.float32(y)] for x, y in zip([*pictures[:2], f(1, 2, 3, low=0, high=1)], (0.3, -0.4, 1.7))])

    # Classification.
    scored = [(f(4, 5), i(4, low=0, high=5)), (f(1, 3), i(1, low=0, high=3)), (f(7, 9), i(7, low=0, high=9))]
    add("InTopK", lambda x, y: raw.InTopK(predictions=x, targets=y, k=2), *scored)
    add("InTopKV2", lambda x, y: raw.InTopKV2(predictions=x, targets=y, k=3), *scored)
    add("SparseSoftmaxCrossEntropyWithLogits", lambda x, y: list(
        raw.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=y)), *scored)
    add("SoftmaxCrossEntropyWithLogits", lambda x, y: list(
        raw.SoftmaxCrossEntropyWithLogits(features=x, labels=y)),
        *[[x, f(*x.shape, low=0, high=1)] for x, _ in scored])
    add("HistogramFixedWidth", lambda x: raw.HistogramFixedWidth(
        values=x, value_range=[-1.0, 1.5], nbins=5), *[[f(*s)] for s in shapes])
    for merge in (False, True):
        add(f"CTCGreedyDecoder{int(merge)}", lambda x, n, m=merge: list(raw.CTCGreedyDecoder(
            inputs=x, sequence_length=n, merge_repeated=m, blank_index=-1)),
            [f(9, 2, 3), np.array([9, 4], np.int32)], [f(5, 1, 4), np.array([5], np.int32)],
            [f(6, 3, 2), np.array([6, 1, 2], np.int32)])

    # Geometry and images.
    add("Cross", lambda x, y: raw.Cross(a=x, b=y), *[[f(*s), f(*s)] for s in ((3,), (4, 3), (2, 5, 3))])
    taps = f(3, 2, 4)
    for padding, stride, rate in (("SAME", 1, 1), ("VALID", 2, 1), ("SAME", 2, 2), ("VALID", 1, 2)):
        add(f"Dilation2D{padding}{stride}{rate}", lambda x, p=padding, s=stride, r=rate: raw.Dilation2D(
            input=x, filter=taps, strides=[1, s, s, 1], rates=[1, r, r, 1], padding=p),
            [f(1, 7, 8, 4)], [f(2, 5, 5, 4)], [f(1, 9, 6, 4)])
    sizes = [[f(1, 3, 4, 2)], [f(2, 10, 3, 1)], [f(1, 5, 7, 3)]]
    for kernel in ("lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic",
                   "mitchellcubic"):
        add("ScaleAndTranslate" + kernel, lambda x, k=kernel: raw.ScaleAndTranslate(
            images=x, size=[5, 4], scale=[5 / x.shape[1], 4 / x.shape[2]], translation=[0.0, 0.0],
            kernel_type=k, antialias=True), *sizes)
    add("ScaleAndTranslateMoved", lambda x: raw.ScaleAndTranslate(
        images=x, size=[6, 5], scale=[1.7, 0.6], translation=[1.25, -0.5], kernel_type="triangle",
        antialias=False), *sizes)
    for align in (False, True):
        add(f"ResizeArea{int(align)}", lambda x, a=align: raw.ResizeArea(
            images=x, size=[2, 5], align_corners=a), *sizes)
    for name in ("SpaceToBatchND", "BatchToSpaceND"):
        key = {"SpaceToBatchND": "paddings", "BatchToSpaceND": "crops"}[name]
        add(name + "Computed", lambda x, e, n=name, k=key: getattr(raw, n)(
            input=x, block_shape=[2, 3], **{k: e}),
            *[[f(6, 2 * h, 3 * w, 2), np.array(e, np.int32)] for h, w, e in (
                (2, 1, [[0, 0], [0, 0]]), (1, 2, [[1, 1], [0, 3]]), (3, 1, [[2, 0], [2, 1]]))])
    kernel = f(4, low=0.5, high=1.5)
    add("FusedBatchNormV3Training", lambda x: list(raw.FusedBatchNormV3(
        x=x, scale=kernel, offset=kernel, mean=np.zeros(0, np.float32), variance=np.zeros(0, np.float32),
        is_training=True))[:3], [f(1, 3, 2, 4)], [f(5, 2, 2, 4)], [f(2, 1, 3, 4)])

    # Channels second: TensorFlow's CPU has no such kernels, so the reference turns the images.
    def turned(function):
        return lambda x: tf.transpose(function(tf.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2])

    spread, filters = f(3, 3, 4, 2), f(3, 2, 4, 6)
    moments = [f(4, low=0.5, high=1.5) for _ in range(4)]
    by_format = {
        "Conv2D": lambda x, d, s: raw.Conv2D(input=x, filter=filters, strides=s, padding="SAME", data_format=d),
        "DepthwiseConv2dNative": lambda x, d, s: raw.DepthwiseConv2dNative(
            input=x, filter=spread, strides=s, padding="VALID", data_format=d),
        "MaxPool": lambda x, d, s: raw.MaxPool(input=x, ksize=s, strides=s, padding="SAME", data_format=d),
        "AvgPool": lambda x, d, s: raw.AvgPool(value=x, ksize=s, strides=s, padding="VALID", data_format=d),
        "FusedBatchNormV3": lambda x, d, s: raw.FusedBatchNormV3(
            x=x, scale=moments[0], offset=moments[1], mean=moments[2], variance=moments[3], data_format=d,
            is_training=False).y,
    }
    for name, function in by_format.items():
        add(name + "NCHW", lambda x, g=function: g(x, "NCHW", [1, 1, 2, 2]),
            [f(1, 4, 7, 8)], [f(2, 4, 5, 5)], [f(1, 4, 9, 6)],
            reference=turned(lambda x, g=function: g(x, "NHWC", [1, 2, 2, 1])))

    for align, centers in ((False, False), (True, False), (False, True)):
        add(f"ResizeBicubic{int(align)}{int(centers)}", lambda x, a=align, c=centers: raw.ResizeBicubic(
            images=x, size=[5, 7], align_corners=a, half_pixel_centers=c), *sizes)
    add("BiasAddV1", lambda x, y: raw.BiasAddV1(value=x, bias=y), [f(2, 3), f(3)], [f(2, 4, 5, 3), f(3)],
        [f(1, 2, 6), f(6)])

    # Matrices.
    add("ConjugateTranspose", lambda x: raw.ConjugateTranspose(x=x, perm=[1, 0, 2]), [f(2, 3, 4)],
        [f(1, 2, 3)], [f(5, 1, 1)])
    for ta, tb in ((False, False), (True, True)):
        add(f"SparseMatMul{int(ta)}{int(tb)}", lambda x, y, a=ta, b=tb: raw.SparseMatMul(
            a=x, b=y, transpose_a=a, transpose_b=b), *[[f(*((k, m) if ta else (m, k))),
                                                        f(*((n, k) if tb else (k, n)))]
                                                       for m, k, n in [(2, 3, 4), (1, 5, 1), (7, 8, 9)]])
    add("MatrixDiagV2", lambda x: raw.MatrixDiagV2(diagonal=x, k=0, num_rows=-1, num_cols=-1,
                                                   padding_value=0.0), [f(3)], [f(2, 4)], [f(2, 1, 2)])
    add("MatrixDiagPartV2", lambda x: raw.MatrixDiagPartV2(input=x, k=0, padding_value=0.0), [f(3, 3)],
        [f(2, 4, 3)], [f(3, 4)])
    add("MatrixSetDiagV2", lambda x, y: raw.MatrixSetDiagV2(input=x, diagonal=y, k=0), [f(3, 3), f(3)],
        [f(2, 3, 4), f(2, 3)], [f(1, 1), f(1)])

    # Linear systems.
    def square(*shape):
        return f(*shape, low=-1, high=1) + 3 * np.eye(shape[-1], dtype=np.float32)

    systems = [[square(3, 3), f(3, 2)], [square(2, 4, 4), f(2, 4, 1)], [square(1, 1, 2, 2), f(1, 1, 2, 5)]]
    for adjoint in (False, True):
        add(f"MatrixInverse{int(adjoint)}", lambda x, a=adjoint: raw.MatrixInverse(input=x, adjoint=a),
            *[[x] for x, _ in systems])
        add(f"MatrixSolve{int(adjoint)}", lambda x, y, a=adjoint: raw.MatrixSolve(
            matrix=x, rhs=y, adjoint=a), *systems)
        for lower in (False, True):
            add(f"MatrixTriangularSolve{int(adjoint)}{int(lower)}", lambda x, y, a=adjoint, b=lower:
                raw.MatrixTriangularSolve(matrix=x, rhs=y, adjoint=a, lower=b), *systems)
    add("Cholesky", lambda x: raw.Cholesky(input=x),
        *[[x @ np.swapaxes(x, -1, -2)] for x, _ in systems])

    # Quantization.
    for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
        for kind, plain in ((tf.quint8, tf.uint8), (tf.qint8, tf.int8)):
            def quantized(x, m=mode, k=kind, p=plain):
                stored, low, high = raw.QuantizeV2(input=x, min_range=-1.3, max_range=1.9, T=k, mode=m)
                return [tf.bitcast(stored, p), low, high,
                        raw.Dequantize(input=stored, min_range=low, max_range=high, mode=m)]

            add(f"QuantizeV2_{mode}_{kind.name}", quantized, *[[f(*s)] for s in shapes])

    # Control flow.
    add("Case", lambda x, n: tf.switch_case(n, [lambda: x * 2.0, lambda: x + 1.0, lambda: tf.sin(x)]),
        *[[f(*s), np.int32(k)] for s, k in zip([*shapes, (3,)], (0, 1, 2, 7))])

    def growing(x, n):
        array = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=x.shape)
        return tf.while_loop(lambda k, a: k < n, lambda k, a: (k + 1, a.write(k, x * tf.cast(k, x.dtype))),
                             (0, array))[1].stack()

    add("TensorListGrows", growing, *[[f(*s), np.int32(k)] for s, k in zip(shapes, (3, 1, 5))])

    def joined(x, n):
        array = tf.TensorArray(tf.float32, n, element_shape=x.shape)
        return tf.while_loop(lambda k, a: k < n, lambda k, a: (k + 1, a.write(k, x + tf.cast(k, x.dtype))),
                             (0, array))[1].concat()

    add("TensorListConcat", joined, *[[f(2, 3), np.int32(k)] for k in (3, 1, 5)])
    def parted(x):
        array = tf.TensorArray(tf.float32, 3, clear_after_read=False).split(x, [2, 2, 2])
        return [array.read(0), array.read(2)]

    add("TensorListSplit", parted, [f(6)], [f(6, 2)], [f(6, 1, 3)])
    return rows
