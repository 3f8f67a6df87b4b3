"""Textbook Spark, with Spark's own settings: groupBy and countDistinct, then scores by `ntile` or by equal cuts.

As written in most tutorials. `ntile` runs over windows without partitions and splits ties, so it places some customers
otherwise; `same_cuts` fits the cut-points of the job, one column at a time with approxQuantile at error 0.
"""

from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

from benchmark import job
from benchmark.job import Data

RAW = ["client", "kind", "total"]  # of the raw row, what no other column says


def ntile(data: Data, out: Path) -> None:
    """Scores by `ntile(5)` over all customers in order; a Delta table."""
    _write(_segmented(_ntiles(_metrics(_session().read.parquet(data.events)))), out)


def same_cuts(data: Data, out: Path) -> None:
    """Scores by the cut-points that all others use; a Delta table."""
    _write(_segmented(_cut(_metrics(_session().read.parquet(data.events)))), out)


def whole(data: Data, out: Path) -> None:
    """Raw rows to Delta tables of events, quarantine and segments, scores by the cut-points that all others use."""
    spark = _session()
    judged = _judged(spark, data).cache()
    bad, events = F.size("reasons") > 0, str(out / "events")
    clean = judged.filter(~bad & (F.col("nth") == 1)).drop("reasons", "nth", *RAW)
    clean.write.format("delta").partitionBy("event_month").save(events)
    record = F.to_json(F.struct("event_id", "event_ts", "order_id", *RAW))
    held = judged.filter(bad).select("source", "reasons", record.alias("record"))
    held.withColumn("quarantine_id", F.md5("record")).write.format("delta").save(str(out / "quarantine"))
    _write(_segmented(_cut(_metrics(spark.read.format("delta").load(events)))), out / "segments")


def scan(data: Data, out: Path) -> None:
    """The floor: the columns that the classic job reads, and no more than their sum."""
    names = ["customer_key", "event_type", "order_id", "event_date"]
    _session().read.parquet(data.events).agg(F.sum("amount"), *(F.max(name) for name in names)).collect()


def start(data: Data, out: Path) -> None:
    """A session, and one trivial query."""
    _session().range(10).selectExpr("sum(id)").collect()


def _session() -> SparkSession:
    return (
        SparkSession.builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )


def _metrics(events: DataFrame) -> DataFrame:
    as_of, purchase = F.lit(job.AS_OF), F.col("event_type") == "purchase"
    signed = F.when(purchase, F.col("amount")).otherwise(-F.col("amount"))
    spans = {"": (job.BOUNDARIES[0], job.AS_OF)} | {f"_q{i}": span for i, span in enumerate(job.QUARTERS, 1)}
    aggregates: list[Column] = [
        F.datediff(as_of, F.max(F.when(purchase, F.col("event_date")))).alias("recency_days"),
    ]
    for name, (start_, end) in spans.items():
        inside = (F.col("event_date") >= F.lit(start_)) & (F.col("event_date") < F.lit(end))
        orders, money = ("frequency", "monetary") if not name else (f"orders{name}", f"monetary{name}")
        aggregates.append(F.countDistinct(F.when(inside & purchase, F.col("order_id"))).alias(orders))
        aggregates.append(F.sum(F.when(inside, signed)).alias(money))
    measured = events.filter(F.col("event_date") < as_of).groupBy("customer_key").agg(*aggregates)
    for name in job.MEASURES[2:3] + job.MEASURES[7:]:
        buys = F.when(F.col("frequency") > 0, F.coalesce(name, F.lit(0))).otherwise(0)
        measured = measured.withColumn(name, buys.cast("decimal(18,2)"))
    return measured.cache()


def _ntiles(measured: DataFrame) -> DataFrame:
    buyers, others = measured.filter("frequency > 0"), measured.filter("frequency = 0")
    for criterion, (metric, better) in job.CRITERIA.items():
        order = F.col(metric).desc() if better == "low" else F.col(metric).asc()
        buyers = buyers.withColumn(f"{criterion}_score", F.ntile(job.BINS).over(W.orderBy(order)))
    return buyers.unionByName(others.withColumns({name: F.lit(1) for name in job.SCORES}))


def _cut(measured: DataFrame) -> DataFrame:
    buyers, scored = measured.filter("frequency > 0"), measured
    for criterion, (metric, better) in job.CRITERIA.items():
        numbers = buyers.withColumn(metric, F.col(metric).cast("double"))
        cuts = numbers.approxQuantile(metric, [i / job.BINS for i in range(1, job.BINS)], 0.0)
        below = sum((F.when(F.col(metric) > cut, 1).otherwise(0) for cut in cuts), F.lit(0))
        score = F.lit(job.BINS) - below if better == "low" else below + 1
        scored = scored.withColumn(f"{criterion}_score", score)
    return scored


def _segmented(scored: DataFrame) -> DataFrame:
    return scored.withColumn("segment", F.expr(job.segment_sql())).select(*job.COLUMNS)


def _judged(spark: SparkSession, data: Data) -> DataFrame:
    """Every row with its reasons, its record where it has one, and which of its exact duplicates it is."""
    sources = [spark.read.parquet(data.raw(name)).withColumn("source", F.lit(name)) for name in job.SOURCES]
    rows = sources[0].unionByName(sources[1]).unionByName(sources[2])
    money = F.col("total").try_cast("decimal(18,2)")
    parsed = rows.select(
        "source",
        F.col("line_id").alias("event_id"),
        F.when(F.trim("client") != "", F.trim("client")).alias("customer_key"),
        F.when(F.col("kind") == "sale", "purchase").when(F.col("kind") == "return", "refund").alias("event_type"),
        F.col("sold_at").alias("event_ts"),
        F.to_date("sold_at").alias("event_date"),
        F.trunc(F.to_date("sold_at"), "month").alias("event_month"),
        F.col("invoice").alias("order_id"),
        F.when(F.col("kind") == "return", F.abs(money)).otherwise(money).alias("amount"),
        *RAW,
    )
    event, content = W.partitionBy("source", "event_id"), ["customer_key", "event_type", "event_ts", "order_id"]
    compared = parsed.withColumn("content", F.hash(*content, "amount")).withColumns(
        {
            "differ": F.min("content").over(event) != F.max("content").over(event),
            "nth": F.row_number().over(event.orderBy("event_ts")),
        }
    )
    reasons = {
        "no_customer": F.col("customer_key").isNull(),
        "not_a_number:amount": F.col("amount").isNull(),
        "negative_amount": (F.col("event_type") == "purchase") & (F.col("amount") < 0),
        "time_out_of_range": ~F.col("event_date").between(F.lit(job.EARLIEST), F.lit(job.LATEST)),
        "duplicate_conflict": F.col("differ"),
    }
    names = F.array_compact(F.array(*(F.when(held, F.lit(name)) for name, held in sorted(reasons.items()))))
    return compared.withColumn("reasons", names).drop("content", "differ")


def _write(frame: DataFrame, out: Path) -> None:
    frame.write.format("delta").partitionBy("segment").save(str(out))
