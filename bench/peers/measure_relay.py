"""Relaying: the load client -> server -> smtp-sink, until the server's queue is empty. Each server gets so many messages as it does in a round's time."""
import os
import re
import shutil
import subprocess
import time

import measure_receive
import peer as peers_module
from measure import Row, alternate, figures, next_pace, once_or_note, say, those_able

PART = "relay"
PATH = os.environ["PATH"] + ":/usr/sbin"
SMTP_SINK = shutil.which("smtp-sink", path=PATH) or "smtp-sink"
SESSIONS, SIZE_NAME = 50, "4 KiB"
SECONDS, QUICK_SECONDS, MOST = 2.0, 0.5, 20000
BACKLOG = 1000


class Sink:
    """Postfix's smtp-sink takes everything, counts it (-c) and keeps nothing. It offers no STARTTLS."""

    def __init__(self, work):
        self.port, self.path = peers_module.free_port(), work / "sink"
        with self.path.open("wb") as output:
            self.process = subprocess.Popen([SMTP_SINK, "-c", "-u", "nobody", f"127.0.0.1:{self.port}", str(BACKLOG)], stdout=output, stderr=output)

    def taken(self):
        """Messages until now."""
        with self.path.open("rb") as output:
            output.seek(max(0, self.path.stat().st_size - 200))
            counts = re.findall(rb"mesg=(\d+)", output.read())
        return int(counts[-1]) if counts else 0

    def close(self):
        self.process.terminate()
        self.process.wait()


def relay(server, sink, path, reuse, seconds, most):
    """(messages a second, CPU microseconds a message, connections that its backlog lost)"""
    cpu, taken = server.cpu_seconds(), sink.taken()
    cell = (SESSIONS, SIZE_NAME, reuse, 1, False)
    sent = measure_receive.send(server, path, cell, seconds, most, peers_module.SINK_DOMAIN)
    measure_receive.wait_until(lambda: server.queued() == 0, server)
    ended = time.time()
    server.settle()
    if sink.taken() - taken != sent["messages"]:
        raise peers_module.BenchError(f"{server.title}: {sent['messages']} messages were sent, {sink.taken() - taken} came to the other site")
    return sent["messages"] / (ended - sent["began"]), (server.cpu_seconds() - cpu) * 1e6 / sent["messages"], sent["lost"]


def limited(a_second, seconds):
    """How many messages make a round of so many seconds."""
    return max(SESSIONS, min(MOST, int(1.5 * a_second * seconds)))


def measure_servers(servers, sink, quick, work):
    path = work / "message-relay"
    path.write_bytes(measure_receive.message(measure_receive.SIZES[SIZE_NAME]))
    seconds, rows = QUICK_SECONDS if quick else SECONDS, []
    pace = {}

    def warm(server):
        """Processes and destinations are there; and each server's pace is known."""
        for most in (SESSIONS, 4 * SESSIONS, 16 * SESSIONS):
            a_second, each, _ = relay(server, sink, path, False, seconds, min(most, limited(pace.get(server.name, most), seconds)))
            pace[server.name] = next_pace(0, a_second, each)

    servers, notes = those_able(servers, warm)
    for reuse in (False, True):
        name = f"{SIZE_NAME}, {SESSIONS} sessions, {'reused' if reuse else 'new'} connections in"
        labels = {"sessions": SESSIONS, "size": SIZE_NAME, "reuse": reuse}
        rate, cost = Row(PART, name, "messages/s", "higher", labels), Row(PART, name, "us CPU a message", "lower", labels)

        losses = {}

        def once(server, _, reuse=reuse, rate=rate, cost=cost, losses=losses):
            a_second, each, lost = relay(server, sink, path, reuse, seconds, limited(pace[server.name], seconds))
            pace[server.name] = next_pace(pace[server.name], a_second, each)
            rate.add(server, a_second)
            cost.add(server, each)
            if lost:
                losses[server.name] = losses.get(server.name, 0) + lost
                rate.notes[server.name] = f"{losses[server.name]} connections were lost in its full backlog, and tried again after a second."

        alternate(servers, 1 if quick else 3, once_or_note(once, (rate, cost)))
        say(figures(rate))
        say(figures(cost))
        for row in (rate, cost):
            row.notes.update(notes)
        rows += [rate, cost]
    return rows


def measure_classes(classes, quick, work):
    sink, servers = Sink(work), []
    try:
        for each in classes:
            server = each(work, sink_port=sink.port)
            servers.append(server)
            server.add_mailboxes(1)
            server.start()
        return measure_servers(servers, sink, quick, work)
    finally:
        for server in servers:
            server.close()
        sink.close()
