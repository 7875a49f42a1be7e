"""What tests of fetched mail share: messages, an account at a provider, what arrived."""
import time

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


def add(server, dovecot, *words, name="work", account="alice@example.test", login="alice", password="wonderland", port=None):
    port = port or (dovecot.pop3s if not any(w in ("tls=none", "tls=stls") for w in words) else dovecot.pop3)
    server.run("remote", "add", account, name, "host=localhost", f"port={port}", f"login={login}", *words, "--password-stdin", text_input=password + "\n")


def fetch(server, *words, check=True):
    return server.run("remote", "fetch", "--now", *words, check=check)


def subjects_of(texts):
    return sorted(line[9:].strip().decode() for text in texts for line in text.split(b"\n\n")[0].split(b"\n") if line.startswith(b"Subject: "))


def subjects(server, user="alice@example.test"):
    return subjects_of(server.messages(user))


def export(server, user="alice@example.test"):
    target = server.directory / f"export-{time.monotonic_ns()}"
    server.run("mail", "export", "--account", user, target)
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file() and p.parent.name in ("cur", "new")}
