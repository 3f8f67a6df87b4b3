"""People: ids joined type by type, strongest first, within the limits of each type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import IdType
from rfm_spark.sql import Keep, union
from rfm_spark.steps.identity.components import components

PROBABILISTIC = "probabilistic"
TOO_MANY_CUSTOMERS, TOO_MANY_VALUES = "max_customers", "max_per_customer"


@dataclass
class Joined:
    """Who is whom: `people` (node, person); `dropped` (value, reason) of values that join nobody; the rounds that each
    level of types took."""

    people: DataFrame
    dropped: list[DataFrame] = field(default_factory=list)
    rounds: dict[str, int] = field(default_factory=dict)


def join(
    owners: DataFrame, links: DataFrame, id_types: Mapping[str, IdType], alike: DataFrame | None, checkpoint: Keep
) -> Joined:
    """Join customers of sources to people.

    Reads: owners (node, source), one row a customer of a source; links (node, id_type, value), distinct and good, with
        a number for each value of a type; `id_types`, strongest first; `alike` (a, b, value) of pairs of nodes that a
        matcher found, or None, which is weaker than every type; `checkpoint` keeps a frame of one or two whole numbers,
        and lets later plans begin with it: all that goes from one level or round to the next is such a frame.
    Rules: a type's values join what stronger types have joined to people so far. A value that stands with more than
        max_customers people joins nobody; people are counted apart by source and by stronger type, and the greatest
        count holds, so that ids of one person in several sources are no breach. Where the values of a type join people
        to one with more than max_per_customer values of any type, none of them joins there. So nothing depends on the
        order in which rows came. Types without limits are joined at once.
    """
    done = Joined(owners.select("node", F.col("node").alias("person")))
    limited = {name: one.max_per_customer for name, one in id_types.items() if one.max_per_customer}
    for level in _levels(id_types):
        mine = links.filter(F.col("id_type").isin(level))
        held = mine.join(done.people, "node").select("id_type", "value", "person").distinct()
        ties = held.groupBy("value").agg(F.min("person").alias("least"), F.count(F.lit(1)).alias("_people"))
        shared = checkpoint(ties.filter("_people > 1").select("value", "least"))
        most = id_types[level[0]].max_customers
        if most is not None:
            stronger = list(id_types)[: list(id_types).index(level[0])]
            asked = held.filter(F.col("id_type") == level[0]).join(shared.select("value"), "value", "left_semi")
            over = checkpoint(_over(asked, most, _kinds(owners, links, done, stronger)))
            done.dropped.append(over.withColumn("reason", F.lit(TOO_MANY_CUSTOMERS)))
            shared = shared.join(over, "value", "left_anti")
        edges = held.join(shared, "value").select(F.col("person").alias("a"), F.col("least").alias("b"))
        _tie(done, "+".join(level), edges, shared, links, limited, checkpoint)
    if alike is not None:
        a, b = (done.people.select(F.col("node").alias(end), F.col("person").alias(f"_{end}")) for end in "ab")
        apart = alike.join(a, "a").join(b, "b").filter("_a <> _b")
        edges = apart.select(F.col("_a").alias("a"), F.col("_b").alias("b"))
        _tie(done, PROBABILISTIC, edges, apart.select("value", F.col("_a").alias("least")), links, limited, checkpoint)
    return done


def _levels(id_types: Mapping[str, IdType]) -> Iterator[list[str]]:
    """Types that are joined at once: a limit on people needs to know them, one on values what has joined them."""
    alone = any(one.max_per_customer for one in id_types.values())
    level: list[str] = []
    for name, one in id_types.items():
        if level and (alone or one.max_customers):
            yield level
            level = []
        level.append(name)
    yield level


def _kinds(owners: DataFrame, links: DataFrame, done: Joined, stronger: Sequence[str]) -> DataFrame:
    """(person, kind): each source and each stronger type that a person has an id of."""
    sources = owners.select("node", F.concat(F.lit("source "), "source").alias("kind"))
    typed = links.filter(F.col("id_type").isin(list(stronger))) if stronger else links.limit(0)
    for dropped in done.dropped:
        typed = typed.join(dropped.select("value"), "value", "left_anti")
    every = sources.unionAll(typed.select("node", F.concat(F.lit("id "), "id_type").alias("kind")))
    return every.join(done.people, "node").select("person", "kind").distinct()


def _over(held: DataFrame, most: int, kinds: DataFrame) -> DataFrame:
    """Values with more people of one kind than a value may have."""
    counted = held.join(kinds, "person").groupBy("value", "kind").agg(F.count(F.lit(1)).alias("_people"))
    return counted.filter(F.col("_people") > most).select("value").distinct()


def _tie(
    done: Joined,
    name: str,
    edges: DataFrame,
    shared: DataFrame,
    links: DataFrame,
    limited: Mapping[str, int],
    checkpoint: Keep,
) -> None:
    """Join the people of edges (a, b), which are of the values `shared` (value, least: one of its people), but for
    those who would have too many values."""
    found, rounds = components(checkpoint(edges.filter("a <> b")), checkpoint)
    done.rounds[name] = rounds
    if not rounds:
        return
    groups = checkpoint(found.select(F.col("node").alias("person"), F.col("component").alias("group")))
    if limited:
        good = links.filter(F.col("id_type").isin(list(limited)))
        for dropped in done.dropped:
            good = good.join(dropped.select("value"), "value", "left_anti")
        members = done.people.join(groups, "person")
        counted = good.join(members, "node").groupBy("group", "id_type").agg(F.count_distinct("value").alias("_n"))
        too_many = F.lit(False)
        for id_type, most in limited.items():
            too_many |= (F.col("id_type") == id_type) & (F.col("_n") > most)
        breached = checkpoint(counted.filter(too_many).select("group").distinct())
        undone = groups.join(breached, "group", "left_semi").select(F.col("person").alias("least"))
        over = checkpoint(shared.join(undone, "least", "left_semi").select("value").distinct())
        done.dropped.append(over.withColumn("reason", F.lit(TOO_MANY_VALUES)))
        groups = groups.join(breached, "group", "left_anti")
    labelled = done.people.join(groups, "person", "left")
    done.people = checkpoint(labelled.select("node", F.coalesce("group", "person").alias("person")))


def all_dropped(done: Joined) -> DataFrame | None:
    """(value, reason), each value once."""
    return union(done.dropped) if done.dropped else None
