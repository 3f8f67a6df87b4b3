"""Campaigns: who is written to, when, with what, at what cost, who is held out, and what counts as success."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field, model_validator

from rfm_spark.config.base import Day, Expression, Label, Model, Name, PartitionLabel, SegmentName, Text
from rfm_spark.config.databases import Secret
from rfm_spark.config.source import EventKind

CLOCK_PATTERN = r"^([01]\d|2[0-3]):[0-5]\d$"
GLOBAL_HOLDOUT = "global_holdout"  # in `audiences`, the campaign that stands for all of them
HOLDOUT, TREATMENT = "holdout", "treatment"
DEFAULT_HOLDOUT_SHARE = 0.1


class QuietHours(Model):
    """A span of the customer's day in which nothing is sent; it may go over midnight."""

    from_: str = Field(alias="from", pattern=CLOCK_PATTERN, description="such as 21:00", examples=["21:00"])
    to: str = Field(pattern=CLOCK_PATTERN, description="such as 08:00", examples=["08:00"])


class Repeat(Model):
    """A campaign that goes out again and again: a wave is one of its dates."""

    every_days: int = Field(ge=1, le=3660, description="days from one wave to the next")
    until: Day | None = Field(default=None, description="no wave after it; default none ends it")


class FrequencyCap(Model):
    """At most so many contacts in so many days before the send, of any campaign or source."""

    contacts: int = Field(ge=1)
    days: int = Field(ge=1, le=3660)


class Expected(Model):
    """What a contact is assumed to bring, where no measured result says it: lift; or value; or response and value."""

    lift: float | None = Field(
        default=None, gt=0, description="share by which a contact raises a customer's money within the window"
    )
    value: float | None = Field(
        default=None, gt=0, description="money more a person contacted; with response, money more a response"
    )
    response: float | None = Field(default=None, gt=0, le=1, description="share of those contacted who respond to it")

    @model_validator(mode="after")
    def _one_way(self) -> "Expected":
        given = {name for name in ("lift", "value", "response") if getattr(self, name) is not None}
        if given not in ({"lift"}, {"value"}, {"value", "response"}):
            raise ValueError("give lift, or value, or response and value")
        return self


class Success(Model):
    """What is measured after the send."""

    event_type: EventKind = Field(
        default="purchase", description="who has such an event within the window counts for the rate"
    )
    window_days: int = Field(default=14, ge=1, le=3660, description="from the send, or the start, of each person")
    margin: float = Field(default=1.0, gt=0, le=1, description="share of the money that is earned, for the return")
    adjust: Literal["none", "cuped"] = Field(
        default="none", description="cuped: the verdict goes by the interval adjusted with the days before the send"
    )
    looks: int = Field(
        default=1, ge=1, le=100, description="how often it is measured until its window is over, the last time included"
    )


class Assignment(Model):
    """Who was treated and who was held out, where another tool has sent the campaign: one row a person."""

    format: Literal["csv", "json", "parquet", "delta", "table"]
    path: Text | None = Field(default=None, description="file, folder or glob, relative to the project file")
    table: Text | None = Field(default=None, description="a catalog table, for format: table")
    options: dict[str, str | bool | int | float] = Field(default={}, description="options of Spark's reader")
    columns: dict[str, Expression] = Field(
        description="source_customer_id, and group: treatment or holdout", examples=[{}]
    )
    types: dict[str, str] = Field(default={}, description="types of source columns that SQL calculates with")
    arms: list[Label] = Field(
        default=[TREATMENT], min_length=1, description="groups that were treated; all others but holdout are faults"
    )
    randomised: bool = Field(
        default=True, description="false: chance did not decide who was treated, so a difference is no effect"
    )
    holdout_share: float | None = Field(
        default=None, gt=0, lt=1, description="share that was to be held out, to check the file's; default not checked"
    )


class Export(Model):
    """A place that the treated people of a campaign are written to."""

    format: Literal["csv", "json", "parquet", "delta", "jdbc"]
    path: Text | None = Field(
        default=None, description="a folder of this campaign's own, relative to the project file; for delta any URL"
    )
    url: Text | None = Field(
        default=None, description="where the database is, for format: jdbc; without user, password"
    )
    table: Text | None = Field(default=None, description="its table, for format: jdbc; rows of other campaigns stay")
    user: Secret | Text | None = Field(default=None, description="who connects, for format: jdbc")
    password: Secret | None = Field(default=None, description="where the password is found, for format: jdbc")
    options: dict[str, str | bool | int | float] = Field(default={}, description="options of Spark's writer")
    columns: dict[Text, Name] = Field(
        default={}, description="their name: column of audiences; default all that a sender needs, by our names"
    )
    differences: bool = Field(
        default=False,
        description="of files: only rows added, changed and removed since the audience published before; all are added "
        "where nothing of the campaign is there",
    )


