"""Doors by hand: rules, lists, passcodes, limited addresses, history, undo and allow, as the administrator and as a person."""
import json
import os
import pathlib
import pwd
import re
import shutil
import smtplib
import subprocess
import tempfile

import pytest

from conftest import OSTIARY, PATIENCE, Server, wait_until

USAGE, DATA, NOPERM = 64, 65, 77
PASSWORD = "sandbox"


def my(server, *words, login="alice@example.test", password=PASSWORD, check=True):
    return server.run("my", *words, "--login", login, "--login-stdin", text_input=password + "\n", check=check)


def my_json(server, *words, **more):
    return json.loads(my(server, *words, "--json", **more).stdout)


def problem(server, *words, status=DATA):
    result = server.run(*words, check=False)
    assert result.returncode == status and result.stdout == "", result
    return result.stderr


def in_force(server, owner, *more):
    return {row["name"]: (row["value"], row["level"]) for row in server.run_json("rules", "show", *([owner] if owner else []), *more)}


def rcpt(server, to, sender="friend@far.example"):
    with smtplib.SMTP("127.0.0.1", server.port(25), timeout=PATIENCE) as s:
        s.ehlo("client.example")
        s.mail(sender)
        code, text = s.rcpt(to)
    return code, text.decode()


def comes_in(server, to, sender="friend@far.example"):
    """A change is in force within a second."""
    wait_until(lambda: rcpt(server, to, sender)[0] == 250, f"mail from {sender} to {to}")


def stays_out(server, to, sender="friend@far.example"):
    wait_until(lambda: rcpt(server, to, sender)[0] == 550, f"the refusal of mail from {sender} to {to}")


def refused(server, to, sender="friend@far.example"):
    """The reference of the refusal, once the ledger has it."""
    stays_out(server, to, sender)
    code, text = rcpt(server, to, sender)
    reference = re.search(r"Reference ([0-9A-Z]{4}-[0-9A-Z]{4})", text)[1]
    wait_until(lambda: server.run("explain", reference, check=False).returncode == 0, "the ledger's row")
    return reference


@pytest.fixture
def door(fresh):
    return fresh()


# ---- rules ----

def test_levels(door):
    """The narrowest level counts, and what is unset gives way to the wider one."""
    door.run("rules", "set", "--site", "sender-tld=watch")
    door.run("rules", "set", "@example.test", "sender-tld=file")
    door.run("rules", "set", "alice@example.test", "sender-tld=on", "greylist.wait=2m")
    door.run("rules", "set", "alice+shop@example.test", "sender-tld=off")
    assert in_force(door, "alice+shop@example.test")["sender-tld"] == ("off", "address")
    assert in_force(door, "alice@example.test") == {"sender-tld": ("on", "account"), "greylist.wait": ("2m", "account")}
    assert in_force(door, "bob@example.test") == {"sender-tld": ("file", "domain")}
    assert in_force(door, None, "--site") == {"sender-tld": ("watch", "site")}
    lines = door.run("history").stdout
    assert "  @example.test  by admin: rules set sender-tld=file\n        rule sender-tld: nothing -> file\n" in lines
    door.run("rules", "unset", "alice@example.test", "sender-tld")
    assert in_force(door, "alice@example.test")["sender-tld"] == ("file", "domain")
    assert in_force(door, "alice@example.test", "--all")["white-list"] == ("off", "built in")


def test_a_locked_rule_is_everybodys(door):
    door.run("rules", "set", "alice@example.test", "max-size.size=1G")
    door.run("rules", "lock", "max-size=on", "max-size.size=20M")
    assert in_force(door, "alice@example.test") == {"max-size": ("on", "site"), "max-size.size": ("20M", "site")}
    assert "the site has locked the rule max-size" in problem(door, "rules", "set", "alice@example.test", "max-size=off")
    door.run("rules", "set", "--site", "max-size.size=30M")
    assert in_force(door, "alice@example.test")["max-size.size"] == ("30M", "site"), "a new value keeps the lock"
    door.run("rules", "unlock", "max-size")
    assert in_force(door, "alice@example.test") == {"max-size": ("on", "site"), "max-size.size": ("1G", "account")}
    assert "is not locked" in problem(door, "rules", "unlock", "max-size")
    sentence = problem(door, "rules", "lock", "white-list", status=USAGE)
    assert "the site has not set white-list: say what it shall be for everybody, as in white-list=on" in sentence
    assert "now for everybody: max-size=on max-size.size=30M\n" in door.run("rules", "lock", "max-size").stdout
    text = door.run("rules", "unlock", "max-size").stdout
    assert "the site's, where nobody sets others: max-size=on max-size.size=30M; 'ostiary rules unset --site max-size' ends that, too" in text


