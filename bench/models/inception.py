"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2014, with its local response
normalizations and 5x5 convolutions. Inception V3: Szegedy et al., "Rethinking the Inception
Architecture for Computer Vision", 2015, 299x299, 94 convolutions. Without training's side heads."""


def lrn(b, x):
    return b.like("LRN", [x], size=5, alpha=1e-4, beta=0.75, bias=1.0)


# Per module: 1x1; 3x3 reduction, 3x3; 5x5 reduction, 5x5; after pooling. "pool" halves the map.
_GOOGLENET = [
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), "pool",
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), "pool",
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
]  # fmt: skip


def googlenet_module(b, x, sizes):
    conv = lambda x, oc, k: b.relu(b.conv(x, oc, k, 1, k // 2))
    one, reduce3, three, reduce5, five, pooled = sizes
    return b.concat([
        conv(x, one, 1),
        conv(conv(x, reduce3, 1), three, 3),
        conv(conv(x, reduce5, 1), five, 5),
        conv(b.max_pool(x, 3, 1, 1), pooled, 1),
    ])  # fmt: skip


def googlenet(b):
    x = b.image(3, 224, 224)
    x = b.relu(b.conv(x, 64, 7, 2, 3))
    x = lrn(b, b.max_pool(x, 3, 2, ceil=True))
    x = b.relu(b.conv(x, 64, 1))
    x = lrn(b, b.relu(b.conv(x, 192, 3, 1, 1)))
    x = b.max_pool(x, 3, 2, ceil=True)
    for at, sizes in enumerate(_GOOGLENET):
        if sizes == "pool":
            x = b.max_pool(x, 3, 2, ceil=True)
            continue
        with b.scope(f"inception{at}"):
            x = googlenet_module(b, x, sizes)
    b.classifier(x)


def cbr(b, x, oc, k, stride=1, pad=0):
    return b.relu(b.bn(b.conv(x, oc, k, stride, pad, bias=False), epsilon=1e-3))


def chain(b, x, *steps):
    """Convolutions one after the other; a step is (oc, kernel), padded to keep the size."""
    for oc, k in steps:
        kernel = (k, k) if isinstance(k, int) else k
        x = cbr(b, x, oc, kernel, 1, (kernel[0] // 2, kernel[1] // 2))
    return x


def block_a(b, x, pooled):
    """35x35."""
    return b.concat([
        chain(b, x, (64, 1)),
        chain(b, x, (48, 1), (64, 5)),
        chain(b, x, (64, 1), (96, 3), (96, 3)),
        chain(b, b.avg_pool(x, 3, 1, 1, include_pad=True), (pooled, 1)),
    ])  # fmt: skip


def reduction_a(b, x):
    """35x35 to 17x17."""
    return b.concat([
        cbr(b, x, 384, 3, 2),
        cbr(b, chain(b, x, (64, 1), (96, 3)), 96, 3, 2),
        b.max_pool(x, 3, 2),
    ])  # fmt: skip


def block_b(b, x, c):
    """17x17, with 7x7 convolutions taken apart into 1x7 and 7x1."""
    row, column = (1, 7), (7, 1)
    return b.concat([
        chain(b, x, (192, 1)),
        chain(b, x, (c, 1), (c, row), (192, column)),
        chain(b, x, (c, 1), (c, column), (c, row), (c, column), (192, row)),
        chain(b, b.avg_pool(x, 3, 1, 1, include_pad=True), (192, 1)),
    ])  # fmt: skip


def reduction_b(b, x):
    """17x17 to 8x8."""
    return b.concat([
        cbr(b, chain(b, x, (192, 1)), 320, 3, 2),
        cbr(b, chain(b, x, (192, 1), (192, (1, 7)), (192, (7, 1))), 192, 3, 2),
        b.max_pool(x, 3, 2),
    ])  # fmt: skip


def block_c(b, x):
    """8x8, with branches that fork at their end."""
    fork = lambda y: b.concat([chain(b, y, (384, (1, 3))), chain(b, y, (384, (3, 1)))])
    return b.concat([
        chain(b, x, (320, 1)),
        fork(chain(b, x, (384, 1))),
        fork(chain(b, x, (448, 1), (384, 3))),
        chain(b, b.avg_pool(x, 3, 1, 1, include_pad=True), (192, 1)),
    ])  # fmt: skip


def inception_v3(b):
    b.calibration_batch = 8
    x = b.image(3, 299, 299)
    x = cbr(b, x, 32, 3, 2)
    x = cbr(b, x, 32, 3)
    x = b.max_pool(cbr(b, x, 64, 3, 1, 1), 3, 2)
    x = cbr(b, x, 80, 1)
    x = b.max_pool(cbr(b, x, 192, 3), 3, 2)
    blocks = [(block_a, 32), (block_a, 64), (block_a, 64), (reduction_a,),
              (block_b, 128), (block_b, 160), (block_b, 160), (block_b, 192), (reduction_b,),
              (block_c,), (block_c,)]  # fmt: skip
    for at, (block, *sizes) in enumerate(blocks):
        with b.scope(f"mixed{at}"):
            x = block(b, x, *sizes)
    b.classifier(x)
