"""What other programs read: every published table through delta-rs, Polars and, where it is installed, DuckDB."""

from decimal import Decimal

import pytest
from e2e import faults

READ = (*faults.TABLES, "runs")


@pytest.fixture
def tables(spark, tmp_path_factory) -> dict[str, tuple[str, object]]:
    """{table: (path, Spark's frame)} of a lake with two snapshots."""
    from rfm_spark.lake import Lake

    made = faults.undisturbed(spark, tmp_path_factory)
    lake = Lake(spark, faults.project(made.config, str(made.folder / "october")).config.lake)
    return {name: (f"{lake.place}/{name}", lake.read(name)) for name in READ}


def test_delta_rs_reads_every_table(tables):
    from deltalake import DeltaTable

    for name, (path, frame) in tables.items():
        table = DeltaTable(path)
        arrow = table.to_pyarrow_table()
        assert {field.name: str(field.type) for field in arrow.schema} == arrow_types(frame), name
        assert arrow.num_rows == frame.count() > 0, name
        comments = {field.name: field.metadata.get("comment") for field in table.schema().fields}
        assert all(comments.values()), name


def test_polars_reads_every_table(tables):
    polars = pytest.importorskip("polars")

    for name, (path, frame) in tables.items():
        read = polars.read_delta(path)
        assert (read.columns, read.height) == (frame.columns, frame.count()), name
    metrics = polars.read_delta(tables["customer_metrics"][0])
    assert isinstance(metrics["monetary"].dtype, polars.Decimal)
    assert metrics["monetary"].sum() == total(tables["customer_metrics"][1])
    runs = polars.read_delta(tables["runs"][0])
    expected = {row["run_id"]: row["counts"] for row in tables["runs"][1].collect()}
    assert {r["run_id"]: dict(r["counts"]) for r in runs.iter_rows(named=True)} == expected
    quarantine = polars.read_delta(tables["quarantine"][0])
    reasons = sorted(reason for row in tables["quarantine"][1].collect() for reason in row["reasons"])
    assert sorted(reason for row in quarantine["reasons"] for reason in row) == reasons


def test_duckdb_reads_every_table(tables):
    duckdb = pytest.importorskip("duckdb")
    from deltalake import DeltaTable

    for name, (path, frame) in tables.items():
        arrow = DeltaTable(path).to_pyarrow_table()
        assert duckdb.query("SELECT count(*) FROM arrow").fetchall() == [(frame.count(),)], name
        assert arrow.num_rows
    metrics = DeltaTable(tables["customer_metrics"][0]).to_pyarrow_table()
    assert metrics.num_rows
    assert duckdb.query("SELECT sum(monetary) FROM metrics").fetchall() == [(total(tables["customer_metrics"][1]),)]


def total(frame) -> Decimal:
    return sum((row["monetary"] for row in frame.collect()), Decimal(0))


def arrow_types(frame) -> dict[str, str]:
    """Spark's types as Arrow spells them."""
    names = {
        "bigint": "int64",
        "boolean": "bool",
        "int": "int32",
        "date": "date32[day]",
        "timestamp": "timestamp[us, tz=UTC]",
        "array<string>": "list<element: string>",
        "array<int>": "list<element: int32>",
        "array<bigint>": "list<element: int64>",
        "map<string,string>": "map<string, string>",
        "map<string,bigint>": "map<string, int64>",
        "decimal(18,2)": "decimal128(18, 2)",
        "decimal(28,2)": "decimal128(28, 2)",
    }
    types = {field.name: field.dataType.simpleString() for field in frame.schema}
    return {name: names.get(type_, type_) for name, type_ in types.items()}