@pytest.mark.parametrize("words, status, sentence", [
    (["alice@example.test", "white-list=ony"], DATA, "white-list=ony: expected off, watch, file or on"),
    (["alice@example.test", "whte-list=on"], DATA, "there is no rule 'whte-list'; did you mean 'white-list'?"),
    (["alice@example.test", "white-list.lern=on"], DATA, "did you mean 'white-list.learn'?"),
    (["alice@example.test", "greylist.wait=1h"], DATA, "a time from 1s to 5m"),
    (["alice@example.test", "white-list"], USAGE, "what shall white-list be? give a value, as in white-list=on"),
    (["alice@example.test", "white-list=on", "white-list=off"], USAGE, "'white-list' stands there twice"),
    (["white-list=on", "helo-not-ip=on"], USAGE, "whose door?"),
    (["nobody@example.test", "white-list=on"], DATA, "nobody@example.test"),
    (["@elsewhere.test", "white-list=on"], DATA, "elsewhere.test"),
    (["--site"], USAGE, ""),
])
def test_mistakes(server, words, status, sentence):
    """Nothing is changed, and the sentence says what is expected."""
    before = server.run_json("history")
    assert sentence in problem(server, "rules", "set", *words, status=status)
    assert server.run_json("history") == before


def test_what_is_to_be_said_twice(door):
    door.run("rules", "set", "alice@example.test", "reverse-sender=on")
    assert "only watches without reverse-sender.sure=on" in door.run("rules", "show", "alice@example.test").stdout
    door.run("rules", "set", "alice@example.test", "reverse-sender.sure=on")
    assert "only watches" not in door.run("rules", "show", "alice@example.test").stdout


def test_names_of_simbeymail(server):
    assert server.run_json("rules", "list", "MUI_WHITE_LIST_DIRECT")[0]["name"] == "white-list"
    every = server.run_json("rules", "list")
    assert len({rule["simbeymail"] for rule in every if rule["simbeymail"]}) == 21
    assert server.run_json("rules", "list", "rbl")[0]["name"] == "dnsbl"
    assert server.run_json("rules", "list", "return-paths")[0]["name"] == "return-path"
    assert "there is no rule 'the'" in problem(server, "rules", "list", "the"), "that is in all of SIMS's names"
    assert all(rule["summary"] and rule["settings"] for rule in every)


# ---- lists ----

def test_lists(door):
    door.run("list", "add", "alice@example.test", "white", "Friend@FAR.example", "@bücher.example", "--remark", "from the choir", "--until", "90d")
    entries = door.run_json("list", "show", "alice@example.test", "white")
    assert [row["entry"] for row in entries] == ["@xn--bcher-kva.example", "friend@far.example"]
    assert all(row["remark"] == "from the choir" and row["expires_at"] for row in entries)
    door.run("list", "add", "--site", "denied", "192.0.2.77/24", "*.bad.example")
    assert [row["entry"] for row in door.run_json("list", "show", "--site")] == ["*.bad.example", "192.0.2.0/24"]
    door.run("list", "remove", "--site", "denied", "192.0.2.0/24")
    assert len(door.run_json("list", "show", "--site")) == 1
    assert "the list denied is the site's: say --site" in problem(door, "list", "add", "alice@example.test", "denied", "192.0.2.1")
    assert '"bob" is no sender' in problem(door, "list", "add", "alice@example.test", "white", "bob")
    assert "'helo-not-ip' is not set for alice@example.test" in problem(door, "rules", "unset", "alice@example.test", "helo-not-ip")
    assert "did you mean 'white'?" in problem(door, "list", "add", "alice@example.test", "wite", "a@b.example", status=USAGE)


