"""Which names a project's SQL may use: metrics, attributes, scores; with their types."""

from collections.abc import Iterable

from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.prediction import PREDICTED
from rfm_spark.schemas import Column, customer_metrics

# why the contract itself quarantines a row; a rule of the project's own needs another name
REASONS = frozenset({
    "no_customer", "no_event_id", "unknown_event_type", "missing_time", "unparseable_time", "time_out_of_range",
    "missing_amount", "negative_amount", "amount_out_of_range", "no_rate", "missing_duration", "negative_duration",
    "absurd_duration", "malformed_row", "undecodable_text", "duplicate_conflict", "refund_without_order",
    "no_currency", "rate_out_of_range", "no_channel", "no_purpose", "unparseable_expiry",
})  # fmt: skip
NUMERIC = ("int", "bigint", "double", "decimal", "smallint", "tinyint", "float")


def is_numeric(type_: str) -> bool:
    """Whether a Spark type is a number."""
    return type_.lower().split("(")[0].strip() in (*NUMERIC, "byte", "short", "integer", "long")


def metrics(config: ProjectConfig) -> dict[str, Column]:
    """The columns of `customer_metrics` that every project has."""
    return {column.name: column for column in customer_metrics(config.reference_period.sub_periods).columns}


def attributes(config: ProjectConfig) -> dict[str, str]:
    """Attributes of customers with their declared type, empty where only the data knows it."""
    types: dict[str, str] = {}
    for source in config.sources:
        if source.kind != "profile":
            continue
        declared = {column.lower(): type_ for column, type_ in source.types.items()}
        for name, expression in source.attributes.items():
            types[name] = declared.get((expression.column or "").lower(), "") or types.get(name, "")
    return types


def predicted(config: ProjectConfig) -> dict[str, str]:
    """Columns of `predictions` with their type, but those whose name the project uses for something of its own."""
    own = {*attributes(config), *config.criteria}
    return {name: "double" for name in PREDICTED if name not in own}


def columns(config: ProjectConfig) -> set[str]:
    """What criteria are SQL over, and what rules may name beside scores."""
    return {*metrics(config), *attributes(config), *predicted(config)}


def repeated(names: Iterable[str]) -> dict[int, int]:
    """position: the earlier position of the same name, whatever its case."""
    first: dict[str, int] = {}
    again: dict[int, int] = {}
    for position, name in enumerate(names):
        if first.setdefault(name.casefold(), position) != position:
            again[position] = first[name.casefold()]
    return again
