"""Everyone decides at their own door: one message, several people, each with an answer of their own that can be looked up."""
import re

import pytest

from conftest import unverified, wait_until

REFERENCE = r"Reference ([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})"
LARGE = "Subject: large\r\n\r\n" + "x" * 70 + ("\r\n" + "x" * 70) * 1000 + "\r\n"
SMALL = "Subject: small\r\nMessage-ID: <small@else.test>\r\n\r\nbody\r\n"
ZIP = ("Subject: zip\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
       "Content-Type: application/zip; name=\"=?utf-8?q?a=2Ezip?=\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n--b--\r\n")


def account(server, name):
    server.run("account", "add", f"{name}@example.test", "--password-stdin", text_input="sandbox\n")
    return f"{name}@example.test"


def ledger(server, **wanted):
    """The rows that have all of these, newest first."""
    return [row for row in server.run_json("ledger", "--limit", "1000") if all(row[key] == value for key, value in wanted.items())]


def rcpt(smtp, *recipients):
    return [smtp.docmd("RCPT", f"TO:<{recipient}>") for recipient in recipients]


def begin(smtp, sender="x@else.test", parameters=""):
    smtp.ehlo()
    assert smtp.docmd("MAIL", f"FROM:<{sender}>{parameters}")[0] == 250


def data(smtp, text):
    """All replies behind the dot: with PRDR those of each recipient, too."""
    assert smtp.docmd("DATA")[0] == 354
    smtp.send(text.replace("\r\n.", "\r\n..").encode() + b".\r\n")
    replies = [smtp.getreply()]
    while replies[0][0] == 353 and (len(replies) < 2 or not re.match(rb"(2.0.0 Stored|[45]\.7\.1 Nobody)", replies[-1][1])):
        replies.append(smtp.getreply())
    return replies


def test_three_people(fresh):
    """bob knows whom he lets in, carol takes nothing large, alice takes everything."""
    server = fresh("smtp.check_sender = false")
    carol = "carol@example.test"
    server.run("rules", "set", "bob@example.test", "white-list=on")
    server.run("list", "add", "bob@example.test", "white", "@friends.test")
    server.run("rules", "set", carol, "max-size=on", "max-size.size=64K")
    with server.smtp() as smtp:
        begin(smtp)
        taken, refused, later, nobody = rcpt(smtp, "alice@example.test", "bob@example.test", carol, "nobody@example.test")
        assert taken == (250, b"2.1.5 Recipient fine")
        assert refused[0] == 550 and refused[1].startswith(b"5.7.1 bob@example.test does not take this: ")
        assert later[0] == 452 and later[1].startswith(b"4.5.3 One at a time, please: carol's mail is checked by other rules. Try this one again at once. Reference ")
        assert nobody[0] == 550 and re.search(REFERENCE, nobody[1].decode())
        assert data(smtp, LARGE)[0][0] == 250
        begin(smtp)
        assert rcpt(smtp, carol)[0][0] == 250
        code, text = data(smtp, LARGE)[0]
        assert code == 552 and text.startswith(b"5.2.3 carol@example.test does not take this: the message is larger than 64K")
        begin(smtp, "may@friends.test")
        assert [code for code, _ in rcpt(smtp, "bob@example.test", "alice@example.test")] == [250, 250]
        assert data(smtp, SMALL)[0][0] == 250
    assert [len(server.messages(name + "@example.test")) for name in ("alice", "bob", "carol")] == [2, 1, 0]
    for reply, rule, who in ((refused[1], "white-list", "bob@example.test"), (text, "max-size", carol), (nobody[1], "no-such-user", "")):
        reference = re.search(REFERENCE, reply.decode())[1]
        wait_until(lambda: ledger(server, reference=reference), "the row of " + rule)
        row = ledger(server, reference=reference)[0]
        assert (row["rule"], row["verdict"], row["account"]) == (rule, "refuse", who)
        assert row["reply"].endswith(reply.decode())
    assert ledger(server, rule="max-size")[0]["subject"] == "large"
    accepted = ledger(server, verdict="accept")
    assert sorted(row["recipient"] for row in accepted) == ["alice@example.test", "alice@example.test", "bob@example.test"]


# ---- The mix matrix ----

