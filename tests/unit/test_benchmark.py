"""The benchmark's data are the same each time, and the peers of one process agree on them; no time is asserted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="scripts/bench installs it")
from benchmark import check, generate, job, sides

SCRIPTS = str(Path(__file__).parents[2] / "scripts")
EVENTS, SEED = 20_000, 7


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate.generate(tmp_path_factory.mktemp("bench"), EVENTS, SEED, raw=True)


def test_events_are_the_same_each_time(data):
    people = EVENTS // generate.EVENTS_A_PERSON
    first, again = (generate.month_of_block(0, people, 3, SEED) for _ in range(2))
    other = generate.month_of_block(0, people, 3, SEED + 1)
    assert len(first) > 0
    assert all((getattr(first, name) == getattr(again, name)).all() for name in vars(first))
    assert len(other) != len(first) or (other.cents != first.cents).any()
    assert data.bytes("events") > 0


@pytest.mark.parametrize("which", ["classic", "whole"])
def test_peers_agree(data, tmp_path, which):
    found = {}
    for side in ("DuckDB", "Polars", "pandas"):
        sides.work(which, side)(data, tmp_path / side)
        found[side] = check.left(which, tmp_path / side)
    first = found["DuckDB"]
    assert found == dict.fromkeys(found, first)
    assert set(first.segments) == {job.INACTIVE, *(box.segment for box in job.BOXES)}
    assert sum(first.segments.values()) == first.customers > EVENTS / 20
    if which == "whole":
        assert {reason.split(": ")[1] for reason in first.held} >= {"no_customer", "duplicate_conflict"}


@pytest.mark.slow
def test_ours_and_both_textbooks_agree_with_the_peers(data, tmp_path):
    """Each side in a process of its own, as they are measured: their sessions are not the tests'."""
    found = {}
    for side in (sides.OURS, sides.SAME_CUTS, sides.NTILE, "DuckDB"):
        out = tmp_path / side.replace(" ", "_").replace(",", "")
        command = [sys.executable, "-m", "benchmark", "one", "classic", side, str(data.folder), str(out)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONPATH": SCRIPTS}, timeout=900)
        found[side] = check.left("classic", out)
    ntile = found.pop(sides.NTILE)
    assert found == dict.fromkeys(found, found["DuckDB"])
    assert ntile.measures == found["DuckDB"].measures
    assert ntile.scores != found["DuckDB"].scores
