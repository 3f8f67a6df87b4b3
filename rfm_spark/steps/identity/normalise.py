"""Normalise: the spellings of an id as one comparable value."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import Blocked, IdType

SHAPE = "id_type string, spelling string, id_value string"


def normalised(spellings: DataFrame, id_types: Mapping[str, IdType]) -> DataFrame:
    """One row a spelling: id_type, spelling, id_value (null where the spelling is no such id).

    Reads: distinct (id_type, spelling), of the named types.
    Rules: those of `IdType.normalise`. Python does it on the executors, since no engine knows Unicode's normal forms or
        telephone numbers: each distinct spelling once. The function travels by value, so that they need pandas, pyarrow
        and, for telephones, phonenumbers, and nothing of this package. No shuffle.
    """
    return spellings.select("id_type", "spelling").mapInPandas(_by_batch(_settings(id_types)), SHAPE)


def _settings(id_types: Mapping[str, IdType]) -> dict[str, tuple[str, str | None, bool]]:
    return {name: (one.normalise, one.region, one.plus_addressing == "ignore") for name, one in id_types.items()}


def _by_batch(settings: Mapping[str, tuple[str, str | None, bool]]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    value_of = normaliser(settings)

    def batches(frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            values = [value_of(*pair) for pair in zip(frame["id_type"], frame["spelling"], strict=True)]
            yield frame.assign(id_value=values)[["id_type", "spelling", "id_value"]].astype(object)

    return batches


def normaliser(settings: Mapping[str, tuple[str, str | None, bool]]) -> Callable[[str, str], str | None]:
    """A function of (id_type, spelling) that gives the value; `settings` of each type: normaliser, region, whether what
    stands after a + of an e-mail address is ignored.

    All that it needs is inside of it, so that it can be sent to where this package is not installed.
    """

    def none(value: str, *_: Any) -> str | None:
        return value

    def text(value: str, *_: Any) -> str | None:
        import unicodedata

        once = unicodedata.normalize("NFKC", value).casefold()
        return " ".join(unicodedata.normalize("NFKC", once).split()) or None

    def digits(value: str, *_: Any) -> str | None:
        import unicodedata

        found = [unicodedata.digit(character, None) for character in unicodedata.normalize("NFKC", value)]
        return "".join(str(digit) for digit in found if digit is not None) or None

    by_kind = {"none": none, "text": text, "digits": digits, "email": _emails(text), "phone": _phones()}

    def value_of(id_type: str, spelling: str) -> str | None:
        kind, *options = settings[id_type]
        return by_kind[kind](spelling, *options)

    return value_of


def _emails(text: Callable[[str], str | None]) -> Callable[..., str | None]:
    def email(value: str, _: str | None, ignore_plus: bool) -> str | None:
        import re

        local, at, domain = (text(value) or "").removeprefix("mailto:").rpartition("@")
        if ignore_plus:
            local = local.partition("+")[0]
        try:
            domain = domain.rstrip(".").encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
        whole = f"{local}@{domain}"
        return whole if at and re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", whole) else None

    return email


def _phones() -> Callable[..., str | None]:
    def phone(value: str, region: str | None, _: bool) -> str | None:
        import phonenumbers

        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            return None
        # a number that is dialled within a town alone is nobody's in particular
        if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
            return None
        number.extension = None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    return phone


def blocked_values(blocked: Blocked, id_types: Mapping[str, IdType]) -> dict[str, list[str]]:
    """{id type: the blocked values as that type has them}, so that one spelling blocks all; the digits of a text that
    has letters are another value."""
    value_of = normaliser(_settings(id_types))
    told = {}
    for name, one in id_types.items():
        meant = [v for v in blocked.values if one.normalise != "digits" or not any(map(str.isalpha, v))]
        told[name] = sorted({value for v in meant if (value := value_of(name, v)) is not None})
    return {name: found for name, found in told.items() if found}


def with_blocked(values: DataFrame, blocked: Blocked, id_types: Mapping[str, IdType]) -> DataFrame:
    """The rows of `normalised` with `is_blocked`: whether the value identifies nobody.

    Rules: a blocked value is compared with spelling and value, in any case, and with the value in the form that its
        type gives it, so that a telephone is blocked in every spelling; a pattern is looked for in the value, in
        any case, or in the spelling where there is no value. No shuffle.
    """
    told = F.coalesce("id_value", "spelling")
    is_blocked = F.lit(False)
    if blocked.values:
        listed = sorted({value.strip().lower() for value in blocked.values})
        is_blocked = F.lower(told).isin(*listed) | F.lower("spelling").isin(*listed)
    for name, meant in blocked_values(blocked, id_types).items():
        is_blocked |= F.coalesce((F.col("id_type") == name) & F.col("id_value").isin(*meant), F.lit(False))
    for pattern in blocked.patterns:
        is_blocked |= F.lower(told).rlike(pattern) | told.rlike(pattern)
    return values.withColumn("is_blocked", is_blocked)
