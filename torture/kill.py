"""kill -9 of one process, of the supervisor, or of all, at random instants while everything goes on that load.py has: nothing acknowledged is lost, and what stays in
the store happens once. What goes out may go twice where a crash swallowed the other site's final reply: SMTP has no way around that, so it is counted apart.

The instants are cut into campaigns, each with servers of its own: a campaign's seed plays it again, as far as the machine's timing lets it.
"""
import collections
import os
import random
import signal
import time

from sandbox import is_gone, wait_until

from .load import World
from .promise import Outcome, processors

PROMISES = ("killed at any instant, nothing acknowledged is lost, and what stays in the store is there once",)
# (campaigns, instants in each)
EFFORTS = {"test": (1, 12), "short": (2, 20), "full": (25, 40), "long": (250, 40)}
FORGETTING = ("courier", "all of them", "supervisor")  # who does not know afterwards what the other site has taken
WEIGHTS = {"writer": 6, "courier": 3}  # the others 1: these have most to lose


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself


def role_of(words):
    return words.split()[2] if len(words.split()) > 2 else ""


class Killer:
    def __init__(self, world, seed):
        self.server, self.changer, self.choose = world.server, world.changer, random.Random(seed)
        self.killed = collections.Counter()

    def one(self):
        children = self.server.children()
        if children:
            victim = self.choose.choices(list(children), [WEIGHTS.get(role_of(words), 1) for words in children.values()])[0]
            kill(victim)
            self.killed[role_of(children[victim])] += 1

    def twice(self):
        """One, and perhaps its successor while that recovers."""
        self.one()
        time.sleep(self.choose.uniform(0, 0.3))
        self.one()

    def restart(self, victims, name):
        children = self.server.children()
        for pid in victims(children):
            kill(pid)
        self.killed[name] += 1
        self.server.process.wait()
        for pid in children:
            # They end by themselves when the supervisor is gone; only then may the next server take the store.
            wait_until(lambda pid=pid: is_gone(pid), f"the end of {pid}")
        with self.changer.may_run:
            self.server.start()

    def step(self, i):
        """All, or the supervisor, often enough that nobody's successor has to wait for long."""
        if i % 6 == 3:
            self.restart(lambda children: self.choose.sample([*children, self.server.process.pid], len(children) + 1), "all of them")
        elif i % 6 == 5:
            self.restart(lambda children: [self.server.process.pid], "supervisor")
        elif i % 6 == 1:
            self.twice()
        else:
            self.one()


def campaign(seed, instants, directory):
    """The figures, and who was killed how often."""
    world = World(directory, seed, is_fetching=True)
    try:
        killer = Killer(world, seed)
        world.begin()
        for i in range(instants):
            world.wait_for_mail(killer.choose.randint(0, 60))
            time.sleep(killer.choose.uniform(0, 0.05))  # at any moment, not only right behind an answer
            killer.step(i)
        figures = world.end(crashes=sum(killer.killed[name] for name in FORGETTING))
        world.check_rebuilt()
        return figures, killer.killed
    finally:
        world.close()


def one(seed, instants, report):
    outcome = Outcome(PROMISES[0])
    with report.directory(outcome, f"campaign {seed} of {instants} instants") as directory:
        figures, killed = campaign(seed, instants, directory)
        outcome.figures = figures | {f"kills of {name}": count for name, count in sorted(killed.items())}
    outcome.tries = instants
    return outcome


def run(effort, seed, report):
    campaigns, instants = EFFORTS[effort]
    choose = random.Random(seed)
    total = Outcome(PROMISES[0])
    plan = [(choose.randrange(1 << 30), instants) for _ in range(campaigns)]
    for outcome in report.each(one, plan, at_once=processors()):
        total.add(outcome)
    return [total]
