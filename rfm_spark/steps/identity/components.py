"""Components: which nodes of a graph are connected, in rounds of the logarithm of the longest chain."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.sql import Keep

_MOST_ROUNDS = 200


class NotConverged(Exception):
    """More rounds than any graph needs."""


def components(edges: DataFrame, checkpoint: Keep) -> tuple[DataFrame, int]:
    """One row a node that has an edge: node, component (the least node that it is connected with); and the rounds.

    Reads: edges (a, b), whole numbers, in either direction and as often as may be, kept already; `checkpoint`, which
        keeps a frame of two whole numbers and lets later plans begin with it.
    Rules: in a round each node goes to the least of itself and its neighbours, and the graph of those that it leaves is
        the next (randomised contraction: Boegeholz, Brand and Todor, In-database Connected Component Analysis, 2020).
        Between rounds all nodes get other numbers, so that no order of theirs is a bad one: by a hash that gives no two
        numbers the same. It ends where no edge is left; then the rounds are gone back through, least first. Nothing is
        collected but whether there is an edge.
    A round shuffles its edges four times; after it half the nodes of a chain are left, and fewer of most other graphs,
    so that all rounds together cost a few times the first.
    """
    left, passed = edges.select("a", "b").filter("a <> b"), list[DataFrame]()
    while not left.isEmpty():
        if len(passed) == _MOST_ROUNDS:
            raise NotConverged
        passed.append(checkpoint(_least_near(left)))
        left = checkpoint(_contracted(left, passed[-1]))
    if not passed:
        return left.select(F.col("a").alias("node"), F.col("b").alias("component")), 0
    labelled = checkpoint(_gone_back(passed))
    least = labelled.groupBy("b").agg(F.min("a").alias("component"))
    return labelled.join(least, "b").select(F.col("a").alias("node"), "component"), len(passed)


def _least_near(edges: DataFrame) -> DataFrame:
    """Each node `a` with `b`, the least of it and its neighbours."""
    both = edges.unionAll(edges.select(F.col("b").alias("a"), F.col("a").alias("b")))
    return both.groupBy("a").agg(F.least(F.min("b"), F.col("a")).alias("b"))


def _contracted(edges: DataFrame, near: DataFrame) -> DataFrame:
    """The edges between what their ends have gone to, once each and in new numbers."""
    ends = [near.select(F.col("a").alias(end), F.col("b").alias(f"_{end}")) for end in "ab"]
    moved = edges.join(ends[0], "a").join(ends[1], "b").filter("_a <> _b")
    once = moved.select(F.least("_a", "_b").alias("a"), F.greatest("_a", "_b").alias("b")).distinct()
    return once.select(_renumbered("a").alias("a"), _renumbered("b").alias("b"))


def _gone_back(passed: list[DataFrame]) -> DataFrame:
    """Each node of the first round with `b`, a number that its component alone has."""
    *earlier, found = passed
    for rounds, near in enumerate(reversed(earlier), 1):
        ends = found.select(F.col("a").alias("_a"), F.col("b").alias("_b"))
        moved = near.withColumn("_a", _renumbered("b")).join(ends, "_a", "left")
        found = moved.select("a", F.coalesce("_b", _renumbered("_a", rounds - 1)).alias("b"))
    return found


def _renumbered(node: str, times: int = 1) -> Column:
    """Another number for each node: XXH64 of eight bytes is a bijection, since each of its steps can be undone."""
    number = F.col(node)
    for _ in range(times):
        number = F.xxhash64(number)
    return number
