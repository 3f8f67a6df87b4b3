"""Polars, lazy and streaming; Parquet tables."""

from pathlib import Path
from typing import Any

import polars as pl

from benchmark import job
from benchmark.job import Data

MONEY = pl.Decimal(18, 2)
RAW = ["client", "kind", "total"]  # of the raw row, what no other column says


def classic(data: Data, out: Path) -> None:
    """Clean events to a table of segments."""
    _segment(pl.scan_parquet(f"{data.events}/*.parquet"), out)


def whole(data: Data, out: Path) -> None:
    """Raw rows to tables of events, quarantine and segments."""
    out.mkdir(parents=True)
    judged = _judged(data).collect(engine="streaming").lazy()
    bad = pl.col("reasons").list.len() > 0
    names = {"event_id": "line_id", "event_ts": "sold_at", "order_id": "invoice"} | {n: n for n in RAW}
    record = pl.struct(pl.col(name).alias(raw) for name, raw in names.items()).struct.json_encode()
    held = judged.filter(bad).select("source", "reasons", record=record)
    held.with_columns(quarantine_id=pl.col("record").hash()).sink_parquet(out / "quarantine.parquet")
    clean = judged.filter(~bad & (pl.col("nth") == 1)).drop("reasons", "nth", *RAW)
    by_month = pl.PartitionBy(out / "events", key="event_month")
    clean.sink_parquet(by_month, mkdir=True, maintain_order=False)
    del judged, clean
    _segment(pl.scan_parquet(f"{out}/events/**/*.parquet", hive_partitioning=True), out / "segments")


def scan(data: Data, out: Path) -> None:
    """The floor: the columns that the classic job reads, and no more than their sum."""
    names = ["event_date", "event_type", "customer_key", "order_id"]
    read = pl.scan_parquet(f"{data.events}/*.parquet")
    read.select(pl.col("amount").sum(), pl.col(names).max()).collect(engine="streaming")


def start(data: Data, out: Path) -> None:
    """The library, and one trivial query."""
    pl.select(pl.int_range(10).sum())


def _segment(events: pl.LazyFrame, out: Path) -> None:
    """One row an order or a customer's day of refunds, then a customer: no count of distinct values."""
    purchase, day = pl.col("event_type") == "purchase", pl.col("event_date")
    cents = (pl.col("amount").cast(pl.Float64) * 100).round().cast(pl.Int64)
    orders = (
        events.filter(day < job.AS_OF)
        .select("customer_key", "order_id", day, buys=purchase, cents=pl.when(purchase).then(cents).otherwise(-cents))
        .group_by("customer_key", "order_id", "event_date", "buys")
        .agg(pl.col("cents").sum())
    )
    spans = {"": (job.BOUNDARIES[0], job.AS_OF)} | {f"_q{i}": span for i, span in enumerate(job.QUARTERS, 1)}
    sums = [day.filter(pl.col("buys")).max().alias("last")]
    for name, (first, end) in spans.items():
        inside = (day >= first) & (day < end)
        sums.append((inside & pl.col("buys")).sum().cast(pl.Int64).alias(f"orders{name}" if name else "frequency"))
        sums.append(pl.when(inside).then(pl.col("cents")).otherwise(0).sum().alias(f"monetary{name}"))
    money = [pl.when(pl.col("frequency") > 0).then(pl.col(n)).otherwise(0).alias(n) for n in _money_names()]
    recency = (pl.lit(job.AS_OF) - pl.col("last")).dt.total_days().cast(pl.Int32)
    customers = (
        orders.group_by("customer_key")
        .agg(*sums)
        .with_columns(*money, recency_days=recency)
        .drop("last")
        .collect(engine="streaming")
    )
    buyers = customers.filter(pl.col("frequency") > 0)
    scored = customers.lazy().with_columns(
        _score(buyers[metric], better).alias(f"{name}_score") for name, (metric, better) in job.CRITERIA.items()
    )
    placed = scored.with_columns(_segments().alias("segment"), *(_money(name) for name in _money_names()))
    placed.select(job.COLUMNS).sink_parquet(pl.PartitionBy(out, key="segment"), mkdir=True, maintain_order=False)


def _money_names() -> list[str]:
    return [name for name in job.MEASURES if name.startswith("monetary")]


def _money(name: str) -> pl.Expr:
    return (pl.col(name).cast(pl.Decimal(18, 0)) * pl.lit("0.01").cast(pl.Decimal(3, 2))).cast(MONEY).alias(name)


def _score(values: pl.Series, better: str) -> pl.Expr:
    ranks = [-(-i * len(values) // job.BINS) - 1 for i in range(1, job.BINS)]
    cuts = values.sort().gather(ranks).to_list() if len(values) else []
    below = pl.sum_horizontal(pl.lit(0), *((pl.col(values.name) > cut).cast(pl.Int32) for cut in cuts))
    return (job.BINS - below if better == "low" else below + 1).cast(pl.Int32)


def _segments() -> pl.Expr:
    r, f = pl.col("r_score"), pl.col("f_score")
    chosen: Any = pl.when(pl.col("frequency") == 0).then(pl.lit(job.INACTIVE))
    for box in job.BOXES:
        chosen = chosen.when(r.is_between(*box.r) & f.is_between(*box.f)).then(pl.lit(box.segment))
    return chosen.otherwise(None)


def _judged(data: Data) -> pl.LazyFrame:
    rows = pl.concat(
        pl.scan_parquet(f"{data.raw(name)}/*.parquet").with_columns(source=pl.lit(name)) for name in job.SOURCES
    )
    day, amount = pl.col("sold_at").dt.date(), pl.col("total").cast(MONEY, strict=False)
    client = pl.col("client").str.strip_chars()
    parsed = rows.select(
        "source",
        pl.col("line_id").alias("event_id"),
        pl.when(client != "").then(client).alias("customer_key"),
        pl.col("kind").replace_strict({"sale": "purchase", "return": "refund"}, default=None).alias("event_type"),
        pl.col("sold_at").alias("event_ts"),
        day.alias("event_date"),
        day.dt.truncate("1mo").alias("event_month"),
        pl.col("invoice").alias("order_id"),
        pl.when(pl.col("kind") == "return").then(amount.abs()).otherwise(amount).alias("amount"),
        *RAW,
    )
    event = ["source", "event_id"]
    content = pl.struct("customer_key", "event_type", "event_ts", "order_id", "amount").hash()
    compared = parsed.with_columns(content=content).with_columns(
        differ=pl.col("content").min().over(event) != pl.col("content").max().over(event),
        nth=pl.int_range(1, pl.len() + 1).over(event),
    )
    reasons = {
        "duplicate_conflict": pl.col("differ"),
        "negative_amount": (pl.col("event_type") == "purchase") & (pl.col("amount") < 0),
        "no_customer": pl.col("customer_key").is_null(),
        "not_a_number:amount": pl.col("amount").is_null(),
        "time_out_of_range": ~pl.col("event_date").is_between(job.EARLIEST, job.LATEST),
    }
    names = pl.concat_list(pl.when(held).then(pl.lit(name)) for name, held in reasons.items())
    return compared.with_columns(reasons=names.list.drop_nulls()).drop("content", "differ")
