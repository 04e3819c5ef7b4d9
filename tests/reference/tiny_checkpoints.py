#!/usr/bin/env python3
"""Writes the small random checkpoints of tests/golden/data, in the published file layouts.

  python tests/reference/tiny_checkpoints.py [--output tests/golden/data]
"""

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPImageProcessor, FastVlmForConditionalGeneration, LlavaProcessor
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

import names
import references

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import make_synthetic_checkpoint as synthetic  # noqa: E402

BASE_VOCAB = 400
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
# Rows without a token are made longer than the others, so that they often have the highest
# logit: a program that forgets to mask them fails the greedy tests.
PADDING_ROW_SCALE = 1.35

CORPUS = """
The picture shows two small cats on a red sofa. The image depicts a red circle on a blue ground.
Describe the image. Describe the image in detail. What is in this image? What is the text here?
What are the colours of the two shapes? Compare the two pictures and say what is the same.
You are a helpful assistant. The system prompt comes before the user and the assistant speaks.
A large tree stands beside the small house; there is a dog, a car and 12 birds in the sky.
How many people are there? There are 3 people in the photo, standing near the old station.
It's raining, they're reading, I'm writing and we'll see: the café serves crème brûlée for 7.50.
"""


@dataclasses.dataclass(frozen=True)
class Spec:
    arch: synthetic.Architecture
    seed: int
    dtype: str
    apple: bool
    shard_count: int = 1


def architecture(**values) -> synthetic.Architecture:
    return synthetic.Architecture(base_vocab=BASE_VOCAB, **values)


# The seeds are ones for which every text of make_golden.py is varied and no choice in it is close.
TIED = architecture(
    hidden=112, layers=3, heads=14, kv_heads=2, intermediate=96, vocab_rows=416, tied=True,
    max_window_layers=3, dims=(8, 16, 32, 64, 128), depths=(1, 2, 2, 1, 1))
SPECS = {
    "apple_tied": Spec(TIED, 42, "bfloat16", apple=True),
    "fast_vlm_tied": Spec(TIED, 42, "bfloat16", apple=False),
    "apple_untied": Spec(architecture(
        hidden=96, layers=2, heads=12, kv_heads=2, intermediate=96, vocab_rows=448, tied=False,
        max_window_layers=2, sliding_window=131072,
        added_tokens=tuple(synthetic.QWEN25_ADDED), dims=(4, 8, 16, 32, 64),
        depths=(2, 1, 1, 1, 2)), 25, "float16", apple=True, shard_count=3),
    "fast_vlm_untied": Spec(architecture(
        hidden=64, layers=2, heads=4, kv_heads=2, intermediate=96, vocab_rows=448, tied=False,
        max_window_layers=2, added_tokens=tuple(synthetic.QWEN25_ADDED), dims=(4, 8, 16, 32, 64),
        depths=(1, 1, 1, 1, 1)), 34, "float32", apple=False),
}


def train_tokenizer() -> tuple[dict[str, int], list[str]]:
    """Vocabulary and merges of a small byte-level BPE with Qwen2's normaliser and splitter."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=BASE_VOCAB, min_frequency=1, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS.strip().split("\n"), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if len(model["vocab"]) != BASE_VOCAB:
        raise ValueError(f"the corpus gives only {len(model['vocab'])} tokens")
    return model["vocab"], [" ".join(pair) for pair in model["merges"]]


def make_tensors(spec: Spec) -> dict[str, torch.Tensor]:
    """Apple's names; values rounded to the stored dtype."""
    tokens = BASE_VOCAB + len(spec.arch.added_tokens)
    tensors = {}
    for name, shape in synthetic.all_tensors(spec.arch):
        if not shape:
            tensors[name] = torch.tensor(1000, dtype=torch.int64)
            continue
        pieces = list(synthetic.generate(spec.arch, name, shape, spec.seed))
        value = torch.from_numpy(np.concatenate(pieces).reshape(shape))
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            value[tokens:] *= PADDING_ROW_SCALE
        tensors[name] = value.to(DTYPES[spec.dtype])
    return tensors


def write_apple(directory: Path, spec: Spec, tensors: dict[str, torch.Tensor]) -> None:
    items, count = list(tensors.items()), spec.shard_count
    if count == 1:
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        return
    places, size = {}, -(-len(items) // count)
    for i in range(count):
        name = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        part = dict(items[i * size:(i + 1) * size])
        save_file(part, directory / name, metadata={"format": "pt"})
        places |= dict.fromkeys(part, name)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_apple_texts(directory: Path, spec: Spec) -> None:
    vocab, merges = train_tokenizer()
    ordered = dict(sorted(vocab.items(), key=lambda item: item[1]))
    (directory / "vocab.json").write_text(json.dumps(ordered, ensure_ascii=False))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    for name, text in synthetic.small_files(spec.arch, spec.dtype).items():
        (directory / name).write_text(text)


def enlarge(rows: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Appends random rows, as the conversion to layout B does when it makes room for `<image>`."""
    generator = torch.Generator().manual_seed(seed)
    extra = torch.randn((count - rows.shape[0], rows.shape[1]), generator=generator)
    extra *= PADDING_ROW_SCALE * rows.float().std()
    return torch.cat([rows, extra.to(rows.dtype)])


def write_transformers(directory: Path, spec: Spec, tensors: dict[str, torch.Tensor]) -> None:
    write_apple_texts(directory, spec)
    tokenizer = references.load_tokenizer(directory)
    config = json.loads((directory / "config.json").read_text())
    for path in directory.iterdir():
        path.unlink()
    tokenizer.add_tokens(AddedToken("<image>", special=True, normalized=False),
                         special_tokens=True)
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    rows = (spec.arch.vocab_rows // 64 + 1) * 64
    full = references.transformers_config(
        config, list(spec.arch.dims), list(spec.arch.depths), rows, image_token,
        eos_token=spec.arch.base_vocab)
    weights = names.to_transformers(tensors)
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        source = "model.language_model.embed_tokens.weight" if spec.arch.tied else name
        seed = 1 if source == "lm_head.weight" else 2
        weights[name] = enlarge(weights[source][:spec.arch.vocab_rows], rows, seed)
    model = FastVlmForConditionalGeneration(full).to(DTYPES[spec.dtype])
    model.load_state_dict(weights, strict=True)
    model.save_pretrained(directory)
    images = CLIPImageProcessor(
        size={"shortest_edge": 1024}, crop_size={"height": 1024, "width": 1024}, resample=3,
        image_mean=[0.0, 0.0, 0.0], image_std=[1.0, 1.0, 1.0])
    LlavaProcessor(image_processor=images, tokenizer=tokenizer, patch_size=64,
                   image_token="<image>").save_pretrained(directory)


def write_checkpoint(directory: Path, spec: Spec) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tensors = make_tensors(spec)
    if spec.apple:
        write_apple(directory, spec, tensors)
        write_apple_texts(directory, spec)
    else:
        write_transformers(directory, spec, tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "tests/golden/data")
    args = parser.parse_args()
    for name, spec in SPECS.items():
        write_checkpoint(args.output / name, spec)
        size = sum(p.stat().st_size for p in (args.output / name).iterdir())
        print(f"{name}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
