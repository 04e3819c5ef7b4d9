#!/usr/bin/env python3
"""Computes the golden outputs of tests/golden/data with transformers, timm and Apple's encoder.

  git clone https://github.com/apple/ml-fastvlm apple
  python tests/reference/tiny_checkpoints.py
  python tests/reference/make_golden.py --apple-source apple
"""

import argparse
import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import PIL
import safetensors
import timm
import torch
import transformers
from safetensors.numpy import save_file

import inputs
import references
import tiny_checkpoints
from tiny_checkpoints import synthetic

MAX_NEW_TOKENS = 32
SAMPLES = 640  # per tensor, at most
ENCODER_TOLERANCE = 2e-5  # timm against Apple, relative to the largest value
LAYOUT_TOLERANCE = 2e-5  # the same weights read from the two layouts, or another batch size
MIN_GAP = 1e-3  # of the two best logits, relative to the largest
MIN_VARIETY = 8  # different tokens in a text of 32

IMAGES = {"wide.png": (96, 64, 1), "tall.png": (64, 96, 2), "landscape.png": (80, 56, 3),
          "strip.png": (16, 48, 4)}
UNICODE_PROMPT = ("Qu'est-ce que c'est ? Cafe\u0301 \u00fcber 12 \u4e2d\u6587 \U0001f600"
                  "\n\n  What's it?")


@dataclasses.dataclass(frozen=True)
class Case:
    checkpoints: tuple[str, ...]  # the same outputs are expected from each
    prompt: str
    images: tuple[str, ...] = ()
    height: int = 0
    width: int = 0
    mode: str = "pad"


TIED = ("apple_tied", "fast_vlm_tied")
DESCRIBE = "Describe the image."
CASES = {
    "tied_512": Case(TIED, DESCRIBE, ("wide.png",), 512, 512),
    "tied_1024": Case(TIED, "What is in this image?", ("tall.png",), 1024, 1024),
    "tied_448x640": Case(TIED, DESCRIBE, ("landscape.png",), 448, 640, "stretch"),
    "tied_192x64": Case(TIED, DESCRIBE, ("strip.png",), 192, 64, "stretch"),
    "tied_two_images": Case(TIED, "Compare the two pictures.", ("wide.png", "tall.png"), 256, 256),
    "tied_text": Case(TIED, UNICODE_PROMPT),
    "apple_untied_512": Case(("apple_untied",), DESCRIBE, ("tall.png",), 512, 512),
    "apple_untied_1024": Case(("apple_untied",), DESCRIBE, ("wide.png",), 1024, 1024),
    "apple_untied_text": Case(("apple_untied",), UNICODE_PROMPT),
    "fast_vlm_untied_512": Case(("fast_vlm_untied",), DESCRIBE, ("wide.png",), 512, 512),
    "fast_vlm_untied_two_images": Case(
        ("fast_vlm_untied",), "Compare the two pictures.", ("tall.png", "wide.png"), 256, 256),
}


class Reference:
    """Both implementations with the weights of one checkpoint."""

    def __init__(self, directory: Path, apple_source: Path):
        spec = tiny_checkpoints.SPECS[directory.name]
        apple_names = [name for name, _ in synthetic.all_tensors(spec.arch)]
        self.model = references.load_transformers(directory)
        self.double = copy.deepcopy(self.model).double()
        self.apple = references.load_apple_encoder(directory, apple_source, apple_names)
        self.tokenizer = references.load_tokenizer(directory)
        self.tokens = len(self.tokenizer)
        self.image_token = self.model.config.image_token_index
        self.stop = [spec.arch.base_vocab + 2, spec.arch.base_vocab]
        rows = self.model.lm_head.weight.shape[0]
        self.masked = sorted({self.image_token, *range(self.tokens, rows)})
        # Logits are compared for the tokens that both layouts have.
        self.logit_rows = min(self.tokens, self.image_token)

    def input_ids(self, pieces: list[list[int]], image_tokens: list[int]) -> torch.Tensor:
        ids = list(pieces[0])
        for piece, count in zip(pieces[1:], image_tokens):
            ids += [self.image_token] * count + piece
        return torch.tensor([ids])


def largest(value: torch.Tensor) -> float:
    return value.abs().max().item()


