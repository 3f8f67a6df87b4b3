"""Files as Spark lists and reads them."""

import bz2
import hashlib
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import functions as F

from rfm_spark import sources
from rfm_spark.config.base import Expression
from rfm_spark.config.source import Source
from rfm_spark.errors import InputError
from rfm_spark.sources import NoRows, listing
from rfm_spark.steps.contract import values

NAMES = ("my file.csv", "100%.csv", "a[1]{x}.csv", "what?*.csv", "größe+.csv", "back\\slash.csv")


def orders(path: object) -> Source:
    columns = {"source_customer_id": "id", "event_ts": "at"}
    return Source(name="orders", format="csv", path=str(path), event_type="engagement", columns=columns)


def rows(spark, source: Source) -> list[tuple]:
    return sorted(map(tuple, sources.read(spark, source).select("c_source_customer_id", "c_event_ts").collect()))


def test_files_of_any_name_whose_headers_differ(spark, tmp_path):
    """Each of two headers is read from its own files, so that Spark is given files and no folder."""
    folder = tmp_path / "new orders"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        header, row = ("id,at", f"{name},2024-01-01") if i % 2 else ("at,id", f"2024-01-01,{name}")
        (folder / name).write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert rows(spark, orders(folder)) == sorted((name, "2024-01-01") for name in NAMES)


def test_a_header_that_spark_reads(spark, tmp_path):
    """What Python does not open, compressed or on other storage, Spark does, by the same name."""
    (tmp_path / "my new 50% file.csv.bz2").write_bytes(bz2.compress(b"id,at\nann,2024-01-01\n"))
    assert rows(spark, orders(tmp_path)) == [("ann", "2024-01-01")]


@pytest.mark.spark_only
def test_a_table_is_read_by_its_options(spark):
    """At the version they say; one that the table cannot follow is no row less, but a fault."""
    spark.sql("CREATE DATABASE IF NOT EXISTS stock")
    try:
        for who in ("ann", "ben"):
            frame = spark.createDataFrame([(who, "2024-01-01")], "id string, at string")
            frame.write.format("delta").mode("append").saveAsTable("stock.orders")
        frame.write.format("parquet").saveAsTable("stock.files")
        table = orders("none").model_copy(update={"format": "table", "path": None, "table": "stock.orders"})
        assert [who for who, _ in rows(spark, table)] == ["ann", "ben"]
        for name in ("versionAsOf", "versionasof"):
            assert [who for who, _ in rows(spark, table.model_copy(update={"options": {name: 0}}))] == ["ann"]
        files = table.model_copy(update={"options": {"versionAsOf": 0}, "table": "stock.files"})
        for wrong in (files, table.model_copy(update={"options": {"versionAsOf": 7}})):
            with pytest.raises(InputError, match="source orders: cannot read stock"):
                sources.read(spark, wrong)
    finally:
        spark.sql("DROP DATABASE stock CASCADE")


