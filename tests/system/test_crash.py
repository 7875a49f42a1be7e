"""kill -9 of each process, of the supervisor, and of all, at random moments: nothing acknowledged is lost, nothing is doubled.

Three kinds of work go on meanwhile, each noting what was acknowledged, what was not, and what may or may not have happened because the answer never came:
  mail      numbered messages, each sent once and never again;
  deletion  POP3 sessions that delete, some up to QUIT, some only up to the line before it;
  changes   aliases made through the control socket, and compactions of small volumes.

The seed of a failing run stands in the output; set OSTIARY_CRASH_SEED to play it again, OSTIARY_CRASH_ROUNDS for more rounds.
"""
import collections
import os
import poplib
import random
import re
import signal
import smtplib
import threading
import time

from conftest import is_gone, wait_until

PEOPLE = ("alice", "bob", "carol")
SENDERS = 3
SETTINGS = 'store.volume_size = "1M"\nsmtp.message_size = "1M"\nstore.compact_dead_percent = 20'
FILLER = "y" * 76 + "\r\n"
REFUSED = (OSError, EOFError, smtplib.SMTPException, poplib.error_proto)


def pause():
    time.sleep(0.02)  # not synchronisation: a client that was thrown out does not hammer


class Mail:
    """What is known of each person's messages, by their numbers."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = 0
        self.stored = {name: set() for name in PEOPLE}  # acknowledged
        self.deleted = {name: set() for name in PEOPLE}  # acknowledged
        self.unsure = {name: set() for name in PEOPLE}  # a deletion whose answer never came
        self.uidls = {name: {} for name in PEOPLE}  # by number
        self.quits = self.aborts = 0

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def acknowledged(self):
        return sum(len(numbers) for numbers in self.stored.values())


class Sender:
    def __init__(self, server, mail, seed):
        self.server, self.mail, self.choose, self.smtp = server, mail, random.Random(seed), None

    def step(self):
        number = self.mail.number()
        to = self.choose.sample(PEOPLE, self.choose.randint(1, 3))
        # Some are large enough to go through the spool.
        text = f"Subject: crash {number}\r\n\r\n" + FILLER * self.choose.choice((1, 50, 50, 50, 50, 50, 8000))
        try:
            self.smtp = self.smtp or self.server.smtp()
            if not self.smtp.sendmail("load@elsewhere.test", [f"{name}@example.test" for name in to], text):
                for name in to:
                    self.mail.stored[name].add(number)
        except REFUSED:
            self.smtp = None
            pause()


def number_of(top):
    return int(re.search(rb"^Subject: crash (\d+)$", b"\n".join(top), re.M)[1])


class Deleter:
    """Reads some messages, marks them, and says QUIT or just goes away."""

    def __init__(self, server, mail, name, seed):
        self.server, self.mail, self.name, self.choose = server, mail, name, random.Random(seed)

    def step(self):
        try:
            self.session()
        except REFUSED:
            pause()

    def session(self):
        pop = self.server.pop(f"{self.name}@example.test")
        uidls = [line.split()[1] for line in pop.uidl()[1]]
        some = self.choose.sample(range(len(uidls)), min(len(uidls), self.choose.randint(0, 60)))
        marked = set()
        for i in some:
            number = number_of(pop.top(i + 1, 0)[1])
            assert self.mail.uidls[self.name].setdefault(number, uidls[i]) == uidls[i], "a UIDL changed"
            pop.dele(i + 1)
            marked.add(number)
        if self.choose.random() < 0.2:
            pop.close()
            self.mail.aborts += 1
            return
        self.mail.unsure[self.name] |= marked
        if pop.quit().startswith(b"+OK"):
            self.mail.deleted[self.name] |= marked
            self.mail.quits += 1


class Changer:
    """Aliases by the command line, and compactions. They would go to the store itself while no server runs, so nothing is begun then."""

    def __init__(self, server, seed):
        self.server, self.choose = server, random.Random(seed)
        self.may_run = threading.Lock()
        self.count = 0
        self.made, self.removed, self.unsure = set(), set(), set()

    def step(self):
        with self.may_run:
            self.count += 1
            kind = self.choose.random()
            if kind < 0.1:
                self.server.run("store", "compact", check=False)
            elif kind < 0.3 and self.made - self.removed:
                self.change("remove", self.choose.choice(sorted(self.made - self.removed)), self.removed)
            else:
                self.change("add", f"crash-{self.count}@example.test", self.made, "bob@example.test")
        time.sleep(0.05)  # not synchronisation: a program is started each time, which is not what is tried here

    def change(self, verb, alias, done, *target):
        self.unsure.add(alias)
        if self.server.run("alias", verb, alias, *target, check=False).returncode == 0:
            done.add(alias)
            self.unsure.discard(alias)

    def check(self):
        text = self.server.run("alias", "list").stdout
        found = set(re.findall(r"crash-\d+@example\.test", text))
        lost = self.made - self.removed - self.unsure - found
        undone = (self.removed & found) - self.unsure
        assert not lost and not undone, (sorted(lost)[:10], sorted(undone)[:10])
        return len(self.made)


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
            except Exception as problem:  # an assertion, or a mistake in here: the test fails with it
                self.problems.append(problem)
                return

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        if self.problems:
            raise self.problems[0]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself


def role_of(words):
    return words.split()[2] if len(words.split()) > 2 else ""


def kill_one(server, choose):
    """One process; the writer, which has most to lose, as often as all the others."""
    children = server.children()
    writers = [pid for pid, words in children.items() if role_of(words) == "writer"]
    victims = writers if writers and choose.random() < 0.5 else sorted(children)
    if victims:
        kill(choose.choice(victims))


def kill_twice(server, choose):
    """The writer, and its successor while that recovers."""
    kill_one(server, choose)
    time.sleep(choose.uniform(0, 0.3))
    kill_one(server, choose)


def restart(server, changer, victims):
    children = server.children()
    for pid in victims(children):
        kill(pid)
    server.process.wait()
    for pid in children:
        # They end by themselves when the supervisor is gone; only then may the next server take the store.
        wait_until(lambda pid=pid: is_gone(pid), f"the end of {pid}")
    with changer.may_run:
        server.start()


def found(server):
    """{person: Counter of the numbers in the maildrop}; None while a process is on its way back."""
    out = {}
    try:
        for name in PEOPLE:
            pop = server.pop(f"{name}@example.test")
            out[name] = collections.Counter(number_of(pop.top(i + 1, 0)[1]) for i in range(pop.stat()[0]))
            pop.quit()
    except REFUSED:
        return None
    return out


def check_mail(mail, numbers):
    for name in PEOPLE:
        there = set(numbers[name])
        lost = mail.stored[name] - mail.unsure[name] - there
        back = mail.deleted[name] & there
        doubled = [number for number, times in numbers[name].items() if times > 1]
        assert not lost and not back and not doubled, (name, sorted(lost)[:10], sorted(back)[:10], doubled[:10])


def round_of_kills(i, server, changer, choose):
    if i % 6 == 3:
        restart(server, changer, lambda children: choose.sample([*children, server.process.pid], len(children) + 1))
    elif i % 6 == 5:
        restart(server, changer, lambda children: [server.process.pid])
    elif i % 6 == 1:
        kill_twice(server, choose)
    else:
        kill_one(server, choose)


def test_kill_at_random_moments(fresh):
    seed = int(os.environ.get("OSTIARY_CRASH_SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("OSTIARY_CRASH_ROUNDS", "12"))
    print(f"OSTIARY_CRASH_SEED={seed}")
    choose = random.Random(seed)
    server = fresh(SETTINGS)
    mail, changer = Mail(), Changer(server, seed)
    workers = [*(Sender(server, mail, seed + i) for i in range(SENDERS)), *(Deleter(server, mail, name, seed) for name in PEOPLE[:2]), changer]
    work = Work(workers)
    for i in range(rounds):
        goal = mail.acknowledged() + choose.randint(5, 60)
        wait_until(lambda: mail.acknowledged() >= goal or work.problems, "mail flowing again after a kill")
        time.sleep(choose.uniform(0, 0.05))  # at any moment, not only right behind an answer
        round_of_kills(i, server, changer, choose)
    goal = mail.quits + 1
    wait_until(lambda: mail.quits >= goal or work.problems, "a deletion after the last kill")
    work.end()
    numbers = wait_until(lambda: found(server), "the maildrops after the last kill")
    check_mail(mail, numbers)
    changes = changer.check()
    assert mail.acknowledged() > rounds * 4 and any(mail.deleted.values()) and changes
    server.stop()
    server.run("store", "check")
    print(f"rounds={rounds} stored={mail.acknowledged()} deleted={sum(map(len, mail.deleted.values()))} quits={mail.quits} aborts={mail.aborts} "
          f"unsure={sum(len(mail.unsure[name] - mail.deleted[name]) for name in PEOPLE)} aliases={changes} "
          f"compacted={len(re.findall('compact', server.log()))}")
