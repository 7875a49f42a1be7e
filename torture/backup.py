"""Backups while everything goes on, each restored to a place of its own and looked at: what was acknowledged before the backup began is there, once; what was deleted
before is not; what waited for other sites waits there, too; the store is sound.

Half of the backups go on in the directory of the one before, half begin in a new one. Every few, a server is started on what was restored.
"""
import random
import re
import shutil
import time

from sandbox import Server, wait_until

from .load import PEOPLE, Changer, Deleter, Mail, SenderIn, Work
from .promise import Broken, Outcome, end_all, processors

PROMISES = ("a backup made under load has everything that was acknowledged before it began, once, and can be restored",)
# (campaigns, backups in each)
EFFORTS = {"test": (1, 3), "short": (1, 8), "full": (10, 10), "long": (100, 10)}
STARTED = 4  # one in so many is served, too
# Nobody listens at port 9: what is for another site waits.
SETTINGS = """store.volume_size = "1M"
store.compress_from = {}
smtp.message_size = "1M"
store.compact_dead_percent = 20
client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:9", smart_host_tls = "none", retry_first = "1m" }}"""


class Sender(SenderIn):
    """To somebody here and to somebody elsewhere, whose address tells which message it is."""

    def send(self, number, text):
        to = self.choose.sample(PEOPLE, self.choose.randint(1, 3))
        if self.transaction(number, "load@elsewhere.test", [*(f"{name}@example.test" for name in to), f"n{number}@far.test"], text):
            for name in to:
                self.mail.due[name].add((number, "mail"))
            self.mail.accepted.add(number)


class Administrator(Changer):
    """All that does not empty the queue."""

    ACTIONS = (("queue", "hold", "@far.test"), ("queue", "release", "--all"), ("queue", "pause", "out"), ("queue", "resume", "both"), ("store", "compact"))

    def known(self):
        """What is there for certain, of each kind of member: {show words: (made, gone)}."""
        with self.may_run:
            return {member.show: (set(member.made), set(member.gone), set(member.unsure)) for member in self.members}


def known_mail(mail):
    """What is certain now: due, deleted, and accepted for the other site."""
    copies = [{name: set(numbers) for name, numbers in kind.items()} for kind in (mail.deleted, mail.due)]
    return copies[1], copies[0], set(mail.accepted)


