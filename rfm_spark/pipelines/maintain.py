"""Maintain: declared shape → expired snapshots → what runs that died have replaced → few files → no files that nobody
needs, for every table.

Readers see the same before, within and after, but for the snapshots that are dropped: those are left out as soon as
the run's row is there. Until then, and where it dies before, `published` reads them as their own runs left them.
"""

from collections.abc import Callable, Iterable
from datetime import date

from rfm_spark import schemas
from rfm_spark.errors import ConflictError, InputError
from rfm_spark.lake import Done, Upkeep
from rfm_spark.pipelines.counts import DROPPED, MARK
from rfm_spark.pipelines.published import Published, published
from rfm_spark.pipelines.run_record import Run
from rfm_spark.schemas import TableSpec
from rfm_spark.steps import cut_points, retention


def maintain(run: Run) -> None:
    """Mend, drop, put back, compact and vacuum; `run.upkeep` is what was done, or of a dry run what would be.

    Raises: InputError where there is no table, or no version that holds a snapshot as published; ConflictError where
        other runs won a table three times, after all else is done.
    """
    now, upkeep, policy = published(run.lake), Upkeep(run.lake), run.config.maintenance
    specs = [spec for spec in schemas.TABLES.values() if run.lake.exists(spec.name)]
    if not specs:
        raise InputError(f"no table in {run.lake.place} yet; run `rfm-spark run` first")
    dated = [spec for spec in specs if spec.snapshot]
    expired = _expired(run, now)
    with run.stage("schema"):
        lost = _each(run, specs, upkeep.mend)
    with run.stage("snapshots"):
        gone = [*expired, *now.dropped]
        lost |= _each(run, dated if gone else [], lambda s: upkeep.drop(s, now.not_published(s.name, gone, expired)))
        run.counts.update({f"{DROPPED}{day}": now.snapshots.get(day, {}).get(MARK, 0) for day in expired})
    with run.stage("put back"):
        lost |= _each(run, dated, lambda s: upkeep.put_back(s, now.torn(s.name, expired), run.started_at))
    with run.stage("compaction"):
        lost |= _each(run, specs, upkeep.compact)
    with run.stage("vacuum"):
        hours = policy.retention_hours
        lost |= _each(run, specs, lambda s: upkeep.vacuum(s, hours, now.oldest(s.name), run.started_at))
    if lost:
        raise ConflictError(
            f"other runs were writing {', '.join(sorted(lost))} in {run.lake.place} each time maintain was to; all "
            "else is done and nothing is harmed: run maintain again"
        )
    if not run.dry:
        _use_what_it_left(run, now, upkeep)


def _expired(run: Run, now: Published) -> list[date]:
    """Published dates that the policy keeps neither for their snapshot nor for their predictions, each judged among its
    own: never the newest of a segmentation or the newest predictions, nor one that scoring names."""
    keep, newest = run.config.maintenance.keep, now.current_segments()
    if keep is None or newest is None:
        return []
    current = {row["snapshot_date"] for row in newest.select("snapshot_date").distinct().collect()}
    frozen = {cut.snapshot for cut in cut_points.plan(run.config) if cut.method == "frozen" and cut.snapshot}
    left, days = set[date](), {*now.snapshots, *now.predicted}
    for kind in (now.snapshots.keys(), now.predicted.keys()):
        left |= kind - set(retention.expired(kind, run.as_of, keep, current | frozen))
    return sorted(days - left)


def _each(run: Run, specs: Iterable[TableSpec], act: Callable[[TableSpec], list[Done]]) -> set[str]:
    """Do one thing to each table; the tables on which other runs won."""
    lost = set()
    for spec in specs:
        try:
            done = act(spec)
        except ConflictError:
            lost.add(spec.name)
            continue
        run.upkeep += done
        for one in done:
            for name, n in one.counts.items():
                run.counts[f"{spec.name}.{name}"] = run.counts.get(f"{spec.name}.{name}", 0) + n
    return lost


def _use_what_it_left(run: Run, now: Published, upkeep: Upkeep) -> None:
    """Send readers to the newest versions that hold what is published, whose files stay."""
    for table, version in now.versions.items():
        if schemas.TABLES[table].snapshot:
            run.lake.use(table)  # readers take each snapshot from where its own run left it
        else:
            run.lake.use(table, upkeep.unchanged_until(table, version))
