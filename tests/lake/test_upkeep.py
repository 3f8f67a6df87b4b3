"""Upkeep of tables made by many small commits: the same rows in fewer files, beside writers that are at work."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from deltalake import DeltaTable

from rfm_spark.config.lake import Lake as LakeConfig
from rfm_spark.errors import ConflictError, InputError
from rfm_spark.lake.history import Commit, snapshots, vacuum_is_due
from rfm_spark.schemas import Column, TableSpec

COLUMNS = (
    Column("snapshot_date", "date", "the day"),
    Column("customer_key", "string", "who"),
    Column("value", "bigint", "how far", "km"),
    Column("marks", "array<int>", "what of it"),
)
SNAPSHOT = TableSpec(
    "snapshots", "one row a day and key", COLUMNS, ("snapshot_date", "customer_key"), ("snapshot_date",)
)
LOG = TableSpec("log", "one row a key", COLUMNS[1:3], ("customer_key",))
FIRST = date(2020, 1, 31)
COMMITS = 40
NOW = datetime(2200, 1, 1, tzinfo=UTC)  # so that with a retention of 0 all is old


@pytest.fixture
def lake_of(spark, lake_path):
    """The lake as the named run sees it."""
    from rfm_spark.lake import Lake

    return lambda run_id, **options: Lake(spark, LakeConfig(path=lake_path), run_id, **options)


@pytest.fixture
def upkeep_of(lake_of):
    """Looks after the tables as the named run."""
    from rfm_spark.lake import Upkeep

    return lambda run_id="upkeep", **options: Upkeep(lake_of(run_id, **options))


@pytest.fixture
def frame(spark):
    """Rows of SNAPSHOT, of one date."""
    from rfm_spark.local import local_frame

    return lambda day, *keys, value=1: local_frame(spark, [(day, k, value, [1, None]) for k in keys], SNAPSHOT.types())


@pytest.fixture
def log(spark):
    from rfm_spark.local import local_frame

    return lambda *keys: local_frame(spark, [(key, 1) for key in keys], LOG.types())


def rows_of(table, version=None):
    """Read by delta-rs, as other programs do."""
    return sorted(map(repr, DeltaTable(table, version=version).to_pyarrow_table().to_pylist()))


def per_partition(table):
    files: dict[str, int] = {}
    for uri in DeltaTable(table).file_uris():
        files[str(Path(uri).parent)] = files.get(str(Path(uri).parent), 0) + 1
    return files


def statistics(table):
    """The columns whose least values the log holds."""
    import pyarrow

    names = pyarrow.table(DeltaTable(table).get_add_actions(flatten=True)).column_names
    return {name.removeprefix("min.") for name in names if name.startswith("min.")}


def files_of(table: str, when: date) -> set[str]:
    """Those of one partition; the rest of a file's name is by chance, and may hold any digits."""
    return {file for file in files(table) if f"={when}/" in file}


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def told(done):
    return [(one.action, one.what) for one in done]


@pytest.mark.slow_on_spark
def test_forty_small_commits_become_few_files(spark, lake_of, upkeep_of, frame, lake_path):
    """A run a commit; eight partitions of five files each, and one of a single file, which is left as it is."""
    from rfm_spark.lake import upkeep as upkeeps

    table = f"{lake_path}/snapshots"
    for n in range(COMMITS):
        lake_of(f"run {n}").append(SNAPSHOT, frame(day(n % 8), f"c{n}", f"d{n}", value=n).coalesce(1))
    lake_of("last").append(SNAPSHOT, frame(day(8), "alone").coalesce(1))
    before, version, lonely = rows_of(table), DeltaTable(table).version(), files_of(table, day(8))
    assert len(lonely) == 1
    assert max(per_partition(table).values()) == 5

    dry = upkeep_of(dry=True)
    assert told(dry.compact(SNAPSHOT)) == [("compact", "40 files in 8 partitions")]
    assert (DeltaTable(table).version(), rows_of(table)) == (version, before)

    (done,) = upkeep_of().compact(SNAPSHOT)
    assert done.counts == {"files_compacted": 40, "files_made": 8}
    assert max(per_partition(table).values()) <= upkeeps.FILES_A_PARTITION
    assert lonely == files_of(table, day(8))
    assert rows_of(table) == before
    assert rows_of(table, version - 20) == sorted(rows_of(table, version - 20))
    assert len(rows_of(table, version - 20)) == len(before) - 39
    assert lake_of("reader").read("snapshots").count() == len(before)
    assert statistics(table) == {"value"}  # no person's key
    newest = next(lake_of("reader").commits("snapshots"))
    assert (newest.run_id, newest.changes_rows, newest.removes_files) == ("upkeep", False, True)
    assert upkeep_of().compact(SNAPSHOT) == []
    assert DeltaTable(table).version() == version + 1


