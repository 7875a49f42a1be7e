"""What a measurement hands over: one list of figures for the page, the plot and the raw data.

Every measure_*.py has a function that returns a list of `Figure`; run.py puts them together as `Result` and writes it with
`save`. Rows are compared among those of one part, one row and one unit.
"""
import dataclasses
import json
import statistics

MORE, LESS = "more", "less"  # which is better


@dataclasses.dataclass
class Figure:
    part: str  # "receive", "relay", "pop3", "idle", "startup", "disk"
    row: str  # what was done, in words a reader understands: "4 KiB, 50 sessions, new connections"
    unit: str  # "messages/s", "us CPU a message", "KiB a connection"
    better: str  # MORE or LESS
    peer: str  # a key of Result.peers
    rounds: list  # a value for each round
    plotted: bool = True  # whether the plot has this row: the page has all of them
    note: str = ""  # said below the table, e.g. that a peer got fewer messages

    @property
    def middle(self):
        return statistics.median(self.rounds)


@dataclasses.dataclass
class Result:
    command: str
    machine: str  # processor, cores, memory, kernel, file system: one line
    when: str
    peers: dict  # {name: its version and how it is set up}; the first one is Ostiary
    figures: list
    remarks: dict = dataclasses.field(default_factory=dict)  # {part: [sentence, ...]}: said below that part's tables


def save(result, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(result), indent=1, ensure_ascii=False) + "\n")


def load(path):
    values = json.loads(path.read_text())
    values["figures"] = [Figure(**f) for f in values["figures"]]
    return Result(**values)


@dataclasses.dataclass
class Row:
    """What all peers did in one row."""

    part: str
    name: str
    unit: str
    better: str
    by_peer: dict  # {peer: Figure}
    own: str  # the peer whose page this is

    @property
    def best_other(self):
        others = [f for name, f in self.by_peer.items() if name != self.own]
        choose = max if self.better == MORE else min
        return choose(others, key=lambda f: f.middle, default=None)

    @property
    def ratio(self):
        """How many times better than the best of the others; None where there is nothing to compare."""
        best, own = self.best_other, self.by_peer.get(self.own)
        if not best or not own or not best.middle or not own.middle:
            return None
        return own.middle / best.middle if self.better == MORE else best.middle / own.middle

    @property
    def is_within_spread(self):
        """Whether some round of ours and some round of the best other one could be exchanged."""
        best, own = self.best_other, self.by_peer.get(self.own)
        return bool(best and own) and min(own.rounds) <= max(best.rounds) and min(best.rounds) <= max(own.rounds)

    @property
    def plotted(self):
        return all(f.plotted for f in self.by_peer.values())


def rows(result):
    """The figures as rows, in the order in which they were measured."""
    out = {}
    for f in result.figures:
        row = out.setdefault((f.part, f.row, f.unit), Row(f.part, f.row, f.unit, f.better, {}, next(iter(result.peers))))
        if row.better != f.better or f.peer in row.by_peer or f.peer not in result.peers:
            raise ValueError(f"figures of '{f.part}: {f.row} ({f.unit})' that don't fit together, at {f.peer}")
        row.by_peer[f.peer] = f
    return list(out.values())


def group(items, key):
    """{key: [items]} in order."""
    out = {}
    for item in items:
        out.setdefault(key(item), []).append(item)
    return out


def number(value):
    """Three digits that count, as people write them."""
    if value == 0:
        return "0"
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
