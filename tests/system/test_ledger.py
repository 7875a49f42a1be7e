"""The ledger: what came, what became of it, and why; by real refusals of a running server."""
import json
import re
import time

import pytest

from conftest import wait_until

REFERENCE = re.compile(r"Reference ([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})")


def attempt(server, sender, recipient, helo="mx.b.org", text=None):
    """The reply to RCPT, or to the message where there is one."""
    with server.smtp() as smtp:
        smtp.ehlo(helo)
        smtp.mail(sender)
        code, reply = smtp.rcpt(recipient)
        if code == 250 and text:
            code, reply = smtp.data(text)
    return code, reply.decode()


def rows(server, *words):
    return server.run_json("ledger", *words)


def reference_of(reply):
    return REFERENCE.search(reply)[1]


@pytest.fixture(scope="module")
def bob(server):
    """Bob takes no mail from .example; one such mail was refused, another one was taken."""
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    code, reply = attempt(server, "x@b.example", "bob@example.test")
    assert code == 550
    server.reference = reference_of(reply)
    server.reply = reply
    code, _ = attempt(server, "friend@b.org", "bob@example.test", text="Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@b.org>\r\n\r\nhello\r\n")
    assert code == 250
    wait_until(lambda: len(rows(server, "--for", "bob@example.test")) == 2, "both rows")
    return server


def test_the_reference_of_the_reply_leads_to_the_row(bob):
    (row,) = bob.run_json("explain", bob.reference)
    assert row["verdict"] == "refuse" and row["rule"] == "sender-tld" and row["level"] == "account" and row["attempts"] == 1
    assert row["sender"] == "x@b.example" and row["recipient"] == row["account"] == "bob@example.test"
    assert row["ip"] == "127.0.0.1" and row["helo"] == "mx.b.org" and not row["fetched"] and row["stage"] == "rcpt"
    assert row["reply"].endswith(bob.reply) and row["sentence"] in bob.reply
    assert "top-level domains" in row["summary"] and "white-list" in row["asked"] and "sender-tld" not in row["asked"]
    assert [(s["name"], s["value"], s["level"], s["set_by"]) for s in row["settings"]] == [("sender-tld", "on", "account", "admin")]
    assert row["undo"] == [f"ostiary allow {bob.reference}", "ostiary rules unset bob@example.test sender-tld"]
    # However people write it.
    assert bob.run_json("explain", bob.reference.lower().replace("-", "")) == [row]


def test_an_explanation_in_plain_words(bob):
    text = bob.run("explain", bob.reference).stdout
    for part in (f"Reference {bob.reference}: mail from x@b.example for bob@example.test was refused", "127.0.0.1", "Rule sender-tld:", "of the account",
                 "sender-tld=on  of the account bob@example.test, set by admin", "The sender was told: 550", "said nothing:",
                 f"ostiary allow {bob.reference}", "ostiary rules unset bob@example.test sender-tld"):
        assert part in text, part


def test_what_it_says_is_true(fresh):
    """The command that it names lets such mail in."""
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    _, reply = attempt(server, "x@b.example", "bob@example.test")
    reference = reference_of(reply)
    wait_until(lambda: rows(server), "the row")
    command = re.search(r"^  ostiary (rules unset .*)$", server.run("explain", reference).stdout, re.M)[1]
    server.run(*command.split())
    wait_until(lambda: attempt(server, "x@b.example", "bob@example.test")[0] == 250, "the mail is taken")


def test_unknown_references(bob):
    result = bob.run("explain", "0000-0000", check=False)
    assert result.returncode == 65 and "is no reference" in result.stderr
    result = bob.run("explain", "ZZZZ-ZZZZ", check=False)
    assert result.returncode == 65 and "the ledger has no ZZZZ-ZZZZ" in result.stderr


def test_misspelt_names_are_told(bob):
    result = bob.run("ledger", "--rule", "sender-tdl", check=False)
    assert result.returncode == 65 and "there is no rule 'sender-tdl'; did you mean 'sender-tld'?" in result.stderr
    assert bob.run("ledger", "--rule", "quota").stdout == "0 rows\n"
    assert "0 rows: there is no account nobody@example.test" in bob.run("ledger", "--for", "nobody@example.test").stdout
    assert len(rows(bob, "--rule", "MUI_CHECK_SENDER_TYPE")) == len(rows(bob, "--rule", "sender-tld")) > 0


