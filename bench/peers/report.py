#!/usr/bin/env python3
"""The part "Beside the peers" of bench/RESULTS.md and bench/peers.svg, made of bench/raw/peers.json.

  bench/peers/report.py        makes both anew from the raw data that is there
"""
import json
import pathlib
import re
import statistics
import sys

BENCH = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(BENCH))
import compare  # noqa: E402
import measure_receive  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402
from compare import number  # noqa: E402

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

# What a reader has to know of a part.
REMARKS = {
    "receive": ("From the load client's first connection until the last copy is in the last of 100 mailboxes; CPU until the server has nothing left to do. All sync as they ship.",
                "A round lasts as long for each server (about a second), so slow ones get fewer messages: the figures are rates and costs a message, a message for 20 recipients being one.",
                "The same bytes to everybody: text, from 64 KiB on most of it an attachment in base64. PIPELINING where it is offered; QUIT without waiting for its reply, as Postfix's "
                "client does; TLS with an ECDSA P-256 certificate, without resumption. What was changed in a server's settings, and why, stands in bench/peers/."),
    "relay": ("To one smtp-sink, which keeps nothing; a round lasts about 2 s for each server, and ends when its queue is empty.",
              "What came to the sink is counted, and compared with what was sent."),
    "pop3": ("A login is connect, USER, PASS, QUIT. Its CPU is mostly the check of the password: SHA512-CRYPT with 5,000 rounds is what such servers often have; SSHA512, a "
             "salted digest that costs a microsecond, is there to show what the servers themselves cost. Both sides have the same hashes.",
             "RETR one at a time reads a maildrop nobody read before; then it is read again with a hundred RETRs under way (RFC 2449, PIPELINING), and then deleted.",
             "CPU is counted until the server has nothing left to do."),
    "idle": ("Proportional set size of all processes, with the connections less without, divided by their number. The kernel's memory for sockets is not in it.",
             "SMTP: greeted, and EHLO answered. POP3: greeted, and CAPA answered. TLS: STARTTLS or STLS after that. Logged in: a hundred accounts in turn."),
    "startup": ("From exec until the first greeting, the mailboxes in place and the files in the kernel's cache. The port is tried each millisecond.",
                "Ostiary greets when its store is open; what is asked of a process that is still starting waits for it."),
    "disk": ("Generated text that looks like mail, the same for everybody, 8.0 KiB a message on average; zlib makes it 2.1 times smaller, message by message.",
             "Counted are the blocks that the file system gave, indexes and databases included, after an orderly stop. The peers compress nothing as they ship; Ostiary does."),
}

# Why Ostiary is behind in a row: (pattern for "part: row (unit)", a sentence that somebody wrote after measuring). A row that is behind and has none
# says so, so that nobody overlooks it.
REASONS = (
    (r"^receive: .*, 1 session,.*\(messages/s\)", "With one session nothing can be gathered: each message waits for two syncs, one after the other (the volume, then the database's log: 0.8 and 0.5 ms "
     "where this was looked at), and the next one for its reply. Postfix replies after one sync and delivers while the next message comes in."),
    (r"^receive: 1 MiB, (10|50) sessions.*\(messages/s\)", "One process stores all mail. It compresses large messages one after the other on one core, which takes a quarter of their CPU; servers with a process "
     "for each message use both cores. What all of it costs is the row of CPU."),
)


def is_plotted(row):
    """The page has all rows; the plot of receiving only those with one recipient and no TLS, of 4 KiB or of ten sessions."""
    labels = row.labels
    if row.part != "receive":
        return compare.ratio(row) is not None
    return labels.get("recipients") == 1 and not labels.get("tls") and (labels.get("size") == "4 KiB" or labels.get("sessions") == 10)


def reason(row):
    name = f"{row.part}: {row.name} ({row.unit})"
    return next((sentence for pattern, sentence in REASONS if re.search(pattern, name)), "not explained yet.")


def cell(row, name):
    rounds = row.rounds.get(name)
    if not rounds:
        return "–"
    middle, low, high = number(row.middle(name)), number(min(rounds)), number(max(rounds))
    return middle if low == high else f"{middle} ({low}–{high})"


