"""kill -9 of each process, and of all, at random moments under load: nothing acknowledged is lost, nothing is doubled.

Each message is sent once and never again, so it may be there once (acknowledged: must) and never twice. The seed of a failing run stands in the output; set
OSTIARY_CRASH_SEED to play it again, OSTIARY_CRASH_ROUNDS for more rounds.
"""
import collections
import os
import random
import re
import signal
import smtplib
import threading
import time

from conftest import wait_until

PEOPLE = ("alice", "bob", "carol")
SENDERS = 4


class Load:
    """Threads that send numbered messages and note which were acknowledged."""

    def __init__(self, server):
        self.server = server
        self.acknowledged = {}
        self.sent = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def run(self, index):
        choose = random.Random(index)
        smtp = None
        while not self.ended.is_set():
            number = self.number()
            to = choose.sample(PEOPLE, choose.randint(1, 3))
            # Some are large enough to go through the spool.
            filler = "y" * 76 + "\r\n"
            text = f"Subject: crash {number}\r\n\r\n" + filler * choose.choice((1, 50, 50, 9000))
            try:
                smtp = smtp or self.server.smtp()
                if not smtp.sendmail("load@elsewhere.test", [f"{name}@example.test" for name in to], text):
                    self.acknowledged[number] = to
            except (OSError, smtplib.SMTPException):
                smtp = None
                time.sleep(0.02)  # not synchronisation: a client that was thrown out does not hammer

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def kill_one(server, choose):
    children = server.children()
    if children:
        victim = choose.choice(sorted(children))
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass


def kill_all(server):
    children = server.children()
    server.process.kill()
    server.process.wait()
    for pid in children:
        # They end by themselves when the supervisor is gone; only then may the next server take the store.
        wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"the end of {pid}")
    server.start()


def found(server):
    """{person: Counter of the numbers in the maildrop}"""
    out = {}
    for name in PEOPLE:
        texts = server.messages(f"{name}@example.test")
        out[name] = collections.Counter(int(re.search(rb"^Subject: crash (\d+)$", text, re.M)[1]) for text in texts)
    return out


def test_kill_at_random_moments(fresh):
    seed = int(os.environ.get("OSTIARY_CRASH_SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("OSTIARY_CRASH_ROUNDS", "12"))
    print(f"OSTIARY_CRASH_SEED={seed}")
    choose = random.Random(seed)
    server = fresh()
    load = Load(server)
    for i in range(rounds):
        goal = len(load.acknowledged) + choose.randint(5, 60)
        wait_until(lambda: len(load.acknowledged) >= goal, "mail flowing again after a kill")
        if i % 4 == 3:
            kill_all(server)
        else:
            kill_one(server, choose)
    load.end()
    wait_until(lambda: server.greets(110) and server.greets(25), "the server after the last kill")
    numbers = wait_until(lambda: try_found(server), "the maildrops after the last kill")
    lost = [(n, name) for n, to in load.acknowledged.items() for name in to if numbers[name][n] == 0]
    doubled = [(n, name) for name in PEOPLE for n, times in numbers[name].items() if times > 1]
    assert not lost and not doubled, (seed, lost[:10], doubled[:10])
    assert len(load.acknowledged) > rounds * 4
    check = server.run("store", "check", check=False)
    if check.returncode:  # only an open store may refuse a check
        server.stop()
        server.run("store", "check")


def try_found(server):
    try:
        return found(server)
    except Exception:  # a process is on its way back
        return None
