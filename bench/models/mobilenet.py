"""MobileNet V1: Howard et al., "MobileNets", 2017, padded as TensorFlow does ("same", which is
lopsided for even sizes). MobileNet V2: Sandler et al., "Inverted Residuals and Linear
Bottlenecks", 2018, with symmetric padding. Both with ReLU6 written as Clip."""

# MobileNet V1's separable blocks: output channels and stride of the depthwise convolution.
V1_BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
             (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)]  # fmt: skip

# MobileNet V2's stages: expansion, output channels, repetitions, stride of the first.
V2_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
             (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip


def conv_bn_relu6(b, x, oc, k, stride=1, pad="same", group=1, epsilon=1e-3):
    return b.relu6(b.bn(b.conv(x, oc, k, stride, pad, group, bias=False), epsilon))


def separable(b, x, oc, stride):
    x = conv_bn_relu6(b, x, b.shape(x)[0], 3, stride, group=b.shape(x)[0])
    return conv_bn_relu6(b, x, oc, 1)


def v1_features(b, x):
    """The outputs of all 13 separable blocks."""
    x = conv_bn_relu6(b, x, 32, 3, 2)
    outputs = []
    for at, (oc, stride) in enumerate(V1_BLOCKS):
        with b.scope(f"block{at + 1}"):
            x = separable(b, x, oc, stride)
        outputs.append(x)
    return outputs


def mobilenet_v1(b):
    b.classifier(v1_features(b, b.image(3, 224, 224))[-1])


def inverted_residual(b, x, expansion, oc, stride):
    ic = b.shape(x)[0]
    y = x
    if expansion != 1:
        y = conv_bn_relu6(b, y, ic * expansion, 1, epsilon=1e-5)
    c = b.shape(y)[0]
    y = conv_bn_relu6(b, y, c, 3, stride, 1, c, epsilon=1e-5)
    if stride != 1 or ic != oc:
        return b.bn(b.conv(y, oc, 1, bias=False))
    return b.add(x, b.bn(b.conv(y, oc, 1, bias=False), gain=0.5))


def mobilenet_v2(b):
    x = conv_bn_relu6(b, b.image(3, 224, 224), 32, 3, 2, 1, epsilon=1e-5)
    at = 0
    for expansion, oc, count, first_stride in V2_STAGES:
        for repeat in range(count):
            with b.scope(f"block{at}"):
                x = inverted_residual(b, x, expansion, oc, 1 if repeat else first_stride)
            at += 1
    b.classifier(conv_bn_relu6(b, x, 1280, 1, epsilon=1e-5))
