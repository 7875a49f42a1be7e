"""Changing passwords over the net, over a whole server, as webmail's drivers and old mail programs do."""
import base64
import hashlib
import hmac
import os
import poplib
import re
import signal
import smtplib
import socket

import pytest

from conftest import PATIENCE, Raw, unverified, wait_until

OLD, NEW = "sandbox", "a new  one, ünïcode "


class Poppassd(Raw):
    """What Roundcube's driver does: it reads the first three digits of each reply and goes away without a quit."""

    def __init__(self, server):
        super().__init__(server.port(106))

    def code(self):
        return self.line()[:3]

    def start_tls(self):
        self.send("stls\r\n")
        assert self.code() == b"200"
        self.socket = unverified().wrap_socket(self.socket)

    def change(self, user, old, new):
        """The codes, up to the first one that is not what the driver hopes for."""
        codes = [self.code()]
        for command, hoped in ((f"user {user}", b"300"), (f"pass {old}", b"200"), (f"newpass {new}", b"200")):
            if codes[-1] not in (b"200", b"300"):
                break
            self.send(f"{command}\r\n".encode())
            codes.append(self.code())
            if codes[-1] != hoped:
                break
        self.close()
        return codes


class WebmailDriver:
    """A webmail's password driver: whole lines, judged by their first three digits; no quit at the end, the connection is just
    closed. With `tls` it speaks TLS from the first byte, as a host name with ssl:// in front makes it do."""

    def __init__(self, server, tls=False):
        self.tls = tls
        self.address = ("127.0.0.1", server.port(906 if tls else 106))

    def save(self, user, old, new):
        """None when it is changed, else what the person is shown."""
        with socket.create_connection(self.address, PATIENCE) as plain:
            connection = unverified().wrap_socket(plain) if self.tls else plain
            lines = connection.makefile("rb")
            line = lines.readline().decode().rstrip()
            if not re.match(r"^2\d\d", line):
                return self.shown(line)
            for words, hoped in ((f"user {user}", r"^[23]\d\d"), (f"pass {old}", r"^[23]\d\d"), (f"newpass {new}", r"^2\d\d")):
                connection.sendall(f"{words}\r\n".encode())
                line = lines.readline().decode().rstrip()
                if not re.match(hoped, line):
                    return self.shown(line)
            connection.close()
        return None

    @staticmethod
    def shown(line):
        match = re.match(r"^\d\d\d\s+(\S.*)\s*$", line)
        return match[1] if match else "unknown error"


@pytest.mark.parametrize("tls", [False, True])
def test_webmail(fresh, tls):
    server = fresh()
    driver = WebmailDriver(server, tls)
    assert driver.save("alice", "not it", NEW) == "wrong name or password"
    assert "at least" in driver.save("alice", OLD, "short")
    assert driver.save("alice", OLD, "alice in wonderland") == "the name alice must not be part of its password; choose another"
    assert lets_in(server, "alice@example.test", OLD)
    assert driver.save("alice", OLD, NEW) is None
    assert lets_in(server, "alice@example.test", NEW) and not lets_in(server, "alice@example.test", OLD)


def digest(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


def encoded(text):
    return base64.b64encode(text).decode()


def scram_lets_in(server, user, password):
    """SCRAM-SHA-256 (RFC 7677) over POP3S; the server has to prove that it knows the password, too."""
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    first = f"n={user},r={encoded(os.urandom(18))}"
    try:
        challenge = base64.b64decode(pop._shortcmd(f"AUTH SCRAM-SHA-256 {encoded(('n,,' + first).encode())}")[2:]).decode()
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        final = f"c=biws,r={fields['r']}"
        whole = f"{first},{challenge},{final}".encode()
        key = digest(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, digest(hashlib.sha256(key).digest(), whole)))
        verifier = base64.b64decode(pop._shortcmd(encoded(f"{final},p={encoded(proof)}".encode()))[2:])
        assert verifier == b"v=" + encoded(digest(digest(salted, b"Server Key"), whole)).encode()
        return pop._shortcmd("").startswith(b"+OK")
    except poplib.error_proto:
        return False
    finally:
        pop.close()


def pop_lets_in(server, user, password):
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    pop.encoding = "utf-8"
    try:
        pop.user(user)
        pop.pass_(password)
        return True
    except poplib.error_proto:
        return False
    finally:
        pop.close()


def submission_lets_in(server, user, password):
    smtp = smtplib.SMTP_SSL("127.0.0.1", server.port(465), timeout=PATIENCE, context=unverified())
    smtp.ehlo()
    code, _ = smtp.docmd("AUTH", "PLAIN " + encoded(f"\0{user}\0{password}".encode()))
    smtp.close()
    assert code in (235, 535)
    return code == 235


WAYS = (pop_lets_in, submission_lets_in, scram_lets_in)


def lets_in(server, user, password):
    answers = {way(server, user, password) for way in WAYS}
    assert len(answers) == 1, "the ways to log in disagree"
    return answers.pop()


