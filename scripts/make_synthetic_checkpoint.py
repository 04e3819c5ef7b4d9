#!/usr/bin/env python3
"""Writes a full-size FastVLM checkpoint with random weights, in Apple's (LLaVA) file layout.

The files have the names, shapes, dtypes and config of the published ones, so speed, memory use
and loading can be measured, and numbers compared with other implementations, without a download.
The answers of such a model are noise. Only numpy is needed.
"""

import argparse
import dataclasses
import json
import os
import re
import shutil
import sys
import zlib
from pathlib import Path
from typing import Iterator

import numpy as np

BASE_VOCAB = 151643  # byte-level BPE tokens of Qwen2, before the added ones
SHARD_BYTES = 5_000_000_000
CHUNK = 1 << 22  # values generated at once
VISION = "model.vision_tower.vision_tower.model."

QWEN2_ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN25_ADDED = QWEN2_ADDED + [
    "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
    "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>",
    "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that fixes names and shapes. The encoder's defaults are FastViTHD's."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab_rows: int
    tied: bool
    max_window_layers: int = 28
    sliding_window: int = 32768
    added_tokens: tuple[str, ...] = tuple(QWEN2_ADDED)
    base_vocab: int = BASE_VOCAB
    dims: tuple[int, ...] = (96, 192, 384, 768, 1536)
    depths: tuple[int, ...] = (2, 12, 24, 4, 2)


SIZES = {
    "0.5b": Architecture(896, 24, 14, 2, 4864, 151936, True, max_window_layers=24),
    "1.5b": Architecture(1536, 28, 12, 2, 8960, 151936, True),
    "7b": Architecture(3584, 28, 28, 4, 18944, 152064, False, sliding_window=131072,
                       added_tokens=tuple(QWEN25_ADDED)),
}


# --- names and shapes -----------------------------------------------------------------------


def decoder_tensors(arch: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    h, kv = arch.hidden, arch.kv_heads * (arch.hidden // arch.heads)
    yield "model.embed_tokens.weight", (arch.vocab_rows, h)
    for i in range(arch.layers):
        p = f"model.layers.{i}."
        for name, rows in (("q", h), ("k", kv), ("v", kv)):
            yield f"{p}self_attn.{name}_proj.weight", (rows, h)
            yield f"{p}self_attn.{name}_proj.bias", (rows,)
        yield p + "self_attn.o_proj.weight", (h, h)
        yield p + "mlp.gate_proj.weight", (arch.intermediate, h)
        yield p + "mlp.up_proj.weight", (arch.intermediate, h)
        yield p + "mlp.down_proj.weight", (h, arch.intermediate)
        yield p + "input_layernorm.weight", (h,)
        yield p + "post_attention_layernorm.weight", (h,)
    yield "model.norm.weight", (h,)


def conv(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name + ".weight", shape
    yield name + ".bias", shape[:1]


def block_tensors(prefix: str, dim: int, attention: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    if attention:
        yield from conv(prefix + "norm", (dim,))
        yield prefix + "token_mixer.qkv.weight", (3 * dim, dim)
        yield from conv(prefix + "token_mixer.proj", (dim, dim))
        yield prefix + "layer_scale_1", (dim, 1, 1)
        yield prefix + "layer_scale_2", (dim, 1, 1)
    else:
        yield from conv(prefix + "token_mixer.reparam_conv", (dim, 1, 3, 3))
        yield prefix + "layer_scale", (dim, 1, 1)
    yield prefix + "convffn.conv.conv.weight", (dim, 1, 7, 7)
    for field in ("weight", "bias", "running_mean", "running_var"):
        yield f"{prefix}convffn.conv.bn.{field}", (dim,)
    yield prefix + "convffn.conv.bn.num_batches_tracked", ()
    yield from conv(prefix + "convffn.fc1", (4 * dim, dim, 1, 1))
    yield from conv(prefix + "convffn.fc2", (dim, 4 * dim, 1, 1))


def vision_tensors(arch: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    dims = arch.dims
    for i, inner in enumerate(((3, 3, 3), (1, 3, 3), (dims[0], 1, 1))):
        yield from conv(f"{VISION}patch_embed.{i}.reparam_conv", (dims[0], *inner))
    index = 0  # position in the module list that holds blocks, downsamplers and encodings
    for stage, (dim, depth) in enumerate(zip(dims, arch.depths)):
        attention = stage >= len(dims) - 2
        if stage > 0:
            down = f"{VISION}network.{index}.proj."
            yield from conv(down + "0.lkb_reparam", (dim, 1, 7, 7))
            yield from conv(down + "1.reparam_conv", (dim, dim, 1, 1))
            index += 1
        if attention:
            yield from conv(f"{VISION}network.{index}.reparam_conv", (dim, 1, 7, 7))
            index += 1
        for block in range(depth):
            yield from block_tensors(f"{VISION}network.{index}.{block}.", dim, attention)
        index += 1
    features = 2 * dims[-1]
    yield from conv(VISION + "conv_exp.reparam_conv", (features, 1, 3, 3))
    yield from conv(VISION + "conv_exp.se.reduce", (features // 16, features, 1, 1))
    yield from conv(VISION + "conv_exp.se.expand", (features, features // 16, 1, 1))
    yield VISION + "head.proj", (features, features // 4)  # CLIP's head, not used by the model


def all_tensors(arch: Architecture) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the published model's state dict."""
    tensors = list(decoder_tensors(arch)) + list(vision_tensors(arch))
    tensors += conv("model.mm_projector.0", (arch.hidden, 2 * arch.dims[-1]))
    tensors += conv("model.mm_projector.2", (arch.hidden, arch.hidden))
    tensors.append(("lm_head.weight", (arch.vocab_rows, arch.hidden)))
    return tensors


# --- values ---------------------------------------------------------------------------------

# (pattern, gain): weights are normal with variance gain / fan_in. GELU halves the mean square
# (gain 2.35 restores it); attention averages (gain 4); softmax needs scores of some spread (2.5).
GAINS = [
    (r"patch_embed\.0\.", 8.0), (r"patch_embed\.[12]\.", 3.5), (r"fc2\.", 2.35),
    (r"proj\.0\.lkb_reparam", 2.0), (r"proj\.1\.reparam_conv", 3.0), (r"conv_exp\.rep", 3.0),
    (r"token_mixer\.proj\.", 4.0), (r"token_mixer\.qkv\.", 2.0),
    (r"conv_exp\.se", 4.0), (r"mm_projector\.0\.", 4.0), (r"mm_projector\.2\.", 3.0),
    (r"self_attn\.[qk]_proj", 4.0), (r"self_attn\.o_proj", 0.3), (r"mlp\.down_proj", 6.0),
]
# Mean and spread of the tensors that are not weights of a linear map.
VECTORS = [
    (r"bn\.weight$|(norm|layernorm)\.weight$", 1.0, 0.15),
    (r"bn\.running_mean$", 0.0, 0.2),
    (r"self_attn\.[qkv]_proj\.bias$", 0.0, 0.3),
    (r"bias$", 0.0, 0.1),
]


def find(table: list[tuple], name: str) -> tuple | None:
    return next((row for row in table if re.search(row[0], name)), None)


def block_scale(arch: Architecture, name: str) -> float:
    """Mean size of a layer scale: smaller in deep stages, so that the sum does not grow."""
    index = int(re.search(r"network\.(\d+)\.", name).group(1))
    stage = {0: 0, 2: 1, 4: 2, 7: 3, 10: 4}[index]
    return 0.3 * min(1.0, (4.0 / arch.depths[stage]) ** 0.5)


def weight_std(arch: Architecture, name: str, shape: tuple[int, ...]) -> float:
    if name in ("model.embed_tokens.weight", "lm_head.weight"):
        if not arch.tied and name == "model.embed_tokens.weight":
            return 0.7
        return 2.6 / arch.hidden**0.5  # logits then have a standard deviation of about 2.6
    row = find(GAINS, name)
    gain = row[1] if row else 1.0
    if re.search(r"o_proj|down_proj", name):
        gain *= min(1.0, 4.0 / arch.layers)
    return (gain / float(np.prod(shape[1:]))) ** 0.5


def generate(arch: Architecture, name: str, shape: tuple[int, ...],
             seed: int) -> Iterator[np.ndarray]:
    """The tensor's values, float32 and flat, in pieces. They depend on seed and name only."""
    source = "model.embed_tokens.weight" if arch.tied and name == "lm_head.weight" else name
    rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(source.encode())]))
    count = int(np.prod(shape))
    if name.endswith("running_var"):
        yield rng.uniform(0.5, 1.5, count).astype(np.float32)
    elif "layer_scale" in name:
        mean = block_scale(arch, name)
        sign = np.where(rng.random(count) < 0.5, -1.0, 1.0)
        yield (sign * rng.uniform(0.6 * mean, 1.4 * mean, count)).astype(np.float32)
    elif len(shape) == 1:
        _, mean, std = find(VECTORS, name)
        yield (mean + std * rng.standard_normal(count, np.float32)).astype(np.float32)
    elif re.search(r"token_mixer\.reparam_conv|network\.(6|9)\.reparam_conv", name):
        # A depthwise convolution with the identity folded in, as in the trained model.
        taps = int(np.prod(shape[1:]))
        values = rng.standard_normal((shape[0], taps), np.float32) * np.float32((0.2 / taps) ** 0.5)
        values[:, taps // 2] += np.float32(0.8**0.5)
        yield values.reshape(-1)
    else:
        std = np.float32(weight_std(arch, source, shape))
        for start in range(0, count, CHUNK):
            yield rng.standard_normal(min(CHUNK, count - start), np.float32) * std


def to_bf16(values: np.ndarray) -> np.ndarray:
    """Rounds float32 to bfloat16 (nearest even), returned as its 16 bits. No NaN expected."""
    bits = values.view(np.uint32)
    return ((bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16).astype("<u2")


# --- files ----------------------------------------------------------------------------------


class Progress:
    def __init__(self, total: int):
        self.total, self.done, self.shown = total, 0, -1

    def add(self, count: int) -> None:
        self.done += count
        percent = 100 * self.done // max(self.total, 1)
        if percent != self.shown and sys.stderr.isatty() or percent // 25 != self.shown // 25:
            bar = "#" * (percent * 40 // 100)
            end = "" if sys.stderr.isatty() and percent < 100 else "\n"
            print(f"\r[{bar:<40}] {percent:3d} % of {self.total / 1e9:.2f} GB", end=end,
                  file=sys.stderr, flush=True)
            self.shown = percent


def tensor_bytes(shape: tuple[int, ...]) -> int:
    return 2 * int(np.prod(shape)) if shape else 8


def write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_safetensors(path: Path, arch: Architecture, tensors: list, seed: int,
                      progress: Progress) -> None:
    # As the safetensors library orders them: widest dtype first, then by name.
    tensors = sorted(tensors, key=lambda t: (t[1] != (), t[0]))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = offset + tensor_bytes(shape)
        header[name] = {"dtype": "BF16" if shape else "I64", "shape": list(shape),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name, shape in tensors:
                if not shape:
                    file.write(np.array(1000, "<i8").tobytes())
                    progress.add(8)
                    continue
                for piece in generate(arch, name, shape, seed):
                    file.write(to_bf16(piece).tobytes())
                    progress.add(2 * piece.size)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def shards(tensors: list) -> list[list]:
    groups, size = [[]], 0
    for name, shape in tensors:
        if groups[-1] and size + tensor_bytes(shape) > SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append((name, shape))
        size += tensor_bytes(shape)
    return groups


def apple_config(arch: Architecture, dtype: str = "bfloat16") -> dict:
    bos = arch.base_vocab
    return {
        "architectures": ["LlavaQwen2ForCausalLM"], "attention_dropout": 0.0,
        "auto_map": {"AutoConfig": "llava_qwen.LlavaConfig",
                     "AutoModelForCausalLM": "llava_qwen.LlavaQwen2ForCausalLM"},
        "bos_token_id": bos, "eos_token_id": bos + 2, "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu", "hidden_size": arch.hidden, "image_aspect_ratio": "pad",
        "image_grid_pinpoints": None, "initializer_range": 0.02,
        "intermediate_size": arch.intermediate, "max_position_embeddings": 32768,
        "max_window_layers": arch.max_window_layers, "mm_hidden_size": 2 * arch.dims[-1],
        "mm_patch_merge_type": "flat", "mm_projector_lr": None,
        "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False, "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2, "mm_vision_tower": "mobileclip_l_1024",
        "model_type": "llava_qwen2", "num_attention_heads": arch.heads,
        "num_hidden_layers": arch.layers, "num_key_value_heads": arch.kv_heads,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": arch.sliding_window,
        "tie_word_embeddings": arch.tied, "tokenizer_model_max_length": 8192,
        "tokenizer_padding_side": "right", "torch_dtype": dtype,
        "transformers_version": "4.39.3", "tune_mm_mlp_adapter": False,
        "unfreeze_mm_vision_tower": True, "use_cache": True, "use_mm_proj": True,
        "use_sliding_window": False, "vocab_size": arch.vocab_rows,
    }


def added_token(text: str, bare: bool = False) -> dict:
    # The tool-call and fill-in tokens of Qwen2.5 are added tokens, but not special ones.
    special = not re.search(r"tool_call|fim_|repo_name|file_sep", text)
    fields = {"content": text, "lstrip": False, "normalized": False, "rstrip": False,
              "single_word": False}
    return fields if bare else {**fields, "special": special}


def small_files(arch: Architecture, dtype: str = "bfloat16") -> dict[str, str]:
    """The JSON files beside the weights, by file name."""
    ids = {token: arch.base_vocab + i for i, token in enumerate(arch.added_tokens)}
    specials = list(arch.added_tokens[1:3])
    template = (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
    files = {
        "config.json": apple_config(arch, dtype),
        "generation_config.json": {"do_sample": True, "temperature": None, "top_p": None,
                                   "transformers_version": "4.39.3"},
        "added_tokens.json": dict(sorted(ids.items())),
        "special_tokens_map.json": {
            "additional_special_tokens": specials,
            "eos_token": added_token("<|im_end|>", bare=True),
            "pad_token": added_token("<|endoftext|>", bare=True)},
        "tokenizer_config.json": {
            "add_prefix_space": False,
            "added_tokens_decoder": {str(i): added_token(t) for t, i in ids.items()},
            "additional_special_tokens": specials, "bos_token": None, "chat_template": template,
            "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>",
            "errors": "replace", "model_max_length": 8192, "pad_token": "<|endoftext|>",
            "padding_side": "right", "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer", "unk_token": None},
        "preprocessor_config.json": {
            "crop_size": {"height": 1024, "width": 1024}, "do_center_crop": True,
            "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
            "image_mean": [0.0, 0.0, 0.0], "image_processor_type": "CLIPImageProcessor",
            "image_std": [1.0, 1.0, 1.0], "processor_class": "LlavaProcessor", "resample": 3,
            "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 1024}},
    }
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in set(plain)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]


def synthetic_tokenizer(count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """A consistent byte-level BPE: one new vocabulary entry per merge of two earlier ones."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    starts = ["\u0120"] + letters  # U+0120 stands for the space
    pairs = [(a, b) for a in starts for b in letters]
    triples = [(a + b, c) for a, b in pairs for c in letters]
    quads = [(a + b, c + d) for a, b in pairs for c, d in pairs if c != "\u0120"]
    merges = pairs + triples
    missing = count - 256 - len(merges)
    if not 0 <= missing <= len(quads):
        raise ValueError(f"a synthetic vocabulary of {count} tokens is not possible")
    order = np.random.default_rng(seed).permutation(len(quads))[:missing]
    merges += [quads[i] for i in sorted(order)]
    vocab = byte_letters() + [a + b for a, b in merges]
    return {token: i for i, token in enumerate(vocab)}, [f"{a} {b}" for a, b in merges]


def write_tokenizer(directory: Path, arch: Architecture, source: Path | None, seed: int) -> None:
    if source:
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(source / name, directory / name)
        return
    vocab, merges = synthetic_tokenizer(arch.base_vocab, seed)
    write_text(directory / "vocab.json", json.dumps(vocab, ensure_ascii=False))
    write_text(directory / "merges.txt", "#version: 0.2\n" + "\n".join(merges) + "\n")


def write_checkpoint(directory: Path, arch: Architecture, seed: int,
                     tokenizer: Path | None) -> None:
    tensors = all_tensors(arch)
    total = sum(tensor_bytes(shape) for _, shape in tensors)
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < total + (64 << 20):
        raise OSError(f"{directory}: {total / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; "
                      "choose another directory or a smaller size")
    groups, progress = shards(tensors), Progress(total)
    names = [f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors" for i in range(len(groups))]
    if len(groups) == 1:
        names = ["model.safetensors"]
    for file_name, group in zip(names, groups):
        write_safetensors(directory / file_name, arch, group, seed, progress)
    if len(groups) > 1:
        places = {n: f for f, group in zip(names, groups) for n, _ in group}
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        write_text(directory / "model.safetensors.index.json", json.dumps(index, indent=2) + "\n")
    write_tokenizer(directory, arch, tokenizer, seed)
    for file_name, text in small_files(arch).items():
        write_text(directory / file_name, text)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
               "  make_synthetic_checkpoint.py 0.5b /data/fastvlm-0.5b-random\n"
               "  make_synthetic_checkpoint.py 7b /data/random7b --seed 7\n"
               "  make_synthetic_checkpoint.py 0.5b out --tokenizer ~/models/FastVLM-0.5B\n")
    parser.add_argument("size", choices=sorted(SIZES), help="which published model to imitate")
    parser.add_argument("directory", type=Path, help="where to write; made if missing")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default 0)")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR",
                        help="copy vocab.json and merges.txt from DIR (default: a synthetic "
                             "vocabulary of the right size)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing config.json")
    args = parser.parse_args()
    if args.tokenizer:
        for name in ("vocab.json", "merges.txt"):
            if not (args.tokenizer / name).is_file():
                parser.error(f"{args.tokenizer / name} is not a file")
    if (args.directory / "config.json").exists() and not args.force:
        parser.error(f"{args.directory} already holds a checkpoint; pass --force to overwrite it")
    try:
        write_checkpoint(args.directory, SIZES[args.size], args.seed, args.tokenizer)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
