#!/usr/bin/env python3
"""Prints one C++ file made of the C++ snippets of a Markdown page, so that a compiler can check them.

Usage: tests/consumer/snippets.py PAGE.md
A snippet that begins with #include is taken as it is, any other one as the body of a function that is
given what the page speaks of: `model` and `image`, a picture.
"""
import pathlib
import re
import sys

HEAD = """#include <fastvlm/fastvlm.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
"""
FUNCTION = """
[[maybe_unused]] static fastvlm::Status Snippet{}([[maybe_unused]] std::shared_ptr<const fastvlm::Model> model,
                                                  [[maybe_unused]] fastvlm::Image image) {{
{}
return {{}};
}}
"""


def main() -> int:
    page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    snippets = re.findall(r"^```cpp\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    if not snippets:
        print(f"{sys.argv[1]}: no ```cpp snippet", file=sys.stderr)
        return 1
    print(HEAD)
    for index, snippet in enumerate(snippets):
        print(snippet if snippet.startswith("#include") else FUNCTION.format(index, snippet))
    return 0


if __name__ == "__main__":
    sys.exit(main())
