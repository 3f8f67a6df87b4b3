"""Links: which ids stand together in the rows of sources."""

from collections.abc import Iterable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import OWN_ID
from rfm_spark.sql import quoted

OWNER = ["source", "source_customer_id"]
GOOD, BLOCKED, INVALID, UNUSED = "joined", "blocked", "invalid", "unused"
_SEPARATOR = "\x1f"


def hash_of(*parts: str | Column) -> Column:
    """What stands for an id where the id itself must not."""
    return F.md5(F.concat_ws(_SEPARATOR, *parts)).cast("string")


def hashes(rows: DataFrame, columns: dict[str, str]) -> Column:
    """The ids of a row as sorted hashes of type and spelling, null without any; `columns` are {id type: column}."""
    present = {name: column for name, column in columns.items() if column in rows.columns}
    if not present:
        return F.lit(None).cast("array<string>")
    each = [F.when(F.col(c).isNotNull(), hash_of(F.lit(name), F.col(c))) for name, c in sorted(present.items())]
    found = F.array_sort(F.array_compact(F.array(*each)))
    return F.when(F.size(found) > 0, found)


def spelled(rows: DataFrame, columns: dict[str, str]) -> DataFrame | None:
    """One row an id that a source row has: source, source_customer_id, id_type, spelling; None where none can be."""
    present = {name: column for name, column in columns.items() if column in rows.columns}
    if not present:
        return None
    each = [F.struct(F.lit(name).alias("id_type"), F.col(quoted(c)).alias("spelling")) for name, c in present.items()]
    exploded = rows.select(*OWNER, F.explode(F.array(*each)).alias("_id"))
    return exploded.select(*OWNER, "_id.id_type", "_id.spelling").filter(F.col("spelling").isNotNull())


def stored(events: DataFrame, identities: DataFrame) -> DataFrame:
    """The same of events in the lake, which have hashes, by the spellings that `identities` knows.

    Shuffles of the distinct (source, source_customer_id, hash), and of the spellings.
    """
    of_events = events.select(*OWNER, F.explode("id_hashes").alias("_hash")).distinct()
    known = identities.filter(F.col("id_type") != OWN_ID).select("id_type", F.explode("spellings").alias("spelling"))
    told = known.distinct().withColumn("_hash", hash_of("id_type", "spelling"))
    return of_events.join(told, "_hash").select(*OWNER, "id_type", "spelling")


def links(spelled: DataFrame, values: DataFrame, known_types: Iterable[str]) -> DataFrame:
    """One row a customer of a source and id value: source, source_customer_id, id_type, id_value, spellings, state.

    Reads: distinct rows of `spelled`; rows of `normalise.with_blocked` of the known types.
    Rules: state is joined, blocked, invalid (the spelling is no such id, and stands as it is) or unused (the config has
        no such type any more). One shuffle by spelling, one by customer.
    """
    state = (
        F.when(~F.col("id_type").isin(*known_types), UNUSED)
        .when(F.col("is_blocked"), BLOCKED)
        .when(F.col("id_value").isNull(), INVALID)
        .otherwise(GOOD)
    )
    joined = spelled.join(values, ["id_type", "spelling"], "left").withColumn("state", state)
    value = F.coalesce("id_value", "spelling")
    return (
        joined.withColumn("id_value", value)
        .groupBy(*OWNER, "id_type", "id_value", "state")
        .agg(F.array_sort(F.collect_set("spelling")).alias("spellings"))
    )


def numbered(rows: DataFrame, of: Sequence[str], number: str, seed: int) -> DataFrame:
    """The rows with column `number`, a hash of `of` by a seed; `collide` tells whether two share one. No shuffle."""
    return rows.withColumn(number, F.xxhash64(F.lit(seed), *of))


def collide(rows: DataFrame, number: str) -> bool:
    """Whether two of the rows, each of something else, have the same number: another seed helps. One aggregate."""
    row = rows.agg(F.count(F.lit(1)), F.count_distinct(number)).collect()[0]
    return row[0] != row[1]
