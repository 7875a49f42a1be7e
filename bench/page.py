"""bench/RESULTS.md is one page of several parts, each written by a program of its own: none writes over another's."""
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parent / "RESULTS.md"
TITLE = "# Measured"
PARTS = ("peers", "own")  # in the page's order
MARK = re.compile(r"^<!-- part: (\w+) -->$", re.M)


def split(text):
    """{part: its text} of a page."""
    pieces = MARK.split(text)
    return dict(zip(pieces[1::2], (p.strip("\n") for p in pieces[2::2])))


def join(parts):
    out = [TITLE]
    for name in PARTS:
        if name in parts:
            out += [f"<!-- part: {name} -->", parts[name]]
    return "\n\n".join(out) + "\n"


def put(name, text, path=PAGE):
    """Puts one part's text in its place; the others stay as they are."""
    if name not in PARTS:
        raise ValueError(f"the page has no part '{name}'")
    parts = split(path.read_text()) if path.exists() else {}
    parts[name] = text.strip("\n")
    path.write_text(join(parts))
