"""Other mail servers as peers, on loopback, in both directions."""
import email
import smtplib

import pytest

import postfix
from conftest import Server, unverified, wait_until

pytestmark = pytest.mark.skipif(not postfix.AVAILABLE, reason="Postfix needs root")


@pytest.fixture
def pair():
    server = Server()
    peer = postfix.Postfix({"example.test": server.port(25)})
    yield server, peer
    peer.close()
    server.close()


def report_of(message):
    """The delivery-status part of a bounce: one dict a group of fields."""
    part = next(p for p in email.message_from_bytes(message).walk() if p.get_content_type() == "message/delivery-status")
    return [dict(group.items()) for group in part.get_payload()]


def test_postfix_sends_to_us(pair):
    server, peer = pair
    with smtplib.SMTP("127.0.0.1", peer.port) as smtp:
        smtp.sendmail("carol@postfix.test", ["alice@example.test", "nobody@example.test"], "Subject: to both\n\nfrom Postfix\n")
    wait_until(lambda: any(b"to both" in m for m in server.messages()), "Postfix's message")
    bounce = wait_until(lambda: peer.mail("carol"), "Postfix's report")[0]
    about = report_of(bounce)[1]
    assert about["Final-Recipient"].endswith("nobody@example.test")
    assert about["Action"] == "failed" and about["Status"] == "5.1.1"
    assert "no such person here" in " ".join(about["Diagnostic-Code"].split())
    assert len(server.messages()) == 1


def submit(server, to, text, user="alice@example.test", **options):
    with smtplib.SMTP_SSL("127.0.0.1", server.port(465), timeout=60, context=unverified()) as smtp:
        smtp.login(user, "sandbox")
        return smtp.sendmail(user, to, text, **options)


def use_as_smart_host(server, port, more=""):
    server.stop()
    server.configure(f'courier = {{ smart_host = "127.0.0.1:{port}", smart_host_tls = "offered", retry_first = "1s", {more} }}')
    server.start()


def test_we_send_to_postfix(pair):
    server, peer = pair
    use_as_smart_host(server, peer.port)
    submit(server, ["carol@postfix.test", "dave@postfix.test", "bob@example.test"], "Subject: three\n\n.dots\n..more\n")
    for user in ("carol", "dave"):
        message = wait_until(lambda user=user: peer.mail(user), f"{user}'s message")[0]
        assert message.endswith(b"\n.dots\n..more\n")
        assert b"Return-Path: <alice@example.test>" in message
    assert any(b"Subject: three" in m for m in server.messages("bob@example.test"))
    wait_until(lambda: not server.run_json("queue", "list"), "an empty queue")
    assert len(peer.mail("carol")) == len(peer.mail("dave")) == 1


def test_postfix_refuses_one_of_two(pair):
    server, peer = pair
    use_as_smart_host(server, peer.port)
    submit(server, ["carol@postfix.test", "nobody@postfix.test"], "Subject: half\n\ntext\n")
    wait_until(lambda: peer.mail("carol"), "carol's message")
    bounce = wait_until(server.messages, "the report")[0]
    message = email.message_from_bytes(bounce)
    assert message["Return-Path"] == "<>" and message["Auto-Submitted"].startswith("auto-replied")
    about = report_of(bounce)
    assert about[0]["Reporting-MTA"] == "dns; mail.example.test"
    assert [(r["Final-Recipient"], r["Action"], r["Status"]) for r in about[1:]] == [("rfc822; nobody@postfix.test", "failed", "5.1.1")]
    assert "Subject: half" in bounce.decode()
    assert len(server.messages()) == 1


def test_delivery_notice_is_asked_for(pair):
    server, peer = pair
    use_as_smart_host(server, peer.port)
    submit(server, ["carol@postfix.test", "bob@example.test"], "Subject: tell me\n\ntext\n", rcpt_options=["NOTIFY=SUCCESS"])
    reports = wait_until(lambda: len(server.messages()) == 2 and server.messages(), "two notices")
    actions = {r["Final-Recipient"]: r["Action"] for m in reports for r in report_of(m)[1:]}
    assert actions["rfc822; bob@example.test"] == "delivered"
    assert actions["rfc822; carol@postfix.test"] in ("delivered", "relayed")


def test_both_bounce_nothing_loops(pair):
    """A report that can't be delivered makes no report."""
    server, peer = pair
    use_as_smart_host(server, peer.port)
    with smtplib.SMTP("127.0.0.1", peer.port) as smtp:
        smtp.sendmail("nobody@postfix.test", ["nobody@example.test"], "Subject: nobody to nobody\n\ntext\n")
    wait_until(lambda: "status=bounced" in peer.log() and not peer.queue(), "the end of Postfix's attempts")
    assert not server.run_json("queue", "list")
