"""Doors in sessions that are not plain: what others say of a client reaches the script, protection knows windows and XTND XMIT, peers that are silent, clients that
hang up while somebody is asked, chunks, international addresses, and the rows of those who are to come again."""
import re

import pytest

from conftest import Server, unverified, wait_until
from scripted_server import SILENCE, Gate
from test_doors import ANSWERS, SMALL, ZIP, begin, ledger, rcpt
from whois_server import IANA, RIPE, WhoisServer

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
LOOPBACK = 'courier.private_networks = { "127.0.0.0/8" }'
FAR = {"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"}
REFERENCE = re.compile(r"Reference ([0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4})")


def hears(server, recipient, sender="stranger@far.test", helo="mx.far.test", client="127.0.0.1"):
    with server.smtp(source_address=(client, 0)) as smtp:
        smtp.ehlo(helo)
        code, text = smtp.docmd("MAIL", f"FROM:<{sender}>")
        if code == 250:
            code, text = smtp.docmd("RCPT", f"TO:<{recipient}>")
    return code, text.decode()


# ---- What WHOIS says reaches the script ----

SCRIPT = """
function check(mail)
  local w = mail.whois
  if not w then return "reject", "nothing is known" end
  return "reject", table.concat({ w.country, w.registry, w.network, w.as, w.text:find("descr: +Example") and "text" or "no text" }, " ")
end
"""


@pytest.fixture
def whois():
    made = []

    def make(answer):
        made.append(WhoisServer(answer))
        return made[-1]
    yield make
    for server in made:
        server.close()


def asking_script(fresh, tmp_path, first, more=""):
    path = tmp_path / "rules.lua"
    path.write_text(SCRIPT)
    server = fresh(f'{LOOPBACK}\nsmtp.check_sender = false\nwhois.servers = {{ "127.0.0.1@{first.port}" }}\nscript.file = "{path}"\n{more}'.strip())
    server.run("rules", "set", ALICE, "site-script=on", "whois=on")
    server.run("rules", "set", BOB, "site-script=on")
    return server


def test_whois_reaches_the_script(fresh, tmp_path, whois):
    """By a referral; not for whom the rule whois is off."""
    net = "127.0.0.0 - 127.0.0.255"
    ripe = whois(RIPE.format(range=net, name="LOOP-NET", country="nl", route="127.0.0.0/24", origin="AS64496"))
    first = whois(IANA.format(refer=ripe.name(), block="127.0.0.0 - 127.255.255.255"))
    server = asking_script(fresh, tmp_path, first)
    assert "nothing is known" in hears(server, BOB)[1] and not first.questions
    code, text = hears(server, ALICE)
    assert code == 550 and "NL RIPE LOOP-NET AS64496 text" in text, text
    assert hears(server, ALICE, client="127.0.0.44")[1].count("LOOP-NET") == 1  # of the same network: remembered
    assert [len(s.questions) for s in (first, ripe)] == [1, 1]


@pytest.mark.parametrize("way", ["a circle", "a long way"])
def test_whois_ways_end(fresh, tmp_path, whois, way):
    """Each server of a circle is asked once, of a long way the first and four more; what was learned on it reaches the script."""
    net = RIPE.format(range="127.0.0.0 - 127.0.0.255", name="LOOP-NET", country="nl", route="127.0.0.0/24", origin="AS64496")
    servers = []
    for i in range(7):
        following = (lambda i=i: (i + 1) % 3) if way == "a circle" else (lambda i=i: i + 1)
        servers.append(whois(lambda question, out, ended, f=following: out.write(
            (net + (f"refer: {servers[f()].name()}\n" if f() < 7 else "")).encode())))
    server = asking_script(fresh, tmp_path, servers[0])
    assert "NL RIPE LOOP-NET AS64496 text" in hears(server, ALICE)[1]
    assert [len(s.questions) for s in servers] == ([1, 1, 1, 0, 0, 0, 0] if way == "a circle" else [1, 1, 1, 1, 1, 0, 0])


