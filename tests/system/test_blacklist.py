"""The site's own black list: its files, the helper that compiles them, the commands that edit it, and what the gate does with it."""
import os
import pathlib
import re
import signal
import smtplib

import pytest

from conftest import wait_until


def lists_read(server):
    return server.log().count("black list read")


def read_again(server, act):
    before = lists_read(server)
    act()
    wait_until(lambda: lists_read(server) > before, "another reading of the black list")


def test_the_files_are_read_at_start_and_on_sighup(fresh):
    server = fresh()
    assert "there is no own black list" in server.log() and not lists_read(server)
    other = server.directory / "blocked.txt"
    other.write_text("192.0.2.1 spam\n10.0.0.999\ninclude more.txt\n")
    (server.directory / "more.txt").write_text("2001:db8::/32\nwhat is this?\nwhat?\n.example.org\n")
    (server.directory / "data" / "blacklist.txt").write_text("198.51.100.0/24\n")
    os.chmod(server.directory, 0o755)
    server.configure(f'blacklist.files = {{ "{other}" }}')
    read_again(server, server.reload)
    log = server.log()
    assert re.search(r"black list read entries=4 ranges=3 names=1 problems=3", log), log
    assert f"{other}:2: \"'10.0.0.999' is no IP address\"" in log
    assert f"{server.directory}/more.txt:2: " in log


def test_a_million_lines_and_a_damaged_helper_leave_a_server(fresh):
    server = fresh()
    path = server.directory / "data" / "blacklist.txt"
    path.write_text("".join(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255} x\n" for i in range(200000)))
    read_again(server, lambda: server.process.send_signal(signal.SIGUSR1))
    assert "entries=200000 ranges=1" not in server.log() and "entries=200000" in server.log()
    path.unlink()
    path.mkdir()  # no file any more: the list is what remains
    read_again(server, lambda: server.process.send_signal(signal.SIGUSR1))
    assert "it is no ordinary file" in server.log() and server.greets(25)
    path.rmdir()  # nothing to read any more: the list becomes an empty one
    read_again(server, lambda: server.process.send_signal(signal.SIGUSR1))
    assert "black list read entries=0" in server.log()


def check(server, what):
    return server.run_json("blacklist", "check", what)


def has_reader(server):
    for pid in pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
        try:
            if b"blacklist-helper" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except OSError:
            continue  # it went meanwhile
    return False


def test_a_stop_while_the_list_is_read_is_no_crash(fresh):
    server = fresh()
    (server.directory / "data" / "blacklist.txt").write_text("".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(500000)))
    server.reload()
    wait_until(lambda: has_reader(server), "its reader")
    assert server.stop() == 0
    assert " CRASH " not in server.log()


def test_commands_edit_the_list_and_the_server_reads_it(fresh):
    server = fresh()
    own = server.directory / "data" / "blacklist.txt"
    read_again(server, lambda: server.run("blacklist", "add", "12.34.50.01-12.34.59.99", "--reason", "spam source, 2026-10-02"))
    read_again(server, lambda: server.run("blacklist", "add", "!12.34.55.7"))
    server.run("blacklist", "add", ".Example.ORG", "--reason", "a domain")
    assert own.read_text() == "12.34.50.1-12.34.59.99\tspam source, 2026-10-02\n!12.34.55.7\n.example.org\ta domain\n"
    assert own.stat().st_mode & 0o777 == 0o600
    assert own.stat().st_uid == own.parent.stat().st_uid
    assert check(server, "12.34.55.6") == {"what": "12.34.55.6", "verdict": "listed", "file": str(own), "line": 1,
                                           "reason": "spam source, 2026-10-02"}
    assert check(server, "12.34.55.7")["verdict"] == "excepted"
    assert check(server, "12.34.60.0") == {"what": "12.34.60.0", "verdict": "nothing"}
    assert check(server, "mail.example.org")["line"] == 3
    assert server.run("blacklist", "check", "example.org").stdout == f"example.org is listed by {own}:3: a domain\n"
    # The same entry, written otherwise, is one entry.
    server.run("blacklist", "add", "12.34.50.1 - 12.34.59.99", "--reason", "still")
    assert own.read_text().splitlines()[0] == "12.34.50.1-12.34.59.99\tstill"
    listed = server.run_json("blacklist", "list")
    assert [(e["entry"], e["exception"], e["reason"], e["line"]) for e in listed] == [
        ("12.34.50.1-12.34.59.99", False, "still", 1), ("12.34.55.7", True, "", 2), (".example.org", False, "a domain", 3)]
    read_again(server, lambda: server.run("blacklist", "remove", "012.034.050.001-12.34.59.99"))
    assert check(server, "12.34.55.6")["verdict"] == "nothing"
    assert "entries=2" in server.log().rpartition("black list read")[2]


