#!/usr/bin/env python3
"""Runs llama.cpp's own converter, and tells it that the tokenizer splits words as Qwen2's does.

The converter looks that up by a hash of the vocabulary, and the vocabulary of a synthetic checkpoint is
not in its list. How words are split does not matter here, because the comparison feeds ids only.

  convert_text.py LLAMA_SOURCE [arguments of convert_hf_to_gguf.py]
"""
import runpy
import sys

source = sys.argv.pop(1)
sys.path.insert(0, source)
from conversion import base  # noqa: E402

base.TextModel.get_vocab_base_pre = lambda _self, _tokenizer: "qwen2"
runpy.run_path(f"{source}/convert_hf_to_gguf.py", run_name="__main__")
