"""The power fails at any instant: what is on the disk then may be less, and other, than what was written. Nothing acknowledged is lost.

recorder.c notes every write, sync and change of a name that the server makes while a load of everything goes on that reaches the disk: messages small and large, with one
recipient and with many, deletions, mail that goes out, aliases, accounts, lists at doors, backups, compactions, new volumes, checkpoints, a writer that dies and recovers,
stops, a database made anew, and starts. Each client notes where the recording was when it heard that something is done. power_check.c then makes the disk as it may be after a cut at each
moment (disk.h says what is modelled), has the store recover there, and compares.

Of all the cuts, some are looked at by the whole program: a server is started on what is left, and people fetch their mail.
"""
import hashlib
import mmap
import os
import pathlib
import random
import re
import shutil
import smtplib
import struct
import subprocess
import tempfile
import threading
import time
import typing

from sandbox import Server, wait_until
from scripted_server import Peer

from .load import REFUSED, put_off
from .promise import BROKEN_SHOWN, Broken, Outcome, end_all, processors

PROMISES = (
    "power lost at any instant: nothing acknowledged is lost, doubled or back",
    "power lost at any instant: no torn message is served",
    "power lost at any instant: the store starts by itself and checks clean",
    "power lost at any instant: the database can be made anew, with all of that in it",
    "power lost at any instant: the newest backup that was acknowledged is whole",
    "power lost: the whole program starts on what is left and serves it",
)
CUT_PROMISES, REBUILT, RESTORED, WHOLE = 3, 3, 4, 5


class Effort(typing.NamedTuple):
    steps: int  # of each worker
    cuts: int  # a random sample of so many; 0: all that there are
    has_prefixes: bool  # each prefix of the recording is tried, whole and torn, and the sample is of the other cuts
    rebuilt: int  # of so many cuts one
    whole: int  # cuts for the whole program


EFFORTS = {"test": Effort(20, 80, False, 10, 1), "short": Effort(30, 600, False, 20, 2), "full": Effort(60, 10000, True, 40, 20), "long": Effort(120, 0, True, 40, 100)}
PEOPLE = ("alice", "bob", "carol")
KINDS = ("mail", "alias", "account", "entry", "queued", "backup", "rebuild")  # of promises: promises.h
SETTINGS = """store.volume_size = "1M"
smtp.message_size = "1M"
store.compress_from = {}
store.compact_dead_percent = 20
client_networks = {{ "127.0.0.0/8" }}
submission.daily_recipients = 1000000
courier = {{ smart_host = "127.0.0.1:{}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}"""
MAGIC, BEGIN = 0x6F737469617279, 4096
WORDS = ("magic", "room", "device", "root", "tail", "end_at")  # struct recording: each 64 bits; then `lost` and `writers`, 32 each


class Recording:
    """The file that recorder.c writes: recording.h."""

    def __init__(self, path, room=4 << 30):
        self.path, self.room = path, room
        with path.open("wb") as f:
            f.truncate(room)
        path.chmod(0o666)
        with path.open("r+b") as f:
            self.page = mmap.mmap(f.fileno(), BEGIN)

    def get(self, word):
        return struct.unpack_from("=Q", self.page, 8 * WORDS.index(word))[0]

    def set(self, word, value):
        struct.pack_into("=Q", self.page, 8 * WORDS.index(word), value)

    def begin(self, directory):
        status = directory.stat()
        for word, value in (("room", self.room), ("device", status.st_dev), ("root", status.st_ino), ("tail", BEGIN), ("magic", MAGIC)):
            self.set(word, value)

    def now(self):
        return self.get("tail")

    def moments(self):
        """Where each entry ends."""
        with self.path.open("rb") as f, mmap.mmap(f.fileno(), self.now(), access=mmap.ACCESS_READ) as entries:
            at, ends = BEGIN, []
            while at < self.now():
                at += struct.unpack_from("=Q", entries, at)[0]
                ends.append(at)
        return ends

    def writers(self):
        return struct.unpack_from("=I", self.page, 8 * len(WORDS) + 4)[0]

    def lost(self):
        return struct.unpack_from("=I", self.page, 8 * len(WORDS))[0]


class Recorded(Server):
    """A server whose files are recorded from the first moment on."""

    def __init__(self, recording, library, *arguments, **options):
        self.recording, self.is_begun = recording, False
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        super().__init__(*arguments, environment={"LD_PRELOAD": str(library), "OSTIARY_RECORDING": str(recording.path),
                                                  "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0".strip(":")}, **options)

    def start(self):
        if not self.is_begun:
            self.recording.begin(self.directory)
            self.is_begun = True
        super().start()


