"""rfm_spark's side: the pipeline's steps on clean events, and a whole `Project.run` on the raw rows."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmark import job
from benchmark.job import Data
from rfm_spark import Project, session
from rfm_spark.cli import SMALL_BYTES
from rfm_spark.config.models import RefundPolicy
from rfm_spark.config.scoring import Action, Segment, Segmentation
from rfm_spark.cuts import CriterionCut
from rfm_spark.pipelines.kept_frames import Kept
from rfm_spark.steps import activity, cut_points, metrics, scores, segments

ENGINE = "spark"
QUESTION = "Who is worth what, and who is slipping away?"
ACTION = {"decision": "decide", "channel": "none", "message": "none"}
_FIRST = job.AS_OF - timedelta(days=12)
RULES = [(job.INACTIVE, "frequency = 0"), *((box.segment, box.sql()) for box in job.BOXES)]
REFUNDS: RefundPolicy = "net_on_refund_date"
EVENT_COLUMNS = ["customer_key", "event_type", "event_date", "event_month", "order_id", "amount", "duration_seconds"]


def classic(data: Data, out: Path) -> None:
    """Clean events to segments, by the steps of the pipeline; a Delta table."""
    spark = _session(data, "events")
    done = activity.activity(spark.read.parquet(data.events), REFUNDS, job.AS_OF)
    measured, kept = metrics.metrics(done, None, job.BOUNDARIES).select("customer_key", *job.MEASURES), Kept()
    customers = kept.keep(measured)  # as the pipeline reads customer_metrics back
    asked = [
        CriterionCut(name, metric, better, segmentation="value", fit_on="orders")
        for name, (metric, better) in job.CRITERIA.items()
    ]
    fitted = cut_points.fit(customers, asked)
    scored = scores.score_all(customers, cut_points.by_criterion(asked, fitted))
    rules = [Segment(name=name, when=when, action=Action.model_validate(ACTION)) for name, when in RULES]
    placed = segments.assign(scored, Segmentation(name="value", question=QUESTION, segments=rules))
    named = placed.withColumnsRenamed({name: f"{name}_score" for name in job.CRITERIA}).select(*job.COLUMNS)
    _write(named, out)
    kept.release()


def whole(data: Data, out: Path, sources: Mapping[str, str] | None = None, segmentations: int = 1) -> None:
    """Raw rows to events, quarantine, metrics, cut-points, segments, profiles and the run's record; Delta tables."""
    _project(data, out, sources, segmentations).run(_session(data, "raw"), as_of=job.AS_OF)


def begun(data: Data, lake: Path) -> None:
    """Raw rows to events and quarantine, and a first snapshot, which alone has none before it."""
    project, spark = _project(data, lake), _session(data, "raw")
    project.ingest(spark, as_of=job.AS_OF)
    project.segment(spark, as_of=_FIRST)


def snapshots(data: Data, lake: Path, days: int) -> None:
    """One snapshot a day of a lake that `begun` has left, from the day after its own."""
    project, spark = _project(data, lake), _session(data, "raw")
    for on in range(1, days + 1):
        project.segment(spark, as_of=_FIRST + timedelta(days=on))


def opened(data: Data, lake: Path, sources: Mapping[str, str]) -> tuple[Project, SparkSession]:
    """The project over names and folders of sources, with its lake, and a session for the clean events."""
    return _project(data, lake, sources), _session(data, "events")


def _project(data: Data, lake: Path, sources: Mapping[str, str] | None = None, segmentations: int = 1) -> Project:
    file = lake.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config(data, lake, sources, segmentations), sort_keys=False), encoding="utf-8")
    return Project.load(file)


def config(data: Data, lake: Path, sources: Mapping[str, str] | None = None, segmentations: int = 1) -> dict:
    """The project file of the whole job; `sources` are names and folders, where they are not the data's own three."""
    folders = sources or {source: data.raw(source) for source in job.SOURCES}
    described = [
        {
            "name": source,
            "format": "parquet",
            "path": str(Path(folder).absolute()),
            "timezone": "UTC",
            "event_type": {"column": "kind", "values": {"sale": "purchase", "return": "refund"}},
            "columns": {
                "source_customer_id": "client",
                "event_ts": "sold_at",
                "order_id": "invoice",
                "amount": "total",
            },
            "event_id": ["line_id"],
        }
        for source, folder in folders.items()
    ]
    rules = [{"name": name, "when": when, "action": ACTION} for name, when in RULES]
    return {
        "project": "bench",
        "question": QUESTION,
        "timezone": "UTC",
        "currency": "EUR",
        "lake": {"path": str(lake.absolute())},
        "sources": described,
        "refunds": {"policy": REFUNDS},
        "reference_period": {"months": 12, "sub_periods": 4},
        "segmentations": [{"name": "value", "question": QUESTION, "segments": rules}]
        + [_other_segmentation(rules, bins) for bins in range(job.BINS + 1, job.BINS + segmentations)],
    }


def _other_segmentation(rules: list[dict], bins: int) -> dict:
    """One with cut-points of its own; whoever scores above its rules is in the last segment."""
    segments = [*rules, {"name": "above", "otherwise": True, "action": ACTION}]
    return {"name": f"value_{bins}", "question": QUESTION, "scoring": {"bins": bins}, "segments": segments}


def scan(data: Data, out: Path) -> None:
    """The floor: the columns that the classic job reads, and no more than their sum."""
    read = _session(data, "events").read.parquet(data.events).select(*EVENT_COLUMNS[:6])
    read.agg(*scan_sums()).collect()


def start(data: Data, out: Path) -> None:
    """A session, and one trivial query."""
    _session(data, "events").range(10).selectExpr("sum(id)").collect()


def scan_sums() -> list:
    """Aggregates that need every value of the columns."""
    return [F.sum("amount"), F.max("event_date"), F.max("event_type"), F.max("customer_key"), F.max("order_id")]


def _session(data: Data, part: str) -> SparkSession:
    """As the command builds it: a quick start for small inputs, the full compiler for large ones, if none is asked."""
    if ENGINE != "spark":
        return session.build(engine=ENGINE)
    asked = os.environ.get("BENCH_SESSION")  # quick or full, so that all sizes of a growth are run alike
    small = asked == "quick" if asked else data.bytes(part) <= SMALL_BYTES
    return session.build(small=small, conf=_conf())


def _conf() -> dict[str, str]:
    folder = os.environ.get("BENCH_EVENT_LOG")  # where time goes, stage by stage
    logged = {"spark.eventLog.enabled": "true", "spark.eventLog.compress": "false", "spark.eventLog.dir": str(folder)}
    logged["spark.eventLog.logBlockUpdates.enabled"] = "true"  # what is cached
    return logged if folder else {}


def _write(frame: DataFrame, out: Path) -> None:
    frame.write.format("delta").partitionBy("segment").save(str(out))