def test_accepted_mail_has_its_row_and_its_fate(bob):
    (row,) = rows(bob, "--verdict", "accept", "--for", "bob@example.test")
    assert row["subject"] == "Gr\u00fc\u00dfe" and row["message_id"] == "<1@b.org>" and row["fate"] == "unread" and row["sender"] == "friend@b.org"
    assert not row["reference"]
    pop = bob.pop("bob@example.test")
    pop.dele(1)
    pop.quit()
    assert rows(bob, "--verdict", "accept", "--for", "bob@example.test")[0]["fate"] == "deleted"


def test_what_was_put_aside_is_explained_and_let_in(fresh):
    """Mail in a folder has a reference, too, though its sender never sees it; and the ledger says which folder, and whose."""
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=file", "sender-tld.folder=Far away")
    server.run("alias", "add", "team@example.test", "alice@example.test", "bob@example.test")
    for to in ("bob@example.test", "team@example.test"):
        assert attempt(server, "x@b.example", to, text="Subject: s\r\n\r\nhello\r\n")[0] == 250
    found = rows(server, "--verdict", "file")
    assert [(r["recipient"], r["account"], r["folder"]) for r in found] == [(to, "bob@example.test", "Far away") for to in ("team@example.test", "bob@example.test")]
    assert " x@b.example -> team@example.test (bob@example.test)  by sender-tld  " in server.run("ledger").stdout
    assert " x@b.example -> bob@example.test  by sender-tld  " in server.run("ledger").stdout
    assert {r["reference"] for r in rows(server, "--verdict", "accept")} == {""}
    reference = found[1]["reference"]
    text = server.run("explain", reference).stdout
    assert "It is in the folder Far away (unread)." in text and f"ostiary allow {reference}" in text
    assert "leads to bob@example.test, was filed" in server.run("explain", found[0]["reference"]).stdout
    server.run("allow", reference, "--yes")
    wait_until(lambda: attempt(server, "x@b.example", "bob@example.test", text="Subject: s\r\n\r\nhello\r\n")[0] == 250
               and rows(server, "--limit", "1")[0]["rule"] == "white-list", "mail in the inbox")
    assert rows(server, "--limit", "1")[0]["folder"] == "INBOX"


def test_what_the_site_locked_since_only_the_site_can_change(fresh):
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    reference = reference_of(attempt(server, "x@b.example", "bob@example.test")[1])
    wait_until(lambda: server.run("explain", reference, check=False).returncode == 0, "the ledger's row")
    assert server.run_json("explain", reference)[0]["undo"] == [f"ostiary allow {reference}", "ostiary rules unset bob@example.test sender-tld"]
    server.run("rules", "lock", "sender-tld=on")
    assert server.run_json("explain", reference)[0]["undo"] == ["ostiary rules set --site sender-tld=off"]
    assert server.run("allow", reference, "--yes", check=False).returncode == 65
    text = server.run("my", "explain", reference, "--login", "bob@example.test", "--login-stdin", text_input="sandbox\n").stdout
    assert "Only the administrator can switch off sender-tld" in text and "allow" not in text


def test_the_newest_come_first(fresh):
    """Refusals are gathered before they are written; what was taken meanwhile is not older for that."""
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    for number in range(12):
        recipient, tld = ("alice@example.test", "org") if number % 2 else ("bob@example.test", "example")
        attempt(server, f"x{number}@b.{tld}", recipient, text="Subject: s\r\n\r\nhello\r\n")
    wait_until(lambda: len(rows(server)) == 12, "all rows")
    senders = [int(re.match(r"x(\d+)@", row["sender"])[1]) for row in rows(server)]
    assert senders == sorted(senders, reverse=True)
    for limit in range(1, 12):
        assert [int(re.match(r"x(\d+)@", row["sender"])[1]) for row in rows(server, "--limit", str(limit))] == senders[:limit]


def test_choices(bob):
    for words, count in ((["--sender", "x@b.example"], 1), (["--sender", "@b.example"], 1), (["--sender", "@elsewhere.example"], 0), (["--rule", "sender-tld"], 1),
                         (["--since", "1h"], 2), (["--until", "1h"], 0), (["--since", "2200-01-01"], 0), (["--ip", "127.0.0.1"], 2), (["--ip", "192.0.2.7"], 0),
                         (["--verdict", "defer"], 0), (["--for", "alice@example.test"], 0), (["--for", "@example.test", "--limit", "1"], 1)):
        assert len(rows(bob, *(["--for", "bob@example.test"] if "--for" not in words else []), *words)) == count, words
    for words in (["--since", "yesterday"], ["--verdict", "maybe"], ["--limit", "0"], ["--ip", "nowhere"]):
        result = bob.run("ledger", *words, check=False)
        assert result.returncode == 64 and words[0] in result.stderr


