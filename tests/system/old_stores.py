"""Stores that earlier releases made, and what has to be in them.

data/store-schema-N.tar.xz is the data directory of such a release's sandbox: six messages "old 0" to "old 5" to alice, every second one by the alias
team@example.test to bob, too; alice deleted the first; bob has a name. From the second one on there are a mailing list, a held message that is to go out, and all
mail to carol goes on to y@elsewhere.test. From the third one on bob has a rule and a white list.

Called as a program it makes the one of the present release: old_stores.py [DIRECTORY].
"""
import pathlib
import re
import shutil
import sys
import tarfile

from sandbox import Server, wait_until

DATA = pathlib.Path(__file__).parent / "data"
VERSIONS = sorted(int(path.name.split("-")[2].split(".")[0]) for path in DATA.glob("store-schema-*.tar.xz"))


def put_store(directory, version):
    """The data directory of that release, in the place of whatever is there."""
    shutil.rmtree(directory, ignore_errors=True)
    with tarfile.open(DATA / f"store-schema-{version}.tar.xz") as archive:
        archive.extractall(directory)


def subjects(server, user):
    return [re.search(rb"^Subject: (.*)$", text, re.M)[1].decode() for text in server.messages(f"{user}@example.test")]


def check_contents(server, version):
    """Of a running server on such a store."""
    wait_until(lambda: server.greets(110), "a server")
    assert subjects(server, "alice") == [f"old {i}" for i in range(1, 6)]
    assert subjects(server, "bob") == ["old 1", "old 3", "old 5"]
    names = {row["address"]: row["name"] for row in server.run_json("account", "list")}
    assert names["bob@example.test"] == "Bob Builder"
    assert "team@example.test" in server.run("alias", "list").stdout
    if version >= 2:
        assert [(entry["recipient"], entry["state"]) for entry in server.run_json("queue", "list")] == [("x@elsewhere.test", "held")]
        assert "choir@example.test" in server.run("mailinglist", "list").stdout
        # What an alias does with all mail of an account is its forwarding.
        shown = server.run("rules", "show", "carol@example.test").stdout
        assert "forward.to" in shown and "y@elsewhere.test" in shown
    if version >= 3:
        assert "helo-not-ip" in server.run("rules", "show", "bob@example.test").stdout
        assert "aunt@may.test" in server.run("list", "show", "bob@example.test", "white").stdout


def nobodys(entry):
    """It says nothing about who made it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def make(path):
    server = Server()
    try:
        server.run("account", "set", "bob@example.test", "--name", "Bob Builder")
        server.run("alias", "add", "team@example.test", "alice@example.test", "bob@example.test")
        server.run("mailinglist", "add", "choir@example.test")
        server.run("mailinglist", "join", "choir@example.test", "bob@example.test", "singer@elsewhere.test")
        server.run("list", "add", "bob@example.test", "white", "aunt@may.test")
        for i in range(6):
            server.send(f"Subject: old {i}\r\n\r\nbody of {i}\r\n", "team@example.test" if i % 2 else "alice@example.test")
        pop = server.pop()
        pop.dele(1)
        pop.quit()
        server.run("queue", "pause", "out")
        server.run("alias", "add", "away@example.test", "x@elsewhere.test")
        server.send("Subject: waits\r\n\r\nbody\r\n", "away@example.test")
        server.run("queue", "hold", "--all")
        server.run("queue", "resume", "both")
        server.run("rules", "set", "bob@example.test", "helo-not-ip=watch")
        server.run("rules", "set", "carol@example.test", "forward.to=y@elsewhere.test")
        server.stop()
        with tarfile.open(path, "w:xz") as archive:
            for name in ("store.db", "volumes"):
                archive.add(server.directory / "data" / name, name, filter=nobodys)
    finally:
        server.close()


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]))
