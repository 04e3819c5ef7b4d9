#!/usr/bin/env python3
"""Writes the mean of two models of one shape and history, weight by weight.

  scripts/average_models.py A B --share 0.5 --output DIR

A and B are directories that `fastvlm-train export` wrote, and one of them was trained further from the
other: then the mean often keeps what the first knew and has what the second learned. --share is the
weight of B, and A gets the rest. The other files are copied from A. Needs numpy and safetensors.
"""
import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of B, 0 to 1")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    a, b = (load_file(directory / "model.safetensors") for directory in (args.a, args.b))
    if {k: v.shape for k, v in a.items()} != {k: v.shape for k, v in b.items()}:
        sys.exit(f"average_models.py: {args.a} and {args.b} have not the same tensors")
    mean = {}
    for name, value in a.items():
        if value.dtype.kind != "f":
            mean[name] = value
            continue
        sum_ = (1 - args.share) * value.astype(np.float64) + args.share * b[name]
        mean[name] = sum_.astype(value.dtype)
    args.output.mkdir(parents=True, exist_ok=True)
    for file in args.a.iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copy(file, args.output / file.name)
    save_file(mean, args.output / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
