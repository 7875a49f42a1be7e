"""What all measures share: rows of results, and rounds that alternate between the peers."""
import dataclasses
import os
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
    date: str = ""  # when: "2026-01-31"

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


def next_pace(before, a_second, each):
    """How many a second a server may be able to do: what it did now, or what its CPU (`each`: microseconds a message) leaves room for. A few messages take a slow
    server's waits for its figure, and then too few would be sent to it for ever; so it grows, by four times at most."""
    able = os.cpu_count() * 1e6 / each if each else a_second
    return max(before / 2, min(able, 4 * a_second), a_second)


def say(text):
    print(text, file=sys.stderr, flush=True)


def figures(row):
    """One line for the terminal."""
    shown = ", ".join(f"{name} {row.middle(name):,.{0 if row.middle(name) >= 100 else 1}f}" for name in row.rounds if row.rounds[name])
    return f"{row.part}: {row.name}: {shown} {row.unit}"


def alternate(peers, rounds, once):
    """A B C, B C A, ...: what the machine does meanwhile hits all of them, and nobody is always first. What one left to be written is no burden of the next.
    `once(peer, round)`."""
    for number in range(rounds):
        first = number % len(peers) if peers else 0
        for peer in [*peers[first:], *peers[:first]]:
            os.sync()
            once(peer, number)


def those_able(servers, once):
    """(servers that did `once(server)`, {name: why the others did not}). Where Ostiary fails the run ends."""
    able, notes = [], {}
    for server in servers:
        try:
            once(server)
            able.append(server)
        except BenchError as problem:
            if server.name == "ostiary":
                raise
            say(str(problem))
            notes[server.name] = f"{server.title} failed: {str(problem).splitlines()[0][:200]}"
    return able, notes


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
