"""Providers that are broken or hostile: the account's state says why, other accounts go on, nothing grows without bound."""
import itertools
import pathlib
import time

import pytest

from conftest import wait_until
from scripted_pop3 import HANG_UP, SILENCE, Pop3, certificate

PASSWORD = "wonderland-of-alice"
ONE = {"u1": b"Return-Path: <a@other.example>\r\nSubject: one\r\n\r\nHello\r\n"}
TWO = {**ONE, "u2": b"Subject: two\r\n\r\n.Hello\r\n"}


def mail(subject, size=0):
    return b"Subject: %s\r\n\r\nHello\r\n%s\r\n" % (subject.encode(), b"0123456789abcde\r\n" * (size // 17))


def endless(piece):
    return lambda: itertools.repeat(piece)


def dripping(first, piece, pause):
    def pieces():
        yield first
        while True:
            time.sleep(pause)  # what this server is about
            yield piece
    return pieces


def counting(first, line):
    """A listing that never ends."""
    def pieces():
        yield first
        for begin in itertools.count(1, 1000):
            yield b"".join(line % n for n in range(begin, begin + 1000))
    return pieces


# name: (messages, answers, what the state says, subjects that came in)
BEHAVIOURS = {
    "silent": ({}, {"GREETING": SILENCE}, "no answer to the connection within 5 seconds", []),
    "no-pop3": ({}, {"GREETING": b"220 smtp.example ESMTP\r\n"}, "none of POP3", []),
    "busy": ({}, {"GREETING": b"-ERR too many of you\r\n"}, "takes no connection now: \"too many of you\"", []),
    "gone": ({}, {"GREETING": HANG_UP}, "closed the connection", []),
    "drips-greeting": ({}, {"GREETING": dripping(b"+OK ", b"x", 0.2)}, "no answer to the connection", []),
    "long-greeting": ({}, {"GREETING": endless(b"x" * 65536)}, "the connection", []),
    "endless-capa": ({}, {"CAPA": [b"+OK\r\n", endless(b"X-ANY\r\n" * 100)]}, "CAPA has no end", []),
    "challenges-capa": ({}, {"CAPA": b"+ \r\n"}, "a challenge", []),
    "later": (ONE, {"PASS": b"-ERR [SYS/TEMP] try later\r\n"}, "try later", []),
    "gone-at-pass": (ONE, {"PASS": HANG_UP}, "closed the connection instead of answering PASS", []),
    "echoes": (ONE, {"PASS": b"-ERR " + PASSWORD.encode() + b" is wrong\r\n"}, "says the password back", []),
    "doubled-numbers": (TWO, {"LIST": b"+OK\r\n1 10\r\n1 10\r\n.\r\n"}, "LIST makes no sense", []),
    "negative": (TWO, {"LIST": b"+OK\r\n-1 10\r\n.\r\n"}, "LIST makes no sense", []),
    "endless-list": (ONE, {"LIST": counting(b"+OK\r\n", b"%d 10\r\n")}, "answer to LIST", []),
    "drips-list": (ONE, {"LIST": dripping(b"+OK\r\n1 10\r\n", b" ", 0.5)}, "no answer to LIST within 5 seconds", []),
    "no-list": (ONE, {"LIST": b"-ERR not today\r\n"}, "not today", []),
    "long-uidl": (ONE, {"UIDL": b"+OK\r\n1 " + b"u" * 10240 + b"\r\n.\r\n"}, "a line of the answer to UIDL is too long", []),
    "same-number": (ONE, {"UIDL": b"+OK\r\n1 a\r\n1 b\r\n.\r\n"}, "UIDL makes no sense", []),
    "endless-message": (ONE, {"RETR": [b"+OK\r\nSubject: endless\r\n\r\n", endless(b"more\r\n" * 1000)]}, "a message has no end", []),
    "endless-line": (ONE, {"RETR": [b"+OK\r\nSubject: endless\r\n\r\n", endless(b"x" * 65536)]}, "a message has no end", []),
    "endless-header": (ONE, {"RETR": [b"+OK\r\n", endless(b"X-More: 1\r\n" * 1000)]}, "a message has no end", []),
    "endless-nul": (ONE, {"RETR": [b"+OK\r\nSubject: nul\r\n\r\n", endless(b"\0" * 65536)]}, "a message has no end", []),
    "gone-at-retr": (TWO, {"RETR 2": [b"+OK\r\nSubject: half\r\n\r\nhal", HANG_UP]}, "did not come whole", ["one"]),
    "never-any": ({f"u{n}": mail(f"n{n}") for n in range(150)}, {"RETR": b"-ERR no\r\n"}, "refuses RETR", []),
    "not-the-first": (TWO, {"RETR 1": b"-ERR gone\r\n"}, "", ["two"]),
    "keeps": (ONE, {"DELE": b"-ERR read-only\r\n"}, "", ["one"]),
    "gone-at-quit": (ONE, {"QUIT": HANG_UP}, "instead of answering QUIT", ["one"]),
    "small-says-large": (ONE, {"LIST": b"+OK\r\n1 999999999999999999\r\n.\r\n"}, "", []),
    "large-says-small": ({"u1": mail("large", 500000)}, {"LIST": b"+OK\r\n1 10\r\n.\r\n"}, "", ["large"]),
    "too-many-hops": ({"u1": b"Received: from a by b; x\r\n" * 101 + mail("circle")}, {}, "", []),
}


@pytest.fixture
def provider():
    made = []

    def make(*arguments, **words):
        made.append(Pop3(*arguments, **words))
        return made[-1]
    yield make
    for one in made:
        one.close()


def settings(more=""):
    return f'remote.networks = {{ "127.0.0.0/8" }}\nremote.timeout = "5s"\nsmtp.message_size = "1M"\n{more}'.strip()


def add(server, account, name, port, *words, tls="none", password=PASSWORD):
    words = words or (("clear-password=yes",) if tls == "none" else ())
    server.run("remote", "add", account, name, "host=localhost", f"port={port}", "login=x", f"tls={tls}", *words, "--password-stdin",
               text_input=password + "\n")


def state(server, account, name):
    return next(row for row in server.run_json("remote", "list", account) if row["name"] == name)


def subjects(server, user):
    texts = server.messages(user)
    return sorted(line[9:].decode() for text in texts for line in text.split(b"\n\n")[0].split(b"\n") if line.startswith(b"Subject: "))


def memory(server):
    """Kilobytes that the courier has."""
    pid = next(pid for pid, words in server.children().items() if "courier" in words)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return pid, int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_whatever_they_do(fresh, provider):
    server = fresh(settings("remote.connections = 100\nremote.interval = \"7d\""))
    good = provider({"u1": mail("good")})
    add(server, "bob@example.test", "good", good.port)
    server.run("remote", "fetch", "--now")
    pid, before = memory(server)
    for name, (messages, answers, _, _) in BEHAVIOURS.items():
        add(server, "alice@example.test", name, provider(messages, answers).port)
    server.run("remote", "fetch", "alice@example.test")
    # Others go on meanwhile.
    good.messages["u2"] = mail("meanwhile")
    server.run("remote", "fetch", "--now", "bob@example.test")
    assert subjects(server, "bob@example.test") == ["good", "meanwhile"]
    wait_until(lambda: all(row["last_at"] for row in server.run_json("remote", "list", "alice@example.test")), "each was visited")
    rows = {row["name"]: row for row in server.run_json("remote", "list", "alice@example.test")}
    wrong = {name: rows[name]["problem"] for name, (_, _, said, _) in BEHAVIOURS.items()
             if said not in rows[name]["problem"] or (not said and rows[name]["problem"]) or rows[name]["failures"] != bool(said)}
    assert not wrong, wrong
    wanted = sorted(subject for _, _, _, came in BEHAVIOURS.values() for subject in came)
    assert subjects(server, "alice@example.test") == wanted
    after = memory(server)
    assert after[0] == pid and after[1] - before < 200_000, (before, after)  # the courier is the same, and no fatter than its allocator leaves it
    assert PASSWORD not in server.log()
    # Again: nothing comes twice.
    for name in ("keeps", "gone-at-quit", "not-the-first", "large-says-small"):
        server.run("remote", "fetch", "--now", "alice@example.test", name, check=False)
    assert subjects(server, "alice@example.test") == wanted


def test_a_listing_that_drips_lines(fresh, provider):
    """Each line comes in time, but the whole does not."""
    def lines():
        yield b"+OK\r\n"
        for n in itertools.count(1):
            time.sleep(0.5)
            yield b"%d 10\r\n" % n
    server = fresh(settings())
    add(server, "alice@example.test", "drips", provider(ONE, {"LIST": lines}).port)
    server.run("remote", "fetch", "--now", check=False)
    assert state(server, "alice@example.test", "drips")["problem"] == "the answer to LIST did not end within 50 seconds"


def test_nobody_takes_all_places(fresh, provider):
    """One person's silent providers, and somebody else's mail."""
    server = fresh(settings("remote.connections = 3"))
    silent = [provider({}, {"GREETING": SILENCE}) for _ in range(3)]
    for n, one in enumerate(silent):
        add(server, "alice@example.test", f"silent{n}", one.port)
    add(server, "bob@example.test", "good", provider({"u1": mail("good")}).port)
    server.run("remote", "fetch", "alice@example.test")
    wait_until(lambda: any(one.sessions for one in silent), "one is visited")
    server.run("remote", "fetch", "--now", "bob@example.test")
    assert subjects(server, "bob@example.test") == ["good"]
    assert sum(one.sessions for one in silent) < 3


def test_tls_is_what_it_says(fresh, provider, tmp_path):
    context, pem = certificate(tmp_path)
    other, _ = certificate(tmp_path, "elsewhere.example")
    server = fresh(settings(f'remote.ca_file = "{pem}"'))
    injected = b"+OK begin\r\n+OK\r\n.\r\n-ERR [AUTH] wrong\r\n"
    cases = {
        "injects": (provider(ONE, {"STLS": injected}, tls=context), "stls", ""),
        "right": (provider({"u2": mail("right")}, tls=context, tls_first=True), "pop3s", ""),
        "stripped": (provider(ONE, {"STLS": b"-ERR what?\r\n"}), "stls", "STLS"),
        "not-tls": (provider(ONE, {"STLS": [b"+OK begin\r\n", b"this is no TLS\r\n" * 100, HANG_UP]}), "stls", "TLS failed"),
        "plain-at-pop3s": (provider(ONE), "pop3s", "TLS failed"),
        "another-name": (provider(ONE, tls=other, tls_first=True), "pop3s", "TLS failed"),
    }
    for name, (one, tls, _) in cases.items():
        add(server, "alice@example.test", name, one.port, tls=tls)
    server.run("remote", "fetch", "--now", check=False)
    rows = {row["name"]: row["problem"] for row in server.run_json("remote", "list")}
    wrong = {name: rows[name] for name, (_, _, said) in cases.items() if said not in rows[name] or (not said and rows[name])}
    assert not wrong, wrong
    assert subjects(server, "alice@example.test") == ["one", "right"]
    for name, (one, _, said) in cases.items():
        assert not said or not any(line.startswith(("USER", "PASS", "AUTH")) for line in one.lines), name


def test_a_password_that_changes_under_way(fresh, provider):
    """What a visit with the old password ends with says nothing of the new one."""
    server = fresh(settings())
    provided = provider(ONE, {"PASS old-one": [SILENCE]})
    add(server, "alice@example.test", "work", provided.port, password="old-one")
    server.run("remote", "fetch")
    wait_until(lambda: "PASS old-one" in provided.lines, "the old one was said")
    server.run("remote", "set", "alice@example.test", "work", "--password-stdin", text_input="new-one\n")
    server.run("remote", "fetch")
    wait_until(lambda: subjects(server, "alice@example.test") == ["one"], "the new one counts")
    assert state(server, "alice@example.test", "work")["problem"] == ""


def test_others_at_the_same_provider_go_on(fresh, provider):
    """What goes wrong with one person's maildrop, or how they set it up, closes the provider to nobody; a provider that does not
    even greet is left alone for all, but for who asks."""
    server = fresh(settings('remote.interval = "7d"'))
    shared = provider({"u1": mail("shared")}, {"USER broken": HANG_UP})
    add(server, "alice@example.test", "broken", shared.port)
    server.run("remote", "set", "alice@example.test", "broken", "login=broken", "--password-stdin", text_input="x\n")
    wait_until(lambda: state(server, "alice@example.test", "broken").get("failures"), "the visit failed")
    add(server, "bob@example.test", "fine", shared.port)
    wait_until(lambda: subjects(server, "bob@example.test") == ["shared"], "somebody else's mail came")
    dead = provider({"u1": mail("late")}, {"GREETING": HANG_UP})
    add(server, "alice@example.test", "dead", dead.port)
    wait_until(lambda: state(server, "alice@example.test", "dead").get("failures"), "the visit failed")
    first = state(server, "alice@example.test", "dead")
    assert 50 <= first["next_at"] - first["last_at"]
    before = dead.sessions
    add(server, "carol@example.test", "dead", dead.port)
    row = wait_until(lambda: next((r for r in server.run_json("remote", "list", "carol@example.test") if r.get("next_at", 0) > first["last_at"] + 30), None),
                     "carol's waits for the provider")
    assert dead.sessions == before and row["failures"] == 0, row
    del dead.answers["GREETING"]
    server.run("remote", "fetch", "--now", "carol@example.test")
    assert subjects(server, "carol@example.test") == ["late"]


def test_failures_are_followed_by_longer_waits(fresh, provider):
    server = fresh(settings('remote.interval = "1m"'))
    one = provider(ONE, {"LIST": b"-ERR not today\r\n"})
    add(server, "alice@example.test", "work", one.port)
    waits = []
    for n in range(1, 6):
        server.run("remote", "fetch", "--now", check=False)
        row = state(server, "alice@example.test", "work")
        # The first visit may be the one of the account's own accord.
        assert row["failures"] >= n, row
        waits.append((row["next_at"] - row["last_at"], row["failures"]))
    for wait, failures in waits:
        whole = min(60 * 2 ** (failures - 1), 3600)
        assert 0.88 * whole <= wait <= 1.12 * whole, waits
    text = server.run("remote", "list").stdout
    assert f"failed {waits[-1][1]} times in a row" in text and "not today" in text and "last tried" in text, text
    del one.answers["LIST"]
    server.run("remote", "fetch", "--now")
    row = state(server, "alice@example.test", "work")
    assert row["failures"] == 0 and row["problem"] == "" and row["next_at"] - row["last_at"] <= 67, row


def test_more_than_can_be_looked_at(fresh, provider):
    """With all of them left there, those behind the first 200000 would never come: the account's state says so."""
    server = fresh(settings())
    lines = b"".join(b"%d 99999999\r\n" % n for n in range(1, 200002))
    ids = b"".join(b"%d u%d\r\n" % (n, n) for n in range(1, 200002))
    one = provider(ONE, {"LIST": b"+OK\r\n" + lines + b".\r\n", "UIDL": b"+OK\r\n" + ids + b".\r\n"})
    add(server, "alice@example.test", "full", one.port, "clear-password=yes", "leave=yes")
    server.run("remote", "fetch", "--now", check=False)
    assert "more than 200000 messages lie at the provider" in state(server, "alice@example.test", "full")["problem"]
    # What is too large is told of, but not two hundred thousand times.
    assert 1000 <= server.log().count("a message can't be taken") <= 1100 * 2
