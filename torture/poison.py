"""Messages at which the parser dies: each brings down three processes, then it lies in the folder Held of whom it is for, whole, and everything else flows.

A test build's parser aborts at a word that its environment names. The messages come by every way there is: from strangers, from members, through a mailing list, whose
copies the courier makes, and out of a mailbox at another provider.
"""
import pathlib
import random
import re
import shutil
import tempfile
import threading
import time

from sandbox import Server, unverified, wait_until

from .load import REFUSED, keys_when_possible
from .promise import Broken, Outcome, end_all, refused_for_good

PROMISES = ("a message that crashes its parser three times is held aside whole, and the rest flows",)
EFFORTS = {"test": 1, "short": 2, "full": 25, "long": 250}  # of each kind
WORD = "X-Torture: poison"
DEATHS = 3
SETTINGS = """remote.networks = {{ "127.0.0.0/8" }}
client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""


class Honest:
    """Mail for carol all the while, each message once: what was acknowledged has to be there once, what was not may be."""

    def __init__(self, server):
        self.server, self.sent, self.acknowledged, self.refused, self.ended = server, 0, set(), "", threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        smtp = None
        while not self.ended.is_set():
            self.sent += 1
            try:
                smtp = smtp or self.server.smtp()
                smtp.sendmail("friend@elsewhere.test", ["carol@example.test"], f"Subject: crash {self.sent}\r\n\r\nhonest\r\n")
                self.acknowledged.add(self.sent)
            except REFUSED as problem:
                smtp = None
                self.refused = refused_for_good(problem)
                if self.refused:
                    return
            time.sleep(0.01)  # not synchronisation: this part is about what flows, not how much

    def wait_for_more(self, what):
        """So much flows as it takes to see that it does."""
        goal = len(self.acknowledged) + 1
        wait_until(lambda: len(self.acknowledged) >= goal or self.refused, what)
        self.look()

    def look(self):
        if self.refused:
            raise Broken(f"honest mail {self.sent} was refused for good: {self.refused}", lost=1)

    def end(self):
        self.ended.set()
        self.thread.join()
        self.look()
        (there,) = wait_until(lambda: keys_when_possible(self.server, "carol@example.test"), "carol's maildrop")
        lost = self.acknowledged - {number for number, _ in there}
        doubled = [key for key, times in there.items() if times > 1]
        if lost or doubled:
            raise Broken(f"honest mail: lost {sorted(lost)[:10]}, doubled {doubled[:10]}", lost=len(lost), doubled=len(doubled))


def text_of(number, kind, choose):
    """Large ones go by the spool. A post to a list is large and kills at its end: one whose header does waits in the queue, as nobody can say whether it is for the list."""
    is_post = kind == "list"
    filler = "".join(f"{choose.getrandbits(200):x}\r\n" for _ in range(20000 if is_post else choose.choice((1, 40, 20000))))
    header = f"Subject: poison {number}\r\nMessage-ID: <{number}@elsewhere.test>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
    return f"{header}{filler}{WORD}\r\n" if is_post else f"{WORD}\r\n{header}{filler}"


class World:
    def __init__(self, directory, seed):
        self.choose = random.Random(seed)
        self.far, self.server = Server(parent=directory), None
        try:
            self.far.run("domain", "add", "far.test")
            self.far.run("account", "add", "erin@far.test", "--password-stdin", text_input="sandbox\n")
            self.server = Server(SETTINGS.format(self.far.port(25)), parent=directory, environment={"OSTIARY_TEST_POISON": WORD})
            self.server.run("alias", "add", "both@example.test", "alice@example.test", "bob@example.test", "erin@far.test")
            self.server.run("mailinglist", "add", "crew@example.test", "--posting", "everybody")
            self.server.run("mailinglist", "join", "crew@example.test", "alice@example.test", "bob@example.test")
            self.server.run("remote", "add", "bob@example.test", "away", "host=localhost", f"port={self.far.port(995)}", "login=alice@example.test", "tls=pop3s",
                            "verify=no", "interval=1h", "--password-stdin", text_input="sandbox\n")
        except BaseException:
            self.close()
            raise
        self.honest = Honest(self.server)
        self.due = {"alice": {}, "bob": {}}  # {number: its text}
        self.deaths = 0

    def close(self):
        end_all(self.end, self.far.end)

    def end(self):
        """What no process may say; that parsers abort is what is tried here, and counted."""
        return [line for line in self.server.end() if "signal=SIGABRT" not in line] if self.server else []

    def log_count(self, words):
        return len(re.findall(words, self.server.log()))

    def send(self, number, to, port, text, member=None):
        """As any sender would: again and again."""
        def attempt():
            try:
                with self.server.smtp(port) as smtp:
                    if member:
                        smtp.starttls(context=unverified())
                        smtp.login(member, "sandbox")
                    smtp.sendmail(member or "stranger@elsewhere.test", [to], text)
                    return True
            except REFUSED as problem:
                if refused_for_good(problem):
                    raise Broken(f"poison {number} was refused for good: {refused_for_good(problem)}", lost=1) from problem
                return False
        wait_until(attempt, f"poison {number} taken")

    def fetch(self, number, text):
        """Its sender has it delivered at the provider, who is no server of ours that would die of it."""
        with self.far.smtp() as smtp:
            smtp.sendmail("stranger@elsewhere.test", ["alice@example.test"], text)
        held = r"held aside: .* uidl="
        before = self.log_count(held)

        def attempt():
            self.server.run("remote", "fetch", "--now", "bob@example.test", "away", check=False)
            return self.log_count(held) > before
        wait_until(attempt, f"poison {number} fetched")

    def one(self, number, kind):
        text, before, deaths = text_of(number, kind, self.choose), self.log_count(r"CRASH supervisor - process died"), DEATHS
        aborted = self.log_count(r"CRASH supervisor - process died .*signal=SIGABRT")
        people = ("alice",)
        if kind == "stranger":
            self.send(number, "alice@example.test", 25, text)
        elif kind == "member":
            self.send(number, "alice@example.test", 587, text, "bob@example.test")
        elif kind == "several":
            people = ("alice", "bob")
            self.send(number, "both@example.test", 25, text)
        elif kind == "list":
            # The list's copy is another message to who reads it: three at the gate, three in the courier.
            people, deaths = ("alice", "bob"), 2 * DEATHS
            self.send(number, "crew@example.test", 25, text)
            wait_until(lambda: self.log_count(r"CRASH supervisor - process died") >= before + deaths, "the courier's copies")
        else:
            people = ("bob",)
            self.fetch(number, text)
        for name in people:
            self.due[name][number] = text
        died = self.log_count(r"CRASH supervisor - process died") - before
        self.deaths += died
        if died != deaths:
            raise Broken(f"poison {number} ({kind}) ended {died} processes, not {deaths}")
        if died != self.log_count(r"CRASH supervisor - process died .*signal=SIGABRT") - aborted:
            raise Broken(f"poison {number} ({kind}): a process died of something else")
        self.honest.wait_for_more(f"honest mail behind poison {number} ({kind})")

    def held(self, name):
        """{number: [content]} of the folder, exported as an administrator would look at it."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.server.directory))
        self.server.run("mail", "export", "--account", f"{name}@example.test", str(target / "mail"))
        out = {}
        for path in (target / "mail/.Held").rglob("*.ostiary:2,*"):
            text = path.read_bytes().decode().replace("\r\n", "\n")
            out.setdefault(int(re.search(r"^Subject: poison (\d+)$", text, re.M)[1]), []).append(text)
        shutil.rmtree(target)
        return out

    def check(self):
        wait_until(lambda: self.server.run_json("store", "status")["queued"] == 0, "an empty queue")
        self.honest.end()
        for name, due in self.due.items():
            held = self.held(name)
            lost = [number for number, text in due.items()
                    if not any(copy.split("\n\n", 1)[1].rstrip("\n") == text.replace("\r\n", "\n").split("\n\n", 1)[1].rstrip("\n") for copy in held.get(number, []))]
            doubled = [number for number, copies in held.items() if len(copies) > 1]
            if lost or doubled or set(held) - set(due):
                raise Broken(f"{name}'s Held: lost {lost[:10]}, doubled {doubled[:10]}, of {len(due)}", lost=len(lost), doubled=len(doubled))
        rows = self.server.run_json("ledger", "--rule", "held-aside", "--for", "alice@example.test")
        if not rows or any(row["verdict"] != "file" for row in rows):
            raise Broken(f"the ledger does not tell of what is held: {rows[:2]}")
        self.server.stop()
        self.server.run("store", "check")


KINDS = ("stranger", "member", "several", "list", "fetched")


def run(effort, seed, report):
    outcome = Outcome(PROMISES[0])
    with report.directory(outcome, f"seed {seed}") as directory:
        world = World(directory, seed)
        try:
            kinds = [kind for kind in KINDS for _ in range(EFFORTS[effort])]
            world.choose.shuffle(kinds)
            for number, kind in enumerate(kinds, 1):
                world.one(number, kind)
                outcome.tries += 1
                report.progress(number, len(kinds))
            world.check()
            outcome.figures = {"processes that died": world.deaths, "honest messages acknowledged meanwhile": len(world.honest.acknowledged)}
        finally:
            world.close()
    return [outcome]
