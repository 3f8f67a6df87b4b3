"""What a table is declared by: its columns with type, unit and meaning, key, partitioning and subject key."""

from dataclasses import dataclass, replace

MONEY = "decimal(18,2)"
SNAPSHOTS = ("snapshot_date", "to_snapshot")  # columns that hold the date of a snapshot
NEW, GONE, UNASSIGNED = "(new)", "(gone)", "(none)"  # in place of a segment's name
COST = "decimal(18,4)"  # of one contact, which may be less than a cent
SUM_OF_MONEY = "decimal(28,2)"  # of any number of customers

_PERSONAL = {"customer_key", "other_key", "source_customer_id", "id_value", "event_id", "order_id", "record", "message"}


@dataclass(frozen=True)
class Column:
    """One column of a table; `unit` is empty where the type says it all."""

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = True
    configured: bool = False  # the config adds it, so it may be anything that is known of a person

    @property
    def personal(self) -> bool:
        """Whether its values are, or may be, a person's: those are never in the statistics of a table's log."""
        return self.configured or self.name in _PERSONAL

    @property
    def comment(self) -> str:
        """What the table's own metadata says about the column."""
        return f"{self.meaning} [{self.unit}]" if self.unit else self.meaning


@dataclass(frozen=True)
class TableSpec:
    """The declared schema of one table.

    `subject_key` is the column that leads to a person (None where a table holds no person), so that lineage and
    erasure find every place a person is in. `written_by` is the column with the run that wrote a row, where rows are
    appended by several. `configured` says which columns the config adds.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...] = ()
    subject_key: str | None = None
    written_by: str | None = None
    added_columns: str = ""

    @property
    def snapshot(self) -> str | None:
        """The partition column that is a snapshot's date; None where a table holds no snapshots."""
        return next((name for name in self.partitioned_by if name in SNAPSHOTS), None)

    def with_columns(self, *columns: Column) -> "TableSpec":
        """The same table with more columns, which the config adds; those already declared are left as they are."""
        known = {column.name for column in self.columns}
        added = tuple(replace(column, configured=True) for column in columns if column.name not in known)
        return replace(self, columns=self.columns + added)

    def types(self) -> list[tuple[str, str]]:
        """(name, type) in declared order."""
        return [(column.name, column.type) for column in self.columns]

    def column_names(self) -> tuple[str, ...]:
        """Names in declared order."""
        return tuple(column.name for column in self.columns)


def required(name: str, type_: str, meaning: str, unit: str = "") -> Column:
    """A column that is never null."""
    return Column(name, type_, meaning, unit, nullable=False)


def configured(name: str, type_: str) -> Column:
    """A column that the config adds to a table, for `with_columns`."""
    return Column(name, type_, "column of the project's config")
