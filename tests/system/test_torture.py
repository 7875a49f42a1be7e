"""Each part of ./dev torture, briefly: everything that it does is tried, if not often."""
import collections
import os
import pathlib
import poplib
import random
import smtplib
import subprocess
import sys

import pytest

from conftest import OSTIARY

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from torture import bitflip, dns, load, power, run  # noqa: E402
from torture.promise import Broken, Outcome, Report, end_all, refused_for_good  # noqa: E402


@pytest.mark.parametrize("part", run.PARTS)
def test_part(part):
    seed = int(os.environ.get("OSTIARY_TORTURE_SEED", random.randrange(1 << 30)))
    print(f"OSTIARY_TORTURE_SEED={seed}")
    # What is measured is not judged here, so the program that is shipped need not be there.
    report = Report(OSTIARY, pathlib.Path(OSTIARY).resolve().parents[1] / "torture", OSTIARY, print)
    outcomes = run.outcomes_of(part, "test", seed, report)
    for outcome in outcomes:
        print(outcome)
    assert all(outcome.held() for outcome in outcomes), "\n".join(sentence for outcome in outcomes for sentence in outcome.broken)


# ---- That it can fail ----


@pytest.mark.parametrize("outcome,held", [
    (Outcome("p", tries=1), True),
    (Outcome("p", tries=0), False),  # nothing was tried
    (Outcome("p", tries=1, lost=1), False),
    (Outcome("p", tries=1, doubled=1), False),
    (Outcome("p", tries=1, broken=["something"]), False),
])
def test_what_holds(outcome, held):
    assert outcome.held() == held
    assert run.closing_line([outcome]).endswith("doubled") == held


def test_outcomes_are_added():
    total = Outcome("p")
    for i in range(30):
        total.add(Outcome("p", tries=2, lost=1, broken=[f"b{i}"], figures={"mails": 3, "what": "x"}))
    assert (total.tries, total.lost, total.figures) == (60, 30, {"mails": 90, "what": "x"})
    assert 0 < len(total.broken) < 30  # one fault may break everything


class Part:
    """A module of a part."""

    PROMISES = ("first", "second")

    def __init__(self, outcomes):
        self.outcomes = outcomes

    def run(self, effort, seed, report):
        if isinstance(self.outcomes, Exception):
            raise self.outcomes
        return self.outcomes


@pytest.mark.parametrize("given,sentence", [
    (ValueError("a mistake"), "ValueError: a mistake"),
    ([Outcome("first", tries=1)], "did not say"),
    ([Outcome("second", tries=1), Outcome("first", tries=1)], "did not say"),
])
def test_a_part_that_breaks_breaks_its_promises(monkeypatch, given, sentence):
    monkeypatch.setattr(run, "module_of", lambda part: Part(given))
    outcomes = run.outcomes_of("part", "test", 1, None)
    assert [outcome.promise for outcome in outcomes] == ["first", "second"]
    assert all(not outcome.held() and sentence in outcome.broken[0] for outcome in outcomes)


def test_a_try_that_breaks_is_counted_and_kept():
    outcome = Outcome("p", tries=3)
    report = Report(OSTIARY, "/nonexistent", OSTIARY)
    with report.directory(outcome, "a good try") as good:
        pass
    assert outcome.held() and not good.exists()
    with report.directory(outcome, "try 7") as bad:
        raise Broken("two are gone", lost=2)
    assert outcome.lost == 2 and outcome.broken[0] == "try 7: two are gone" and str(bad) in outcome.broken[1] and bad.is_dir()
    (bad / "traceback.txt").unlink()
    bad.rmdir()


# (what was acknowledged, deleted, perhaps deleted; what is in the maildrop; lost, doubled)
@pytest.mark.parametrize("due,deleted,unsure,there,lost,doubled", [
    ({1, 2}, {2}, {2}, [1], 0, 0),
    ({1, 2}, set(), {2}, [1], 0, 0),  # the answer to QUIT never came
    ({1, 2}, set(), {2}, [1, 2, 3], 0, 0),  # and nor did that to the third message
    ({1, 2}, set(), set(), [1], 1, 0),
    ({1, 2}, set(), set(), [1, 2, 2], 0, 1),
    ({1, 2}, {2}, {2}, [1, 2], 0, 1),  # it came back
    (set(), set(), set(), [3, 3], 0, 1),
])
def test_what_is_lost_or_doubled_is_found(due, deleted, unsure, there, lost, doubled):
    mail = load.Mail()
    for known, numbers in ((mail.due, due), (mail.deleted, deleted), (mail.unsure, unsure)):
        known["alice"] = {(number, "mail") for number in numbers}
    kept = (collections.Counter((number, "mail") for number in there),)
    try:
        load.check_person("alice", mail, kept)
        found = 0, 0
    except Broken as problem:
        found = problem.lost, problem.doubled
    assert found == (lost, doubled)


@pytest.mark.parametrize("problem,refusal", [
    ((250, b"ok"), ""),
    ((451, b"4.3.0 not now"), ""),
    ((550, b"5.1.1 nobody"), "550 5.1.1 nobody"),
    (smtplib.SMTPDataError(554, b"no"), "554 no"),
    (smtplib.SMTPAuthenticationError(454, b"later"), ""),
    (smtplib.SMTPAuthenticationError(535, b"wrong"), "535 wrong"),
    (smtplib.SMTPRecipientsRefused({"a": (451, b"later"), "b": (550, b"nobody")}), "550 nobody"),
    (smtplib.SMTPRecipientsRefused({"a": (451, b"later")}), ""),
    (smtplib.SMTPServerDisconnected("gone"), ""),
    (poplib.error_proto(b"-ERR [AUTH] wrong name or password"), "-ERR [AUTH] wrong name or password"),
    (poplib.error_proto(b"-ERR [SYS/PERM] damage"), "-ERR [SYS/PERM] damage"),
    (poplib.error_proto(b"-ERR [SYS/TEMP] later"), ""),
    (poplib.error_proto("-ERR EOF"), ""),
    (OSError(), ""),
])
def test_what_is_no_not_now(problem, refusal):
    assert refused_for_good(problem) == refusal