def test_rejects_are_counted(bob):
    today = int(time.time()) // 86400 * 86400
    (count,) = [c for c in bob.run_json("rejects", "--per", "day", "--for", "bob@example.test") if c["from"] >= today - 86400]
    assert count["direct"] == 1 and count["fetched"] == 0
    assert bob.run_json("rejects", "--per", "month", "--for", "bob@example.test", "--by-rule")[0]["rule"] == "sender-tld"
    assert bob.run_json("rejects", "--for", "alice@example.test") == []
    assert "1 refused: 1 direct, 0 fetched" in bob.run("rejects", "--for", "bob@example.test", "--since", "7d").stdout
    assert bob.run("rejects", "--per", "year", check=False).returncode == 64


def test_replay(bob):
    """What if .example were taken; and what if only .com were."""
    found = bob.run_json("rules", "replay", "--for", "bob@example.test", "--with", "sender-tld=off")
    assert found["let_in"] == 1 and found["refused"] == 0 and found["same"] == 1
    lost = bob.run_json("rules", "replay", "--for", "bob@example.test", "sender-tld.tlds=com")
    assert lost["refused"] == 1 and sum(lost["lost"].values()) == 1 and lost["doubtful"][0]["sender"] == "friend@b.org"
    text = bob.run("rules", "replay", "--for", "bob@example.test", "--with", "sender-tld.tlds=com").stdout
    assert "1  more would be refused" in text and "The most doubtful" in text
    # Nothing was ever asked about WHOIS: that is said, and not guessed.
    missing = bob.run_json("rules", "replay", "--for", "bob@example.test", "whois=on", "whois.countries=xx", "sender-tld=off")
    assert missing["missing"] > 0 and "whois" in missing["missing_facts"]
    assert "lack what WHOIS says of the server's address\n" in bob.run("rules", "replay", "--for", "bob@example.test", "whois=on", "whois.countries=xx", "sender-tld=off").stdout
    for words, sentence in ((["sender-tdl=on"], "sender-tld"), (["sender-tld=perhaps"], "sender-tld"), (["sender-tld"], "no setting"), ([], "for example")):
        result = bob.run("rules", "replay", *words, check=False)
        assert result.returncode in (64, 65) and sentence in result.stderr.lower(), result.stderr
    # And nothing was changed by it.
    assert attempt(bob, "y@b.example", "bob@example.test")[0] == 550


def test_replay_of_made_up_details(fresh):
    """Rules of an address count for it, and its account's for all others, whatever strangers made up."""
    server = fresh()
    server.run("rules", "set", "bob+shop@example.test", "accept-all=on")
    for detail in ("shop", "x1", "x2", "x3"):
        assert attempt(server, "x@b.example", f"bob+{detail}@example.test", text="Subject: s\r\n\r\nhello\r\n")[0] == 250
    wait_until(lambda: len(rows(server)) == 4, "all rows")
    found = server.run_json("rules", "replay", "--for", "bob@example.test", "--with", "sender-tld=on")
    assert (found["refused"], found["same"]) == (3, 1)


def test_a_person_sees_their_own(bob):
    """`ostiary my ledger`: one's own rows; to ask for others' is told, not answered with one's own."""
    def mine(login, *words, check=True):
        result = bob.run("my", *words, "--login", login, "--login-stdin", "--json", check=check, text_input="sandbox\n")
        return json.loads(result.stdout) if result.returncode == 0 else result

    assert {row["account"] for row in mine("bob@example.test", "ledger")} == {"bob@example.test"}
    assert mine("bob@example.test", "explain", bob.reference)[0]["rule"] == "sender-tld"
    assert mine("alice@example.test", "ledger") == []
    assert "leave --for out" in mine("alice@example.test", "ledger", "--for", "bob@example.test", check=False).stderr
    assert mine("alice@example.test", "explain", bob.reference, check=False).returncode == 65


def test_reject_log(bob):
    path = bob.directory / "data/reject.log"
    line = next(line for line in path.read_text().splitlines() if bob.reference in line)
    when, how, recipient, sender, ip, helo, rule, evidence, reply, reference = line.split("\t")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", when)
    assert (how, recipient, sender, ip, helo, rule, reference) == ("direct", "bob@example.test", "x@b.example", "127.0.0.1", "mx.b.org", "sender-tld", bob.reference)
    assert evidence and reply.startswith("550 5.7.1 ")
    assert path.stat().st_mode & 0o007 == 0


