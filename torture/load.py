"""Everything that people do with a mail server, all at once, by workers that each note what was acknowledged, what was refused, and what may or may not have happened
because the answer never came.

  mail in     numbered messages to one, two or three people, each sent once and never again, some large enough for the spool;
  mail out    a member's messages through port 587 or as a client of the site's networks: to two people at the other site and one by a forwarding alias; half of them
              to one here and to a mailing list with a member here and one there; some to one that the other site refuses;
  deletion    POP3 sessions that delete, some up to QUIT, some only up to the line before it;
  fetching    where it is asked for: mail that lies at another provider, which a real Dovecot plays;
  changes     aliases, members of a list, entries and settings of a door, the queue held, released, retried and paused, volumes compacted, backups.

The other site is a second server, which nobody harms.
"""
import collections
import json
import poplib
import random
import re
import smtplib
import threading
import time

from dovecot import Dovecot
from sandbox import Server, unverified, wait_until

from .promise import Broken, end_all, refused_for_good

PEOPLE = ("alice", "bob", "carol")
FAR = ("erin", "frank", "grace", "heidi")  # two by their names, one by an alias, one by a list
THERE = ("erin@far.test", "frank@far.test", "away@example.test")
HERE = ("alice@example.test", "team@example.test")
REFUSED_TO = "closed@far.test"  # not an unknown name: the other site would soon take its time to answer those
FILLER = "y" * 76 + "\r\n"
SIZES = (1,) * 4 + (50,) * 20 + (400,) * 3 + (8000,)  # lines
REFUSED = (OSError, EOFError, smtplib.SMTPException, poplib.error_proto)
SETTINGS = """store.volume_size = "1M"
store.compress_from = {}
smtp.message_size = "1M"
store.compact_dead_percent = 20
client_networks = {{ "127.0.0.0/8" }}
submission.daily_recipients = 1000000
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""


def put_off(problem, what):
    """A client that was told "not now", or nothing, does not hammer. Nobody may be told "never"."""
    refusal = refused_for_good(problem)
    if refusal:
        raise Broken(f"{what} was refused for good: {refusal}", lost=1) from problem
    time.sleep(0.02)  # not synchronisation


class Mail:
    """What is known of the messages, by their numbers. A person's are keyed (number, kind): "mail", or "report" of one that could not go out."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = 0
        self.due = {name: set() for name in PEOPLE}  # acknowledged, or follows from what was
        self.deleted = {name: set() for name in PEOPLE}  # acknowledged
        self.unsure = {name: set() for name in PEOPLE}  # a deletion whose answer never came
        self.uidls = {name: {} for name in PEOPLE}
        self.accepted, self.listed = set(), set()  # for the other site: of its people all, of the list's member there
        self.passing = set()  # has nobody here, accepted or not
        self.answers = 0

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def answered(self):
        with self.lock:
            self.answers += 1


class Sender:
    def __init__(self, server, mail, seed):
        self.server, self.mail, self.choose, self.smtp = server, mail, random.Random(seed), None

    def step(self):
        number = self.mail.number()
        text = f"Subject: crash {number}\r\n\r\n" + FILLER * self.choose.choice(SIZES)
        try:
            self.smtp = self.smtp or self.connect()
            self.send(number, text)
        except REFUSED as problem:
            self.smtp = None
            put_off(problem, f"message {number}")

    def transaction(self, number, sender, to, text):
        """Where one recipient is refused for now the others do not get it either: sendmail() would go on."""
        def is_good(reply):
            if refused_for_good(reply):
                raise Broken(f"message {number} from {sender} to {to} was refused for good: {refused_for_good(reply)}", lost=1)
            return reply[0] == 250

        smtp = self.smtp
        smtp.ehlo_or_helo_if_needed()
        if is_good(smtp.mail(sender)) and all([is_good(smtp.rcpt(recipient)) for recipient in to]):
            if is_good(smtp.data(text)):
                self.mail.answered()
                return True
        else:
            smtp.rset()
        return False


class SenderIn(Sender):
    def connect(self):
        return self.server.smtp()

    def send(self, number, text):
        to = self.choose.sample(PEOPLE, self.choose.randint(1, 3))
        if self.transaction(number, "load@elsewhere.test", [f"{name}@example.test" for name in to], text):
            for name in to:
                self.mail.due[name].add((number, "mail"))


