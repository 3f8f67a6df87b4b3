"""People without a common id, against sets whose truth is known: pairwise precision and recall of the clusters."""

import csv
from collections import Counter
from datetime import date

import pytest
from e2e import shipped

from rfm_spark import Project

pytestmark = [pytest.mark.slow, pytest.mark.on_sail]
# the row's id, the person it is of, least precision, least recall
SETS = {
    "fake_1000": ("unique_id", lambda row: row["cluster"], 0.98, 0.80),
    "febrl_3": ("rec_id", lambda row: row["rec_id"].split("-")[1], 0.99, 0.95),
}


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_project_finds_who_is_one_person(spark, tmp_path, name):
    id_, person, least_precision, least_recall = SETS[name]
    project = Project.load(shipped.ROOT / "conf" / f"{name}.yaml", lake=str(tmp_path / "lake"))
    run = project.run(spark, date(2024, 2, 1))
    with (shipped.ROOT / "conf" / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        truth = {row[id_]: person(row) for row in csv.DictReader(file)}
    own = project.read(spark, "identities").filter("id_type = 'source_customer_id'").collect()
    keys = {row["id_value"]: row["customer_key"] for row in own}
    assert len(own) == 2 * len(keys) == 2 * len(truth)  # an event and a profile
    precision, recall = precision_and_recall(truth, keys)
    people = run.counts["identity.people"]
    print(f"{name}: precision {precision:.4f}, recall {recall:.4f}, {people:,} people")
    assert precision >= least_precision
    assert recall >= least_recall
    assert sum(row["customers"] for row in run.profiles) == people == len(set(keys.values()))
    links = project.read(spark, "identity_links").filter("rule = 'probabilistic'").collect()
    assert len(links) == run.counts["identity.alike"] > 0
    assert all(project.config.identity.probabilistic.threshold <= row["weight"] <= 1 for row in links)


def pairs(sizes) -> int:
    return sum(n * (n - 1) // 2 for n in sizes)


def precision_and_recall(truth: dict[str, str], found: dict[str, str]) -> tuple[float, float]:
    """Of pairs within a cluster: `truth` and `found` are {row: person}."""
    right = pairs(Counter((truth[row], found[row]) for row in truth).values())
    return right / pairs(Counter(found.values()).values()), right / pairs(Counter(truth.values()).values())
