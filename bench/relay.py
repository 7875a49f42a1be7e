"""Relaying: smtp-source -> server -> smtp-sink. Beside other servers it is measured by ./dev bench --peers."""
import os
import pathlib
import shutil
import smtplib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/system"))
from ports import free_port  # noqa: E402  (ports nobody else on this machine uses)

PATH = os.environ["PATH"] + ":/usr/sbin"
SMTP_SOURCE = shutil.which("smtp-source", path=PATH) or "smtp-source"
SMTP_SINK = shutil.which("smtp-sink", path=PATH) or "smtp-sink"
SIZE, SESSIONS = 4096, 50
TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 300


def drained(test):
    end = time.monotonic() + PATIENCE
    while not test():
        if time.monotonic() > end:
            sys.exit(f"bench: the queue did not empty within {PATIENCE} s")
        time.sleep(0.1)


class Sink:
    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen([SMTP_SINK, "-u", "nobody", f"127.0.0.1:{self.port}", "1000"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait()


def feed(port, count, reuse):
    command = [SMTP_SOURCE, "-s", str(SESSIONS), "-m", str(count), "-l", str(SIZE), "-f", "load@example.test", "-t", "bob@sink.test",
               "-M", "load.test"] + (["-d"] if reuse else []) + [f"127.0.0.1:{port}"]
    subprocess.run(command, check=True)


def family(pid):
    """The process and all below it."""
    out = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            out += family(int(child))
        except OSError:
            continue
    return out


def spent(pid):
    """Seconds of CPU of a process, its children and those it has collected."""
    total = 0
    for member in family(pid):
        try:
            fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(f) for f in fields[11:15])
    return total / TICK


def relay_once(port, pid, is_empty, count, reuse):
    before, began = spent(pid), time.monotonic()
    feed(port, count, reuse)
    drained(is_empty)
    seconds = time.monotonic() - began
    return {"rate": count / seconds, "cpu": (spent(pid) - before) / count * 1e6}


def rounds_of(port, pid, is_empty, count):
    rows = []
    relay_once(port, pid, is_empty, 200, False)  # warm-up
    for reuse in (False, True):
        rounds = [relay_once(port, pid, is_empty, count, reuse) for _ in range(3)]
        rows.append({"reuse": reuse, "count": count, "rounds": rounds})
        cpu = sorted(r["cpu"] for r in rounds)[1]
        print(f"relay {'reused' if reuse else 'new'}: {cpu:.0f} us CPU a message", flush=True)
    return rows


def bench_relay(new_server, quick):
    """`new_server(lines)` starts an Ostiary with these lines in its configuration."""
    sink = Sink()
    server = new_server(f'client_networks = {{ "127.0.0.0/8" }}\n'
                        f'courier = {{ smart_host = "127.0.0.1:{sink.port}", smart_host_tls = "none" }}\n')
    rows = rounds_of(server.smtp_port, server.process.pid, lambda: server.status()["queued"] == 0, 1000 if quick else 10000)
    server.close()
    sink.close()
    return rows


# ---- Does a long queue slow intake? ----

ENTRIES_A_MESSAGE = 1000
DESTINATIONS = 5000


def fill(port, entries):
    """`entries` rows, a thousand a message, spread over many destinations."""
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as smtp:
        for first in range(0, entries, ENTRIES_A_MESSAGE):
            to = [f"u{n}@d{n % DESTINATIONS}.far.test" for n in range(first, first + ENTRIES_A_MESSAGE)]
            smtp.ehlo("fill.test")
            lines = ["MAIL FROM:<load@example.test>", *(f"RCPT TO:<{address}>" for address in to), "DATA"]
            smtp.sock.sendall("".join(line + "\r\n" for line in lines).encode())
            codes = [smtp.getreply()[0] for _ in lines]
            if codes[0] != 250 or codes[-1] != 354 or set(codes[1:-1]) != {250}:
                sys.exit(f"bench: the queue could not be filled: {sorted(set(codes))}")
            smtp.send(b"Subject: fill\r\n\r\ntext\r\n.\r\n")
            if smtp.getreply()[0] != 250:
                sys.exit("bench: the queue could not be filled")


def intake_once(server, recipient, count):
    before, began = spent_exactly(server), time.monotonic()
    command = [SMTP_SOURCE, "-s", str(SESSIONS), "-m", str(count), "-l", str(SIZE), "-f", "load@example.test", "-t", recipient,
               "-M", "load.test", f"127.0.0.1:{server.smtp_port}"]
    subprocess.run(command, check=True)
    return {"rate": count / (time.monotonic() - began), "cpu": (spent_exactly(server) - before) / count / 1000}


def spent_exactly(server):
    return sum(server.cpu().values())


def bench_queue(new_server, quick):
    """Mail that comes in, for here and for elsewhere, beside an empty and a very long queue; nothing goes out meanwhile."""
    entries, count = (20000, 500) if quick else (1000000, 5000)
    server = new_server('client_networks = { "127.0.0.0/8" }\ncourier = { smart_host = "127.0.0.1:9" }\n')
    server.command("queue", "pause", "out")
    rows = []
    intake_once(server, "bob@example.test", 500)  # warm-up
    for length in (0, entries):
        if length:
            fill(server.smtp_port, entries)
        for recipient in ("bob@example.test", "bob@elsewhere.test"):
            rounds = [intake_once(server, recipient, count) for _ in range(5)]
            rows.append({"length": length, "recipient": recipient, "rounds": rounds})
            print(f"intake for {recipient}, {length} entries in the queue: {sorted(r['cpu'] for r in rounds)[2]:.1f} us CPU, "
                  f"{sorted(r['rate'] for r in rounds)[2]:.0f}/s", flush=True)
    server.close()
    return rows