class SenderOut(Sender):
    """One transaction for all: each gets it, or the client hears that they did not."""

    def connect(self):
        if self.choose.random() < 0.5:
            return self.server.smtp()
        smtp = self.server.smtp(587)
        smtp.starttls(context=unverified())
        smtp.ehlo_or_helo_if_needed()
        smtp.user, smtp.password = "bob@example.test", "sandbox"
        smtp.auth("PLAIN", smtp.auth_plain)  # login() would try another mechanism after a refusal, and not tell
        return smtp

    def send(self, number, text):
        is_refused, is_here = self.choose.random() < 0.3, self.choose.random() < 0.5
        if not is_here:
            self.mail.passing.add(number)
        to = [*THERE, *(HERE if is_here else ()), *([REFUSED_TO] if is_refused else ())]
        if self.transaction(number, "bob@example.test", to, text):
            self.mail.accepted.add(number)
            if is_refused:
                self.mail.due["bob"].add((number, "report"))
            if is_here:
                self.mail.listed.add(number)
                self.mail.due["alice"].add((number, "mail"))
                self.mail.due["carol"].add((number, "mail"))


def key_of(pop, i):
    """Of the i-th message, from its header, and for a report from the returned header in it."""
    top = b"\n".join(pop.top(i, 0)[1])
    if b"multipart/report" in top:
        text = b"\n".join(pop.retr(i)[1])
        if b"\nAction: failed" not in text or REFUSED_TO.encode() not in text:
            raise Broken(f"a report about something else: {text[-3000:]!r}")
        header = re.search(rb"^Subject: crash (\d+)$", text, re.M)
        if not header:
            raise Broken(f"a report without the header of what it is about: {text[-3000:]!r}")
        return int(header[1]), "report"
    return int(re.search(rb"^Subject: crash (\d+)$", top, re.M)[1]), "mail"


class Deleter:
    """Reads some messages, marks them, and says QUIT or just goes away."""

    def __init__(self, server, mail, name, seed):
        self.server, self.mail, self.name, self.choose = server, mail, name, random.Random(seed)

    def step(self):
        try:
            self.session()
        except REFUSED as problem:
            put_off(problem, f"{self.name}'s session")

    def session(self):
        pop = self.server.pop(f"{self.name}@example.test")
        uidls = [line.split()[1] for line in pop.uidl()[1]]
        some = self.choose.sample(range(len(uidls)), min(len(uidls), self.choose.randint(0, 60)))
        marked = set()
        for i in some:
            key = key_of(pop, i + 1)
            if self.mail.uidls[self.name].setdefault(key, uidls[i]) != uidls[i]:
                raise Broken(f"{self.name}'s {key} has another UIDL than before, or is there twice", doubled=1)
            pop.dele(i + 1)
            marked.add(key)
        if self.choose.random() < 0.2:
            pop.close()
            return
        self.mail.unsure[self.name] |= marked
        if pop.quit().startswith(b"+OK"):
            self.mail.deleted[self.name] |= marked


class Provider:
    """Bob's mail at another provider: what lies there has to come, once, and then be gone from there."""

    SETTINGS = 'remote.networks = { "127.0.0.0/8" }\nremote.timeout = "20s"'

    def __init__(self, server, mail, dovecot, may_run, seed):
        self.server, self.mail, self.dovecot, self.may_run, self.choose = server, mail, dovecot, may_run, random.Random(seed)
        self.put = 0
        server.run("remote", "add", "bob@example.test", "work", "host=localhost", f"port={dovecot.pop3}", "login=bob", "tls=none", "clear-password=yes", "--password-stdin",
                   text_input="wonderland\n")

    def step(self):
        for _ in range(self.choose.randint(0, 5)):
            number = self.mail.number()
            self.dovecot.put("bob", f"Return-Path: <aunt@elsewhere.test>\nSubject: crash {number}\n\n" + FILLER.replace("\r", "") * self.choose.choice(SIZES))
            self.mail.due["bob"].add((number, "mail"))
            self.put += 1
        self.fetch()
        time.sleep(0.1)  # not synchronisation: a program is started each time, which is not what is tried here

    def fetch(self):
        with self.may_run:
            self.server.run("remote", "fetch", "--now", check=False)

    def has_nothing(self):
        self.fetch()
        return not self.dovecot.messages("bob")


