#!/usr/bin/env python3
"""Makes the files of the other programs from a checkpoint. A file that exists already is kept.

  prepare.py --model fastvlm-0.5b-synthetic --files peers-files [--sides 1024 512] [--llama-source D]

  text/, text_*.gguf       the decoder alone, for transformers and llama.cpp
  encoder_SIDE_f32.*       encoder and projector for ONNX Runtime, OpenVINO and MNN
  encoder_SIDE_int8.*      the same in 8 bits, each by its own tool
A step that fails is reported and the others go on; the exit code is then 1.
"""
import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

import noise


def write_text(model: Path, text: Path) -> None:
    """The decoder in the names and configuration of Qwen2ForCausalLM."""
    import backend_torch  # noqa: F401  (makes tests/reference importable)
    import names
    import references
    from safetensors.torch import save_file
    prefix = "model.language_model."
    tensors = names.to_transformers(references.read_tensors(model))
    tensors = {n.replace(prefix, "model."): t.contiguous() for n, t in tensors.items()
               if n.startswith((prefix, "lm_head."))}
    config = references.read_config(model)
    if config["tie_word_embeddings"]:
        tensors.pop("lm_head.weight", None)
    config = {k: v for k, v in config.items() if not k.startswith(("mm_", "image_", "tune_"))}
    config |= {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
    for key in ("auto_map", "unfreeze_mm_vision_tower", "use_mm_proj", "freeze_mm_mlp_adapter"):
        config.pop(key, None)
    text.mkdir()
    save_file(tensors, text / "model.safetensors", {"format": "pt"})
    (text / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json",
                 "special_tokens_map.json", "generation_config.json"):
        if (model / name).exists():
            shutil.copy(model / name, text)


def write_gguf(text: Path, llama_source: Path, output: Path) -> None:
    converter = Path(__file__).resolve().parent / "convert_text.py"
    subprocess.run([sys.executable, converter, llama_source, text, "--outtype", "bf16",
                    "--outfile", output], check=True)


def quantize_gguf(source: Path, kind: str, output: Path) -> None:
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}")
    result = llama_cpp.llama_model_quantize(str(source).encode(), str(output).encode(),
                                            ctypes.byref(params))
    if result != 0:
        raise RuntimeError(f"llama_model_quantize gave {result}")


def write_onnx(model: Path, side: int, output: Path) -> None:
    import backend_torch
    import torch
    module = backend_torch.timm_tokens(str(model))
    with torch.inference_mode():
        torch.onnx.export(module, (torch.from_numpy(noise.pixels(side)),), str(output),
                          input_names=["pixels"], output_names=["tokens"], dynamo=False,
                          opset_version=17)


def quantize_onnx(source: Path, output: Path) -> None:
    """Dynamic: weights per channel now, activations per tensor as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(source, output, op_types_to_quantize=["Conv", "MatMul", "Gemm"],
                     per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"MatMulConstBOnly": True})


def write_openvino(source: Path, output: Path) -> None:
    import openvino
    openvino.save_model(openvino.convert_model(source), output, compress_to_fp16=False)


def quantize_openvino(source: Path, side: int, output: Path) -> None:
    """NNCF's post-training quantization of weights and activations. The scales of activations are
    those of a few pictures of noise: a time does not depend on them, an accuracy would."""
    import nncf
    import openvino
    pictures = [noise.pixels(side)[:, :, ::step, ::turn].copy()
                for step, turn in ((1, 1), (-1, 1), (1, -1))]
    model = nncf.quantize(openvino.Core().read_model(source), nncf.Dataset(pictures),
                          subset_size=len(pictures), preset=nncf.QuantizationPreset.MIXED)
    openvino.save_model(model, output, compress_to_fp16=False)


def write_mnn(source: Path, output: Path, more: list[str]) -> None:
    tool = Path(sys.executable).parent / "mnnconvert"
    subprocess.run([tool, "-f", "ONNX", "--modelFile", source, "--MNNModel", output, "--bizCode",
                    "fastvlm", *more], check=True, stdout=subprocess.DEVNULL)


def steps(args) -> dict:
    """File -> what makes it."""
    files, plan = args.files, {}
    text, bf16 = files / "text", files / "text_bf16.gguf"
    plan[text] = lambda out: write_text(args.model, out)
    if args.llama_source:
        plan[bf16] = lambda out: write_gguf(text, args.llama_source, out)
        for kind in ("q8_0", "q4_0"):
            plan[files / f"text_{kind}.gguf"] = lambda out, k=kind: quantize_gguf(bf16, k, out)
    for side in args.sides:
        name = f"encoder_{side}"
        onnx, ir = files / f"{name}_f32.onnx", files / f"{name}_f32.xml"
        plan[onnx] = lambda out, s=side: write_onnx(args.model, s, out)
        plan[files / f"{name}_int8.onnx"] = lambda out, o=onnx: quantize_onnx(o, out)
        plan[ir] = lambda out, o=onnx: write_openvino(o, out)
        plan[files / f"{name}_int8.xml"] = (
            lambda out, i=ir, s=side: quantize_openvino(i, s, out))
        plan[files / f"{name}_f32.mnn"] = lambda out, o=onnx: write_mnn(o, out, [])
        plan[files / f"{name}_int8.mnn"] = (
            lambda out, o=onnx: write_mnn(o, out, ["--weightQuantBits", "8"]))
    return plan


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint in Apple's layout")
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--sides", type=int, nargs="*", default=[1024, 512])
    parser.add_argument("--llama-source", type=Path, help="llama.cpp's sources, for its converter")
    parser.add_argument("--only", default="", help="comma-separated parts of file names")
    args = parser.parse_args()
    args.files.mkdir(parents=True, exist_ok=True)
    wanted = [part for part in args.only.split(",") if part]
    failed = 0
    for output, make in steps(args).items():
        if output.exists() or (wanted and not any(part in output.name for part in wanted)):
            continue
        start = time.time()
        # Whatever a tool writes appears in its place only when it is whole.
        with tempfile.TemporaryDirectory(dir=args.files, prefix="part_") as scratch:
            try:
                make(Path(scratch) / output.name)
                for made in Path(scratch).glob(f"{output.stem}*"):
                    made.rename(args.files / made.name)
                print(f"{output.name}: {time.time() - start:.0f} s", flush=True)
            except Exception:
                traceback.print_exc()
                print(f"{output.name}: FAILED", flush=True)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
