"""People without a common id, against sets whose truth is known: pairwise precision and recall of the clusters."""

import csv
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from e2e import people

from rfm_spark import Project
from rfm_spark.config.identity import Probabilistic

DATA = Path(__file__).parents[1] / "data" / "identity"
ASKED = yaml.safe_load((DATA / "matching.yaml").read_text(encoding="utf-8"))


def pairs(sizes) -> int:
    return sum(n * (n - 1) // 2 for n in sizes)


def precision_and_recall(truth: dict[str, str], found: dict[str, str]) -> tuple[float, float]:
    """Of pairs within a cluster: `truth` and `found` are {row: person}."""
    right = pairs(Counter((truth[row], found[row]) for row in truth).values())
    return right / pairs(Counter(found.values()).values()), right / pairs(Counter(truth.values()).values())


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as file:
        return [{k.strip(): v.strip() for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.on_sail
def test_fake_1000_end_to_end(spark, tmp_path):
    asked = ASKED["fake_1000"]
    project = people.write(tmp_path, {"ids": {"email": {"normalise": "email"}}, "probabilistic": asked})
    config = yaml.safe_load(project.read_text(encoding="utf-8"))
    till = config["sources"][1]
    del till["ids"]
    crm = {"name": "crm", "kind": "profile", "format": "csv", "path": str(DATA / "fake_1000.csv")}
    crm |= {"columns": {"source_customer_id": "unique_id"}, "attributes": {name: name for name in asked["compare"]}}
    config["sources"] = [till, crm]
    project.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    people.till(tmp_path, "1.json", [("t1", None)])
    run = Project.load(project).ingest(spark, date(2024, 6, 1))
    ids = Project.load(project).read(spark, "identities")
    own = ids.filter("id_type = 'source_customer_id' and source = 'crm'").collect()
    truth = {row["unique_id"]: row["cluster"] for row in rows_of("fake_1000.csv")}
    precision, recall = precision_and_recall(truth, {row["id_value"]: row["customer_key"] for row in own})
    print(f"fake_1000: precision {precision:.4f}, recall {recall:.4f}, {run.counts['identity.people']} people")
    assert precision >= 0.98
    assert recall >= 0.80
    assert {row["rule"] for row in own} == {"source_customer_id", "probabilistic"}
    links = Project.load(project).read(spark, "identity_links").collect()
    assert len(links) == run.counts["identity.alike"] + sum(row["rule"] != "probabilistic" for row in links)
    assert all(asked["threshold"] <= row["weight"] <= 1 for row in links)


@pytest.mark.slow
def test_febrl_3():
    from rfm_spark.pipelines.matching import scored

    asked, rows = ASKED["febrl_3"], rows_of("dataset3.csv")
    columns = {"unique_id": list(range(len(rows)))}
    columns |= {name: [row[name] or None for row in rows] for name in asked["compare"]}
    found = {n: n for n in range(len(rows))}
    members = defaultdict(set, {n: {n} for n in found})
    for a, b, _, _ in scored(pa.table(columns), Probabilistic.model_validate(asked)):
        one, other = found[a], found[b]
        if one != other:
            for node in members.pop(other):
                found[node] = one
                members[one].add(node)
    truth = {n: row["rec_id"].split("-")[1] for n, row in enumerate(rows)}
    precision, recall = precision_and_recall(truth, found)
    print(f"FEBRL 3: precision {precision:.4f}, recall {recall:.4f}")
    assert precision >= 0.99
    assert recall >= 0.95