class Member:
    """One kind of thing that is added and removed by the command line."""

    def __init__(self, add, remove, show):
        self.add, self.remove, self.show = add, remove, show
        self.made, self.gone, self.unsure = set(), set(), set()


class Changer:
    """An administrator who can't leave anything alone. A command would go to the store itself while no server runs, so nothing is begun then."""

    ACTIONS = (("queue", "hold", "@far.test"), ("queue", "hold", "team@example.test"), ("queue", "release", "--all"), ("queue", "retry", "--all"),
               ("queue", "pause", "out"), ("queue", "resume", "both"), ("queue", "pause", "in"), ("queue", "resume", "in"), ("store", "compact"))

    def __init__(self, server, seed):
        self.server, self.choose = server, random.Random(seed)
        self.may_run = threading.Lock()
        self.count = self.limit = self.limit_tried = 0
        self.members = [
            Member(lambda x: ("alias", "add", x, "bob@example.test"), lambda x: ("alias", "remove", x), ("alias", "list")),
            Member(lambda x: ("mailinglist", "join", "crew@example.test", x), lambda x: ("mailinglist", "leave", "crew@example.test", x),
                   ("mailinglist", "show", "crew@example.test")),
            Member(lambda x: ("list", "add", "bob@example.test", "white", x), lambda x: ("list", "remove", "bob@example.test", "white", x),
                   ("list", "show", "bob@example.test", "white")),
        ]
        self.done = collections.Counter()

    def act(self, *words):
        with self.may_run:
            good = self.server.run(*words, check=False).returncode == 0
        self.done[" ".join(words[:2])] += good
        return good

    def step(self):
        kind = self.choose.random()
        if kind < 0.6:
            self.change(self.choose.choice(self.members))
        elif kind < 0.7:
            self.limit_tried += 1
            if self.act("rules", "set", "bob@example.test", f"max-size.size={self.limit_tried + 10}M"):
                self.limit = self.limit_tried
        else:
            self.act(*self.choose.choice(self.ACTIONS))
            if self.choose.random() < 0.5:
                self.act("queue", "resume", "both")
                self.act("queue", "release", "--all")
        time.sleep(0.05)  # not synchronisation: a program is started each time, which is not what is tried here

    def change(self, member):
        there = sorted(member.made - member.gone - member.unsure)
        if there and self.choose.random() < 0.3:
            name, done, words = self.choose.choice(there), member.gone, member.remove
        else:
            self.count += 1
            name, done, words = f"crash-{self.count}@example.test", member.made, member.add
        member.unsure.add(name)
        if self.act(*words(name)):
            done.add(name)
            member.unsure.discard(name)

    def end(self):
        """What stopped is let go, for good."""
        for words in (("resume", "both"), ("release", "--all")):
            wait_until(lambda words=words: self.server.run("queue", *words, check=False).returncode == 0, f"queue {words[0]}")

    def acknowledged(self):
        return sum(len(member.made) + len(member.gone) for member in self.members) + self.limit

    def check(self):
        for member in self.members:
            found = set(re.findall(r"crash-\d+@example\.test", self.server.run(*member.show).stdout))
            lost = member.made - member.gone - member.unsure - found
            undone = (member.gone & found) - member.unsure
            if lost or undone:
                raise Broken(f"{member.show}: lost {sorted(lost)[:10]}, came back {sorted(undone)[:10]}", lost=len(lost), doubled=len(undone))
        shown = re.search(r"max-size\.size\s*=?\s*(\d+)M", self.server.run("rules", "show", "bob@example.test").stdout)
        if self.limit and (not shown or int(shown[1]) - 10 < self.limit):
            raise Broken(f"bob's max-size.size was set to {self.limit + 10}M and is {shown and shown[0]}", lost=1)