def ratio_text(row, reasons):
    """`reasons` gathers what is said below the tables."""
    ratio = compare.ratio(row)
    if ratio is None:
        return "–"
    if ratio >= 1:
        return f"**{number(ratio)} ×**"
    why = reason(row)
    if why not in reasons:
        reasons.append(why)
    return f"{number(ratio)} × [{reasons.index(why) + 1}]"


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines])


def cells_missing(part, rows):
    """Of receiving there are so many kinds of message that some may be measured by themselves."""
    wanted, there = {measure_receive.cell_name(*cell) for cell in measure_receive.cells(False)}, {row.name for row in rows}
    if part != "receive" or wanted <= there:
        return []
    return [f"Only {len(wanted & there)} of the {len(wanted)} kinds of message that there are were measured: those in the table."]


def parts_missing(rows):
    missing = [title for part, title in TITLES.items() if part not in {row.part for row in rows}]
    return [f"Not measured yet: {'; '.join(missing)}.", ""] if missing else []


def part_text(results, part, rows, reasons):
    out = [f"### {TITLES.get(part, part)}", ""]
    for (unit, better), lines in compare.group(rows, lambda r: (r.unit, r.better)).items():
        names = compare.peers_in(results, lines)
        out += [table([f"{unit} ({'more' if better == 'higher' else 'less'} is better)", *(compare.title(results, n) for n in names), "to the best peer"],
                      [[row.name, *(cell(row, name) for name in names), ratio_text(row, reasons)] for row in lines]), ""]
    notes = [f"{compare.title(results, name)}, {row.name}: {note}" for row in rows for name, note in row.notes.items()]
    notes = [*cells_missing(part, rows), *REMARKS.get(part, ()), *dict.fromkeys(notes)]
    return out + [f"- {note}" for note in notes] + [""] * bool(notes)


def summary(rows):
    """In how many rows it is ahead, and by how much: a line for each part and unit."""
    lines = []
    for (part, unit), those in compare.group([r for r in rows if compare.ratio(r)], lambda r: (r.part, r.unit)).items():
        ratios = sorted(compare.ratio(r) for r in those)
        close = sum(compare.ratio(r) < 1 and compare.is_within_spread(r) for r in those)
        lines.append([f"{TITLES.get(part, part)}: {unit}", f"{sum(x >= 1 for x in ratios)} of {len(ratios)}", str(close),
                      *(f"{number(x)} ×" for x in (ratios[0], statistics.median(ratios), ratios[-1]))])
    return table(["what", "rows ahead", "behind, but within the spread", "worst row", "middle row", "best row"], lines)


def text(results):
    """The page's part."""
    rows, reasons = compare.rows_of(results), []
    out = ["## Beside the peers", "",
           f"{compare.dates(results)}, {compare.machine_line(results['machine'])}. Command: `./dev bench --peers`; raw data: [raw/peers.json](raw/peers.json).",
           "Medians of the rounds, smallest and largest in brackets. The servers took turns, round by round, on the same disk. Load and server share the cores; CPU is what all",
           f"processes of the server used ({results['counted']}), the load's own is not in it. The ratio says how many times better than the best peer of its row Ostiary is: above 1 it is ahead.", "",
           "![The rows as bars](peers.svg)", "", summary(rows), "", *parts_missing(rows), "The servers, as bench/peers/ sets them up:", "",
           *(f"- **{p['title']}**: {p['version']}; {p['durability']}" for p in results["peers"].values()), ""]
    for part, those in compare.group(rows, lambda r: r.part).items():
        out += part_text(results, part, those, reasons)
    if reasons:
        out += ["Where Ostiary is behind:", "", *(f"{n}. {sentence}" for n, sentence in enumerate(reasons, 1)), ""]
    return "\n".join(out)


def write(results):
    """Puts the page's part in its place and draws the plot."""
    page.put("peers", text(results))
    PLOT.write_text(plot.draw(results, [row for row in compare.rows_of(results) if is_plotted(row)], TITLES))


if __name__ == "__main__":
    if not RAW.exists():
        sys.exit(f"{RAW} is not there: './dev bench --peers' measures and writes it")
    write(json.loads(RAW.read_text()))
    print(f"written: {page.PAGE}, {PLOT}")
