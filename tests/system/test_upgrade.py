"""Stores that earlier releases made (old_stores.py): each is opened, brought to the present schema, served, and can be made anew from its volumes."""
import pytest

from old_stores import VERSIONS, check_contents, put_store, subjects


@pytest.fixture(params=VERSIONS)
def upgraded(fresh, request):
    server = fresh()
    server.stop()
    put_store(server.directory / "data", request.param)
    server.version = request.param
    return server


def test_the_store_is_opened_and_served(upgraded):
    upgraded.start()
    check_contents(upgraded, upgraded.version)
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


def test_the_store_is_made_anew_from_its_volumes(upgraded):
    (upgraded.directory / "data" / "store.db").unlink()
    upgraded.run("store", "rebuild")
    upgraded.run("store", "check")
    upgraded.start()
    check_contents(upgraded, upgraded.version)
