"""The two independent implementations: transformers (with timm) and Apple's encoder source."""

import functools
import importlib.util
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import FastVlmConfig, FastVlmForConditionalGeneration, Qwen2Tokenizer

import names

VISION = "model.vision_tower.vision_tower.model."
APPLE_FILE = "llava/model/multimodal_encoder/mobileclip/mci.py"


def read_tensors(directory: Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}
    return tensors


def read_config(directory: Path) -> dict:
    return json.loads((directory / "config.json").read_text())


def is_apple_layout(directory: Path) -> bool:
    return read_config(directory)["model_type"] == "llava_qwen2"


def load_tokenizer(directory: Path) -> Qwen2Tokenizer:
    return Qwen2Tokenizer.from_pretrained(directory)


def encoder_shape(tensors: dict[str, torch.Tensor]) -> tuple[list[int], list[int]]:
    """(dims, depths) of an encoder in Apple's names, read from the tensors' shapes."""
    dims, depths = [], []
    for index in (0, 2, 4, 7, 10):
        prefix = f"{VISION}network.{index}."
        depths.append(1 + max(int(n[len(prefix):].split(".")[0]) for n in tensors
                              if n.startswith(prefix)))
        dims.append(tensors[prefix + "0.convffn.fc2.weight"].shape[0])
    return dims, depths


def transformers_config(config: dict, dims: list[int], depths: list[int], vocab_rows: int,
                        image_token: int, eos_token: int) -> FastVlmConfig:
    """The configuration of layout B for a model described by Apple's config.json."""
    same = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
            "num_key_value_heads", "rms_norm_eps", "max_position_embeddings", "hidden_act",
            "max_window_layers", "sliding_window", "use_sliding_window", "tie_word_embeddings",
            "bos_token_id", "initializer_range", "attention_dropout")
    text = {key: config[key] for key in same}
    text |= {"model_type": "qwen2", "vocab_size": vocab_rows, "eos_token_id": eos_token,
             "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]}}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "do_pooling": True,
              "global_pool": "avg", "hidden_size": 2 * dims[-1], "initializer_range": 0.02,
              "model_args": {"inference_mode": True, "embed_dims": dims, "layers": depths}}
    return FastVlmConfig(text_config=text, vision_config=vision, image_token_index=image_token,
                         image_seq_length=256, tie_word_embeddings=config["tie_word_embeddings"])


def load_transformers(directory: Path) -> FastVlmForConditionalGeneration:
    """The model in float32. Apple's layout has no `<image>` token: the first free id stands in."""
    if not is_apple_layout(directory):
        return FastVlmForConditionalGeneration.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager").eval()
    tensors, config = read_tensors(directory), read_config(directory)
    dims, depths = encoder_shape(tensors)
    full = transformers_config(config, dims, depths, config["vocab_size"],
                               len(load_tokenizer(directory)), config["eos_token_id"])
    full._attn_implementation = "eager"
    with torch.device("meta"):
        model = FastVlmForConditionalGeneration(full)
    weights = {n: t.float() if t.is_floating_point() else t
               for n, t in names.to_transformers(tensors).items()}
    if config["tie_word_embeddings"]:
        weights["lm_head.weight"] = weights["model.language_model.embed_tokens.weight"]
    model.load_state_dict(weights, strict=True, assign=True)
    rotary = model.model.language_model.rotary_emb
    model.model.language_model.rotary_emb = type(rotary)(model.config.text_config)
    return model.eval()


