#!/usr/bin/env python3
"""Runs every test and closes with one line: N passed, N failed.

  unit, dialogue   meson's tests, sanitized (build/test)
  system           pytest against the sanitized program: real processes, sockets and clients
  fuzz             each fuzz target for a few seconds on its seeds

--only NAME runs those whose name contains NAME.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
FUZZ_SECONDS = 4
CMOCKA_SUMMARY = re.compile(r"\[ {2}(PASSED|FAILED) {2}\] (\d+) test")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def say(text):
    print(text, flush=True)


def compile_all(directory, *targets):
    log = directory.with_suffix(".log")
    with log.open("w") as out:
        if subprocess.run(["ninja", "-C", directory, *targets], stdout=out, stderr=subprocess.STDOUT).returncode:
            say(log.read_text()[-6000:])
            say(f"the build in {directory} failed; {log} has all of it")
            sys.exit(1)


def count_output(output, succeeded):
    """cmocka's and the dialogue runner's own counts where they print some, else the program is one test."""
    counts = {"PASSED": 0, "FAILED": 0}
    for word, number in CMOCKA_SUMMARY.findall(output):
        counts[word] += int(number)
    if succeeded:
        return max(counts["PASSED"], 1), 0
    return counts["PASSED"], max(counts["FAILED"], 1)


def run_meson(tally, only):
    log = BUILD / "test/meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    names = subprocess.run(["meson", "test", "-C", BUILD / "test", "--list"], capture_output=True, text=True).stdout
    names = [n.split(" / ")[-1] for n in names.splitlines() if " / " in n or only]
    chosen = [n for n in names if only in n]
    if not chosen:
        return
    command = ["meson", "test", "-C", BUILD / "test", "--no-rebuild", "--num-processes", "2", "--print-errorlogs", *chosen]
    subprocess.run(command, stdout=subprocess.DEVNULL)
    if not log.exists():
        say("meson test left no log")
        tally.add(0, 1)
        return
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        succeeded = entry["result"] in ("OK", "EXPECTEDFAIL")
        if entry["result"] == "SKIP":
            tally.add(0, 0, 1)
            continue
        passed, failed = count_output(entry.get("stdout", "") + entry.get("stderr", ""), succeeded)
        tally.add(passed, failed)
        say(f"{'ok  ' if succeeded else 'FAIL'} {entry['name']} ({passed} passed, {failed} failed)")
        if not succeeded:
            say((entry.get("stdout", "") + entry.get("stderr", ""))[-4000:])


def run_pytest(tally, only):
    report = BUILD / "system.xml"
    report.unlink(missing_ok=True)
    environment = dict(os.environ, OSTIARY=str(BUILD / "test/src/ostiary"), OSTIARY_PLAIN=str(BUILD / "plain/src/ostiary"))
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/system"]
    if only:
        command += ["-k", only]
    result = subprocess.run(command, cwd=ROOT, env=environment)
    if not report.exists():
        tally.add(0, 1)
        return
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    total, bad = int(suite.get("tests")), int(suite.get("failures")) + int(suite.get("errors"))
    skipped = int(suite.get("skipped"))
    tally.add(total - bad - skipped, bad, skipped)
    if result.returncode not in (0, 1, 5) and not bad:
        tally.add(0, 1)


def run_fuzz(tally, only):
    for target in sorted((BUILD / "fuzz/fuzz").glob("fuzz_*")):
        if not target.is_file() or not os.access(target, os.X_OK) or only not in target.name:
            continue
        result = subprocess.run(
            [ROOT / "tools/run_fuzz.sh", "--seconds", str(FUZZ_SECONDS), target.name.removeprefix("fuzz_")],
            capture_output=True, text=True)
        tally.add(result.returncode == 0, result.returncode != 0)
        say(f"{'ok  ' if result.returncode == 0 else 'FAIL'} {target.name}")
        if result.returncode:
            say((result.stdout + result.stderr)[-4000:])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="run the tests whose name contains this")
    only = arguments.parse_args().only
    began = time.monotonic()
    compile_all(BUILD / "test")
    compile_all(BUILD / "plain", "src/ostiary")
    compile_all(BUILD / "fuzz", "fuzz_all")
    say(f"built in {time.monotonic() - began:.0f} s")
    tally = Tally()
    run_meson(tally, only)
    run_pytest(tally, only)
    run_fuzz(tally, only)
    if tally.passed + tally.failed == 0:
        say(f"no test has '{only}' in its name")
        return 1
    say(f"all in {time.monotonic() - began:.0f} s")
    say(f"{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return tally.failed > 0


if __name__ == "__main__":
    sys.exit(main())
