"""What goes on, as `ostiary watch` and `ostiary clients` show it."""
import fcntl
import json
import os
import poplib
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from conftest import PATIENCE, unverified, wait_until


def fail_to_log_in(server, name="alice", password="wrong"):
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    pop.user(name)
    with pytest.raises(poplib.error_proto):
        pop.pass_(password)
    pop.close()


def refused_recipient(server, recipient="nobody@example.test", sender="spammer@elsewhere.test"):
    client = server.raw()
    assert client.reply()[0] == 220
    assert client.ask("EHLO spam.elsewhere.test")[0] == 250
    assert client.ask(f"MAIL FROM:<{sender}>")[0] == 250
    assert client.ask(f"RCPT TO:<{recipient}>")[0] == 550
    client.close()


def connections(server, service):
    return [c for c in server.run_json("watch", "--once")["connections"] if c["service"] == service]


def test_connections(server):
    client = server.raw()
    assert client.reply()[0] == 220
    [seen] = connections(server, "smtp")
    assert seen["peer_address"] == "127.0.0.1" and seen["account"] == "" and seen["messages"] == 0 and seen["refused"] == 0
    assert client.ask("NONSENSE")[0] == 500
    client.ask("EHLO x.test")
    client.ask("MAIL FROM:<a@elsewhere.test>")
    client.ask("RCPT TO:<bob@example.test>")
    assert client.ask("DATA")[0] == 354
    assert client.ask("Subject: x\r\n\r\nx\r\n.")[0] == 250
    [after] = connections(server, "smtp")
    assert (after["messages"], after["refused"], after["session"]) == (1, 1, seen["session"])
    client.close()
    wait_until(lambda: not connections(server, "smtp"), "the end of the connection")
    pop = server.pop()
    [seen] = connections(server, "pop3s")
    assert seen["account"] == "alice@example.test"
    assert server.run_json("watch", "--once")["services"] == {"pop3s": 1}
    text = server.run("watch", "--once").stdout
    assert re.search(r"^pop3s +127\.0\.0\.1 .* alice@example\.test$", text, re.M)
    pop.quit()


def test_many_connections_and_dead_gates(fresh):
    server = fresh()
    clients = [server.raw() for _ in range(40)]
    for client in clients:
        assert client.reply()[0] == 220
    assert len(connections(server, "smtp")) == 40
    for pid, words in server.children().items():
        if " gate " in f" {words} ":
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not connections(server, "smtp"), "the board without the dead")
    for client in clients:
        client.close()
    wait_until(lambda: server.greets(25), "the gates' return")
    client = server.raw()
    assert client.reply()[0] == 220
    wait_until(lambda: len(connections(server, "smtp")) == 1, "one connection")
    client.close()


def test_events(fresh):
    server = fresh()
    fail_to_log_in(server)
    refused_recipient(server)
    state = server.run_json("watch", "--once")
    login, recipient = state["events"][:2]
    assert login["kind"] == "login refused" and login["account"] == "alice@example.test"
    assert login["reason"] == "wrong password" and login["peer_address"] == "127.0.0.1" and login["delay_ms"] == 0
    assert recipient["kind"] == "unknown recipient" and recipient["recipient"] == "nobody@example.test"
    assert recipient["reverse_path"] == "spammer@elsewhere.test" and recipient["code"] == 550
    log = server.log()
    assert re.search(r" 1 FAILURE auth \S+ login refused service=pop3 ip=127\.0\.0\.1 login=alice@example\.test mechanism=PLAIN "
                     r'reason="wrong password"', log)
    assert re.search(r" 1 FAILURE smtp \S+ recipient refused.*ip=127\.0\.0\.1.*from=spammer@elsewhere\.test.*rcpt=nobody@example\.test", log)
    fail_to_log_in(server)  # the second one is delayed
    events = server.run_json("watch", "--once")["events"]
    assert events[-1]["delay_ms"] == 500


class Follower:
    """The command in the background; its lines gather in `lines`."""

    def __init__(self, server, *words):
        self.process = subprocess.Popen([server.binary, "watch", *words, "--config", server.config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=server.environment)
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def wait_for(self, count):
        wait_until(lambda: len(self.lines) >= count, f"{count} lines")
        return self.lines

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return status


def test_lines_as_they_happen(fresh):
    server = fresh()
    text, program = Follower(server), Follower(server, "--json")
    try:
        refused_recipient(server)
        [line] = text.wait_for(1)
        assert re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ unknown recipient ip=127\.0\.0\.1 from=spammer@elsewhere\.test "
                        r"rcpt=nobody@example\.test reply=550 reason=\S", line)
        fail_to_log_in(server)
        assert "login refused" in text.wait_for(2)[1]
        records = [json.loads(line) for line in program.wait_for(2)]
        assert [r["kind"] for r in records] == ["unknown recipient", "login refused"]
        assert [r["number"] for r in records] == [1, 2]
        server.stop()
        assert text.process.wait(PATIENCE) == 75
        assert "the server went away" in text.process.stderr.read()
    finally:
        text.end()
        program.end()


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, server, rows=30, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(server.binary, [server.binary, "watch", "--config", str(server.config)], dict(server.environment, TERM="xterm"))
        self.output = b""
        self.status = None
        self.resize(rows, columns)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        try:
            while data := os.read(self.fd, 65536):
                self.output += data
        except OSError:
            pass

    def last_screen(self):
        """The rows of the last one that was painted whole."""
        screens = self.output.split(b"\x1b[H")
        whole = [s for s in screens[1:] if s.endswith(b"\x1b[J") or b"\x1b[J" in s]
        return [row.replace("\x1b[K", "").rstrip("\r") for row in whole[-1].decode().split("\x1b[J")[0].split("\r\n")] if whole else []

    def press(self, keys):
        os.write(self.fd, keys)

    def end(self):
        _, self.status = os.waitpid(self.pid, 0)
        self.reader.join(PATIENCE)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(self.status)


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_screen(server, key):
    client = server.raw()
    assert client.reply()[0] == 220
    terminal = Terminal(server)
    wait_until(lambda: any(row.startswith("smtp ") for row in terminal.last_screen()), "the connection")
    assert "\x1b[?1049h" in terminal.output.decode()
    refused_recipient(server, recipient=f"nobody-{key[0]}@example.test")
    wait_until(lambda: terminal.last_screen()[-1:] and f"nobody-{key[0]}@" in terminal.last_screen()[-1], "the refusal at the end")
    assert len(terminal.last_screen()) <= 30 and all(len(row) <= 100 for row in terminal.last_screen())
    terminal.resize(8, 40)
    wait_until(lambda: len(terminal.last_screen()) <= 8 and all(len(row) <= 40 for row in terminal.last_screen()), "a smaller screen")
    terminal.press(b"x")
    terminal.press(key)
    assert terminal.end() == 0
    assert terminal.output.endswith(b"\x1b[?25h\x1b[?1049l")
    client.close()


def test_screen_given_back_at_a_signal(server):
    terminal = Terminal(server)
    wait_until(terminal.last_screen, "a screen")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.end() == -signal.SIGTERM
    assert terminal.output.endswith(b"\x1b[?25h\x1b[?1049l")


def test_without_a_server(fresh):
    server = fresh()
    server.stop()
    for words in (("watch", "--once"), ("watch",), ("clients", "list")):
        result = server.run(*words, check=False)
        assert result.returncode == 69 and "no server runs" in result.stderr


def test_the_socket_is_the_owners_alone(server):
    path = server.directory / "data" / "auth.sock"
    assert path.stat().st_mode & 0o777 == 0o600
