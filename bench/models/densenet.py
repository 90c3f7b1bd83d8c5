"""DenseNet-121: Huang et al., "Densely Connected Convolutional Networks", 2016. Normalization and
ReLU stand before each convolution, so most of them cannot be folded into a convolution before."""

GROWTH = 32
LAYERS = [6, 12, 24, 16]


def bn_relu_conv(b, x, oc, k, pad=0):
    return b.conv(b.relu(b.bn(x)), oc, k, 1, pad, bias=False)


def densenet121(b):
    x = b.relu(b.bn(b.conv(b.image(3, 224, 224), 64, 7, 2, 3, bias=False)))
    x = b.max_pool(x, 3, 2, 1)
    for block, count in enumerate(LAYERS):
        values = [x]
        for layer in range(count):
            with b.scope(f"denseblock{block + 1}.layer{layer + 1}"):
                joined = b.concat(values) if layer else x
                y = bn_relu_conv(b, joined, 4 * GROWTH, 1)
                values.append(bn_relu_conv(b, y, GROWTH, 3, 1))
        x = b.concat(values)
        if block + 1 < len(LAYERS):
            with b.scope(f"transition{block + 1}"):
                x = b.avg_pool(bn_relu_conv(b, x, b.shape(x)[0] // 2, 1), 2, 2)
    b.classifier(b.relu(b.bn(x)))