def files(table):
    return set(DeltaTable(table).file_uris())


def test_a_table_without_partitions(lake_of, upkeep_of, log, lake_path):
    for n in range(6):
        lake_of(f"run {n}").append(LOG, log(f"c{n}").coalesce(1))
    before = rows_of(f"{lake_path}/log")
    (done,) = upkeep_of().compact(LOG)
    assert (done.counts["files_compacted"], len(files(f"{lake_path}/log"))) == (6, 1)
    assert rows_of(f"{lake_path}/log") == before


@pytest.mark.slow_on_spark
def test_files_go_when_nobody_needs_them(lake_of, upkeep_of, log, lake_path):
    table, lake = f"{lake_path}/log", lake_of("writer")
    for n in range(6):
        lake.append(LOG, log(f"c{n}").coalesce(1))
    used, before = DeltaTable(table).version(), rows_of(table)
    upkeep_of().compact(LOG)
    newest = DeltaTable(table).version()

    within = 24 * (NOW - datetime(2000, 1, 1, tzinfo=UTC)).days
    assert upkeep_of().vacuum(LOG, within, newest, NOW) == []
    (left,) = upkeep_of().vacuum(LOG, 0, used, NOW)  # readers were not sent to the compacted version yet
    assert left.what.startswith(f"left: readers use version {used}")
    assert told(upkeep_of(dry=True).vacuum(LOG, 0, newest, NOW)) == [("vacuum", "6 files")]
    assert (rows_of(table, used), DeltaTable(table).version()) == (before, newest)

    assert told(upkeep_of().vacuum(LOG, 0, newest, NOW)) == [("vacuum", "6 files")]
    assert rows_of(table) == before
    assert len(list(Path(table).glob("*.parquet"))) == 1
    assert upkeep_of().unchanged_until("log", used) == DeltaTable(table).version() > newest
    assert upkeep_of().vacuum(LOG, within, newest, NOW) == []
    lake.append(LOG, log("later"))
    assert upkeep_of().unchanged_until("log", used) == DeltaTable(table).version() - 1


@pytest.mark.slow_on_spark
def test_snapshots_are_taken_out(lake_of, upkeep_of, frame, lake_path):
    """More of them than one commit names; the run that is writing one of them is not disturbed."""
    table, running = f"{lake_path}/snapshots", lake_of("running")
    for n in range(14):
        lake_of("before").append(SNAPSHOT, frame(day(n), "a", "b"))
    whole = DeltaTable(table).version()
    written = running.replace(SNAPSHOT, frame(day(3), "a", value=7), {"snapshot_date": day(3)}).version
    gone = [day(n) for n in range(13)] + [day(99)]
    assert told(upkeep_of(dry=True).drop(SNAPSHOT, gone)) == [("drop", f"13 snapshots, {day(0)} to {day(12)}")]
    assert len(rows_of(table)) == 27
    (done,) = upkeep_of().drop(SNAPSHOT, gone)
    assert done.counts == {"snapshots_dropped": 13, "rows_dropped": 25}
    assert {row["snapshot_date"] for row in running.read("snapshots").collect()} == {day(13)}
    assert len(rows_of(table, whole)) == 28
    running.verify()
    assert upkeep_of().drop(SNAPSHOT, gone) == []
    newest = DeltaTable(table).version()
    own = {day(n): whole for n in range(14)} | {day(3): written}
    seen = running.last_with("snapshots", newest, own, {"running", "upkeep"})
    assert seen.keys() == {day(n) for n in range(13)}
    assert min(seen.values()) >= written


