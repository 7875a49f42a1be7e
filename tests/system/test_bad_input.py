"""What nobody honest sends: a clear answer or a closed connection, bounded cost, and nothing lost."""
import os
import resource
import socket

import pytest

from conftest import PATIENCE, wait_until

MEMORY_OF_A_SESSION_KIB = 64  # with AddressSanitizer, which takes several times what the program takes by itself
GOOD = b"Subject: s\r\n\r\nbody\r\n.\r\n"


def begin(raw, rcpt="alice@example.test"):
    assert raw.reply()[0] == 220
    assert raw.ask("EHLO client.test")[0] == 250
    assert raw.ask("MAIL FROM:<s@elsewhere.test>")[0] == 250
    assert raw.ask(f"RCPT TO:<{rcpt}>")[0] == 250


def memory_kib(server):
    """Of the gates: the others' memory is not the clients' doing, and some still read their files."""
    total = 0
    for pid in (pid for pid, words in server.children().items() if " gate " in f" {words} "):
        with open(f"/proc/{pid}/statm") as f:
            total += int(f.read().split()[1]) * 4
    assert total
    return total


def test_helo_of_100000(server):
    raw = server.raw()
    raw.reply()
    assert raw.ask("HELO " + "x" * 100000)[0] == 500
    assert raw.ask("HELO ok.test")[0] == 250
    raw.close()


def test_a_line_that_never_ends(server):
    raw = server.raw()
    raw.reply()
    before = memory_kib(server)
    for _ in range(64):
        raw.send(b"x" * (1 << 20))
    assert memory_kib(server) - before < 64 << 10
    raw.send(b"\r\nNOOP\r\n")
    assert raw.reply()[0] == 500
    assert raw.reply()[0] == 250
    raw.close()


def test_user_of_100000(server):
    raw = server.raw(110)
    raw.line()
    raw.send("USER " + "x" * 100000 + "\r\nNOOP\r\nCAPA\r\n")
    assert raw.line().startswith(b"-ERR")
    assert raw.line().startswith(b"-ERR")
    assert raw.line().startswith(b"+OK")
    raw.close()


@pytest.mark.parametrize("line", [b"\0", b"HELO a\0b", b"EHLO \0", b"MAIL FROM:<a\0@b.test>", b"\0\0\0\0QUIT", b"NO\0OP"])
def test_nul_in_commands(server, line):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    assert raw.ask(line)[0] in (500, 501, 553)
    assert raw.ask("NOOP")[0] == 250
    raw.close()


@pytest.mark.parametrize("line", [b"\0", b"USER a\0b", b"CAPA\0", b"\0QUIT"])
def test_nul_in_pop3(server, line):
    raw = server.raw(110)
    raw.line()
    raw.send(line + b"\r\n")
    assert raw.line().startswith(b"-ERR")
    raw.close()


def test_nul_in_data(server):
    raw = server.raw()
    begin(raw)
    assert raw.ask("DATA")[0] == 354
    raw.send(b"Subject: \0\r\n\r\nx\0y\r\n.\r\n")
    code, _ = raw.reply()
    assert 550 <= code <= 554
    raw.close()


# Each is followed by a smuggled transaction; only CRLF.CRLF may end the data.
SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r.\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
             b"\r\r\n.\r\n"[1:-1], b"\r\n.\r\r\n", b"\n\n.\r\n", b"\r\n .\r\n"]


@pytest.mark.parametrize("end", SMUGGLING)
@pytest.mark.parametrize("whole", [True, False])
def test_smuggling(server, end, whole):
    count = len(server.messages("carol@example.test"))
    raw = server.raw()
    begin(raw, "bob@example.test")
    assert raw.ask("DATA")[0] == 354
    smuggled = b"MAIL FROM:<boss@example.test>\r\nRCPT TO:<carol@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
    data = b"Subject: first\r\n\r\nx" + end + smuggled + b"\r\n.\r\n"
    if whole:
        raw.send(data)
    else:
        for i in range(len(data)):
            raw.send(data[i:i + 1])
    code, text = raw.reply()
    if end == b"\r\n .\r\n":
        assert code == 250
    else:
        assert code in (550, 554), text
    assert raw.ask("NOOP")[0] == 250
    raw.close()
    assert len(server.messages("carol@example.test")) == count


def test_500000_header_lines(server):
    raw = server.raw()
    begin(raw)
    assert raw.ask("DATA")[0] == 354
    line = b"X-H: y\r\n" * 10000
    for _ in range(50):
        raw.send(line)
    raw.send(b"\r\nbody\r\n.\r\n")
    code, _ = raw.reply()
    assert code in (552, 554, 550)
    assert raw.ask("NOOP")[0] == 250
    raw.close()


