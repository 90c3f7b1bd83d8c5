"""EfficientNet-B0: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019. Inverted residuals with SiLU (Sigmoid and Mul) and squeeze-and-excitation."""

# Expansion, kernel, output channels, repetitions, stride of the first.
STAGES = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2),
          (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)]  # fmt: skip


def conv_bn_silu(b, x, oc, k, stride=1, group=1):
    return b.silu(b.bn(b.conv(x, oc, k, stride, k // 2, group, bias=False), epsilon=1e-3))


def squeeze_excite(b, x, squeezed):
    y = b.silu(b.conv(b.global_avg_pool(x), squeezed, 1))
    # Gates of a small gain: stronger ones, deep in the network, let single images run away.
    gate = b.like("Sigmoid", [b.conv(y, b.shape(x)[0], 1, gain=0.3)])
    return b.like("Mul", [x, gate])


def block(b, x, expansion, k, oc, stride):
    ic = b.shape(x)[0]
    y = conv_bn_silu(b, x, ic * expansion, 1) if expansion != 1 else x
    y = conv_bn_silu(b, y, ic * expansion, k, stride, ic * expansion)
    y = squeeze_excite(b, y, max(1, ic // 4))
    residual = stride == 1 and ic == oc
    y = b.bn(b.conv(y, oc, 1, bias=False), epsilon=1e-3, gain=0.4 if residual else 1.0)
    return b.add(y, x) if residual else y


def efficientnet_b0(b):
    x = conv_bn_silu(b, b.image(3, 224, 224), 32, 3, 2)
    for stage, (expansion, k, oc, count, first_stride) in enumerate(STAGES):
        for repeat in range(count):
            with b.scope(f"stage{stage + 1}.{repeat}"):
                x = block(b, x, expansion, k, oc, 1 if repeat else first_stride)
    b.classifier(conv_bn_silu(b, x, 1280, 1))
