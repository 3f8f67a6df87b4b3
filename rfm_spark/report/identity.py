"""The audit of identity for people: sizes, what joins nobody, groups to look into, one id's graph; ids masked."""

import re
from typing import Any

from rich.console import Console

from rfm_spark.pipelines.identity import Audit
from rfm_spark.report import tables

_GROUP = ("customers", "sources", "values", "links", "density", "conflicts")


def show(console: Console, audit: Audit) -> None:
    """Print an audit, or of one id its person's links."""
    if audit.graph:
        head = ("person", "source", "customer", "rule", "id, masked", "weight", "outcome")
        console.print(tables.plain("Links of the people that have this id", head, map(_link, audit.graph)))
        return
    sizes = [(f"{size:,}", f"{people:,}") for size, people in audit.sizes.items()]
    console.print(tables.plain("People by how many customers of sources they are", ("customers", "people"), sizes))
    dropped = [(id_type, why, f"{n:,}") for (id_type, why), n in audit.dropped.items()]
    if dropped:
        console.print(tables.plain("Values that join nobody", ("id type", "why", "values"), dropped))
    for title, groups in (("The largest", audit.largest), ("The most suspicious", audit.suspicious)):
        if groups:
            console.print(tables.plain(title, ("person", *_GROUP), map(_group, groups)))


def _link(row: dict[str, Any]) -> tuple[Any, ...]:
    customer, weight = row["source_customer_id"], f"{row['weight']:.3f}"
    own = masked_id(customer) if "@" in customer else customer  # some sources know customers by their address
    return (_person(row), row["source"], own, row["rule"], masked_id(row["id_value"]), weight, row["outcome"])


def _group(row: dict[str, Any]) -> tuple[Any, ...]:
    return (_person(row), *(_number(row[name]) for name in _GROUP))


def masked_id(value: str | None) -> str | None:
    """The first character of each part, the other letters and digits as x."""
    return None if value is None else re.sub(r"(?<=\w)\w", "x", value)


def _person(row: dict[str, Any]) -> str:
    return str(row["customer_key"])[:12]


def _number(value: float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"
