"""Deliveries as they come: what is wrong with each, and what must become of every row.

`DELIVERIES` are read by one ingest, since each run costs seconds; a case is a name, its files, what its source says
beside the usual, the events expected of it and the reasons expected in quarantine.
"""

import gzip
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

AS_OF = date(2012, 1, 1)
HEAD = "id,date,amount\n"
GOOD = HEAD + "A1,2011-01-02,5.00\n"
SECRET = "Annie Example"  # in no message
COLUMNS = {"source_customer_id": "id", "event_ts": "date", "amount": "amount"}
NOTE = {"columns": COLUMNS | {"note": "note"}}
ACTION = {"decision": "Write", "channel": "email", "message": "hello"}


@dataclass(frozen=True)
class Delivery:
    """Files of one source by their path in its folder; events as (customer, UTC time or date, amount, extras…)."""

    name: str
    files: Mapping[str, str | bytes]
    events: list[tuple]
    reasons: dict[str, int] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    quarantined: int | None = None
    duplicates: int = 0

    @property
    def bad_rows(self) -> int:
        """Rows that must be in quarantine; where a row has one reason each, the sum of the reasons."""
        return sum(self.reasons.values()) if self.quarantined is None else self.quarantined


def source_of(name: str, path: str, **given: Any) -> dict[str, Any]:
    """A source of purchases in a CSV file; a value of None takes a key out."""
    usual = {"name": name, "format": "csv", "path": path, "event_type": "purchase", "columns": COLUMNS}
    return {key: value for key, value in (usual | given).items() if value is not None}


