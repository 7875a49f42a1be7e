"""What the bench knows of a server: one class for each, all with this interface.

A peer is made with a directory of its own (all peers' on the same file system), gets its mailboxes, and is started. Its configuration is a sensible
one for production; each line in it that a load test asks for has its reason beside it. Nothing is made slower or less safe than as it ships.

    class Thing(Peer):
        name, title        a word for files and options; the words for people
        parts              what can be measured with it: receive, relay, pop3, idle-smtp, idle-pop3, startup, disk
        durability         a sentence: what is synced before the client hears 250
"""
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import cgroup

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "tests/system"))  # last: it has a postfix.py and a dovecot.py of its own
from ports import free_port  # noqa: E402  (ports nobody else on this machine uses)

DOMAIN = "example.test"
HOST = f"mail.{DOMAIN}"
SINK_DOMAIN = "sink.test"  # mail for it is relayed to `sink_port`
PASSWORD = "correct-horse-battery"
# One hash for all, made once a run: SHA512-CRYPT of 5,000 rounds, which every server here can check.
PASSWORD_HASH = subprocess.run(["openssl", "passwd", "-6", "-salt", "ostiarybench", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
PATIENCE = 60


class BenchError(Exception):
    """What went wrong, in words for whoever runs the bench."""


def gate_of(directory, number):
    """The pipe at which a command waits to execute its server, and the file that says that it is there."""
    return directory / f"gate-{number}", directory / f"at-gate-{number}"


def wait_at_gate(directory, number=0):
    """Lines of shell: what a command of a server has to do before it executes the server, whose clock starts behind them."""
    gate, there = gate_of(directory, number)
    if not gate.exists():
        os.mkfifo(gate)
    there.unlink(missing_ok=True)  # of a start that failed
    return [f": >{shlex.quote(str(there))}", f"read -r _ <{shlex.quote(str(gate))}"]


def wait_for(what, test, seconds=PATIENCE, pause=0.01):
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"{what} did not happen within {seconds} s")
        time.sleep(pause)


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **more)
    if done.returncode:
        raise BenchError(f"{' '.join(map(str, argv))} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def make_certificate(directory):
    """(certificate, key): ECDSA P-256, self-signed; the same pair for all peers of a run."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    if not certificate.exists():
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={HOST}",
            "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", certificate)
        key.chmod(0o644)  # servers read it as users of their own; it protects nothing
    return certificate, key


def allocated_bytes(directory):
    """By blocks, as du counts: what the disk gave; a file with several names once."""
    total, seen = 0, set()
    for place, _, names in os.walk(directory):
        for path in [place, *(os.path.join(place, n) for n in names)]:
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


class Peer:
    name = title = durability = ""
    parts = frozenset()
    credential = f"{{SHA512-CRYPT}}{PASSWORD_HASH}"  # of all mailboxes, as Dovecot writes it; set before add_mailboxes()
    lacks = {}  # what it can't do, by "starttls": the reason
    greets_at = "smtp"  # the port whose greeting says that it is up
    is_in_view = False  # its command is of packages.in_view(), which waits at the gate itself

    def __init__(self, work, sink_port=None, connections=100):
        """`work` is the run's directory. `sink_port`: where mail for SINK_DOMAIN goes, and clients on loopback may send it there.
        `connections`: how many at a time it has to hold."""
        self.work, self.sink_port, self.connections = work, sink_port, connections
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=work))
        self.directory.chmod(0o755)
        self.smtp_port, self.submission_port, self.pop3_port = free_port(), free_port(), free_port()
        self.certificate, self.key = make_certificate(work)
        self.processes, self.group, self.mailboxes = [], None, 0
        self.prepare()

    # ---- What each peer says for itself ----

    def prepare(self):
        """Writes configuration and directories."""

    def commands(self):
        """What to execute, each in the foreground, in this order."""
        raise NotImplementedError

    def add_mailboxes(self, count):
        """Makes u0 to u(count-1)@DOMAIN with PASSWORD, before start()."""
        raise NotImplementedError

    def delivered(self):
        """How many copies are durable in mailboxes since the last clear(), or since the start."""
        raise NotImplementedError

    def delivered_at(self):
        """When the last of them came there, by the wall clock; None: the client's last reply said so."""
        return None

    def queued(self):
        """How many messages wait to be delivered anywhere."""
        raise NotImplementedError

    def queue_directories(self):
        """Where messages wait as files; what is below them may be removed while it is stopped."""
        return []

    def empty_queue(self):
        for directory in self.queue_directories():
            for place, _, names in os.walk(directory):
                for name in names:
                    os.unlink(os.path.join(place, name))

    def clear(self):
        """Removes all mail from mailboxes."""
        raise NotImplementedError

    def mail_directories(self):
        """Where the mail lies, whatever belongs to it included."""
        raise NotImplementedError

    def log(self):
        """The end of what it logged, for error messages."""
        path = self.directory / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    @classmethod
    def version(cls):
        raise NotImplementedError

    # ---- The same for all ----

    def port(self, service):
        return {"smtp": self.smtp_port, "submission": self.submission_port, "pop3": self.pop3_port}[service]

    def greets(self, service):
        try:
            with socket.create_connection(("127.0.0.1", self.port(service)), 10) as s:
                return s.recv(4)[:3] in (b"220", b"+OK")
        except OSError:
            return False

    def start(self):
        """Seconds from exec until the first greeting. To enter the group that is counted, and to make a view, are no part of it."""
        self.group = cgroup.new_group(self.name)
        with open(self.directory / "output", "ab") as output:
            for number, argv in enumerate(self.commands()):
                if not self.is_in_view:
                    argv = ["/bin/sh", "-c", "\n".join([*wait_at_gate(self.directory, number), 'exec "$0" "$@"']), *argv]
                process = subprocess.Popen(self.group.command(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
                self.processes.append(process)
                if isinstance(self.group, cgroup.ProcessTree):
                    self.group.roots.append(process.pid)
        began = self.open_gates()
        end = began + PATIENCE
        while not self.greets(self.greets_at):
            if any(p.poll() not in (None, 0) for p in self.processes) or time.monotonic() > end:
                output = (self.directory / "output").read_text(errors="replace")[-2000:]
                self.stop()
                raise BenchError(f"{self.title} does not start: {output}{self.log()}")
            time.sleep(0.001)
        return time.monotonic() - began

    def open_gates(self):
        """When the server itself was executed."""
        gates = [gate_of(self.directory, number) for number in range(len(self.processes))]
        for (_, there), process in zip(gates, self.processes):
            wait_for(f"the gate of {self.title}", lambda there=there, process=process: there.exists() or process.poll() is not None)
        began = time.monotonic()
        for gate, there in gates:
            if there.exists():
                there.unlink()
                gate.write_text("\n")
        return began

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        group, self.group = self.group, None
        if group:
            try:
                group.close()
            except TimeoutError as problem:
                raise BenchError(f"{self.title} does not end: {problem}") from problem

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pids(self):
        return self.group.pids()

    def cpu_seconds(self):
        return self.group.cpu_seconds()

    def settle(self, seconds=5):
        """Waits until it has nothing left to do: what it puts off belongs to the bill, too."""
        end, before = time.monotonic() + seconds, self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(0.1)
            after = self.cpu_seconds()
            if after - before < 0.001:
                return
            before = after

    def resident_kib(self):
        """Proportional set size of all its processes: what is really there, shared pages divided among those who share them."""
        total = 0
        for pid in self.pids():
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue  # it ended meanwhile
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return total

    def data_bytes(self):
        return sum(allocated_bytes(d) for d in self.mail_directories())


class MaildirPeer(Peer):
    """Mail in DIRECTORY/mail/uN/new, a file each."""

    owner = "nobody"
    folder = ""  # between the user's directory and new

    def user_directory(self, number):
        return self.directory / "mail" / f"u{number}" / self.folder

    def add_mailboxes(self, count):
        owner = pwd.getpwnam(self.owner)
        (self.directory / "mail").mkdir(exist_ok=True)
        for number in range(count):
            for part in ("new", "cur", "tmp"):
                (self.user_directory(number) / part).mkdir(parents=True, exist_ok=True)
        for place, names, _ in os.walk(self.directory / "mail"):
            os.chown(place, owner.pw_uid, owner.pw_gid)
        self.mailboxes = count

    def new_directories(self):
        return [self.user_directory(n) / "new" for n in range(self.mailboxes)]

    def delivered(self):
        return sum(len(os.listdir(d)) for d in self.new_directories())

    def delivered_at(self):
        """A file that is moved or linked into a directory changes its time."""
        return max(os.stat(d).st_mtime_ns for d in self.new_directories()) / 1e9

    def clear(self):
        for number in range(self.mailboxes):
            for part in ("new", "cur", "tmp"):
                directory = self.user_directory(number) / part
                for name in os.listdir(directory):
                    os.unlink(directory / name)

    def mail_directories(self):
        return [self.directory / "mail"]


def files_below(*directories):
    return sum(len(names) for d in directories for _, _, names in os.walk(d))


def first_line(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def as_json(*argv):
    return json.loads(run(*argv))
