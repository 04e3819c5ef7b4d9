#!/usr/bin/env python3
"""Checks the MLX layouts against mlx-vlm's own conversions and its own forward pass.

  python -m venv env && env/bin/pip install mlx-vlm 'mlx[cpu]'
  env/bin/python tests/reference/verify_mlx.py --program build/release/bin/fastvlm
  env/bin/python tests/reference/verify_mlx.py --program ... --model FastVLM-0.5B --group 64

Converts a checkpoint in Apple's layout (default: tests/golden/data/apple_untied) with
mlx_vlm.convert, as it is and in 8, 6 and 4 bits, and makes the forms of Apple's own MLX exports
from the same weights with mlx.core.quantize. For each of them
  - the program must give the same visual tokens and the same answer, bit for bit, as from a
    checkpoint in Apple's layout that holds the values as MLX dequantizes them, in F32;
  - for mlx-vlm's conversions, the visual tokens must be those of mlx-vlm's own model in float32 up to
    rounding, and the greedy answer the same token ids.
Exits with 1 if any of this fails.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map
from mlx_vlm import utils
from mlx_vlm.convert import convert
from mlx_vlm.models.fastvlm import config as mlx_config
from PIL import Image
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "Describe the image."
ANSWER_TOKENS = 12
TOLERANCE = 2e-5  # of the largest value
EXPORT_DTYPE = mx.float16
V_APPLE, V_MLX = "model.vision_tower.vision_tower.model.", "vision_tower.vision_model."


def load(directory: Path) -> dict[str, mx.array]:
    tensors = {}
    for file in sorted(directory.glob("*.safetensors")):
        tensors |= mx.load(str(file))
    return tensors


def adapt_mlx_to(tensors: dict[str, mx.array]) -> int:
    """mlx-vlm's encoder has the published sizes built in: sets them to those of these tensors.
    Returns the width of the CLIP head."""
    def size(name: str) -> int:
        return tensors[V_APPLE + name].shape[0]

    indices = (0, 2, 4, 7, 10)
    blocks = [{int(re.match(rf"{re.escape(V_APPLE)}network\.{i}\.(\d+)\.", n)[1])
               for n in tensors if re.match(rf"{re.escape(V_APPLE)}network\.{i}\.\d+\.", n)}
              for i in indices]
    mlx_config.VisionConfig.layers = [len(b) for b in blocks]
    mlx_config.VisionConfig.embed_dims = [
        size(f"network.{i}.0.convffn.fc2.weight") for i in indices]
    return tensors[V_APPLE + "head.proj"].shape[1]


def to_apple(tensors: dict[str, mx.array]) -> dict[str, mx.array]:
    """Apple's names and shapes in F32, quantized matrices as mlx.core dequantizes them."""
    result = {}
    for name, array in tensors.items():
        if name.endswith((".scales", ".biases")):
            continue
        if array.dtype == mx.uint32:
            prefix = name.removesuffix("weight")
            scales = tensors[prefix + "scales"].astype(mx.float32)
            biases = tensors[prefix + "biases"].astype(mx.float32)
            groups = scales.shape[1]
            # Apart from the ambiguous shapes, which do not occur here, one combination fits.
            fits = [(bits, group) for bits in (3, 4, 6, 8) for group in (32, 64, 128)
                    if array.shape[1] * 32 == groups * group * bits]
            bits, group = next(f for f in fits if f == FORM or len(fits) == 1)
            array = mx.dequantize(array, scales, biases, group_size=group, bits=bits)
        if name.startswith(V_MLX):
            name = name.replace(V_MLX, V_APPLE).replace("patch_embed.blocks.", "patch_embed.")
            if array.ndim == 4:
                array = array.transpose(0, 3, 1, 2)
            if "layer_scale" in name:
                array = array.reshape(-1, 1, 1)
        name = re.sub(r"^mm_projector\.", "model.mm_projector.", name)
        name = re.sub(r"^multi_modal_projector\.linear_", "model.mm_projector.", name)
        name = name.removeprefix("language_model.")
        result[name] = mx.contiguous(array.astype(mx.float32))
    return result


FORM = (0, 0)  # bits and group of the conversion at hand


def copy_texts(source: Path, target: Path) -> dict:
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix != ".safetensors" and not file.name.endswith(".index.json") and file.is_file():
            shutil.copy(file, target)
    return json.loads((target / "config.json").read_text())


