"""kill -9 while mail goes on to another site: of what was accepted nothing is lost, and a recipient gets at most one copy too many for each crash
that swallowed the other side's final reply. What the store does by itself (copies here, a mailing list's copies, reports) happens once.

Each message has two recipients at the other site and one by a forwarding alias; half of them one here and a mailing list with a member here and one there;
some one that the other site refuses. Meanwhile the queue is held, released, retried and paused, small volumes are compacted, and backups are made.
The other site is a second server that nobody kills. OSTIARY_CRASH_SEED and OSTIARY_CRASH_ROUNDS are those of test_crash.py.
"""
import collections
import json
import os
import random
import re
import subprocess
import threading
import time

from conftest import is_gone, wait_until
from test_crash import FILLER, REFUSED, Work, kill, pause, role_of

FAR = ("erin", "frank", "grace", "heidi")  # two by their names, one by an alias, one by a list
THERE = ("erin@far.test", "frank@far.test", "away@example.test")
HERE = ("alice@example.test", "team@example.test")
REFUSED_TO = "closed@far.test"  # not an unknown name: the other site would soon take its time to answer those
SENDERS = 3
SETTINGS = """store.volume_size = "1M"
store.compress_from = 0
smtp.message_size = "1M"
store.compact_dead_percent = 20
client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""


class Mail:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = 0
        # Of the accepted: those with recipients here, those with one that the other site refuses. `passing` have none here, accepted or not.
        self.accepted, self.here, self.refused, self.passing = set(), set(), set(), set()

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent


def send_to_all(smtp, to, text):
    """Where one recipient is refused for now, the others do not get it either: sendmail() would go on."""
    smtp.ehlo_or_helo_if_needed()
    codes = [smtp.mail("bob@example.test")[0], *(smtp.rcpt(recipient)[0] for recipient in to)]
    if set(codes) == {250}:
        return smtp.data(text)[0] == 250
    smtp.rset()
    return False


class Sender:
    """One transaction for all: each gets it, or the client hears that they did not."""

    def __init__(self, server, mail, seed):
        self.server, self.mail, self.choose, self.smtp = server, mail, random.Random(seed), None

    def step(self):
        number = self.mail.number()
        text = f"Subject: crash {number}\r\n\r\n" + FILLER * self.choose.choice((1, 50, 50, 50, 50, 8000))
        is_refused, is_passing = self.choose.random() < 0.3, self.choose.random() < 0.5
        if is_passing:
            self.mail.passing.add(number)
        to = [*THERE, *(() if is_passing else HERE), *([REFUSED_TO] if is_refused else ())]
        try:
            self.smtp = self.smtp or self.server.smtp()
            if send_to_all(self.smtp, to, text):
                self.mail.accepted.add(number)
                if is_refused:
                    self.mail.refused.add(number)
                if not is_passing:
                    self.mail.here.add(number)
        except REFUSED:
            self.smtp = None
            pause()


class Changer:
    """An administrator who can't leave the queue alone. While no server runs nothing is begun: it would go to the store itself."""

    ACTIONS = (("queue", "hold", "@far.test"), ("queue", "hold", "team@example.test"), ("queue", "release", "--all"), ("queue", "retry", "--all"),
               ("queue", "pause", "out"), ("queue", "resume", "both"), ("queue", "pause", "in"), ("queue", "resume", "in"), ("store", "compact"))

    def __init__(self, server, seed):
        self.server, self.choose = server, random.Random(seed)
        self.may_run = threading.Lock()
        self.done = collections.Counter()

    def act(self, *words):
        with self.may_run:
            if self.server.run(*words, check=False).returncode == 0:
                self.done[words[:2]] += 1

    def step(self):
        self.act(*self.choose.choice(self.ACTIONS))
        if self.choose.random() < 0.5:
            self.act("queue", "resume", "both")
            self.act("queue", "release", "--all")

    def end(self):
        """What stopped is let go, for good."""
        for words in (("resume", "both"), ("release", "--all")):
            wait_until(lambda words=words: self.server.run("queue", *words, check=False).returncode == 0, f"queue {words[0]}")


class Saver:
    """Backups into the same directory, one after the other."""

    def __init__(self, server):
        self.server, self.directory, self.done = server, server.directory / "backup", 0

    def step(self):
        self.done += self.server.run("backup", str(self.directory), check=False).returncode == 0
        time.sleep(0.2)  # not synchronisation: a program is started each time, which is not what is tried here

    def check(self):
        """The last whole one is a store without a fault."""
        place = self.server.directory / "restored"
        config = self.server.directory / "restored.conf"
        config.write_text(self.server.config.read_text().replace(str(self.server.directory / "data"), str(place)))
        words = [self.server.binary, "restore", str(self.directory), "--config", config]
        result = subprocess.run(words, capture_output=True, text=True, env=self.server.environment)
        assert result.returncode == 0 and (place / "store.db").exists(), result.stderr


def numbers(server, address, is_wanted=lambda text: True):
    pop = server.pop(address)
    texts = [b"\n".join(pop.retr(i + 1)[1]) for i in range(pop.stat()[0])]
    pop.quit()
    return collections.Counter(int(re.search(rb"^Subject: crash (\d+)$", text, re.M)[1]) for text in texts if is_wanted(text))