ANSWERS = {"accept": [], "refuse": ["attachment-types=on", "attachment-types.types=*.zip"],
           "file": ["attachment-types=file", "attachment-types.types=*.zip", "attachment-types.folder=Archive/Zip"]}


@pytest.fixture(scope="module")
def people():
    """Fifty people: the first ten accept, the next twenty refuse, and the last twenty file what has a ZIP in it."""
    from conftest import Server
    server = Server("smtp.check_sender = false\nsmtp.transactions = 1000")
    for number in range(50):
        name = account(server, f"p{number}")
        kind = "accept" if number < 10 else "refuse" if number < 30 else "file"
        if ANSWERS[kind]:
            server.run("rules", "set", name, *ANSWERS[kind])
    yield server
    server.close()


def kind_of(address):
    number = int(re.match(r"p(\d+)", address)[1])
    return "accept" if number < 10 else "refuse" if number < 30 else "file"


@pytest.mark.parametrize("with_prdr", [False, True])
@pytest.mark.parametrize("first, count", [(0, 1), (10, 1), (30, 1), (9, 2), (29, 2), (49, 2), (8, 23), (0, 50)])
def test_mix(people, first, count, with_prdr):
    """Nobody who was told 250 lacks it, nobody who was told 550 has it, and nobody hears of it twice."""
    names = [f"p{(first + i) % 50}@example.test" for i in range(count)]
    waiting, told, rounds = list(names), {}, 0
    before = max([row["id"] for row in ledger(people)], default=0)
    with people.smtp() as smtp:
        while waiting:
            rounds += 1
            assert rounds <= 3
            begin(smtp, parameters=" PRDR" if with_prdr else "")
            answers = rcpt(smtp, *waiting)
            assert all(code in (250, 452) for code, _ in answers)
            assert not with_prdr or all(code == 250 for code, _ in answers)
            taken = [name for name, (code, _) in zip(waiting, answers) if code == 250]
            waiting = [name for name in waiting if name not in taken]
            replies = data(smtp, ZIP)
            if replies[0][0] == 353:
                assert len(replies) == len(taken) + 2 and len(taken) > 1
                told.update(zip(taken, (code for code, _ in replies[1:-1])))
                assert replies[-1][0] == (250 if 250 in [code for code, _ in replies[1:-1]] else 550)
            else:
                assert not with_prdr or len(taken) == 1
                told.update((name, replies[0][0]) for name in taken)
    assert told == {name: 550 if kind_of(name) == "refuse" else 250 for name in names}
    def rows():
        # But for those who were asked to come one at a time, and did.
        return [row for row in ledger(people) if row["id"] > before and row["rule"] != "content-class"]
    wait_until(lambda: len(rows()) >= count, "the rows")
    verdicts = {row["recipient"]: row["verdict"] for row in rows() if row["attempts"] == 1}
    assert verdicts == {name: kind_of(name) for name in names if name in verdicts}
    assert {name for name in names if kind_of(name) != "refuse"} <= set(verdicts)


def test_an_alias_to_both(people):
    """One door that is open is enough; who would have refused finds it in the folder Blocked."""
    people.run("alias", "add", "both@example.test", "p1@example.test", "p11@example.test")
    people.run("alias", "add", "shut@example.test", "p12@example.test", "p13@example.test")
    with people.smtp() as smtp:
        begin(smtp)
        assert rcpt(smtp, "both@example.test")[0][0] == 250
        assert data(smtp, ZIP)[0][0] == 250
        begin(smtp)
        assert rcpt(smtp, "shut@example.test")[0][0] == 250
        assert data(smtp, ZIP)[0][0] == 550
    rows = ledger(people, recipient="both@example.test")
    assert {row["account"]: row["verdict"] for row in rows} == {"p1@example.test": "accept", "p11@example.test": "file"}
    assert not people.messages("p11@example.test")


def test_members_are_not_split(people):
    people.run("rules", "set", "p11@example.test", "attachment-types=on")
    with people.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.ehlo()
        smtp.login("alice@example.test", "sandbox")
        begin(smtp, "alice@example.test")
        assert [code for code, _ in rcpt(smtp, "p2@example.test", "p14@example.test")] == [250, 250]
        assert data(smtp, ZIP)[0][0] == 250
    assert ledger(people, recipient="p14@example.test")[0]["verdict"] == "file"


