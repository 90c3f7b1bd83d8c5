"""TensorFlow operators that Planish imports, each with three or more inputs: the rows of the test in
ops_test.py. A row is (name, function of TensorFlow tensors, [list of arrays per case])."""

import numpy as np


def cases(tf):
    raw = tf.raw_ops
    rng = np.random.default_rng(7)

    def f(*shape, low=-2.0, high=2.0):
        return rng.uniform(low, high, shape).astype(np.float32)

    def i(*shape, low=-5, high=6, dtype=np.int32):
        return rng.integers(low, high, shape).astype(dtype)

    def b(*shape):
        return rng.integers(0, 2, shape).astype(bool)

    shapes = [(7,), (2, 3), (2, 3, 4, 5)]
    rows = []

    def add(name, function, *inputs):
        rows.append((name, function, [list(one) for one in inputs]))

    ranges = {
        "Acos": (-0.9, 0.9), "Asin": (-0.9, 0.9), "Atanh": (-0.9, 0.9), "Acosh": (1.1, 4),
        "Log": (0.1, 4), "Log1p": (-0.5, 4), "Sqrt": (0.1, 4), "Rsqrt": (0.1, 4), "Tan": (-1, 1),
        "Reciprocal": (0.3, 4), "Inv": (0.3, 4),
    }
    for name in ["Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh",
                 "Erf", "Erfc", "Exp", "Expm1", "Floor", "Inv", "IsFinite", "IsInf", "IsNan", "Log",
                 "Log1p", "Neg", "Reciprocal", "Rint", "Round", "Rsqrt", "Sigmoid", "Sign", "Sin",
                 "Sinh", "Sqrt", "Square", "Tan", "Tanh"]:
        low, high = ranges.get(name, (-2, 2))
        key = {"Expm1": "x"}.get(name, "x")
        add(name, lambda x, n=name, k=key: getattr(raw, n)(**{k: x}),
            *[[f(*s, low=low, high=high)] for s in shapes])
    for name in ["Elu", "Relu", "Relu6", "Selu", "Softplus", "Softsign"]:
        add(name, lambda x, n=name: getattr(raw, n)(features=x), *[[f(*s) * 4] for s in shapes])
    add("LeakyRelu", lambda x: raw.LeakyRelu(features=x, alpha=0.3), *[[f(*s)] for s in shapes])
    add("Invert", lambda x: raw.Invert(x=x), *[[i(*s)] for s in shapes])
    add("LogicalNot", lambda x: raw.LogicalNot(x=x), *[[b(*s)] for s in shapes])
    add("LogSoftmax", lambda x: raw.LogSoftmax(logits=x), [f(2, 3)], [f(1, 7)], [f(4, 9)])
    add("Softmax", lambda x: raw.Softmax(logits=x), [f(2, 3)], [f(1, 7)], [f(4, 9)])

    pairs = [((7,), (7,)), ((2, 3), (3,)), ((2, 1, 4), (3, 1))]
    positive = {"Pow": (0.3, 2), "Xdivy": (0.5, 2), "Xlogy": (0.5, 2), "Xlog1py": (0.5, 2)}
    for name in ["Add", "AddV2", "Div", "DivNoNan", "Equal", "FloorDiv", "FloorMod", "Greater",
                 "GreaterEqual", "Less", "LessEqual", "Maximum", "Minimum", "Mul", "MulNoNan",
                 "NotEqual", "Pow", "RealDiv", "SquaredDifference", "Sub", "Xdivy", "Xlog1py",
                 "Xlogy"]:
        low, high = positive.get(name, (-2, 2))
        add(name, lambda x, y, n=name: getattr(raw, n)(x=x, y=y),
            *[[f(*p, low=low, high=high), f(*q, low=low, high=high)] for p, q in pairs])
    for name in ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "FloorDiv", "FloorMod", "TruncateDiv",
                 "TruncateMod", "Mod"]:
        add(name, lambda x, y, n=name: getattr(raw, n)(x=x, y=y),
            *[[i(*p), i(*q, low=1)] for p, q in pairs])
    for name in ["LeftShift", "RightShift"]:
        add(name, lambda x, y, n=name: getattr(raw, n)(x=x, y=y),
            *[[i(*p, low=0), i(*q, low=0)] for p, q in pairs])
    for name in ["LogicalAnd", "LogicalOr"]:
        add(name, lambda x, y, n=name: getattr(raw, n)(x=x, y=y),
            *[[b(*p), b(*q)] for p, q in pairs])
    add("ApproximateEqual", lambda x, y: raw.ApproximateEqual(x=x, y=y, tolerance=0.5),
        *[[f(*s), f(*s)] for s in shapes])
    add("AddN", lambda x, y, z: raw.AddN(inputs=[x, y, z]), *[[f(*s)] * 3 for s in shapes])
    add("AccumulateNV2", lambda x, y: raw.AccumulateNV2(inputs=[x, y], shape=x.shape),
        *[[f(*s)] * 2 for s in shapes])
    add("BiasAdd", lambda x, y: raw.BiasAdd(value=x, bias=y), [f(2, 3), f(3)],
        [f(2, 4, 5, 3), f(3)], [f(1, 2, 6), f(6)])
    add("BiasAddNCHW", lambda x, y: raw.BiasAdd(value=x, bias=y, data_format="NCHW"),
        [f(2, 3, 2, 2), f(3)], [f(2, 3, 4, 5), f(3)], [f(1, 6, 2, 1), f(6)])
    add("Select", lambda c, x, y: raw.Select(condition=c, x=x, y=y),
        [b(3), f(3), f(3)], [b(2), f(2, 3), f(2, 3)], [b(2, 3), f(2, 3), f(2, 3)])
    add("SelectV2", lambda c, x, y: raw.SelectV2(condition=c, t=x, e=y),
        [b(3), f(3), f(3)], [b(2, 1), f(2, 3), f(3)], [b(2, 3), f(1), f(2, 3)])
    add("ClipByValue", lambda x: raw.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=0.75),
        *[[f(*s)] for s in shapes])

    for name in ["Sum", "Prod", "Max", "Min", "Mean", "EuclideanNorm"]:
        for label, axes, keep in [("", [1], False), ("Keep", [0, -1], True), ("All", [0, 1], False)]:
            add(name + label, lambda x, n=name, a=axes, k=keep: getattr(raw, n)(
                input=x, axis=a, keep_dims=k), [f(2, 3)], [f(3, 4, 5)], [f(1, 2, 3, 4)])
    for name in ["All", "Any"]:
        add(name, lambda x, n=name: getattr(raw, n)(input=x, axis=[1]), [b(2, 3)], [b(3, 4, 5)],
            [b(4, 1)])
    add("L2Loss", lambda x: raw.L2Loss(t=x), *[[f(*s)] for s in shapes])
    for name in ["ArgMax", "ArgMin"]:
        add(name, lambda x, n=name: getattr(raw, n)(input=x, dimension=1), [f(2, 3)], [f(3, 4, 5)],
            [f(4, 9)])
    add("TopKV2", lambda x: list(raw.TopKV2(input=x, k=2)), [f(5)], [f(2, 3)], [f(2, 3, 7)])

    add("Gather", lambda x, y: raw.Gather(params=x, indices=y), [f(5), i(3, low=0, high=5)],
        [f(4, 3), i(2, 2, low=0, high=4)], [f(2, 3, 4), i(6, low=0, high=2)])
    add("GatherV2", lambda x, y: raw.GatherV2(params=x, indices=y, axis=1),
        [f(5, 4), i(3, low=0, high=4)], [f(4, 3, 2), i(2, 2, low=0, high=3)],
        [f(2, 3), i(6, low=0, high=3)])
    add("GatherV2Batch", lambda x, y: raw.GatherV2(params=x, indices=y, axis=1, batch_dims=1),
        [f(5, 4), i(5, 3, low=0, high=4)], [f(4, 3, 2), i(4, 2, low=0, high=3)],
        [f(2, 3), i(2, 6, low=0, high=3)])
    add("GatherNd", lambda x, y: raw.GatherNd(params=x, indices=y),
        [f(5, 4), i(3, 2, low=0, high=4)], [f(4, 3, 2), i(2, 2, low=0, high=3)],
        [f(3, 3), i(6, 1, low=0, high=3)])
    place = np.array([[1], [3]], np.int32)
    for name in ["Add", "Max", "Min", "Sub", "Update"]:
        add("TensorScatter" + name, lambda x, u, n=name: getattr(raw, "TensorScatter" + n)(
            tensor=x, indices=place, updates=u), [f(5), f(2)], [f(4, 3), f(2, 3)],
            [f(6, 2, 2), f(2, 2, 2)])
    add("ScatterNd", lambda u: raw.ScatterNd(indices=[[1], [1]], updates=u, shape=[4, 3]),
        [f(2, 3)], [f(2, 3)], [f(2, 3)])
    add("UnsortedSegmentSum", lambda x, y: raw.UnsortedSegmentSum(
        data=x, segment_ids=y, num_segments=4), [f(5), i(5, low=0, high=4)],
        [f(3, 2), i(3, low=0, high=4)], [f(4, 2, 3), i(4, low=0, high=4)])

    add("Slice", lambda x: raw.Slice(input=x, begin=[1, 0], size=[-1, 2]), [f(3, 4)], [f(2, 2)],
        [f(5, 3)])
    add("StridedSlice", lambda x: x[1:, ::2], [f(3, 4)], [f(2, 2)], [f(5, 3)])
    add("StridedSliceMasks", lambda x: x[..., tf.newaxis, -1, ::-1], [f(3, 4)], [f(2, 2)],
        [f(5, 3, 2)])
    add("ReverseV2", lambda x: raw.ReverseV2(tensor=x, axis=[1]), [f(3, 4)], [f(2, 2)], [f(5, 3, 2)])
    add("Reverse", lambda x: raw.Reverse(tensor=x, dims=[False, True]), [f(3, 4)], [f(2, 2)],
        [f(5, 3)])
    add("ReverseSequence", lambda x: raw.ReverseSequence(
        input=x, seq_lengths=[1, 3], seq_dim=1, batch_dim=0), [f(2, 4)], [f(2, 3, 2)], [f(2, 5)])
    add("Split", lambda x: raw.Split(axis=1, value=x, num_split=2), [f(3, 4)], [f(2, 2)],
        [f(5, 6, 2)])
    add("SplitV", lambda x: raw.SplitV(value=x, size_splits=[1, -1], axis=1, num_split=2),
        [f(3, 4)], [f(2, 2)], [f(5, 6, 2)])
    add("Unpack", lambda x: raw.Unpack(value=x, num=2, axis=1), [f(3, 2)], [f(2, 2)], [f(5, 2, 2)])
    add("Concat", lambda x, y: raw.Concat(concat_dim=1, values=[x, y]), [f(3, 2), f(3, 1)],
        [f(2, 2), f(2, 2)], [f(5, 2, 2), f(5, 3, 2)])
    add("ConcatV2", lambda x, y: raw.ConcatV2(values=[x, y], axis=-1), [f(3, 2), f(3, 1)],
        [f(2, 2), f(2, 2)], [f(5, 2, 2), f(5, 2, 3)])
    add("Pack", lambda x, y: raw.Pack(values=[x, y], axis=1), *[[f(*s), f(*s)] for s in shapes])
    add("Roll", lambda x: raw.Roll(input=x, shift=[1, -2], axis=[0, 1]), [f(3, 4)], [f(2, 2)],
        [f(5, 3, 2)])
    add("Squeeze", lambda x: raw.Squeeze(input=x), [f(3, 1)], [f(1, 2, 1)], [f(1, 3)])
    add("SqueezeDims", lambda x: raw.Squeeze(input=x, axis=[1]), [f(3, 1)], [f(1, 1, 2)], [f(5, 1)])
    add("ExpandDims", lambda x: raw.ExpandDims(input=x, axis=1), *[[f(*s)] for s in shapes])
    add("Reshape", lambda x: raw.Reshape(tensor=x, shape=[-1, 2]), [f(3, 4)], [f(2, 2)], [f(5, 2)])
    add("ReshapeComputed", lambda x: tf.reshape(x, [tf.shape(x)[0], -1]), [f(3, 4)], [f(2, 2, 3)],
        [f(5, 2, 1, 2)])
    add("BroadcastTo", lambda x: raw.BroadcastTo(input=x, shape=[2, 3, 4]), [f(4)], [f(3, 1)],
        [f(2, 1, 4)])
    add("Tile", lambda x: raw.Tile(input=x, multiples=[2, 3]), [f(3, 4)], [f(2, 2)], [f(1, 2)])
    add("Fill", lambda n, x: raw.Fill(dims=n, value=x), *[[np.array(s, np.int32), f()]
                                                          for s in shapes])
    add("ZerosLike", lambda x: raw.ZerosLike(x=x), *[[f(*s)] for s in shapes])
    add("OnesLike", lambda x: raw.OnesLike(x=x), *[[f(*s)] for s in shapes])
    add("Shape", lambda x: raw.Shape(input=x), *[[f(*s)] for s in shapes])
    add("ShapeN", lambda x, y: raw.ShapeN(input=[x, y]), *[[f(*s), f(2, 2)] for s in shapes])
    add("Size", lambda x: raw.Size(input=x), *[[f(*s)] for s in shapes])
    add("Rank", lambda x: raw.Rank(input=x), *[[f(*s)] for s in shapes])
    add("Range", lambda n: raw.Range(start=1, limit=n, delta=2), [np.int32(7)], [np.int32(8)],
        [np.int32(2)])
    add("LinSpace", lambda x: raw.LinSpace(start=x, stop=3.0, num=5), [f()], [f()], [f()])
    add("Transpose", lambda x: raw.Transpose(x=x, perm=[1, 0, 2]), [f(2, 3, 4)], [f(1, 2, 3)],
        [f(5, 1, 1)])
    add("Pad", lambda x: raw.Pad(input=x, paddings=[[1, 2], [0, 3]]), [f(3, 4)], [f(2, 2)], [f(1, 2)])
    add("PadV2", lambda x: raw.PadV2(input=x, paddings=[[1, 2], [0, 3]], constant_values=1.5),
        [f(3, 4)], [f(2, 2)], [f(1, 2)])
    for mode in ["REFLECT", "SYMMETRIC"]:
        add("MirrorPad" + mode, lambda x, m=mode: raw.MirrorPad(
            input=x, paddings=[[1, 1], [0, 2]], mode=m), [f(3, 4)], [f(2, 3)], [f(5, 3)])
    add("Cast", lambda x: raw.Cast(x=x, DstT=tf.int32), *[[f(*s) * 3] for s in shapes])
    add("Bitcast", lambda x: raw.Bitcast(input=x, type=tf.int32), *[[f(*s)] for s in shapes])
    add("OneHot", lambda x: raw.OneHot(indices=x, depth=4, on_value=2.0, off_value=-1.0),
        [i(5, low=-1)], [i(2, 3, low=-1)], [i(1, low=0, high=4)])
    for name in ["Cumsum", "Cumprod"]:
        add(name, lambda x, n=name: getattr(raw, n)(x=x, axis=1, exclusive=True, reverse=True),
            [f(3, 4)], [f(2, 2)], [f(2, 3, 4)])
    add("DepthToSpace", lambda x: raw.DepthToSpace(input=x, block_size=2), [f(1, 2, 3, 8)],
        [f(2, 1, 1, 4)], [f(1, 3, 2, 12)])
    add("SpaceToDepth", lambda x: raw.SpaceToDepth(input=x, block_size=2), [f(1, 2, 4, 3)],
        [f(2, 2, 2, 4)], [f(1, 6, 2, 1)])
    add("SpaceToBatchND", lambda x: raw.SpaceToBatchND(
        input=x, block_shape=[2, 2], paddings=[[0, 0], [1, 1]]), [f(1, 2, 2, 3)], [f(2, 4, 2, 1)],
        [f(1, 6, 4, 2)])
    add("BatchToSpaceND", lambda x: raw.BatchToSpaceND(
        input=x, block_shape=[2, 2], crops=[[0, 0], [1, 0]]), [f(4, 2, 2, 3)], [f(8, 1, 2, 1)],
        [f(4, 3, 4, 2)])
    add("SpaceToBatch", lambda x: raw.SpaceToBatch(input=x, paddings=[[0, 0], [1, 1]], block_size=2),
        [f(1, 2, 2, 3)], [f(2, 4, 2, 1)], [f(1, 6, 4, 2)])
    add("BatchToSpace", lambda x: raw.BatchToSpace(input=x, crops=[[0, 0], [1, 0]], block_size=2),
        [f(4, 2, 2, 3)], [f(8, 1, 2, 1)], [f(4, 3, 4, 2)])
    for corners, centers in [(False, False), (True, False), (False, True)]:
        for name in ["ResizeBilinear", "ResizeNearestNeighbor"]:
            add(f"{name}{int(corners)}{int(centers)}", lambda x, n=name, a=corners, c=centers:
                getattr(raw, n)(images=x, size=[5, 7], align_corners=a, half_pixel_centers=c),
                [f(1, 3, 4, 2)], [f(2, 10, 3, 1)], [f(1, 5, 7, 3)])
    add("MatrixBandPart", lambda x: raw.MatrixBandPart(input=x, num_lower=1, num_upper=-1),
        [f(3, 4)], [f(4, 3)], [f(2, 3, 3)])
    for name in ["MatrixDiag", "Diag"]:
        add(name, lambda x, n=name: getattr(raw, n)(diagonal=x), [f(3)], [f(4)], [f(1)])
    add("MatrixDiagV3", lambda x: tf.linalg.diag(x), [f(3)], [f(2, 4)], [f(2, 1, 2)])
    add("MatrixDiagPart", lambda x: raw.MatrixDiagPart(input=x), [f(3, 3)], [f(2, 4, 3)], [f(3, 4)])
    add("MatrixDiagPartV3", lambda x: tf.linalg.diag_part(x), [f(3, 3)], [f(2, 4, 3)], [f(3, 4)])
    add("DiagPart", lambda x: raw.DiagPart(input=x), [f(3, 3)], [f(4, 4)], [f(1, 1)])
    add("MatrixSetDiag", lambda x, y: raw.MatrixSetDiag(input=x, diagonal=y), [f(3, 3), f(3)],
        [f(2, 3, 4), f(2, 3)], [f(1, 1), f(1)])
    add("MatrixSetDiagV3", lambda x, y: tf.linalg.set_diag(x, y), [f(3, 3), f(3)],
        [f(2, 3, 4), f(2, 3)], [f(1, 1), f(1)])
    add("InvertPermutation", lambda: raw.InvertPermutation(x=[2, 0, 1]), [], [], [])
    add("DataFormatVecPermute", lambda x: raw.DataFormatVecPermute(x=x), [i(4)], [i(4)], [i(4)])

    def conv(name, padding, stride, rate, images, filters, **more):
        add(f"{name}_{padding}_{stride}_{rate}", lambda x, n=name: getattr(raw, n)(
            input=x, filter=filters, strides=[1, stride, stride, 1], padding=padding,
            dilations=[1, rate, rate, 1], **more), *[[x] for x in images])

    images = [f(1, 7, 8, 4), f(2, 5, 5, 4), f(1, 9, 6, 4)]
    for padding in ["SAME", "VALID"]:
        conv("Conv2D", padding, 1, 1, images, f(3, 3, 4, 6))
        conv("Conv2D", padding, 2, 1, images, f(3, 2, 4, 6))
        conv("Conv2D", padding, 1, 2, images, f(2, 2, 4, 6))
        conv("DepthwiseConv2dNative", padding, 1, 1, images, f(3, 3, 4, 2))
        conv("DepthwiseConv2dNative", padding, 2, 1, images, f(3, 3, 4, 1))
    conv("Conv2D", "EXPLICIT", 1, 1, images, f(3, 3, 4, 6),
         explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0])
    grouped = f(3, 3, 2, 6)
    add("Conv2DGroups", lambda x: raw.Conv2D(input=x, filter=grouped, strides=[1, 1, 1, 1],
                                             padding="SAME"), *[[x] for x in images])
    volume = f(2, 3, 3, 3, 5)
    add("Conv3D", lambda x: raw.Conv3D(input=x, filter=volume, strides=[1, 1, 2, 2, 1],
                                       padding="SAME"), [f(1, 4, 5, 6, 3)], [f(2, 2, 3, 3, 3)],
        [f(1, 3, 7, 5, 3)])
    up = f(3, 3, 5, 4)
    for padding, extra in [("SAME", 0), ("VALID", 1)]:
        add("Conv2DBackpropInput" + padding, lambda x, p=padding, e=extra: raw.Conv2DBackpropInput(
            input_sizes=[x.shape[0], 2 * x.shape[1] + e, 2 * x.shape[2] + e, 5], filter=up,
            out_backprop=x, strides=[1, 2, 2, 1], padding=p), [f(1, 3, 4, 4)], [f(2, 5, 2, 4)],
            [f(1, 1, 1, 4)])
    up3 = f(2, 2, 2, 5, 4)
    add("Conv3DBackpropInputV2", lambda x: raw.Conv3DBackpropInputV2(
        input_sizes=[x.shape[0]] + [2 * d for d in x.shape[1:4]] + [5], filter=up3, out_backprop=x,
        strides=[1, 2, 2, 2, 1], padding="SAME"), [f(1, 2, 3, 4, 4)], [f(2, 1, 2, 2, 4)],
        [f(1, 1, 1, 1, 4)])
    add("ExtractImagePatches", lambda x: raw.ExtractImagePatches(
        images=x, ksizes=[1, 2, 3, 1], strides=[1, 2, 1, 1], rates=[1, 1, 1, 1], padding="SAME"),
        [f(1, 5, 6, 2)], [f(2, 4, 4, 1)], [f(1, 7, 3, 3)])
    for name in ["MaxPool", "AvgPool"]:
        for padding in ["SAME", "VALID"]:
            key = "input" if name == "MaxPool" else "value"
            add(name + padding, lambda x, n=name, p=padding, k=key: getattr(raw, n)(
                **{k: x}, ksize=[1, 3, 2, 1], strides=[1, 2, 2, 1], padding=p), [f(1, 7, 8, 4)],
                [f(2, 5, 5, 1)], [f(1, 9, 6, 3)])
            add(name + "3D" + padding, lambda x, n=name, p=padding: getattr(raw, n + "3D")(
                input=x, ksize=[1, 2, 3, 2, 1], strides=[1, 2, 2, 2, 1], padding=p),
                [f(1, 4, 7, 8, 2)], [f(2, 2, 5, 5, 1)], [f(1, 3, 9, 6, 3)])
    add("MaxPoolV2", lambda x: raw.MaxPoolV2(input=x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1],
                                             padding="SAME"), [f(1, 7, 8, 4)], [f(2, 5, 5, 1)],
        [f(1, 9, 6, 3)])
    add("MaxPoolWithArgmax", lambda x: list(raw.MaxPoolWithArgmax(
        input=x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")), [f(1, 6, 8, 4)],
        [f(2, 4, 4, 1)], [f(1, 4, 6, 3)])
    scale, offset, mean, variance = f(4), f(4), f(4), f(4, low=0.5, high=2)
    for name in ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"]:
        add(name, lambda x, n=name: getattr(raw, n)(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, is_training=False).y,
            *[[x] for x in images])
    add("LRN", lambda x: raw.LRN(input=x, depth_radius=2, bias=1.5, alpha=0.3, beta=0.75),
        *[[x] for x in images])
    for ta in [False, True]:
        for tb in [False, True]:
            add(f"MatMul{int(ta)}{int(tb)}", lambda x, y, p=ta, q=tb: raw.MatMul(
                a=x, b=y, transpose_a=p, transpose_b=q),
                *[[f(*((k, m) if ta else (m, k))), f(*((n, k) if tb else (k, n)))]
                  for m, k, n in [(2, 3, 4), (1, 5, 1), (7, 8, 9)]])
    for name in ["BatchMatMul", "BatchMatMulV2"]:
        add(name, lambda x, y, n=name: getattr(raw, n)(x=x, y=y, adj_y=True),
            [f(2, 3, 4), f(2, 5, 4)], [f(1, 2, 2, 3), f(1, 2, 1, 3)], [f(3, 1, 2), f(3, 2, 2)])
    add("BatchMatMulV3", lambda x, y: raw.BatchMatMulV3(x=x, y=y, Tout=tf.float32),
        [f(2, 3, 4), f(4, 5)], [f(1, 2, 2, 3), f(2, 3, 1)], [f(3, 1, 2), f(3, 2, 2)])
    add("Einsum", lambda x, y: raw.Einsum(inputs=[x, y], equation="bij,bjk->bki"),
        [f(2, 3, 4), f(2, 4, 5)], [f(1, 2, 3), f(1, 3, 1)], [f(3, 1, 2), f(3, 2, 2)])

    def boxes(n):
        corner = rng.uniform(0, 0.6, (n, 2))
        return np.concatenate([corner, corner + rng.uniform(0.1, 0.4, (n, 2))], 1).astype(np.float32)

    found = [[boxes(n), f(n, low=0, high=1)] for n in (6, 20, 3)]
    add("NonMaxSuppression", lambda x, s: raw.NonMaxSuppression(
        boxes=x, scores=s, max_output_size=4, iou_threshold=0.4), *found)
    add("NonMaxSuppressionV2", lambda x, s: raw.NonMaxSuppressionV2(
        boxes=x, scores=s, max_output_size=4, iou_threshold=0.4), *found)
    add("NonMaxSuppressionV3", lambda x, s: raw.NonMaxSuppressionV3(
        boxes=x, scores=s, max_output_size=4, iou_threshold=0.4, score_threshold=0.3), *found)
    add("NonMaxSuppressionV4", lambda x, s: list(raw.NonMaxSuppressionV4(
        boxes=x, scores=s, max_output_size=4, iou_threshold=0.4, score_threshold=0.3,
        pad_to_max_output_size=True)), *found)
    add("NonMaxSuppressionV5", lambda x, s: list(raw.NonMaxSuppressionV5(
        boxes=x, scores=s, max_output_size=4, iou_threshold=0.4, score_threshold=0.3,
        soft_nms_sigma=0.0)), *found)
    add("Unique", lambda x: list(raw.Unique(x=x)), [i(5)], [i(9)], [i(1)])
    add("UniqueV2", lambda x: list(raw.UniqueV2(x=x, axis=np.zeros([0], np.int32))), [i(5)], [i(9)],
        [i(1)])
    add("UniqueWithCounts", lambda x: list(raw.UniqueWithCounts(x=x)), [i(5)], [i(9)], [i(1)])
    add("Where", lambda x: raw.Where(condition=x), *[[b(*s)] for s in shapes])

    add("FakeQuantWithMinMaxArgs", lambda x: raw.FakeQuantWithMinMaxArgs(
        inputs=x, min=-1.1, max=1.7), *[[f(*s)] for s in shapes])
    add("FakeQuantWithMinMaxVars", lambda x: raw.FakeQuantWithMinMaxVars(
        inputs=x, min=-1.0, max=1.5, num_bits=7, narrow_range=True), *[[f(*s)] for s in shapes])
    low, high = f(5, low=-2, high=-0.5), f(5, low=0.5, high=2)
    add("FakeQuantWithMinMaxVarsPerChannel", lambda x: raw.FakeQuantWithMinMaxVarsPerChannel(
        inputs=x, min=low, max=high), [f(5)], [f(2, 5)], [f(2, 3, 4, 5)])
    add("QuantizeAndDequantizeV2", lambda x: raw.QuantizeAndDequantizeV2(
        input=x, input_min=-1.0, input_max=1.5, range_given=True), *[[f(*s)] for s in shapes])
    add("QuantizeAndDequantizeV3", lambda x: raw.QuantizeAndDequantizeV3(
        input=x, input_min=0.0, input_max=0.0, num_bits=8, range_given=False),
        *[[f(*s)] for s in shapes])
    add("QuantizeAndDequantizeV4", lambda x: raw.QuantizeAndDequantizeV4(
        input=x, input_min=-1.5, input_max=1.0, range_given=True, narrow_range=True),
        *[[f(*s)] for s in shapes])

    add("AudioSpectrogram", lambda x: raw.AudioSpectrogram(
        input=x, window_size=30, stride=10, magnitude_squared=True), [f(100, 1)], [f(64, 2)],
        [f(30, 1)])
    add("Mfcc", lambda x: raw.Mfcc(spectrogram=x, sample_rate=16000),
        *[[f(1, n, 257, low=0, high=2)] for n in (3, 1, 5)])

    units = 4
    weights, bias, peep = f(3 + units, 4 * units), f(4 * units), f(units)
    add("LSTMBlockCell", lambda x, c, h: list(raw.LSTMBlockCell(
        x=x, cs_prev=c, h_prev=h, w=weights, wci=peep, wcf=peep, wco=peep, b=bias,
        use_peephole=True)), *[[f(n, 3), f(n, units), f(n, units)] for n in (1, 2, 5)])
    for name in ["BlockLSTM", "BlockLSTMV2"]:
        add(name, lambda x, c, h, n=name: list(getattr(raw, n)(
            seq_len_max=np.int64(x.shape[0]), x=x, cs_prev=c, h_prev=h, w=weights, wci=peep, wcf=peep,
            wco=peep, b=bias)), *[[f(t, n, 3), f(n, units), f(n, units)]
                                   for t, n in ((2, 1), (3, 2), (9, 1))])
    w_ru, w_c, b_ru, b_c = f(3 + units, 2 * units), f(3 + units, units), f(2 * units), f(units)
    add("GRUBlockCell", lambda x, h: list(raw.GRUBlockCell(
        x=x, h_prev=h, w_ru=w_ru, w_c=w_c, b_ru=b_ru, b_c=b_c)),
        *[[f(n, 3), f(n, units)] for n in (1, 2, 5)])

    def loop(x, n):
        return tf.while_loop(lambda k, v: k < n, lambda k, v: (k + 1, v * 0.5 + 1.0), (0, x))[1]

    add("While", loop, *[[f(*s), np.int32(k)] for s, k in zip(shapes, (3, 0, 5))])
    add("If", lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: x - 1),
        *[[f(*s)] for s in shapes])
    return rows