class Campaign(Model):
    """One campaign, bound to segments of a segmentation."""

    name: PartitionLabel
    question: Text | None = None
    segments: dict[Label, list[SegmentName]] = Field(
        default={}, description="one segmentation: its segments; not needed with an assignment"
    )
    channel: Text | None = Field(default=None, description="such as email or sms; consent is by channel")
    purpose: Text = Field(default="marketing", description="consent is by purpose")
    message: Text | None = Field(default=None, description="text with {fields} of the customer, or {field|default}")
    message_format: Literal["html", "text"] | None = Field(
        default=None, description="how values are escaped; default html for email, else text"
    )
    start: Day = Field(description="day of the send, in the customer's zone")
    send_time: str = Field(default="09:00", pattern=CLOCK_PATTERN, description="in the customer's zone")
    quiet_hours: QuietHours | None = Field(default=None, description="what falls within is sent at their end")
    zone: Name | None = Field(
        default=None, description="attribute with the customer's time zone; default the project's"
    )
    repeat: Repeat | None = None
    cost_per_contact: float = Field(default=0.0, ge=0, le=1e12, description="in the project's currency")
    budget: float | None = Field(default=None, gt=0, le=1e15, description="in the project's currency; default no limit")
    priority: int = Field(default=0, description="of campaigns that want one person, the greater; ties by order")
    holdout_share: float | None = Field(
        default=None, ge=0, lt=1, description=f"of those selected, not contacted; default {DEFAULT_HOLDOUT_SHARE}"
    )
    salt: Text | None = Field(default=None, description="key of the draw; default the name")
    expected: Expected | None = None
    horizon_days: int | None = Field(
        default=None, ge=1, le=3660, description="days that a contact is expected to work; default the window"
    )
    frequency_cap: FrequencyCap | None = Field(default=None, description="default that of targeting")
    cool_down_days: int | None = Field(default=None, ge=0, le=3660, description="default that of targeting")
    exclude: list[Label] = Field(default=[], description="sources of kind: exclusion whose people are left out")
    success: Success = Success()
    assignment: Assignment | None = Field(default=None, description="measure what another tool has sent")
    export: list[Export] = Field(default=[], description="where the treated people are written to")

    @property
    def segmentation(self) -> str | None:
        """The segmentation it is bound to."""
        return next(iter(self.segments), None)

    @property
    def targets(self) -> list[str]:
        """The segments it is bound to."""
        return [name for names in self.segments.values() for name in names]

    @property
    def drawn_share(self) -> float:
        """The share that is held out where the audience is drawn here."""
        return DEFAULT_HOLDOUT_SHARE if self.holdout_share is None else self.holdout_share

    @property
    def key(self) -> str:
        """The key of the draw."""
        return self.salt or self.name

    @property
    def escapes(self) -> str:
        """How values in the message are escaped: html or text."""
        email = (self.channel or "").strip().lower() in ("email", "e-mail", "mail_html")
        return self.message_format or ("html" if email else "text")

    def wave(self, as_of: date) -> date | None:
        """The first day of the send at or after a date; None where it is over."""
        if self.start >= as_of:
            return self.start
        if self.repeat is None:
            return None
        waves = -((self.start - as_of).days // self.repeat.every_days)
        day = self.start + timedelta(days=waves * self.repeat.every_days)
        return None if self.repeat.until is not None and day > self.repeat.until else day


class Targeting(Model):
    """What holds for all campaigns."""

    global_holdout_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="of all customers, contacted by no campaign, to measure all of them at once",
    )
    salt: Text = Field(default="global", description="key of the draw of the global holdout")
    global_window_days: int = Field(
        default=28, ge=1, le=3660, description="days from the send in which all campaigns together are measured"
    )
    frequency_cap: FrequencyCap | None = None
    cool_down_days: int = Field(default=0, ge=0, le=3660, description="days without a contact before the next")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the intervals; 1 less it is the false alarms")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="of the sizes that are said to be needed")
