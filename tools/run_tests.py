#!/usr/bin/env python3
"""Runs every test and closes with one line: N passed, N failed.

  unit       the programs that meson knows, with sanitizers (build/test)
  dialogue   the C:/S: scripts, with sanitizers
  fuzz       each fuzz target for a few seconds on its seeds, with what the system tests leave of the processors
  system     pytest against the program with sanitizers: real processes, sockets and clients; several files at once
  release    a part of the same against the program as it is shipped (build/release): its sandbox kills, its compiler flags differ

--only NAME runs those whose name contains NAME: a test program, a script, a fuzz target, a pytest case.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

import system_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SYSTEM = ROOT / "tests/system"
SMTP_SEND = BUILD / "test/tests/system/smtp_send"
FUZZ_SECONDS = 4
DIALOGUE_TIMEOUT = 600
AT_ONCE = (os.cpu_count() or 1) + 1  # some wait
SHOWN = 6000  # characters of a failed test's output; of a file of system tests all is shown
# What runs against the shipped program, too.
RELEASE_ONLY = "test_build.py"
RELEASE_FILES = (RELEASE_ONLY, "test_smtp.py", "test_submission.py", "test_pop3.py", "test_clients.py")
CMOCKA_PLAN = re.compile(r"^\[={10}\] .*?[Rr]unning (\d+) test", re.M)
CMOCKA_RESULT = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test", re.M)
TAP_PLAN = re.compile(r"^1\.\.(\d+)", re.M)
TAP_RESULT = re.compile(r"^(not ok|ok) \d+(.*)", re.M)


def say(text):
    print(text, flush=True)


def count_words(passed, failed, skipped):
    return f"{passed} passed" + (f", {failed} failed" if failed else "") + (f", {skipped} skipped" if skipped else "")


class Tally:
    """The counts, and the names of what failed. A group that had nothing to run is a failure: nothing was tested."""

    def __init__(self, only):
        self.only = only
        self.passed = self.skipped = self.found = 0
        self.failures = []

    def add(self, group, name, passed, failed, skipped=0, output=""):
        self.found += 1
        self.passed += passed
        self.skipped += skipped
        self.failures += [f"{group}: {name}"] * failed
        say(f"{'FAIL' if failed else 'ok  '} {group:8} {name} ({count_words(passed, failed, skipped)})")
        if failed and output:
            say(output[-SHOWN:])

    def add_part(self, group, name, result):
        self.found += 1
        self.passed += result.passed
        self.skipped += result.skipped
        self.failures += [f"{group}: {name}: {failure}" for failure in result.failures]
        say(f"{'FAIL' if result.failures else 'ok  '} {group:8} {name} ({count_words(result.passed, len(result.failures), result.skipped)}; {result.seconds:.0f} s)")
        if result.failures:
            say(result.output)

    def add_group(self, group, names):
        """The chosen ones of a group's names."""
        names = sorted(names)
        if not names:
            self.add(group, "no test was found", 0, 1)
        return [name for name in names if self.only in name]


def compile_all(directory, *targets):
    log = directory.with_suffix(".log")
    with log.open("w") as out:
        if subprocess.run(["ninja", "-C", directory, *targets], stdout=out, stderr=subprocess.STDOUT).returncode:
            say(log.read_text()[-SHOWN:])
            say(f"the build in {directory} failed; {log} has all of it")
            sys.exit(1)


def count_output(output, status):
    """(passed, failed, skipped) by what a program printed of cmocka or of the Test Anything Protocol. What was announced and not reported has failed."""
    planned = sum(int(n) for n in CMOCKA_PLAN.findall(output)) + sum(int(n) for n in TAP_PLAN.findall(output))
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in CMOCKA_RESULT.findall(output):
        counts[word] += int(number)
    for word, rest in TAP_RESULT.findall(output):
        counts["SKIPPED" if "# SKIP" in rest.upper() else "PASSED" if word == "ok" else "FAILED"] += 1
    missing = max(planned - sum(counts.values()), 0)
    failed = counts["FAILED"] + missing
    if (status != 0 or sum(counts.values()) == 0) and failed == 0:
        failed = 1
    return counts["PASSED"], failed, counts["SKIPPED"]


def unit_names():
    listing = subprocess.run(["meson", "introspect", "--tests", BUILD / "test"], capture_output=True, text=True, check=True).stdout
    return {test["name"] for test in json.loads(listing) if not any(s.endswith("dialogue") for s in test["suite"])}


