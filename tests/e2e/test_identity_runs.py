"""Runs of other kinds with an identity: dry, replayed, dead half-way."""

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from e2e import faults, people
from e2e.test_identity import keys

from rfm_spark import Project
from rfm_spark.errors import ConflictError, EnvironmentFault
from rfm_spark.pipelines import quarantine, unification

pytestmark = pytest.mark.on_sail
DAY = date(2024, 6, 1)


@pytest.fixture
def project(tmp_path) -> Path:
    return people.example(tmp_path)


def amended(project: Path, amend) -> Path:
    config = yaml.safe_load(project.read_text(encoding="utf-8"))
    amend(config)
    project.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return project


def tables(project: Path) -> dict[str, int]:
    """{table: commits} of the lake."""
    lake = project.parent / "lake"
    return {table.name: len(list((table / "_delta_log").glob("*.json"))) for table in lake.iterdir()}


@pytest.mark.slow
def test_ids_of_a_run_that_died_after_its_events_still_join(spark, project, tmp_path, monkeypatch):
    Project.load(project).ingest(spark, DAY)
    new = [("l8", "s8", "new@example.com", None, None), ("l9", "s9", "New@Example.com", None, None)]
    people.shop(tmp_path, "2.csv", new)

    def die(*_):
        raise EnvironmentFault("the power is off")

    with monkeypatch.context() as broken:
        broken.setattr(quarantine, "write", die)
        with pytest.raises(EnvironmentFault):
            Project.load(project).ingest(spark, DAY)
    Project.load(project).ingest(spark, DAY)
    found = keys(spark, project)
    assert found["shop", "s8"] == found["shop", "s9"]


NEWS = [("l8", "s8", "new@example.com", None, None), ("l9", "s9", "New@Example.com", None, None)]


@pytest.mark.slow
def test_of_two_ingests_at_once_one_stays_where_the_other_fails(spark, project, tmp_path):
    """Each has written who is whom before either brings an event; the one that was last does not get further."""
    Project.load(project).ingest(spark, DAY)
    people.shop(tmp_path, "2.csv", NEWS)

    def fail():
        raise EnvironmentFault("the power is off")

    def other():
        with pytest.raises(EnvironmentFault):
            faults.project(project, before={"events": fail}).ingest(spark, DAY)

    faults.project(project, before={"events": other}).ingest(spark, DAY)
    found = keys(spark, project)
    assert found["shop", "s8"] == found["shop", "s9"]


@pytest.mark.slow
@pytest.mark.parametrize("news", ["events", "profiles", "half"])
def test_an_ingest_that_began_before_another_does_not_undo_it(spark, project, tmp_path, monkeypatch, news):
    """It has no event to bring, and replaces who is whom by what it saw: of a run that died in between, too."""
    Project.load(project).ingest(spark, DAY)
    write = unification.write

    def die(*_):
        raise EnvironmentFault("the power is off")

    def other():
        if news == "profiles":
            people.crm(tmp_path, [*people.CRM_ROWS, ("c9", None, "bob@example.com", None, "Hull", "2024-03-01")])
            return Project.load(project).ingest(spark, DAY)
        people.shop(tmp_path, "2.csv", NEWS)
        if news == "events":
            return Project.load(project).ingest(spark, DAY)
        with monkeypatch.context() as broken:
            broken.setattr(quarantine, "write", die)
            with pytest.raises(EnvironmentFault):
                Project.load(project).ingest(spark, DAY)
        return None

    waiting = [other]

    def late(run, unified):
        if waiting:
            waiting.pop()()
        write(run, unified)

    with monkeypatch.context() as patched:
        patched.setattr(unification, "write", late)
        told = "another run published identities" if news == "profiles" else "another run wrote events"
        with pytest.raises(
            ConflictError, match=told if news != "events" else "another run (published|wrote)"
        ) as raised:
            Project.load(project).ingest(spark, DAY)
    assert raised.value.exit_code == 4
    found = keys(spark, project)
    assert found.get(("shop", "s8")) == found.get(("shop", "s9"))
    assert (("shop", "s8") in found) == (news == "events")
    assert found.get(("crm", "c9")) == (found["shop", "s3"] if news == "profiles" else None)


@pytest.mark.slow
def test_a_dry_run_tells_who_is_whom_and_writes_nothing(spark, project, tmp_path):
    first = Project.load(project).run(spark, DAY, dry_run=True)
    assert not (tmp_path / "lake").exists() or not tables(project)
    assert first.counts["identity.people"] == 5
    Project.load(project).run(spark, DAY)
    before, now = keys(spark, project), tables(project)
    people.shop(tmp_path, "2.csv", [("l6", "s1", "bob@example.com", None, None)])
    dry = Project.load(project).run(spark, DAY + timedelta(days=1), dry_run=True)
    assert (dry.counts["identity.people"], dry.counts["identity.merged"]) == (4, 1)
    assert sum(row["customers"] for row in dry.profiles) == 4
    assert (tables(project), keys(spark, project)) == (now, before)


@pytest.mark.slow
def test_what_a_replay_frees_joins_too(spark, project, tmp_path):
    with (tmp_path / "shop" / "2.csv").open("w", encoding="utf-8", newline="") as file:
        row = ("l6", "s1", "bob@example.com", "", "", "2023-05-01", "1.00")
        csv.writer(file).writerows([people.SHOP, row])
    rule = {"name": "from_the_year", "sql": "event_date >= date'2024-01-01'"}
    strict = amended(project, lambda config: config["contract"].update(rules=[rule]))
    Project.load(strict).ingest(spark, DAY)
    before = keys(spark, project)
    assert before["shop", "s1"] != before["shop", "s3"]
    relaxed = amended(project, lambda config: config["contract"].pop("rules"))
    run = Project.load(relaxed).replay(spark, DAY)
    after = keys(spark, project)
    assert after["shop", "s1"] == after["shop", "s3"] == after["crm", "c1"]
    assert run.counts["identity.merged"] == 1


@pytest.mark.slow
def test_without_the_section_a_customer_is_the_id_of_a_source_again(spark, project, tmp_path):
    """Also of files that have gone."""

    def part(config):
        del config["identity"]
        for source in config["sources"]:
            source.pop("ids")

    Project.load(project).run(spark, DAY)
    (tmp_path / "till" / "1.json").unlink()
    people.till(tmp_path, "2.json", [("t9", None)])
    plain = amended(project, part)
    for _ in range(2):
        Project.load(plain).run(spark, DAY)
        found = Project.load(plain).read(spark, "events").select("source_customer_id", "customer_key").collect()
        assert {row["source_customer_id"] for row in found} == {"s1", "s2", "s3", "s4", "s5", "t1", "t2", "t9"}
        assert all(row["source_customer_id"] == row["customer_key"] for row in found)
    assert Project.load(plain).read(spark, "current_segments").count() == 8 + 3
