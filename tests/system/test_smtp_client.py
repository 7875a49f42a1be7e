"""The SMTP client (src/deliver/smtp_client.h), as the program smtp_send, against our own server and Postfix's smtp-sink over real sockets."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import OSTIARY, PATIENCE, wait_until
from ports import free_port

SMTP_SEND = os.environ.get("OSTIARY_SMTP_SEND", str(pathlib.Path(OSTIARY).resolve().parent.parent / "tests/system/smtp_send"))
SINK = shutil.which("smtp-sink", path=os.environ["PATH"] + ":/usr/sbin")
SMALL = b"From: a@elsewhere.test\r\nSubject: by our client\r\n\r\n.dot\r\n..\r\nlast\r\n"
LARGE = b"Subject: large\r\n\r\n" + b".23456789 123456789 123456789 123456789 123456789 123456789 123456789\r\n" * 15000


MESSAGES = {"small": SMALL, "large": LARGE, "8-bit": b"Subject: 8-bit\r\n\r\n\xc3\xa4\r\n", "no-line-end": b"no line end",
            "bare-line-ends": b"bare\nline\n.\nends\r\n"}


def send(port, message, *recipients, times=1, tls="none", authorities=None, sender="s@elsewhere.test"):
    """The lines that it writes, and whether all went well."""
    environment = dict(os.environ, **({"AUTHORITIES": str(authorities)} if authorities else {}))
    result = subprocess.run([SMTP_SEND, "127.0.0.1", str(port), str(times), tls, sender, *recipients],
                            input=message, capture_output=True, timeout=PATIENCE, env=environment)
    assert not result.stderr, result.stderr.decode()
    return result.stdout.decode().splitlines(), result.returncode == 0


def test_connection_refused():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        assert send(s.getsockname()[1], SMALL, "a@example.test") == (["connect ECONNREFUSED"], False)


# ---- Our own server: PIPELINING, CHUNKING, SIZE, 8BITMIME, STARTTLS ----


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("tls", ["none", "any"])
def test_our_own_server(server, name, tls):
    message = MESSAGES[name]
    expected = {"alice@example.test": "250 2."}
    if name in ("small", "large"):  # not with all: each unknown name makes the server wait longer before it answers
        expected["nobody@example.test"] = "550 5.1.1 "
    lines, good = send(server.port(25), message, *expected, tls=tls)
    assert good, lines
    assert "peer mail.example.test quiet=1" in lines
    replies = {line.split()[1]: line.split(" ", 2)[2] for line in lines if line.startswith("rcpt ")}
    assert replies.keys() == expected.keys() and all(replies[who].startswith(expected[who]) for who in expected), lines
    assert server.messages()[-1].endswith(message.replace(b"\r\n", b"\n").rstrip(b"\n"))


def test_many_on_one_connection(server):
    before = len(server.messages())
    lines, good = send(server.port(25), SMALL, "alice@example.test", times=20)
    assert good and sum(line.startswith("rcpt alice@example.test 250 2.") for line in lines) == 20
    assert len(server.messages()) == before + 20


def test_a_certificate_of_nobody_we_trust(server):
    lines, good = send(server.port(25), SMALL, "alice@example.test", tls="verify:mail.example.test")
    assert not good and "starttls EKEYREJECTED " in lines
    lines, good = send(server.port(25), SMALL, "alice@example.test", tls="any")
    assert good and re.search(r"^tls TLSv1.3 self-signed", "\n".join(lines), re.M), lines


def test_a_certificate_that_is_right(server):
    certificate = next(path for path in server.directory.rglob("*") if path.is_file() and b"BEGIN CERTIFICATE" in path.read_bytes())
    lines, good = send(server.port(25), SMALL, "alice@example.test", tls="verify:mail.example.test", authorities=certificate)
    assert good and "tls TLSv1.3 " in lines, lines
    lines, good = send(server.port(25), SMALL, "alice@example.test", tls="verify:other.test", authorities=certificate)
    assert not good and any("ostname mismatch" in line for line in lines), lines


# ---- smtp-sink: DATA, with and without ESMTP and PIPELINING ----


class Sink:
    def __init__(self, directory, *options):
        self.port = free_port()
        self.directory = directory
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        directory.chmod(0o777)
        self.process = subprocess.Popen([SINK, *user, "-d", str(directory / "m."), *options, f"127.0.0.1:{self.port}", "10"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.listens, "smtp-sink")

    def listens(self):
        assert self.process.poll() is None
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def messages(self):
        return [path.read_bytes() for path in self.directory.iterdir()]


@pytest.fixture
def sink():
    if not SINK:
        pytest.skip("smtp-sink (package postfix) is not there")
    made = []
    # Not in pytest's own directory: the sink is another user, and each run of pytest that begins meanwhile shuts that for others.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-sink-"))

    def make(*options):
        made.append(Sink(directory, *options))
        return made[-1]

    yield make
    for s in made:
        s.process.terminate()
        s.process.wait(PATIENCE)
    shutil.rmtree(directory)


@pytest.mark.parametrize("options", [(), ("-p",), ("-e",), ("-8",), ("-E",), ("-c", "-C"), ("-F",)], ids=" ".join)
@pytest.mark.parametrize("name", ["small", "large"])
def test_smtp_sink_takes_it_whole(sink, options, name):
    message = MESSAGES[name]
    server = sink(*options)
    lines, good = send(server.port, message, "a@x.test", "b@x.test", times=3)
    assert good and sum(line.startswith("rcpt ") and " 250 " in line for line in lines) == 6, lines
    kept = server.messages()
    text = message.replace(b"\r\n", b"\n").rstrip(b"\n")
    assert len(kept) == 3 and all(text in m for m in kept)


@pytest.mark.parametrize("option,command,outcome", [
    ("-f", "mail", "send 0 "), ("-r", "rcpt", "send 0 "), ("-f", "data", "send 0 "), ("-r", ".", "send 0 "),
    ("-q", "mail", "send ENODATA "), ("-q", "rcpt", "send ENODATA "), ("-q", "data", "send ENODATA "), ("-q", ".", "send ENODATA "),
    ("-q", "ehlo", "open ENODATA "),
])
def test_smtp_sink_refuses_and_vanishes(sink, option, command, outcome):
    server = sink(option, command)
    lines, _ = send(server.port, SMALL, "a@x.test")
    assert outcome in lines, lines
    replies = [line for line in lines if line.startswith("rcpt ")]
    code = {"-f": " 500 ", "-r": " 450 ", "-q": "rcpt a@x.test "}[option]
    assert all(code in line for line in replies), lines
    if option == "-q":
        assert all(line == code for line in replies)
