"""A server that stops answering, wherever it does: the mail waits for another attempt and is never given back."""
import socket

import pytest

from conftest import wait_until
from scripted_server import SILENCE
from test_courier import HOST, is_empty, queue, submit

TIMES = "".join(f'courier.{name}_timeout = "3s"\n' for name in ("connect", "greeting", "command", "data", "block", "end_of_data"))
LARGE = "Subject: out\r\n\r\n" + f"{'x' * 70}\r\n" * 120_000  # more than the buffers between two sockets hold

# What it does not answer, what it offers, and what is then said to be too late.
PHASES = {
    "greeting": ({"GREETING": SILENCE}, (), "the greeting took too long"),
    "ehlo": ({"EHLO": SILENCE}, (), "EHLO took too long"),
    "helo": ({"EHLO": "502 5.5.1 what?", "HELO": SILENCE}, (), "HELO took too long"),
    "mail": ({"MAIL": SILENCE}, (), "MAIL took too long"),
    "rcpt": ({"RCPT": SILENCE}, (), "RCPT took too long"),
    "pipelined": ({"RCPT": SILENCE}, ("PIPELINING",), "RCPT took too long"),
    "data": ({"DATA": SILENCE}, (), "DATA took too long"),
    "block": ({"BODY": SILENCE}, (), "the message took too long"),
    "end": ({".": SILENCE}, (), "the end of the data took too long"),
}


@pytest.fixture
def silent_hosts(peer):
    """{phase: its server}, each at an address of its own and all at the same port."""
    out = {}
    for i, (phase, (answers, keywords, _)) in enumerate(PHASES.items()):
        out[phase] = peer(answers, keywords=keywords, host=f"127.0.3.{i + 1}", port=next(iter(out.values())).port if out else 0)
    return out


def test_wherever_it_falls_silent_the_mail_waits(fresh, zones, silent_hosts):
    dns = zones({f"{phase}.test": f"@ IN MX 10 mx\nmx IN A 127.0.3.{i + 1}\n" for i, phase in enumerate(PHASES)})
    near = fresh(f"{HOST}{TIMES}courier.port = {silent_hosts['greeting'].port}\n{dns.settings()}")
    submit(near, ["x@block.test"], LARGE)
    submit(near, [f"x@{phase}.test" for phase in PHASES if phase != "block"])
    wait_until(lambda: all(e["attempts"] for e in queue(near)), "an attempt at each")
    said = {e["recipient"]: e["reply"] for e in queue(near)}
    assert {phase: text for phase, (_, _, text) in PHASES.items() if text not in said[f"x@{phase}.test"]} == {}, said
    # Nobody is told of what passes.
    assert near.messages() == [] and "failed" not in near.log()
    # And it goes on where it answers again.
    for there in silent_hosts.values():
        there.answers.clear()
    near.run("queue", "retry", "--all")
    is_empty(near)
    assert {phase: len(there.messages) for phase, there in silent_hosts.items()} == dict.fromkeys(PHASES, 1)


def test_a_host_that_swallows_starttls_is_tried_without(fresh, zones, peer):
    there = peer({"STARTTLS": SILENCE}, keywords=("STARTTLS",))
    dns = zones({"far.test": "@ IN A 127.0.0.1\n"})
    near = fresh(f"{HOST}{TIMES}courier.port = {there.port}\n{dns.settings()}")
    submit(near, ["x@far.test"])
    is_empty(near)
    assert (there.sessions, len(there.messages)) == (2, 1) and "deferred" not in near.log()


def test_another_host_is_asked_instead(fresh, zones, peer):
    mute = peer({"MAIL": SILENCE}, host="127.0.3.1")
    takes = peer(host="127.0.3.2", port=mute.port)
    dns = zones({"far.test": "@ IN MX 10 a\n@ IN MX 20 b\na IN A 127.0.3.1\nb IN A 127.0.3.2\n"})
    near = fresh(f"{HOST}{TIMES}courier.port = {mute.port}\n{dns.settings()}")
    submit(near, ["x@far.test"])
    is_empty(near)
    assert (mute.sessions, len(takes.messages)) == (1, 1) and "deferred" not in near.log()


def test_a_host_that_takes_no_connection(fresh, zones):
    """Its queue of connections is full, so that nothing comes back."""
    with socket.socket() as listener:
        listener.bind(("127.0.3.1", 0))
        listener.listen(0)
        full = []
        try:
            for _ in range(8):
                s = socket.socket()
                s.setblocking(False)
                full.append(s)
                s.connect_ex(listener.getsockname())
            dns = zones({"full.test": "@ IN A 127.0.3.1\n"})
            near = fresh(f"{HOST}{TIMES}courier.port = {listener.getsockname()[1]}\n{dns.settings()}")
            submit(near, ["x@full.test"])
            entry, = wait_until(lambda: [e for e in queue(near) if e["attempts"]], "an attempt")
            assert "timed out" in entry["reply"]
            assert near.messages() == []
        finally:
            for s in full:
                s.close()
