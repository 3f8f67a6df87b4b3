"""Identity: how ids were joined to people, which groups to look into, and how one id came to its person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark import schemas
from rfm_spark.config.identity import OWN_ID, Identity
from rfm_spark.config.words import did_you_mean, listed
from rfm_spark.errors import ConfigError, InputError
from rfm_spark.lake import Lake
from rfm_spark.pipelines.published import published
from rfm_spark.steps.identity import normalise, suspects
from rfm_spark.steps.identity.links import hash_of

_SHOWN, _MOST_LINKS = 10, 200


@dataclass(frozen=True)
class Audit:
    """`sizes` {customers of sources a person: people}, `dropped` {(id type, why): values}, the largest groups and the
    most suspicious ones, and of one id its person's links; rows as dicts, ids as they are."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    largest: list[dict[str, Any]] = field(default_factory=list)
    suspicious: list[dict[str, Any]] = field(default_factory=list)
    graph: list[dict[str, Any]] = field(default_factory=list)


def audit(lake: Lake, identity: Identity | None, id_: str | None = None) -> Audit:
    """What `identities` and `identity_links` tell, as the complete runs left them; with `id_`, TYPE:VALUE, of one id.

    Raises: ConfigError where there is no identity section or no such type; InputError where nothing was joined yet, or
        nobody has the id.
    """
    if identity is None:
        raise ConfigError("found no section identity, expected one: without it an id is the same in every source")
    now = published(lake)
    ids, links = now.read(schemas.IDENTITIES.name), now.read(schemas.IDENTITY_LINKS.name)
    if ids is None or links is None:
        raise InputError(f"no complete run has joined ids in {lake.place} yet; run `rfm-spark ingest` first")
    if id_ is not None:
        return Audit(graph=_graph(ids, links, identity, id_))
    groups = suspects.groups(ids, links)
    sizes = {row["customers"]: row["count"] for row in groups.groupBy("customers").count().collect()}
    why = ids.filter((F.col("id_type") != OWN_ID) & (F.col("rule") != F.col("id_type")))
    dropped = why.select("id_type", "rule", "id_value").distinct().groupBy("id_type", "rule").count().collect()
    largest = groups.filter("customers > 1").orderBy(F.desc("customers"), F.desc("values"), "customer_key")
    worst = suspects.ranked(groups)
    return Audit(
        dict(sorted(sizes.items())),
        {(row["id_type"], row["rule"]): row["count"] for row in sorted(dropped)},
        [row.asDict() for row in largest.limit(_SHOWN).collect()],
        [row.asDict() for row in worst.limit(_SHOWN).collect()],
    )


def _graph(ids: DataFrame, links: DataFrame, identity: Identity, id_: str) -> list[dict[str, Any]]:
    """The links of the people that an id stands with, at most so many."""
    id_type, colon, value = id_.partition(":")
    known = [OWN_ID, *identity.ids]
    if not colon or id_type not in known:
        found = "no such type" if colon else "no colon"
        raise ConfigError(
            f"--id: found {found}, expected TYPE:VALUE with one of {listed(known)}{did_you_mean(id_type, known)}"
        )
    asked = [value.strip()]
    if id_type != OWN_ID:
        one = identity.ids[id_type]
        told = normalise.normaliser({id_type: (one.normalise, one.region, one.plus_addressing == "ignore")})
        asked.append(told(id_type, value.strip()) or value.strip())
    mine = ids.filter((F.col("id_type") == id_type) & F.col("id_value").isin(asked))
    keyed = mine.filter(F.col("customer_key").isNotNull()).select("customer_key").distinct()
    # a value that several people have, or that joins nobody, stands with those whose rows hold it
    holders = mine.select(hash_of("id_type", "id_value").alias("to_id")).distinct()
    held = links.join(holders, "to_id", "left_semi").select("customer_key")
    people = keyed.unionAll(held).distinct()
    values = ids.filter(F.col("id_type") != OWN_ID).select(
        F.col("id_type").alias("rule"), hash_of("id_type", "id_value").alias("to_id"), "id_value"
    )
    others = ids.filter(F.col("id_type") == OWN_ID).select(
        F.lit("probabilistic").alias("rule"), hash_of("source", "id_value").alias("to_id"), "id_value"
    )
    told_values = values.unionAll(others).distinct()
    rows = links.join(people, "customer_key", "left_semi").join(told_values, ["rule", "to_id"], "left")
    ordered = rows.orderBy("customer_key", "source", "source_customer_id", "rule", "to_id").limit(_MOST_LINKS)
    graph = [row.asDict() for row in ordered.collect()]
    if not graph and mine.isEmpty():
        raise InputError("--id: nobody has this id; give it as a source has it, such as email:ann@example.com")
    return graph
