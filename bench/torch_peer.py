#!/usr/bin/env python3
"""One bench model in PyTorch on the GPU: eager, graph replay and torch.compile, in fp16 or bf16.

  python3 bench/torch_peer.py MODEL BATCH [--precision fp16|bf16|fp32] [--modes eager,graph,compile]

Prints one JSON line with the median milliseconds of each way, by events around runs on tensors that
lie on the device; convolutions get channels_last tensors, which is what PyTorch is fastest with.
Weights are random: they do not change the time.
"""

import argparse
import json
import statistics
import sys

import torch


def vision(name):
    import torchvision

    model = getattr(torchvision.models, name)
    more = {"init_weights": False, "aux_logits": False} if name == "inception_v3" else {}
    size = 299 if name == "inception_v3" else 224
    return model(weights=None, **more), lambda batch: (torch.rand(batch, 3, size, size),)


def bert():
    import transformers

    model = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False)
    return model, lambda batch: (torch.randint(0, 1000, (batch, 128)),)


def mlp():
    widths = [256, 1024, 1024, 512, 256, 1]
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]), lambda batch: (torch.rand(batch, widths[0]),)


def replay_ms(run):
    """Median milliseconds of one run, several in a row between events."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def sample(count):
        begin.record()
        for _ in range(count):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / count

    for _ in range(3):
        sample(3)
    count = max(1, int(20 / max(sample(3), 1e-3)))
    return statistics.median(sample(count) for _ in range(9))


def captured(call):
    """The call as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("batch", type=int)
    parser.add_argument("--precision", default="fp16", choices=["fp16", "bf16", "fp32"])
    parser.add_argument("--modes", default="eager,graph,compile")
    options = parser.parse_args()
    makers = {"bert_base": bert, "mlp": mlp}
    model, inputs = makers.get(options.model, lambda: vision(options.model))()
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[options.precision]
    model = model.eval().to("cuda", dtype)
    tensors = [t.cuda() if not t.is_floating_point() else t.to("cuda", dtype)
               for t in inputs(options.batch)]
    if tensors[0].dim() == 4:
        model = model.to(memory_format=torch.channels_last)
        tensors = [t.to(memory_format=torch.channels_last) for t in tensors]
    torch.backends.cudnn.benchmark = True
    row = {"model": options.model, "batch": options.batch, "precision": options.precision,
           "torch": torch.__version__}
    with torch.inference_mode():
        for mode in options.modes.split(","):
            try:
                if mode == "eager":
                    row[mode] = replay_ms(lambda: model(*tensors))
                elif mode == "graph":
                    row[mode] = replay_ms(captured(lambda: model(*tensors)))
                else:
                    compiled = torch.compile(model, mode="max-autotune-no-cudagraphs")
                    compiled(*tensors)
                    row[mode] = replay_ms(captured(lambda: compiled(*tensors)))
            except Exception as error:  # one way that fails leaves the others
                row[mode + "_error"] = f"{type(error).__name__}: {error}"[:300]
    print(json.dumps(row))


if __name__ == "__main__":
    sys.exit(main())