def write_apple(source: Path, target: Path, tensors: dict[str, mx.array], tied: bool) -> None:
    config = copy_texts(source, target)
    (target / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": tied}))
    mx.save_safetensors(str(target / "model.safetensors"), tensors, metadata={"format": "pt"})


def write_export(source: Path, target: Path, bits: int, group: int) -> None:
    """What Apple's patch of mlx-vlm writes with --only-llm."""
    tensors = {}
    originals = load(source)
    originals.setdefault("lm_head.weight", originals["model.embed_tokens.weight"])
    for name, array in originals.items():
        if "vision_tower" in name:
            continue
        name = re.sub(r"^model\.mm_projector\.", "multi_modal_projector.linear_", name)
        if not name.startswith("multi_modal"):
            name = "language_model." + name
        array = array.astype(EXPORT_DTYPE)
        if bits and array.ndim == 2 and array.shape[1] % group == 0:
            prefix = name.removesuffix("weight")
            (tensors[name], tensors[prefix + "scales"],
             tensors[prefix + "biases"]) = mx.quantize(array, group_size=group, bits=bits)
        else:
            tensors[name] = array
    config = copy_texts(source, target) | {"tie_word_embeddings": False, "vision_config": {}}
    if bits:
        config["quantization"] = {"group_size": group, "bits": bits}
    (target / "config.json").write_text(json.dumps(config, indent=4, sort_keys=True))
    mx.save_safetensors(str(target / "model.safetensors"), tensors, metadata={"format": "mlx"})


def run(program: str, *arguments: str) -> str:
    result = subprocess.run([program, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: {result.stderr}")
    return result.stdout


def engine(program: str, model: Path, picture: Path, side: int, *flags: str):
    """Visual tokens and the ids of the answer."""
    common = ["--model", str(model), "--precision", "f32", "--resolution", str(side), *flags]
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "tokens.npy"
        run(program, "encode", *common, str(picture), "--output", str(output))
        tokens = np.load(output)
    answer = json.loads(run(program, "describe", *common, "--json", "--prompt", PROMPT,
                            "--max-tokens", str(ANSWER_TOKENS), str(picture)))
    return tokens, answer["token_ids"]


def mlx_answer(directory: Path, picture: Path) -> tuple[np.ndarray, list[int]]:
    """The same from mlx-vlm's own model in float32."""
    model = utils.load_model(directory)
    model.update(tree_map(
        lambda p: p.astype(mx.float32) if mx.issubdtype(p.dtype, mx.floating) else p,
        model.parameters()))
    pixels = mx.array(np.asarray(Image.open(picture), dtype=np.float32)[None] / 255)
    _, features, _ = model.vision_tower(pixels)
    visual = model.mm_projector(features.reshape(1, -1, features.shape[-1]))

    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        f"\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n")]
    embed = model.language_model.model.embed_tokens
    prompt = mx.concatenate([embed(mx.array([ids[0]])), visual, embed(mx.array([ids[1]]))], axis=1)
    image_token = tokenizer.convert_tokens_to_ids("<image>") if "<image>" in tokenizer.get_vocab() \
        else None
    answer, inputs = [], prompt
    while len(answer) < ANSWER_TOKENS:
        logits = model.language_model(None, inputs_embeds=inputs).logits[0, -1]
        logits = np.array(logits)[:len(tokenizer)]
        if image_token is not None:
            logits[image_token] = -np.inf
        answer.append(int(logits.argmax()))
        if tokenizer.decode(answer[-1:]) in ("<|im_end|>", "<|endoftext|>"):
            break
        inputs = mx.concatenate([inputs, embed(mx.array([answer[-1:]]))], axis=1)
    return np.array(visual[0]), answer


class Report:
    failed = False

    def check(self, name: str, ok: bool, text: str) -> None:
        self.failed |= not ok
        print(f"{'ok' if ok else 'FAILED':7} {name:24} {text}", flush=True)


def main() -> None:
    global FORM
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", type=Path, default=ROOT / "tests/golden/data/apple_untied")
    parser.add_argument("--group", type=int, default=32)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--bits", type=int, nargs="*", default=[0, 8, 6, 4])
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        random = np.random.default_rng(7)
        picture = work / "picture.png"
        blocks = random.integers(0, 256, (8, 8, 3)).repeat(args.side // 8, 0)
        Image.fromarray(blocks.repeat(args.side // 8, 1).astype(np.uint8)).save(picture)
        tensors = load(args.model)
        config = copy_texts(args.model, work / "source")
        tied = config["tie_word_embeddings"]
        projection = adapt_mlx_to(tensors)
        vision = config.get("vision_config", {}) | {"projection_dim": projection}
        (work / "source/config.json").write_text(
            json.dumps(config | {"vision_config": vision, "image_token_index": -200}))
        for file in args.model.glob("*.safetensors*"):
            (work / "source" / file.name).symlink_to(file.resolve())

        for bits in args.bits:
            FORM = (bits, args.group)
            label = f"{bits}-bit" if bits else "not quantized"
            converted, exported = work / f"converted{bits}", work / f"exported{bits}"
            convert(str(work / "source"), str(converted), quantize=bits != 0,
                            q_bits=bits or 4, q_group_size=args.group, trust_remote_code=False)
            write_export(args.model, exported, bits, args.group)
            originals = {n: a for n, a in to_apple(tensors).items() if n.startswith(V_APPLE)}
            for kind, directory, flags in (
                    ("mlx-vlm", converted, []),
                    ("Apple's export", exported, ["--vision", str(args.model)])):
                plain = to_apple(load(directory))
                if kind != "mlx-vlm":
                    plain |= originals
                write_apple(args.model, work / "plain", plain,
                            tied and kind == "mlx-vlm")
                expected = engine(args.program, work / "plain", picture, args.side)
                tokens, ids = engine(args.program, directory, picture, args.side, *flags)
                same = np.array_equal(tokens, expected[0]) and ids == expected[1]
                info = json.loads(run(args.program, "info", "--json", "--model", str(directory),
                                      *flags))["model"]
                report.check(f"{kind}, {label}", same,
                             f"{info['dtype']}: equal to the dequantized model, {tokens.shape[0]} "
                             f"visual tokens, {len(ids)} answer tokens")
                if kind != "mlx-vlm":
                    continue
                theirs, their_ids = mlx_answer(directory, picture)
                error = np.abs(theirs - tokens).max() / np.abs(theirs).max()
                report.check(f"{kind} runs it, {label}", error < TOLERANCE and their_ids == ids,
                             f"largest difference {error:.1e} of the largest value, answers "
                             f"{'the same' if their_ids == ids else f'{their_ids} and {ids}'}")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
