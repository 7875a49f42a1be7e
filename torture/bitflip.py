"""One bit flips on the disk, in a page of the database or in a record of the volumes, while no server runs: `store check` finds it and says where; from the volumes
`store rebuild` makes the database anew with every message, flag and UID; of the volumes one record at most is lost, and never served as if it were whole.
"""
import os
import poplib
import random
import re
import shutil
import sqlite3
import struct
import subprocess

from sandbox import PATIENCE, Server, unverified

from .promise import Broken, Outcome, end_all, processors

PROMISES = ("a bit flips in a page of the database: it is found, and a rebuild brings back every message, flag and UID",
            "a bit flips in a record of a volume: it is found and named, that record at most is lost, also to a rebuild, and none is served torn")
EFFORTS = {"test": (1, 6, 4), "short": (2, 25, 12), "full": (8, 125, 60), "long": (40, 250, 125)}  # (campaigns, pages, records in each)
MESSAGES = 60
PAGE, DATABASE_HEADER = 4096, 100
SERVED_EACH = 5  # in every so many pages tried, the server is started on what is damaged
# volume_record.h: how a record's header begins, up to the size of its body in the volume, and the types.
HEADER = struct.Struct("<IHHIIQQQQ")
HEADER_SIZE, MAGIC = 72, 0x5254534f
TYPES = ("", "volume", "message", "entry", "expunge", "mailbox", "mailbox-removed", "domain", "domain-removed", "account", "account-removed", "alias", "alias-removed",
         "queue", "list", "list-removed", "door-item", "door-item-removed", "remote-seen")
# What people's own programs knew of their mail: (folder, flags).
IMPORTED = (("", "S"), ("", "FS"), ("", "RS"), ("", ""), ("", "DFRS"), (".Archive", "S"), (".Archive", "F"), (".Archive", "RT"))
# All that the volumes promise to bring back.
TRUTH = {"domain": "id, name, kind, alias_of, next_hop", "account": "id, domain_id, local_part, name, enabled, quota, version", "credential": "*",
         "alias": "*", "alias_target": "*", "mailbox": "id, account_id, name, uidvalidity, uidnext, special_use, messages, bytes", "entry": "mailbox_id, uid, size, flags, message_id",
         "list": "id, domain_id, local_part, name, owner, posting", "list_member": "list_id, number, address", "door_item": "id, kind, level, owner_id, detail, name, value, locked"}


def truth_of(data):
    with sqlite3.connect(f"file:{data}/store.db?mode=ro", uri=True) as db:
        out = {table: sorted(db.execute(f"SELECT {columns} FROM {table}").fetchall(), key=str) for table, columns in TRUTH.items()}
        out["message"] = sorted(db.execute("SELECT id, size FROM message WHERE living > 0").fetchall())
    return out


def records_of(path):
    """[(position, size, type)] of a volume without a fault."""
    out, data, position = [], path.read_bytes(), 0
    while position < len(data):
        magic, kind, _, _, facts, _, _, _, body = HEADER.unpack_from(data, position)
        if magic != MAGIC:
            raise Broken(f"{path.name} has no record at {position}: is its layout another one?")
        out.append((position, HEADER_SIZE + facts + body, TYPES[kind]))
        position += out[-1][1]
    return out


def look_whether_found(result, what, *names):
    """`store check` said that something is wrong, and named all these (regular expressions). Anything but its own two ways to end is no finding: it may have crashed."""
    said = result.stdout + result.stderr
    if result.returncode not in (os.EX_DATAERR, os.EX_CANTCREAT):
        raise Broken(f"{what}: store check {'found nothing' if result.returncode == 0 else f'ended with {result.returncode}'}: {said[-1000:]}")
    for name in names:
        if not re.search(name, said):
            raise Broken(f"{what}: store check does not say {name!r}: {said[-1000:]}")


def compare(what, whole, now):
    """Each table, and each row of it."""
    for table, rows in whole.items():
        if now[table] != rows:
            lost, more = [r for r in rows if r not in now[table]], [r for r in now[table] if r not in rows]
            raise Broken(f"{what}: after store rebuild {table} lacks {lost[:3]} and has {more[:3]}", lost=len(lost), doubled=max(0, len(more) - len(lost)))


# The directory's tables, whose first column says which thing a row is of, and the one in which a record of that type is that thing.
THINGS = {"domain": "domain", "account": "account", "credential": "account", "alias": "alias", "alias_target": "alias", "list": "list", "list_member": "list",
          "door_item": "door-item"}