def numbers_when_possible(*arguments):
    try:
        return numbers(*arguments)
    except REFUSED:
        return None


def is_failure(text):
    return re.search(rb"^Action: failed$", text, re.M) and REFUSED_TO.encode() in text


def kill_some(server, choose):
    """One process: the courier and the writer twice as often as the others. True when a final reply may have been swallowed."""
    children = server.children()
    weights = [2 if role_of(words) in ("courier", "writer") else 1 for words in children.values()]
    victim = choose.choices(list(children), weights)[0]
    kill(victim)
    return role_of(children[victim]) in ("courier", "writer")


def kill_all(server, changer, choose):
    children = server.children()
    for pid in choose.sample([*children, server.process.pid], len(children) + 1):
        kill(pid)
    server.process.wait()
    for pid in children:
        wait_until(lambda pid=pid: is_gone(pid), f"the end of {pid}")
    with changer.may_run:
        server.start()
    return True


def is_empty(server):
    result = server.run("store", "status", "--json", check=False)
    return result.returncode == 0 and json.loads(result.stdout)["queued"] == 0


def wait_for_the_queue(server):
    try:
        wait_until(lambda: is_empty(server), "an empty queue after the last kill")
    except AssertionError:
        print(server.run("queue", "list", check=False).stdout[:4000], server.log()[-4000:], sep="\n")
        raise


def volumes_compacted(server):
    numbers = [int(path.stem) for path in (server.directory / "data" / "volumes").iterdir()]
    return max(numbers) - len(numbers)


def make_servers(fresh):
    far = fresh()
    far.run("domain", "add", "far.test")
    for name in FAR:
        far.run("account", "add", f"{name}@far.test", "--password-stdin", text_input="sandbox\n")
    far.run("account", "add", REFUSED_TO, "--password-stdin", text_input="sandbox\n")
    far.run("account", "set", REFUSED_TO, "--disable")
    server = fresh(SETTINGS.format(far.port(25)))
    server.run("alias", "add", "away@example.test", "grace@far.test")
    server.run("mailinglist", "add", "team@example.test", "--posting", "everybody")
    server.run("mailinglist", "join", "team@example.test", "carol@example.test", "heidi@far.test")
    return server, far


def check_once_here(server, mail):
    """Nothing of this leaves the store, so nothing of it may happen twice."""
    here = wait_until(lambda: numbers_when_possible(server, "alice@example.test"), "alice's maildrop")
    assert mail.here <= set(here) and max(here.values()) == 1
    member = wait_until(lambda: numbers_when_possible(server, "carol@example.test"), "carol's maildrop")
    assert mail.here <= set(member), sorted(mail.here - set(member))[:10]
    assert max(member.values()) == 1, [n for n, times in member.items() if times > 1][:10]
    told = wait_until(lambda: numbers_when_possible(server, "bob@example.test", is_failure), "bob's maildrop")
    assert mail.refused <= set(told), sorted(mail.refused - set(told))[:10]
    assert max(told.values()) == 1, [n for n, times in told.items() if times > 1][:10]
    return here


def check_far(far, mail, here, crashes):
    extra = 0
    for name in FAR:
        there = numbers(far, f"{name}@far.test")
        wanted = mail.here if name == "heidi" else mail.accepted
        assert wanted <= set(there), (name, sorted(wanted - set(there))[:10])
        assert max(there.values()) <= 1 + crashes
        assert set(there) <= set(here) | mail.passing, "a message went out that was never accepted"
        extra += sum(there.values()) - len(there)
    return extra


def test_kill_while_mail_goes_out(fresh):
    seed = int(os.environ.get("OSTIARY_CRASH_SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("OSTIARY_CRASH_ROUNDS", "10"))
    print(f"OSTIARY_CRASH_SEED={seed}")
    choose = random.Random(seed)
    server, far = make_servers(fresh)
    mail, changer, saver = Mail(), Changer(server, seed), Saver(server)
    work = Work([*(Sender(server, mail, seed + i) for i in range(SENDERS)), changer, saver])
    crashes = 0
    for i in range(rounds):
        goal = len(mail.accepted) + choose.randint(5, 60)
        wait_until(lambda: len(mail.accepted) >= goal or work.problems, "mail flowing again after a kill")
        time.sleep(choose.uniform(0, 0.05))  # at any moment, not only right behind an answer
        crashes += kill_all(server, changer, choose) if i % 5 == 4 else kill_some(server, choose)
    work.end()
    changer.end()
    compacted = volumes_compacted(server)
    wait_for_the_queue(server)
    here = check_once_here(server, mail)
    extra = check_far(far, mail, here, crashes)
    server.stop()
    server.run("store", "check")
    saver.check()
    # What is done is in the volumes, too: the database that is made of them has nothing to send.
    server.run("store", "rebuild")
    server.run("store", "check")
    assert is_empty(server)
    print(f"rounds={rounds} crashes={crashes} accepted={len(mail.accepted)} refused by the other site={len(mail.refused)} copies too many={extra} "
          f"backups={saver.done} {dict(changer.done)} volumes compacted={compacted}")
