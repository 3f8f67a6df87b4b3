"""Evolution: what this snapshot changed against the one before it, and for which cause.

Written as `segment_migrations` (against the newest earlier snapshot) and `segment_changes` (against what was current);
`moves` tells the same of any two snapshots that are published.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.errors import ConfigError, ConflictError, InputError
from rfm_spark.lake import where_files_are_gone
from rfm_spark.local import local_frame
from rfm_spark.pipelines.causes import Snapshot, Unseen, placed_again
from rfm_spark.pipelines.counts import DEPARTED, EVENTS_SEEN, LATE, POPULATION, unassigned_in
from rfm_spark.pipelines.ingested import Ingested
from rfm_spark.pipelines.published import SNAPSHOT_JOBS, Published, published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import union
from rfm_spark.steps import cut_points, migrations

_KEY = ["segmentation", "customer_key"]
_NAMED = 12  # snapshots in a message


@dataclass(frozen=True)
class _Pair:
    """Two snapshots and what came between: all that is known as the later one is made, the versions of `events` that
    either saw (None where that is not told), the runs that completed between the two, and how many customers have an
    event that came late, where they were counted."""

    before: Snapshot
    now: Snapshot
    data: Ingested
    seen: tuple[int | None, int | None]
    runs: frozenset[str]
    late: int | None = None


def evolve(
    run: Run,
    earlier: Published,
    before: Snapshot | None,
    now: Snapshot,
    data: Ingested,
    unassigned: Mapping[str, tuple],
) -> None:
    """Write what changed since the newest earlier snapshot, and since the one that was current.

    Reads: `before`, of `previous`; `now`, this run's snapshot as it was written; `data`, all that the run sees;
        `unassigned`, (customers, money) in no segment of each segmentation that has such.
    Movers are measured and placed again; of the others only counts are taken. Nothing is shuffled whole but where
    somebody is gone.
    """
    present = [dict(row) for row in run.profiles]
    present += [
        {"segmentation": name, "segment": migrations.UNASSIGNED, "customers": customers, "monetary": money}
        for name, (customers, money) in unassigned.items()
    ]
    populations = _populations(run, present)
    rows: list[tuple] = []
    changed = None
    if before is not None:
        changed, found = _since(run, earlier, _with(run, earlier, before, now, data, run.counts.get(LATE)), populations)
        rows = [(before.as_of, run.as_of, *row) for row in migrations.with_stayers(found, present)]
        run.counts[DEPARTED] = sum(row["customers"] for row in found if row["to_segment"] == migrations.GONE)
    run.lake.replace(
        schemas.SEGMENT_MIGRATIONS,
        local_frame(run.spark, rows, schemas.SEGMENT_MIGRATIONS.types()),
        {"to_snapshot": run.as_of},
    )
    run.migrations = [dict(zip(schemas.SEGMENT_MIGRATIONS.column_names(), row, strict=True)) for row in rows]
    _tell(run, earlier, before, now, data, changed)


def moves(run: Run, since: date) -> list[dict[str, Any]]:
    """All moves from one published snapshot to that of the run's date, as rows of `segment_migrations`; of a dry run.

    Rules: causes are told by what the later snapshot had seen, not by what came after it; between neighbours they are
        those that its run has written.
    One shuffle of either snapshot, by segmentation and customer; else as for `evolve`.
    Raises: ConfigError where the dates are in no order; InputError where one is not published, or the events are not
        kept as the later snapshot saw them.
    """
    if since >= run.as_of:
        raise ConfigError(f"moves since {since}, expected a date before {run.as_of}, the later snapshot's")
    known = published(run.lake)
    if missing := [day for day in (since, run.as_of) if day not in known.snapshots]:
        newest = list(known.snapshots)[-_NAMED:]
        more = f", and {len(known.snapshots) - _NAMED} earlier ones" if len(known.snapshots) > _NAMED else ""
        raise InputError(
            f"no snapshot of {' and '.join(map(str, missing))} in {run.lake.place}; published: "
            f"{', '.join(map(str, newest)) or 'none'}{more}"
        )
    then, made = known.made(since), known.made(run.as_of)
    with where_files_are_gone(
        f"restate the later snapshot first, `segment --as-of {run.as_of}`: the events that it saw are not kept any more"
    ):
        data = Ingested(_events_seen(run, known, made), None)
        ends = sorted((then["ended_at"], made["ended_at"]))
        between = frozenset(row["run_id"] for row in known.runs if ends[0] < row["ended_at"] <= ends[1])
        seen = then["counts"].get(EVENTS_SEEN), made["counts"].get(EVENTS_SEEN)
        pair = _Pair(_published(known, since), _published(known, run.as_of), data, seen, between)
        changed = _differences(run, known, pair, [one.name for one in pair.now.config.segmentations])
        found = [row.asDict() for row in migrations.totals(changed).collect()]
        present = [row.asDict() for row in migrations.present(pair.now.segments, pair.now.metrics).collect()]
    rows = [(since, run.as_of, *row) for row in migrations.with_stayers(found, present)]
    return [dict(zip(schemas.SEGMENT_MIGRATIONS.column_names(), row, strict=True)) for row in rows]


def _events_seen(run: Run, known: Published, made: Row) -> DataFrame:
    """The events that the run of a snapshot saw: of today's those that were there, or where others were changed since,
    the version that it saw."""
    seen, newest = made["counts"].get(EVENTS_SEEN, made["table_versions"]["events"]), known.versions["events"]
    later = run.lake.appended_by("events", seen, newest)
    if later is None:
        return run.lake.read("events", seen)
    return run.lake.read("events", newest).filter(~F.col("ingested_run_id").isin(sorted(later)))


def previous(run: Run, earlier: Published) -> Snapshot | None:
    """The newest published snapshot before this one, or None."""
    day = earlier.newest_before(run.as_of)
    return _published(earlier, day) if day is not None else None


def _published(earlier: Published, day: date) -> Snapshot:
    config = earlier.config(earlier.made(day)["run_id"])
    cut_rows, planned = _of(earlier, "cut_points", day).collect(), cut_points.plan(config)
    cuts = {
        s.name: cut_points.as_stored([cut for cut in planned if cut.segmentation == s.name], cut_rows)
        for s in config.segmentations
    }
    metrics, segments = _of(earlier, "customer_metrics", day), _of(earlier, "customer_segments", day)
    return Snapshot(day, config, cuts, metrics, segments)


def _of(earlier: Published, table: str, day: date) -> DataFrame:
    frame = earlier.read(table, day)
    assert frame is not None, table
    return frame


def _with(
    run: Run, earlier: Published, before: Snapshot, now: Snapshot, data: Ingested, late: int | None = None
) -> _Pair:
    """A published snapshot and the one that the run makes."""
    made = earlier.made(before.as_of)
    between = {row["run_id"] for row in earlier.runs if row["ended_at"] > made["ended_at"]}
    seen = made["counts"].get(EVENTS_SEEN), run.counts.get(EVENTS_SEEN)
    return _Pair(before, now, data, seen, frozenset({*between, run.run_id}), late)


def _since(
    run: Run, earlier: Published, pair: _Pair, populations: Mapping[str, int]
) -> tuple[DataFrame, list[dict[str, Any]]]:
    """Every change since an earlier snapshot with cause and monetary, kept for the run; and their totals."""
    before, now = pair.before, pair.now
    known = [s.name for s in now.config.segmentations]
    then = before.segments.filter(F.col("segmentation").isin(known))
    counts = earlier.made(before.as_of)["counts"]
    all_placed = all(
        f"{POPULATION}{name}" in counts and unassigned_in(name) not in counts
        for name in known
        if before.segmentation(name) is not None
    )
    came = run.checkpoint(migrations.changes(now.segments, None if all_placed else then))
    rekeyed = _rekeyed(run, pair)
    changed = _explained(run, earlier, pair, came, rekeyed)
    found = [row.asDict() for row in migrations.totals(changed).collect()]
    left = []
    for name in known:
        newcomers = sum(
            row["customers"] for row in found if (row["segmentation"], row["from_segment"]) == (name, migrations.NEW)
        )
        were = counts.get(f"{POPULATION}{name}")
        if were is None or were + newcomers > populations[name]:
            left.append(name)
    if left:
        gone = migrations.departed(then.filter(F.col("segmentation").isin(left)), now.segments)
        told = run.checkpoint(_left(pair, gone, rekeyed))
        changed = changed.unionByName(told)
        found += [row.asDict() for row in migrations.totals(told).collect()]
    return changed, found


def _explained(run: Run, earlier: Published, pair: _Pair, came: DataFrame, rekeyed: DataFrame | None) -> DataFrame:
    """Changes of customers who are there now, with cause and monetary, kept for the run."""
    moving = came.filter(migrations.moved())
    if moving.isEmpty():
        movers = moving
    else:
        movers = placed_again(pair.before, pair.now, pair.data, _unseen(run, pair), moving, run.checkpoint)
    known = _known_before(earlier, pair.before)
    newcomers = migrations.with_comings_and_goings(came.filter(~migrations.moved()), known)
    movers, newcomers = migrations.by_identity(movers, rekeyed), migrations.came_by_identity(newcomers, rekeyed)
    return run.checkpoint(_with_money(migrations.with_causes(movers).unionByName(newcomers), pair.now.metrics))


def _left(pair: _Pair, gone: DataFrame, rekeyed: DataFrame | None) -> DataFrame:
    """Changes of customers who are not there any more, with cause and the monetary that they had."""
    why = migrations.came_by_identity(migrations.with_comings_and_goings(gone, None), rekeyed)
    return _with_money(why, pair.before.metrics)


def _with_money(changed: DataFrame, measured: DataFrame) -> DataFrame:
    return changed.join(measured.select("customer_key", "monetary"), "customer_key")


def _unseen(run: Run, pair: _Pair) -> Unseen | None:
    """Who has an event that the earlier snapshot had not seen; None where events were not just added since."""
    then, today = pair.seen
    if then is None or today is None:
        return None
    runs = run.lake.appended_by("events", then, today)
    if runs is None:
        return None
    new = F.col("event_date") >= F.lit(pair.before.as_of)
    if runs:
        new |= F.col("ingested_run_id").isin(sorted(runs))
    rows = pair.data.events.filter(new & (F.col("event_date") < F.lit(pair.now.as_of)))
    return Unseen(rows.select("customer_key").distinct(), late=bool(runs) if pair.late is None else pair.late > 0)


def _rekeyed(run: Run, pair: _Pair) -> DataFrame | None:
    """Keys that were merged or split by runs between the two snapshots."""
    table = schemas.IDENTITY_CHANGES.name
    if not run.lake.exists(table):
        return None
    changes = run.lake.read(table).filter(F.col("run_id").isin(sorted(pair.runs)))
    other = changes.select(F.col("other_key").alias("customer_key"))
    return run.checkpoint(changes.select("customer_key").unionAll(other).distinct())


def _known_before(earlier: Published, before: Snapshot) -> DataFrame | None:
    """Whom snapshots before the earlier one held; None where nobody can have returned: all were made in turn, of the
    same segmentations, and nobody ever left."""
    made = [row for row in earlier.runs if row["job"] in SNAPSHOT_JOBS]
    days = [row["as_of"] for row in made]
    told = {frozenset(name for name in row["counts"] if name.startswith(POPULATION)) for row in made}
    in_turn = days == sorted(days) and len(told) == 1 and told != {frozenset()}
    if in_turn and not any(row["counts"].get(DEPARTED) for row in made):
        return None
    segments = earlier.read("customer_segments")
    assert segments is not None
    return segments.filter(F.col("snapshot_date") < before.as_of).select(*_KEY)


def _tell(
    run: Run,
    earlier: Published,
    before: Snapshot | None,
    now: Snapshot,
    data: Ingested,
    changed: DataFrame | None,
) -> None:
    """Append to the feed what this run changes of what is current, of each segmentation, also of those that the
    project has no more; the past changes nothing.

    What is current is asked again: should another run publish a snapshot from here on, this one is not published.
    Raises: ConflictError where one published a snapshot in the meantime that this one should be compared with.
    """
    run.lake.create(schemas.SEGMENT_CHANGES)
    current = published(run.lake)
    if (day := current.newest_before(run.as_of)) != earlier.newest_before(run.as_of):
        raise ConflictError(
            f"another run published the snapshot of {day} in {run.lake.place} while this one was made, which has to "
            "be compared with it; nothing of this one is published: run again"
        )
    run.decided_against = current.snapshot_runs
    since: dict[date | None, list[str]] = {}
    for segmentation in now.config.segmentations:
        since.setdefault(_newest(current, segmentation.name), []).append(segmentation.name)
    told = []
    for day, names in since.items():
        mine = F.col("segmentation").isin(names)
        if day is not None and day > run.as_of:
            continue
        if day is None:
            changes = migrations.changes(now.segments.filter(mine), None)
            frame = migrations.with_comings_and_goings(changes, None)
        elif changed is not None and before is not None and current.made(day) == earlier.made(before.as_of):
            frame = changed.filter(mine).drop("monetary")
        else:
            pair = _with(run, current, _published(current, day), now, data)
            frame = _differences(run, current, pair, names).drop("monetary")
        told.append(_between(frame, day, run.as_of))
    told += _taken_out(run, current)
    if not told:
        return
    rows = union(told).withColumn("run_id", F.lit(run.run_id)).select(*schemas.SEGMENT_CHANGES.column_names())
    run.counts["segment_changes.rows"] = run.lake.append(schemas.SEGMENT_CHANGES, rows).rows


def _taken_out(run: Run, current: Published) -> Iterator[DataFrame]:
    """What changes of segmentations that are current in the snapshot which this run restates, and that the project has
    no more: current is then the newest older snapshot that has one, or where none has, everybody is gone from it."""
    if run.as_of not in current.snapshots:
        return
    restated, known = _of(current, "customer_segments", run.as_of), {s.name for s in run.config.segmentations}
    for name in sorted(_segmentations(current, run.as_of) - known):
        if _newest(current, name) != run.as_of:
            continue
        mine, day = F.col("segmentation") == name, _newest(current, name, run.as_of)
        older = restated.limit(0) if day is None else _of(current, "customer_segments", day).filter(mine)
        differ = migrations.differences(restated.filter(mine), older)
        why = migrations.with_comings_and_goings(differ, None)
        cause = F.when(migrations.moved(), F.lit(migrations.RULES)).otherwise(F.col("cause"))
        yield _between(why.withColumn("cause", cause), run.as_of, day or run.as_of)


def _between(changes: DataFrame, before: date | None, now: date) -> DataFrame:
    return changes.withColumns({"from_snapshot": F.lit(before).cast("date"), "snapshot_date": F.lit(now)})


def _newest(current: Published, segmentation: str, before: date = date.max) -> date | None:
    """The newest published snapshot of a segmentation, of those before a day."""
    days = (day for day in reversed(list(current.snapshots)) if day < before)
    return next((day for day in days if segmentation in _segmentations(current, day)), None)


def _segmentations(current: Published, day: date) -> set[str]:
    """The segmentations of a published snapshot: its run has counted them, but in the first lakes."""
    counts = current.made(day)["counts"]
    if counted := {name.removeprefix(POPULATION) for name in counts if name.startswith(POPULATION)}:
        return counted
    rows = _of(current, "customer_segments", day).select("segmentation").distinct().collect()
    return {row["segmentation"] for row in rows}


def _differences(run: Run, current: Published, pair: _Pair, names: list[str]) -> DataFrame:
    """All that differs from any snapshot, such as the one that is restated, with cause and monetary, kept."""
    mine = F.col("segmentation").isin(names)
    differ = run.checkpoint(migrations.differences(pair.before.segments.filter(mine), pair.now.segments.filter(mine)))
    gone = F.col("to_segment") == migrations.GONE
    rekeyed = _rekeyed(run, pair)
    stayed = _explained(run, current, pair, differ.filter(~gone), rekeyed)
    return stayed.unionByName(run.checkpoint(_left(pair, differ.filter(gone), rekeyed)))


def _populations(run: Run, present: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Customers of each segmentation, noted in the run's counts for the next snapshot to tell who is gone."""
    found = dict.fromkeys((s.name for s in run.config.segmentations), 0)
    for row in present:
        found[row["segmentation"]] += row["customers"]
    run.counts.update({f"{POPULATION}{name}": customers for name, customers in found.items()})
    return found
