"""Thousands of clients that give the server a byte now and then (slow.c): in a command, in a message, in a TLS handshake, in commands that lead to nothing, or no byte
at all. Honest mail and honest POP3 sessions go on beside them as if they were not there, and what each of them costs is little."""
import pathlib
import random
import re
import smtplib
import subprocess
import threading
import time

from sandbox import Server, wait_until

from .load import REFUSED
from .promise import Broken, Outcome, end_all

ALONE = True  # it measures
PROMISES = (
    "beside slow clients from many addresses honest mail and POP3 have a p99 under 1 s, and memory stays bounded",
    "when slow clients from many addresses take every place, honest people still get in, as soon",
    "one address holds no more connections than it may, and honest people elsewhere do not notice it",
)
# (clients, seconds of honest work, the longest p99 in seconds). Tests run several at once, which is no place to measure.
EFFORTS = {"test": (300, 3, 60), "short": (10000, 15, 1), "full": (10000, 120, 1), "long": (10000, 1800, 1)}
HERE_EACH = 40  # slow clients from each address, where one may have 50
LIMIT_EACH = 50
BYTE_EACH = 5  # seconds
MEMORY_EACH = 96  # KiB of a slow client: the worst kind has 32 KiB of a message and the session's own
SANITIZED = 16  # times that much: what was freed is kept for a while
ROOM = 0.95  # of the clients that there is room for, at any instant
FULL = "all connections are taken"
HONEST = 4
MESSAGE = "Subject: honest {}\r\n\r\n" + ("z" * 70 + "\r\n") * 55