def test_change(fresh):
    server = fresh()
    user = "alice@example.test"
    assert lets_in(server, user, OLD)  # auth remembers it from here on
    assert Poppassd(server).change(user, OLD, NEW) == [b"200", b"300", b"200", b"200"]
    assert not lets_in(server, user, OLD)
    assert lets_in(server, user, NEW)
    assert lets_in(server, "bob@example.test", OLD)
    assert Poppassd(server).change(user, OLD, "yet another") == [b"200", b"300", b"500"]
    server.stop()
    server.start()
    assert lets_in(server, user, NEW) and not lets_in(server, user, OLD)
    server.stop()
    server.run("store", "check")
    server.run("store", "rebuild")
    server.start()
    assert lets_in(server, user, NEW) and not lets_in(server, user, OLD)
    log = server.log()
    assert " LOW auth " in log and "password changed ip=127.0.0.1 account=alice@example.test" in log
    assert NEW.strip() not in log and "yet another" not in log


def test_changed_means_durable(fresh):
    """Everything is killed right behind the 200."""
    server = fresh()
    client = Poppassd(server)
    for command in ("user carol", f"pass {OLD}", f"newpass {NEW}"):
        assert client.code() in (b"200", b"300")
        client.send(f"{command}\r\n".encode())
    assert client.code() == b"200"
    children = server.children()
    for pid in (*children, server.process.pid):
        os.kill(pid, signal.SIGKILL)
    server.process.wait(PATIENCE)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "the end of the processes")
    client.close()
    server.start()
    assert lets_in(server, "carol@example.test", NEW) and not lets_in(server, "carol@example.test", OLD)


def test_tls(server):
    client = Poppassd(server)
    assert client.code() == b"200"
    client.send("user alice\r\n")
    assert client.code() == b"300"
    client.start_tls()
    client.send(f"pass {OLD}\r\n")
    assert client.line() == b"500 USER comes first"
    client.send("user alice\r\n")
    assert client.code() == b"300"
    client.send(f"pass {OLD}\r\n")
    assert client.code() == b"200"
    client.send("quit\r\n")
    assert client.code() == b"200" and client.is_closed()
    client.close()


@pytest.mark.parametrize("settings, greeting", [
    ("pwd = {}", b"500"),
    ('pwd = { networks = { "192.0.2.0/24" }, plain = true }', b"500"),
    ('pwd = { networks = { "127.0.0.0/8" } }', b"200"),
])
def test_who_may(fresh, settings, greeting):
    server = fresh()
    server.stop()
    text = server.config.read_text()
    line = next(line for line in text.splitlines() if line.startswith("pwd = "))
    server.config.write_text(text.replace(line, settings))
    server.start()
    client = Poppassd(server)
    if greeting == b"500":
        assert client.line().startswith(b"500 ") and client.is_closed()
        wait_until(lambda: 'connection refused ip=127.0.0.1 reason="not in pwd.networks or client_networks"' in server.log(), "the log record")
    else:
        assert client.change("bob", OLD, NEW) == [b"200", b"500"]
    assert lets_in(server, "bob@example.test", OLD)


def test_refused_passwords(server):
    for new in ("short", OLD, "my name is Bob"):
        assert Poppassd(server).change("bob", OLD, new) == [b"200", b"300", b"200", b"500"]
    assert lets_in(server, "bob@example.test", OLD)


def test_typed_passwords_follow_the_same_rules(server):
    for new in ("short", "my name is Carol"):
        result = server.run("account", "passwd", "carol@example.test", "--password-stdin", check=False, text_input=new + "\n")
        assert result.returncode == 65 and "choose" in result.stderr
    assert lets_in(server, "carol@example.test", OLD)


def test_processes_that_die(fresh):
    """Each of those that take part is killed before the new password comes: the client is told, and can do it again."""
    server = fresh()
    password = OLD
    for number, role in enumerate(("reader", "auth", "writer")):
        client = Poppassd(server)
        for command in ("user bob", f"pass {password}"):
            assert client.code() in (b"200", b"300")
            client.send(f"{command}\r\n".encode())
        assert client.code() == b"200"
        [pid] = [pid for pid, words in server.children().items() if f" {role} " in f" {words} "]
        os.kill(pid, signal.SIGKILL)
        client.send(f"newpass {NEW}{number}\r\n".encode())
        changed = client.code() == b"200"
        client.close()
        wait_until(lambda: lets_in_some_way(server, password, f"{NEW}{number}"), "a login")
        if changed:
            password = f"{NEW}{number}"
        else:
            codes = wait_until(lambda: change_fully(server, password, f"{NEW}{number}"), "the change")
            assert codes
            password = f"{NEW}{number}"
        assert lets_in(server, "bob@example.test", password)
    assert not lets_in(server, "bob@example.test", OLD)


def lets_in_some_way(server, *passwords):
    return any(pop_lets_in(server, "bob@example.test", password) for password in passwords)


def change_fully(server, old, new):
    return Poppassd(server).change("bob", old, new) == [b"200", b"300", b"200", b"200"]


def test_hostile_input(server):
    def one(data):
        client = Poppassd(server)
        assert client.code() == b"200"
        try:
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed by the server in the middle of it: its right
        while line := client.line():
            assert line[:4] in (b"200 ", b"300 ", b"500 "), line
        client.close()

    one(b"user " + b"x" * 100_000 + b"\r\n")
    one(b"\0" * 5000 + b"\r\n")
    one(b"newpass x\r\n" * 20_000)
    one(os.urandom(100_000))
    one(b"user bob\r\npass sandbox\r\nnewpass " + b"y" * 1000 + b"\r\n")
    assert lets_in(server, "bob@example.test", OLD)
