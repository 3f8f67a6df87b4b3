"""What the models of all sections are made of: names, texts, days, and a column or SQL over columns."""

from contextlib import suppress
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
LABEL_PATTERN = r"^\w[\w .-]*$"
SEGMENT_PATTERN = r"^\w[\w .,'’&/+()-]*$"
TEXT_PATTERN = r"\S"


def _day(value: Any) -> Any:
    """A quoted date is a date too."""
    with suppress(ValueError):
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value
    return value


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Label = Annotated[str, Field(pattern=LABEL_PATTERN)]
PartitionLabel = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=80)]  # a folder's name has 255 bytes at most
SegmentName = Annotated[str, Field(pattern=SEGMENT_PATTERN)]
Text = Annotated[str, Field(pattern=TEXT_PATTERN)]
Texts = Annotated[list[Text], Field(min_length=1)]
Day = Annotated[date, BeforeValidator(_day)]


class Model(BaseModel):
    """Base of all sections: unknown keys are faults, nothing is coerced, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Expression(Model):
    """A source column by name, or SQL over the source's columns. In YAML: `amount: price` or `amount: {sql: "…"}`."""

    column: Text | None = None
    sql: Text | None = None

    @model_serializer
    def _short(self) -> str | dict[str, str]:
        return self.column if self.column is not None else {"sql": str(self.sql)}

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of(self) -> "Expression":
        if (self.column is None) == (self.sql is None):
            raise ValueError("give a column name, or {sql: …}")
        return self
