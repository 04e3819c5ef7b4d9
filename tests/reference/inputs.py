"""Small test pictures, their preprocessing, and the prompt."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

IMAGE = "<image>"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def draw(width: int, height: int, seed: int) -> Image.Image:
    """Smooth gradients, a disc, a frame, stripes and some noise, in colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    colours = rng.uniform(0, 255, (6, 3))
    image = (colours[0] * u[..., None] + colours[1] * (1 - u[..., None])) * v[..., None]
    image += (255 - colours[0]) * (1 - v[..., None]) * 0.6
    cx, cy, r = 0.3 * width, 0.45 * height, 0.25 * min(width, height)
    image[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = colours[2]
    box = (u > 0.55) & (u < 0.9) & (v > 0.2) & (v < 0.7)
    image[box] = colours[3]
    image[box & ((x.astype(int) // 3 + y.astype(int) // 4) % 2 == 0)] = colours[4]
    image[v > 0.88] = colours[5]
    image += rng.normal(0, 6, image.shape)
    return Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))


def preprocess(path: Path, mode: str, height: int, width: int) -> torch.Tensor:
    """[1,3,height,width] in [0,1]. `pad`: black square first (as Apple does); `stretch`: no."""
    image = Image.open(path).convert("RGB")
    if mode == "pad":
        side = max(image.size)
        square = Image.new("RGB", (side, side), (0, 0, 0))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(image, np.float32) / np.float32(255)
    return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()


def prompt_text(prompt: str, images: int) -> str:
    """Apple's conversation template with the user's text after one line per image."""
    user = f"{IMAGE}\n" * images + prompt
    return f"{SYSTEM}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def split_ids(tokenizer, text: str) -> list[list[int]]:
    """Token ids of the pieces between the `<image>` markers, each tokenized alone."""
    return [tokenizer.encode(piece, add_special_tokens=False) for piece in text.split(IMAGE)]
