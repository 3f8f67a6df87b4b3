"""Jobs of many runs, on Sail, where a run takes a second: all tests that say so of themselves."""

import pytest
from sail.on_sail import OF_MANY_RUNS, run

TESTS = ["tests/steps", "tests/lake", "tests/e2e"]


def test_quick_ones():
    run(*TESTS, "-m", f"{OF_MANY_RUNS} and not slow and not cluster")


@pytest.mark.slow
def test_slow_ones():
    run(*TESTS, "-m", f"{OF_MANY_RUNS} and slow and not cluster")
