"""Segment history: how long each customer stayed where, from the snapshots that there are."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from rfm_spark.sql import within

_KEY = ["segmentation", "customer_key", "segment"]
STAYS = """
SELECT segmentation, customer_key, segment, min(snapshot_date) AS valid_from,
  max_by(later, number) AS valid_to, count(*) AS snapshots
FROM (
  SELECT *, row_number() OVER (PARTITION BY segmentation, customer_key, segment ORDER BY number) AS nth
  FROM placed JOIN (
    SELECT segmentation, snapshot_date, row_number() OVER (PARTITION BY segmentation ORDER BY snapshot_date) AS number,
      lead(snapshot_date) OVER (PARTITION BY segmentation ORDER BY snapshot_date) AS later
    FROM (SELECT DISTINCT segmentation, snapshot_date FROM placed)
  ) USING (segmentation, snapshot_date)
  WHERE segment IS NOT NULL
)
GROUP BY segmentation, customer_key, segment, number - nth
"""  # what `stays` gives, for a view


def stays(placed: DataFrame) -> DataFrame:
    """One row a customer, segmentation and unbroken stay in a segment.

    Reads: placed, one row a customer, snapshot and segmentation (segmentation, snapshot_date, customer_key, segment).
    Returns: segmentation, customer_key, segment, valid_from, valid_to, snapshots.
    Rules: only the snapshots in `placed` count, so that one which comes in between or is taken out moves the dates to
        those around it; `segment_since` was true when it was written, and is not asked. A stay begins with the first
        snapshot that has the customer in the segment and ends with the next one of the segmentation that does not,
        since the customer is in another, in none, or gone; until then valid_to is null. To be in no segment is no
        stay. A snapshot without the segmentation ends nothing.
    Snapshots are numbered within their segmentation; one shuffle, by customer and segment.
    """
    in_order = Window.partitionBy("segmentation").orderBy("snapshot_date")
    numbered = (
        placed.select("segmentation", "snapshot_date")
        .distinct()
        .withColumns({"_number": F.row_number().over(in_order), "_next": F.lead("snapshot_date").over(in_order)})
    )
    rows = placed.filter(F.col("segment").isNotNull()).select(*_KEY, "snapshot_date")
    seen = rows.join(F.broadcast(numbered), ["segmentation", "snapshot_date"], "inner")
    nth = F.row_number().over(Window.partitionBy(*_KEY).orderBy("_number"))
    counted = within(seen, _KEY, {"_nth": nth}, {"_nth": F.lit(1)})
    # within one stay, the snapshots' numbers run ahead of the customer's own count by the same
    return (
        counted.groupBy(*_KEY, (F.col("_number") - F.col("_nth")).alias("_stay"))
        .agg(
            F.min("snapshot_date").alias("valid_from"),
            F.max_by("_next", "_number").alias("valid_to"),
            F.count(F.lit(1)).alias("snapshots"),
        )
        .select(*_KEY, "valid_from", "valid_to", "snapshots")
    )