def lines_of(rows):
    """As promises.h has them."""
    return "".join("\t".join((kind, name, *(str(value) for value in row.values()))) + "\n" for (kind, name), row in rows.items())


class Promises:
    """What clients were told, and when: promises.h has the lines."""

    def __init__(self, recording):
        self.recording, self.lock, self.rows, self.sent = recording, threading.Lock(), {}, 0

    def number(self):
        with self.lock:
            self.sent += 1
            return self.sent

    def ask(self, kind, name, text=None):
        """Before the request goes out."""
        digest = hashlib.sha256(text).hexdigest() if text is not None else "-"
        with self.lock:
            self.rows[kind, name] = {"begun": self.recording.now(), "made": 0, "ending": 0, "ended": 0, "size": len(text or b""), "digest": digest}

    def note(self, kind, name, word):
        """What has become of it: "made", "ending", "ended"."""
        now = self.recording.now()
        with self.lock:
            self.rows[kind, name][word] = now

    def names(self, kind):
        """Those that are there, as far as one can know."""
        with self.lock:
            return [name for (k, name), row in self.rows.items() if k == kind and row["made"] and not row["ending"]]

    def write(self, path):
        path.write_text(lines_of(self.rows))

    def check_kinds(self):
        """Of what was never promised nothing is known."""
        missing = [kind for kind in KINDS if not any(row["made"] for (k, _), row in self.rows.items() if k == kind)]
        if missing or not any(row["ended"] for (kind, _), row in self.rows.items() if kind == "mail"):
            raise Broken(f"nothing of this was acknowledged: {', '.join(missing) or 'a deletion'}")

    def must_have(self, name, moment):
        """The numbers of the messages that have to be in somebody's maildrop, and of those that must not be."""
        rows = [(int(who.split()[1]), row) for (kind, who), row in self.rows.items() if kind == "mail" and who.startswith(f"{name} ")]
        there = {number for number, row in rows if 0 < row["made"] <= moment and not 0 < row["ending"] <= moment}
        return there, {number for number, row in rows if 0 < row["ended"] <= moment}

    def is_whole(self, name, number, text):
        row = self.rows.get(("mail", f"{name} {number}"))
        return row and len(text) >= row["size"] and hashlib.sha256(text[len(text) - row["size"]:]).hexdigest() == row["digest"]

    def count(self):
        return sum(1 for row in self.rows.values() if row["made"])


class Sender:
    """Mail to one or more people here, and some to the other site."""

    def __init__(self, server, promises, seed):
        self.server, self.promises, self.choose, self.smtp = server, promises, random.Random(seed), None

    def text(self, number):
        lines = self.choose.choice((1, 1, 1, 20, 20, 20, 20, 200, 200, 9000 if self.choose.random() < 0.3 else 3))
        body = "".join(f"{self.choose.getrandbits(280):070x}\r\n" for _ in range(lines))  # nothing of it twice, so that no block looks like another
        return f"Subject: power {number}\r\n\r\n{body}".encode()

    def step(self):
        number = self.promises.number()
        text = self.text(number)
        here = self.choose.sample(PEOPLE, self.choose.randint(1, 3))
        there = [f"far-{number}@far.test"] if self.choose.random() < 0.2 else []
        for name in here:
            self.promises.ask("mail", f"{name} {number}", text)
        for address in there:
            self.promises.ask("queued", f"{address} {number}", text)
        try:
            self.smtp = self.smtp or self.server.smtp()
            refused = self.smtp.sendmail("load@elsewhere.test", [*(f"{name}@example.test" for name in here), *there], text)
        except REFUSED as problem:
            self.smtp = None
            put_off(problem, f"message {number}")
            return
        if refused:
            put_off(smtplib.SMTPRecipientsRefused(refused), f"message {number}")
        for name in here:
            if f"{name}@example.test" not in refused:
                self.promises.note("mail", f"{name} {number}", "made")
        for address in there:
            if address not in refused:
                self.promises.note("queued", f"{address} {number}", "made")


