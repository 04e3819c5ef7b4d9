"""PyTorch: Apple's and timm's encoder, Qwen2 and FastVLM in transformers, LLaVA-OneVision."""
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from transformers import FastVlmForConditionalGeneration

import noise

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/reference"), str(ROOT / "scripts")]
import inputs  # noqa: E402
import names  # noqa: E402
import references  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def timed(call):
    """(milliseconds, what the call returned)"""
    start = time.perf_counter()
    with torch.inference_mode():
        result = call()
    return 1000 * (time.perf_counter() - start), result


class Tokens(torch.nn.Module):
    """Pixels to visual tokens."""

    def __init__(self, tower: torch.nn.Module, projector: torch.nn.Module):
        super().__init__()
        self.tower, self.projector = tower, projector

    def forward(self, pixels):
        return self.projector(self.tower(pixels).flatten(2).permute(0, 2, 1))


class TimmFeatures(torch.nn.Module):
    """timm's encoder as transformers calls it."""

    def __init__(self, encoder: torch.nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels):
        return self.encoder.forward_features(pixels)


class AppleFeatures(torch.nn.Module):
    """Apple's encoder up to conv_exp: the rest of its forward is not used by FastVLM."""

    def __init__(self, encoder: torch.nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels):
        encoder = self.encoder
        return encoder.conv_exp(encoder.forward_tokens(encoder.forward_embeddings(pixels)))


def vision_parts(model: str):
    """transformers' vision tower and projector; the decoder is not read."""
    directory = Path(model)
    tensors = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()
                        if name.startswith(("model.vision_tower.", "model.mm_projector."))}
    dims, depths = references.encoder_shape(tensors)
    config = references.read_config(directory)
    with torch.device("meta"):
        full = FastVlmForConditionalGeneration(references.transformers_config(
            config, dims, depths, config["vocab_size"], 0, config["eos_token_id"]))
    weights = {n: t.float() if t.is_floating_point() else t
               for n, t in names.to_transformers(tensors).items()}
    full.load_state_dict(weights, strict=False, assign=True)
    parts = full.model.vision_tower.timm_model, full.model.multi_modal_projector
    if any(p.is_meta for part in parts for p in part.parameters()):
        raise SystemExit(f"{model}: weights are missing, or it is not in Apple's layout")
    return parts


def timm_tokens(model: str) -> Tokens:
    encoder, projector = vision_parts(model)
    return Tokens(TimmFeatures(encoder), projector).eval()


def apple_tokens(model: str, source: str) -> Tokens:
    import make_synthetic_checkpoint as synthetic
    tensor_names = [name for name, _ in synthetic.all_tensors(synthetic.SIZES["0.5b"])]
    encoder = references.load_apple_encoder(Path(model), Path(source), tensor_names)
    return Tokens(AppleFeatures(encoder), vision_parts(model)[1]).eval()


class Encoder:
    def __init__(self, module: torch.nn.Module, threads: str, precision: str, layout: str,
                 compiled: str):
        torch.set_num_threads(int(threads))
        self.dtype = DTYPES[precision]
        self.layout = torch.channels_last if layout == "last" else torch.contiguous_format
        self.module = module.to(self.dtype).to(memory_format=self.layout)
        if compiled == "yes":
            from torch._inductor import config
            config.freezing = True  # weights are constants: folds, packs
            self.module = torch.compile(self.module)

    def encode(self, side: int):
        pixels = torch.from_numpy(noise.pixels(side)).to(self.dtype)
        pixels = pixels.contiguous(memory_format=self.layout)
        ms, tokens = timed(lambda: self.module(pixels))
        return ms, tokens[0].float().numpy()


class TorchEncoder(Encoder):
    def __init__(self, model: str, threads: str, precision="f32", layout="first", compiled="no"):
        super().__init__(timm_tokens(model), threads, precision, layout, compiled)


class AppleEncoder(Encoder):
    def __init__(self, model: str, apple: str, threads: str, precision="f32", layout="first"):
        super().__init__(apple_tokens(model, apple), threads, precision, layout, "no")


