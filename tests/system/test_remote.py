"""Mail that is fetched from a real Dovecot: ways to log in, what is left and deleted, crashes, rules, a domain's mailbox."""
import os
import signal
import time

import pytest

from conftest import Server, wait_until
from dovecot import Dovecot

MESSAGE = """Return-Path: <{sender}>
Received: from {helo} ({ptr} [{ip}])
\tby mx.localhost with ESMTPS id 1
\tfor <alice@localhost>; Sat, 21 Nov 2026 10:00:00 +0000
From: <{sender}>
To: alice@example.net
Subject: {subject}
Date: Sat, 21 Nov 2026 10:00:00 +0000
Message-ID: <{subject}@other.example>

{body}
"""


def message(subject, sender="carol@other.example", helo="mail.other.example", ptr="mail.other.example", ip="192.0.2.7", body="Hello"):
    return MESSAGE.format(**locals())


def settings(dovecot):
    return f'remote.networks = {{ "127.0.0.0/8" }}\nremote.ca_file = "{dovecot.certificate}"\nremote.timeout = "20s"'


@pytest.fixture
def provider():
    dovecots = []

    def make(**words):
        dovecots.append(Dovecot(**words))
        return dovecots[-1]
    yield make
    for dovecot in dovecots:
        dovecot.close()


@pytest.fixture
def serve():
    servers = []

    def make(dovecot, more=""):
        servers.append(Server(settings(dovecot) + "\n" + more))
        return servers[-1]
    yield make
    for server in servers:
        server.close()


def add(server, dovecot, *words, name="work", account="alice@example.test", login="alice", password="wonderland", port=None):
    port = port or (dovecot.pop3s if not any(w in ("tls=none", "tls=stls") for w in words) else dovecot.pop3)
    server.run("remote", "add", account, name, "host=localhost", f"port={port}", f"login={login}", *words, "--password-stdin", text_input=password + "\n")


def fetch(server, *words, check=True):
    return server.run("remote", "fetch", "--now", *words, check=check)


def subjects_of(texts):
    return sorted(line[9:].strip().decode() for text in texts for line in text.split(b"\n\n")[0].split(b"\n") if line.startswith(b"Subject: "))


def subjects(server, user="alice@example.test"):
    return subjects_of(server.messages(user))


WAYS = [
    ("plain login", ["tls=pop3s"], "method=PLAIN"),
    ("plain login", ["tls=stls"], "method=PLAIN"),
    ("login", ["tls=pop3s", "method=login"], "method=LOGIN"),
    ("plain", ["tls=none", "clear-password=yes"], "method=PLAIN"),
    ("plain apop", ["tls=none"], "method=APOP"),
    ("plain scram-sha-256", ["tls=none"], "method=SCRAM-SHA-256"),
    ("plain scram-sha-256", ["tls=pop3s"], "method=SCRAM-SHA-256"),
]


@pytest.mark.parametrize("mechanisms,words,used", WAYS)
def test_every_way_to_log_in(provider, serve, mechanisms, words, used):
    dovecot = provider(mechanisms=mechanisms)
    server = serve(dovecot)
    dovecot.put("alice", message("first"))
    dovecot.put("alice", message("second", body=".dots\n..more\n" + "x" * 2000))
    add(server, dovecot, *words)
    fetch(server)
    assert subjects(server) == ["first", "second"]
    assert dovecot.messages("alice") == []
    assert used in dovecot.log()
