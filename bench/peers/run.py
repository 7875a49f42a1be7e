#!/usr/bin/env python3
"""Measures Ostiary beside other mail servers: ./dev bench --peers

Same machine, same run, same file system, alternating rounds. All are started on loopback at free ports, in directories of their own, each with the
configuration that stands in bench/peers/. Root is needed: the servers change to users of their own.

  ./dev bench --peers                       all of it; writes bench/RESULTS.md, bench/peers.svg and bench/raw/peers.json
  ./dev bench --peers receive pop3          only these parts: receive, relay, pop3, idle, startup, disk; the page keeps the others
  ./dev bench --peers 'receive:4 KiB, 50'   only the rows of receiving with these words in their names; the page keeps the others
  ./dev bench --peers --with ostiary,exim   only these servers; writes nothing but build/peers/quick.json
  ./dev bench --peers --quick               small counts, one round; writes nothing but build/peers/quick.json
"""
import argparse
import datetime
import importlib
import json
import os
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import time

import cgroup
import measure
import peer
import report

# The class of each peer, by module. A part gets those that have it among their `parts`.
PEERS = {"ostiary": ("Ostiary",), "postfix": ("PostfixDovecot", "PostfixMaildir"), "exim": ("Exim",), "opensmtpd": ("OpenSmtpd",),
         "dovecot": ("DovecotMaildir", "DovecotSdbox")}
# Each module has PART and measure(peers, quick, work) -> [Row]; those that need servers in a state of their own have measure_classes(classes, quick, work).
MEASURES = {"receive": "measure_receive", "relay": "measure_relay", "pop3": "measure_pop3", "idle": "measure_idle", "startup": "measure_startup",
            "disk": "measure_disk"}
MAILBOXES = 100
LOADS = ("bench/smtp_load", "bench/load", "bench/pop3_load")  # the clients
HERE = pathlib.Path(__file__).resolve().parent


def classes(wanted):
    """All peers that are wanted; where `wanted` is empty, all."""
    out = []
    for module, names in PEERS.items():
        if (HERE / f"{module}.py").exists():
            out += [getattr(importlib.import_module(module), name) for name in names]
    unknown = set(wanted) - {c.name for c in out}
    if unknown:
        raise peer.BenchError(f"there is no server '{unknown.pop()}'; there are {', '.join(c.name for c in out)}")
    return [c for c in out if not wanted or c.name in wanted]


def measure_part(part, text, everybody, quick, work):
    """`text`: only rows with it in their names, where the part can choose; empty: all."""
    module = importlib.import_module(MEASURES[part])
    able = [c for c in everybody if part in {p.split("-")[0] for p in c.parts}]
    if hasattr(module, "measure_classes"):
        return module.measure_classes(able, quick, work)
    servers = []
    try:
        for each in able:
            server = each(work)
            servers.append(server)
            server.add_mailboxes(MAILBOXES)
            server.start()
        return module.measure(servers, quick, work, *([text] if text else []))
    finally:
        for server in servers:
            server.close()


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release()}


RAW = peer.ROOT / "bench/raw/peers.json"
QUICK = peer.ROOT / "build/peers/quick.json"


def still_true(earlier, results):
    """The rows of an earlier run that may stand beside these: on this machine, without the figures of servers that are other versions now."""
    if earlier["machine"] != results["machine"]:
        return []
    changed = {name for name, now in results["peers"].items() if name in earlier["peers"] and earlier["peers"][name]["version"] != now["version"]}
    return [{**row, "rounds": {name: figures for name, figures in row["rounds"].items() if name not in changed}} for row in earlier["rows"]]


def joined(earlier, results):
    """What was measured now replaces the same parts of an earlier run, or of a part that was measured partly the same rows; the others stay."""
    parts, partly = {row["part"] for row in results["rows"]}, results["partly"]
    same = {(row["part"], row["name"], row["unit"]) for row in results["rows"]}
    kept = [row for row in still_true(earlier, results) if (row["part"] not in parts or row["part"] in partly) and (row["part"], row["name"], row["unit"]) not in same]
    return {**results, "peers": {**earlier["peers"], **results["peers"]},
            "rows": sorted(kept + results["rows"], key=lambda row: list(MEASURES).index(row["part"]))}


def write_results(results, publish):
    path = RAW if publish else QUICK
    if publish and path.exists():
        results = joined(json.loads(path.read_text()), results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    if publish:
        report.write(results)


def parse():
    arguments = argparse.ArgumentParser(prog="./dev bench --peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=", ".join(MEASURES))
    arguments.add_argument("--quick", action="store_true", help="small counts, one round")
    arguments.add_argument("--with", dest="servers", default="", metavar="NAME,...", help="only these servers")
    given = arguments.parse_args()
    given.parts = [(part, text) for part, _, text in (word.partition(":") for word in given.parts)]
    for part, text in given.parts:
        if part not in MEASURES:
            arguments.error(f"there is no part '{part}'; there are {', '.join(MEASURES)}")
        if text and part != "receive":
            arguments.error(f"'{part}' is measured whole; only of receive some rows may be named")
    return given


def main():
    given = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: stopped"))  # by the way that ends the servers, too
    if os.geteuid() != 0:
        raise peer.BenchError("only root can start the other servers, as they change to users of their own; call it as root")
    everybody = classes([n for n in given.servers.split(",") if n])
    work = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-peers-", dir=os.environ.get("BENCH_DIR")))
    work.chmod(0o755)
    peer.run("ninja", "-C", peer.ROOT / "build/release", *LOADS)
    results = {"machine": machine(), "quick": given.quick, "counted": cgroup.how(), "rows": [], "partly": [],
               "peers": {c.name: {"title": c.title, "version": c.version(), "durability": c.durability} for c in everybody}}
    try:
        for part, text in given.parts or [(part, "") for part in MEASURES]:
            if not (HERE / f"{MEASURES[part]}.py").exists():
                continue
            began = time.monotonic()
            today = datetime.date.today().isoformat()
            results["rows"] += [{**row.as_json(), "date": today} for row in measure_part(part, text, everybody, given.quick, work)]
            results["partly"] += [part] if text else []
            measure.say(f"{part}: {time.monotonic() - began:.0f} s")
            write_results(results, not given.quick and not given.servers)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except peer.BenchError as problem:
        sys.exit(f"bench: {problem}")
