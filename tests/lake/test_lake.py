"""The lake on tiny frames: slices, appends that happen once, merges, conflicts, schemas; at a path and in a catalog."""

import threading
from datetime import date
from unittest import mock

import pytest
from deltalake import DeltaTable

from rfm_spark import engines
from rfm_spark.config.lake import Lake as LakeConfig
from rfm_spark.errors import ConflictError, InputError, SchemaMismatch
from rfm_spark.schemas import Column, TableSpec

SNAPSHOT = TableSpec(
    "snapshots",
    "one row a day and key",
    (Column("day", "date", "the day"), Column("key", "string", "who"), Column("value", "bigint", "how far", "km")),
    ("day", "key"),
    ("day",),
)
LOG_PARTS = ("one row a key", (Column("key", "string", "who"), Column("value", "bigint", "how far")), ("key",))
LOG = TableSpec("log", *LOG_PARTS)
KNOWN = TableSpec("known", *LOG_PARTS, written_by="run_id").with_columns(Column("run_id", "string", "who wrote it"))
WIDER = SNAPSHOT.with_columns(Column("later", "decimal(18,2)", "came later", "EUR"))
FIRST, SECOND = date(2020, 1, 31), date(2020, 2, 29)


IN_BOTH = pytest.mark.parametrize("place", ["path", "catalog"], indirect=True)


@pytest.fixture
def place(request, spark, lake_path):
    """A lake at a path, or in the session's catalog where the test asks for it and the engine has one."""
    if getattr(request, "param", "path") == "path":
        yield LakeConfig(path=lake_path)
        return
    if not engines.of(spark).delta_sql:
        pytest.skip("this engine has no catalog of Delta tables")
    spark.sql("DROP SCHEMA IF EXISTS lake_test CASCADE")
    yield LakeConfig(catalog="spark_catalog", schema="lake_test")
    spark.sql("DROP SCHEMA IF EXISTS lake_test CASCADE")


@pytest.fixture
def lake_of(spark, place):
    """The lake as the named run sees it."""
    from rfm_spark.lake import Lake

    return lambda run_id, **options: Lake(spark, place, run_id, **options)


@pytest.fixture
def snapshot(spark):
    return lambda *rows: spark.createDataFrame(list(rows), "day date, key string, value bigint")


@pytest.fixture
def log(spark):
    return lambda *rows: spark.createDataFrame(list(rows), "key string, value bigint")


def comments(lake, table):
    """{column: comment} as the table itself has them."""
    if not lake.place.config.path:
        return {field.name: field.metadata["comment"] for field in lake.read(table).schema}
    return {field.name: field.metadata["comment"] for field in DeltaTable(lake.place.path(table)).schema().fields}


def rows_of(frame):
    return sorted(tuple(row) for row in frame.collect())


@IN_BOTH
def test_a_slice_is_replaced_filtered_and_emptied(spark, lake_of, snapshot):
    lake = lake_of("one")
    first = lake.replace(SNAPSHOT, snapshot((FIRST, "a", 1), (SECOND, "outside", 9)), {"day": FIRST})
    assert (first.rows, rows_of(first.frame)) == (1, [(FIRST, "a", 1)])
    before = lake.replace(SNAPSHOT, snapshot((SECOND, "b", 2)), {"day": SECOND})
    lake.replace(SNAPSHOT, snapshot((SECOND, "b", 3), (SECOND, "c", 4)), {"day": SECOND})
    assert rows_of(lake.read("snapshots")) == [(FIRST, "a", 1), (SECOND, "b", 3), (SECOND, "c", 4)]
    assert rows_of(lake.read("snapshots", before.version)) == [(FIRST, "a", 1), (SECOND, "b", 2)]
    emptied = lake.replace(SNAPSHOT, snapshot(), {"day": SECOND})
    assert (emptied.rows, rows_of(lake.read("snapshots"))) == (0, [(FIRST, "a", 1)])

    assert comments(lake, "snapshots") == {"day": "the day", "key": "who", "value": "how far [km]"}
    if lake.place.config.path:
        table = DeltaTable(lake.place.path("snapshots"))
        protocol = table.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
        assert table.metadata().partition_columns == ["day"]
        assert {row["userMetadata"] for row in table.history()} == {"one"}
    assert lake.versions() == {"snapshots": emptied.version}
    lake.verify()

    customers = TableSpec("customers", LOG.grain, LOG.columns, LOG.key)
    lake.replace(customers, snapshot((FIRST, "a", 1)).drop("day"), anew=True)
    other = TableSpec("customers", LOG.grain, (LOG.columns[0], Column("value", "string", "now text")), LOG.key)
    changed = snapshot((FIRST, "a", 1)).selectExpr("key", "'far' AS value")
    lake.replace(other, changed, anew=True)  # made anew, it may change
    assert rows_of(lake.read("customers")) == [("a", "far")]
    lake.verify()