def resident(server):
    """KiB of all its processes, shared pages counted once."""
    return sum(int(re.search(r"^Pss: +(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) for pid in server.children())


class Slow:
    """The clients. `told` is the last line of theirs."""

    def __init__(self, report, count, sources, kinds):
        self.told, self.count = {}, count
        self.process = subprocess.Popen([report.tool("slow"), str(count), str(sources), str(BYTE_EACH), *kinds], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            words = line.split()
            self.told = dict(zip(words[::2], map(int, words[1::2])))

    def wait_until_open(self, count):
        wait_until(lambda: self.told.get("open", 0) >= count or self.process.poll() is not None, f"{count} slow clients (now {self.told})")

    def end(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise Broken("the slow clients gave up")
        self.reader.join()


class Honest:
    """People with a clock: how long each of their sessions took, from the first packet to the last reply."""

    def __init__(self, server, first=0):
        self.server, self.ended = server, threading.Event()
        self.lock = threading.Lock()
        self.first, self.sent, self.stored = first, first, set()
        self.took = {"mail": [], "POP3": []}
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(kind,), daemon=True) for kind in ("mail", "POP3") for _ in range(HONEST // 2)]
        for thread in self.threads:
            thread.start()

    def run(self, kind):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                self.send() if kind == "mail" else self.read()
            except REFUSED as problem:
                self.problems.append(f"{kind}: {type(problem).__name__}: {problem}")
                time.sleep(0.1)  # not synchronisation: who was refused does not hammer
            self.took[kind].append(time.monotonic() - began)
            time.sleep(0.01)  # not synchronisation: honest people are not in a hurry, and this is no test of speed

    def send(self):
        with self.lock:
            self.sent += 1
            number = self.sent
        with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=60) as smtp:
            smtp.sendmail("friend@elsewhere.test", ["alice@example.test"], MESSAGE.format(number))
        self.stored.add(number)

    def read(self):
        pop = self.server.pop()
        if pop.stat()[0]:
            pop.top(1, 10)
        pop.quit()

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def tries(self):
        return sum(map(len, self.took.values()))

    def figures(self, what):
        """The p99 of each kind, in ms."""
        return {f"{kind} p99 ms {what}": round(sorted(took)[int(len(took) * 0.99)] * 1000) for kind, took in self.took.items() if took}

    def check(self, outcome, longest):
        """Everybody was served, soon, and nothing is missing."""
        outcome.tries += self.tries()
        p99s = self.figures("beside them")
        outcome.figures |= p99s
        if len(p99s) != len(self.took) or max(p99s.values()) >= longest * 1000:
            raise Broken(f"honest people had to wait: {p99s}")
        if self.problems:
            raise Broken(f"{len(self.problems)} of {self.tries()} honest sessions were refused: {self.problems[0]}")
        pop = self.server.pop()
        found = [int(re.search(rb"^Subject: honest (\d+)$", b"\n".join(pop.top(i + 1, 0)[1]), re.M)[1]) for i in range(pop.stat()[0])]
        pop.quit()
        found = [number for number in found if number > self.first]
        lost, doubled = self.stored - set(found), len(found) - len(set(found))
        if lost or doubled:
            raise Broken(f"lost {sorted(lost)[:10]}", lost=len(lost), doubled=doubled)


def kinds(server):
    smtp, pop, pops = server.port(25), server.port(110), server.port(995)
    return [f"command={smtp}", f"data={smtp}", f"starttls={smtp}", f"heavy={smtp}", f"silent={pop}", f"command={pop}", f"tls={pops}", f"silent={smtp}", f"noop={smtp}"]


def is_sanitized(report):
    return b"__asan_init" in pathlib.Path(report.shipped).read_bytes()


def from_many(count, seconds, longest, report, directory, outcome):
    server = Server(f"processes.connections = {count + 100}\nprocesses.connections_per_address = {LIMIT_EACH}", binary=report.shipped, parent=directory)
    try:
        alone = Honest(server)
        time.sleep(min(seconds / 2, 5))  # not synchronisation: how long it takes with nobody else there
        alone.end()
        outcome.figures |= alone.figures("alone")
        before = resident(server)
        slow = Slow(report, count, count // HERE_EACH + 1, kinds(server))
        slow.wait_until_open(count)
        honest = Honest(server, alone.sent)
        time.sleep(seconds)  # not synchronisation: what is measured
        there = slow.told["open"]
        after = resident(server)
        honest.end()
        slow.end()
        outcome.figures |= {"slow clients": there, "KiB for each": round((after - before) / count, 1)}
        honest.check(outcome, longest)
        # Those whose time is up are ended in waves, as they came, and come again: not all are there at any one instant.
        if there < count * ROOM or slow.told["refused"] or FULL in server.log():
            raise Broken(f"{slow.told}: the server ended or turned away what it has room for")
        if (after - before) / count > MEMORY_EACH * (SANITIZED if is_sanitized(report) else 1):
            raise Broken(f"{(after - before) / count:.0f} KiB for each slow client: {before} KiB before, {after} with {count}")
    finally:
        end_all(server.end)


def full_house(count, seconds, longest, report, directory, outcome):
    """The setting is the one that people have, but where there are few clients."""
    places = min(4000, count * 3 // 5)
    server = Server(f"processes.connections = {places}\nprocesses.connections_per_address = {LIMIT_EACH}", binary=report.shipped, parent=directory)
    try:
        slow = Slow(report, count, count // HERE_EACH + 1, kinds(server))
        # For the first two seconds nobody can be called slow, and newcomers are refused.
        wait_until(lambda: slow.told.get("ended", 0) >= places // 10, f"a full house of {places} that makes room")
        honest = Honest(server)
        time.sleep(seconds)  # not synchronisation: what is measured
        honest.end()
        slow.end()
        outcome.figures |= {"slow clients": count, "places": places, "crowded out": slow.told["ended"]}
        honest.check(outcome, longest)
        if FULL not in server.log():
            raise Broken("the log does not say that the house is full")
    finally:
        end_all(server.end)


def from_one(count, seconds, longest, report, directory, outcome):
    server = Server(f"processes.connections_per_address = {LIMIT_EACH}", binary=report.shipped, parent=directory)
    try:
        slow = Slow(report, count, 1, [kind for kind in kinds(server) if not kind.startswith("tls")])  # which can't know that it was turned away
        wait_until(lambda: slow.told.get("refused", 0) >= count - 2 * LIMIT_EACH, "refusals")
        honest = Honest(server)
        time.sleep(seconds)  # not synchronisation: what is measured
        there = slow.told["open"]
        honest.end()
        slow.end()
        outcome.figures |= {"held of one address": there, "of": count}
        honest.check(outcome, longest)
        if not 0 < there <= 2 * LIMIT_EACH:
            raise Broken(f"one address holds {there} connections: it may have {LIMIT_EACH} with the gates and as many with the desks")
    finally:
        end_all(server.end)


def run(effort, seed, report):
    count, seconds, longest = EFFORTS[effort]
    random.seed(seed)
    outcomes = []
    for promise, part in zip(PROMISES, (from_many, full_house, from_one)):
        outcome = Outcome(promise)
        with report.directory(outcome, f"{count} slow clients") as directory:
            part(count, seconds, longest, report, directory, outcome)
        outcomes.append(outcome)
        report.progress(len(outcomes), len(PROMISES))
    return outcomes
