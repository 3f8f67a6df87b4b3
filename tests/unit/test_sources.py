"""What `sources` says and asks for without reading a row: places without secrets, literal files, encodings."""

import gzip
from types import SimpleNamespace

import pytest
from config_examples import project, put
from pyspark.errors import PySparkException

from rfm_spark import session, sources
from rfm_spark.config import config_hash, defaults, from_data
from rfm_spark.config.words import without_secrets
from rfm_spark.errors import ConfigError, EnvironmentFault, InputError
from rfm_spark.sources import by_file, headers, messages, reading
from rfm_spark.sources.columns import is_on, options_of

PLACES = [
    ("s3a://KEY:SECRET@bucket/in/*.csv", "s3a://(removed)@bucket/in/*.csv"),
    ("s3a://KEY:SEC/RET+x@bucket/in", "s3a://(removed)@bucket/in"),
    ("wasbs://c@a.blob.core.windows.net/x?sv=1&sig=abc%3D", "wasbs://c@a.blob.core.windows.net/x?sv=1&sig=(removed)"),
    ("abfss://raw@account.dfs.core.windows.net/in", "abfss://raw@account.dfs.core.windows.net/in"),
    ("hdfs://name:8020/in/a@b.csv", "hdfs://name:8020/in/a@b.csv"),
    (
        "jdbc:postgresql://ann:pw@host:5432/db?password=pw",
        "jdbc:postgresql://(removed)@host:5432/db?password=(removed)",
    ),
    ("/data/in/me@home.csv", "/data/in/me@home.csv"),
]


@pytest.mark.parametrize(("path", "shown"), PLACES)
def test_only_secrets_are_masked(path, shown):
    assert without_secrets(path) == shown


def at(path: str):
    data = project()
    put(data, "sources.0.path", path)
    return from_data(data)


def test_a_message_and_the_run_record_name_the_place_without_its_secret():
    source = at(PLACES[0][0]).sources[0]
    assert sources.place(source) == PLACES[0][1]
    for error in ("[PATH_NOT_FOUND] Path does not exist", "s3a://KEY:SECRET@bucket is down", "UNABLE_TO_INFER_SCHEMA"):
        told = messages.explain_unreadable(source, ValueError(error))
        assert "bucket" in told
        assert "SECRET" not in told


def test_two_containers_are_two_projects():
    one, other = (at(f"abfss://{container}@account.dfs.core.windows.net/in") for container in ("raw", "test"))
    assert config_hash(one) != config_hash(other)
    assert "abfss://raw@account" in defaults(one)


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        ("file:///in/my%20file.csv", "file:///in/my file.csv"),
        ("file:///in/100%25.csv", "file:///in/100%.csv"),
        ("file:///in/a%5B1%5D%7Bx%7D.csv", r"file:///in/a\[1\]\{x\}.csv"),
        ("file:///in/what%3F*.csv", r"file:///in/what\?\*.csv"),
    ],
)
def test_a_listed_file_is_read_as_that_file(address, literal):
    assert reading.as_pattern(address) == literal


@pytest.mark.parametrize(
    ("encoding", "lets", "fails"),
    [
        ("UTF-8", "false", False),
        ("ISO-8859-1", "false", False),
        ("windows-1252", "true", False),
        ("windows-1252", "false", True),
    ],
)
def test_an_encoding_asks_for_javas_charsets_only_where_it_needs_them(encoding, lets, fails):
    spark = SimpleNamespace(conf=SimpleNamespace(get=lambda key, default: lets))
    source = at("in.csv").sources[0]
    if not fails:
        reading.require_encoding(spark, source, {"encoding": encoding})
        return
    with pytest.raises(EnvironmentFault, match=r"options\.encoding is windows-1252.*deliver UTF-8"):
        reading.require_encoding(spark, source, {"encoding": encoding})


@pytest.mark.parametrize("given", [{"multiLine": True}, {"multiline": "True"}, {"MULTILINE": "TRUE"}])
def test_options_are_asked_for_whatever_their_case(given):
    data = project()
    put(data, "sources.0.options", given | {"SEP": ";", "lineSep": "|", "fs.s3a.Endpoint": "x"})
    options = options_of(from_data(data).sources[0])
    assert list(options) == ["multiLine", "sep", "lineSep", "fs.s3a.Endpoint"]
    assert is_on(options, "multiLine")
    assert not is_on(options, "header")