def test_whois_that_is_silent_keeps_nobody_out(fresh, tmp_path, whois):
    server = asking_script(fresh, tmp_path, whois(lambda question, out, ended: ended.wait(120)), "whois.timeout = 1")
    server.run("rules", "set", CAROL, "whois=on", "whois.countries=nl")
    assert hears(server, CAROL)[0] == 250
    assert "nothing is known" in hears(server, ALICE)[1]


# ---- protect-my-address ----

def test_protected_by_a_window(fresh):
    """Who logged in by POP3 a moment ago is who they are, at port 25, too; for somebody else's address that is no login."""
    server = fresh("smtp.check_sender = false\nsubmission.pop_before_smtp = true\nsubmission.pop_window = 300")
    server.run("rules", "set", ALICE, "protect-my-address=on")
    assert hears(server, BOB, sender=ALICE)[0] == 530
    server.pop(BOB).quit()
    assert hears(server, CAROL, sender=ALICE)[0] in (530, 553)
    server.pop(ALICE).quit()
    assert hears(server, BOB, sender=ALICE)[0] == 250
    assert hears(server, BOB, sender=ALICE, client="127.0.0.9")[0] == 530  # the window is of an address
    server.run("clients", "flush")
    wait_until(lambda: hears(server, BOB, sender=ALICE)[0] == 530, "the end of the window")


def xmit(server, login, sender, to):
    pop = server.pop(login)
    pop._shortcmd("XTND XMIT")
    pop.sock.sendall(f"From: {sender}\r\nTo: {to}\r\n{SMALL}.\r\n".encode())
    line = pop._getline()[0].decode()
    pop.close()
    return line


def test_protected_by_xtnd_xmit(fresh):
    """XTND XMIT sends as whoever has logged in, and as nobody else."""
    server = fresh("smtp.check_sender = false")
    server.run("rules", "set", ALICE, "protect-my-address=on")
    assert xmit(server, ALICE, ALICE, BOB).startswith("+OK")
    assert [b"Subject: small" in text for text in server.messages(BOB)] == [True]
    assert xmit(server, CAROL, ALICE, BOB).startswith("+OK")
    first, second = server.messages(BOB)
    assert first.startswith(f"Return-Path: <{ALICE}>".encode()) and second.startswith(f"Return-Path: <{CAROL}>".encode()), second


# ---- verify-sender: peers that are slow, busy or silent ----

SILENT = (
    ("at once", {"GREETING": SILENCE}),
    ("at EHLO", {"EHLO": SILENCE}),
    ("at MAIL", {"MAIL": SILENCE}),
    ("at RCPT", {"RCPT": SILENCE}),
)


@pytest.mark.parametrize("answers", [row[1] for row in SILENT], ids=[row[0] for row in SILENT])
def test_a_silent_peer_is_a_451(fresh, peer, zones, answers):
    """It has accepted the connection and says nothing: the sender is to come again, and nobody else waits."""
    far, dns = peer(answers), zones(FAR)
    server = fresh(f"smtp.check_sender = false\n{LOOPBACK}\n{dns.settings()}\ncourier.port = {far.port}\ncall_back.timeout = 2")
    server.run("rules", "set", ALICE, "verify-sender=on")
    with server.smtp() as waiting:
        waiting.ehlo("mx.far.test")
        waiting.mail("stranger@far.test")
        waiting.putcmd("RCPT", f"TO:<{ALICE}>")
        wait_until(lambda: far.sessions, "the peer's session")
        assert hears(server, BOB)[0] == 250
        code, text = waiting.getreply()
    assert code == 451 and b"4.4.3" in text and b"please try again later" in text, text
    wait_until(lambda: [row for row in ledger(server, rule="verify-sender") if row["verdict"] == "defer"], "the row")
    assert hears(server, ALICE)[0] == 451 and far.sessions == 1  # remembered for a while


def test_a_peer_that_greylists_changes_its_mind(fresh, peer, zones):
    far, dns = peer({"RCPT": ["451 4.7.1 come again", "250 2.1.5 ok"]}), zones(FAR)
    server = fresh(f"smtp.check_sender = false\n{LOOPBACK}\n{dns.settings()}\ncourier.port = {far.port}")
    server.run("rules", "set", ALICE, "verify-sender=on")
    assert [hears(server, ALICE)[0] for _ in range(3)] == [451, 451, 451]
    assert far.sessions == 1
    # Of another sender nothing is remembered.
    assert hears(server, ALICE, sender="other@far.test")[0] == 250
    assert hears(server, ALICE, sender="other@far.test")[0] == 250 and far.sessions == 2


