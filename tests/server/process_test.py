#!/usr/bin/env python3
"""fastvlm serve as a process: signals, flags, keys, TLS, faults. Needs Python alone, and openssl.

Usage: FASTVLM_PROGRAM=build/release/bin/fastvlm tests/server/process_test.py
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request

from harness import Server, Skipped, eventually, image_message, post, program, run_tests

CHAT = "/v1/chat/completions"


def slow_request() -> dict:
    return {"messages": [image_message("Describe the image.")], "resolution": 864}


def run_serve(*flags, env=None):
    return subprocess.run([program(), "serve", *flags], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})


def connect(url: str) -> socket.socket:
    host, port = url.split("//")[1].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def test_answers_and_logs():
    with Server() as server:
        status, headers, text = post(server.url, CHAT, {"messages": [image_message("What is this?")]})
        assert status == 200, text
        assert json.loads(text)["model"] == "nano"
        assert headers["Content-Type"] == "application/json"
        server.process.terminate()
        assert server.wait() == 0
        assert any(line.startswith("POST /v1/chat/completions 200 ") and " ms" in line
                   for line in server.log), server.log


def test_quiet_logs_nothing():
    with Server("--quiet") as server:
        assert post(server.url, CHAT, b"{")[0] == 400
        server.process.terminate()
        assert server.wait() == 0
        assert not any("400" in line for line in server.log), server.log


def test_survives_the_end_of_whoever_read_its_log():
    process = subprocess.Popen([program(), "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        url = next(line.split(" at ")[1].strip() for line in process.stderr if line.startswith("Serving "))
        process.stderr.close()
        for _ in range(3):
            with urllib.request.urlopen(url + "/v1/models") as answer:
                assert answer.status == 200
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def open_unread_stream(url: str) -> socket.socket:
    """The connection of an answer that stays under way until somebody reads it: it is longer than
    what the sockets hold. Returns when its first bytes are here."""
    host, port = url.split("//")[1].rsplit(":", 1)
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # keeps the server's buffer small as well
    client.connect((host, int(port)))
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 900, "stream": True,
                       "logprobs": True, "top_logprobs": 20}).encode()
    client.sendall(f"POST {CHAT} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert client.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL).startswith(b"HTTP/1.1 200")
    return client


def read_stream(client: socket.socket):
    """The text of the answer, why it ended, and the last line."""
    answer = b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()
    events = answer.split("\r\n\r\n", 1)[1].strip().split("\n\n")
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events[:-1]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, choices[-1]["finish_reason"], events[-1]


def refuses_connections(url: str) -> bool:
    try:
        connect(url).close()
        return False
    except ConnectionRefusedError:
        return True


def test_a_signal_finishes_what_runs():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            request = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 900}
            whole = json.loads(post(server.url, CHAT, request)[2])["choices"][0]
            stream = open_unread_stream(server.url)
            server.process.send_signal(number)
            assert eventually(lambda: refuses_connections(server.url))
            assert server.process.poll() is None
            text, reason, last = read_stream(stream)
            assert server.wait() == 0
        assert text == whole["message"]["content"]
        assert reason == whole["finish_reason"]
        assert last == "data: [DONE]"


def test_a_second_signal_ends_at_once():
    with Server() as server:
        stream = open_unread_stream(server.url)
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses_connections(server.url))  # it has taken the first signal
        assert server.process.poll() is None  # and waits for the stream to be read
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM
        stream.close()


def test_a_port_in_use_is_an_error():
    with Server() as server:
        run = run_serve("--port", server.url.rsplit(":", 1)[1])
        assert run.returncode == 1, run
        assert "in use" in run.stderr, run.stderr


def test_wrong_flags():
    assert run_serve("--port", "70000").returncode == 2
    assert run_serve("--max-active", "0").returncode == 2
    assert run_serve("--tls-cert", "x.pem").returncode == 2
    context = run_serve("--port", "0", "--context", "9999999")
    assert context.returncode == 2 and "--context is 9999999" in context.stderr, context
    assert run_serve("--host", "no.such.host.invalid", "--port", "0").returncode == 1
    assert run_serve("--api-key-file", "/nonexistent").returncode == 1
    assert "--api-key" in run_serve("--help").stdout


def test_keys_from_flag_file_and_environment():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "keys"
        path.write_text("# staff\nfrom-file\n\nsecond\n")
        with Server("--api-key", "one", "--api-key", "two", "--api-key-file", str(path),
                    env={"FASTVLM_API_KEY": "from-env"}) as server:
            def status(key):
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                return post(server.url, CHAT, b"{}", headers)[0]
            for key in ("one", "two", "from-file", "second", "from-env"):
                assert status(key) == 400, key  # no messages, but let in
            for key in (None, "three", "# staff"):
                assert status(key) == 401, key


def test_tls():
    if shutil.which("openssl") is None:
        raise Skipped("there is no openssl")
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = directory + "/cert.pem", directory + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        with Server("--tls-cert", certificate, "--tls-key", key, scheme="https") as server:
            context = ssl.create_default_context(cafile=certificate)
            body = json.dumps({"messages": [image_message("What is this?")], "stream": True})
            request = urllib.request.Request(server.url + CHAT, body.encode(),
                                             {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, context=context) as answer:
                assert answer.read().decode().endswith("data: [DONE]\n\n")
            plain = connect(server.url)  # no TLS: is dropped, and nobody else minds
            plain.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            try:
                plain.recv(1000)
            except ConnectionResetError:
                pass
            half_open = connect(server.url)  # says nothing
            with urllib.request.urlopen(server.url + "/health", context=context) as answer:
                assert answer.status == 200
            half_open.close()
        mixed_up = run_serve("--tls-cert", key, "--tls-key", key)
        assert mixed_up.returncode == 1 and "certificate" in mixed_up.stderr, mixed_up.stderr


def memory_mb(server: Server) -> float:
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def test_a_gigabyte_is_not_taken():
    with Server() as server:
        assert post(server.url, CHAT, {"messages": [image_message("What is this?")]})[0] == 200
        before = memory_mb(server)
        client = connect(server.url)
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        sent = 0
        try:
            for _ in range(1024):
                client.sendall(chunk)
                sent += 1
        except OSError:
            pass
        assert sent < 200, f"{sent} MiB were taken"
        assert memory_mb(server) < before + 400
        assert post(server.url, CHAT, {"messages": [image_message("What is this?")]})[0] == 200


def test_clients_that_vanish_leave_nothing():
    with Server() as server:
        body = json.dumps({**slow_request(), "stream": True}).encode()
        head = (f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        for cut in (10, len(head), len(head) + 1000, len(head) + len(body)):
            client = connect(server.url)
            client.sendall((head + body)[:cut])
            client.close()
        assert eventually(lambda: server.metric("fastvlm_requests_active") == 0
                          and server.metric("fastvlm_connections") == 1)
        assert post(server.url, CHAT, {"messages": [image_message("What is this?")]})[0] == 200


if __name__ == "__main__":
    run_tests(globals())
