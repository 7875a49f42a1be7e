"""Real clients and real sites: mail that leaves, comes back, and is fetched."""
import datetime
import email
import os
import pathlib
import poplib
import re
import signal
import smtplib
import subprocess
import time

import pytest

import nameserver
import postfix
from conftest import PATIENCE, Server, unverified, wait_until
from test_clients import run, write_private

LETTER = "From: {sender}\nTo: {to}\nSubject: {subject}\n\nby a real client\n"
needs_postfix = pytest.mark.skipif(not postfix.AVAILABLE, reason="Postfix needs root")


def arrived(server, subject, user="alice@example.test"):
    return wait_until(lambda: [m for m in server.messages(user) if f"\nSubject: {subject}\n".encode() in m], f"'{subject}' at {user}")


def reports(server, user="alice@example.test"):
    """{recipient: status} of all reports in a maildrop."""
    out = {}
    for text in server.messages(user):
        for part in email.message_from_bytes(text).walk():
            if part.get_content_type() == "message/delivery-status":
                for group in part.get_payload()[1:]:
                    out[group["Final-Recipient"].split(";")[1].strip()] = group["Status"]
    return out



class Second(Server):
    """Another Ostiary, for the site second.test: its person is dora@second.test."""

    def __init__(self, settings=""):
        super().__init__('hostname = "mx.second.test"\n' + settings)
        self.run("domain", "add", "second.test")
        self.run("account", "add", "dora@second.test", "--password-stdin", text_input="sandbox sandbox\n")

    def letters(self):
        return self.messages("dora@second.test", "sandbox sandbox")


@pytest.fixture(scope="module")
def world():
    """Our server, another Ostiary that it finds by real MX records, and a Postfix that its directory names."""
    second = Second()
    # The one port of all other sites' servers is the second one's.
    zones = nameserver.Zones({"second.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1", "gone.test": "@ IN MX 0 ."})
    ours = Server(f'{zones.settings()}\ncourier.port = {second.port(25)}')
    yield ours, second
    for part in (ours, zones, second):
        part.close()


def swaks(server, to, subject, tmp_path=None):
    run("swaks", "--server", "127.0.0.1", "--port", str(server.port(587)), "--tls", "--auth", "PLAIN", "--auth-user", "alice@example.test",
        "--auth-password", "sandbox", "--from", "alice@example.test", "--to", to, "--header", f"Subject: {subject}")


def msmtp(server, to, subject, tmp_path):
    config = write_private(tmp_path / "msmtprc", f"""account default
host 127.0.0.1
port {server.port(465)}
tls on
tls_starttls off
tls_certcheck off
from alice@example.test
auth scram-sha-256
user alice@example.test
password sandbox
dsn_notify failure,delay
dsn_return headers
""")
    run("msmtp", "-C", str(config), to, text_input=LETTER.format(sender="alice@example.test", to=to, subject=subject))


def curl(server, to, subject, tmp_path):
    letter = tmp_path / "letter"
    letter.write_text(LETTER.format(sender="alice@example.test", to=to, subject=subject).replace("\n", "\r\n"))
    run("curl", "-sSk", "--max-time", "30", f"smtps://127.0.0.1:{server.port(465)}/client.test", "-u", "alice@example.test:sandbox",
        "--mail-from", "alice@example.test", "--mail-rcpt", to, "--upload-file", str(letter))


