"""What a part of the torture is given, and what it gives back.

A part is a module of this folder, named in run.py's PARTS. It has

    PROMISES        its promises, a sentence each
    run(effort, seed, report) -> [Outcome]      one for each promise, in that order

and, where they differ from these:

    ALONE = False   True: it measures time or memory, so no other part may run beside it
    LIMIT = {}      seconds after which a run of that effort is ended and counts as broken, by effort; see LIMITS
"""
import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import poplib
import shutil
import smtplib
import sys
import tempfile
import traceback

import ports

EFFORTS = ("test", "short", "full", "long")
LIMITS = {"test": 600, "short": 900, "full": 2 * 3600, "long": 24 * 3600}  # against what hangs: how long it takes is the machine's
FINAL = (b"[AUTH]", b"[SYS/PERM]")  # what POP3 has instead of a 5xx
BROKEN_SHOWN = 20  # sentences of an outcome that are kept: one fault may break a thousand tries


@dataclasses.dataclass
class Outcome:
    promise: str
    tries: int = 0
    again: int = 0  # of these tries: those that another outcome of the same part has counted already
    lost: int = 0
    doubled: int = 0
    broken: list = dataclasses.field(default_factory=list)  # sentences: what, where, and how to see it again
    figures: dict = dataclasses.field(default_factory=dict)  # what was measured or counted beside it: {name: number or text}

    def held(self):
        """Nothing was tried: nothing is known, which is no promise held."""
        return self.tries > 0 and not self.lost and not self.doubled and not self.broken

    def add(self, other):
        """Another part of the same promise's tries. Figures that are numbers are added up; of others the last one stays."""
        self.tries += other.tries
        self.again += other.again
        self.lost += other.lost
        self.doubled += other.doubled
        self.broken = (self.broken + other.broken)[:BROKEN_SHOWN]
        for name, value in other.figures.items():
            before = self.figures.get(name)
            self.figures[name] = before + value if isinstance(before, (int, float)) and isinstance(value, (int, float)) else value


class Broken(AssertionError):
    """A promise that did not hold, with the losses that are known."""

    def __init__(self, sentence, lost=0, doubled=0):
        super().__init__(sentence)
        self.lost, self.doubled = lost, doubled


def end_all(*ends):
    """For a `finally`: calls all of them, whatever each does. What they raise, and the lines that they give back (Server.end: what no server may ever write), break a
    promise; where something is being raised already they are added to that, whose losses stay."""
    found = []
    for end in ends:
        try:
            found += end() or []
        except Exception as problem:
            found.append(f"{type(problem).__name__}: {problem}")
    if found:
        sentence, under_way = f"a process broke: {found[:3]}", sys.exc_info()[1]
        if under_way is None:
            raise Broken(sentence)
        under_way.add_note(sentence)


def refused_for_good(problem):
    """What a client of SMTP or POP3 was told that is no "not now", from what its library raised or from an SMTP reply (code, text); "" where there is none. A server in
    trouble may put people off, and never refuse them."""
    if isinstance(problem, smtplib.SMTPRecipientsRefused):
        return next(filter(None, map(refused_for_good, problem.recipients.values())), "")
    if isinstance(problem, smtplib.SMTPResponseException):
        return refused_for_good((problem.smtp_code, problem.smtp_error))
    if isinstance(problem, tuple):
        return f"{problem[0]} {text_of(problem[1])}" if problem[0] >= 500 else ""
    if isinstance(problem, poplib.error_proto):
        return next((text_of(said) for said in problem.args if isinstance(said, bytes) and any(code in said for code in FINAL)), "")
    return ""


def text_of(words):
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


class Report:
    """The way from a part to whoever started it."""

    def __init__(self, program, libraries, shipped, tell=lambda text: None):
        self.program = pathlib.Path(program)  # an ostiary that is a test build: it hands LD_PRELOAD to its processes
        self.libraries = pathlib.Path(libraries)  # what torture/meson.build makes
        self.shipped = pathlib.Path(shipped)  # the ostiary that people run: for whoever measures
        self.tell = tell

    def __reduce__(self):
        """In another process it works, and tells nobody."""
        return Report, (self.program, self.libraries, self.shipped)

    def progress(self, done, total, what=""):
        """A line for whoever watches."""
        self.tell(f"{done} of {total}{' ' if what else ''}{what}")

    def library(self, name):
        path = self.libraries / f"lib{name}.so"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not built: ninja -C {self.libraries.parent}")
        return path

    def tool(self, name):
        path = self.libraries / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not built: ninja -C {self.libraries.parent}")
        return path

    @contextlib.contextmanager
    def directory(self, outcome, what):
        """A directory for one try, under which all of its servers live. What goes wrong in the block becomes a sentence of `outcome`, that starts
        with `what` (how to see it again), and the directory stays and is named; else it goes."""
        path = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-torture-"))
        before = len(outcome.broken), outcome.lost, outcome.doubled
        try:
            yield path
        except Exception as problem:
            outcome.lost += getattr(problem, "lost", 0)
            outcome.doubled += getattr(problem, "doubled", 0)
            sentence = f"{problem}" if isinstance(problem, Broken) else f"{type(problem).__name__}: {str(problem)[-1500:]}"
            outcome.broken.append("; ".join((f"{what}: {sentence}", *getattr(problem, "__notes__", ()))))
            (path / "traceback.txt").write_text(traceback.format_exc())
        if before == (len(outcome.broken), outcome.lost, outcome.doubled):
            shutil.rmtree(path, ignore_errors=True)
        else:
            outcome.broken = outcome.broken[:BROKEN_SHOWN]
            outcome.broken.append(f"all of it is in {path}")

    def each(self, function, arguments, at_once=2):
        """The results of function(*arguments[i], report), in no order, each from a process of its own, so many at once. The function and its
        arguments must be picklable: a module's own, and plain values."""
        # Forked while there is one thread only; ports of a child are its own, since locks are not inherited.
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(at_once, mp_context=context, initializer=leave_ports) as pool:
            futures = [pool.submit(function, *words, self) for words in arguments]
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                result = future.result()
                self.progress(done, len(futures))
                yield result


def leave_ports():
    """In a process that was forked: the parent's ports are not ours, though the memory says so."""
    ports.taken.clear()


def processors():
    return len(os.sched_getaffinity(0))
