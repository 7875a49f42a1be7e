"""Messages whose parsing ends processes, on their way out: a test build's parser aborts at a word that its environment names. The courier has to come past each of them."""
import mailbox
import re
import shutil
import smtplib

import pytest

from conftest import Server, unverified, wait_until
from test_courier import QUICK, is_empty, queue, reports, sends_to
from test_forwarding_failure import BOB, CAROL, REFUSES, forwards

WORD = "X-Kills-The-Parser"
DEATHS = 3
FIRST_PIECE = 256 << 10  # of a message in the store: what the courier reads of it at once


DIED = re.compile("process died role=(gate|desk|courier) .* signal=SIGABRT")


@pytest.fixture
def mortal():
    """Servers that die of the word, and of nothing else."""
    made = []

    def make(settings):
        made.append(Server(settings, environment={"OSTIARY_TEST_POISON": WORD}))
        return made[-1]

    yield make
    bad = [line for server in made for line in server.end() if not DIED.search(line)]
    for server in made:
        shutil.rmtree(server.directory, ignore_errors=True)
    assert not bad


def deaths(server):
    return server.log().count("CRASH supervisor - process died")


def send(server, text, to, member=None, mail=()):
    """As any sender would, again and again: three gates or desks die of it first."""
    def attempt():
        try:
            with server.smtp(587 if member else 25) as smtp:
                if member:
                    smtp.starttls(context=unverified())
                    smtp.login(member, "sandbox")
                smtp.sendmail(member or "stranger@else.test", [to], text, mail_options=list(mail))
                return True
        except smtplib.SMTPResponseException as problem:
            assert problem.smtp_code < 500
        except (smtplib.SMTPException, OSError):
            pass
        return False
    wait_until(attempt, "the message taken")


def outlives(server):
    """Three deaths where it came in, three in the courier, and the rest flows."""
    server.send("Subject: honest\n\nHello\n", "carol@example.test")
    wait_until(lambda: any(b"Subject: honest" in text for text in server.messages(**CAROL)), "honest mail")
    assert deaths(server) == 2 * DEATHS


def test_one_that_comes_back_is_enclosed_unread(mortal, peer):
    """What no report's header tells of: the word stands where only the message's own parser comes by."""
    there = peer(dict(REFUSES))
    near = mortal(sends_to(there.port, QUICK))
    forwards(near, "off")
    text = "Subject: poison\r\n\r\n" + f"{'x' * 62}\r\n" * (FIRST_PIECE // 64 + 1) + f"{WORD}\r\n"
    send(near, text, "bob@example.test")
    is_empty(near)
    outlives(near)
    assert near.messages(**BOB) == []
    near.run("mail", "export", "--account", "bob@example.test", str(near.directory / "out"))
    held, = mailbox.Maildir(near.directory / "out/.Held", create=False)
    held = held.as_bytes().replace(b"\r\n", b"\n")
    assert b"\nSubject: A message to you could not be sent on\n" in held
    assert text.replace("\r\n", "\n").encode() in held


def test_a_report_is_made_without_one_that_it_can_not_read(mortal, peer):
    there = peer(dict(REFUSES))
    near = mortal(sends_to(there.port, QUICK))
    send(near, f"Subject: poison\r\nX-Any: {WORD}\r\n\r\nHello\r\n", "secret@private.test", "alice@example.test", ["RET=FULL"])
    (message, (_, fields)), = reports(near)
    is_empty(near)
    outlives(near)
    assert (fields["Action"], fields["Final-Recipient"]) == ("failed", "rfc822; secret@private.test")
    assert WORD.encode() not in message.as_bytes()


def test_a_post_whose_header_kills_waits(mortal):
    near = mortal(QUICK)
    near.run("mailinglist", "add", "crew@example.test", "--posting", "everybody")
    near.run("mailinglist", "join", "crew@example.test", "alice@example.test", "bob@example.test")
    send(near, f"Subject: poison\r\nX-Any: {WORD}\r\n\r\nHello\r\n", "crew@example.test")
    wait_until(lambda: [e for e in queue(near) if "made the server fail several times" in e["reply"]], "the post put off")
    send(near, "Subject: another post\r\n\r\nHello\r\n", "crew@example.test")
    wait_until(lambda: near.messages(**BOB), "the other post")
    outlives(near)
    assert len(queue(near)) == 1 and len(near.messages()) == len(near.messages(**BOB)) == 1
