"""One person, many sources: who is whom, keys that stay in whatever order rows come, no raw id but where it may be."""

import random
import shutil
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from e2e import people
from e2e.commands import rfm_spark

from rfm_spark import Project
from rfm_spark.errors import EnvironmentFault
from rfm_spark.pipelines import unification

pytestmark = pytest.mark.on_sail
DAY = date(2024, 6, 1)


@pytest.fixture
def project(tmp_path) -> Path:
    return people.example(tmp_path)


def keys(spark, project) -> dict[tuple[str, str], str]:
    """{(source, id): key} as the record has it, which is what events have."""
    rows = Project.load(project).read(spark, "identities").filter("id_type = 'source_customer_id'").collect()
    found = {(row["source"], row["id_value"]): row["customer_key"] for row in rows}
    events = Project.load(project).read(spark, "events").select("source", "source_customer_id", "customer_key")
    assert all(found[(s, i)] == key for s, i, key in events.distinct().collect())
    return found


def groups(found: dict[tuple[str, str], str]) -> set[frozenset[tuple[str, str]]]:
    by_key = defaultdict(set)
    for one, key in found.items():
        by_key[key].add(one)
    return {frozenset(group) for group in by_key.values()}


def ingest(spark, project, day=DAY, *overrides):
    return Project.load(project, overrides).ingest(spark, day)


def test_who_is_whom_and_one_profile_a_person(spark, project):
    run = Project.load(project).run(spark, DAY)
    found = keys(spark, project)
    ann, bob = {("shop", "s1"), ("shop", "s2"), ("crm", "c1"), ("till", "t1")}, {("shop", "s3"), ("crm", "c3")}
    assert groups(found) == {
        frozenset(ann), frozenset(bob), frozenset({("crm", "c2"), ("till", "t2")}),
        frozenset({("shop", "s4")}), frozenset({("shop", "s5")}),
    }  # fmt: skip
    rows = Project.load(project).read(spark, "identities").collect()
    ids = {(row["source"], row["id_type"], row["id_value"]): row for row in rows}
    mail = ids["shop", "email", "ann@example.com"]
    assert (mail["rule"], mail["spellings"]) == ("email", ["Ann@Example.com", "ann@example.com"])
    assert mail["customer_key"] == found["shop", "s1"]
    assert ids["shop", "phone", "+442079460018"]["customer_key"] == found["crm", "c1"]
    town = ids["shop", "device", "town"]
    assert (town["rule"], town["customer_key"]) == ("max_customers", None)
    assert ids["shop", "email", "test@example.com"]["rule"] == "blocked"
    assert ids["crm", "phone", "nonsense"]["rule"] == "invalid"
    assert not any(value == "n/a" for _, _, value in ids)
    profiles = {row["customer_key"]: row for row in Project.load(project).read(spark, "customers").collect()}
    assert profiles[found["shop", "s3"]]["city"] == "York"
    assert profiles[found["shop", "s3"]]["attribute_sources"] == {"city": "crm", "mail": "crm"}
    assert run.counts["identity.people"] == 5
    assert run.counts["identity.dropped.max_customers"] == 1
    assert sum(row["customers"] for row in run.profiles) == 5


def test_explain_takes_a_sources_own_id_that_is_one_persons(spark, project, tmp_path):
    people.till(tmp_path, "2.json", [("s4", "K9")])
    Project.load(project).run(spark, DAY)

    def said(who):
        return rfm_spark(spark, "explain", project, "--as-of", DAY, "--customer", who)

    assert said("s1").code == 0
    assert said("s1").out == said(keys(spark, project)["shop", "s1"]).out
    several, nobody = said("s4"), said("nobody")
    assert (several.code, "found several people with this id" in several.log) == (2, True)
    assert (nobody.code, "`rfm-spark identity --id TYPE:VALUE`" in nobody.log) == (2, True)
    assert "nobody" not in nobody.log