def test_a_list_goes_out_and_comes_back(door):
    names = door.directory / "names.txt"
    names.write_text("# friends\nx@y.example # met in May\n\n@z.example until 2090-01-01\nX@Y.example\n")
    assert door.run_json("list", "import", "alice@example.test", "black", names) | {"first": 0, "last": 0} == {
        "changed": 2, "known": 0, "doubled": 1, "first": 0, "last": 0}
    text = door.run("list", "export", "alice@example.test", "black").stdout
    assert text == "@z.example until 2090-01-01\nx@y.example # met in May\n"
    names.write_text(text)
    door.run("list", "import", "bob@example.test", "black", names)
    assert door.run("list", "export", "bob@example.test", "black").stdout == text
    names.write_text("good@y.example\n..\n")
    assert f"{names}:2: " in problem(door, "list", "import", "alice@example.test", "black", names)
    assert door.run("list", "export", "alice@example.test", "black").stdout == text, "a bad line lets nothing in"


def test_many_entries(door):
    names = door.directory / "names.txt"
    names.write_text("".join(f"sender{i}@far.example\n" for i in range(5000)))
    assert door.run_json("list", "import", "alice@example.test", "white", names)["changed"] == 5000
    assert len(door.run_json("list", "show", "alice@example.test")) == 5000


# ---- passcodes, addresses ----

def test_passcodes(door):
    made = door.run_json("passcode", "add", "alice@example.test", "Aunt May", "--until", "2090-01-01")
    assert re.fullmatch(r"\d{8}", made["code"])
    assert "code" not in door.run_json("passcode", "list", "alice@example.test")[0]
    assert door.run_json("passcode", "list", "alice@example.test", "--codes")[0]["code"] == made["code"]
    assert made["code"] not in door.run("history", "--json").stdout
    door.run("rules", "set", "alice@example.test", "passcode=on")
    stays_out(door, "alice@example.test")
    with smtplib.SMTP("127.0.0.1", door.port(25), timeout=PATIENCE) as s:
        s.ehlo("client.example")
        s.mail("friend@far.example")
        assert s.docmd(f"RCPT TO:<alice@example.test> {made['code']}")[0] == 250
    door.run("passcode", "revoke", "alice@example.test", "Aunt May")
    assert door.run_json("passcode", "list", "alice@example.test") == []
    assert "digits" in server_input(door, "passcode", "add", "alice@example.test", "Bob", "--code-stdin", text="12x4\n").stderr


def server_input(server, *words, text):
    return server.run(*words, text_input=text, check=False)


def test_codes_for_others(door):
    assert server_input(door, "code-for", "alice@example.test", "Bob@Far.example", "--code-stdin", text="4711\n").returncode == 0
    assert door.run_json("code-for", "alice@example.test", "--codes")[0] | {"set_at": 0} == {
        "address": "bob@far.example", "code": "4711", "expires_at": 0, "set_at": 0, "set_by": "admin"}
    assert "code" not in door.run_json("code-for", "alice@example.test")[0]
    door.run("code-for", "alice@example.test", "bob@far.example", "--off")
    assert door.run_json("code-for", "alice@example.test") == []


def test_limited_addresses(door):
    address = door.run_json("address", "add", "alice@example.test", "shop", "--random", "--from", "@shop.example", "--until", "90d")["address"]
    assert re.fullmatch(r"alice\+shop-[a-z2-9]{4}@example\.test", address)
    assert rcpt(door, address, "order@shop.example")[0] == 250
    stays_out(door, address)
    assert [row["address"] for row in door.run_json("address", "list", "alice@example.test")] == [address]
    door.run("address", "remove", "alice@example.test", address.split("+")[1].split("@")[0])
    comes_in(door, address)


# ---- history, undo ----

def test_undo(door):
    first = door.run_json("rules", "set", "alice@example.test", "white-list=on")["number"]
    door.run("list", "add", "alice@example.test", "white", "friend@far.example")
    assert door.run_json("undo", str(first))["changed"] == 1
    assert in_force(door, "alice@example.test") == {}
    assert "taken back already" in problem(door, "undo", str(first))
    door.run("undo", "alice@example.test")
    assert door.run_json("list", "show", "alice@example.test") == []
    past = door.run_json("history", "alice@example.test")
    assert [entry["undone"] for entry in past] == [False, False, True, True]
    assert past[-1]["words"].startswith("rules set") and past[-1]["by"] == "admin"
    assert past[-1]["after"][0] | {"owner": ""} == {
        "kind": "rule", "owner": "", "name": "white-list", "value": "on", "expires_at": 0, "locked": False}
    assert problem(door, "undo", status=USAGE).startswith("ostiary: take back what?")


# ---- allow ----

