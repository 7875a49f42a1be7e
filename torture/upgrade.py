"""The upgrade of stores that earlier releases made, killed at each change of the disk (die.c), perhaps once more when it is tried again: the next start finishes it,
and everything is there.

A statement of SQL changes nothing that outlives the process until SQLite writes, syncs, truncates, makes or removes a file. So the instants that can be told apart
afterwards are those calls: to die before each of them, and within each write, is to die at every statement and between any two.
"""
import mmap
import os
import random
import sqlite3
import struct

from old_stores import VERSIONS, check_contents, put_store
from sandbox import Server

from .promise import Broken, Outcome, end_all, processors

PROMISES = ("an upgrade from any earlier schema, killed at any change of the disk, is finished by the next start with everything there",)
# How many of the instants are tried for each schema: so many at random; None: all, and so many rounds with other second kills.
EFFORTS = {"test": (2, 1), "short": (8, 1), "full": (None, 1), "long": (None, 10)}
AT, HALF, COUNT, DIED = range(4)  # the words of struct page


class Page:
    """The other end of the shim's page."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with path.open("r+b") as f:
            self.map = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def get(self, word):
        return struct.unpack_from("=I", self.map, 4 * word)[0]

    def set(self, word, value):
        struct.pack_into("=I", self.map, 4 * word, value)

    def arm(self, at, half):
        self.set(COUNT, 0)
        self.set(HALF, half)
        self.set(AT, at)


def schema(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        version = db.execute("SELECT version FROM schema_version").fetchall()
        return version, sorted(db.execute("SELECT type, name, sql FROM sqlite_master").fetchall(), key=str)


class Bench:
    """A place with a server that is stopped, whose data directory is an old store again for each try."""

    def __init__(self, directory, report):
        self.page = Page(directory / "page")
        options = os.environ.get("ASAN_OPTIONS", "")
        environment = {"LD_PRELOAD": str(report.library("die")), "OSTIARY_FAULTS": str(directory / "page"),
                       "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".strip(":")}
        self.server = Server(environment=environment, parent=directory)
        if not self.page.get(COUNT):
            raise Broken("the writer did not load the library that kills it: is the program a test build?")
        self.server.stop()
        self.data = self.server.directory / "data"
        self.wanted = schema(self.data / "store.db")

    def count_changes(self, version):
        """Of the disk, in an upgrade that nobody kills."""
        put_store(self.data, version)
        self.page.arm(0, 0)
        self.server.run("store", "status")
        return self.page.get(COUNT)

    def kill_by_command(self, at, half):
        """The upgrade by a command with nobody else there. Did it get that far?"""
        before = self.page.get(DIED)
        self.page.arm(at, half)
        self.server.run("store", "status", check=False)
        return self.page.get(DIED) > before

    def kill_in_server(self, at, half):
        """The upgrade by a server's writer, which dies; then the server does, so that the next start is a new one."""
        before = self.page.get(DIED)
        self.page.arm(at, half)
        try:
            self.server.start(is_sandbox=False)  # the supervisor starts the writer again, and that one finishes it
        finally:
            end_all(self.server.end)
        return self.page.get(DIED) > before

    def check(self, version):
        self.page.arm(0, 0)
        self.server.start()
        try:
            check_contents(self.server, version)
        finally:
            end_all(self.server.end)
        self.server.run("store", "check")
        if schema(self.data / "store.db") != self.wanted:
            raise Broken("the schema is not that of a new store")


def tries(choose, version, changes, effort):
    """[(schema, call, half, a second kill's call or 0, in the server?)]"""
    some, rounds = EFFORTS[effort]
    every = [(version, at, half) for at in range(1, changes + 1) for half in (0, 1)] * rounds
    chosen = every if some is None else choose.sample(every, min(some, len(every)))
    return [(*one, choose.choice((0, 0, choose.randint(1, changes))), choose.random() < 0.3) for one in chosen]


def one_try(bench, version, at, half, again, in_server):
    put_store(bench.data, version)
    killed = in_server and bench.kill_in_server(at, half)
    if not killed:
        # A server's writer does a little less than a command, which also closes the store: it may not have got that far.
        put_store(bench.data, version)
        killed = bench.kill_by_command(at, half)
    if not killed:
        raise Broken(f"no process died at change {at}")
    if again:
        bench.kill_by_command(again, half)  # which may have less to do than that
    bench.check(version)


def some_tries(plan, report):
    """A bench of its own for these."""
    outcome = Outcome(PROMISES[0])
    with report.directory(outcome, "upgrades") as directory:
        bench = Bench(directory, report)
        for version, at, half, again, in_server in plan:
            outcome.tries += 1
            try:
                one_try(bench, version, at, half, again, in_server)
            except Exception as problem:
                said = "; ".join((str(problem)[-1000:], *getattr(problem, "__notes__", ())))
                raise Broken(f"schema {version}, killed at change {at}{' in its middle' if half else ''}{f', then at {again}' if again else ''}"
                             f"{' in a server' if in_server else ''}: {type(problem).__name__}: {said}", lost=getattr(problem, "lost", 1)) from problem
    return outcome


def run(effort, seed, report):
    choose, total = random.Random(seed), Outcome(PROMISES[0])
    plan = []
    with report.directory(total, "upgrades that nobody kills") as directory:
        bench = Bench(directory, report)
        for version in VERSIONS:
            changes = bench.count_changes(version)
            bench.check(version)
            plan += tries(choose, version, changes, effort)
            total.figures[f"changes of schema {version}"] = changes
    size = max(1, min(10, len(plan) // processors()))
    for outcome in report.each(some_tries, [(plan[i:i + size],) for i in range(0, len(plan), size)], at_once=processors()):
        total.add(outcome)
    return [total]