def check_close(what: str, first: torch.Tensor, second: torch.Tensor, limit: float) -> float:
    difference = (first - second).abs().max().item() / max(largest(first), 1e-30)
    if first.shape != second.shape or difference > limit:
        raise AssertionError(f"{what}: relative difference {difference:.2e} > {limit:.0e}")
    return difference


def check_splice(ref: Reference, ids: torch.Tensor, visual: list[torch.Tensor],
                 logits: torch.Tensor) -> None:
    """transformers' scatter of visual tokens equals putting them in by hand."""
    text = ref.model.model.language_model
    with torch.no_grad():
        embeddings = text.embed_tokens(ids)
        if visual:
            embeddings[ids == ref.image_token] = torch.cat(visual)
        by_hand = ref.model.lm_head(text(inputs_embeds=embeddings).last_hidden_state)[0]
    check_close("logits after splicing by hand", logits, by_hand, LAYOUT_TOLERANCE)


def forward(ref: Reference, case: Case, data: Path, model) -> tuple[dict, torch.Tensor, object]:
    """All tensors of a case, the input ids with placeholders repeated, and the pixel batch."""
    dtype = model.lm_head.weight.dtype
    pixels = [inputs.preprocess(data / "images" / name, case.mode, case.height, case.width)
              for name in case.images]
    tensors, visual = {}, []
    for i, image in enumerate(pixels):
        encoded = references.encode(model, image.to(dtype))
        visual.append(encoded["visual_tokens"])
        prefix = f"image.{i}." if len(pixels) > 1 else ""
        tensors |= {prefix + n: v for n, v in {"pixels": references.nhwc(image), **encoded}.items()}
    pieces = inputs.split_ids(ref.tokenizer, inputs.prompt_text(case.prompt, len(pixels)))
    ids = ref.input_ids(pieces, [len(v) for v in visual])
    batch = torch.cat(pixels).to(dtype) if pixels else None
    decoded = references.prefill(model, ids, batch)
    if model is ref.model:
        check_splice(ref, ids, visual, decoded["logits"])
    decoded["logits"] = decoded["logits"][:, :ref.logit_rows]
    return tensors | decoded, ids, batch


def compare_with_apple(ref: Reference, tensors: dict, batch: torch.Tensor) -> dict[str, float]:
    """Largest relative difference of timm and Apple's encoder per kind of output."""
    worst = {}
    for i in range(len(batch)):
        prefix = f"image.{i}." if len(batch) > 1 else ""
        for name, value in references.encode_apple(ref.apple, batch[i:i + 1]).items():
            difference = check_close(f"Apple's {name}", tensors[prefix + name], value,
                                     ENCODER_TOLERANCE)
            worst[name] = max(worst.get(name, 0.0), difference)
    return worst


def greedy(ref: Reference, ids: torch.Tensor, batch) -> dict:
    chosen, logits = references.generate(ref.model, ids, batch, ref.masked, ref.stop,
                                         MAX_NEW_TOKENS)
    allowed = logits.clone()
    allowed[:, ref.masked] = -torch.inf
    best = allowed.topk(2).values
    if allowed.argmax(-1).tolist() != chosen:
        raise AssertionError("generate() did not return the argmax of the allowed logits")
    gaps = (best[:, 0] - best[:, 1]) / best[:, 0].abs()
    padding_wins = sum(int(i) in ref.masked for i in logits.argmax(-1))
    return {"greedy_ids": chosen,
            "finish_reason": "stop" if chosen[-1] in ref.stop else "length",
            "min_gap": (best[:, 0] - best[:, 1]).min().item(),
            "min_relative_gap": gaps.min().item(), "masked_wins": padding_wins,
            "text": ref.tokenizer.decode(chosen, skip_special_tokens=True)}


def next_prime(number: int) -> int:
    while number > 3 and any(number % d == 0 for d in range(2, int(number**0.5) + 1)):
        number += 1
    return number


