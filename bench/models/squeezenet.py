"""SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters",
2016. The classifier is a convolution, followed by the global average pool."""

# Squeezed and expanded channels of the fire modules; "pool" halves the map.
_MODULES = ["pool", (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool",
            (48, 192), (48, 192), (64, 256), (64, 256)]  # fmt: skip


def fire(b, x, squeezed, expanded):
    x = b.relu(b.conv(x, squeezed, 1))
    return b.concat([b.relu(b.conv(x, expanded, 1)), b.relu(b.conv(x, expanded, 3, 1, 1))])


def squeezenet(b):
    x = b.relu(b.conv(b.image(3, 224, 224), 64, 3, 2))
    for at, sizes in enumerate(_MODULES):
        if sizes == "pool":
            x = b.max_pool(x, 3, 2, ceil=True)
            continue
        with b.scope(f"fire{at}"):
            x = fire(b, x, *sizes)
    # The gain spreads the averages of 14x14 positions, from which the classes are told apart.
    x = b.global_avg_pool(b.relu(b.conv(x, 1000, 1, gain=8.0)))
    probability = b.node("Softmax", [b.flatten(x)], axis=1)
    b.output(probability, "output", [b.batch, 1000])
