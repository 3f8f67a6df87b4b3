"""The ledger of files: each is read once, a corrected one replaces what it brought, and the order makes no difference.

A failure of the random ones says its seed; repeat it with RFM_SPARK_TEST_SEED.
"""

import hashlib
import json
import os
import shutil
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from e2e import faults, landing
from e2e.commands import rfm_spark
from e2e.landing import AS_OF, HEAD, ONE, TILL, TWO, Drop, amounts, ingest, parts, project, rows, shop
from oracle import generate

pytestmark = pytest.mark.slow_on_spark
_MORE = (pytest.mark.slow, pytest.mark.on_sail)  # as the first, but for an argument

EVENT = ("source", "event_id", "customer_key", "event_type", "event_ts", "order_id", "amount", "content_hash")
SNAPSHOTS = ("customer_metrics", "cut_points", "customer_segments", "segment_profiles")


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty landing folder with its project file."""
    landing.write_project(tmp_path)
    return tmp_path


def ledger(spark, folder: Path, lake: str = "lake") -> list[tuple]:
    """(run, file, status, content_hash) of the ledger, in its order."""
    found = project(folder, lake).read(spark, "ingested_files").collect()
    ordered = sorted(found, key=lambda row: (row["ingested_at"], row["path"]))
    return [
        (row["run_id"], "/".join(row["path"].split("/")[-2:]), row["status"], row["content_hash"]) for row in ordered
    ]


def state(spark, folder: Path, lake: str) -> dict[str, list[str]]:
    """What a run leaves, but for the file that a doubled event is said to be of."""
    project(folder, lake).run(spark, as_of=AS_OF)
    tables = {table: rows(spark, folder, table, lake) for table in SNAPSHOTS}
    return tables | {
        "events": rows(spark, folder, "events", lake, EVENT),
        "quarantine": rows(spark, folder, "quarantine", lake),
    }


# --- in any order --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 1, 2])
def test_files_in_any_order_are_as_one_run_over_all(spark, folder, more):
    seed = generate.seed_from_environment() + more
    print(f"seed {seed}")
    landed = landing.generate(seed)
    removed = 0
    for drops in landed.arrivals():
        counts = ingest(spark, folder, drops)
        removed += counts.get("events.removed", 0)
        assert counts.get("events.removed", 1) > 0
    done = ledger(spark, folder)
    assert {name for _, name, _, _ in done} == set(landed.first)
    assert removed or not any((name, status) == ("shop/0.csv", "changed") for _, name, status, _ in done)
    found = state(spark, folder, "lake")
    assert found == state(spark, folder, "other")
    assert len(found["events"]) == len(set(found["events"]))


@pytest.mark.slow
def test_the_ledger_tells_how_to_come_to_the_same(spark, folder):
    """Also where it matters which of two rows came first, and who moved from run to run, and why."""
    seed = generate.seed_from_environment()
    print(f"seed {seed}")
    landed = landing.generate(seed, contradicting=True)
    for n, drops in enumerate(landed.arrivals()):
        landing.land(folder, drops)
        project(folder).run(spark, as_of=AS_OF + timedelta(days=n))
    done = ledger(spark, folder)
    runs = {row["run_id"]: row["as_of"] for row in project(folder).read(spark, "runs").orderBy("ended_at").collect()}
    texts = {
        hashlib.sha256(text.encode()).hexdigest(): text for text in (*landed.first.values(), *landed.corrected.values())
    }
    for name in ("shop", "till"):
        shutil.rmtree(folder / name)
        (folder / name).mkdir()
    for run, as_of in runs.items():
        landing.land(folder, [Drop(name, texts[hash_]) for of, name, _, hash_ in done if of == run])
        project(folder, "other").run(spark, as_of=as_of)
    assert state(spark, folder, "lake") == state(spark, folder, "other")
    moves = rows(spark, folder, "segment_migrations", "lake")
    assert len({row for row in moves if "none" not in row}) > 0
    assert moves == rows(spark, folder, "segment_migrations", "other")


# --- one file after the other --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_file_is_read_once_and_again_where_it_says_something_else(spark, folder):
    first = ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    assert (parts(first, "shop"), parts(first, "till")) == ([3, 3, 0, 0], [1, 1, 0, 0])
    second = ingest(spark, folder, [Drop("shop/two.csv", TWO)])
    assert (parts(second, "shop"), parts(second, "till")) == ([3, 1, 1, 1], [0, 0, 0, 0])
    nothing = ingest(spark, folder, [Drop("shop/empty.csv", "")])
    assert (parts(nothing, "shop"), parts(nothing, "till")) == ([0, 0, 0, 0], [0, 0, 0, 0])

    os.utime(folder / "shop/one.csv", (1, 1))  # touched: looked into once, not read
    for _ in range(2):
        assert parts(ingest(spark, folder, []), "shop") == [0, 0, 0, 0]
    assert [entry[1:3] for entry in ledger(spark, folder)] == [
        ("shop/one.csv", "new"), ("till/1.json", "new"), ("shop/two.csv", "new"), ("shop/one.csv", "touched"),
    ]  # fmt: skip

    # the refund's order comes at last; what `two` says as well stays, though `one` does not say it any more
    corrected = shop("1,anna,o1,2024-01-01,sale,11", "9,dan,o9,2024-01-03,sale,90")
    counts = ingest(spark, folder, [Drop("shop/one.csv", corrected)])
    assert counts["events.removed"] == 1  # Carla's
    assert parts(counts, "shop") == [5, 4, 0, 1]  # the refund is of a file that is read again beside it
    assert amounts(spark, folder) == Counter(
        [("1", "anna", 11.0), ("2", "ben", 20.0), ("4", "dan", 40.0), ("5", "dan", 1.0), ("9", "dan", 90.0)]
    )
    assert rows(spark, folder, "quarantine") == []
    assert [entry[1:3] for entry in ledger(spark, folder)[-2:]] == [
        ("shop/one.csv", "changed"),
        ("shop/two.csv", "again"),
    ]

    (folder / "shop/two.csv").unlink()  # as where what was read is put away
    (folder / "till/1.json").unlink()
    before = amounts(spark, folder)
    assert parts(ingest(spark, folder, []), "shop") == [0, 0, 0, 0]
    assert amounts(spark, folder) == before


@pytest.mark.parametrize("put_away", [pytest.param(False, marks=_MORE), True])
def test_json_files_without_an_object_are_rows_in_quarantine(spark, folder, put_away):
    """As the same lines are beside a good file, whether the file that tells the columns is still there or not."""
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    broken = Drop("till/2.json", '{"customer": "eva", "at"\n<html>\n[1]\n\n')
    ingest(spark, folder, [broken], "beside")
    if put_away:
        (folder / "till/1.json").unlink()
    assert parts(ingest(spark, folder, []), "till") == [3, 0, 3, 0]
    columns = ("quarantine_id", "source", "source_file", "reasons", "record_hash")
    held = rows(spark, folder, "quarantine", columns=columns)
    assert held == rows(spark, folder, "quarantine", "beside", columns)
    reasons = project(folder).read(spark, "quarantine").select("reasons").distinct().collect()
    assert [row["reasons"] for row in reasons] == [["malformed_row", "missing_amount", "missing_time", "no_customer"]]
    assert parts(ingest(spark, folder, []), "till") == [0, 0, 0, 0]
    assert project(folder).replay(spark, as_of=AS_OF).counts["till.quarantined"] == 3
    assert rows(spark, folder, "quarantine", columns=columns) == held
    assert parts(ingest(spark, folder, [Drop("till/2.json", TILL.replace("eva", "fred"))]), "till") == [1, 1, 0, 0]
    assert rows(spark, folder, "quarantine") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("till/1.json", "[]\n"),
        pytest.param("till/1.json", "\n", marks=_MORE),
        pytest.param("shop/one.csv", HEAD + "\n", marks=_MORE),
        pytest.param("shop/one.csv", "\n", marks=_MORE),
    ],
)
def test_what_a_file_brought_goes_where_it_holds_nothing_any_more(spark, folder, name, text):
    """Though nothing else is read; a refund of an order that goes is read again, as beside a file that has rows."""
    one = ONE + "8,,o8,2024-01-08,sale,80\n"
    drops = [Drop("shop/one.csv", one), Drop("till/1.json", TILL + "{}\n")]
    ingest(spark, folder, [*drops, Drop("shop/two.csv", shop("5,anna,o1,2024-01-05,return,1"))])
    counts = ingest(spark, folder, [Drop(name, text)])
    left = {row["source_file"].split("/")[-1] for row in project(folder).read(spark, "events").collect()}
    held = project(folder).read(spark, "quarantine").collect()
    reasons = sorted((row["source_file"].split("/")[-1], *row["reasons"]) for row in held)
    if name.startswith("till"):
        assert (counts["events.removed"], left) == (1, {"one.csv", "two.csv"})
        assert reasons == [("one.csv", "no_customer")]
    else:
        assert (counts["events.removed"], parts(counts, "shop")) == (4, [1, 0, 1, 0])
        assert left == {"1.json"}
        assert [row[:2] for row in reasons] == [("1.json", "missing_amount"), ("two.csv", "refund_without_order")]
    assert "events.removed" not in ingest(spark, folder, [])


@pytest.mark.slow
@pytest.mark.on_sail
def test_what_waits_is_judged_again_where_a_file_holds_nothing_any_more(spark, folder):
    said = "1,anna,o1,2024-01-01,sale,10"
    ingest(spark, folder, [Drop("shop/one.csv", shop(said)), Drop("till/1.json", TILL)])
    ingest(spark, folder, [Drop("shop/two.csv", shop(said.replace("10", "15")))])
    assert amounts(spark, folder) == Counter([("1", "anna", 10.0)])
    counts = ingest(spark, folder, [Drop("shop/one.csv", "\n")])
    assert (counts["shop.freed"], parts(counts, "shop")) == (1, [0, 0, 0, 0])
    assert amounts(spark, folder) == Counter([("1", "anna", 15.0)])
    assert rows(spark, folder, "quarantine") == []


def test_what_lands_while_an_ingest_reads_is_of_the_next_one(spark, folder, monkeypatch):
    """Though the first reads all that there was."""
    from rfm_spark.sources import listing

    look = listing.list_files

    def look_before_more_lands(session, source):
        found = look(session, source)
        landing.land(folder, [Drop("shop/two.csv", TWO), Drop("till/2.json", TILL.replace("eva", "fred"))])
        return found

    with monkeypatch.context() as patched:
        patched.setattr(listing, "list_files", look_before_more_lands)
        ingest(spark, folder, [Drop("shop/one.csv", ONE)])
    first = {row["source_file"].split("/")[-1] for row in project(folder).read(spark, "events").collect()}
    assert first == {name.split("/")[-1] for _, name, *_ in ledger(spark, folder)}
    counts = ingest(spark, folder, [])
    assert parts(counts, "shop") == [3, 1, 1, 1]


@pytest.mark.on_sail
def test_what_waits_in_quarantine_is_freed_by_a_later_file(spark, folder):
    refund = "5,dan,o9,2024-01-05,return,1"
    ingest(
        spark, folder, [Drop("shop/one.csv", shop(refund, "6,eva,o6,2024-01-06,return,2")), Drop("till/1.json", TILL)]
    )
    assert amounts(spark, folder) == Counter()
    counts = ingest(spark, folder, [Drop("shop/two.csv", shop("9,dan,o9,2024-01-03,sale,90"))])
    assert (parts(counts, "shop"), counts["shop.freed"]) == ([1, 1, 0, 0], 1)
    assert amounts(spark, folder) == Counter([("5", "dan", 1.0), ("9", "dan", 90.0)])
    held = project(folder).read(spark, "quarantine").collect()
    assert [(json.loads(row["record"])["line"], row["reasons"]) for row in held] == [("6", ["refund_without_order"])]


@pytest.mark.on_sail
def test_a_later_file_that_lacks_a_column_of_others(spark, folder):
    noted = (
        ONE.replace("total", "total,note")
        .replace("10\n", "10,hello\n")
        .replace("20\n", "20,\n")
        .replace("30\n", "30,\n")
    )
    columns = {"sources.shop.columns.note": "note"}
    ingest(spark, folder, [Drop("shop/one.csv", noted), Drop("till/1.json", TILL)], **columns)
    counts = ingest(spark, folder, [Drop("shop/two.csv", shop("7,gita,o7,2024-01-07,sale,70"))], **columns)
    assert parts(counts, "shop") == [1, 1, 0, 0]
    notes = {
        row["event_id"]: row["note"] for row in project(folder).read(spark, "events").where("source = 'shop'").collect()
    }
    assert notes == {"1": "hello", "2": None, "3": None, "7": None}


def test_what_is_judged_otherwise_is_read_again(spark, folder):
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    strict = {"contract.rules": '[{name: limit, sql: "amount < 25"}]'}
    assert parts(ingest(spark, folder, [], **strict), "shop") == [3, 0, 1, 2]
    assert amounts(spark, folder) == Counter([("1", "anna", 10.0), ("2", "ben", 20.0)])
    assert parts(ingest(spark, folder, [], **strict), "shop") == [0, 0, 0, 0]
    doubled = {"sources.shop.columns.amount": '{sql: "total * 2"}', "sources.shop.types": "{total: int}"}
    assert parts(ingest(spark, folder, [], **doubled), "shop") == [3, 3, 0, 0]
    assert amounts(spark, folder) == Counter([("1", "anna", 20.0), ("2", "ben", 40.0), ("3", "carla", 60.0)])
    assert parts(ingest(spark, folder, []), "shop") == [3, 3, 0, 0]
    assert amounts(spark, folder) == Counter([("1", "anna", 10.0), ("2", "ben", 20.0), ("3", "carla", 30.0)])
    assert rows(spark, folder, "quarantine") == []


def test_a_file_that_only_a_failed_run_has_read_is_withdrawn(spark, folder, monkeypatch):
    """Its rows go from events and quarantine, whether there is anything to read or not."""
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    before = amounts(spark, folder)
    for drops in ([], [Drop("shop/two_mended.csv", shop("4,dan,o4,2024-01-04,sale,44"))]):
        landing.land(folder, [Drop("shop/two.csv", shop("4,dan,o4,2024-01-04,sale,40", "5,eva,o5,never,sale,50"))])
        with monkeypatch.context() as patched:
            faults.kill_after(patched, "quarantine")
            with pytest.raises(faults.Killed):
                project(folder).ingest(spark, as_of=AS_OF)
        (folder / "shop/two.csv").unlink()
        assert ingest(spark, folder, drops)["events.removed" if not drops else "shop.accepted"] == 1
        assert amounts(spark, folder) - before == Counter([("4", "dan", 44.0)] if drops else [])
        assert rows(spark, folder, "quarantine") == []
        assert "events.removed" not in ingest(spark, folder, [])
    assert [status for _, name, status, _ in ledger(spark, folder) if name == "shop/two.csv"] == ["withdrawn"] * 2
    assert parts(ingest(spark, folder, [Drop("shop/two.csv", TWO)]), "shop") == [3, 0, 2, 1]


def test_what_a_run_that_died_has_freed_is_published_by_the_next(spark, folder, monkeypatch):
    ingest(spark, folder, [Drop("shop/one.csv", shop("5,dan,o9,2024-01-05,return,1")), Drop("till/1.json", TILL)])
    assert len(rows(spark, folder, "quarantine")) == 1
    landing.land(folder, [Drop("shop/two.csv", shop("6,dan,o9,2024-01-04,sale,40"))])
    with monkeypatch.context() as patched:
        faults.kill_after(patched, "quarantine")
        with pytest.raises(faults.Killed):
            project(folder).ingest(spark, as_of=AS_OF)
    ingest(spark, folder, [])
    assert amounts(spark, folder) == Counter([("5", "dan", 1.0), ("6", "dan", 40.0)])
    assert rows(spark, folder, "quarantine") == []


@pytest.mark.on_sail
def test_an_empty_folder_is_a_fault_only_at_first(spark, folder):
    from rfm_spark.errors import InputError

    landing.land(folder, [Drop("till/1.json", TILL)])
    with pytest.raises(InputError, match="source shop: nothing found"):
        project(folder).ingest(spark, as_of=AS_OF)
    ingest(spark, folder, [Drop("shop/one.csv", ONE)])
    for path in ("shop/one.csv", "till/1.json"):
        (folder / path).unlink()
    counts = ingest(spark, folder, [])
    assert (parts(counts, "shop"), parts(counts, "till")) == ([0, 0, 0, 0], [0, 0, 0, 0])


@pytest.mark.on_sail
def test_watch_runs_as_files_land(spark, folder, monkeypatch):
    """A look with a run, one without, one with a file more whose run is overtaken, one that tries again, then a signal:
    the process ends well."""
    from threading import Event

    from rfm_spark import Project
    from rfm_spark.errors import ConflictError

    run, runs = Project.run, []

    def overtaken(*asked):
        runs.append(asked)
        if len(runs) == 2:
            raise ConflictError("another run was faster")
        return run(*asked)

    monkeypatch.setattr(Project, "run", overtaken)
    landing.land(folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    looks = []

    class Quick(Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout != 3:  # not the command's
                return super().wait(timeout)
            looks.append(len(looks))
            if len(looks) == 2:
                landing.land(folder, [Drop("shop/two.csv", TWO)])
            if len(looks) == 4:
                signal.raise_signal(signal.SIGTERM)
            return self.is_set()

    monkeypatch.setattr("threading.Event", Quick)
    said = rfm_spark(spark, "run", folder / "project.yaml", "--as-of", AS_OF, "--watch", "--every-seconds", 3)
    assert (said.code, len(looks)) == (0, 4)
    assert [line.split(" ", 2)[2] for line in said.lines] == [
        "4 rows read: 4 accepted, 0 quarantined, 0 exact duplicates",
        "nothing new",
        "another run was faster",
        "3 rows read: 1 accepted, 1 quarantined, 1 exact duplicates",
    ]


@pytest.mark.slow
def test_a_run_that_died_after_its_events_has_read_nothing(spark, folder, monkeypatch):
    """Nor where the file is corrected before the next run."""
    ingest(spark, folder, [Drop("shop/one.csv", ONE), Drop("till/1.json", TILL)])
    for line in ("4,dan,o4,2024-01-04,sale,40", "4,dan,o4,2024-01-04,sale,44"):
        landing.land(folder, [Drop("shop/two.csv", shop(line, "5,eva,o5,2024-01-05,sale,50"))])
        with monkeypatch.context() as patched:
            faults.kill_after(patched, "events")
            with pytest.raises(faults.Killed):
                project(folder).ingest(spark, as_of=AS_OF)
    assert {name for _, name, *_ in ledger(spark, folder)} == {"shop/one.csv", "till/1.json"}
    counts = ingest(spark, folder, [Drop("shop/two.csv", shop(line))])
    assert counts["shop.rows_read"] == 1
    assert counts["events.removed"] == 1
    assert amounts(spark, folder) - Counter([("1", "anna", 10.0), ("2", "ben", 20.0), ("3", "carla", 30.0)]) == Counter(
        [("4", "dan", 44.0)]
    )
