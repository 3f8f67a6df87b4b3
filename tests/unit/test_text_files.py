"""Rows of CSV and JSON text as Spark gives them, without an engine: every expected row is one that Spark printed."""

import json
from types import SimpleNamespace

import pytest

from rfm_spark.errors import InputError
from rfm_spark.sources import by_file, text_files
from rfm_spark.sources import csv_rows as csv_rows_module
from rfm_spark.sources.csv_rows import Dialect, csv_rows, dialect
from rfm_spark.sources.json_rows import json_rows, merged_kinds, pruned_kind, records_kind

HEAD = "a,b,c\n"
OPEN = '"a,2,3'


def told(blocks, d: Dialect) -> list[list[str | None]]:
    """Cells as they are told, and the text of the row where it is malformed."""
    return [
        [*(d.values.get(cell, cell) for cell in cells), fault]
        for rows, faults in csv_rows(blocks, d)
        for cells, fault in zip(rows, faults, strict=True)
    ]


CSV = [
    ("plain", {}, "1,2,3\n4,5,6", [["1", "2", "3", None], ["4", "5", "6", None]]),
    ("empty_cells", {}, '1,"",3\n,,\n', [["1", None, "3", None], [None, None, None, None]]),
    ("null_value", {"nullValue": "NA"}, '1,"",3\n"NA",NA,\n', [["1", "", "3", None], [None, None, None, None]]),
    ("empty_value", {"emptyValue": "E"}, '1,"",3\nE,,""\n', [["1", "E", "3", None], ["E", None, "E", None]]),
    ("too_few", {}, "1,2\n1\n", [["1", "2", None, "1,2"], ["1", None, None, "1"]]),
    ("too_many", {}, "1,2,3,4\n", [["1", "2", "3", "1,2,3,4"]]),
    ("blank_lines", {}, "\n1,2,3\n\n   \n\n", [["1", "2", "3", None], ["   ", None, None, "   "]]),
    ("blank_lines_each", {"multiLine": "false"}, "\n1,2,3\n   \n\t\n", [["1", "2", "3", None]]),
    ("line_break", {}, '"x\ny",2,3\n"x\ny",2\n', [["x\ny", "2", "3", None], ["x\ny", "2", None, '"x\ny",2']]),
    ("line_each", {"multiLine": "false"}, '1,"a\n2",3\n', [["1", "a", None, '1,"a'], ['2"', "3", None, '2",3']]),
    ("comment", {"comment": "#"}, '#1\n1,2,"#\n#"\n#,\n', [["1", "2", "#\n#", None]]),
    ("after_quote", {}, '"a"b,2,3\n"a" ,2,3\n"a" b,2,3\n', [[a, "2", "3", None] for a in ('"a"b', "a", '"a" b')]),
    ("quote_inside", {}, 'a"b,"a""b", "c"\n', [['a"b', 'a"b', ' "c"', None]]),
    ("quotes_everywhere", {}, '"a" "b,c",2,3\n', [['"a" "b', 'c"', "2", '"a" "b,c",2,3']]),
    ("three_quotes", {}, '"""a",b"",c\n', [['"a', 'b""', "c", None]]),
    ("only_a_quote", {}, '1,2,"', [["1", "2", '"', None]]),
    ("swallowed", {}, f"{OPEN}\n4,5,6\n7,8,9\n", [[None, None, None, line] for line in (OPEN, "4,5,6", "7,8,9")]),
    ("a_sentence", {}, '1,"so, well, yes\nand, again, no",3\n', [["1", "so, well, yes\nand, again, no", "3", None]]),
    ("carriage_return", {}, "1,2,3\r\n1,2\r\n", [["1", "2", "3\r", None], ["1", "2\r", None, "1,2"]]),
    ("no_quotes", {"quote": ""}, '"1,2",3\n', [['"1', '2"', "3", None]]),
    ("other_quote", {"quote": "'"}, "'1,2',\"3\",'it''s'\n", [["1,2", '"3"', "it's", None]]),
    ("backslash", {"escape": "\\"}, '"a\\"b",a\\"b,"a\\\\"\n', [['a"b', 'a\\"b', "a\\", None]]),
    ("backslash_never", {"escape": "\\"}, '"a"b,"a""b",""\n', [['"a"b', '"a""b"', None, None]]),
    ("backslash_n", {"escape": "\\"}, '"a\\nb","a""b",\n', [["a\\nb", '"a""b"', None, None]]),
]
WHOLE = [
    ("header_only", {}, HEAD, []),
    ("nothing", {}, "", []),
    ("no_header", {"header": "false"}, "1,2,3\n", [["1", "2", "3", None]]),
    ("mark", {}, f"\ufeff{HEAD}1,2,3\n", [["1", "2", "3", None]]),
    ("tabs", {"sep": "\\t"}, 'a\tb\tc\n1\t"2\t3"\t\n"v" \té\t\n', [["1", "2\t3", None, None], ["v", "é", None, None]]),
    ("bars", {"delimiter": "||"}, 'a||b||c\n1|||2||"3||4"\n', [["1", "|2", "3||4", None]]),
    ("crlf", {}, 'a,b,c\r\n"x\r\ny",2\r\n1,2,3\r\n', [["x\ny", "2", None, '"x\r\ny",2'], ["1", "2", "3", None]]),
    ("crlf_and_lf", {}, "a,b,c\r\n5,6\n5,6,7\r8\n", [["5", "6\n5", "6", "5,6\n5,6,7\r8"]]),
    ("cr", {}, 'a,b,c\r1,2\r"x\ry",2,4\r', [["1", "2", None, "1,2"], ["x\ny", "2", "4", None]]),
    ("mixed_each", {"multiLine": "false"}, "a,b,c\r\n1,2,3\r4,5,6\n", [["1", "2", "3", None], ["4", "5", "6", None]]),
]
WHOLE += [(name, options, HEAD + text, rows) for name, options, text, rows in CSV]


