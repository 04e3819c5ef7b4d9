#!/usr/bin/env python3
"""Checks the Markdown pages: their links lead somewhere, their lines are short, and
docs/ENVIRONMENT.md lists every environment variable that the sources read, and no other.

Usage: scripts/lint_docs.py [ROOT]
Exit status: 0 when clean, 1 with one line per violation.
"""
import pathlib
import re
import sys

PAGES = ["*.md", "docs/**/*.md", "train/**/*.md", "models/**/*.md", "benchmarks/**/*.md",
         "examples/**/*.md", "python/**/*.md", "tests/**/*.md"]
ENVIRONMENT = "docs/ENVIRONMENT.md"
MAX_COLUMNS = 110

# Where environment variables are read, and how each language does it. A shell script counts only
# with a default (`${NAME:-...}`), because names without one are mostly its own variables.
READERS = {
    ".cc": r'\b(?:getenv|Environment)\("([A-Za-z_]\w*)"\)',
    ".h": r'\b(?:getenv|Environment)\("([A-Za-z_]\w*)"\)',
    ".py": r'\benviron(?:\.get\(|\.setdefault\(|\[)"([A-Za-z_]\w*)"',
    ".sh": r"\$\{([A-Z][A-Z_0-9]*):?-",
}
SOURCES = ["src", "apps", "include", "train", "tests", "scripts", "benchmarks", "models",
           "examples", "demo.sh", "test.sh", ".ci/run"]

FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"`[^`]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.*)")
VARIABLE = re.compile(r"^\| `([A-Za-z_]\w*)`((?:, `[A-Za-z_]\w*`)*) \|", re.MULTILINE)


def prose(page: pathlib.Path):
    """The numbered lines of a page outside of fenced code."""
    in_code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            yield number, line


def anchors(page: pathlib.Path) -> set[str]:
    """The names GitHub gives a page's headings."""
    found = set()
    for _, line in prose(page):
        if heading := HEADING.match(line):
            name = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            found.add(re.sub(r"[^\w\- ]", "", name).strip().replace(" ", "-"))
    return found


def broken_links(page: pathlib.Path, number: int, line: str):
    for match in LINK.finditer(CODE.sub("", line)):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            yield f"{page}:{number}: {target} leads to no file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{page}:{number}: {target} leads to no heading of {file.name}"


def page_violations(page: pathlib.Path):
    for number, line in prose(page):
        yield from broken_links(page, number, line)
        # Tables and pictures cannot be wrapped, nor can a line without a space to break at.
        is_whole = line.startswith(("|", "<img ")) or " " not in line.strip(" #*-")
        if len(line) > MAX_COLUMNS and not is_whole:
            yield f"{page}:{number}: {len(line)} columns, at most {MAX_COLUMNS} are wanted"


def variables_read(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Each environment variable with a file that reads it."""
    found = {}
    for source in SOURCES:
        path = root / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            pattern = READERS.get(file.suffix or ".sh")
            if pattern and file.is_file() and file.name != pathlib.Path(__file__).name:
                for name in re.findall(pattern, file.read_text(encoding="utf-8", errors="replace")):
                    found.setdefault(name, file)
    return found


def environment_violations(root: pathlib.Path):
    page = root / ENVIRONMENT
    text = page.read_text(encoding="utf-8")
    own_rows, _, other_programs = text.partition("## Variables that libraries read")
    listed = set(re.findall(r"`([A-Za-z_]\w*)`", " ".join(
        match[0] for match in VARIABLE.finditer(own_rows))))
    read = variables_read(root)
    for name in sorted(read.keys() - listed):
        yield f"{page}: {name} is missing; {read[name]} reads it"
    for name in sorted(listed - read.keys()):
        yield f"{page}: {name} is listed, but nothing reads it"
    if not other_programs:
        yield f"{page}: the section on variables that libraries read is missing"


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    pages = sorted({page for pattern in PAGES for page in root.glob(pattern)})
    found = [line for page in pages for line in page_violations(page)]
    found += environment_violations(root)
    for line in found:
        print(line)
    print(f"pages: {len(found)} violations in {len(pages)} pages", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
