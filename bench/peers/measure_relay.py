"""Relaying: the load client -> server -> smtp-sink, until the server's queue is empty. Each server gets so many messages as it does in a round's time."""
import os
import shutil
import subprocess
import time

import measure_receive
import peer as peers_module
from measure import Row, alternate, figures, once_or_note, say

PART = "relay"
PATH = os.environ["PATH"] + ":/usr/sbin"
SMTP_SINK = shutil.which("smtp-sink", path=PATH) or "smtp-sink"
SESSIONS, SIZE_NAME = 50, "4 KiB"
SECONDS, QUICK_SECONDS, MOST = 2.0, 0.5, 20000
BACKLOG = 1000


class Sink:
    """Postfix's smtp-sink takes everything and keeps nothing. It offers no STARTTLS."""

    def __init__(self):
        self.port = peers_module.free_port()
        self.process = subprocess.Popen([SMTP_SINK, "-u", "nobody", f"127.0.0.1:{self.port}", str(BACKLOG)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait()


def relay(server, path, reuse, seconds, most):
    """(messages a second, CPU microseconds a message)"""
    cpu = server.cpu_seconds()
    cell = (SESSIONS, SIZE_NAME, reuse, 1, False)
    sent = measure_receive.send(server, path, cell, seconds, most, peers_module.SINK_DOMAIN)
    measure_receive.wait_until(lambda: server.queued() == 0, server)
    ended = time.time()
    server.settle()
    return sent["messages"] / (ended - sent["began"]), (server.cpu_seconds() - cpu) * 1e6 / sent["messages"]


def limited(a_second, seconds):
    """How many messages make a round of so many seconds."""
    return max(SESSIONS, min(MOST, int(1.5 * a_second * seconds)))


def measure_servers(servers, quick, work):
    path = work / "message-relay"
    path.write_bytes(measure_receive.message(measure_receive.SIZES[SIZE_NAME]))
    seconds, rows = QUICK_SECONDS if quick else SECONDS, []
    pace = {}
    for server in servers:
        for most in (SESSIONS, 4 * SESSIONS):  # warm: processes and destinations are there; and each server's pace is known
            pace[server.name] = relay(server, path, False, seconds, min(most, limited(pace.get(server.name, most), seconds)))[0]
    for reuse in (False, True):
        name = f"{SIZE_NAME}, {SESSIONS} sessions, {'reused' if reuse else 'new'} connections in"
        labels = {"sessions": SESSIONS, "size": SIZE_NAME, "reuse": reuse}
        rate, cost = Row(PART, name, "messages/s", "higher", labels), Row(PART, name, "us CPU a message", "lower", labels)

        def once(server, _, reuse=reuse, rate=rate, cost=cost):
            a_second, each = relay(server, path, reuse, seconds, limited(pace[server.name], seconds))
            pace[server.name] = max(pace[server.name] / 2, a_second)
            rate.add(server, a_second)
            cost.add(server, each)

        alternate(servers, 1 if quick else 3, once_or_note(once, (rate, cost)))
        say(figures(rate))
        say(figures(cost))
        rows += [rate, cost]
    return rows


def measure_classes(classes, quick, work):
    sink, servers = Sink(), []
    try:
        for each in classes:
            server = each(work, sink_port=sink.port)
            servers.append(server)
            server.add_mailboxes(1)
            server.start()
        return measure_servers(servers, quick, work)
    finally:
        for server in servers:
            server.close()
        sink.close()