def stored(name: str, value: torch.Tensor, exact: torch.Tensor) -> dict[str, np.ndarray]:
    """The sampled form of a tensor, see docs/GOLDENS.md."""
    flat = value.contiguous().view(-1)
    stride = 1 if flat.numel() <= SAMPLES else next_prime(max(flat.numel() // SAMPLES, 11))
    double = flat.double()
    noise = (double - exact.contiguous().view(-1).double()).abs().max().item()
    return {
        name + ".sample": flat[::stride].numpy().copy(),
        name + ".meta": np.array([stride, *value.shape], np.int64),
        name + ".scale": np.array([largest(value)], np.float32),
        name + ".noise": np.array([noise], np.float32),
        name + ".sum": np.array([double.sum().item()], np.float64),
        name + ".sumsq": np.array([double.square().sum().item()], np.float64),
    }


def check_layouts(reference: dict, other: dict) -> float:
    return max(check_close(f"the other layout's {n}", reference[n], other[n], LAYOUT_TOLERANCE)
               for n in reference)


def describe(ref: Reference, case: Case, tensors: dict, result: dict) -> dict:
    pieces = inputs.split_ids(ref.tokenizer, inputs.prompt_text(case.prompt, len(case.images)))
    counts = [len(v) for n, v in tensors.items() if n.endswith("visual_tokens")]
    ids = list(pieces[0])
    for piece in pieces[1:]:
        ids += [-200] + piece
    return {"checkpoints": list(case.checkpoints), "images": list(case.images), "mode": case.mode,
            "height": case.height, "width": case.width, "prompt": case.prompt,
            "prompt_text": inputs.prompt_text(case.prompt, len(case.images)), "ids": ids,
            "image_tokens": counts, "max_new_tokens": MAX_NEW_TOKENS, "stop_ids": ref.stop,
            "tokenizer_size": ref.logit_rows, **result}


def make_case(name: str, case: Case, refs: dict[str, Reference], data: Path) -> dict:
    ref = refs[case.checkpoints[0]]
    tensors, ids, batch = forward(ref, case, data, ref.model)
    exact, _, _ = forward(ref, case, data, ref.double)
    result = greedy(ref, ids, batch)
    if batch is not None:
        result["apple_difference"] = compare_with_apple(ref, tensors, batch)
    for other_name in case.checkpoints[1:]:
        other = refs[other_name]
        others, other_ids, other_batch = forward(other, case, data, other.model)
        result["layout_difference"] = check_layouts(tensors, others)
        if greedy(other, other_ids, other_batch)["greedy_ids"] != result["greedy_ids"]:
            raise AssertionError(f"{name}: {other_name} writes another text")
    if result["min_relative_gap"] < MIN_GAP:
        raise AssertionError(f"{name}: gap {result['min_relative_gap']:.1e}; take another seed")
    if len(set(result["greedy_ids"])) < MIN_VARIETY or ref.stop[1] in result["greedy_ids"]:
        raise AssertionError(f"{name}: the text is monotonous; take another seed")
    arrays = {}
    for tensor_name, value in tensors.items():
        arrays |= stored(tensor_name, value, exact[tensor_name])
    save_file(arrays, data / f"{name}.safetensors")
    return describe(ref, case, tensors, result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--apple-source", type=Path, required=True,
                        help="clone of https://github.com/apple/ml-fastvlm")
    parser.add_argument("--data", type=Path, default=tiny_checkpoints.ROOT / "tests/golden/data")
    args = parser.parse_args()
    torch.manual_seed(0)
    (args.data / "images").mkdir(parents=True, exist_ok=True)
    for name, (width, height, seed) in IMAGES.items():
        inputs.draw(width, height, seed).save(args.data / "images" / name, optimize=True)
    refs = {name: Reference(args.data / name, args.apple_source)
            for name in tiny_checkpoints.SPECS}
    cases = {}
    for name, case in CASES.items():
        cases[name] = make_case(name, case, refs, args.data)
        print(name, {k: cases[name][k] for k in
                     ("finish_reason", "min_relative_gap", "masked_wins", "text")}, flush=True)
    versions = {m.__name__: m.__version__ for m in
                (torch, transformers, timm, safetensors, np, PIL)}
    lines = ",\n".join(f"{json.dumps(n)}: {json.dumps(c)}" for n, c in cases.items())
    text = f'{{"versions": {json.dumps(versions)},\n"cases": {{\n{lines}\n}}}}\n'
    (args.data / "cases.json").write_text(text)


if __name__ == "__main__":
    main()