@pytest.mark.parametrize(("options", "text", "rows"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_csv_rows_wherever_the_text_is_cut(options, text, rows, size):
    data = text.encode()
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    d = dialect(3, options)
    assert told(text_files._decoded([*blocks, b""], "utf-8"), d) == rows


def test_one_column_has_blank_lines_too():
    assert told(['a\n\n1\n""\n2,3\n'], dialect(1, {})) == [["1", None], [None, None], ["2", "2,3"]]


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        ("utf-8", b"\xef\xbb\xbfa\xe2\x82b\xff", "a\ufffdb\ufffd"),
        ("ISO-8859-1", b"M\xfcller", "Müller"),
        ("windows-1252", b"\x80\x81", "€\ufffd"),
        ("UTF-16", b"\xff\xfea\0", "a"),
        ("UTF-16", b"\0a", "a"),
        ("UTF-16LE", b"\xff\xfea\0", "a"),
    ],
)
def test_text_as_java_decodes_it(encoding, data, text):
    assert "".join(text_files._decoded([data, b""], encoding)) == text


def test_what_an_unclosed_quote_holds_is_not_read_again_at_every_block(monkeypatch):
    read, parse = [], csv_rows_module._rows
    monkeypatch.setattr(csv_rows_module, "_rows", lambda text, *rest: read.append(len(text)) or parse(text, *rest))
    blocks = [f'{HEAD}1,"2,3\n', *["1,2,3\n" * 1000] * 50]
    rows = told(blocks, dialect(3, {}))
    assert len(rows) == 50_001
    assert {row[0] for row in rows} == {None}
    assert sum(read) < 4 * sum(map(len, blocks))


# --- JSON ------------------------------------------------------------------------------------------------------------

