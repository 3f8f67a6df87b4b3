"""What runs on Spark again, on Sail: tests of steps, the lake and bad input, and whole jobs, against the oracle too.

So the default suite shows each test on one engine, and `scripts/test --all` nearly all on either.
"""

import pytest
from sail.on_sail import OF_MANY_RUNS, run

pytestmark = pytest.mark.slow
LAKE = [f"tests/lake/test_{name}.py" for name in ("databases", "lake", "sources", "upkeep")]
JOBS = [  # whole ones
    f"tests/e2e/test_{name}.py" for name in ("against_oracle", "commands", "faults", "published_numbers", "segment")
]
OTHERS = f"not {OF_MANY_RUNS} and not cluster"


def test_steps_lake_and_bad_input():
    bad_input = [f"tests/e2e/test_{name}.py" for name in ("bad_input", "differing_types")]
    run("tests/steps", *LAKE, *bad_input, "-m", f"{OTHERS} and not slow")


def test_whole_jobs():
    run(*JOBS, "-m", OTHERS)
