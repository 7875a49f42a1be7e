"""The queue by the command line, with mail that waits in it; and what a pause does to those who bring mail."""
import pathlib
import smtplib
import sys

import pytest

from conftest import OSTIARY, Server, wait_until
from scripted_server import Peer

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from torture.clock import YEARS, Clock  # noqa: E402

DATA, USAGE = 65, 64


@pytest.fixture(scope="module")
def waiting():
    """A server that takes mail for two people elsewhere and sends none."""
    s = Server()
    s.run("queue", "pause", "out")
    s.run("alias", "add", "far@example.test", "one@b.invalid", "two@c.invalid")
    for subject in ("first", "second"):
        with s.smtp() as c:
            c.sendmail("bob@example.test", ["far@example.test"], f"Subject: {subject}\r\nX-Bell: \x07\r\n\r\nbody\r\n")
    yield s
    s.close()


def rows(s, *words):
    return s.run_json("queue", "list", *words)


def test_what_waits_is_listed(waiting):
    listed = rows(waiting)
    assert [row["recipient"] for row in listed] == ["one@b.invalid", "two@c.invalid"] * 2
    assert {row["destination"] for row in listed} == {"b.invalid", "c.invalid"}
    assert all(row["state"] == "due" and row["kind"] == "remote" and row["attempts"] == 0 for row in listed)
    assert all(row["original"] == "far@example.test" and row["sender"] == "bob@example.test" for row in listed)
    text = waiting.run("queue", "list").stdout
    assert "Sending is paused" in text and "4 recipients" in text and "bob@example.test -> two@c.invalid" in text
    assert len(rows(waiting, "b.invalid")) == 2 and len(rows(waiting, "@B.invalid")) == 2 and len(rows(waiting, "x.invalid")) == 0
    assert len(rows(waiting, "two@c.invalid")) == 2 and len(rows(waiting, "@example.test")) == 4
    message, number = listed[0]["id"].split(".")
    assert len(rows(waiting, message)) == 2 and len(rows(waiting, f"{message}.{number}")) == 1


def test_a_message_is_shown(waiting):
    message = rows(waiting)[0]["id"].split(".")[0]
    shown = waiting.run_json("queue", "show", message)
    assert [row["recipient"] for row in shown["entries"]] == ["one@b.invalid", "two@c.invalid"]
    assert "Subject: first" in shown["header"] and "Received:" in shown["header"] and "body" not in shown["header"]
    text = waiting.run("queue", "show", message).stdout
    assert "named far@example.test by its sender" in text and "Subject: first" in text
    assert "X-Bell: ?" in text and "\x07" not in text


def test_what_cannot_be_done(waiting):
    for words, said, status in (
        (("show", "ffffff"), "there is no ffffff in the queue", DATA),
        (("show", "b.invalid"), "is no id of a message", USAGE),
        (("hold",), "say which", USAGE),
        (("hold", "--all", "b.invalid"), "say which", USAGE),
        (("hold", "nonsense"), "is no id, address or domain", USAGE),
        (("pause", "sideways"), "is not one of in, out and both", USAGE),
        (("drop", "--all"), "nothing was dropped", USAGE),
    ):
        result = waiting.run("queue", *words, check=False)
        assert result.returncode == status and said in result.stderr and result.stdout == "", (words, result)


def test_held_over_a_rebuild_and_dropped(waiting):
    before = rows(waiting)
    assert waiting.run_json("queue", "hold", "c.invalid")["changed"] == 2
    assert waiting.run_json("queue", "hold", before[0]["id"])["changed"] == 1
    assert waiting.run_json("queue", "release", before[1]["id"])["changed"] == 1
    assert waiting.run_json("queue", "drop", before[2]["id"], "--yes")["changed"] == 1
    expected = [(before[0]["id"], "held"), (before[1]["id"], "due"), (before[3]["id"], "held")]
    assert [(row["id"], row["state"]) for row in rows(waiting)] == expected
    waiting.stop()
    assert [(row["id"], row["state"]) for row in rows(waiting)] == expected
    waiting.run("store", "rebuild")
    assert [(row["id"], row["state"]) for row in rows(waiting)] == expected
    assert waiting.run_json("store", "check")["good"] is True
    # The pause was in the database that is made anew.
    waiting.run("queue", "pause", "out")
    assert waiting.run_json("queue", "bounce", "--all")["changed"] == 3
    assert all(row["give_up"] and row["state"] == "due" for row in rows(waiting))
    assert waiting.run_json("queue", "drop", "--all", "--yes")["changed"] == 3
    assert rows(waiting) == [] and waiting.run_json("store", "check")["good"] is True


def test_intake_paused_puts_senders_off():
    s = Server()
    try:
        s.run("queue", "pause", "in")
        with s.smtp() as c:
            c.ehlo()
            c.mail("someone@elsewhere.test")
            code, text = c.rcpt("alice@example.test")
            assert code == 452 and text.startswith(b"4.3.2")
        s.run("queue", "resume", "in")
        s.send("Subject: now\r\n\r\nx\r\n")
        assert len(s.messages()) == 1
    except smtplib.SMTPException as error:
        pytest.fail(str(error))
    finally:
        s.close()


def test_a_start_before_the_machine_knows_the_time(fresh, tmp_path):
    """It was down, starts ten years behind and hears the time later: what waits goes on, as old as it is, and so does a session."""
    clock = Clock(tmp_path, pathlib.Path(OSTIARY).resolve().parents[1] / "torture/libclock_shim.so")
    peer = Peer({"RCPT TO:": "451 4.3.0 not now"})
    server = fresh(f"""client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:{peer.port}", smart_host_tls = "none", retry_first = "1s", retry_longest = "2s" }}""", environment=clock.environment)
    with server.smtp() as c:
        c.sendmail("bob@example.test", ["friend@far.test"], "Subject: waits\r\n\r\nbody\r\n")
    server.send("Subject: read later\r\n\r\nbody\r\n")
    first = wait_until(lambda: next((row for row in rows(server) if row["attempts"]), None), "the first attempt")
    server.stop()
    clock.set(-YEARS)
    server.start()
    pop = server.pop()
    wait_until(lambda: any(row["attempts"] > first["attempts"] + 1 for row in rows(server)), "attempts while the clock is behind")
    clock.set(0)
    wait_until(lambda: "where it can be right, and is believed" in server.log(), "the right clock is believed")
    row = wait_until(lambda: next((row for row in rows(server) if row["next_at"] > first["next_at"]), None), "an attempt by the right clock")
    assert row["created_at"] == first["created_at"]
    assert b"Subject: read later" in pop.retr(1)[1]
    pop.quit()
    assert server.messages("bob@example.test") == []
    peer.close()
