"""The project file as typed models: strict, no unknown keys, every default visible.

Only the shape is checked here; what needs more than one section (names that must exist elsewhere, rules over the
score cube) is in `checks` and `lint`, and reading the file is in `load`.
"""

from datetime import date
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_serializer, model_validator

from rfm_spark.config.base import Day, Expression, Label, Model, Name, Text, Texts
from rfm_spark.config.campaigns import Campaign, Targeting
from rfm_spark.config.databases import Partition, Secret, Watermark
from rfm_spark.config.identity import Identity
from rfm_spark.config.prediction import Prediction
from rfm_spark.cuts import Cutting

EVENT_TYPES = ("purchase", "refund", "contact", "engagement")
CANONICAL_COLUMNS = ("source_customer_id", "event_ts", "amount", "order_id", "duration_seconds", "currency")


class EventType(Model):
    """What a row is: a constant, a column whose values are mapped, or SQL that gives one of the event types."""

    constant: Literal["purchase", "refund", "contact", "engagement"] | None = None
    column: Text | None = None
    values: dict[str, Literal["purchase", "refund", "contact", "engagement"]] | None = None
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
    def event_id_columns(self) -> list[str] | None:
        """The declared identity of a row, or None for all columns plus the occurrence within the file."""
        return [self.event_id] if isinstance(self.event_id, str) else self.event_id

    @property
    def timestamp_formats(self) -> list[str]:
        """The declared datetime patterns, in the order they are tried; empty for ISO 8601."""
        if self.timestamp_format is None:
            return []
        return [self.timestamp_format] if isinstance(self.timestamp_format, str) else self.timestamp_format


class Rule(Model):
    """A condition that every row must meet; its name is the reason in quarantine."""

    name: Label
    sql: Text
    sources: list[Label] | None = Field(
        default=None, description="the sources it applies to; default every event source"
    )


class Contract(Model):
    """What makes a row clean."""

    max_quarantined_share: float = Field(
        default=0.05, ge=0, le=1, description="per source; above it the run stops, exit 3"
    )
    earliest: Day = Field(default=date(1990, 1, 1), description="first business date that is believed")
    latest: Day = Field(default=date(2100, 1, 1), description="last business date that is believed")
    max_duration_seconds: int = Field(default=86_400, gt=0, description="a longer engagement is absurd")
    max_amount: float = Field(default=1e12, gt=0, description="a greater amount is out of range; leaves room for sums")
    rules: list[Rule] = Field(default=[])


RefundPolicy = Literal["net_on_order_date", "net_on_refund_date", "ignore"]


class Refunds(Model):
    """How refunds change recency, frequency and monetary value, all three by one policy."""

    policy: RefundPolicy = "net_on_order_date"