def test_what_the_next_server_says_of_a_name(fresh, peer):
    """Names that are not known here are the next server's: it is asked once about each, whoever wants to know at the same time."""
    gate = Gate("550 5.1.1 never heard of it")
    far = peer({"RCPT TO:<gone": gate, "RCPT TO:<later": "451 4.3.0 not now"})
    server = fresh("smtp.check_sender = false")
    server.run("domain", "set", "example.test", "--unknown-to", f"127.0.0.1:{far.port}")
    raws = [transaction(server)[0] for _ in range(3)]
    for raw in raws:
        raw.send("RCPT TO:<gone@example.test>\r\n")
    wait_until(lambda: gate.waiting, "the question")
    gate.let()
    for raw in raws:
        code, text = raw.reply()
        assert code == 550 and "the server of this person says 550 5.1.1 never heard of it" in text, text
    assert hears(server, "gone@example.test")[0] == 550
    assert len([line for line in far.lines if line.startswith("RCPT TO:<gone")]) == 1
    for name in ("later", "there"):
        assert [raw.ask(f"RCPT TO:<{name}@example.test>")[0] for raw in raws] == [250, 250, 250]
        assert len([line for line in far.lines if line.startswith(f"RCPT TO:<{name}")]) == 1
    for raw in raws:
        raw.close()


# ---- A client that hangs up, a server that stops, while somebody is asked ----

def gated(fresh, peer, zones):
    """A server whose questions about senders stand before a gate, and that gate."""
    gate = Gate("250 2.1.5 ok")
    far, dns = peer({"RCPT": gate}), zones({**FAR, "127.in-addr.arpa": "1.0.0 IN PTR mx.far.test."})
    server = fresh(f"smtp.check_sender = true\n{LOOPBACK}\n{dns.settings()}\ncourier.port = {far.port}\ncall_back.timeout = 60\ncall_back.per_host = 1000")
    server.run("rules", "set", ALICE, "verify-sender=on", "reverse-sender=on", "no-ptr=on")
    return server, far, gate


def wait_at_the_gate(server, gate, sender):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO mx.far.test")
    raw.ask(f"MAIL FROM:<{sender}>")
    before = gate.waiting
    raw.send(f"RCPT TO:<{ALICE}>\r\n")
    wait_until(lambda: gate.waiting > before, "the question")
    return raw


def test_who_hangs_up_while_others_are_asked(fresh, peer, zones):
    server, far, gate = gated(fresh, peer, zones)
    children = set(server.children())
    for i in range(5):
        wait_at_the_gate(server, gate, f"gone{i}@far.test").close()
    assert hears(server, BOB)[0] == 250
    gate.let()
    assert hears(server, ALICE)[0] == 250
    assert hears(server, ALICE, sender="gone0@far.test")[0] == 250
    assert set(server.children()) == children
    assert server.stop() == 0


def test_who_is_asked_about_when_the_server_stops(fresh, peer, zones):
    """The session is canceled in the middle of its questions: it hears 421 or the end, and nothing is left behind."""
    server, far, gate = gated(fresh, peer, zones)
    raws = [wait_at_the_gate(server, gate, f"s{i}@far.test") for i in range(3)]
    assert server.stop() == 0
    for raw in raws:
        code, _ = raw.reply()
        assert code in (0, 421, 451), code
        raw.close()
    gate.let()
    server.start()
    assert hears(server, ALICE)[0] == 250


# ---- Rules about the message, in chunks and with other letters ----

@pytest.fixture(scope="module")
def kinds():
    server = Server("smtp.check_sender = false\nsmtp.transactions = 1000")
    server.run("domain", "add", "m\u00fcnchen.example")
    for who, kind in ((BOB, "refuse"), (CAROL, "file")):
        server.run("rules", "set", who, *ANSWERS[kind])
    server.run("account", "add", "jos\u00e9@m\u00fcnchen.example", "--password-stdin", text_input="correct horse 1\n")
    server.run("rules", "set", "jos\u00e9@m\u00fcnchen.example", "block-agent=on", "block-agent.patterns=*m\u00fcll*")
    yield server
    server.close()


