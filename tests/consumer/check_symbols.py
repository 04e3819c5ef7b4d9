#!/usr/bin/env python3
"""Checks that libfastvlm.so shows what its headers declare, and nothing else.

Usage: tests/consumer/check_symbols.py HEADER_DIR LIBRARY_DIR
Exit status: 0 when it is so, 1 with one line per violation.
"""
import pathlib
import re
import subprocess
import sys

# What stands at the beginning of a line: members are indented.
DECLARATION = re.compile(
    r"^(?:class|struct|namespace)\s+(?:FASTVLM_EXPORT\s+)?(\w+)[^;{]*\{"  # a class, or a namespace in fastvlm
    r"|^(?!using|template|namespace)\w[\w:<>,&*\s]*?\b(\w+)\(",  # a function
    re.MULTILINE,
)


def symbols(file: pathlib.Path, *options: str) -> list[str]:
    """Demangled names of the defined symbols: functions, objects, tables; of an archive the strong ones."""
    output = subprocess.run(["nm", "-C", "--defined-only", *options, file], check=True, capture_output=True, text=True)
    lines = [line.split(" ", 2) for line in output.stdout.splitlines()]
    return [line[2] for line in lines if len(line) == 3 and (options or line[1] == "T")]


def first_name(symbol: str) -> str:
    """The name in fastvlm that a symbol belongs to: Model for fastvlm::Model::info() const; "" for others."""
    match = re.match(r"(?:(?:vtable|typeinfo|typeinfo name) for )?fastvlm::(\w+)", symbol)
    return match[1] if match else ""


def main() -> int:
    headers, libraries = map(pathlib.Path, sys.argv[1:3])
    declared = set()
    for header in headers.glob("*.h"):
        for groups in DECLARATION.findall(header.read_text(encoding="utf-8")):
            declared.update(filter(None, groups))
    shown = symbols(libraries / "libfastvlm.so", "--dynamic")
    shown_names = {first_name(symbol) for symbol in shown}
    defined_names = {first_name(symbol) for symbol in symbols(libraries / "libfastvlm.a")}

    found = [f"no header declares {symbol}" for symbol in shown if first_name(symbol) not in declared]
    found += [f"internal: {symbol}" for symbol in shown if "Impl" in symbol.split("(")[0]]
    found += [
        f"declared in a header, but hidden: fastvlm::{name}; it lacks FASTVLM_EXPORT"
        for name in sorted(declared & defined_names - shown_names)
    ]
    for line in found:
        print(line)
    print(f"libfastvlm.so: {len(shown)} symbols of {len(shown_names)} names, {len(found)} violations", file=sys.stderr)
    return 1 if found or not shown else 0


if __name__ == "__main__":
    sys.exit(main())
