"""Profiles: what a segment is like, one row a segment, empty ones too."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.models import Segmentation
from rfm_spark.order_statistics import Size, Wanted, order_statistics


def profile(
    assigned: DataFrame, segmentation: Segmentation, metrics: Mapping[str, str], relative_error: float
) -> list[tuple]:
    """The rows of `segment_profiles` for one segmentation, in the order of its columns.

    Reads: assigned customers; `metrics` names the columns to profile: name in the profile: column.
    Rules: means and (lower) medians leave nulls out, and are exact and the same whatever the partitions.
    Four small aggregates; no customer leaves the executors.
    """
    columns = [F.col(f"`{column}`").cast("double").alias(name) for name, column in metrics.items()]
    totals = assigned.groupBy("segment").agg(
        F.count(F.lit(1)).alias("customers"),
        F.sum("monetary").alias("monetary"),
        *(F.count(f"`{column}`").alias(f"n_{name}") for name, column in metrics.items()),
        *(_mean(column).alias(f"mean_{name}") for name, column in metrics.items()),
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


def _mean(column: str) -> Column:
    """The mean by way of decimals, whose sum does not depend on the order of the rows."""
    return F.avg(F.col(f"`{column}`").cast("decimal(28,6)")).cast("double")


def with_snapshot(rows: Sequence[tuple], snapshot: date) -> list[tuple]:
    """Put the snapshot before each row."""
    return [(snapshot, *row) for row in rows]
