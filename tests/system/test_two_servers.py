"""Two servers that both ask a sender's own server before they take its mail (rule verify-sender): each asks the other about its people, and neither
asks back about the one who asks, so there is no circle."""
import re

import pytest

from conftest import wait_until

HERE, FAR = "here.test", "far.test"


@pytest.fixture
def pair(fresh, zones):
    ports = {}
    servers = {}
    dns = zones({HERE: "@ IN MX 10 mx\nmx IN A 127.0.0.1\n", FAR: "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})
    for domain in (HERE, FAR):
        servers[domain] = fresh(f'hostname = "mx.{domain}"\nauth.default_domain = "{domain}"\n{dns.settings()}\n'
                                'courier.private_networks = { "127.0.0.0/8" }')
        servers[domain].run("domain", "add", domain)
        servers[domain].run("account", "add", f"person@{domain}", "--password-stdin", text_input="a long password\n")
        ports[domain] = servers[domain].port(25)
    for domain, other in ((HERE, FAR), (FAR, HERE)):
        servers[domain].stop()
        servers[domain].configure(f"courier.port = {ports[other]}")
        servers[domain].start()
        servers[domain].run("rules", "set", "verify-sender=on", "--site")
    return servers[HERE], servers[FAR]


def asked(server):
    return re.findall(r"call-back sender=(\S+) at=(\S+) verdict=(\S+)", server.log())


def asked_by_now(server, count):
    """A record may be written a moment after the reply that it is about."""
    wait_until(lambda: len(asked(server)) >= count, f"{count} call-back(s)")
    return asked(server)


def replies(server, sender, recipient):
    with server.smtp() as smtp:
        smtp.ehlo("x.test")
        assert smtp.mail(sender)[0] == 250
        return smtp.rcpt(recipient)


def test_no_circle(pair):
    here, far = pair
    code, text = replies(here, f"person@{FAR}", f"person@{HERE}")
    assert code == 250, (text, here.log(), far.log())
    assert asked_by_now(here, 1) == [(f"person@{FAR}", "domain", "takes")]
    # The other server was asked in the name of postmaster, about whom nobody asks.
    assert asked(far) == []
    code, text = replies(far, f"person@{HERE}", f"person@{FAR}")
    assert code == 250 and asked_by_now(far, 1) == [(f"person@{HERE}", "domain", "takes")] and len(asked(here)) == 1


def test_nobody_of_that_name_there(pair):
    here, far = pair
    code, text = replies(here, f"nobody@{FAR}", f"person@{HERE}")
    assert code == 550 and b"takes no mail for" in text and b"5.1.1" in text, text
    assert asked_by_now(here, 1) == [(f"nobody@{FAR}", "domain", "refuses")] and asked(far) == []
    # postmaster, <> and people of one's own are not asked about.
    for sender in (f"postmaster@{FAR}", ""):
        assert replies(here, sender, f"person@{HERE}")[0] == 250
    assert len(asked(here)) == 1


def test_a_server_that_is_down(pair):
    here, far = pair
    far.stop()
    code, text = replies(here, f"person@{FAR}", f"person@{HERE}")
    assert code == 451, text
    assert asked_by_now(here, 1)[0][2] == "unknown"
