#!/usr/bin/env python3
"""Runs the fuzz targets on their seeds, as many side by side as there are processors, and says what of the parsers the seeds reach.

  ./dev fuzz                     every target for a minute
  ./dev fuzz --seconds 3600      all of them within an hour: each gets its share of it
  ./dev fuzz --each 30 mime dsn  these two, 30 seconds each
  ./dev fuzz --coverage          fuzz nothing: which branches of each parser do the seeds (and what earlier runs found) reach?
  ./dev fuzz --keep [NAME...]    fuzz nothing: put the fewest inputs that reach all that was reached into fuzz/found, for the next checkout

fuzz/corpus has the seeds that people wrote (those of services: tools/make_service_seeds.py), a folder for each target; fuzz/found what runs found, an archive for each. What a run finds new is in build/corpus; a crash
stays in build/crashes, the other targets still run, and the end is a status of 1.
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {"fuzz": ROOT / "build/fuzz/fuzz", "coverage": ROOT / "build/coverage/fuzz"}
FOUND, CRASHES = ROOT / "build/corpus", ROOT / "build/crashes"
SEEDS, ARCHIVES = ROOT / "fuzz/corpus", ROOT / "fuzz/found"
KEPT_BYTES = 400_000  # of a target's inputs; the largest go first
AIM = 90  # per cent of branches

# The code that reads what others wrote. What writes only, or only looks up, is not counted.
PARSERS = ["src/format/*.c", "src/auth/sasl.c", "src/auth/dovecot_scheme.c", "src/config/source.c", "src/dns/packet.c", "src/dns/rdata.c", "src/ipc/control.c",
           "src/ipc/frame.c", "src/policy/blacklist.c", "src/policy/blacklist_compile.c", "src/policy/blacklist_text.c", "src/policy/dns_list.c",
           "src/policy/door_item.c", "src/policy/facts_blob.c", "src/policy/host_name.c", "src/policy/pattern.c", "src/policy/remote_account.c",
           "src/policy/ruleset.c", "src/pwd/command.c", "src/store/backup_manifest.c", "src/store/volume_record.c"]


def all_targets():
    return sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.c"))


def corpora(target):
    """The directories of inputs that are there, what was found first: libFuzzer writes into the first one."""
    found, archive = FOUND / target, ARCHIVES / f"{target}.tar.xz"
    is_new = not found.exists()
    found.mkdir(parents=True, exist_ok=True)
    if is_new and archive.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(found)
    return [found, SEEDS / target]


def keep(target):
    """Packs what of the found inputs reaches something that the seeds don't."""
    program, (found, seeds) = PROGRAMS["fuzz"] / f"fuzz_{target}", corpora(target)
    with tempfile.TemporaryDirectory(prefix="ostiary-fuzz-") as directory:
        shutil.copytree(seeds, directory, dirs_exist_ok=True)
        written = {path.name for path in pathlib.Path(directory).iterdir()}
        result = subprocess.run([program, "-merge=1", "-timeout=20", directory, found], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if result.returncode:
            return False, f"dev fuzz: {target}: what was found could not be merged:\n{result.stderr}"
        new = sorted((path for path in pathlib.Path(directory).iterdir() if path.name not in written), key=lambda path: (path.stat().st_size, path.name))
        pack(target, new)
    return True, ""


def pack(target, paths):
    ARCHIVES.mkdir(exist_ok=True)
    size = 0
    with tarfile.open(ARCHIVES / f"{target}.tar.xz", "w:xz") as archive:
        for path in paths:
            size += path.stat().st_size
            if size > KEPT_BYTES:
                break
            entry = tarfile.TarInfo(path.name)  # no owner, no time: the same inputs are the same archive
            entry.size = path.stat().st_size
            with path.open("rb") as data:
                archive.addfile(entry, data)


def each_target(targets, jobs, what, verb):
    """Calls what(target) -> (is fine, what it printed) side by side; the exit status."""
    began, failed = time.monotonic(), []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(what, target): target for target in targets}
        for done, future in enumerate(concurrent.futures.as_completed(running), 1):
            target, (is_fine, output) = running[future], future.result()
            runs = runs_of(output)
            print(f"[{done}/{len(targets)}, {time.monotonic() - began:.0f} s] {target}: {f'{runs:,} runs, ' if runs else ''}{verb if is_fine else 'FAILED'}", flush=True)
            if not is_fine:
                failed.append(target)
                print(output, file=sys.stderr)
    if failed:
        print(f"dev fuzz: failed: {' '.join(sorted(failed))}", file=sys.stderr)
    return 1 if failed else 0


def problem_of(target, program):
    if not program.exists():
        return f"there is no program {program.relative_to(ROOT)}: is there a fuzz/fuzz_{target}.c?"
    if not any((SEEDS / target).glob("*")):
        return f"there are no seeds in fuzz/corpus/{target}"
    return None


def methods_missed(program, seeds):
    """A sentence where the seeds of a service reach less than all of its methods. They are played twice, the second time behind those that wear the store out ("worn-…" is the
    last of them): what is answered once only was answered in a new store only."""
    files = sorted(seeds.iterdir())
    result = subprocess.run([program, "-detect_leaks=0", *files, *files], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                            env=dict(os.environ, HOUSE_IS_PATIENT="1"))
    told = re.findall(r"^house: (\S+): (\d+) of \d+ calls answered$", result.stdout, re.M)
    missed = [method for method, answered in told if int(answered) < 2]
    if result.returncode or not told:
        return f"its seeds could not be played:\n{result.stderr}"
    return f"no seed reaches {', '.join(missed)}: see tools/make_service_seeds.py" if missed else None


