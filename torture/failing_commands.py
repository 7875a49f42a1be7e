"""Commands that read or write the store by themselves, while the k-th of their calls to the disk fails: they say so and end, what was there before is still there, and when
the cause is gone the same command does it all.

  backup    into a directory with a whole backup, or a new one: the earlier backup can be restored with all that was acknowledged before it; a command that says it
            was done has made a whole one
  restore   leaves no store where it did not put a whole one
  rebuild   leaves the old database, or the new one, or none and a server that does not start; never half of one
"""
import errno
import random
import re
import shutil

from sandbox import Server

from .bitflip import compare, truth_of
from .faults import ERRORS, FAILED, FOREVER, KINDS, NAME, PWRITE, SEEN, SHORT, SYNC, WRITE, Faults, choose_ks, environment, look_at_end
from .promise import Broken, Outcome, end_all

PROMISE = "the k-th call to the disk of a backup, restore or rebuild fails: it says so, what was there stays, the next has all"
ERRORS_OF = {SYNC: (errno.EIO,), PWRITE: (errno.ENOSPC, SHORT), WRITE: (errno.ENOSPC, SHORT), NAME: (errno.ENOSPC, errno.EIO)}
SETTINGS = 'store.volume_size = "1M"\nsmtp.message_size = "1M"\nstore.compress_from = 0'


class World:
    """A server, mail to alice, and a count of it."""

    def __init__(self, directory, libraries, seed):
        self.directory, self.choose, self.faults = directory, random.Random(seed), Faults(directory / "faults")
        self.server = Server(SETTINGS, environment=environment(libraries, directory / "faults"), parent=directory)
        self.acknowledged, self.places = set(), 0
        self.server.run("alias", "add", "both@example.test", "alice@example.test", "bob@example.test")

    def close(self):
        self.faults.end()
        end_all(self.server.end)

    def deliver(self, count=1):
        for _ in range(count):
            number = len(self.acknowledged) + 1
            text = "y" * 76 + "\r\n"
            self.server.send(f"Subject: crash {number}\r\n\r\n" + text * self.choose.choice((1, 100, 3000)), "both@example.test")
            self.acknowledged.add(number)

    def place(self):
        """For a data directory that is not there yet, and a configuration that names it."""
        self.places += 1
        place = self.directory / f"place-{self.places}"
        config = self.directory / f"place-{self.places}.conf"
        config.write_text(self.server.config.read_text().replace(str(self.server.directory / "data"), str(place)))
        return place, config

    def look(self, config, wanted, what):
        """A sound store, and all that is wanted is in it, once."""
        out = self.directory / "exported"
        for words in (("store", "check"), ("mail", "export", "--account", "alice@example.test", "--format", "mbox", str(out))):
            result = self.server.run(*words, check=False, config=config)
            if result.returncode:
                raise Broken(f"{what}: {' '.join(words[:2])}: {result.stdout[-500:]}{result.stderr[-500:]}", lost=1)
        text = b"\n".join(path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()) if out.is_dir() else out.read_bytes()
        there = [int(number) for number in re.findall(rb"^Subject: crash (\d+)\r?$", text, re.M)]
        shutil.rmtree(out) if out.is_dir() else out.unlink()
        lost, doubled = wanted - set(there), len(there) - len(set(there))
        if lost or doubled:
            raise Broken(f"{what}: it lacks {sorted(lost)[:10]}", lost=len(lost), doubled=doubled)

    def restore(self, backup, wanted, what):
        place, config = self.place()
        result = self.server.run("restore", str(backup), check=False, config=config)
        if result.returncode:
            raise Broken(f"{what}: the backup can't be restored: {result.stderr}", lost=len(wanted))
        self.look(config, wanted, what)
        shutil.rmtree(place)


