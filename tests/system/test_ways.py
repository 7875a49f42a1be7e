"""Which way mail takes: aliases in the DNS, IPv6 and IPv4, and the address it is sent from."""
import pytest

from conftest import wait_until
from nameserver import Silent
from scripted_server import Peer
from test_courier import HOST, is_empty, queue, reports, submit


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


# What the DNS says of a domain's way: name: (records, what becomes of its mail).
DELIVERED, FAILED, DEFERRED = "delivered", "failed", "deferred"
DEAD_ENDS = {
    # A name that is not there is said by who has to know: that is for good, and it may be a typing mistake.
    "mx-to-nothing": ("IN MX 10 nothing", FAILED),
    "mx-to-alias-of-nothing": ("IN MX 10 gone", FAILED),
    "alias-of-null": ("IN CNAME null", FAILED),
    "null": ("IN MX 0 .", FAILED),
    # What may be trouble is not for good.
    "alias-of-itself": ("IN CNAME alias-of-itself", DEFERRED),
    "round": ("IN CNAME and-round", DEFERRED),
    "and-round": ("IN CNAME round", DEFERRED),
    "mx-round": ("IN MX 10 round", DEFERRED),
    "mx-to-broken": ("IN MX 10 mx.broken.test.", DEFERRED),
    "alias-of-broken": ("IN CNAME broken.test.", DEFERRED),
    "broken-and-nothing": ("IN MX 10 mx.broken.test.\nbroken-and-nothing IN MX 20 nothing", DEFERRED),
    "alias-of-silent": ("IN CNAME silent.test.", DEFERRED),
    # One way that is left is enough.
    "broken-and-good": ("IN MX 10 mx.broken.test.\nbroken-and-good IN MX 20 mx", DELIVERED),
    "nothing-and-good": ("IN MX 10 nothing\nnothing-and-good IN MX 20 mx", DELIVERED),
    "round-and-good": ("IN MX 10 round\nround-and-good IN MX 20 mx", DELIVERED),
    "null-and-good": ("IN MX 0 .\nnull-and-good IN MX 10 mx", DELIVERED),  # no null MX: RFC 7505 section 3
    "chain": ("IN CNAME chain2\nchain2 IN CNAME chain3\nchain3 IN CNAME chain4\nchain4 IN MX 10 host", DELIVERED),
}


def test_dead_ends(fresh, zones, peer):
    """RFC 5321 section 5.1: trouble is deferred, what is known not to be there is not."""
    there = peer()
    records = "".join(f"{name} {text}\n" for name, (text, _) in DEAD_ENDS.items())
    dns = zones({"far.test": f"mx IN A 127.0.0.1\nhost IN CNAME mx\ngone IN CNAME nothing\n{records}", "broken.test": None})
    silent = Silent()
    try:
        dns.add_other("silent.test", silent.port)
        near = fresh(f"{HOST}courier.port = {there.port}\ndns.timeout = 2\n{dns.settings()}")
        submit(near, [f"x@{name}.far.test" for name in DEAD_ENDS])

        def outcomes():
            delivered = {r for m in there.messages for r in m[1]}
            failed = {fields[1]["Final-Recipient"] for _, fields in reports(near)}
            deferred = {e["recipient"] for e in queue(near) if e["attempts"]}
            is_found = {name: [what for what, where in ((DELIVERED, f"<x@{name}.far.test>" in delivered),
                                                        (FAILED, f"rfc822; x@{name}.far.test" in failed),
                                                        (DEFERRED, f"x@{name}.far.test" in deferred)) if where] for name in DEAD_ENDS}
            return is_found if all(is_found.values()) else None

        found = wait_until(outcomes, "an outcome for each")
        wrong = {name: what for name, what in found.items() if what != [DEAD_ENDS[name][1]]}
        assert wrong == {}, near.log()
        status = {f["Final-Recipient"].split("@")[1]: f["Status"] for _, (_, f) in reports(near)}
        assert status["null.far.test"] == status["alias-of-null.far.test"] == "5.1.10" and status["mx-to-nothing.far.test"] == "5.1.2"
    finally:
        silent.close()


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


def test_the_address_to_send_from_by_ipv6(fresh, zones, two_families):
    dns = zones({"both.test": "@ IN MX 10 mx\nmx IN AAAA ::1\nmx IN A 127.0.0.1\n"})
    four, six = two_families()
    settings = f'{HOST}courier.port = {four.port}\ncourier.ipv4_address = "127.0.0.9"\n{dns.settings()}\n'
    near = fresh(f'{settings}courier.ipv6_address = "::1"')
    submit(near, ["bob@both.test"])
    is_empty(near)
    assert (six.clients, four.clients) == (["::1"], [])
    # One that this machine has not: it would be left from any other if the setting did not count.
    near.stop()
    near.configure('courier.ipv6_address = "2001:db8::25"')
    near.start()
    submit(near, ["bob@both.test"])
    is_empty(near)
    assert (six.clients, four.clients) == (["::1"], ["127.0.0.9"])
    assert "Cannot assign requested address" in near.log() and "deferred" not in near.log()
