"""Whether two sides left the same: rows, customers a segment, and checksums that do not depend on the order of rows."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

from benchmark.job import MEASURES, SCORES

_KEY = {"scores": ["customer_key", *SCORES, "segment"], "measures": ["customer_key", *MEASURES]}
_TYPES = {name: "decimal(18,2)" if name.startswith("monetary") else "bigint" for name in MEASURES}
_TYPES |= dict.fromkeys(SCORES, "bigint") | {"customer_key": "varchar", "segment": "varchar"}


@dataclass(frozen=True)
class Left:
    """What a side left behind, as it is compared. `kept` and `held` are of the whole job alone."""

    customers: int
    segments: dict[str, int]
    measures: str
    scores: str
    kept: str = ""
    held: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def left(job: str, out: Path) -> Left:
    """What lies in `out`: a table of segments, or the tables of the whole job."""
    with duckdb.connect() as db:
        return Left(**_classic(db, _segments(job, out)), **(_whole(db, out) if job == "whole" else {}))


def placed_otherwise(job: str, out: Path, reference: Path) -> float:
    """The share of customers whose segment is not that of the reference."""
    with duckdb.connect() as db:
        row = db.execute(
            f"select count(*) filter (a.segment is distinct from b.segment) / count(*) from {_segments(job, out)} a "
            f"full join {_segments(job, reference)} b using (customer_key)"
        ).fetchone()
    return float(row[0]) if row else 1.0


def _segments(job: str, out: Path) -> str:
    """A FROM clause of the table of segments, with its measures."""
    if job == "classic":
        return f"(select * from {_table(out)})"
    if (out / "segments").exists():
        return f"(select * from {_table(out / 'segments')})"
    return (
        f"(from {_table(out / 'customer_segments')} s join {_table(out / 'customer_metrics')} m using (customer_key))"
    )


def _classic(db: duckdb.DuckDBPyConnection, source: str) -> dict[str, Any]:
    sums = {
        name: "sum(hash({}))::varchar".format(", ".join(f"{c}::{_TYPES[c]}" for c in columns))
        for name, columns in _KEY.items()
    }
    row = db.execute(f"select count(*), {sums['measures']}, {sums['scores']} from {source}").fetchone() or (0, "", "")
    rows = db.execute(f"select segment, count(*) from {source} group by all order by all").fetchall()
    return {"customers": row[0], "measures": row[1], "scores": row[2], "segments": dict(rows)}


def _whole(db: duckdb.DuckDBPyConnection, out: Path) -> dict[str, Any]:
    columns = "source, event_id, customer_key, event_type, epoch_us(event_ts), event_date::date, order_id"
    amount = "amount::decimal(18,2)"
    if "cents" in [
        c[0] for c in db.execute(f"from {_table(out / 'events')} limit 0").description or []
    ]:  # pandas has no decimals
        amount = "(cents::decimal(18,0) * 0.01::decimal(3,2))::decimal(18,2)"
    kept = db.execute(
        f"select count(*) || ' ' || sum(hash({columns}, {amount})) from {_table(out / 'events')}"
    ).fetchone()
    reason = "source || ': ' || array_to_string(list_sort(reasons), ', ')"
    held = f"select {reason}, count(*) from {_table(out / 'quarantine')} group by all order by all"
    rows = db.execute(held).fetchall()
    return {"kept": kept[0] if kept else "", "held": dict(rows)}


def _table(where: Path) -> str:
    """Files of a table of either kind, for a FROM clause."""
    if where.with_suffix(".parquet").is_file():
        return f"read_parquet('{where}.parquet')"
    if (where / "_delta_log").exists():
        files = ", ".join(f"'{uri.removeprefix('file://')}'" for uri in DeltaTable(str(where)).file_uris())
    else:
        files = f"'{where}/**/*.parquet'"
    return f"read_parquet([{files}], hive_partitioning = true, hive_types_autocast = false)"