@pytest.mark.parametrize("words, said", [
    (["add", "10.1.2.3/8"], "did you mean 10.0.0.0/8?"),
    (["add", "nonsense"], "it has no dot"),
    (["add", "include x"], "is no entry"),
    (["add", "10.0.0.1 why"], "--reason"),
    (["add", "10.0.0.1", "--reason", "a;b"], "a reason is one short line"),
    (["add", "10.0.0.1", "--reason", "a\n10.0.0.2"], "a reason is one short line"),
    (["remove", "10.77.0.1"], "is no entry of the list"),
    (["check", "*.example.org"], "neither an address nor a host name"),
    (["import", "/nowhere/x"], "can't be read"),
    (["export", "--zone", "x"], "--zone takes a domain name"),
])
def test_what_is_wrong_is_said(server, words, said):
    result = server.run("blacklist", *words, check=False)
    assert result.returncode in (64, 65, 66) and said in result.stderr and result.stderr.count("\n") == 1
    assert not (server.directory / "data" / "blacklist.txt").exists()


def test_import_names_bad_lines_and_takes_the_rest_once(fresh):
    server = fresh()
    file = server.directory / "in.txt"
    file.write_text("10.0.0.1 one\n10.0.0.2\nbad\ninclude x\n010.0.0.1 again\n; nothing\n!10.0.0.1\n")
    result = server.run("blacklist", "import", str(file))
    assert result.stdout == "3 added, 1 known already, 2 bad\n"
    assert f"{file}:3: " in result.stderr and f"{file}:4: an include is not followed" in result.stderr
    assert server.run("blacklist", "import", str(file)).stdout == "0 added, 4 known already, 2 bad\n"
    assert server.run("blacklist", "import", "-", text_input="10.0.0.9").stdout == "1 added, 0 known already, 0 bad\n"
    out = server.directory / "out.txt"
    server.run("blacklist", "export", str(out))
    assert out.read_text() == "10.0.0.1\tone\n10.0.0.2\n!10.0.0.1\n10.0.0.9\n"


def test_commands_that_run_at_once_lose_nothing(fresh):
    import subprocess
    server = fresh()
    running = [subprocess.Popen([server.binary, "blacklist", "add", f"10.9.0.{i}", "--config", server.config], stdout=subprocess.DEVNULL)
               for i in range(20)]
    assert [p.wait(60) for p in running] == [0] * 20
    lines = (server.directory / "data" / "blacklist.txt").read_text().split()
    assert sorted(lines) == sorted(f"10.9.0.{i}" for i in range(20))


def test_a_link_in_the_data_directory_is_not_followed(fresh):
    server = fresh()
    secret = server.directory / "secret"
    secret.write_text("10.0.0.1\n")
    (server.directory / "data" / "blacklist.txt").symlink_to(secret)
    result = server.run("blacklist", "add", "10.0.0.2", check=False)
    assert result.returncode == 74 and "can't be read" in result.stderr
    assert secret.read_text() == "10.0.0.1\n"


def test_reload_command(fresh):
    server = fresh()
    server.run("reload")
    wait_until(lambda: "configuration read again" in server.log(), "the reload")
    good = server.config.read_text()
    server.config.write_text(good + "\nnonsense = 1\n")
    result = server.run("reload", check=False)
    assert result.returncode == 78 and "nonsense" in result.stderr
    server.config.write_text(good)
    server.stop()
    result = server.run("reload", check=False)
    assert result.returncode == 69 and "no server runs" in result.stderr


# ---- The zone ----

ZONE = "bl.example.test"
LIST = """10.0.0.0/8 ten
!10.1.2.3
2.0.0.0/8 two
3.4.0.0/16
5.6.7.0/24 with "quotes" and \\ more
192.0.2.1-192.0.2.9
127.0.0.0/8
2001:db8::/32 six
!2001:db8:1::1
2001:db9::7-2001:db9::19
2000:5::/32
.example.org
"""


