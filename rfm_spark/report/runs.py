"""What a command prints of the run that it made."""

from rich.console import Console

from rfm_spark.config.models import ProjectConfig
from rfm_spark.errors import ConflictError
from rfm_spark.pipelines.conservation import reasons, total
from rfm_spark.pipelines.run_record import Run
from rfm_spark.report import tables
from rfm_spark.report.show import print_segments


def told(done: Run | ConflictError | None) -> str:
    """What a look of `--watch` found, in a line."""
    if done is None:
        return "nothing new"
    if isinstance(done, ConflictError):
        return str(done)
    outcomes = ("accepted", "quarantined", "exact_duplicates")
    parts = ", ".join(f"{total(done, name):,} {name.replace('_', ' ')}" for name in outcomes)
    return "; ".join([f"{total(done, 'rows_read'):,} rows read: {parts}", *_taken_out(done)])


def _taken_out(done: Run) -> list[str]:
    """How many events of earlier runs went since their files do not hold them any more, if any."""
    n = done.counts.get("events.removed", 0)
    return [f"{n:,} events taken out, which their files do not hold any more"] if n else []


def print_rows(out: Console, config: ProjectConfig, done: Run) -> None:
    """Rows of each source by outcome, and why some are quarantined."""
    names = [source.name for source in config.sources]
    out.print(tables.sources(done.counts, names))
    for name in names:
        each = ", ".join(f"{reason} {n:,}" for reason, n in reasons(done.counts, name))
        if each:
            out.print(f"{name}, quarantined for: {each}")
    for line in _taken_out(done):
        out.print(line)


def print_profiles(out: Console, config: ProjectConfig, done: Run) -> None:
    """The segments of a run, then its warnings."""
    print_segments(out, config, done.profiles)
    print_warnings(out, done)


def print_warnings(out: Console, done: Run | ConflictError | None) -> None:
    """A line a warning."""
    for warning in done.warnings if isinstance(done, Run) else ():
        out.print(f"warning: {warning}", soft_wrap=True)


def print_moves(out: Console, done: Run) -> None:
    """What a dry run would change."""
    if done.moves is None:
        out.print("Changes: no earlier snapshot to compare with.")
        return
    out.print(tables.moves(done.moves.since, done.moves.rows))
    for name in dict.fromkeys(row["segmentation"] for row in done.moves.rows):
        mine = [row for row in done.moves.rows if row["segmentation"] == name]
        moved = sum(row["customers"] for row in mine if row["from"] != row["to"])
        out.print(f"{name}: {moved:,} of {sum(row['customers'] for row in mine):,} customers would move")
