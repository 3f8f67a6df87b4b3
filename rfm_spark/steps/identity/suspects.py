"""Suspects: what each person is made of, and which of them may be several."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import OWN_ID


def groups(identities: DataFrame, links: DataFrame) -> DataFrame:
    """One row a person: customer_key, customers (of sources), sources, values, links (that join), density, conflicts.

    Reads: tables `identities` and `identity_links`.
    Rules: density is the share of all links that customers and values could have, 1 where every row says the same;
        conflicts are the sources with several customers, and the id types with several values. One shuffle by person
        and id type of each table.
    """
    known = identities.filter(F.col("customer_key").isNotNull())
    own = known.filter(F.col("id_type") == OWN_ID).groupBy("customer_key", "source").agg(F.count(F.lit(1)).alias("n"))
    of_people = own.groupBy("customer_key").agg(
        F.sum("n").alias("customers"), F.count(F.lit(1)).alias("sources"), F.count_if(F.col("n") > 1).alias("_doubled")
    )
    typed = known.filter((F.col("id_type") != OWN_ID) & (F.col("rule") == F.col("id_type")))
    each = typed.groupBy("customer_key", "id_type").agg(F.count_distinct("id_value").alias("n"))
    of_values = each.groupBy("customer_key").agg(
        F.sum("n").alias("values"), F.count_if(F.col("n") > 1).alias("_several")
    )
    joined = links.filter(F.col("outcome") == "joined").groupBy("customer_key").agg(F.count(F.lit(1)).alias("links"))
    rows = of_people.join(of_values, "customer_key", "left").join(joined, "customer_key", "left")
    none = F.lit(0).cast("bigint")
    counted = rows.withColumns({"values": F.coalesce("values", none), "links": F.coalesce("links", none)})
    possible = F.col("customers").cast("double") * F.greatest("values", F.lit(1))
    return counted.select(
        "customer_key",
        "customers",
        "sources",
        "values",
        "links",
        F.least(F.lit(1.0), F.col("links").cast("double") / possible).alias("density"),
        (F.col("_doubled") + F.coalesce("_several", none)).alias("conflicts"),
    )


def ranked(groups: DataFrame) -> DataFrame:
    """Those of several customers that something speaks against, the most suspicious first: by conflicts, by size, and
    the looser first."""
    doubtful = groups.filter("customers > 1 and (conflicts > 0 or density < 0.5)")
    return doubtful.orderBy(F.desc("conflicts"), F.desc("customers"), "density", "customer_key")
