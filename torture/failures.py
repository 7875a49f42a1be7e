"""Each call that can fail fails once, and then for a while: writes, syncs, allocations. Clients hear "not now", nothing acknowledged is lost, and when the cause is gone mail
flows again by itself within ten seconds.

A dialogue is a round of what people do: a small message to two, a large one by the spool, one to another site, a deletion, an alias. How many calls of a kind one process
makes in it is counted first; then for each k the k-th fails in a round of its own, alone or with all behind it. faults.c and no_memory.c make them fail.
"""
import errno
import mmap
import os
import poplib
import random
import re
import smtplib
import struct
import time

from sandbox import Server, wait_until
from scripted_server import Peer

from .promise import Broken, Outcome, processors

PROMISES = (
    "the k-th call to the disk fails (ENOSPC, EIO, EDQUOT, short): 4xx, nothing lost, mail again within 10 s",
    "the k-th allocation of a process fails: 4xx, nothing lost, mail again within 10 s",
    "what joins two of our processes breaks, and both live: 4xx, nothing lost, mail again within 10 s",
)
SYNC, PWRITE, PWRITEV, WRITE, SIZE, NAME, ALLOCATION, RECEIVE = (1 << i for i in range(8))
KINDS = {SYNC: "sync", PWRITE: "pwrite", PWRITEV: "pwritev", WRITE: "write", SIZE: "truncate", NAME: "name", ALLOCATION: "allocation", RECEIVE: "receive"}
SHORT = 4096  # faults.h
ERRORS = {errno.ENOSPC: "ENOSPC", errno.EIO: "EIO", errno.EDQUOT: "EDQUOT", SHORT: "short", errno.ENOMEM: "ENOMEM", errno.ECONNRESET: "ECONNRESET"}
ERROR_, KINDS_, SKIP, COUNT, FAILED, LOADED, ROLES_, SEEN = range(8)  # the words of struct faults
ROLES = ("writer", "reader", "gate", "desk", "auth", "courier")  # the first of fault_roles
FOREVER = 1 << 30
SETTINGS = """store.volume_size = "1M"
smtp.message_size = "1M"
client_networks = {{ "127.0.0.0/8" }}
submission.daily_recipients = 1000000
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""
REFUSED = (OSError, EOFError, smtplib.SMTPException, poplib.error_proto)
LIMIT_SECONDS = {"test": 60, "short": 10, "full": 10, "long": 10}  # a test may run beside many others, and is no measure of speed
CRASHES = 5  # after so many a server is started anew, or the supervisor's patience would be what is measured
LARGE = "z" * 70 + "\r\n"

# (kinds, role, errors): what may fail on the disk
DISK = [(SYNC, "writer", (errno.EIO, errno.ENOSPC)), (PWRITE, "writer", (errno.ENOSPC, errno.EIO, errno.EDQUOT, SHORT)),
        (PWRITEV, "writer", (errno.ENOSPC, errno.EIO, errno.EDQUOT, SHORT)), (NAME, "writer", (errno.ENOSPC,)), (SIZE, "writer", (errno.EIO,)),
        (WRITE, "gate", (errno.ENOSPC, SHORT))]
# of each (kind, role, error): how many k at most, and how often what fails goes on failing until the end of the round; allocations: of each role;
# channels: of each role, few, since the processes wait for some seconds whether there is a new one
EFFORTS = {"test": (2, 1, 2, 1), "short": (3, 1, 4, 1), "full": (1000, 20, 250, 8), "long": (10000, 200, 10000, 100)}
LIMIT = {"test": 300, "short": 280}


class Faults:
    """The other end of the libraries' page."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        path.chmod(0o666)
        with path.open("r+b") as f:
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def get(self, word):
        return struct.unpack_from("=I", self.page, 4 * word)[0]

    def set(self, word, value):
        struct.pack_into("=I", self.page, 4 * word, value)

    def begin(self, error, kinds, skip=0, count=1, role="writer"):
        for word, value in ((ROLES_, 1 << ROLES.index(role)), (KINDS_, kinds), (SKIP, skip), (COUNT, count), (SEEN, 0), (ERROR_, error)):
            self.set(word, value)

    def end(self):
        self.set(ERROR_, 0)


