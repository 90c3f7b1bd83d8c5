"""NCF (NeuMF): He et al., "Neural Collaborative Filtering", 2017, with the users and films of
MovieLens-1M. MLP: five fully connected layers, 256-1024-1024-512-256-1."""

USERS, ITEMS = 6040, 3706
FACTORS = 64
TOWER = [256, 256, 128, 64]


def ncf(b):
    def embed(ids, rows, size, name):
        return b.node("Gather", [b.weight((rows, size), 1.0, f"{name}.weight"), ids], axis=0)

    user = b.input("user", [b.batch], "int64", f"token:0:{USERS}")
    item = b.input("item", [b.batch], "int64", f"token:0:{ITEMS}")
    b.calibration_batch = 256
    product = b.node("Mul", [embed(user, USERS, FACTORS, "gmf.user"),
                             embed(item, ITEMS, FACTORS, "gmf.item")])  # fmt: skip
    half = TOWER[0] // 2
    x = b.node("Concat", [embed(user, USERS, half, "mlp.user"),
                          embed(item, ITEMS, half, "mlp.item")], axis=1)  # fmt: skip
    for k, n in zip(TOWER, TOWER[1:]):
        x = b.node("Relu", [b.gemm(x, k, n)])
    joined = b.node("Concat", [product, x], axis=1)
    score = b.node("Sigmoid", [b.gemm(joined, FACTORS + TOWER[-1], 1)])
    b.output(score, "score", [b.batch, 1])


def mlp(b):
    b.calibration_batch = 256
    x = b.input("input", [b.batch, 256])
    sizes = [256, 1024, 1024, 512, 256]
    for k, n in zip(sizes, sizes[1:]):
        x = b.node("Relu", [b.gemm(x, k, n)])
    b.output(b.gemm(x, sizes[-1], 1), "output", [b.batch, 1])
