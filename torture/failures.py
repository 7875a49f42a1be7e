"""Each call that can fail fails once, and then for a while: writes, syncs, allocations. Clients hear "not now", nothing acknowledged is lost, and when the cause is gone mail
flows again by itself within ten seconds.

A dialogue is a round of what people do: a small message to two, a large one by the spool, one to another site, a deletion, an alias; for the writer also a compaction, which
begins a new volume and removes an old one. How many calls of a kind one process makes in it is counted first; then for each k the k-th fails in a round of its own, alone
or with all behind it. faults.c and no_memory.c make them fail. What the writer does at the server's stop, and what commands do (failing_commands.py), is tried in the same way.
"""
import concurrent.futures
import errno
import poplib
import random
import re
import smtplib
import time
import typing

from sandbox import Server, wait_until
from scripted_server import Peer

from . import failing_commands
from .faults import ALLOCATION, ERRORS, EVERY, FAILED, FOREVER, KINDS, NAME, PWRITE, PWRITEV, RECEIVE, ROLES, SEEN, SHORT, SIZE, SYNC, WRITE, Faults, choose_ks, environment, look_at_end
from .promise import Broken, Outcome, end_all, processors, refused_for_good

PROMISES = (
    "the k-th call to the disk fails (ENOSPC, EIO, EDQUOT, short): 4xx, nothing lost, mail again within 10 s",
    "the k-th allocation of a process fails: 4xx, nothing lost, mail again within 10 s",
    "what joins two of our processes breaks, and both live: 4xx, nothing lost, mail again within 10 s",
    failing_commands.PROMISE,
)
WITH_MEMORY = ROLES[:6]  # whose allocations fail
SETTINGS = """store.volume_size = "1M"
smtp.message_size = "1M"
client_networks = {{ "127.0.0.0/8" }}
submission.daily_recipients = 1000000
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""
REFUSED = (OSError, EOFError, smtplib.SMTPException, poplib.error_proto)
LIMIT_SECONDS = {"test": 60, "short": 10, "full": 10, "long": 10}  # a test may run beside many others, and is no measure of speed
CRASHES = 5  # after so many a server is started anew, or the supervisor's patience would be what is measured
SLOWEST = "slowest return in s"
LARGE = "z" * 70 + "\r\n"



class Row(typing.NamedTuple):
    """Calls that fail."""

    kinds: int
    role: str
    errors: tuple
    counted: int = 0  # the kinds of them by which the k-th is the k-th; 0: all
    count: int = 1  # so many, from the k-th on
    at_stop: bool = False  # not in a dialogue, but while the server stops after one
    said: str = ""  # what the log has to tell in the end: without it this was not what was tried

    def __str__(self):
        return f"{' and '.join(name for kind, name in KINDS.items() if kind & self.kinds)} of the {self.role}{' at the stop' if self.at_stop else ''}"


DISK = [Row(SYNC, "writer", (errno.EIO, errno.ENOSPC)), Row(PWRITE, "writer", (errno.ENOSPC, errno.EIO, errno.EDQUOT, SHORT)),
        Row(PWRITEV, "writer", (errno.ENOSPC, errno.EIO, errno.EDQUOT, SHORT)), Row(NAME, "writer", (errno.ENOSPC, errno.EIO)),
        # The store cuts off what it could not write, and that fails, too.
        Row(PWRITEV | SIZE, "writer", (errno.EIO,), counted=PWRITEV, count=2, said="cutting an abandoned batch off the volume failed"),
        Row(SYNC, "writer", (errno.EIO,), at_stop=True), Row(PWRITE, "writer", (errno.ENOSPC,), at_stop=True), Row(SIZE, "writer", (errno.EIO,), at_stop=True),
        Row(WRITE, "gate", (errno.ENOSPC, SHORT))]
# how many k at most (EVERY: all of them) of each row and error; how often what fails goes on failing until the end of the round; then how many k of the allocations of each
# role, of the channels of each role, of each kind of call of each command
EFFORTS = {"test": (2, 1, 2, 1, 1), "short": (3, 1, 4, 1, 2), "full": (EVERY, 20, EVERY, EVERY, EVERY), "long": (EVERY, 200, EVERY, EVERY, EVERY)}
LIMIT = {"test": 300, "short": 280}


class Campaign:
    """A server, the other site, and what is known of each message."""

    def __init__(self, directory, row, libraries, limit):
        self.row, self.limit = row, limit  # seconds until mail flows again
        self.lacks_memory = bool(row.kinds & ALLOCATION)  # a process may end: it comes back
        # The store has done it, and who was to say so had no memory left for the answer, or no channel.
        self.asks_again, self.after_all = bool(row.kinds & (ALLOCATION | RECEIVE)) and row.role != "writer", 0
        self.faults = Faults(directory / "faults")
        self.peer = Peer()
        self.server = Server(SETTINGS.format(self.peer.port), environment=environment(libraries, directory / "faults"), parent=directory)
        self.number = 0
        self.acknowledged, self.refused, self.far, self.deleted, self.unsure, self.aliases = set(), set(), set(), set(), set(), set()
        self.slowest, self.crashes = 0.0, 0
        self.pool, self.asked = concurrent.futures.ThreadPoolExecutor(2), []  # (words, the result) of commands
        self.is_over = lambda: False  # none of them need be waited for: whoever would answer can't come back yet

    def close(self):
        self.faults.end()
        end_all(self.end, self.peer.close, self.pool.shutdown)

    def end(self):
        """What no process may say."""
        return [line for line in self.server.end() if not (self.lacks_memory and "signal=SIGABRT" in line)]

    # What people do. Each says what it heard; nothing is tried twice.

    def send(self, people, sender="load@elsewhere.test", lines=20, far=()):
        """The last code; 0: the connection broke."""
        self.number += 1
        number = self.number
        text = f"Subject: failure {number}\r\n\r\n" + LARGE * lines
        recipients = [*(f"{name}@example.test" for name in people), *(f"{name}-{number}@far.test" for name in far)]
        code = 0
        try:
            with self.server.smtp() as smtp:
                code = self.transact(smtp, sender, recipients, text)
        except smtplib.SMTPResponseException as problem:
            code = code or problem.smtp_code
        except REFUSED:
            pass
        if code >= 500:
            raise Broken(f"message {number} to {recipients} was refused for good: {code}", lost=1)
        if code == 250:
            self.acknowledged |= {(name, number) for name in people}
            self.far |= {f"{name}-{number}@far.test" for name in far}
        elif code:
            self.refused |= {(name, number) for name in people}
        return code

    def transact(self, smtp, sender, recipients, text):
        """All of the recipients or none: the code that decided."""
        smtp.ehlo_or_helo_if_needed()
        for code, _ in (smtp.mail(sender), *(smtp.rcpt(recipient) for recipient in recipients)):
            if code != 250:
                return code
        return smtp.data(text)[0]

    def delete(self, name="carol", most=1, keep=0):
        """The oldest of somebody's mail."""
        try:
            pop = self.server.pop(f"{name}@example.test")
            keys = set()
            for number in range(1, min(most, pop.stat()[0] - keep) + 1):
                top = b"\n".join(pop.top(number, 0)[1])
                pop.dele(number)
                keys.add((name, int(re.search(rb"^Subject: failure (\d+)$", top, re.M)[1])))
            self.unsure |= keys
            if pop.quit().startswith(b"+OK"):
                self.deleted |= keys
                self.unsure -= keys
            return True
        except REFUSED as problem:
            if refused_for_good(problem):
                raise Broken(f"{name}, whose password is right, was refused for good: {problem}", lost=1) from problem
        return False

    def command(self, *words):
        result = self.pool.submit(self.server.run, *words, check=False)
        self.asked.append((words, result))
        wait_until(lambda: result.done() or self.is_over(), f"the end of {' '.join(words)}")

    def settle(self):
        """What became of the commands."""
        while self.asked:
            words, future = self.asked.pop()
            result = future.result()
            look_at_end(" ".join(words), result)
            if result.returncode == 0 and words[0] == "alias":
                self.aliases.add(words[2])

    def alias(self):
        self.number += 1
        self.command("alias", "add", f"failure-{self.number}@example.test", "bob@example.test")

    def tidy(self):
        """So much is dead then that something is to be compacted, and a volume to be begun for it."""
        self.delete("alice", most=4, keep=20)
        self.command("store", "compact", "--dead", "1")

    def dialogue(self):
        self.send(("alice", "carol"))
        self.send(("alice",), lines=9000)  # by the spool
        self.send((), sender="bob@example.test", far=("erin",))
        self.delete()
        if not self.lacks_memory:
            self.alias()
        if self.row.role == "writer" and not self.row.kinds & (ALLOCATION | RECEIVE):
            self.tidy()

    # One fault

    def act(self, error, kinds, skip, count):
        """A round in which these calls fail."""
        died = self.count_deaths()
        self.is_over = (lambda: self.count_deaths() > died) if count == FOREVER else lambda: False
        if self.row.at_stop:
            self.dialogue()
            self.settle()
        self.faults.begin(error, kinds, skip, count, self.row.role)
        if self.row.at_stop:
            self.server.stop()
        else:
            self.dialogue()
        self.faults.end()

    def count_deaths(self):
        return self.server.log().count("process died")

    def count_calls(self):
        """In one round."""
        before = self.count_deaths()
        self.act(errno.EIO, self.row.counted or self.row.kinds, 0, 0)
        count = self.faults.get(SEEN)
        self.settle()
        self.start_again()
        if self.count_deaths() > before:
            raise Broken("a process died while nothing failed")
        return count

    def start_again(self):
        if self.row.at_stop:
            self.server.start()

    def try_one(self, error, k, count):
        """Did the fault strike? Afterwards mail flows again."""
        what = f"{k} ({'all from there on' if count == FOREVER else count}) of {self.row} failed with {ERRORS[error]}"
        before = self.faults.get(FAILED)
        self.act(error, self.row.kinds, k, count)
        begun = time.monotonic()
        self.start_again()
        wait_until(self.flows, f"mail after {what}")
        seconds = time.monotonic() - begun
        self.slowest = max(self.slowest, seconds)
        if seconds > self.limit:
            raise Broken(f"after {what} mail flowed only after {seconds:.1f} s")
        self.settle()
        self.rest()
        return self.faults.get(FAILED) > before

    def flows(self):
        return self.send(("carol",)) == 250 and self.delete()

    def rest(self):
        crashes = self.count_deaths()
        if crashes - self.crashes >= CRASHES:
            self.server.stop()
            self.server.start()
            self.crashes = self.count_deaths()

    # At the end

    def numbers(self, name):
        out = []
        pop = self.server.pop(f"{name}@example.test")
        for i in range(pop.stat()[0]):
            found = re.search(rb"^Subject: failure (\d+)$", b"\n".join(pop.top(i + 1, 0)[1]), re.M)
            out += [int(found[1])] if found else []
        pop.quit()
        return out

    def check(self):
        try:
            wait_until(lambda: self.far <= self.arrived(), "the other site's mail")
        except AssertionError as problem:
            lost = self.far - self.arrived()
            raise Broken(f"the other site waits for {sorted(lost)[:10]}", lost=len(lost)) from problem
        for name in ("alice", "carol"):
            found = self.numbers(name)
            there = {(name, number) for number in found}
            wanted = {key for key in self.acknowledged - self.deleted - self.unsure if key[0] == name}
            lost, back = wanted - there, there & self.deleted
            doubled, after_all = len(found) - len(there), there & self.refused
            if self.asks_again:  # the store has done it, and who was to say so had no memory left for the answer
                self.after_all += len(after_all)
                after_all = set()
            if lost or back or doubled or after_all:
                raise Broken(f"{name}: lost {sorted(lost)[:10]}, back {sorted(back)[:10]}, {doubled} doubled, refused and there {sorted(after_all)[:10]}",
                             lost=len(lost), doubled=len(back) + doubled + len(after_all))
        if any(b"Action: failed" in text for text in self.server.messages("bob@example.test")):
            raise Broken("a report says that mail could not be delivered: a trouble of ours was taken for an answer")
        lost = self.aliases - set(re.findall(r"failure-\d+@example\.test", self.server.run("alias", "list").stdout))
        if lost:
            raise Broken(f"aliases lost: {sorted(lost)[:10]}", lost=len(lost))
        faults = self.end()
        if faults:
            raise Broken(f"the server said {faults[0]}")
        if self.row.said not in self.server.log():
            raise Broken(f"nothing of this failed: the log does not say '{self.row.said}'")
        result = self.server.run("store", "check", check=False)
        if result.returncode:
            raise Broken(f"store check: {result.stdout[-500:]}{result.stderr[-500:]}")

    def arrived(self):
        return set(re.findall(r"[a-z]+-\d+@far\.test", str(self.peer.messages)))