def chunks(raw, text, count=3):
    size = len(text) // count
    pieces = [text[i * size:(i + 1) * size if i < count - 1 else None] for i in range(count)]
    for i, piece in enumerate(pieces):
        raw.send(f"BDAT {len(piece)}{' LAST' if i == count - 1 else ''}\r\n")
        raw.send(piece)
    return [raw.reply() for _ in pieces]


def transaction(server, *recipients, sender="x@else.test", parameters=""):
    raw = server.raw()
    raw.reply()
    raw.ask("EHLO mx.else.test")
    assert raw.ask(f"MAIL FROM:<{sender}>{parameters}")[0] == 250
    return raw, [raw.ask(f"RCPT TO:<{recipient}>")[0] for recipient in recipients]


@pytest.mark.parametrize("who,code", [(ALICE, 250), (BOB, 550), (CAROL, 250)])
def test_chunks(kinds, who, code):
    raw, codes = transaction(kinds, who)
    assert codes == [250]
    replies = chunks(raw, ZIP.encode())
    assert [reply[0] for reply in replies] == [250, 250, code], replies
    if code == 550:
        reference = REFERENCE.search(replies[-1][1])[1]
        assert wait_until(lambda: ledger(kinds, reference=reference), "the row")[0]["rule"] == "attachment-types"
    # The session goes on, and the next message is nobody's business.
    assert raw.ask("MAIL FROM:<x@else.test>")[0] == 250 and raw.ask(f"RCPT TO:<{BOB}>")[0] == 250
    assert [reply[0] for reply in chunks(raw, SMALL.encode(), 1)] == [250]
    raw.close()


def test_chunks_with_a_reply_for_each(kinds):
    before = {who: len(kinds.messages(who)) for who in (ALICE, BOB)}
    raw, codes = transaction(kinds, ALICE, BOB, CAROL, "nobody@example.test", parameters=" PRDR")
    assert codes == [250, 250, 250, 550]
    replies = chunks(raw, ZIP.encode())
    assert [reply[0] for reply in replies] == [250, 250, 353]
    each = [raw.reply() for _ in range(3)]
    assert [reply[0] for reply in each] == [250, 550, 250] and BOB in each[1][1], each
    assert raw.reply()[0] == 250
    assert raw.ask("NOOP")[0] == 250  # nothing is left over
    raw.close()
    assert {who: len(kinds.messages(who)) for who in before} == {ALICE: before[ALICE] + 1, BOB: before[BOB]}
    (filed,) = [row for row in ledger(kinds, recipient=CAROL, verdict="file")][:1]
    assert filed["rule"] == "attachment-types"


def test_with_a_reply_for_each_nobody_may_take_it(kinds):
    kinds.run("rules", "set", ALICE, *ANSWERS["refuse"])
    try:
        wait_until(lambda: prdr_codes(kinds, ALICE, BOB) == [353, 550, 550, 550], "three refusals")
    finally:
        kinds.run("rules", "unset", ALICE, "attachment-types", "attachment-types.types")


def prdr_codes(server, *recipients):
    raw, codes = transaction(server, *recipients, parameters=" PRDR")
    assert codes == [250] * len(recipients)
    assert raw.ask("DATA")[0] == 354
    raw.send(ZIP + ".\r\n")
    codes = [raw.reply()[0]]
    while codes[0] == 353 and len(codes) < len(recipients) + 2:
        codes.append(raw.reply()[0])
    raw.close()
    return codes


def test_other_letters(kinds):
    """A rule about the message at an international address: the pattern and the header have them, too; replies only have ASCII."""
    who = "jos\u00e9@m\u00fcnchen.example"
    for agent, code in (("M\u00fcllmaschine 3", 550), ("Mutt", 250)):
        raw, codes = transaction(kinds, who, sender="s\u00fcnder@else.test", parameters=" SMTPUTF8 BODY=8BITMIME")
        assert codes == [250]
        assert raw.ask("DATA")[0] == 354
        raw.send(f"Subject: gr\u00fc\u00dfe\r\nX-Mailer: {agent}\r\n\r\nb\u00f6se\r\n.\r\n")
        found, text = raw.reply()
        assert found == code and text.isascii(), text
        raw.close()
    (row,) = wait_until(lambda: ledger(kinds, rule="block-agent", verdict="refuse"), "the row")
    assert row["subject"] == "gr\u00fc\u00dfe" and row["account"] == "jos\u00e9@xn--mnchen-3ya.example", row


