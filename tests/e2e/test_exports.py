"""Exports of audiences: what a destination has after each, and after one that died."""

import gzip
import json
import shutil
from datetime import date

import pytest
from e2e import faults, marketing
from e2e.commands import rfm_spark
from e2e.marketing import exported, rows

from rfm_spark.errors import ConflictError

pytestmark = pytest.mark.on_sail


def test_again_is_the_same_and_differences_are_none(spark, shop):
    out = shop.parent / "out"
    first, again = exported(out / "csv"), None
    files = sorted(str(file) for file in out.rglob("*") if file.is_file())
    assert {row["id"] for row in first} == {
        row["customer_key"]
        for row in rows(spark, shop, "audiences")
        if (row["campaign"], row["group"]) == ("win", "treatment")
    }
    assert {row["change"] for row in exported(out / "changes")} == {"added"}
    then = [tuple(row)[:-1] for row in rows(spark, shop, "audiences")]
    said = rfm_spark(spark, "target", shop, "--as-of", marketing.AS_OF)
    assert said.code == 0
    again = exported(out / "csv")
    assert "win.1: 0 rows exported" in said.lines
    assert sorted(map(repr, first)) == sorted(map(repr, again))
    assert files == sorted(str(file) for file in out.rglob("*") if file.is_file())
    assert sorted(map(repr, then)) == sorted(repr(tuple(row)[:-1]) for row in rows(spark, shop, "audiences"))


def test_a_destination_that_has_nothing_gets_everybody_as_added(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    changes = config.parent / "out" / "changes"
    before = exported(changes)
    shutil.rmtree(changes)
    said = rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF)
    assert said.code == 0, said.log
    assert {row["change"] for row in exported(changes)} == {"added"}
    assert sorted(map(repr, exported(changes))) == sorted(map(repr, before))


def test_another_format_or_option_is_another_export(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    out = config.parent / "out" / "csv"

    def target(how: str):
        place = f"[{{{how}, path: {out}, columns: {{id: customer_key, text: message}}}}]"
        return rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, "--set", f"campaigns.win.export={place}")

    before = sorted(map(repr, exported(out)))
    assert target("format: csv, options: {sep: ';'}").code == 0
    (file,) = out.glob("*/audience.csv")
    assert file.read_text(encoding="utf-8").startswith("id;text\n")
    assert target("format: json, options: {compression: gzip}").code == 0
    (file,) = out.glob("*/audience.json.gz")
    assert len(gzip.decompress(file.read_bytes()).splitlines()) == len(before)
    assert target("format: json").code == 0
    assert sorted(map(repr, exported(out))) == before
    wrong = target("format: json, options: {compression: nope}")
    assert (wrong.code, "cannot be written with the options compression" in wrong.log) == (2, True)
    assert sorted(map(repr, exported(out))) == before


@pytest.mark.parametrize("dies_at", ["rows", "rename", "manifest", "record"])
def test_an_export_that_dies_is_whole_after_the_next(spark, shop, tmp_path, monkeypatch, dies_at):
    from rfm_spark.pipelines import exports, run_record

    folder = shutil.copytree(shop.parent, tmp_path / "p")
    config, out = folder / "project.yaml", folder / "out" / "csv"
    before = exported(out)
    budget = "campaigns.win.budget=10"

    def die(*_, **__):
        raise faults.Killed(dies_at)

    with monkeypatch.context() as patched:
        if dies_at == "rows":
            patched.setattr(exports.os, "replace", die)
        elif dies_at == "rename":
            patched.setattr(exports, "_sha256", die)
        elif dies_at == "manifest":
            patched.setattr(exports, "_put_manifest", die)
        else:
            patched.setattr(run_record, "_publish", die)
        with pytest.raises(faults.Killed):
            rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, "--set", budget)
    if dies_at != "record":
        assert exported(out) == before, "who reads by the manifest sees the one before"
    assert len([r for r in rows(spark, config, "audiences") if r["campaign"] == "win" and r["cost"]]) == 50
    assert rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF, "--set", budget).code == 0
    after = exported(out)
    assert len(after) == len({row["id"] for row in after}) == 25
    assert len([file for file in out.rglob("*") if file.is_dir()]) == 1


