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