@pytest.mark.slow_on_spark
def test_what_a_run_that_died_has_replaced_is_put_back(lake_of, upkeep_of, frame, lake_path):
    """Once it cannot be at work any more; the last version that holds it as published is the one before the first."""
    table, column = f"{lake_path}/snapshots", "snapshot_date"
    for n in range(3):
        lake_of("before").replace(SNAPSHOT, frame(day(n), "a", "b"), {column: day(n)})
    before = rows_of(table)
    own = dict.fromkeys(map(day, range(3)), DeltaTable(table).version())
    other = lake_of("other").replace(SNAPSHOT, frame(day(3), "a"), {column: day(3)}).version  # in between, of another
    for value in (7, 8):
        lake_of("dead").replace(SNAPSHOT, frame(day(1), "a", value=value), {column: day(1)})
    known = {"before", "other"}
    reader = lake_of("reader")
    torn = reader.last_with("snapshots", DeltaTable(table).version(), own, known)
    assert torn == {day(1): other}
    assert reader.last_with("snapshots", other, own, known) == {}

    newest = next(reader.commits("snapshots"))
    at = datetime.fromtimestamp(newest.at / 1000, UTC)
    assert upkeep_of().put_back(SNAPSHOT, torn, at + timedelta(days=1)) == []  # somebody is at it again
    assert told(upkeep_of(dry=True).put_back(SNAPSHOT, torn, NOW)) == [("put back", str(day(1)))]
    assert DeltaTable(table).version() == newest.version
    (done,) = upkeep_of().put_back(SNAPSHOT, torn, NOW)
    assert done.counts == {"snapshots_put_back": 1}
    assert rows_of(table) == sorted([*before, *map(repr, frame(day(3), "a").toArrow().to_pylist())])
    newest = DeltaTable(table).version()
    assert reader.last_with("snapshots", newest, own, known) == torn  # until its run is complete
    assert reader.last_with("snapshots", newest, own, {*known, "upkeep"}) == {}
    lake_of("dead").replace(SNAPSHOT, frame(day(1), "a"), {column: day(1)})
    assert reader.last_with("snapshots", newest + 1, own, {*known, "upkeep"}) == {day(1): newest}


@pytest.mark.slow_on_spark
def test_what_is_put_back_has_the_columns_that_came_since(lake_of, upkeep_of, frame, lake_path):
    table, column = f"{lake_path}/snapshots", "snapshot_date"
    old = replace(SNAPSHOT, columns=COLUMNS[:3])
    then = lake_of("old").replace(old, frame(FIRST, "a").drop("marks"), {column: FIRST}).version
    lake_of("dead").replace(SNAPSHOT, frame(FIRST, "b"), {column: FIRST})
    assert len(upkeep_of().put_back(SNAPSHOT, {FIRST: then}, NOW)) == 1
    (row,) = DeltaTable(table).to_pyarrow_table().to_pylist()
    assert (row["customer_key"], row["marks"]) == ("a", None)
    assert {field.name: field.metadata["comment"] for field in DeltaTable(table).schema().fields} == {
        column.name: column.comment for column in COLUMNS
    }


@pytest.mark.slow_on_spark
def test_what_is_not_kept_cannot_be_put_back(lake_of, upkeep_of, frame, lake_path):
    table = Path(lake_path) / "snapshots"
    then = lake_of("old").replace(SNAPSHOT, frame(FIRST, "a"), {"snapshot_date": FIRST}).version
    gone = [path for path in table.rglob("*.parquet") if "_delta_log" not in path.parts]
    lake_of("dead").replace(SNAPSHOT, frame(FIRST, "b"), {"snapshot_date": FIRST})
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=f"has replaced the snapshot of {FIRST}, which is not kept .*: make it again"):
        upkeep_of().put_back(SNAPSHOT, {FIRST: then}, NOW)


