#!/usr/bin/env python3
"""Checks the direction of includes: a folder may include itself, what stands below it, and base.

Usage: scripts/lint_includes.py [ROOT]
Exit status: 0 when clean, 1 with one line per violation.
"""
import pathlib
import re
import sys

# Folder -> folders it may include besides itself. docs/ARCHITECTURE.md draws this table.
API = "include/fastvlm"
ALLOWED = {
    API: [],
    "src/base": [API],
    "src/image": ["src/base", API],
    "src/text": ["src/base"],
    "src/checkpoint": ["src/base", API],
    "src/simd": [],
    "src/kernels": ["src/simd", "src/base"],
    "src/ops": ["src/kernels", "src/base"],
    "src/model": ["src/ops", "src/checkpoint", "src/base", API],
    "src/grammar": ["src/text", "src/base"],
    "src/runtime": ["src/grammar", "src/model", "src/ops", "src/kernels", "src/checkpoint", "src/text", "src/image", "src/base", API],
    "src/measure": ["src/runtime", "src/model", "src/kernels", "src/text", "src/image", "src/base", API],
    "src/convert": ["src/measure", "src/runtime", "src/model", "src/checkpoint", "src/text", "src/image", "src/base", API],
    "src/eval": ["src/base", API],
    "src/hub": ["src/base", API],
    "src/server": ["src/base", API],
    "apps/fastvlm": ["src/eval", "src/hub", "src/server", "src/base", API],
    "train": ["src/checkpoint", "src/text", "src/image", "src/base", API],
}
# Tests may also use the support code, and GoogleTest.
TEST_ONLY = "tests/support"
# The headers of the public API that the library below runtime may use: plain structs.
BELOW_RUNTIME = {"fastvlm/calibration.h", "fastvlm/color.h", "fastvlm/export.h", "fastvlm/status.h", "fastvlm/options.h", "fastvlm/image.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def folder_of(include: str, file: pathlib.Path, root: pathlib.Path) -> str | None:
    if include.startswith("fastvlm/"):
        return API
    if include.startswith("support/"):
        return TEST_ONLY
    if include.startswith("train/"):
        return "train"
    if (root / "src" / include).exists():
        return "src/" + include.split("/")[0]
    if (file.parent / include).exists():
        parts = file.parent.relative_to(root).parts
        return parts[0] if parts[0] == "train" else "/".join(parts[:2])
    return None


def violations(root: pathlib.Path):
    for folder, allowed in ALLOWED.items():
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in {".h", ".cc"}:
                continue
            is_test = file.name.endswith("test.cc") or file.name.startswith("test_") or file.name == "bench.cc"
            for include in INCLUDE.findall(file.read_text(encoding="utf-8")):
                target = folder_of(include, file, root)
                if target is None:
                    yield f'{file}: "{include}" is no file of the project'
                elif target == TEST_ONLY and is_test or target == folder:
                    continue
                elif target not in allowed:
                    yield f'{file}: {folder} may not include {target} ("{include}")'
                elif target == API and folder not in {"src/runtime", "src/measure", "src/convert", "src/eval", "src/server", "apps/fastvlm", "train"} and include not in BELOW_RUNTIME:
                    yield f'{file}: only {sorted(BELOW_RUNTIME)} may be used below src/runtime ("{include}")'


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    found = list(violations(root))
    for line in found:
        print(line)
    print(f"include directions: {len(found)} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
