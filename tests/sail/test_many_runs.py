"""Jobs of many runs, on Sail, where a run takes a second: all files that say so of themselves."""

import pytest
from sail.on_sail import JOBS, ROOT, run

ALL = sorted((ROOT / "tests" / "e2e").glob("test_*.py"))
MARKS = ("mark.on_sail", "mark.slow_on_spark")
OTHERS = [file for file in ALL if any(mark in file.read_text(encoding="utf-8") for mark in MARKS)]
FILES = [str(file) for file in OTHERS if file.stem.removeprefix("test_") not in JOBS]


def test_quick_ones():
    run(*FILES, "-m", "not slow and not cluster")


@pytest.mark.slow
def test_slow_ones():
    run(*FILES, "tests/steps", "-m", "slow and (on_sail or slow_on_spark)")