def test_faults_at_the_end_do_not_hide_the_loss():
    ended = []
    with pytest.raises(Broken) as raised:
        try:
            raise Broken("five are gone", lost=5)
        finally:
            end_all(lambda: ["signal=SIGSEGV"], lambda: 1 / 0, lambda: ended.append(1))
    assert raised.value.lost == 5 and "SIGSEGV" in raised.value.__notes__[0] and "ZeroDivisionError" in raised.value.__notes__[0] and ended
    with pytest.raises(Broken, match="SIGSEGV"):
        end_all(lambda: ["signal=SIGSEGV"])
    end_all(lambda: [], lambda: None)


def test_a_cut_is_one_try_and_a_fault_goes_to_its_promise():
    outcomes = [Outcome(promise) for promise in power.PROMISES]
    for line in ("tries 80", "prefixes 30", "rebuilt 8", "restored 0", "possible 3000 900", "broken lost cut 1:bare:2 5 gone", "broken torn rebuild 1:weak:3 5 torn"):
        power.take_line(line.split(" ", 5), outcomes, 1)
    assert run.count_tries(outcomes) == 80 and [outcome.tries for outcome in outcomes] == [80, 80, 80, 8, 0, 0]
    assert [outcome.lost for outcome in outcomes] == [1, 0, 0, 1, 0, 0] and not outcomes[power.RESTORED].held()


def test_each_prefix_means_each():
    figures = {power.PREFIXES: 899, power.POSSIBLE_PREFIXES: 900}
    power.look_for_gaps(power.EFFORTS["test"], figures)
    for effort in ("full", "long"):
        with pytest.raises(Broken, match="of 900 prefixes only 899"):
            power.look_for_gaps(power.EFFORTS[effort], figures)
        power.look_for_gaps(power.EFFORTS[effort], figures | {power.PREFIXES: 900})


def found(code, said):
    bitflip.look_whether_found(subprocess.CompletedProcess((), code, said, ""), "a flip", r"[Vv]olume 0001\b")


def test_what_store_check_has_to_say():
    found(os.EX_DATAERR, "Volume 0001 is damaged from position 1 to 2.")
    found(os.EX_CANTCREAT, "ostiary: volume 0001 is missing")
    for code, said in ((0, "all is well in volume 0001"), (-11, "Volume 0001"), (134, "Volume 0001"), (os.EX_DATAERR, "Volume 0002 is damaged")):
        with pytest.raises(Broken):
            found(code, said)


WHOLE = {"entry": [(3, 1, 9, 1, 20), (3, 2, 9, 0, 21)], "message": [(20, 9), (21, 9)], "mailbox": [(3, 2, "INBOX", 7, 3, 0, 2, 18), (4, 2, "Old", 8, 1, 0, 0, 0)],
         **{table: [(2, "x")] for table in bitflip.THINGS}}


# (what a rebuild has instead, the kind of the record that is lost, the message in it, losses and doubles: None where that is right)
@pytest.mark.parametrize("instead,kind,victim,wrong", [
    ({}, "message", 20, None),
    ({"entry": WHOLE["entry"][1:], "message": WHOLE["message"][1:]}, "message", 20, None),
    ({"entry": WHOLE["entry"][1:], "message": WHOLE["message"][1:]}, "message", 21, (2, 0)),
    ({"entry": [(3, 1, 9, 0, 20), (3, 2, 9, 0, 21)]}, "message", 21, (1, 0)),  # its flag is gone
    ({"entry": [*WHOLE["entry"], (3, 3, 9, 0, 22)]}, "expunge", None, None),
    ({"entry": [*WHOLE["entry"], (3, 3, 9, 0, 22)]}, "alias", None, (0, 1)),
    ({"mailbox": WHOLE["mailbox"][:1]}, "mailbox", None, None),
    ({"mailbox": WHOLE["mailbox"][1:]}, "mailbox", None, (1, 0)),
    ({"mailbox": [(3, 2, "INBOX", 8, 3, 0, 2, 18), WHOLE["mailbox"][1]]}, "mailbox", None, (1, 0)),  # another UIDVALIDITY
    ({"account": [(2, "")], "credential": []}, "account", None, None),
    ({"account": [(2, "")]}, "domain", None, (1, 0)),
    ({"alias": []}, "message", 20, (1, 0)),
])
def test_what_a_rebuild_may_lack(instead, kind, victim, wrong):
    try:
        bitflip.compare_but_for("a flip", WHOLE, WHOLE | instead, kind, victim)
        result = None
    except Broken as problem:
        result = problem.lost, problem.doubled
    assert result == wrong


@pytest.mark.parametrize("name,subject", [
    ("s7.elsewhere.test", ("in", 7)), ("mx.s7.elsewhere.test", ("in", 7)), ("d12.far.test", ("out", 12)), ("mx.d12.far.test", ("out", 12)), ("list.test", None),
    ("mail.ip-127-1-0-8.elsewhere.test", None), ("8.0.1.127.in-addr.arpa", ("in", 7)), ("8.1.1.127.list.test", ("in", 257)), ("2.0.0.127.list.test", None),
])
def test_whom_a_question_is_about(name, subject):
    assert dns.subject_of(name) == subject
    if subject and subject[0] == "in":
        assert dns.subject_of(".".join(reversed(dns.address_of(subject[1]).split("."))) + ".in-addr.arpa") == subject
