"""The ledger of tables, `ingested_tables`: up to where the rows of a database have been read.

A run reads from the greatest watermark of the newest complete run on, and all where the rows would be judged otherwise
today. What a run that died has read counts for nothing; what it brought is an exact duplicate when it comes again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.lake import Lake
from rfm_spark.local import local_frame
from rfm_spark.pipelines.conservation import Tally
from rfm_spark.pipelines.ledger import judged_by
from rfm_spark.pipelines.published import published
from rfm_spark.sources import database_rows, place
from rfm_spark.sources.database_rows import Newest

_TABLE = schemas.INGESTED_TABLES


@dataclass(frozen=True)
class Span:
    """What of a table is read: from `since` (None: all) up to the newest, which was found before any row was read."""

    source: Source
    newest: Newest
    since: str | None
    judged_by: str

    @property
    def where(self) -> str:
        """The condition in the database's SQL."""
        return database_rows.since(self.source, self.newest, self.since)

    def reached(self, started_at: datetime) -> str | None:
        """The watermark to go on from: none after the run's start, or a row dated ahead would hide all until then."""
        value = self.newest.value or self.since
        if value is None or self.newest.kind == database_rows.NUMBER:
            return value
        now = (
            f"{started_at:%Y-%m-%d}" if self.newest.kind == database_rows.DATE else f"{started_at:%Y-%m-%d %H:%M:%S.%f}"
        )
        return min(value, max(now, self.since or now))


def spans(lake: Lake, config: ProjectConfig, rates: str = "") -> dict[str, Span]:
    """What is to be read of each source that has a watermark; a small query each. `rates`: their fingerprint."""
    mine = [source for source in config.event_sources() if source.watermark is not None]
    if not mine:
        return {}
    before = _before(lake)
    found = {}
    for source in mine:
        newest, by = database_rows.newest(lake.spark, source), judged_by(source, config, rates)
        row = before.get(source.name)
        alike = row is not None and row[1:] == (newest.column.name, newest.kind, by)
        found[source.name] = Span(source, newest, row[0] if row is not None and alike else None, by)
    return found


def have_grown(lake: Lake, config: ProjectConfig) -> bool:
    """Whether a table has a greater watermark than the newest complete run has seen, or none has."""
    each = [source for source in config.event_sources() if source.watermark is not None]
    before = _before(lake) if each else {}
    newest = {source.name: database_rows.newest(lake.spark, source).value for source in each}
    return any(value is not None and value != before.get(name, (None,))[0] for name, value in newest.items())


def write(
    lake: Lake, started_at: datetime, found: Mapping[str, Span], tallies: Mapping[tuple[str, str | None], Tally]
) -> None:
    """Write up to where each table is read by this run, and what became of its rows."""
    if lake.dry or not found:
        return
    rows = []
    for name, span in found.items():
        counts = tallies.get((name, None), Tally())
        counted = (counts.rows_read, counts.accepted, counts.quarantined, counts.exact_duplicates)
        column, kind = span.newest.column.name, span.newest.kind
        head = (lake.run_id, name, place(span.source), column, kind, span.since, span.reached(started_at))
        rows.append((*head, span.judged_by, *counted, started_at))
    lake.append(_TABLE, local_frame(lake.spark, rows, _TABLE.types()).coalesce(1))


def _before(lake: Lake) -> dict[str, tuple[str | None, str, str, str]]:
    """Of each source the watermark of the newest complete run, its column, its kind, and what rows were judged by."""
    if not lake.exists(_TABLE.name):
        return {}
    names = ("source", "watermark", "watermark_column", "kind", "judged_by", "run_id")
    rows = lake.read(_TABLE.name).select(F.unix_micros("ingested_at").alias("at"), *names).collect()
    complete = published(lake).run_ids
    ordered = sorted((row for row in rows if row["run_id"] in complete), key=lambda row: (row["at"], row["run_id"]))
    return {row["source"]: tuple(row[name] for name in names[1:5]) for row in ordered}
