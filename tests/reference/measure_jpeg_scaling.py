#!/usr/bin/env python3
"""What decoding a large JPEG at reduced DCT scale would change, and save.

Needs Pillow and numpy. Makes a 64-megapixel JPEG (9248 x 6944, seeded, smooth shapes, sharp edges, fine texture and
sensor noise), fits it to 1024 x 1024 (black padding, bicubic) after decoding at 1/1, 1/2, 1/4 and 1/8, and prints CPU
seconds and the difference of the results in levels of 0..255: python tests/reference/measure_jpeg_scaling.py
"""

import io
import time

import numpy as np
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
WIDTH, HEIGHT, SIDE = 9248, 6944, 1024  # multiples of 32, so that every scale pads alike


def photo(noise):
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(30, 226, (52, 69, 3), dtype=np.uint8))
    image = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int32)
    image[(x // 40 + y // 56) % 11 == 0] -= 70        # edges
    image[..., 1] += ((x * y // 512) % 23 - 11).astype(np.int16)  # texture of changing frequency
    for row in image:
        row += np.rint(rng.normal(0, noise, row.shape)).astype(np.int16)
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def fitted(data, scale):
    image = Image.open(io.BytesIO(data))
    if scale > 1:
        image.draft("RGB", (WIDTH // scale, HEIGHT // scale))
    start = time.process_time()
    image = image.convert("RGB")
    decode = time.process_time() - start
    assert image.width == -(-WIDTH // scale), (image.size, scale)
    side = max(image.size)
    square = Image.new("RGB", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    start = time.process_time()
    result = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    resize = time.process_time() - start
    return np.asarray(result).astype(int), decode, resize


def main():
    print("noise   MB  scale  decode s  resize s  largest  mean   beyond +-1")
    for noise in (2, 20):
        data = io.BytesIO()
        photo(noise).save(data, "JPEG", quality=95)
        data = data.getvalue()
        for scale in (1, 2, 4, 8):
            result, decode, resize = fitted(data, scale)
            if scale == 1:
                full = result
            difference = np.abs(result - full)
            print(f"{noise:5} {len(data) / 1e6:4.0f}    1/{scale} {decode:9.2f} {resize:9.2f} {difference.max():8}"
                  f"  {difference.mean():.3f} {100 * (difference > 1).mean():9.2f} %", flush=True)


if __name__ == "__main__":
    main()