def test_columns_may_come_but_not_change(spark, lake_of, snapshot, log):
    from pyspark.sql import functions as F

    lake = lake_of("one")
    lake.replace(SNAPSHOT, snapshot((FIRST, "a", 1)), {"day": FIRST})
    wider = snapshot((SECOND, "b", 2)).withColumn("later", F.lit("1.50").cast("decimal(18,2)"))
    lake.replace(WIDER, wider, {"day": SECOND})
    lake.replace(SNAPSHOT, snapshot((FIRST, "c", 3)), {"day": FIRST})  # a project that does not have the column
    assert [(row["key"], str(row["later"])) for row in lake.read("snapshots").orderBy("key").collect()] == [
        ("b", "1.50"), ("c", "None"),
    ]  # fmt: skip
    assert comments(lake, "snapshots")["later"] == "came later [EUR]"

    text = SNAPSHOT.with_columns(Column("later", "string", "other type"))
    with pytest.raises(InputError, match=r"later was decimal\(18,2\) when the table was made, and is string now"):
        lake.replace(text, snapshot().withColumn("later", F.lit("x")), {"day": FIRST})
    with pytest.raises(SchemaMismatch, match=r"no column value; undeclared column other; day is string, declared date"):
        lake.replace(SNAPSHOT, snapshot().selectExpr("'x' AS day", "key", "1 AS other"), {"day": FIRST})
    assert {row["key"] for row in lake.read("snapshots").collect()} == {"b", "c"}

    lake.append(LOG, log(("a", 1)))
    more = LOG.with_columns(Column("note", "string", "a remark"))
    merged = log(("a", 2), ("b", 3)).withColumn("note", F.lit("n"))
    lake.merge(
        more, lake.complete_columns(more, merged), "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert rows_of(lake.read("log")) == [("a", 2, "n"), ("b", 3, "n")]


def test_an_append_and_a_merge_happen_once_against_a_version(lake_of, log):
    assert not lake_of("none").exists("log")
    made = lake_of("a").append_once(LOG, log(("a", 1)), None).version
    with pytest.raises(ConflictError, match="another run wrote log in"):
        lake_of("late").append_once(LOG, log(("a", 1)), None)
    second = lake_of("b").append_once(LOG, log(("b", 2)), made).version
    all_of_it = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    merged = lake_of("c").merge(LOG, log(("b", 3)), all_of_it, second)
    assert merged.version == second + 1
    with pytest.raises(ConflictError):  # decided before that merge, so its rows may be there by now
        lake_of("late").append_once(LOG, log(("b", 2)), second)
    with pytest.raises(ConflictError):
        lake_of("late").merge(LOG, log(("b", 2)), all_of_it, second)
    lake = lake_of("d")
    assert rows_of(lake.read("log")) == [("a", 1), ("b", 3)]
    assert (rows_of(lake.use("log", made)), lake.versions()) == ([("a", 1)], {"log": made})
    assert (lake.use("log").count(), lake.versions()) == (2, {"log": merged.version})


def test_who_appended_since(lake_of, log):
    """Told where nothing but appends happened, each under a name, and every commit is still in the log."""
    made = lake_of("a").append(LOG, log(("a", 1))).version
    lake_of("b").append(LOG, log(("b", 2)))
    last = lake_of("c").append(LOG, log(("c", 3))).version
    lake = lake_of("d")
    assert lake.appended_by("log", made, last) == {"b", "c"}
    assert lake.appended_by("log", made, made + 1) == {"b"}
    assert lake.appended_by("log", last, last) == frozenset()
    with mock.patch.object(lake, "_history", lambda table, limit: lake_of("d")._history(table, limit)[:2]):
        assert lake.appended_by("log", made, last) == {"b", "c"}
        assert lake.appended_by("log", made - 1, last) is None
    log(("d", 4)).write.format("delta").mode("append").save(lake.place.path("log"))  # by another program
    assert lake.appended_by("log", last, last + 1) is None
    merged = lake_of("e").merge(LOG, log(("a", 5)), "WHEN MATCHED THEN UPDATE SET *").version
    assert lake.appended_by("log", last + 1, merged) is None
    replaced = lake_of("f").replace(LOG, log(("f", 6))).version
    assert lake.appended_by("log", merged, replaced) is None


def test_of_simultaneous_appends_one_stays(lake_of, log):
    """Both were decided against one version, and found the table unchanged before they wrote."""
    base = lake_of("before").append(KNOWN, log(("a", 1)).selectExpr("*", "'before' AS run_id")).version
    first, late = lake_of("first"), lake_of("late")
    frame = log(("b", 2))
    with mock.patch.object(late, "_check_unchanged"):  # as if the first had committed only after it
        first.append_once(KNOWN, frame.selectExpr("*", "'first' AS run_id"), base)
        with pytest.raises(ConflictError, match="another run wrote known"):
            late.append_once(KNOWN, frame.selectExpr("*", "'late' AS run_id"), base)
    assert rows_of(lake_of("after").read("known")) == [("a", 1, "before"), ("b", 2, "first")]


@pytest.mark.slow_on_spark
@IN_BOTH
def test_of_those_that_append_in_turn_each_sees_the_others(lake_of, log):
    """Each row is decided on those that are there: who gets in after the look and before the row is looked at, too."""
    looks: list[set[str]] = []

    def append(name, *meanwhile):
        lake, waiting = lake_of(name), list(meanwhile)

        def decide():
            there = {row["key"] for row in lake.read("log").collect()} if lake.exists("log") else set()
            looks.append(there)
            if waiting:
                waiting.pop()()
            return log((name, len(there))), there - {"plain"}

        lake.append_in_turn(LOG, decide)
        return looks.pop()

    assert append("first", lambda: append("second")) == {"second"}
    assert append("third", lambda: append("fourth")) == {"first", "second", "fourth"}

    def overtake():
        lake_of("plain").append(LOG, log(("plain", 0)))  # nobody has to know of it: in nobody's way, and hides nobody
        append("faster")

    before = {"first", "second", "third", "fourth"}
    assert append("last", overtake) == {*before, "plain", "faster"}
    assert {row["key"] for row in lake_of("after").read("log").collect()} == {*before, "plain", "faster", "last"}


@pytest.mark.slow_on_spark
@pytest.mark.slow_on_spark
def test_one_that_never_has_its_turn_says_so_and_rows_that_were_deleted_stop_nobody(lake_of, log):
    lake = lake_of("slow")

    def overtaken():
        seen = {row["key"] for row in lake.read("log").collect()}
        other = f"other {len(seen)}"
        lake_of(other).append_in_turn(LOG, lambda: (log((other, 0)), seen))
        return log(("slow", 0)), seen

    lake_of("first").append_in_turn(LOG, lambda: (log(("first", 0)), set()))
    with mock.patch("rfm_spark.lake.tables._TURNS", 2), pytest.raises(ConflictError) as raised:
        lake.append_in_turn(LOG, overtaken)
    assert raised.value.exit_code == 4
    there = {row["key"] for row in lake.read("log").collect()}
    assert "slow" not in there
    DeltaTable(lake.place.path("log")).delete("key <> 'first'")  # by hand, so that earlier runs are the newest again
    lake_of("next").append_in_turn(LOG, lambda: (log(("next", 0)), {"first"}))
    assert rows_of(lake_of("after").read("log").select("key")) == [("first",), ("next",)]


def test_what_an_overtaken_run_left_when_it_died_is_taken_out(lake_of, log):
    """Only an engine that knows no mark of a write appends first and looks then; the other run's rows stay."""
    of = lambda run_id, *rows: log(*rows).selectExpr("*", f"'{run_id}' AS run_id")  # noqa: E731
    base = lake_of("first").append_once(KNOWN, of("first", ("a", 1)), None).version
    published = lake_of("faster").append_once(KNOWN, of("faster", ("b", 2)), base).version
    dead, complete = lake_of("dead"), {"first", "faster"}
    if dead._delta_sql:
        with pytest.raises(ConflictError):
            dead.append_once(KNOWN, of("dead", ("b", 2), ("c", 3)), base)
    else:
        dead.append(KNOWN, of("dead", ("b", 2), ("c", 3)))
    lake_of("new").append(KNOWN, of("new", ("d", 4)))  # has died as well, and was first with what it brought
    lake = lake_of("next")
    newest = lake.settled_version(KNOWN, lambda: (published, complete))
    assert sorted(row["key"] for row in lake.read("known", newest).collect()) == ["a", "b", "d"]
    assert lake_of("later").settled_version(KNOWN, lambda: (newest, complete)) == newest


def test_what_every_run_makes_anew_is_contended_by_nobody(lake_of, log):
    mine, other = lake_of("mine"), lake_of("other")
    written = mine.replace(LOG, log(("a", 1)), anew=True)
    other.replace(LOG, log(("b", 2)), anew=True)
    mine.verify()
    assert mine.versions() == {"log": written.version}
    contended = lake_of("contended")
    contended.replace(LOG, log(("a", 1)))
    other.replace(LOG, log(("b", 2)))
    with pytest.raises(ConflictError):
        contended.verify()


def test_a_table_that_is_held_is_nobody_elses_to_change(lake_of, log):
    """Neither to replace it, nor to have used it; what the run itself does to it counts for nothing."""
    base = lake_of("before").append(LOG, log(("a", 1))).version
    mine, user, other = lake_of("mine"), lake_of("user"), lake_of("other")
    for lake in (mine, user, other):
        lake.hold("log", base)
    other.replace(LOG, log(("b", 2)))
    other.append(LOG, log(("c", 3)))
    other.verify()
    with pytest.raises(ConflictError, match="another run wrote log"):
        mine.replace(LOG, log(("d", 4)))
    with pytest.raises(ConflictError, match="another run wrote log"):
        user.verify()
    assert rows_of(lake_of("after").read("log")) == [("b", 2), ("c", 3)]
    assert mine.has_changed("log", base, base + 1)
    assert not mine.has_changed("log", base, base)
    assert not other.has_changed("log", base, base + 2)
    assert not mine.has_changed("none", None, None)


def test_an_overwritten_slice_is_noticed_and_another_is_not(lake_of, snapshot, log):
    mine, theirs = lake_of("mine"), lake_of("theirs")
    mine.replace(SNAPSHOT, snapshot((FIRST, "a", 1)), {"day": FIRST})
    theirs.replace(SNAPSHOT, snapshot((SECOND, "b", 1)), {"day": SECOND})
    mine.append(LOG, log(("a", 1)))
    theirs.append(LOG, log(("b", 1)))
    mine.verify()
    theirs.verify()
    theirs.replace(SNAPSHOT, snapshot((FIRST, "b", 1)), {"day": FIRST})
    with pytest.raises(ConflictError, match="replaced the same slice of snapshots") as raised:
        mine.verify()
    assert raised.value.exit_code == 4
    with pytest.raises(ConflictError):  # nor may it go on to its next table
        mine.replace(TableSpec("next", *_rest(SNAPSHOT)), snapshot((FIRST, "a", 1)), {"day": FIRST})
    assert not mine.exists("next")
    theirs.replace(TableSpec("next", *_rest(SNAPSHOT)), snapshot((FIRST, "b", 1)), {"day": FIRST})
    theirs.verify()

    whole = lake_of("whole")
    whole.replace(LOG, log(("c", 1)))
    lake_of("other").replace(LOG, log(("d", 1)))
    with pytest.raises(ConflictError, match="the same slice of log"):
        whole.verify()


def _rest(spec):
    return spec.grain, spec.columns, spec.key, spec.partitioned_by


@pytest.mark.slow_on_spark
def test_versions_before_a_checkpoint_are_still_read(lake_of):
    """The log is gathered every ten commits, and each version is what it was, to frames of before it was as well."""
    lake = lake_of("run")
    done = []
    for n in range(12):
        rows = lake.spark.createDataFrame([(str(n), n)], "key string, value bigint")
        done.append(lake.append(LOG, rows).version)
        if n == 5:
            sixth = lake.read("log", done[n])
        if n >= 5:
            assert sixth.count() == 6
    for n in (11, 3, 10, 0):
        assert lake.read("log", done[n]).count() == n + 1


def test_a_fraction_is_read_as_it_was_written(lake_of):
    """Of a file with one value too, which an engine may take from the log's statistics."""
    columns = (Column("key", "string", "who"), Column("x", "double", "x"))
    spec = TableSpec("fractions", "one row a key", columns, ("key",))
    lake, fraction = lake_of("run"), 0.012958963282937365
    lake.append(spec, lake.spark.createDataFrame([("one", fraction)], "key string, x double"))
    assert [row["x"] for row in lake.read("fractions").collect()] == [fraction]


def test_a_dry_lake_writes_nothing(lake_of, snapshot, log, lake_path):
    dry = lake_of("dry", dry=True)
    kept = dry.replace(SNAPSHOT, snapshot((FIRST, "a", 1), (SECOND, "outside", 9)), {"day": FIRST})
    assert (kept.rows, kept.version, rows_of(kept.frame)) == (1, None, [(FIRST, "a", 1)])
    assert dry.append_once(LOG, log(("a", 1)), None).version is None
    assert dry.append(LOG, log(("a", 1))).rows == 1
    assert dry.merge(LOG, log(("a", 1)), "").version is None
    dry.create(LOG)
    dry.verify()
    assert dry.versions() == {}
    assert not dry.exists("snapshots")
    assert not dry.exists("log")


def test_an_empty_table_is_created_once(lake_of):
    for run_id in ("one", "two"):
        lake_of(run_id).create(SNAPSHOT)
    lake = lake_of("three")
    assert (lake.exists("snapshots"), rows_of(lake.read("snapshots"))) == (True, [])
    assert comments(lake, "snapshots")["value"] == "how far [km]"


def test_of_simultaneous_writers_one_wins_a_slice(lake_of, snapshot):
    from pyspark.sql import functions as F

    lake_of("before").replace(SNAPSHOT, snapshot((FIRST, "a", 0), (SECOND, "a", 0)), None)

    def both(days):
        """Two writers that have both read the table before either commits: each takes seconds to compute its rows."""
        outcomes, barrier = {}, threading.Barrier(2)
        slow = F.udf(_after_two_seconds, "bigint")

        def write(run_id, day):
            frame = snapshot((day, run_id, 1)).withColumn("value", slow("value"))
            barrier.wait()
            try:
                outcomes[run_id] = lake_of(run_id).replace(SNAPSHOT, frame, {"day": day})
            except Exception as error:
                outcomes[run_id] = error

        threads = [threading.Thread(target=write, args=pair) for pair in zip(("x", "y"), days, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    outcomes = both((FIRST, FIRST))
    (lost,) = [run for run, outcome in outcomes.items() if isinstance(outcome, ConflictError)]
    (won,) = outcomes.keys() - {lost}
    assert outcomes[lost].exit_code == 4
    assert "another writer changed snapshots" in str(outcomes[lost])
    assert rows_of(lake_of("after").read("snapshots")) == [(FIRST, won, 1), (SECOND, "a", 0)]

    outcomes = both((FIRST, SECOND))
    assert [type(outcome).__name__ for outcome in outcomes.values()] == ["Written", "Written"]
    assert rows_of(lake_of("after").read("snapshots")) == [(FIRST, "x", 1), (SECOND, "y", 1)]


def _after_two_seconds(value):
    import time

    time.sleep(2)
    return value


def test_a_lake_that_has_looked_sees_what_another_writes_since(lake_of, log):
    """Its commits, its rows and its columns, though neither log nor schema is read whole again."""
    from pyspark.sql import functions as F

    first, other = lake_of("first"), lake_of("other")
    first.append(LOG, log(("a", 1)))
    assert first.version("log") == (version := other.version("log"))
    more = LOG.with_columns(Column("note", "string", "a remark"))
    other.append(more, log(("b", 2)).withColumn("note", F.lit("n")))
    assert first.version("log") == other.version("log") > version
    assert next(first.commits("log")).run_id == "other"
    first.append(LOG, log(("c", 3)))
    assert rows_of(first.read("log")) == [("a", 1, None), ("b", 2, "n"), ("c", 3, None)]
    with pytest.raises(InputError, match="note was string when the table was made, and is bigint now"):
        first.append(
            LOG.with_columns(Column("note", "bigint", "other")), log().withColumn("note", F.lit(1).cast("long"))
        )
