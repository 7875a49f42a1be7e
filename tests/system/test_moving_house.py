"""doc/moving-house.md, step by step, with two servers: a domain moves from the old one to the new one account at a time."""
import smtplib
import subprocess

import pytest

from conftest import Server, wait_until
from test_clients import write_private

PASSWORD = "the old words"


def crypt_of(password):
    return subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout.strip()


class Old(Server):
    """Stands for whatever runs today: dora and emil are at example.test there. It reaches moved.example.test by a zone of its own."""

    def __init__(self, settings=""):
        super().__init__('hostname = "old.example.test"\nsmtp.detail_separator = ""\n' + settings)
        for name in ("dora", "emil"):
            self.run("account", "add", f"{name}@example.test", "--password-stdin", text_input=PASSWORD + "\n")


@pytest.fixture
def houses(zones):
    new = Server('hostname = "new.example.test"')
    names = zones({"moved.example.test": "@ IN MX 10 new\nnew IN A 127.0.0.1"})
    old = Old(f"{names.settings()}\ncourier.port = {new.port(25)}")
    new.run("domain", "set", "example.test", "--unknown-to", f"127.0.0.1:{old.port(25)}")
    yield old, new
    for server in (old, new):
        server.close()


def subjects(server, user, password=PASSWORD):
    return [line[9:].decode() for m in server.messages(user, password) for line in m.split(b"\n") if line.startswith(b"Subject: ")]


def follows(old, new):
    """A route may be remembered for a second: one letter more or less stays behind, and comes with the export."""
    old.send("Subject: from a neighbour\n\nhello\n", to="dora@example.test", sender="emil@elsewhere.test")
    return "from a neighbour" in subjects(new, "dora@example.test")


def test_a_domain_moves_one_account_at_a_time(houses, tmp_path):
    old, new = houses
    old.send("Subject: from the old days\n\nhello\n", to="dora@example.test")

    # The MX leads to the new server now. Who is not known there is still served by the old one, and wrong names are refused.
    new.send("Subject: before the move\n\nhello\n", to="dora@example.test")
    wait_until(lambda: "before the move" in subjects(old, "dora@example.test"), "the letter at the old server")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        new.send("Subject: to nobody\n\nhello\n", to="nobody@example.test")
    code, text = refused.value.recipients["nobody@example.test"]
    assert code == 550 and text.startswith(b"5.1.1"), text

    # dora moves: her account with her old password's hash; what people of the old server send her follows her by an alias there, with a
    # sender that SPF allows; then her mail.
    passwords = write_private(tmp_path / "passwords", f"dora@example.test:{{CRYPT}}{crypt_of(PASSWORD)}::::::\n")
    assert "1 account" in new.run("account", "import", passwords, "--format", "dovecot").stdout
    new.run("domain", "add", "moved.example.test", "--alias-of", "example.test")
    old.run("account", "forward", "dora@example.test", "dora@moved.example.test")
    wait_until(lambda: follows(old, new), "the neighbour's letter")
    letter = next(m for m in new.messages("dora@example.test", PASSWORD) if b"from a neighbour" in m)
    assert letter.startswith(b"Return-Path: <SRS0="), letter[:200]
    old.run("mail", "export", tmp_path / "dora", "--account", "dora@example.test", "--format", "maildir")
    new.run("mail", "import", tmp_path / "dora", "--account", "dora@example.test")
    new.send("Subject: after the move\n\nhello\n", to="dora@example.test")
    assert set(subjects(new, "dora@example.test")) == {"from the old days", "before the move", "from a neighbour", "after the move"}
    assert "after the move" not in subjects(old, "dora@example.test")
    new.send("Subject: to one who stays\n\nhello\n", to="emil@example.test")
    wait_until(lambda: "to one who stays" in subjects(old, "emil@example.test"), "the letter for emil")

    # The last one has moved: unknown names are refused here, without asking anybody.
    new.run("domain", "set", "example.test", "--unknown-refuse")
    old.stop()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        new.send("Subject: to nobody\n\nhello\n", to="emil@example.test")


def test_the_old_server_is_down_meanwhile(houses):
    """Nothing is refused for good that nobody could be asked about."""
    old, new = houses
    old.stop()
    try:
        new.send("Subject: waits\n\nhello\n", to="dora@example.test")
        accepted = True
    except smtplib.SMTPRecipientsRefused as refused:
        accepted = False
        assert refused.recipients["dora@example.test"][0] // 100 == 4
    old.start()
    if not accepted:
        wait_until(lambda: sends(new), "the letter's acceptance")
    new.run("queue", "retry", "--all")
    wait_until(lambda: "waits" in subjects(old, "dora@example.test"), "the letter at the old server")


def sends(server):
    try:
        server.send("Subject: waits\n\nhello\n", to="dora@example.test")
        return True
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["dora@example.test"][0] // 100 == 4
        return False
