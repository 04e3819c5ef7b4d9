#!/usr/bin/env python3
"""Checks the tokenizer files of fastvlm-train with transformers and makes their golden file.

  make_trainer_golden.py PROGRAM [--output FILE]       PROGRAM: fastvlm-train
  make_trainer_golden.py PROGRAM --check DIR           the files of any tokenizer, nothing written

Trains a small tokenizer with PROGRAM, loads its files with transformers' AutoTokenizer, with
`tokenizers` and, as part of a FastVLM processor, with LlavaProcessor, and requires that all give
the same ids and read the same special tokens. The golden file (default:
tests/golden/trainer/tokenizer.json) holds their ids and rendered chats; the trainer's own test
compares them with the engine's.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, CLIPImageProcessor, LlavaProcessor

ROOT = pathlib.Path(__file__).resolve().parents[2]

CORPUS = [
    "Describe the image.",
    "A red apple on a white background.",
    "A cat on the left and a red apple on the right.",
    "A dog on the left and a cat on the right.",
    "What is on the left?",
    "What is on the right?",
    "How many cats are there?",
    "Three cats on a white background.",
    "Is there a dog? No. Is there a cat? Yes.",
    "What does the text say?",
    "caf\u00e9 cafe\u0301 na\u00efve",
]
TEXTS = [
    "", " ", "A red apple.", " A  red   apple ", "The text says \"CAT 42\".", "The text says \"cat\".",
    "What's on the left?", "<|im_start|>user\n<image>\nDescribe the image.<|im_end|>\n",
    "cafe\u0301 caf\u00e9", "\u732b\u306f\u732b", "\U0001F408\u200d\u2b1b", "a\r\n\r\n b\t c", "1234 apples",
    "Thereabouts, somewhere", "<|endoftext|><|endoftext|>", "tail spaces   ", "\u00a0\u2003x",
]
CHATS = [  # role, text, images
    [("user", "Describe the image.", 1)],
    [("user", "What is on the left?", 0)],
    [("user", "What changed?", 2)],
    [("system", "Answer in one word.", 0), ("user", "What is this?", 1)],
    [("user", "What is this?", 1), ("assistant", "A cat.", 0), ("user", "What is on the left?", 0)],
    [("user", "What is this?", 1), ("assistant", "A cat.", 0)],
]


def fail(message):
    sys.exit(f"error: {message}")


def load(directory):
    """AutoTokenizer of the files, after comparing it with `tokenizers`."""
    auto = AutoTokenizer.from_pretrained(directory)
    plain = Tokenizer.from_file(str(pathlib.Path(directory) / "tokenizer.json"))
    for text in TEXTS:
        ids = auto(text)["input_ids"]
        if ids != plain.encode(text).ids:
            fail(f"AutoTokenizer and tokenizers differ on {text!r}")
        if auto.decode(ids) != plain.normalizer.normalize_str(text):
            fail(f"{text!r} does not come back: {auto.decode(ids)!r}")
    if len(auto) != plain.get_vocab_size(with_added_tokens=True):
        fail("the sizes differ")
    expected = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None,
                "unk_token": None}
    for name, token in expected.items():
        if getattr(auto, name) != token:
            fail(f"{name} is {getattr(auto, name)!r}, not {token!r}")
    for offset, token in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]):
        if auto.convert_tokens_to_ids(token) != len(auto) - 4 + offset:
            fail(f"{token} has the id {auto.convert_tokens_to_ids(token)}")
        if token not in auto.all_special_tokens:
            fail(f"{token} is not special")
    if auto.decode(auto("A<image>b<|im_end|>")["input_ids"], skip_special_tokens=True) != "Ab":
        fail("special tokens are not skipped")
    return auto


def check_processor(auto):
    """A 64-pixel picture of four patches becomes four <image> tokens."""
    images = CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64},
                                image_mean=[0.0] * 3, image_std=[1.0] * 3)
    processor = LlavaProcessor(images, auto, patch_size=32, num_additional_image_tokens=0,
                               vision_feature_select_strategy="full",
                               chat_template=auto.chat_template)
    prompt = processor.apply_chat_template(messages(CHATS[0], parts=True), add_generation_prompt=True)
    inputs = processor(images=np.zeros((64, 64, 3), np.uint8), text=prompt)
    count = list(np.array(inputs["input_ids"]).ravel()).count(len(auto) - 1)
    if count != 4:
        fail(f"LlavaProcessor makes {count} image tokens, not 4")


def messages(chat, parts):
    result = []
    for role, text, images in chat:
        content = [{"type": "image"}] * images + [{"type": "text", "text": text}]
        result.append({"role": role, "content": content if parts else "<image>\n" * images + text})
    return result


def render(auto, chat, add_generation_prompt):
    prompts = {auto.apply_chat_template(messages(chat, parts), tokenize=False,
                                        add_generation_prompt=add_generation_prompt)
               for parts in (True, False)}
    if len(prompts) != 1:
        fail(f"string and list contents differ: {prompts}")
    return prompts.pop()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--output", default=ROOT / "tests/golden/trainer/tokenizer.json")
    parser.add_argument("--check", metavar="DIR")
    args = parser.parse_args()
    if args.check:
        auto = load(args.check)
        check_processor(auto)
        print(f"{args.check}: {len(auto)} tokens, read alike by AutoTokenizer and tokenizers")
        return
    with tempfile.TemporaryDirectory() as directory:
        corpus = pathlib.Path(directory) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS) + "\n", encoding="utf-8")
        subprocess.run([args.program, "tokenizer", "--corpus", corpus, "--output", directory],
                       check=True)
        auto = load(directory)
        check_processor(auto)
    chats = []
    for chat in CHATS:
        prompt_wanted = chat[-1][0] == "user"
        prompt = render(auto, chat, prompt_wanted)
        chats.append({"turns": [{"role": r, "text": t, "images": n} for r, t, n in chat],
                      "add_generation_prompt": prompt_wanted, "prompt": prompt,
                      "ids": auto(prompt)["input_ids"]})
    golden = {"corpus": CORPUS, "size": len(auto), "chat_template": auto.chat_template,
              "texts": [{"text": t, "ids": auto(t)["input_ids"]} for t in TEXTS], "chats": chats}
    with open(args.output, "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=False)
        file.write("\n")
    print(f"{args.output}: {len(auto)} tokens, {len(TEXTS)} texts, {len(CHATS)} chats")


if __name__ == "__main__":
    main()
