"""Every rule of the table in a running server, in both directions: what it keeps out (or does not let in), and what it lets through. Each has a person of its own."""
import re

import pytest

from conftest import Server, unverified, wait_until
from dovecot import Dovecot
from nameserver import Zones, dns_list
from scripted_server import Peer
from remote_mail import add, export, fetch, message, settings, subjects
from whois_server import RIPE, WhoisServer

REFERENCE = re.compile(r"Reference ([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})")
SENDER, GOOD, BAD = "someone@else.test", "orders@good.test", "nobody@else.test"
PLAIN = "Subject: plain\r\nX-Mailer: Mutt\r\n\r\nhello\r\n"
LARGE = "Subject: large\r\n\r\n" + "a line of a large message\r\n" * 100
AGENT = "Subject: agent\r\nX-Mailer: The Bulk Mailer 3\r\n\r\nhello\r\n"
ZIP = ("Subject: zip\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
       "Content-Type: application/zip; name=\"a.zip\"\r\n\r\nPK\r\n--b--\r\n")
SCRIPT = """
function check(mail)
  if mail.sender == "nobody@else.test" then return "reject", "the script says so" end
end
"""
NAMES = {1: "mx.else.test", 2: "mail.good.test", 3: "pc7.pool.bad.test", 7: "out.else.test", 8: "out.else.test", 9: "out.else.test", 11: "out.else.test", 12: "out.else.test"}


@pytest.fixture(scope="module")
def surroundings():
    """The DNS, a DNS list, a WHOIS server, and the server of else.test."""
    zones = Zones({"127.in-addr.arpa": "\n".join(f"{n}.0.0 IN PTR {name}." for n, name in NAMES.items()),
                   "test": "else IN MX 10 mx.else\nmx.else IN A 127.0.0.1\ngood IN MX 10 mail.good\nmail.good IN A 127.0.0.2\npc7.pool.bad IN A 127.0.0.3\n"
                           + "\n".join(f"out.else IN A 127.0.0.{n}" for n in (7, 8, 9, 11, 12)),
                   "black.test": dns_list("127.0.0.11")})
    far = Peer({"RCPT TO:<nobody": "550 5.1.1 no such person"})
    whois = WhoisServer({"127.0.0.7": RIPE.format(range="127.0.0.7 - 127.0.0.7", name="LOOP-NET", country="nl", route="127.0.0.7/32", origin="AS64496")})
    yield zones, far, whois
    for each in (zones, far, whois):
        each.close()


@pytest.fixture(scope="module")
def house(surroundings, tmp_path_factory):
    zones, far, whois = surroundings
    script = tmp_path_factory.mktemp("script") / "rules.lua"
    script.write_text(SCRIPT)
    server = Server(f'smtp.check_sender = true\n{zones.settings()}\ndns_lists = {{ {{ zone = "black.test" }} }}\ncourier.port = {far.port}\n'
                    f'courier.private_networks = {{ "127.0.0.0/8" }}\nwhois.servers = {{ "127.0.0.1@{whois.port}" }}\nscript.file = "{script}"')
    before = server.log().count("black list read")
    server.run("blacklist", "add", "127.0.0.12")
    wait_until(lambda: server.log().count("black list read") > before, "another reading of the black list")
    server.run("list", "add", "--site", "approved", "127.0.0.8")
    server.run("list", "add", "--site", "denied", "127.0.0.9")
    server.run("list", "add", "--site", "denied-name", "pool")
    yield server
    server.close()


def hears(server, recipient, sender=SENDER, helo="mx.else.test", client="127.0.0.1", behind="", text=PLAIN, early=False):
    """(code, text) of RCPT, or of the message where RCPT was fine."""
    with server.smtp(source_address=(client, 0)) as smtp:
        smtp.ehlo(helo)
        code, said = smtp.docmd("MAIL", f"FROM:<{sender}>")
        if code == 250:
            code, said = smtp.docmd("RCPT", f"TO:<{recipient}>{behind}")
        if code == 250:
            code, said = smtp.data(text)
    return code, said.decode()


