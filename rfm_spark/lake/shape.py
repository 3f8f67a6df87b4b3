"""What a table is in itself, what its log tells of its values, and what was done to its files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

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