def test_mime_nested_100000_deep(server):
    raw = server.raw()
    begin(raw)
    assert raw.ask("DATA")[0] == 354
    raw.send(b"Content-Type: multipart/mixed; boundary=b0\r\nMIME-Version: 1.0\r\n\r\n")
    part = [b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (i, i + 1) for i in range(100000)]
    raw.send(b"".join(part))
    raw.send(b"the end\r\n.\r\n")
    assert raw.reply()[0] == 250
    assert raw.ask("NOOP")[0] == 250
    raw.close()


def test_10000_recipients(server):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    raw.ask("MAIL FROM:<s@elsewhere.test>")
    raw.send(b"RCPT TO:<alice@example.test>\r\n" * 10000)
    codes = [raw.reply()[0] for _ in range(10000)]
    accepted = codes.count(250)
    assert set(codes) == {250, 452}
    assert 100 <= accepted < 10000
    assert raw.ask("DATA")[0] == 354
    raw.send(GOOD)
    assert raw.reply()[0] == 250
    raw.close()


def test_10000_unknown_recipients_end_the_session(fresh):
    server = fresh("smtp.errors = 5")  # each is answered later than the one before
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO c")
    raw.ask("MAIL FROM:<s@elsewhere.test>")
    try:
        raw.send(b"RCPT TO:<nobody@example.test>\r\n" * 10000)
    except OSError:
        pass
    codes = []
    while True:
        code, _ = raw.reply()
        if not code:
            break
        codes.append(code)
    assert codes[-1] == 421
    assert len(codes) == 6
    raw.close()


def test_a_dripping_client_is_ended_and_starves_nobody(fresh):
    server = fresh("smtp.command_timeout = 5\nsmtp.data_timeout = 5")
    slow = []
    for _ in range(100):
        raw = server.raw()
        raw.reply()
        raw.send("E")
        slow.append(raw)
    server.send("Subject: honest\r\n\r\nx\r\n")
    assert len(server.messages()) == 1
    ended = 0
    for raw in slow:
        try:
            raw.send("H")  # a byte now and then does not move the line's deadline
        except OSError:
            pass
    for raw in slow:
        code, _ = raw.reply()
        ended += code in (421, 0)
        raw.close()
    assert ended == 100


DRIPPING = 500


def test_hundreds_of_dripping_clients_leave_room_for_honest_mail(fresh):
    """Half of them drip a command, half a message's body, a byte a round. The gate's memory stays bounded, and honest mail goes through between any two rounds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * DRIPPING)), hard))
    server = fresh()
    before = memory_kib(server)
    slow = []
    for i in range(DRIPPING):
        raw = server.raw()
        if i % 2:
            raw.send("EHLO slow.test\r\nMAIL FROM:<s@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        slow.append(raw)
    for i, raw in enumerate(slow):
        assert raw.reply()[0] == 220
        if i % 2:
            assert [raw.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
    rounds = b"NOOP  \t \t"
    for n in range(len(rounds)):
        for raw in slow:
            raw.send(rounds[n:n + 1])
        server.send(f"Subject: honest {n}\r\n\r\nx\r\n")
    assert len(server.messages()) == len(rounds)
    grown = memory_kib(server) - before
    assert grown < DRIPPING * MEMORY_OF_A_SESSION_KIB, f"{grown} KiB for {DRIPPING} sessions"
    # They were served all the while.
    for i, raw in enumerate(slow):
        raw.send("\r\n.\r\n" if i % 2 else "\r\n")
        assert raw.reply()[0] == 250
        raw.close()
    server.send("Subject: honest, at the end\r\n\r\nx\r\n")


def test_a_disconnect_at_every_byte_loses_nothing_and_doubles_nothing(server):
    before = len(server.messages("carol@example.test"))
    dialogue = b"EHLO c\r\nMAIL FROM:<s@b.test>\r\nRCPT TO:<carol@example.test>\r\nDATA\r\nSubject: cut\r\n\r\nx\r\n.\r\n"
    acknowledged = 0
    for n in range(len(dialogue) + 1):
        with socket.create_connection(("127.0.0.1", server.port(25)), PATIENCE) as s:
            s.sendall(dialogue[:n])
            s.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while True:
                    data = s.recv(65536)
                    if not data:
                        break
                    answer += data
            except ConnectionResetError:
                pass
            acknowledged += b"250 2.0.0 Stored" in answer
    assert acknowledged == 1
    assert len(server.messages("carol@example.test")) == before + acknowledged


def test_random_bytes(server):
    for standard in (25, 110, 465, 995, 587):
        for _ in range(10):
            raw = server.raw(standard)
            try:
                raw.send(os.urandom(20000))
            except OSError:
                pass
            raw.close()
    server.send("Subject: still there\r\n\r\nx\r\n")


def test_connections_per_address_are_limited(fresh):
    server = fresh("processes.connections_per_address = 20")
    held = []

    def is_let_in():
        raw = server.raw()
        held.append(raw)
        return raw.reply()[0] == 220

    for _ in range(20):
        wait_until(is_let_in, "a place")
    assert not any(is_let_in() for _ in range(5))
    for raw in held:
        raw.close()
    wait_until(is_let_in, "a place given back")
