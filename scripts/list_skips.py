#!/usr/bin/env python3
"""Lists the tests that a run skipped, each with its reason.

Usage: scripts/list_skips.py JUNIT_FILE    what ctest --output-junit has written
Exit status: 0; 1 if CI=true and a test was skipped for a reason that is not in FINE, because
continuous integration installs and fetches everything that tests need.
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

# Reasons that say something about the machine or the build, not about what could not be fetched.
FINE = [
    r"this CPU (has no|or the environment prefers)",
    r"built by a compiler that does not know",
    r"floats have none of their own|^has none$",  # a variant without the part that is tested
    r"built with libheif",  # the test of a build without it
    r"no right to mount a small file system",
    r"^no /dev/full$",
    r"set FASTVLM_MODEL_DIR",  # published weights, which their licence keeps out of this repository
]
MAX_NAMES = 3  # of one reason

GOOGLETEST = re.compile(r":\d+: Skipped\n(.+)")
SCRIPT = re.compile(r"^skipped: (.+)", re.IGNORECASE | re.MULTILINE)
PART = re.compile(r"^(\w+): SKIPPED: (.+?)(?: \([\d.]+ s\))?$", re.MULTILINE)


def skips(path: str):
    """Names and reasons; a test that passed may have skipped parts of itself."""
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        if case.find("skipped") is not None:
            found = GOOGLETEST.search(output) or SCRIPT.search(output)
            yield name, found[1].strip() if found else "no reason given"
        else:
            for part, reason in PART.findall(output):
                yield f"{name}.{part}", reason


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    by_reason: dict[str, list[str]] = {}
    for name, reason in skips(sys.argv[1]):
        by_reason.setdefault(reason, []).append(name)
    wrong = 0
    for reason, names in sorted(by_reason.items()):
        names.sort()
        more = len(names) - MAX_NAMES
        text = ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
        print(f"skipped: {text} - {reason}")
        if not any(re.search(fine, reason) for fine in FINE):
            wrong += len(names)
    if not by_reason:
        print("No test was skipped.")
    if wrong and os.environ.get("CI") == "true":
        print(f"{wrong} tests were skipped for what could not be had; with CI=true that is a failure.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
