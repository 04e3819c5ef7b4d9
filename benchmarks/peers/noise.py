"""The pictures and prompts of `fastvlm bench --worker` (Noise in src/measure/benchmark_runner.cc)."""
import numpy as np

QUESTION = "What are these?"


def noise(start: int, count: int) -> np.ndarray:
    """Bytes that look random; byte i depends on i only."""
    i = np.arange(start, start + count, dtype=np.uint64).astype(np.uint32)
    i *= np.uint32(0x9E3779B1)
    i ^= i >> np.uint32(15)
    i *= np.uint32(0x85EBCA77)
    i ^= i >> np.uint32(13)
    return (i >> np.uint32(24)).astype(np.uint8)


def picture(side: int) -> np.ndarray:
    """[side, side, 3], bytes."""
    return noise(0, side * side * 3).reshape(side, side, 3)


def pixels(side: int) -> np.ndarray:
    """[1, 3, side, side] in [0, 1]: what the encoder is given."""
    values = picture(side).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def prompt(tokens: int) -> np.ndarray:
    """Ids below 256."""
    return noise(0, tokens).astype(np.int64)


def next_id(depth: int) -> int:
    """The token after a prompt of `depth` tokens."""
    return int(noise(depth, 1)[0])