FLAT = {"a": "string", "b": "string"}
BAD = ["{", "5", '"text"', "null", "nope", "[5]", '[{"a":1},5]', '[{"a":1},null]', '[[{"a":1}]]', '{"a":1,}', "{a:1}"]
BAD += ['{"a":01}', '{"a":.5}', '{"a":+5}', '{"a":5.}', '{"a":"\t"}', '{"a":"\\q"}', '{"a" 1}', '{"a":INF}']
BAD += ['{"a":tru}', '{"a":1', '{"a":1]', '/* c */ {"a":1}', '{"a":[1,2}', "{'a':1", "{'a':'x"]
GOOD = [
    ('{"a":5.10,"b":1E+400}', [("5.10", "1E+400")]),
    ('{"b":true,"c":1}', [(None, "true")]),
    ('{"a":-0,"b":"\\u00e9\\/\\n"}', [("-0", "é/\n")]),
    ('{"a":NaN,"b":+INF}', [("NaN", "+INF")]),
    ('{"a":Infinity,"b":-Infinity}', [("Infinity", "-Infinity")]),
    ("{'a':'it\\'s','b':\"'\"}", [("it's", "'")]),
    ('{"a":"it\\\'s"}', [("it's", None)]),
    ('\t{"a":1} trailing', [("1", None)]),
    ('{"a":1}{"a":2}', [("1", None)]),
    ("{}", [(None, None)]),
    ('[{"a":1},{"b":""}]', [("1", None), (None, "")]),
    ('{"a":{"x": 1.0,"y":[]},"b":[ 1,2 ]}', [('{"x": 1.0,"y":[]}', "[ 1,2 ]")]),
    ("{'a':{'x':1}}", [("{'x':1}", None)]),
    ("[]", []),
    (" \t ", []),
    ("", []),
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_json_object_is_a_malformed_row(text):
    assert json_rows(text.encode(), FLAT) == [({}, text)]


@pytest.mark.parametrize(("text", "rows"), GOOD)
def test_json_values_are_texts_as_written(text, rows):
    found = json_rows(text.encode(), FLAT)
    assert [(row.get("a"), row.get("b")) for row, _ in found] == rows
    assert {fault for _, fault in found} <= {None}


def test_json_that_does_not_decode_is_a_malformed_row():
    assert json_rows(b'{"a":"\xff"}', FLAT) == [({}, '{"a":"\ufffd"}')]


NESTED = {"l": [{"p": "string"}], "s": {"b": "string", "c": {"d": "string"}}}
MISFITS = [
    ('{"s":{"b":"","c":{"d":5.10}},"l":[]}', {"l": [], "s": {"b": "", "c": {"d": "5.10"}}}, False),
    ('{"s":"","l":[{"p":1}]}', {"l": [{"p": "1"}], "s": None}, True),
    ('{"s":{"b":1,"c":""}}', {"l": None, "s": {"b": "1", "c": None}}, True),
    ('{"l":[{"p":1},"",{"p":2}],"s":{}}', {"l": None, "s": {"b": None, "c": None}}, True),
    ('{"l":[null,{"p":{"r":1}}]}', {"l": [None, {"p": '{"r":1}'}], "s": None}, False),
]


@pytest.mark.parametrize(("text", "fields", "malformed"), MISFITS)
def test_where_an_object_is_expected_an_empty_text_is_a_fault(text, fields, malformed):
    assert json_rows(text.encode(), NESTED) == [(fields, text if malformed else None)]


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (['{"b":1,"a":null,"Z":true,"é":"","":1}'], dict.fromkeys(["Z", "a", "b", "é"], "string")),
        (['{"a":{"x":1}}', '{"a":{"y":[]}}', '{"a":""}'], {"a": {"x": "string", "y": ["string"]}}),
        (['{"a":{"x":1}}', '{"a":"t"}'], {"a": "string"}),
        (['{"a":[{"x":1},{"y":2}]}', '{"a":[null,""]}'], {"a": [{"x": "string", "y": "string"}]}),
        (['{"a":[1,{"x":1}],"b":[[1],[]]}'], {"a": ["string"], "b": [["string"]]}),
        (['{"a":{},"b":[{}],"c":1}'], {"c": "string"}),
        (['[{"a":1},{"b":1}]', '[[{"c":1}]]', "[1]", "5", "x", ""], dict.fromkeys("abc", "string")),
        (["{}", "5"], {}),
    ],
)
def test_the_columns_of_json(lines, kind):
    """Whichever file holds which line."""
    found = records_kind(line.encode() for line in lines)
    by_file = {}
    for line in lines:
        by_file = merged_kinds(by_file, json.loads(json.dumps(records_kind([line.encode()]))))
    assert pruned_kind(found) == pruned_kind(by_file) == kind
    assert list(pruned_kind(found)) == list(kind)


