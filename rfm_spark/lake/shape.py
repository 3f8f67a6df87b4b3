"""What a table is in itself, what its log tells of its values, and what was done to its files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.errors import InputError, SchemaMismatch
from rfm_spark.lake.place import types
from rfm_spark.schemas import Column, TableSpec

STATISTICS = "delta.dataSkippingStatsColumns"


@dataclass(frozen=True)
class Shape:
    """The columns of a table, a column's meaning being its comment, its partition columns and its properties."""

    columns: tuple[Column, ...]
    partitioned_by: tuple[str, ...]
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Compacted:
    """Files before and after, and their bytes."""

    files: int
    into: int
    bytes_: int
    into_bytes: int


def partitions(files: Iterable[str]) -> Counter[str]:
    """Files a partition, by its folder."""
    return Counter(str(PurePosixPath(file).parent) for file in files)


def with_statistics(spec: TableSpec) -> str:
    """The columns whose least and greatest values the log may hold: no person's, nor the partitions', which it has."""
    shown = [c.name for c in spec.columns if not c.personal and _has_statistics(c.type)]
    return ",".join(f"`{name}`" for name in shown if name not in spec.partitioned_by)


def _has_statistics(type_: str) -> bool:
    """Not those that Delta refuses; nor fractions: Sail 0.7 reads constants there, and gets their last digit wrong."""
    return not type_.startswith(("array", "map", "struct", "boolean", "double", "float"))


def conformed(spec: TableSpec, frame: DataFrame, there: Mapping[str, str] | None, where: str) -> DataFrame:
    """The frame in declared order with the declared comments, once its columns and types are as declared.

    Reads: `there`, {column: type} of the table as it is, None where it is not or is made anew; `where`, for a message.
    Raises: SchemaMismatch; InputError where a column has changed its type since the table was made.
    """
    actual = types(frame)
    declared = {column.name: column.type for column in spec.columns}
    faults = [f"no column {name}" for name in declared if name not in actual]
    faults += [f"undeclared column {name}" for name in actual if name not in declared]
    faults += [
        f"{name} is {actual[name]}, declared {type_}"
        for name, type_ in declared.items()
        if name in actual and actual[name] != type_
    ]
    if faults:
        raise SchemaMismatch(f"{where}: " + "; ".join(faults))
    changes = [
        f"{name} was {(there or {})[name]} when the table was made, and is {type_} now; give it another name"
        for name, type_ in declared.items()
        if (there or {}).get(name, type_) != type_
    ]
    if changes:
        raise InputError(f"{where}: " + "; ".join(changes))
    return frame.select(*(F.col(f"`{c.name}`").alias(c.name, metadata={"comment": c.comment}) for c in spec.columns))
