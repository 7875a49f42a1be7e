"""What rules do with fetched mail, and what becomes of it: deleted, told, copied, left for a time, fetched once."""
import json
import os
import signal
import sqlite3

from conftest import wait_until
from remote_mail import add, export, fetch, message, subjects, subjects_of

DAY = 86400 * 10**9


def blocked(server, user="alice@example.test", folder="Blocked"):
    return subjects_of([text.replace(b"\r\n", b"\n") for name, text in export(server, user).items() if folder in name])


def aged(server, days, where="1"):
    """The server's notes of what it fetched, made so many days older while it is down."""
    server.stop()
    with sqlite3.connect(server.directory / "data/store.db") as db:
        db.execute(f"UPDATE remote_seen SET seen_at = seen_at - {days * DAY} WHERE {where}")
    server.start()


def blacklist(server, *networks):
    for network in networks:
        before = server.log().count("black list read")
        server.run("blacklist", "add", network)
        wait_until(lambda: server.log().count("black list read") > before, "another reading of the black list")


def received(helo, ptr, ip, by="mx.localhost", protocol="ESMTPS"):
    return f"Received: from {helo} ({ptr} [{ip}]) by {by} with {protocol} id 1; Sat, 21 Nov 2026 10:00:00 +0000\n"


def test_strict(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot)
    server.run("rules", "set", "alice@example.test", "fetched-strict=on", "fetched-strict.tlds=example")
    dovecot.put("alice", message("fine"))
    dovecot.put("alice", message("an address", helo="[192.0.2.7]"))
    dovecot.put("alice", message("a bare address", helo="192.0.2.7"))
    dovecot.put("alice", message("another helo", helo="mail.other.test"))
    dovecot.put("alice", message("another sender", sender="carol@other.test"))
    # The provider's own customers: who logged in there, and what never came from outside.
    dovecot.put("alice", message("logged in", helo="[10.1.2.3]").replace("ESMTPS", "ESMTPSA"))
    dovecot.put("alice", message("from inside", helo="[10.1.2.3]", ptr="unknown", ip="10.1.2.3", sender="dave@localhost.test"))
    # A customer's word below the line of the provider's is anybody's.
    dovecot.put("alice", message("claims a login", helo="[192.0.2.9]").replace("From: ", received("x", "x", "192.0.2.9", protocol="ESMTPSA") + "From: ", 1))
    fetch(server)
    assert subjects(server) == ["fine", "from inside", "logged in"], server.run("ledger").stdout
    assert blocked(server) == ["a bare address", "an address", "another helo", "another sender", "claims a login"]
    assert "by fetched-strict" in server.run("ledger", "--for", "alice@example.test").stdout


def test_black_lists(provider, serve):
    """The site's and the person's own, each for mail that is fetched; the person's white entry is narrower."""
    dovecot = provider(users=(("alice", "wonderland"), ("bob", "wonderland")))
    server = serve(dovecot)
    add(server, dovecot)
    add(server, dovecot, account="bob@example.test", login="bob")
    server.run("list", "add", "--site", "black", "@spam.example")
    server.run("list", "add", "alice@example.test", "black", "pest@other.example")
    server.run("list", "add", "bob@example.test", "white", "friend@spam.example")
    for user in ("alice", "bob"):
        for subject, sender in (("site", "x@spam.example"), ("friend", "friend@spam.example"), ("own", "pest@other.example"), ("fine", "y@other.example")):
            dovecot.put(user, message(subject, sender=sender))
    fetch(server)
    assert subjects(server) == ["fine"] and blocked(server) == ["friend", "own", "site"]
    assert subjects(server, "bob@example.test") == ["fine", "friend", "own"] and blocked(server, "bob@example.test") == ["site"]
    server.run("rules", "set", "alice@example.test", "fetched-black-list=off")
    dovecot.put("alice", message("let in", sender="x@spam.example"))
    fetch(server)
    assert subjects(server) == ["fine", "let in"]


