"""NASNet-A Mobile (4 @ 1056): Zoph et al., "Learning Transferable Architectures for Scalable Image
Recognition", 2017. The cells found by search: many small separable convolutions, each applied
twice, whose results are added in pairs; every cell sees the outputs of the two before it."""

FILTERS = 44
REPEATS = 4
EPSILON = 1e-3


def separable(b, x, oc, k, stride=1):
    """ReLU, depthwise, pointwise, normalization; twice, the stride in the first."""
    for step in (stride, 1):
        c = b.shape(x)[0]
        x = b.conv(b.relu(x), c, k, step, "same", c, bias=False)
        x = b.bn(b.conv(x, oc, 1, bias=False), EPSILON, shift=0.0)
    return x


def squeeze(b, x, oc):
    return b.bn(b.conv(b.relu(x), oc, 1, bias=False), EPSILON, shift=0.0)


def shifted(b, x):
    """The image moved by one pixel to the upper left, with zeros coming in."""
    pads = b.ints(0, 0, 0, 0, 0, 0, 1, 1)
    padded = b.node("Pad", [x, pads])
    limits = [b.ints(v, v) for v in (1, 2**31 - 1)]
    return b.node("Slice", [padded, *limits, b.ints(2, 3)])


def factorized_reduction(b, x, oc):
    """Halves the map by two strided 1x1 pools of which the second starts one pixel later."""
    x = b.relu(x)
    moved = shifted(b, x)
    b.shapes[moved] = b.shape(x)
    halves = [b.conv(b.avg_pool(v, 1, 2), oc // 2, 1, bias=False) for v in (x, moved)]
    return b.bn(b.concat(halves), EPSILON)


def adjust(b, previous, x, oc):
    """The output of the cell before last, brought to the present map and channels."""
    if previous is None:
        return x
    if b.shape(previous)[1:] != b.shape(x)[1:]:
        return factorized_reduction(b, previous, oc)
    return squeeze(b, previous, oc) if b.shape(previous)[0] != oc else previous


def normal_cell(b, x, previous, oc):
    p = adjust(b, previous, x, oc)
    h = squeeze(b, x, oc)
    pool = lambda v: b.avg_pool(v, 3, 1, "same")
    return b.concat([
        p,
        b.add(separable(b, h, oc, 5), separable(b, p, oc, 3)),
        b.add(separable(b, p, oc, 5), separable(b, p, oc, 3)),
        b.add(pool(h), p),
        b.add(pool(p), pool(p)),
        b.add(separable(b, h, oc, 3), h),
    ])  # fmt: skip


def reduction_cell(b, x, previous, oc):
    p = adjust(b, previous, x, oc)
    h = squeeze(b, x, oc)
    first = b.add(separable(b, h, oc, 5, 2), separable(b, p, oc, 7, 2))
    second = b.add(b.max_pool(h, 3, 2, "same"), separable(b, p, oc, 7, 2))
    third = b.add(b.avg_pool(h, 3, 2, "same"), separable(b, p, oc, 5, 2))
    fourth = b.add(b.avg_pool(first, 3, 1, "same"), second)
    fifth = b.add(separable(b, first, oc, 3), b.max_pool(h, 3, 2, "same"))
    return b.concat([second, third, fourth, fifth])


def nasnet_mobile(b):
    x = b.bn(b.conv(b.image(3, 224, 224), 32, 3, 2, bias=False), EPSILON)
    previous = None
    for at, oc in enumerate((FILTERS // 4, FILTERS // 2)):
        with b.scope(f"stem{at + 1}"):
            x, previous = reduction_cell(b, x, previous, oc), x
    for group in range(3):
        oc = FILTERS << group
        if group:
            with b.scope(f"reduction{group}"):
                x, previous = reduction_cell(b, x, previous, oc), x
        for at in range(REPEATS):
            with b.scope(f"cell{group * REPEATS + at}"):
                x, previous = normal_cell(b, x, previous, oc), x
    b.classifier(b.relu(x))
