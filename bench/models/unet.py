"""U-Net: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation",
2015, in the usual newer form: padded convolutions with batch normalization, 256x256, 32 channels
at full size, transposed convolutions on the way up, a mask of one channel."""


def double_conv(b, x, c):
    for _ in range(2):
        x = b.relu(b.bn(b.conv(x, c, 3, 1, 1, bias=False)))
    return x


def unet(b):
    b.calibration_batch = 4
    x = b.image(3, 256, 256)
    skips = []
    for level in range(4):
        with b.scope(f"encoder{level + 1}"):
            x = double_conv(b, x, 32 << level)
            skips.append(x)
            x = b.max_pool(x, 2, 2)
    with b.scope("bottleneck"):
        x = double_conv(b, x, 512)
    for level in reversed(range(4)):
        with b.scope(f"decoder{level + 1}"):
            x = b.concat([b.conv_transpose(x, 32 << level, 2, 2), skips[level]])
            x = double_conv(b, x, 32 << level)
    mask = b.node("Sigmoid", [b.conv(x, 1, 1)])
    b.output(mask, "output", [b.batch, 1, 256, 256])
