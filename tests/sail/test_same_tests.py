"""The tests of steps, of the lake, of bad input and against the oracle again, on Sail, in a process of its own.

A classic session and one of Spark Connect do not live in one process, so the tests run in another; what only Spark has
they skip themselves.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAKE = [f"tests/lake/test_{name}.py" for name in ("lake", "sources", "upkeep")]
QUICK_JOBS = ["backfill", "bad_input", "drift", "evolution", "ledger", "maintain", "one_more_day"]
QUICK = ["tests/steps", *LAKE, *(f"tests/e2e/test_{name}.py" for name in QUICK_JOBS)]
JOBS = ["against_oracle", "commands", "currencies", "faults", "published_numbers", "replay", "scoring", "segment"]


def test_steps_lake_and_bad_input():
    run(*QUICK, "-m", "not slow and not cluster")


@pytest.mark.slow
def test_whole_jobs():
    run(*(f"tests/e2e/test_{name}.py" for name in JOBS), "-m", "not cluster")


@pytest.mark.slow
def test_jobs_of_many_runs():
    run(*(f"tests/e2e/test_{name}.py" for name in QUICK_JOBS), "-m", "slow and not cluster")


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"RFM_SPARK_TEST_ENGINE": "sail"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
