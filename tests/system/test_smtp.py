"""Receiving: RFC 5321 and its extensions over real sockets."""
import smtplib
import ssl
import re

import pytest

from conftest import unverified

MESSAGE = "From: a@elsewhere.test\r\nSubject: hello\r\n\r\nbody\r\n"


def begin(raw, rcpt="alice@example.test"):
    assert raw.reply()[0] == 220
    assert raw.ask("EHLO client.test")[0] == 250
    assert raw.ask("MAIL FROM:<s@elsewhere.test>")[0] == 250
    assert raw.ask(f"RCPT TO:<{rcpt}>")[0] == 250


def test_a_message_is_stored_with_its_trace(server):
    server.send(MESSAGE)
    text = server.messages()[-1].decode()
    lines = text.split("\n")
    assert lines[0] == "Return-Path: <someone@elsewhere.test>"
    assert lines[1].startswith("Received: from ")
    assert re.search(r"\[127\.0\.0\.1\]\)", text)
    assert "for <alice@example.test>" in text
    assert text.endswith("Subject: hello\n\nbody")


def test_ehlo_lists_the_extensions(server):
    with server.smtp() as smtp:
        smtp.ehlo()
        for keyword in ("pipelining", "size", "8bitmime", "smtputf8", "enhancedstatuscodes", "dsn", "starttls", "chunking", "limits"):
            assert smtp.has_extn(keyword), keyword
        assert not smtp.has_extn("auth")
        assert not smtp.has_extn("binarymime")


@pytest.mark.parametrize("rcpt,code,enhanced", [
    ("alice@example.test", 250, "2.1.5"),
    ("ALICE@EXAMPLE.TEST", 250, "2.1.5"),
    ("alice+shop@example.test", 250, "2.1.5"),
    ('"alice"@example.test', 250, "2.1.5"),
    ("postmaster@example.test", 250, "2.1.5"),
    ("Postmaster", 250, "2.1.5"),
    ("@relay.test:alice@example.test", 250, "2.1.5"),
    ("nobody@example.test", 550, "5.1.1"),
    ("someone@elsewhere.test", 550, "5.7.1"),
    ("someone%elsewhere.test@example.test", 550, "5.7.1"),
    ("elsewhere.test!someone@example.test", 550, "5.7.1"),
    ("@example.test:someone@elsewhere.test", 550, "5.7.1"),
    ('"someone@elsewhere.test"@example.test', 550, "5.7.1"),
    ("someone@[192.0.2.1]", 550, "5.7.1"),
    ("alice@example.test@elsewhere.test", 501, "5.1.3"),
])
def test_routing(server, rcpt, code, enhanced):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO client.test")
    raw.ask("MAIL FROM:<s@elsewhere.test>")
    got, text = raw.ask(f"RCPT TO:<{rcpt}>")
    assert got == code, text
    if code != 501:
        assert text.startswith(enhanced)
    raw.close()


