"""Jobs of many runs, on Sail, where a run takes a second: how a segmentation lives."""

import pytest
from sail.on_sail import run

JOBS = ["backfill", "day_by_day", "drift", "evolution", "ledger", "maintain", "one_more_day", "predict", "replay"]
FILES = [f"tests/e2e/test_{name}.py" for name in JOBS]


def test_quick_ones():
    run(*FILES, "-m", "not slow and not cluster")


@pytest.mark.slow
def test_slow_ones():
    run(*FILES, "-m", "slow and not cluster")
