"""Connected components against networkx: chains, stars, cliques, random graphs; rounds of the chain's logarithm."""

import random

import networkx as nx
import pandas as pd
import pytest

from rfm_spark.pipelines.kept_frames import Kept


@pytest.fixture
def kept():
    kept = Kept()
    yield kept
    kept.release()


def chain(n, rng):
    """A chain in random order: its least number may be anywhere."""
    ids = list(range(n))
    rng.shuffle(ids)
    return [(ids[i], ids[i + 1]) for i in range(n - 1)]


def expected(pairs):
    graph = nx.Graph((a, b) for a, b in pairs if a != b)
    return {node: min(found) for found in nx.connected_components(graph) for node in found}


def found(spark, kept, pairs):
    from rfm_spark.steps.identity.components import components

    frame = spark.createDataFrame(pd.DataFrame(pairs, columns=["a", "b"], dtype="int64"))
    told, rounds = components(frame, kept.checkpoint)
    rows = told.toPandas()
    assert rows["node"].is_unique
    return dict(zip(rows["node"], rows["component"], strict=True)), rounds


def test_many_graphs_at_once(spark, kept):
    seed = random.randrange(10**6)
    print("seed", seed)
    rng, pairs, offset = random.Random(seed), [], 0
    for n in (1, 2, 3, 10, 100, 300):
        graphs = [
            chain(n, rng),
            [(0, i) for i in range(n)],
            [(n, i) for i in range(n)],
            [(i, j) for i in range(min(n, 25)) for j in range(i)],
            [(rng.randrange(n), rng.randrange(n)) for _ in range(n)],
            list(nx.random_labeled_tree(n, seed=rng.randrange(10**6)).edges),
        ]
        for graph in graphs:
            pairs += [(a + offset, b + offset) if rng.random() < 0.5 else (b + offset, a + offset) for a, b in graph]
            offset += n + 1
    pairs += rng.sample(pairs, 50)
    shift = 2**62  # node numbers are hashes, below zero too
    pairs = [(a - shift, b - shift) for a, b in pairs]
    assert found(spark, kept, pairs)[0] == expected(pairs)


@pytest.mark.on_sail
def test_a_chain_of_10_000_takes_rounds_of_its_logarithm(spark, kept):
    rng = random.Random(7)
    for pairs in (chain(10_000, rng), [(i, i + 1) for i in range(9_999)]):
        components, rounds = found(spark, kept, pairs)
        assert components == expected(pairs)
        assert rounds <= 18
        assert rounds > 5  # a chain that is found at once would not be one


def test_no_edge(spark, kept):
    assert found(spark, kept, [(1, 1)]) == ({}, 0)


def test_new_numbers_can_be_undone(spark):
    """What gives no two numbers the same, on every engine."""
    from pyspark.sql import functions as F

    rng = random.Random(3)
    numbers = [-(2**63), -1, 0, 1, 2**63 - 1, *(rng.randrange(-(2**63), 2**63) for _ in range(200))]
    frame = spark.createDataFrame(pd.DataFrame({"n": numbers}, dtype="int64"))
    rows = frame.select("n", F.xxhash64("n").alias("new")).toPandas()
    assert [undone(new) for new in rows["new"]] == list(rows["n"])


def undone(new: int) -> int:
    """The number whose eight bytes have this XXH64 of seed 42, each step of it backwards."""
    one, two, three, four, five = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )  # fmt: skip
    size = 2**64

    def shifted_back(x, by):
        found = x
        for _ in range(64 // by):
            found = x ^ (found >> by)
        return found

    def turned_back(x, by):
        return (x >> by | x << (64 - by)) % size

    x = shifted_back(int(new) % size, 32) * pow(three, -1, size) % size
    x = shifted_back(x, 29) * pow(two, -1, size) % size
    x = (shifted_back(x, 33) - four) * pow(one, -1, size) % size
    x = turned_back(x, 27) ^ (42 + five + 8) % size
    x = turned_back(x * pow(one, -1, size) % size, 31) * pow(two, -1, size) % size
    return x - size if x >= size // 2 else x


@pytest.mark.slow
@pytest.mark.on_sail
def test_a_million_edges(spark, kept):
    from pyspark.sql import functions as F

    from rfm_spark.steps.identity.components import components

    n = 10**6
    ends = [(F.xxhash64("id", F.lit(seed)) % n).alias(end) for seed, end in ((1, "a"), (2, "b"))]
    edges = kept.keep(spark.range(n).select(*ends))  # rows of Python's would take minutes to come to the engine
    told, rounds = components(edges, kept.checkpoint)
    rows, pairs = told.toArrow(), edges.toArrow()
    graph = expected(zip(pairs["a"].to_pylist(), pairs["b"].to_pylist(), strict=True))
    assert dict(zip(rows["node"].to_pylist(), rows["component"].to_pylist(), strict=True)) == graph
    assert rows.num_rows == len(graph)
    assert rounds <= 20
