"""A store that the release before this one made: it is opened, brought to the present schema, served, and can be made anew from its volumes.

data/store-schema-1.tar.xz is the data directory of that release's sandbox: six messages "old 0" to "old 5" to alice, every second one by the alias
team@example.test to bob, too; alice deleted the first; bob has a name.
"""
import pathlib
import re
import shutil
import tarfile

import pytest

from conftest import wait_until

STORE = pathlib.Path(__file__).parent / "data" / "store-schema-1.tar.xz"


@pytest.fixture
def upgraded(fresh):
    server = fresh()
    server.stop()
    data = server.directory / "data"
    shutil.rmtree(data)
    with tarfile.open(STORE) as archive:
        archive.extractall(data)
    return server


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
    upgraded.run("mailinglist", "add", "choir@example.test", "--posting", "everybody")
    upgraded.run("mailinglist", "join", "choir@example.test", "bob@example.test")
    upgraded.run("alias", "add", "away@example.test", "x@elsewhere.test")
    upgraded.run("queue", "pause", "out")
    upgraded.send("Subject: new\r\n\r\nbody\r\n", ["team@example.test", "away@example.test"])
    assert [entry["recipient"] for entry in upgraded.run_json("queue", "list")] == ["x@elsewhere.test"]
    upgraded.run("queue", "hold", "--all")  # which a rebuild keeps; a pause ends with it
    upgraded.stop()
    upgraded.run("store", "check")
    upgraded.run("store", "rebuild")
    upgraded.run("store", "check")
    upgraded.start()
    assert subjects(upgraded, "bob")[3:] == ["new"]
    assert [entry["recipient"] for entry in upgraded.run_json("queue", "list")] == ["x@elsewhere.test"]


def test_the_store_is_made_anew_from_its_volumes(upgraded):
    (upgraded.directory / "data" / "store.db").unlink()
    upgraded.run("store", "rebuild")
    upgraded.run("store", "check")
    upgraded.start()
    check_contents(upgraded)
