"""Mail that is fetched from a real Dovecot: ways to log in, what is left and deleted, crashes, rules, a domain's mailbox."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import OSTIARY, wait_until
from remote_mail import add, export, fetch, message, subjects, subjects_of

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from torture.clock import Clock  # noqa: E402

WAYS = [
    ("plain login", ["tls=pop3s"], "method=PLAIN"),
    ("plain login", ["tls=stls"], "method=PLAIN"),
    ("login", ["tls=pop3s", "method=login"], "method=LOGIN"),
    ("plain", ["tls=none", "clear-password=yes"], "method=PLAIN"),
    ("plain apop", ["tls=none"], "method=APOP"),
    ("plain scram-sha-256", ["tls=none"], "method=SCRAM-SHA-256"),
    ("plain scram-sha-256", ["tls=pop3s"], "method=SCRAM-SHA-256"),
]


@pytest.mark.parametrize("mechanisms,words,used", WAYS)
def test_every_way_to_log_in(provider, serve, mechanisms, words, used):
    dovecot = provider(mechanisms=mechanisms)
    server = serve(dovecot)
    dovecot.put("alice", message("first"))
    dovecot.put("alice", message("second", body=".dots\n..more\n" + "x" * 2000))
    add(server, dovecot, *words)
    fetch(server)
    assert subjects(server) == ["first", "second"]
    assert dovecot.messages("alice") == []
    assert used in dovecot.log()


def test_what_is_wrong_is_said(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, password="wrong")
    result = fetch(server, check=False)
    assert result.returncode == 75 and "refuses" in result.stdout
    state = server.run_json("remote", "list")[0]
    assert state["next_at"] == 0 and state["failures"] == 1, state  # [AUTH] says that it is the password
    dovecot.put("alice", message("late"))
    server.run("remote", "set", "alice@example.test", "work", "--password-stdin", text_input="wonderland\n")
    fetch(server)
    assert subjects(server) == ["late"]
    result = server.run("remote", "set", "alice@example.test", "work", "host=127.0.0.2", "--password-stdin", text_input="wonderland\n")
    result = fetch(server, check=False)
    assert "TLS failed" in result.stdout or "can't be reached" in result.stdout
    assert "wonderland" not in server.log() + (server.directory / "ostiary.conf").read_text()


def test_certificates_and_stls_are_not_negotiable(provider, serve):
    plain, trusted = provider(ssl="no"), provider()
    plain.put("alice", message("never"))
    server = serve(plain, f'remote.ca_file = "{plain.certificate}"')  # another's
    add(server, plain, "tls=stls", name="stripped")
    add(server, trusted, name="forged")
    add(server, trusted, "verify=no", name="trusting")
    add(server, plain, "tls=none", name="shown", login="alice")
    out = {row["name"]: row["problem"] for row in json.loads(fetch(server, "--json", check=False).stdout)}
    assert "STLS" in out["stripped"] and "TLS failed" in out["forged"] and out["trusting"] == "" and "clear-password" in out["shown"], out
    assert len(plain.messages("alice")) == 1 and subjects(server) == []
    assert "wonderland" not in plain.log()


def test_authorities_that_cannot_be_read_trust_nobody(provider, serve, tmp_path):
    dovecot = provider()
    dovecot.put("alice", message("waits"))
    pem = tmp_path / "authorities.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    server = serve(dovecot, f'remote.ca_file = "{pem}"')
    add(server, dovecot)
    assert "trusted authorities" in fetch(server, check=False).stdout
    assert subjects(server) == []
    pem.write_bytes(dovecot.certificate.read_bytes())
    server.run("reload")
    wait_until(lambda: "trusted authorities" not in fetch(server, check=False).stdout, "the certificates were read again")
    assert subjects(server) == ["waits"]


def test_private_addresses_are_for_the_site_to_allow(provider, fresh):
    dovecot = provider()
    server = fresh()
    add(server, dovecot)
    assert "remote.networks" in fetch(server, check=False).stdout


def test_mail_is_left_and_deleted_in_time(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, "leave=yes")
    for name in ("one", "two", "three"):
        dovecot.put("alice", message(name))
    fetch(server)
    fetch(server)
    assert subjects(server) == ["one", "three", "two"] and len(dovecot.messages("alice")) == 3
    dovecot.put("alice", message("four"))
    fetch(server)
    assert len(subjects(server)) == 4
    server.run("remote", "set", "alice@example.test", "work", "delete-after=60s")
    fetch(server)
    assert len(dovecot.messages("alice")) == 4  # nothing is that old yet
    server.run("remote", "set", "alice@example.test", "work", "leave=no", "delete-after=0")
    fetch(server)
    assert dovecot.messages("alice") == [] and len(subjects(server)) == 4


def test_what_is_left_does_not_grow_old_by_a_clock_that_jumps(provider, serve, tmp_path):
    clock = Clock(tmp_path, pathlib.Path(OSTIARY).resolve().parents[1] / "torture/libclock_shim.so")
    dovecot = provider()
    server = serve(dovecot, environment=clock.environment)
    add(server, dovecot, "leave=yes", "delete-after=7d", "verify=no")
    dovecot.put("alice", message("kept"))
    for seconds in (-10 * 365 * 86400, 0):
        clock.set(seconds)
        # There is no resolver for a moment: a new one takes the place of the one that remembers by the old clock.
        wait_until(lambda: fetch(server, check=False).returncode == 0, f"a visit with the clock {seconds} s ahead")
    assert subjects(server) == ["kept"] and len(dovecot.messages("alice")) == 1


def test_ids_that_are_no_good(provider, serve):
    """Each message has the same id: they are told apart by their bytes."""
    dovecot = provider(extra="pop3_uidl_format = %v\n")
    server = serve(dovecot)
    add(server, dovecot, "leave=yes")
    for name in ("one", "two", "three"):
        dovecot.put("alice", message(name))
    fetch(server)
    fetch(server)
    assert subjects(server) == ["one", "three", "two"]
    server.run("remote", "set", "alice@example.test", "work", "leave=no")
    fetch(server)
    assert subjects(server) == ["one", "three", "two"] and dovecot.messages("alice") == []


def test_a_folder_and_odd_messages(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot)
    dovecot.put("alice", b"no header at all, one line")
    dovecot.put("alice", b"Subject: nul\n\na\0b\n")
    dovecot.put("alice", b"Subject: bare\n\na\rb\n.\n..\n")
    dovecot.put("alice", ("Subject: large\n\n" + "0123456789abcdef\n" * 120000).encode())
    dovecot.put("alice", b"Subject: long\n\n" + b"x" * 300000 + b"\n")
    fetch(server)
    texts = [t.replace(b"\r\n", b"\n") for t in export(server).values()]
    assert len(texts) == 5 and subjects_of(texts) == ["bare", "large", "long", "nul"], [t[:300] for t in texts]
    large = next(t for t in texts if b"Subject: large" in t)
    assert large.count(b"0123456789abcdef") == 120000
    assert any(b"\nab" in t for t in texts) and any(b"\n.\n..\n" in t + b"\n" for t in texts)


def test_what_is_refused_goes_to_blocked(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot)
    server.run("list", "add", "alice@example.test", "white", "friend@other.example")
    server.run("rules", "set", "alice@example.test", "fetched-white-list=on")
    dovecot.put("alice", message("welcome", sender="friend@other.example"))
    dovecot.put("alice", message("unwelcome", sender="stranger@other.example"))
    said = fetch(server).stdout
    assert "2 new, 2 stored (1 of them refused by rules, and put into the folder for that), 0 refused" in said, said
    assert subjects(server) == ["welcome"] and dovecot.messages("alice") == []
    blocked = [text for name, text in export(server).items() if "Blocked" in name]
    assert subjects_of([t.replace(b"\r\n", b"\n") for t in blocked]) == ["unwelcome"]
    rows = server.run("ledger", "--for", "alice@example.test").stdout
    assert "filed  stranger@other.example -> alice@example.test (fetched)  by fetched-white-list" in rows, rows
    assert any("192.0.2.7" in str(row) for row in server.run_json("ledger", "--for", "alice@example.test"))
    server.run("rules", "set", "alice@example.test", "fetched-block-folder=off")
    dovecot.put("alice", message("deleted", sender="stranger@other.example"))
    fetch(server)
    assert dovecot.messages("alice") == [] and not any(b"Subject: deleted" in t for t in export(server).values())


def test_a_domains_mailbox_is_split(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, "split=example.test", account="alice@example.test")
    for name, header in (("to-bob", "Delivered-To: bob@example.test"), ("to-carol", "X-Original-To: <carol@example.test>"),
                         ("to-nobody", "Delivered-To: nobody@example.test"), ("to-both", "To: bob@example.test, Carol <carol@example.test>")):
        dovecot.put("alice", f"{header}\nSubject: {name}\nFrom: x@other.example\n\nHello\n")
    fetch(server)
    assert subjects(server) == ["to-nobody"]
    assert subjects(server, "bob@example.test") == ["to-bob", "to-both"]
    assert subjects(server, "carol@example.test") == ["to-both", "to-carol"]


def test_no_loss_and_no_double_when_it_dies(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    for n in range(300):
        dovecot.put("alice", message(f"m{n}"))
    add(server, dovecot)
    server.run("remote", "fetch")
    for _ in range(4):
        before = server.log().count("message fetched")
        wait_until(lambda: server.log().count("message fetched") >= min(before + 20, 300), "some were fetched")
        for pid, words in server.children().items():
            if "courier" in words or "writer" in words:
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.run("remote", "fetch", check=False).returncode == 0, "the courier is back")
    wait_until(lambda: not dovecot.messages("alice") or fetch(server, check=False) is None, "all are fetched")
    assert subjects(server) == sorted(f"m{n}" for n in range(300))


def test_two_thousand_with_progress(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    for n in range(2000):
        dovecot.put("alice", message(f"m{n}"))
    add(server, dovecot)
    master, slave = os.openpty()
    process = subprocess.Popen([server.binary, "remote", "fetch", "--now", "--config", server.config], stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    out = process.communicate()[0].decode()
    assert process.returncode == 0 and "2000 new, 2000 stored" in out, out
    assert b"of 2000 messages" in seen and seen.count(b"\r[") > 2
    assert len(subjects(server)) == 2000 and dovecot.messages("alice") == []


def test_a_refused_sender_is_told_once(provider, serve, zones):
    dns = zones({"other.example": "@ IN A 192.0.2.7\n@ IN MX 10 mx\nmx IN A 192.0.2.7", "forged.example": "@ IN A 192.0.2.99"})
    dovecot = provider()
    server = serve(dovecot, dns.settings())
    server.run("queue", "pause", "out")
    add(server, dovecot)
    server.run("rules", "set", "alice@example.test", "fetched-white-list=on", "fetched-white-list.notice=on", "fetched-white-list.carbon-copy=bob@example.test")
    dovecot.put("alice", message("one"))
    dovecot.put("alice", message("two"))
    dovecot.put("alice", message("forged", sender="victim@forged.example"))
    dovecot.put("alice", message("list", sender="news@other.example").replace("Subject:", "List-Id: <news>\nSubject:"))
    dovecot.put("alice", message("bounce", sender=""))
    fetch(server)
    assert server.log().count("the refused sender is told") == 1
    assert "carol@other.example" in server.run("queue", "list").stdout and "victim" not in server.run("queue", "list").stdout
    assert {"one", "two", "forged", "list"} <= set(subjects(server, "bob@example.test"))


def test_the_origin_is_what_the_provider_noted(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot)
    before = server.log().count("black list read")
    server.run("blacklist", "add", "192.0.2.66")
    wait_until(lambda: server.log().count("black list read") > before, "another reading of the black list")
    server.run("rules", "set", "--site", "fetched-ip-black-list=on")
    forged = "Received: from x (x.example [192.0.2.66]) by elsewhere.example with SMTP; Sat, 21 Nov 2026 10:00:00 +0000\n"
    dovecot.put("alice", message("listed", ip="192.0.2.66"))
    dovecot.put("alice", message("forged-below").replace("From: ", forged + "From: ", 1))
    dovecot.put("alice", message("fine"))
    fetch(server)
    assert subjects(server) == ["fine", "forged-below"], server.run("ledger").stdout


# ---- By people themselves ----

def my(server, *words, password="sandbox", login="alice@example.test", more="", check=True):
    return server.run("my", *words, "--login", login, "--login-stdin", text_input=f"{password}\n{more}", check=check)


def test_people_keep_their_own(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    dovecot.put("alice", message("first"))
    words = ["host=localhost", f"port={dovecot.pop3s}", "login=alice", "tls=pop3s"]
    my(server, "remote", "add", "work", *words, "--password-stdin", more="wrong\n")
    assert fetch(server, check=False).returncode == 75
    state = json.loads(my(server, "remote", "list", "--json").stdout)[0]
    assert state["name"] == "work" and state["failures"] == 1 and "refuses" in state["problem"], state
    my(server, "remote", "set", "work", "--password-stdin", more="wonderland\n")
    fetch(server)
    assert subjects(server) == ["first"]
    state = json.loads(my(server, "remote", "list", "--json").stdout)[0]
    assert state["failures"] == 0 and state["fetched"] == 1 and "secret" not in state, state
    assert "1 fetched" in my(server, "remote", "list").stdout
    # Nobody else's are seen or touched.
    assert json.loads(my(server, "remote", "list", "--json", login="bob@example.test").stdout) == []
    assert my(server, "remote", "remove", "work", login="bob@example.test", check=False).returncode == 65
    assert len(server.run_json("remote", "list")) == 1
    my(server, "remote", "remove", "work")
    assert server.run_json("remote", "list") == []
    assert "wonderland" not in server.log()


def test_people_fetch_their_own(provider, serve):
    """At once and with its outcome, from their own accounts only; and nobody has a provider visited over and over."""
    dovecot = provider(users=(("alice", "wonderland"), ("bob", "builder")))
    server = serve(dovecot)
    dovecot.put("alice", message("first"))
    dovecot.put("bob", message("his"))
    words = ["host=localhost", f"port={dovecot.pop3s}", "tls=pop3s", "interval=1d", "--password-stdin"]
    my(server, "remote", "add", "work", "login=alice", *words, more="wrong\n")
    result = my(server, "remote", "fetch", "--now", check=False)
    assert result.returncode == 75 and "refuses" in result.stdout
    my(server, "remote", "set", "work", "login=alice", "--password-stdin", more="wonderland\n")
    assert "alice@example.test work: 1 new, 1 stored, 0 refused" in my(server, "remote", "fetch", "--now").stdout
    assert subjects(server) == ["first"]
    my(server, "remote", "add", "site", "login=bob", *words, login="bob@example.test", more="builder\n")
    row = json.loads(my(server, "remote", "fetch", "--now", "site", "--json", login="bob@example.test").stdout)[0]
    assert (row["account"], row["name"], row["stored"]) == ("bob@example.test", "site", 1)
    # Not another's, by no name.
    for named in (["work"], ["alice@example.test", "work"], ["alice@example.test"]):
        result = my(server, "remote", "fetch", "--now", *named, login="bob@example.test", check=False)
        assert result.returncode in (64, 65, 77) and result.stderr, (named, result.stdout)
    dovecot.put("alice", message("second"))
    again = json.loads(my(server, "remote", "fetch", "--now", "alice@example.test", "work", "--json").stdout)
    assert [(row["messages"], row["stored"]) for row in again] == [(1, 1)] and subjects(server) == ["first"]  # the visit of a moment ago
    fetch(server, "alice@example.test")
    assert subjects(server) == ["first", "second"]
