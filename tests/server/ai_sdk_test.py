#!/usr/bin/env python3
"""The Vercel AI SDK on Node 20 against fastvlm serve. Run by tests/server/run.sh, which installs both."""
import os
import pathlib
import subprocess
import sys

from harness import SAMPLES, Server, described, run_tests

NODE, DIRECTORY = sys.argv[1], pathlib.Path(sys.argv[2])
server = Server()


def test_ai_sdk():
    done = subprocess.run(
        [NODE, "--test-reporter=spec", DIRECTORY / "ai_test.mjs", server.url, SAMPLES / "demo.png",
         described("Describe the image.")], cwd=DIRECTORY, capture_output=True, text=True, timeout=300,
        env={**os.environ, "AI_SDK_LOG_WARNINGS": "0"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests 12" in done.stdout and "pass 12" in done.stdout, done.stdout


if __name__ == "__main__":
    with server:
        run_tests(globals())
