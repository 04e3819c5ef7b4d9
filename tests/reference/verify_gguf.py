#!/usr/bin/env python3
"""Checks the GGUF files of `fastvlm quantize` against llama.cpp, and llama.cpp's files against fastvlm.

  python tests/reference/verify_gguf.py --model models/nano --fastvlm build/release/bin/fastvlm \\
      --llama-cpp DIR [--work DIR]

1. llama.cpp loads model.gguf unmodified: every text becomes the token ids that transformers gives,
   and greedy answers to text prompts are fastvlm's, token for token, for f32, bf16, f16. For q8 and
   q4, whose arithmetic the two programs do differently, each token that fastvlm chose is looked up
   in llama.cpp's probabilities: printed is the largest distance of its
   log probability to the highest one.
2. llama.cpp's convert_hf_to_gguf.py converts a text-only export of the same weights; fastvlm reads
   the result with --vision MODEL and must answer as from MODEL, about pictures too.
3. llama.cpp's quantizer makes blocks of the types Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K of it
   (rows that are no multiple of 256 long get Q5_0 instead of a K type, as in its own files); fastvlm
   reads the files and its greedy tokens are looked up in llama.cpp's probabilities as in 1.

Needs xllamacpp (llama.cpp as a Python package, whose server is asked), gguf, transformers, safetensors
and torch; DIR is vendor/llama.cpp of llama-cpp-python's source distribution, or a clone of llama.cpp.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import gguf
import numpy as np
import xllamacpp
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

PROMPTS = ["Describe the image.", "What colour is the fox?", "How many shapes are there?",
           "Write one word.", "red green blue", "Is there a text in the picture?"]
TEXTS = PROMPTS + ["", " ", "\n\n  x\ty ", "It's 12,345.67 o'clock; they'll go.", "caf\u00e9 na\u00efve \u00fcber",
                   "\u6c34\u306f\u9752\u3044 \U0001f600\U0001f44d\U0001f3fd", "<|im_start|>user\nHi<|im_end|>\n",
                   "def f(x):\n    return x**2  # square\n", "\u0645\u0631\u062d\u0628\u0627 \u0440\u0443\u0441\u0441\u043a\u0438\u0439"]
CHAT = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n")
MAX_TOKENS = 24
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]


class Checks:
    def __init__(self):
        self.failed = 0

    def report(self, ok: bool, text: str) -> None:
        self.failed += not ok
        print(("ok      " if ok else "FAILED  ") + text, flush=True)


def describe(program, model, prompt, *more) -> dict:
    run = subprocess.run([program, "describe", "--json", "-q", "--model", model, "--max-tokens",
                          str(MAX_TOKENS), "--prompt", prompt, *more],
                         check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


class Llama:
    """llama.cpp's server with one model."""

    def __init__(self, path: Path, banned: list[int]):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 512
        params.n_parallel = 1
        params.cpuparams.n_threads = 1
        params.warmup = False
        self.server = xllamacpp.Server(params)
        self.bias = [[token, False] for token in banned]

    def ask(self, path: str, **fields) -> dict:
        request = urllib.request.Request(self.server.listening_address + path, json.dumps(fields).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def tokenize(self, text: str) -> list[int]:
        return self.ask("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]

    def greedy(self, ids: list[int], count: int, **more) -> dict:
        return self.ask("/completion", prompt=ids, n_predict=count, temperature=0, return_tokens=True,
                        cache_prompt=True, logit_bias=self.bias, **more)

    def distance(self, ids: list[int], token: int) -> float:
        """How far below the likeliest token's log probability that of `token` is."""
        answer = self.greedy(ids, 1, n_probs=50)["completion_probabilities"][0]["top_logprobs"]
        found = [entry["logprob"] for entry in answer if entry["id"] == token]
        return answer[0]["logprob"] - (found[0] if found else -np.inf)


def without_end(ids: list[int], stop: set[int]) -> list[int]:
    return ids[:-1] if ids and ids[-1] in stop else ids


def compare_with_llama(checks, args, tokenizer, name, model, path, exact, *more) -> None:
    rows = json.loads((args.model / "config.json").read_text())["text_config"]["vocab_size"]
    banned = list(range(len(tokenizer), rows))
    image = tokenizer.convert_tokens_to_ids("<image>")
    if image is not None:
        banned.append(image)
    llama = Llama(path, banned)
    stop = {tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")}
    wrong = [text for text in TEXTS
             if llama.tokenize(text) != tokenizer(text, add_special_tokens=False)["input_ids"]]
    checks.report(not wrong, f"{name}: {len(TEXTS) - len(wrong)} of {len(TEXTS)} texts tokenized "
                  f"as by transformers {wrong if wrong else ''}")
    same, worst, tokens = 0, 0.0, 0
    for prompt in PROMPTS:
        ids = llama.tokenize(CHAT.format(prompt))
        ours = describe(args.fastvlm, model, prompt, "--precision", "f32" if exact else "auto", *more)
        answer = without_end(ours["token_ids"], stop)
        theirs = without_end(llama.greedy(ids, MAX_TOKENS)["tokens"], stop)
        same += answer == theirs and ours["prompt_tokens"] == len(ids)
        tokens += len(answer)
        if answer != theirs:
            worst = max([worst] + [llama.distance(ids + answer[:i], answer[i]) for i in range(len(answer))])
    checks.report(same == len(PROMPTS) if exact else worst < 0.7,
                  f"{name}: {same} of {len(PROMPTS)} greedy answers identical ({tokens} tokens), largest "
                  f"distance to llama.cpp's likeliest token {worst:.3f}")


def export_text_only(source: Path, target: Path) -> None:
    """The language half as a Qwen2 checkpoint of transformers."""
    target.mkdir()
    config = json.loads((source / "config.json").read_text())
    text = dict(config["text_config"], architectures=["Qwen2ForCausalLM"], torch_dtype="float32")
    text["rope_theta"] = text.get("rope_parameters", {}).get("rope_theta", text.get("rope_theta", 10000.0))
    (target / "config.json").write_text(json.dumps(text, indent=2))
    tensors = {name.replace("model.language_model.", "model."): tensor.float().contiguous()
               for name, tensor in load_file(source / "model.safetensors").items()
               if name.startswith(("model.language_model.", "lm_head."))}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
                 "special_tokens_map.json", "generation_config.json"):
        if (source / name).exists():
            shutil.copy(source / name, target / name)


def convert(llama_cpp_dir: Path, source: Path, output: Path, kind: str) -> None:
    """Runs the converter. It knows tokenizers by a hash of the ids they give to a text: that of a
    vocabulary of our own is unknown to it, so its answer is given instead: qwen2."""
    script = llama_cpp_dir / "convert_hf_to_gguf.py"
    program = f"""
import runpy, sys
sys.path[:0] = [{str(llama_cpp_dir)!r}, {str(llama_cpp_dir / "gguf-py")!r}]
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
sys.argv = [{str(script)!r}, {str(source)!r}, "--outfile", {str(output)!r}, "--outtype", {kind!r}]
runpy.run_path({str(script)!r}, run_name="__main__")
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def quantize_with_llama(source: Path, target: Path, name: str) -> None:
    """Matrices of `source`, a file of F32, in blocks that GGML's own quantizer makes."""
    ggml = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "qwen2")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        values = np.ascontiguousarray(tensor.data)
        if values.ndim != 2:
            writer.add_tensor(tensor.name, values)
            continue
        kind = gguf.GGMLQuantizationType[name]
        if values.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] != 0:
            kind = gguf.GGMLQuantizationType.Q5_0
        size, block = gguf.GGML_QUANT_SIZES[kind]
        out = np.empty((values.shape[0], values.shape[1] // size * block), dtype=np.uint8)
        written = ggml.ggml_quantize_chunk(int(kind), values.ctypes.data, out.ctypes.data, 0,
                                           values.shape[0], values.shape[1], None)
        if written != out.nbytes:
            raise RuntimeError(f"{tensor.name}: {written} bytes quantized, expected {out.nbytes}")
        writer.add_tensor(tensor.name, out, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model in the fast_vlm layout")
    parser.add_argument("--fastvlm", required=True, help="the built program")
    parser.add_argument("--llama-cpp", type=Path, help="vendor/llama.cpp; without it, part 1 only")
    parser.add_argument("--work", type=Path, help="where files are written (default: removed after)")
    args = parser.parse_args()
    args.fastvlm = os.path.abspath(args.fastvlm)
    work = args.work or Path(tempfile.mkdtemp(prefix="verify_gguf"))
    work.mkdir(exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    checks = Checks()

    for kind, exact in (("f32", True), ("f16", True), ("bf16", True), ("q8", False), ("q4", False)):
        out = work / kind
        subprocess.run([args.fastvlm, "quantize", args.model, out, "--type", kind, "--force"],
                       check=True, capture_output=True)
        compare_with_llama(checks, args, tokenizer, f"model.gguf {kind}", out, out / "model.gguf", exact)

    if args.llama_cpp:
        text_only = work / "text_only"
        shutil.rmtree(text_only, ignore_errors=True)
        export_text_only(args.model, text_only)
        images = sorted((args.model / "samples").glob("*.png"))[:4]
        for kind in ("f32", "f16"):
            converted = work / f"converted-{kind}.gguf"
            convert(args.llama_cpp, text_only, converted, kind)
            same = sum(describe(args.fastvlm, converted, "Describe the image.", "--vision", args.model,
                                "--precision", "f32", image)["token_ids"]
                       == describe(args.fastvlm, args.model, "Describe the image.", "--precision", "f32",
                                   image)["token_ids"] for image in images)
            checks.report(same == len(images), f"convert_hf_to_gguf.py {kind}: {same} of {len(images)} "
                          "answers about pictures as from safetensors")
            compare_with_llama(checks, args, tokenizer, f"convert_hf_to_gguf.py {kind}", converted,
                               converted, True, "--vision", str(args.model))
        for name in TYPES:
            target = work / f"llama-{name}.gguf"
            quantize_with_llama(work / "converted-f32.gguf", target, name)
            compare_with_llama(checks, args, tokenizer, f"llama.cpp {name}", target, target, False,
                               "--vision", str(args.model))
    if not args.work:
        shutil.rmtree(work)
    print(f"{checks.failed} checks failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