def campaign(number, row, most, whiles, limit, seed, report):
    """(place of the promise, its outcome): all k of one kind of call of one process."""
    outcome = Outcome(PROMISES[number])
    libraries = [report.library("faults"), *([report.library("no_memory")] if row.kinds & ALLOCATION else [])]
    choose = random.Random(seed)
    with report.directory(outcome, f"failures (seed {seed}): {row}") as directory:
        run = Campaign(directory, row, libraries, limit)
        try:
            run.dialogue()
            run.settle()
            calls = max(run.count_calls() for _ in range(2))
            for error in row.errors:
                for k in choose_ks(calls, most, choose):
                    outcome.tries += run.try_one(error, k, row.count)
                for k in choose_ks(calls, whiles, choose):
                    outcome.tries += run.try_one(error, k, FOREVER)
            if not outcome.tries:
                raise Broken(f"of {calls} calls none failed: nothing was tried")
            run.check()
        finally:
            run.close()
        outcome.figures = {f"{row}: calls": calls, SLOWEST: f"{run.slowest:.1f}", "stored, and the client was asked to come again": run.after_all}
    return number, outcome


def call(function, words, report):
    return function(*words, report)


def run(effort, seed, report):
    outcomes = [Outcome(promise) for promise in PROMISES]
    most, whiles, allocations, channels, commands = EFFORTS[effort]
    limit, choose = LIMIT_SECONDS[effort], random.Random(seed)
    is_test = effort == "test"  # some at random of what the others all try
    jobs = [(campaign, (0, row._replace(errors=tuple(choose.sample(row.errors, min(2, len(row.errors))))) if is_test else row, most, whiles, limit, seed)) for row in DISK]
    jobs += [(campaign, (2, Row(RECEIVE, role, (errno.ECONNRESET,)), channels, 0, limit, seed))
             for role in ((choose.choice(("gate", "writer")),) if is_test else ("gate", "writer", "desk", "reader"))]
    roles = choose.sample(WITH_MEMORY, 2) if is_test else WITH_MEMORY
    jobs += [(campaign, (1, Row(ALLOCATION, role, (errno.ENOMEM,)), allocations, whiles, limit, seed)) for role in roles]
    jobs += [(failing_commands.campaign, (3, name, commands, seed)) for name in failing_commands.COMMANDS]
    for number, outcome in report.each(call, jobs, processors()):
        slowest = max((each.figures.get(SLOWEST, "0") for each in (outcomes[number], outcome)), key=float)
        outcomes[number].add(outcome)
        if SLOWEST in outcomes[number].figures:
            outcomes[number].figures[SLOWEST] = slowest
    return outcomes
