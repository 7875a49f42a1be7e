"""Fixtures of the system tests: servers of sandbox.py that end with the test."""
import pytest

import nameserver
from dovecot import Dovecot
from remote_mail import settings
from sandbox import FAULT, OSTIARY, PATIENCE, Raw, Server, is_gone, unverified, wait_until, with_setting
from scripted_server import Peer

# The tests have them from here.
__all__ = ["FAULT", "OSTIARY", "PATIENCE", "Raw", "Server", "is_gone", "unverified", "wait_until", "with_setting"]


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.close()


@pytest.fixture
def fresh():
    """A server for this test alone; call it with Lua settings."""
    made = []

    def make(*arguments, **options):
        made.append(Server(*arguments, **options))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.fixture
def zones():
    """A DNS server for this test: zones({"example.test": "@ IN MX 10 mx\\nmx IN A 127.0.0.1"}) gives one of nameserver.py."""
    made = []

    def make(*arguments, **options):
        made.append(nameserver.Zones(*arguments, **options))
        return made[-1]

    yield make
    for z in made:
        z.close()


@pytest.fixture
def peer():
    """Scripted servers for this test: peer(answers) gives one."""
    made = []

    def make(*arguments, **options):
        made.append(Peer(*arguments, **options))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture
def provider():
    """Dovecots for this test: provider(...) gives one."""
    dovecots = []

    def make(**words):
        dovecots.append(Dovecot(**words))
        return dovecots[-1]
    yield make
    for dovecot in dovecots:
        dovecot.close()


@pytest.fixture
def serve():
    """Servers that may fetch from a Dovecot, for this test."""
    servers = []

    def make(dovecot, more="", **options):
        servers.append(Server(settings(dovecot) + "\n" + more, **options))
        return servers[-1]
    yield make
    for server in servers:
        server.close()
