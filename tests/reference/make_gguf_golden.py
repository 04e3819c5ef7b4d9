#!/usr/bin/env python3
"""Writes tests/golden/gguf/: small GGUF files made by the Python package `gguf`, whose readings of
them are the expected values.

  blocks.gguf     for each block type a tensor "<TYPE>" of random bytes (all patterns of scales and
                  integers, scales finite) and "<TYPE>.values", the package's dequantization, F32;
                  "quantize" [16, 64] F32, and for Q8_0 and Q4_0 "quantize.<TYPE>", the blocks that the
                  formula of base/quant_block.h gives, computed here with NumPy
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


def quantize_q8(blocks: np.ndarray) -> np.ndarray:
    scale = (np.abs(blocks).max(axis=1) / np.float32(127)).astype(np.float16)
    wide = scale.astype(np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(wide == 0, 0, np.clip(np.rint(blocks / wide), -127, 127)).astype(np.int8)
    return np.concatenate([scale.view(np.uint8).reshape(-1, 2), q.view(np.uint8)], axis=1)


def quantize_q4(blocks: np.ndarray) -> np.ndarray:
    extreme = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(axis=1)]
    scale = (extreme / np.float32(-8)).astype(np.float16)
    wide = scale.astype(np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(wide == 0, 0, np.clip(np.rint(blocks / wide), -8, 7)).astype(np.int8)
    nibbles = (q + 8).astype(np.uint8)
    packed = nibbles[:, :16] | nibbles[:, 16:] << 4
    return np.concatenate([scale.view(np.uint8).reshape(-1, 2), packed], axis=1)


def write_blocks(path: pathlib.Path) -> None:
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "golden")
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(rng, name)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        writer.add_tensor(name + ".values", values)
    values = rng.standard_normal((16, 64)).astype(np.float32)
    values[1, :32] = 0
    values[2] *= 1e-4
    values[3, 5] = 1000
    writer.add_tensor("quantize", values)
    for name, quantize in [("Q8_0", quantize_q8), ("Q4_0", quantize_q4)]:
        blocks = quantize(values.reshape(-1, 32)).reshape(16, -1)
        writer.add_tensor("quantize." + name, blocks, raw_dtype=gguf.GGMLQuantizationType[name])
        ours = np.abs(gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name]) - values).mean()
        theirs_blocks = gguf.quants.quantize(values, gguf.GGMLQuantizationType[name])
        theirs = np.abs(gguf.quants.dequantize(theirs_blocks, gguf.GGMLQuantizationType[name]) - values).mean()
        print(f"{name}: mean |error| ours {ours:.6g}, gguf's quantizer {theirs:.6g}")
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