def test_a_merge_keeps_the_oldest_key_and_a_split_gives_back_the_other(spark, project, tmp_path):
    Project.load(project).run(spark, DAY)
    before = keys(spark, project)
    people.shop(tmp_path, "2.csv", [("l6", "s1", "bob@example.com", None, None)])
    run = Project.load(project).run(spark, DAY + timedelta(days=1))
    merged = keys(spark, project)
    kept = merged["shop", "s1"]
    assert {merged["shop", "s3"], merged["crm", "c1"], merged["crm", "c3"]} == {kept}
    other = ({before["shop", "s1"], before["shop", "s3"]} - {kept}).pop()
    changes = [tuple(row) for row in Project.load(project).read(spark, "identity_changes").collect()]
    assert changes == [(run.run_id, "merge", kept, other)]
    assert all(merged[one] == key for one, key in before.items() if key != other)
    moves = run.migrations
    gone = [row for row in moves if row["to_segment"] == "(gone)"]
    assert [(row["cause"], row["customers"]) for row in gone] == [("identity", 1)]
    run = Project.load(project, ["identity.blocked.values=[bob@example.com]"]).run(spark, DAY + timedelta(days=2))
    split = keys(spark, project)
    assert split["shop", "s1"] == kept
    assert split["crm", "c1"] == kept
    assert kept not in (split["shop", "s3"], split["crm", "c3"])
    assert run.counts["identity.split"] >= 1
    came = [row for row in run.migrations if row["from_segment"] == "(new)"]
    assert {row["cause"] for row in came} == {"identity"}
    days = [DAY + timedelta(days=n) for n in range(3)]
    assert [Project.load(project).moves(spark, *pair) for pair in pairwise(days)] == [moves, run.migrations]


@pytest.mark.slow
def test_keys_survive_a_lake_that_is_built_anew(spark, project, tmp_path):
    ingest(spark, project)
    people.shop(tmp_path, "2.csv", [("l6", "s1", "bob@example.com", None, None)])
    ingest(spark, project)
    before = keys(spark, project)
    for table in (tmp_path / "lake").iterdir():
        if table.name != "identities":
            shutil.rmtree(table)
    ingest(spark, project)
    assert keys(spark, project) == before
    again = ingest(spark, project)
    assert keys(spark, project) == before
    assert again.counts["identity.restated"] == 0


