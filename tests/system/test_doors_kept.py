"""What people set about their doors is there after a crash, a rebuild, a restored backup; and goes with its account."""
import os
import re
import shutil
import signal

from conftest import unverified, wait_until

ALICE = "alice@example.test"


def items(server):
    """The settings and lists of everybody, as text."""
    return [server.run("rules", "show", *who).stdout for who in ((ALICE,), ("--site",), ("@example.test",))] + [
        server.run("list", "show", ALICE, "white").stdout, server.run("list", "show", "--site", "denied").stdout]


def without_times(texts):
    without = [re.sub(r" on \d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text) for text in texts]
    assert without != texts
    return without


def set_doors(server):
    server.run("rules", "set", ALICE, "white-list=on", "white-list.learn=on")
    server.run("rules", "set", "@example.test", "helo-not-ip=on")
    server.run("rules", "set", "--site", "no-ptr=watch")
    server.run("list", "add", ALICE, "white", "aunt@may.test", "@friends.test")
    server.run("list", "add", "--site", "denied", "192.0.2.0/24")
    server.run("list", "remove", ALICE, "white", "@friends.test")


def test_a_crash_and_a_rebuild_lose_nothing(fresh):
    server = fresh()
    set_doors(server)
    before = items(server)
    assert "aunt@may.test" in before[3] and "@friends.test" not in before[3] and "192.0.2.0/24" in before[4]
    writer = next(pid for pid, words in server.children().items() if "writer" in words)
    os.kill(writer, signal.SIGKILL)
    wait_until(lambda: server.run("rules", "show", ALICE, check=False).returncode == 0, "the writer is back")
    assert items(server) == before
    server.stop()
    server.run("store", "check")
    server.run("store", "rebuild")
    server.run("store", "check")
    server.start()
    assert items(server) == before
    # The history is not in the volumes; it begins anew, and what is done from now on can be taken back.
    server.run("rules", "set", ALICE, "white-list=off")
    assert items(server) != before
    server.run("undo", ALICE)
    # Taking back is a change as well: the rule has been set at the time of that.
    assert without_times(items(server)) == without_times(before)


def test_a_backup_has_them(fresh, tmp_path):
    server = fresh()
    set_doors(server)
    before = items(server)
    server.run("backup", str(tmp_path / "b"))
    server.run("list", "add", ALICE, "white", "later@may.test")
    server.stop()
    shutil.rmtree(server.directory / "data")
    server.run("restore", str(tmp_path / "b"))
    server.start()
    assert items(server) == before


def test_what_is_an_accounts_goes_with_it(fresh):
    server = fresh()
    set_doors(server)
    server.run("account", "remove", ALICE, "--yes")
    server.run("account", "add", ALICE, "--password-generate")
    assert "aunt@may.test" not in server.run("list", "show", ALICE, "white").stdout
    assert "white-list.learn" not in server.run("rules", "show", ALICE).stdout
    assert "helo-not-ip" in server.run("rules", "show", ALICE).stdout  # the domain's
    server.stop()
    server.run("store", "check")


def submit(server, recipients, text):
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login(ALICE, "sandbox")
        smtp.sendmail(ALICE, recipients, text)


def test_people_that_one_writes_to_are_learned(fresh):
    server = fresh()
    server.run("queue", "pause", "out")
    submit(server, ["before@may.test"], "Subject: not yet\r\n\r\nHello\r\n")
    server.run("rules", "set", ALICE, "white-list.learn=on")
    submit(server, ["Aunt@May.test", "bob@example.test"], "Subject: hello\r\n\r\nHello\r\n")
    submit(server, ["machine@may.test"], "Subject: away\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n")
    submit(server, [f"m{i}@may.test" for i in range(51)], "Subject: all\r\n\r\nHello\r\n")
    known = server.run("list", "show", ALICE, "known").stdout
    assert "aunt@may.test" in known and "bob@example.test" in known
    assert "before@may.test" not in known and "machine@may.test" not in known and "m1@may.test" not in known
    assert "aunt@may.test" not in server.run("list", "show", "bob@example.test", "known").stdout