def test_a_dry_lake_is_told_what_is_done(lake_of, upkeep_of, frame, lake_path):
    """What is dropped is not compacted; and of what was removed just now files stay, which a short retention says."""
    for n in range(12):
        lake_of(f"run {n}").append(SNAPSHOT, frame(day(n % 2), f"c{n}").coalesce(1))
    needed = next(lake_of("reader").commits("snapshots"))
    now = datetime.fromtimestamp(needed.at / 1000, UTC)

    def told_by(upkeep):
        done = [*upkeep.drop(SNAPSHOT, [FIRST]), *upkeep.compact(SNAPSHOT)]
        done += [one for hours in (0, 23, 24) for one in upkeep.vacuum(SNAPSHOT, hours, needed.version, now)]
        return [(action, what.split(" to ")[0].split(",")[0]) for action, what in told(done)]

    planned = told_by(upkeep_of(dry=True))
    assert DeltaTable(f"{lake_path}/snapshots").version() == needed.version
    left = ("vacuum", f"left: readers use version {needed.version}; run maintain again")
    assert planned == [("drop", str(FIRST)), ("compact", "6 files in 1 partitions"), left, left]
    assert told_by(upkeep_of()) == planned


def test_a_table_of_an_older_version_is_mended(spark, lake_of, upkeep_of, frame, lake_path):
    table = f"{lake_path}/snapshots"
    old = TableSpec(
        "snapshots", "", (COLUMNS[0], COLUMNS[1], Column("value", "bigint", "how far it's \\ was")), ("customer_key",),
        ("snapshot_date",),
    )  # fmt: skip
    lake_of("old").replace(old, frame(FIRST, "a").drop("marks"), {"snapshot_date": FIRST})
    note = Column("note", "string", "it's a 'remark' \\ more")
    now = replace(SNAPSHOT, columns=(*COLUMNS, note, Column("must", "int", "always there", nullable=False)))
    assert told(upkeep_of(dry=True).mend(now))[1:] == [
        ("add columns", "marks, note"),
        ("mend comments", "value"),
        ("mend statistics", "delta.dataSkippingStatsColumns = `value`,`note`"),
    ]
    assert DeltaTable(table).version() == 0 or "note" not in DeltaTable(table).schema().to_json()
    fault = upkeep_of().mend(now)[0]
    assert fault.action == "cannot mend"
    assert fault.what.startswith("found no column must, which every row must have; write the table again")
    fields = {field.name: field for field in DeltaTable(table).schema().fields}
    assert {name: field.metadata["comment"] for name, field in fields.items()} == {
        c.name: c.comment for c in now.columns if c.name != "must"
    }
    assert DeltaTable(table).metadata().configuration["delta.dataSkippingStatsColumns"] == "`value`,`note`"
    assert [row.asDict() for row in lake_of("reader").read("snapshots").collect()] == [
        {"snapshot_date": FIRST, "customer_key": "a", "value": 1, "marks": None, "note": None}
    ]
    lake_of("new").replace(SNAPSHOT, frame(day(1), "b"), {"snapshot_date": day(1)})
    assert [one.action for one in upkeep_of().mend(now)] == ["cannot mend"]
    assert all(not one.changes_rows for one in lake_of("reader").commits("snapshots") if one.run_id == "upkeep")


def test_what_cannot_be_mended_is_told(lake_of, upkeep_of, frame, lake_path):
    columns = (COLUMNS[0], COLUMNS[1], Column("value", "string", "how far"), COLUMNS[3])
    lake_of("old").append(TableSpec("snapshots", "", columns, ()), frame(FIRST, "a").withColumn("value", _text()))
    faults = [one.what for one in upkeep_of().mend(SNAPSHOT) if one.action == "cannot mend"]
    assert [fault.split(";")[0] for fault in faults] == [
        "found value of type string, expected bigint: no writer changes a type in place",
        "found it partitioned by nothing, expected snapshot_date",
    ]
    assert "move the table away and run again" in faults[0]
    (row,) = lake_of("reader").read("snapshots").collect()
    assert (row["value"], row["marks"]) == ("1", [1, None])


def _text():
    from pyspark.sql import functions as F

    return F.col("value").cast("string")


