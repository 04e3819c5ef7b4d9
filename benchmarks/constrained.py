#!/usr/bin/env python3
"""What a JSON schema costs while an answer is written: decoding speed with and without one, in turns.

  benchmarks/constrained.py [--model models/nano] [--precision q8] [--rounds 5]

It asks about the bundled sample pictures at temperature 1, freely and with each of a few schemas, and
compares the time for each token after the first, which includes masking, sampling and following the
token. It prints the least time of all rounds, because other work on the machine can only add to it.
Answers with a schema must parse.
Exit status: 1 if a schema costs more than --at-most percent of decoding, or an answer does not parse.
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The answers are about as long as free ones of the bundled model, because later tokens attend to
# more tokens and take longer.
SCHEMAS = {
    "a text": {"type": "string", "minLength": 40, "maxLength": 70},
    "any JSON": {},
    "object": {"type": "object", "additionalProperties": False, "required": ["title", "count", "kind"],
               "properties": {"title": {"type": "string", "maxLength": 30},
                              "count": {"type": "integer", "minimum": 0, "maximum": 1000},
                              "kind": {"enum": ["photo", "drawing", "page"]}}},
}


def ask(arguments, images, seed, schema):
    """Milliseconds for each token after the first, over all pictures; and the answers that do not parse."""
    command = [arguments.program, "describe", "--json", "--quiet", "--model", arguments.model, "--precision",
               arguments.precision, "--temperature", "1", "--seed", str(seed), "--max-tokens",
               str(arguments.tokens), *arguments.flags]
    if schema is not None:
        command += ["--json-schema", json.dumps(schema)]
    run = subprocess.run(command + images, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{run.stderr}")
    milliseconds, tokens, wrong = 0.0, 0, 0
    for line in run.stdout.splitlines():
        answer = json.loads(line)
        milliseconds += answer["timings"]["decode_ms"]
        tokens += max(0, len(answer["token_ids"]) - 1)
        if schema is not None and answer["finish_reason"] == "stop":
            try:
                json.loads(answer["text"])
            except ValueError:
                wrong += 1
    return milliseconds / max(1, tokens), tokens, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/fastvlm"))
    parser.add_argument("--model", default=str(ROOT / "models/nano"))
    parser.add_argument("--precision", default="q8")
    parser.add_argument("--images", type=int, default=11, help="how many of the sample pictures")
    parser.add_argument("--tokens", type=int, default=128, help="longest answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-most", type=float, default=10, help="percent")
    parser.add_argument("flags", nargs="*", help="for fastvlm describe, after --")
    arguments = parser.parse_args()

    images = [str(path) for path in sorted((ROOT / "models/nano/samples").glob("*.png"))[:arguments.images]]
    kinds = {"free": None, **SCHEMAS}
    times = {name: [] for name in kinds}
    counts = dict.fromkeys(kinds, 0)
    wrong = 0
    for seed in range(arguments.rounds):
        for name, schema in kinds.items():
            each, tokens, bad = ask(arguments, images, seed, schema)
            times[name].append(each)
            counts[name] += tokens
            wrong += bad
    free = min(times["free"])
    passed = wrong == 0
    print(f"{'':<12}{'tokens':>8}{'ms a token':>12}{'cost':>9}")
    for name in kinds:
        each = min(times[name])
        cost = (each / free - 1) * 100
        passed = passed and cost <= arguments.at_most
        print(f"{name:<12}{counts[name]:>8}{each:>12.4f}" + ("" if name == "free" else f"{cost:>7.1f} %"))
    if wrong:
        print(f"{wrong} complete answers are no JSON")
    print("passed" if passed else "FAILED")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
