#!/usr/bin/env python3
"""Runs the commands that README.md shows, with the program that FASTVLM_PROGRAM names.

Usage: FASTVLM_PROGRAM=build/release/bin/fastvlm tests/readme/readme_test.py

Every command of a block marked `sh` is run. In other blocks a command after "$ " is run and must print
the lines below it. NOT_RUN lists, with the reason, all that is not run; of those that call fastvlm the
flags are still checked against --help.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("FASTVLM_PROGRAM", ROOT / "build/release/bin/fastvlm")).resolve()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# How a command begins -> why it is not run.
NOT_RUN = {
    "fastvlm pull": "needs the network",
    "fastvlm verify": "needs Apple's weights",
    "fastvlm describe --model FastVLM-0.5B": "needs Apple's weights",
    "fastvlm info FastVLM-0.5B": "needs Apple's weights",
    "fastvlm describe --model synthetic-0.5b": "the model is made by the command before it",
    "scripts/make_synthetic_checkpoint.py": "writes 1.5 GB",
    "pip install": "needs the network",
    "fastvlm serve": "runs until it is stopped; tests/server runs it",
    "./demo.sh": "installs packages and builds",
    "./test.sh": "runs this test",
    "scripts/install-deps.sh": "needs root",
    "cmake --preset": "builds what is tested here",
    "build/release/bin/fastvlm --help": "the build directory may have another name",
}


def commands():
    """Each command with the lines it must print, or None where README.md does not say."""
    for kind, text in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        lines = text.splitlines()
        shown = any(line.startswith("$ ") for line in lines)
        command, output = None, []
        for line in lines:
            if shown and not line.startswith("$ "):
                output.append(line)
                continue
            if command:
                yield command, output or None
            command, output = line.removeprefix("$ "), []
        yield command, output or None


def reason_not_to_run(command: str):
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), None)


class Readme(unittest.TestCase):
    def test_commands_run(self):
        count = 0
        with tempfile.TemporaryDirectory() as directory:
            os.symlink(ROOT / "models", f"{directory}/models")
            path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": directory}
            for command, output in commands():
                if reason_not_to_run(command):
                    continue
                with self.subTest(command):
                    done = subprocess.run(["bash", "-euc", command], cwd=directory, env=environment,
                                          capture_output=True, text=True, timeout=300)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if output:
                        self.assertEqual(done.stdout.splitlines(), output)
                count += 1
        self.assertGreaterEqual(count, 10)

    def test_flags_of_what_is_not_run_exist(self):
        for command, _ in commands():
            words = shlex.split(command, comments=True)
            if words[0] != "fastvlm" or not reason_not_to_run(command):
                continue
            known = subprocess.run([PROGRAM, words[1], "--help"], capture_output=True, text=True,
                                   check=True).stdout
            for flag in (word for word in words if word.startswith("--")):
                self.assertRegex(known, rf"{flag}\b", command)

    def test_list_is_not_longer_than_needed(self):
        for start in NOT_RUN:
            self.assertTrue(any(command.startswith(start) for command, _ in commands()),
                            f"no command of README.md begins with {start!r}")


if __name__ == "__main__":
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f"no program at {PROGRAM}; set FASTVLM_PROGRAM")
    unittest.main()
