"""Sites share what they know: one exports its own black list as a zone, a name server serves it, another site asks there."""
import smtplib
import socket

import pytest

from conftest import PATIENCE, wait_until


def has_ipv6_loopback():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class Client(smtplib.SMTP):
    """Comes from ::1: an IPv4 loopback address is never exported, since a DNS list's test entries are there."""

    def __init__(self, port):
        super().__init__("::1", port, timeout=PATIENCE)

    def rcpt_to(self, recipient):
        self.ehlo("client.test")
        self.mail("someone@elsewhere.test")
        return self.rcpt(recipient)


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 loopback")
def test_what_one_site_lists_another_refuses(fresh, zones):
    first = fresh()
    first.run("blacklist", "add", "::1", "--reason", "seen in a test")
    first.run("blacklist", "add", "203.0.113.0/24", "--reason", "a network")
    text = first.run("blacklist", "export", "--zone", "shared.test").stdout
    dns = zones({"shared.test": ""})
    (dns.directory / "shared.test.zone").write_text(text)
    dns.start()
    second = fresh(f'{dns.settings()}\ndns_lists = {{ {{ zone = "shared.test" }} }}\n'
                   f'listeners[#listeners + 1] = {{ service = "smtp", address = "::1", port = base + 25 }}')
    wait_until(lambda: "shared.test" in second.log(), "the list's self-test")
    with Client(second.port(25)) as client:
        code, said = client.rcpt_to("alice@example.test")
        assert code == 554 and b"5.7.1" in said and b"shared.test" in said and b"seen in a test" in said, (code, said)
        assert client.rcpt_to("postmaster@example.test")[0] in (250, 503)  # postmaster hears from everybody
    with second.smtp() as client:
        assert not client.sendmail("someone@elsewhere.test", ["alice@example.test"], "Subject: from 127.0.0.1\n\ntext\n")
    first.run("blacklist", "remove", "::1")
    (dns.directory / "shared.test.zone").write_text(first.run("blacklist", "export", "--zone", "shared.test").stdout)
    dns.start()
    second.stop()
    second.start()
    with Client(second.port(25)) as client:
        assert client.rcpt_to("alice@example.test")[0] == 250
