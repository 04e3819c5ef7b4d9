#!/usr/bin/env python3
"""Streaming clients that ask a server at the same time. Every answer must be the one the same question
gets alone.

Prints errors, mixed-up answers, p50 and p95 of the time to first token, tokens per second of all
clients together, and how much memory the server took. Needs only Python.

Usage: benchmarks/server/load.py [--program build/release/bin/fastvlm] [--clients 32] [--seconds 60]
       [--resolution N] [-- FLAGS OF fastvlm serve]
Exit status: 0 when there was no error and no mixed-up answer, else 1.
"""
import argparse
import base64
import http.client
import itertools
import json
import pathlib
import random
import re
import resource
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/nano/samples"
PROMPTS = ["Describe the image.", "What is this?", "What color is it?", "How many objects are there?",
           "What can you see in the picture?"]


def questions():
    images = sorted(SAMPLES.glob("*.png"))
    for image, prompt in itertools.product(images, PROMPTS):
        data = base64.b64encode(image.read_bytes()).decode()
        yield f"{image.name}: {prompt}", [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}},
            {"type": "text", "text": prompt}]


class Asker:
    """One client with a connection of its own."""

    def __init__(self, host, port, resolution):
        self.connection = http.client.HTTPConnection(host, port, timeout=120)
        self.fields = {"resolution": resolution} if resolution else {}

    def ask(self, content):
        """Text, seconds to the first piece of text, tokens of the answer."""
        body = {"model": "any", "messages": [{"role": "user", "content": content}], "stream": True,
                "stream_options": {"include_usage": True}, **self.fields}
        start = time.monotonic()
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body),
                                {"Content-Type": "application/json"})
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


def memory_mb(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def start_server(program, flags):
    process = subprocess.Popen([program, "serve", "--port", "0", "--quiet", *flags],
                               stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        found = re.search(r"at http://(.*):(\d+)$", line.strip())
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[1], int(found[2])
    sys.exit("the server did not start")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def load(arguments, host, port, pid):
    asked = list(questions())
    alone = Asker(host, port, arguments.resolution)
    expected = {name: alone.ask(content)[0] for name, content in asked}
    answers, errors, wrong = [], [], []
    memory = [memory_mb(pid)]
    start = time.monotonic()

    def client(number):
        choose = random.Random(number)
        asker = Asker(host, port, arguments.resolution)
        while time.monotonic() - start < arguments.seconds:
            name, content = choose.choice(asked)
            try:
                text, first, tokens = asker.ask(content)
            except Exception as error:  # counted, and shown at the end
                errors.append(f"{name}: {error!r}")
                asker = Asker(host, port, arguments.resolution)
                continue
            answers.append((first, tokens))
            if text != expected[name]:
                wrong.append(f"{name}: {text!r} instead of {expected[name]!r}")

    clients = [threading.Thread(target=client, args=(i,)) for i in range(arguments.clients)]
    for thread in clients:
        thread.start()
    while any(thread.is_alive() for thread in clients):
        time.sleep(0.5)
        memory.append(memory_mb(pid))
    seconds = time.monotonic() - start
    return answers, errors, wrong, memory, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/fastvlm"))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--resolution", type=int, default=0, help="0: the model's")
    parser.add_argument("flags", nargs="*", help="for fastvlm serve")
    arguments = parser.parse_args()
    process, host, port = start_server(arguments.program, arguments.flags)
    try:
        answers, errors, wrong, memory, seconds = load(arguments, host, port, process.pid)
    finally:
        process.terminate()
    code = process.wait(60)
    firsts = [first for first, _ in answers if first is not None]
    tokens = sum(count for _, count in answers)
    print(f"{arguments.clients} clients, {seconds:.1f} s: {len(answers)} answers, {tokens} tokens, "
          f"{tokens / seconds:.1f} tokens/s")
    print(f"first token: p50 {percentile(firsts, 0.5) * 1000:.0f} ms, "
          f"p95 {percentile(firsts, 0.95) * 1000:.0f} ms")
    half = memory[len(memory) // 2]
    print(f"memory: {memory[0]:.0f} MB at the start, {half:.0f} MB half way, {memory[-1]:.0f} MB at "
          f"the end, {max(memory):.0f} MB at most")
    print(f"errors: {len(errors)}, answers unlike the single-user one: {len(wrong)}, "
          f"server's exit code {code}")
    for line in (errors + wrong)[:10]:
        print("  " + line)
    sys.exit(1 if errors or wrong or code != 0 or not answers else 0)


if __name__ == "__main__":
    main()