def compare_but_for(what, whole, now, kind, victim):
    """What a rebuild made of volumes in which one record of that kind, perhaps that of the message `victim`, can't be read: all else is there, under its UIDs, with its
    flags, and nothing is there that was never."""
    lost = [row for row in whole["entry"] if row not in now["entry"] and row[-1] != victim]
    lost += [row for row in whole["message"] if row not in now["message"] and row[0] != victim]
    if lost:
        raise Broken(f"{what}: after store rebuild these are missing, too: {lost[:5]}", lost=len(lost))
    known = {row[:2] for row in whole["entry"]}
    more = [row for row in now["entry"] if row not in whole["entry"]]
    if more and (kind != "expunge" or any(row[:2] in known for row in more)):  # what the lost record deleted is back
        raise Broken(f"{what}: after store rebuild there is {more[:5]}", doubled=len(more))
    boxes = {row[0]: row for row in now["mailbox"]}
    held = {row[0] for row in whole["entry"] if row[-1] != victim}
    for row in whole["mailbox"]:
        found = boxes.get(row[0])
        # id, account_id, name, uidvalidity; an empty one is known by its own record and its account's alone.
        if (found or row[0] in held or kind not in ("mailbox", "account")) and (not found or found[:4] != row[:4]):
            raise Broken(f"{what}: after store rebuild the mailbox {row} is {found}", lost=1)
    for table, of in THINGS.items():
        changed = {row[0] for row in set(whole[table]) ^ set(now[table])}
        if len(changed) > (1 if kind == of else 0):
            raise Broken(f"{what}: after store rebuild {table} has {now[table][:5]} instead of {whole[table][:5]}", lost=len(changed))


