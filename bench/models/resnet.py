"""ResNet-50 v1.5 and ResNet-152: He et al., "Deep Residual Learning for Image Recognition", 2015.

v1.5: the stride of a bottleneck stands in its 3x3 convolution. The last normalization of a block
has a small gain and a negative mean: otherwise rounding errors grow from block to block, and sums
of non-negative blocks leave hardly any ReLU inactive.
"""


def conv_bn(b, x, oc, k, stride=1, pad=0, **bn):
    return b.bn(b.conv(x, oc, k, stride, pad, bias=False), **bn)


def bottleneck(b, x, width, stride):
    shortcut = x
    if b.shape(x)[0] != 4 * width:
        with b.scope("downsample"):
            shortcut = conv_bn(b, x, 4 * width, 1, stride)
    y = b.relu(conv_bn(b, x, width, 1))
    y = b.relu(conv_bn(b, y, width, 3, stride, 1))
    y = conv_bn(b, y, 4 * width, 1, gain=0.3, shift=-0.1)
    return b.relu(b.add(y, shortcut))


def resnet(b, blocks):
    x = b.image(3, 224, 224)
    x = b.relu(conv_bn(b, x, 64, 7, 2, 3))
    x = b.max_pool(x, 3, 2, 1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            with b.scope(f"layer{stage + 1}.{block}"):
                x = bottleneck(b, x, 64 << stage, 2 if stage and block == 0 else 1)
    b.classifier(x)


def resnet50(b):
    resnet(b, [3, 4, 6, 3])


def resnet152(b):
    resnet(b, [3, 8, 36, 3])
