#!/usr/bin/env python3
"""Good and hostile clients together, for minutes: does the server live, is every good answer right, does its
memory stay within --memory, and how long does a small request take meanwhile?

  benchmarks/server/soak.py --model DIR [--seconds 600] [--clients 64] [--memory 2G]

Half of the clients are good: they ask about small pictures and texts, and each answer must be the one that its
question got alone. The others send what no server likes: texts and pictures as large as they may be, bodies that
stop coming, broken HTTP and JSON, damaged pictures, deep and costly schemas, streams that are not read, and
requests that are given up. The memory is that of the process (resident), sampled five times a second.

Needs only Python. Prints one JSON object. Exit status: 0 when the server lived, no good answer was wrong and the
memory stayed within the limit; else 1.
"""
import argparse
import base64
import json
import pathlib
import random
import socket
import struct
import sys
import threading
import time
import zlib

from load import Asker, Server, percentile_ms, questions

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = ["good", "hostile"]


def png(width, height, seed):
    """A picture of noise, which takes much to send and to decode."""
    noise = random.Random(seed).randbytes(width * 3)
    rows = b"".join(b"\0" + noise[i % 97:] + noise[:i % 97] for i in range(height))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def picture(data):
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}


def chat(content, **fields):
    return json.dumps({"messages": [{"role": "user", "content": content}], **fields}).encode()


def post(body, path="/v1/chat/completions", more=b""):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer hostile\r\nContent-Length: {len(body)}\r\n").encode() + more + b"\r\n" + body


