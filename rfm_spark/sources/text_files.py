"""CSV and JSON files parsed by Python inside an engine whose own readers end a job at a malformed row."""

import codecs
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import accumulate, islice
from typing import Any
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from rfm_spark.sources.columns import CORRUPT, FILE, is_on
from rfm_spark.sources.csv_rows import Dialect, csv_rows, dialect
from rfm_spark.sources.json_rows import Kind, json_rows, merged_kinds, pruned_kind, records_kind

_BLOCK_BYTES, _BATCH_ROWS, _MAX_TASKS = 1 << 16, 50_000, 256

_FOLLOWED = {"csv": "sep delimiter quote escape comment nullvalue emptyvalue header multiline", "json": "multiline"}
_ONLY_AS = {  # followed with this one value
    "csv": {"ignoreleadingwhitespace": "false", "ignoretrailingwhitespace": "false", "maxcharspercolumn": "-1"},
    "json": dict.fromkeys(("primitivesasstring", "allowsinglequotes", "allownonnumericnumbers"), "true")
    | dict.fromkeys(("allowcomments", "allowunquotedfieldnames", "allownumericleadingzeros"), "false")
    | dict.fromkeys(("allowbackslashescapinganycharacter", "allowunescapedcontrolchars"), "false")
    | dict.fromkeys(("dropfieldifallnull", "prefersdecimal", "infertimestamp"), "false"),
}
# the caller's, and those that change nothing where every value is read as text
_ELSEWHERE = (
    "pathglobfilter recursivefilelookup modifiedbefore modifiedafter basepath mode columnnameofcorruptrecord "
    "columnpruning inferschema preferdate enforceschema dateformat timestampformat timestampntzformat timezone locale "
    "nanvalue positiveinf negativeinf enabledatetimeparsingfallback compression maxcolumns"
)

Records = Callable[[str], Iterator[bytes]]  # those of a file


def csv_frame(
    spark: SparkSession, files: Sequence[str], header: tuple[str, ...], options: Mapping[str, str]
) -> DataFrame:
    """One row a row of the files, malformed ones too, and a row a line that an unclosed quote has swallowed.

    Reads: files as listed (`file:///a/b%20c.csv`, `s3://…`), .gz, .bz2 and .zst by their names, whose columns are
        those of `header`. Options are Spark's; header, multiLine and a quote doubled in quotes go without saying.
    Returns: the columns of `header`, all string; `_corrupt_record` (the text of a malformed row, else null); `_file`.
    Rules: Spark's. A cell that is empty or `nullValue` is null, an empty one in quotes is `emptyValue`. A row with too
        few cells ends in nulls, one with too many loses the rest. Bytes that do not decode are U+FFFD. A file is one
        task, and goes through it in batches.
    Raises: the engine's error, which says `while reading file …`, at a file that cannot be read to its end.
    """
    schema = T.StructType([T.StructField(name, T.StringType()) for name in (*header, CORRUPT, FILE)])
    batches = partial(_csv_batches, dialect(len(header), options))
    return one_task_a_file(spark, files).mapInArrow(partial(each_file, batches), schema)


def json_kind(spark: SparkSession, files: Sequence[str], options: Mapping[str, str]) -> Kind:
    """What the objects in files have, as columns; empty where no file holds an object with a field.

    Reads: see `csv_frame`. Raises: see there.
    """
    batches = partial(_kind_batches, _records(options))
    found = one_task_a_file(spark, files).mapInArrow(partial(each_file, batches), "kind string").collect()
    kind = pruned_kind(reduce(merged_kinds, (json.loads(row[0]) for row in found), {}))
    kind.pop(CORRUPT, None)
    return kind


