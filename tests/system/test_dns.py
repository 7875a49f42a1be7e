"""The resolver process and the DNS lists, against a real DNS server on loopback."""
import json
import os
import signal

from conftest import wait_until
from nameserver import Silent, dns_list
from ports import free_port


def lists(*zones):
    return "dns_lists = { " + ", ".join(f'{{ zone = "{zone}" }}' for zone in zones) + " }"


def records(server, words):
    return [line for line in server.log().splitlines() if words in line]


def test_self_tests_of_lists(fresh, zones):
    """Two families of a right list pass; a list of the whole world, an empty one and one that refuses do not."""
    dns = zones({
        "good.test": dns_list("192.0.2.7", "2001:db8::7"),
        "world.test": "* IN A 127.0.0.2",
        "empty.test": "",
        "refuses.test": "* IN A 127.255.255.254",
        "four.test": dns_list("192.0.2.7").split("\n", 2)[0],
    })
    server = fresh(f"{dns.settings()}\n{lists(*dns.names)}")
    gates = int(server.run_json("config", "print")["processes.gates"])

    def told(words, zone):
        return [line for line in records(server, words) if f"list={zone} " in line]

    wait_until(lambda: len(told("the self-test is passed", "good.test")) == 2 * gates, "the passing of the good list")
    for zone in ("world.test", "empty.test", "refuses.test"):
        wait_until(lambda: len(told("the self-test (RFC 5782) failed", zone)) == 2 * gates, f"the failure of {zone}")
        assert not told("the self-test is passed", zone)
    wait_until(lambda: [line for line in told("failed", "four.test") if line.endswith("family=IPv6")], "no IPv6 in four.test")
    assert {line[-4:] for line in told("the self-test is passed", "four.test")} == {"IPv4"}


def test_lists_that_do_not_answer(fresh, zones):
    """Silence and a dead port are no listing and no failed self-test; the log says so, and mail goes on."""
    silent = Silent()
    dns = zones({"broken.test": None})
    dns.add_other("silent.test", silent.port)
    dns.add_other("dead.test", free_port())
    names = ("broken.test", "silent.test", "dead.test")
    server = fresh(f"{dns.settings()}\ndns.timeout = 1\nsmtp.check_sender = false\n{lists(*names)}")
    for name in names:
        wait_until(lambda: [line for line in records(server, "does not answer its self-test") if f"list={name} " in line],
                   f"the complaint about {name}")
    server.send("Subject: still here\n\nx")
    assert any(b"still here" in message for message in server.messages())
    assert not records(server, "the self-test (RFC 5782) failed")
    silent.close()


def test_list_comes_back_with_a_reload(fresh, zones):
    dns = zones({"late.test": ""})
    server = fresh(f"{dns.settings()}\n{lists('late.test')}")
    wait_until(lambda: records(server, "the self-test (RFC 5782) failed"), "the failure of the empty list")
    dns.write("late.test", dns_list())
    dns.start()
    server.configure(f"{dns.settings()}\ndns.servers = {{ \"127.0.0.1@{dns.port}\" }}")  # another context forgets the old answers
    server.reload()
    wait_until(lambda: records(server, "the self-test is passed"), "the passing of the filled list")


def test_resolver_dies_and_comes_back(fresh, zones):
    dns = zones({"good.test": dns_list()})
    server = fresh(f"{dns.settings()}\n{lists('good.test')}")
    wait_until(lambda: records(server, "the self-test is passed"), "the self-test")
    pid = next(pid for pid, words in server.children().items() if " resolver" in words)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: any(" resolver" in words and other != pid for other, words in server.children().items()), "another resolver")
    before = len(records(server, "the self-test is passed"))
    server.reload()
    wait_until(lambda: len(records(server, "the self-test is passed")) > before, "a self-test with the new resolver")


def test_missing_trust_anchor(fresh, zones):
    dns = zones({"good.test": dns_list()})
    server = fresh(f"{dns.settings()}\ndns.trust_anchor = \"/nonexistent/root.key\"\n{lists('good.test')}")
    wait_until(lambda: records(server, "the self-test is passed"), "the self-test")
    assert records(server, "the answers of the DNS are not checked (DNSSEC), as dns.trust_anchor /nonexistent/root.key can't be read")


def findings(server, status):
    result = server.run("doctor", "--json", check=False)
    assert result.returncode == status, (result.stdout, result.stderr)
    report = json.loads(result.stdout)
    return {(f["about"], f["verdict"], f["finding"].split(":")[0]) for f in report["findings"]}


def test_doctor(fresh, zones):
    dns = zones({
        "example.test": "@ IN MX 10 mail\nmail IN A 192.0.2.9",
        "2.0.192.in-addr.arpa": "9 IN PTR mail.example.test.",
        "good.test": dns_list(),
        "empty.test": "",
    })
    server = fresh(f'{dns.settings()}\nhostname = "mail.example.test"\n{lists("good.test", "empty.test")}')
    found = findings(server, 1)
    assert ("dns", "good", "the DNS answers") in found
    assert ("reverse", "good", "192.0.2.9 leads back to mail.example.test") in found
    assert ("domain", "good", "mail for example.test leads here") in found
    assert ("list", "good", "the DNS list good.test passes its self-test") in found
    assert ("list", "warning", "the DNS list empty.test fails its self-test (RFC 5782)") in found
    assert ("server", "good", "the server runs") in found
    assert len([f for f in found if f[0] == "port" and f[1] == "good"]) == 7

    dns.write("example.test", "@ IN MX 10 other\nother IN A 192.0.2.10\nmail IN A 192.0.2.9")
    dns.write("2.0.192.in-addr.arpa", "")
    dns.start()
    found = findings(server, 1)
    assert ("domain", "warning", "mail for example.test does not lead here but to other.example.test") in found
    assert ("reverse", "warning", "192.0.2.9 has no name (PTR)") in found

    dns.stop()
    server.stop()
    found = findings(server, 2)
    assert ("dns", "fault", "the DNS does not answer about mail.example.test") in found
    assert ("server", "warning", "the server does not run, or you may not talk to it") in found
    assert "->" in server.run("doctor", check=False).stdout


def test_failure_that_is_remembered(fresh, zones):
    """The resolver asks no second time within seconds; what it remembers is a failure still, and no missing mail server."""
    dns = zones({"broken.test": None})
    server = fresh(f'{dns.settings()}\ncourier = {{ retry_first = "1s", retry_longest = "1s" }}\nclient_networks = {{ "127.0.0.0/8" }}')
    server.send("Subject: waits\n\nx", to="friend@broken.test", sender="bob@example.test")
    wait_until(lambda: server.run_json("queue", "list")[0]["attempts"] >= 4, "four attempts")
    assert not server.messages("bob@example.test") and "4.4.3" in server.log() and "5.1.2" not in server.log()
