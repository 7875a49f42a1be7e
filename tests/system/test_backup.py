"""Backups while the server runs, under load, and what comes back from them."""
import concurrent.futures
import re
import shutil
import subprocess
import threading

import pytest

from conftest import wait_until

MESSAGE = "From: a@b.test\nSubject: {0}\nMessage-ID: <{0}@b.test>\n\nbody of {0}\n" + "x" * 2000 + "\n"


def subjects(server, **who):
    return {re.search(rb"^Subject: (\S+)", m, re.M)[1].decode() for m in server.messages(**who)}


class Load:
    """Senders that go on until stop(); `stored` has the subject of each message whose 250 they read."""

    def __init__(self, server, senders=4):
        self.server, self.stored, self.ending = server, [], threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(senders)
        self.futures = [self.pool.submit(self.run, i) for i in range(senders)]

    def run(self, sender):
        number = 0
        while not self.ending.is_set():
            with self.server.smtp() as smtp:
                for _ in range(20):
                    subject = f"m{sender}-{number}"
                    number += 1
                    smtp.sendmail("a@b.test", ["alice@example.test"], MESSAGE.format(subject))
                    self.stored.append(subject)

    def stop(self):
        self.ending.set()
        for future in self.futures:
            future.result()
        self.pool.shutdown()


@pytest.fixture
def backup(tmp_path):
    return tmp_path / "backup"


def restored(server, backup):
    """The same server's place with the backup in it, started."""
    server.stop()
    shutil.rmtree(server.directory / "data")
    result = server.run_json("restore", str(backup))
    assert server.run_json("store", "check")["good"]
    server.start()
    return result


def test_all_that_was_acknowledged_before_is_in_the_backup(fresh, backup):
    server = fresh()
    load = Load(server)
    while len(load.stored) < 200:
        load.ending.wait(0.05)
    before = list(load.stored)
    server.run("backup", str(backup))
    load.stop()
    restored(server, backup)
    got = subjects(server)
    # What the server said 250 to afterwards may be there or not.
    assert set(before) <= got, set(before) - got
    server.send(MESSAGE.format("after"))
    assert "after" in subjects(server)


def test_backups_go_on_from_the_one_before(fresh, backup):
    server = fresh('smtp.message_size = "1M"\nstore.volume_size = "1M"\nstore.compress_from = 0')
    for i in range(8):
        server.send(MESSAGE.format(f"first{i}") + ("y" * 70 + "\n") * 4000)
    first = server.run_json("backup", str(backup))
    assert first["volumes"] >= 2 and first["copied"] >= first["bytes"] > 2000000
    old = (backup / "manifest").read_text()
    server.send(MESSAGE.format("second"))
    second = server.run_json("backup", str(backup))
    database = sum(f.stat().st_size for f in backup.glob("store.db.*"))
    assert second["copied"] <= database + 10000, (first, second)  # the database, and what was added
    assert len(list(backup.glob("store.db.*"))) == 1 and (backup / "manifest").read_text() != old
    restored(server, backup)
    assert subjects(server) == {f"first{i}" for i in range(8)} | {"second"}


def test_deleted_mail_and_compaction_meanwhile(fresh, backup):
    server = fresh('smtp.message_size = "1M"\nstore.volume_size = "1M"\nstore.compress_from = 0')
    for i in range(10):
        server.send(MESSAGE.format(f"m{i}") + ("y" * 70 + "\n") * 4000)
    server.run("backup", str(backup))
    pop = server.pop()
    for i in range(9):
        pop.dele(i + 1)
    pop.quit()
    assert server.run_json("store", "compact", "--dead", "10")["volumes_removed"] > 0
    server.run("backup", str(backup))
    manifest = (backup / "manifest").read_text()
    assert sorted(p.name for p in (backup / "volumes").iterdir()) == sorted(re.findall(r"volumes/(\S+)", manifest))
    restored(server, backup)
    assert subjects(server) == {"m9"}


def test_what_stands_beside_the_store_is_in_it(fresh, backup):
    server = fresh()
    server.run("blacklist", "add", "10.0.0.1")
    server.run("backup", str(backup))
    assert (backup / "ostiary.conf").read_text() == server.config.read_text()
    assert {p.stat().st_mode & 0o77 for p in backup.rglob("*")} == {0}
    restored(server, backup)
    assert (server.directory / "data" / "blacklist.txt").read_text() == "10.0.0.1\n"
    assert {p.stat().st_uid for p in (server.directory / "data").rglob("*")} == {(server.directory / "data").stat().st_uid}


