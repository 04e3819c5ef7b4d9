#!/usr/bin/env python3
"""Streaming clients that ask a server at the same time. Every answer must be the one the same question
gets alone.

  benchmarks/server/load.py crowd     32 clients for 60 s on the bundled model, with pictures: errors,
                                      mixed-up answers, p50 and p95 of the time to first token, tokens/s
                                      of all together, and whether the server's memory keeps growing
  benchmarks/server/load.py batching --model DIR
                                      what decoding together brings: tokens/s of one client and of 8, in
                                      turns on one server with 8-bit weights. The questions are few and
                                      were asked before, so that almost all of the time goes into decoding
  benchmarks/server/load.py newcomer --model DIR
                                      how long a short text waits for its first token alone, and while
                                      another client has a prompt with eight large pictures encoded

Needs only Python. Flags of fastvlm serve may follow after --.
Exit status: 0 when no answer failed or differed, the memory was flat (crowd), the clients together were
--at-least times as fast as one (batching), and the newcomer's worst first token came within three times
of what it takes alone, plus one block of the encoder (newcomer); else 1.
"""
import argparse
import base64
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import resource
import struct
import subprocess
import sys
import threading
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/nano/samples"
PROMPTS = ["Describe the image.", "What is this?", "What color is it?", "How many objects are there?",
           "What can you see in the picture?"]
# The second half of a run may add this much: allocators do not give everything back.
FLAT_SHARE, FLAT_MB = 0.05, 16


def questions():
    images = sorted(SAMPLES.glob("*.png"))
    for prompt, image in itertools.product(PROMPTS, images):
        data = base64.b64encode(image.read_bytes()).decode()
        yield f"{image.name}: {prompt}", [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}},
            {"type": "text", "text": prompt}]


class Asker:
    """One client with a connection of its own. fields: of every request."""

    def __init__(self, host, port, fields):
        self.connection = http.client.HTTPConnection(host, port, timeout=600)
        self.fields = fields
        self.headers = {"Content-Type": "application/json"}

    def ask(self, content):
        """Text, seconds to the first piece of text, tokens of the answer."""
        body = {"model": "any", "messages": [{"role": "user", "content": content}], "stream": True,
                "stream_options": {"include_usage": True}, **self.fields}
        start = time.monotonic()
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), self.headers)
        response = self.connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"status {response.status}: {response.read()[:200]}")
        text, first, tokens, ended = "", None, 0, False
        for line in response:
            if line.strip() == b"data: [DONE]":
                ended = True
            elif line.startswith(b"data: "):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    raise RuntimeError(str(chunk["error"]))
                for choice in chunk["choices"]:
                    text += choice["delta"].get("content") or ""
                    if text and first is None:
                        first = time.monotonic() - start
                if chunk.get("usage"):
                    tokens = chunk["usage"]["completion_tokens"]
        if not ended:
            raise RuntimeError("the stream broke off")
        return text, first, tokens