class Saver:
    """Backups into the same directory, one after the other."""

    def __init__(self, server):
        self.server, self.directory, self.done = server, server.directory / "backup", 0

    def step(self):
        self.done += self.server.run("backup", str(self.directory), check=False).returncode == 0
        time.sleep(0.5)  # not synchronisation: a program is started each time, which is not what is tried here

    def check(self):
        """The last whole one is a store without a fault."""
        place = self.server.directory / "restored"
        config = self.server.directory / "restored.conf"
        config.write_text(self.server.config.read_text().replace(str(self.server.directory / "data"), str(place)))
        result = self.server.run("restore", str(self.directory), check=False, config=config)
        if result.returncode or not (place / "store.db").exists():
            raise Broken(f"the last backup can't be restored: {result.stderr}", lost=1)
        result = self.server.run("store", "check", check=False, config=config)
        if result.returncode:
            raise Broken(f"the last backup is restored, and not whole: {result.stdout[-500:]}{result.stderr[-500:]}", lost=1)


class Work:
    """Each worker's steps in a thread of its own. What a worker finds wrong is raised at the end."""

    def __init__(self, workers):
        self.ended = threading.Event()
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(worker,), daemon=True) for worker in workers]
        for thread in self.threads:
            thread.start()

    def run(self, worker):
        while not self.ended.is_set():
            try:
                worker.step()
            except Exception as problem:  # what it found, or a mistake in here: the try fails with it
                self.problems.append(problem)
                return

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        if self.problems:
            raise self.problems[0]


class World:
    """A server with people, lists and aliases, the other site, and all the workers. end() checks everything; close() is to be called in any case."""

    def __init__(self, directory, seed, senders=2, is_fetching=False, **options):
        choose = random.Random(seed)
        self.mail, self.far, self.server, self.dovecot, self.provider, self.work = Mail(), None, None, None, None, None
        try:
            self.far = make_far_site(directory)
            self.server = Server(SETTINGS.format(choose.choice((0, 4096)), self.far.port(25)) + f"\n{Provider.SETTINGS}", parent=directory, **options)
            if is_fetching:
                self.dovecot = Dovecot(users=[("bob", "wonderland")])
            self.server.run("alias", "add", "away@example.test", "grace@far.test")
            self.server.run("mailinglist", "add", "crew@example.test")
            self.server.run("mailinglist", "add", "team@example.test", "--posting", "everybody")
            self.server.run("mailinglist", "join", "team@example.test", "carol@example.test", "heidi@far.test")
            self.changer, self.saver = Changer(self.server, seed), Saver(self.server)
            if self.dovecot:
                self.provider = Provider(self.server, self.mail, self.dovecot, self.changer.may_run, seed)
        except BaseException:
            self.close()
            raise
        self.workers = [*(SenderIn(self.server, self.mail, seed + i) for i in range(senders)),
                        *(SenderOut(self.server, self.mail, seed + 100 + i) for i in range(senders)),
                        *(Deleter(self.server, self.mail, name, seed) for name in ("alice", "carol")), self.changer, self.saver]
        if self.provider:
            self.workers.append(self.provider)

    def begin(self):
        self.work = Work(self.workers)

    def wait_for_mail(self, count):
        """Until so many more were acknowledged."""
        goal = self.mail.answers + count
        wait_until(lambda: self.mail.answers >= goal or self.work.problems, "mail flowing again")

    def end(self, crashes):
        """Everything comes to rest; checks it. The figures."""
        self.wait_for_each_kind()
        self.work.end()
        self.changer.end()
        if self.provider:
            wait_until(self.provider.has_nothing, "the end of what lay at the other provider")
        wait_for_the_queue(self.server)
        kept = {name: wait_until(lambda name=name: keys_when_possible(self.server, f"{name}@example.test"), f"{name}'s maildrop") for name in PEOPLE}
        for name in PEOPLE:
            check_person(name, self.mail, kept[name])
        extra = check_far(self.far, self.mail, kept, crashes)
        self.changer.check()
        self.look_for_false_alarms()
        self.server.stop()
        self.server.run("store", "check")
        self.saver.check()
        return self.done() | {"copies too many at the other site": extra}

    def look_for_false_alarms(self):
        """Whatever dies, the disk is sound: who takes something for damage leaves it out of what people get."""
        alarms = [line for line in self.server.log().splitlines() if " 0 CRASH store " in line]
        if alarms:
            raise Broken(f"the disk is sound, and the store says {alarms[:3]}")

    def done(self):
        """How much of each kind there was to lose: what was acknowledged, or follows from it."""
        out = {"messages acknowledged": self.mail.answers, "deleted": self.count_deleted(), "changes": self.changer.acknowledged(), "backups": self.saver.done,
               "reports": sum(kind == "report" for _, kind in list(self.mail.due["bob"])), "for the other site": len(self.mail.accepted)}
        return out | ({"fetched": self.provider.put} if self.provider else {})

    def count_deleted(self):
        return sum(map(len, self.mail.deleted.values()))

    def wait_for_each_kind(self):
        """Of what nobody did nothing is known. And somebody deletes when all is over."""
        goal = self.count_deleted() + 1
        try:
            wait_until(lambda: (all(self.done().values()) and self.count_deleted() >= goal) or self.work.problems, "something of each kind, and a deletion at the end")
        except AssertionError as problem:
            raise Broken(f"{problem}: {self.done()}") from problem

    def check_rebuilt(self):
        """What is done is in the volumes, too: the database that is made of them has nothing to send."""
        self.server.run("store", "rebuild")
        self.server.run("store", "check")
        if not is_empty(self.server):
            raise Broken("a rebuilt database has mail to send that went out before")

    def close(self):
        """Also from the middle of things."""
        if self.work:
            self.work.ended.set()
        end_all(*(server.end for server in (self.server, self.far) if server), *([self.dovecot.close] if self.dovecot else []))


