"""Components: which nodes of a graph are connected, in rounds of the logarithm of the longest chain."""

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

Cut = Callable[[DataFrame], DataFrame]
_MOST_ROUNDS = 200


class NotConverged(Exception):
    """More rounds than any graph needs."""


def components(edges: DataFrame, cut: Cut) -> tuple[DataFrame, int]:
    """One row a node that has an edge: node, component (the least node that it is connected with); and the rounds.

    Reads: edges (a, b), whole numbers, in either direction and as often as may be; `cut`, which keeps a frame and lets
        later plans begin with it.
    Rules: a round is a large-star and a small-star step (Kiveris et al., Connected Components in MapReduce and Beyond,
        2014): each node's greater neighbours, then its smaller ones, are tied to its least neighbour. It ends where a
        round changes nothing: every component is a star then. Nothing is collected but a count and a sum a round.
    Two shuffles a step, of as many edges as there are left: never more than at first.
    """
    ordered = edges.filter("a <> b").select(F.greatest("a", "b").alias("a"), F.least("a", "b").alias("b"))
    current = cut(ordered.distinct())
    before, rounds = _told(current), 0
    while before[0]:
        if rounds == _MOST_ROUNDS:
            raise NotConverged
        current = cut(_small_star(_large_star(current)))
        rounds += 1
        now = _told(current)
        if now == before:
            break
        before = now
    roots = current.select(F.col("b").alias("node"), F.col("b").alias("component")).distinct()
    return current.select(F.col("a").alias("node"), F.col("b").alias("component")).unionAll(roots), rounds


def _large_star(edges: DataFrame) -> DataFrame:
    """Tie each node's greater neighbours to the least of it and its neighbours."""
    both = edges.unionAll(edges.select(F.col("b").alias("a"), F.col("a").alias("b")))
    least = both.groupBy("a").agg(F.least(F.min("b"), F.col("a")).alias("m"))
    greater = edges.select(F.col("b").alias("a"), F.col("a").alias("b"))
    return greater.join(least, "a").select(F.col("b").alias("a"), F.col("m").alias("b"))


def _small_star(edges: DataFrame) -> DataFrame:
    """Tie each node and its smaller neighbours to the least of them."""
    least = edges.groupBy("a").agg(F.min("b").alias("m"))
    smaller = edges.join(least, "a").select(F.col("b").alias("a"), F.col("m").alias("b"))
    own = least.select("a", F.col("m").alias("b"))
    return smaller.unionAll(own).filter("a <> b").distinct()


def _told(edges: DataFrame) -> tuple[int, int]:
    """How many edges there are, and a sum that is another where they are others."""
    mixed = F.xxhash64("a", "b").cast("decimal(38,0)")
    row = edges.agg(F.count(F.lit(1)), F.sum(mixed)).collect()[0]
    return row[0], int(row[1] or 0)
