#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets for safetensors, configs, tokenizers, JSON schemas, HTTP,
requests and images: small valid files.

  python3 tests/fuzz/make_corpus.py          # tests/fuzz/corpus/{safetensors,json_config,json_schema,http,...}
"""

import json
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
DATA = ROOT / "tests/golden/data"
SIZES = {"F32": 4, "U32": 4, "BF16": 2, "F16": 2, "I64": 8}


def safetensors(tensors: dict[str, tuple[str, list[int]]]) -> bytes:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = SIZES[dtype]
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + bytes(i * 37 % 61 for i in range(offset))


def layer(name: str, shape: list[int], dtype: str = "BF16") -> dict:
    return {f"{name}.weight": (dtype, shape), f"{name}.bias": (dtype, shape[:1])}


def ffn(name: str, c: int, hidden: int) -> dict:
    tensors = {f"{name}.conv.conv.weight": ("BF16", [c, 1, 7, 7])}
    tensors |= layer(f"{name}.conv.bn", [c])
    for part in ("running_mean", "running_var"):
        tensors[f"{name}.conv.bn.{part}"] = ("BF16", [c])
    tensors[f"{name}.conv.bn.num_batches_tracked"] = ("I64", [])
    return tensors | layer(f"{name}.fc1", [hidden, c, 1, 1]) | layer(f"{name}.fc2",
                                                                    [c, hidden, 1, 1])


def apple_vision() -> dict:
    v = "model.vision_tower.vision_tower.model."
    tensors = layer(v + "patch_embed.0.reparam_conv", [1, 3, 3, 3])
    tensors |= layer(v + "patch_embed.1.reparam_conv", [1, 1, 3, 3])
    tensors |= layer(v + "patch_embed.2.reparam_conv", [1, 1, 1, 1])
    tensors |= layer(v + "network.0.0.token_mixer.reparam_conv", [1, 1, 3, 3])
    tensors |= {v + "network.0.0.layer_scale": ("BF16", [1, 1, 1])}
    tensors |= ffn(v + "network.0.0.convffn", 1, 2)
    tensors |= layer(v + "network.1.proj.0.lkb_reparam", [32, 1, 7, 7])
    tensors |= layer(v + "network.1.proj.1.reparam_conv", [32, 32, 1, 1])
    tensors |= layer(v + "network.2.reparam_conv", [32, 1, 7, 7])
    b = v + "network.3.0."
    tensors |= layer(b + "norm", [32]) | layer(b + "token_mixer.proj", [32, 32])
    tensors |= {b + "token_mixer.qkv.weight": ("BF16", [96, 32]),
                b + "layer_scale_1": ("BF16", [32, 1, 1]),
                b + "layer_scale_2": ("BF16", [32, 1, 1])}
    tensors |= ffn(b + "convffn", 32, 1)
    tensors |= layer(v + "conv_exp.reparam_conv", [32, 1, 3, 3])
    tensors |= layer(v + "conv_exp.se.reduce", [1, 32, 1, 1])
    return tensors | layer(v + "conv_exp.se.expand", [32, 1, 1, 1])


def decoder(prefix: str) -> dict:
    tensors = {prefix + "embed_tokens.weight": ("BF16", [3, 32]),
               prefix + "norm.weight": ("BF16", [32])}
    block = prefix + "layers.0."
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"{block}{name}.weight"] = ("BF16", [32])
    for name in ("q", "k", "v"):
        tensors |= layer(f"{block}self_attn.{name}_proj", [32, 32])
    for name in ("self_attn.o", "mlp.gate", "mlp.up", "mlp.down"):
        tensors[f"{block}{name}_proj.weight"] = ("BF16", [32, 32])
    return tensors


def quantized(tensors: dict, bits: int) -> dict:
    result = {}
    for name, (dtype, shape) in tensors.items():
        if len(shape) == 2 and name.endswith(".weight") and not name.startswith("vision"):
            prefix = name.removesuffix("weight")
            result[name] = ("U32", [shape[0], shape[1] * bits // 32])
            result[prefix + "scales"] = result[prefix + "biases"] = ("F16", [shape[0], 1])
        else:
            result[name] = (dtype, shape)
    return result


def channels_last(name: str, shape: list[int]) -> list[int]:
    if "layer_scale" in name:
        return [1, 1, shape[0]]
    return [shape[0], shape[2], shape[3], shape[1]] if len(shape) == 4 else shape


def checkpoints() -> dict[str, bytes]:
    apple = apple_vision() | layer("model.mm_projector.0", [32, 32])
    apple |= layer("model.mm_projector.2", [32, 32]) | decoder("model.")
    mlx = {}
    for name, (dtype, shape) in apple.items():
        if name.startswith("model.vision_tower"):
            name = name.replace("model.vision_tower.vision_tower.model", "vision_tower.vision_model")
            name = name.replace("patch_embed.", "patch_embed.blocks.")
            shape = channels_last(name, shape)
        elif "mm_projector" in name:
            name = name.removeprefix("model.")
        else:
            name = "language_model." + name
        if "num_batches" not in name:
            mlx[name] = (dtype, shape)
    export = {name.replace("mm_projector.", "multi_modal_projector.linear_"): value
              for name, value in mlx.items() if not name.startswith("vision")}
    return {"empty": safetensors({}), "apple": safetensors(apple), "mlx": safetensors(mlx),
            "mlx_8bit": safetensors(quantized(mlx, 8)),
            "mlx_export_4bit": safetensors(quantized(export, 4))}


def configs() -> dict[str, bytes]:
    files = ["config.json", "generation_config.json", "preprocessor_config.json",
             "processor_config.json", "tokenizer_config.json"]
    def seed(layout: int, directory: Path) -> bytes:
        parts = [(directory / name).read_bytes() if (directory / name).exists() else b""
                 for name in files]
        return bytes([layout]) + b"\0".join(parts)
    return {"apple": seed(0, DATA / "apple_tied"), "fast_vlm": seed(1, DATA / "fast_vlm_tied"),
            "mlx": seed(2, DATA / "apple_untied"), "mlx_export": seed(3, DATA / "apple_untied")}


def tokenizers() -> dict[str, bytes]:
    # GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 and on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    alphabet = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]
    vocab = {c: i for i, c in enumerate(alphabet)} | {"he": 256, "hel": 257}
    root = {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": 258, "content": "<|im_end|>", "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True}]}
    example = json.loads((ROOT / "tests/golden/text/json/tokenizer.json").read_text())
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        root[name] = example.get(name)
    root["model"] = example["model"] | {"vocab": vocab, "merges": ["h e", "he l"]}
    pairs = root | {"model": root["model"] | {"merges": [["h", "e"], ["he", "l"]]}}
    return {"merges": json.dumps(root).encode() + b"\0hello<|im_end|>\xff",
            "pairs": json.dumps(pairs, ensure_ascii=False).encode()}


def schemas() -> dict[str, bytes]:
    """Each with the 8 bytes before it that seed the random model."""
    strings = {"type": "object", "properties": {
        "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d+(a|b)?$"},
        "day": {"type": "string", "format": "date"}, "mail": {"type": "string", "format": "email"},
        "name": {"type": "string", "minLength": 1, "maxLength": 9}}, "required": ["code", "name"]}
    numbers = {"type": "array", "minItems": 1, "maxItems": 4, "items": {"anyOf": [
        {"type": "integer", "minimum": -20, "exclusiveMaximum": 300},
        {"type": "number", "minimum": 0.25, "maximum": 7.5}]}}
    tree = {"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "properties": {"kind": {"enum": ["a", "b", None, 1.5]},
                                         "next": {"oneOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["kind", "next"], "additionalProperties": False}}}
    joined = {"allOf": [{"type": ["object", "array"]}, {"properties": {"x": {"const": {"y": [True]}}}}],
              "additionalProperties": {"type": "boolean"}, "prefixItems": [{"type": "string"}, {}]}
    seeds = {"strings": strings, "numbers": numbers, "tree": tree, "joined": joined, "any": {}}
    return {name: bytes(range(i, i + 8)) + json.dumps(schema).encode()
            for i, (name, schema) in enumerate(seeds.items())}


def http_requests() -> dict[str, bytes]:
    get = b"GET /health?x=%20 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a:80\r\nContent-Type: application/json\r\n"
    chunks = b"2;a=\"b c\"\r\n{}\r\n1\r\n \r\n0\r\nTrailer: x\r\n\r\n"
    return {"get": get, "two": b"\r\n" + get + b"HEAD / HTTP/1.0\r\n\r\n",
            "length": head + b"Content-Length: 2\r\n\r\n{}" + get,
            "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + get,
            "both": head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "folded": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nHost: b\r\n\r\n"}


def requests() -> dict[str, bytes]:
    """Of the APIs of responses and messages; the older ones have seeds of their own beside these."""
    schema = {"type": "object", "properties": {"b": {"type": "boolean"}, "a": {}}, "required": ["b"]}
    tool = {"type": "function", "name": "f", "parameters": {}}
    picture = "data:image/png;base64,iVBORw0KGgo="
    responses = {
        "model": "m", "instructions": "Be short.", "stream": True, "max_output_tokens": 7, "top_p": 0.9,
        "metadata": {"k": "v"}, "include": ["message.output_text.logprobs"], "top_logprobs": 2, "store": False,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": schema}},
        "tools": [tool], "tool_choice": "auto", "stream_options": {"include_obfuscation": False},
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "What?"},
                                               {"type": "input_image", "image_url": picture, "detail": "low"}]},
                  {"type": "reasoning", "summary": []},
                  {"type": "message", "id": "i", "role": "assistant", "status": "completed",
                   "content": [{"type": "output_text", "text": "A <|im_end|>", "annotations": []}]},
                  {"role": "developer", "content": "Why?"}]}
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    messages = {
        "model": "m", "max_tokens": 7, "system": [{"type": "text", "text": "Be short."}], "top_k": 3,
        "stop_sequences": ["a", "b"], "thinking": {"type": "disabled"}, "tool_choice": {"type": "none"},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "messages": [{"role": "user", "content": [{"type": "image", "source": source},
                                                  {"type": "image", "source": {"type": "url", "url": "http://a/b"}},
                                                  {"type": "text", "text": "What?", "cache_control": None}]},
                     {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"},
                                                       {"type": "text", "text": "A fox."}]},
                     {"role": "user", "content": "Why?"}]}
    return {"responses.json": json.dumps(responses).encode(), "messages.json": json.dumps(messages).encode(),
            "responses_text.json": json.dumps({"input": "Hi"}).encode()}


def images() -> dict[str, bytes]:
    """Golden files of every decoder and way through it, each with the byte before it that says what is wanted."""
    folder = ROOT / "tests/golden/image/decode"
    names = """420.jpg progressive.jpg grey.jpg ycck.jpg restart.jpg orientation6.jpg grey1_interlaced.png palette_trns.png
        rgb16.png grey_alpha8.png rgba8.png exif_after.png animated.png lossy_alpha.webp lossless_alpha.webp exif.webp
        animated_offset.webp offset_transparent.gif interlaced.gif animated.gif core4.bmp rgb565.bmp fields32.bmp rle8.bmp
        rle4.bmp alpha_v4.bmp raw.tif lzw_predictor.tif deflate.tif ycbcr_jpeg.tif group4.tif packbits.tif big.tif
        palette4.tif white1.tif grey16.tif planes.tif tiles.tif rgba_tiles_planes.tif multiplied.tif cmyk.tif
        plain1.pbm plain100.ppm binary1.pbm binary7.ppm binary16.pgm binary10.ppm png.ico bitmap24.ico bitmap32.ico
        bitmap1.ico half_clear.avif quality90.heic""".split()
    # With and without a background, and for a target.
    return {name: bytes([(2, 6, 4, 15)[i % 4]]) + (folder / name).read_bytes() for i, name in enumerate(names)}


def main() -> None:
    seeds = {"safetensors": checkpoints(), "json_config": configs(), "json_schema": schemas(),
             "tokenizer": tokenizers(), "http": http_requests(), "chat_request": requests(),
             "image": images()}
    for target, files in seeds.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (CORPUS / target / name).write_bytes(content)
            print(f"{target}/{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