def test_xtnd_xmit_goes_by_the_same_doors(people):
    def xmit(to):
        pop = people.pop("alice@example.test")
        pop._shortcmd("XTND XMIT")
        pop.sock.sendall(f"From: alice@example.test\r\nTo: {to}\r\n{ZIP}.\r\n".encode())
        line = pop._getline()[0].decode()
        pop.close()
        return line

    people.run("rules", "set", "p15@example.test", "white-list=on")
    refused = xmit("p15@example.test")
    assert refused.startswith("-ERR p15@example.test does not take this: ") and re.search(REFERENCE, refused)
    refused = xmit("p16@example.test")
    assert refused.startswith("-ERR p16@example.test does not take this: ")
    wait_until(lambda: ledger(people, recipient="p16@example.test", reference=re.search(REFERENCE, refused)[1]), "the row")
    assert xmit("p4@example.test, p16@example.test, p35@example.test").startswith("+OK")
    verdicts = [ledger(people, recipient=f"p{number}@example.test")[0]["verdict"] for number in (4, 16, 35)]
    assert verdicts == ["accept", "file", "file"]


# ---- Whoever forwards decides first ----

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"


def queued(server):
    return sorted(entry["recipient"] for entry in server.run_json("queue", "list"))


def tell(server, recipients, sender, text=SMALL):
    """The codes at RCPT, and the one behind the message where anybody took it."""
    with server.smtp() as smtp:
        begin(smtp, sender)
        codes = [code for code, _ in rcpt(smtp, *recipients)]
        return codes, data(smtp, text)[0][0] if 250 in codes else None


def test_a_forward_to_somebody_here_passes_both_doors(fresh):
    """alice's rules, though the mailbox is bob's and he takes everything; and then bob's."""
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", ALICE, "forward=on", f"forward.to={BOB}", "forward.keep=off", "white-list=on")
    server.run("list", "add", ALICE, "white", "@friends.test")
    assert tell(server, [ALICE, BOB], "x@else.test") == ([550, 250], 250)
    assert len(server.messages(BOB)) == 1
    (row,) = wait_until(lambda: ledger(server, verdict="refuse"), "the row")
    assert (row["rule"], row["recipient"], row["account"]) == ("white-list", ALICE, ALICE)
    assert tell(server, [ALICE], "x@friends.test") == ([250], 250)
    assert len(server.messages(BOB)) == 2
    server.run("list", "add", BOB, "black", "bad@friends.test")
    wait_until(lambda: tell(server, [ALICE], "bad@friends.test") == ([550], None), "bob's own refusal")
    (row,) = wait_until(lambda: ledger(server, rule="black-list"), "the row")
    assert row["account"] == BOB and len(server.messages(BOB)) == 2
    # What is said of the message itself, too.
    server.run("rules", "set", ALICE, "white-list=off", "max-size=on", "max-size.size=10K")
    wait_until(lambda: tell(server, [ALICE], "y@else.test") == ([250], 250), "the change")
    assert tell(server, [ALICE], "y@else.test", LARGE) == ([250], 552)
    assert len(server.messages(BOB)) == 3


@pytest.mark.parametrize("to", [BOB, "away@far.test"])
def test_what_a_forwarder_keeps_out_does_not_go_on(fresh, to):
    """Others of the team take it: then it lies in the folder Blocked of whoever would have sent it on, and goes nowhere else for them."""
    server = fresh("smtp.check_sender = false")
    server.run("queue", "pause", "out")
    server.run("alias", "add", "team@example.test", ALICE, CAROL)
    server.run("rules", "set", ALICE, "forward=on", f"forward.to={to}", "forward.keep=off", "white-list=on")
    server.run("list", "add", ALICE, "white", "@friends.test")
    assert tell(server, ["team@example.test"], "x@else.test") == ([250], 250)
    rows = wait_until(lambda: ledger(server, recipient="team@example.test"), "the rows")
    assert {row["account"]: (row["verdict"], row["folder"]) for row in rows} == {ALICE: ("file", "Blocked"), CAROL: ("accept", "INBOX")}
    assert [len(server.messages(who)) for who in (ALICE, BOB, CAROL)] == [0, 0, 1] and queued(server) == []
    assert tell(server, ["team@example.test"], "x@friends.test") == ([250], 250)
    assert [len(server.messages(who)) for who in (ALICE, BOB, CAROL)] == [0, int(to == BOB), 2]
    assert queued(server) == ([] if to == BOB else [to])


