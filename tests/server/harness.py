"""A server process under test, and a runner for the test functions of a module."""
import base64
import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/nano/samples"
PRECISION = "f32"  # of the server and of what its answers are compared with


class Skipped(Exception):
    """Something the test needs is not there."""


def program() -> str:
    path = os.environ.get("FASTVLM_PROGRAM", str(ROOT / "build/release/bin/fastvlm"))
    if not os.access(path, os.X_OK):
        sys.exit(f"no program at {path}; set FASTVLM_PROGRAM")
    return path


class Server:
    """fastvlm serve on a free port, stopped at the end of the with block."""

    def __init__(self, *flags, env=None, scheme="http"):
        self.process = subprocess.Popen(
            [program(), "serve", "--port", "0", "--precision", PRECISION, *flags], stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(env or {})})
        self.log = []
        self.url = None
        for line in self.process.stderr:
            self.log.append(line)
            found = re.match(r"Serving \S+ at (\S+)", line)
            if found:
                self.url = found[1]
                break
        if self.url is None:
            raise RuntimeError("the server did not start: " + "".join(self.log))
        assert self.url.startswith(scheme + "://")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @contextlib.contextmanager
    def stopped(self):
        """The process does nothing in the with block; what is sent to it waits."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def wait(self, seconds=30) -> int:
        code = self.process.wait(seconds)
        self.reader.join(5)
        return code

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(self.url + "/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise KeyError(name)


def sample_base64(name="demo.png") -> str:
    return base64.b64encode((SAMPLES / name).read_bytes()).decode()


def sample_uri(name="demo.png") -> str:
    return "data:image/png;base64," + sample_base64(name)


def image_message(text: str, name="demo.png") -> dict:
    return {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": sample_uri(name)}},
        {"type": "text", "text": text}]}


@functools.cache
def described(prompt: str, name="demo.png") -> str:
    """What the command line answers."""
    run = subprocess.run(
        [program(), "describe", "--quiet", "--precision", PRECISION, "--prompt", prompt,
         str(SAMPLES / name)], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def post(url: str, path: str, body, headers=None):
    """Status, headers and text of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        url + path, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def eventually(condition, seconds=60) -> bool:
    """Waits for what has to come; only a test that fails waits to the end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False


def run_tests(module: dict) -> None:
    """Runs every test_* of a module; exits with 1 if one fails, with 2 if there is none."""
    tests = [(name, test) for name, test in module.items() if name.startswith("test_")]
    failed = 0
    for name, test in tests:
        start = time.monotonic()
        try:
            test()
            outcome = "ok"
        except Skipped as reason:
            outcome = f"SKIPPED: {reason}"
        except Exception:
            traceback.print_exc()
            outcome = "FAILED"
            failed += 1
        print(f"{name}: {outcome} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"{len(tests)} tests, {failed} failed")
    if failed or not tests:
        sys.exit(1 if failed else 2)
