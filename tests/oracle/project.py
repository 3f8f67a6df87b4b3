"""The config of the generated project, and the default rule map of the published table."""

from __future__ import annotations

from datetime import date
from typing import Any

CUSTOMERS_FORBIDDEN = "TEST-7"

# Recency and frequency only; 25 of 25 cells, none twice. In this order the first match is the only match.
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


def segment_rules(rules: dict[str, str]) -> list[dict[str, Any]]:
    """Segments in order, each with an action; the condition `otherwise` makes the last one."""
    return [
        {
            "name": name,
            **({"otherwise": True} if when == "otherwise" else {"when": when}),
            "action": {"decision": "Write", "channel": "email", "message": f"to-{name.replace('_', '-')}"},
        }
        for name, when in rules.items()
    ]


def segmentation(name: str, rules: dict[str, str], scoring: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One segmentation of a project file."""
    return {"name": name, "question": "Who is who?", "scoring": scoring, "segments": segment_rules(rules), **more}


def project_config(
    lake: str,
    policy: str = "net_on_order_date",
    method: str = "approx_quantile",
    reference_period: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A project over the files that `generate.write` makes."""
    kinds = {"sale": "purchase", "return": "refund"}
    inactive = {"prospect": "frequency = 0 and recency_days is null", "inactive": "frequency = 0"}
    touches = {"call": "contact", "mail": "contact", "visit": "engagement"}
    by_town = {
        "local": "town = 'Leeds' and r >= 3",
        "senior": "age >= 65 and f >= 2",
        "watcher": "d >= 9",
        "costly": "monetary < 0",
        "rest": "otherwise",
    }
    return {
        "project": "generated",
        "question": "Does the pipeline agree with the definitions?",
        "timezone": "Europe/London",
        "currency": "GBP",
        "lake": {"path": lake},
        "sources": [
            {
                "name": "shop", "format": "csv", "path": "shop/*.csv", "options": {"header": True},
                "event_type": {"column": "kind", "values": kinds},
                "columns": {
                    "source_customer_id": "customer", "event_ts": "sold_at", "order_id": "order_ref",
                    "amount": {"sql": "quantity * price"},
                },
                "types": {"quantity": "int", "price": "decimal(18,4)"},
                "timestamp_format": "yyyy-MM-dd HH:mm:ss",
                "event_id": ["invoice", "line"],
            },
            {
                "name": "web", "format": "csv", "path": "web/*.csv", "options": {"header": True},
                "timezone": "America/New_York",
                "event_type": {"column": "what", "values": kinds},
                "columns": {
                    "source_customer_id": "member", "event_ts": "placed", "order_id": "basket", "amount": "total",
                },
                "timestamp_format": "yyyy-MM-dd HH:mm:ss",
            },
            {
                "name": "touches", "format": "csv", "path": "touches.csv", "options": {"header": True},
                "timezone": "Australia/Lord_Howe",
                "event_type": {"column": "kind", "values": touches},
                "columns": {"source_customer_id": "person", "event_ts": "happened", "duration_seconds": "seconds"},
                "timestamp_format": "dd/MM/yyyy HH:mm",
                "event_id": ["touch"],
            },
            {
                "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv", "options": {"header": True},
                "columns": {"source_customer_id": "id"},
                "attributes": {"town": "town", "age": "age"},
                "types": {"age": "int"},
            },
        ],
        "contract": {
            "max_quarantined_share": 0.9,
            "earliest": date(2015, 1, 1),
            "rules": [
                {"name": "no_test_customers", "sql": "coalesce(source_customer_id, '') not like 'TEST%'"},
                {"name": "forbidden_amount", "sql": "amount is null or amount <> 666.66"},
            ],
        },
        "refunds": {"policy": policy},
        "reference_period": reference_period or {"months": 12, "sub_periods": 4},
        "criteria": {
            "r": {"metric": "recency_days", "better": "low"},
            "f": {"metric": "frequency", "better": "high"},
            "m": {"metric": "monetary", "better": "high"},
            "d": {"metric": "duration_seconds", "better": "high"},
        },
        "segmentations": [
            segmentation("value", inactive | DEFAULT_MAP, {"bins": 5, "method": method}, criteria=["r", "f", "m"]),
            segmentation(
                "by_town", by_town,
                {
                    "bins": 3, "method": method,
                    "criteria": {"r": {"method": "fixed", "cuts": [30, 90, 180]}, "d": {"bins": 10}},
                },
                criteria=["r", "f", "d"],
            ),
        ],
    }  # fmt: skip