def test_allow(door):
    """What was refused comes in afterwards, nothing else does, and undo ends it."""
    door.run("rules", "set", "alice@example.test", "white-list=on")
    reference = refused(door, "alice@example.test")
    result = door.run("allow", reference, check=False)
    assert result.returncode == USAGE and "friend@far.example from 127.0.0.0/24 goes on the white list of alice@example.test" in result.stderr
    assert rcpt(door, "alice@example.test")[0] == 550, "nobody said yes"
    door.run("allow", reference.lower().replace("-", ""), "--yes")
    comes_in(door, "alice@example.test")
    assert rcpt(door, "alice@example.test", "other@far.example")[0] == 550
    assert door.run_json("history", "alice@example.test")[0]["words"] == f"allow {reference}"
    assert [row["entry"] for row in door.run_json("list", "show", "alice@example.test", "white")] == ["friend@far.example from 127.0.0.0/24"]
    # What proves the sender is the network: from elsewhere the address is as before.
    assert verdict(door, "--from", "friend@far.example", "--to", "alice@example.test", "--ip", "127.0.0.200")[0] == "accept"
    assert verdict(door, "--from", "friend@far.example", "--to", "alice@example.test", "--ip", "127.0.1.1") == ("refuse", "white-list", "account")
    door.run("undo", "alice@example.test")
    stays_out(door, "alice@example.test")


def test_a_sender_from_a_network(door):
    door.run("rules", "set", "alice@example.test", "white-list=on")
    door.run("list", "add", "alice@example.test", "white", "Friend@far.example from 127.0.0.1", "other@far.example from 192.0.2.7")
    comes_in(door, "alice@example.test")
    stays_out(door, "alice@example.test", "other@far.example")
    # The narrower entry counts.
    door.run("list", "add", "alice@example.test", "black", "friend@far.example from 127.0.0.0/24")
    assert rcpt(door, "alice@example.test")[0] == 250
    door.run("list", "remove", "alice@example.test", "white", "friend@far.example from 127.0.0.1")
    door.run("list", "add", "alice@example.test", "white", "friend@far.example")
    stays_out(door, "alice@example.test")
    said = problem(door, "list", "add", "alice@example.test", "white", "a@b.example from 192.0.2.0/20")
    assert "a /24" in said
    exported = door.run("list", "export", "alice@example.test", "white").stdout
    (door.directory / "white.txt").write_text(exported)
    door.run("list", "import", "bob@example.test", "white", door.directory / "white.txt")
    assert {row["entry"] for row in door.run_json("list", "show", "bob@example.test", "white")} == {"other@far.example from 192.0.2.7", "friend@far.example"}


def test_allow_without_a_sender(door):
    door.run("rules", "set", "alice@example.test", "helo-not-ip=on")
    with smtplib.SMTP("127.0.0.1", door.port(25), timeout=PATIENCE) as s:
        s.ehlo("[127.0.0.1]")
        s.mail("")
        code, text = s.rcpt("alice@example.test")
    assert code == 550, text
    reference = re.search(r"Reference ([0-9A-Z]{4}-[0-9A-Z]{4})", text.decode())[1]
    wait_until(lambda: door.run("explain", reference, check=False).returncode == 0, "the ledger's row")
    said = problem(door, "allow", reference, "--yes")
    assert "rules set alice@example.test helo-not-ip=watch" in said and "approved 127.0.0.1" in said


def test_allow_is_as_narrow_as_the_address(door):
    door.run("rules", "set", "alice@example.test", "white-list=on")
    reference = refused(door, "alice+shop@example.test")
    door.run("allow", reference, "--yes")
    comes_in(door, "alice+shop@example.test")
    assert rcpt(door, "alice@example.test")[0] == 550


def test_allow_where_only_the_site_can(door):
    door.run("list", "add", "--site", "black", "@far.example")
    door.run("rules", "lock", "black-list=on")
    reference = refused(door, "alice@example.test")
    result = my(door, "allow", reference, "--yes", check=False)
    assert result.returncode == DATA and "the site has locked the rule black-list" in result.stderr
    result = my(door, "allow", reference, "--yes", login="bob@example.test", check=False)
    assert result.returncode == DATA and "of yours" in result.stderr


# ---- my ----

