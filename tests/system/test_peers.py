"""Other mail servers as peers, on loopback, in both directions."""
import email
import smtplib

import pytest

import postfix
from conftest import Server, wait_until

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
