"""Encryption on the way out: taken wherever it is offered, done without where it fails, and insisted on where the settings say so."""
import base64
import ssl

import pytest

from conftest import wait_until
from scripted_server import HANG_UP
from test_courier import HOST, QUICK, is_empty, queue, submit

OFFER = ("PIPELINING", "STARTTLS")


def certificate_of(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.directory / "tls/certificate.pem", server.directory / "tls/key.pem")
    return context


def by_the_dns(fresh, zones, port, more=""):
    dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})
    return fresh(f"{HOST}courier.port = {port}\n{dns.settings()}\n{more}")


def verbs(there):
    return [line.split()[0].split(":")[0] for line in there.lines]


def test_a_certificate_of_nobody_is_better_than_none(fresh, zones, peer):
    there = peer(keywords=OFFER)
    near = by_the_dns(fresh, zones, there.port)
    there.tls = certificate_of(near)
    submit(near, ["bob@far.test"])
    is_empty(near)
    assert (there.sessions, there.encrypted, len(there.messages)) == (1, 1, 1)
    assert verbs(there)[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


@pytest.mark.parametrize("answer, sessions", [
    ("454 4.7.0 not available now", 1),  # refused: it goes on as it is
    ("501 5.5.4 no", 1),
    ("220 go on", 2),  # and then what is no TLS
    (HANG_UP, 2),
    ("odd reply", 2),
])
def test_where_tls_fails_it_goes_without(fresh, zones, peer, answer, sessions):
    there = peer({"STARTTLS": answer}, keywords=OFFER)
    near = by_the_dns(fresh, zones, there.port)
    submit(near, ["bob@far.test"])
    is_empty(near)
    assert (there.sessions, there.encrypted, len(there.messages)) == (sessions, 0, 1)
    assert "deferred" not in near.log() and "failed" not in near.log()


def test_a_server_that_is_too_busy_for_tls_is_asked_later(fresh, zones, peer):
    there = peer({"STARTTLS": ["421 4.3.2 too busy", "454 4.7.0 no"]}, keywords=OFFER)
    near = by_the_dns(fresh, zones, there.port, QUICK)
    submit(near, ["bob@far.test"])
    is_empty(near)
    assert len(there.messages) == 1 and "421 4.3.2 too busy" in near.log() and "failed" not in near.log()


def test_switched_off(fresh, zones, peer):
    there = peer(keywords=OFFER)
    near = by_the_dns(fresh, zones, there.port, "courier.tls = false")
    submit(near, ["bob@far.test"])
    is_empty(near)
    assert "STARTTLS" not in verbs(there) and len(there.messages) == 1


# ---- A smart host ----


def with_smart_host(fresh, port, tls, more=""):
    near = fresh(HOST)
    (near.directory / "password").write_text("pencil\n")
    near.stop()
    near.configure(f'courier.smart_host = "localhost:{port}"\ncourier.smart_host_tls = "{tls}"\ncourier.smart_host_user = "user"\n'
                   f'courier.smart_host_password_file = "{near.directory}/password"\n{more}')
    near.start()
    return near


@pytest.mark.parametrize("tls, answers, keywords, said", [
    ("none", {}, ("AUTH PLAIN",), "not sent without TLS"),
    ("offered", {}, ("AUTH PLAIN",), "not sent without TLS"),
    ("offered", {"STARTTLS": "454 4.7.0 no"}, ("AUTH PLAIN", "STARTTLS"), "not sent without TLS"),
    ("offered", {"STARTTLS": "220 go on"}, ("AUTH PLAIN", "STARTTLS"), "not sent without TLS"),
    ("starttls", {}, ("AUTH PLAIN",), "STARTTLS is not offered"),
    ("starttls", {"STARTTLS": "454 4.7.0 no"}, ("AUTH PLAIN", "STARTTLS"), "STARTTLS is not offered"),
    ("starttls", {"STARTTLS": "220 go on"}, ("AUTH PLAIN", "STARTTLS"), "encrypted connection"),
    ("implicit", {}, ("AUTH PLAIN",), "encrypted connection"),
])
def test_the_password_is_never_sent_in_the_clear(fresh, peer, tls, answers, keywords, said):
    there = peer({"AUTH": "235 2.7.0 welcome", **answers}, keywords=keywords)
    near = with_smart_host(fresh, there.port, tls)
    submit(near, ["bob@one.test"])
    entry, = wait_until(lambda: [e for e in queue(near) if e["attempts"]], "an attempt")
    assert said in entry["reply"], entry
    assert "AUTH" not in verbs(there) and there.messages == [] and near.messages() == []


def test_auth_login(fresh, peer):
    """Of a smart host that knows no other way."""
    user, password = (base64.b64encode(word).decode() for word in (b"user", b"pencil"))
    there = peer({"AUTH LOGIN": "334 VXNlcm5hbWU6", user: "334 UGFzc3dvcmQ6", password: "235 2.7.0 welcome"},
                 keywords=("STARTTLS", "AUTH LOGIN CRAM-MD5"))
    near = with_smart_host(fresh, there.port, "offered")
    there.tls = certificate_of(near)
    submit(near, ["bob@one.test"])
    is_empty(near)
    assert there.encrypted == 1 and len(there.messages) == 1
    assert there.lines[1:6] == ["STARTTLS", "EHLO out.test", "AUTH LOGIN", user, password]


def test_a_login_that_is_refused_bounces_nothing(fresh, peer):
    there = peer({"AUTH": ["535 5.7.8 wrong password", "235 2.7.0 welcome"]}, keywords=("STARTTLS", "AUTH PLAIN"))
    near = with_smart_host(fresh, there.port, "offered")
    there.tls = certificate_of(near)
    submit(near, ["bob@one.test"])
    entry, = wait_until(lambda: [e for e in queue(near) if e["attempts"]], "an attempt")
    assert "535 5.7.8 wrong password" in entry["reply"] and near.messages() == []
    near.run("queue", "retry", "--all")
    is_empty(near)
    assert len(there.messages) == 1 and "pencil" not in near.log()


def test_tls_from_the_first_byte(fresh):
    far = fresh()
    far.run("queue", "pause", "out")
    near = fresh(HOST)
    (near.directory / "password").write_text("sandbox\n")
    settings = (f'courier.smart_host = "localhost:{far.port(465)}"\ncourier.smart_host_tls = "implicit"\n'
                f'courier.smart_host_user = "alice@example.test"\ncourier.smart_host_password_file = "{near.directory}/password"\n')
    near.stop()
    near.configure(settings)
    near.start()
    # Nobody vouches for its certificate.
    submit(near, ["bob@one.test"])
    entry, = wait_until(lambda: [e for e in queue(near) if e["attempts"]], "an attempt")
    assert "ertificate" in entry["reply"] and "login accepted" not in far.log()
    near.stop()
    near.configure(f'courier.ca_file = "{far.directory}/tls/certificate.pem"\n')
    near.start()
    near.run("queue", "retry", "--all")
    is_empty(near)
    entry, = queue(far)
    assert (entry["sender"], entry["recipient"]) == ("alice@example.test", "bob@one.test")
