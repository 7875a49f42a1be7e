"""The system tests, a process of pytest for each file, several at once: most of them wait more than they compute. Whoever is free takes the file that took longest
when it was last run."""
import collections
import concurrent.futures
import json
import os
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree

WORKERS = (os.cpu_count() or 1) * 2
PART_TIMEOUT = 900  # seconds for a file; they take one to fifty
STOP_PATIENCE = 20
NOTHING_FOUND = 5  # pytest's status
# Where no run left its times yet: these first.
LONG = ("test_torture.py", "test_processes.py", "test_courier.py", "test_clients_out.py", "test_smtp_client.py", "test_pwd.py", "test_ctl.py", "test_peers.py", "test_blacklist.py",
        "test_bad_input.py", "test_backup.py", "test_routes.py", "test_relay.py", "test_directory.py")

# `planned` is the number of cases that were found in the file before anything ran.
Part = collections.namedtuple("Part", "group program path planned")
Result = collections.namedtuple("Result", "passed failures skipped seconds output")


def pytest(*words):
    return ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, words)]


def chosen(only):
    return ["-k", only] if only else []


def count_cases(root, environment, paths, only):
    """({file's name: cases}, what is wrong or None)"""
    result = subprocess.run(pytest("--collect-only", *chosen(only), *paths), cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    counts = collections.Counter(line.partition("::")[0].rpartition("/")[2] for line in result.stdout.splitlines() if "::" in line)
    good = result.returncode == 0 or (only and result.returncode == NOTHING_FOUND)
    return counts, None if good else result.stdout


def read_report(path, planned, status):
    """(passed, names of failures, skipped)"""
    try:
        cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, [f"ended with status {status} and no report"], 0
    # A case whose end fails after its body did is in it twice.
    bad = {f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}" for case in cases if case.find("failure") is not None or case.find("error") is not None}
    names = {(case.get("classname"), case.get("name")) for case in cases}
    skipped = sum(case.find("skipped") is not None for case in cases)
    failures = sorted(bad)
    if len(names) != planned:
        failures.append(f"has {planned} cases, {len(names)} were run")
    if status != 0 and not failures:
        failures.append(f"ended with status {status}")
    return len(names) - len(bad) - skipped, failures, skipped


class Pool:
    """Runs parts. The results are the caller's to count, in the order of their ends."""

    def __init__(self, root, build, environment, only):
        self.root, self.build, self.environment, self.only = root, build, environment, only
        self.times_path = build / "test_seconds.json"
        self.directory = build / "system"
        self.directory.mkdir(exist_ok=True)
        self.lock, self.running, self.is_over = threading.Lock(), set(), False
        try:
            self.times = json.loads(self.times_path.read_text())
        except (OSError, ValueError):
            self.times = {}

    def weight(self, part):
        expected = 20 - LONG.index(part.path.name) if part.path.name in LONG else 5
        return self.times.get(f"{part.group}/{part.path.name}", expected)

    def start(self, part, log, report):
        command = pytest(f"--junitxml={report}", *chosen(self.only), part.path)
        with self.lock:
            if self.is_over:
                raise InterruptedError
            process = subprocess.Popen(command, cwd=self.root, env=dict(self.environment, OSTIARY=str(part.program)), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            self.running.add(process)
        return process

    def run(self, part):
        name = f"{part.group}-{part.path.stem}"
        report, log_path = self.directory / f"{name}.xml", self.directory / f"{name}.log"
        report.unlink(missing_ok=True)
        began, note = time.monotonic(), ""
        with log_path.open("wb") as log:
            process = self.start(part, log, report)
            try:
                status = process.wait(PART_TIMEOUT)
            except subprocess.TimeoutExpired:
                note = f"\nno end within {PART_TIMEOUT} s"
                status = stop(process)
            with self.lock:
                self.running.discard(process)
        seconds = time.monotonic() - began
        passed, failures, skipped = read_report(report, part.planned, status)
        if not self.only:
            self.times[f"{part.group}/{part.path.name}"] = round(seconds, 1)
        return Result(passed, failures, skipped, seconds, log_path.read_text(errors="replace") + note)

    def run_all(self, parts):
        """Yields (part, result)."""
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as executor:
            futures = {executor.submit(self.run, part): part for part in sorted(parts, key=self.weight, reverse=True)}
            try:
                for future in concurrent.futures.as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                self.stop_all()
                raise
        self.times_path.write_text(json.dumps(self.times, indent=1, sort_keys=True))

    def stop_all(self):
        with self.lock:
            self.is_over = True
            running = list(self.running)
        for process in running:
            stop(process)


def stop(process):
    """It and the servers that it started: each part is a process group of its own."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
    return process.wait()
