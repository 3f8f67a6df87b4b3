"""What a table is in itself, and what was done to its files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from rfm_spark.schemas import Column


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
