#!/usr/bin/env python3
"""One contender as a process: passes on request, with the protocol of `fastvlm bench --worker`.

  worker.py BACKEND [key=value ...]

It prints "ready" once loaded, then answers each line of standard input ("encode 1024 [F.npy]",
"prefill 280 [F.npy]", "decode 64 280 [F.npy]", "first-token 1024 [F.npy]") with the milliseconds of
one pass. F.npy receives what came out, as BenchmarkRunner in fastvlm/benchmark.h has it. compare.py
starts this; it is not run by hand except to look for a fault.
"""
import importlib
import os
import sys

import numpy as np

BACKENDS = {  # name -> module, class
    "torch": ("backend_torch", "TorchEncoder"),
    "apple": ("backend_torch", "AppleEncoder"),
    "transformers-text": ("backend_torch", "TransformersText"),
    "transformers-fastvlm": ("backend_torch", "TransformersFastVlm"),
    "llava-onevision": ("backend_torch", "LlavaOneVision"),
    "onnxruntime": ("backend_graph", "OnnxRuntimeEncoder"),
    "openvino": ("backend_graph", "OpenVinoEncoder"),
    "mnn": ("backend_graph", "MnnEncoder"),
    "llama.cpp": ("backend_llama", "LlamaCpp"),
}


def run(backend, line: str) -> tuple[float, np.ndarray]:
    kind, *words = line.split()
    method = getattr(backend, kind.replace("-", "_"))
    return method(*map(int, words))


def main() -> None:
    options = dict(pair.split("=", 1) for pair in sys.argv[2:])
    # Libraries print to standard output as they like; the answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, name = BACKENDS[sys.argv[1]]
    backend = getattr(importlib.import_module(module), name)(**options)
    print("ready", file=answers)
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        output = words.pop() if words[-1].endswith(".npy") else None
        ms, result = run(backend, " ".join(words))
        if output:
            np.save(output, np.asarray(result, np.float32))
        print(f"{ms:.3f}", file=answers)


if __name__ == "__main__":
    main()