def early(server, recipient, speaks):
    """The same by a client that does not wait for the greeting, or does."""
    raw = server.raw()
    if speaks:
        raw.send("EHLO mx.else.test\r\n")
    raw.reply()
    if not speaks:
        raw.send("EHLO mx.else.test\r\n")
    raw.reply()
    raw.ask(f"MAIL FROM:<{SENDER}>")
    answer = raw.ask(f"RCPT TO:<{recipient}>")
    raw.close()
    return answer


def rows(server, rule, who):
    return [row for row in server.run_json("ledger", "--limit", "1000", "--rule", rule) if row["recipient"].partition("+")[0].partition("@")[0] == who.partition("@")[0]]


# rule: settings, further commands ("WHO" is the person), what is kept out, code, a part of the reply, what is let in.
KEEPS_OUT = {
    "passcode": (["passcode=on"], [("passcode", "add", "WHO", "Aunt May", "--code-stdin")], {"behind": " 4712"}, 550, "the passcode is wrong", {"behind": " 4711"}),
    "limited-address": ([], [("address", "add", "WHO", "shop", "--from", "@good.test")], {"detail": "+shop"}, 550, "other senders", {"detail": "+shop", "sender": GOOD}),
    "white-list": (["white-list=on"], [("list", "add", "WHO", "white", "@good.test")], {}, 550, "not on the list", {"sender": GOOD}),
    "ip-black-list": ([], [], {"client": "127.0.0.12"}, 554, "127.0.0.12", {}),
    "denied-servers": ([], [], {"client": "127.0.0.9"}, 550, "127.0.0.9", {}),
    "black-list": ([], [("list", "add", "WHO", "black", BAD)], {"sender": BAD}, 550, "on the black list", {}),
    "helo-not-ip": (["helo-not-ip=on"], [], {"helo": "[127.0.0.1]"}, 550, "127.0.0.1", {}),
    "helo-sane": (["helo-sane=on"], [], {"helo": "localhost"}, 550, "localhost", {}),
    "sender-tld": (["sender-tld=on", "sender-tld.tlds=test"], [], {"sender": "x@else.invalid"}, 550, "invalid", {}),
    "max-size": (["max-size=on", "max-size.size=1K"], [], {"text": LARGE}, 552, "larger than 1K", {}),
    "no-ptr": (["no-ptr=on"], [], {"client": "127.0.0.20"}, 550, "127.0.0.20", {}),
    "denied-host-names": ([], [], {"client": "127.0.0.3"}, 550, "pc7.pool.bad.test", {}),
    "dnsbl": ([], [], {"client": "127.0.0.11"}, 554, "black.test", {}),
    "return-path": ([], [], {"sender": "x@nowhere.test"}, 550, "nowhere.test", {}),
    "whois": (["whois=on", "whois.countries=nl"], [], {"client": "127.0.0.7"}, 550, "NL", {}),
    "site-script": (["site-script=on"], [], {"sender": BAD}, 550, "the script says so", {}),
    "verify-sender": (["verify-sender=on"], [], {"sender": BAD}, 550, "no such person", {}),
    "reverse-sender": (["reverse-sender=on", "reverse-sender.sure=on"], [], {"sender": BAD}, 550, "no such person", {}),
    "attachment-types": (["attachment-types=on", "attachment-types.types=zip"], [], {"text": ZIP}, 550, "a.zip", {}),
    "block-agent": (["block-agent=on", "block-agent.patterns=*bulk?mailer*"], [], {"text": AGENT}, 550, "Bulk Mailer", {}),
}
# Those that let in somebody whom the white list keeps out: what they let in, and what they don't.
LETS_IN = {
    "accept-all": ("accept-all=on", {}, None),
    "approved-servers": (None, {"client": "127.0.0.8"}, {}),
}
FETCHED = {
    "fetched-white-list": (["fetched-white-list=on"], [("list", "add", "WHO", "white", "@good.test")], {}, {"sender": GOOD}),
    "fetched-black-list": ([], [("list", "add", "WHO", "black", BAD)], {"sender": BAD}, {}),
    "fetched-ip-black-list": (["fetched-ip-black-list=on"], [], {"ip": "192.0.2.66"}, {}),
    "fetched-strict": (["fetched-strict=on", "fetched-strict.tlds=test example"], [], {"sender": "x@y.invalid"}, {}),
}
ELSEWHERE = {"pregreet": "test_pregreet", "greylist": "test_greylist", "protect-my-address": "test_protect_my_address", "terse": "test_terse", "forward": "test_forward",
             "fetched-block-folder": "test_fetched_block_folder"}