class TransformersText:
    """The decoder alone, as Qwen2ForCausalLM."""

    def __init__(self, text: str, threads: str, precision="f32"):
        from transformers import AutoModelForCausalLM
        torch.set_num_threads(int(threads))
        self.model = AutoModelForCausalLM.from_pretrained(
            text, dtype=DTYPES[precision], attn_implementation="sdpa").eval()
        self.cache = None

    def step(self, ids, cache):
        output = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[0, -1], output.past_key_values

    def prefill(self, tokens: int):
        ids = torch.from_numpy(noise.prompt(tokens))[None]
        ms, (logits, self.cache) = timed(lambda: self.step(ids, None))
        return ms, logits.float().numpy()[None]

    def decode(self, tokens: int, depth: int):
        if self.cache is None or self.cache.get_seq_length() < depth:
            self.prefill(depth)
        if self.cache.get_seq_length() > depth:
            self.cache.crop(depth - self.cache.get_seq_length())

        def steps():
            ids, token = [], torch.tensor([[noise.next_id(depth)]])
            for _ in range(tokens):
                logits, self.cache = self.step(token, self.cache)
                token = logits.argmax().reshape(1, 1)
                ids.append(int(token))
            return ids

        ms, ids = timed(steps)
        return ms, np.array([ids])


class TransformersFastVlm:
    """The whole model. The picture is turned to pixels within the time; the prompt is not."""

    def __init__(self, model: str, threads: str, precision="f32"):
        torch.set_num_threads(int(threads))
        self.model = references.load_transformers(Path(model)).to(DTYPES[precision])
        self.model.set_attn_implementation("sdpa")
        self.dtype = DTYPES[precision]
        tokenizer = references.load_tokenizer(Path(model))
        self.before, self.after = inputs.split_ids(tokenizer, inputs.prompt_text(noise.QUESTION, 1))
        self.image = self.model.config.image_token_index
        rows = self.model.lm_head.weight.shape[0]
        self.masked = sorted({self.image, *range(len(tokenizer), rows)})  # as fastvlm does

    def first_token(self, side: int):
        picture = noise.picture(side)
        image_ids = [self.image] * (side // 64) ** 2
        ids = torch.tensor([self.before + image_ids + self.after])

        def whole():
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].to(self.dtype) / 255
            return self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=pixels,
                max_new_tokens=1, do_sample=False, pad_token_id=0, suppress_tokens=self.masked)

        ms, answer = timed(whole)
        return ms, np.array([[ids.shape[1], int(answer[0, -1])]])


class LlavaOneVision:
    """LLaVA-OneVision-0.5B with random weights in its shape: SigLIP so400m at 384 over nine tiles
    and the whole picture, Qwen2-0.5B. The time does not depend on the weights' values."""

    SIDE = 1152  # three tiles; what it is given whatever the other side's picture is

    def __init__(self, threads: str, precision="f32"):
        from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
        torch.set_num_threads(int(threads))
        self.dtype = DTYPES[precision]
        vision = {"model_type": "siglip_vision_model", "hidden_size": 1152, "image_size": 384,
                  "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 26,
                  "patch_size": 14, "vision_use_head": False}
        text = {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
                "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
                "vocab_size": 152000, "max_position_embeddings": 32768,
                "tie_word_embeddings": True}
        pins = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]
        config = LlavaOnevisionConfig(
            vision_config=vision, text_config=text, image_token_index=151646,
            image_grid_pinpoints=pins, vision_aspect_ratio="anyres_max_9",
            vision_feature_layer=-1, vision_feature_select_strategy="full",
            tie_word_embeddings=True)
        config._attn_implementation = "sdpa"
        torch.manual_seed(0)
        torch.set_default_dtype(self.dtype)
        self.model = LlavaOnevisionForConditionalGeneration(config).eval()
        torch.set_default_dtype(torch.float32)

    # 27 x 27 of the whole picture, 81 x 81 of the tiles and a token that ends each of their rows.
    VISUAL_TOKENS = 27 * 27 + 81 * 82

    def first_token(self, _side: int):
        side = self.SIDE
        picture = noise.picture(side)
        before, after = list(range(100, 114)), list(range(200, 211))
        ids = torch.tensor([before + [151646] * self.VISUAL_TOKENS + after])

        def whole():
            image = torch.from_numpy(picture).permute(2, 0, 1).to(self.dtype) / 127.5 - 1
            tiles = image.reshape(3, 3, 384, 3, 384).permute(1, 3, 0, 2, 4).reshape(9, 3, 384, 384)
            small = torch.nn.functional.interpolate(image[None], size=(384, 384), mode="bicubic")
            return self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids),
                pixel_values=torch.cat([small, tiles])[None],
                image_sizes=torch.tensor([[side, side]]), max_new_tokens=1, do_sample=False,
                pad_token_id=0)

        ms, answer = timed(whole)
        return ms, np.array([[ids.shape[1], int(answer[0, -1])]])
