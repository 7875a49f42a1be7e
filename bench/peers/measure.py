"""What all measures share: rows of results, and rounds that alternate between the peers."""
import dataclasses
import statistics
import sys

from peer import BenchError


@dataclasses.dataclass
class Row:
    """One line of the page: the same thing done by each peer, in several rounds."""

    part: str  # receive, relay, pop3, idle, startup, disk
    name: str  # what was done, for people: "4 KiB, 50 sessions, new connections"
    unit: str  # of the figures: "messages/s", "us CPU a message", "KiB"
    better: str  # "higher" or "lower"
    labels: dict = dataclasses.field(default_factory=dict)  # the same for programs: {"size": 4096, "sessions": 50}
    rounds: dict = dataclasses.field(default_factory=dict)  # {peer's name: [a figure of each round]}
    notes: dict = dataclasses.field(default_factory=dict)  # {peer's name: what a reader has to know, or why there is no figure}

    def add(self, peer, value):
        self.rounds.setdefault(peer.name, []).append(value)

    def middle(self, name):
        return statistics.median(self.rounds[name])

    def best(self, names=None):
        """The name of the peer with the best median of `names`; None without any."""
        names = [n for n in (names or self.rounds) if self.rounds.get(n)]
        return (max if self.better == "higher" else min)(names, key=self.middle, default=None)

    def as_json(self):
        return dataclasses.asdict(self)


def say(text):
    print(text, file=sys.stderr, flush=True)


def figures(row):
    """One line for the terminal."""
    shown = ", ".join(f"{name} {row.middle(name):,.{0 if row.middle(name) >= 100 else 1}f}" for name in row.rounds if row.rounds[name])
    return f"{row.part}: {row.name}: {shown} {row.unit}"


def alternate(peers, rounds, once):
    """A B C, A B C, ...: what the machine does meanwhile hits all of them. `once(peer, round)`."""
    for number in range(rounds):
        for peer in peers:
            once(peer, number)


def once_or_note(once, rows):
    """As `once`, but a peer that fails loses its figures of these rows, not everybody theirs. Where Ostiary fails the run ends."""
    def guarded(server, number):
        if any(f"{server.title} failed" in row.notes.get(server.name, "") for row in rows):
            return
        try:
            once(server, number)
        except BenchError as problem:
            if server.name == "ostiary":
                raise
            say(str(problem))
            for row in rows:
                row.rounds.pop(server.name, None)
                row.notes[server.name] = f"{server.title} failed: {str(problem).splitlines()[0][:200]}"
            server.stop()
            server.empty_queue()
            server.clear()
            server.start()

    return guarded
