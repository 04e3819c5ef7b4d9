#!/usr/bin/env python3
"""Compares the built program with transformers on a model in the fast_vlm layout, in float32.

  python tests/reference/verify_nano.py --model models/nano --fastvlm build/release/bin/fastvlm \\
      --dataset DIR [--limit N] [--write FILE]

The model is loaded with FastVlmForConditionalGeneration.from_pretrained, the prompt made by its
processor's chat template, the pixels by its image processor (pictures of the model's own square
size, so that nothing is cut or padded). DIR is a directory with questions.jsonl, as
`fastvlm-train questions` writes it. Greedy token ids must be the same for every question. --write
keeps transformers' answers as the lines the end-to-end test compares the program with:

  python tests/reference/verify_nano.py --model models/nano --fastvlm build/release/bin/fastvlm \\
      --dataset models/nano/samples --write tests/golden/nano/answers.jsonl
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor, FastVlmForConditionalGeneration

MAX_NEW_TOKENS = 64


def reference_ids(model, processor, image: Path, question: str) -> list[int]:
    messages = [{"role": "user", "content": [{"type": "image"},
                                             {"type": "text", "text": question}]}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(images=Image.open(image).convert("RGB"), text=prompt, return_tensors="pt")
    output = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
    return output[0, inputs["input_ids"].shape[1]:].tolist()


def engine_ids(args, image: Path, question: str) -> list[int]:
    output = subprocess.run(
        [args.fastvlm, "describe", "--model", args.model, "--precision", "f32", "--json",
         "--max-tokens", str(MAX_NEW_TOKENS), "--prompt", question, image],
        check=True, capture_output=True, text=True).stdout
    return json.loads(output)["token_ids"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--fastvlm", type=Path, required=True, help="the built program")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=100, help="questions, spread over the file")
    parser.add_argument("--write", type=Path, help="JSON Lines file for transformers' answers")
    args = parser.parse_args()
    model = FastVlmForConditionalGeneration.from_pretrained(
        args.model, dtype=torch.float32, attn_implementation="eager").eval()
    processor = AutoProcessor.from_pretrained(args.model)
    lines = (args.dataset / "questions.jsonl").read_text().splitlines()
    step = max(1, len(lines) // args.limit)
    wrong = 0
    written = []
    chosen = lines[::step][:args.limit]
    for line in chosen:
        entry = json.loads(line)
        image = args.dataset / entry["image"]
        with torch.no_grad():
            expected = reference_ids(model, processor, image, entry["question"])
        text = processor.tokenizer.decode(expected, skip_special_tokens=True)
        written.append(json.dumps({"image": entry["image"], "question": entry["question"],
                                   "text": text, "token_ids": expected}))
        found = engine_ids(args, image, entry["question"])
        if expected != found:
            wrong += 1
            print(f"{entry['image']} {entry['question']}\n  transformers {expected}\n"
                  f"  fastvlm      {found}")
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text("\n".join(written) + "\n")
    print(f"{len(chosen) - wrong} of {len(chosen)} answers identical, id for id")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
