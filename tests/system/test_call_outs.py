"""The courier's call-backs and WHOIS (src/deliver/call_back.h, whois.h), as the program courier_ask, against real servers: NSD, SMTP
peers, WHOIS servers."""
import json
import os
import pathlib
import socket
import subprocess

import pytest

import whois_server
from conftest import OSTIARY, PATIENCE
from ports import free_port
from whois_server import IANA, RIPE, WhoisServer

COURIER_ASK = os.environ.get("OSTIARY_COURIER_ASK", str(pathlib.Path(OSTIARY).resolve().parent.parent / "tests/system/courier_ask"))
LOOPBACK = 'courier.private_networks = { "127.0.0.0/8" }'


class Courier:
    def __init__(self, directory, settings):
        tables, top = {}, []
        for line in ("data_directory = \"/nonexistent\"", "hostname = \"mail.ours.test\"", "auth.default_domain = \"ours.test\"",
                     "dns.dnssec = false", "log.target = \"stderr\"", "log.level = \"all\"", *settings.splitlines()):
            name, value = (part.strip() for part in line.split("=", 1))
            section, _, key = name.rpartition(".")
            if section:
                tables.setdefault(section, {})[key] = value
            else:
                top.append(line)
        config = directory / "ostiary.conf"
        config.write_text("\n".join(top) + "\n" + "".join(
            f"{section} = {{ {', '.join(f'{k} = {v}' for k, v in keys.items())} }}\n" for section, keys in tables.items()))
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([COURIER_ASK, config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def ask(self, *questions):
        """The answers, in order; all are asked at the same time."""
        self.process.stdin.write("\n".join(questions) + "\n\n")
        self.process.stdin.flush()
        lines = [self.process.stdout.readline() for _ in questions]
        assert all(lines), self.log.read_text()
        return [json.loads(line) for line in lines]

    def verdict(self, sender, ip=""):
        answer = self.ask(f"call-back {sender} {ip}".strip())[0]
        return answer["verdict"], answer["reply"]

    def whois(self, ip):
        return self.ask(f"whois {ip}")[0]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()


@pytest.fixture
def courier(tmp_path):
    made = []

    def make(settings):
        made.append(Courier(tmp_path, settings))
        return made[-1]

    yield make
    for c in made:
        c.close()


@pytest.fixture
def whois():
    made = []

    def make(*arguments, **options):
        made.append(WhoisServer(*arguments, **options))
        return made[-1]

    yield make
    for s in made:
        s.close()


# ---- Call-backs ----

ANSWERS = {"RCPT TO:<no@": "550 5.1.1 no such user", "RCPT TO:<later@": "451 4.7.1 greylisted", "RCPT TO:<tls@": "530 5.7.0 STARTTLS first",
           "RCPT TO:<parameter@": "555 5.5.4 what is that"}


@pytest.fixture
def asking(courier, zones, peer):
    """A server of far.test that answers by ANSWERS, and a courier that finds it."""
    far = peer(ANSWERS)
    dns = zones({"test": "far IN MX 10 mx.far\nmx.far IN A 127.0.0.1\nnull IN MX 0 .\nbare IN A 127.0.0.1\n"
                         "loop IN MX 5 mail.ours.test.\nnohost IN MX 5 nothing.test.\nprivate IN MX 5 inner\ninner IN A 10.0.0.1\n"
                         "dead IN MX 5 port.dead\nport.dead IN A 127.0.0.77\n"
                         "two IN MX 5 port.dead\ntwo IN MX 10 mx.far"})
    dns.add_other("silent.test", free_port())

    def make(settings=LOOPBACK):
        return courier(f"{dns.settings()}\ndns.timeout = 2\ncourier.port = {far.port}\n{settings}"), far

    return make


@pytest.mark.parametrize("sender,verdict,reply", [
    ("yes@far.test", "takes", "250 2.1.5 ok"),
    ("no@far.test", "refuses", "550 5.1.1 no such user"),
    ("later@far.test", "unknown", "451 4.7.1 greylisted"),
    ("tls@far.test", "unknown", "530 5.7.0 STARTTLS first"),
    ("parameter@far.test", "unknown", "555 5.5.4 what is that"),
    ("yes@bare.test", "takes", "250 2.1.5 ok"),
    ("yes@two.test", "takes", "250 2.1.5 ok"),  # the better host is dead
    ("x@null.test", "refuses", None),
    ("x@no-such-domain.test", "refuses", None),
    ("x@nohost.test", "refuses", None),
    ("x@silent.test", "unknown", None),
    ("x@dead.test", "unknown", None),
    ("x@loop.test", "unknown", None),
    ("x@[127.0.0.1]", "takes", "250 2.1.5 ok"),
])
def test_verdicts(asking, sender, verdict, reply):
    ours, far = asking()
    said = ours.verdict(sender)
    assert said[0] == verdict and (said[1] == reply if reply else said[1]), (said, ours.log.read_text())
    if reply:
        assert far.lines[0] == "EHLO mail.ours.test" and far.lines[1].startswith("MAIL FROM:<postmaster@ours.test>")
        assert far.lines[2].startswith(f"RCPT TO:<{sender}>") and far.lines[3] == "QUIT", far.lines


def test_who_is_not_asked_about(asking):
    ours, far = asking()
    for sender, ip in (("postmaster@far.test", ""), ("PostMaster@far.test", "127.0.0.1"), ("somebody@ours.test", ""), ("x@private.test", ""),
                       ("no-domain", ""), ("yes@far.test", "10.0.0.1"), ("yes@far.test", "::1"), ("yes@far.test", "169.254.1.1")):
        assert ours.verdict(sender, ip) == ("unset", ""), (sender, ip)
    assert far.sessions == 0


def test_loopback_is_not_asked_without_the_setting(asking):
    ours, far = asking("")
    assert ours.verdict("yes@far.test") == ("unset", "")
    assert ours.verdict("yes@far.test", "127.0.0.1") == ("unset", "")
    assert far.sessions == 0


def test_at_the_clients_own_address(asking):
    ours, far = asking()
    assert ours.verdict("no@far.test", "127.0.0.1") == ("refuses", "550 5.1.1 no such user")
    assert ours.verdict("no@null.test", "127.0.0.1") == ("refuses", "550 5.1.1 no such user")  # whatever its domain says
    assert ours.verdict("yes@far.test", "127.0.0.88")[0] == "unknown"
    assert far.sessions == 2


def test_an_address_of_our_own_is_not_asked(courier, peer, zones):
    far, dns = peer(), zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
    ours = courier(f'{dns.settings()}\n{LOOPBACK}\ncourier.port = {far.port}\n'
                   f'listeners = {{ {{ service = "smtp", address = "127.0.0.1", port = {far.port} }} }}')
    assert ours.verdict("yes@far.test", "127.0.0.1") == ("unset", "")
    assert ours.verdict("yes@far.test")[0] == "unknown"  # its domain leads to us, and is none of ours
    # Found out only by connecting: we listen everywhere, and both ends are the same address.
    ours = courier(f'{dns.settings()}\n{LOOPBACK}\ncourier.port = {far.port}\n'
                   f'listeners = {{ {{ service = "smtp", address = "127.0.0.9", port = {far.port} }} }}')
    assert ours.verdict("yes@far.test", "127.0.0.1") == ("unset", "")
    assert far.lines == []


def test_remembered_and_asked_once(asking):
    ours, far = asking()
    assert {a["verdict"] for a in ours.ask(*["call-back yes@far.test"] * 20)} == {"takes"}
    assert far.sessions == 1
    assert ours.verdict("yes@FAR.test")[0] == "takes" and far.sessions == 1
    assert ours.verdict("later@far.test")[0] == "unknown" and ours.verdict("later@far.test")[0] == "unknown" and far.sessions == 2


def test_not_remembered_where_the_settings_say_so(asking):
    ours, far = asking(f"{LOOPBACK}\ncall_back.bad = 0")
    for _ in range(3):
        assert ours.verdict("no@far.test")[0] == "refuses"
    assert far.sessions == 3


def test_limited_by_host(asking):
    ours, far = asking(f"{LOOPBACK}\ncall_back.per_host = 3")
    verdicts = [a["verdict"] for a in ours.ask(*[f"call-back u{i}@far.test" for i in range(10)])]
    assert verdicts.count("takes") == 3 and verdicts.count("unknown") == 7 and far.sessions == 3
    # What was not asked is not remembered: of other hosts it may be asked.
    assert ours.verdict("u9@far.test", "127.0.0.1")[0] == "unknown" and far.sessions == 3


@pytest.mark.parametrize("greeting,answers", [("554 5.7.1 go away", {}), ("421 busy", {}), ("220 peer.test", {"MAIL": "550 5.7.1 not from you"}),
                                              ("220 peer.test", {"MAIL": "451 4.3.0 later"})])
def test_refusals_that_say_nothing_about_the_recipient(courier, zones, peer, greeting, answers):
    far = peer(answers, greeting=greeting)
    dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
    ours = courier(f"{dns.settings()}\n{LOOPBACK}\ncourier.port = {far.port}")
    assert ours.verdict("yes@far.test")[0] == "unknown"


def test_silent_server(courier, zones):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
        ours = courier(f"{dns.settings()}\n{LOOPBACK}\ncourier.port = {listener.getsockname()[1]}\ncall_back.timeout = 1")
        assert ours.verdict("yes@far.test")[0] == "unknown"


def test_a_server_that_says_it_in_many_lines(courier, zones, peer):
    far = peer({"RCPT": "550-5.1.1 no\r\n550-5.1.1 \x1b[31msuch\r\n550 5.1.1 " + "x" * 900})
    dns = zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1"})
    ours = courier(f"{dns.settings()}\n{LOOPBACK}\ncourier.port = {far.port}")
    verdict, reply = ours.verdict("yes@far.test")
    assert verdict == "refuses" and reply.startswith("550 5.1.1 no ?[31msuch xxx") and len(reply) < 600


# ---- WHOIS ----

NET = RIPE.format(range="192.0.2.0 - 192.0.2.255", name="EXAMPLE-NET", country="nl", route="192.0.2.0/24", origin="AS64496")


def iana(refer):
    return IANA.format(refer=refer, block="192.0.0.0 - 192.255.255.255")


def settings(*servers, more=""):
    words = ", ".join(f'"127.0.0.1@{s.port}"' for s in servers)
    return f"{LOOPBACK}\nwhois.servers = {{ {words} }}\nwhois.timeout = 4\n{more}"


def test_referral_and_facts(courier, whois):
    ripe = whois(NET)
    first = whois(iana(ripe.name()))
    ours = courier(settings(first))
    answer = ours.whois("192.0.2.7")
    text = answer.pop("text")
    assert answer == {"status": "found", "country": "NL", "registry": "RIPE", "network": "EXAMPLE-NET", "as": "AS64496",
                      "servers": f"127.0.0.1:{first.port} 127.0.0.1:{ripe.port}"}
    assert "RIPE NCC" in text and "netname:        EXAMPLE-NET\n" in text and "\r" not in text
    assert first.questions == ripe.questions == ["192.0.2.7"]
    # The whole network is known now; a neighbour is not.
    assert ours.whois("192.0.2.200")["network"] == "EXAMPLE-NET" and len(ripe.questions) == 1
    ours.whois("192.0.3.1")
    assert ripe.questions == ["192.0.2.7", "192.0.3.1"]


def test_asked_once(courier, whois):
    first = whois(NET)
    ours = courier(settings(first))
    assert {a["country"] for a in ours.ask(*["whois 192.0.2.7"] * 20)} == {"NL"}
    assert len(first.questions) == 1


def test_loops_and_long_ways_end(courier, whois):
    itself = []
    loop = whois(lambda question, out, ended: out.write(f"refer: {itself[0].name()}\n".encode()))
    itself.append(loop)
    ours = courier(settings(loop))
    assert ours.whois("192.0.2.7")["status"] == "nothing" and len(loop.questions) == 1
    chain = []
    for i in range(8):
        chain.append(whois(NET + (f"ReferralServer: whois://{chain[-1].name()}/\n" if chain else "")))
    ours = courier(settings(chain[-1]))
    answer = ours.whois("192.0.2.7")
    assert answer["status"] == "found" and len(answer["servers"].split()) == 5
    assert [len(s.questions) for s in reversed(chain)] == [1] * 5 + [0] * 3


def test_a_pair_that_refers_to_each_other(courier, whois):
    pair = []
    for i in range(2):
        pair.append(whois(lambda question, out, ended, i=i: out.write((NET + f"refer: {pair[1 - i].name()}\n").encode())))
    ours = courier(settings(pair[0]))
    assert ours.whois("192.0.2.7")["status"] == "found"
    assert [len(s.questions) for s in pair] == [1, 1]


def test_rwhois_and_private_servers_are_not_followed(courier, whois):
    first = whois(NET + "ReferralServer: rwhois://127.0.0.1:4321\n")
    assert courier(settings(first)).whois("192.0.2.7")["status"] == "found"
    other = whois(NET)
    first = whois(iana(other.name()))
    ours = courier(settings(first, more='courier.private_networks = {}'))
    assert ours.whois("192.0.2.7")["status"] == "trouble" and not other.questions


@pytest.mark.parametrize("bad", [whois_server.silent, whois_server.dripping])
def test_servers_that_take_for_ever(courier, whois, bad):
    slow, good = whois(bad), whois(NET)
    ours = courier(settings(slow, good))
    assert ours.whois("192.0.2.7")["country"] == "NL"
    ours = courier(settings(whois(iana(slow.name()))))
    assert ours.whois("192.0.2.7")["status"] == "trouble"


def test_dead_servers(courier, whois):
    good = whois(NET)
    ours = courier(f'{LOOPBACK}\nwhois.servers = {{ "127.0.0.1@{free_port()}", "127.0.0.1@{good.port}" }}')
    assert ours.whois("192.0.2.7")["country"] == "NL"
    ours = courier(f'{LOOPBACK}\nwhois.servers = {{ "127.0.0.1@{free_port()}" }}')
    assert ours.whois("192.0.2.7")["status"] == "trouble"


def test_endless_and_binary_answers(courier, whois):
    ours = courier(settings(whois(whois_server.endless)))
    answer = ours.whois("192.0.2.7")
    assert answer["status"] == "found" and answer["country"] == "NL" and 60000 < len(answer["text"].encode()) <= 65536
    ours = courier(settings(whois(bytes(range(256)) * 400)))
    answer = ours.whois("192.0.2.7")
    assert answer["status"] == "nothing" and len(answer["text"].encode()) <= 65536
    assert not any(ord(c) < 32 and c not in "\n\t" for c in answer["text"])
    ours = courier(settings(whois("inetnum: 192.0.2.0/24\nnetname: M\u00dcNCHEN\n".encode("latin-1"))))
    assert ours.whois("192.0.2.7")["network"] == "M\u00dcNCHEN"


def test_private_addresses_are_not_asked_about(courier, whois):
    first = whois(NET)
    ours = courier(settings(first))
    for ip in ("10.1.2.3", "192.168.1.1", "::1", "fe80::1", "fd00::1", "100.64.0.1"):
        assert ours.whois(ip)["status"] == "nothing"
    assert not first.questions
    ours.whois("127.0.0.1")  # of a network that the settings name
    assert first.questions == ["127.0.0.1"]


def test_nothing_is_remembered_for_too_wide_a_network(courier, whois):
    first = whois("inetnum: 0.0.0.0 - 255.255.255.255\nnetname: ALL\n")
    ours = courier(settings(first))
    assert ours.whois("192.0.2.7")["network"] == "ALL"
    ours.whois("192.0.200.7")
    ours.whois("198.51.100.7")
    assert first.questions == ["192.0.2.7", "198.51.100.7"]


def test_a_small_server_does_not_speak_for_others(courier, whois):
    isp = whois("inetnum: 192.0.0.0/8\ncountry: ZZ\n")
    first = whois("inetnum: 192.0.2.0/24\nrefer: " + isp.name() + "\n")
    ours = courier(settings(first))
    assert ours.whois("192.0.2.7")["country"] == "ZZ"
    ours.whois("192.0.3.7")
    assert first.questions == ["192.0.2.7", "192.0.3.7"]
