#!/usr/bin/env python3
"""Compares the built program with transformers, timm and Apple's encoder on a full-size checkpoint.

  python scripts/make_synthetic_checkpoint.py 0.5b /data/random05
  python tests/reference/verify_full_size.py --model /data/random05 --apple-source apple \\
      --fastvlm build/release/bin/fastvlm --cache /data/random05.npz

Everything is computed in float32. Without --fastvlm only the reference is run. The reference of
the 0.5B model needs about 7 GB of memory; --cache keeps its results for the next run
(use another file for another checkpoint).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import inputs
import references
import tiny_checkpoints  # noqa: F401  (makes scripts/ importable)
import make_synthetic_checkpoint as synthetic

MAX_NEW_TOKENS = 32
PROMPT = "Describe the image."
CLOSE_GAP = 1e-3  # relative; a smaller distance of the two best logits may fall either way


def vocabulary(tokenizer, model) -> tuple[list[int], list[int]]:
    """Ids that may not be generated, and ids that end the text."""
    rows = model.lm_head.weight.shape[0]
    masked = sorted({model.config.image_token_index, *range(len(tokenizer), rows)})
    first = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    return masked, [tokenizer.convert_tokens_to_ids("<|im_end|>"), first]


def gaps(logits: torch.Tensor, masked: list[int]) -> np.ndarray:
    allowed = logits.clone()
    allowed[:, masked] = -torch.inf
    best = allowed.topk(2).values
    return ((best[:, 0] - best[:, 1]) / best[:, 0].abs()).numpy()


def check_apple(apple, pixels: torch.Tensor, encoded: dict) -> None:
    for name, value in references.encode_apple(apple, pixels).items():
        difference = (value - encoded[name]).abs().max() / value.abs().max()
        print(f"  timm against Apple, {name}: {difference:.2e} (largest {value.abs().max():.3g}, "
              f"std {value.std():.3g})", flush=True)


def run_reference(model_dir: Path, source: Path, image: Path, resolutions: list[int]) -> dict:
    model, tokenizer = references.load_transformers(model_dir), references.load_tokenizer(model_dir)
    masked, stop = vocabulary(tokenizer, model)
    apple_names = [name for name, _ in synthetic.all_tensors(synthetic.SIZES["0.5b"])]
    apple = references.load_apple_encoder(model_dir, source, apple_names)
    results = {}
    for size in resolutions:
        start = time.time()
        pixels = inputs.preprocess(image, "pad", size, size)
        encoded = references.encode(model, pixels)
        check_apple(apple, pixels, encoded)
        visual = encoded["visual_tokens"]
        before, after = inputs.split_ids(tokenizer, inputs.prompt_text(PROMPT, 1))
        ids = before + [model.config.image_token_index] * len(visual) + after
        chosen, logits = references.generate(model, torch.tensor([ids]), pixels, masked, stop,
                                             MAX_NEW_TOKENS)
        results |= {f"{size}.features": encoded["features"].numpy(),
                    f"{size}.visual_tokens": visual.numpy(),
                    f"{size}.ids": np.array(chosen), f"{size}.gaps": gaps(logits, masked)}
        print(f"  {size}: {len(visual)} visual tokens, {len(set(chosen))} different ids of "
              f"{len(chosen)}, smallest gap {results[f'{size}.gaps'].min():.2e}, "
              f"{time.time() - start:.0f} s", flush=True)
    return results


def engine_array(args, image: Path, size: int, extra: list[str]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "out.npy"
        subprocess.run([args.fastvlm, "encode", "--model", args.model, "--precision", "f32",
                        "--resolution", str(size), *extra, image, "--output", output], check=True)
        return np.load(output)


def engine_ids(args, image: Path, size: int) -> list[int]:
    output = subprocess.run(
        [args.fastvlm, "describe", "--model", args.model, "--precision", "f32", "--json",
         "--temperature", "0", "--max-tokens", str(MAX_NEW_TOKENS), "--resolution", str(size),
         "--prompt", PROMPT, image], check=True, capture_output=True, text=True).stdout
    return json.loads(output)["token_ids"]


def compare_arrays(what: str, expected: np.ndarray, actual: np.ndarray, limit: float) -> bool:
    if expected.shape != actual.shape:
        print(f"{what}: shape {actual.shape}, expected {expected.shape}: WRONG")
        return False
    difference = np.abs(expected - actual)
    worst = float(difference.max() / np.abs(expected).max())
    rms = float(np.sqrt((difference**2).mean() / (expected**2).mean()))
    good = worst <= limit  # false for NaN
    print(f"{what}: largest error {worst:.2e} of the largest value, rms {rms:.2e}: "
          f"{'good' if good else 'WRONG'}")
    return good


def compare_ids(what: str, expected: list[int], actual: list[int], gap: np.ndarray) -> bool:
    if expected == actual:
        print(f"{what}: identical ({len(expected)} ids)")
        return True
    same = next((i for i, (a, b) in enumerate(zip(expected, actual)) if a != b),
                min(len(expected), len(actual)))
    close = same < len(gap) and gap[same] < CLOSE_GAP
    print(f"{what}: different from position {same} on, where the two best logits are "
          f"{gap[min(same, len(gap) - 1)]:.1e} apart: {'a close call' if close else 'WRONG'}")
    print(f"  expected {expected}\n  found    {actual}")
    return close


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="full-size 0.5B checkpoint")
    parser.add_argument("--apple-source", type=Path, required=True,
                        help="clone of https://github.com/apple/ml-fastvlm")
    parser.add_argument("--fastvlm", type=Path, help="the built program")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--cache", type=Path, help="file for the reference's results (.npz)")
    parser.add_argument("--tolerance", type=float, default=2e-4,
                        help="largest error of encoder outputs, relative to the largest value")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        image = Path(directory) / "image.png"
        inputs.draw(640, 480, seed=5).save(image)
        reference = {}
        if args.cache and args.cache.exists():
            reference = dict(np.load(args.cache))
        if not all(f"{size}.ids" in reference for size in args.resolutions):
            print("running the reference", flush=True)
            reference = run_reference(args.model, args.apple_source, image, args.resolutions)
            if args.cache:
                np.savez(args.cache, **reference)
        good = True
        for size in args.resolutions if args.fastvlm else []:
            for name, extra in (("features", ["--features"]), ("visual_tokens", [])):
                found = engine_array(args, image, size, extra)
                good &= compare_arrays(f"{size} {name}", reference[f"{size}.{name}"], found,
                                       args.tolerance)
            good &= compare_ids(f"{size} text", reference[f"{size}.ids"].tolist(),
                                engine_ids(args, image, size), reference[f"{size}.gaps"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