def test_hops_on_the_ip_black_list(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot)
    blacklist(server, "192.0.2.66", "10.0.0.0/8", "127.0.0.0/8", "8.8.4.4")
    server.run("rules", "set", "alice@example.test", "fetched-ip-black-list=on")
    dovecot.put("alice", message("fine"))
    dovecot.put("alice", message("origin", ip="192.0.2.66"))
    # Inside the provider: private addresses are nobody's fault, a public one on the list is.
    dovecot.put("alice", received("mx", "unknown", "10.0.0.5", by="store.localhost", protocol="LMTP") + message("private hop"))
    dovecot.put("alice", received("mx", "mx2.localhost", "8.8.4.4", by="store.localhost") + message("public hop"))
    dovecot.put("alice", received("mx", "mx2.localhost", "8.8.4.4", by="store.localhost") + "Subject: no origin\nFrom: x@other.example\n\nHello\n")
    fetch(server)
    assert subjects(server) == ["fine", "private hop"] and blocked(server) == ["no origin", "origin", "public hop"]
    said = server.run("ledger", "--for", "alice@example.test", "--json").stdout
    assert "192.0.2.66" in said and "it came through 8.8.4.4" in said, said


def test_a_script_judges_what_is_fetched(provider, serve, tmp_path):
    path = tmp_path / "rules.lua"
    path.write_text("""function check(mail)
  if not mail.fetched then return end
  if mail.helo == "bad.other.example" and mail.ip == "192.0.2.7" then return "reject", "not from " .. mail.sender end
  if mail.stage == "content" and mail.subject == "lists" then return "file", "Lists" end
  if mail.sender == "later@other.example" then return "defer", "come again" end
end
""")
    dovecot = provider()
    server = serve(dovecot, f'script.file = "{path}"')
    add(server, dovecot)
    server.run("rules", "set", "alice@example.test", "site-script=on", "site-script.message=on")
    dovecot.put("alice", message("fine"))
    dovecot.put("alice", message("bad", helo="bad.other.example"))
    dovecot.put("alice", message("lists"))
    dovecot.put("alice", message("later", sender="later@other.example"))
    fetch(server)
    assert subjects(server) == ["fine"] and blocked(server) == ["bad"] and blocked(server, folder="Lists") == ["lists"]
    assert subjects_of(dovecot.messages("alice")) == ["later"]  # put off: it stays there
    assert "not from carol@other.example" in server.run("ledger", "--for", "alice@example.test", "--json").stdout


def test_what_is_deleted_stands_in_the_ledger(provider, serve):
    """Refused and not kept: whatever dies in between, each message that is gone from the provider has its row."""
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, "leave=no")
    server.run("rules", "set", "alice@example.test", "fetched-block-folder=off")
    server.run("list", "add", "alice@example.test", "black", "@spam.example")
    names = {f"spam{n}" for n in range(150)}
    for name in names:
        dovecot.put("alice", message(name, sender="x@spam.example"))
    server.run("remote", "fetch")
    for _ in range(3):
        before = server.log().count("what=deleted")
        wait_until(lambda: server.log().count("what=deleted") >= min(before + 15, 150), "some were deleted")
        for pid, words in server.children().items():
            if "courier" in words or "writer" in words:
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.run("remote", "fetch", check=False).returncode == 0, "the courier is back")
    wait_until(lambda: not dovecot.messages("alice") or fetch(server, check=False) is None, "all are gone")
    assert subjects(server) == [] and blocked(server) == []
    server.stop()
    server.start()
    with sqlite3.connect(f"file:{server.directory}/data/store.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT header_message_id, rule, reply FROM ledger WHERE message_id = 0").fetchall()
    assert {row[0] for row in rows} == {f"<{name}@other.example>" for name in names}, rows[:5]
    assert {row[1:] for row in rows} == {("fetched-black-list", "deleted")}
    lines = (server.directory / "data/reject.log").read_text().splitlines()
    assert {line.split("\t")[1] for line in lines} == {"fetched"} and "x@spam.example" in lines[0]


def notices(peer):
    return [m for m in peer.messages if m[0].startswith("<>")]