def apple_module(source: Path):
    path = source / APPLE_FILE
    if not path.is_file():
        raise SystemExit(f"{path} not found. --apple-source must be a clone of Apple's code:\n"
                         "  git clone https://github.com/apple/ml-fastvlm")
    spec = importlib.util.spec_from_file_location("apple_mci", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # timm's register_model looks the module up
    spec.loader.exec_module(module)
    return module


def load_apple_encoder(directory: Path, source: Path, apple_names: list[str]) -> torch.nn.Module:
    """Apple's encoder in float32 with the weights of a checkpoint of either layout."""
    mci = apple_module(source)
    tensors = read_tensors(directory)
    if not is_apple_layout(directory):
        tensors = names.to_apple(tensors, apple_names)
    weights = {n[len(VISION):]: t.float() if t.is_floating_point() else t
               for n, t in tensors.items() if n.startswith(VISION)}
    dims, depths = encoder_shape(tensors)
    position = functools.partial(mci.RepCPE, spatial_shape=(7, 7))
    model = mci.FastViT(
        depths, token_mixers=("repmixer",) * 3 + ("attention",) * 2, embed_dims=dims,
        pos_embs=[None, None, None, position, position], mlp_ratios=[4] * 5,
        downsamples=[True] * 5, norm_layer=mci.LayerNormChannel, stem_scale_branch=False,
        inference_mode=True)
    if "head.proj" in weights:
        model.head = mci.GlobalPool2D(*weights["head.proj"].shape)
    else:
        model.head = torch.nn.Identity()
    model.load_state_dict(weights, strict=True)
    return model.eval()


class Recorder:
    """Keeps outputs of named modules while used in a `with` statement."""

    def __init__(self, modules: dict[str, torch.nn.Module]):
        self.modules, self.outputs, self.handles = modules, {}, []

    def __enter__(self):
        for name, module in self.modules.items():
            def keep(_module, _inputs, output, name=name):
                value = output[0] if isinstance(output, tuple) else output
                self.outputs[name] = value.detach()
            self.handles.append(module.register_forward_hook(keep))
        return self.outputs

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def nhwc(value: torch.Tensor) -> torch.Tensor:
    """[1,C,H,W] -> [H,W,C]; [1,T,C] -> [T,C]."""
    return value[0].permute(1, 2, 0) if value.dim() == 4 else value[0]


def timm_stages(model: FastVlmForConditionalGeneration) -> dict[str, torch.nn.Module]:
    encoder = model.model.vision_tower.timm_model
    stages = {f"stage.{i}": stage for i, stage in enumerate(encoder.stages)}
    return {"stem": encoder.stem, **stages, "features": encoder.final_conv}


def apple_stages(encoder: torch.nn.Module) -> dict[str, torch.nn.Module]:
    stages = {f"stage.{i}": encoder.network[n] for i, n in enumerate((0, 2, 4, 7, 10))}
    return {"stem": encoder.patch_embed, **stages, "features": encoder.conv_exp}


@torch.no_grad()
def encode(model: FastVlmForConditionalGeneration, pixels: torch.Tensor) -> dict:
    """Encoder and projector by timm and transformers. pixels: [1,3,H,W] in [0,1]."""
    modules = timm_stages(model) | {"visual_tokens": model.model.multi_modal_projector}
    with Recorder(modules) as outputs:
        model.get_image_features(pixel_values=pixels)
    result = {name: nhwc(value) for name, value in outputs.items()}
    result["features"] = result["features"].flatten(0, 1)
    return result


@torch.no_grad()
def encode_apple(encoder: torch.nn.Module, pixels: torch.Tensor) -> dict:
    with Recorder(apple_stages(encoder)) as outputs:
        encoder(pixels, return_image_embeddings=True)
    result = {name: nhwc(value) for name, value in outputs.items()}
    result["features"] = result["features"].flatten(0, 1)
    return result


@torch.no_grad()
def prefill(model: FastVlmForConditionalGeneration, ids: torch.Tensor, pixels) -> dict:
    """Every hidden state of the decoder and the logits, [tokens, ...]."""
    text = model.model.language_model
    embeddings = []
    handle = text.layers[0].register_forward_pre_hook(
        lambda _module, args, kwargs: embeddings.append(
            args[0] if args else kwargs["hidden_states"]), with_kwargs=True)
    modules = {f"layer.{i}": layer for i, layer in enumerate(text.layers)}
    with Recorder(modules | {"final_norm": text.norm}) as outputs:
        logits = model(input_ids=ids, pixel_values=pixels).logits
    handle.remove()
    result = {"embeddings": embeddings[0], **outputs, "logits": logits}
    return {name: nhwc(value) for name, value in result.items()}


@torch.no_grad()
def generate(model: FastVlmForConditionalGeneration, ids: torch.Tensor, pixels,
             masked: list[int], stop: list[int], count: int) -> tuple[list[int], torch.Tensor]:
    """Greedy ids up to the first stop id or `count`, and the unmasked logits of every step."""
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if pixels is not None:
        inputs["pixel_values"] = pixels
    output = model.generate(
        **inputs, max_new_tokens=count, do_sample=False, num_beams=1, eos_token_id=stop,
        pad_token_id=stop[-1], suppress_tokens=masked, return_dict_in_generate=True,
        output_logits=True)
    return output.sequences[0, ids.shape[1]:].tolist(), torch.cat(output.logits)
