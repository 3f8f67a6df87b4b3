"""A project of three sources whose ids overlap, built in tests: rows in, who is whom out."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml

_ACTION = {"decision": "Write", "channel": "email", "message": "hello"}
IDENTITY: dict[str, Any] = {
    "ids": {
        "loyalty": {"max_per_customer": 1},
        "email": {"normalise": "email"},
        "phone": {"normalise": "phone", "region": "GB"},
        "device": {"max_customers": 2},
    },
    "blocked": {"values": ["0000"], "patterns": ["^test@"]},
}
SHOP = ("line", "customer", "mail", "tel", "device", "at", "total")
CRM = ("id", "card", "mail", "tel", "city", "since")
SHOP_ROWS = [
    ("l1", "s1", "Ann@Example.com ", "020 7946 0018", "d1"),
    ("l2", "s2", "ann@example.com", None, "d1"),
    ("l3", "s3", "bob@example.com", None, "town"),
    ("l4", "s4", "test@example.com", "0000", "town"),
    ("l5", "s5", "test@example.com", "0000", "town"),
]
CRM_ROWS = [
    ("c1", "K1", None, "+44 20 7946 0018", "Leeds", "2024-01-01"),
    ("c2", "K2", "n/a", "n/a", "Bath", "2024-01-01"),
    ("c3", None, "BOB@example.com", "nonsense", "York", "2024-02-01"),
]


def write(folder: Path, identity: dict[str, Any] | None = None) -> Path:
    """The project file over `shop/*.csv` (events), `till/*.json` (events) and `crm.csv` (profiles) of a folder."""
    ids = {"email": "mail", "phone": "tel"}
    columns = {"source_customer_id": "customer", "event_ts": "at", "amount": "total"}
    shop = {"name": "shop", "format": "csv", "path": "shop/*.csv", "event_type": "purchase", "event_id": "line"}
    till = {"name": "till", "format": "json", "path": "till/*.json", "event_type": "purchase", "columns": columns}
    crm = {"name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv", "timestamp_format": "yyyy-MM-dd"}
    crm |= {
        "columns": {"source_customer_id": "id", "event_ts": "since"},
        "attributes": {"city": "city", "mail": "mail"},
    }
    segments = [
        {"name": "best", "when": "f >= 4", "action": _ACTION},
        {"name": "rest", "otherwise": True, "action": _ACTION},
    ]
    config = {
        "project": "people",
        "question": "Who is who?",
        "timezone": "Europe/London",
        "currency": "GBP",
        "lake": {"path": "lake"},
        "sources": [
            shop | {"columns": columns, "ids": ids | {"device": "device"}, "types": {}},
            till | {"ids": {"loyalty": "card"}},
            crm | {"ids": ids | {"loyalty": "card"}},
        ],
        "contract": {"max_quarantined_share": 1.0},
        "segmentations": [{"name": "value", "question": "Who is who?", "segments": segments}],
        "identity": IDENTITY if identity is None else identity,
    }
    path = folder / "project.yaml"
    for name in ("shop", "till"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def example(folder: Path) -> Path:
    """The project file over Ann with four customer numbers, Bob with two, and some who are alone."""
    path = write(folder)
    shop(folder, "1.csv", SHOP_ROWS)
    till(folder, "1.json", [("t1", "k1"), ("t2", "K2")])
    crm(folder, CRM_ROWS)
    return path


def shop(folder: Path, name: str, rows: list[tuple]) -> None:
    """A file of the shop: (line, customer, mail, tel, device)."""
    _csv(folder / "shop" / name, SHOP, [(*row, "2024-05-01", "10.00") for row in rows])


def till(folder: Path, name: str, rows: list[tuple]) -> None:
    """A file of the till: (customer, card)."""
    lines = [{"customer": who, "card": card, "at": "2024-05-02", "total": "5.00"} for who, card in rows]
    (folder / "till" / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def crm(folder: Path, rows: list[tuple]) -> None:
    """The profiles: (id, card, mail, tel, city, since)."""
    _csv(folder / "crm.csv", CRM, rows)


def _csv(path: Path, head: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