@pytest.mark.parametrize("format_", ["csv", "json", "parquet"])
def test_chosen_files_are_listed_as_rows_name_them(spark, tmp_path, format_):
    """In folders of days, of odd names, one of them empty and one that a pattern leaves out."""
    for day, name in enumerate(NAMES, start=1):
        folder = tmp_path / "landing" / f"day=2024-01-0{day}"
        folder.mkdir(parents=True)
        write(folder / name.replace(".csv", f".{format_}"), name, format_)
    (folder / f"empty.{format_}").touch()
    (folder / "other.txt").write_text("no data", encoding="utf-8")
    source = orders(tmp_path / "landing")
    columns = source.columns | {"event_ts": Expression(column="day")}
    source = source.model_copy(
        update={"format": format_, "columns": columns, "options": {"pathGlobFilter": f"*.{format_}"}}
    )
    listed = listing.list_files(spark, source)
    if format_ == "parquet":  # an empty one is a damaged one
        (folder / "empty.parquet").unlink()
    whole = sources.read(spark, source).select("_file", "c_source_customer_id", "c_event_ts")
    assert sorted(row[0] for row in whole.collect()) == [one.path for one in listed]
    some = [one.path for one in listed[1::2]]
    assert sorted(map(tuple, sources.read(spark, source, some).select(whole.columns).collect())) == sorted(
        tuple(row) for row in whole.collect() if row[0] in some
    )
    texts = {one.path: listing.hashes([one])[one.path] for one in listed}
    files = [path for path in (tmp_path / "landing").rglob(f"*.{format_}") if path.stat().st_size]
    assert sorted(texts.values()) == sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    assert sorted((one.bytes, one.modified_ms) for one in listed) == sorted(
        (path.stat().st_size, path.stat().st_mtime_ns // 1_000_000) for path in files
    )


@pytest.mark.parametrize("options", [{}, {"multiLine": True}])
def test_json_files_without_an_object_have_the_columns_of_others(spark, tmp_path, options):
    """SQL may look inside of those; where no file has any it cannot."""
    for day, text in (("01", '{"who":'), ("02", "\n"), ("03", '{"who": {"id": "ann"}, "n": 1}')):
        (tmp_path / f"day=2024-01-{day}").mkdir()
        (tmp_path / f"day=2024-01-{day}" / "f.json").write_text(text, encoding="utf-8")
    columns = {"source_customer_id": {"sql": "who.id"}, "event_ts": "day", "amount": {"sql": "upper(N)"}}
    given = {"name": "orders", "format": "json", "path": str(tmp_path), "event_type": "purchase", "columns": columns}
    source = Source.model_validate(given | {"options": options})
    broken, blank = [one.path for one in listing.list_files(spark, source)][:2]
    for chosen in ([broken], [blank], [broken, blank]):
        with pytest.raises(NoRows, match="found no JSON object at"):
            sources.read(spark, source, chosen)
    frame = sources.read_malformed(spark, source, [broken, blank])
    said = [values.text(frame, name) for name in ("c_source_customer_id", "c_amount")]
    found = frame.select("_file", "_raw._corrupt_record", *said).collect()
    assert [tuple(row) for row in found] == [(broken, '{"who":', None, None)]
    assert [str(row[0]) for row in frame.select("c_event_ts").collect()] == ["2024-01-01"]
    assert sources.read_malformed(spark, source, [blank]) is None
    (tmp_path / "day=2024-01-03" / "f.json").unlink()
    with pytest.raises(InputError, match="found no JSON object at"):
        sources.read_malformed(spark, source, [broken])
    plain = source.model_copy(update={"columns": source.columns | {"source_customer_id": Expression(sql="trim(who)")}})
    assert sources.read_malformed(spark, plain, [broken], ["price > 0"]).filter("price is null").count() == 1


def parquet(folder: Path, files: list[pa.Table]) -> Source:
    folder.mkdir()
    for i, table in enumerate(files):
        pq.write_table(table, folder / f"{i} %.parquet")
    columns = {"source_customer_id": "id", "event_ts": "at", "amount": "n", "twice": {"sql": "n * 2"}}
    return Source.model_validate(
        {"name": "orders", "format": "parquet", "path": str(folder), "event_type": "purchase", "columns": columns}
    )


def judged(spark, source: Source, chosen: list[str] | None = None) -> list[tuple]:
    """Ids and amounts as the contract has them, what SQL makes of a number, and the identity of each row."""
    frame = sources.read(spark, source, chosen)
    who, amount = values.text(frame, "c_source_customer_id"), values.money(frame, "c_amount")
    found = frame.select(who, "_event_base", amount, F.col("c_twice").cast("double")).collect()
    return sorted(map(tuple, found), key=str)


@pytest.mark.parametrize("copies", [1, 2])
def test_numbers_of_several_types_are_read_at_once_as_one_by_one(spark, tmp_path, copies):
    """An id too, whether few files or many; a file without rows, or with no value in a column, is of any type."""
    at = ["2024-01-01", "2024-01-02"]
    files = [
        pa.table({"id": [7.0, 8.5], "at": at, "n": [3.5, 1e9], "more": ["x", "y"]}),
        pa.table({"id": pa.nulls(0), "at": pa.nulls(0), "n": pa.nulls(0), "more": pa.nulls(0)}),
        pa.table({"ID": pa.array([7, 9]), "at": at, "n": pa.array([3, 4])}),
        pa.table({"id": pa.array([7, 9], pa.int32()), "at": at, "n": [Decimal("3.50"), None], "more": pa.nulls(2)}),
    ]
    source = parquet(tmp_path / "in", files * copies)
    each = [one.path for one in listing.list_files(spark, source)]
    alone = [row for path in each for row in judged(spark, source, [path])]
    assert judged(spark, source) == sorted(alone, key=str)
    assert {row[2:] for row in alone} >= {
        (Decimal("3.50"), 7.0),
        (Decimal("3.00"), 6.0),
        (Decimal("1000000000.00"), 2e9),
    }


def test_whole_numbers_are_of_the_widest_type(spark, tmp_path):
    files = [
        pa.table({"id": pa.array([i], type_), "at": ["2024"], "n": [1]}) for i, type_ in ((1, pa.int32()), (2, None))
    ]
    frame = sources.read(spark, parquet(tmp_path / "in", files))
    assert frame.schema["c_source_customer_id"].dataType.simpleString() == "bigint"


@pytest.mark.slow_on_spark
def test_whole_numbers_without_a_sign(spark, tmp_path):
    types = {200: pa.uint8(), 60_000: pa.uint16(), 4_000_000_000: pa.uint32(), 2**63: pa.uint64()}
    files = [pa.table({"id": [1], "at": ["2024"], "n": pa.array([n], type_)}) for n, type_ in types.items()]
    assert sorted(row[2] for row in judged(spark, parquet(tmp_path / "in", files[:3]))) == [*types][:3]
    assert {row[3] for row in judged(spark, parquet(tmp_path / "more", files[3:]))} == {2.0**64}


@pytest.mark.slow_on_spark
def test_no_number_beside_one_number(spark, tmp_path):
    file = pa.table({"id": [1.0, float("nan"), None], "at": ["2024"] * 3, "n": [2.5, 2.5, float("nan")]})
    found = sources.read(spark, parquet(tmp_path / "in", [file])).select("c_source_customer_id", "c_amount")
    assert sorted(map(str, map(tuple, found.collect()))) == ["(1.0, 2.5)", "(None, nan)", "(nan, 2.5)"]


@pytest.mark.slow_on_spark
@pytest.mark.parametrize("version", [None, "0"])
def test_no_number_beside_one_number_in_a_delta_table(spark, tmp_path, version):
    file = pa.table({"id": ["a", "b"], "at": ["2024"] * 2, "n": [2.5, float("nan")]})
    write_deltalake(tmp_path / "in", file)
    write_deltalake(tmp_path / "in", pa.table({"id": ["c"], "at": ["2024"], "n": [2.5]}), mode="append")
    options = {"versionAsOf": version} if version else {}
    told = {"format": "delta", "path": str(tmp_path / "in"), "options": options}
    source = parquet(tmp_path / "none", []).model_copy(update=told)
    found = sources.read(spark, source).select("c_source_customer_id", "c_amount")
    expected = ["('a', 2.5)", "('b', nan)", *([] if version else ["('c', 2.5)"])]
    assert sorted(map(str, map(tuple, found.collect()))) == expected


def test_times_in_nanoseconds_and_categories_as_pandas_writes_them(spark, tmp_path):
    """Also beside files with microseconds, and with a whole number of the name."""
    ns, utc = 1_700_000_000_123_456_789, "2023-11-14 22:13:20.123456"
    files = [
        pa.table({"id": pa.array(["a"]).dictionary_encode(), "at": pa.array([ns], pa.timestamp("ns")), "n": [1]}),
        pa.table({"id": ["b"], "at": pa.array([ns // 1000], pa.timestamp("us")), "n": [2], "late": [3]}),
        pa.table({"id": ["c"], "at": pa.array([None], pa.timestamp("ns")), "n": [1]}),
        pa.table(
            {"id": ["d"], "at": pa.array([ns], pa.timestamp("ns")), "late": pa.array([ns], pa.timestamp("ns", "UTC"))}
        ),
    ]
    source = parquet(tmp_path / "in", files[:1] + files[2:])
    text = F.col("c_event_ts").cast("string")
    found = sources.read(spark, source).select("c_source_customer_id", text, F.col("late").cast("string"))
    assert sorted(map(tuple, found.collect())) == [("a", utc, None), ("c", None, None), ("d", utc, utc)]
    source = parquet(tmp_path / "more", files[:3])
    found = sources.read(spark, source).select("c_source_customer_id", text, F.col("late").cast("int"))
    assert sorted(map(tuple, found.collect())) == [("a", utc, None), ("b", utc, 3), ("c", None, None)]


def write(path: Path, name: str, format_: str) -> None:
    if format_ == "parquet":
        pq.write_table(pa.table({"id": [name], "at": ["2024-01-01"]}), path)
    elif format_ == "json":
        path.write_text(json.dumps({"id": name, "at": "2024-01-01"}) + "\n", encoding="utf-8")
    else:
        path.write_text(f"id,at\n{name},2024-01-01\n", encoding="utf-8")
