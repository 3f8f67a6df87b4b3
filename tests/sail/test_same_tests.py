"""The tests of steps, of the lake and of bad input again, on Sail; and whole jobs, against the oracle too."""

import pytest
from sail.on_sail import JOBS, run

LAKE = [f"tests/lake/test_{name}.py" for name in ("databases", "lake", "sources", "upkeep")]


def test_steps_lake_and_bad_input():
    run("tests/steps", *LAKE, "tests/e2e/test_bad_input.py", "-m", "not slow and not cluster")


@pytest.mark.slow
def test_whole_jobs():
    run(*(f"tests/e2e/test_{name}.py" for name in JOBS), "-m", "not cluster")