def test_my_own_door(door):
    my(door, "rules", "set", "white-list=on")
    my(door, "list", "add", "white", "friend@far.example")
    assert my_json(door, "rules", "show")[0] | {"set_at": 0} == {
        "name": "white-list", "value": "on", "level": "account", "locked": False, "set_by": "alice@example.test", "set_at": 0}
    my(door, "rules", "set", "alice+shop@example.test", "white-list=off")
    assert in_force(door, "alice+shop@example.test")["white-list"] == ("off", "address")
    assert in_force(door, "bob@example.test") == {}
    assert [row["entry"] for row in my_json(door, "list", "show")] == ["friend@far.example"]
    my(door, "undo")
    assert in_force(door, "alice+shop@example.test")["white-list"] == ("on", "account")
    assert {entry["by"] for entry in my_json(door, "history")} == {"alice@example.test"}
    reference = refused(door, "alice@example.test", "other@far.example")
    assert reference in my(door, "ledger").stdout
    assert reference not in my(door, "ledger", login="bob@example.test").stdout
    assert "leave --for out" in my(door, "ledger", "--for", "bob@example.test", check=False).stderr
    assert f"no {reference} of yours" in my(door, "explain", reference, login="bob@example.test", check=False).stderr
    assert [row["reference"] for row in my_json(door, "ledger", "--verdict", "refused")][0] == reference
    my(door, "allow", reference, "--yes")
    comes_in(door, "alice@example.test", "other@far.example")


def test_nobody_elses_door(door):
    door.run("rules", "set", "--site", "sender-tld=watch")
    for words in (["rules", "set", "bob@example.test", "white-list=on"], ["list", "add", "bob@example.test", "white", "a@b.example"],
                  ["list", "add", "denied", "192.0.2.1"], ["undo", "1"], ["list", "show", "--site"], ["rules", "lock", "max-size=on"]):
        assert my(door, *words, check=False).returncode in (USAGE, DATA, NOPERM), words
    assert "bob@example.test is not one of your addresses" in my(door, "rules", "show", "bob@example.test", check=False).stderr
    assert in_force(door, "bob@example.test") == {"sender-tld": ("watch", "site")}
    assert door.run_json("list", "show", "bob@example.test") == []


def test_who_may_come_in(door):
    assert "wrong name or password" in my(door, "rules", "show", password="wrong", check=False).stderr
    assert my(door, "rules", "show", login="nobody@example.test", check=False).returncode == NOPERM
    result = door.run("my", "rules", "show", check=False)
    assert result.returncode == USAGE and "who are you?" in result.stderr
    result = door.run("my", "account", "list", check=False)
    assert result.returncode == USAGE and "is not for people's own doors" in result.stderr
    assert f'login refused service=my ip="uid {os.getuid()}"' in door.log()
    door.stop()
    assert "no server answers at" in my(door, "rules", "show", check=False).stderr


def test_help_of_my():
    text = subprocess.run([OSTIARY, "my"], capture_output=True, text=True, check=True).stdout
    assert "  rules set " in text and "  account " not in text
    text = subprocess.run([OSTIARY, "my", "rules", "set", "--help"], capture_output=True, text=True, check=True).stdout
    assert "usage: ostiary my rules set [ADDRESS] SETTING=VALUE..." in text and "--login NAME" in text
    assert "--site" not in text and "example: ostiary my rules set white-list=on" in text
    text = subprocess.run([OSTIARY, "remote", "add", "--help"], capture_output=True, text=True, check=True).stdout
    assert "\n  delete-after\n      with leave=yes:" in text and "secret" not in text


# ---- rules test ----

def verdict(server, *words):
    result = server.run_json("rules", "test", *words)
    return result["verdict"], result["rule"], result["level"]


def test_what_is_forwarded_passes_the_door(door):
    """Whoever forwards has their own rules asked first, with a copy kept or without: nothing goes on that they keep out."""
    who = "alice@example.test"
    door.run("rules", "set", who, "white-list=on")
    for more in (["--keep"], []):
        door.run("account", "forward", who, "away@far.example", *more)
        stays_out(door, who)
    door.run("list", "add", who, "white", "friend@far.example")
    comes_in(door, who)


