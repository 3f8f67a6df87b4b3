"""Tests again on Sail, in a process of its own: a classic session and one of Spark Connect do not live in one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OF_MANY_RUNS = "(on_sail or slow_on_spark)"  # marks of tests that run here alone
COMMAND = Path(sys.executable).with_name("rfm-spark")


def run(*arguments: str) -> None:
    """Run tests, which skip by themselves what only Spark has; all must pass, and some must have run."""
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


def command(job: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """The command on Sail, on a machine without Java."""
    return subprocess.run(
        [COMMAND, job, *map(str, arguments), "--engine", "sail"],
        env={k: v for k, v in os.environ.items() if k != "JAVA_HOME"} | {"PATH": str(COMMAND.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
