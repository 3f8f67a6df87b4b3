"""The same files, nasty ones, read by Spark and by `text_files` on Sail, give the same rows."""

import bz2
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from e2e import bad_input as bad

from rfm_spark.sources import reading, text_files

pytestmark = pytest.mark.spark_only  # what is compared with

HEAD = "id,date,amount\n"
ROWS = 'A1,2011-01-02,5.00\n"B, 2",2011-01-02,\nfew\nmany,1,2,3\n"l\r\nm",2,"say ""hi"""\n\n"x"y, z ,"v" \n'
NAMES = ("Kunden Nr.", "ä.b c", 'tick ` "quote"')
CASES = {  # header or None for JSON, options, files
    "default": (
        ("id", "date", "amount"),
        {},
        {
            "rows.csv": HEAD + ROWS,
            "crlf.csv": (HEAD + ROWS).replace("\n", "\r\n"),
            "cr.csv": (HEAD + ROWS).replace("\n", "\r"),
            "no end.csv": HEAD + ROWS[:-1],
            "100%[a]#.csv": HEAD + "p,q,r\n",
            "mark.csv": "\ufeff" + HEAD + ROWS,
            "header.csv": HEAD,
            "empty.csv": "",
            "unclosed.csv": HEAD + 'A,1,"2\n' + "B,1,2\n" * 2000,
            "long.csv": HEAD + f'A,"{"é" * 200_000}\n",3\nB,{"x" * 200_000}\n',
            "undecodable.csv": b"id,date,amount\nM\xfcller,\xe2\x82,\x80\n",
            "parts.csv.gz": gzip.compress((HEAD + ROWS).encode()) + gzip.compress(b"A,1,2\n"),
            "all.csv.bz2": bz2.compress((HEAD + ROWS).encode()),
        },
    ),
    "names": (NAMES, {}, {"f.csv": 'Kunden Nr.,ä.b c,"tick ` ""quote"""\n李雷,2,3\n1,2\n'}),
    "lines": (("id", "n"), {"multiLine": "false", "comment": "#"}, {"f.csv": 'id,n\r\n1,2\r#\n \n"a\nb",c\n'}),
    "no_header": (("_c0", "_c1"), {"header": "false", "sep": "||"}, {"f.csv": 'a||b\n"c||d"||\n1||2||3\n'}),
    "latin": (("id", "größe"), {"encoding": "ISO-8859-1"}, {"f.csv": "id,größe\nMüller,1\n".encode("latin-1")}),
    "tabs": (
        ("a", "b"),
        {"sep": "\\t", "emptyValue": "-", "quote": "'"},
        {"f.tsv": "a\tb\n''\t\n'c\td'\tit's\n'it''s'\t\n"},
    ),
    "backslash": (("a", "b"), {"escape": "\\", "nullValue": "NA"}, {"f.csv": 'a,b\n"x\\"y","z\\n"\nNA,""\n"p""q",\n'}),
    "cut": (("id", "date", "amount"), {}, {"cut.csv.gz": gzip.compress((HEAD + ROWS).encode())[:-20]}),
    "json": (
        None,
        {},
        {
            "a.json": '{"id":"A1","n":5.10,"deep":{"b":1,"a":[1,"x"]}}\n{"id":7,"n":true}\n\n{"id":\n5\nnull\n[]\n'
            '{\'id\':\'it\\\'s\'} x\n[{"id":1},{"id":"\\ud800"}]\r\n',
            "b c.jsonl": '\ufeff{"either":"text","list":[{"p":1}],"empty":{},"none":null}\n'
            '{"either":{"x": 1.0},"deep":{"c":""},"list":[]}\n{"deep":"","list":[{"p":1},""],"n":1e5}\n',
            "undecodable.json": b'{"id":"\xff"}\n{"id":"ok"}',
            "all.json.gz": gzip.compress(b'{"Z":1}\n{"id":2,"a b.c":3}\n'),
        },
    ),
    "json_documents": (
        None,
        {"multiLine": "true"},
        {
            "array.json": '[\n{"id":1.50,"d":{"x":1}},\n{"id":"b"}]\n',
            "object.json": ' \n{"id":\n2,\n"d":{"y":[1,\n{"z":2.50}]}}',
            "broken.json": '[{"id":1},\n{"id":',
            "empty.json": "",
            "utf16.json": '{"id":"é"}'.encode("utf-16"),
        },
    ),
    "no_object": (None, {}, {"f.json": "{}\n5\n"}),
}


def rows_of(frame) -> list[str]:
    return sorted(json.dumps(row.asDict(recursive=True), ensure_ascii=False) for row in frame.collect())


def by_sail(jobs: dict) -> dict:
    """What the frames over the files of each job hold, or the error."""
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer()
    server.start(background=True)
    session = SparkSession.builder.remote(f"sc://localhost:{server.listening_address[1]}").create()

    def answer(files, header, options):
        try:
            if header is None:
                frame = text_files.json_frame(session, files, options)
            else:
                frame = text_files.csv_frame(session, files, tuple(header), options)
            return frame and (frame.schema.simpleString(), rows_of(frame))
        except Exception as error:
            return str(error)

    return {name: answer(*job) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("text_files")
    for name, (_, _, files) in CASES.items():
        bad.write(made / name, files)
    return made


@pytest.fixture(scope="module")
def found(_session, folder):
    """What Sail gives for each case, all asked in one process of its own: beside it there is no classic session."""
    jobs = {
        name: (sorted(_session.read.text(str(folder / name)).inputFiles()), header, options)
        for name, (header, options, _) in CASES.items()
    }
    missing = (folder / "missing.csv").as_uri()
    jobs["missing"] = ([missing], ("a",), {})
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [env.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(jobs),
        env=env | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", [name for name in CASES if name not in ("no_object", "cut")])
def test_rows_are_the_same_as_by_spark(spark, folder, found, case):
    header, options, _ = CASES[case]
    source = SimpleNamespace(name=case, format="json" if header is None else "csv", path=str(folder / case))
    source.options, source.columns, source.ids, source.types = options, {}, {}, {}
    expected = reading.load(spark, source)
    schema, rows = found[case]
    assert schema == expected.schema.simpleString()
    # Spark lists file:///a and tells file:/a
    assert rows == [row.replace('"file:/', '"file:///') for row in rows_of(expected)]


def test_json_without_a_field_is_none(found):
    assert found["no_object"] is None


@pytest.mark.parametrize(("case", "name"), [("cut", "cut/cut.csv.gz"), ("missing", "missing.csv")])
def test_a_file_that_cannot_be_read_is_named(folder, found, case, name):
    assert f"while reading file {(folder / name).as_uri()} " in found[case]


if __name__ == "__main__":
    print(json.dumps(by_sail(json.load(sys.stdin))))
