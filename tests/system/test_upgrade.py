"""Stores that earlier releases made: each is opened, brought to the present schema, served, and can be made anew from its volumes.

data/store-schema-N.tar.xz is the data directory of such a release's sandbox: six messages "old 0" to "old 5" to alice, every second one by the alias
team@example.test to bob, too; alice deleted the first; bob has a name. The second one's has a mailing list, a held message that is to go out, and all
mail to carol goes on to y@elsewhere.test.
"""
import pathlib
import re
import shutil
import tarfile

import pytest

from conftest import wait_until

DATA = pathlib.Path(__file__).parent / "data"


def with_store(server, version):
    server.stop()
    data = server.directory / "data"
    shutil.rmtree(data)
    with tarfile.open(DATA / f"store-schema-{version}.tar.xz") as archive:
        archive.extractall(data)
    return server


@pytest.fixture(params=[1, 2])
def upgraded(fresh, request):
    return with_store(fresh(), request.param)


@pytest.fixture
def of_the_queue(fresh):
    return with_store(fresh(), 2)


def subjects(server, user):
    return [re.search(rb"^Subject: (.*)$", text, re.M)[1].decode() for text in server.messages(f"{user}@example.test")]


def check_contents(server):
    wait_until(lambda: server.greets(110), "a server")
    assert subjects(server, "alice") == [f"old {i}" for i in range(1, 6)]
    assert subjects(server, "bob") == ["old 1", "old 3", "old 5"]
    names = {row["address"]: row["name"] for row in server.run_json("account", "list")}
    assert names["bob@example.test"] == "Bob Builder"
    assert "team@example.test" in server.run("alias", "list").stdout


def test_the_store_is_opened_and_served(upgraded):
    upgraded.start()
    check_contents(upgraded)
    # What is new works in it.
    upgraded.run("mailinglist", "add", "band@example.test", "--posting", "everybody")
    upgraded.run("mailinglist", "join", "band@example.test", "bob@example.test")
    upgraded.run("alias", "add", "far@example.test", "z@elsewhere.test")
    upgraded.run("rules", "set", "alice@example.test", "helo-not-ip=on")
    upgraded.run("list", "add", "alice@example.test", "white", "aunt@may.test")
    upgraded.run("queue", "pause", "out")
    upgraded.send("Subject: new\r\n\r\nbody\r\n", ["team@example.test", "far@example.test"])
    assert "z@elsewhere.test" in [entry["recipient"] for entry in upgraded.run_json("queue", "list")]
    upgraded.run("queue", "hold", "--all")  # which a rebuild keeps; a pause ends with it
    upgraded.stop()
    upgraded.run("store", "check")
    upgraded.run("store", "rebuild")
    upgraded.run("store", "check")
    upgraded.start()
    assert subjects(upgraded, "bob")[3:] == ["new"]
    assert "z@elsewhere.test" in [entry["recipient"] for entry in upgraded.run_json("queue", "list")]
    assert "helo-not-ip" in upgraded.run("rules", "show", "alice@example.test").stdout
    assert "aunt@may.test" in upgraded.run("list", "show", "alice@example.test", "white").stdout


def test_what_the_second_one_had_is_there(of_the_queue):
    server = of_the_queue
    for rebuilt in (False, True):
        server.start()
        check_contents(server)
        assert [(entry["recipient"], entry["state"]) for entry in server.run_json("queue", "list")] == [("x@elsewhere.test", "held")]
        assert "choir@example.test" in server.run("mailinglist", "list").stdout
        # What an alias does with all mail of an account is its forwarding.
        shown = server.run("rules", "show", "carol@example.test").stdout
        assert "forward.to" in shown and "y@elsewhere.test" in shown
        server.stop()
        if not rebuilt:
            server.run("store", "rebuild")
            server.run("store", "check")


def test_the_store_is_made_anew_from_its_volumes(upgraded):
    (upgraded.directory / "data" / "store.db").unlink()
    upgraded.run("store", "rebuild")
    upgraded.run("store", "check")
    upgraded.start()
    check_contents(upgraded)
