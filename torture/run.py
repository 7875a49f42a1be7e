#!/usr/bin/python3
"""Shows in figures that nothing acknowledged is lost, whatever happens to the server: kills, power cuts, failing disks, slow clients, a broken DNS and more.

Each part breaks servers of its own in one way and says which promise it tried, how often, and what was lost or doubled. Exits 0 only when every promise held.

  ./dev torture                  everything, at most an hour on two processors
  ./dev torture --short kill     one part, briefly
  ./dev torture --seed 17 kill   the same random choices again
"""
import argparse
import dataclasses
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import queue
import random
import resource
import signal
import sys
import textwrap
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from torture import ROOT  # noqa: E402
from torture.promise import LIMITS, Outcome, Report, processors  # noqa: E402

# In the order in which they are begun: those that take longest first.
PARTS = ("kill", "power", "failures", "bitflip", "backup", "upgrade", "slow_clients", "dns", "clock", "poison")
BUILD = ROOT / "build/torture"
WIDTH = 72  # of the table's column of promises


class Running:
    """A part in a process, and process group, of its own: whatever it does, it can be ended."""

    def __init__(self, part, effort, seed, report):
        self.part, self.effort, self.outcomes, self.note, self.seconds = part, effort, None, "", 0
        self.began = time.monotonic()
        ours, theirs = multiprocessing.Pipe(duplex=False)
        self.pipe = ours
        self.process = multiprocessing.get_context("fork").Process(target=run_part, args=(part, effort, seed, report, theirs))
        self.process.start()
        theirs.close()

    def follow(self, changed):
        """Reads what it says until its end."""
        limit = getattr(module_of(self.part), "LIMIT", {}).get(self.effort, LIMITS[self.effort])
        trouble = "ended without a word"
        while self.outcomes is None:
            left = self.began + limit - time.monotonic()
            ready = multiprocessing.connection.wait([self.pipe, self.process.sentinel], max(0, left))
            if self.pipe not in ready:
                trouble = trouble if ready else f"no end within {limit} s"
                break
            try:
                kind, value = self.pipe.recv()
            except EOFError:
                break
            if kind == "outcomes":
                self.outcomes = value
            else:
                self.note = value
                changed(self)
        self.stop()
        self.process.join()
        self.seconds = time.monotonic() - self.began
        if self.outcomes is None:
            self.outcomes = [Outcome(promise, broken=[f"{self.part}: {trouble}; status {self.process.exitcode}"]) for promise in promises_of(self.part)]

    def stop(self):
        """All that it started, too."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def module_of(part):
    return importlib.import_module(f"torture.{part}")


def promises_of(part):
    return module_of(part).PROMISES


def outcomes_of(part, effort, seed, report):
    """What the part gives back, held to its form."""
    promises = promises_of(part)
    try:
        outcomes = list(module_of(part).run(effort, seed, report))
    except Exception as problem:  # a mistake in here is no promise held
        return [Outcome(promise, broken=[f"{part} (seed {seed}): {type(problem).__name__}: {problem}"]) for promise in promises]
    if [outcome.promise for outcome in outcomes] != list(promises):
        return [Outcome(promise, broken=[f"{part} did not say what became of its promises"]) for promise in promises]
    return outcomes


def run_part(part, effort, seed, report, pipe):
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    report.tell = lambda text: pipe.send(("note", text))
    pipe.send(("outcomes", outcomes_of(part, effort, seed, report)))


class Screen:
    """One line that says how far everything is, on a terminal; else a line for each part that ended."""

    def __init__(self, quiet):
        self.is_live = sys.stderr.isatty() and not quiet
        self.quiet, self.lock, self.running = quiet, threading.Lock(), []

    def clear(self):
        if self.is_live:
            sys.stderr.write("\r\x1b[K")

    def show(self, *_):
        if self.is_live:
            with self.lock:
                text = "  ".join(f"{one.part} {one.note}".strip() for one in self.running)
                sys.stderr.write(f"\r\x1b[K{text[:os.get_terminal_size(2).columns - 1]}")
                sys.stderr.flush()

    def ended(self, one):
        with self.lock:
            self.running.remove(one)
            self.clear()
            if not self.quiet:
                held = all(outcome.held() for outcome in one.outcomes)
                print(f"{'held  ' if held else 'BROKEN'} {one.part} ({count_tries(one.outcomes)} tries, {one.seconds:.0f} s)", file=sys.stderr)


def run_all(parts, effort, seed, report, screen):
    """{part: Running}. Those that measure run alone, first, while the machine is at rest; the others as many at once as there are processors."""
    results = {}

    def run_one(part):
        one = Running(part, effort, seed, report)
        with screen.lock:
            screen.running.append(one)
        try:
            one.follow(screen.show)
        finally:
            one.stop()
        results[part] = one
        screen.ended(one)

    for part in parts:
        if getattr(module_of(part), "ALONE", False):
            run_one(part)
    waiting = queue.SimpleQueue()
    for part in parts:
        if not getattr(module_of(part), "ALONE", False):
            waiting.put(part)

    def work():
        while True:
            try:
                run_one(waiting.get_nowait())
            except queue.Empty:
                return

    workers = [threading.Thread(target=work, daemon=True) for _ in range(processors())]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException:
        for one in list(screen.running):
            one.stop()
        raise
    return {part: results[part] for part in parts}


def print_table(results):
    row = f"{{:{WIDTH}}} {{:>8}} {{:>6}} {{:>8}}  {{}}".format
    print(row("promise", "tries", "lost", "doubled", "what broke"))
    for part, one in results.items():
        for outcome in one.outcomes:
            lines = textwrap.wrap(f"{part}: {outcome.promise}", WIDTH, subsequent_indent="  ")
            broken = "" if outcome.held() else f"{len(outcome.broken)} below" if outcome.broken else "nothing was tried" if not outcome.tries else "losses"
            print(row(lines[0], outcome.tries, outcome.lost, outcome.doubled, broken))
            for line in lines[1:]:
                print(line)
            if outcome.figures:
                shown = ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in outcome.figures.items())
                print(textwrap.fill(shown, WIDTH + 26, initial_indent="    ", subsequent_indent="    "))
    for one in results.values():
        for outcome in one.outcomes:
            for sentence in outcome.broken:
                print(f"broken: {sentence}")


def print_json(results, effort, seed):
    rows = [dict(dataclasses.asdict(outcome), part=part, held=outcome.held()) for part, one in results.items() for outcome in one.outcomes]
    seconds = {part: round(one.seconds, 1) for part, one in results.items()}
    print(json.dumps({"effort": effort, "seed": seed, "promises": rows, "seconds": seconds}, indent=1))


def count_tries(outcomes):
    """Each once, however many promises it was a try of."""
    return sum(outcome.tries - outcome.again for outcome in outcomes)


def closing_line(outcomes):
    text = f"{count_tries(outcomes)} tries, {sum(o.lost for o in outcomes)} lost, {sum(o.doubled for o in outcomes)} doubled"
    broken = sum(not o.held() for o in outcomes)
    return text + (f", {broken} of {len(outcomes)} promises broken" if broken else "")


def raise_limits():
    """Thousands of clients and as many of the server's descriptors under way."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def arguments():
    parser = argparse.ArgumentParser(prog="./dev torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--short", dest="effort", action="store_const", const="short", help="at most five minutes")
    effort.add_argument("--long", dest="effort", action="store_const", const="long", help="a night")
    effort.add_argument("--test", dest="effort", action="store_const", const="test", help="a few seconds a part: what ./dev test does")
    parser.set_defaults(effort="full")
    parser.add_argument("--seed", type=int, help="the random choices of an earlier run")
    parser.add_argument("--json", action="store_true", help="the outcomes for a program to read")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD, help=argparse.SUPPRESS)
    parser.add_argument("--shipped", type=pathlib.Path, default=ROOT / "build/release/src/ostiary", help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which: {', '.join(PARTS)} (all of them)")
    chosen = parser.parse_args()
    unknown = [part for part in chosen.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part '{unknown[0]}'; there are {', '.join(PARTS)}")
    return chosen


def main():
    chosen = arguments()
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(1 << 30)
    raise_limits()
    build = chosen.build.resolve()
    os.environ["OSTIARY"] = str(build / "src/ostiary")
    parts = [part for part in PARTS if part in chosen.parts or not chosen.parts]
    if not chosen.json:
        print(f"seed {seed}", flush=True)
    results = run_all(parts, chosen.effort, seed, Report(build / "src/ostiary", build / "torture", chosen.shipped), Screen(chosen.json))
    outcomes = [outcome for one in results.values() for outcome in one.outcomes]
    if chosen.json:
        print_json(results, chosen.effort, seed)
    else:
        print_table(results)
        print(closing_line(outcomes))
    return not all(outcome.held() for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