@pytest.mark.slow
def test_any_order_and_any_batches_give_the_same_people(spark, tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    rows = []
    for n in range(60):
        mail = f"m{rng.randrange(25)}@example.com" if rng.random() < 0.6 else None
        phone = f"020 7946 {rng.randrange(25):04d}" if rng.random() < 0.4 else None
        rows.append((f"l{n}", f"s{rng.randrange(40)}", mail, phone, f"d{rng.randrange(12)}" if n % 3 == 0 else None))
    told = []
    for batches in (1, 3):
        folder = tmp_path / str(batches)
        folder.mkdir()
        project = people.write(folder)
        people.till(folder, "1.json", [("t1", "K1")])
        people.crm(folder, people.CRM_ROWS)
        rng.shuffle(rows)
        before: dict[tuple[str, str], str] = {}
        for batch in range(batches):
            people.shop(folder, f"{batch}.csv", rows[batch::batches])
            ingest(spark, project, DAY + timedelta(days=batch))
            now = keys(spark, project)
            changed = Project.load(project).read(spark, "identity_changes").collect()
            told_of = {row["other_key"] for row in changed} | {row["customer_key"] for row in changed}
            assert all(now[one] == key or key in told_of for one, key in before.items())
            before = now
        told.append(groups(before))
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_run_that_dies_leaves_the_people_as_they_were(spark, project, tmp_path, monkeypatch):
    ingest(spark, project)
    before = keys(spark, project)
    people.shop(tmp_path, "2.csv", [("l6", "s1", "bob@example.com", None, None)])

    def die(*_):
        raise EnvironmentFault("the power is off")

    with monkeypatch.context() as broken:
        broken.setattr(unification, "restate", die)
        with pytest.raises(EnvironmentFault):
            ingest(spark, project)
    assert keys(spark, project) == before
    ingest(spark, project)
    after = keys(spark, project)
    assert after["shop", "s3"] == after["shop", "s1"]


def test_raw_ids_are_in_two_tables_alone_and_in_no_statistics(spark, project, tmp_path):
    Project.load(project).run(spark, DAY)
    words = [b"ann@example.com", b"nn@Example.com", b"7946 0018", b"442079460018", b"bob@example.com", b"BOB@example"]
    holding = set()
    for path in (tmp_path / "lake").rglob("*"):
        if path.suffix in (".parquet", ".json") and path.is_file():
            table = path.relative_to(tmp_path / "lake").parts[0]
            text = path.read_bytes()
            if path.suffix == ".parquet":
                import pyarrow.parquet as pq

                text = str(pq.ParquetFile(path).read().to_pylist()).encode()
            if any(word in text for word in words):
                holding.add((table, path.suffix))
    assert holding == {("identities", ".parquet"), ("customers", ".parquet")}


def test_keys_of_before_the_section_are_kept(spark, project):
    plain = ["identity=null", *(f"sources.{name}.ids={{}}" for name in ("shop", "till", "crm"))]
    Project.load(project, plain).ingest(spark, DAY)
    run = ingest(spark, project, DAY, "sources.shop.on_change=replace")
    found = keys(spark, project)
    assert found["shop", "s1"] == found["crm", "c1"]
    assert found["shop", "s1"] in {"s1", "s2", "t1"}
    assert (found["shop", "s4"], found["shop", "s5"]) == ("s4", "s5")
    assert run.counts["identity.merged"] == 2


def test_the_audit_tells_groups_and_links_and_no_id(spark, project, tmp_path):
    people.shop(tmp_path, "2.csv", [("l7", "s1", "ann.two@example.com", None, None)])  # one person, two addresses
    asked = ("identity", project, "--as-of", "2024-06-01")
    said = rfm_spark(spark, *asked)
    assert (said.code, "run `rfm-spark ingest` first" in said.log) == (2, True)
    Project.load(project).ingest(spark, DAY)
    said = rfm_spark(spark, *asked)
    assert said.code == 0, said.log
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.out.splitlines()]
    assert ["4", "1"] in rows  # customers, people: ann
    assert ["2", "2"] in rows
    assert ["device", "max_customers", "1"] in rows
    key = keys(spark, project)["shop", "s1"][:12]
    mine = [row for row in rows if row and row[0] == key]
    assert [row[1:4] for row in mine] == [["4", "3", "5"]] * 2  # customers, sources, values: among both lists
    for value in ("KIND:x", "emial:ann@example.com"):
        said = rfm_spark(spark, *asked, "--id", value)
        assert (said.code, "expected TYPE:VALUE" in said.log) == (2, True)
    said = rfm_spark(spark, *asked, "--id", "email:nobody@example.com")
    assert (said.code, "nobody has this id" in said.log) == (2, True)
    graph = rfm_spark(spark, *asked, "--id", "email: ANN@example.com")
    assert graph.code == 0, graph.log
    rules = {row[3] for row in ([c.strip() for c in line.split("│")[1:-1]] for line in graph.out.splitlines()) if row}
    assert rules == {"email", "phone", "loyalty", "device"}
    for shown in (said, graph):
        assert not any(raw in (shown.out + shown.log).casefold() for raw in ("ann.two@", "bob@", "79460018"))


def test_without_the_section_there_is_nothing_to_audit(spark, tmp_path):
    path = people.write(tmp_path)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    del config["identity"]
    for source in config["sources"]:
        del source["ids"]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    said = rfm_spark(spark, "identity", path, "--as-of", "2024-06-01")
    assert (said.code, "found no section identity" in said.log) == (2, True)
