#!/usr/bin/env python3
"""Plays the server to the page, so that tests can make it slow, busy, loading, locked or broken.

Usage: tests/web/mock_server.py [PORT]      serves web/ with made-up answers
The page's files and headers are those of the program; the answers are not a model's.
"""
import http.server
import json
import pathlib
import re
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".webmanifest": "application/manifest+json", ".svg": "image/svg+xml", ".png": "image/png"}


def policy():
    """The Content-Security-Policy that the program sends, from its source."""
    header = (ROOT / "src/server/web_assets.h").read_text(encoding="utf-8")
    declaration = re.search(r"kWebContentSecurityPolicy\s*=(.*?);\n\n", header, re.DOTALL).group(1)
    return "".join(re.findall(r'"([^"]*)"', declaration))


class Mock:
    """A server on a port of 127.0.0.1 that can be stopped and started again."""

    def __init__(self, port=0):
        self.model = "fastvlm-mock"
        self.unit = 64            # pixels for each visual token
        self.key = None           # asked for, if set
        self.loading = False
        self.forbidden = None     # why everything is refused
        self.busy = 0             # so many questions are turned away
        self.error = None         # (status, message) for each question
        self.break_after = None   # the connection breaks after so many tokens
        self.token_s = 0.005      # between two tokens
        self.may_answer = threading.Event()  # while it is cleared, questions wait for their answers
        self.may_answer.set()
        self.requests = []        # bodies of the questions, parsed
        self.open = 0             # questions being answered
        self.most_open = 0
        self.cancelled = 0        # clients that went away
        self.port = port
        self.server = None

    def answer(self, prompt):
        return f"An answer to: {prompt}"

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.mock = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, status, content_type, data, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_json(self, status, value, headers=()):
        self.send(status, "application/json", json.dumps(value).encode(), headers)

    def refuse(self, status, message, headers=()):
        self.send_json(status, {"error": {"message": message, "type": "invalid_request_error", "code": None}}, headers)

    def locked(self):
        mock = self.server.mock
        if mock.loading:
            self.refuse(503, "The model is being loaded.", [("Retry-After", "1")])
            return True
        if mock.key and self.headers.get("Authorization") != f"Bearer {mock.key}":
            self.refuse(401, "Incorrect API key.")
            return True
        if mock.forbidden:
            self.refuse(403, mock.forbidden)
            return True
        return False

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if not self.locked():
                self.send_json(200, {"object": "list", "data": [{"id": self.server.mock.model, "object": "model",
                                                                     "pixels_per_token": self.server.mock.unit}]})
            return
        file = ROOT / "models/nano" / path[1:] if path.startswith("/samples/") else ROOT / "web" / (path[1:] or "index.html")
        if not file.is_file() or ".." in path:
            self.refuse(404, "No such page.")
            return
        self.send(200, TYPES[file.suffix], file.read_bytes(),
                  [("Content-Security-Policy", policy()), ("Cache-Control", "no-cache"),
                   ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")])

    def do_POST(self):
        mock = self.server.mock
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.locked():
            return
        mock.requests.append(body)
        if mock.busy > 0:
            mock.busy -= 1
            self.refuse(429, "The queue is full.", [("Retry-After", "1")])
            return
        if mock.error:
            self.refuse(*mock.error)
            return
        mock.open += 1
        mock.most_open = max(mock.most_open, mock.open)
        try:
            self.stream(body)
        except (BrokenPipeError, ConnectionResetError):
            mock.cancelled += 1
        finally:
            mock.open -= 1

    def stream(self, body):
        mock = self.server.mock
        mock.may_answer.wait()
        prompt = next(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")
        pieces = re.findall(r"\s*\S+", mock.answer(prompt))[:body["max_tokens"]]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        time.sleep(0.03)

        def event(value):
            self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
            self.wfile.flush()

        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": mock.model}
        event({**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for index, piece in enumerate(pieces):
            if mock.break_after == index:
                return
            event({**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            time.sleep(mock.token_s)
        decode_ms = mock.token_s * 1000 * len(pieces)
        usage = {"prompt_tokens": 280, "completion_tokens": len(pieces) + 1, "total_tokens": 281 + len(pieces)}
        timings = {"image_ms": 2.1, "encode_ms": 18.2, "prefill_ms": 9.4, "ttft_ms": 29.7, "decode_ms": decode_ms,
                   "decode_tokens_per_s": 1 / mock.token_s}
        event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "timings": timings})
        event({**head, "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")


if __name__ == "__main__":
    mock = Mock(int(sys.argv[1]) if len(sys.argv) > 1 else 8080).start()
    print(f"The page is at {mock.url}", file=sys.stderr)
    threading.Event().wait()
