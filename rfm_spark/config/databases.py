"""How a database is reached and read: what is secret is named in the project file, and never stands in it."""

from typing import Any

from pydantic import Field, model_validator

from rfm_spark.config.base import Day, Model, Text

NOT_IN_THE_FILE = "{env: NAME} or {file: PATH} that holds it; a secret has no place in a project file"


class Secret(Model):
    """Where a secret is found when a job runs: an environment variable, or a file."""

    env: Text | None = Field(default=None, description="the environment variable that holds it")
    file: Text | None = Field(default=None, description="the file that holds it, relative to the project file")

    @model_validator(mode="before")
    @classmethod
    def _not_itself(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(NOT_IN_THE_FILE)
        return value

    @model_validator(mode="after")
    def _one_of(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("one of env: the name of a variable, and file: a path")
        return self

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"


class Partition(Model):
    """How a table of a database is read in parallel: by ranges of a column, which its index should begin with."""

    column: Text = Field(description="a whole number, date or time")
    number: int = Field(default=4, ge=2, le=1000, description="ranges, each a query of its own")
    lower: int | Day | None = Field(
        default=None, description="where the second range may begin; default the least value"
    )
    upper: int | Day | None = Field(default=None, description="where the last range begins; default the greatest value")

    @model_validator(mode="after")
    def _both(self) -> "Partition":
        if (self.lower is None) != (self.upper is None) or type(self.lower) is not type(self.upper):
            raise ValueError("lower and upper, both numbers or both dates, or neither: no row is left out by them")
        if self.lower is not None and not self.lower < self.upper:  # type: ignore[operator]
            raise ValueError("a lower that is below upper")
        return self


class Watermark(Model):
    """What tells new and changed rows: a column that only grows, such as the time of the last change or a serial id."""

    column: Text
    overlap_hours: float | None = Field(
        default=None, ge=0, description="read again from so long before, for rows that are committed late"
    )
    overlap: int | None = Field(default=None, ge=0, description="the same where the column is a number")

    @model_validator(mode="after")
    def _one_of(self) -> "Watermark":
        if self.overlap_hours is not None and self.overlap is not None:
            raise ValueError("overlap_hours for a column of dates or times, or overlap for one of numbers")
        return self
