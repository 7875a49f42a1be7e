"""Receiving and local delivery: from the load client's first connection until the last message is durable in the last mailbox.

Each server gets so many messages that a round takes it about SECONDS, by the pace it had before with messages of this size and so many recipients; at least
one a session, at most MOST messages or BYTES. Slow servers get fewer: all figures are rates or costs a message. CPU is counted until the server has nothing
left to do."""
import itertools
import json
import random
import time

import peer as peers_module
from measure import Row, alternate, figures, next_pace, once_or_note, say, those_able

PART = "receive"
LOAD = peers_module.ROOT / "build/release/bench/smtp_load"
MAILBOXES = 100
SIZES = {"4 KiB": 4 << 10, "64 KiB": 64 << 10, "1 MiB": 1 << 20}
SECONDS, MOST, BYTES = 1.0, 20000, 128 << 20
PATIENCE = 120
KEEP = 1 << 30  # bytes of mail, then a server begins with empty mailboxes
PROBE = 20  # messages, to learn a server's pace; not counted
QUICK_CELLS = ((1, "4 KiB", False, 1, False), (50, "4 KiB", False, 1, False), (50, "4 KiB", True, 1, False), (50, "4 KiB", False, 1, True),
               (10, "64 KiB", True, 1, False), (10, "1 MiB", True, 1, False), (10, "4 KiB", True, 20, False))


def cells(quick):
    """(sessions, size's name, connections are reused, recipients, STARTTLS)"""
    return QUICK_CELLS if quick else tuple(itertools.product((1, 10, 50), SIZES, (False, True), (1, 20), (False, True)))


WORDS = ("the a of and to in that is was for on with as it be at by this from have not are but had they which one you were all her she there would their "
         "meeting report budget contract delivery invoice Tuesday schedule customer attached regards please draft version server project review").split()


def text_lines(chance, size):
    lines, total = [], 0
    while total < size:
        line = " ".join(chance.choice(WORDS) for _ in range(chance.randint(8, 13))).encode() + b"\r\n"
        lines.append(line)
        total += len(line)
    return b"".join(lines)


