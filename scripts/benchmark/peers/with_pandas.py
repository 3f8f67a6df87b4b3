"""pandas, with text as categories, which is fastest and smallest there; Parquet tables through pyarrow."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmark import job
from benchmark.job import Data

COLUMNS = ["customer_key", "event_type", "event_date", "order_id", "amount"]
MONEY = [name for name in job.MEASURES if name.startswith("monetary")]


def classic(data: Data, out: Path) -> None:
    """Clean events to a table of segments."""
    table = ds.dataset(data.events).to_table(columns=COLUMNS)
    _write(_segmented(_metrics(_frame(table))), out)


def whole(data: Data, out: Path) -> None:
    """Raw rows to tables of events, quarantine and segments."""
    rows = _judged(data)
    bad = rows["reasons"].str.len() > 0
    out.mkdir(parents=True)
    rows.loc[bad, ["source", "reasons", "record"]].to_parquet(out / "quarantine.parquet")
    clean = rows[~bad & ~rows.duplicated(["source", "event_id"])].drop(columns=["reasons", "record"])
    del rows
    clean["event_month"] = clean["event_ts"].dt.strftime("%Y-%m")
    clean.to_parquet(out / "events", partition_cols=["event_month"])
    for name in ("customer_key", "event_type", "order_id"):
        clean[name] = clean[name].astype("category")
    _write(_segmented(_metrics(clean)), out / "segments")


def scan(data: Data, out: Path) -> None:
    """The floor: the columns that the classic job reads, and no more than their sum."""
    frame = _frame(ds.dataset(data.events).to_table(columns=COLUMNS))
    frame["cents"].sum()


def start(data: Data, out: Path) -> None:
    """The library, and one trivial query."""
    pd.Series(range(10)).sum()


def _frame(table: pa.Table) -> pd.DataFrame:
    cents = pc.round(pc.multiply(table["amount"].cast(pa.float64()), 100)).cast(pa.int64())
    texts = {name: table[name].dictionary_encode() for name in ("customer_key", "event_type", "order_id")}
    return pa.table(texts | {"event_date": table["event_date"].cast(pa.timestamp("s")), "cents": cents}).to_pandas()


def _metrics(events: pd.DataFrame) -> pd.DataFrame:
    """One row an order first: no count of distinct values."""
    as_of = pd.Timestamp(job.AS_OF)
    seen = events[events["event_date"] < as_of]
    buys = seen["event_type"] == "purchase"
    signed = np.where(buys, seen["cents"], -seen["cents"])
    orders = seen[buys].drop_duplicates(["customer_key", "order_id"])
    key = seen["customer_key"].cat.categories
    last = orders.groupby("customer_key", observed=False)["event_date"].max()
    result = pd.DataFrame({"recency_days": (as_of - last).dt.days.astype("Int32")}, index=key)
    spans = {"": (job.BOUNDARIES[0], job.AS_OF)} | {f"_q{i}": span for i, span in enumerate(job.QUARTERS, 1)}
    for name, (first, end) in spans.items():
        start_, stop = pd.Timestamp(first), pd.Timestamp(end)
        of = orders.loc[orders["event_date"].ge(start_) & orders["event_date"].lt(stop), "customer_key"]
        result[f"orders{name}" if name else "frequency"] = np.bincount(of.cat.codes, minlength=len(key))
        inside = (seen["event_date"] >= start_) & (seen["event_date"] < stop)
        sums = pd.Series(signed[inside]).groupby(seen.loc[inside, "customer_key"].cat.codes.to_numpy()).sum()
        result[f"monetary{name}"] = sums.reindex(range(len(key)), fill_value=0).to_numpy()
    result[MONEY] = result[MONEY].where(result["frequency"] > 0, 0)
    seen_at_all = np.bincount(seen["customer_key"].cat.codes, minlength=len(key)) > 0
    return result[seen_at_all].rename_axis("customer_key").reset_index()


def _segmented(customers: pd.DataFrame) -> pd.DataFrame:
    buyers = customers[customers["frequency"] > 0]
    ranks = [-(-i * len(buyers) // job.BINS) - 1 for i in range(1, job.BINS)]
    for name, (metric, better) in job.CRITERIA.items():
        values = np.sort(buyers[metric].to_numpy(dtype=np.int64))
        below = np.searchsorted(values[ranks], customers[metric].fillna(0).to_numpy(dtype=np.int64), side="left")
        customers[f"{name}_score"] = (job.BINS - below if better == "low" else below + 1).astype(np.int32)
    r, f = customers["r_score"], customers["f_score"]
    conditions = [customers["frequency"] == 0, *(r.between(*box.r) & f.between(*box.f) for box in job.BOXES)]
    customers["segment"] = np.select(conditions, [job.INACTIVE, *(box.segment for box in job.BOXES)], "")
    return customers


def _write(customers: pd.DataFrame, out: Path) -> None:
    table = pa.Table.from_pandas(customers[job.COLUMNS], preserve_index=False)
    for name in MONEY:
        hundredths = pc.multiply(table[name].cast(pa.decimal128(19)), pa.scalar(1, pa.decimal128(3, 2)))
        cents = pc.divide(hundredths.cast(pa.decimal128(22, 2)), pa.scalar(100, pa.decimal128(3)))
        table = table.set_column(table.schema.get_field_index(name), name, cents.cast(pa.decimal128(18, 2)))
    partitioning = ds.partitioning(pa.schema([("segment", pa.string())]), flavor="hive")
    ds.write_dataset(table, out, format="parquet", partitioning=partitioning)


def _judged(data: Data) -> pd.DataFrame:
    tables = {name: ds.dataset(data.raw(name)).to_table().to_pandas() for name in job.SOURCES}
    raw = pd.concat(tables, names=["source", None]).reset_index("source").reset_index(drop=True)
    number = pd.to_numeric(raw["total"], errors="coerce") * 100
    back = raw["kind"] == "return"
    client = raw["client"].str.strip()
    rows = pd.DataFrame(
        {
            "source": raw["source"],
            "event_id": raw["line_id"],
            "customer_key": client.where(client != ""),
            "event_type": raw["kind"].map({"sale": "purchase", "return": "refund"}),
            "event_ts": raw["sold_at"],
            "event_date": raw["sold_at"].dt.tz_localize(None).dt.floor("D"),
            "order_id": raw["invoice"],
            "cents": number.where(~back, number.abs()).round().astype("Int64"),
        }
    )
    content = ["source", "event_id", "customer_key", "event_type", "event_ts", "order_id", "cents"]
    again = rows.duplicated(["source", "event_id"], keep=False)
    differing = rows.loc[again, content].drop_duplicates()
    differing = differing[differing.duplicated(["source", "event_id"], keep=False)]
    reasons = {
        "duplicate_conflict": again & rows["event_id"].isin(differing["event_id"]),
        "negative_amount": (rows["event_type"] == "purchase") & (rows["cents"] < 0),
        "no_customer": rows["customer_key"].isna(),
        "not_a_number:amount": rows["cents"].isna(),
        "time_out_of_range": ~rows["event_date"].between(pd.Timestamp(job.EARLIEST), pd.Timestamp(job.LATEST)),
    }
    held = np.column_stack([column.fillna(False).to_numpy(dtype=bool) for column in reasons.values()])
    names, bad = np.array(list(reasons)), np.flatnonzero(held.any(axis=1))
    lists = np.full(len(rows), None, dtype=object)
    records = np.full(len(rows), None, dtype=object)
    lists[:] = [[]] * len(rows) if len(rows) else []
    for i in bad:
        lists[i] = list(names[held[i]])
    records[bad] = raw.iloc[bad].drop(columns="source").to_json(orient="records", lines=True).splitlines()
    rows["reasons"], rows["record"] = lists, records
    return rows.astype({"cents": "int64"}) if not rows["cents"].isna().any() else rows
