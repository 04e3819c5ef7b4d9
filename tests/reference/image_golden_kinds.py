"""TIFF, PNM, ICO and transparent files for make_image_golden.py, which calls these functions.

Each yields (name, bytes of the file, what the RGB should be where Pillow is not followed, else None).
"""

import io
import struct

import numpy as np
from PIL import Image, ImageOps

RNG = np.random.default_rng(20261201)
BACKGROUND = (200, 50, 100)  # what transparent_files are shown over


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


# ---- TIFF, of which Pillow cannot write every kind

def tiff(samples, bits, photometric, tags=(), big_endian=False, tile=None, planes=False, rows=5):
    """samples: [h, w, channels]; uncompressed strips of `rows` rows, or tiles of `tile` x `tile`."""
    height, width, channels = samples.shape
    order = ">" if big_endian else "<"

    def packed(block):
        lines = b""
        for line in block.reshape(block.shape[0], -1):
            if bits == 16:
                lines += line.astype(order + "u2").tobytes()
            elif bits == 8:
                lines += line.astype(np.uint8).tobytes()
            else:
                text = "".join(format(int(v), f"0{bits}b") for v in line)
                text += "0" * (-len(text) % 8)
                lines += bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))
        return lines

    parts = [samples[..., c:c + 1] for c in range(channels)] if planes else [samples]
    blocks = []
    for part in parts:
        if tile:
            grown = np.pad(part, ((0, -height % tile), (0, -width % tile), (0, 0)))
            blocks += [packed(grown[y:y + tile, x:x + tile]) for y in range(0, height, tile)
                       for x in range(0, width, tile)]
        else:
            blocks += [packed(part[y:y + rows]) for y in range(0, height, rows)]
    entries = {256: (3, [width]), 257: (3, [height]), 258: (3, [bits] * channels), 259: (3, [1]),
               262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2 if planes else 1])}
    entries |= dict(tags)
    offsets = [8 + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    sizes = [len(block) for block in blocks]
    if tile:
        entries |= {322: (3, [tile]), 323: (3, [tile]), 324: (4, offsets), 325: (4, sizes)}
    else:
        entries |= {273: (4, offsets), 278: (3, [rows]), 279: (4, sizes)}
    body = b"".join(blocks)
    body += b"\0" * (len(body) % 2)
    at = 8 + len(body)
    directory, values = struct.pack(order + "H", len(entries)), b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, (kind, numbers) in sorted(entries.items()):
        data = struct.pack(order + ("H" if kind == 3 else "I") * len(numbers), *numbers)
        if len(data) > 4:
            data, values = struct.pack(order + "I", behind + len(values)), values + data
        directory += struct.pack(order + "HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
    head = (b"MM" if big_endian else b"II") + struct.pack(order + "HI", 42, at)
    return head + body + directory + struct.pack(order + "I", 0) + values


def tiff_files(picture):
    rgb = picture()
    height, width = rgb.shape[:2]
    grey = rgb[..., 1:2].astype(np.int64)
    wide = RNG.integers(0, 65536, (height, width, 4))
    image = Image.fromarray(rgb)
    for name in ("raw", "lzw", "deflate", "packbits", "jpeg"):
        compression = {"raw": None, "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate"}.get(name, name)
        yield f"{name}.tif", saved(image, "TIFF", compression=compression), None
    yield "ycbcr_jpeg.tif", saved(image.convert("YCbCr"), "TIFF", compression="jpeg"), None
    yield "lzw_predictor.tif", saved(image, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}), None
    yield "big.tif", saved(image, "TIFF", big_tiff=True), None
    yield "group4.tif", saved(image.convert("1"), "TIFF", compression="group4"), None
    yield "cmyk.tif", saved(image.convert("CMYK"), "TIFF", compression="tiff_lzw"), None
    for bits in (1, 2, 4, 8):
        small = grey >> (8 - bits)
        yield f"grey{bits}.tif", tiff(small, bits, 1), None
        yield f"white{bits}.tif", tiff(small, bits, 0, big_endian=True), None
        colors = RNG.integers(0, 65536, 3 << bits).tolist()
        yield f"palette{bits}.tif", tiff(small, bits, 3, {320: (3, colors)}), None
    wide_grey = np.repeat((wide[..., :1] >> 8).astype(np.uint8), 3, -1)
    yield "grey16.tif", tiff(wide[..., :1], 16, 1), wide_grey
    yield "grey16_big_endian.tif", tiff(wide[..., :1], 16, 1, big_endian=True), wide_grey
    yield "rgb16.tif", tiff(wide[..., :3], 16, 2), None
    yield "rgb16_big_endian.tif", tiff(wide[..., :3], 16, 2, big_endian=True), None
    yield "tiles.tif", tiff(rgb, 8, 2, tile=16), None
    yield "planes.tif", tiff(rgb, 8, 2, planes=True), None
    yield "rgbx.tif", tiff(np.dstack([rgb, grey]), 8, 2, {338: (3, [0])}), None
    yield "orientation6.tif", tiff(rgb, 8, 2, {274: (3, [6])}), None
    pages = [image, Image.fromarray(255 - rgb)]
    yield "pages.tif", saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), None


# ---- PNM

