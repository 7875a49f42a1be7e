"""Honest mail beside 10,000 refusals by somebody's rule in a second, from thousands of addresses.

One stream of honest mail flows all the time, as fast as the server takes it; the flood comes and goes, a window with it between two without. Each is compared
with its two neighbours: the machine's own speed differs more from minute to minute than the flood makes it.
"""
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

from relay import SMTP_SOURCE

RATE = 10400  # asked for: what is under way at a flood's beginning and end is missing in what it reaches, which shall be 10,000
SESSIONS = (20, 50)  # of honest mail
SIZE = 4096
SETTLES = 0.2  # seconds until a flood, or what is left of it, is in full flow, or gone
WINDOW = 1  # second
TELLS = 12  # seconds: the gates add a flood's attempts up for ten before they tell
ALONE = 10  # seconds of a flood without honest mail
VICTIM = "carol@example.test"


class Flood:
    def __init__(self, load, port):
        command = [load, "refuse", "127.0.0.1", str(port), str(RATE), VICTIM]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        """What it counted."""
        self.process.stdin.close()
        counted = json.loads(self.process.stdout.readline())
        self.process.wait()
        return counted


@contextlib.contextmanager
def honest_mail(port, sessions):
    command = [SMTP_SOURCE, "-s", str(sessions), "-m", "1000000000", "-l", str(SIZE), "-f", "load@sender.test", "-t", "bob@example.test", "-M", "load.test", "-d",
               f"127.0.0.1:{port}"]
    source = subprocess.Popen(command)
    try:
        time.sleep(WINDOW)
        yield
        if source.poll() is not None:
            sys.exit("bench: the honest mail ended before its time")
    finally:
        source.terminate()
        source.wait()


def watch(server):
    """Honest messages stored in a second."""
    time.sleep(SETTLES)
    began, before = time.monotonic(), server.status()["delivered"]
    time.sleep(WINDOW)
    ended, after = time.monotonic(), server.status()["delivered"]
    return (after - before) / (ended - began)


def measure_beside(server, load, sessions, count):
    alone, beside, floods = [], [], []
    with honest_mail(server.smtp_port, sessions):
        alone.append(watch(server))
        for _ in range(count):
            flood = Flood(load, server.smtp_port)
            beside.append(watch(server))
            floods.append(flood.end())
            alone.append(watch(server))
    changes = [during / ((before + after) / 2) - 1 for before, during, after in zip(alone, beside, alone[1:])]
    row = {"sessions": sessions, "alone": alone, "beside": beside, "floods": floods, "change": statistics.mean(changes),
           "error": statistics.stdev(changes) / len(changes) ** 0.5}
    print(f"{sessions} sessions: {statistics.median(alone):.0f} honest messages/s, beside {reached(row):,.0f} refusals/s {statistics.median(beside):.0f} "
          f"({100 * row['change']:+.1f} %, standard error {100 * row['error']:.1f})", flush=True)
    return row


def reached(row):
    return statistics.median(flood["rate"] for flood in row["floods"])


def size_of_records(server):
    """Bytes of the database, its log and reject.log."""
    data = pathlib.Path(server.directory) / "data"
    return sum(f.stat().st_size for f in data.iterdir() if f.name.startswith(("store.db", "reject.log")))


def measure_alone(server, load):
    """What a flood costs when nothing else happens."""
    size, cpu = size_of_records(server), sum(server.cpu().values())
    flood = Flood(load, server.smtp_port)
    time.sleep(ALONE)
    counted = flood.end()
    time.sleep(TELLS)
    row = {"flood": counted, "cpu_us": (sum(server.cpu().values()) - cpu) / 1000 / counted["refused"], "bytes": size_of_records(server) - size}
    print(f"alone: {counted['refused']:,} refusals, {row['cpu_us']:.1f} us CPU each, {row['bytes'] / 1024:.0f} KiB on disk", flush=True)
    return row


def measure(server, load, count):
    """`count` windows for each number of sessions. The server keeps all rows of its ledger."""
    server.command("rules", "set", VICTIM, "helo-not-ip=on")
    began = time.time()
    rows = [measure_beside(server, load, sessions, count) for sessions in SESSIONS]
    time.sleep(TELLS)
    alone = measure_alone(server, load)
    ledger = json.loads(server.command("ledger", "--verdict", "refuse", "--since", f"{int(time.time() - began) + 1}s", "--limit", "1000000", "--json"))
    floods = [flood for row in rows for flood in row["floods"]] + [alone["flood"]]
    refused, asked, attempts = sum(f["refused"] for f in floods), sum(f["asked"] for f in floods), sum(r["attempts"] for r in ledger)
    if not refused <= attempts <= asked:  # at its end the flood goes without having read every reply
        sys.exit(f"bench: {refused} of {asked} attempts were refused, the ledger knows of {attempts}")
    return {"rows": rows, "alone": alone, "refused": refused, "ledger_rows": len(ledger), "ledger_attempts": attempts}


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"


def report(flood, table):
    rows = [(row["sessions"], spread(row["alone"]), f"{reached(row):,.0f}", spread(row["beside"]), f"{100 * row['change']:+.1f} % ± {200 * row['error']:.1f}")
            for row in flood["rows"]]
    alone = flood["alone"]
    return ["### Honest mail beside a flood of refusals; 4 KiB, connections reused", "",
            table(["honest sessions", "messages/s alone", "refusals/s", "messages/s beside them", "change"], rows), "",
            f"The flood comes and goes while honest mail flows: {len(flood['rows'][0]['beside'])} windows of a second with it, each compared with the two beside it; "
            "the change is their mean with twice its standard error. Two gates, as the server comes. The flood comes from another address for each ten refusals. Its client "
            "runs on the same cores, but steps back behind everybody else (nice 19), as it is no part of what is measured; what it takes all the same is in the figures. "
            f"All {flood['refused']:,} refusals made {flood['ledger_rows']:,} rows of the ledger, which count {flood['ledger_attempts']:,} attempts. A flood alone: "
            f"{alone['flood']['refused']:,} refusals in {alone['flood']['seconds']:.0f} s cost {alone['cpu_us']:.1f} us of CPU each and {alone['bytes'] / 1024:.0f} KiB of database and reject.log.", ""]
