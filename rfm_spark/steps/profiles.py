"""Profiles: what a segment is like, one row a segment, empty ones too."""

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import Segmentation
from rfm_spark.order_statistics import Size, Wanted, order_statistics


def profile(
    assigned: DataFrame, segmentation: Segmentation, metrics: Sequence[str], relative_error: float
) -> list[tuple]:
    """The rows of `segment_profiles` for one segmentation, in the order of its columns.

    Reads: assigned customers with their metrics, and snapshot_date in every row.
    Rules: means and (lower) medians leave nulls out, and are exact and the same whatever the partitions.
    Four small aggregates; no customer leaves the executors.
    """
    columns = [F.col(name).cast("double").alias(name) for name in metrics]
    totals = assigned.groupBy("segment").agg(
        F.count(F.lit(1)).alias("customers"),
        F.sum("monetary").alias("monetary"),
        # sums of decimals do not depend on the order of the rows
        *(F.count(name).alias(f"n_{name}") for name in metrics),
        *(F.avg(F.col(name).cast("decimal(28,6)")).cast("double").alias(f"mean_{name}") for name in metrics),
    )
    found = {row["segment"]: row for row in totals.collect()}
    frame = assigned.select("segment", *columns)
    size = {(group, name): Size(row[f"n_{name}"], 0) for group, row in found.items() for name in metrics}
    wanted = [Wanted(group, name, 0, (n.values + 1) // 2) for (group, name), n in size.items() if n.values]
    values = order_statistics(frame, wanted, size, "segment", relative_error)
    medians = {(want.group, want.column): value for want, value in values.items()}
    population = sum(row["customers"] for row in found.values())
    money = sum(row["monetary"] for row in found.values())
    rows = []
    for segment in segmentation.segments:
        row = found.get(segment.name)
        customers, monetary = (row["customers"], row["monetary"]) if row else (0, Decimal("0.00"))
        rows.append(
            (
                segmentation.name,
                segment.name,
                customers,
                customers / population if population else 0.0,
                monetary,
                float(monetary / money) if money else None,
                json.dumps(segment.action.model_dump(exclude_none=True), ensure_ascii=False, sort_keys=True),
                *(row[f"mean_{name}"] if row else None for name in metrics),
                *(medians.get((segment.name, name)) for name in metrics),
            )
        )
    return rows


def with_snapshot(rows: Sequence[tuple], snapshot: date) -> list[tuple]:
    """Put the snapshot before each row."""
    return [(snapshot, *row) for row in rows]