def test_hostile_words_stay_in_their_field(bob):
    """What a stranger calls itself can't make a line or a field of its own."""
    with bob.smtp() as smtp:
        smtp.putcmd("ehlo", "evil\\x09tab")
        smtp.getreply()
        smtp.ehlo("mx.b.org")
        smtp.mail("\"a\\\tb\"@b.example")
        smtp.rcpt("bob@example.test")
    for line in (bob.directory / "data/reject.log").read_text().splitlines():
        assert len(line.split("\t")) in (10, 11) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)


def test_rows_survive_a_restart_and_not_a_rebuild(fresh):
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    reference = reference_of(attempt(server, "x@b.example", "bob@example.test")[1])
    # Told at once, written a moment later, and at the latest when the server ends.
    server.stop()
    assert server.run_json("explain", reference)[0]["rule"] == "sender-tld"
    result = server.run("store", "rebuild")
    assert "the ledger and the history of rules begin anew" in result.stdout
    server.start()
    assert rows(server) == [] and server.run("explain", reference, check=False).returncode == 65
    assert server.run_json("rules", "show", "bob@example.test"), "the rules themselves are still there"


def test_the_oldest_rows_go(fresh):
    server = fresh('ledger.rows = 1000')
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    with server.smtp() as smtp:
        for i in range(1100):
            smtp.sendmail("x@b.org", ["alice@example.test"], f"Subject: {i}\n\nx")
    wait_until(lambda: len(rows(server, "--limit", "100000")) == 1000, "a thousand rows are left")
    assert rows(server, "--limit", "1")[0]["subject"] == "1099"


def test_reject_log_cannot_hurt_mail(fresh):
    """Where it can't be written: the rows are there, mail flows, and the log says it once."""
    server = fresh()
    server.run("rules", "set", "bob@example.test", "sender-tld=on")
    (server.directory / "data/reject.log").mkdir()
    for i in range(3):
        assert attempt(server, f"x{i}@b.example", "bob@example.test")[0] == 550
        wait_until(lambda: len(rows(server)) == i + 1, "the row")
    assert attempt(server, "x@b.org", "bob@example.test", text="x\r\n")[0] == 250
    assert server.log().count("reject.log cannot be written") == 1
    (server.directory / "data/reject.log").rmdir()
    attempt(server, "x4@b.example", "bob@example.test")
    wait_until(lambda: "reject.log is written again" in server.log(), "it goes on")
    assert "x4@b.example" in (server.directory / "data/reject.log").read_text()


def test_a_flood_is_counted_not_listed(fresh):
    """One sender after another from one network, for one person, by one rule: some rows, and one that counts the rest. Its reference can be looked up at once."""
    server = fresh()
    server.run("rules", "set", "bob@example.test", "helo-not-ip=on")
    replies, tries = [], 120
    while len(replies) < tries:
        with server.smtp() as smtp:
            smtp.ehlo("[192.0.2.1]")
            smtp.mail("x@b.org")
            while len(replies) < tries:
                code, reply = smtp.rcpt("bob@example.test")
                if code == 421:
                    break
                assert code == 550
                replies.append(reply.decode())
    counted = reference_of(replies[-1])
    wait_until(lambda: sum(row["attempts"] for row in rows(server, "--limit", "1000")) == tries, "all attempts are in the ledger")
    found = rows(server, "--limit", "1000")
    assert len(found) < tries / 2 and {reference_of(reply) for reply in replies} == {row["reference"] for row in found}
    (row,) = [row for row in found if row["reference"] == counted]
    assert row["attempts"] > tries / 2 and row["last_at"] >= row["at"]
    assert f"{row['attempts'] - 1} more attempts" in server.run("explain", counted).stdout
    assert server.run_json("rejects")[0]["direct"] == tries
    # The log has a line for each that is listed, and one for all the others: a flood does not fill the disk.
    log = server.log()
    assert log.count("recipient refused") == len(found)
    assert f"not listed one by one: like reference={counted} attempts={row['attempts'] - 1}" in log
    # Who watches sees what is listed: of the rest auth is not told.
    assert len([e for e in server.run_json("watch", "--once")["events"] if e["code"] == 550]) == len(found)