class Server:
    """fastvlm serve on a free port for the time of a with block."""

    def __init__(self, program, flags):
        self.process = subprocess.Popen([program, "serve", "--port", "0", "--quiet", *flags],
                                        stderr=subprocess.PIPE, text=True)
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            found = re.search(r"at http://(.*):(\d+)$", line.strip())
            if found:
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                self.host, self.port = found[1], int(found[2])
                return
        sys.exit("the server did not start: " + "".join(lines))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.exit_code = self.process.wait(60)

    def memory_mb(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def percentile_ms(seconds, share):
    values = sorted(seconds)
    return round(values[min(len(values) - 1, int(share * len(values)))] * 1000, 1) if values else None


def expectations(server, asked, fields):
    """What each question is answered when nobody else asks."""
    alone = Asker(server.host, server.port, fields)
    return {name: alone.ask(content)[0] for name, content in asked}


def measure(server, asked, expected, clients, seconds, fields):
    """Clients that ask one random question after the other. Tokens count when their answer is complete,
    and the time runs until the last answer is."""
    answers, errors, wrong = [], [], []
    memory = [server.memory_mb()]
    start = time.monotonic()

    def client(number):
        choose = random.Random(number)
        asker = Asker(server.host, server.port, fields)
        while time.monotonic() - start < seconds:
            name, content = choose.choice(asked)
            try:
                text, first, tokens = asker.ask(content)
            except Exception as error:  # counted, and shown at the end
                errors.append(f"{name}: {error!r}")
                asker = Asker(server.host, server.port, fields)
                continue
            answers.append((first, tokens))
            if text != expected[name]:
                wrong.append(f"{name}: {text!r} instead of {expected[name]!r}")

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.25)
        memory.append(server.memory_mb())
    elapsed = time.monotonic() - start
    firsts = [first for first, _ in answers if first is not None]
    tokens = sum(count for _, count in answers)
    return {"clients": clients, "seconds": round(elapsed, 2), "answers": len(answers), "tokens": tokens,
            "tokens_per_s": round(tokens / elapsed, 2),
            "ttft_p50_ms": percentile_ms(firsts, 0.5), "ttft_p95_ms": percentile_ms(firsts, 0.95),
            "memory_mb": {"start": round(memory[0]), "half_way": round(memory[len(memory) // 2]),
                          "end": round(memory[-1]), "most": round(max(memory))},
            "errors": len(errors), "wrong_answers": len(wrong), "examples": (errors + wrong)[:10]}


def show(result):
    memory = result["memory_mb"]
    print(f"{result['clients']} clients, {result['seconds']} s: {result['answers']} answers, "
          f"{result['tokens']} tokens, {result['tokens_per_s']} tokens/s")
    print(f"  first token: p50 {result['ttft_p50_ms']} ms, p95 {result['ttft_p95_ms']} ms")
    print(f"  memory: {memory['start']} MB at the start, {memory['half_way']} MB half way, "
          f"{memory['end']} MB at the end, {memory['most']} MB at most")
    print(f"  errors: {result['errors']}, answers unlike the single-user one: {result['wrong_answers']}")
    for line in result["examples"]:
        print("    " + line)
    sys.stdout.flush()


def is_clean(result):
    return result["answers"] > 0 and result["errors"] == 0 and result["wrong_answers"] == 0


def crowd(arguments):
    fields = {"resolution": arguments.resolution} if arguments.resolution else {}
    asked = list(questions())
    with Server(arguments.program, arguments.flags) as server:
        expected = expectations(server, asked, fields)
        result = measure(server, asked, expected, arguments.clients, arguments.seconds, fields)
    show(result)
    memory = result["memory_mb"]
    flat = memory["end"] <= memory["half_way"] * (1 + FLAT_SHARE) + FLAT_MB
    if not flat:
        print("the server's memory keeps growing")
    return {"memory_flat": flat, "server_exit_code": server.exit_code, "load": result,
            "passed": is_clean(result) and flat and server.exit_code == 0}


def batching(arguments):
    fields = {"resolution": arguments.resolution or 256, "max_tokens": arguments.tokens}
    asked = list(questions())[:4]
    flags = ["--model", arguments.model, "--precision", arguments.precision, *arguments.flags]
    with Server(arguments.program, flags) as server:
        expected = expectations(server, asked, fields)
        turns = {1: [], arguments.clients: []}
        for _ in range(arguments.rounds):
            for clients, results in turns.items():
                results.append(measure(server, asked, expected, clients, arguments.seconds, fields))
                show(results[-1])
    speed = {clients: sum(result["tokens"] for result in results) /
             sum(result["seconds"] for result in results) for clients, results in turns.items()}
    ratio = speed[arguments.clients] / speed[1] if speed[1] > 0 else 0.0
    print(f"{arguments.clients} clients together: {ratio:.2f} times the tokens/s of one "
          f"(expected: at least {arguments.at_least})")
    rounds = [result for results in turns.values() for result in results]
    return {"ratio": round(ratio, 3), "tokens_per_s": {n: round(s, 2) for n, s in speed.items()},
            "server_exit_code": server.exit_code, "rounds": rounds,
            "passed": all(map(is_clean, rounds)) and ratio >= arguments.at_least and server.exit_code == 0}


def noise_png(side, seed):
    """A picture that no other one is equal to."""
    values = random.Random(seed)
    rows = b"".join(b"\0" + values.randbytes(3 * side) for _ in range(side))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def newcomer(arguments):
    side = arguments.resolution or 1024
    pictures = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(
        noise_png(side, seed)).decode()}} for seed in range(arguments.clients)]
    load = pictures + [{"type": "text", "text": "Compare the pictures."}]
    flags = ["--model", arguments.model, "--precision", arguments.precision, "--max-body-mb", "200",
             *arguments.flags]

    def first_token(asker, number):
        start = time.monotonic()
        first = asker.ask([{"type": "text", "text": f"{number} men wait. What is this?"}])[1]
        return first or time.monotonic() - start

    with Server(arguments.program, flags) as server:
        asker = Asker(server.host, server.port, {"max_tokens": 1})
        first_token(asker, 0)  # warms up
        alone = [first_token(asker, 1 + i) for i in range(5)]
        took, errors = [], []

        def encode():
            start = time.monotonic()
            try:
                Asker(server.host, server.port, {"max_tokens": 1, "resolution": side}).ask(load)
            except Exception as error:  # shown at the end
                errors.append(repr(error))
            took.append(time.monotonic() - start)

        client = threading.Thread(target=encode)
        client.start()
        time.sleep(0.5)  # the pictures have arrived and the first one is being encoded
        under_load = []
        while client.is_alive():
            under_load.append(first_token(asker, 100 + len(under_load)))
        client.join()
    # FastViTHD has 44 blocks of about the same work, with the stem before the first: a twentieth is taken.
    block = took[0] / arguments.clients / 20
    worst, usual = max(under_load, default=0.0), percentile_ms(alone, 0.5)
    at_most = 3 * usual / 1000 + block
    print(f"first token of a short text: alone {usual} ms; beside {arguments.clients} pictures of "
          f"{side} x {side}, which took {took[0]:.1f} s: {percentile_ms(under_load, 0.5)} ms, at worst "
          f"{worst * 1000:.1f} ms of {len(under_load)} (expected: at most {at_most * 1000:.0f} ms)")
    for line in errors:
        print("  " + line)
    return {"alone_ms": [round(1000 * t, 1) for t in alone], "pictures_s": round(took[0], 2),
            "under_load_ms": [round(1000 * t, 1) for t in under_load],
            "at_most_ms": round(at_most * 1000, 1), "errors": errors,
            "passed": bool(under_load) and not errors and worst <= at_most}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, clients, seconds in (("crowd", 32, 60), ("batching", 8, 30), ("newcomer", 8, 0)):
        command = commands.add_parser(name)
        command.add_argument("--program", default=str(ROOT / "build/release/bin/fastvlm"))
        command.add_argument("--clients", type=int, default=clients,
                             help="in newcomer the pictures of the other client")
        command.add_argument("--seconds", type=float, default=seconds,
                             help="after which nobody asks again; in batching: of each turn")
        command.add_argument("--resolution", type=int, default=0,
                             help="0: the model's; in batching 256, in newcomer 1024")
        command.add_argument("--json", metavar="FILE", help="writes the figures there, too")
        if name != "crowd":
            command.add_argument("--model", required=True, help="a full-size checkpoint")
            command.add_argument("--precision", default="q8")
        if name == "batching":
            command.add_argument("--tokens", type=int, default=128, help="longest answer")
            command.add_argument("--rounds", type=int, default=2)
            command.add_argument("--at-least", type=float, default=2)
        command.add_argument("flags", nargs="*", help="for fastvlm serve")
    arguments = parser.parse_args()
    scenario = {"crowd": crowd, "batching": batching, "newcomer": newcomer}[arguments.command]
    report = scenario(arguments)
    report = {"command": arguments.command, "cpus": os.cpu_count(), **report}
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("passed" if report["passed"] else "FAILED")
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
