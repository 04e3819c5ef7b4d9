#!/usr/bin/env python3
"""Makes results.md and results.png from results.csv.

  report.py RESULTS_DIRECTORY
"""
import csv
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

ANCHOR = "fastvlm q8"


def read(path: Path) -> tuple[dict, dict, dict]:
    """Three tables: (part, work) -> contender -> {line of the file: ms}; (part, work) -> contender ->
    what it said of its result; (part, contender) -> why it failed."""
    times = defaultdict(lambda: defaultdict(dict))
    words = defaultdict(dict)
    failures = {}
    with path.open(newline="") as file:
        for place, row in enumerate(csv.DictReader(file)):
            part, name = row["part"], row["contender"]
            key = part, row["work"]
            if row["note"]:
                failures[part, name] = row["note"]
                continue
            failures.pop((part, name), None)  # it was tried again
            said = words[key].setdefault(name, {"agreement": "", "memory": 0.0})
            said["agreement"] = row["agreement"] or said["agreement"]
            if row["memory_mb"]:
                said["memory"] = max(said["memory"], float(row["memory_mb"]))
            if row["round"] != "0":
                times[key][name][place] = float(row["ms"])
    return times, words, failures


def title(work: str) -> str:
    kind, *numbers = work.split()
    return {"encode": "Encoder and projector, {0} x {0} pixels",
            "prefill": "Prefill, {0} tokens",
            "decode": "Decode, {0} tokens after {1}",
            "first-token": "Picture of {0} x {0} pixels and question to the first token"}[
                kind].format(*numbers)


def tokens_per_s(work: str, ms: float) -> str:
    kind, size, *_ = work.split()
    return f"{int(size) * 1000 / ms:.1f}" if kind in ("prefill", "decode") else ""


def ratio(passes: dict, anchor: dict) -> float:
    """The median of each pass divided by the nearest pass of the anchor in time, because a shared
    machine is not always equally fast."""
    nearest = {place: min(anchor, key=lambda other: abs(other - place)) for place in passes}
    return statistics.median(ms / anchor[nearest[place]] for place, ms in passes.items())


def table(key, times: dict, words: dict, failures: dict) -> str:
    part, work = key
    anchor = times.get(ANCHOR)
    lines = [f"## {title(work)}", "",
             "| | median ms | fastest ms | passes | tokens/s | fastvlm q8 is | memory MB | against "
             "fastvlm f32 |", "|---|---|---|---|---|---|---|---|"]
    medians = {name: statistics.median(passes.values()) for name, passes in times.items()}
    for name in sorted(medians, key=medians.get):
        ms, passes = medians[name], times[name]
        factor = f"{ratio(passes, anchor):.2f}x" if anchor and name != ANCHOR else ""
        said = words.get(name, {"memory": 0, "agreement": ""})
        lines.append(f"| {name} | {ms:.1f} | {min(passes.values()):.1f} | {len(passes)} | "
                     f"{tokens_per_s(work, ms)} | {factor} | {said['memory']:.0f} | "
                     f"{said['agreement']} |")
    for (failed_part, name), reason in failures.items():
        if failed_part == part and name not in times:
            lines.append(f"| {name} | none: {reason} | | | | | | |")
    return "\n".join(lines) + "\n"


def head(machine: dict) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (f"# fastvlm and its peers\n\n{machine['cpu']} (family {machine['family']}; "
            f"{' '.join(machine['flags'])}), {machine['threads']} threads, {machine['system']}; "
            f"{machine['fastvlm']}, commit {machine['commit']}; {packages}.\n\n"
            "Medians of passes taken in turns, all warm. \"fastvlm q8 is 2.00x\" means that a pass "
            "takes twice as long as the nearest one of fastvlm q8 (median of these ratios).\n")


def plot(times: dict, path: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    heights = [len(contenders) for contenders in times.values()]
    figure, axes = plt.subplots(len(times), 1, figsize=(9, 1.2 * len(times) + 0.3 * sum(heights)),
                                height_ratios=heights, squeeze=False)
    for axis, ((_, work), contenders) in zip(axes[:, 0], times.items()):
        medians = {n: statistics.median(t.values()) for n, t in contenders.items()}
        order = sorted(medians, key=medians.get, reverse=True)
        colours = ["#1b6ca8" if n.startswith("fastvlm") else "#b8b8b8" for n in order]
        bars = axis.barh(order, [medians[n] for n in order], color=colours)
        axis.bar_label(bars, [f"{medians[n]:.0f} ms" for n in order], padding=3)
        axis.set_title(title(work), loc="left", fontsize=11)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    directory = Path(sys.argv[1])
    times, words, failures = read(directory / "results.csv")
    if not times:
        sys.exit(f"{directory}/results.csv has no times yet")
    parts = [head(json.loads((directory / "machine.json").read_text()))]
    parts += [table(key, contenders, words[key], failures) for key, contenders in times.items()]
    (directory / "results.md").write_text("\n".join(parts))
    plot(times, directory / "results.png")
    print(f"{directory}/results.md\n{directory}/results.png")


if __name__ == "__main__":
    main()