class ReferencePeriod(Model):
    """The span that frequency and monetary value are measured over, and its sub-periods."""

    months: int | None = Field(default=None, ge=1, le=1200, description="default 12", examples=[12])
    all: bool = Field(default=False, description="since the first event")
    sub_periods: int = Field(
        default=4, ge=1, le=24, description="default 4, or what of 3, 2, 1 divides months", examples=[1, 4]
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """Without `all`, months are 12; sub-periods that are not given are as many as divide the months, at most 4."""
        if not isinstance(value, dict):
            return value
        months = value.get("months")
        if months is None and value.get("all") is not True:
            months = 12
        periods = next((n for n in (4, 3, 2) if isinstance(months, int) and months % n == 0), 1 if months else 4)
        return {"sub_periods": periods, **value, "months": months}

    @model_validator(mode="after")
    def _consistent(self) -> "ReferencePeriod":
        if self.all and self.months is not None:
            raise ValueError(
                "give months, or all: true, not both; --set 'reference_period={all: true}' replaces the section"
            )
        if self.months is not None and self.months % self.sub_periods:
            raise ValueError(f"{self.months} months do not divide into {self.sub_periods} sub_periods of whole months")
        return self


STANDARD_CRITERIA: dict[str, dict[str, str]] = {
    "r": {"metric": "recency_days", "better": "low"},
    "f": {"metric": "frequency", "better": "high"},
    "m": {"metric": "monetary", "better": "high"},
    "d": {"metric": "duration_seconds", "better": "high"},
}


class Criterion(Model):
    """Something customers are scored by: a metric, or SQL over metrics and customer attributes."""

    metric: Name | None = None
    sql: Text | None = None
    better: Literal["low", "high"]

    @model_validator(mode="after")
    def _one_of(self) -> "Criterion":
        if (self.metric is None) == (self.sql is None):
            raise ValueError("give metric: a column of customer_metrics, or sql: an expression over them")
        return self


Method = Literal["approx_quantile", "interpolated", "fixed", "frozen"]


class CriterionScoring(Model):
    """How one criterion is cut, where it differs from its segmentation."""

    bins: int | None = Field(default=None, ge=2, le=100)
    method: Method | None = None
    relative_error: float | None = Field(default=None, ge=0, lt=0.5)
    refine: bool | None = None
    cuts: list[float | int] | None = Field(default=None, description="for method: fixed, ascending")
    snapshot: Day | None = Field(default=None, description="for method: frozen, the snapshot whose cut-points are used")
    group_by: Name | None = None


class Scoring(Model):
    """How the criteria of a segmentation are cut into scores 1..bins."""

    bins: int = Field(default=5, ge=2, le=100)
    method: Literal["approx_quantile", "interpolated", "frozen"] = Field(
        default="approx_quantile", description="method: fixed is given per criterion, with its cuts"
    )
    relative_error: float = Field(
        default=0.0001, ge=0, lt=0.5, description="of the brackets that locate the cut-points"
    )
    refine: bool = Field(default=True, description="make each cut the exact sample quantile")
    snapshot: Day | None = Field(default=None, description="for method: frozen, the snapshot whose cut-points are used")
    group_by: Name | None = Field(default=None, description="attribute or metric; cut-points are fitted in each group")
    fit_on: Literal["orders", "contacts", "everyone"] | None = Field(
        default=None,
        description="whom cut-points are fitted on; default orders, or contacts where no source has purchases",
    )
    criteria: dict[Name, CriterionScoring] = Field(default={}, description="criterion: what differs for it")

    def of(self, criterion: str) -> Cutting:
        """How one criterion is cut: its own settings before the segmentation's.

        Rules: as many bins as given cuts make; fixed cuts are the same in every group.
        """
        own = self.criteria.get(criterion, CriterionScoring())
        cuts = tuple(float(cut) for cut in own.cuts or ())
        method = own.method or ("fixed" if cuts else self.method)
        return Cutting(
            bins=len(cuts) + 1 if cuts else own.bins or self.bins,
            method=method,
            relative_error=self.relative_error if own.relative_error is None else own.relative_error,
            refine=self.refine if own.refine is None else own.refine,
            group_by=None if method == "fixed" else own.group_by or self.group_by,
            cuts=cuts,
            snapshot=own.snapshot or self.snapshot,
        )


class Action(Model):
    """What is done with the customers of a segment."""

    decision: Text
    channel: Text
    message: Text
    every: Text | None = None
    budget_per_customer: float | None = Field(default=None, ge=0)
    priority: int | None = None


class Segment(Model):
    """One rule of a segmentation; the first that holds wins."""

    name: Label
    question: Text | None = None
    when: Text | None = None
    otherwise: Literal[True] | None = None
    action: Action

    @model_validator(mode="after")
    def _one_of(self) -> "Segment":
        if (self.when is None) == (self.otherwise is None):
            raise ValueError("give when: a condition, or otherwise: true")
        return self


class Segmentation(Model):
    """A named set of segments over the same metrics, with the question it answers."""

    name: Label
    question: Text
    criteria: list[Name] | None = Field(
        default=None, description="which criteria it scores; default all of the project's"
    )
    scoring: Scoring = Scoring()
    segments: list[Segment] = Field(min_length=1)


class Limits(Model):
    """How far something may move: beyond `warn` the run says so, beyond `stop` it ends with exit 3, unpublished."""

    warn: float | None = Field(default=None, gt=0)
    stop: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Limits":
        if self.warn is not None and self.stop is not None and self.warn > self.stop:
            raise ValueError(f"warn {self.warn:g} is beyond stop {self.stop:g}; give the smaller one first")
        return self


class Drift(Model):
    """How far a snapshot may be from the one before it. An index below 0.1 is usual, above 0.25 a large shift."""

    shares: Limits = Field(
        default=Limits(warn=0.25), description="population stability index of the customers' shares of the segments"
    )
    metrics: Limits = Field(
        default=Limits(), description="the same of each criterion's scores, both by the earlier cut-points"
    )
    cut_points: Limits = Field(default=Limits(), description="the furthest move of a cut-point, as a share of it")


class Lake(Model):
    """Where the tables are: a path, or a catalog and schema."""

    path: Text | None = None
    catalog: Text | None = None
    schema_: Text | None = Field(default=None, alias="schema")
    change_data_feed: bool = Field(
        default=False, description="whether the tables record their changes for readers of Delta's change data feed"
    )

    @model_validator(mode="after")
    def _one_of(self) -> "Lake":
        if (self.path is None) == (self.catalog is None) or (self.catalog is None) != (self.schema_ is None):
            raise ValueError("give path: a folder or URL; or catalog: and schema:")
        return self


class Keep(Model):
    """Which snapshots are kept: all of some days, then the last of each month, then the last of each year."""

    daily: int = Field(ge=1, examples=[90], description="days before as_of of which every snapshot is kept")
    monthly: int = Field(
        default=0, ge=0, description="calendar months before as_of's, of each of which the last snapshot is kept"
    )
    yearly: int | None = Field(
        default=None, ge=0, description="years before as_of's, of each of which the last is kept; default all years"
    )


RETENTION_FLOOR_HOURS = 168


class Maintenance(Model):
    """What `maintain` removes."""

    retention_hours: int = Field(
        default=RETENTION_FLOOR_HOURS, ge=0, description="how long files that no current version needs stay readable"
    )
    allow_short_retention: bool = Field(
        default=False, description="less than 168 hours: what reads an older version may find its files gone"
    )
    keep: Keep | None = Field(default=None, description="snapshots that are kept; default all")

    @model_validator(mode="after")
    def _long_enough(self) -> "Maintenance":
        if self.retention_hours < RETENTION_FLOOR_HOURS and not self.allow_short_retention:
            raise ValueError(
                f"retention_hours of at least {RETENTION_FLOOR_HOURS}, so that runs and readers that have begun find "
                "their files; or allow_short_retention: true beside it"
            )
        return self


class ProjectConfig(Model):
    """One project: its question, its sources, and how customers are measured, scored and segmented."""

    project: Label
    question: Text
    timezone: Text
    currency: Text
    lake: Lake
    sources: list[Source] = Field(min_length=1)
    contract: Contract = Contract()
    refunds: Refunds = Refunds()
    reference_period: ReferencePeriod = ReferencePeriod(months=12)
    criteria: dict[Name, Criterion] = Field(
        default={name: Criterion.model_validate(STANDARD_CRITERIA[name]) for name in ("r", "f", "m")},
        description="replaces the standard set r, f, m; r, f, m and d may be given empty for their defaults",
    )
    segmentations: list[Segmentation] = Field(min_length=1)
    drift: Drift = Drift()
    prediction: Prediction = Prediction()
    maintenance: Maintenance = Maintenance()
    campaigns: list[Campaign] = Field(
        default=[], description="what `target` contacts people by, and `measure` measures"
    )
    targeting: Targeting = Targeting()
    identity: Identity | None = Field(default=None, description="default: a customer's id is the same in every source")
    _lines: dict[str, int] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _standard_criteria(cls, value: Any) -> Any:
        """A standard criterion may be named without a body, or with only `better` or `metric` changed."""
        if not isinstance(value, dict) or not isinstance(value.get("criteria"), dict):
            return value
        criteria = {
            name: _with_standard(name, body) if isinstance(body, dict | None) else body
            for name, body in value["criteria"].items()
        }
        return {**value, "criteria": criteria}

    def line(self, path: str) -> int | None:
        """The line of the project file that a path such as `segmentations[0].segments[2].when` stands in."""
        return line_of(self._lines, path)

    def source(self, name: str) -> Source:
        """The source of that name."""
        return next(source for source in self.sources if source.name == name)

    def event_sources(self) -> list[Source]:
        """The sources whose rows are events."""
        return [source for source in self.sources if source.kind == "events"]

    def criteria_of(self, segmentation: Segmentation) -> dict[str, Criterion]:
        """The criteria that a segmentation scores, in the order of its scores."""
        names = segmentation.criteria if segmentation.criteria is not None else list(self.criteria)
        return {name: self.criteria[name] for name in names}


def line_of(lines: dict[str, int], path: str) -> int | None:
    """The line of a path, or of the nearest section around it."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _with_standard(name: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
    standard = STANDARD_CRITERIA.get(str(name))
    if standard is None or (body and ("sql" in body or {"metric", "better"} <= set(body))):
        return body
    return {**standard, **(body or {})}
