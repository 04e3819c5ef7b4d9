#!/usr/bin/env python3
"""Runs every curl and Python example of docs/SERVER.md. Run by tests/server/run.sh.

Blocks that begin with "fastvlm serve" say how servers are started and are only checked for flags.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import ROOT, SAMPLES, Server, program, run_tests

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/SERVER.md").read_text(encoding="utf-8"),
                    re.DOTALL)
DOCUMENTED = "http://127.0.0.1:8080"


def run(command, directory):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert done.stdout.strip(), f"{command}\nprinted nothing"
    assert '"error"' not in done.stdout, f"{command}\n{done.stdout}"


def test_examples_run():
    with tempfile.TemporaryDirectory() as directory, Server() as server:
        shutil.copy(SAMPLES / "demo.png", pathlib.Path(directory) / "photo.png")
        count = {"bash": 0, "python": 0}
        for language, text in BLOCKS:
            text = text.replace(DOCUMENTED, server.url)
            if language == "python":
                run([sys.executable, "-c", text], directory)
            elif language == "bash" and "curl" in text:
                run(["bash", "-euo", "pipefail", "-c", text], directory)
            else:
                continue
            count[language] += 1
        assert count["bash"] >= 4 and count["python"] >= 3, count


def test_flags_exist():
    known = subprocess.run([program(), "serve", "--help"], capture_output=True, text=True,
                           check=True).stdout
    text = (ROOT / "docs/SERVER.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(
        line for line in text.splitlines() if "fastvlm serve" in line or line.startswith("| `--"))))
    assert len(flags) > 10, flags
    for flag in flags:
        assert flag in known, flag


if __name__ == "__main__":
    os.environ.setdefault("FASTVLM_PROGRAM", program())
    run_tests(globals())
