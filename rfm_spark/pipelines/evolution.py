"""Evolution: what this snapshot changed against the one before it, and for which cause.

Written as `segment_migrations` (against the newest earlier snapshot) and `segment_changes` (against what was current).
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.attributes import used_attributes
from rfm_spark.local import local_frame
from rfm_spark.pipelines.causes import Snapshot, placed_again
from rfm_spark.pipelines.ingest import Ingested
from rfm_spark.pipelines.measured import EVENTS_SEEN
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import cut_points, migrations

_KEY = ["segmentation", "customer_key"]
_POPULATION, _DEPARTED = "customer_segments.{}.customers", "segment_migrations.departed"


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
        changed, found = _since(run, earlier, before, now, data, populations)
        rows = [(before.as_of, run.as_of, *row) for row in migrations.with_stayers(found, present)]
        run.counts[_DEPARTED] = sum(row["customers"] for row in found if row["cause"] == migrations.DEPARTED)
    run.lake.replace(
        schemas.SEGMENT_MIGRATIONS,
        local_frame(run.spark, rows, schemas.SEGMENT_MIGRATIONS.types()),
        {"to_snapshot": run.as_of},
    )
    run.migrations = [dict(zip(schemas.SEGMENT_MIGRATIONS.column_names(), row, strict=True)) for row in rows]
    _tell(run, earlier, before, now, data, changed)


def previous(run: Run, earlier: Published) -> Snapshot | None:
    """The newest published snapshot before this one, or None."""
    days = [day for day in earlier.snapshots if day < run.as_of]
    return _published(earlier, days[-1]) if days else None


def _published(earlier: Published, day: date) -> Snapshot:
    config = earlier.config(earlier.made(day)["run_id"])
    cut_rows, planned = _of(earlier, "cut_points", day).collect(), cut_points.plan(config)
    cuts = {
        s.name: cut_points.as_stored([cut for cut in planned if cut.segmentation == s.name], cut_rows)
        for s in config.segmentations
    }
    metrics, segments = _of(earlier, "customer_metrics", day), _of(earlier, "customer_segments", day)
    return Snapshot(day, config, tuple(used_attributes(config)), cuts, metrics, segments)


def _of(earlier: Published, table: str, day: date) -> DataFrame:
    frame = earlier.read(table, day)
    assert frame is not None, table
    return frame


def _since(
    run: Run,
    earlier: Published,
    before: Snapshot,
    now: Snapshot,
    data: Ingested,
    populations: Mapping[str, int],
) -> tuple[DataFrame, list[dict[str, Any]]]:
    """Every change since an earlier snapshot with cause and monetary, kept for the run; and their totals."""
    known = [s.name for s in now.config.segmentations]
    then = before.segments.filter(F.col("segmentation").isin(known))
    counts = earlier.made(before.as_of)["counts"]
    all_placed = not any(f"customer_segments.{name}.unassigned" in counts for name in known)
    came = run.cut(migrations.changes(now.segments, None if all_placed else then))
    changed = _explained(run, earlier, before, now, data, came)
    found = [row.asDict() for row in migrations.totals(changed).collect()]
    left = []
    for name in known:
        newcomers = sum(
            row["customers"] for row in found if (row["segmentation"], row["from_segment"]) == (name, migrations.NEW)
        )
        were = counts.get(_POPULATION.format(name))
        if were is None or were + newcomers > populations[name]:
            left.append(name)
    if left:
        gone = migrations.departed(then.filter(F.col("segmentation").isin(left)), now.segments)
        told = run.cut(_with_money(migrations.with_comings_and_goings(gone, None), before.metrics))
        changed = changed.unionByName(told)
        found += [row.asDict() for row in migrations.totals(told).collect()]
    return changed, found


def _explained(
    run: Run, earlier: Published, before: Snapshot, now: Snapshot, data: Ingested, came: DataFrame
) -> DataFrame:
    """Changes of customers who are there now, with cause and monetary, kept for the run."""
    moving = came.filter(migrations.moved())
    if moving.isEmpty():
        movers = moving
    else:
        movers = placed_again(before, now, data, _fresh(run, earlier, before, data.events), moving, run.cut)
    newcomers = migrations.with_comings_and_goings(came.filter(~migrations.moved()), _known_before(earlier, before))
    return run.cut(_with_money(migrations.with_causes(movers).unionByName(newcomers), now.metrics))


def _with_money(changed: DataFrame, measured: DataFrame) -> DataFrame:
    return changed.join(measured.select("customer_key", "monetary"), "customer_key")


def _fresh(run: Run, earlier: Published, before: Snapshot, events: DataFrame) -> DataFrame | None:
    """Customers with an event that the earlier snapshot had not seen; None where events were not just added since."""
    then, today = earlier.made(before.as_of)["counts"].get(EVENTS_SEEN), run.counts.get(EVENTS_SEEN)
    if then is None or today is None:
        return None
    unseen = run.lake.appended_by("events", then, today)
    if unseen is None:
        return None
    new = F.col("event_date") >= F.lit(before.as_of)
    if unseen:
        new |= F.col("ingested_run_id").isin(sorted(unseen))
    return events.filter(new & (F.col("event_date") < F.lit(run.as_of))).select("customer_key").distinct()


def _known_before(earlier: Published, before: Snapshot) -> DataFrame | None:
    """Whom snapshots before the earlier one held; None where nobody ever left, so that nobody can have returned."""
    if not any(row["counts"].get(_DEPARTED) for row in earlier.runs):
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
    """Append to the feed what this run changes of what is current; a snapshot of the past changes nothing of it."""
    run.lake.create(schemas.SEGMENT_CHANGES)
    if any(day > run.as_of for day in earlier.snapshots):
        return
    since = before.as_of if before is not None else None
    if run.as_of in earlier.snapshots:
        since, restated = run.as_of, _published(earlier, run.as_of)
        differ = run.cut(migrations.differences(restated.segments, now.segments))
        gone = F.col("to_segment") == migrations.GONE
        left = migrations.with_comings_and_goings(differ.filter(gone), None)
        changed = _explained(run, earlier, restated, now, data, differ.filter(~gone)).drop("monetary")
        changed = changed.unionByName(left)
    elif changed is None:
        changed = migrations.with_comings_and_goings(migrations.changes(now.segments, None), None)
    rows = changed.withColumns(
        {
            "run_id": F.lit(run.run_id),
            "from_snapshot": F.lit(since).cast("date"),
            "snapshot_date": F.lit(run.as_of),
        }
    )
    done = run.lake.append(schemas.SEGMENT_CHANGES, rows.select(*schemas.SEGMENT_CHANGES.column_names()))
    run.counts["segment_changes.rows"] = done.rows


def _populations(run: Run, present: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Customers of each segmentation, noted in the run's counts for the next snapshot to tell who is gone."""
    found = dict.fromkeys((s.name for s in run.config.segmentations), 0)
    for row in present:
        found[row["segmentation"]] += row["customers"]
    run.counts.update({_POPULATION.format(name): customers for name, customers in found.items()})
    return found
