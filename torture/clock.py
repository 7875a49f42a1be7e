"""Somebody sets the machine's clock, by an hour and by ten years, both ways, while mail flows: nothing is lost, and nothing that hangs on age is given up, refused or
deleted, though the server may be started anew meanwhile.

clock_shim.c is loaded in front of the C library of all processes and moves their wall clock; the files' times stay the kernel's.
"""
import mmap
import os
import random
import re
import struct

from sandbox import Server, wait_until
from scripted_server import Peer

from .load import World
from .promise import Broken, Outcome, end_all, processors

PROMISES = ("the clock jumps by an hour and by ten years both ways under load, nothing is lost or doubled",
            "the clock jumps, nothing that waits is given up and nothing is refused or deleted by its age")
# (campaigns, jumps in each)
EFFORTS = {"test": (1, 3), "short": (1, 5), "full": (8, 16), "long": (60, 30)}
HOUR, YEARS = 3600, 10 * 365 * 86400
JUMPS = (HOUR, -HOUR, YEARS, -YEARS)
WAITING, HELD_BACK = 5, 3  # messages for a site that takes nothing now; messages at a provider
SETTINGS = """remote.networks = {{ "127.0.0.0/8" }}
client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""


class Clock:
    """The other end of the shim's page."""

    def __init__(self, directory, library):
        self.path = directory / "clock"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with self.path.open("r+b") as f:
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        self.ahead = 0
        options = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": str(library), "OSTIARY_CLOCK": str(self.path),
                            "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".strip(":")}

    def set(self, seconds):
        """Did it jump?"""
        before, self.ahead = self.ahead, seconds
        struct.pack_into("=q", self.page, 0, seconds * 10**9)
        return before != seconds


def choose_jumps(choose, count):
    """Each kind early on; between them the clock may go back or further."""
    kinds = list(JUMPS)
    choose.shuffle(kinds)
    return [*kinds, *(choose.choice((*JUMPS, 0)) for _ in range(count))][:count]


def under_load(seed, jumps, report):
    outcome = Outcome(PROMISES[0])
    choose = random.Random(seed)
    with report.directory(outcome, f"campaign {seed} of {jumps} jumps") as directory:
        clock = Clock(directory, report.library("clock_shim"))
        world = World(directory, seed, environment=clock.environment)
        try:
            world.begin()
            for seconds in choose_jumps(choose, jumps):
                world.wait_for_mail(choose.randint(5, 40))
                outcome.tries += clock.set(seconds)
                world.wait_for_mail(choose.randint(5, 40))
                if choose.random() < 0.5:
                    outcome.tries += clock.set(0)
            if choose.random() < 0.5:
                outcome.tries += clock.set(0)
            figures = world.end(crashes=0)
            if figures.pop("copies too many at the other site"):
                raise Broken("the other site got copies twice", doubled=1)
            world.check_rebuilt()
            outcome.figures = figures
        finally:
            world.close()
    return outcome


