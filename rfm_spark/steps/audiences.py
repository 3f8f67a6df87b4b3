"""Audiences: the message of each person, and what of an audience a destination gets."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.campaigns import TREATMENT
from rfm_spark.config.messages import Part

_CONTROL = r"[\x00-\x1f\x7f]+"  # line ends in a value would forge a message's lines
_HTML = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))
ADDED, CHANGED, REMOVED = "added", "changed", "removed"
SENT = ("customer_key", "channel", "purpose", "segment", "message", "send_at")  # what a sender needs


def message(parts: Sequence[Part], escapes: str, types: Mapping[str, T.DataType]) -> Column:
    """The message of a person; null where a field that has no default is empty.

    Rules: what the author wrote stands as it is, values are escaped (html) or only rid of control characters (text);
        fractions have two decimals; a blank value is empty.
    """
    pieces = [F.lit(part.text) if part.field is None else _value(part, escapes, types[part.field]) for part in parts]
    return F.concat(*pieces) if pieces else F.lit("")


def _value(part: Part, escapes: str, data_type: T.DataType) -> Column:
    column = F.col(f"`{part.field}`")
    if isinstance(data_type, T.DoubleType | T.FloatType):
        column = F.round(column, 2).cast("decimal(28,2)")
    text = F.trim(F.regexp_replace(column.cast("string"), _CONTROL, " "))
    text = F.when(text != "", text)
    if escapes == "html":
        for character, entity in _HTML:
            text = F.replace(text, F.lit(character), F.lit(entity))
    return text if part.default is None else F.coalesce(text, F.lit(part.default))


def exported(audience: DataFrame, columns: Mapping[str, str], *, as_text: bool = True) -> DataFrame:
    """One row a person who is contacted, as a destination wants it: nobody who is held out.

    Reads: rows of one campaign; `columns`, their name: ours, or none for `SENT`; `as_text`: instants are text of ISO
        8601. No shuffle.
    """
    wanted = columns or {name: name for name in SENT}
    treated = audience.filter(F.col("group") == TREATMENT)
    if not as_text:
        return treated.select(*(F.col(ours).alias(theirs) for theirs, ours in wanted.items()))
    return treated.select(*(_plain(audience, ours).alias(theirs) for theirs, ours in wanted.items()))


def _plain(audience: DataFrame, name: str) -> Column:
    """A column as files hold it: an instant as text of ISO 8601, so that every reader sees the same."""
    if isinstance(audience.schema[name].dataType, T.TimestampType):
        return F.date_format(name, "yyyy-MM-dd'T'HH:mm:ss'Z'")
    return F.col(name)


def fingerprint(rows: DataFrame) -> Column:
    """A number of the content of rows, whatever their order; an aggregate."""
    cells = [F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("\x00")) for name in rows.columns]
    hashed = F.conv(F.substring(F.sha2(F.concat_ws("\x1f", *cells), 256), 1, 15), 16, 10).cast("decimal(38,0)")
    return F.sum(hashed)


def differences(now: DataFrame, before: DataFrame | None, columns: Mapping[str, str]) -> DataFrame:
    """One row a person whose exported row was added, changed or removed: the columns of `exported`, and `change`.

    Reads: rows of one campaign now and as published before. A removed row has the cells it had.
    One shuffle of either by customer_key.
    """
    names = columns or {name: name for name in SENT}
    kept = {**names, "_key": "customer_key"}
    new = exported(now, kept)
    if before is None:
        return new.drop("_key").withColumn("change", F.lit(ADDED))
    old = exported(before, kept)
    a, b = new.alias("a"), old.alias("b")
    both = a.join(b, F.col("a._key") == F.col("b._key"), "full_outer")
    same = F.lit(True)
    for name in names:
        same = same & F.col(f"a.`{name}`").eqNullSafe(F.col(f"b.`{name}`"))
    change = (
        F.when(F.col("b._key").isNull(), F.lit(ADDED))
        .when(F.col("a._key").isNull(), F.lit(REMOVED))
        .when(~same, F.lit(CHANGED))
    )
    gone = F.col("a._key").isNull()
    cells = [F.when(gone, F.col(f"b.`{n}`")).otherwise(F.col(f"a.`{n}`")).alias(n) for n in names]
    return both.select(*cells, change.alias("change")).filter(F.col("change").isNotNull())