def mutt(server, to, subject, tmp_path):
    rc = write_private(tmp_path / "muttrc", f"""set smtp_url="smtps://alice%40example.test@127.0.0.1:{server.port(465)}/"
set smtp_pass="sandbox"
set smtp_authenticators="plain"
set from="alice@example.test"
set use_from=yes
set ssl_verify_host=no
set ssl_verify_dates=no
set certificate_file="{server.directory}/tls/certificate.pem"
set copy=no
set record=""
""")
    run("mutt", "-F", str(rc), "-s", subject, to, text_input="by a real client\n",
        environment={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"})


CLIENTS = {"swaks": swaks, "msmtp": msmtp, "curl": curl, "mutt": mutt}


@pytest.mark.parametrize("client", CLIENTS)
def test_to_another_site_and_into_a_client(world, tmp_path, client):
    """Submitted with a real client, sent to the other server by its MX record, and fetched there with mpop."""
    ours, second = world
    CLIENTS[client](ours, "dora@second.test", f"out by {client}", tmp_path)
    letter = wait_until(lambda: [m for m in second.letters() if f"\nSubject: out by {client}\n".encode() in m], "the letter")[0]
    assert letter.startswith(b"Return-Path: <alice@example.test>\n")
    assert letter.count(b"\nReceived: ") == 2 and b"ESMTPSA" in letter and b"with ESMTPS (" in letter
    config = write_private(tmp_path / "mpoprc", f"""account default
host 127.0.0.1
port {second.port(995)}
tls on
tls_starttls off
tls_certcheck off
auth scram-sha-256
user dora@second.test
password "sandbox sandbox"
delivery mbox {tmp_path}/mbox
uidls_file {tmp_path}/uidls
keep on
""")
    run("mpop", "-C", str(config))
    assert f"Subject: out by {client}" in (tmp_path / "mbox").read_text()


def test_a_site_that_takes_no_mail(world):
    """RFC 7505: nothing is tried, the sender is told at once."""
    ours, _ = world
    swaks(ours, "anybody@gone.test", "to a null MX")
    wait_until(lambda: reports(ours).get("anybody@gone.test") == "5.1.10", "the report")


def test_a_name_that_the_other_site_refuses(world):
    ours, _ = world
    swaks(ours, "nobody@second.test", "to nobody there")
    wait_until(lambda: reports(ours).get("nobody@second.test") == "5.1.1", "the report")
    report = next(m for m in ours.messages() if b"nobody@second.test" in m and b"multipart/report" in m)
    assert b"There is nobody of this name" in report and b"Remote-MTA: dns; mx.second.test" in report


@pytest.fixture(scope="module")
def beside_postfix():
    """Our server, and a Postfix that it finds by its MX record."""
    peer = postfix.Postfix()
    names = nameserver.Zones({"postfix.test": "@ IN MX 10 mail\nmail IN A 127.0.0.1"})
    ours = Server(f"{names.settings()}\ncourier.port = {peer.port}")
    yield ours, peer
    for part in (ours, names, peer):
        part.close()


@needs_postfix
@pytest.mark.parametrize("client", CLIENTS)
def test_to_a_postfix(beside_postfix, tmp_path, client):
    ours, peer = beside_postfix
    CLIENTS[client](ours, "carol@postfix.test", f"to Postfix by {client}", tmp_path)
    wait_until(lambda: any(f"\nSubject: to Postfix by {client}\n".encode() in m for m in peer.mail("carol")), "the letter")
    wait_until(lambda: ours.run_json("queue", "list") == [], "an empty queue")


@needs_postfix
def test_we_are_the_relay_host_of_a_postfix(fresh, zones):
    """A machine of our network sends everything through us: from client_networks, without a password."""
    second = Second()
    peer = None
    try:
        names = zones({"second.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
        ours = fresh(f'{names.settings()}\ncourier.port = {second.port(25)}\nclient_networks = {{ "127.0.0.0/8" }}')
        peer = postfix.Postfix(more=f"relayhost = [127.0.0.1]:{ours.port(25)}")
        with smtplib.SMTP("127.0.0.1", peer.port) as smtp:
            smtp.sendmail("carol@postfix.test", ["dora@second.test", "alice@example.test"], "Subject: by way of us\n\nhello\n")
        letter = wait_until(second.letters, "the letter at the second server")[0]
        assert b"Subject: by way of us" in letter and letter.count(b"\nReceived: ") == 3
        arrived(ours, "by way of us")
    finally:
        if peer:
            peer.close()
        second.close()


def test_a_smart_host_with_a_password(fresh):
    """All mail for other sites goes to a provider's submission port: STARTTLS with a certificate that is checked, and AUTH."""
    provider = Second()
    try:
        password = provider.directory / "password"
        password.write_text("sandbox sandbox\n")
        password.chmod(0o600)
        settings = (f'courier.smart_host = "localhost:{provider.port(587)}"\ncourier.smart_host_tls = "starttls"\n'
                    f'courier.smart_host_user = "dora@second.test"\ncourier.smart_host_password_file = "{password}"\n')
        ours = fresh(settings + f'courier.ca_file = "{provider.directory}/tls/certificate.pem"')
        ours.run("alias", "add", "dora@example.test", "alice@example.test")
        swaks(ours, "bob@example.test", "stays here")  # our own people's mail does not go round by the provider
        arrived(ours, "stays here", "bob@example.test")
        # The provider lets dora send as dora only.
        ours.run("domain", "add", "second.test")
        ours.run("account", "add", "dora@second.test", "--password-stdin", text_input="sandbox sandbox\n")
        run("swaks", "--server", "127.0.0.1", "--port", str(ours.port(465)), "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "dora@second.test",
            "--auth-password", "sandbox sandbox", "--from", "dora@second.test", "--to", "carol@example.net", "--header", "Subject: by the provider")
        waiting = wait_until(lambda: provider.run_json("queue", "list"), "the provider's queue")
        assert waiting[0]["recipient"] == "carol@example.net" and waiting[0]["sender"] == "dora@second.test"
        wait_until(lambda: ours.run_json("queue", "list") == [], "an empty queue")
        log = provider.log()
        assert "account=dora@second.test" in log
        # Another certificate: nothing is sent, and above all no password.
        ours.stop()
        ours.configure('courier.ca_file = "/etc/ssl/certs/ca-certificates.crt"')
        ours.start()
        logins = provider.log().count("login accepted")
        run("swaks", "--server", "127.0.0.1", "--port", str(ours.port(465)), "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "dora@second.test",
            "--auth-password", "sandbox sandbox", "--from", "dora@second.test", "--to", "carol@example.net", "--header", "Subject: not by an impostor")
        item = wait_until(lambda: [i for i in ours.run_json("queue", "list") if i["attempts"]], "a failed attempt")[0]
        assert "ertificate" in item["reply"], item
        assert provider.log().count("login accepted") == logins
    finally:
        provider.close()


def test_fetchmail_hands_on_by_smtp(world, fresh, tmp_path):
    """fetchmail fetches dora's mail from the second server and gives it to ours as an SMTP client."""
    _, second = world
    ours = fresh('client_networks = { "127.0.0.0/8" }')
    second.send("Subject: fetched and handed on\n\nhello\n", to="dora@second.test")
    rc = write_private(tmp_path / "fetchmailrc", f"""poll 127.0.0.1 service {second.port(995)} protocol pop3
  username "dora@second.test" password "sandbox sandbox" is "bob@example.test" here ssl no sslcertck
  smtphost "127.0.0.1/{ours.port(25)}" smtpname "bob@example.test"
""")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    run("fetchmail", "-f", str(rc), "--pidfile", str(tmp_path / "pid"), "-i", str(tmp_path / "ids"), environment=environment)
    assert any(b"Subject: fetched and handed on" in m for m in ours.messages("bob@example.test"))
    assert not any(b"fetched and handed on" in m for m in second.letters())


# ---- POP before SMTP ----


def test_pop_before_smtp(fresh, tmp_path):
    """mpop logs in, then a client that knows no AUTH sends; without the window it is a stranger."""
    ours = fresh('submission.pop_before_smtp = true\nsubmission.pop_window = "1h"')
    letter = ["swaks", "--server", "127.0.0.1", "--port", str(ours.port(25)), "--from", "bob@example.test", "--to", "x@example.net"]

    def refused():
        result = subprocess.run(letter, capture_output=True, text=True, timeout=PATIENCE)
        assert result.returncode != 0 and " 550 5.7.1 " in result.stdout, result.stdout

    refused()
    assert ours.run_json("clients", "list")["clients"] == []
    config = write_private(tmp_path / "mpoprc", f"""account default
host 127.0.0.1
port {ours.port(110)}
tls on
tls_certcheck off
user bob@example.test
password sandbox
delivery mbox {tmp_path}/mbox
uidls_file {tmp_path}/uidls
""")
    run("mpop", "-C", str(config))
    listed = ours.run_json("clients", "list")["clients"]
    assert [(c["peer_address"], c["account"]) for c in listed] == [("127.0.0.1", "bob@example.test")], listed
    run(*letter)
    item = wait_until(lambda: ours.run_json("queue", "list"), "the letter in the queue")[0]
    assert item["recipient"] == "x@example.net" and item["sender"] == "bob@example.test"
    # Not as somebody else.
    other = subprocess.run([w.replace("bob@", "alice@") for w in letter], capture_output=True, text=True, timeout=PATIENCE)
    assert other.returncode != 0 and "550 5.7.1" in other.stdout, other.stdout
    assert "127.0.0.1" in ours.run("clients", "list").stdout
    assert "neither the IP address" in ours.run("clients", "flush", "bob", check=False).stderr
    assert ours.run_json("clients", "flush", "192.0.2.7")["flushed"] == 0
    ours.run("clients", "flush")
    assert ours.run_json("clients", "list")["clients"] == []
    refused()


# ---- Eudora: XTND XMIT ----


class Eudora(poplib.POP3_SSL):
    def __init__(self, server, user="alice@example.test"):
        super().__init__("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
        self.user(user)
        self.pass_("sandbox")

    def xmit(self, text):
        """The final reply; None where the server breaks off without one: the letter stays in the outbox."""
        self._shortcmd("XTND XMIT")
        for line in text.encode().split(b"\n"):
            self.sock.sendall((b"." if line.startswith(b".") else b"") + line + b"\r\n")
        self.sock.sendall(b".\r\n")
        try:
            return self._getresp().decode()
        except poplib.error_proto as error:
            reply = error.args[0]
            return None if reply == "-ERR EOF" else reply.decode() if isinstance(reply, bytes) else reply


def test_eudora(world):
    """Remote and local recipients, Bcc unseen, and a wrong name among good ones comes back as a report about that one."""
    ours, second = world
    eudora = Eudora(ours)
    assert eudora.xmit("From: Alice <alice@example.test>\nTo: dora@second.test, bob@example.test,\n nobody@example.test\n"
                       "Bcc: carol@example.test\nSubject: by Eudora\n\n.hello\n").startswith("+OK")
    eudora.quit()
    for letters in (lambda: second.letters(), lambda: ours.messages("bob@example.test"), lambda: ours.messages("carol@example.test")):
        letter = wait_until(lambda: [m for m in letters() if b"\nSubject: by Eudora\n" in m], "Eudora's letter")[0]
        assert b"\n.hello" in letter and b"Bcc" not in letter and b"carol@" not in letter
        assert letter.startswith(b"Return-Path: <alice@example.test>\n")
    wait_until(lambda: "nobody@example.test" in reports(ours), "the report")
    assert reports(ours)["nobody@example.test"] == "5.1.1"
    assert "dora@second.test" not in reports(ours)


def test_eudora_alone_with_a_wrong_name(world):
    ours, _ = world
    eudora = Eudora(ours, "carol@example.test")
    assert "no such person" in eudora.xmit("To: nobody@example.test\nSubject: to nobody\n\nhello\n")
    assert eudora.xmit("To: bob@example.test\nSubject: the next one\n\nhello\n").startswith("+OK")
    eudora.quit()
    arrived(ours, "the next one", "bob@example.test")


def test_eudora_and_a_full_mailbox(fresh):
    """Full among good ones: it waits in the queue with the reason, and goes in when there is room."""
    ours = fresh('courier.retry_first = "1s"\ncourier.retry_longest = "1s"')
    ours.send("Subject: filler\n\nhello\n", to="carol@example.test")
    ours.run("account", "set", "carol@example.test", "--quota", "100")
    eudora = Eudora(ours)
    assert eudora.xmit("To: bob@example.test, carol@example.test\nSubject: waits for room\n\n" + "y" * 700 + "\n").startswith("+OK")
    eudora.quit()
    arrived(ours, "waits for room", "bob@example.test")
    item = wait_until(lambda: [i for i in ours.run_json("queue", "list") if i["attempts"]], "a failed attempt")[0]
    assert item["recipient"] == "carol@example.test" and "full" in item["reply"], item
    ours.run("account", "set", "carol@example.test", "--quota", "1M")
    letter = arrived(ours, "waits for room", "carol@example.test")[0]
    assert letter.count(b"Return-Path:") == 1 and letter.rstrip().endswith(b"y" * 700)
    wait_until(lambda: ours.run_json("queue", "list") == [], "an empty queue")
    assert len(ours.messages("carol@example.test")) == 2


def test_eudora_a_closed_account_and_a_closed_list(fresh):
    ours = fresh()
    ours.run("account", "set", "carol@example.test", "--disable")
    eudora = Eudora(ours)
    ours.run("mailinglist", "add", "board@example.test", "--owner", "bob@example.test", "--posting", "owner")
    assert eudora.xmit("To: bob@example.test, carol@example.test, board@example.test\nSubject: one is closed\n\nhello\n").startswith("+OK")
    eudora.quit()
    wait_until(lambda: reports(ours).get("board@example.test") == "5.7.2", "the report about the list")
    wait_until(lambda: reports(ours).get("carol@example.test") == "5.2.1", "the report")
    arrived(ours, "one is closed", "bob@example.test")


def test_eudora_and_an_alias_with_a_closed_list(fresh):
    """Nobody is left out without a word: the alias is refused where its list refuses, and told of where others are good."""
    ours = fresh()
    ours.run("mailinglist", "add", "board@example.test", "--owner", "bob@example.test", "--posting", "owner")
    ours.run("alias", "add", "team@example.test", "carol@example.test", "board@example.test")
    with ours.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("someone@elsewhere.test")
        code, text = smtp.rcpt("team@example.test")
        assert code == 550 and text.startswith(b"5.7.2")
        smtp.rset()
        # A bounce is never a post, and goes to the others.
        smtp.mail("")
        assert smtp.rcpt("team@example.test")[0] == 250
    eudora = Eudora(ours)
    assert "may not post" in eudora.xmit("To: team@example.test\nSubject: to the team\n\nhello\n")
    assert eudora.xmit("To: team@example.test, bob@example.test\nSubject: to the team and bob\n\nhello\n").startswith("+OK")
    eudora.quit()
    wait_until(lambda: reports(ours).get("team@example.test") == "5.7.2", "the report")
    arrived(ours, "to the team and bob", "bob@example.test")
    assert ours.messages("carol@example.test") == []


def test_eudora_and_a_message_too_large_for_every_mailbox(fresh):
    """There was room when the recipients were looked up, but not for this one."""
    ours = fresh('courier.retry_first = "1s"\ncourier.retry_longest = "1s"')
    ours.run("alias", "add", "both@example.test", "bob@example.test", "carol@example.test")
    for name in ("bob", "carol"):
        ours.run("account", "set", f"{name}@example.test", "--quota", "500")
    eudora = Eudora(ours)
    assert eudora.xmit("To: both@example.test, bob@example.test\nSubject: large\n\n" + "y" * 700 + "\n").startswith("+OK")
    eudora.quit()
    item = wait_until(lambda: [i for i in ours.run_json("queue", "list") if i["attempts"]], "a failed attempt")[0]
    assert item["recipient"] == "both@example.test" and "full" in item["reply"], item
    assert len(ours.run_json("queue", "list")) == 1
    for name in ("bob", "carol"):
        ours.run("account", "set", f"{name}@example.test", "--quota", "1M")
    for name in ("bob", "carol"):
        assert len(arrived(ours, "large", f"{name}@example.test")) == 1
    wait_until(lambda: ours.run_json("queue", "list") == [], "an empty queue")


def test_eudora_while_intake_is_paused(fresh):
    """Everybody waits, and is asked for again afterwards: people here, at other sites, and nowhere."""
    ours = fresh('courier.retry_first = "1s"\ncourier.retry_longest = "1s"\nsubmission.daily_recipients = 1')
    ours.run("queue", "pause", "in")
    eudora = Eudora(ours)
    assert eudora.xmit("To: bob@example.test, far@example.org, nobody@example.test\nSubject: paused\n\nhello\n").startswith("+OK")
    assert eudora.xmit("To: too@example.org\nSubject: paused, too\n\nhello\n").startswith("+OK")
    eudora.quit()

    def tried_twice():
        items = ours.run_json("queue", "list")
        return items if all(i["attempts"] > 1 for i in items) else None

    items = wait_until(tried_twice, "two attempts of each")
    assert len(items) == 4 and all("takes no mail in just now" in i["reply"] and i["destination"] == "*local" for i in items), items
    assert ours.messages("bob@example.test") == [] and reports(ours) == {}
    ours.run("queue", "resume", "in")
    arrived(ours, "paused", "bob@example.test")
    wait_until(lambda: reports(ours).get("nobody@example.test") == "5.1.1", "the report")

    def on_their_way():
        items = ours.run_json("queue", "list")
        return items if [i["destination"] for i in items] == ["example.org"] * 2 else None

    # The limit of a day is kept: they are counted when it is known that they are elsewhere.
    items = wait_until(on_their_way, "two for the other site")
    assert len([i for i in items if i["next_at"] % 86400 == 0 and "limit" in i["reply"]]) == 1, items
    assert len(ours.messages("bob@example.test")) == 1


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_eudora_while_a_process_is_away(fresh, role):
    """It died, and the supervisor takes its time: the session waits."""
    ours = fresh()
    eudora = Eudora(ours)
    eudora._shortcmd("XTND XMIT")
    eudora.sock.sendall(b"To: bob@example.test\r\nSubject: while it was away\r\n\r\nhello\r\n")
    pid = next(pid for pid, words in ours.children().items() if role in words.split())
    ours.process.send_signal(signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        # A zombie has closed all that it had.
        wait_until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", "its end")
        eudora.sock.sendall(b".\r\n")
        eudora.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            eudora.sock.recv(1)
        eudora.sock.settimeout(PATIENCE)
    finally:
        ours.process.send_signal(signal.SIGCONT)
    assert eudora._getresp().startswith(b"+OK accepted")
    assert len(arrived(ours, "while it was away", "bob@example.test")) == 1


def test_eudora_past_the_limit_of_a_day(fresh):
    """What is too much today goes out tomorrow, and what is for people here goes at once."""
    ours = fresh('submission.daily_recipients = 1')
    eudora = Eudora(ours)
    assert re.fullmatch(r"\+OK accepted, [0-9a-f]+", eudora.xmit("To: one@example.org\nSubject: 1\n\nhello\n"))
    reply = eudora.xmit("To: two@example.org, bob@example.test\nSubject: 2\n\nhello\n")
    day = re.fullmatch(r"\+OK accepted, ([0-9a-f]+); your limit of recipients at other sites is used up, they get it on (\S+) \(UTC\)", reply)
    assert day, reply
    eudora.quit()
    arrived(ours, "2", "bob@example.test")
    due = int(datetime.datetime.fromisoformat(day[2] + "T00:00:00+00:00").timestamp())
    items = {i["recipient"]: i for i in ours.run_json("queue", "list")}
    assert items["two@example.org"]["next_at"] == due > time.time() and items["two@example.org"]["attempts"] == 0
    assert items["one@example.org"]["next_at"] < due
    # Submission keeps its refusal: its clients try again by themselves.
    with ours.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        smtp.mail("alice@example.test")
        code, text = smtp.rcpt("three@example.org")
        assert 450 <= code < 460, (code, text)
    # An administrator's word sends it now; the count stays.
    ours.run("queue", "retry", "two@example.org")
    wait_until(lambda: [i for i in ours.run_json("queue", "list") if i["recipient"] == "two@example.org" and i["attempts"]], "an attempt")


def test_a_sandbox_lets_no_mail_out(fresh):
    """No developer's machine sends mail by accident: it waits, and the queue says why."""
    ours = fresh()
    swaks(ours, "someone@example.org", "stays in the sandbox")
    item = wait_until(lambda: [i for i in ours.run_json("queue", "list") if i["attempts"]], "an attempt")[0]
    assert item["recipient"] == "someone@example.org" and "name servers do not answer" in item["reply"], item
    assert "name servers do not answer" in ours.run("queue", "list").stdout
