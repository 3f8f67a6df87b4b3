"""A small right project as data, to break in tests; and a writer of project files."""

import copy
from pathlib import Path
from typing import Any

import yaml

ACTION = {"decision": "Write", "channel": "email", "message": "hello"}
# REFERENCE.md, section 3: 25 of 25 cells, none twice.
DEFAULT_MAP = {
    "champions": "r = 5 and f >= 4",
    "loyal": "r in (3, 4) and f >= 4",
    "potential_loyalist": "r >= 4 and f in (2, 3)",
    "promising": "r = 4 and f = 1",
    "new": "r = 5 and f = 1",
    "need_attention": "r = 3 and f = 3",
    "about_to_sleep": "r = 3 and f <= 2",
    "at_risk": "r <= 2 and f in (3, 4)",
    "cant_lose": "r <= 2 and f = 5",
    "hibernating": "r <= 2 and f <= 2",
}
_PROJECT: dict[str, Any] = {
    "project": "shop",
    "question": "Who is who?",
    "timezone": "Europe/London",
    "currency": "GBP",
    "lake": {"path": "lake"},
    "sources": [
        {
            "name": "orders",
            "format": "csv",
            "path": "orders.csv",
            "options": {"header": True},
            "event_type": {"column": "kind", "values": {"sale": "purchase", "return": "refund"}},
            "columns": {
                "source_customer_id": "customer",
                "event_ts": "at",
                "order_id": "order",
                "amount": {"sql": "quantity * price"},
            },
            "types": {"quantity": "int", "price": "decimal(18,4)"},
            "timestamp_format": "yyyy-MM-dd HH:mm",
            "event_id": ["order", "line"],
        },
        {
            "name": "crm",
            "kind": "profile",
            "format": "csv",
            "path": "crm.csv",
            "columns": {"source_customer_id": "id"},
            "attributes": {"country": "country", "age": "age", "member": "member"},
            "types": {"age": "int"},
        },
    ],
    "contract": {"earliest": "2000-01-01", "rules": [{"name": "positive", "sql": "price > 0"}]},
    "criteria": {
        "r": {"metric": "recency_days", "better": "low"},
        "f": {"metric": "frequency", "better": "high"},
        "m": {"metric": "monetary", "better": "high"},
        "trend": {"sql": "monetary_q4 - monetary_q1", "better": "high"},
    },
    "segmentations": [
        {
            "name": "value",
            "question": "Who is worth what?",
            "criteria": ["r", "f", "m"],
            "scoring": {"bins": 5, "criteria": {"m": {"bins": 3}}},
            "segments": [
                {"name": "best", "when": "r >= 4 and f >= 4 and country = 'UK'", "action": ACTION},
                {"name": "rest", "otherwise": True, "action": ACTION},
            ],
        }
    ],
}


def project() -> dict[str, Any]:
    """A right project, to change."""
    data = copy.deepcopy(_PROJECT)
    for segment in data["segmentations"][0]["segments"]:
        segment["action"] = dict(ACTION)
    return data


def with_rules(rules: dict[str, str | None], **segmentation: Any) -> dict[str, Any]:
    """A project with one segmentation of these rules; None is `otherwise`."""
    data = project()
    segments = [
        {"name": name, **({"when": when} if when else {"otherwise": True}), "action": dict(ACTION)}
        for name, when in rules.items()
    ]
    data["segmentations"] = [{"name": "value", "question": "Who?", "segments": segments, **segmentation}]
    return data


def put(data: Any, path: str, value: Any) -> None:
    """Set a value by a path such as `sources.0.format`; the value `...` removes it."""
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        data = data[key]
    if value is ...:
        del data[last]
    elif isinstance(data, list) and last == len(data):
        data.append(value)
    else:
        data[last] = value


def write(path: Path, data: Any) -> Path:
    """A project file of the data, or of the text as it is."""
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
