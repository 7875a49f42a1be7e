"""International addresses end to end: RFC 6531, 6532, 6856; and what 8-bit headers of others become."""
import base64
import smtplib

import pytest

from conftest import PATIENCE, Server, unverified

ADDRESS, DOMAIN = "jos\u00e9@m\u00fcnchen.example", "m\u00fcnchen.example"
PASSWORD = "correct horse 1"


@pytest.fixture(scope="module")
def house():
    server = Server()
    server.run("domain", "add", DOMAIN)
    server.run("account", "add", ADDRESS, "--password-stdin", text_input=PASSWORD + "\n")
    yield server
    server.close()


def open_transaction(raw, sender, rcpt):
    raw.reply()
    raw.ask("EHLO client.test")
    code, text = raw.ask(f"MAIL FROM:<{sender}> SMTPUTF8 BODY=8BITMIME")
    assert code == 250, text
    return raw.ask(f"RCPT TO:<{rcpt}>")


@pytest.mark.parametrize("rcpt", [ADDRESS, "jos\u00e9@xn--mnchen-3ya.example", "jos\u00e9@M\u00dcNCHEN.example", "jos\u00e9+shop@m\u00fcnchen.example"])
def test_mail_comes_in(house, rcpt):
    raw = house.raw()
    code, text = open_transaction(raw, "s\u00fcnder@elsewhere.test", rcpt)
    assert code == 250, text
    assert raw.ask("DATA")[0] == 354
    raw.send(f"From: s\u00fcnder@elsewhere.test\r\nTo: {rcpt}\r\nSubject: gr\u00fc\u00dfe\r\n\r\nb\r\n.\r\n")
    assert raw.reply()[0] == 250
    raw.close()
    text = house.messages(ADDRESS, PASSWORD)[-1].decode()
    assert text.startswith("Return-Path: <s\u00fcnder@elsewhere.test>\n")
    assert "with UTF8SMTP id" in text and "for <jos\u00e9" in text
    assert text.endswith("Subject: gr\u00fc\u00dfe\n\nb")


def test_unknown_and_undeclared(house):
    raw = house.raw()
    assert open_transaction(raw, "s@elsewhere.test", "nobod\u00fd@m\u00fcnchen.example")[0] == 550
    assert raw.ask("RSET")[0] == 250
    assert raw.ask("MAIL FROM:<s@elsewhere.test>")[0] == 250
    code, text = raw.ask(f"RCPT TO:<{ADDRESS}>")
    assert code == 553 and text.startswith("5.6.7")
    raw.close()


def test_a_member_sends(house):
    with smtplib.SMTP_SSL("127.0.0.1", house.port(465), context=unverified(), timeout=PATIENCE) as smtp:
        smtp.ehlo()
        smtp.command_encoding = "utf-8"
        plain = base64.b64encode(f"\0{ADDRESS}\0{PASSWORD}".encode()).decode()
        assert smtp.docmd("AUTH", "PLAIN " + plain)[0] == 235
        assert smtp.mail(ADDRESS, ["SMTPUTF8"])[0] == 250
        assert smtp.rcpt("alice@example.test")[0] == 250
        assert smtp.data(f"From: {ADDRESS}\r\nSubject: \u00fc\r\n\r\nb\r\n".encode())[0] == 250
    text = house.messages()[-1].decode()
    assert text.startswith(f"Return-Path: <jos\u00e9@{DOMAIN}>\n") and "with UTF8SMTPSA" in text


def test_8_bit_header_without_smtputf8_is_kept_as_it_is(house):
    raw = house.raw()
    raw.reply()
    raw.ask("EHLO client.test")
    raw.ask("MAIL FROM:<s@elsewhere.test>")
    assert raw.ask("RCPT TO:<bob@example.test>")[0] == 250
    assert raw.ask("DATA")[0] == 354
    raw.send(b"Subject: caf\xe9\r\n\r\nb\r\n.\r\n")
    assert raw.reply()[0] == 250
    raw.close()
    assert b"\nSubject: caf\xe9\n" in house.messages("bob@example.test")[-1]