def make_far_site(directory):
    far = Server(parent=directory)
    far.run("domain", "add", "far.test")
    for name in (*FAR, "closed"):
        far.run("account", "add", f"{name}@far.test", "--password-stdin", text_input="sandbox\n")
    far.run("account", "set", REFUSED_TO, "--disable")
    return far


def is_empty(server):
    result = server.run("store", "status", "--json", check=False)
    return result.returncode == 0 and json.loads(result.stdout)["queued"] == 0


def wait_for_the_queue(server):
    try:
        wait_until(lambda: is_empty(server), "an empty queue at the end")
    except AssertionError as problem:
        raise Broken(f"{problem}: {server.run('queue', 'list', check=False).stdout[:2000]}") from problem


def keys(server, address):
    pop = server.pop(address)
    out = collections.Counter(key_of(pop, i + 1) for i in range(pop.stat()[0]))
    pop.quit()
    return out


def keys_when_possible(*arguments):
    """None while a process is on its way back; an empty Counter would look the same, so it comes in a tuple."""
    try:
        return (keys(*arguments),)
    except REFUSED as problem:
        put_off(problem, f"{arguments[1]}'s session")
        return None


def check_person(name, mail, kept):
    """Nothing of this leaves the store, so nothing of it may happen twice."""
    there = set(kept[0])
    lost = mail.due[name] - mail.unsure[name] - there
    back = mail.deleted[name] & there
    doubled = {key for key, times in kept[0].items() if times > 1} | back
    if lost or doubled:
        raise Broken(f"{name}: lost {sorted(lost)[:10]}, doubled {sorted(doubled - back)[:10]}, deleted and there again {sorted(back)[:10]}",
                     lost=len(lost), doubled=len(doubled))


def check_far(far, mail, kept, crashes):
    """How many copies too many: one for each crash that swallowed the other site's final reply may be."""
    extra = 0
    known = {number for number, _ in {*kept["alice"][0], *mail.deleted["alice"], *mail.unsure["alice"]}}
    for name in FAR:
        there = keys(far, f"{name}@far.test")
        numbers = {number for number, _ in there}
        lost = (mail.listed if name == "heidi" else mail.accepted) - numbers
        if lost:
            raise Broken(f"{name} at the other site: lost {sorted(lost)[:10]}", lost=len(lost))
        if there and max(there.values()) > 1 + crashes:
            raise Broken(f"{name} at the other site: {max(there.values())} copies after {crashes} crashes", doubled=max(there.values()) - 1 - crashes)
        if not numbers <= known | mail.passing:
            raise Broken(f"{name} at the other site got what was never accepted: {sorted(numbers - known - mail.passing)[:10]}")
        extra += sum(there.values()) - len(there)
    return extra
