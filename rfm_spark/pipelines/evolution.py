"""Evolution: what this snapshot changed against the one before it, and for which cause.

Written as `segment_migrations` (against the newest earlier snapshot) and `segment_changes` (against what was current).
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.attributes import used_attributes
from rfm_spark.local import local_frame
from rfm_spark.pipelines.causes import Snapshot, placed_again
from rfm_spark.pipelines.published import Published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import union
from rfm_spark.steps import cut_points, migrations

_KEY = ["segmentation", "customer_key"]


def evolve(run: Run, earlier: Published, now: Snapshot, events: DataFrame, unassigned: Mapping[str, tuple]) -> None:
    """Write what changed since the newest earlier snapshot, and since the one that was current.

    Reads: `now`, this run's snapshot as it was written; `events`, all that the run sees; `unassigned`, (customers,
        money) in no segment of each segmentation that has such.
    Movers are measured and placed again; of the others only counts are taken. Nothing is shuffled whole but where
    somebody is gone.
    """
    before = previous(run, earlier)
    rows: list[tuple] = []
    changed = None
    if before is not None:
        changed = _since(run, earlier, before, now, events, _populations(run, unassigned))
        present = [*run.profiles, *({"segmentation": s, "segment": migrations.UNASSIGNED, "customers": n, "monetary": m}
                                    for s, (n, m) in unassigned.items())]  # fmt: skip
        found = [row.asDict() for row in migrations.totals(changed).collect()]
        rows = [(before.as_of, run.as_of, *row) for row in migrations.with_stayers(found, present)]
    run.lake.replace(
        schemas.SEGMENT_MIGRATIONS,
        local_frame(run.spark, rows, schemas.SEGMENT_MIGRATIONS.types()),
        {"to_snapshot": run.as_of},
    )
    run.migrations = [dict(zip(schemas.SEGMENT_MIGRATIONS.column_names(), row, strict=True)) for row in rows]
    _tell(run, earlier, before, now, events, changed)


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
    events: DataFrame,
    populations: Mapping[str, int],
) -> DataFrame:
    """Every change since an earlier snapshot with cause and monetary, kept for the run."""
    known = [s.name for s in now.config.segmentations]
    then = before.segments.filter(F.col("segmentation").isin(known))
    came = run.keep(migrations.changes(now.segments, then))
    newcomers = _counted(came.filter(F.col("from_segment") == migrations.NEW))
    were = _counted(then)
    left = [s for s in known if were.get(s, 0) + newcomers.get(s, 0) > populations.get(s, 0)]
    changed = came
    if left:
        gone = migrations.departed(then.filter(F.col("segmentation").isin(left)), now.segments)
        changed = run.keep(came.unionByName(gone))
    return _explained(run, earlier, before, now, events, changed)


def _explained(
    run: Run, earlier: Published, before: Snapshot, now: Snapshot, events: DataFrame, changed: DataFrame
) -> DataFrame:
    movers = placed_again(
        before, now, events, _fresh(earlier, before, events), changed.filter(migrations.moved()), run.keep
    )
    others = migrations.with_comings_and_goings(changed.filter(~migrations.moved()), _known_before(earlier, before))
    told = migrations.with_causes(movers).unionByName(others)
    money = union([
        now.metrics.select("customer_key", "monetary", F.lit(False).alias("_gone")),
        before.metrics.select("customer_key", "monetary", F.lit(True).alias("_gone")),
    ])  # fmt: skip
    ended = told.withColumn("_gone", F.col("to_segment") == migrations.GONE)
    return run.keep(ended.join(money, ["customer_key", "_gone"]).drop("_gone"))


def _fresh(earlier: Published, before: Snapshot, events: DataFrame) -> DataFrame | None:
    """Customers with an event that the earlier snapshot had not seen; None where events were taken out since."""
    version = earlier.made(before.as_of)["table_versions"].get("events", -1)
    seen = [row["run_id"] for row in earlier.runs if row["table_versions"].get("events", -1) <= version]
    if any(row["counts"].get("events.removed") for row in earlier.runs if row["run_id"] not in seen):
        return None
    new = (F.col("event_date") >= F.lit(before.as_of)) | ~F.col("ingested_run_id").isin(seen)
    return events.filter(new).select("customer_key").distinct()


def _known_before(earlier: Published, before: Snapshot) -> DataFrame | None:
    """Whom snapshots before the earlier one held, where anybody ever left; None where nobody can have returned."""
    moves, segments = earlier.read("segment_migrations"), earlier.read("customer_segments")
    if moves is None or segments is None:
        return None
    if moves.filter((F.col("to_segment") == migrations.GONE) & (F.col("to_snapshot") <= before.as_of)).isEmpty():
        return None
    return segments.filter(F.col("snapshot_date") < before.as_of).select(*_KEY)


def _tell(
    run: Run,
    earlier: Published,
    before: Snapshot | None,
    now: Snapshot,
    events: DataFrame,
    changed: DataFrame | None,
) -> None:
    """Append to the feed what this run changes of what is current; a snapshot of the past changes nothing of it."""
    run.lake.create(schemas.SEGMENT_CHANGES)
    if any(day > run.as_of for day in earlier.snapshots):
        return
    since = before.as_of if before is not None else None
    if run.as_of in earlier.snapshots:
        restated = _published(earlier, run.as_of)
        since, differ = run.as_of, run.keep(migrations.differences(restated.segments, now.segments))
        changed = _explained(run, earlier, restated, now, events, differ)
    elif changed is None:
        nobody = now.segments.limit(0)
        changed = migrations.differences(nobody, now.segments).withColumn("cause", F.lit(migrations.NEWCOMER))
    rows = changed.withColumns(
        {
            "run_id": F.lit(run.run_id),
            "from_snapshot": F.lit(since).cast("date"),
            "snapshot_date": F.lit(run.as_of),
        }
    )
    done = run.lake.append(schemas.SEGMENT_CHANGES, rows.select(*schemas.SEGMENT_CHANGES.column_names()))
    run.counts["segment_changes.rows"] = done.rows


def _counted(rows: DataFrame) -> dict[str, int]:
    return {row["segmentation"]: row["count"] for row in rows.groupBy("segmentation").count().collect()}


def _populations(run: Run, unassigned: Mapping[str, tuple[int, Decimal]]) -> dict[str, int]:
    found = {name: n for name, (n, _) in unassigned.items()}
    for row in run.profiles:
        found[row["segmentation"]] = found.get(row["segmentation"], 0) + row["customers"]
    return found