def person(server, rule):
    server.run("account", "add", f"p-{rule}@example.test", "--password-stdin", text_input="sandbox\n")
    return f"p-{rule}@example.test"


def does(server, who, words):
    server.run(*(who if word == "WHO" else word for word in words), text_input="4711\n" if "--code-stdin" in words else None)


def test_there_is_a_test_for_every_rule(house):
    tested = [*KEEPS_OUT, *LETS_IN, *FETCHED, *ELSEWHERE]
    assert sorted(tested) == sorted(rule["name"] for rule in house.run_json("rules", "list"))
    assert all(name in globals() for name in ELSEWHERE.values())


@pytest.mark.parametrize("rule", KEEPS_OUT)
def test_keeps_out(house, rule):
    given, commands, bad, code, part, fine = KEEPS_OUT[rule]
    who = person(house, rule)
    if given:
        house.run("rules", "set", who, *given)
    for words in commands:
        does(house, who, words)
    attempts = [{**attempt, "recipient": who.replace("@", attempt.get("detail", "") + "@")} for attempt in (bad, fine)]
    for attempt in attempts:
        attempt.pop("detail", None)
    found, text = hears(house, **attempts[0])
    assert found == code and part in text and f" {attempts[0]['recipient']} does not take this: " in text, text
    reference = REFERENCE.search(text)[1]
    (row,) = wait_until(lambda: [row for row in rows(house, rule, who) if row["reference"] == reference], "the row")
    assert row["verdict"] == "refuse" and row["account"] == who and row["reply"] == f"{code} {text}", row
    assert rule in house.run("explain", reference).stdout
    assert hears(house, **attempts[1])[0] == 250
    assert len(house.messages(who)) == 1
    # Where it does not count for them, the same comes in.
    other = person(house, f"{rule}-off")
    house.run("rules", "set", other, "accept-all=on")
    assert hears(house, **{**attempts[0], "recipient": other})[0] == 250


@pytest.mark.parametrize("rule", LETS_IN)
def test_lets_in(house, rule):
    setting, fine, bad = LETS_IN[rule]
    who = person(house, rule)
    house.run("rules", "set", who, "white-list=on", *([setting] if setting else []))
    assert hears(house, who, **fine)[0] == 250
    (row,) = rows(house, rule, who)
    assert row["verdict"] == "accept" and row["account"] == who, row
    if bad is None:
        who = person(house, f"{rule}-off")
        house.run("rules", "set", who, "white-list=on")
    assert hears(house, who, **(bad or {}))[0] == 550


def test_pregreet(house):
    who = person(house, "pregreet")
    house.run("rules", "set", who, "pregreet=on")
    # It is looked for from the second connection on, and not where a client has waited.
    early(house, who, speaks=True)
    code, text = early(house, who, speaks=True)
    assert code == 550 and "greet" in text, text
    wait_until(lambda: rows(house, "pregreet", who), "the row")
    assert early(house, who, speaks=False)[0] == 250


def test_greylist(house):
    who = person(house, "greylist")
    house.run("rules", "set", who, "greylist=on", "greylist.only=all", "greylist.wait=1")
    code, text = hears(house, who)
    assert code == 451 and "does not take this now" in text and REFERENCE.search(text), text
    wait_until(lambda: hears(house, who)[0] == 250, "its turn")
    assert {row["verdict"] for row in rows(house, "greylist", who)} == {"defer"}
    assert hears(house, who)[0] == 250  # known by now
    assert hears(house, who, sender=GOOD)[0] == 451


