#!/usr/bin/env python3
"""Writes tests/golden/mlx/affine.safetensors: matrices quantized and dequantized by MLX itself.

  python -m venv env && env/bin/pip install 'mlx[cpu]' numpy
  env/bin/python tests/reference/make_mlx_golden.py

For each case `q<bits>.g<group>.<dtype of the scales>`: .weight (U32), .scales and .biases of
mlx.core.quantize, and .values (F32) of mlx.core.dequantize with scales and biases widened to F32.
"""

import argparse
from pathlib import Path

import mlx.core as mx
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DTYPES = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}
COLUMNS = 256
CASES = [(bits, group, dtype) for bits in (4, 8) for group in (32, 64, 128) for dtype in DTYPES]
CASES += [(bits, 64, "BF16") for bits in (2, 3, 5, 6)]


def matrix(seed: int) -> np.ndarray:
    """Rows that exercise the format: both signs, constants, one sign only, tiny and large."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(4, COLUMNS)).astype(np.float32)
    rows[1] = np.repeat(np.arange(COLUMNS // 32), 32) - 3.0  # constant within each group of 32
    rows[2] = np.abs(rows[2]) + 10
    rows[3] *= np.repeat(10.0 ** np.arange(-4, 4), 32)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "tests/golden/mlx/affine.safetensors")
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    arrays, negative = {}, 0
    for seed, (bits, group, dtype) in enumerate(CASES):
        weights = mx.array(matrix(seed)).astype(DTYPES[dtype])
        packed, scales, biases = mx.quantize(weights, group_size=group, bits=bits)
        negative += int((scales.astype(mx.float32) < 0).sum())
        values = mx.dequantize(packed, scales.astype(mx.float32), biases.astype(mx.float32),
                               group_size=group, bits=bits)
        for name, array in {"weight": packed, "scales": scales, "biases": biases,
                            "values": values}.items():
            arrays[f"q{bits}.g{group}.{dtype}.{name}"] = array
    if negative == 0:
        raise SystemExit("no negative scale: the matrices do not test them")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(args.output), arrays, metadata={"format": "mlx", "mlx": mx.__version__})
    print(f"{args.output}: {len(CASES)} cases, {negative} negative scales, "
          f"{args.output.stat().st_size} bytes, mlx {mx.__version__}")


if __name__ == "__main__":
    main()
