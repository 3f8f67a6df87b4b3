"""The table `quarantine`: every rejected row once, until it passes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from rfm_spark import __version__, config, schemas, sources
from rfm_spark.errors import InputError
from rfm_spark.pipelines import conservation, ledger
from rfm_spark.pipelines.published import complete_runs
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import read_json, stacked, union
from rfm_spark.steps import contract, events

_TABLE = schemas.QUARANTINE.column_names()
_MERGE = (
    "WHEN MATCHED AND s.gone THEN DELETE "
    "WHEN MATCHED AND t.reasons <> s.reasons THEN UPDATE SET t.reasons = s.reasons, t.run_id = s.run_id "
    f"WHEN NOT MATCHED AND NOT s.gone THEN INSERT ({', '.join(_TABLE)}) VALUES ({', '.join(f's.{c}' for c in _TABLE)})"
)
_COLUMNS = ["source", "source_file", "reasons", "record"]
_FEW = 1_000_000  # rows that one file holds well


@dataclass(frozen=True)
class Held:
    """Quarantined rows that an ingest may take out.

    `judged_again`: of files that it reads or that are withdrawn, and those that it judges again beside them, which are
    in `mapped` by their sources. `may_pass`: of sources that are read whole every time, and whose rows may be judged
    otherwise today.
    """

    mapped: Mapping[str, DataFrame] = field(default_factory=dict)
    judged_again: DataFrame | None = None
    may_pass: DataFrame | None = None


NONE = Held()


def held_of(run: Run, delivered: ledger.Delivery, *, changes: bool) -> Held:
    """What of the table an ingest of this delivery judges again; `changes`: it reads rows of events, or some go.

    Rules: where it does, rows of other files are judged again whose reasons depend on other rows: a refund
        without its order, a contradiction.
    """
    if not run.lake.exists("quarantine"):
        return NONE
    rows = run.lake.read("quarantine")
    late = F.arrays_overlap("reasons", F.array(F.lit(events.CONFLICT), F.lit(events.NO_ORDER)))
    of_files = F.col("source").isin(list(delivered.found))
    others = rows.filter(~of_files)
    if not _judges_otherwise(run):
        others = others.filter(late)
    may_pass = None if others.isEmpty() else others
    files = delivered.files() + delivered.files(ledger.WITHDRAWN)
    read, of_file = ledger.frame(run.lake, files), ["source", "source_file"]
    leaving = rows.join(read, of_file, "left_semi") if files else None
    if not changes:
        return Held(judged_again=leaving, may_pass=may_pass)
    beside = run.checkpoint(rows.filter(of_files & late).join(read, of_file, "left_anti"))
    leaving = beside if leaving is None else leaving.unionAll(beside)
    if leaving.isEmpty():
        return Held(may_pass=may_pass)
    return Held(mapped_again(run, beside, absent_as_null=True), leaving, may_pass)


def write(
    run: Run, judged: Sequence[DataFrame], settled: DataFrame | None, others: Sequence[DataFrame], held: Held
) -> None:
    """Add what this run rejects, and take out what it judged again and does not reject.

    Of sources that are read whole those leave whose record was read again and passes now.
    """
    if run.dry:
        return
    if settled is None and not others:
        _merge(run, None, None if held.judged_again is None else _going(held.judged_again))
        return
    rows = _rejected(run, judged, settled, others)
    if not run.lake.exists("quarantine"):
        expected = conservation.total(run, "quarantined")
        done = run.lake.append_once(schemas.QUARANTINE, rows.coalesce(1) if expected < _FEW else rows, None)
        conservation.written("quarantine", expected, done.rows)
        return
    leaving = [] if held.judged_again is None else [held.judged_again]
    if held.may_pass is not None:
        frames = [frame for frame in (settled, *others) if frame is not None]
        hashed = F.col("record.hash").alias("record_hash")
        passing = union(frame.filter(F.size("reasons") == 0).select("source", hashed) for frame in frames)
        leaving.append(held.may_pass.join(passing, ["source", "record_hash"], "left_semi"))
    _merge(run, rows, _gone(union(leaving), rows) if leaving else None)


def keep(run: Run) -> None:
    """Publish the table as it is: a run that died may have changed it."""
    if run.lake.exists("quarantine"):
        run.lake.use("quarantine")


def rewrite(run: Run, replayed: DataFrame, judged: Sequence[DataFrame], settled: DataFrame | None) -> None:
    """After a replay: what is still rejected stays, under its reasons of today; the rest of the replayed goes."""
    rows = _rejected(run, judged, settled, [])
    _merge(run, rows, _gone(replayed, rows))


def to_replay(run: Run, names: Sequence[str], reason: str | None) -> DataFrame:
    """Quarantined rows of the named sources, of one reason or any. Raises: InputError where there is no table."""
    if not run.lake.exists("quarantine"):
        raise InputError(f"nothing was ever quarantined in {run.lake.place}; run `rfm-spark ingest` first")
    rows = run.lake.read("quarantine").filter(F.col("source").isin(list(names)))
    return rows.filter(F.array_contains("reasons", reason)) if reason else rows


def mapped_again(run: Run, rows: DataFrame, *, absent_as_null: bool = False) -> dict[str, DataFrame]:
    """The raw rows behind quarantined records, mapped as their sources are mapped today.

    `absent_as_null`: a column that the config names and no record has is null, as where a file lacks what others have.
    """
    parts: dict[str, list[DataFrame]] = {}
    for name, schema in rows.select("source", "record_schema").distinct().collect():
        of_schema = rows.filter((F.col("source") == name) & (F.col("record_schema") == schema))
        records = of_schema.select("record", F.col("source_file").alias(sources.FILE))
        raw = read_json(records, "record", StructType.fromJson(json.loads(schema)))
        parts.setdefault(name, []).append(raw)
    mapped = {}
    for name, frames in parts.items():
        source = run.config.source(name)
        whole = sources.united(source, frames)
        absent = sources.missing_columns(source, whole.columns) if absent_as_null else []
        whole = whole.select("*", *(F.lit(None).cast("string").alias(column) for column in absent))
        mapped[name] = sources.canonical(whole, source)
    return mapped


def _rejected(
    run: Run, judged: Sequence[DataFrame], settled: DataFrame | None, others: Sequence[DataFrame]
) -> DataFrame:
    frames = [] if settled is None else _rejected_events(run, judged, settled)
    frames += [other.filter(F.size("reasons") > 0).select(*_COLUMNS) for other in others]
    rejected = union(frames)
    return run.keep(events.quarantine_rows(rejected, run.run_id, F.lit(run.started_at.date())))


def _rejected_events(run: Run, judged: Sequence[DataFrame], settled: DataFrame) -> list[DataFrame]:
    bad = settled.filter(F.col("outcome") == events.QUARANTINED)
    frames = [bad.filter(F.col("record.json").isNotNull()).select(*_COLUMNS)]
    if any(key.endswith(f".{events.CONFLICT}") for key in run.counts):
        # their records were not kept on the way, so read these few rows again; their sources declare an event_id
        unrecorded = bad.filter(F.col("record.json").isNull())
        which = unrecorded.select("source", "event_id", "content_hash", "reasons").distinct()
        for frame in judged:
            again = frame.filter((F.size("reasons") == 0) & ~F.col("held")).drop("reasons")
            again = again.withColumn("event_id", F.col("event_base"))
            few = again.join(which, ["source", "event_id", "content_hash"])
            frames.append(contract.with_record(few).select(*_COLUMNS))
    return frames


def _gone(rows: DataFrame, rejected_now: DataFrame) -> DataFrame:
    still = rejected_now.select("quarantine_id")
    return _going(rows.join(still, "quarantine_id", "left_anti"))


def _going(rows: DataFrame) -> DataFrame:
    return rows.withColumn("gone", F.lit(True))


def _merge(run: Run, rejected: DataFrame | None, freed: DataFrame | None) -> None:
    changes = [rejected.withColumn("gone", F.lit(False))] if rejected is not None else []
    if freed is not None:
        changes.append(freed)
    if freed is not None or conservation.total(run, "quarantined"):
        run.lake.merge(schemas.QUARANTINE, run.keep(stacked(changes)), _MERGE)  # which goes through them twice
    else:
        keep(run)


def _judges_otherwise(run: Run) -> bool:
    """Whether the config or the code changed since the last complete ingest, so that other rows may pass."""
    ingests = complete_runs(run.lake).filter(F.col("job").isin("run", "ingest"))
    newest = ingests.orderBy(F.desc("ended_at")).select("config_hash", "code_version").head()
    return newest is None or tuple(newest) != (config.config_hash(run.config), __version__)