def project_file(folder: Path, sources: list[dict[str, Any]], **sections: Any) -> Path:
    """Write a project over the sources; sections replace the usual ones."""
    config = {
        "project": "bad_input",
        "question": "What becomes of each row?",
        "timezone": "UTC",
        "currency": "EUR",
        "lake": {"path": "lake"},
        "sources": sources,
        "contract": {"max_quarantined_share": 1.0, "max_amount": 1e16},
        "segmentations": [
            {
                "name": "value",
                "question": "Who?",
                "segments": [{"name": "everyone", "otherwise": True, "action": ACTION}],
            }
        ],
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(config | sections, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder; text as UTF-8, line ends as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def deliver(folder: Path, deliveries: list[Delivery]) -> list[dict[str, Any]]:
    """Write every delivery and describe its source: the one file, or the folder where there are several."""
    described = []
    for delivery in deliveries:
        write(folder / delivery.name, delivery.files)
        one = next(iter(delivery.files))
        path = f"{delivery.name}/{one}" if len(delivery.files) == 1 and "=" not in one else delivery.name
        described.append(source_of(delivery.name, path, **delivery.source))
    return described


def reasons_of(records: list[Any]) -> Counter:
    """How often each reason occurs."""
    return Counter(reason for record in records for reason in record["reasons"])


DAY = "2011-01-02"
A1 = ("A1", DAY, "5.00")


def _good(customer: str) -> str:
    return f"{HEAD}{customer},{DAY},5.00\n"


def _rows(head: str, pattern: str, values: list) -> str:
    """A file with one row a value, put in the place of the pattern's `{}`."""
    return head + "".join(pattern.format(*(v if isinstance(v, tuple) else (v,))) + "\n" for v in values)


_AMOUNTS = [
    *("1e3", "+0.005", ".5", " 7 ", "9999999999999999.99", "0", "10000000000000000", "1e400", "-1", "NaN", "Infinity"),
    *('"1,5"', "1.2.3", "five", "$5", ""),
]
_PLAIN_FILES = {
    "header_only.csv": HEAD,
    "empty.csv": "",
    "bom.csv": "\ufeff" + _good("bom"),
    "blank_lines.csv": f"\n\n{HEAD}\nblank,{DAY},5.00\n\n\n",
    "latin1_undeclared.csv": (_good("utf8") + f"Müller,{DAY},1\n").encode("latin-1"),
    "gzipped.csv.gz": gzip.compress(("\n" + _good("gzip")).encode(), mtime=0),
    "cells.csv": _good("cells") + f"few,{DAY}\nmany,{DAY},6.00,7.00\n",
    "unclosed.csv": _good("open") + f'"B2,{DAY},6.00\nC3,{DAY},7.00\nD4,{DAY},8.00\n',
    "line_ends.csv": f'{HEAD}crlf,{DAY},5.00\r\nlf,{DAY},5\n"in" ,{DAY},5\n\u00a0nbsp\t,{DAY},5\n',
    "amounts.csv": _rows(HEAD, f"amount,{DAY},{{}}", _AMOUNTS),
    "repeats.csv": HEAD + f"repeat,{DAY},5\n" * 3,
    "repeats_again.csv": HEAD + f"repeat,{DAY},5\n" * 2,
}
_PLAIN_CUSTOMERS = ["bom", "blank", "utf8", "gzip", "cells", "open", "crlf", "lf", "in", "nbsp", *["repeat"] * 3]
_NOTES_FILES = {
    "quotes.csv": 'id,date,amount,note\r\n"A1",2011-01-02,5.00,"say ""hi"", twice\r\nand, again, you, too"\r\n'
    'B2,2011-01-02,6.00,in "the" middle\r\n',
    "unclosed_last.csv": "id,date,amount,note\nC3,2011-01-02,5.00,x\n"
    'D4,2011-01-02,6.00,"x\nE5,2011-01-02,7.00,x\nF6,2011-01-02,8.00,x\n',
    "other_order.csv": "amount,note,date,id\n6,y,2011-01-02,G7\n",
    "one_more.csv": "id,date,amount,note,more\nH8,2011-01-02,7,z,9\n",
    "one_less.csv": "ID,date,note\nI9,2011-01-02,w\n",
}
_BAD_DAYS = ["02/01/2011", "2011", "12:30", "2011-02-30", "now", "2011-1-2", " "]
_NEW_YORK = [
    *("2011-01-02T10:00:00Z", "2011-01-02 10:00:00 Europe/Paris", "2011-01-02 10:00:00"),
    *("2011-03-13 02:30:00", "2011-11-06 01:30:00"),  # an hour that is skipped, one that comes twice
    "2011-01-02T10:00+01:00",  # without seconds
    *("2011", "12:30", "T12:30", "now", "today", "20110102", "0", "1293926400", "1899-12-31", "2150-01-01"),
]
_NEW_YORK_UTC = ["01-02 10:00", "01-02 09:00", "01-02 15:00", "03-13 07:30", "11-06 05:30"]
_SECONDS = ["60", "-1", "90000", "1e30", "long", ""]
_TYPED = [
    *(("2", "1.25", "2011-01-01"), ("two", "1.25", ""), ("1.5", "1.25", ""), ("2147483648", "1.25", "")),
    *(("2", "1e400", ""), ("2", "1.25", "12:30"), ("2", "1.25", "2011"), ("", "1.25", "")),
]

DELIVERIES = [
    Delivery(
        "plain",
        _PLAIN_FILES,
        [(who, DAY, "5.00") for who in _PLAIN_CUSTOMERS]
        + [("amount", DAY, n) for n in ("1000.00", "0.01", "0.50", "7.00", "9999999999999999.99", "0.00")],
        {
            "undecodable_text": 1,
            "malformed_row": 5,
            "no_customer": 3,
            "missing_time": 3,
            "missing_amount": 5,
            "amount_out_of_range": 2,
            "negative_amount": 1,
            "not_a_number:amount": 6,
        },
        quarantined=16,
        duplicates=2,
    ),
    Delivery(
        "notes",
        _NOTES_FILES,
        [
            (*A1, 'say "hi", twice\nand, again, you, too'),
            ("B2", DAY, "6.00", 'in "the" middle'),
            ("C3", DAY, "5.00", "x"),
            ("G7", DAY, "6.00", "y"),
            ("H8", DAY, "7.00", "z"),
        ],
        {"malformed_row": 3, "no_customer": 3, "missing_time": 3, "missing_amount": 4},
        NOTE,
        quarantined=4,
    ),
    Delivery(
        "latin1",
        {"f.csv": "größe,date,amount\nMüller,2011-01-02,5\n".encode("latin-1")},
        [("Müller", DAY, "5.00")],
        source={"options": {"encoding": "ISO-8859-1"}, "columns": COLUMNS | {"source_customer_id": "größe"}},
    ),
    Delivery(
        "windows_1252",
        {"f.tsv": (_good("€1") + "€2\n").replace(",", "\t").encode("cp1252")},
        [("€1", DAY, "5.00")],
        {"malformed_row": 1, "missing_amount": 1, "missing_time": 1},
        {"options": {"encoding": "windows-1252", "sep": "\\t", "mode": "DROPMALFORMED"}},
        quarantined=1,
    ),
    Delivery(
        "no_header",
        {"f.csv": "A1||2011-01-02||5\nB2||2011-01-02||6\n"},
        [A1, ("B2", DAY, "6.00")],
        source={
            "options": {"header": False, "sep": "||"},
            "columns": {"source_customer_id": "_c0", "event_ts": "_c1", "amount": "_c2"},
        },
    ),
    Delivery(
        "new_york",
        {"f.csv": _rows(HEAD, "A,{},1", _NEW_YORK)},
        [("A", f"2011-{at}:00", "1.00") for at in _NEW_YORK_UTC],
        {"unparseable_time": 9, "time_out_of_range": 2},
        {"timezone": "America/New_York"},
    ),
    Delivery(
        "several_formats",
        {"f.csv": _rows(HEAD, "A,{},1", ["2011-01-02 10:00", "02/01/2011", "2011-01-02T10:00:00+01:00", "01.02.2011"])},
        [("A", f"2011-01-02 {hour}:00:00", "1.00") for hour in ("15", "05", "09")],
        {"unparseable_time": 1},
        {
            "timestamp_format": ["yyyy-MM-dd HH:mm", "dd/MM/yyyy", "yyyy-MM-dd'T'HH:mm:ssXXX"],
            "timezone": "America/New_York",
        },
    ),
    Delivery(
        "kinds",
        {
            "f.csv": f"id,date,amount,kind,seconds\nA1,{DAY},5,sale,\nB2,{DAY},6,gift,\n,{DAY},6,sale,\n"
            + _rows("", "B,{},1,sale,", _BAD_DAYS)
            + _rows("", f"C3,{DAY},,play,{{}}", _SECONDS)
        },
        [A1, ("C3", DAY, None)],
        {
            "unknown_event_type": 1,
            "no_customer": 1,
            "unparseable_time": 6,
            "missing_time": 1,
            "negative_duration": 1,
            "absurd_duration": 2,
            "not_a_number:duration_seconds": 1,
            "missing_duration": 1,
        },
        {
            "timestamp_format": "yyyy-MM-dd",
            "event_type": {"column": "kind", "values": {"sale": "purchase", "play": "engagement"}},
            "columns": COLUMNS | {"duration_seconds": "seconds"},
        },
    ),
    Delivery(
        "types",
        {"f.csv": _rows("id,date,quantity,price,seen\n", f"A,{DAY},{{}},{{}},{{}}", _TYPED)},
        [("A", DAY, "2.50", "2011-01-01 00:00:00")],
        {"not_a_number:quantity": 3, "not_a_number:price": 1, "not_a_timestamp:seen": 2, "missing_amount": 5},
        {
            "types": {"quantity": "int", "price": "decimal(18,4)", "seen": "timestamp"},
            "columns": COLUMNS | {"amount": {"sql": "quantity * price"}, "seen": "seen"},
        },
        quarantined=7,
    ),
    Delivery(
        "names",
        {"f.csv": 'Kunden Nr.,ä.b c,"tick ` ""quote""",\n李雷,2011-01-02,5.00,x\n'},
        [("李雷", DAY, "5.00", "x")],
        source={
            "columns": {
                "source_customer_id": "kunden nr.",
                "event_ts": "ä.b c",
                "amount": 'tick ` "quote"',
                "note": "_c3",
            },
            "types": {'tick ` "quote"': "decimal(18,4)"},
        },
    ),
    Delivery(
        "hive",
        {
            "month=01/f.csv": GOOD,
            "month=02/other_order.csv": "amount,id,date\n6,B2,2011-02-02\n",
            "month=03/empty.csv": "",
        },
        [(*A1, "01"), ("B2", "2011-02-02", "6.00", "02")],
        source={"columns": COLUMNS | {"month": "month"}},
    ),
    Delivery(
        "json",
        {
            "f.json": '{"who":{"id":"A1"},"date":"2011-01-02","amount":9999999999999999.99}\n{"who":{"id":"B2"}\n\n'
            '{"amount":1e1,"date":"2011-01-02","who":{"id":2},"tags":["x"]}\n{"date":"2011-01-02"}\n'
        },
        [("A1", DAY, "9999999999999999.99"), ("2", DAY, "10.00")],
        {"malformed_row": 1, "no_customer": 2, "missing_time": 1, "missing_amount": 2},
        {"format": "json", "columns": COLUMNS | {"source_customer_id": {"sql": "who.id"}}},
        quarantined=2,
    ),
    Delivery(
        "json_objects",
        {
            "f.json": '{"id":{"a":1},"date":"2011-01-02","amount":{"v":5},"price":[2]}\n'
            '{"id":{"a":1},"date":[1],"price":[3]}\n{"id":{"a":1},"date":"2011-01-02"}\n'
        },
        [],
        {"not_a_number:amount": 1, "not_a_number:price": 2, "unparseable_time": 1, "missing_amount": 2},
        {"format": "json", "types": {"price": "int"}, "options": {}},
        quarantined=3,
    ),
]

# What comes first and what comes later of two sources that declare what identifies a row.
EARLIER = {
    "ids/1.csv": _rows("id,date,amount,a,b\n", f"A1,{DAY},{{}}", ["1,x,y", "2,x|,y", "3,x,|y", "4,,y", "5,x,"]),
    "changed/1.csv": f"id,date,amount,row\nA1,{DAY},5.00,1\n",
}
LATER = {
    "ids/2.csv": _rows(
        "id,date,amount,a,b\n", f"A1,{DAY},{{}}", ["6,,", "7,p,q", "8,p,q", "9,r,s", "9.00,r,s", "9.99,x,y"]
    ),
    "changed/2.csv": f"id,date,amount,row\nA1,{DAY},6.00,1\n",
}


def fails(spark, folder: Path, sources: list[dict], kind: type[Exception], message: str, **sections) -> Exception:
    """The error of a run that must fail: its class and exit code, one clear message, nothing written."""
    from rfm_spark import Project

    with pytest.raises(kind, match=f"(?s){message}") as caught:
        Project.load(project_file(folder, sources, **sections)).run(spark, as_of=AS_OF, dry_run=True)
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert not any(word in told for word in (SECRET, "\tat ", "java.", "py4j", "SQLSTATE", "'Project", "JVM"))
    assert not (folder / "lake").exists()
    return caught.value