class Backup:
    def __init__(self, *words):
        self.world = World(*words)
        self.world.deliver(5)
        self.begin()

    def begin(self):
        """In a directory where nothing is yet."""
        self.target, self.whole = self.world.place()[0], None

    def prepare(self):
        if self.whole and self.world.choose.random() < 0.3:
            self.begin()
        self.world.deliver()

    def act(self):
        return self.world.server.run("backup", str(self.target), check=False)

    def check(self, what, result):
        if result.returncode == 0:
            self.whole = set(self.world.acknowledged)
        if self.whole:
            self.world.restore(self.target, self.whole, what)
        else:
            self.look_at_first(what)
        again = self.act()
        if again.returncode:
            raise Broken(f"{what}: nor does the next backup work: {again.stderr}")
        self.whole = set(self.world.acknowledged)
        self.world.restore(self.target, self.whole, f"{what}, and another backup made")

    def look_at_first(self, what):
        """It is none, or a whole one: the report of a backup may be what could not be written."""
        place, config = self.world.place()
        if self.world.server.run("restore", str(self.target), check=False, config=config).returncode == 0:
            self.world.look(config, self.world.acknowledged, what)
            shutil.rmtree(place)


class Restore:
    def __init__(self, *words):
        self.world = World(*words)
        self.world.deliver(5)
        self.backup, self.target, self.config = self.world.directory / "backup", None, None
        self.world.server.run("backup", str(self.backup))

    def prepare(self):
        self.target, self.config = self.world.place()

    def act(self):
        return self.world.server.run("restore", str(self.backup), check=False, config=self.config)

    def check(self, what, result):
        is_there = (self.target / "store.db").exists()
        if result.returncode == 0 and not is_there:
            raise Broken(f"{what}: restore says that it is done, and there is no store")
        if is_there:
            self.world.look(self.config, self.world.acknowledged, what)
            shutil.rmtree(self.target)
        self.world.restore(self.backup, self.world.acknowledged, what)


class Rebuild:
    def __init__(self, *words):
        self.world = World(*words)
        self.world.deliver(5)
        self.world.server.stop()
        self.data, self.whole = self.world.server.directory / "data", self.world.directory / "whole"
        shutil.copytree(self.data, self.whole)
        self.truth = truth_of(self.whole)

    def prepare(self):
        shutil.rmtree(self.data)
        shutil.copytree(self.whole, self.data)

    def act(self):
        return self.world.server.run("store", "rebuild", check=False)

    def check(self, what, result):
        if result.returncode == 0 or (self.data / "store.db").exists():
            self.world.server.run("store", "check")
            compare(what, self.truth, truth_of(self.data))
        again = self.act()
        if again.returncode:
            raise Broken(f"{what}: nor does the next rebuild work: {again.stderr}")
        self.world.server.run("store", "check")
        compare(f"{what}, and rebuilt again", self.truth, truth_of(self.data))


# And the kinds of calls that it makes.
COMMANDS = {"backup": (Backup, (SYNC, PWRITE, WRITE, NAME)), "restore": (Restore, (SYNC, PWRITE, NAME)), "rebuild": (Rebuild, (SYNC, PWRITE, NAME))}


def count_calls(tried, name, kind):
    tried.prepare()
    faults = tried.world.faults
    faults.begin(errno.EIO, kind, 0, 0, name)
    result = tried.act()
    faults.end()
    if result.returncode:
        raise Broken(f"{name}, of which no call failed, says {result.stderr}")
    tried.check(f"{name}, of which no call failed", result)
    count = faults.get(SEEN)
    if not count:
        raise Broken(f"{name} makes no {KINDS[kind]} call: nothing to try")
    return count


def try_one(tried, name, kind, error, k, count):
    """Did the fault strike?"""
    what = f"{KINDS[kind]} {k}{' and all behind it' if count == FOREVER else ''} of {name} failed with {ERRORS[error]}"
    tried.prepare()
    faults = tried.world.faults
    before = faults.get(FAILED)
    faults.begin(error, kind, k, count, name)
    result = tried.act()
    faults.end()
    look_at_end(what, result)
    tried.check(what, result)
    return faults.get(FAILED) > before


def campaign(number, name, most, seed, report):
    """(place of the promise, its outcome): all k of each kind of call of one command."""
    outcome, choose = Outcome(PROMISE), random.Random(seed)
    with report.directory(outcome, f"failures (seed {seed}): of {name}") as directory:
        make, kinds = COMMANDS[name]
        tried = make(directory, [report.library("faults")], seed)
        try:
            for kind in kinds:
                calls = count_calls(tried, name, kind)
                outcome.figures[f"{KINDS[kind]} calls of {name}"] = calls
                for k in choose_ks(calls, most, choose):
                    outcome.tries += try_one(tried, name, kind, choose.choice(ERRORS_OF[kind]), k, choose.choice((1, FOREVER)))
        finally:
            tried.world.close()
    return number, outcome
