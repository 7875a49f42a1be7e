"""Real servers, for whoever has to do with them: the program named by the environment variable OSTIARY, in directories of their own."""
import json
import os
import pathlib
import poplib
import re
import select
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

from ports import free_port_base

OSTIARY = os.environ.get("OSTIARY", str(pathlib.Path(__file__).resolve().parents[2] / "build/ostiary"))
# What no process of a server may ever have said, whatever a test did to it.
FAULT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|sandbox: system call|process died .*signal=SIG(SYS|SEGV|BUS|ILL|FPE|ABRT)")
PATIENCE = 60  # seconds: generous, since the machine may be busy; never a measure of speed


def wait_until(test, what):
    end, pause = time.monotonic() + PATIENCE, 0.01
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(pause)
        pause = min(pause * 1.4, 0.3)  # a test that starts a program each time would keep a processor from the server that it waits for
    raise AssertionError(f"{what} did not happen within {PATIENCE} s")


def is_gone(pid):
    """Ended, or at least dead: an orphan stays a zombie where the first process collects none, as in a container."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def with_setting(text, line):
    name, value = (part.strip() for part in line.split("=", 1))
    again = re.compile(rf"^{re.escape(name)} = .*$", re.M)
    if again.search(text):
        return again.sub(lambda _: line, text)
    section, _, key = name.rpartition(".")
    table = re.search(rf"^{section} = \{{.*?\}}$", text, re.M | re.S) if section else None
    begin, end = table.span() if table else (0, len(text))
    place = re.compile(rf"\b{key} = (\"[^\"]*\"|\w+|\{{[^{{}}]*\}})") if table else re.compile(rf"^{re.escape(name)} = (.*)$", re.M)
    old = place.search(text, begin, end)
    return text[:old.start(1)] + value + text[old.end(1):] if old else f"{text}\n{line}\n"


class Server:
    """A sandbox server. `settings` are lines for its config file, see configure()."""

    sandbox_config = None  # what a sandbox writes, with places for its base and its directory

    def __init__(self, settings="", environment=None, binary=OSTIARY, options=(), parent=None):
        self.binary = binary
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-test-", dir=parent))
        self.base = free_port_base()
        self.config = self.directory / "ostiary.conf"
        self.environment = dict(os.environ, **(environment or {}))
        self.log_path = self.directory / "server.log"
        self.process = None
        if settings:
            self.config.write_text(self.plain_config())
            self.configure(settings)
        self.start()

    def port(self, standard):
        return self.base + standard

    def start(self, is_sandbox=True):
        """Waits until all its processes are ready. A server that is no sandbox does not look at its store beforehand, to make what is missing."""
        words = ["sandbox", "--dir", self.directory, "--port-base", str(self.base)] if is_sandbox else ["serve", "--config", self.config]
        ready, tell = os.pipe()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *words, "--ready-fd", str(tell), *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, pass_fds=[tell])
        os.close(tell)
        with os.fdopen(ready, "rb") as pipe:
            is_told = select.select([pipe], [], [], PATIENCE)[0] and pipe.readline() == b"ready\n"
        assert is_told, self.log()

    def plain_config(self):
        """What a sandbox would write for this one. Once in each process of pytest one is made to learn it."""
        if not Server.sandbox_config:
            plain = Server()
            text = plain.config.read_text()
            plain.close()
            assert text.count(str(plain.base)) == 2 and str(plain.directory) in text
            Server.sandbox_config = text.replace(str(plain.base), "@BASE@").replace(str(plain.directory), "@DIRECTORY@")
        return Server.sandbox_config.replace("@BASE@", str(self.base)).replace("@DIRECTORY@", str(self.directory))

    def greets(self, standard):
        try:
            with socket.create_connection(("127.0.0.1", self.port(standard)), 10) as s:
                return s.recv(3) in (b"220", b"+OK")
        except OSError:
            return False

    def configure(self, settings):
        """Lines of Lua, `section.name = value` or `name = value`: each replaces what the config file has of it."""
        text = self.config.read_text()
        for line in settings.splitlines():
            text = with_setting(text, line)
        self.config.write_text(text)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        return status

    def faults(self):
        """Lines of the log that no server may ever write."""
        return [line for line in self.log().splitlines() if FAULT.search(line)]

    def end(self):
        """Stops it if it runs, from whatever state it is in. The lines that it should not have written."""
        if self.process and self.process.poll() is None:
            self.stop()
        return self.faults()

    def close(self):
        bad, text = self.end(), self.log()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not bad, text[-8000:]

    def run(self, *words, check=True, text_input=None, config=None):
        """The command line on this server's config, or another one."""
        result = subprocess.run([self.binary, *words, "--config", config or self.config], capture_output=True, text=True, input=text_input,
                                env=self.environment, timeout=PATIENCE * 2)
        if check:
            assert result.returncode == 0, (words, result.stdout, result.stderr)
        return result

    def run_json(self, *words):
        return json.loads(self.run(*words, "--json").stdout)

    def children(self):
        """{pid: its words}, but for the helper that reads the black list, which comes and goes. What was forked a moment ago still has our words."""
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        out = {}
        for pid in path.read_text().split():
            try:
                out[int(pid)] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
        return {pid: words for pid, words in out.items() if words.startswith("ostiary process ")}

    def smtp(self, standard=25, **options):
        return smtplib.SMTP("127.0.0.1", self.port(standard), timeout=PATIENCE, **options)

    def raw(self, standard=25):
        return Raw(self.port(standard))

    def pop(self, user="alice@example.test", password="sandbox"):
        pop = poplib.POP3_SSL("127.0.0.1", self.port(995), timeout=PATIENCE, context=unverified())
        pop.user(user)
        pop.pass_(password)
        return pop

    def messages(self, user="alice@example.test", password="sandbox"):
        """The bodies of a maildrop, with LF line ends."""
        pop = self.pop(user, password)
        count = pop.stat()[0]
        out = [b"\n".join(pop.retr(i + 1)[1]) for i in range(count)]
        pop.quit()
        return out

    def send(self, text, to="alice@example.test", sender="someone@elsewhere.test"):
        with self.smtp() as smtp:
            return smtp.sendmail(sender, [to] if isinstance(to, str) else to, text)


class Raw:
    """A socket and lines: for what well-behaved clients never send."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.settimeout(PATIENCE)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """One line without its CRLF; b"" at the end."""
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                rest, self.buffer = self.buffer, b""
                return rest
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def reply(self):
        """A whole SMTP reply as (code, text)."""
        lines = []
        while True:
            line = self.line()
            lines.append(line[4:].decode(errors="replace"))
            if not line:
                return 0, ""
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    def ask(self, line):
        self.send(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def is_closed(self):
        return self.line() == b""

    def close(self):
        self.socket.close()


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
