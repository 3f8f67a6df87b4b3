"""Files as Spark lists and reads them."""

import bz2

from rfm_spark import sources
from rfm_spark.config.models import Source

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
