"""SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 5929) over real TLS, for members who send and who fetch, with a client of our own."""
import base64
import hashlib
import hmac
import os
import poplib
import smtplib

import pytest

from conftest import PATIENCE, unverified

USER, PASSWORD = "alice@example.test", "sandbox"


class Refused(Exception):
    """With the last reply's text."""


def digest(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Scram:
    """The client's side. `header` is the GS2 header, `binding` the channel's data."""

    def __init__(self, header, binding=b"", password=PASSWORD, user=USER):
        self.header, self.binding, self.password = header, binding, password
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.server_signature = None

    def begin(self):
        return (self.header + self.first).encode()

    def prove(self, challenge):
        fields = dict(field.split("=", 1) for field in challenge.decode().split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce) + 10
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        assert len(salt) >= 12 and rounds >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, rounds)
        channel = base64.b64encode(self.header.encode() + self.binding).decode()
        final = f"c={channel},r={fields['r']}"
        whole = f"{self.first},{challenge.decode()},{final}".encode()
        key = digest(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(key, digest(hashlib.sha256(key).digest(), whole)))
        self.server_signature = digest(digest(salted, b"Server Key"), whole)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def check(self, verifier):
        assert verifier == b"v=" + base64.b64encode(self.server_signature), "the server does not know the password"


class Submission:
    def __init__(self, server):
        self.connection = smtplib.SMTP_SSL("127.0.0.1", server.port(465), context=unverified(), timeout=PATIENCE)
        self.connection.ehlo()
        self.socket = self.connection.sock
        self.offers = self.connection.esmtp_features["auth"].split()

    def ask(self, line):
        """(True, the challenge), (False, the reply of success), or Refused."""
        code, text = self.connection.docmd(line)
        if code not in (334, 235):
            raise Refused(f"{code} {text.decode()}")
        return code == 334, text

    def is_in(self):
        return self.connection.docmd("MAIL", f"FROM:<{USER}>")[0] == 250


class Pop3:
    def __init__(self, server):
        self.connection = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
        self.socket = self.connection.sock
        self.offers = self.connection.capa()["SASL"]

    def ask(self, line):
        self.connection._putcmd(line)
        reply = self.connection._getline()[0]
        if not reply.startswith((b"+ ", b"+OK")):
            raise Refused(reply.decode())
        return reply.startswith(b"+ "), reply[2:]

    def is_in(self):
        try:
            return self.connection.stat()[0] >= 0
        except poplib.error_proto:
            return False


SERVICES = [Submission, Pop3]


def login(session, mechanism, scram, initial=True):
    def encoded(text):
        return base64.b64encode(text).decode()

    if initial:
        more, text = session.ask(f"AUTH {mechanism} {encoded(scram.begin())}")
    else:
        assert session.ask(f"AUTH {mechanism}") == (True, b"")
        more, text = session.ask(encoded(scram.begin()))
    assert more
    more, text = session.ask(encoded(scram.prove(base64.b64decode(text))))
    assert more
    scram.check(base64.b64decode(text))
    more, text = session.ask("")
    assert not more


def end_point(session):
    """RFC 5929 section 4: the hash of the certificate, whose signature is by SHA-256."""
    return hashlib.sha256(session.socket.getpeercert(binary_form=True)).digest()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("initial", [True, False])
def test_login(server, service, initial):
    session = service(server)
    assert {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN"} <= set(session.offers)
    assert not session.is_in()
    login(session, "SCRAM-SHA-256", Scram("n,,"), initial)
    assert session.is_in()


@pytest.mark.parametrize("service", SERVICES)
def test_login_bound_to_the_channel(server, service):
    session = service(server)
    login(session, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(session)))
    assert session.is_in()


# Few, since each failure makes the answer to the next one slower; tests/unit/auth has all the others.
@pytest.mark.parametrize("service,mechanism,header,binding", [
    (Submission, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"x" * 32),  # as somebody in the middle would have it
    (Pop3, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"x" * 32),
    (Submission, "SCRAM-SHA-256", "y,,", b""),  # "the server has no -PLUS": somebody took it out of the list
])
def test_wrong_binding(server, service, mechanism, header, binding):
    session = service(server)
    with pytest.raises(Refused):
        login(session, mechanism, Scram(header, binding))
    assert not session.is_in()
    login(session, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(session)))
    assert session.is_in()


def test_wrong_password_and_nobody_look_alike(server):
    session = Submission(server)
    replies = []
    for scram in (Scram("n,,", password="wrong"), Scram("n,,", user="nobody@example.test")):
        with pytest.raises(Refused) as refusal:
            login(session, "SCRAM-SHA-256", scram)
        replies.append(str(refusal.value))
    assert replies[0] == replies[1]
    assert not session.is_in()


def test_mail_by_scram_and_back(server):
    sender = Submission(server)
    login(sender, "SCRAM-SHA-256-PLUS", Scram("p=tls-server-end-point,,", end_point(sender)))
    sender.connection.sendmail(USER, [USER], "Subject: by scram\r\n\r\nbody\r\n")
    reader = Pop3(server)
    login(reader, "SCRAM-SHA-256", Scram("n,,"))
    texts = [b"\n".join(reader.connection.retr(i + 1)[1]) for i in range(reader.connection.stat()[0])]
    assert any(b"Subject: by scram" in text and b"with ESMTPSA" in text for text in texts)
