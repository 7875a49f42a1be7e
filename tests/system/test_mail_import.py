"""Other programs' mail: Maildirs and mbox files come in, with their folders, flags and dates."""
import mailbox
import os
import sqlite3

import pytest


def rows(server):
    """(mailbox, uid, flags, received in seconds) of alice's mail, by mailbox and uid."""
    with sqlite3.connect(f"file:{server.directory}/data/store.db?mode=ro", uri=True) as db:
        return db.execute(
            "SELECT b.name, e.uid, e.flags, m.received_at / 1000000000 FROM entry e JOIN mailbox b ON b.id = e.mailbox_id"
            " JOIN message m ON m.id = e.message_id JOIN account a ON a.id = b.account_id WHERE a.local_part = 'alice'"
            " ORDER BY b.name, e.uid").fetchall()


def message(subject, body="hello\n"):
    return f"From: a@b.test\nTo: alice@example.test\nSubject: {subject}\n\n{body}"


def put(folder, name, text, when):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (when, when))


def test_a_maildir_with_its_folders(fresh, tmp_path):
    server = fresh()
    root = tmp_path / "Maildir"
    put(root, "new/1700000001.a.host", message("new"), 1700000001)
    put(root, "cur/1700000000.b.host,S=10:2,FRS", message("old"), 1700000000)
    put(root, "cur/1700000002.c.host:2,DT", message("draft"), 1700000002)
    put(root, ".Archive.2019/cur/1500000000.d.host:2,S", message("archived"), 1500000000)
    put(root, ".Gel&APY-scht/cur/1500000001.e.host:2,", message("umlaut"), 1500000001)
    put(root, "tmp/1.x", message("unfinished"), 1)
    put(root, "dovecot-uidlist", "not mail", 1)
    result = server.run("mail", "import", "--account", "alice@example.test", str(root))
    assert result.stdout.startswith("5 messages with ")
    got = {(name, flags, when) for name, _, flags, when in rows(server)}
    assert got == {("INBOX", 0, 1700000001), ("INBOX", 7, 1700000000), ("INBOX", 24, 1700000002),
                   ("Archive/2019", 1, 1500000000), ("Gel\u00f6scht", 0, 1500000001)}
    assert sorted(server.messages()) == sorted(message(s).encode().rstrip(b"\n") for s in ("new", "old", "draft"))
    assert server.run_json("store", "check")["good"]


def test_an_mbox(fresh, tmp_path):
    server = fresh()
    path = tmp_path / "mbox"
    path.write_text("From someone@b.test Mon Nov 13 22:13:20 2023\n" + message("one", "text\n>From here\n>>From there\n\nFrom\n")
                    + "\nFrom - Tue Nov 14 22:13:20 2023\nStatus: RO\nX-Status: AF\n" + message("two", "last\n"))
    server.run("mail", "import", "--account", "alice@example.test", "--mailbox", "Old/Box", "--format", "mbox", str(path))
    assert [(name, flags, when) for name, _, flags, when in sorted(rows(server), key=lambda r: r[3])] == [
        ("Old/Box", 0, 1699913600), ("Old/Box", 7, 1700000000)]
    server.run("mail", "import", "--account", "alice@example.test", str(path))
    bodies = sorted(server.messages())
    assert b"text\nFrom here\n>From there\n\nFrom" in bodies[0] and bodies[0].startswith(b"From: a@b.test")


def test_python_reads_what_python_wrote(fresh, tmp_path):
    server = fresh()
    box = mailbox.mbox(tmp_path / "box")
    for i in range(300):
        box.add(mailbox.mboxMessage(message(f"n{i}", f"From the start {i}\n")))
    box.close()
    assert server.run("mail", "import", "--account", "alice@example.test", str(tmp_path / "box")).stdout.startswith("300 messages")
    got = {m.split(b"Subject: ")[1].split(b"\n")[0].decode() for m in server.messages()}
    assert got == {f"n{i}" for i in range(300)}


def test_bad_messages_are_named_and_the_rest_is_taken(fresh, tmp_path):
    server = fresh("smtp.message_size = \"1M\"")
    root = tmp_path / "Maildir"
    put(root, "cur/1.good:2,S", message("good"), 1700000000)
    put(root, "cur/2.large:2,S", message("large", ("x" * 70 + "\n") * 50000), 1700000000)
    put(root, "cur/3.empty:2,S", "", 1700000000)
    (root / "cur" / "4.directory").mkdir()
    result = server.run("mail", "import", "--account", "alice@example.test", str(root), check=False)
    assert result.returncode == 65 and "1 imported, 3 could not be" in result.stderr
    assert "2.large:2,S: The message has" in result.stderr and "3.empty:2,S: can't be read" in result.stderr
    assert len(rows(server)) == 1


@pytest.mark.parametrize("words, status, said", [
    (["/nowhere", "--account", "alice@example.test"], 66, "can't be read"),
    (["/etc/hostname"], 64, "--account"),
    (["/etc/hostname", "--account", "alice@example.test", "--format", "tar"], 64, "maildir or mbox"),
    (["/etc/hostname", "--account", "alice@example.test"], 65, "is no mbox"),
])
def test_what_is_refused(server, words, status, said):
    result = server.run("mail", "import", *words, check=False)
    assert result.returncode == status and said in result.stderr


def test_nobody_s_account(server, tmp_path):
    put(tmp_path, "cur/1.good:2,S", message("good"), 1700000000)
    result = server.run("mail", "import", str(tmp_path), "--account", "nobody@example.test", check=False)
    assert result.returncode == 65 and "There is no account nobody@example.test" in result.stderr


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_what_is_exported_comes_back_the_same(fresh, tmp_path, form):
    server = fresh()
    root = tmp_path / "Maildir"
    put(root, "cur/1700000000.b.host:2,FRS", message("old", "From the start\n>From quoted\n"), 1700000000)
    put(root, "new/1700000001.a.host", message("new"), 1700000001)
    put(root, ".Gel&APY-scht.x/cur/1500000001.e.host:2,S", message("umlaut"), 1500000001)
    server.run("mail", "import", "--account", "alice@example.test", str(root))
    out = tmp_path / "out"
    assert server.run("mail", "export", "--account", "alice@example.test", "--format", form, str(out)).stdout.startswith("3 messages")
    if form == "mbox":
        assert len(mailbox.mbox(out / "INBOX.mbox")) == 2
        server.run("mail", "import", "--account", "bob@example.test", str(out / "INBOX.mbox"))
    else:
        assert len(mailbox.Maildir(out, create=False)) == 2
        assert (out / ".Gel&APY-scht.x" / "cur").is_dir()
        server.run("mail", "import", "--account", "bob@example.test", str(out))
    assert sorted(server.messages("bob@example.test")) == sorted(server.messages())
    assert "not there yet" in server.run("mail", "export", "--account", "alice@example.test", str(out), check=False).stderr
