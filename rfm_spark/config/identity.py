"""The section `identity`: which ids make rows of several sources one person, and what of a person survives."""

from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from rfm_spark.config.base import Label, Model, Name, Text

OWN_ID = "source_customer_id"
"""The id type that every row has: the customer's id in its source, of each source a type of its own."""

NULL_LIKE = frozenset({
    "null", "nil", "none", "nan", "na", "n/a", "n.a.", "#n/a", "unknown", "undefined", "missing", "(null)", "<null>",
    "\\n", "?", "-", "--", "not provided", "not available",
})  # fmt: skip
"""Texts of exports that stand for no value, in any case; an id that is one of them is none."""

Normaliser = Literal["text", "none", "digits", "email", "phone"]


class IdType(Model):
    """One type of id that several sources may know a person by."""

    normalise: Normaliser = Field(
        default="text",
        description="how its values are made comparable. text: Unicode NFKC, any case, blanks as one; none: as it is; "
        "digits: the digits alone; email: as text, the domain as DNS has it; phone: E.164",
    )
    region: Text | None = Field(
        default=None, description="for normalise: phone: the country of numbers without a + such as GB", examples=["GB"]
    )
    plus_addressing: Literal["keep", "ignore"] = Field(
        default="keep", description="for normalise: email. ignore: ann+shop@example.com is ann@example.com"
    )
    max_customers: int | None = Field(
        default=None,
        ge=1,
        description="how many people one value may stand with. Two ids of one kind (customer ids of one source, or "
        "values of one stronger type) are two people, unless stronger ids join them; a value with more joins nobody",
    )
    max_per_customer: int | None = Field(
        default=None,
        ge=1,
        description="how many values of this type a person may have. Where the ids of a type would join more, "
        "they join nobody there: the weakest type's links are dropped, the stronger ones stay",
    )


class Blocked(Model):
    """Values that identify nobody, of any type; null-like ones such as n/a need not be listed."""

    values: list[Text] = Field(default=[], description="in any spelling of the type and in any case")
    patterns: list[Text] = Field(
        default=[], description="regular expressions that are found in the normalised value", examples=[["^test@"]]
    )


class Survivorship(Model):
    """Which value of an attribute a person keeps, where their rows have several."""

    rule: Literal["newest", "most_frequent", "source_priority"]
    sources: list[Label] | None = Field(
        default=None, description="for source_priority: the sources in their order; default the config's"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"rule": value} if isinstance(value, str) else value

    @model_serializer
    def _short(self) -> str | dict[str, Any]:
        return self.rule if self.sources is None else {"rule": self.rule, "sources": self.sources}


Comparator = Literal["name", "text", "exact", "date", "email", "digits"]


class Probabilistic(Model):
    """People without a common id, found by how alike their attributes are (Splink)."""

    compare: dict[Name, Comparator] = Field(
        min_length=1,
        description="attribute of the profile sources: how it is compared. name, text: Jaro-Winkler, or exact; exact; "
        "date: exact, or a typing error or little time away; email: the whole, or the part before the @; digits: "
        "exact, or a typing error away",
        examples=[{"surname": "name"}],
    )
    block_on: list[list[Name]] | None = Field(
        default=None,
        description="attributes that pairs to be scored have in common, any of these lists; default each two of "
        "compare, and each one of email, date and digits",
    )
    threshold: float = Field(default=0.95, gt=0, lt=1, description="the least probability of a pair that is joined")


class Identity(Model):
    """How ids of several types and sources are joined to people."""

    ids: dict[Name, IdType] = Field(
        min_length=1, description="id types, strongest first; sources say in ids which columns hold them",
        examples=[{"email": {"normalise": "email"}}],
    )  # fmt: skip
    blocked: Blocked = Blocked()
    survivorship: dict[Name, Survivorship] = Field(
        default={},
        description="attribute: newest, most_frequent or source_priority; default source_priority, within a source the "
        "newest",
    )
    probabilistic: Probabilistic | None = None