def test_of_two_targets_at_once_the_first_is_exported(spark, shop, tmp_path):
    """Of other dates: the second began before the first was published, and would give back what that has changed."""
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    later, out = {"campaigns.everybody.start": "2020-07-10"}, config.parent / "out" / "csv"

    def first():
        faults.project(config, **{"campaigns.win.budget": 10}).target(spark, marketing.AS_OF)

    second = faults.project(config, before={"audiences": first}, **later)
    with pytest.raises(ConflictError, match="another run wrote audiences") as raised:
        second.target(spark, date(2020, 7, 8))
    assert raised.value.exit_code == 4
    audience = rows(spark, config, "audiences")
    assert len([row for row in audience if row["campaign"] == "win" and row["cost"]]) == len(exported(out)) == 25
    faults.project(config, **later).target(spark, date(2020, 7, 8))
    again = rows(spark, config, "audiences")
    assert {row["customer_key"] for row in again if row["campaign"] == "win"} == {
        row["customer_key"] for row in audience if row["campaign"] == "win"
    }


@pytest.mark.slow
def test_a_target_that_began_while_another_was_exporting_gives_nothing_back(spark, shop, tmp_path, monkeypatch):
    """It looks when the first has replaced the audiences, and replaces them when that one is published."""
    from rfm_spark.pipelines import run_record

    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"
    publish = run_record._publish

    def beside_second(run):
        later = {"campaigns.everybody.start": "2020-07-10"}
        second = faults.project(config, before={"audiences": lambda: publish(run)}, **later)
        with pytest.raises(ConflictError, match="another run published audiences"):
            second.target(spark, date(2020, 7, 8))

    with monkeypatch.context() as patched:
        patched.setattr(run_record, "_publish", beside_second)
        first = faults.project(config, **{"campaigns.win.budget": 10}).target(spark, marketing.AS_OF)
    manifest = json.loads((config.parent / "out" / "csv" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] == first.run_id
    assert len([row for row in rows(spark, config, "audiences") if row["campaign"] == "win" and row["cost"]]) == 25


@pytest.mark.slow
def test_of_two_measurements_at_once_the_first_stays(spark, shop, tmp_path):
    config = shutil.copytree(shop.parent, tmp_path / "p") / "project.yaml"

    def first():
        faults.project(config).measure(spark, date(2020, 7, 20))

    second = faults.project(config, before={"campaign results": first})
    with pytest.raises(ConflictError, match="another run wrote campaign_results") as raised:
        second.measure(spark, marketing.AFTER)
    assert raised.value.exit_code == 4
    assert {row["as_of"] for row in rows(spark, config, "campaign_results")} == {date(2020, 7, 20)}


def test_a_postgresql_gets_the_audience(spark, tmp_path, monkeypatch):
    postgres = pytest.importorskip("postgres")
    with postgres.running() as server:
        monkeypatch.setenv(postgres.VARIABLE, postgres.PASSWORD)
        table = {**server.source, "table": "audience", "columns": {"id": "customer_key", "text": "message"}}
        campaigns = [{**campaign, "export": [table]} for campaign in (marketing.WIN, marketing.EVERYBODY)]
        config = marketing.write_project(tmp_path / "p", campaigns, people=200)
        assert rfm_spark(spark, "run", config, "--as-of", marketing.AS_OF).code == 0
        for _ in range(2):
            said = rfm_spark(spark, "target", config, "--as-of", marketing.AS_OF)
            assert said.code == 0, said.log
            assert postgres.PASSWORD not in said.out + said.log
            treated = {
                (row["campaign"], row["customer_key"], row["message"])
                for row in rows(spark, config, "audiences")
                if row["group"] == "treatment" and row["campaign"] != "global_holdout"
            }
            found = server.do("SELECT campaign, id, text FROM audience")
            assert len(found) == len(treated)
            assert set(found) == treated
