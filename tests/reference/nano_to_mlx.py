#!/usr/bin/env python3
"""Writes the language half of models/nano as one of Apple's MLX exports, to see what that loses.

  python -m venv env && env/bin/pip install 'mlx[cpu]'
  env/bin/python tests/reference/nano_to_mlx.py --bits 4 OUTPUT_DIR
  fastvlm compare --reference f32 --candidate f32 --candidate-model OUTPUT_DIR \\
      --candidate-vision models/nano models/nano/samples/*.png
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import mlx.core as mx

ROOT = Path(__file__).resolve().parents[2]
NAMES = [(r"^model\.multi_modal_projector\.linear_1\.", "multi_modal_projector.linear_0."),
         (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
         (r"^model\.language_model\.", "language_model.model.")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "models/nano")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group", type=int, default=64)
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    tensors = {}
    for name, array in mx.load(str(args.model / "model.safetensors")).items():
        if "vision_tower" in name:
            continue
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        array = array.astype(mx.float16)
        names = [name]
        if name == "language_model.model.embed_tokens.weight":
            names.append("language_model.lm_head.weight")  # the exports store it twice
        for each in names:
            if array.ndim == 2:
                prefix = each.removesuffix("weight")
                (tensors[each], tensors[prefix + "scales"], tensors[prefix + "biases"]) = \
                    mx.quantize(array, group_size=args.group, bits=args.bits)
            else:
                tensors[each] = array

    source = json.loads((args.model / "config.json").read_text())
    text = source["text_config"]
    features = mx.load(str(args.model / "model.safetensors"))[
        "model.multi_modal_projector.linear_1.weight"].shape[1]
    image = json.loads((args.model / "preprocessor_config.json").read_text())["crop_size"]["height"]
    config = text | {
        "model_type": "llava_qwen2", "mm_projector_type": "mlp2x_gelu",
        "mm_vision_tower": f"mobileclip_nano_{image}", "mm_hidden_size": features,
        "image_aspect_ratio": "pad", "tie_word_embeddings": False, "vision_config": {},
        "tokenizer_model_max_length": text["max_position_embeddings"],
        "quantization": {"group_size": args.group, "bits": args.bits}}
    args.output.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(args.model / name, args.output)
    (args.output / "config.json").write_text(json.dumps(config, indent=4, sort_keys=True))
    mx.save_safetensors(str(args.output / "model.safetensors"), tensors,
                        metadata={"format": "mlx"})


if __name__ == "__main__":
    main()
