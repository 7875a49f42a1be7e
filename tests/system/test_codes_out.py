"""Passcodes that our members, or the site, have for addresses elsewhere: said behind RCPT TO at the recipient's own server, nowhere else."""
import pytest

from conftest import unverified, wait_until
from test_courier import is_empty, sends_to, submit


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

    def make(settings=""):
        settings = settings or f'hostname = "out.test"\ncourier.port = {far.port}'
        near = fresh(f"{settings.strip()}\n{dns.settings()}")
        keep_code(near, "471100", "alice@example.test", "carol@far.test")
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


def test_not_told_to_a_smart_host(codes, peer):
    smart = peer()
    near, _ = codes(sends_to(smart.port))
    submit(near, ["carol@far.test", "dave@far.test"])
    wait_until(lambda: len(smart.messages) == 1, "the message")
    assert recipients(smart) == ["<carol@far.test>", "<dave@far.test>"]