def json_frame(
    spark: SparkSession,
    files: Sequence[str],
    options: Mapping[str, str],
    texts: Container[str] = (),
    kind: Kind = None,
) -> DataFrame | None:
    """One row an object of a line, or with multiLine of the one document of a file, malformed ones too.

    Reads: the files, twice, since the columns are what the objects have, or those of `kind`, if given; see
        `csv_frame`. `texts`: names, in lower case, of fields that are text whatever they hold.
    Returns: the objects' fields by name, texts as written, objects as structs, arrays as arrays; `_corrupt_record`
        (the text of what is no JSON object, else null); `_file`. None where no file holds an object with a field.
    Rules: Spark's. A field that is an object here and a text there, or of `texts`, is JSON text. An array at the top is
        a row an object. What follows a value on its line is ignored. Where an object is expected, "" makes the field
        null and the row malformed.
    Raises: see `csv_frame`.
    """
    kind = json_kind(spark, files, options) if kind is None else kind
    if not kind:
        return None
    kind |= {name: "string" for name in kind if name.lower() in texts}
    schema = _spark_type(kind | {CORRUPT: "string", FILE: "string"})
    batches = partial(_json_batches, _records(options), kind)
    return one_task_a_file(spark, files).mapInArrow(partial(each_file, batches), schema)


def unsupported(format_: str, options: Mapping[str, str]) -> list[str]:
    """Names of the options, as given, that the reader of `format_` (csv or json) does not follow.

    Rules: names and values in any case. Not named is what cannot change a text, what is about which files to read, and
        what a malformed row becomes.
    """

    def followed(name: str, value: str) -> bool:
        if name in ("encoding", "charset"):
            return _codec(value) == "utf-8" or (_codec(value) != "" and (format_ == "csv" or multiline))
        if name in _ONLY_AS[format_]:
            return value.lower() == _ONLY_AS[format_][name]
        return name in f"{_FOLLOWED[format_]} {_ELSEWHERE}".split()

    multiline = any(name.lower() == "multiline" and value.lower() == "true" for name, value in options.items())
    return [name for name, value in options.items() if not followed(name.lower(), value)]


# --- what the engine runs --------------------------------------------------------------------------------------------


