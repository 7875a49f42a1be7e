"""One bit flips on the disk, in a page of the database or in a record of the volumes, while no server runs: `store check` finds it and says where; from the volumes
`store rebuild` makes the database anew with every message, flag and UID; of the volumes one message at most is lost, and never served as if it were whole.
"""
import poplib
import random
import re
import shutil
import sqlite3

from sandbox import PATIENCE, Server, unverified

from .promise import Broken, Outcome, processors

PROMISES = ("a bit flips in a page of the database: it is found, and a rebuild brings back every message, flag and UID",
            "a bit flips in a volume: it is found and named, one message at most is lost, and none is served torn")
EFFORTS = {"test": (1, 6, 4), "short": (2, 25, 12), "full": (8, 125, 60), "long": (40, 250, 125)}  # (campaigns, pages, records in each)
MESSAGES = 60
PAGE = 4096
SERVED_EACH = 5  # in every so many pages tried, the server is started on what is damaged
# All that the volumes promise to bring back.
TRUTH = {"domain": "id, name, kind, alias_of, next_hop", "account": "id, domain_id, local_part, name, enabled, quota, version", "credential": "*",
         "alias": "*", "alias_target": "*", "mailbox": "id, account_id, name, uidvalidity, uidnext, special_use, messages, bytes", "entry": "mailbox_id, uid, size, flags, message_id",
         "list": "id, domain_id, local_part, name, owner, posting", "list_member": "list_id, number, address", "door_item": "id, kind, level, owner_id, detail, name, value, locked"}


def truth_of(data):
    with sqlite3.connect(f"file:{data}/store.db?mode=ro", uri=True) as db:
        out = {table: sorted(db.execute(f"SELECT {columns} FROM {table}").fetchall(), key=str) for table, columns in TRUTH.items()}
        out["message"] = sorted(db.execute("SELECT id, size FROM message WHERE living > 0").fetchall())
    return out


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
            server.stop()
        except BaseException:
            self.close()
            raise
        self.mail = None
        self.start_and_read()
        shutil.copytree(self.data, self.whole)
        self.truth = truth_of(self.whole)

    def close(self):
        if self.server.process and self.server.process.poll() is None:
            self.server.stop()

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

    # ---- A page of the database ----

    def try_page(self, number):
        path = self.data / "store.db"
        offset, bit = self.choose.randrange(path.stat().st_size), self.choose.randrange(8)
        what = f"bit {bit} of byte {offset} of the database (page {offset // PAGE + 1})"
        flip(path, offset, bit)
        result = self.check()
        if result.returncode == 0:
            raise Broken(f"{what}: store check found nothing")
        if offset >= 100 and f"Page {offset // PAGE + 1} " not in result.stdout + result.stderr:
            raise Broken(f"{what}: store check does not name the page: {result.stdout}{result.stderr}")
        if number % SERVED_EACH == 0:
            self.serve_damaged(what)
        self.server.run("store", "rebuild")
        result = self.check()
        if result.returncode:
            raise Broken(f"{what}: not whole after store rebuild: {result.stdout}{result.stderr}")
        now = truth_of(self.data)
        for table, rows in self.truth.items():
            if now[table] != rows:
                lost, more = [r for r in rows if r not in now[table]], [r for r in now[table] if r not in rows]
                raise Broken(f"{what}: after store rebuild {table} lacks {lost[:3]} and has {more[:3]}", lost=len(lost), doubled=max(0, len(more) - len(lost)))

    def serve_damaged(self, what):
        """It may refuse to start, or to hand out mail; what it hands out is right."""
        try:
            self.server.start()
        except AssertionError:
            self.server.process.wait()
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
        volumes = sorted((self.data / "volumes").glob("*.vol"))
        path = self.choose.choices(volumes, [p.stat().st_size for p in volumes])[0]
        offset, bit = self.choose.randrange(path.stat().st_size), self.choose.randrange(8)
        what = f"bit {bit} of byte {offset} of {path.name}"
        flip(path, offset, bit)
        victim = self.message_at(int(path.stem), offset)
        result = self.check()
        if result.returncode == 0:
            raise Broken(f"{what}: store check found nothing")
        if victim and not re.search(rf"[Mm]essage {victim[0]}\b", result.stdout + result.stderr):
            raise Broken(f"{what}: store check does not name message {victim[0]}: {result.stdout}{result.stderr}")
        mail = self.start_and_read()
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