def run_unit(tally):
    names = tally.add_group("unit", unit_names())
    if not names:
        return
    log = BUILD / "test/meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", BUILD / "test", "--no-rebuild", "--num-processes", str(AT_ONCE), "--timeout-multiplier", "4"]
    runner = subprocess.run([*command, *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for entry in sorted(entries, key=lambda e: e["name"]):
        name = entry["name"].split(" / ")[-1].split(":")[-1]
        output = entry.get("stdout", "") + entry.get("stderr", "")
        bad = entry["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")
        tally.add("unit", name, *count_output(output, bad), output=f"{entry['result']}\n{output}")
        names = [n for n in names if n != name]
    for name in names:
        tally.add("unit", name, 0, 1, output="meson did not run it\n" + runner.stdout)


def run_dialogue(tally, folder):
    scripts = [str(path) for path in sorted(folder.glob("*.txt")) if tally.only in f"{folder.name}/{path.name}"]
    if not scripts:
        return None
    try:
        result = subprocess.run([BUILD / "test/tests/dialogue/dialogue", *scripts], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", timeout=DIALOGUE_TIMEOUT)
        return result.stdout, result.returncode
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode(errors="replace") + f"\nno end within {DIALOGUE_TIMEOUT} s", 1


def run_dialogues(tally):
    folders = sorted({path.parent for path in (ROOT / "tests/dialogue").glob("*/*.txt")})
    if not folders:
        tally.add("dialogue", "no script was found", 0, 1)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for folder, result in zip(folders, pool.map(lambda f: run_dialogue(tally, f), folders)):
            if result:
                tally.add("dialogue", folder.name, *count_output(*result), output=result[0])


def run_fuzz_target(name):
    return subprocess.run(["nice", ROOT / "tools/run_fuzz.py", "--each", str(FUZZ_SECONDS), name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")


def run_fuzz(tally, names, beside):
    """In the background of `beside`, which is called meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = [pool.submit(run_fuzz_target, name) for name in names]
        try:
            beside()
        except BaseException:
            for future in results:
                future.cancel()
            raise
        for name, future in zip(names, results):
            result = future.result()
            tally.add("fuzz", name, int(result.returncode == 0), int(result.returncode != 0), output=result.stdout)


def system_parts(tally, environment):
    parts = []
    files = [path for path in sorted(SYSTEM.glob("test_*.py")) if path.name != RELEASE_ONLY]
    for group, program, paths in (("system", BUILD / "test/src/ostiary", files), ("release", BUILD / "release/src/ostiary", [SYSTEM / n for n in RELEASE_FILES])):
        counts, problem = system_tests.count_cases(ROOT, dict(environment, OSTIARY=str(program)), paths, tally.only)
        if problem is not None:
            tally.add(group, "pytest could not find the cases", 0, 1, output=problem)
        elif not paths:
            tally.add(group, "no test was found", 0, 1)
        for path in paths:
            if counts[path.name]:
                parts.append(system_tests.Part(group, program, path, counts[path.name]))
            elif problem is None and not tally.only:
                tally.add(group, f"{path.name} has no case", 0, 1)
    return parts


def run_system(tally):
    environment = dict(os.environ, OSTIARY_SMTP_SEND=str(SMTP_SEND))
    parts = system_parts(tally, environment)
    for part, result in system_tests.Pool(ROOT, BUILD, environment, tally.only).run_all(parts):
        tally.add_part(part.group, part.path.stem, result)


def raise_limits():
    """The kernel counts the descriptors that a user has under way between processes against the sender's limit of open files, and tests run at once."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < 65536 else 65536, hard))


def main():
    arguments = argparse.ArgumentParser(prog="./dev test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", metavar="NAME", help="run the tests whose name contains this")
    tally = Tally(arguments.parse_args().only)
    began = time.monotonic()
    raise_limits()
    compile_all(BUILD / "test")
    compile_all(BUILD / "fuzz", "fuzz_all")
    compile_all(BUILD / "release", "src/ostiary")
    say(f"built in {time.monotonic() - began:.0f} s")
    run_unit(tally)
    run_dialogues(tally)
    say(f"unit tests and dialogues done after {time.monotonic() - began:.0f} s")
    names = tally.add_group("fuzz", [path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.c")])
    run_fuzz(tally, names, lambda: run_system(tally))
    if not tally.found:
        say(f"no test has '{tally.only}' in its name")
        return 1
    for failure in tally.failures:
        say(f"failed: {failure}")
    say(f"all in {time.monotonic() - began:.0f} s" + (f"; {tally.skipped} skipped" if tally.skipped else ""))
    say(f"{tally.passed} passed, {len(tally.failures)} failed")
    return len(tally.failures) > 0


if __name__ == "__main__":
    sys.exit(main())