def environment(libraries, page):
    """Of a server whose calls can fail."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": ":".join(str(library) for library in libraries), "OSTIARY_FAULTS": str(page), "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".strip(":")}


class Campaign:
    """A server, the other site, and what is known of each message."""

    def __init__(self, directory, libraries, limit, may_abort=False):
        self.limit = limit  # seconds until mail flows again
        self.may_abort = may_abort  # a process without memory may end: it comes back
        self.faults = Faults(directory / "faults")
        self.peer = Peer()
        self.server = Server(SETTINGS.format(self.peer.port), environment=environment(libraries, directory / "faults"), parent=directory)
        self.number = 0
        self.acknowledged, self.refused, self.far, self.deleted, self.unsure, self.aliases = set(), set(), set(), set(), set(), set()
        self.slowest, self.crashes = 0.0, 0
        self.asks_again, self.after_all = False, 0

    def close(self):
        self.faults.end()
        self.server.stop()
        self.peer.close()

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

    def delete(self):
        """One of carol's."""
        try:
            pop = self.server.pop("carol@example.test")
            if pop.stat()[0]:
                top = b"\n".join(pop.top(1, 0)[1])
                pop.dele(1)
                key = ("carol", int(re.search(rb"^Subject: failure (\d+)$", top, re.M)[1]))
                self.unsure.add(key)
                if pop.quit().startswith(b"+OK"):
                    self.deleted.add(key)
                    self.unsure.discard(key)
            return True
        except poplib.error_proto as problem:
            if b"[AUTH]" in b"".join(part if isinstance(part, bytes) else str(part).encode() for part in problem.args):
                raise Broken(f"the right password was refused for good: {problem}", lost=1) from problem
        except REFUSED:
            pass
        return False

    def alias(self):
        self.number += 1
        name = f"failure-{self.number}@example.test"
        result = self.server.run("alias", "add", name, "bob@example.test", check=False)
        if result.returncode == 0:
            self.aliases.add(name)
        elif result.returncode < 0 or not result.stderr.strip():
            raise Broken(f"'alias add' ended with {result.returncode} and said nothing: {result.stdout}")

    def dialogue(self, is_brief=False):
        self.send(("alice", "carol"))
        self.send(("alice",), lines=9000)  # by the spool
        self.send((), sender="bob@example.test", far=("erin",))
        self.delete()
        if not is_brief:
            self.alias()

    # One fault

    def count_calls(self, kind, role):
        """In one dialogue."""
        before = self.server.log().count("process died")
        self.faults.begin(errno.EIO, kind, 0, 0, role)
        self.dialogue(kind == ALLOCATION)
        count = self.faults.get(SEEN)
        self.faults.end()
        if self.server.log().count("process died") > before:
            raise Broken("a process died while nothing failed")
        return count

    def try_one(self, kind, role, error, k, count):
        """Did the fault strike? Afterwards mail flows again."""
        before = self.faults.get(FAILED)
        self.faults.begin(error, kind, k, count, role)
        self.dialogue(kind == ALLOCATION)
        self.faults.end()
        begun = time.monotonic()
        wait_until(self.flows, f"mail after {KINDS[kind]} {k} of the {role} failed with {ERRORS[error]}")
        seconds = time.monotonic() - begun
        self.slowest = max(self.slowest, seconds)
        if seconds > self.limit:
            raise Broken(f"after {KINDS[kind]} {k} of the {role} failed with {ERRORS[error]} mail flowed only after {seconds:.1f} s")
        self.rest()
        return self.faults.get(FAILED) > before

    def flows(self):
        return self.send(("carol",)) == 250 and self.delete()

    def rest(self):
        crashes = self.server.log().count("process died")
        if crashes - self.crashes >= CRASHES:
            self.server.stop()
            self.server.start()
            self.crashes = self.server.log().count("process died")

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
        wait_until(lambda: self.far <= self.arrived(), "the other site's mail")
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
        faults = [line for line in self.server.faults() if not (self.may_abort and "signal=SIGABRT" in line)]
        if faults:
            raise Broken(f"the server said {faults[0]}")
        self.server.stop()
        result = self.server.run("store", "check", check=False)
        if result.returncode:
            raise Broken(f"store check: {result.stdout[-500:]}{result.stderr[-500:]}")

    def arrived(self):
        return set(re.findall(r"[a-z]+-\d+@far\.test", str(self.peer.messages)))


def choose_ks(count, most, choose):
    return range(count) if count <= most else sorted(choose.sample(range(count), most))


def campaign(number, kind, role, errors, most, whiles, limit, seed, report):
    """(place of the promise, its outcome): all k of one kind of call of one process."""
    outcome = Outcome(PROMISES[number])
    libraries = [report.library("faults"), *([report.library("no_memory")] if kind == ALLOCATION else [])]
    choose = random.Random(seed)
    with report.directory(outcome, f"failures (seed {seed}): {KINDS[kind]} of the {role}") as directory:
        run = Campaign(directory, libraries, limit, kind == ALLOCATION)
        try:
            run.asks_again = kind in (ALLOCATION, RECEIVE) and role != "writer"
            run.dialogue()
            calls = max(run.count_calls(kind, role) for _ in range(2))
            for error in errors:
                for k in choose_ks(calls, most, choose):
                    outcome.tries += run.try_one(kind, role, error, k, 1)
                for k in choose_ks(calls, whiles, choose):
                    outcome.tries += run.try_one(kind, role, error, k, FOREVER)
            run.check()
        finally:
            run.close()
        outcome.figures = {f"{KINDS[kind]} calls of the {role}": calls, "slowest return in s": f"{run.slowest:.1f}",
                           "stored, and the client was asked to come again": run.after_all}
    return number, outcome


def has_own_allocator(program):
    return b"__asan_init" in program.read_bytes()


def run(effort, seed, report):
    outcomes = [Outcome(promise) for promise in PROMISES]
    most, whiles, allocations, channels = EFFORTS[effort]
    limit = LIMIT_SECONDS[effort]
    jobs = [(0, kind, role, errors, most, whiles, limit, seed) for kind, role, errors in DISK]
    jobs += [(2, RECEIVE, role, (errno.ECONNRESET,), channels, 0, limit, seed) for role in (("gate",) if effort == "test" else ("gate", "writer", "desk", "reader"))]
    if has_own_allocator(report.program):
        # Nothing to try: its allocator ends the process, as ours would at a kill.
        outcomes[1].tries, outcomes[1].figures = 1, {"allocations": "not with AddressSanitizer, which has an allocator of its own"}
    else:
        jobs += [(1, ALLOCATION, role, (errno.ENOMEM,), allocations, min(allocations, whiles), limit, seed) for role in ROLES]
    for number, outcome in report.each(campaign, jobs, processors()):
        slowest = max((each.figures.get("slowest return in s", "0") for each in (outcomes[number], outcome)), key=float)
        outcomes[number].add(outcome)
        outcomes[number].figures["slowest return in s"] = slowest
    return outcomes