class Restored:
    """A backup in a place of its own; the command line works on it as on a server that is stopped."""

    def __init__(self, server, backup, place):
        self.server, self.place = server, place
        place.mkdir()
        self.config = place / "ostiary.conf"
        self.config.write_text(server.config.read_text().replace(str(server.directory / "data"), str(place / "data")))
        (place / "data").mkdir()
        self.run("restore", str(backup))

    def run(self, *words):
        result = self.server.run(*words, check=False, config=self.config)
        if result.returncode:
            raise Broken(f"{' '.join(words)} on what was restored: {result.stdout[-500:]}{result.stderr[-500:]}", lost=1)
        return result.stdout

    def numbers(self, name):
        """Of a person's mail."""
        out = self.place / name
        self.run("mail", "export", "--account", f"{name}@example.test", "--format", "mbox", str(out))
        texts = b"\n".join(path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()) if out.is_dir() else out.read_bytes()
        return [(int(number), "mail") for number in re.findall(rb"^Subject: crash (\d+)\r?$", texts, re.M)]

    def check_person(self, name, due, deleted, unsure):
        there = self.numbers(name)
        lost = due - unsure - set(there)
        doubled = {key for key in there if there.count(key) > 1} if len(there) != len(set(there)) else set()
        back = deleted & set(there)
        if lost or doubled or back:
            raise Broken(f"{name}: lost {sorted(lost)[:10]}, doubled {sorted(doubled)[:10]}, deleted and there again {sorted(back)[:10]}",
                         lost=len(lost), doubled=len(doubled) + len(back))
        return len(there)

    def check(self, before, mail, members_before, members_after):
        """How many messages are in it. `before` and `members_before` are what was known when it began; what was done meanwhile may be in it or not."""
        self.run("store", "check")
        due, deleted, accepted = before
        count = sum(self.check_person(name, due[name], deleted[name], set(mail.unsure[name])) for name in PEOPLE)
        waiting = [int(number) for number in re.findall(r"\bn(\d+)@far\.test", self.run("queue", "list"))]
        if accepted - set(waiting):
            raise Broken(f"of the queue: lost {sorted(accepted - set(waiting))[:10]}", lost=len(accepted - set(waiting)))
        if len(waiting) != len(set(waiting)):
            raise Broken("the queue has an entry twice", doubled=len(waiting) - len(set(waiting)))
        for show, (made, gone, _) in members_before.items():
            found = set(re.findall(r"crash-\d+@example\.test", self.run(*show)))
            _, gone_later, unsure_later = members_after[show]
            lost, back = made - gone_later - unsure_later - found, (gone & found) - unsure_later
            if lost or back:
                raise Broken(f"{show}: lost {sorted(lost)[:10]}, came back {sorted(back)[:10]}", lost=len(lost), doubled=len(back))
        return count

    def serve(self, directory):
        """A server in its place takes a message and gives it out."""
        server = Server(parent=directory)
        try:
            server.stop()
            shutil.rmtree(server.directory / "data")
            (self.place / "data").rename(server.directory / "data")
            server.start()
            server.send("Subject: crash 0\r\n\r\nafter\r\n", "bob@example.test")
            pop = server.pop("bob@example.test")
            top = pop.top(pop.stat()[0], 0)[1]
            pop.quit()
            if b"Subject: crash 0" not in top:
                raise Broken("a message to what was restored is not there", lost=1)
        finally:
            end_all(server.end)


def one_backup(i, choose, world, directory, backup):
    server, mail, administrator = world
    before, members = known_mail(mail), administrator.known()
    server.run("backup", str(backup))
    restored = Restored(server, backup, directory / f"restored-{i}")
    count = restored.check(before, mail, members, administrator.known())
    if choose.randrange(STARTED) == 0:
        restored.serve(directory)
    shutil.rmtree(restored.place)
    return count


def campaign(seed, backups, directory, outcome):
    choose = random.Random(seed)
    server = Server(SETTINGS.format(choose.choice((0, 4096))), parent=directory)
    mail = Mail()
    work = None
    try:
        server.run("mailinglist", "add", "crew@example.test")
        administrator = Administrator(server, seed)
        work = Work([*(Sender(server, mail, seed + i) for i in range(2)), *(Deleter(server, mail, name, seed) for name in ("alice", "carol")), administrator])
        backup = directory / "backup-0"
        for i in range(backups):
            goal = mail.answers + choose.randint(10, 80)
            wait_until(lambda goal=goal: mail.answers >= goal or work.problems, "mail")
            time.sleep(choose.uniform(0, 0.05))  # at any moment
            if choose.random() < 0.5:
                backup = directory / f"backup-{i}"
            count = one_backup(i, choose, (server, mail, administrator), directory, backup)
            outcome.tries += 1
            outcome.figures["messages looked at"] = outcome.figures.get("messages looked at", 0) + count
        work.end()
        outcome.figures |= {"messages acknowledged": mail.answers, "deleted": sum(map(len, mail.deleted.values())),
                            "compactions": administrator.done["store compact"]}
    finally:
        if work:
            work.ended.set()
        end_all(server.end)


def one(seed, backups, report):
    outcome = Outcome(PROMISES[0])
    with report.directory(outcome, f"campaign {seed} of {backups} backups") as directory:
        campaign(seed, backups, directory, outcome)
    return outcome


def run(effort, seed, report):
    campaigns, backups = EFFORTS[effort]
    choose = random.Random(seed)
    total = Outcome(PROMISES[0])
    for outcome in report.each(one, [(choose.randrange(1 << 30), backups) for _ in range(campaigns)], at_once=processors()):
        total.add(outcome)
    return [total]