def test_what_would_be_said(door):
    door.run("rules", "set", "alice@example.test", "white-list=on")
    door.run("list", "add", "alice@example.test", "white", "@friends.example")
    door.run("rules", "set", "bob@example.test", "helo-not-ip=on", "sender-tld=file", "max-size=on", "max-size.size=1K", "return-path=off")
    assert verdict(door, "--from", "x@far.example", "--to", "alice@example.test") == ("refuse", "white-list", "account")
    assert verdict(door, "--from", "x@friends.example", "--to", "alice@example.test") == ("accept", "white-list", "account")
    assert verdict(door, "--from", "x@far.com", "--to", "bob@example.test", "--helo", "[192.0.2.9]") == ("refuse", "helo-not-ip", "account")
    assert verdict(door, "--from", "x@far.com", "--to", "bob@example.test", "--helo", "a.far.com", "--listed", "bl.example") == ("refuse", "dnsbl", "built in")
    assert verdict(door, "--from", "x@far.xyz", "--to", "bob@example.test", "--helo", "a.far.com") == ("file", "sender-tld", "account")
    message = door.directory / "large"
    message.write_text("Subject: x\n\n" + "x" * 5000)
    assert verdict(door, "--from", "x@far.com", "--to", "bob@example.test", "--helo", "a.far.com", "--message", message) == ("refuse", "max-size", "account")
    text = door.run("rules", "test", "--from", "x@far.com", "--to", "bob@example.test", "--helo", "a.far.com").stdout
    assert text.startswith("250 ") and "assumed: no DNS list has it" in text
    assert my_json(door, "rules", "test", "--from", "x@far.example")["rule"] == "white-list"
    assert door.run_json("ledger") == [], "nothing of it is noted"


def test_it_says_what_the_server_says(door):
    """The reply of a test is that of the gate, but for the reference."""
    door.run("rules", "set", "alice@example.test", "white-list=on")
    stays_out(door, "alice@example.test")
    said = door.run_json("rules", "test", "--from", "friend@far.example", "--to", "alice@example.test", "--ip", "127.0.0.1")["reply"]
    code, text = rcpt(door, "alice@example.test")
    assert f"{code} {text}".split(". Reference")[0] == said


# ---- Where people reach it ----

def test_a_socket_that_all_people_reach(fresh, tmp_path):
    """Another user of the machine, who can't enter the data directory."""
    if os.geteuid() != 0:
        pytest.skip("it takes root to be two users")
    place = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-my-"))
    try:
        place.chmod(0o777)
        server = fresh(f'my.socket = "{place}/my.sock"')
        server.directory.chmod(0o711)
        server.config.chmod(0o644)
        somebody = pwd.getpwnam("games")
        result = subprocess.run([OSTIARY, "my", "rules", "set", "white-list=on", "--login", "alice@example.test", "--login-stdin", "--config", server.config],
                                input=PASSWORD + "\n", capture_output=True, text=True, timeout=PATIENCE, user=somebody.pw_uid, group=somebody.pw_gid, extra_groups=[])
        assert result.returncode == 0, result
        assert in_force(server, "alice@example.test")["white-list"] == ("on", "account")
        assert f"uid={somebody.pw_uid}" in server.log()
        # Who may not read the configuration says where it is.
        server.config.chmod(0o600)
        words = [OSTIARY, "my", "rules", "show", "--json", "--login", "alice@example.test", "--login-stdin", "--config", server.config]
        as_somebody = dict(input=PASSWORD + "\n", capture_output=True, text=True, timeout=PATIENCE, user=somebody.pw_uid, group=somebody.pw_gid, extra_groups=[])
        result = subprocess.run([*words, "--socket", place / "my.sock"], **as_somebody)
        assert result.returncode == 0 and json.loads(result.stdout)[0]["name"] == "white-list", result
        result = subprocess.run([*words, "--socket", place / "none.sock"], **as_somebody)
        assert result.returncode == 69 and f"no server answers at {place}/none.sock" in result.stderr, result
        result = subprocess.run([*words, "--socket", "my.sock"], **as_somebody)
        assert result.returncode == USAGE and "absolute path" in result.stderr, result
        server.stop()
        assert not (place / "my.sock").exists()
    finally:
        shutil.rmtree(place)


def test_three_people_three_doors(tmp_path):
    """`ostiary sandbox --rules`: the same message fares differently at each."""
    server = Server(options=["--rules"])
    try:
        assert rcpt(server, "alice@example.test", "stranger@elsewhere.test")[0] == 550
        assert rcpt(server, "alice@example.test", "dora@friends.example")[0] == 250
        assert verdict(server, "--from", "stranger@elsewhere.test", "--to", "bob@example.test") == ("file", "sender-tld", "account")
        assert verdict(server, "--from", "stranger@elsewhere.test", "--to", "carol@example.test") == ("accept", "accept-all", "account")
    finally:
        server.close()
