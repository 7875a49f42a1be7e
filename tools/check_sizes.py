#!/usr/bin/env python3
"""Holds the size caps: functions p90 <= 50 lines and none over 80; files median <= 300 lines and none over 800."""
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_P90, FUNCTION_CAP, FILE_MEDIAN, FILE_CAP = 50, 80, 300, 800


def functions(path):
    """(line, name, lines) of each function: in this style its body's braces stand alone in the first column."""
    lines = path.read_text().splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            head = start - 1
            while head > 1 and lines[head - 2].strip() and lines[head - 2][0] not in "}#/ *":
                head -= 1
            name = re.search(r"(\w+)\(", " ".join(lines[head - 1 : start]))
            yield head, name[1] if name else "?", number - head + 1
            start = None


def main():
    paths = sorted(p for area in ("src", "fuzz") for p in (ROOT / area).rglob("*.[ch]"))
    problems, sizes, lengths = [], [], []
    for path in paths:
        length = len(path.read_text().splitlines())
        lengths.append(length)
        shown = path.relative_to(ROOT)
        if length > FILE_CAP:
            problems.append(f"{shown}: {length} lines; a file has at most {FILE_CAP}")
        if path.suffix == ".c":
            for line, name, size in functions(path):
                sizes.append(size)
                if size > FUNCTION_CAP:
                    problems.append(f"{shown}:{line}: {name}() has {size} lines; a function has at most {FUNCTION_CAP}")
    p90 = statistics.quantiles(sizes, n=10)[8] if len(sizes) > 1 else 0
    median = statistics.median(lengths)
    if p90 > FUNCTION_P90:
        problems.append(f"functions: p90 is {p90:.0f} lines; it may be {FUNCTION_P90}")
    if median > FILE_MEDIAN:
        problems.append(f"files: the median is {median:.0f} lines; it may be {FILE_MEDIAN}")
    print("\n".join(problems) or f"sizes: fine ({len(sizes)} functions, p90 {p90:.0f}; {len(lengths)} files, median {median:.0f})")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
