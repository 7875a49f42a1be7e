"""Which way mail takes: aliases in the DNS, IPv6 and IPv4, and the address it is sent from."""
import pytest

from scripted_server import Peer
from test_courier import HOST, is_empty, reports, submit


@pytest.fixture
def two_families():
    """The same port of 127.0.0.1 and of ::1."""
    made = []

    def make(**options):
        four = Peer()
        made.append(four)
        made.append(Peer(port=four.port, host="::1", **options))
        return made

    yield make
    for p in made:
        p.close()


def test_cname(fresh, zones, peer):
    """RFC 5321 section 5.1: the alias's MX hosts are those of the name it stands for; the address stays as it is."""
    there = peer()
    dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\nalias IN CNAME far.test.\nhost IN CNAME mx\nodd IN MX 10 host\n"
                             "gone IN CNAME nothing\nloose IN CNAME txt\ntxt IN TXT a\n"})
    near = fresh(f"{HOST}courier.port = {there.port}\n{dns.settings()}")
    good = ["a@alias.far.test", "b@host.far.test", "c@odd.far.test"]
    submit(near, good + ["d@gone.far.test", "e@loose.far.test"])
    found = [fields[1] for _, fields in reports(near, 2)]
    assert sorted(f["Final-Recipient"] for f in found) == ["rfc822; d@gone.far.test", "rfc822; e@loose.far.test"]
    assert all(f["Action"] == "failed" and f["Status"] in ("5.1.2", "5.4.4") for f in found), found
    is_empty(near)
    assert sorted(r.split(">")[0].lstrip("<") for m in there.messages for r in m[1]) == good


def test_ipv6_alone(fresh, zones, peer):
    there = peer(host="::1")
    dns = zones({"six.test": "@ IN MX 10 mx\nmx IN AAAA ::1\n"})
    near = fresh(f"{HOST}courier.port = {there.port}\n{dns.settings()}")
    submit(near, ["bob@six.test"])
    is_empty(near)
    assert len(there.messages) == 1 and set(there.clients) == {"::1"}


def test_ipv6_to_a_second_server(fresh, zones):
    far, dns = fresh(), zones({"far.test": "@ IN AAAA ::1\n"})
    far.run("domain", "add", "far.test")
    far.run("alias", "add", "carol@far.test", "carol@example.test")
    port = far.port(25)
    far.stop()
    text = far.config.read_text()
    far.config.write_text(text.replace("listeners = {", f'listeners = {{ {{ service = "smtp", address = "::1", port = {port} }},', 1))
    assert far.config.read_text() != text
    far.start()
    near = fresh(f"{HOST}courier.port = {port}\n{dns.settings()}")
    submit(near, ["carol@far.test"])
    is_empty(near)
    message, = far.messages("carol@example.test")
    assert b"[IPv6:::1]" in message and b"Hello" in message


def test_ipv6_is_tried_first_and_ipv4_when_it_is_down(fresh, zones, two_families):
    dns = zones({"both.test": "@ IN MX 10 mx\nmx IN AAAA ::1\nmx IN A 127.0.0.1\n"})
    four, six = two_families()
    near = fresh(f"{HOST}courier.port = {four.port}\n{dns.settings()}")
    submit(near, ["bob@both.test"])
    is_empty(near)
    assert len(six.messages) == 1 and not four.messages
    six.close()
    near.stop()  # so that no connection of before serves
    near.start()
    submit(near, ["bob@both.test"])
    is_empty(near)
    assert len(four.messages) == 1


@pytest.mark.parametrize("family, taker", [("ipv4", 0), ("ipv6", 1)])
def test_one_family_alone(fresh, zones, two_families, family, taker):
    dns = zones({"both.test": "@ IN MX 10 mx\nmx IN AAAA ::1\nmx IN A 127.0.0.1\n"})
    peers = two_families()
    near = fresh(f'{HOST}courier.port = {peers[0].port}\ncourier.families = "{family}"\n{dns.settings()}')
    submit(near, ["bob@both.test"])
    is_empty(near)
    assert [len(p.messages) for p in peers] == [1 - taker, taker]


def test_the_address_to_send_from(fresh, zones, peer):
    there = peer()
    dns = zones({"far.test": "@ IN A 127.0.0.1\n"})
    near = fresh(f'{HOST}courier.port = {there.port}\ncourier.ipv4_address = "127.0.0.9"\n{dns.settings()}')
    submit(near, ["bob@far.test"])
    is_empty(near)
    assert there.clients == ["127.0.0.9"]