def test_two_who_forward_to_one_place(fresh):
    """What one keeps out comes there by the other; and whoever is there by themselves needs nobody's leave."""
    server = fresh("smtp.check_sender = false")
    server.run("queue", "pause", "out")
    server.run("alias", "add", "team@example.test", ALICE, CAROL)
    for who in (ALICE, CAROL):
        server.run("account", "forward", who, "away@far.test")
    server.run("rules", "set", ALICE, "white-list=on")
    assert tell(server, ["team@example.test"], "x@else.test") == ([250], 250)
    assert queued(server) == ["away@far.test"] and not server.messages(ALICE)
    server.run("account", "forward", ALICE, BOB)
    server.run("alias", "add", "both@example.test", ALICE, BOB)
    wait_until(lambda: tell(server, ["both@example.test"], "x@else.test") == ([250], 250) and len(server.messages(BOB)) == 1, "bob's mail")


# ---- Who is always reachable, what never refuses ----

def test_postmaster_hears_everybody(fresh):
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", "--site", "white-list=on")
    with server.smtp() as smtp:
        begin(smtp)
        answers = rcpt(smtp, "alice@example.test", "postmaster@example.test", "Postmaster")
        assert [code for code, _ in answers] == [550, 250, 250]
        begin(smtp, "")
        assert rcpt(smtp, "alice@example.test")[0][0] in (250, 550)


def test_passcodes(fresh):
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", "bob@example.test", "passcode=on")
    server.run("passcode", "add", "bob@example.test", "Aunt May", "--code-stdin", text_input="4711\n")
    with server.smtp() as smtp:
        begin(smtp)
        wrong, none, right = (smtp.docmd("RCPT", "TO:<bob@example.test>" + code) for code in (" 4712", "", " 4711"))
        ignored = smtp.docmd("RCPT", "TO:<alice@example.test> 99")
        malformed = smtp.docmd("RCPT", "TO:<bob@example.test> 4711 MORE=47114711")
    assert [reply[0] for reply in (wrong, none, right, ignored)] == [550, 550, 250, 250]
    assert 500 <= malformed[0] < 600
    assert "4711" not in server.log() and "4712" not in server.log()
    wait_until(lambda: len(ledger(server, rule="passcode")) == 2, "the rows")
    assert "4712" not in str(ledger(server))


def test_a_resolver_that_is_silent_refuses_nobody(fresh):
    """Time-outs are 451 where the rule says so, else no opinion: never 5xx."""
    server = fresh('dns.servers = { "127.0.0.1@1" }\ndns.timeout = 1\ndns_lists = { { zone = "black.test" } }\nsmtp.check_sender = true')
    server.run("rules", "set", "bob@example.test", "return-path=off", "no-ptr=on", "verify-sender=off")
    with server.smtp() as smtp:
        begin(smtp, "x@silent.example")
        alice, bob = rcpt(smtp, "alice@example.test", "bob@example.test")
    assert alice[0] == 451 and bob[0] == 250


def greeting(server, early):
    """What bob's door says to a client that does or does not wait for the greeting."""
    client = server.raw()
    if early:
        client.send(b"EHLO [127.0.0.1]\r\n")
    client.reply()
    if not early:
        client.send(b"EHLO [127.0.0.1]\r\n")
    client.reply()
    client.ask("MAIL FROM:<x@else.test>")
    answer = client.ask("RCPT TO:<bob@example.test>")
    client.close()
    return str(answer)


def test_who_speaks_too_early(fresh):
    """The first mail for somebody who has the rule makes the gate look out for it."""
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", "bob@example.test", "pregreet=on")
    assert "250" in greeting(server, early=False)
    assert "550" in greeting(server, early=True)
    assert "250" in greeting(server, early=False)
    wait_until(lambda: ledger(server, rule="pregreet"), "the row")