def test_protect_my_address(house):
    who, other = person(house, "protect"), "bob@example.test"
    house.run("rules", "set", who, "protect-my-address=on")
    assert hears(house, other, sender=who)[0] == 530
    wait_until(lambda: rows(house, "protect-my-address", other), "the row")
    for login, code in ((who, 250), (other, 553)):
        with house.smtp(587) as smtp:
            smtp.starttls(context=unverified())
            smtp.login(login, "sandbox")
            reply = smtp.mail(who)
            assert (smtp.rcpt(other) if reply[0] == 250 else reply)[0] == code


def test_terse(house):
    who = person(house, "terse")
    house.run("rules", "set", who, "white-list=on", "terse=on")
    code, text = hears(house, who)
    assert code == 550 and re.fullmatch(rf"5\.7\.1 {who} does not take this\. Reference \S{{9}}", text), text
    (row,) = wait_until(lambda: rows(house, "white-list", who), "the row")
    assert "not on the list" in row["sentence"]  # which whoever has the door may read


def test_forward(house):
    who, other = person(house, "forward"), person(house, "forward-to")
    assert hears(house, who)[0] == 250
    assert (len(house.messages(who)), len(house.messages(other))) == (1, 0)
    for keep, kept in (("on", 2), ("off", 2)):
        house.run("rules", "set", who, "forward=on", f"forward.to={other}", f"forward.keep={keep}")
        before = len(house.messages(other))
        wait_until(lambda: hears(house, who)[0] == 250 and len(house.messages(other)) > before, "the forwarded copy")
        assert len(house.messages(who)) >= kept
    kept = len(house.messages(who))
    assert hears(house, who)[0] == 250 and len(house.messages(who)) == kept


# ---- Fetched mail ----

@pytest.fixture(scope="module")
def provided():
    """A provider with a mailbox for each, and a server that fetches from it."""
    users = [*FETCHED, "fetched-block-folder"]
    dovecot = Dovecot(users=tuple((name, "wonderland") for name in users))
    server = Server(settings(dovecot))
    before = server.log().count("black list read")
    server.run("blacklist", "add", "192.0.2.66")
    wait_until(lambda: server.log().count("black list read") > before, "another reading of the black list")
    for name in users:
        add(server, dovecot, account=person(server, name), login=name, name=name)
    yield server, dovecot
    server.close()
    dovecot.close()


def blocked(server, who):
    return [text for name, text in export(server, who).items() if "Blocked" in name]


@pytest.mark.parametrize("rule", FETCHED)
def test_fetched(provided, rule):
    server, dovecot = provided
    given, commands, bad, fine = FETCHED[rule]
    who = f"p-{rule}@example.test"
    if given:
        server.run("rules", "set", who, *given)
    for words in commands:
        does(server, who, words)
    dovecot.put(rule, message("refused", **bad))
    dovecot.put(rule, message("taken", **fine))
    fetch(server, who, rule)
    assert subjects(server, who) == ["taken"] and dovecot.messages(rule) == []
    assert len(blocked(server, who)) == 1
    (row,) = [row for row in rows(server, rule, who) if row["verdict"] != "accept"]
    assert row["verdict"] == "file" and row["account"] == who and row["fetched"], row


def test_fetched_block_folder(provided):
    server, dovecot = provided
    rule = "fetched-block-folder"
    who = f"p-{rule}@example.test"
    server.run("list", "add", who, "black", BAD)
    server.run("rules", "set", who, "fetched-block-folder.folder=Refused")
    dovecot.put(rule, message("kept", sender=BAD))
    fetch(server, who, rule)
    assert ["Refused" in name for name in export(server, who)] == [True]
    server.run("rules", "set", who, "fetched-block-folder=off")
    dovecot.put(rule, message("gone", sender=BAD))
    fetch(server, who, rule)
    assert dovecot.messages(rule) == [] and len(export(server, who)) == 1