def test_pipelining_answers_each_command(server):
    raw = server.raw()
    raw.reply()
    raw.send("EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
    assert [raw.reply()[0] for _ in range(5)] == [250, 250, 550, 250, 354]
    raw.send("Subject: piped\r\n\r\nx\r\n.\r\nNOOP\r\nQUIT\r\n")
    assert [raw.reply()[0] for _ in range(3)] == [250, 250, 221]
    assert raw.is_closed()


def test_chunking(server):
    raw = server.raw()
    begin(raw, "carol@example.test")
    raw.send(b"BDAT 14\r\nSubject: bdat\r")
    assert raw.reply()[0] == 250
    raw.send(b"BDAT 8 LAST\r\n\n\r\n.\r\nx\r")  # a line with one dot stands as it is; the CRLF is cut by the chunk
    code, _ = raw.reply()
    assert code in (250, 550)
    raw.close()


def test_chunked_dots_are_kept(server):
    raw = server.raw()
    begin(raw, "carol@example.test")
    body = b"Subject: dots\r\n\r\n.\r\n..two\r\nend\r\n"
    raw.send(b"BDAT %d\r\n" % 10 + body[:10])
    assert raw.reply()[0] == 250
    raw.send(b"BDAT %d\r\n" % (len(body) - 10) + body[10:])
    assert raw.reply()[0] == 250
    raw.send(b"BDAT 0 LAST\r\n")
    assert raw.reply()[0] == 250
    raw.close()
    assert server.messages("carol@example.test")[-1].endswith(b"Subject: dots\n\n.\n..two\nend")


def test_bdat_without_recipient_swallows_its_octets(server):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    raw.send(b"BDAT 6 LAST\r\nQUIT\r\n")
    assert raw.reply()[0] == 503
    assert raw.ask("NOOP")[0] == 250
    raw.close()


def test_size_is_refused_early_and_late(fresh):
    server = fresh("smtp.header_size = 10000; smtp.message_size = 20000")
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.docmd("MAIL", "FROM:<a@b.test> SIZE=30000")[0] == 552
        assert smtp.docmd("MAIL", "FROM:<a@b.test> SIZE=100")[0] == 250
        smtp.rcpt("alice@example.test")
        code, text = smtp.data(b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 10000)
        assert code == 552 and text.startswith(b"5.3.4")
        assert smtp.noop()[0] == 250


def test_large_message_goes_through_the_spool(server):
    body = ("0123456789" * 7 + "\r\n") * 60000  # 4.3 MB
    server.send("Subject: large\r\n\r\n" + body, to="bob@example.test")
    assert server.messages("bob@example.test")[-1].endswith(b"\n\n" + body.replace("\r\n", "\n").rstrip("\n").encode())


def test_smtputf8(server):
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.docmd("MAIL", "FROM:<a@b.test> SMTPUTF8")[0] == 250
        assert smtp.docmd("RCPT", "TO:<alice@example.test>")[0] == 250
        assert smtp.data("Subject: grüße\r\n\r\nx\r\n".encode())[0] == 250
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    assert raw.ask("MAIL FROM:<jürgen@b.test>".encode())[0] == 553
    raw.close()


def test_dsn_parameters(server):
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.docmd("MAIL", "FROM:<a@b.test> RET=HDRS ENVID=QQ+2B1")[0] == 250
        assert smtp.docmd("RCPT", "TO:<alice@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;alice@example.test")[0] == 250
        assert smtp.docmd("RCPT", "TO:<bob@example.test> NOTIFY=NEVER,SUCCESS")[0] == 501
        assert smtp.docmd("RCPT", "TO:<bob@example.test> WHAT=1")[0] == 555
        assert smtp.data(b"Subject: dsn\r\n\r\nx\r\n")[0] == 250


def test_starttls_forgets_what_came_before(server):
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.starttls(context=unverified())[0] == 220
        assert smtp.docmd("MAIL", "FROM:<a@b.test>")[0] == 503
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        smtp.sendmail("a@b.test", ["alice@example.test"], MESSAGE)
    assert b"with ESMTPS (TLSv1." in server.messages()[-1]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(server, version):
    context = unverified()
    context.minimum_version = context.maximum_version = version
    with server.smtp() as smtp:
        smtp.starttls(context=context)
        assert smtp.sock.version() == version.name.replace("_", ".")


def test_a_command_injected_before_tls_is_thrown_away(server):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    raw.send("STARTTLS\r\nMAIL FROM:<injected@b.test>\r\n")
    assert raw.reply()[0] == 220
    wrapped = unverified().wrap_socket(raw.socket)
    wrapped.sendall(b"NOOP\r\nEHLO c\r\nRCPT TO:<alice@example.test>\r\n")
    answer = b""
    while answer.count(b"\r\n503") + answer.startswith(b"503") < 1:
        answer += wrapped.recv(65536)
    assert answer.startswith(b"250 2.0.0")  # NOOP's, no other before it
    assert b"503" in answer  # RCPT without MAIL: the injected one did not count
    wrapped.close()


def test_a_loop_is_stopped(server):
    received = "Received: from a by b; Sat, 21 Nov 2026 23:41:38 +0000\r\n"
    with server.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("a@b.test")
        smtp.rcpt("alice@example.test")
        code, text = smtp.data(received * 200 + "Subject: x\r\n\r\nx\r\n")
        assert (code, text[:5]) == (554, b"5.4.6")


def test_the_mailbox_full(fresh):
    server = fresh()
    server.run("account", "set", "bob@example.test", "--quota", "10000")
    filler = "Subject: fill\r\n\r\n" + ("x" * 70 + "\r\n") * 100
    with server.smtp() as smtp:
        smtp.ehlo()
        assert smtp.docmd("MAIL", "FROM:<a@b.test> SIZE=20000")[0] == 250
        code, text = smtp.docmd("RCPT", "TO:<bob@example.test>")
        assert (code, text[:5]) == (452, b"4.2.2")
    server.send(filler, to="bob@example.test")
    with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)):
        server.send(filler, to="bob@example.test")
    assert len(server.messages("bob@example.test")) == 1


def test_one_message_to_many_and_twice(server):
    before = {u: len(server.messages(f"{u}@example.test")) for u in ("alice", "bob", "carol")}
    server.send(MESSAGE, to=["alice@example.test", "bob@example.test", "carol@example.test", "postmaster@example.test"])
    after = {u: len(server.messages(f"{u}@example.test")) for u in before}
    assert after == {u: n + 1 for u, n in before.items()}  # postmaster is alice: one copy


@pytest.mark.parametrize("command,code", [
    ("HELO", 501), ("EHLO", 501), ("MAIL FROM:<a@b.test>", 503), ("RCPT TO:<alice@example.test>", 503), ("DATA", 503), ("VRFY alice", 503),
    ("NOOP whatever", 250), ("HELP", 214), ("RSET", 250), ("EXPN list", 503), ("WHAT", 500), ("AUTH PLAIN", 503), ("BDAT x", 501),
])
def test_commands_out_of_order(server, command, code):
    raw = server.raw()
    raw.reply()
    assert raw.ask(command)[0] == code
    raw.close()


def test_one_full_mailbox_does_not_close_an_address_of_many(fresh):
    server = fresh()
    server.run("alias", "add", "team@example.test", "alice@example.test", "bob@example.test")
    server.run("account", "set", "bob@example.test", "--quota", "100")
    with server.smtp() as smtp:
        smtp.ehlo()
        for size in ("", " SIZE=5000"):  # said or not, it is the same message
            assert smtp.docmd("MAIL", f"FROM:<x@elsewhere.test>{size}")[0] == 250
            assert smtp.rcpt("team@example.test")[0] == 250
            smtp.rset()
        assert smtp.docmd("MAIL", "FROM:<x@elsewhere.test> SIZE=5000")[0] == 250
        assert smtp.rcpt("bob@example.test")[0] == 452
