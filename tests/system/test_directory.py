"""Domains, aliases, forwarding and mailing lists by the command line, with and without a running server."""
import pytest

from conftest import Server

DATA, USAGE = 65, 64


@pytest.fixture(params=["with a server", "without a server"])
def house(request):
    s = Server()
    if request.param == "without a server":
        assert s.stop() == 0
    yield s
    s.close()


def refused(house, *words, status=DATA):
    result = house.run(*words, check=False)
    assert result.returncode == status, (words, result)
    assert result.stdout == "" and result.stderr.startswith("ostiary: ") and result.stderr.count("\n") == 1
    return result.stderr


def test_domains(house):
    house.run("domain", "add", "www.example.test", "--alias-of", "example.test")
    house.run("domain", "add", "move.test", "--next-hop", "Old.Example.net")
    house.run("domain", "add", "spare.test", "--backup")
    house.run("domain", "add", "second.test", "--backup", "--next-hop", "[2001:db8::1]:2525")
    rows = {row["name"]: row for row in house.run_json("domain", "list")}
    assert rows["www.example.test"] == {"name": "www.example.test", "accounts": 0, "kind": "alias", "alias_of": "example.test"}
    assert rows["move.test"] == {"name": "move.test", "accounts": 0, "kind": "own", "unknown_to": "old.example.net:25"}
    assert rows["spare.test"]["kind"] == "backup" and "next_hop" not in rows["spare.test"]
    assert rows["second.test"]["next_hop"] == "[2001:db8::1]:2525"
    house.run("domain", "set", "example.test", "--unknown-to", "bücher.example:26")
    house.run("domain", "set", "move.test", "--unknown-refuse")
    house.run("domain", "set", "spare.test", "--next-hop", "192.0.2.1")
    house.run("domain", "set", "second.test", "--next-hop-by-mx")
    rows = {row["name"]: row for row in house.run_json("domain", "list")}
    assert rows["example.test"]["unknown_to"] == "xn--bcher-kva.example:26" and "unknown_to" not in rows["move.test"]
    assert rows["spare.test"]["next_hop"] == "192.0.2.1:25" and "next_hop" not in rows["second.test"]
    text = house.run("domain", "list").stdout
    assert "another name of example.test" in text and "backup for its MX hosts" in text and "unknown names go to" in text
    for words, said, status in (
        (("domain", "add", "x.test", "--alias-of", "nowhere.test"), "is not one of ours", DATA),
        (("domain", "add", "x.test", "--alias-of", "www.example.test"), "another name of example.test", DATA),
        (("domain", "add", "x.test", "--alias-of", "example.test", "--backup"), "--alias-of goes with neither", USAGE),
        (("domain", "add", "x.test", "--next-hop", "host:99999"), "is no host", DATA),
        (("domain", "set", "example.test"), "give one of", USAGE),
        (("domain", "set", "spare.test", "--unknown-to", "a.test"), "is a backup domain", DATA),
        (("domain", "set", "move.test", "--next-hop", "a.test"), "no backup", DATA),
        (("domain", "set", "www.example.test", "--unknown-to", "a.test"), "another name", DATA),
        (("domain", "remove", "example.test"), "other name", DATA),
        (("account", "add", "x@www.example.test", "--password-generate"), "give the address as x@example.test", DATA),
    ):
        assert said in refused(house, *words, status=status), words
    house.run("domain", "remove", "www.example.test")


def test_aliases(house):
    house.run("alias", "add", "sales@example.test", "bob@example.test", "Sales.Dept@Elsewhere.NET")
    house.run("alias", "add", "@example.test", "carol@example.test")
    rows = {row["address"]: row["targets"] for row in house.run_json("alias", "list", "@example.test")}
    assert rows["sales@example.test"] == ["bob@example.test", "Sales.Dept@elsewhere.net"]
    assert rows["@example.test"] == ["carol@example.test"]
    assert "lead to itself" in refused(house, "alias", "add", "x@example.test", "x@example.test")
    assert "lead to itself" in refused(house, "alias", "add", "@example.test", "unheard-of@example.test")
    house.run("alias", "remove", "@example.test")
    assert "nobody here" in refused(house, "alias", "add", "x@example.test", "unheard-of@example.test")


def test_forwarding(house):
    address = "bob@example.test"
    assert "is not forwarded" in refused(house, "account", "forward", address)
    house.run("account", "forward", address, "bob@elsewhere.test", "--keep")
    assert house.run_json("account", "forward", address) == {"address": address, "targets": [address, "bob@elsewhere.test"]}
    house.run("account", "forward", address, "carol@example.test")
    assert "bob@example.test -> carol@example.test" in house.run("account", "forward", address).stdout
    assert "leads back" in refused(house, "account", "forward", "carol@example.test", address)
    assert "leads back" in refused(house, "account", "forward", "carol@example.test", address, "--keep")
    # It stands in the history, says who did it, and can be taken back.
    assert "set by admin" in house.run("rules", "show", address).stdout
    assert "account forward carol@example.test" in house.run("history", address).stdout
    house.run("undo", address)
    assert "bob@elsewhere.test" in house.run("account", "forward", address).stdout
    # What leads to several places is no rule: an alias, as before.
    house.run("account", "forward", address, "carol@example.test", "bob@elsewhere.test")
    assert len(house.run_json("account", "forward", address)["targets"]) == 2
    house.run("account", "forward", address, "--off")
    house.run("account", "forward", address, "carol@example.test", address)
    assert "forward.keep=on" in house.run("rules", "show", address).stdout
    assert "'ostiary undo " in house.run("account", "forward", address, "--off").stdout
    assert "is not forwarded" in refused(house, "account", "forward", address, "--off")
    assert "there is no account" in refused(house, "account", "forward", "nobody@example.test", address)
    assert "goes with neither" in refused(house, "account", "forward", address, address, "--off", status=USAGE)
    assert "forwarded to itself" in refused(house, "account", "forward", address, address, status=USAGE)
    assert "needs a target" in refused(house, "account", "forward", address, "--keep", status=USAGE)
    house.run("account", "remove", "carol@example.test", "--yes")
    assert "carol@example.test" not in {row["address"] for row in house.run_json("alias", "list")}