# ---- Whoever is to come again has a row ----

def test_rows_of_those_who_are_to_come_again(fresh):
    server = fresh("smtp.check_sender = false\nsmtp.recipients = 2\nsubmission.daily_recipients = 1")
    server.run("rules", "set", BOB, "max-size=on")
    with server.smtp() as smtp:
        begin(smtp)
        said = dict(zip((ALICE, BOB, CAROL, "carol+x@example.test"), rcpt(smtp, ALICE, BOB, CAROL, "carol+x@example.test")))
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login(ALICE, "sandbox")
        begin(smtp, ALICE)
        first, second = rcpt(smtp, "one@far.test", "two@far.test")
    server.run("queue", "pause", "in")
    paused = wait_until(lambda: [text for code, text in [hears(server, ALICE, sender="y@else.test")] if code == 452], "the pause")[0]
    server.run("queue", "resume", "in")
    assert [said[who][0] for who in said] == [250, 452, 250, 452] and [first[0], second[0]] == [250, 452]
    for text, rule, recipient, sender in ((said[BOB][1].decode(), "content-class", BOB, "x@else.test"),
                                          (said["carol+x@example.test"][1].decode(), "too-many-recipients", "carol+x@example.test", "x@else.test"),
                                          (second[1].decode(), "daily-limit", "two@far.test", ALICE), (paused, "paused", ALICE, "y@else.test")):
        reference = REFERENCE.search(text)[1]
        (row,) = wait_until(lambda: ledger(server, reference=reference), f"the row of {rule}")
        assert (row["rule"], row["verdict"], row["recipient"], row["sender"]) == (rule, "defer", recipient, sender), row
        assert row["reply"] == f"452 {text}" and rule in server.run("explain", reference).stdout, row


def test_a_full_mailbox_at_the_end_has_a_row(fresh):
    """There was room at RCPT, and there is none for what came."""
    server = fresh("smtp.check_sender = false")
    server.run("account", "set", ALICE, "--quota", "20K")
    with server.smtp() as smtp:
        begin(smtp, parameters=" SIZE=30000")
        code, early = rcpt(smtp, ALICE)[0]
        assert code in (452, 552), early
        begin(smtp)
        assert rcpt(smtp, ALICE)[0][0] == 250
        code, text = smtp.data("Subject: large\r\n\r\n" + "a line of it\r\n" * 4000)
    assert code in (452, 552), text
    for said in (early, text):
        reference = REFERENCE.search(said.decode())[1]
        (row,) = wait_until(lambda: ledger(server, reference=reference), "the row")
        assert row["rule"] == "quota" and row["recipient"] == row["account"] == ALICE, row


def test_a_message_that_is_none_has_a_row(kinds):
    """One at the door of each whom it was for."""
    kinds.run("alias", "add", "team@example.test", ALICE, BOB)
    raw, codes = transaction(kinds, ALICE, "team@example.test", "alice+x@example.test", parameters=" PRDR")
    assert codes == [250] * 3 and raw.ask("DATA")[0] == 354
    raw.send("Subject: bare\r\n\r\na\nb\r\n.\r\n")
    code, text = raw.reply()
    raw.close()
    reference = REFERENCE.search(text)[1]
    wait_until(lambda: len(ledger(kinds, rule="message-form")) >= 4, "the rows")
    rows = ledger(kinds, rule="message-form")
    assert {row["account"] for row in rows if row["reference"] == reference} == {ALICE, BOB} and rows[0]["reference"]
    assert code == 550 and {(row["rule"], row["verdict"], row["reply"]) for row in rows} == {("message-form", "refuse", f"550 {text}")}, rows
    assert sorted((row["recipient"], row["account"]) for row in rows) == [("alice+x@example.test", ALICE), (ALICE, ALICE), ("team@example.test", ALICE), ("team@example.test", BOB)]