def ask(port, name, kind):
    """The answers' raw data of one question to the name server at `port`."""
    import socket
    import struct
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.sendto(b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1), ("127.0.0.1", port))
        reply = s.recv(4096)
    count = struct.unpack("!H", reply[6:8])[0]
    at, out = 12 + len(labels) + 5, []
    for _ in range(count):
        at += 2 if reply[at] >= 0xc0 else reply.index(b"\0", at) - at + 1
        size = struct.unpack("!H", reply[at + 8:at + 10])[0]
        out.append(reply[at + 10:at + 10 + size])
        at += 10 + size
    return out


def zone_name(address):
    import ipaddress
    return ipaddress.ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa") + "." + ZONE


def samples():
    import ipaddress
    import random
    dice = random.Random(5)
    edges = ["10.1.2.2", "10.1.2.3", "10.1.2.4", "9.255.255.255", "11.0.0.0", "2.0.0.0", "2.0.0.1", "2.0.0.10", "2.0.77.1", "2.9.9.9",
             "2.10.0.1", "3.4.0.0", "3.4.255.255", "3.5.0.0", "3.3.9.9", "5.6.7.8", "5.6.8.7", "192.0.2.0", "192.0.2.1", "192.0.2.9",
             "192.0.2.10", "127.0.0.1", "127.0.0.3", "2001:db8::", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
             "2001:db9::6", "2001:db9::7", "2001:db9::19", "2001:db9::1a", "2001:dba::", "2000:5::1", "2000:6::1", "2000::1", "2fff::1",
             "3400::1", "5670::1", "::ffff:7f00:1"]
    for _ in range(100):
        edges.append(str(ipaddress.ip_address(dice.choice((2, 3, 5, 10)) << 24 | dice.randrange(1 << 24))))
        edges.append(str(ipaddress.ip_address(2 << 124 | dice.randrange(1 << 124))))
    return edges


def test_the_zone_says_of_each_address_what_the_list_says(fresh, zones):
    server = fresh()
    (server.directory / "data" / "blacklist.txt").write_text(LIST)
    dns = zones({ZONE: ""})
    result = server.run("blacklist", "export", str(dns.directory / f"{ZONE}.zone"), "--zone", ZONE)
    assert "1 host names and patterns are not in the zone" in result.stderr
    dns.start()
    for address in samples():
        if address == "::ffff:7f00:1":
            name = "1.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20 + "." + ZONE
            listed = False
        else:
            name = zone_name(address)
            listed = check(server, address)["verdict"] == "listed" and not address.startswith("127.")
        assert ask(dns.port, name, 1) == ([b"\x7f\0\0\2"] if listed else []), address
    # RFC 5782 section 5.
    assert ask(dns.port, zone_name("127.0.0.2"), 1) == [b"\x7f\0\0\2"]
    assert ask(dns.port, "2.0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20 + "." + ZONE, 1) == [b"\x7f\0\0\2"]
    assert ask(dns.port, zone_name("10.5.5.5"), 16) == [b"\3ten"]
    assert ask(dns.port, zone_name("5.6.7.200"), 16) == [b'\x1awith "quotes" and \\ more'.replace(b"\x1a", bytes([24]))]
    assert len((dns.directory / f"{ZONE}.zone").read_text().splitlines()) < 10000


# ---- What the gate does ----

def refusal(server, source="127.0.0.1", port=25):
    with smtplib.SMTP("127.0.0.1", server.port(port), timeout=60, source_address=(source, 0)) as smtp:
        smtp.ehlo()
        smtp.mail("a@b.test")
        code, text = smtp.rcpt("bob@example.test")
    return code, text.decode()


def test_the_gate_refuses_whom_the_list_names(fresh):
    server = fresh()
    read_again(server, lambda: server.run("blacklist", "add", "127.0.0.2-127.0.0.9", "--reason", "spam source, 2026-10-02"))
    wait_until(lambda: refusal(server, "127.0.0.2")[0] == 554, "a refusal")
    assert "spam source, 2026-10-02" in refusal(server, "127.0.0.2")[1]
    assert refusal(server, "127.0.0.1")[0] == 250
    read_again(server, lambda: server.run("blacklist", "add", "!127.0.0.5"))
    wait_until(lambda: refusal(server, "127.0.0.5")[0] == 250, "the exception")
    assert refusal(server, "127.0.0.6")[0] == 554
