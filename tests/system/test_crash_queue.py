"""kill -9 while mail goes on to another site: of what was accepted nothing is lost, and a recipient gets at most one copy too many for each crash
that swallowed the other side's final reply.

The other site is a second server that nobody kills. OSTIARY_CRASH_SEED and OSTIARY_CRASH_ROUNDS are those of test_crash.py.
"""
import collections
import json
import os
import random
import re
import threading
import time

from conftest import is_gone, wait_until
from test_crash import FILLER, REFUSED, Work, kill, pause, role_of

FAR = ("erin", "frank")
SENDERS = 3


class Mail:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = 0
        self.accepted = set()

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent


class Sender:
    """One transaction for alice, who is here, and for two who are far: all three get it, or the client hears that they did not."""

    def __init__(self, server, mail, seed):
        self.server, self.mail, self.choose, self.smtp = server, mail, random.Random(seed), None

    def step(self):
        number = self.mail.number()
        text = f"Subject: crash {number}\r\n\r\n" + FILLER * self.choose.choice((1, 50, 50, 50, 50, 8000))
        to = ["alice@example.test", *(f"{name}@far.test" for name in FAR)]
        try:
            self.smtp = self.smtp or self.server.smtp()
            if not self.smtp.sendmail("load@elsewhere.test", to, text):
                self.mail.accepted.add(number)
        except REFUSED:
            self.smtp = None
            pause()


def copies(server, address):
    pop = server.pop(address)
    count = pop.stat()[0]
    numbers = collections.Counter(int(re.search(rb"^Subject: crash (\d+)$", b"\n".join(pop.top(i + 1, 0)[1]), re.M)[1])
                                  for i in range(count))
    pop.quit()
    return numbers


def copies_when_possible(server, address):
    try:
        return copies(server, address)
    except REFUSED:
        return None


def kill_some(server, choose):
    """One process: the courier and the writer twice as often as the others. True when a final reply may have been swallowed."""
    children = server.children()
    weights = [2 if role_of(words) in ("courier", "writer") else 1 for words in children.values()]
    victim = choose.choices(list(children), weights)[0]
    kill(victim)
    return role_of(children[victim]) in ("courier", "writer")


def kill_all(server, choose):
    children = server.children()
    for pid in choose.sample([*children, server.process.pid], len(children) + 1):
        kill(pid)
    server.process.wait()
    for pid in children:
        wait_until(lambda pid=pid: is_gone(pid), f"the end of {pid}")
    server.start()
    return True


def is_empty(server):
    result = server.run("store", "status", "--json", check=False)
    return result.returncode == 0 and json.loads(result.stdout)["queued"] == 0


def test_kill_while_mail_goes_out(fresh):
    seed = int(os.environ.get("OSTIARY_CRASH_SEED", random.randrange(1 << 30)))
    rounds = int(os.environ.get("OSTIARY_CRASH_ROUNDS", "10"))
    print(f"OSTIARY_CRASH_SEED={seed}")
    choose = random.Random(seed)
    far = fresh()
    far.run("domain", "add", "far.test")
    for name in FAR:
        far.run("account", "add", f"{name}@far.test", "--password-stdin", text_input="sandbox\n")
    server = fresh(f'client_networks = {{ "127.0.0.0/8" }}\n'
                   f'courier = {{ smart_host = "127.0.0.1:{far.port(25)}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}')
    mail = Mail()
    work = Work([Sender(server, mail, seed + i) for i in range(SENDERS)])
    crashes = 0
    for i in range(rounds):
        goal = len(mail.accepted) + choose.randint(5, 60)
        wait_until(lambda: len(mail.accepted) >= goal or work.problems, "mail flowing again after a kill")
        time.sleep(choose.uniform(0, 0.05))  # at any moment, not only right behind an answer
        crashes += kill_all(server, choose) if i % 5 == 4 else kill_some(server, choose)
    work.end()
    wait_until(lambda: is_empty(server), "an empty queue after the last kill")
    here = wait_until(lambda: copies_when_possible(server, "alice@example.test"), "alice's maildrop")
    assert mail.accepted <= set(here) and max(here.values()) == 1
    extra = 0
    for name in FAR:
        there = copies(far, f"{name}@far.test")
        assert mail.accepted <= set(there), sorted(mail.accepted - set(there))[:10]
        assert max(there.values()) <= 1 + crashes
        assert set(there) <= set(here), "a message went out that was never accepted"
        extra += sum(there.values()) - len(there)
    server.stop()
    server.run("store", "check")
    print(f"rounds={rounds} crashes={crashes} accepted={len(mail.accepted)} copies too many={extra}")
