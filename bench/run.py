#!/usr/bin/env python3
"""Measures the optimised build by itself and writes that part of bench/RESULTS.md.

Load: Postfix's smtp-source (as a load tool only) and bench/load.c. CPU is the scheduler's own count
(/proc/PID/schedstat) over all processes of the server. Everything runs on loopback.

  ./dev bench                 all of it
  ./dev bench smtp            only the parts named; the page keeps the others: smtp, counts, retr, idle, relay, queue, blacklist, door, ledger, flood
  ./dev bench --quick         a tenth of the messages
"""
import argparse
import datetime
import itertools
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import flood
import page
import relay

ROOT = pathlib.Path(__file__).resolve().parent.parent
OSTIARY = ROOT / "build/ostiary"
LOAD = ROOT / "build/release/bench/load"
POP3_LOAD = ROOT / "build/release/bench/pop3_load"
BLACKLIST = ROOT / "build/release/bench/blacklist"
DOOR = ROOT / "build/release/bench/door"
LEDGER = ROOT / "build/release/bench/ledger"
SMTP_SOURCE = shutil.which("smtp-source", path=os.environ["PATH"] + ":/usr/sbin") or "smtp-source"
RAW = ROOT / "bench/raw/results.json"
BASE = 20000


def wait_for(what, test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(0.05)
    sys.exit(f"bench: {what} did not happen within {seconds} s")


class Server:
    """A sandbox server in a directory of its own."""

    smtp_port = BASE + 25

    def __init__(self, more="", **changes):
        """`changes` of settings that the sandbox's config has; `more` lines behind it."""
        self.directory = tempfile.mkdtemp(prefix="ostiary-bench-", dir=os.environ.get("BENCH_DIR"))
        self.config = pathlib.Path(self.directory) / "ostiary.conf"
        self.log = open(os.path.join(self.directory, "log"), "w")
        self.start()
        if changes or more:
            self.stop()
            text = self.config.read_text() + more
            for name, value in changes.items():
                text, count = re.subn(rf"^(\s*{name}\s*=\s*)[^,\n]*(,?)$", rf"\g<1>{value}\2", text, flags=re.M)
                if count != 1:
                    sys.exit(f"bench: '{name}' stands {count} times in the sandbox's config")
            self.config.write_text(text)
            self.start()

    def start(self):
        command = [OSTIARY, "sandbox", "--dir", self.directory, "--port-base", str(BASE)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        wait_for("a listening server", lambda: self.answers(25))

    def answers(self, port):
        import socket
        try:
            with socket.create_connection(("127.0.0.1", BASE + port), 1) as s:
                return s.recv(4)
        except OSError:
            return None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pids(self):
        """{pid: role}"""
        out = {self.process.pid: "supervisor"}
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in children:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            out[int(pid)] = words.strip()
        return out

    def cpu(self):
        """Nanoseconds on a processor, by pid."""
        return {pid: int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self.pids()}

    def resident(self):
        """KiB that are really there, by pid."""
        total = {}
        for pid in self.pids():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total[pid] = int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        return total

    def command(self, *words):
        return subprocess.run([OSTIARY, *words, "--config", self.config], capture_output=True, text=True, check=True).stdout

    def status(self):
        return json.loads(self.command("store", "status", "--json"))


def smtp_once(server, size, sessions, reuse, count):
    before, status = server.cpu(), server.status()
    command = [SMTP_SOURCE, "-s", str(sessions), "-m", str(count), "-l", str(size), "-f", "load@sender.test",
               "-t", "bob@example.test", "-M", "load.test"] + (["-d"] if reuse else []) + [f"127.0.0.1:{BASE + 25}"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - began
    after, status_after = server.cpu(), server.status()
    names = server.pids()
    by_role = {names[p]: (after[p] - before.get(p, 0)) / count / 1000 for p in after}
    delivered = status_after["delivered"] - status["delivered"]
    if delivered != count:
        sys.exit(f"bench: {count} messages were sent, {delivered} stored")
    return {
        "rate": count / seconds,
        "cpu": sum(by_role.values()),
        "syncs": (status_after["syncs"] - status["syncs"]) / count,
        "by_role": by_role,
    }


def middle(rounds, key):
    return statistics.median(r[key] for r in rounds)


def bench_smtp(quick):
    rows = []
    server = Server()
    smtp_once(server, 4096, 50, False, 500)  # warm-up
    for size, sessions, reuse in itertools.product((4096, 65536), (1, 10, 50), (False, True)):
        count = (20000 if sessions > 1 else 2000) // (1 if size == 4096 else 5) // (10 if quick else 1)
        rows.append({"size": size, "sessions": sessions, "reuse": reuse, "count": max(count, sessions), "rounds": []})
    for _ in range(3):  # the rows take turns: the disk has its moods
        for row in rows:
            row["rounds"].append(smtp_once(server, row["size"], row["sessions"], row["reuse"], row["count"]))
    for row in rows:
        print(f"{row['size'] // 1024:3d} KiB {row['sessions']:3d} sessions {'reused' if row['reuse'] else 'new   '}: "
              f"{middle(row['rounds'], 'rate'):7.0f}/s {middle(row['rounds'], 'cpu'):7.1f} us CPU "
              f"{middle(row['rounds'], 'syncs'):.3f} syncs", flush=True)
    resident = server.resident()
    names = server.pids()
    memory = {names[p]: kib for p, kib in resident.items()}
    server.close()
    return {"rows": rows, "memory_kib": memory}


def count_calls(reuse, count):
    """{role: {call: times}} while `count` messages were stored."""
    server = Server()
    smtp_once(server, 4096, 50, reuse, 200)
    tracers = {}
    for pid, name in server.pids().items():
        role = name.split()[-2] if name != "supervisor" else name
        if role in ("gate", "writer", "reader"):
            out = tempfile.NamedTemporaryFile("r", prefix="calls-")
            tracers[role] = (subprocess.Popen(["strace", "-qq", "-c", "-U", "calls,name", "-p", str(pid), "-o", out.name],
                                              stderr=subprocess.DEVNULL), out)
    wait_for("strace", lambda: all(re.search(r"TracerPid:\t[1-9]", pathlib.Path(f"/proc/{pid}/status").read_text())
                                   for pid, name in server.pids().items() if any(f" {r} " in f"{name} " for r in tracers)))
    smtp_once(server, 4096, 50, reuse, count)
    calls = {}
    for role, (tracer, out) in tracers.items():
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        calls[role] = {name: int(times) for times, name in re.findall(r"^\s*(\d+)\s+(\w+)$", out.read(), re.M) if name != "total"}
    server.close()
    return calls


def bench_counts(quick):
    """Counts do not depend on the machine's mood."""
    count = 500 if quick else 5000
    results = {}
    for reuse in (False, True):
        calls = {role: {name: n / count for name, n in table.items()} for role, table in count_calls(reuse, count).items()}
        results["reused" if reuse else "one a message"] = calls
        print("system calls a message, connections", "reused" if reuse else "one a message",
              {role: round(sum(c.values()), 1) for role, c in calls.items()}, flush=True)
    return results


def bench_retr(quick):
    server = Server(trusted_networks='{ "127.0.0.0/8" }')
    count = 1000 if quick else 10000
    smtp_once(server, 4096, 50, True, count)
    results = []
    for window in (1, 100, 100, 100):
        before = server.cpu()
        command = [POP3_LOAD, "retr", "127.0.0.1", str(BASE + 110), "bob@example.test", "sandbox", str(window)]
        result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        after = server.cpu()
        result["window"] = window
        result["cpu"] = sum(after[p] - before.get(p, 0) for p in after) / count / 1000
        results.append(result)
        print(f"RETR window {window}: {result['rate']:.0f}/s {result['cpu']:.1f} us CPU", flush=True)
    server.close()
    return results


IDLE_SETTINGS = {"smtp": 25, "pop3": 110}


def bench_idle(quick):
    results = []
    for kind, port in IDLE_SETTINGS.items():
        for tls in (False, True):
            server = Server()
            count = 500 if quick else 5000
            before = sum(server.resident().values())
            command = [LOAD, "idle", "127.0.0.1", str(BASE + port), str(count), kind] + (["tls"] if tls else [])
            load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if load.stdout.readline() != f"open {count}\n":
                sys.exit(f"bench: the {kind} sessions could not be opened; see {server.directory}/log")
            time.sleep(5)  # idle means idle: what is given back after a second has been given back
            after = sum(server.resident().values())
            load.stdin.close()
            load.wait()
            each = (after - before) / count
            results.append({"kind": kind, "tls": tls, "count": count, "kib": each})
            print(f"idle {kind}{' TLS' if tls else ''}: {each:.1f} KiB each", flush=True)
            server.close()
    return results


def bench_relay(quick):
    return relay.bench_relay(Server, quick)


def bench_queue(quick):
    return relay.bench_queue(Server, quick)


def bench_blacklist(quick):
    """The own black list by itself: what one process does when a stranger connects."""
    rows = []
    for entries in (1000, 100000) if quick else (1000, 100000, 1000000):
        command = [BLACKLIST, str(entries), "100000" if quick else "1000000"]
        rounds = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
        rows.append({"entries": entries, "rounds": rounds})
        print(f"black list of {entries:,} entries: {middle(rounds, 'address_us'):.2f} us an address, {middle(rounds, 'name_us'):.2f} us a name, "
              f"read and compiled in {middle(rounds, 'build_seconds'):.2f} s", flush=True)
    return rows


DOORS = {"way_us": "the way alone", "nobody_set_anything_us": "nobody set anything", "others_did_us": "others did",
         "own_rules_and_lists_us": "rules and lists of its own", "site_lists_us": "long lists of the site"}


def bench_door(quick):
    """A reader's work for one RCPT: where the address leads, and what is in force at its door."""
    accounts, lookups, rounds = (1000, 20000, []) if quick else (10000, 200000, [])
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="ostiary-bench-", dir=os.environ.get("BENCH_DIR")) as directory:
            command = [DOOR, os.path.join(directory, "data"), str(accounts), str(lookups)]
            rounds.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print("door: us a look-up: " + ", ".join(f"{words} {middle(rounds, key):.1f}" for key, words in DOORS.items()), flush=True)
    return {"accounts": accounts, "rounds": rounds}


def bench_ledger(quick):
    """The ledger by itself: what its rows cost the writer."""
    rows = 30000 if quick else 300000
    rounds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="ostiary-bench-", dir=os.environ.get("BENCH_DIR")) as directory:
            command = [LEDGER, os.path.join(directory, "data"), str(rows)]
            rounds.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print(f"ledger: {middle(rounds, 'message_us'):.1f} us a message without a row, {middle(rounds, 'message_with_row_us'):.1f} us with one, "
          f"{middle(rounds, 'refusal_us'):.1f} us a refusal, {middle(rounds, 'prune_us'):.1f} us to prune a row", flush=True)
    return rounds


def bench_flood(quick):
    server = Server(gates=2, more="ledger = { rows = 100000000 }\n")  # no row is thrown away for want of room: they are counted at the end
    smtp_once(server, 4096, 20, True, 500)
    measured = flood.measure(server, LOAD, 4 if quick else 60)
    server.close()
    return measured


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def spread(rounds, key, digits=0):
    values = [r[key] for r in rounds]
    return f"{middle(rounds, key):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def measured_when(results):
    """"2026-01-02 (smtp, idle), 2026-01-03 (flood)"."""
    days = {}
    for part, day in results.get("dates", {}).items():
        days.setdefault(day, []).append(part)
    return ", ".join(f"{day} ({', '.join(parts)})" for day, parts in sorted(days.items())) or "just now"


def report(results):
    out = ["## Ostiary by itself", "",
           f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}. Command: `./dev bench`, or a part of it by its name; measured {measured_when(results)}. "
           "Medians of three rounds, smallest and largest in brackets.",
           "Load and server share the cores; CPU is what all processes of the server used, the load's own is not in it.", ""]
    if "smtp" in results:
        rows = [(f"{r['size'] // 1024} KiB", r["sessions"], "reused" if r["reuse"] else "one a message",
                 spread(r["rounds"], "rate"), spread(r["rounds"], "cpu", 1), spread(r["rounds"], "syncs", 3))
                for r in results["smtp"]["rows"]]
        out += ["### Receiving: accepted and durable", "",
                table(["size", "sessions", "connections", "messages/s", "CPU us a message", "syncs a message"], rows), "",
                "Where the CPU goes, us a message, 4 KiB, 50 sessions:", ""]
        for r in results["smtp"]["rows"]:
            if r["size"] == 4096 and r["sessions"] == 50:
                roles = sorted(r["rounds"][1]["by_role"].items(), key=lambda kv: -kv[1])
                out.append(f"- {'reused' if r['reuse'] else 'one a message'}: " + ", ".join(f"{n} {v:.1f}" for n, v in roles))
        out += ["", "Resident after it (proportional set size): " +
                ", ".join(f"{n} {k / 1024:.1f} MiB" for n, k in results["smtp"]["memory_kib"].items()) + ".", ""]
    if "relay" in results:
        rows = [("reused" if r["reuse"] else "one a message", r["count"], spread(r["rounds"], "rate"),
                 spread(r["rounds"], "cpu")) for r in results["relay"]]
        out += ["### Relaying: smtp-source, the server, smtp-sink; 4 KiB, 50 sessions, until the queue is empty", "",
                table(["connections in", "messages", "messages/s", "CPU us a message"], rows), ""]
    if "queue" in results:
        rows = [(f"{r['length']:,}", r["recipient"], spread(r["rounds"], "rate"), spread(r["rounds"], "cpu", 1)) for r in results["queue"]]
        out += ["### Taking mail in beside a long queue; 4 KiB, 50 sessions, new connections, five rounds", "",
                table(["entries in the queue", "for", "messages/s", "CPU us a message"], rows), ""]
    if "blacklist" in results:
        rows = [(f"{r['entries']:,}", spread(r["rounds"], "address_us", 2), spread(r["rounds"], "name_us", 2),
                 spread(r["rounds"], "build_seconds", 2), f"{r['rounds'][0]['bytes'] / 1048576:.1f}") for r in results["blacklist"]]
        out += ["### Looking into the own black list; half of it addresses, half host names; half of what is looked for is listed", "",
                table(["entries", "CPU us an address", "CPU us a name", "CPU s to read and compile it", "MiB"], rows), ""]
    if "door" in results:
        out += [f"### What is in force at a door: CPU us of a reader for a RCPT, {results['door']['accounts']:,} accounts", "",
                table(list(DOORS.values()), [[spread(results["door"]["rounds"], key, 1) for key in DOORS]]), "",
                "A gate remembers for a second the doors at which nothing but the address decides: most mail under load costs no look-up.", ""]
    if "ledger" in results:
        rounds = results["ledger"]
        out += ["### Rows of the ledger: CPU of the writer's code, no other process", "",
                table(["us a message without a row", "with one", f"with one, beside {rounds[0]['rows']:,} rows", "a refusal", "pruning a row"],
                      [[spread(rounds, key, 1) for key in ("message_us", "message_with_row_us", "message_beside_rows_us", "refusal_us", "prune_us")]]), ""]
    if "flood" in results:
        out += flood.report(results["flood"], table)
    if "counts" in results:
        rows = [(connections, role, f"{sum(table.values()):.2f}",
                 ", ".join(f"{name} {n:.2f}" for name, n in sorted(table.items(), key=lambda kv: -kv[1]) if n >= 0.01))
                for connections, calls in results["counts"].items() for role, table in calls.items()]
        out += ["### System calls a message (4 KiB, 50 sessions; under strace, which makes batches larger)", "",
                table(["connections", "process", "calls", "which"], rows), ""]
    if "retr" in results:
        rows = [(r["window"], f"{r['rate']:.0f}", f"{r['cpu']:.1f}") for r in results["retr"]]
        out += ["### POP3: RETR of a maildrop of 4 KiB messages", "", table(["RETRs under way", "messages/s", "CPU us a message"], rows), ""]
    if "idle" in results:
        rows = [(r["kind"], "TLS" if r["tls"] else "plain", r["count"], f"{r['kib']:.1f}") for r in results["idle"]]
        out += ["### Memory of an idle session, all processes", "", table(["service", "channel", "sessions", "KiB each"], rows), ""]
    return "\n".join(out)


