#!/usr/bin/env python3
"""llama.cpp's own converter, told that the tokenizer splits words as Qwen2's does: it looks that up
by a hash of the vocabulary, and a synthetic checkpoint's is not in its list. Only ids are fed.

  convert_text.py LLAMA_SOURCE [arguments of convert_hf_to_gguf.py]
"""
import runpy
import sys

source = sys.argv.pop(1)
sys.path.insert(0, source)
from conversion import base  # noqa: E402

base.TextModel.get_vocab_base_pre = lambda _self, _tokenizer: "qwen2"
runpy.run_path(f"{source}/convert_hf_to_gguf.py", run_name="__main__")
