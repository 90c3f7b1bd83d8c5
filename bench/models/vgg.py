"""VGG16 and VGG19: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", 2014, configurations D and E. No batch normalization."""


def vgg(b, convs):
    b.calibration_batch = 16
    x = b.image(3, 224, 224)
    for stage, count in enumerate(convs):
        with b.scope(f"block{stage + 1}"):
            for _ in range(count):
                x = b.relu(b.conv(x, min(64 << stage, 512), 3, 1, 1))
            x = b.max_pool(x, 2, 2)
    x = b.flatten(x)
    x = b.relu(b.gemm(x, 512 * 7 * 7, 4096))
    x = b.relu(b.gemm(x, 4096, 4096))
    logits = b.gemm(x, 4096, 1000, gain=2.0)
    b.output(b.node("Softmax", [logits], axis=1), "output", [b.batch, 1000])


def vgg16(b):
    vgg(b, [2, 2, 3, 3, 3])


def vgg19(b):
    vgg(b, [2, 2, 4, 4, 4])
