"""Each part of ./dev torture, briefly: everything that it does is tried, if not often."""
import os
import pathlib
import random
import sys

import pytest

from conftest import OSTIARY

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))
from torture import run  # noqa: E402
from torture.promise import Report  # noqa: E402


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