def flip(path, offset, bit):
    with path.open("r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 1 << bit]))


class Store:
    """A store with mail of all kinds, put back before each try."""

    def __init__(self, directory, seed):
        self.choose = random.Random(seed)
        self.server = server = Server('store.volume_size = "1M"\nsmtp.message_size = "1M"', parent=directory)
        self.data, self.whole = server.directory / "data", server.directory / "whole"
        try:
            server.run("alias", "add", "both@example.test", "alice@example.test", "bob@example.test")
            server.run("mailinglist", "add", "crew@example.test")
            server.run("mailinglist", "join", "crew@example.test", "carol@example.test")
            server.run("rules", "set", "bob@example.test", "sender-tld=on")
            with server.smtp() as smtp:
                for number in range(MESSAGES):
                    body = "".join(f"{self.choose.getrandbits(280):x} words {number}\r\n" for _ in range(self.choose.choice((1, 10, 10, 300, 1500))))
                    to = self.choose.choice((["alice@example.test"], ["alice@example.test"], ["both@example.test"]))
                    smtp.sendmail("a@elsewhere.test", to, f"Subject: flip {number}\r\n\r\n{body}")
            pop = server.pop()
            for number in self.choose.sample(range(1, pop.stat()[0] + 1), 15):
                pop.dele(number)
            pop.quit()
            self.bring_flags()
            server.stop()
        except BaseException:
            self.close()
            raise
        self.mail = None
        self.start_and_read()
        shutil.copytree(self.data, self.whole)
        self.truth = truth_of(self.whole)
        self.records = [(path.name, *record) for path in sorted((self.whole / "volumes").glob("*.vol")) for record in records_of(path)]
        flags = {row[3] for row in self.truth["entry"]}
        if len(flags) < 4:
            raise Broken(f"of the flags that were imported there are {flags}: nothing to bring back")

    def bring_flags(self):
        """No session sets any yet, so they come from a Maildir."""
        maildir = self.server.directory / "maildir"
        for number, (folder, letters) in enumerate(IMPORTED):
            (maildir / folder / "cur").mkdir(parents=True, exist_ok=True)
            (maildir / folder / "cur" / f"{1790000000 + number}.M1.host:2,{letters}").write_text(f"Subject: brought {number}\n\nflags {letters}\n")
        for name in ("alice", "bob"):
            self.server.run("mail", "import", "--account", f"{name}@example.test", str(maildir))

    def close(self):
        end_all(self.server.end)

    def put_back(self):
        shutil.rmtree(self.data)
        shutil.copytree(self.whole, self.data)

    def log_in(self, name):
        """A session, and its messages: {UIDL: number}."""
        pop = poplib.POP3_SSL("127.0.0.1", self.server.port(995), timeout=PATIENCE, context=unverified())
        pop.user(f"{name}@example.test")
        pop.pass_("sandbox")
        return pop, {line.split()[1].decode(): int(line.split()[0]) for line in pop.uidl()[1]}

    def read(self, name):
        """{UIDL: text}, None for one that can't be read: then the session is over, too."""
        pop, numbers = self.log_in(name)
        out = {}
        for uidl in sorted(numbers):
            try:
                out[uidl] = b"\n".join(pop.retr(numbers[uidl])[1])
            except (poplib.error_proto, OSError, EOFError):
                out[uidl] = None
                pop.close()
                pop, numbers = self.log_in(name)
        pop.close()
        return out

    def start_and_read(self):
        """The mail of both people from a running server; the first time that is how it has to be."""
        self.server.start()
        try:
            mail = {name: self.read(name) for name in ("alice", "bob")}
        finally:
            self.server.stop()
        if self.mail is None:
            self.mail = mail
        return mail

    def check(self):
        return self.server.run("store", "check", check=False)

    def look_for_crashes(self, what):
        """Whoever meets damage says so and refuses."""
        faults = self.server.faults()
        if faults:
            raise Broken(f"{what}: a process broke: {faults[:3]}")

    # ---- A page of the database ----

    def try_page(self, number):
        path = self.data / "store.db"
        offset, bit = self.choose.randrange(path.stat().st_size), self.choose.randrange(8)
        what = f"bit {bit} of byte {offset} of the database (page {offset // PAGE + 1})"
        flip(path, offset, bit)
        # A database whose header is damaged may be none to the check; else it names the page.
        look_whether_found(self.check(), what, "[Dd]atabase|Page 1 " if offset < DATABASE_HEADER else f"Page {offset // PAGE + 1} ")
        if number % SERVED_EACH == 0:
            self.serve_damaged(what)
            self.look_for_crashes(what)
        self.server.run("store", "rebuild")
        result = self.check()
        if result.returncode:
            raise Broken(f"{what}: not whole after store rebuild: {result.stdout}{result.stderr}")
        compare(what, self.truth, truth_of(self.data))

    def serve_damaged(self, what):
        """It may refuse to start, and then ends by itself, or to hand out mail; what it hands out is right."""
        try:
            self.server.start()
        except AssertionError as problem:
            try:
                self.server.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.server.stop()
                raise Broken(f"{what}: the server neither starts nor gives up") from problem
            return
        try:
            for name, whole in self.mail.items():
                try:
                    mail = self.read(name)
                except (poplib.error_proto, OSError, EOFError):
                    continue
                wrong = [uidl for uidl, text in mail.items() if text is not None and whole.get(uidl) != text]
                if wrong:
                    raise Broken(f"{what}: {name} was served what was never sent: {wrong[:3]}", lost=len(wrong))
        finally:
            self.server.stop()

    # ---- A record of a volume ----

    def message_at(self, volume, offset):
        with sqlite3.connect(f"file:{self.whole}/store.db?mode=ro", uri=True) as db:
            return db.execute("SELECT id FROM message WHERE living > 0 AND volume = ? AND position <= ? AND position + stored > ?", (volume, offset, offset)).fetchone()

    def try_record(self, _):
        name, position, size, kind = self.choose.choice(self.records)
        path, offset, bit = self.data / "volumes" / name, position + self.choose.randrange(size), self.choose.randrange(8)
        what = f"bit {bit} of byte {offset - position} of the {kind} record at {position} of {name}"
        flip(path, offset, bit)
        victim = (self.message_at(int(path.stem), offset) or (None,))[0]
        look_whether_found(self.check(), what, rf"[Vv]olume {path.stem}\b", *([rf"[Mm]essage {victim}\b"] if victim else []))
        mail = self.start_and_read()
        self.look_for_crashes(what)
        failed = set()
        for name, whole in self.mail.items():
            if set(mail[name]) != set(whole):
                raise Broken(f"{what}: {name} has other messages than before", lost=len(set(whole) - set(mail[name])))
            torn = [uidl for uidl, text in mail[name].items() if text is not None and text != whole[uidl]]
            if torn:
                raise Broken(f"{what}: {name} was served a torn message: {torn}", lost=len(torn))
            failed |= {whole[uidl] for uidl, text in mail[name].items() if text is None}
        if len(failed) > (1 if victim else 0):
            raise Broken(f"{what}: {len(failed)} messages can't be read", lost=len(failed))
        self.server.run("store", "rebuild")
        compare_but_for(what, self.truth, truth_of(self.data), kind, victim)
        beside = [line for line in self.check().stdout.splitlines()[:-1] if not line.startswith(f"Volume {path.stem}")]
        if beside:
            raise Broken(f"{what}: store check says more of what was rebuilt: {beside[:3]}")


def campaign(seed, tries, kind, report):
    outcome = Outcome(PROMISES[kind])
    with report.directory(outcome, f"campaign {seed} of {tries} tries") as directory:
        store = Store(directory, seed)
        try:
            for number in range(tries):
                store.put_back()
                (store.try_page, store.try_record)[kind](number)
                outcome.tries += 1
        finally:
            store.close()
    return outcome


def run(effort, seed, report):
    campaigns, pages, records = EFFORTS[effort]
    choose = random.Random(seed)
    outcomes = [Outcome(promise) for promise in PROMISES]
    plan = [(choose.randrange(1 << 30), tries, kind) for _ in range(campaigns) for kind, tries in enumerate((pages, records))]
    for outcome in report.each(campaign, plan, at_once=processors()):
        outcomes[PROMISES.index(outcome.promise)].add(outcome)
    return outcomes
