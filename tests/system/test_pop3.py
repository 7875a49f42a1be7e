"""POP3 with Python's own client, over a whole server."""
import poplib
import socket

import pytest

from conftest import PATIENCE, unverified

USER, PASSWORD = "carol@example.test", "sandbox"
MESSAGE = "From: someone@elsewhere.test\r\nTo: carol@example.test\r\nSubject: {}\r\n\r\n{}\r\n"


def send(server, subject, body="a line\r\n.a line with a dot\r\n.\r\nthe last"):
    server.send(MESSAGE.format(subject, body), to=USER)


def open_maildrop(server):
    return server.pop(USER, PASSWORD)


def empty(server):
    pop = open_maildrop(server)
    for number in range(1, pop.stat()[0] + 1):
        pop.dele(number)
    pop.quit()


def unique_ids(server):
    pop = open_maildrop(server)
    ids = [line.split()[1] for line in pop.uidl()[1]]
    pop.quit()
    return ids


@pytest.fixture
def maildrop(server):
    """Three messages and nothing else."""
    empty(server)
    for subject in ("one", "two", "three"):
        send(server, subject)
    return server


def test_a_session(maildrop):
    pop = open_maildrop(maildrop)
    count, octets = pop.stat()
    sizes = [int(line.split()[1]) for line in pop.list()[1]]
    assert (count, octets) == (3, sum(sizes))
    for number, subject in enumerate((b"one", b"two", b"three"), 1):
        _, lines, _ = pop.retr(number)
        assert b"Subject: " + subject in lines
        assert lines[-4:] == [b"a line", b".a line with a dot", b".", b"the last"]
        # The size that LIST gives is that of the message without dot-stuffing.
        assert sum(len(line) + 2 for line in lines) == sizes[number - 1]
        _, top, _ = pop.top(number, 2)
        assert top == lines[:-2]
    pop.quit()


def test_deleting_takes_effect_at_quit_only(maildrop):
    before = unique_ids(maildrop)
    pop = open_maildrop(maildrop)
    pop.dele(1)
    pop.close()
    assert unique_ids(maildrop) == before
    pop = open_maildrop(maildrop)
    pop.dele(1)
    pop.rset()
    pop.dele(2)
    pop.quit()
    assert unique_ids(maildrop) == [before[0], before[2]]


def test_unique_ids_outlive_restart_and_rebuild(fresh):
    server = fresh()
    for subject in ("one", "two", "three"):
        send(server, subject)
    pop = open_maildrop(server)
    pop.dele(2)
    pop.quit()
    before = unique_ids(server)
    server.stop()
    server.run("store", "rebuild")
    server.start()
    assert unique_ids(server) == before
    send(server, "four")
    after = unique_ids(server)
    assert after[:2] == before and len(set(after)) == 3


def test_stls(server):
    pop = poplib.POP3("127.0.0.1", server.port(110), timeout=PATIENCE)
    before = pop.capa()
    assert "STLS" in before and "USER" not in before and "SASL" not in before
    with pytest.raises(poplib.error_proto, match="AUTH"):
        pop.user(USER)
    pop.stls(unverified())
    behind = pop.capa()
    assert "STLS" not in behind and "USER" in behind and "SCRAM-SHA-256" in behind["SASL"]
    assert behind["EXPIRE"] == ["NEVER"]
    assert {"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG", "IMPLEMENTATION"} <= set(behind)
    pop.utf8()
    pop.user(USER)
    pop.pass_(PASSWORD)
    pop.quit()


def test_wrong_password(server):
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    pop.user(USER)
    with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
        pop.pass_("wrong")
    pop.close()


def test_large_message(server):
    empty(server)
    body = "\r\n".join(f"{n:060d}" for n in range(100_000))
    send(server, "large", body)
    pop = open_maildrop(server)
    _, lines, _ = pop.retr(1)
    assert "\r\n".join(line.decode() for line in lines).endswith(body)
    pop.dele(1)
    pop.quit()


def test_pipelining(server):
    empty(server)
    for n in range(40):
        send(server, f"number {n}")
    context = unverified()
    with socket.create_connection(("127.0.0.1", server.port(995)), PATIENCE) as plain, context.wrap_socket(plain) as tls:
        commands = [f"USER {USER}", f"PASS {PASSWORD}"] + [f"RETR {n + 1}" for n in range(40)] + [f"DELE {n + 1}" for n in range(40)] + ["QUIT"]
        tls.sendall("".join(command + "\r\n" for command in commands).encode())
        answer = b""
        while data := tls.recv(65536):
            answer += data
    assert [answer.count(b"Subject: number %d\r\n" % n) for n in range(40)] == [1] * 40
    assert answer.endswith(b"+OK bye, 40 messages removed\r\n")
    assert unique_ids(server) == []


def test_two_sessions_at_once(maildrop):
    first, second = open_maildrop(maildrop), open_maildrop(maildrop)
    first.dele(1)
    second.dele(1)
    second.dele(2)
    first.quit()
    assert second.stat()[0] == 1
    second.quit()
    assert len(unique_ids(maildrop)) == 1
