#!/usr/bin/env python3
"""The part "Beside the peers" of bench/RESULTS.md and bench/peers.svg, made of bench/raw/peers.json.

  bench/peers/report.py        makes both anew from the raw data that is there
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import figures  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402

BENCH = pathlib.Path(__file__).resolve().parent.parent
RAW = BENCH / "raw/peers.json"
PLOT = BENCH / "peers.svg"

TITLES = {
    "receive": "Receiving, until every message is durable in its mailbox",
    "relay": "Relaying to another site, until the queue is empty",
    "pop3": "POP3",
    "idle": "Memory of idle connections",
    "startup": "Start-up",
    "disk": "Size on disk",
}

# Why Ostiary is behind in a row: a sentence that somebody wrote after measuring, found by a pattern on "part: row (unit)".
# A row that is behind and has none is marked as not explained, so that nobody overlooks it.
REASONS = []


def reason(row):
    name = f"{row.part}: {row.name} ({row.unit})"
    return next((sentence for pattern, sentence in REASONS if re.search(pattern, name)), None)


def cell(figure):
    if not figure:
        return "–"
    low, high = min(figure.rounds), max(figure.rounds)
    text = figures.number(figure.middle)
    return text if len(figure.rounds) == 1 or low == high else f"{text} ({figures.number(low)}–{figures.number(high)})"


def ratio_text(row, reasons):
    if row.ratio is None:
        return "–"
    text = f"{figures.number(row.ratio)} ×"
    if row.ratio >= 1:
        return f"**{text}**"
    why = reason(row) or "not explained yet."
    if why not in reasons:
        reasons.append(why)
    return f"{text} [{reasons.index(why) + 1}]"


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines])


def part_text(result, part, rows, reasons):
    out = [f"### {TITLES.get(part, part)}", ""]
    for (unit, better), group in figures.group(rows, lambda r: (r.unit, r.better)).items():
        names = [name for name in result.peers if any(name in row.by_peer for row in group)]
        out += [table([f"{unit} ({'more' if better == figures.MORE else 'less'} is better)", *names, "to the best peer"],
                      [[row.name, *(cell(row.by_peer.get(name)) for name in names), ratio_text(row, reasons)] for row in group]), ""]
    notes = list(dict.fromkeys(f.note for row in rows for f in row.by_peer.values() if f.note))
    for note in (*result.remarks.get(part, ()), *notes):
        out.append(f"- {note}")
    if out[-1].startswith("- "):
        out.append("")
    return out


def summary(rows):
    """How many rows, where, and by how much: a line for each part and unit."""
    lines = []
    for (part, unit), group in figures.group([r for r in rows if r.ratio is not None], lambda r: (r.part, r.unit)).items():
        ratios = sorted(r.ratio for r in group)
        ahead, close = sum(x >= 1 for x in ratios), sum(x < 1 and r.is_within_spread for x, r in ((r.ratio, r) for r in group))
        lines.append([f"{TITLES.get(part, part)}: {unit}", f"{ahead} of {len(ratios)}", str(close), f"{figures.number(ratios[0])} ×",
                      f"{figures.number(ratios[len(ratios) // 2])} ×", f"{figures.number(ratios[-1])} ×"])
    return table(["what", "rows ahead", "behind, but within the spread", "worst row", "middle row", "best row"], lines)


def text(result):
    rows, reasons = figures.rows(result), []
    own = next(iter(result.peers))
    out = ["## Beside the peers", "",
           f"{result.when}, {result.machine}. Command: `{result.command}`. Raw data: [raw/peers.json](raw/peers.json).",
           "Medians of the rounds, smallest and largest in brackets; the peers took turns, round by round, on the same disk. Load and server share the cores; CPU is what",
           "all processes of the server used, the load's own is not in it. The ratio says how many times better than the best peer of that row "
           f"{own} is: above 1 it is ahead.", "",
           "![The rows as bars](peers.svg)", "", summary(rows), "", "The peers and how they are set up:", "",
           *(f"- **{name}**: {words}" for name, words in result.peers.items()), ""]
    for part, group in figures.group(rows, lambda r: r.part).items():
        out += part_text(result, part, group, reasons)
    if reasons:
        out += [f"Rows where {own} is behind:", "", *(f"{n}. {sentence}" for n, sentence in enumerate(reasons, 1)), ""]
    return "\n".join(out)


def publish(result):
    """Writes the page's part and the plot."""
    page.put("peers", text(result))
    PLOT.write_text(plot.draw(result, TITLES))


if __name__ == "__main__":
    if not RAW.exists():
        sys.exit(f"{RAW} is not there: './dev bench --peers' measures and writes it")
    publish(figures.load(RAW))
    print(f"written: {page.PAGE}, {PLOT}")
