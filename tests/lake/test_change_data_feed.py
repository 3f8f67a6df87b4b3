"""Delta's change data feed: set where the project asks for it, and told as the tables differ; only Spark writes it."""

from collections import Counter
from datetime import date

import pyarrow
import pytest
from deltalake import DeltaTable

from rfm_spark import engines
from rfm_spark.config.lake import Lake as LakeConfig
from rfm_spark.schemas import Column, TableSpec

pytestmark = pytest.mark.slow

SNAPSHOT = TableSpec(
    "snapshots",
    "one row a day and key",
    (Column("day", "date", "the day"), Column("key", "string", "who"), Column("value", "bigint", "how far")),
    ("day", "key"),
    ("day",),
)
LOG = TableSpec("log", "one row a key", SNAPSHOT.columns[1:], ("key",))
FIRST, SECOND = date(2020, 1, 31), date(2020, 2, 29)
FEED = "delta.enableChangeDataFeed"


@pytest.fixture
def lake_of(spark, lake_path):
    """A lake of the test's own, with or without the feed."""
    from rfm_spark.lake import Lake

    if not engines.of(spark).delta_sql:
        pytest.skip("this engine does not write the feed")

    def lake(run_id, *, feed=True, dry=False):
        return Lake(spark, LakeConfig(path=lake_path, change_data_feed=feed), run_id, dry=dry)

    return lake


@pytest.fixture
def rows(spark):
    return lambda *rows: spark.createDataFrame(list(rows), "day date, key string, value bigint")


def fed(spark, path, after):
    """(change, cells) of the versions after one, by Spark and by delta-rs, which must tell the same."""
    options = {"readChangeFeed": "true", "startingVersion": after + 1}
    by_spark = spark.read.format("delta").options(**options).load(path)
    names = [name for name in by_spark.columns if not name.startswith("_")]
    told = Counter((row["_change_type"], *(row[name] for name in names)) for row in by_spark.collect())
    table = pyarrow.table(DeltaTable(path).load_cdf(starting_version=after + 1).read_all())
    cells = [table[name].to_pylist() for name in ("_change_type", *names)]
    others = Counter(zip(*cells, strict=True))
    assert told == others
    return told


def contents(path, version=None):
    return Counter(tuple(row.values()) for row in DeltaTable(path, version=version).to_pyarrow_table().to_pylist())


def applied(before, told):
    """The rows of before once the changes are made to them."""
    after = Counter(before)
    for (kind, *cells), n in told.items():
        after[tuple(cells)] += n if kind in ("insert", "update_postimage") else -n
    return +after


@pytest.mark.parametrize("by_hand", [False, True])
def test_changes_are_the_difference_of_the_tables(spark, lake_of, rows, lake_path, by_hand):
    """Of a slice that is replaced, of an append and of a MERGE; also where a user has enabled it on a table."""
    feed, path = not by_hand, f"{lake_path}/snapshots"
    lake_of("one", feed=feed).replace(SNAPSHOT, rows((FIRST, "a", 1), (FIRST, "b", 2)), {"day": FIRST})
    if by_hand:
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({FEED} = true)")
    start = DeltaTable(path).version()
    before = contents(path)
    lake_of("two", feed=feed).replace(SNAPSHOT, rows((SECOND, "a", 3)), {"day": SECOND})
    again = rows((FIRST, "a", 1), (FIRST, "b", 9), (FIRST, "c", 4))
    lake_of("three", feed=feed).replace(SNAPSHOT, again, {"day": FIRST})
    lake = lake_of("four", feed=feed)
    lake.append_once(SNAPSHOT, rows((SECOND, "d", 5)), lake.version("snapshots"))
    clauses = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    lake_of("five", feed=feed).merge(SNAPSHOT, rows((SECOND, "d", 6), (SECOND, "e", 7)), clauses)
    told = fed(spark, path, start)
    assert {(SECOND, "a", 3), (FIRST, "c", 4)} <= {tuple(cells) for kind, *cells in told if kind == "insert"}
    assert ("update_postimage", SECOND, "d", 6) in told
    assert applied(before, told) == contents(path) != before
    assert DeltaTable(path).metadata().configuration[FEED] == "true"


def test_maintain_enables_it_on_tables_that_are_there(spark, lake_of, rows, lake_path):
    from rfm_spark.lake import Upkeep

    path = f"{lake_path}/log"
    lake_of("one", feed=False).append(LOG, rows((FIRST, "a", 1)).drop("day"))
    assert FEED not in DeltaTable(path).metadata().configuration
    assert Upkeep(lake_of("kept", feed=False)).mend(LOG) == []
    (listed,) = Upkeep(lake_of("dry", dry=True)).mend(LOG)
    assert (listed.table, listed.action, listed.what) == ("log", "record changes", f"{FEED} = true, from here on")
    assert FEED not in DeltaTable(path).metadata().configuration
    assert Upkeep(lake_of("wet")).mend(LOG) == [listed]
    assert Upkeep(lake_of("again")).mend(LOG) == []
    start = DeltaTable(path).version()
    lake_of("two").append(LOG, rows((FIRST, "b", 2)).drop("day"))
    assert fed(spark, path, start) == {("insert", "b", 2): 1}
