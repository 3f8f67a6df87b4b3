"""The contract: what rows of sources must meet, and the user's own rules."""

from datetime import date

from pydantic import Field

from rfm_spark.config.base import Day, Label, Model, Text


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
