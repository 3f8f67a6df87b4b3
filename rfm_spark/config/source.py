"""Sources: where rows come from, and what their columns mean."""

from typing import Any, Literal, get_args

from pydantic import Field, model_serializer, model_validator

from rfm_spark.config.base import Expression, Label, Model, Name, Text, Texts
from rfm_spark.config.databases import Partition, Secret, Watermark

EventKind = Literal["purchase", "refund", "contact", "engagement"]
EVENT_TYPES = get_args(EventKind)

CANONICAL_COLUMNS = ("source_customer_id", "event_ts", "amount", "order_id", "duration_seconds", "currency")


class EventType(Model):
    """What a row is: a constant, a column whose values are mapped, or SQL that gives one of the event types."""

    constant: EventKind | None = None
    column: Text | None = None
    values: dict[str, EventKind] | None = None
    sql: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"constant": value} if isinstance(value, str) else value

    @model_serializer
    def _short(self) -> str | dict[str, Any]:
        if self.constant is not None:
            return self.constant
        return {"sql": self.sql} if self.sql is not None else {"column": self.column, "values": self.values}

    @model_validator(mode="after")
    def _one_of(self) -> "EventType":
        given = [name for name in ("constant", "column", "sql") if getattr(self, name) is not None]
        if len(given) != 1 or (self.column is None) != (self.values is None):
            raise ValueError(
                "give one of purchase, refund, contact, engagement; or {column: …, values: {theirs: ours}}; or {sql: …}"
            )
        return self

    def possible(self) -> frozenset[str]:
        """The event types that rows of this source can have; SQL can give any."""
        if self.constant:
            return frozenset([self.constant])
        return frozenset(self.values.values()) if self.values else frozenset(EVENT_TYPES)


class Source(Model):
    """One place that rows come from, mapped to canonical columns."""

    name: Label
    kind: Literal["events", "profile", "rates", "consent", "suppression", "exclusion"] = Field(
        default="events",
        description="events; profile: attributes of customers; rates: dated currency rates; consent: decisions by "
        "channel and purpose; suppression: people never to contact; exclusion: people that campaigns may leave out",
    )
    format: Literal["csv", "json", "parquet", "delta", "table", "jdbc"]
    path: Text | None = Field(default=None, description="file, folder or glob, relative to the project file")
    table: Text | None = Field(
        default=None, description="a catalog table, for format: table; a table, or (select …) as a_name, for jdbc"
    )
    url: Text | None = Field(
        default=None, description="where the database is, for format: jdbc; without user, password"
    )
    user: Secret | Text | None = Field(default=None, description="who connects, for format: jdbc")
    password: Secret | None = Field(default=None, description="where the password is found, for format: jdbc")
    partition: Partition | None = Field(default=None, description="read in parallel, for format: jdbc")
    watermark: Watermark | None = Field(
        default=None, description="read only what is new or changed since the last complete run, for format: jdbc"
    )
    options: dict[str, str | bool | int | float] = Field(
        default={}, description="options of Spark's reader, such as header or sep"
    )
    event_type: EventType | None = None
    columns: dict[str, Expression] = Field(
        description="canonical column: source column or SQL; any other name becomes an extra column of events"
    )
    attributes: dict[Name, Expression] = Field(default={}, description="attributes of a customer, for kind: profile")
    ids: dict[Name, Expression] = Field(
        default={}, description="id type of identity.ids: the column, or SQL, that holds it"
    )
    types: dict[str, str] = Field(default={}, description="types of source columns that SQL calculates with")
    timestamp_format: Text | Texts | None = Field(
        default=None, description="Spark datetime pattern(s); default ISO 8601"
    )
    timezone: Text | None = Field(default=None, description="zone of local times in this source; default the project's")
    event_id: Text | Texts | None = Field(default=None, description="source columns that identify a row")
    on_change: Literal["quarantine", "replace"] = Field(
        default="quarantine", description="same event_id with other content in a later delivery"
    )
    currency: Text | None = Field(default=None, description="currency of the amounts; default the project's")

    @property
    def extra_columns(self) -> list[str]:
        """The columns of its own, beyond the canonical ones."""
        return [name for name in self.columns if name not in CANONICAL_COLUMNS]

    @property
    def event_id_columns(self) -> list[str] | None:
        """The declared identity of a row, or None for all columns plus the occurrence within the file."""
        return [self.event_id] if isinstance(self.event_id, str) else self.event_id

    @property
    def timestamp_formats(self) -> list[str]:
        """The declared datetime patterns, in the order they are tried; empty for ISO 8601."""
        if self.timestamp_format is None:
            return []
        return [self.timestamp_format] if isinstance(self.timestamp_format, str) else self.timestamp_format
