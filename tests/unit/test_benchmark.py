"""The benchmark's data are the same each time, and the peers of one process agree on them; no time is asserted."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="scripts/bench installs it")
import duckdb
from benchmark import check, generate, job, one_more_day, sides

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


def test_contacts_beside_orders(tmp_path):
    data = one_more_day.data_of(tmp_path, "contacts", 200_000, SEED)
    what = "event_type, count(*), count(distinct customer_key), bool_and(date_trunc('month', event_date) = event_month)"
    found = duckdb.sql(f"select {what} from '{data.events}/*.parquet' group by 1").fetchall()
    rows, dated = {kind: n for kind, n, _, _ in found}, [well for *_, well in found]
    assert rows["contact"] + rows["engagement"] == 9 * (rows["purchase"] + rows["refund"])
    assert sum(rows.values()) == pytest.approx(200_000, rel=0.1)
    assert max(customers for _, _, customers, _ in found) == pytest.approx(1_000, rel=0.1)
    assert all(dated)
    assert one_more_day.data_of(tmp_path, "contacts", 200_000, SEED) == data


def test_a_day_that_lands_is_the_same_whatever_lies_below_and_no_day_is_another(tmp_path):
    landed = {}
    for name, day in (("one", 0), ("again", 0), ("next", 1)):
        rows = one_more_day.land({source: str(tmp_path / name / source) for source in job.SOURCES}, day)
        files = f"'{tmp_path}/{name}/*/*.parquet'"
        lines = duckdb.sql(f"select line_id, sold_at, total from {files} order by all").fetchall()
        assert len(lines) == rows > 1_000
        landed[name] = lines
        days = f"select distinct sold_at::date from {files} where sold_at > '1980-01-01'"
        assert [found for (found,) in duckdb.sql(days).fetchall()] == [job.AS_OF + timedelta(days=day)]
    assert landed["one"] == landed["again"]
    assert not {line for line, *_ in landed["one"]} & {line for line, *_ in landed["next"]}


def test_what_is_stored_of_a_day_is_told_in_lines():
    taken = {"wall_seconds": 3.0, "cpu_seconds": 2.0}
    done = {"status": "done", "message": "", **taken}
    found = {
        "processes": {"segment": done, "ingest": done, "run": done},
        "cost": {"cpu_seconds": 0.5, "wall_seconds": 0.6},
        "back_fill": {"snapshots": 12, "cost": {"cpu_seconds": 7.5, "wall_seconds": 8.5}, **taken},
        "ingests": [{"rows": 8674, **taken}, {"rows": 8731, **taken}],
        "peers": {"DuckDB": {"status": "done", **taken}, "Polars": {"status": "timeout", "wall_seconds": 9.0}},
    }
    lines = one_more_day.told(found)
    assert [line.split(":")[0] for line in lines] == [
        "segment",
        "back-fill",
        "ingest",
        "from start to end of a process",
    ]
    assert "12 snapshots take 7.5 times the CPU" in lines[1]
    assert "8,731 rows takes 3.0 s" in lines[2]
    assert lines[3].endswith("DuckDB 3.0 s, CPU 2.0 s; Polars timeout after 9.0 s")
    failed = {"processes": {"segment": {"status": "failed", "message": "no such file"}}, "peers": {}}
    assert one_more_day.told(failed) == ["segment: failed no such file"]


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