@pytest.mark.parametrize("given", [{"multiLine": True}, {"multiline": True}, {"multiLine": "True"}])
def test_json_lines_are_no_document_whatever_the_case(tmp_path, given):
    (tmp_path / "f.json").write_text('{"id":1}\n{"id":2}\n')
    lines = [SimpleNamespace(value=line) for line in (tmp_path / "f.json").read_text().splitlines()]
    spark = SimpleNamespace(read=SimpleNamespace(text=lambda _: SimpleNamespace(head=lambda _: lines)))
    data = project()
    put(data, "sources.0", data["sources"][0] | {"format": "json", "path": str(tmp_path / "f.json"), "options": given})
    with pytest.raises(InputError, match=r"one JSON object a line.*take that option out"):
        by_file.load(spark, from_data(data).sources[0])


def test_a_first_line_is_no_header_whatever_the_case(tmp_path):
    (tmp_path / "f.csv").write_text("a;b\n1;2\n")
    data = project()
    put(data, "sources.0.options", {"Header": False, "Delimiter": ";"})
    source = from_data(data).sources[0]
    options = headers.csv_options(options_of(source))
    assert list(headers.by_header(source, [str(tmp_path / "f.csv")], list, options)) == [("_c0", "_c1")]


PACKED = gzip.compress(b"".join(b"%d,%d\n" % (i, i * i) for i in range(99)))
FLIPPED = bytearray(PACKED)
FLIPPED[12:40] = bytes(28)


@pytest.mark.parametrize("content", [b"id,date\n1,2\n", PACKED[:16], bytes(FLIPPED)], ids=["text", "cut", "bad"])
def test_a_damaged_or_misnamed_archive_is_named(tmp_path, content):
    (tmp_path / "f 1.csv.gz").write_bytes(content)
    message = r"source orders: cannot read .*/f 1.csv.gz as csv: it is cut off, damaged or of another format"
    with pytest.raises(InputError, match=message):
        headers.by_header(at("in.csv").sources[0], [f"file://{tmp_path}/f%201.csv.gz"], list, headers.csv_options({}))


class Hosted:
    """The settings of a platform that lets only those be set that the meaning of SQL depends on."""

    def __init__(self):
        self.values = dict.fromkeys(session.SEMANTICS, "other")

    def get(self, key, default=None):
        return self.values.get(key, default)

    def set(self, key, value):
        if key not in session.SEMANTICS:
            raise ValueError(f"{key} cannot be set")
        self.values[key] = value


def test_a_platform_that_does_not_let_javas_charsets_be_set_runs_the_jobs():
    spark = SimpleNamespace(conf=Hosted())
    with session.settings(spark):
        assert spark.conf.values == session.SEMANTICS
    assert set(spark.conf.values.values()) == {"other"}


@pytest.mark.parametrize(
    "told",
    [
        "invalid datetime pattern: unsupported pattern letter 'b'",
        "element_at: the index is out of bounds",
        "failed to call 'regex_match' Compute error: Regular expression did not compile: SECRET",
        'Parser error: Invalid input syntax for type interval: "SECRET days"',
        "Unsupported TRY_CAST from Boolean to Decimal128(18, 2)",
        "[CANNOT_DECODE_URL] The provided URL cannot be decoded: SECRET",
        "SparkException: Job aborted: java.util.regex.PatternSyntaxException: Unclosed group near index 1 SECRET",
    ],
)
def test_sql_that_an_engine_cannot_calculate_is_a_fault_of_the_project(told):
    fault = reading.cause(PySparkException(told), [])
    assert isinstance(fault, ConfigError)
    assert str(fault).startswith("SQL ")
    assert "SECRET" not in str(fault)
    assert reading.cause(IndexError("list index out of range"), []) is None
    assert reading.cause(PySparkException("Job aborted: Index 5 out of bounds for length 5"), []) is None
