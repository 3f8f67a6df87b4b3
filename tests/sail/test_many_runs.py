"""Jobs of many runs, on Sail, where a run takes a second: all files that say so of themselves."""

import pytest
from sail.on_sail import ROOT, run

MARKS = ("on_sail", "slow_on_spark")
ALL = sorted((ROOT / "tests" / "e2e").glob("test_*.py"))
FILES = [str(file) for file in ALL if any(f"\npytestmark = pytest.mark.{mark}\n" in file.read_text() for mark in MARKS)]


def test_quick_ones():
    run(*FILES, "-m", "not slow and not cluster")


@pytest.mark.slow
def test_slow_ones():
    run(*FILES, "tests/steps", "-m", "slow and (on_sail or slow_on_spark)")
