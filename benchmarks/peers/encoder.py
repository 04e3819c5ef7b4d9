#!/usr/bin/env python3
"""Encoder time of this project against PyTorch's, in turns, on one machine with the same threads.

The peers are timm's fastvit_mci3 (what transformers runs) and, with --apple-source, Apple's own
encoder, both in f32 with random weights: their time does not depend on the values.

  pip install -r benchmarks/peers/requirements.txt
  scripts/make_synthetic_checkpoint.py 0.5b fastvlm-0.5b-synthetic
  cmake --preset bench && cmake --build --preset bench --target encode_loop
  python benchmarks/peers/encoder.py --model fastvlm-0.5b-synthetic
"""
import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import timm
import torch

ROOT = Path(__file__).resolve().parents[2]


class Ours:
    def __init__(self, program: str, model: str, resolution: int, threads: int):
        self.process = subprocess.Popen([program, model, str(resolution), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("encode_loop ended; its message is above")
        return float(line)


class Torch:
    def __init__(self, module: torch.nn.Module, resolution: int, channels_last: bool):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.module = module.eval().to(memory_format=layout)
        self.pixels = torch.rand(1, 3, resolution, resolution).to(memory_format=layout)

    def __call__(self) -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            self.module(self.pixels)
        return 1000 * (time.perf_counter() - start)


def timm_encoder() -> torch.nn.Module:
    model = timm.create_model("fastvit_mci3", inference_mode=True, num_classes=0)
    model.head = torch.nn.Identity()
    return model


def apple_encoder(source: Path) -> torch.nn.Module:
    sys.path.insert(0, str(source))
    from llava.model.multimodal_encoder.mobileclip import mci
    model = mci.fastvithd()
    model.head = torch.nn.Identity()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="full-size checkpoint in Apple's layout")
    parser.add_argument("--program", default=str(ROOT / "build/bench/bin/encode_loop"))
    parser.add_argument("--apple-source", type=Path, help="clone of https://github.com/apple/ml-fastvlm")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    runners = {
        "fastvlm f32": Ours(args.program, args.model, args.resolution, args.threads),
        "timm f32": Torch(timm_encoder(), args.resolution, False),
        "timm f32 channels_last": Torch(timm_encoder(), args.resolution, True),
    }
    if args.apple_source:
        runners["Apple f32"] = Torch(apple_encoder(args.apple_source), args.resolution, False)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for name, run in runners.items():
        run()  # warm up
    for _ in range(args.rounds):
        for name, run in runners.items():
            times[name].append(run())
    ours = statistics.median(times["fastvlm f32"])
    print(f"{args.resolution}x{args.resolution}, {args.threads} threads, {args.rounds} rounds, "
          f"torch {torch.__version__}, timm {timm.__version__}")
    print(f"{'':24} {'median ms':>10} {'min':>9} {'max':>9} {'fastvlm is':>12}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:24} {median:10.0f} {min(values):9.0f} {max(values):9.0f} {median / ours:11.2f}x")


if __name__ == "__main__":
    main()
