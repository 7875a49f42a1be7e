"""Passcodes that our members, or the site, have for addresses elsewhere: said behind RCPT TO at the recipient's own server, nowhere else."""
import pytest

from conftest import unverified, wait_until
from test_courier import is_empty, reports, sends_to, submit


def sent_from(server, member, recipients):
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login(member, "sandbox")
        assert not smtp.sendmail(member, recipients, f"Subject: of {member}\r\n\r\nx\r\n")


def keep_code(server, code, *words):
    server.run("code-for", *words, "--code-stdin", text_input=f"{code}\n")


def recipients(peer):
    return sorted(line[len("RCPT TO:"):] for line in peer.lines if line.startswith("RCPT"))


@pytest.fixture
def codes(fresh, peer, zones):
    far = peer()
    dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})

    def make(settings="", site=True):
        settings = settings or f'hostname = "out.test"\ncourier.port = {far.port}'
        near = fresh(f"{settings.strip()}\n{dns.settings()}")
        keep_code(near, "471100", "alice@example.test", "carol@far.test")
        if site:
            keep_code(near, "081500", "dave@far.test", "--site")
        return near, far

    return make


def test_said_for_whom_they_are(codes):
    near, far = codes()
    submit(near, ["carol@far.test", "dave@far.test", "erin@far.test"])
    wait_until(lambda: len(far.messages) == 1, "the message")
    assert recipients(far) == ["<carol@far.test> 471100", "<dave@far.test> 081500", "<erin@far.test>"]
    # Another member has the site's, not alice's.
    far.lines.clear()
    sent_from(near, "bob@example.test", ["carol@far.test", "dave@far.test"])
    wait_until(lambda: len(far.messages) == 2, "bob's message")
    assert recipients(far) == ["<carol@far.test>", "<dave@far.test> 081500"]
    is_empty(near)
    assert "471100" not in near.log() and "081500" not in near.log()


def test_a_members_own_where_the_site_has_none(codes):
    near, far = codes(site=False)
    submit(near, ["carol@far.test", "dave@far.test"])
    wait_until(lambda: len(far.messages) == 1, "the message")
    assert recipients(far) == ["<carol@far.test> 471100", "<dave@far.test>"]
    # What was not there for one message is for the next.
    far.lines.clear()
    sent_from(near, "bob@example.test", ["carol@far.test"])
    wait_until(lambda: len(far.messages) == 2, "bob's message")
    assert recipients(far) == ["<carol@far.test>"]
    far.lines.clear()
    keep_code(near, "2222", "bob@example.test", "carol@far.test")
    sent_from(near, "bob@example.test", ["carol@far.test"])
    wait_until(lambda: len(far.messages) == 3, "bob's second message")
    assert recipients(far) == ["<carol@far.test> 2222"]


def test_not_told_to_a_smart_host(codes, peer):
    smart = peer()
    near, _ = codes(sends_to(smart.port))
    submit(near, ["carol@far.test", "dave@far.test"])
    wait_until(lambda: len(smart.messages) == 1, "the message")
    assert recipients(smart) == ["<carol@far.test>", "<dave@far.test>"]


def test_it_opens_another_servers_door(fresh, zones):
    """The other server is one of ours, with the rule passcode: without the code its door stays shut, and the sender is told."""
    far, dns = fresh(), zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})
    far.run("domain", "add", "far.test")
    far.run("account", "add", "carol@far.test", "--password-stdin", text_input="a far password\n")
    far.run("passcode", "add", "carol@far.test", "Alice", "--code-stdin", text_input="471100\n")
    far.run("rules", "set", "carol@far.test", "passcode=on")
    near = fresh(f'hostname = "out.test"\ncourier.port = {far.port(25)}\n{dns.settings()}')
    submit(near, ["carol@far.test"], "Subject: without\r\n\r\nx\r\n")
    (_, fields), = reports(near)
    assert fields[1]["Final-Recipient"] == "rfc822; carol@far.test" and fields[1]["Action"] == "failed"
    keep_code(near, "471100", "alice@example.test", "carol@far.test")
    submit(near, ["carol@far.test"], "Subject: with\r\n\r\nx\r\n")
    wait_until(lambda: far.messages("carol@far.test", "a far password"), "the message behind the door")
    texts = far.messages("carol@far.test", "a far password")
    assert len(texts) == 1 and b"Subject: with\n" in texts[0]
    assert "471100" not in near.log() and "471100" not in far.log()
