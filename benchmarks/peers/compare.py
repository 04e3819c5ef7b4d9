#!/usr/bin/env python3
"""Runs the same work through this project and its peers, in turns, and adds each time to a CSV.

  compare.py encoder     --model M --files F --fastvlm build/release/bin/fastvlm --results R
  compare.py language    ...
  compare.py first-token ...

Every contender is a process that has loaded and warmed up before the rounds begin. In a round each of
them does the work once, and the one that begins changes from round to round. All run on the same
--threads processors. Contenders that do not fit in memory together are run in groups, with fastvlm q8
in each group. Passes that are in the CSV already are not run again. report.py makes the table.
"""
import argparse
import csv
import datetime
import json
import os
import platform
import select
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FIELDS = ["part", "contender", "work", "round", "ms", "memory_mb", "agreement", "note", "time"]
ANCHOR = "fastvlm q8"
REFERENCE = "fastvlm f32"


class Failure(Exception):
    """A contender could not do its work; the message says why."""


class Contender:
    """What to start. megabytes: the least that must be free for it; rounds: its own limit."""

    def __init__(self, name: str, command: list, megabytes: int, rounds: int = 10**9,
                 same_model: bool = True):
        self.name, self.command, self.megabytes = name, [str(c) for c in command], megabytes
        self.rounds, self.same_model = rounds, same_model
        self.process = self.log = None

    def start(self, threads: int, logs: Path, limit: float) -> None:
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        processors = sorted(os.sched_getaffinity(0))[:threads]
        self.log = logs / f"log {self.name}.txt".replace(" ", "_")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=environment, preexec_fn=lambda: os.sched_setaffinity(0, processors))
        answer = self.read(limit)
        if answer != "ready":
            raise Failure(f"said '{answer}' instead of ready")
        # From here on the highest memory is that of the work, not of loading.
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def read(self, limit: float) -> str:
        line, end = b"", time.monotonic() + limit
        pipe = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0, end - time.monotonic()))[0]:
                raise Failure(f"no answer within {limit:.0f} s")
            piece = os.read(pipe, 1)
            if not piece:
                raise self.ended()
            line += piece
        return line.decode().strip()

    def ended(self) -> Failure:
        code = self.process.wait()
        said = [line.strip() for line in self.log.read_text().splitlines() if line.strip()]
        return Failure(f"ended with exit code {code}: {said[-1][:200] if said else 'silently'}")

    def run(self, request: str, limit: float) -> float:
        try:
            self.process.stdin.write(f"{request}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.ended() from None
        return float(self.read(limit))

    def memory_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
        return 0

    def stop(self) -> None:
        if self.process is None:
            return
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process = None


def ours(args, precision: str, megabytes: int) -> Contender:
    return Contender(f"fastvlm {precision}",
                     [args.fastvlm, "bench", "--worker", "--model", args.model, "--precision",
                      precision, "--threads", args.threads], megabytes)


def peer(args, name: str, backend: str, megabytes: int, rounds: int = 10**9, same_model=True,
         **options) -> Contender:
    options["threads"] = args.threads
    command = [sys.executable, HERE / "worker.py", backend]
    return Contender(name, command + [f"{k}={v}" for k, v in options.items()], megabytes, rounds,
                     same_model)


def encoder_contenders(args) -> list[Contender]:
    def torch(name, megabytes=2000, **options):
        return peer(args, f"PyTorch {name}", "torch", megabytes, model=args.model, **options)

    def graph(name, backend, precision, megabytes=1500, more="", **options):
        return peer(args, f"{name} {precision}{more}", backend, megabytes, files=args.files,
                    precision=precision, **options)

    def without_snippets(precision):
        return graph("OpenVINO", "openvino", precision, more=" without snippets", snippets="no")

    contenders = [ours(args, "f32", 1800), ours(args, "bf16", 1800), ours(args, "q8", 1200)]
    if args.apple_source:
        contenders.append(peer(args, "PyTorch f32, Apple's source", "apple", 3500,
                               model=args.model, apple=args.apple_source))
    return contenders + [
        torch("f32"), torch("f32 channels_last", layout="last"),
        torch("f32 compiled", 3500, layout="last", compiled="yes"),
        torch("bf16", precision="bf16", layout="last"),
        torch("bf16 compiled", 3500, precision="bf16", layout="last", compiled="yes"),
        graph("ONNX Runtime", "onnxruntime", "f32"), graph("ONNX Runtime", "onnxruntime", "int8"),
        graph("OpenVINO", "openvino", "f32"), without_snippets("f32"),
        graph("OpenVINO", "openvino", "bf16"),
        graph("OpenVINO", "openvino", "int8"), without_snippets("int8"),
        graph("MNN", "mnn", "f32"), graph("MNN", "mnn", "int8")]


def language_contenders(args) -> list[Contender]:
    contenders = [ours(args, p, 1500) for p in ("f32", "bf16", "q8", "q4")]
    for kind in ("bf16", "q8_0", "q4_0"):
        contenders.append(peer(args, f"llama.cpp {kind.upper()}", "llama.cpp", 1500,
                               gguf=args.files / f"text_{kind}.gguf"))
    for precision, megabytes in (("f32", 3000), ("bf16", 2000)):
        contenders.append(peer(args, f"transformers {precision}", "transformers-text", megabytes,
                               text=args.files / "text", precision=precision))
    return contenders


def first_token_contenders(args) -> list[Contender]:
    return [ours(args, "f32", 1800), ours(args, "q8", 1200),
            peer(args, "transformers FastVLM f32", "transformers-fastvlm", 6500,
                 model=args.model),
            peer(args, "transformers LLaVA-OneVision-0.5B f32", "llava-onevision", 9000, 3,
                 same_model=False)]


PARTS = {
    "encoder": (encoder_contenders, lambda a: [f"encode {s}" for s in a.sides]),
    "language": (language_contenders,
                 lambda a: [f"prefill {a.prompt}", f"decode {a.decode} {a.prompt}"]),
    "first-token": (first_token_contenders, lambda a: [f"first-token {a.sides[0]}"]),
}


def agreement(work: str, same_model: bool, expected: np.ndarray, found: np.ndarray) -> str:
    """How near the result is to fastvlm's in f32; a result of another shape is a Failure."""
    if not same_model:
        return f"another model, {found[0, 0]:.0f} tokens of prompt"
    if work.startswith("prefill"):  # peers may have rows beyond the tokenizer's last token
        found = found[:, :expected.shape[1]]
    if expected.shape != found.shape:
        raise Failure(f"result of shape {found.shape}, expected {expected.shape}")
    if work.startswith("decode"):
        same = int(np.cumprod(expected[0] == found[0]).sum())
        return f"first {same} of {expected.shape[1]} ids the same"
    if work.startswith("first-token"):
        if expected[0, 0] != found[0, 0]:
            raise Failure(f"prompt of {found[0, 0]:.0f} tokens, expected {expected[0, 0]:.0f}")
        return "same id" if expected[0, 1] == found[0, 1] else "another id"
    a, b = expected.astype(np.float64), found.astype(np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return f"cosine {cosine.mean():.6f}"


class Results:
    """The CSV: what it has, and adding to it."""

    def __init__(self, path: Path):
        self.path, self.rows = path, []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = list(csv.DictReader(file))
        else:
            with path.open("w", newline="") as file:
                csv.DictWriter(file, FIELDS).writeheader()

    def has(self, part: str, name: str, work: str, number: int) -> bool:
        return any(r["part"] == part and r["contender"] == name and r["work"] == work and
                   r["round"] == str(number) and not r["note"] for r in self.rows)

    def failed(self, part: str, name: str) -> bool:
        return any(r["part"] == part and r["contender"] == name and r["note"] for r in self.rows)

    def add(self, **row) -> None:
        row = {"ms": "", "memory_mb": "", "agreement": "", "note": ""} | row
        row["time"] = datetime.datetime.now().isoformat(timespec="seconds")
        row = {key: str(value) for key, value in row.items()}
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS).writerow(row)


class Comparison:
    def __init__(self, args):
        self.args = args
        make, works = PARTS[args.part]
        self.works = works(args)
        self.contenders = make(args)
        self.directory = args.results
        self.directory.mkdir(parents=True, exist_ok=True)
        self.results = Results(self.directory / "results.csv")
        self.end = time.monotonic() + 60 * args.minutes
        wanted = [w for w in args.only.split(",") if w]
        if wanted:
            self.contenders = [c for c in self.contenders if any(w in c.name for w in wanted)]

    def rounds(self, contender: Contender) -> int:
        return min(self.args.rounds, contender.rounds)

    def missing(self, contender: Contender, work: str, number: int) -> bool:
        return number <= self.rounds(contender) and not self.results.has(
            self.args.part, contender.name, work, number)

    def unfinished(self, contender: Contender) -> bool:
        if self.results.failed(self.args.part, contender.name) and not self.args.retry:
            return False
        return any(self.missing(contender, work, number) for work in self.works
                   for number in range(1, self.rounds(contender) + 1))

    def fail(self, contender: Contender, work: str, reason: Exception) -> None:
        print(f"  {contender.name}: {reason}", flush=True)
        self.results.add(part=self.args.part, contender=contender.name, work=work, round=0,
                         note=str(reason))
        contender.stop()

    def output(self, name: str, work: str) -> Path:
        return self.directory / f"{self.args.part}_{name}_{work}.npy".replace(" ", "_")

    def make_reference(self) -> None:
        """fastvlm's own result in f32, which all are compared with."""
        files = {work: self.output("reference", work) for work in self.works}
        if all(path.exists() for path in files.values()):
            return
        contender = ours(self.args, "f32", 0)
        contender.start(self.args.threads, self.directory, self.args.limit)
        for work, path in files.items():
            contender.run(f"{work} {path}", self.args.limit)
        contender.stop()

    def warm_up(self, contender: Contender) -> bool:
        work = self.works[0]
        try:
            contender.start(self.args.threads, self.directory, self.args.limit)
            for work in self.works:
                path = self.output("scratch", work)
                # The first pass may build or compile; the limit is for that too.
                ms = contender.run(f"{work} {path}", self.args.limit)
                said = agreement(work, contender.same_model,
                                 np.load(self.output("reference", work)), np.load(path))
                path.unlink()
                if not self.results.has(self.args.part, contender.name, work, 0):
                    self.results.add(part=self.args.part, contender=contender.name, work=work,
                                     round=0, ms=f"{ms:.3f}", agreement=said)
                print(f"  {contender.name}, {work}: {ms:.0f} ms warming up, {said}, "
                      f"{contender.memory_mb():.0f} MB", flush=True)
        except Failure as reason:
            self.fail(contender, work, reason)
        return contender.process is not None

    def group(self, waiting: list[Contender]) -> list[Contender]:
        """Takes contenders that fit in memory together from the list, the anchor always."""
        free = available_mb() - self.args.reserve
        chosen = [c for c in waiting if c.name == ANCHOR]
        free -= sum(c.megabytes for c in chosen)
        for contender in [c for c in waiting if c.name != ANCHOR]:
            if contender.megabytes <= free or not chosen:
                chosen.append(contender)
                free -= contender.megabytes
        waiting[:] = [c for c in waiting if c not in chosen]
        return chosen

    def run(self) -> None:
        waiting = [c for c in self.contenders if self.unfinished(c)]
        if not waiting:
            return
        self.make_reference()
        anchor = next((c for c in self.contenders if c.name == ANCHOR), None)
        while waiting and time.monotonic() < self.end:
            if anchor and anchor not in waiting:
                waiting.insert(0, anchor)
            before = len(waiting)
            group = self.group(waiting)
            if before == len(waiting) or group == [anchor] and waiting:
                print(f"not enough memory for {waiting[0].name}", flush=True)
                return
            print(f"{self.args.part}: {', '.join(c.name for c in group)}", flush=True)
            try:
                self.run_rounds([c for c in group if self.warm_up(c)])
            finally:
                for contender in group:
                    contender.stop()

    def run_rounds(self, group: list[Contender]) -> None:
        for number in range(1, self.args.rounds + 1):
            turn = number % len(group) if group else 0
            for contender in group[turn:] + group[:turn]:
                if time.monotonic() > self.end:
                    print("the time is over; the same command goes on from here", flush=True)
                    return
                if contender.process is not None:
                    self.one_round(contender, number)

    def one_round(self, contender: Contender, number: int) -> None:
        # The anchor runs in every group, so that it is measured beside each of the others.
        for work in self.works:
            if contender.name != ANCHOR and not self.missing(contender, work, number):
                continue
            time.sleep(self.args.pause)  # threads of the one before that still spin go to sleep
            try:
                ms = contender.run(work, self.args.limit)
            except Failure as reason:
                self.fail(contender, work, reason)
                return
            self.results.add(part=self.args.part, contender=contender.name, work=work,
                             round=number, ms=f"{ms:.3f}",
                             memory_mb=f"{contender.memory_mb():.0f}")
            print(f"  {number} {contender.name}, {work}: {ms:.1f} ms", flush=True)


def available_mb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1000
    return 0


def describe_machine(args) -> None:
    """Writes machine.json, or refuses to mix machines, threads and builds in one CSV."""
    cpu = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        cpu.setdefault(key.strip(), value.strip())
    flags = sorted(f for f in cpu.get("flags", "").split() if f.startswith(("avx", "amx", "fma")))
    packages = {}
    for name in ("torch", "timm", "transformers", "onnxruntime", "openvino", "nncf", "MNN",
                 "llama-cpp-python"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "not installed"
    version = subprocess.run([args.fastvlm, "--version"], capture_output=True, text=True).stdout
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout
    machine = {"cpu": cpu.get("model name", ""), "family": cpu.get("cpu family", ""),
               "flags": flags, "threads": args.threads, "system": platform.platform(),
               "fastvlm": version.strip(), "commit": commit.strip(), "packages": packages}
    path = args.results / "machine.json"
    args.results.mkdir(parents=True, exist_ok=True)
    if path.exists():
        before = json.loads(path.read_text())
        for key in ("cpu", "family", "flags", "threads", "commit"):
            if before[key] != machine[key]:
                sys.exit(f"{path}: its {key} is {before[key]}, now it is {machine[key]}; "
                         "take another --results")
    path.write_text(json.dumps(machine, indent=1))
    print(f"load before the start: {os.getloadavg()[0]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--model", type=Path, required=True, help="0.5B, in Apple's layout")
    parser.add_argument("--files", type=Path, required=True, help="what prepare.py made")
    parser.add_argument("--fastvlm", type=Path, required=True, help="the program")
    parser.add_argument("--results", type=Path, required=True, help="directory to add to")
    parser.add_argument("--apple-source", type=Path,
                        help="clone of https://github.com/apple/ml-fastvlm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="comma-separated parts of contenders' names")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 512], help="pixels")
    parser.add_argument("--prompt", type=int, default=280, help="tokens")
    parser.add_argument("--decode", type=int, default=64, help="tokens, after the prompt")
    parser.add_argument("--minutes", type=float, default=1e6, help="no pass starts after these")
    parser.add_argument("--limit", type=float, default=600, help="seconds a pass may take")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between passes")
    parser.add_argument("--reserve", type=float, default=2000, help="MB of memory to leave free")
    parser.add_argument("--retry", action="store_true", help="also those that failed before")
    args = parser.parse_args()
    describe_machine(args)
    Comparison(args).run()


if __name__ == "__main__":
    main()