@pytest.mark.parametrize(
    "write",
    ["replace", pytest.param("merge", marks=pytest.mark.slow), pytest.param("append", marks=pytest.mark.slow_on_spark)],
)
def test_a_writer_that_upkeep_overtakes_writes_all_the_same(lake_of, upkeep_of, frame, lake_path, write):
    """It has read the table before the files are compacted and the columns change, and commits after."""
    from pyspark.sql import functions as F

    table, lake = f"{lake_path}/snapshots", lake_of("writer")
    for n in range(6):
        lake_of("before").append(SNAPSHOT, frame(FIRST, f"c{n}").coalesce(1))
    base, began = DeltaTable(table).version(), threading.Event()
    slow = F.udf(_slowly(Path(lake_path) / "began"), "bigint")
    changes = frame(FIRST, "c1", "new", value=5).withColumn("value", slow("value"))
    outcome = []

    def work():
        try:
            if write == "replace":
                outcome.append(lake.replace(SNAPSHOT, changes, {"snapshot_date": FIRST}))
            elif write == "merge":
                clauses = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
                outcome.append(lake.merge(SNAPSHOT, changes, clauses, base))
            else:
                outcome.append(lake.append_once(SNAPSHOT, changes, base))
        except Exception as error:
            outcome.append(error)

    writer = threading.Thread(target=work)
    writer.start()
    while not (Path(lake_path) / "began").exists() and writer.is_alive():
        began.wait(0.05)
    wider = SNAPSHOT.with_columns(Column("note", "string", "a remark"))
    assert told(upkeep_of().compact(SNAPSHOT))
    assert told(upkeep_of().mend(wider))
    writer.join()
    assert not isinstance(outcome[0], Exception), outcome
    expected = {"replace": {"c1", "new"}, "merge": {*(f"c{n}" for n in range(6)), "new"}}
    found = sorted(row["customer_key"] for row in lake_of("reader").read("snapshots").collect())
    assert found == sorted(expected.get(write, {}) or [*(f"c{n}" for n in range(6)), "c1", "new"])
    assert lake_of("reader").read("snapshots").filter("value = 5").count() == 2


def _slowly(began):
    def slowly(value):
        import time

        began.touch()
        time.sleep(2)
        return value

    return slowly


def test_upkeep_that_is_overtaken_tries_again_and_then_says_so(lake_of, upkeep_of, log, lake_path):
    for n in range(6):
        lake_of("before").append(LOG, log(f"c{n}").coalesce(1))
    upkeep = upkeep_of()
    compact = upkeep._delta.compact
    lost = [RuntimeError("ConcurrentDeleteReadException: CONCURRENT"), RuntimeError("Failed to commit transaction")]

    def raced(*arguments):
        if lost:
            raise lost.pop()
        return compact(*arguments)

    with mock.patch.object(upkeep._delta, "compact", raced):
        assert len(upkeep.compact(LOG)) == 1
        lost += [RuntimeError("CONCURRENT")] * 3
        for n in range(6):
            lake_of("before").append(LOG, log(f"d{n}").coalesce(1))
        with pytest.raises(ConflictError) as raised:
            upkeep.compact(LOG)
    assert raised.value.exit_code == 4
    assert len(rows_of(f"{lake_path}/log")) == 12


def test_only_what_drops_whole_snapshots_counts_as_that():
    days = frozenset({"2020-01-31", "2020-02-29"})
    for predicate in (
        '["snapshot_date#297 IN (2020-01-31,2020-02-29)"]',
        "snapshot_date = '2020-01-31'::date OR snapshot_date = '2020-02-29'::date",
        "snapshot_date IN ('2020-01-31'::date, '2020-02-29'::date)",
    ):
        assert snapshots(predicate) == days
    assert snapshots('["(snapshot_date#1148 = 2020-01-31)"]') == {"2020-01-31"}
    for other in (
        None,
        "",
        "[\"(customer_key#1 = 'a')\"]",
        '["((snapshot_date#1 = 2020-01-31) AND (customer_key#2 = a))"]',
        '["(snapshot_date#1 < 2020-01-31)"]',
        "event_date = '2020-01-31'::date",
    ):
        assert snapshots(other) == frozenset()


def test_a_vacuum_is_due_once_what_was_removed_is_old():
    def commit(at, operation="OPTIMIZE", before=None):
        return Commit(at, "run", operation, False, {}, 0, frozenset(), at, before)

    removed = [commit(10)]
    assert vacuum_is_due(11, removed)
    assert not vacuum_is_due(10, removed)
    assert not vacuum_is_due(99, [commit(10, "WRITE"), commit(9, "ADD COLUMNS")])
    vacuumed = [commit(30, "VACUUM START", 20), commit(10)]
    assert not vacuum_is_due(40, vacuumed)
    assert vacuum_is_due(40, [*vacuumed[:1], commit(25)])  # it left what had been removed just before
