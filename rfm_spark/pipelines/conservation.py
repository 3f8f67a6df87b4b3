"""Rows read = accepted + quarantined + exact duplicates, for each source; and the gate on the quarantined share.

The rows read are counted where they are read, before anything is joined, shuffled or judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.errors import EnvironmentFault, GateError
from rfm_spark.pipelines.run_record import Run
from rfm_spark.steps import contract, events


@dataclass
class Tally:
    """What became of the rows of one file, or of a source of tables; `others`: doubles of what another file brought."""

    accepted: int = 0
    quarantined: int = 0
    exact_duplicates: int = 0
    others: int = 0
    last_event_date: date | None = None

    @property
    def rows_read(self) -> int:
        """All of them."""
        return self.accepted + self.quarantined + self.exact_duplicates


def count_read(run: Run, mapped: Mapping[str, DataFrame], names: Iterable[str]) -> None:
    """Count the rows that are read of each source; Parquet and Delta know it without being read.

    Reads: `mapped`, a frame a source, one row a row of it. Records: `<source>.rows_read`, 0 for those of `names` that
        have no frame.
    """
    each = [frame.select(F.lit(name).alias("source")) for name, frame in mapped.items()]
    rows = reduce(DataFrame.unionAll, each).groupBy("source").count().collect() if each else []
    run.counts |= {f"{name}.rows_read": 0 for name in names} | {f"{r['source']}.rows_read": r["count"] for r in rows}


def count_events(run: Run, settled: DataFrame | None, names: Iterable[str]) -> dict[tuple[str, str | None], Tally]:
    """Count rows by source, file, outcome and reasons: the one pass that makes and keeps the settled rows.

    Reads: `settled` (source, source_file, outcome, reasons, by_other, held, event_date), None where there is no row.
    Records: accepted, quarantined, exact_duplicates and reason.<reason> of each named source; `freed`, if any: rows
        that were held in quarantine, which are none of those read, and go to events.
    Returns: a tally of each (source, file).
    Raises: EnvironmentFault where they are not as many as were read.
    """
    by = ("source", "source_file", "outcome", "reasons", "by_other", "held")
    believed = F.when(~F.array_contains("reasons", contract.TIME_OUT_OF_RANGE), F.col("event_date"))
    found = (F.count(F.lit(1)).alias("n"), F.max(believed).alias("last"))
    rows = settled.groupBy(*by).agg(*found).collect() if settled is not None else []
    tallies: dict[tuple[str, str | None], Tally] = {}
    bad: dict[str, list[tuple[list[str], int]]] = {name: [] for name in names}
    for row in rows:
        source, outcome, n = row["source"], row["outcome"], row["n"]
        kept = outcome in (events.ACCEPTED, events.REPLACED)
        if row["held"]:
            if kept:
                run.counts[f"{source}.freed"] = run.counts.get(f"{source}.freed", 0) + n
            continue
        tally = tallies.setdefault((source, row["source_file"]), Tally())
        tally.last_event_date = max(filter(None, (tally.last_event_date, row["last"])), default=None)
        if kept:
            tally.accepted += n
        elif outcome == events.DUPLICATE:
            tally.exact_duplicates += n
            tally.others += n if row["by_other"] else 0
        else:
            tally.quarantined += n
            bad[source].append((row["reasons"], n))
    for name in bad:
        mine = [tally for (source, _), tally in tallies.items() if source == name]
        kept_of_it, doubled = sum(one.accepted for one in mine), sum(one.exact_duplicates for one in mine)
        _record(run, name, kept_of_it, doubled, bad[name])
    return tallies


def count_others(run: Run, judged: Mapping[str, DataFrame]) -> None:
    """The same for profiles, rates and decisions on contact, where rows of one content are one.

    Reads: `judged`, a frame a source (reasons, content_hash). Raises: as `count_events`.
    """
    for name, frame in judged.items():
        distinct = F.count_distinct(F.when(F.size("reasons") == 0, F.col("content_hash")))
        rows = frame.groupBy("reasons").agg(F.count(F.lit(1)).alias("n"), distinct.alias("distinct")).collect()
        clean = [row for row in rows if not row["reasons"]]
        kept = sum(row["distinct"] for row in clean)
        doubled = sum(row["n"] - row["distinct"] for row in clean)
        bad = [(row["reasons"], row["n"]) for row in rows if row["reasons"]]
        _record(run, name, kept, doubled, bad)


def total(run: Run, outcome: str, names: Iterable[str] | None = None) -> int:
    """Rows of an outcome, over the named sources or all."""
    wanted = {source.name for source in run.config.sources} if names is None else set(names)
    return sum(run.counts.get(f"{name}.{outcome}", 0) for name in wanted)


def gate(run: Run) -> None:
    """Stop the run where a source has too large a share of quarantined rows, before any is written.

    Reads: what was counted. Rules: quarantined / read above `contract.max_quarantined_share`; no rows are no share.
    Raises: GateError with every such source and its most frequent reasons.
    """
    limit = run.config.contract.max_quarantined_share
    failed = []
    for source in run.config.sources:
        read, bad = run.counts[f"{source.name}.rows_read"], run.counts[f"{source.name}.quarantined"]
        if read and bad / read > limit:
            told = ", ".join(f"{reason} {n:,}" for reason, n in reasons(run.counts, source.name)[:5])
            failed.append(
                f"source {source.name}: {bad:,} of {read:,} rows ({bad / read:.1%}) do not meet the contract: {told}"
            )
    if failed:
        raise GateError(
            "; ".join(failed) + f". Allowed is contract.max_quarantined_share = {limit:.1%}; nothing was published. "
            "Mend the source or its mapping, or raise the limit if this is expected"
        )


def reasons(counts: Mapping[str, int], source: str) -> list[tuple[str, int]]:
    """(reason, rows) of a source, the most frequent first."""
    prefix = f"{source}.reason."
    found = [(key[len(prefix) :], n) for key, n in counts.items() if key.startswith(prefix)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def written(what: str, expected: int, rows: int) -> None:
    """Check that a commit has the rows that were counted for it. Raises: EnvironmentFault."""
    if rows != expected:
        raise EnvironmentFault(f"{what}: {expected:,} rows counted, but {rows:,} written; {_CHANGED}")


_CHANGED = "an input has changed while this run read it; nothing was published: run again"


def _record(run: Run, source: str, kept: int, doubled: int, bad: list[tuple[list[str], int]]) -> None:
    read, quarantined = run.counts[f"{source}.rows_read"], sum(n for _, n in bad)
    if read != kept + doubled + quarantined:
        told = f"{kept:,} accepted + {quarantined:,} quarantined + {doubled:,} exact duplicates"
        raise EnvironmentFault(f"source {source}: {read:,} rows read, but {told}; {_CHANGED}")
    run.counts |= {
        f"{source}.accepted": kept,
        f"{source}.quarantined": quarantined,
        f"{source}.exact_duplicates": doubled,
    }
    for each, n in bad:
        for reason in each:
            key = f"{source}.reason.{reason}"
            run.counts[key] = run.counts.get(key, 0) + n
