"""A disk that fails under the writer: the client hears 451, the writer begins anew, mail flows again by itself, nothing acknowledged is lost.

Each call that can fail is tried by ./dev torture failures; here is what that does not look at: what is told about it, a disk that is full for long, and mail that goes out.
"""
import errno
import json
import pathlib
import poplib
import re
import smtplib
import sys
import time

import pytest

from conftest import OSTIARY, wait_until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from torture.faults import COUNT, FAILED, LOADED, PWRITE, PWRITEV, SYNC, Faults, environment  # noqa: E402


@pytest.fixture
def failing(fresh, tmp_path):
    faults = Faults(tmp_path / "faults")
    library = pathlib.Path(OSTIARY).resolve().parents[1] / "torture/libfaults.so"
    server = fresh(environment=environment([library], tmp_path / "faults"))
    assert faults.get(LOADED) >= 1, "the writer did not load the shim: is the program a test build?"
    return server, faults


def try_send(server, number, size=10):
    """The last code that the client heard; 0 when the connection broke."""
    try:
        with server.smtp() as smtp:
            smtp.sendmail("s@elsewhere.test", ["alice@example.test"], f"Subject: fault {number}\r\n\r\n" + "z" * 70 * size)
            return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return next(iter(refused.recipients.values()))[0]
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0


def numbers_in_maildrop(server):
    return sorted(int(re.search(rb"^Subject: fault (\d+)$", text, re.M)[1]) for text in server.messages())


def check_store(server):
    server.stop()
    server.run("store", "check")


# (what fails, with which errno, after how many calls that work, how many fail)
CASES = [
    (SYNC, errno.EIO, 0, 1),
    (SYNC, errno.EIO, 1, 1),
    (SYNC, errno.ENOSPC, 2, 2),
    (PWRITEV, errno.ENOSPC, 0, 1),
    (PWRITEV, errno.EIO, 1, 2),
    (PWRITE, errno.ENOSPC, 0, 1),
    (PWRITE, errno.ENOSPC, 1, 1),
    (PWRITE, errno.EIO, 3, 2),
]


def test_a_failed_sync_is_told_and_never_tried_again(failing):
    server, faults = failing
    assert try_send(server, 1) == 250
    writers = faults.get(LOADED)
    faults.begin(errno.EIO, SYNC)
    assert try_send(server, 2) == 451
    assert faults.get(FAILED) == 1
    wait_until(lambda: faults.get(LOADED) > writers, "a new writer")
    wait_until(lambda: try_send(server, 3) == 250, "mail")
    found = numbers_in_maildrop(server)
    assert 1 in found and 3 in found and 2 not in found
    assert re.search(r"0 CRASH supervisor - process died role=writer", server.log())
    check_store(server)


def test_a_full_disk(failing):
    """Every write fails for a while: mail is refused for now, what is there can be read, and mail flows when there is room again."""
    server, faults = failing
    sent = [number for number in range(1, 6) if try_send(server, number) == 250]
    assert len(sent) == 5
    faults.begin(errno.ENOSPC, PWRITE | PWRITEV, count=1 << 30)
    begun = faults.get(FAILED)
    for number in range(6, 16):
        code = try_send(server, number, size=200)
        assert code in (451, 452, 421, 0), code
        time.sleep(0.1)  # not synchronisation: a while
    assert faults.get(FAILED) > begun
    assert numbers_in_maildrop(server) == sent
    faults.end()
    wait_until(lambda: try_send(server, 16) == 250, "mail with room again")
    assert set(numbers_in_maildrop(server)) >= {*sent, 16}
    check_store(server)


def has_empty_queue(server):
    result = server.run("store", "status", "--json", check=False)
    return result.returncode == 0 and json.loads(result.stdout)["queued"] == 0


def numbers_of(server, address, is_wanted):
    try:
        return [int(re.search(rb"^Subject: fault (\d+)$", text, re.M)[1]) for text in server.messages(address) if is_wanted(text)]
    except (OSError, poplib.error_proto):
        return None


def test_a_disk_that_fails_while_mail_goes_out(failing, fresh):
    """What was acknowledged arrives at the other site, and its sender hears what was refused there, whichever write fails meanwhile."""
    server, faults = failing
    far = fresh()
    far.run("domain", "add", "far.test")
    for name in ("erin", "closed"):
        far.run("account", "add", f"{name}@far.test", "--password-stdin", text_input="sandbox\n")
    far.run("account", "set", "closed@far.test", "--disable")
    server.stop()
    server.configure(f'client_networks = {{ "127.0.0.0/8" }}\ncourier = {{ smart_host = "127.0.0.1:{far.port(25)}", smart_host_tls = "none", '
                     'retry_first = "1s", retry_longest = "1s" }')
    server.start()
    acknowledged, number = set(), 0

    def send():
        nonlocal number
        number += 1
        try:
            with server.smtp() as smtp:
                if not smtp.sendmail("bob@example.test", ["erin@far.test", "closed@far.test"], f"Subject: fault {number}\r\n\r\nbody\r\n"):
                    acknowledged.add(number)
        except (OSError, smtplib.SMTPException):
            time.sleep(0.02)  # not synchronisation: a client that was refused does not hammer
        return number in acknowledged

    for kinds, error, skip, count in CASES[::3]:  # the writer comes back later each time
        wait_until(send, "mail before the fault")
        faults.begin(error, kinds, skip + number % 4, count)
        while faults.get(COUNT):
            send()
        faults.end()
        wait_until(send, "mail behind the fault")
    wait_until(lambda: has_empty_queue(server), "an empty queue")
    there = wait_until(lambda: numbers_of(far, "erin@far.test", lambda text: True), "the other site's maildrop")
    assert acknowledged and acknowledged <= set(there), "lost"
    told = wait_until(lambda: numbers_of(server, "bob@example.test", lambda text: b"closed@far.test" in text and b"Action: failed" in text), "the reports")
    assert acknowledged <= set(told), "a sender who heard nothing"
    assert len(told) == len(set(told)), "told twice"
    check_store(server)