def one_task_a_file(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """One row a file, each a task of its own: what `each_file` is mapped over."""
    named = spark.createDataFrame([(file,) for file in files], "file string")
    return named.repartition(min(len(files), _MAX_TASKS)) if len(files) > 1 else named


def each_file(batches_of: Callable[[str], Iterator[Any]], names: Iterable[Any]) -> Iterator[Any]:
    """All batches of all files. `names`: Arrow batches with the addresses in the first column; `batches_of`, of one."""
    for file in (file for batch in names for file in batch.column(0).to_pylist()):
        try:
            yield from batches_of(file)
        except Exception as error:
            raise OSError(f"Error while reading file {file} - {type(error).__name__}: {error}") from error


def _csv_batches(d: Dialect, file: str) -> Iterator[Any]:
    rows: list[list[str]] = []
    faults: list[str | None] = []

    def column(cells: Sequence[str]) -> Sequence[str | None]:
        return [d.values.get(cell, cell) for cell in cells] if any(cell in cells for cell in d.values) else cells

    def batch() -> Any:
        return _batch([*map(column, zip(*rows, strict=True)), faults], ["string"] * (d.width + 1), file)

    for more_rows, more_faults in csv_rows(_decoded(_blocks(file), d.encoding), d):
        rows += more_rows
        faults += more_faults
        if len(rows) >= _BATCH_ROWS:
            yield batch()
            rows, faults = [], []
    if rows:
        yield batch()


def _kind_batches(records: Records, file: str) -> Iterator[Any]:
    import pyarrow as pa

    yield pa.RecordBatch.from_pydict({"kind": [json.dumps(records_kind(records(file)))]})


def _json_batches(records: Records, kind: dict[str, Kind], file: str) -> Iterator[Any]:
    rows = (row for record in records(file) for row in json_rows(record, kind))
    while some := list(islice(rows, _BATCH_ROWS)):
        columns = [[row.get(name) for row, _ in some] for name in kind]
        yield _batch([*columns, [fault for _, fault in some]], [*kind.values(), "string"], file)


def _batch(columns: Iterable[Sequence[Any]], kinds: Iterable[Kind], file: str) -> Any:
    """The columns, and the file in each row, as the engine takes them."""
    import pyarrow as pa

    def array(column: Sequence[Any], kind: Kind) -> Any:
        try:
            return _array(column, kind)
        except UnicodeEncodeError:
            return _array(list(map(_encodable, column)), kind)

    arrays = [array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    arrays.append(pa.array([file] * len(arrays[0]), pa.string()))
    return pa.RecordBatch.from_arrays(arrays, names=[str(i) for i in range(len(arrays))])


def _array(values: Sequence[Any], kind: Kind) -> Any:
    """The values as Arrow has them; of an object that is null each field is null, which the engine does not see to."""
    import pyarrow as pa

    if isinstance(kind, dict):
        nothing = pa.array([value is None for value in values], pa.bool_())
        objects = [value or {} for value in values]
        fields = [_array([one.get(name) for one in objects], inner) for name, inner in kind.items()]
        return pa.StructArray.from_arrays(fields, fields=list(_arrow_type(kind)), mask=nothing)
    if isinstance(kind, list):
        ends = accumulate((len(value or ()) for value in values), initial=0)
        starts = [None if value is None else start for value, start in zip(values, ends, strict=False)]
        items = [item for value in values for item in value or ()]
        return pa.ListArray.from_arrays(pa.array([*starts, len(items)], pa.int32()), _array(items, kind[0]))
    return pa.array(values, pa.string())


def _encodable(value: Any) -> Any:
    """The value with "?" for half of a character of two halves, as Java writes it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _encodable(inner) for name, inner in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value


def _spark_type(kind: Kind) -> Any:
    if isinstance(kind, dict):
        return T.StructType([T.StructField(name, _spark_type(inner)) for name, inner in kind.items()])
    return T.ArrayType(_spark_type(kind[0])) if isinstance(kind, list) else T.StringType()


def _arrow_type(kind: Kind) -> Any:
    import pyarrow as pa

    if isinstance(kind, dict):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in kind.items()])
    return pa.list_(_arrow_type(kind[0])) if isinstance(kind, list) else pa.string()


# --- files -----------------------------------------------------------------------------------------------------------


def located(file: str) -> tuple[Any, str]:
    """The file system that an address is in, and the path there."""
    from pyarrow import fs

    url = urlparse(file)
    if url.scheme in ("", "file"):
        return fs.LocalFileSystem(), unquote(url.path) if url.scheme else file
    return fs.FileSystem.from_uri(re.sub("^s3[an]:", "s3:", file))


def _blocks(file: str) -> Iterator[bytes]:
    """The content, decompressed, and an empty block at its end."""
    system, path = located(file)
    if path.endswith((".snappy", ".deflate", ".lz4")):
        raise ValueError("compressed in a way that is not supported; expected .gz, .bz2 or .zst")
    with system.open_input_stream(path) as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    yield b""


def _records(options: Mapping[str, str]) -> Records:
    encoding = options.get("encoding", options.get("charset"))
    return partial(_documents, encoding) if is_on(options, "multiLine") else _lines


def _lines(file: str) -> Iterator[bytes]:
    pieces, mark = [b""], codecs.BOM_UTF8
    for block in _blocks(file):
        pieces.append(block)
        if block and b"\n" not in block:  # joined once a line ends, however long it is
            continue
        lines = b"".join(pieces).removeprefix(mark).splitlines(keepends=True)
        pieces, mark = [lines.pop() if block and not lines[-1].endswith(b"\n") else b""], b""
        yield from (line.rstrip(b"\r\n") for line in lines)


def _documents(encoding: str | None, file: str) -> Iterator[bytes]:
    content = b"".join(_blocks(file))
    codec = _codec(encoding or json.detect_encoding(content))
    if codec.startswith("utf-8"):
        yield content.removeprefix(codecs.BOM_UTF8)  # and what does not decode is for `json_rows` to see
    else:
        yield "".join(_decoded([content, b""], codec)).encode()


def _decoded(blocks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """The blocks, of which the last is empty, as text without a byte order mark."""
    codec, decoder, at_start = _codec(encoding), None, True
    for block in blocks:
        if decoder is None:
            unmarked = codec == "utf-16" and not block.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE))
            decoder = codecs.getincrementaldecoder("utf-16-be" if unmarked else codec)("replace")  # as Java takes it
        text = decoder.decode(block, not block)
        yield text.removeprefix("\ufeff") if at_start else text
        at_start = at_start and not text


def _codec(encoding: str) -> str:
    """Python's name of an encoding; empty where it has none."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return ""
