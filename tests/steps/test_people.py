"""People within the limits of their ids, against a plain union-find: many random worlds in one frame."""

import random
from collections import defaultdict

import pytest

from rfm_spark.config.identity import IdType
from rfm_spark.local import local_frame
from rfm_spark.pipelines.kept_frames import Kept

TYPES = {
    "loyalty": IdType(max_per_customer=1),
    "email": IdType(max_customers=2, max_per_customer=3),
    "phone": IdType(),
    "device": IdType(max_customers=1),
}


def expected(owners, links):  # noqa: C901 - written as it is told
    """{owner: person} by hand, level by level: owners {node: source}, links [(node, type, value)]."""
    person, dropped = {node: node for node in owners}, set()
    for level, (name, limits) in enumerate(TYPES.items()):
        stronger = list(TYPES)[:level]
        kinds = defaultdict(set)
        for node, source in owners.items():
            kinds[person[node]].add(("source", source))
        for node, type_, value in links:
            if type_ in stronger and (type_, value) not in dropped:
                kinds[person[node]].add(("id", type_))
        holders = defaultdict(set)
        for node, type_, value in links:
            if type_ == name:
                holders[value].add(person[node])
        for value, who in holders.items():
            counts = defaultdict(int)
            for one in who:
                for kind in kinds[one]:
                    counts[kind] += 1
            if limits.max_customers and len(who) > 1 and max(counts.values()) > limits.max_customers:
                dropped.add((name, value))
        joins = {value: who for value, who in holders.items() if len(who) > 1 and (name, value) not in dropped}
        group = {one: one for one in set(person.values())}
        for who in joins.values():
            least = min(group[one] for one in who)
            merged = {group[one] for one in who}
            group = {one: least if at in merged else at for one, at in group.items()}
        values = defaultdict(set)
        for node, type_, value in links:
            if (type_, value) not in dropped:
                values[group[person[node]], type_].add(value)
        breached = {at for (at, type_), found in values.items() if len(found) > (TYPES[type_].max_per_customer or 1e9)}
        for value, who in joins.items():
            if group[min(who)] in breached:
                dropped.add((name, value))
        person = {node: at if group[at] in breached else group[at] for node, at in person.items()}
    return person, dropped


@pytest.mark.on_sail
def test_against_a_plain_union_find(spark):
    from rfm_spark.steps.identity import people

    seed = random.randrange(10**6)
    print("seed", seed)
    rng, owners, links = random.Random(seed), {}, set()
    for world in range(150):
        mine = [world * 100 + n for n in range(rng.randrange(2, 9))]
        owners |= {node: rng.choice(["crm", "shop", "till"]) for node in mine}
        for name in TYPES:
            values = [f"{world}-{n}" for n in range(rng.randrange(1, 5))]
            links |= {(rng.choice(mine), name, rng.choice(values)) for _ in range(rng.randrange(0, 6))}
    kept = Kept()
    nodes = kept.keep(local_frame(spark, list(owners.items()), [("node", "bigint"), ("source", "string")]))
    numbers = {value: number for number, value in enumerate(sorted({link[1:] for link in links}))}
    done = people.join(nodes, numbered(spark, kept, links, numbers), TYPES, None, kept.checkpoint)
    person, dropped = expected(owners, links)
    values = list(numbers)
    told = {values[row["value"]] for row in people.all_dropped(done).collect()}
    found = {row["node"]: row["person"] for row in done.people.collect()}
    kept.release()
    assert told == dropped
    assert found == person


@pytest.mark.spark_only
@pytest.mark.slow
def test_on_a_cluster_plans_stay_as_long_whatever_the_levels(spark, lake_path, capsys):
    """Each level begins with what the lake holds of the one before, whose plan it does not carry along."""
    from rfm_spark.config.lake import Lake as LakeConfig
    from rfm_spark.lake import Lake
    from rfm_spark.pipelines.unification import through_the_lake
    from rfm_spark.steps.identity import people

    links = {(node + shift, f"type_{n}", f"{n} {node}") for n in range(2) for node in range(4) for shift in (0, 2**n)}
    numbers = {value: number for number, value in enumerate(sorted({link[1:] for link in links}))}
    plans, kept = {}, Kept()
    owners = [(node, "crm") for node in range(6)]
    nodes = kept.keep(local_frame(spark, owners, [("node", "bigint"), ("source", "string")]))
    found = numbered(spark, kept, links, numbers)
    for levels in (1, 2):
        types = {f"type_{n}": IdType(max_customers=9, max_per_customer=50) for n in range(levels)}
        lake = Lake(spark, LakeConfig(path=f"{lake_path}/{levels}"), "one")
        done = people.join(nodes, found, types, None, through_the_lake(lake))
        assert len(done.rounds) == levels
        assert all(done.rounds.values())
        told = [done.people, *done.dropped]
        assert len(told) == 1 + 2 * levels
        plans[levels] = {explained(frame, capsys) for frame in told}
        assert sorted(lake.versions()) == ["identity_rounds"]
        people_of = dict(map(tuple, done.people.select("node", "person").collect()))
    kept.release()
    assert set(people_of.values()) == {0}
    assert plans[1] == plans[2]
    assert all(lines < 12 for lines in plans[2])


def explained(frame, capsys) -> int:
    """The lines of a frame's plan."""
    capsys.readouterr()
    frame.explain()
    return len(capsys.readouterr().out.strip().splitlines())


def numbered(spark, kept, links, numbers):
    """The links as the step reads them."""
    rows = sorted((node, type_, numbers[type_, value]) for node, type_, value in links)
    return kept.keep(local_frame(spark, rows, [("node", "bigint"), ("id_type", "string"), ("value", "bigint")]))