def message(size):
    """`size` bytes, the same at every run: some text, and from 16 KiB on an attachment in base64, as large mail is."""
    chance = random.Random(size)
    head = (b"From: Sender <sender@load.test>\r\nTo: Undisclosed <list@example.test>\r\nSubject: Minutes of the meeting, second draft\r\n"
            b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n")
    if size < 16 << 10:
        body = head + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text_lines(chance, size)
        return body[:size - 2] + b"\r\n"
    body = head + (b'Content-Type: multipart/mixed; boundary="b0undary"\r\n\r\n--b0undary\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n'
                   + text_lines(chance, 3000) + b"--b0undary\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    end = b"--b0undary--\r\n"
    while len(body) + 78 + len(end) < size:
        body += bytes(chance.choices(letters, k=76)) + b"\r\n"
    return body + end


def cell_name(sessions, size, reuse, recipients, tls):
    return (f"{size}, {sessions} session{'s' if sessions > 1 else ''}, {'reused connections' if reuse else 'new connections'}, "
            f"{recipients} recipient{'s' if recipients > 1 else ''}{', STARTTLS' if tls else ''}")


def send(server, path, cell, seconds, most, domain=peers_module.DOMAIN):
    """What smtp_load says: {"messages", "began", "ended"}."""
    sessions, _, reuse, recipients, tls = cell
    command = [LOAD, "-s", sessions, "-m", most, "-t", seconds, "-r", recipients, "-b", MAILBOXES, "-d", domain,
               *(["-R"] if reuse else []), *(["-T"] if tls else []), "127.0.0.1", server.smtp_port, path]
    return json.loads(peers_module.run(*command))


def deliver(server, path, cell, seconds, most):
    """(messages a second, CPU microseconds a message, connections that its backlog lost)"""
    copies, cpu = server.delivered(), server.cpu_seconds()
    sent = send(server, path, cell, seconds, most)
    expected = copies + sent["messages"] * cell[3]
    ended = wait_until(lambda: server.delivered() >= expected, server)
    ended = max(server.delivered_at() or sent["ended"], sent["ended"]) if ended else sent["ended"]
    server.settle()
    cpu = server.cpu_seconds() - cpu
    if server.delivered() != expected:
        raise peers_module.BenchError(f"{server.title}: {expected - copies} copies were sent, {server.delivered() - copies} came")
    return sent["messages"] / (ended - sent["began"]), cpu * 1e6 / sent["messages"], sent["lost"]


def wait_until(test, server):
    """Looks less and less often, as looking costs the server's processors time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        began = time.monotonic()
        if test():
            return True
        time.sleep(max(0.02, 10 * (time.monotonic() - began)))
    raise peers_module.BenchError(f"{server.title}: what was sent is not in the mailboxes after {PATIENCE} s: {server.log()}")


def limited(cell, a_second):
    """How many messages make a round for a server that does so many of this kind in a second."""
    return max(cell[0], min(MOST, BYTES // (SIZES[cell[1]] * cell[3]), int(a_second * SECONDS)))


class Pace:
    """How many messages of a kind each server does in a second: what it did last, or in two probes that don't count."""

    def __init__(self, work):
        self.work, self.known = work, {}

    def path(self, cell):
        return self.work / f"message-{SIZES[cell[1]]}"

    def most(self, server, cell):
        """How many messages to send to it."""
        key = (server.name, cell[1], cell[3])
        if key not in self.known:
            probe = (10, cell[1], True, cell[3], False)
            first = deliver(server, self.path(cell), probe, SECONDS, limited(probe, PROBE / SECONDS))[0]
            self.known[key] = deliver(server, self.path(cell), probe, SECONDS, limited(probe, first))[0]
        return limited(cell, self.known[key])

    def note(self, server, cell, a_second, each):
        key = (server.name, cell[1], cell[3])
        self.known[key] = next_pace(self.known[key], a_second, each if cell[0] > 1 else None)  # one session waits for every reply


def measure_cell(peers, rounds, cell, pace):
    labels = dict(zip(("sessions", "size", "reuse", "recipients", "tls"), cell))
    rate = Row(PART, cell_name(*cell), "messages/s", "higher", labels)
    cost = Row(PART, cell_name(*cell), "us CPU a message", "lower", labels)
    losses = {}

    def once(server, _):
        a_second, each, lost = deliver(server, pace.path(cell), cell, SECONDS, pace.most(server, cell))
        pace.note(server, cell, a_second, each)
        rate.add(server, a_second)
        cost.add(server, each)
        if lost:
            losses[server.name] = losses.get(server.name, 0) + lost
            rate.notes[server.name] = f"{losses[server.name]} connections were lost in its full backlog, and tried again after a second."

    able = [server for server in peers if not (cell[4] and "starttls" in server.lacks)]
    for server in set(peers) - set(able):
        rate.notes[server.name] = cost.notes[server.name] = server.lacks["starttls"]
    alternate(able, rounds, once_or_note(once, (rate, cost)))
    return [rate, cost]


def measure(peers, quick, work, text=""):
    """Rows of both figures for each cell whose name has `text` in it."""
    pace, rows = Pace(work), []
    for size in SIZES.values():
        (work / f"message-{size}").write_bytes(message(size))

    def warm(server):
        """Processes are there."""
        send(server, pace.path((50, "4 KiB")), (50, "4 KiB", True, 1, False), SECONDS, 500)
        wait_until(lambda: server.queued() == 0, server)
        server.settle()

    peers, notes = those_able(peers, warm)
    for cell in (cell for cell in cells(quick) if text in cell_name(*cell)):
        rows += measure_cell(peers, 1 if quick else 3, cell, pace)
        for row in rows[-2:]:
            row.notes.update(notes)
        for server in peers:
            if server.data_bytes() > KEEP:
                server.clear()
        say(figures(rows[-2]))
        say(figures(rows[-1]))
    return rows