def test_a_damaged_backup_is_refused_and_leaves_nothing(fresh, backup):
    server = fresh()
    server.send(MESSAGE.format("x"))
    server.run("backup", str(backup))
    server.stop()
    kept = server.directory / "kept"
    (server.directory / "data").rename(kept)
    for name in ("volumes/0001.vol", next(backup.glob("store.db.*")).name):
        good = (backup / name).read_bytes()
        (backup / name).write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
        result = server.run("restore", str(backup), check=False)
        assert result.returncode == 65 and f"{name} is not what the manifest says" in result.stderr
        assert list((server.directory / "data").iterdir()) == []
        (backup / name).write_bytes(good)
    manifest = (backup / "manifest").read_text()
    for text in ("", manifest[:-3], manifest.replace("volumes/0001.vol", "../../etc/x"), manifest.replace("backup 1", "backup 2")):
        (backup / "manifest").write_text(text)
        result = server.run("restore", str(backup), check=False)
        assert result.returncode == 65 and "manifest" in result.stderr, text
    (backup / "manifest").write_text(manifest)
    server.run("restore", str(backup))
    kept.rename(server.directory / "again")
    server.start()
    assert subjects(server) == {"x"}


def test_what_is_refused(fresh, backup, tmp_path):
    server = fresh()
    server.run("backup", str(backup))
    assert "a server runs on" in server.run("restore", str(backup), check=False).stderr
    server.stop()
    result = server.run("restore", str(backup), check=False)
    assert result.returncode == 73 and "is not empty" in result.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    result = server.run("backup", str(tmp_path / "other"), check=False)
    assert result.returncode == 73 and "has other things in it" in result.stderr
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["file"]
    other = fresh()
    result = other.run("backup", str(backup), check=False)
    assert result.returncode == 73 and "of another store" in result.stderr
    # The server that is stopped is backed up as well.
    assert server.run_json("backup", str(backup))["volumes"] == 1


def test_a_backup_that_fails_leaves_the_one_before_whole(fresh, backup):
    """Also where files changed that are in it, and where the volumes are those of another history."""
    server = fresh()
    server.send(MESSAGE.format("x"))
    server.run("blacklist", "add", "10.0.0.1")
    server.run("backup", str(backup))
    old = server.config.read_text()
    server.stop()
    shutil.copytree(server.directory / "data", server.directory / "then")
    server.start()
    server.send(MESSAGE.format("y"))
    server.run("backup", str(backup))
    # The store goes back to where it was and has other mail in the place of y's.
    server.stop()
    shutil.rmtree(server.directory / "data")
    (server.directory / "then").rename(server.directory / "data")
    server.start()
    server.send(MESSAGE.format("z"))
    server.config.write_text("-- changed\n" + old)
    blacklist = server.directory / "data" / "blacklist.txt"
    blacklist.rename(server.directory / "kept")
    blacklist.mkdir()
    result = server.run("backup", str(backup), check=False)
    assert result.returncode != 0 and "blacklist.txt can't be copied" in result.stderr
    blacklist.rmdir()
    (server.directory / "kept").rename(blacklist)
    # What was begun is still what was: x and y.
    server.stop()
    (server.directory / "data").rename(server.directory / "kept")
    server.run("restore", str(backup))
    assert (server.directory / "data" / "ostiary.conf").read_text() == old
    server.start()
    assert subjects(server) == {"x", "y"}
    # The next one that is whole takes its place, and nothing of the others stays.
    server.stop()
    shutil.rmtree(server.directory / "data")
    (server.directory / "kept").rename(server.directory / "data")
    server.run("backup", str(backup))
    listed = re.findall(r"^file \S+ \S+ (\S+)$", (backup / "manifest").read_text(), re.M)
    assert sorted(listed + ["manifest"]) == sorted(str(p.relative_to(backup)) for p in backup.rglob("*") if p.is_file())
    server.start()
    restored(server, backup)
    assert (server.directory / "data" / "ostiary.conf").read_text() == "-- changed\n" + old
    assert subjects(server) == {"x", "z"}


def test_a_backup_that_is_killed(fresh, backup, tmp_path):
    server = fresh('smtp.message_size = "1M"\nstore.volume_size = "1M"\nstore.compress_from = 0')
    for i in range(6):
        server.send(MESSAGE.format(f"m{i}") + ("y" * 70 + "\n") * 8000)
    killed = 0
    while killed < 5:
        words = [server.binary, "backup", str(backup), "--config", str(server.config)]
        process = subprocess.Popen(words, env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: process.poll() is not None or len(list(backup.glob("volumes/*"))) > killed % 4, "the first files")
        process.kill()
        killed += process.wait() < 0
        server.send(MESSAGE.format(f"between{killed}"))
        server.run("backup", str(backup))
    shutil.copytree(backup, tmp_path / "again")
    restored(server, tmp_path / "again")
    assert subjects(server) >= {f"m{i}" for i in range(6)} | {f"between{i + 1}" for i in range(5)}
