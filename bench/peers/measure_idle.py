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
    """KiB for each of `count` connections."""
    before = settled_kib(server)
    command = [LOAD, "idle", "127.0.0.1", str(server.port(service)), str(count), service, *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        if load.stdout.readline() != "open\n":
            raise peers_module.BenchError(f"{server.title}: {count:,} {service} connections could not be opened: {load.stderr.read()}{server.log()}")
        after = settled_kib(server)
        load.stdin.close()
        load.stdin = None
        if load.wait() != 0:
            raise peers_module.BenchError(f"{server.title}: the idle connections did not last: {load.stderr.read()}")
    return (after - before) / count


def one(each, work, service, more, count):
    server = each(work, connections=count + 100)
    try:
        server.add_mailboxes(ACCOUNTS)
        server.start()
        return server, hold(server, service, more, count)
    finally:
        server.close()


def measure_row(row, classes, work, service, more, count, rounds, fewer):
    """`fewer`: the same with fewer connections, or None."""
    def once(each, _):
        if more == ("tls",) and "starttls" in each.lacks:
            row.notes[each.name] = each.lacks["starttls"]
            return
        expected = fewer.middle(each.name) * count if fewer and each.name in fewer.rounds else 0
        if expected > MEMORY_SHARE * available_kib():
            row.notes[each.name] = f"not tried: {expected / 1048576:.0f} GiB would be needed, as it has a process for each."
            return
        server, kib = one(each, work, service, more, count)
        row.add(server, kib)

    alternate([c for c in classes if f"idle-{service}" in c.parts], rounds, once)
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
