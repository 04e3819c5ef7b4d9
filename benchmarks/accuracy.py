#!/usr/bin/env python3
"""What each precision loses against f32, as a Markdown table.

  benchmarks/accuracy.py --fastvlm build/release/bin/fastvlm --model models/nano \\
      --image models/nano/samples/*.png --questions DATASET

For each model and precision it prints the cosine between the visual tokens at that precision and in f32,
the mean over the tokens of all images and that of the worst token. With --questions it also prints the
share of exact answers by `fastvlm eval`. `fastvlm-train questions` makes a dataset of new pictures. Needs
numpy.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PRECISIONS = ["f32", "bf16", "q8", "q4"]


def run(arguments: list[str]) -> str:
    result = subprocess.run(arguments, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"accuracy.py: {' '.join(arguments)}\n{result.stderr}")
    return result.stdout


def tokens(args, model: str, precision: str, image: str, scratch: Path) -> np.ndarray:
    output = scratch / "tokens.npy"
    command = [args.fastvlm, "encode", "--model", model, "--precision", precision, image,
               "--output", str(output)]
    if args.resolution:
        command += ["--resolution", args.resolution]
    run(command)
    return np.load(output).astype(np.float64)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def score(args, model: str, precision: str) -> tuple[int, int]:
    report = json.loads(run([args.fastvlm, "eval", "--model", model, "--precision", precision,
                             "--json", args.questions]))
    return report["correct"], report["questions"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastvlm", required=True, help="the program")
    parser.add_argument("--model", required=True, help="directory of a checkpoint")
    parser.add_argument("--image", nargs="+", required=True)
    parser.add_argument("--resolution", help="of the encoder's input")
    parser.add_argument("--questions", help="dataset for fastvlm eval")
    args = parser.parse_args()

    columns = ["precision", "cosine, mean", "cosine, worst token", "largest error / scale"]
    if args.questions:
        columns += ["exact answers", "against f32"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        exact = [tokens(args, args.model, "f32", image, Path(scratch)) for image in args.image]
        reference = None
        for precision in PRECISIONS:
            near, error = [], 0.0
            for image, expected in zip(args.image, exact):
                actual = tokens(args, args.model, precision, image, Path(scratch))
                near.append(cosines(actual, expected))
                error = max(error, np.abs(actual - expected).max() / np.abs(expected).max())
            near = np.concatenate(near)
            cells = [precision, f"{near.mean():.6f}", f"{near.min():.6f}", f"{error:.1e}"]
            if args.questions:
                correct, questions = score(args, args.model, precision)
                share = 100 * correct / questions
                reference = share if reference is None else reference
                cells += [f"{share:.2f} % of {questions}", f"{share - reference:+.2f} points"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