PARTS = {"smtp": bench_smtp, "counts": bench_counts, "retr": bench_retr, "idle": bench_idle, "relay": bench_relay, "queue": bench_queue,
         "blacklist": bench_blacklist, "door": bench_door, "ledger": bench_ledger, "flood": bench_flood}


def main():
    arguments = argparse.ArgumentParser(prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="what to measure: " + ", ".join(PARTS) + "; all when none is named")
    arguments.add_argument("--quick", action="store_true", help="a tenth of the messages; RESULTS.md is left alone")
    given = arguments.parse_args()
    parts = set(given.parts or PARTS)
    programs = [name for name, needed in (("bench/load", {"idle", "flood"}), ("bench/pop3_load", {"retr"}), ("bench/blacklist", {"blacklist"}), ("bench/door", {"door"}),
                                        ("bench/ledger", {"ledger"})) if parts & needed]
    if programs:
        subprocess.run(["ninja", "-C", ROOT / "build/release", *programs], check=True, stdout=subprocess.DEVNULL)
    measured = {part: PARTS[part](given.quick) for part in given.parts or PARTS}
    if given.quick:
        print(report(measured))
        return
    RAW.parent.mkdir(exist_ok=True)
    results = json.loads(RAW.read_text()) if RAW.exists() else {}
    results.update(measured)
    results.setdefault("dates", {}).update(dict.fromkeys(measured, str(datetime.date.today())))
    RAW.write_text(json.dumps(results, indent=1) + "\n")
    page.put("own", report(results))
    print("written: bench/RESULTS.md")


if __name__ == "__main__":
    main()
