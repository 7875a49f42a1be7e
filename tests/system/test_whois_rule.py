"""The rule whois in a whole server: the courier asks from inside its sandbox, once for a network; what can't be asked refuses nobody."""
import pytest

from conftest import wait_until
from ports import free_port
from whois_server import IANA, RIPE, WhoisServer


@pytest.fixture
def registry():
    ripe = WhoisServer(RIPE.format(range="127.0.0.0 - 127.0.0.255", name="LOOP-NET", country="nl", route="127.0.0.0/24", origin="AS64496"))
    iana = WhoisServer(IANA.format(refer=ripe.name(), block="127.0.0.0 - 127.255.255.255"))
    yield iana, ripe
    iana.close()
    ripe.close()


def reply(server, recipient):
    with server.smtp() as smtp:
        smtp.ehlo("x.test")
        assert smtp.mail("someone@elsewhere.test")[0] == 250
        return smtp.rcpt(recipient)


def asks(fresh, port):
    return fresh(f'courier.private_networks = {{ "127.0.0.0/8" }}\nwhois.servers = {{ "127.0.0.1@{port}" }}\nsmtp.check_sender = false')


def test_country_and_network(fresh, registry):
    iana, ripe = registry
    server = asks(fresh, iana.port)
    server.run("rules", "set", "alice@example.test", "whois=on", "whois.countries=NL")
    server.run("rules", "set", "bob@example.test", "whois=on", "whois.countries=DE", "whois.networks=other-net")
    code, text = reply(server, "alice@example.test")
    assert code == 550 and b"NL" in text, text
    assert reply(server, "bob@example.test")[0] == 250
    assert reply(server, "carol@example.test")[0] == 250
    assert len(iana.questions) == len(ripe.questions) == 1
    server.run("rules", "set", "bob@example.test", "whois.networks=loop-net")
    # A door is remembered for a second.
    text = wait_until(lambda: [t for code, t in [reply(server, "bob@example.test")] if code == 550], "the refusal by the network's name")
    assert b"LOOP-NET" in text[0].upper() and len(ripe.questions) == 1, text


def test_whois_that_does_not_answer(fresh):
    server = asks(fresh, free_port())
    server.run("rules", "set", "alice@example.test", "whois=on", "whois.countries=NL")
    assert reply(server, "alice@example.test")[0] == 250
