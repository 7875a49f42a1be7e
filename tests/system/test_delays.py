"""Under attack: what auth decides about how long answers are held back, as `ostiary watch` tells it.

Each failure is an event with the delay that its answer gets; nobody has to wait for the answer to see it. All of
127.0.0.0/8 is this machine's own, so an attack comes from as many networks as it likes. IPv6 has one address on
loopback: its networks are counted in the unit tests (auth_service, auth_watch) with the clock held still.
"""
import socket
import time

import pytest

from conftest import PATIENCE, unverified, wait_until

GROWING = [0, 500, 1000, 2000, 4000, 8000, 8000]


class Line:
    """A connection from an address of the caller's choice."""

    def __init__(self, port, source, tls=False):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        if tls:
            self.socket = unverified().wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def reply(self):
        line = self.file.readline()
        while line[3:4] == b"-" and line[:3].isdigit():
            line = self.file.readline()
        return line.decode().rstrip("\r\n")

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def ask(self, line):
        self.say(line)
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


class Attack:
    """Failures one after the other; their answers are not waited for."""

    def __init__(self, server):
        self.server, self.lines = server, []

    def events(self):
        return self.server.run_json("watch", "--once")["events"]

    def delay_of(self, line):
        """Of the failure that `line` is about to meet."""
        self.lines.append(line)
        wait_until(lambda: len(self.events()) == len(self.lines), "the failure's event")
        return self.events()[-1]["delay_ms"]

    def guess(self, source, name, password="wrong"):
        line = Line(self.server.port(995), source, tls=True)
        assert line.reply().startswith("+OK")
        assert line.ask(f"USER {name}").startswith("+OK")
        line.say(f"PASS {password}")
        return self.delay_of(line)

    def harvest(self, source, recipient):
        line = Line(self.server.port(25), source)
        assert line.reply().startswith("220")
        assert line.ask("EHLO spam.elsewhere.test").startswith("250")
        assert line.ask("MAIL FROM:<spammer@elsewhere.test>").startswith("250")
        line.say(f"RCPT TO:<{recipient}>")
        return self.delay_of(line)

    def close(self):
        for line in self.lines:
            line.close()


@pytest.fixture
def attack(fresh):
    attacks = []

    def make(settings=""):
        attacks.append(Attack(fresh(settings)))
        return attacks[-1]

    yield make
    for a in attacks:
        a.close()


def log_in(server, source, name="alice", password="sandbox"):
    line = Line(server.port(995), source, tls=True)
    assert line.reply().startswith("+OK")
    assert line.ask(f"USER {name}").startswith("+OK")
    answer = line.ask(f"PASS {password}")
    line.close()
    return answer


def test_logins_by_address(attack):
    """One machine, many names."""
    a = attack()
    assert [a.guess("127.1.0.1", f"name{i}") for i in range(len(GROWING))] == GROWING
    assert a.guess("127.1.1.1", "name-of-another") == 0


def test_logins_by_network(attack):
    """A /24 takes turns with its addresses and names: it is given more patience, and then no more than one machine."""
    a = attack()
    assert [a.guess(f"127.2.0.{i}", f"name{i}") for i in range(1, 15)] == [0] * 8 + GROWING[1:]
    assert a.guess("127.2.1.1", "name-of-another") == 0


def test_logins_by_account(attack):
    """One account, guessed at from everywhere, by any of its names."""
    a = attack()
    names = ["alice", "ALICE@example.test", "alice@Example.Test"]
    assert [a.guess(f"127.3.{i}.1", names[i % 3]) for i in range(len(GROWING))] == GROWING
    assert a.guess("127.3.100.1", "bob") == 0


def test_the_owner_is_never_locked_out(attack):
    """More failures than are remembered, on the owner's account and from the owner's own network."""
    a = attack()
    for i in range(40):
        a.guess(f"127.4.{i % 2}.{i + 1}", "alice")
    events = a.events()
    assert [e["delay_ms"] for e in events[-20:]] == [8000] * 20
    # From elsewhere, and from within the attacker's network: at the first try, and no failure is noted.
    assert log_in(a.server, "127.9.0.1").startswith("+OK")
    assert log_in(a.server, "127.4.0.200").startswith("+OK")
    assert len(a.events()) == len(events)
    # Who mistypes meanwhile waits as long as the manual says, and not for the password that is right.
    assert a.guess("127.9.0.1", "alice", "sandbox ") == 8000
    assert log_in(a.server, "127.9.0.1").startswith("+OK")
    # Another person at the owner's address is not punished for it.
    assert log_in(a.server, "127.9.0.1", "bob").startswith("+OK")


def test_the_answer_is_held_back(attack):
    """For as long as the event says: not less, that is. How much more is the machine's mood."""
    a = attack()
    a.guess("127.5.0.1", "alice")
    began = time.monotonic()
    assert a.guess("127.5.0.1", "alice") == 500
    assert a.lines[1].reply().startswith("-ERR")
    assert time.monotonic() - began >= 0.5
    began = time.monotonic()
    assert a.harvest("127.5.0.1", "nobody@example.test") == 0  # a kind of its own
    assert a.harvest("127.5.0.1", "nobody-else@example.test") == 500
    assert a.lines[3].reply().startswith("550")
    assert time.monotonic() - began >= 0.5


def test_harvesting_by_address_and_network(attack):
    a = attack()
    assert [a.harvest("127.6.0.1", f"guess{i}@example.test") for i in range(len(GROWING))] == GROWING
    assert [a.harvest(f"127.7.0.{i}", f"guess{i}@example.test") for i in range(1, 15)] == [0] * 8 + GROWING[1:]
    assert a.harvest("127.7.1.1", "guess@example.test") == 0
    # Who writes to somebody who is there is not slowed down, from the same address either.
    line = Line(a.server.port(25), "127.6.0.1")
    assert line.reply().startswith("220")
    assert line.ask("EHLO x.test").startswith("250")
    assert line.ask("MAIL FROM:<a@elsewhere.test>").startswith("250")
    assert line.ask("RCPT TO:<alice@example.test>").startswith("250")
    assert len(a.events()) == len(a.lines)
    line.close()


def test_harvesting_by_account(attack):
    """A member's account that was taken over asks for names from everywhere."""
    a = attack()

    def ask_as_alice(i):
        line = Line(a.server.port(465), f"127.8.{i}.1", tls=True)
        assert line.reply().startswith("220")
        assert line.ask("EHLO x.test").startswith("250")
        assert line.ask("AUTH PLAIN AGFsaWNlAHNhbmRib3g=").startswith("235")
        assert line.ask("MAIL FROM:<alice@example.test>").startswith("250")
        line.say(f"RCPT TO:<guess{i}@example.test>")
        return a.delay_of(line)

    assert [ask_as_alice(i) for i in range(len(GROWING))] == GROWING