@pytest.mark.parametrize("nested", [b"[" * 900 + b"]" * 900, b"[" * 900 + b"'x'" + b"]" * 900, b"[" * 100_000])
def test_json_nested_without_end_ends_nothing(nested):
    record = b'{"a":' + nested + b"}"
    assert records_kind([record, b'{"b":1}'])["b"] == "string"
    assert len(json_rows(record, FLAT)) == 1


def test_names_of_json_columns_that_differ_only_in_capitals_are_refused(monkeypatch, tmp_path):
    (tmp_path / "f.json").write_text('{"Id":1,"id":2,"n":3}')
    frame = SimpleNamespace(columns=["Id", "id", "n", "_corrupt_record", "_file"])
    monkeypatch.setattr(text_files, "json_frame", lambda *_: frame)
    source = SimpleNamespace(name="orders", format="json", path=str(tmp_path), table=None, options={})
    vars(source).update(columns={}, ids={}, types={})
    with pytest.raises(InputError, match=r"source orders: column Id, id stands twice in the objects of .*; rename one"):
        by_file.load(None, source)


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "options", "named"),
    [
        ("csv", {"Sep": ";", "HEADER": "true", "mode": "DROPMALFORMED", "pathGlobFilter": "*.csv"}, []),
        ("csv", {"lineSep": "|", "ignoreLeadingWhiteSpace": "true"}, ["lineSep", "ignoreLeadingWhiteSpace"]),
        ("csv", {"ignoreTrailingWhiteSpace": "False", "inferSchema": "true", "dateFormat": "yyyy"}, []),
        ("csv", {"encoding": "windows-1252"}, []),
        ("csv", {"charset": "x-none"}, ["charset"]),
        ("json", {"multiLine": "true", "encoding": "UTF-16"}, []),
        ("json", {"encoding": "utf8"}, []),
        ("json", {"encoding": "UTF-16", "sep": ";"}, ["encoding", "sep"]),
        ("json", {"primitivesAsString": "false", "allowComments": "true"}, ["primitivesAsString", "allowComments"]),
    ],
)
def test_options_that_are_not_followed_are_named(format_, options, named):
    assert text_files.unsupported(format_, options) == named


def test_of_an_object_that_is_null_each_field_is():
    """Or the engine, which looks at the field alone, gives an empty text for it."""
    kind = {"a": "string", "deep": {"b": "string"}, "list": [{"c": "string"}]}
    rows = [
        {"a": "x", "deep": {"b": "1"}, "list": [{"c": "2"}, None, {"c": None}]},
        None,
        {"a": None, "deep": None, "list": None},
        {"a": "", "deep": {"b": None}, "list": []},
    ]
    made = text_files._array(rows, kind)
    made.validate(full=True)
    assert made.to_pylist() == rows
    assert made.field("a").to_pylist() == ["x", None, None, ""]
    assert made.field("deep").field("b").to_pylist() == ["1", None, None, None]
    assert made.field("list").values.field("c").to_pylist() == ["2", None, None]
    assert text_files._array([], kind).to_pylist() == []
