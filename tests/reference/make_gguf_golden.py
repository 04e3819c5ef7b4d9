#!/usr/bin/env python3
"""Writes tests/golden/gguf/: small GGUF files made by the Python package `gguf`, whose readings of
them are the expected values.

  blocks.gguf     for each block type a tensor "<TYPE>" of random bytes (all patterns of scales and
                  integers, scales finite) and "<TYPE>.values", the package's dequantization, F32;
                  for Q8_0 and Q4_0 the package's quantization, "quantized.<TYPE>", of the F32 tensor
                  "quantized.<TYPE>.values" [16, 64], and "exact.<TYPE>" of "exact.<TYPE>.values" [16, 64],
                  whose blocks have scales that f16 holds exactly
  metadata.gguf   one key of every metadata type, and tensors of every float type

Needs: pip install gguf numpy. Usage: make_gguf_golden.py OUT_DIR
"""
import pathlib
import sys

import gguf
import numpy as np

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
# Where the f16 scales of a block are, bytes.
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
ROWS, COLUMNS = 4, 512


def random_blocks(rng: np.random.Generator, name: str) -> np.ndarray:
    kind = gguf.GGMLQuantizationType[name]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    count = ROWS * COLUMNS // values
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[name]:
        scales = (rng.standard_normal(count) * 0.02).astype(np.float16)
        scales[0], scales[1 % count] = np.float16(6e-8), np.float16(-0.0)  # the smallest subnormal; zero
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def plain_values(rng: np.random.Generator) -> np.ndarray:
    values = rng.standard_normal((16, 64)).astype(np.float32)
    values[1, :32] = 0
    values[2] *= 1e-4
    values[3, 5] = 1000
    return values


def exact_values(rng: np.random.Generator, name: str) -> np.ndarray:
    """Blocks whose greatest value is the type's extreme integer times an f16 number."""
    extreme = {"Q8_0": 127, "Q4_0": -8}[name]
    scales = (rng.standard_normal(32) * 0.02).astype(np.float16).astype(np.float32)
    # Nothing near the middle between two integers, where rounding is a matter of taste.
    integers = rng.integers(1 - abs(extreme), abs(extreme) - 1, (32, 32))
    multiples = integers + rng.uniform(-0.45, 0.45, (32, 32))
    multiples[np.arange(32), rng.integers(0, 32, 32)] = extreme
    values = (multiples * scales[:, None]).astype(np.float32)
    return values.reshape(16, 64)


def write_blocks(path: pathlib.Path) -> None:
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "golden")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(rng, name)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        writer.add_tensor(name + ".values", values)
    for name in ["Q8_0", "Q4_0"]:
        kind = gguf.GGMLQuantizationType[name]
        for what, values in [("quantized", plain_values(rng)), ("exact", exact_values(rng, name))]:
            writer.add_tensor(f"{what}.{name}.values", values)
            writer.add_tensor(f"{what}.{name}", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_metadata(path: pathlib.Path) -> None:
    writer = gguf.GGUFWriter(path, "golden")
    writer.add_custom_alignment(64)
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_uint32("u32", 4000000000)
    writer.add_int32("i32", -2000000000)
    writer.add_uint64("u64", 1 << 63)
    writer.add_int64("i64", -(1 << 62))
    writer.add_float32("f32", 0.1)
    writer.add_float64("f64", 0.1)
    writer.add_bool("yes", True)
    writer.add_string("text", "na\u00efve")
    writer.add_array("strings", ["a", "", "\u6c34"])
    writer.add_array("integers", [1, -2, 3])
    writer.add_array("floats", [0.5, -0.25])
    writer.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("f16", np.array([[1.5, -2.0]], dtype=np.float16))
    bf16 = gguf.quants.quantize(np.array([[3.0, 0.1]], dtype=np.float32), gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("bf16", bf16, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write_blocks(out / "blocks.gguf")
    write_metadata(out / "metadata.gguf")


if __name__ == "__main__":
    main()
