"""Where mail for addresses of ours leads when that is another site: a second server plays all of them."""
import email
import re
import smtplib

import pytest

from conftest import wait_until

PASSWORD = "a far password"


@pytest.fixture
def pair(fresh):
    far = fresh()
    for domain in ("far.test", "elsewhere.test", "move.test"):
        far.run("domain", "add", domain)
    for address in ("x@far.test", "someone@elsewhere.test", "old@move.test"):
        far.run("account", "add", address, "--password-stdin", text_input=PASSWORD + "\n")
    here = fresh(f'courier.smart_host = "127.0.0.1:{far.port(25)}"\ncourier.smart_host_tls = "none"')
    return here, far


def arrived(server, address, subject, password=PASSWORD):
    """The one message with that subject, when it is there."""
    def look():
        found = [email.message_from_bytes(m) for m in server.messages(address, password)]
        return [m for m in found if m["Subject"] == subject]

    messages = wait_until(look, f"the message {subject} for {address}")
    assert len(messages) == 1
    return messages[0]


def test_forwarding_rewrites_the_sender(pair):
    here, far = pair
    here.run("account", "forward", "bob@example.test", "x@far.test", "--keep")
    here.send("Subject: onwards\n\nbody\n", "bob@example.test")
    path = arrived(far, "x@far.test", "onwards")["Return-Path"].strip("<>")
    assert path.startswith("SRS0=") and path.endswith("@example.test")
    assert arrived(here, "bob@example.test", "onwards", "sandbox")["Return-Path"] == "<someone@elsewhere.test>"
    # A bounce goes back the same way, to where the message came from; one that was forged goes nowhere.
    with here.smtp() as smtp:
        smtp.sendmail("", [path], "Subject: bounced\n\nbody\n")
        assert smtp.docmd("MAIL", "FROM:<>")[0] == 250
        assert smtp.rcpt("SRS0=aaaa" + path[9:])[0] == 550
    assert arrived(far, "someone@elsewhere.test", "bounced")["Return-Path"] == "<>"


def test_forwarding_of_a_long_sender(pair):
    """The SRS address of a sender of 40 octets has a local part above RFC 5321's 64; its bounce comes back all the same."""
    here, far = pair
    sender = "a-newsletter-with-quite-a-long-name-no-42@elsewhere.test"
    far.run("account", "add", sender, "--password-stdin", text_input=PASSWORD + "\n")
    here.run("account", "forward", "bob@example.test", "x@far.test", "--keep")
    here.send("Subject: news\n\nbody\n", "bob@example.test", sender)
    path = arrived(far, "x@far.test", "news")["Return-Path"].strip("<>")
    assert len(path.rpartition("@")[0]) > 64
    with here.smtp() as smtp:
        smtp.sendmail("", [path], "Subject: bounced\n\nbody\n")
    assert arrived(far, sender, "bounced")["Return-Path"] == "<>"


def test_unknown_names_go_to_the_old_server(pair):
    here, far = pair
    here.run("domain", "add", "move.test", "--next-hop", f"127.0.0.1:{far.port(25)}")
    here.run("account", "add", "new@move.test", "--password-stdin", text_input=PASSWORD + "\n")
    with here.smtp() as smtp:
        refused = smtp.sendmail("someone@elsewhere.test", ["new@move.test", "old@move.test", "nobody@move.test"],
                                "Subject: house\n\nbody\n")
    assert list(refused) == ["nobody@move.test"] and refused["nobody@move.test"][0] == 550
    arrived(here, "new@move.test", "house")
    assert arrived(far, "old@move.test", "house")["Return-Path"] == "<someone@elsewhere.test>"


def test_backup_domain(pair):
    here, far = pair
    here.run("domain", "add", "far.test", "--backup", "--next-hop", f"127.0.0.1:{far.port(25)}")
    here.send("Subject: kept\n\nbody\n", "x@far.test")
    arrived(far, "x@far.test", "kept")


def test_mailing_list(pair):
    here, far = pair
    here.run("mailinglist", "add", "choir@example.test", "--name", "The choir", "--owner", "carol@example.test")
    here.run("mailinglist", "join", "choir@example.test", "bob@example.test", "x@far.test", "someone@elsewhere.test")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        here.send("Subject: spam\n\nbody\n", "choir@example.test", "stranger@nowhere.test")
    assert refused.value.recipients["choir@example.test"][0] == 550
    here.send("Subject: rehearsal\n\nbody\n", "choir@example.test")
    copy = arrived(far, "x@far.test", "rehearsal")
    assert copy["List-Id"] and "choir" in copy["List-Id"]
    path = copy["Return-Path"].strip("<>")
    assert path.startswith("choir-bounces+") and path.endswith("@example.test")
    arrived(here, "bob@example.test", "rehearsal", "sandbox")
    here.send("Subject: to the owner\n\nbody\n", "choir-owner@example.test")
    arrived(here, "carol@example.test", "to the owner", "sandbox")
    # Bounces are counted for the member, and stored nowhere.
    with here.smtp() as smtp:
        assert smtp.docmd("EHLO", "x.test")[0] == 250 and smtp.docmd("MAIL", "FROM:<>")[0] == 250
        assert smtp.rcpt(re.sub(r"-\w{6}@", "-aaaaaa@", path))[0] == 550
        assert smtp.rcpt(re.sub(r"-\w{6}@", "@", path))[0] == 550
        assert smtp.rcpt("choir-bounces@example.test")[0] == 250
    with here.smtp() as smtp:
        smtp.sendmail("", [path], "Subject: undeliverable\n\nbody\n")
    members = {m["address"]: m for m in here.run_json("mailinglist", "show", "choir@example.test")["members"]}
    assert members["x@far.test"]["bounces"] == 1 and members["bob@example.test"]["bounces"] == 0
    # What a program sends of itself is a post; what it answers is not.
    here.send("Subject: absent\nAuto-Submitted: auto-replied (vacation)\n\nbody\n", "choir@example.test")
    here.send("Subject: backup done\nAuto-Submitted: auto-generated\n\nbody\n", "choir@example.test")
    arrived(here, "bob@example.test", "backup done", "sandbox")
    wait_until(lambda: not here.run_json("queue", "list"), "an empty queue")
    assert not any(b"Subject: absent" in m for m in here.messages("bob@example.test"))