class Deleter:
    def __init__(self, server, promises, name, seed):
        self.server, self.promises, self.name, self.choose = server, promises, name, random.Random(seed)

    def step(self):
        try:
            self.session()
        except REFUSED as problem:
            put_off(problem, f"{self.name}'s session")

    def session(self):
        pop = self.server.pop(f"{self.name}@example.test")
        count = pop.stat()[0]
        marked = []
        for i in self.choose.sample(range(count), min(count, self.choose.randint(0, 12))):
            found = re.search(rb"^Subject: power (\d+)$", b"\n".join(pop.top(i + 1, 0)[1]), re.M)
            if found:
                pop.dele(i + 1)
                marked.append(f"{self.name} {int(found[1])}")
        for name in marked:
            self.promises.note("mail", name, "ending")
        if pop.quit().startswith(b"+OK"):
            for name in marked:
                self.promises.note("mail", name, "ended")
        time.sleep(0.05)  # not synchronisation: mail has to gather, or there is nothing to delete


class Changer:
    """By the command line: all that an administrator does to what is kept. It works while nothing breaks, so each command has to succeed."""

    KINDS = ("alias", "alias", "account", "entry", "entry", "compact", "backup")

    def __init__(self, server, promises, backup, seed):
        self.server, self.promises, self.backup, self.choose, self.count, self.deck = server, promises, backup, random.Random(seed), 0, []

    def step(self):
        self.count += 1
        number = self.count
        self.deck = self.deck or self.choose.sample(self.KINDS, len(self.KINDS))  # each kind soon, and again
        kind = self.deck.pop()
        if kind == "compact":
            self.run("store", "compact")
        elif kind == "backup":
            self.change("backup", f"backup-{number}", ("backup", self.backup))
        elif kind == "alias":
            self.change("alias", f"power-{number}@example.test", ("alias", "add", f"power-{number}@example.test", "bob@example.test"))
            self.drop("alias", lambda name: ("alias", "remove", name))
        elif kind == "account":
            self.change("account", f"person-{number}@example.test", ("account", "add", f"person-{number}@example.test", "--password-stdin"), text_input="sandbox\n")
            self.drop("account", lambda name: ("account", "remove", name, "--yes"))
        else:
            sender = f"friend-{number}@elsewhere.test"
            self.change("entry", sender, ("list", "add", "alice@example.test", "white", sender))
            self.drop("entry", lambda name: ("list", "remove", "alice@example.test", "white", name))

    def change(self, kind, name, words, **options):
        self.promises.ask(kind, name)
        self.run(*words, **options)
        self.promises.note(kind, name, "made")

    def drop(self, kind, words):
        names = self.promises.names(kind)
        if len(names) > 3 and self.choose.random() < 0.5:
            name = self.choose.choice(names)
            self.promises.note(kind, name, "ending")
            self.run(*words(name))
            self.promises.note(kind, name, "ended")

    def run(self, *words, **options):
        result = self.server.run(*words, check=False, **options)
        if result.returncode:
            raise Broken(f"'{' '.join(map(str, words))}' failed though nothing was broken: {result.stdout[-500:]}{result.stderr[-500:]}")


class Arrivals(list):
    """The other site's messages: from the moment that it has one, its entry may be gone from the queue."""

    def __init__(self, promises):
        super().__init__()
        self.promises = promises

    def append(self, message):
        super().append(message)
        for number in re.findall(r"far-(\d+)@far\.test", str(message)):
            name = f"far-{number}@far.test {number}"
            if not self.promises.rows[("queued", name)]["ending"]:
                self.promises.note("queued", name, "ending")