class Ages:
    """What a server has that grows old: mail that waits for a site, rows of the ledger, mail left at a provider, an address with an end, a session."""

    def __init__(self, directory, clock):
        self.clock, self.server, self.refusals = clock, None, 0
        self.peer = Peer({"RCPT TO:": "451 4.3.0 not now"})
        self.provider = Server(parent=directory)
        try:
            self.server = Server(SETTINGS.format(self.peer.port), parent=directory, environment=clock.environment)
            server = self.server
            server.run("rules", "set", "alice@example.test", "limited-address=on", "sender-tld=on")
            server.run("address", "add", "alice@example.test", "shop", "--until", "7d")
            server.run("remote", "add", "bob@example.test", "away", "host=localhost", f"port={self.provider.port(995)}", "login=alice@example.test", "tls=pop3s", "verify=no",
                       "leave=yes", "delete-after=30d", "interval=1h", "--password-stdin", text_input="sandbox\n")
            for number in range(WAITING):
                with server.smtp() as smtp:
                    smtp.sendmail("bob@example.test", [f"friend{number}@far.test"], f"Subject: waits {number}\r\n\r\nx\r\n")
            for number in range(HELD_BACK):
                self.provider.send(f"Subject: stays {number}\r\n\r\nx\r\n")
            self.fetch()
            server.send("Subject: first\r\n\r\nx\r\n")
            self.rows = len(self.ledger())
            self.refuse()
            self.rows = wait_until(lambda: len(self.ledger()) > self.rows and len(self.ledger()), "the refusal in the ledger")
            self.pop = server.pop()
        except BaseException:
            self.close()
            raise

    def close(self):
        end_all(*(server.end for server in (self.server, self.provider) if server), self.peer.close)

    def fetch(self):
        """Where the clock was set the resolver is replaced, so there may be none for a moment."""
        def is_done():
            result = self.server.run("remote", "fetch", "--now", "bob@example.test", "away", check=False)
            if result.returncode and "the resolver is not there" not in result.stdout:
                raise Broken(f"a visit to the provider failed: {result.stdout}{result.stderr}")
            return result.returncode == 0

        wait_until(is_done, "a visit to the provider")

    def refuse(self):
        """A row that the writer takes without a message, when it also looks for rows that are too old."""
        self.refusals += 1
        # From another network each time: those of one are only counted when there are many.
        with self.server.smtp(source_address=(f"127.{self.refusals // 250}.{self.refusals % 250}.1", 0)) as smtp:
            smtp.ehlo()
            smtp.mail("nobody@tld.invalidtld")
            smtp.rcpt("nobody-here@example.test")

    def ledger(self):
        return self.server.run_json("ledger", "--limit", "1000")

    def queue(self):
        return self.server.run_json("queue", "list")

    def restart(self):
        self.pop.close()
        self.server.stop()
        self.server.start()
        self.pop = self.server.pop()

    def check(self, what):
        """All that grew old by the clock is still there."""
        before = sum(line.startswith("RCPT") for line in self.peer.lines)
        wait_until(lambda: sum(line.startswith("RCPT") for line in self.peer.lines) > before + WAITING or len(self.queue()) < WAITING, f"mail tried again, {what}")
        waiting = self.queue()
        if len(waiting) != WAITING:
            raise Broken(f"{what}: {WAITING} entries waited and {len(waiting)} do: {self.server.messages('bob@example.test')[-1:]}", lost=WAITING - len(waiting))
        self.refuse()
        with self.server.smtp() as smtp:
            code, text = smtp.ehlo() and smtp.mail("a@elsewhere.test") and smtp.rcpt("alice+shop@example.test")
            if code != 250:
                raise Broken(f"{what}: an address that is good for a week is refused: {code} {text}")
            smtp.rset()
            smtp.mail("a@elsewhere.test")
            smtp.rcpt("alice@example.test")
            smtp.data("Subject: more\r\n\r\nx\r\n")
        self.rows += 2
        wait_until(lambda: len(self.ledger()) >= self.rows, f"{self.rows} rows in the ledger, {what}")
        if len(self.ledger()) != self.rows:
            raise Broken(f"{what}: the ledger has {len(self.ledger())} rows, not {self.rows}")
        self.fetch()
        at_provider = len(self.provider.messages())
        if at_provider != HELD_BACK:
            raise Broken(f"{what}: {HELD_BACK} messages were left at the provider for a month, and {at_provider} are there", lost=HELD_BACK - at_provider)
        if not self.pop.top(1, 0)[0].startswith(b"+OK"):
            raise Broken(f"{what}: a session that was open does not go on")

    def end(self):
        """The site takes mail: every message goes out once."""
        self.peer.answers.clear()
        wait_until(lambda: not self.queue(), "an empty queue")
        subjects = [re.search(r"^Subject: waits (\d+)", str(message), re.M) or re.search(r"waits (\d+)", str(message)) for message in self.peer.messages]
        numbers = sorted(int(found[1]) for found in subjects if found)
        if numbers != list(range(WAITING)):
            raise Broken(f"of {WAITING} messages that waited these went out: {numbers}", lost=len(set(range(WAITING)) - set(numbers)), doubled=len(numbers) - len(set(numbers)))
        reports = [text for text in self.server.messages("bob@example.test") if b"multipart/report" in text]
        if reports:
            raise Broken(f"bob was told of a failure or a delay: {reports[0][:1500]!r}")
        if "the machine's clock was set" not in self.server.log():
            raise Broken("nobody noticed that the clock jumped")
        self.pop.close()
        self.server.stop()
        self.server.run("store", "check")


def of_age(seed, jumps, report):
    outcome = Outcome(PROMISES[1])
    choose = random.Random(seed)
    with report.directory(outcome, f"campaign {seed} of {jumps} jumps") as directory:
        clock = Clock(directory, report.library("clock_shim"))
        ages = Ages(directory, clock)
        try:
            for seconds in choose_jumps(choose, jumps):
                outcome.tries += clock.set(seconds)
                ages.check(f"the clock {seconds} s ahead")
                if choose.random() < 0.4:
                    ages.restart()
                    ages.check(f"started with the clock {seconds} s ahead")
                if choose.random() < 0.5:
                    outcome.tries += clock.set(0)
                    ages.check(f"back from {seconds} s ahead")
                    if choose.random() < 0.4:
                        ages.restart()
                        ages.check(f"started behind {seconds} s ahead")
            ages.end()
        finally:
            ages.close()
    return outcome


def run(effort, seed, report):
    campaigns, jumps = EFFORTS[effort]
    choose = random.Random(seed)
    outcomes = []
    for promise, function in zip(PROMISES, (under_load, of_age)):
        total = Outcome(promise)
        plan = [(choose.randrange(1 << 30), jumps) for _ in range(campaigns)]
        for outcome in report.each(function, plan, at_once=processors()):
            total.add(outcome)
        outcomes.append(total)
    return outcomes
