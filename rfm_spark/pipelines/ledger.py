"""The ledger of files, `ingested_files`: which files an ingest reads, and what became of each.

A file is read once: by a run that completes. It is read again where its content is another, which then replaces the
rows that it brought, or where its rows are judged otherwise today. What a run that died has read counts for nothing,
but its rows may lie in `events`, so a file that it found with another content is taken for a changed one, and one
that has gone since is withdrawn: its rows go, too.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, partial

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from rfm_spark import __version__, schemas
from rfm_spark import config as configs
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import ConflictError
from rfm_spark.lake import Lake
from rfm_spark.local import local_frame
from rfm_spark.pipelines import rate_fingerprint
from rfm_spark.pipelines.conservation import Tally
from rfm_spark.pipelines.published import published
from rfm_spark.pipelines.rate_fingerprint import Rates
from rfm_spark.sources import listing
from rfm_spark.sources.listing import Listed

NEW, CHANGED, AGAIN, TOUCHED, WITHDRAWN = "new", "changed", "again", "touched", "withdrawn"
_ARRIVING = (NEW, CHANGED)
_READ = (*_ARRIVING, AGAIN)
REPLACING = (CHANGED, AGAIN, WITHDRAWN)  # files whose events go that they do not bring any more
_FILE = [("source", "string"), ("source_file", "string")]
_HOW_ASKED = ("user", "password", "partition", "watermark")
_COUNTED = ("rows_read", "accepted", "quarantined", "exact_duplicates", "brought_by_others")


@dataclass(frozen=True)
class Found:
    """A file as it is now: its content's hash where it was needed, and why it is read, if it is (`status`)."""

    listed: Listed
    status: str | None
    content_hash: str | None = None
    before: Row | None = None

    @property
    def is_read(self) -> bool:
        """Whether its rows are given to the run."""
        return self.status in _READ


