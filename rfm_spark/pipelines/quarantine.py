"""The table `quarantine`: every rejected row once, until it passes."""

import json
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from rfm_spark import __version__, config, schemas, sources
from rfm_spark.errors import InputError
from rfm_spark.pipelines import conservation
from rfm_spark.pipelines.published import complete_runs
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import union
from rfm_spark.steps import contract, events

_TABLE = schemas.QUARANTINE.column_names()
_MERGE = (
    "WHEN MATCHED AND s.gone THEN DELETE "
    "WHEN MATCHED AND t.reasons <> s.reasons THEN UPDATE SET t.reasons = s.reasons, t.run_id = s.run_id "
    f"WHEN NOT MATCHED AND NOT s.gone THEN INSERT ({', '.join(_TABLE)}) VALUES ({', '.join(f's.{c}' for c in _TABLE)})"
)
_COLUMNS = ["source", "source_file", "reasons", "record"]
_FEW = 1_000_000  # rows that one file holds well


def may_pass(run: Run) -> DataFrame | None:
    """Quarantined rows that an ingest may find to pass today, since they or others are judged otherwise; None: none."""
    if not run.lake.exists("quarantine"):
        return None
    rows = run.lake.read("quarantine")
    if not _judges_otherwise(run):
        late = F.array(F.lit(events.CONFLICT), F.lit(events.NO_ORDER))  # these depend on other rows too
        rows = rows.filter(F.arrays_overlap("reasons", late))
    return None if rows.isEmpty() else rows


def write(
    run: Run, judged: Sequence[DataFrame], settled: DataFrame, others: Sequence[DataFrame], candidates: DataFrame | None
) -> None:
    """Add what this run rejects, and take out those of `may_pass` whose record was read again and passes now."""
    rows = _rejected(run, judged, settled, others)
    if run.dry:
        return
    if not run.lake.exists("quarantine"):
        expected = conservation.total(run, "quarantined")
        done = run.lake.append_once(schemas.QUARANTINE, rows.coalesce(1) if expected < _FEW else rows, None)
        conservation.written("quarantine", expected, done.rows)
        return
    if candidates is None:
        _merge(run, rows, None)
        return
    hashed = F.col("record.hash").alias("record_hash")
    passing = [frame.filter(F.size("reasons") == 0).select("source", hashed) for frame in (settled, *others)]
    again = candidates.join(union(passing), ["source", "record_hash"], "left_semi")
    _merge(run, rows, _gone(again, rows))


def rewrite(run: Run, replayed: DataFrame, judged: Sequence[DataFrame], settled: DataFrame) -> None:
    """After a replay: what is still rejected stays, under its reasons of today; the rest of the replayed goes."""
    rows = _rejected(run, judged, settled, [])
    _merge(run, rows, _gone(replayed, rows))


def held(run: Run, names: Sequence[str], reason: str | None) -> DataFrame:
    """Quarantined rows of the named sources, of one reason or any. Raises: InputError where there is no table."""
    if not run.lake.exists("quarantine"):
        raise InputError(f"nothing was ever quarantined in {run.lake.place}; run `rfm-spark ingest` first")
    rows = run.lake.read("quarantine").filter(F.col("source").isin(list(names)))
    return rows.filter(F.array_contains("reasons", reason)) if reason else rows


def mapped_again(run: Run, rows: DataFrame) -> dict[str, DataFrame]:
    """The raw rows behind quarantined records, mapped as their sources are mapped today."""
    parts: dict[str, list[DataFrame]] = {}
    for name, schema in rows.select("source", "record_schema").distinct().collect():
        of_schema = rows.filter((F.col("source") == name) & (F.col("record_schema") == schema))
        # what did not parse once stays a column like any other, so that it still is what it was
        read = F.from_json("record", StructType.fromJson(json.loads(schema)), {"columnNameOfCorruptRecord": "_none"})
        raw = of_schema.select(read.alias("raw"), F.col("source_file").alias(sources.FILE))
        parts.setdefault(name, []).append(raw.select("raw.*", sources.FILE))
    mapped = {}
    for name, frames in parts.items():
        whole = union(frames)
        mapped[name] = sources.canonical(whole, run.config.source(name))
        run.inputs[name] = "quarantine"
    return mapped


def _rejected(run: Run, judged: Sequence[DataFrame], settled: DataFrame, others: Sequence[DataFrame]) -> DataFrame:
    bad = settled.filter(F.col("outcome") == events.QUARANTINED)
    frames = [bad.filter(F.col("record.json").isNotNull()).select(*_COLUMNS)]
    frames += [other.filter(F.size("reasons") > 0).select(*_COLUMNS) for other in others]
    if any(key.endswith(f".{events.CONFLICT}") for key in run.counts):
        # their records were not kept on the way, so read these few rows again; their sources declare an event_id
        unrecorded = bad.filter(F.col("record.json").isNull())
        which = unrecorded.select("source", "event_id", "content_hash", "reasons").distinct()
        for frame in judged:
            again = frame.filter(F.size("reasons") == 0).drop("reasons").withColumn("event_id", F.col("event_base"))
            few = again.join(which, ["source", "event_id", "content_hash"])
            frames.append(contract.with_record(few).select(*_COLUMNS))
    rejected = union(frames)
    return run.keep(events.quarantine_rows(rejected, run.run_id, F.lit(run.started_at.date())))


def _gone(rows: DataFrame, rejected_now: DataFrame) -> DataFrame:
    still = rejected_now.select("quarantine_id")
    return rows.join(still, "quarantine_id", "left_anti").withColumn("gone", F.lit(True))


def _merge(run: Run, rejected: DataFrame, freed: DataFrame | None) -> None:
    changes = rejected.withColumn("gone", F.lit(False))
    if freed is not None:
        changes = changes.unionByName(freed)
    if freed is not None or conservation.total(run, "quarantined"):
        run.lake.merge(schemas.QUARANTINE, run.keep(changes), _MERGE)  # which goes through them twice


def _judges_otherwise(run: Run) -> bool:
    """Whether the config or the code changed since the last complete ingest, so that other rows may pass."""
    ingests = complete_runs(run.lake).filter(F.col("job").isin("run", "ingest"))
    newest = ingests.orderBy(F.desc("ended_at")).select("config_hash", "code_version").head()
    return newest is None or tuple(newest) != (config.config_hash(run.config), __version__)
