"""A tiny shop with consents and campaigns, generated; and who bought what after a campaign, told in plain Python."""

import csv
import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

AS_OF, AFTER = date(2020, 7, 1), date(2020, 8, 20)
_ACTION = {"decision": "Write", "channel": "email", "message": "hello"}
_CONSENT = {
    "source_customer_id": "id", "channel": "ch", "purpose": "pu", "status": "st",
    "granted_at": "at", "expires_at": "until",
}  # fmt: skip
WIN: dict[str, Any] = {
    "name": "win", "segments": {"value": ["good"]}, "channel": "email", "start": "2020-07-05", "zone": "zone",
    "message": "Hello {first_name|there}, {last_product} {recency_days}", "cost_per_contact": 0.4, "budget": 20,
    "quiet_hours": {"from": "21:00", "to": "10:00"}, "priority": 2, "exclude": ["staff"],
    "export": [
        {"format": "csv", "path": "out/csv", "columns": {"id": "customer_key", "text": "message"}},
        {"format": "json", "path": "out/changes", "differences": True},
    ],
}  # fmt: skip
EVERYBODY: dict[str, Any] = {
    "name": "everybody", "segments": {"value": ["good", "mid", "rest"]}, "channel": "email", "start": "2020-07-05",
    "message": "Hi {first_name}", "cost_per_contact": 0.25, "holdout_share": 0.3, "expected": {"value": 2.5},
}  # fmt: skip


def write_project(folder: Path, campaigns: list[dict[str, Any]] | None = None, people: int = 500) -> Path:
    """Orders of half a year, profiles, consents, two lists; returns the project file."""
    rng, orders, consents, crm = (
        random.Random(3),
        ["line,id,at,total,kind,product"],
        ["id,ch,pu,st,at,until"],
        ["id,first_name,zone"],
    )
    for n in range(people):
        who = f"c{n:04d}"
        names, zones = ["Ann", "<b>Bob</b>", ""], ["Europe/London", "America/New_York", "Nowhere", ""]
        crm.append(f"{who},{rng.choice(names)},{rng.choice(zones)}")
        if rng.random() < 0.85:
            consents.append(f"{who},email,marketing,granted,2019-01-01,{rng.choice(['', '', '2020-06-01'])}")
        if rng.random() < 0.1:
            consents.append(f"{who},,,opted out,2020-01-01,")
        for _ in range(rng.randrange(6)):
            day = date(2020, 1, 1) + timedelta(days=rng.randrange(180))
            orders.append(f"e{len(orders)},{who},{day},{rng.randrange(5, 60)}.50,sale,p{rng.randrange(9)}")
        if rng.random() < 0.1:
            orders.append(f"e{len(orders)},{who},2020-06-28,,mail,")
    (folder / "orders").mkdir(parents=True)
    lists = {"staff.csv": range(20, 30), "never.csv": range(20)}
    texts = {"orders/spring.csv": orders, "consents.csv": consents, "crm.csv": crm}
    texts |= {name: ["id", *(f"c{n:04d}" for n in ids)] for name, ids in lists.items()}
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    csv, ids = {"format": "csv"}, {"columns": {"source_customer_id": "id"}}
    kinds = {"column": "kind", "values": {"sale": "purchase", "back": "refund", "mail": "contact"}}
    columns = {"source_customer_id": "id", "event_ts": "at", "amount": "total", "product": "product"}
    rules = {"good": "frequency >= 4", "mid": "frequency = 3", "rest": None}
    segments = [{"name": n, **({"when": w} if w else {"otherwise": True}), "action": _ACTION} for n, w in rules.items()]
    config = {
        "project": "marketing", "question": "Whom to write to?", "timezone": "Europe/London", "currency": "GBP",
        "lake": {"path": "lake"}, "refunds": {"policy": "net_on_refund_date"},
        "sources": [
            {**csv, "name": "orders", "path": "orders/*.csv", "event_type": kinds, "columns": columns,
             "event_id": "line"},
            {**csv, "name": "crm", "kind": "profile", "path": "crm.csv", "columns": {"source_customer_id": "id"},
             "attributes": {"first_name": "first_name", "zone": "zone"}},
            {**csv, "name": "consents", "kind": "consent", "path": "consents.csv", "columns": _CONSENT},
            {**csv, "name": "never", "kind": "suppression", "path": "never.csv", **ids},
            {**csv, "name": "staff", "kind": "exclusion", "path": "staff.csv", **ids},
        ],
        "segmentations": [{"name": "value", "question": "Who is who?", "segments": segments}],
        "targeting": {"global_holdout_share": 0.05, "cool_down_days": 14},
        "campaigns": [WIN, EVERYBODY] if campaigns is None else campaigns,
    }  # fmt: skip
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def buy(folder: Path, name: str, rows: list[tuple[str, datetime, str, str]]) -> None:
    """A file of more purchases (sale) and refunds (back): who, when, amount, kind."""
    lines = [
        f"{name}{i},{who},{at:%Y-%m-%d %H:%M:%S},{total},{kind},p1" for i, (who, at, total, kind) in enumerate(rows)
    ]
    text = "\n".join(["line,id,at,total,kind,product", *lines]) + "\n"
    (folder / "orders" / f"{name}.csv").write_text(text, encoding="utf-8")


def rows(spark: Any, config: Path, table: str) -> list[Any]:
    """The published rows of a table."""
    from rfm_spark import Project

    return Project.load(config).read(spark, table).collect()


def exported(folder: Path) -> list[dict[str, str]]:
    """The rows that a manifest tells of."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found = []
    for file in manifest["files"]:
        text = (folder / file["name"]).read_text(encoding="utf-8")
        is_csv = file["name"].endswith(".csv")
        found += list(csv.DictReader(text.splitlines())) if is_csv else [json.loads(line) for line in text.splitlines()]
    assert len(found) == manifest["rows"]
    return found