def pnm_files(picture):
    rgb = picture().astype(np.int64)
    height, width = rgb.shape[:2]
    size = f"{width} {height}"
    grey = rgb[..., 1]
    bits = grey >> 7

    def text(values):
        return "\n".join(" ".join(str(v) for v in row.reshape(-1)) for row in values).encode()

    yield "plain1.pbm", f"P1\n# drawn\n{size}\n".encode() + text(bits).replace(b" ", b""), None
    yield "plain8.pgm", f"P2 {size} 255\n".encode() + text(grey), None
    yield "plain100.ppm", f"P3\n{size}\n100\n".encode() + text(rgb * 100 // 255), None
    packed = np.packbits(bits.astype(np.uint8), axis=1).tobytes()
    yield "binary1.pbm", f"P4\n{size}\n".encode() + packed, None
    yield "binary8.pgm", f"P5 # grey\n{size}\n255\n".encode() + grey.astype(np.uint8).tobytes(), None
    yield "binary15.pgm", f"P5\n{size}\n15\n".encode() + (grey >> 4).astype(np.uint8).tobytes(), None
    yield "binary8.ppm", f"P6\n{size}\n255\n".encode() + rgb.astype(np.uint8).tobytes(), None
    yield "binary7.ppm", f"P6\n{size}\n7\n".encode() + (rgb >> 5).astype(np.uint8).tobytes(), None
    wide = RNG.integers(0, 65536, rgb.shape)
    yield "binary16.ppm", f"P6\n{size}\n65535\n".encode() + wide.astype(">u2").tobytes(), None
    yield "binary10.ppm", f"P6\n{size}\n1023\n".encode() + (wide >> 6).astype(">u2").tobytes(), None
    levels = np.repeat((wide[..., :1] >> 8).astype(np.uint8), 3, -1)
    yield "binary16.pgm", f"P5\n{size}\n65535\n".encode() + wide[..., 0].astype(">u2").tobytes(), levels


# ---- ICO

def icon(entries):
    """entries: (width, height, bits, bytes of the picture)."""
    head = struct.pack("<HHH", 0, 1, len(entries))
    offset = 6 + 16 * len(entries)
    for width, height, bits, data in entries:
        head += struct.pack("<BBBBHHII", width % 256, height % 256, 0, 0, 1, bits, len(data), offset)
        offset += len(data)
    return head + b"".join(entry[3] for entry in entries)


def icon_bitmap(image, mask):
    """A DIB of twice the height; mask: [h, w], 1 where it is transparent, or None."""
    dib = saved(image, "DIB")
    dib = dib[:8] + struct.pack("<i", image.height * 2) + dib[12:]
    if mask is None:
        return dib
    rows = np.packbits(np.pad(mask, ((0, 0), (0, -mask.shape[1] % 32)))[::-1].astype(np.uint8), axis=1)
    return dib + rows.tobytes()


def ico_files(picture):
    rgb = picture()
    height, width = rgb.shape[:2]
    image = Image.fromarray(rgb)
    mask = (np.add.outer(np.arange(height), np.arange(width)) % 5 == 0)
    alpha = (np.arange(width * height).reshape(height, width) * 11 % 256).astype(np.uint8)
    clear = Image.fromarray(np.dstack([rgb, alpha]), "RGBA")
    small = Image.fromarray(rgb[:8, :8])
    yield "png.ico", icon([(8, 8, 32, saved(small, "PNG")), (width, height, 32, saved(clear, "PNG"))]), None
    yield "bitmap24.ico", icon([(width, height, 24, icon_bitmap(image, mask)),
                                (8, 8, 24, icon_bitmap(small, mask[:8, :8]))]), None
    yield "bitmap32.ico", icon([(width, height, 32, icon_bitmap(clear, None))]), None
    for bits, colors in ((8, 200), (1, 2)):
        few = image.quantize(colors) if bits == 8 else image.convert("1")
        yield f"bitmap{bits}.ico", icon([(width, height, bits, icon_bitmap(few, mask))]), None


# ---- Transparent pictures of kinds whose files so far have no alpha

def transparent_files(picture):
    rgb = picture()
    height, width = rgb.shape[:2]
    alpha = (np.arange(width * height).reshape(height, width, 1) * 13 % 256).astype(np.uint8)
    rgba = np.dstack([rgb, alpha])
    grey = np.dstack([rgb[..., :1], alpha])
    # Multiplied and rounded up in places, so that dividing has to clip.
    multiplied = np.dstack([np.minimum(rgb.astype(np.int64) * alpha // 255 + 2, 255), alpha])
    yield "rgba.tif", tiff(rgba, 8, 2, {338: (3, [2])}), None
    yield "rgba_unsaid.tif", tiff(rgba, 8, 2), None
    yield "rgba_tiles_planes.tif", tiff(rgba, 8, 2, {338: (3, [2])}, tile=16, planes=True), None
    yield "multiplied.tif", tiff(multiplied, 8, 2, {338: (3, [1])}), None
    yield "grey_alpha.tif", tiff(grey, 8, 1, {338: (3, [2])}), None
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, rgba.size, 2835, 2835, 0, 0) + masks
    header = header.ljust(108, b"\0")
    pixels = np.dstack([rgb[::-1, :, ::-1], alpha[::-1]]).tobytes()
    yield "alpha_v4.bmp", (struct.pack("<2sIHHI", b"BM", 122 + len(pixels), 0, 0, 122) + header + pixels), None
    yield "rgba16.tif", tiff(rgba.astype(np.int64) * 257, 16, 2, {338: (3, [2])}), None


def heif_files():
    """The left half clear, the right half solid: (name, bytes, tolerance)."""
    half = np.zeros((32, 48, 4), np.uint8)
    half[..., :3] = (40, 120, 200)
    half[:, 24:, 3] = 255
    yield "half_clear.avif", saved(Image.fromarray(half), "AVIF", quality=100, subsampling="4:4:4"), 3


def over_background(data):
    """What Pillow shows of a file over BACKGROUND: RGB bytes."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA")
    ground = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB")).tobytes()