def work(workers, steps):
    """So many steps of each, side by side; a mistake in here is raised."""
    problems = []

    def steps_of(worker, count):
        try:
            for _ in range(count):
                worker.step()
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=steps_of, args=(worker, count), daemon=True) for worker, count in zip(workers, steps, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def end_writer(server, choose):
    """The writer dies at some moment soon, between two calls, and recovers: mail is taken again."""
    before = server.recording.writers()
    server.recording.set("end_at", server.recording.now() + choose.randrange(200_000))

    def is_back():
        is_another = server.recording.writers() > before
        try:
            server.send("Subject: wake up\r\n\r\n" + ("z" * 70 + "\r\n") * 200, "carol@example.test")
        except REFUSED as problem:
            put_off(problem, "mail while the writer is away")
            return False
        return is_another

    wait_until(is_back, "the end of the writer and its return")


def load(directory, library, seed, steps):
    """A recorded server with everything that was promised: (server, recording, promises). The server has stopped."""
    choose = random.Random(seed)
    recording = Recording(directory / "recording")
    promises = Promises(recording)
    peer = Peer()
    peer.messages = Arrivals(promises)
    server = Recorded(recording, library, SETTINGS.format(choose.choice((0, '"16K"', '"1K"')), peer.port), parent=directory)
    try:
        backup = server.directory / "backup"
        workers = [*(Sender(server, promises, seed + i) for i in range(3)), *(Deleter(server, promises, name, seed) for name in PEOPLE[:2]),
                   Changer(server, promises, backup, seed)]
        shares = (steps, steps, steps, steps // 4, steps // 4, steps // 3)
        work(workers, shares)
        end_writer(server, choose)
        for worker in workers[:3]:
            worker.smtp = None
        work(workers, shares)
        server.stop()
        promises.ask("rebuild", "rebuild")
        server.run("store", "rebuild")
        promises.note("rebuild", "rebuild", "made")
        server.start()
        for worker in workers[:3]:
            worker.smtp = None
        work(workers, [share // 2 for share in shares])
    finally:
        end_all(server.end, peer.close)
    if recording.lost():
        raise Broken("the recording had no room for all of it")
    promises.check_kinds()
    promises.write(directory / "promises")
    return server, recording, promises


FAULTS = {"lost": 0, "doubled": 0, "back": 0, "torn": 1, "start": 2, "check": 2}  # promises by the faults of promises.h
BLIND_ROUNDS = 20
PREFIXES, POSSIBLE_PREFIXES = "prefixes tried, whole and torn", "possible prefixes"  # figures
STAGES = {"rebuild": REBUILT, "restore": RESTORED}  # theirs, whatever the fault


def take_line(words, outcomes, seed):
    """Of what power_check says. A cut is one try, of however many promises."""
    if words[0] == "broken":
        fault, stage, cut, moment, sentence = words[1:6]
        outcome = outcomes[STAGES.get(stage, FAULTS[fault])]
        outcome.lost += fault in ("lost", "torn")
        outcome.doubled += fault in ("doubled", "back")
        if len(outcome.broken) < BROKEN_SHOWN:
            outcome.broken.append(f"power (seed {seed}), cut {cut} at {moment}: {sentence}")
    elif words[0] == "possible":
        outcomes[0].figures |= {POSSIBLE_PREFIXES: int(words[2]), "possible cuts": int(words[1])}
    elif words[0] == "prefixes":
        outcomes[0].figures[PREFIXES] = int(words[1])
    else:
        count = int(words[1])
        for outcome in {"tries": outcomes[:CUT_PROMISES], "rebuilt": [outcomes[REBUILT]], "restored": [outcomes[RESTORED]]}[words[0]]:
            outcome.tries += count
            outcome.again += count if outcome is not outcomes[0] else 0


def memory_directory():
    """Cuts are made in memory where there is some: nothing of them has to last."""
    place = pathlib.Path("/dev/shm")
    return tempfile.mkdtemp(prefix="ostiary-power-", dir=place if os.access(place, os.W_OK) else None)


def check_cuts(words, options):
    """What power_check says, line by line."""
    with subprocess.Popen([*words, *(str(option) for option in options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield line.rstrip("\n").split("\t")
        said = process.stderr.read()
    if process.returncode:
        raise Broken(f"power_check ended with {process.returncode}: {said[-500:]}")


def look_for_gaps(wanted, figures):
    if wanted.has_prefixes and figures[PREFIXES] != figures[POSSIBLE_PREFIXES]:
        raise Broken(f"of {figures[POSSIBLE_PREFIXES]} prefixes only {figures[PREFIXES]} were tried")


def look_blindly(words, seed):
    """A disk that only says that it syncs loses what was acknowledged: were that not found, nothing that is said here would mean anything. Most of such stores do not
    start at all, which is no answer, so other cuts are made until one does and lacks something."""
    found, place = set(), pathlib.Path(words[-1]) / "lying"
    for i in range(BLIND_ROUNDS):
        place.mkdir()
        options = ["--seed", seed + i, "--cuts", 60, "--jobs", processors(), "--lying"]
        found |= {said[1] for said in check_cuts([*words[:-1], place], options) if said[0] == "broken"}
        shutil.rmtree(place)  # what broke is kept there, and all of it is in memory
        if "lost" in found:
            return
    raise Broken(f"a disk that lies about its syncs was not found out, but for {sorted(found)}: the harness is blind")


def look_for_falsehoods(words, recording, promises, directory):
    """Promises that nobody kept, at the last moment, when everything is there: a message that was never sent, one that was other when it was sent, and an alias that
    was taken back. Each has to be found, in what was rebuilt and in the backup as well."""
    rows = promises.rows
    torn = next(name for name in promises.names("mail") if rows["mail", name]["size"])
    back = promises.names("alias")[0]
    rows = rows | {("mail", "alice 999999999"): dict(rows["mail", torn], begun=1, made=1), ("mail", torn): dict(rows["mail", torn], digest="0" * 64),
                   ("alias", back): dict(rows["alias", back], ending=1, ended=1)}
    path = directory / "false-promises"
    path.write_text(lines_of(rows))
    cut = f"{len(recording.moments()) - 1}:bare:0"
    found = {(said[2], said[1]) for said in check_cuts([*words[:2], path, *words[3:]], ["--only", cut]) if said[0] == "broken"}
    missed = {("cut", "lost"), ("cut", "torn"), ("cut", "back"), ("rebuild", "lost"), ("rebuild", "torn"), ("rebuild", "back"), ("restore", "lost")} - found
    if missed:
        raise Broken(f"false promises were not found out: {sorted(missed)}: the harness is blind")
    shutil.rmtree(pathlib.Path(words[-1]) / cut.replace(":", "-"))


def serve_what_is_left(server, recording, promises, words, outcome, choose):
    """A cut, and the whole program on what it left. False where there was nothing yet."""
    moments = recording.moments()
    first = min(row["made"] for row in promises.rows.values() if row["made"])
    number = choose.randrange(next(i for i, end in enumerate(moments) if end >= first), len(moments))
    cut = f"{number}:{choose.choice(('bare', 'journal', 'weak', 'prefix'))}:{choose.randrange(1 << 32)}"
    made = subprocess.run([*words, "--only", cut, "--make"], capture_output=True, text=True, check=True)
    left = pathlib.Path(words[-1]) / cut.replace(":", "-") / "data"
    if not left.is_dir():
        return False
    outcome.tries += 1
    data = server.directory / "data"
    shutil.rmtree(data)
    shutil.copytree(left, data)
    shutil.rmtree(left.parent)
    server.start()
    try:
        for name in PEOPLE:
            compare_maildrop(server, promises, name, moments[number], cut)
    finally:
        end_all(server.end)
    result = server.run("store", "check", check=False)
    if result.returncode:
        raise Broken(f"cut {cut}: store check: {result.stdout[-500:]}{result.stderr[-500:]} {made.stdout}")
    return True


def compare_maildrop(server, promises, name, moment, cut):
    there, gone = promises.must_have(name, moment)
    found = []
    pop = server.pop(f"{name}@example.test")
    for i in range(pop.stat()[0]):
        text = b"".join(line + b"\r\n" for line in pop.retr(i + 1)[1])
        number = re.search(rb"^Subject: power (\d+)\r$", text, re.M)
        if number:
            found.append(int(number[1]))
            if not promises.is_whole(name, found[-1], text):
                raise Broken(f"cut {cut}: message {found[-1]} of {name} is not what was sent", lost=1)
    pop.quit()
    lost, back, doubled = there - set(found), gone & set(found), len(found) - len(set(found))
    if lost or back or doubled:
        raise Broken(f"cut {cut}: {name}: lost {sorted(lost)[:10]}, back {sorted(back)[:10]}, {doubled} doubled", lost=len(lost), doubled=len(back) + doubled)


def run(effort, seed, report):
    outcomes = [Outcome(promise) for promise in PROMISES]
    wanted = EFFORTS[effort]
    with report.directory(outcomes[2], f"power (seed {seed})") as directory:
        server, recording, promises = load(directory, report.library("recorder"), seed, wanted.steps)
        outcomes[0].figures = {"acknowledged": promises.count(), "recorded bytes": recording.now() - BEGIN}
        cut_directory = memory_directory()
        words = [report.tool("power_check"), recording.path, directory / "promises", server.config, cut_directory]
        try:
            options = ["--seed", seed, "--jobs", processors(), "--rebuild", wanted.rebuilt]
            options += ["--cuts", wanted.cuts] if wanted.cuts else []
            options += ["--prefixes"] if wanted.has_prefixes else []
            for said in check_cuts(words, options):
                take_line(said, outcomes, seed)
            look_for_gaps(wanted, outcomes[0].figures)
            look_blindly(words, seed)
            look_for_falsehoods(words, recording, promises, directory)
            server.environment = dict(os.environ)
            choose = random.Random(seed)
            while outcomes[WHOLE].tries < wanted.whole:
                serve_what_is_left(server, recording, promises, words, outcomes[WHOLE], choose)
        finally:
            if not any(outcome.broken for outcome in outcomes):
                shutil.rmtree(cut_directory, ignore_errors=True)
        if any(outcome.broken for outcome in outcomes):
            raise Broken(f"the cuts that broke something are in {cut_directory}")
    return outcomes