def test_notices_and_copies(provider, serve, zones, peer):
    dns = zones({"other.example": "@ IN A 192.0.2.7\n@ IN MX 10 mx\nmx IN A 192.0.2.7"})
    smart = peer()
    dovecot = provider()
    server = serve(dovecot, f'{dns.settings()}\ncourier.smart_host = "127.0.0.1:{smart.port}"\ncourier.smart_host_tls = "none"')
    add(server, dovecot)
    server.run("rules", "set", "alice@example.test", "fetched-white-list=on", "fetched-white-list.notice=on",
               "fetched-white-list.carbon-copy=copies@far.example", "fetched-block-folder=off")
    dovecot.put("alice", message("first"))
    dovecot.put("alice", message("second"))
    dovecot.put("alice", message("somebody else", sender="dave@other.example"))
    dovecot.put("alice", message("automatic", sender="robot@other.example").replace("Subject:", "Auto-Submitted: auto-generated\nSubject:"))
    dovecot.put("alice", message("a list", sender="eve@other.example").replace("Subject:", "Precedence: list\nSubject:"))
    dovecot.put("alice", message("forged", sender="victim@other.example", ip="198.51.100.9", ptr="unknown"))
    fetch(server)
    wait_until(lambda: len(notices(smart)) == 2 and len(smart.messages) == 8, "two notices and six copies")
    assert sorted(m[1] for m in notices(smart)) == [["<carol@other.example>"], ["<dave@other.example>"]]
    text = next(m[2] for m in notices(smart) if m[1] == ["<carol@other.example>"]).decode()
    for field in ("Auto-Submitted: auto-replied\r\n", "To: <carol@other.example>\r\n", "In-Reply-To: <first@other.example>\r\n"):
        assert field in text, text
    assert "alice@example.test was not accepted" in text and "\r\nHello" not in text, text
    copies = [m for m in smart.messages if not m[0].startswith("<>")]
    assert {tuple(m[1]) for m in copies} == {("<copies@far.example>",)} and all(b"Hello" in m[2] for m in copies)
    assert dovecot.messages("alice") == [] and subjects(server) == []
    # A day later it is said again, and once.
    aged(server, 1, "uidl LIKE 'notice:%'")
    dovecot.put("alice", message("third"))
    dovecot.put("alice", message("fourth"))
    fetch(server)
    wait_until(lambda: len(smart.messages) == 11, "a notice and two copies")
    assert len([m for m in notices(smart) if m[1] == ["<carol@other.example>"]]) == 2


def test_left_for_some_days(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, "leave=yes", "delete-after=7d")
    dovecot.put("alice", message("old"))
    fetch(server)
    aged(server, 6)
    dovecot.put("alice", message("young"))
    fetch(server)
    assert subjects_of(dovecot.messages("alice")) == ["old", "young"]
    aged(server, 1)
    fetch(server)
    assert subjects_of(dovecot.messages("alice")) == ["young"] and subjects(server) == ["old", "young"]
    # What is gone there is forgotten here.
    with sqlite3.connect(f"file:{server.directory}/data/store.db?mode=ro", uri=True) as db:
        assert db.execute("SELECT COUNT(*) FROM remote_seen").fetchone() == (1,)


def test_a_removal_is_taken_back(provider, serve):
    """What was fetched does not come again."""
    dovecot = provider()
    server = serve(dovecot)
    add(server, dovecot, "leave=yes")
    for name in ("one", "two"):
        dovecot.put("alice", message(name))
    fetch(server)
    server.run("remote", "remove", "alice@example.test", "work")
    assert fetch(server, "alice@example.test", check=False).returncode != 0
    assert "problems" not in server.run("store", "check", check=False).stdout
    dovecot.put("alice", message("three"))
    server.run("undo", "alice@example.test")
    said = json.loads(fetch(server, "--json").stdout)
    assert [row["stored"] for row in said] == [1], said
    assert subjects(server) == ["one", "three", "two"]


def test_it_says_when(provider, serve):
    dovecot = provider()
    server = serve(dovecot)
    words = ["host=localhost", f"port={dovecot.pop3s}", "login=alice", "--password-stdin"]
    said = server.run("remote", "add", "alice@example.test", "a", *words, text_input="wonderland\n").stdout
    assert "mail is fetched within 20 seconds, and then every 15 min; 'ostiary remote list' shows" in said, said
    said = server.run("remote", "add", "alice@example.test", "b", *words, "interval=1h", "enabled=no", text_input="wonderland\n").stdout
    assert "nothing is fetched from it while enabled=no" in said, said
    wait_until(lambda: "last " in server.run("remote", "list").stdout, "the first visit")
    text = server.run("remote", "list").stdout
    assert "next in 1" in text and "not fetched yet, switched off, 0 fetched" in text, text
    server.run("remote", "set", "alice@example.test", "a", "--password-stdin", text_input="wrong\n")
    fetch(server, check=False)
    text = server.run("remote", "list").stdout
    assert "stopped until it is changed, or somebody says 'remote fetch'" in text and "failed 1 time in a row: the server refuses" in text, text
    server.stop()
    said = server.run("remote", "set", "alice@example.test", "b", "enabled=yes").stdout
    assert "as soon as the server runs, and then every 60 min" in said, said