class Hostile:
    """One client after the other that does one bad thing on a connection of its own."""

    def __init__(self, host, port, seed):
        self.host, self.port, self.random = host, port, random.Random(seed)

    def connect(self):
        client = socket.create_connection((self.host, self.port), timeout=60)
        return client

    def send(self, data, wait):
        with self.connect() as client:
            client.settimeout(wait)
            try:
                client.sendall(data)
                while client.recv(65536):
                    pass
            except OSError:
                pass

    def step(self):
        kind = self.random.choice([self.large_text, self.large_picture, self.many_pictures, self.slow_body,
                                   self.broken_http, self.broken_json, self.damaged_picture, self.costly_schema,
                                   self.unread_stream, self.given_up])
        kind()
        return kind.__name__

    def large_text(self):
        self.send(post(chat("word " * 6_000_000)), 60)

    def large_picture(self):
        self.send(post(chat([picture(png(3000, 2000, self.random.random()))], max_tokens=4)), 60)

    def many_pictures(self):
        pictures = [picture(png(600, 400, self.random.random())) for _ in range(8)]
        self.send(post(chat([*pictures, {"type": "text", "text": "What?"}], max_tokens=4)), 60)

    def slow_body(self):
        with self.connect() as client:
            client.sendall(post(b"x" * 30_000_000)[:2_000_000])
            time.sleep(5)

    def broken_http(self):
        self.send(self.random.choice([
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", self.random.randbytes(5000),
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"]), 5)

    def broken_json(self):
        self.send(post(self.random.choice([b"[" * 100_000, b'{"a":' * 50_000, self.random.randbytes(50_000),
                                           b'{"messages":[' + b'{},' * 200_000 + b"{}]}"])), 10)

    def damaged_picture(self):
        data = bytearray(png(800, 600, 1))
        for _ in range(20):
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        self.send(post(chat([picture(bytes(data))], max_tokens=4)), 60)

    def costly_schema(self):
        properties = {f"p{i}": {"type": "string", "pattern": f"^(a{{1,{50 + i}}}b?){{1,20}}$"} for i in range(60)}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        self.send(post(chat("x", max_tokens=4, response_format={
            "type": "json_schema", "json_schema": {"name": "n", "schema": schema}})), 30)

    def unread_stream(self):
        with self.connect() as client:
            client.sendall(post(chat("Tell me a long story.", stream=True, max_tokens=400)))
            time.sleep(5)

    def given_up(self):
        with self.connect() as client:
            client.sendall(post(chat("Tell me a long story.", max_tokens=400)))
            time.sleep(self.random.random())


class GoodAsker(Asker):
    def __init__(self, host, port, fields):
        super().__init__(host, port, fields)
        self.headers["Authorization"] = "Bearer good"


def run(server, arguments, asked, expected):
    start, lock = time.monotonic(), threading.Lock()
    times, wrong, refused, hostile = [], [], {}, {}
    peak = server.memory_mb()

    def good(number):
        choose, asker = random.Random(number), GoodAsker(server.host, server.port, arguments.fields)
        while time.monotonic() - start < arguments.seconds:
            name, content = choose.choice(asked)
            begun = time.monotonic()
            try:
                text, _, _ = asker.ask(content)
            except (RuntimeError, OSError) as error:  # busy is a right answer, too
                busy = str(error)[:10] in ("status 503", "status 429")
                with lock:
                    refused[str(error)[:10]] = refused.get(str(error)[:10], 0) + 1
                    if not busy:
                        wrong.append(f"{name}: {error}")
                asker = GoodAsker(server.host, server.port, arguments.fields)
                time.sleep(0.5)
                continue
            with lock:
                times.append(time.monotonic() - begun)
                if text != expected[name]:
                    wrong.append(f"{name}: {text!r} instead of {expected[name]!r}")

    def bad(number):
        client = Hostile(server.host, server.port, number)
        while time.monotonic() - start < arguments.seconds:
            try:
                kind = client.step()
            except OSError:
                kind = "not connected"
                time.sleep(0.2)
            with lock:
                hostile[kind] = hostile.get(kind, 0) + 1

    threads = [threading.Thread(target=good if i % 2 == 0 else bad, args=(i,)) for i in range(arguments.clients)]
    for thread in threads:
        thread.start()
    half = None
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        memory = server.memory_mb()
        peak = max(peak, memory)
        if half is None and time.monotonic() - start > arguments.seconds / 2:
            half = peak
    return {"seconds": round(time.monotonic() - start), "clients": arguments.clients, "good_answers": len(times),
            "wrong": len(wrong), "examples": wrong[:3], "refused": refused, "hostile": hostile,
            "p50_ms": percentile_ms(times, 0.5), "p95_ms": percentile_ms(times, 0.95),
            "peak_mb": round(peak), "peak_first_half_mb": round(half or peak), "limit_mb": arguments.limit_mb}


def megabytes(text):
    return round(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1].upper()] * 1.048576)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/fastvlm"))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--memory", default="2G")
    parser.add_argument("--precision", default="q8")
    parser.add_argument("--resolution", type=int, default=256, help="of the good clients' pictures")
    arguments = parser.parse_args()
    arguments.limit_mb = megabytes(arguments.memory)
    arguments.fields = {"max_tokens": 8, "resolution": arguments.resolution}
    flags = ["--model", arguments.model, "--precision", arguments.precision, "--memory", arguments.memory]
    for key in KEYS:
        flags += ["--api-key", key]
    asked = list(questions())[:12]
    with Server(arguments.program, flags) as server:
        alone = GoodAsker(server.host, server.port, arguments.fields)
        expected = {name: alone.ask(content)[0] for name, content in asked}
        result = run(server, arguments, asked, expected)
        try:
            result["alive"] = alone_again(server, arguments, asked, expected)
        except (RuntimeError, OSError) as error:
            result["alive"] = f"no: {error}"
    result["exit_code"] = server.exit_code
    print(json.dumps(result, indent=1))
    good = result["alive"] is True and result["wrong"] == 0 and result["peak_mb"] <= result["limit_mb"]
    sys.exit(0 if good and result["exit_code"] == 0 else 1)


def alone_again(server, arguments, asked, expected):
    name, content = asked[0]
    return GoodAsker(server.host, server.port, arguments.fields).ask(content)[0] == expected[name]


if __name__ == "__main__":
    main()
