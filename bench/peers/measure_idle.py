"""Memory of idle connections: so many are opened, one after the other, and held; then the proportional set size of all processes is read again."""
import pathlib
import re
import subprocess
import time

import peer as peers_module
from measure import Row, alternate, figures, say

PART = "idle"
LOAD = peers_module.ROOT / "build/release/bench/load"
# (words, service, what the load client is told more)
KINDS = (("SMTP", "smtp", ()), ("SMTP, TLS", "smtp", ("tls",)), ("POP3", "pop3", ()), ("POP3, TLS", "pop3", ("tls",)),
         ("POP3, logged in", "pop3", (f"u*@{peers_module.DOMAIN}", peers_module.PASSWORD)))
ACCOUNTS = 100  # as the load client has them
COUNTS, QUICK_COUNTS = ((1000, 3), (10000, 1)), ((200, 1),)  # connections and rounds
# A server that would need more than this share of the free memory for so many connections is not tried with them.
MEMORY_SHARE = 0.5


def available_kib():
    return int(re.search(r"^MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


def settled_kib(server):
    """When nothing changes any more: some servers give memory back a while after the last word."""
    before, end = server.resident_kib(), time.monotonic() + 30
    while True:
        time.sleep(1.5)
        after = server.resident_kib()
        if abs(after - before) <= before // 200 or time.monotonic() > end:
            return after
        before = after


def hold(server, service, more, count):
    """(KiB for each connection, how many it took of `count`)"""
    before = settled_kib(server)
    command = [LOAD, "idle", "127.0.0.1", str(server.port(service)), str(count), service, *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        said = load.stdout.readline().split()
        none = said[:1] != ["open"] or said[1] == "0"
        after = 0 if none else settled_kib(server)
        load.stdin.close()  # it lets go of them
        load.stdin = None
        if none:
            raise peers_module.BenchError(f"{server.title}: {service} connections could not be opened: {load.stderr.read()}{server.log()}")
        if load.wait() != 0:
            raise peers_module.BenchError(f"{server.title}: the idle connections did not last: {load.stderr.read()}")
    return (after - before) / int(said[1]), int(said[1])


def one(each, work, service, more, count):
    """(the server, KiB for each connection, how many)"""
    server = each(work, connections=count + 100)
    try:
        server.add_mailboxes(ACCOUNTS)
        server.start()
        return server, *hold(server, service, more, count)
    finally:
        server.close()


def why_not(each, more, count, fewer):
    """Why it is not tried, or "". `fewer`: the row of the same with fewer connections, or None."""
    if more == ("tls",) and "starttls" in each.lacks:
        return each.lacks["starttls"]
    if not fewer or each.name not in fewer.rounds:
        return ""
    if each.name in fewer.notes:
        return "not tried, as it takes no more than the row before says."
    expected = fewer.middle(each.name) * count
    if expected > MEMORY_SHARE * available_kib():
        return f"not tried: {expected / 1048576:.0f} GiB would be needed, as it has a process for each."
    return ""


def measure_row(row, classes, work, service, more, count, rounds, fewer):
    def once(each, _):
        reason = why_not(each, more, count, fewer)
        if reason:
            row.notes[each.name] = reason
            return
        try:
            server, kib, taken = one(each, work, service, more, count)
        except peers_module.BenchError as problem:
            if each.name == "ostiary":
                raise
            row.notes[each.name] = f"it failed: {str(problem).splitlines()[0][:200]}"
            say(f"{PART}: {each.title}: {problem}")
            return
        row.add(server, kib)
        if taken < count:
            row.notes[each.name] = f"it had taken {taken:,} connections when it refused one or 150 s were over; the figure is of these."

    alternate([c for c in classes if f"idle-{service}" in c.parts], rounds, once)
    if row.rounds:
        say(figures(row))


def measure_classes(classes, quick, work):
    """A row for each kind of connection and each number of them."""
    out, fewer = [], {}
    for count, rounds in QUICK_COUNTS if quick else COUNTS:
        for words, service, more in KINDS:
            row = Row(PART, f"{count:,} {words}", "KiB a connection", "lower", {"connections": count, "service": service})
            measure_row(row, classes, work, service, more, count, rounds, fewer.get(words))
            fewer[words] = row
            out.append(row)
    return out