def fuzz(target, seconds):
    """(is fine, what it printed)"""
    program = PROGRAMS["fuzz"] / f"fuzz_{target}"
    problem = problem_of(target, program)
    if not problem and target.startswith("service_"):
        problem = methods_missed(program, SEEDS / target)
    if problem:
        return False, f"dev fuzz: {target}: {problem}\n"
    CRASHES.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={CRASHES}/{target}-"]
    dictionary = ROOT / f"fuzz/{target}.dict"
    if dictionary.exists():
        options.append(f"-dict={dictionary}")
    result = subprocess.run([program, *options, *corpora(target)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace")
    if result.returncode == 0:
        return True, result.stdout
    return False, f"{result.stdout}\ndev fuzz: {target} failed; the input is in build/crashes: build/fuzz/fuzz/fuzz_{target} FILE plays it again"


def runs_of(output):
    return next((int(line.split()[-1]) for line in output.splitlines() if line.startswith("stat::number_of_executed_units:")), 0)


def play(target, directory):
    """Runs the inputs once, for what they reach; the profile's path, or None."""
    program, profile = PROGRAMS["coverage"] / f"fuzz_{target}", pathlib.Path(directory) / f"{target}.raw"
    problem = problem_of(target, program)
    if problem:
        print(f"dev fuzz: {target}: {problem}", file=sys.stderr)
        return None
    result = subprocess.run([program, "-runs=0", "-timeout=20", *corpora(target)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                            env=dict(os.environ, LLVM_PROFILE_FILE=str(profile)))
    if result.returncode or not profile.exists():
        print(f"dev fuzz: {target} failed while its inputs were counted:\n{result.stderr}", file=sys.stderr)
        return None
    return profile


def counted_files(report):
    rows = {}
    for entry in report["data"][0]["files"]:
        path = os.path.relpath(entry["filename"], ROOT)
        if any(fnmatch.fnmatch(path, pattern) for pattern in PARSERS):
            branches, lines = entry["summary"]["branches"], entry["summary"]["lines"]
            rows[path] = (branches["covered"], branches["count"], lines["covered"], lines["count"])
    return rows


def coverage(targets, jobs, as_json):
    with tempfile.TemporaryDirectory(prefix="ostiary-coverage-") as directory:
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            profiles = list(pool.map(lambda target: play(target, directory), targets))
        if None in profiles:
            return 1
        merged = pathlib.Path(directory) / "merged"
        subprocess.run(["llvm-profdata-14", "merge", "-sparse", "-o", merged, *profiles], check=True)
        programs = [PROGRAMS["coverage"] / f"fuzz_{target}" for target in targets]
        objects = [word for program in programs[1:] for word in ("-object", program)]
        command = ["llvm-cov-14", "export", "-summary-only", f"-instr-profile={merged}", programs[0], *objects]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = counted_files(report)
    total = [sum(row[i] for row in rows.values()) for i in range(4)]
    if as_json:
        print(json.dumps({"files": {path: dict(zip(("branches_reached", "branches", "lines_reached", "lines"), row)) for path, row in sorted(rows.items())}}, indent=1))
        return 0
    print(f"{'parser':38} {'branches':>16} {'lines':>16}")
    for path, row in sorted(rows.items(), key=lambda item: item[1][0] / max(item[1][1], 1)):
        print(line_of(path, row) + ("" if row[0] * 100 >= AIM * row[1] else f"  under {AIM} %"))
    print(line_of("all of them", total))
    return 0


def line_of(name, row):
    return f"{name:38} {share(row[0], row[1]):>16} {share(row[2], row[3]):>16}"


def share(part, whole):
    return f"{part}/{whole} {100 * part / max(whole, 1):3.0f} %"


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 is needed, not '{text}'")
    return int(text)


def main():
    arguments = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("targets", nargs="*", metavar="NAME", help="targets; all when none is named")
    length = arguments.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=positive, metavar="N", help="how long the whole run takes")
    length.add_argument("--each", type=positive, metavar="N", help="how long each target runs")
    arguments.add_argument("--coverage", action="store_true", help="count which branches the inputs reach instead")
    arguments.add_argument("--keep", action="store_true", help="pack what was found into fuzz/found instead")
    arguments.add_argument("--json", action="store_true", help="with --coverage: for programs")
    arguments.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="how many targets run side by side (the processors)")
    given = arguments.parse_args()
    unknown = sorted(set(given.targets) - set(all_targets()))
    if unknown:
        arguments.error(f"there is no target {', '.join(unknown)}; there are {', '.join(all_targets())}")
    targets = given.targets or all_targets()
    if given.coverage:
        return coverage(targets, given.jobs, given.json)
    if given.keep:
        return each_target(targets, given.jobs, keep, "kept")
    rounds = -(-len(targets) // given.jobs)
    seconds = given.each or (max(given.seconds // rounds, 1) if given.seconds else 60)
    return each_target(targets, given.jobs, lambda target: fuzz(target, seconds), "fine")


if __name__ == "__main__":
    sys.exit(main())
