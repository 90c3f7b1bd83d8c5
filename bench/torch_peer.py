#!/usr/bin/env python3
"""Bench models in PyTorch on the GPU: eager, graph replay, torch.compile, in fp16, bf16 or fp32.

  python3 bench/torch_peer.py MODEL BATCH [--precision fp16|bf16|fp32] [--modes eager,graph,compile,autotune]
  python3 bench/torch_peer.py --serve [--modes ...]

graph: eager's launches as a CUDA graph; compile and autotune: torch.compile in its default mode and
with max-autotune, as a CUDA graph. Prints one JSON line with the median milliseconds of each way, by
events around runs on tensors that lie on the device. What PyTorch is fastest with is given to it:
convolutions get channels_last tensors and take in the batch normalizations behind them, BERT attends
without a mask (ours reads one of ones). Weights are random: they do not change the time. --serve prints a line once
PyTorch is loaded and then answers each line "MODEL BATCH PRECISION" of standard input with such a line.
"""

import argparse
import json
import statistics
import sys

import torch

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def vision(name):
    import torchvision
    from torch.fx.experimental.optimization import fuse

    model = getattr(torchvision.models, name)
    more = {"init_weights": False, "aux_logits": False} if name == "inception_v3" else {}
    size = 299 if name == "inception_v3" else 224
    return fuse(model(weights=None, **more).eval()), lambda batch: (torch.rand(batch, 3, size, size),)


def bert():
    import transformers
    from transformers.models.bert import modeling_bert

    # While a model is compiled or captured, transformers makes a mask of ones where none is given, and
    # PyTorch's flash attention takes none (batch 128: 7.3 ms eager, but 10.3 compiled and 17.9 captured).
    modeling_bert.create_bidirectional_mask = lambda *_, **__: None
    config = transformers.BertConfig(attn_implementation="sdpa")
    return transformers.BertModel(config, add_pooling_layer=False), lambda batch: (torch.randint(0, 1000, (batch, 128)),)


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


def measured(name, batch, precision, modes):
    """The row of one model: milliseconds by way, or what PyTorch said where a way failed."""
    row = {"model": name, "batch": batch, "precision": precision, "torch": torch.__version__}
    makers = {"bert_base": bert, "mlp": mlp}
    dtype = DTYPES[precision]
    torch.compiler.reset()  # else a batch that differs from the last model's would be compiled as symbolic
    model, inputs = makers.get(name, lambda: vision(name))()
    model = model.eval().to("cuda", dtype)
    tensors = [t.cuda() if not t.is_floating_point() else t.to("cuda", dtype) for t in inputs(batch)]
    if tensors[0].dim() == 4:
        model = model.to(memory_format=torch.channels_last)
        tensors = [t.to(memory_format=torch.channels_last) for t in tensors]
    with torch.inference_mode():
        for mode in modes:
            try:
                if mode == "eager":
                    row[mode] = replay_ms(lambda: model(*tensors))
                elif mode == "graph":
                    row[mode] = replay_ms(captured(lambda: model(*tensors)))
                else:
                    compiled = torch.compile(
                        model, mode="max-autotune-no-cudagraphs" if mode == "autotune" else None)
                    compiled(*tensors)
                    row[mode] = replay_ms(captured(lambda: compiled(*tensors)))
            except Exception as error:  # one way that fails leaves the others
                row[mode + "_error"] = f"{type(error).__name__}: {error}"[:300]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("batch", type=int, nargs="?")
    parser.add_argument("--precision", default="fp16", choices=list(DTYPES))
    parser.add_argument("--modes", default="eager,graph,compile,autotune")
    parser.add_argument("--serve", action="store_true", help="answer lines of standard input")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    modes = options.modes.split(",")
    if not options.serve:
        print(json.dumps(measured(options.model, options.batch, options.precision, modes)))
        return
    torch.cuda.synchronize()
    print(json.dumps({"torch": torch.__version__}), flush=True)  # from here on it is quiet between questions
    for line in sys.stdin:
        name, batch, precision = line.split()
        try:
            row = measured(name, int(batch), precision, modes)
        except Exception as error:  # a package or memory that one model lacks leaves the others
            row = {"model": name, "error": f"{type(error).__name__}: {error}"[:300]}
        torch.cuda.empty_cache()
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