@dataclass(frozen=True)
class Delivery:
    """What an ingest finds of each source of files; a source of tables is read whole and is not in here."""

    judged_by: Mapping[str, Callable[[date | None], str]] = field(default_factory=dict)
    """Of each source what decides today what becomes of rows up to a business date."""
    found: Mapping[str, list[Found]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    """Sources of which a complete run has read files."""
    alike: frozenset[str] = frozenset()
    """Sources without event_id of which every file was judged by today's rules, so that no event changed its month."""
    withdrawn: Mapping[str, list[Found]] = field(default_factory=dict)
    """Files that are not there any more, and that only runs that failed have read."""
    order: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(source, path): when a file that complete runs have read was delivered as it is; of those that are not now."""

    def chosen(self, source: Source) -> frozenset[str] | None:
        """The files of a source that are to be read, by their addresses, and none that has landed since; None: all that
        it has, and no file was found: it is a table, or that is a fault."""
        files = self.found.get(source.name)
        if not files:
            return frozenset() if source.name in self.known and listing.may_be_empty(source) else None
        return frozenset(one.listed.path for one in files if one.is_read)

    def files(self, *statuses: str) -> list[tuple[str, str]]:
        """(source, path) of the files that are read, or of those of these statuses."""
        wanted = statuses or _READ
        return [(name, one.listed.path) for name, one in self.all() if one.status in wanted]

    def all(self) -> Iterator[tuple[str, Found]]:
        """Every file that is there or withdrawn, with its source."""
        for files in (self.found, self.withdrawn):
            yield from ((name, one) for name, each in files.items() for one in each)

    def with_again(self, files: Collection[tuple[str, str]]) -> "Delivery":
        """The same, where the named files, (source, path), are read as well."""
        found = {
            name: [
                replace(one, status=AGAIN) if (name, one.listed.path) in files and not one.is_read else one
                for one in each
            ]
            for name, each in self.found.items()
        }
        return replace(self, found=found)


NONE = Delivery()


def delivery(lake: Lake, config: ProjectConfig, rates: Rates = rate_fingerprint.NONE) -> Delivery:
    """Look at the files of every event source, and decide which are to be read.

    Reads: the listings; `ingested_files`; the content of files of this machine that the ledger does not have with this
        size and time, for their hashes. `rates`: those of today.
    """
    of_files = [source for source in config.event_sources() if source.format in listing.FORMATS]
    now = published(lake)
    complete = now.run_ids
    trails, order = _trails(lake, complete)
    today = {source.name: _judged_today(source, config, rates) for source in of_files}
    found, withdrawn = {}, {}
    for source in of_files:
        listed = listing.list_files(lake.spark, source)
        mine = {path: trail for (name, path), trail in trails.items() if name == source.name}
        withdrawn[source.name] = _withdrawn(listed, mine, complete)
        decided = [*_decided(listed, mine, complete, today[source.name])]
        lost = withdrawn[source.name] or any(one.status == CHANGED for one in decided)
        found[source.name] = _beside_lost(decided) if lost else decided
    known = frozenset(name for (name, _), trail in trails.items() if trail[0]["run_id"] in complete)
    otherwise = {
        name
        for (name, _), trail in trails.items()
        for row in trail
        if name not in today or row["judged_by"] != today[name](row["last_event_date"])
    }
    undeclared = {source.name for source in of_files if source.event_id_columns is None}
    # the ledger is younger than the first lakes, and has not every file that brought an event to those
    from_the_start = all(schemas.INGESTED_FILES.name in run["table_versions"] for run in now.runs)
    alike = undeclared - otherwise if from_the_start else set()
    arriving = {(name, one.listed.path) for name, files in found.items() for one in files if one.status in _ARRIVING}
    order = {file: when for file, when in order.items() if file not in arriving}
    return Delivery(today, found, known, frozenset(alike), withdrawn, order)


def order(lake: Lake) -> dict[tuple[str, str], int]:
    """(source, path): when each file that complete runs have read was delivered, in microseconds since 1970."""
    return _trails(lake, published(lake).run_ids)[1]


def has_landed(spark: SparkSession, config: ProjectConfig) -> bool:
    """Whether any event source has a new or changed file."""
    return bool(delivery(Lake(spark, config.lake), config).files(*_ARRIVING))


def write(
    lake: Lake, started_at: datetime, delivered: Delivery, tallies: Mapping[tuple[str, str | None], Tally]
) -> None:
    """Write what became of each file that was read or looked into.

    Before the events are written: so a file that a run which died has brought is known to the next.
    """
    if lake.dry:
        return
    rows = []
    for name, one in delivered.all():
        if one.status is None:
            continue
        listed, counts = one.listed, tallies.get((name, one.listed.path), Tally())
        counted = (counts.rows_read, counts.accepted, counts.quarantined, counts.exact_duplicates, counts.others)
        last = counts.last_event_date
        if not one.is_read and one.before is not None:
            counted, last = tuple(one.before[count] for count in _COUNTED), one.before["last_event_date"]
        head = (lake.run_id, name, listed.path, listed.bytes, listed.modified_at, one.content_hash)
        rows.append((*head, delivered.judged_by[name](last), last, one.status, *counted, started_at))
    if rows or not lake.exists(schemas.INGESTED_FILES.name):
        spec = schemas.INGESTED_FILES
        lake.append(spec, local_frame(lake.spark, rows, spec.types()).coalesce(1))


def require_as_read(lake: Lake) -> None:
    """Check that no run has withdrawn since what this one has read, of files that are gone.

    Raises: ConflictError; the other run took this one for dead, and its rows are not there any more.
    """
    table = schemas.INGESTED_FILES.name
    mine, newest = lake.versions().get(table), lake.version(table)
    others = lake.appended_by(table, mine, newest) if mine is not None and newest is not None else None
    if not others:
        return
    rows = lake.read(table, newest).select("run_id", "source", "path", "status").collect()
    read = {(row["source"], row["path"]) for row in rows if row["run_id"] == lake.run_id and row["status"] in _READ}
    withdrawn = (row for row in rows if row["run_id"] in others and row["status"] == WITHDRAWN)
    if any((row["source"], row["path"]) in read for row in withdrawn):
        raise ConflictError(
            f"another run has taken out of {lake.place} the rows of files that this one has read, since they are gone "
            "and this one was not complete; nothing of it is published: put the files back and run again"
        )


def require_unread(lake: Lake, delivered: Delivery) -> None:
    """Check that the files which are withdrawn are still those of runs that are not complete. Raises: ConflictError."""
    gone = [(name, one.listed.path) for name, each in delivered.withdrawn.items() for one in each]
    if not gone or lake.dry:
        return
    complete = published(lake).run_ids
    trails, _ = _trails(lake, complete)
    if any(trails[file][0]["run_id"] in complete for file in gone if file in trails):
        raise ConflictError(
            f"another run has published in {lake.place} what this one was to take out, since its files are gone; "
            "nothing of this one is published: run again"
        )


def positions(lake: Lake, order: Mapping[tuple[str, str], int]) -> DataFrame:
    """(source, source_file, delivered) of an order of files, to join with."""
    rows = [(*file, when) for file, when in order.items()]
    return F.broadcast(local_frame(lake.spark, rows, [*_FILE, ("delivered", "bigint")]))


def frame(lake: Lake, files: Iterable[tuple[str, str]]) -> DataFrame:
    """(source, source_file) of files, to join with."""
    return F.broadcast(local_frame(lake.spark, list(files), _FILE))


def _trails(
    lake: Lake, complete: frozenset[str]
) -> tuple[dict[tuple[str, str], list[Row]], dict[tuple[str, str], int]]:
    """Of each file the row of the newest complete run and those of runs that died since, in their order; and when a
    complete run first read it with the content that it has."""
    if not lake.exists(schemas.INGESTED_FILES.name):
        return {}, {}
    trails: dict[tuple[str, str], list[Row]] = {}
    order: dict[tuple[str, str], int] = {}
    whole = lake.read(schemas.INGESTED_FILES.name)
    times = {"modified_us": F.unix_micros("modified_at"), "ingested_us": F.unix_micros("ingested_at")}
    if "last_event_date" not in whole.columns:  # a ledger of a version that did not know it
        times["last_event_date"] = F.lit(None).cast("date")
    rows = whole.withColumns(times).drop("modified_at", "ingested_at").collect()
    for row in sorted(rows, key=lambda row: (row["ingested_us"], row["run_id"])):
        file = row["source"], row["path"]
        trail = trails.setdefault(file, [])
        if row["run_id"] in complete:
            trail.clear()
            if row["status"] in _ARRIVING:
                order[file] = row["ingested_us"]
        if row["run_id"] not in complete or row["status"] != WITHDRAWN:
            trail.append(row)
    return {file: trail for file, trail in trails.items() if trail}, order


def _decided(
    listed: list[Listed],
    trails: Mapping[str, list[Row]],
    complete: frozenset[str],
    judged_today: Callable[[date | None], str],
) -> Iterable[Found]:
    unsure = [one for one in listed if one.path not in trails or not all(_is_as(one, row) for row in trails[one.path])]
    hashes = listing.hashes(unsure)
    for one in listed:
        trail = trails.get(one.path, [])
        before = trail[0] if trail and trail[0]["run_id"] in complete else None
        hash_ = hashes.get(one.path, before["content_hash"] if before else None)
        same_place = all(_is_as(one, row) for row in trail)
        same_content = all(_is_as(one, row) or (hash_ and row["content_hash"] == hash_) for row in trail)
        if not same_content:
            status: str | None = CHANGED
        elif before is None:
            status = NEW
        elif any(row["judged_by"] != judged_today(row["last_event_date"]) for row in trail):
            status = AGAIN
        else:
            status = None if same_place else TOUCHED
        yield Found(one, status, hash_, before)


def _is_as(listed: Listed, row: Row) -> bool:
    """Whether size and time are those of a row of the ledger."""
    return listed.bytes == row["bytes"] and listed.modified_ms == row["modified_us"] // 1000


def _withdrawn(listed: list[Listed], trails: Mapping[str, list[Row]], complete: frozenset[str]) -> list[Found]:
    gone = sorted(trails.keys() - {one.path for one in listed})
    rows = [trails[path][-1] for path in gone if trails[path][0]["run_id"] not in complete]
    return [
        Found(Listed(row["path"], row["bytes"], row["modified_us"] // 1000), WITHDRAWN, row["content_hash"])
        for row in rows
    ]


def _beside_lost(found: list[Found]) -> list[Found]:
    """Beside changed and withdrawn files those that brought what they did as well: it may not be there any more."""
    return [
        replace(one, status=AGAIN)
        if not one.is_read and one.before is not None and one.before["brought_by_others"]
        else one
        for one in found
    ]


def _judged_today(source: Source, config: ProjectConfig, rates: Rates) -> Callable[[date | None], str]:
    """`judged_by` of rows up to a business date, computed once for each part of the rates that differs."""
    judged = cache(partial(judged_by, source, config))
    return lambda last: judged(rates.until(last))


def judged_by(source: Source, config: ProjectConfig, rates: str) -> str:
    """A hash of all that decides what becomes of the rows of a source, and not of how a database is asked for them.

    `rates`: of those of today that may count (`Rates.until`).
    """
    foreign = config.may_be_foreign(source)
    plain = configs.resolved(config)
    mine = next(one for one in plain["sources"] if one["name"] == source.name)
    parts = {
        "source": {key: value for key, value in mine.items() if key not in _HOW_ASKED},
        "contract": plain["contract"],
        "refunds": plain["refunds"],
        "timezone": config.timezone,
        "currency": config.currency,
        "rates": rates if foreign else None,
        "code": __version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
