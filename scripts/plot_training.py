#!/usr/bin/env python3
"""Draws the losses and scores of a training run.

  scripts/plot_training.py RUN_DIRECTORY --output training.png

RUN_DIRECTORY holds log.csv and scores.csv, as `fastvlm-train train` writes them. Needs matplotlib
(Debian: python3-matplotlib).
"""
import argparse
import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

NOT_SCORES = {"total_steps", "phase", "step", "pictures", "seconds"}
SMOOTHING = 0.9  # of the losses, exponential


def read(path: Path) -> list[dict]:
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("seconds")]
    except OSError as error:
        sys.exit(f"plot_training.py: {error}")
    if not rows:
        sys.exit(f"plot_training.py: {path} has no lines yet")
    return rows


def smooth(values: list[float]) -> list[float]:
    result = []
    for value in values:
        result.append(value if not result else SMOOTHING * result[-1] + (1 - SMOOTHING) * value)
    return result


def phases(rows: list[dict]) -> list[tuple[str, float, float]]:
    spans = {}
    for row in rows:
        at = float(row["seconds"]) / 60
        start, _ = spans.get(row["phase"], (at, at))
        spans[row["phase"]] = (start, at)
    return [(name, start, end) for name, (start, end) in spans.items()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="PNG, SVG or PDF")
    args = parser.parse_args()
    log, scores = read(args.run / "log.csv"), read(args.run / "scores.csv")

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 9), sharex=True,
                                          layout="constrained")
    minutes = [float(row["seconds"]) / 60 for row in log]
    for name, label in (("answer", "answers, next token"), ("tied", "image tokens, words"),
                        ("class", "features, class"),
                        ("place", "image tokens, their place"),
                        ("look", "names, what they look at")):
        points = [(m, float(row[name])) for m, row in zip(minutes, log)
                  if row[name] and float(row[name]) > 0]
        if points:
            upper.plot([m for m, _ in points], smooth([v for _, v in points]), label=label)
    upper.set_ylabel("loss, smoothed")
    upper.set_yscale("log")
    upper.legend()
    for index, (name, start, end) in enumerate(phases(log)):
        for axis in (upper, lower):
            axis.axvspan(start, end, color="0.93" if index % 2 == 0 else "1.0", zorder=0)
        if end - start < 0.06 * minutes[-1]:
            continue  # no room for a name
        upper.text((start + end) / 2, 1.01, name, ha="center", fontsize=8,
                   transform=upper.get_xaxis_transform())

    names = [name for name in scores[0] if name not in NOT_SCORES]
    styles = ["-", "--", ":"]
    for index, name in enumerate(names):
        measured = [row for row in scores if row[name]]  # some came later
        lower.plot([float(row["seconds"]) / 60 for row in measured],
                   [100 * float(row[name]) for row in measured],
                   styles[index // 10 % 3], marker=".", label=name)
    lower.set_ylim(0, 100)
    lower.set_ylabel("answers that are right, %")
    lower.set_xlabel("minutes of training")
    lower.legend(fontsize=8, ncols=2)
    figure.savefig(args.output, dpi=110)


if __name__ == "__main__":
    main()
