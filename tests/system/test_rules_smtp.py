"""Rules as a sending server meets them: each is set by the command line, and a real session hears what it says."""
import re

import pytest

from conftest import unverified, wait_until
from nameserver import reverse
from ports import free_port

REFERENCE = re.compile(r"Reference [0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}")
ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
MESSAGE = "Subject: hello\r\nX-Mailer: {agent}\r\n\r\nhello\r\n"


def hears(server, recipient, sender="someone@else.test", helo="mx.else.test", client="127.0.0.1", message=None):
    """(code, text) of RCPT, or of the message where there is one and RCPT was fine."""
    with server.smtp(source_address=(client, 0)) as smtp:
        smtp.ehlo(helo)
        code, text = smtp.docmd("MAIL", f"FROM:<{sender}>")
        if code == 250:
            code, text = smtp.docmd("RCPT", f"TO:<{recipient}>")
        if code == 250 and message:
            code, text = smtp.data(message)
    return code, text.decode()


def comes_to_hear(server, code, **attempt):
    """A door is remembered for a second."""
    return wait_until(lambda: [text for found, text in [hears(server, **attempt)] if found == code], f"{code} for {attempt}")[0]


def rows(server, *words):
    return server.run_json("ledger", "--limit", "1000", *words)


@pytest.fixture(scope="module")
def dns():
    """127.0.0.2 is mail.good.test, .3 is a home computer, .4 claims a name that is not its own."""
    import nameserver
    served = nameserver.Zones({
        "127.in-addr.arpa": "\n".join(f"{reverse(f'127.0.0.{n}').removesuffix('.127')} IN PTR {name}." for n, name in
                                      ((2, "mail.good.test"), (3, "pc7.pool.bad.test"), (4, "mail.good.test"))),
        "good.test": "mail IN A 127.0.0.2\n@ IN MX 10 mail", "bad.test": "pc7.pool IN A 127.0.0.3",
        "else.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
    yield served
    served.close()


@pytest.fixture(scope="module")
def house(dns):
    from conftest import Server
    server = Server(f"smtp.check_sender = false\n{dns.settings()}")
    yield server
    server.close()


# What is set; then attempts: the sender's side, and what it hears (a code, and a part of the text).
SITE = (
    ("denied-servers", ("list", "add", "--site", "denied", "127.0.0.9", "spam.test"),
     (({"client": "127.0.0.9"}, 550, "127.0.0.9"), ({"sender": "x@spam.test"}, 550, "spam.test"), ({"helo": "spam.test"}, 550, "spam.test"), ({}, 250, ""))),
    ("denied-host-names", ("list", "add", "--site", "denied-name", "pool"),
     (({"client": "127.0.0.3"}, 550, "pc7.pool.bad.test"), ({"client": "127.0.0.2"}, 250, ""), ({"client": "127.0.0.5"}, 250, ""))),
)


@pytest.mark.parametrize("rule,command,attempts", SITE, ids=[row[0] for row in SITE])
def test_what_the_site_denies(house, rule, command, attempts):
    house.run(*command)
    for attempt, code, part in attempts:
        text = comes_to_hear(house, code, recipient=CAROL, **attempt)
        assert part in text and bool(REFERENCE.search(text)) == (code != 250), (attempt, text)
        assert code == 250 or text.split()[1] == CAROL, text
    assert all(row["level"] == "site" for row in rows(house, "--rule", rule) if row["evidence"]), rows(house, "--rule", rule)
    # Members are not asked.
    with house.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login(ALICE, "sandbox")
        smtp.ehlo("spam.test")
        assert smtp.mail(ALICE)[0] == 250 and smtp.rcpt(CAROL)[0] == 250
    for entry in command[4:]:
        house.run("list", "remove", "--site", command[3], entry)
    for attempt, _, _ in attempts:
        comes_to_hear(house, 250, recipient=CAROL, **attempt)


def test_approved_servers(house):
    """By an address, and by a name that the DNS proves: whoever only claims it is a stranger."""
    house.run("rules", "set", BOB, "white-list=on")
    comes_to_hear(house, 550, recipient=BOB)
    house.run("list", "add", "--site", "approved", "127.0.0.8", "mail.good.test")
    for client, code in (("127.0.0.8", 250), ("127.0.0.2", 250), ("127.0.0.4", 550), ("127.0.0.1", 550)):
        comes_to_hear(house, code, recipient=BOB, client=client)
    house.run("rules", "unset", BOB, "white-list")
    house.run("list", "remove", "--site", "approved", "127.0.0.8", "mail.good.test")


# A rule of alice's at RCPT: what is set, who hears 250 and who something else.
OWN = (
    (("helo-sane=on",), {}, {"helo": "localhost"}, 550, "localhost"),
    (("greylist=on", "greylist.only=all"), None, {"sender": "new@else.test"}, 451, "does not take this now"),
    (("max-size=on", "max-size.size=1K"), {"message": MESSAGE.format(agent="x")}, {"message": MESSAGE.format(agent="y") + "long\r\n" * 400}, 552, "large"),
    (("block-agent=on", "block-agent.patterns=*bulk?mailer*"), {"message": MESSAGE.format(agent="Mutt")}, {"message": MESSAGE.format(agent="The Bulk Mailer 3")}, 550,
     "Bulk Mailer"),
)


@pytest.mark.parametrize("settings,fine,bad,code,part", OWN, ids=[row[0][0].partition("=")[0] for row in OWN])
def test_one_person_asks(house, settings, fine, bad, code, part):
    rule = settings[0].partition("=")[0]
    house.run("rules", "set", ALICE, *settings)
    text = comes_to_hear(house, code, recipient=ALICE, **bad)
    assert part in text and f" {ALICE} does not take this" in text and REFERENCE.search(text), text
    assert fine is None or hears(house, ALICE, **fine)[0] == 250
    assert hears(house, CAROL, **bad)[0] == 250
    wait_until(lambda: [row for row in rows(house, "--rule", rule) if row["account"] == ALICE and row["level"] == "account"], "its row")
    house.run("rules", "set", ALICE, "accept-all=on")
    comes_to_hear(house, 250, recipient=ALICE, **bad)
    house.run("rules", "unset", ALICE, "accept-all", *(setting.partition("=")[0] for setting in settings))


def test_watch_mode_loses_nothing(house):
    """Two rules watch, a third one files: a row for each of them."""
    agent = MESSAGE.format(agent="bulk")
    house.run("rules", "set", CAROL, "helo-sane=watch", "block-agent=watch", "block-agent.patterns=bulk", "max-size=file", "max-size.size=1K")
    assert comes_to_hear(house, 250, recipient=CAROL, helo="localhost", message=agent)
    wait_until(lambda: {row["rule"] for row in rows(house, "--for", CAROL, "--verdict", "watch")} >= {"helo-sane", "block-agent"} or
               hears(house, CAROL, helo="localhost", message=agent)[0] != 250, "both rows")
    hears(house, CAROL, helo="localhost", message=agent + "long\r\n" * 400)
    (filed,) = wait_until(lambda: rows(house, "--for", CAROL, "--verdict", "file"), "the filed row")
    assert filed["rule"] == "max-size"
    asked = len(rows(house, "--for", CAROL, "--verdict", "watch"))
    assert asked >= 3, rows(house, "--for", CAROL)
    house.run("rules", "unset", CAROL, "helo-sane", "block-agent", "block-agent.patterns", "max-size", "max-size.size")


def test_protected_address(fresh):
    """530 where nobody has logged in, 553 where somebody else has; the member's own session may."""
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", ALICE, "protect-my-address=on")
    text = comes_to_hear(server, 530, recipient=BOB, sender=ALICE)
    assert REFERENCE.search(text), text
    assert hears(server, BOB, sender=CAROL)[0] == 250
    for who, code in ((ALICE, 250), (BOB, 553)):
        with server.smtp(587) as smtp:
            smtp.starttls(context=unverified())
            smtp.login(who, "sandbox")
            reply = smtp.mail(ALICE)
            reply = smtp.rcpt(CAROL) if reply[0] == 250 else reply
            assert reply[0] == code, (who, reply)


def test_limited_address(house):
    house.run("address", "add", BOB, "shop", "--from", "@shop.test")
    made = "bob+shop@example.test"
    comes_to_hear(house, 550, recipient=made)
    assert hears(house, made, sender="orders@shop.test")[0] == 250
    house.run("rules", "set", BOB, "white-list=on")
    comes_to_hear(house, 550, recipient=BOB, sender="orders@shop.test")
    assert hears(house, made, sender="orders@shop.test")[0] == 250
    house.run("rules", "unset", BOB, "white-list")


def test_terse_and_the_help_page(fresh):
    server = fresh('smtp.check_sender = false\nledger.help_page = "https://help.test/refused"')
    server.run("rules", "set", ALICE, "white-list=on")
    server.run("rules", "set", BOB, "white-list=on", "terse=on")
    text = comes_to_hear(server, 550, recipient=ALICE)
    assert re.fullmatch(rf"5.7.1 {ALICE} does not take this: .* Reference [0-9A-Z-]{{9}}, see https://help.test/refused", text), text
    text = comes_to_hear(server, 550, recipient=BOB)
    assert re.fullmatch(rf"5.7.1 {BOB} does not take this. Reference [0-9A-Z-]{{9}}, see https://help.test/refused", text), text


def test_locked(fresh):
    """What the site locks counts for everybody, also where a person lets all in; its own members it does not touch."""
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", ALICE, "accept-all=on")
    assert hears(server, ALICE, helo="localhost")[0] == 250
    server.run("rules", "lock", "helo-sane=on")
    for recipient in (ALICE, BOB, "postmaster@example.test"):
        comes_to_hear(server, 550, recipient=recipient, helo="localhost")
    assert hears(server, ALICE)[0] == 250
    assert "locked" in server.run("rules", "set", ALICE, "helo-sane=off", check=False).stderr
    comes_to_hear(server, 550, recipient=ALICE, helo="localhost")


VERIFY = (
    ("takes", {}, 250, ""),
    ("refuses", {"RCPT TO:<stranger": "550 5.1.1 no such person"}, 550, "no such person"),
    ("greylists", {"RCPT TO:<stranger": "451 4.7.1 come again"}, 451, ""),
    ("is away", None, 451, ""),
)


@pytest.mark.parametrize("what,answers,code,part", VERIFY, ids=[row[0] for row in VERIFY])
def test_verify_sender(fresh, peer, dns, what, answers, code, part):
    """Through RCPT: what the sender's own server says of the sender."""
    far = peer(answers) if answers is not None else None
    server = fresh(f'smtp.check_sender = false\ncourier.private_networks = {{ "127.0.0.0/8" }}\n{dns.settings()}\n'
                   f"courier.port = {far.port if far else free_port()}")
    server.run("rules", "set", ALICE, "verify-sender=on")
    text = comes_to_hear(server, code, recipient=ALICE, sender="stranger@else.test")
    assert part in text, text
    assert hears(server, BOB, sender="stranger@else.test")[0] == 250
    assert hears(server, ALICE, sender="")[0] == 250
    assert far is None or not far.messages


def test_reverse_sender(fresh, peer):
    """It only watches until it is said twice. The client itself is asked, at port 25: nobody is there."""
    far = peer({"RCPT TO:<stranger": "550 5.1.1 no such person"})
    server = fresh(f'smtp.check_sender = false\ncourier.private_networks = {{ "127.0.0.0/8" }}\ncourier.port = {far.port}')
    server.run("rules", "set", ALICE, "reverse-sender=on")
    attempt = {"recipient": ALICE, "sender": "stranger@else.test"}
    wait_until(lambda: hears(server, **attempt, message=MESSAGE.format(agent="x"))[0] == 250 and rows(server, "--for", ALICE, "--verdict", "watch"), "its row")
    server.run("rules", "set", ALICE, "reverse-sender.sure=on")
    assert "no such person" in comes_to_hear(server, 550, **attempt)
    assert hears(server, BOB, sender="stranger@else.test")[0] == 250


def test_whatever_stands_behind_the_address_is_kept_from_the_ledger(house):
    """A passcode that was mistyped."""
    with house.smtp() as smtp:
        smtp.ehlo("mx.else.test")
        smtp.mail("typing@else.test")
        code, text = smtp.docmd("RCPT", f"TO:<{CAROL}> 98o76")
        assert code == 555 and b"98O76" in text.upper()
    (row,) = wait_until(lambda: rows(house, "--rule", "syntax", "--sender", "typing@else.test"), "its row")
    assert row["recipient"] == CAROL
    log = wait_until(lambda: (house.directory / "data/reject.log").exists() and (house.directory / "data/reject.log").read_text(), "reject.log") \
        if (house.directory / "data").exists() else ""
    for place in (str(row), house.log(), log):
        assert "98o76" not in place.lower()


def test_whoever_is_to_come_again_has_a_row(house):
    house.run("rules", "set", BOB, "max-size=on")
    def second():
        with house.smtp() as smtp:
            smtp.ehlo("mx.else.test")
            smtp.mail("twice@else.test")
            smtp.rcpt(ALICE)
            return smtp.rcpt(BOB)
    text = wait_until(lambda: [text.decode() for code, text in [second()] if code == 452], "452")[0]
    (row, *_) = wait_until(lambda: rows(house, "--rule", "content-class"), "its row")
    assert row["account"] == BOB and row["verdict"] == "defer" and REFERENCE.search(text)
    house.run("rules", "unset", BOB, "max-size")


def test_abuse_is_whoever_gets_postmaster(house):
    assert hears(house, "abuse@example.test")[0] == hears(house, "Abuse+spam@example.test")[0] == 250
