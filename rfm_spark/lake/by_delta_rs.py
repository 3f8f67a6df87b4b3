"""Commits by an engine without Delta's SQL: it writes the rows, and the package `deltalake` what the log needs beside.

That is the history, tables and columns made before rows are written, and rows taken out again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.errors import EnvironmentFault
from rfm_spark.lake.history import Commit, commit
from rfm_spark.lake.place import Place, types
from rfm_spark.lake.shape import Compacted, Shape
from rfm_spark.local import local_frame
from rfm_spark.paths import is_elsewhere, without_scheme
from rfm_spark.schemas import Column, TableSpec


class ByDeltaRs:
    """Reads the history and writes rows, each write one commit but for what has to be made first."""

    def __init__(self, place: Place, run_id: str) -> None:
        self._place, self._run_id = place, run_id
        self._open: dict[str, Any] = {}

    def history(self, table: str, limit: int) -> list[Commit]:
        """The newest commits of a table, at most `limit`."""
        return [commit(row) for row in self._table(table).history(limit)]

    def write(
        self, spec: TableSpec, frame: DataFrame, mode: str, options: Mapping[str, str], properties: Mapping[str, str]
    ) -> None:
        """Write a frame of the declared columns and types; the table is made with `properties` where it is missing, and
        its columns where they are.
        """
        options, there = {"userMetadata": self._run_id, **options}, self._place.exists(spec.name)
        declared = {column.name: column.type for column in spec.columns}
        known = types(self._place.table(spec.name)) if there else {}
        if not there:
            self._create(spec, frame, properties)
        if not there or known == declared:  # as it is, the schema keeps its comments
            options.pop("overwriteSchema", None)
        if there and "overwriteSchema" not in options:
            frame = self._with_all_columns(spec, frame, known)
        kinds = {type_.partition("<")[0] for type_ in (known | declared).values()}
        if "replaceWhere" in options and not kinds.isdisjoint(("array", "map")):
            self._replace(spec.name, frame, options["replaceWhere"])
            return
        writer = frame.write.format("delta").mode(mode).options(**options)
        writer.partitionBy(*spec.partitioned_by).save(self._place.path(spec.name))

    def _replace(self, table: str, frame: DataFrame, predicate: str) -> None:
        """Replace a slice by few rows with lists or maps, which the engine would not put beside stored ones.

        Of such tables `cut_points` and `models` alone have any.
        """
        _deltalake().write_deltalake(
            self._place.path(table),
            frame.toArrow(),
            mode="overwrite",
            predicate=predicate,
            commit_properties=self._properties(),
        )

    def append_after(self, version: int, spec: TableSpec, frame: DataFrame) -> None:
        """Append few rows as the version after this one, or not at all."""
        frame = self._with_all_columns(spec, frame, types(self._place.table(spec.name)))
        _deltalake().write_deltalake(
            _deltalake().DeltaTable(self._place.path(spec.name), version=version),
            frame.toArrow(),
            mode="append",
            commit_properties=self._properties(max_commit_retries=0),
        )

    def take_out(self, spec: TableSpec, run_id: str) -> None:
        """Take out the rows that a run has appended."""
        self._table(spec.name).delete(f"{spec.written_by} = '{run_id}'", commit_properties=self._properties())

    def shape(self, table: str) -> Shape:
        """What the table itself says of its columns, partitions and properties."""
        it, known = self._table(table), types(self._place.table(table))
        comments = {field.name: (field.metadata or {}).get("comment", "") for field in it.schema().fields}
        columns = [Column(name, type_, comments[name]) for name, type_ in known.items()]
        return Shape(tuple(columns), tuple(it.metadata().partition_columns), dict(it.metadata().configuration))

    def files(self, table: str) -> list[str]:
        """The data files of the newest version, by the folder that their partition has."""
        return self._table(table).file_uris()

    def drop(self, table: str, column: str, days: Iterable[str]) -> int:
        """Delete all rows of some dates; returns how many."""
        listed = ", ".join(f"DATE '{day}'" for day in days)
        done = self._table(table).delete(f"{column} IN ({listed})", commit_properties=self._properties())
        return done["num_deleted_rows"] or 0

    def compact(self, table: str, column: str | None, days: Iterable[str], bytes_a_file: int) -> Compacted:
        """Write the small files of some dates (None: of the whole table) again as few."""
        done = self._table(table).optimize.compact(
            partition_filters=[(column, "in", list(days))] if column else None,
            target_size=bytes_a_file,
            commit_properties=self._properties(),
        )
        bytes_ = [json.loads(done[name])["totalSize"] for name in ("filesRemoved", "filesAdded")]
        return Compacted(done["numFilesRemoved"], done["numFilesAdded"], *bytes_)

    def vacuum(self, table: str, hours: int, *, dry: bool) -> int:
        """Delete files that no version younger than some hours needs, or tell how many."""
        options = {"enforce_retention_duration": False, "full": True}  # the config has its own floor
        # the list has those, too, that are gone already
        files = [file for file in self._table(table).vacuum(hours, **options) if self._is_there(table, file)]
        if files and not dry:
            self._table(table).vacuum(hours, dry_run=False, commit_properties=self._properties(), **options)
        return len(files)

    def add_columns(self, table: str, columns: Iterable[Column]) -> None:
        """Add columns, null in the rows that are there."""
        added = {column.name: column for column in columns}
        plain = local_frame(self._place.spark, [], [(column.name, column.type) for column in added.values()]).schema
        fields = [T.StructField(f.name, f.dataType, True, {"comment": added[f.name].comment}) for f in plain]
        self._table(table).alter.add_columns(_schema(fields).fields, commit_properties=self._properties())

    def comment(self, table: str, column: str, comment: str) -> None:
        """Say what a column means."""
        told = {"comment": comment}
        self._table(table).alter.set_column_metadata(column, told, commit_properties=self._properties())

    def set_property(self, table: str, key: str, value: str) -> None:
        """Set a property of the table."""
        self._table(table).alter.set_table_properties({key: value}, commit_properties=self._properties())

    @contextmanager
    def settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Such an engine has none for a commit."""
        yield

    def _is_there(self, table: str, file: str) -> bool:
        """Whether a file is there, by its name as it is or as in a URL; on another machine it is taken to."""
        folder = self._place.path(table)
        names = (file, unquote(file))
        return is_elsewhere(folder) or any(Path(without_scheme(folder), name).exists() for name in names)

    def _create(self, spec: TableSpec, frame: DataFrame, properties: Mapping[str, str]) -> None:
        """Make an empty table of nullable columns, unless another run has just made it."""
        deltalake = _deltalake()
        try:
            deltalake.DeltaTable.create(
                self._place.path(spec.name),
                schema=_schema(frame.schema),
                partition_by=list(spec.partitioned_by),
                configuration=dict(properties),
                commit_properties=self._properties(),
            )
        except deltalake.exceptions.DeltaError as error:
            if "already exists" not in str(error):
                raise

    def _with_all_columns(self, spec: TableSpec, frame: DataFrame, known: Mapping[str, str]) -> DataFrame:
        """The frame with the table's further columns as null, once the table has all of the frame's."""
        have = set(spec.column_names())
        new = [field for field in frame.schema if field.name not in known] if have - known.keys() else []
        if new:
            self._table(spec.name).alter.add_columns(_schema(new).fields, commit_properties=self._properties())
        whole = [F.col(f"`{n}`") if n in have else F.lit(None).cast(type_).alias(n) for n, type_ in known.items()]
        return frame.select(*whole, *(F.col(f"`{field.name}`") for field in new))

    def _table(self, table: str) -> Any:
        """The table as it is now: what is new of its log is read, and not all of it each time."""
        if table in self._open:
            self._open[table].update_incremental()
        else:
            self._open[table] = _deltalake().DeltaTable(self._place.path(table))
        return self._open[table]

    def _properties(self, **options: Any) -> Any:
        return _deltalake().CommitProperties(custom_metadata={"userMetadata": self._run_id}, **options)


def _schema(fields: Iterable[T.StructField]) -> Any:
    columns = [
        {"name": f.name, "type": _nullable(f.dataType).jsonValue(), "nullable": True, "metadata": f.metadata or {}}
        for f in fields
    ]
    return _deltalake().Schema.from_json(json.dumps({"type": "struct", "fields": columns}))


def _nullable(data_type: T.DataType) -> T.DataType:
    """The type, whose elements and values may be null."""
    if isinstance(data_type, T.ArrayType):
        return T.ArrayType(_nullable(data_type.elementType), True)
    if isinstance(data_type, T.MapType):
        return T.MapType(_nullable(data_type.keyType), _nullable(data_type.valueType), True)
    if isinstance(data_type, T.StructType):
        return T.StructType([T.StructField(f.name, _nullable(f.dataType), True, f.metadata) for f in data_type])
    return data_type


def _deltalake() -> Any:
    try:
        import deltalake
        import deltalake.exceptions
    except ImportError:
        raise EnvironmentFault.not_installed("deltalake", "this engine", "sail") from None
    return deltalake