def test_mailing_lists(house):
    name = "choir@example.test"
    house.run("mailinglist", "add", name, "--name", "The choir", "--owner", "alice@example.test")
    house.run("mailinglist", "join", name, "bob@example.test", "Zoe@Elsewhere.test")
    shown = house.run_json("mailinglist", "show", name)
    assert (shown["name"], shown["owner"], shown["posting"]) == ("The choir", "alice@example.test", "members")
    assert shown["members"] == [{"address": "bob@example.test", "bounces": 0, "suspended": False},
                                {"address": "zoe@elsewhere.test", "bounces": 0, "suspended": False}]
    assert house.run_json("mailinglist", "list")[0]["member_count"] == 2
    house.run("mailinglist", "set", name, "--posting", "everybody", "--owner", "")
    house.run("mailinglist", "leave", name, "ZOE@elsewhere.test")
    text = house.run("mailinglist", "show", name).stdout
    assert "posting   everybody" in text and "zoe" not in text and "member    bob@example.test" in text
    for words, said, status in (
        (("mailinglist", "add", name), "already a mailing list", DATA),
        (("mailinglist", "add", "alice@example.test"), "already an account", DATA),
        (("mailinglist", "join", name, "nobody@example.test"), "nobody here", DATA),
        (("mailinglist", "join", name, name), "of itself", DATA),
        (("mailinglist", "leave", name, "alice@example.test"), "is not a member", DATA),
        (("mailinglist", "show", "chior@example.test"), "there is no mailing list", DATA),
        (("mailinglist", "remove", "chior@example.test"), "did you mean choir@example.test?", DATA),
        (("mailinglist", "set", name), "nothing is to be changed", USAGE),
        (("mailinglist", "set", name, "--posting", "nobody"), "everybody, members or owner", USAGE),
        (("alias", "add", name, "alice@example.test"), "already a mailing list", DATA),
    ):
        assert said in refused(house, *words, status=status), words
    house.run("mailinglist", "remove", name)
    assert house.run_json("mailinglist", "list") == []


def test_many_members(house):
    """More than a page of them."""
    members = [f"m{i:04}@elsewhere.test" for i in range(1203)]
    house.run("mailinglist", "add", "all@example.test")
    house.run("mailinglist", "join", "all@example.test", *members)
    assert [m["address"] for m in house.run_json("mailinglist", "show", "all@example.test")["members"]] == members
    assert house.run("mailinglist", "show", "all@example.test").stdout.count("\nmember ") == 1203


def test_survives_a_rebuild(fresh):
    s = fresh()
    s.run("domain", "add", "www.example.test", "--alias-of", "example.test")
    s.run("domain", "add", "spare.test", "--backup", "--next-hop", "main.spare.test")
    s.run("alias", "add", "@example.test", "x@elsewhere.test")
    s.run("account", "forward", "bob@example.test", "b@elsewhere.test", "--keep")
    s.run("mailinglist", "add", "choir@example.test", "--owner", "alice@example.test")
    s.run("mailinglist", "join", "choir@example.test", "bob@example.test", "zoe@elsewhere.test")
    s.run("mailinglist", "add", "gone@example.test")
    s.run("mailinglist", "remove", "gone@example.test")
    commands = (("domain", "list"), ("alias", "list"), ("mailinglist", "list"), ("mailinglist", "show", "choir@example.test"))
    before = [s.run_json(*words) for words in commands]
    s.run("store", "compact", "--dead", "1")
    assert s.stop() == 0
    s.run("store", "rebuild")
    assert [s.run_json(*words) for words in commands] == before
    assert s.run("store", "check").returncode == 0


def test_local_delivery(fresh):
    """What needs no other site: names of a domain, forwarding inside, catch-all."""
    s = fresh()
    s.run("domain", "add", "www.example.test", "--alias-of", "example.test")
    s.run("account", "forward", "bob@example.test", "carol@example.test", "--keep")
    s.run("alias", "add", "@example.test", "alice@example.test")
    s.send("Subject: one\n\n1\n", "bob@www.example.test")
    s.send("Subject: two\n\n2\n", "whoever@example.test")
    assert len(s.messages("bob@example.test")) == 1 and len(s.messages("carol@example.test")) == 1
    assert len(s.messages("alice@example.test")) == 1
