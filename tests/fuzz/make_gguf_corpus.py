#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/gguf/: the smallest model.gguf and mmproj.gguf that are read to the end, and a
file with one key of every metadata type (tests/golden/gguf/metadata.gguf).

Needs: pip install gguf numpy. Usage: tests/fuzz/make_gguf_corpus.py
"""
import pathlib
import shutil

import gguf
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/fuzz/corpus/gguf"
HIDDEN = 32


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_decoder(path: pathlib.Path) -> None:
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(["a", "b", "ab", "<|im_end|>"])
    writer.add_token_types([1, 1, 1, 3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(3)
    types = iter(["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "F32", "Q8_0"])

    def matrix(name: str, rows: int) -> None:
        kind = gguf.GGMLQuantizationType[next(types)]
        values = rng.standard_normal((rows, HIDDEN)).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def vector(name: str) -> None:
        writer.add_tensor(name, np.ones(HIDDEN, dtype=np.float32))

    matrix("token_embd.weight", 4)
    vector("output_norm.weight")
    for name in ("attn_norm", "ffn_norm"):
        vector(f"blk.0.{name}.weight")
    for name in ("attn_q", "attn_k", "attn_v"):
        matrix(f"blk.0.{name}.weight", HIDDEN)
        vector(f"blk.0.{name}.bias")
    for name in ("attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        matrix(f"blk.0.{name}.weight", HIDDEN)
    finish(writer)


def write_vision(path: pathlib.Path) -> None:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_string("clip.projector_type", "fastvlm")
    writer.add_uint32("fastvlm.version", 1)
    writer.add_uint32("fastvlm.vision.head_dim", 32)
    writer.add_uint32("clip.vision.image_size", 4)
    writer.add_array("clip.vision.image_mean", [0.0, 0.0, 0.0])
    writer.add_array("clip.vision.image_std", [1.0, 1.0, 1.0])

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, np.full(shape, 0.5, dtype=np.float32))

    def both(name: str, *shape: int) -> None:
        add(name + ".weight", *shape)
        add(name + ".bias", shape[0])

    def blocks(name: str, rows: int) -> None:  # a short row, filled up
        kind = gguf.GGMLQuantizationType.Q8_0
        values = np.zeros((rows, 32), dtype=np.float32)
        values[:, :4] = 0.5
        writer.add_tensor(name + ".weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
        add(name + ".bias", rows)

    both("vision.stem.0", 4, 3, 3, 3)
    both("vision.stem.1", 4, 1, 3, 3)
    both("vision.stem.2", 4, 4)
    block = "vision.stages.0.blocks.0."
    both(block + "mixer", 4, 1, 3, 3)
    both(block + "ffn.conv", 4, 1, 7, 7)
    blocks(block + "ffn.fc1", 4)
    blocks(block + "ffn.fc2", 4)
    add(block + "layer_scale", 4, 1, 1)
    both("vision.expand", 4, 1, 3, 3)
    both("vision.squeeze", 2, 4)
    both("vision.excite", 4, 2)
    both("projector.first", HIDDEN, 4)
    both("projector.second", HIDDEN, HIDDEN)
    finish(writer)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    write_decoder(OUT / "model")
    write_vision(OUT / "mmproj")
    shutil.copy(ROOT / "tests/golden/gguf/metadata.gguf", OUT / "metadata")


if __name__ == "__main__":
    main()
