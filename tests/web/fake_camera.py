"""Makes a video for Chromium's fake camera from PNG files: --use-file-for-fake-video-capture takes Y4M.

Usage: tests/web/fake_camera.py OUTPUT.y4m SECONDS PICTURE.png...    each picture is shown so long, in turn
"""
import pathlib
import struct
import sys
import zlib

SIZE = 384
FRAMES_PER_SECOND = 10


def read_png(path):
    """Width, height and rows of RGB of an 8-bit RGB PNG without interlacing, as the samples are."""
    data = pathlib.Path(path).read_bytes()
    at, compressed = 8, b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, at + 8)
            if (depth, color, interlaced) != (8, 2, 0):
                raise ValueError(f"{path}: expected 8-bit RGB without interlacing")
        elif kind == b"IDAT":
            compressed += data[at + 8:at + 8 + length]
        at += 12 + length
    raw = zlib.decompress(compressed)
    stride = 3 * width
    rows, above = [], bytearray(stride)
    for y in range(height):
        kind = raw[y * (stride + 1)]
        row = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - 3] if i >= 3 else 0
            corner = above[i - 3] if i >= 3 else 0
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + above[i]) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + above[i]) // 2) & 255
            elif kind == 4:
                estimate = left + above[i] - corner
                distances = (abs(estimate - left), abs(estimate - above[i]), abs(estimate - corner))
                row[i] = (row[i] + (left, above[i], corner)[distances.index(min(distances))]) & 255
        rows.append(bytes(row))
        above = row
    return width, height, rows


def frame(path):
    """The picture as one Y4M frame, SIZE x SIZE, 4:2:0, BT.601 with the usual limited range."""
    width, height, rows = read_png(path)
    columns = [3 * (x * width // SIZE) for x in range(SIZE)]
    luma, blue, red = bytearray(), bytearray(), bytearray()
    for y in range(SIZE):
        row = rows[y * height // SIZE]
        for x, at in enumerate(columns):
            r, g, b = row[at], row[at + 1], row[at + 2]
            luma.append((16829 * r + 33039 * g + 6416 * b + 1081344) >> 16)
            if y % 2 == 0 and x % 2 == 0:
                blue.append((-9714 * r - 19071 * g + 28784 * b + 8421376) >> 16)
                red.append((28784 * r - 24103 * g - 4681 * b + 8421376) >> 16)
    return b"FRAME\n" + luma + blue + red


def make(output, seconds, pictures):
    with open(output, "wb") as video:
        video.write(f"YUV4MPEG2 W{SIZE} H{SIZE} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            video.write(frame(picture) * int(seconds * FRAMES_PER_SECOND))


if __name__ == "__main__":
    make(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
