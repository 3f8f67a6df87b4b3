"""`predict` on the shipped CDNOW project: published totals, every customer, the gate, the rules, a crash, bad input."""

import csv
import gzip
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from e2e import bad_input as bad
from e2e import faults, shipped
from e2e.commands import rfm_spark

pytest.importorskip("scipy")

pytestmark = pytest.mark.on_sail

AS_OF, EARLIER = shipped.AS_OF["cdnow"], date(1998, 6, 1)
DATA = Path(__file__).parents[1] / "data"
TOTALS = {"bg_nbd": 1653, "mbg_nbd": 1577, "pareto_nbd": 1666}


@pytest.fixture(scope="module")
def cdnow(_session, tmp_path_factory):
    """A copy of the project, ingested, segmented and predicted; what the last command said."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "conf").mkdir()
    config = Path(shutil.copy(shipped.ROOT / "conf" / "cdnow.yaml", folder / "conf"))
    (folder / "conf" / "data").symlink_to(shipped.ROOT / "conf" / "data")
    assert rfm_spark(_session, "run", config, "--as-of", AS_OF).code == 0
    return config, rfm_spark(_session, "predict", config, "--as-of", AS_OF)


def project_of(config, *overrides):
    from rfm_spark import Project

    return Project.load(config, overrides)


def read(spark, config, table):
    return [row.asDict() for row in project_of(config).read(spark, table).collect()]


def purchase_days() -> dict[str, list[tuple[date, float]]]:
    """Days and amounts of each customer, read without the project."""
    days: dict[str, dict[date, float]] = {}
    with (shipped.ROOT / "conf" / "data" / "cdnow_sample.csv").open() as file:
        for row in csv.DictReader(file):
            day = date.fromisoformat(f"{row['date'][:4]}-{row['date'][4:6]}-{row['date'][6:]}")
            mine = days.setdefault(row["customer_id"], {})
            mine[day] = mine.get(day, 0.0) + float(row["amount"])
    return {key: sorted(each.items()) for key, each in days.items()}


def test_the_published_back_test(spark, cdnow):
    """Printed, and kept in `models` with the estimates."""
    config, said = cdnow
    assert said.code == 0, said.log
    for name, total in TOTALS.items():
        assert next(row for row in said.rows if row[:2] == (name, f"{total:,}"))
    assert next(row for row in said.rows if row[:2] == ("actual", "1,882"))
    assert {row[0] for row in said.rows} >= {"as in the last period", "mean of like customers", "champions", "7+", "10"}
    shown = rfm_spark(spark, "show", config, "models", "--as-of", AS_OF)
    assert [row[0] for row in shown.rows if row[0]] == sorted([*TOTALS, "nbd", "gamma_gamma"])
    models = {row["model"]: row for row in read(spark, config, "models")}
    assert models.keys() == {*TOTALS, "nbd", "gamma_gamma"}
    for name, total in TOTALS.items():
        assert models[name]["backtest_forecast"] == pytest.approx(total, abs=0.5)
        assert models[name]["backtest_actual"] == 1882
        assert models[name]["customers"] == 2357
        assert models[name]["distinct_statistics"] < 2357
        assert models[name]["fit_end"] == date(1997, 9, 30)
    assert models["bg_nbd"]["parameters"]["b"] == pytest.approx(2.4259, abs=1e-3)
    assert models["bg_nbd"]["log_likelihood"] == pytest.approx(-9582.429, abs=1e-3)
    assert models["gamma_gamma"]["customers"] == 946
    assert models["gamma_gamma"]["parameters"]["v"] == pytest.approx(15.4435, abs=1e-3)
    assert models["gamma_gamma"]["backtest_actual"] == pytest.approx(70976.39, abs=0.005)
    assert models["pareto_nbd"]["backtest_mae"] == pytest.approx(0.7545, abs=1e-4)
    assert [name for name, row in models.items() if row["chosen"]] == ["pareto_nbd"]


def test_every_customer_of_every_model(spark, cdnow):
    """By the refit parameters and x, t_x, T of plain Python."""
    from rfm_spark.steps.prediction import gamma_gamma, orders

    config, _ = cdnow
    models = {row["model"]: row["refit_parameters"] for row in read(spark, config, "models")}
    known, last = purchase_days(), AS_OF - timedelta(days=1)
    keys = sorted(known)
    x = np.array([len(known[key]) - 1.0 for key in keys])
    t_x = np.array([(known[key][-1][0] - known[key][0][0]).days / 7 for key in keys])
    T = np.array([(last - known[key][0][0]).days / 7 for key in keys])
    spend = np.array([sum(amount for _, amount in known[key][1:]) for key in keys])
    worth = gamma_gamma.conditional_mean(
        [models["gamma_gamma"][name] for name in gamma_gamma.PARAMETERS], x, spend / np.maximum(x, 1)
    )
    found = {(row["model"], row["customer_key"]): row for row in read(spark, config, "predictions")}
    assert len(found) == 4 * 2357
    for name, model in orders.MODELS.items():
        at = [models[name][parameter] for parameter in model.parameters]
        mine = [found[name, key] for key in keys]
        expected = model.expected_orders(at, x, t_x, T, 39.0)
        assert [row["p_alive"] for row in mine] == pytest.approx(model.p_alive(at, x, t_x, T), abs=1e-9)
        assert [row["expected_orders"] for row in mine] == pytest.approx(expected, abs=1e-9)
        assert [row["expected_value"] for row in mine] == pytest.approx(expected * worth, rel=1e-6)
        none = model.p_no_purchase(at, x, t_x, T, 39.0)
        assert [row["p_no_purchase"] for row in mine] == pytest.approx(none, abs=1e-9)
        assert all(row["orders_low"] <= row["orders_high"] for row in mine)
        assert {row["horizon_days"] for row in mine} == {273}
    once = [found["bg_nbd", key]["p_alive"] for key, orders_of in zip(keys, x, strict=True) if orders_of == 0]
    assert set(once) == {1.0}  # so rules use the p_alive of another


def test_the_customers_of_the_published_fit(spark, cdnow, tmp_path):
    """On the last day of the papers' calibration all days are theirs: each customer as closed forms have them."""
    config, _ = cdnow
    lake = shutil.copytree(project_of(config).config.lake.path, tmp_path / "lake")
    own = project_of(config, f"lake={{path: {lake}}}", "prediction.calibration_end=null")
    own.predict(spark, date(1997, 10, 1))
    with gzip.open(DATA / "cdnow_predictions_expected.csv.gz", "rt") as file:
        expected = {row["id"]: row for row in csv.DictReader(file)}
    rows = own.read(spark, "predictions").filter("snapshot_date = '1997-10-01' and model <> 'nbd'").collect()
    assert len(rows) == 3 * len(expected) == 3 * 2357
    for row in rows:
        theirs, model = expected[row["customer_key"]], row["model"]
        assert row["p_alive"] == pytest.approx(float(theirs[f"p_alive_{model}"]), abs=1e-6)
        assert row["expected_orders"] == pytest.approx(float(theirs[f"ce_{model}"]), abs=5e-6)
        assert row["order_value"] == pytest.approx(float(theirs["gg_e_m"]), abs=1e-4)


def test_outside_of_the_tolerance_nothing_is_published(spark, cdnow):
    """But with --force, which the run remembers."""
    config, _ = cdnow
    strict = ["--set", "prediction.tolerance=0.1"]
    said = rfm_spark(spark, "predict", config, "--as-of", EARLIER, *strict)
    assert said.code == 3
    assert "forecast" in said.log
    assert "--force publishes all the same" in said.log
    assert "Back-test in total" in said.out  # people see why
    assert "as none is within the tolerance" in said.out
    assert {row["snapshot_date"] for row in read(spark, config, "predictions")} == {AS_OF}
    forced = rfm_spark(spark, "predict", config, "--as-of", EARLIER, *strict, "--force")
    assert forced.code == 0
    assert any(line.startswith("warning: published by --force") for line in forced.lines)
    assert {row["snapshot_date"] for row in read(spark, config, "models")} == {AS_OF, EARLIER}


def test_rules_use_the_newest_predictions(spark, cdnow, tmp_path):
    """At or before the snapshot; before there are any, they are null and the run says so."""
    config, _ = cdnow
    own = tmp_path / "rules.yaml"
    text = (
        config.read_text()
        .replace("when: r <= 2 and f <= 2", "otherwise: true")
        .replace("data/", f"{config.parent}/data/")
    )
    lake = project_of(config).config.lake.path
    text = text.replace("when: r <= 2 and f = 5", "when: p_alive < 0.3 and m >= 4")
    own.write_text(text)
    assert rfm_spark(None, "check", own).code == 0
    at = ["--lake", lake]
    assert rfm_spark(spark, "segment", own, "--as-of", AS_OF, *at).code == 0
    project = project_of(own, f"lake={{path: {lake}}}")
    alive = {
        row["customer_key"]: row["p_alive"]
        for row in read(spark, config, "predictions")
        if (row["model"], row["snapshot_date"]) == ("pareto_nbd", AS_OF)
    }
    metrics = [row for row in project.read(spark, "customer_metrics").collect() if row["snapshot_date"] == AS_OF]
    assert {row["customer_key"]: row["p_alive"] for row in metrics} == alive
    placed = [row for row in project.read(spark, "customer_segments").collect() if row["snapshot_date"] == AS_OF]
    cannot = [row for row in placed if row["segment"] == "cant_lose"]
    assert cannot
    assert all(alive[row["customer_key"]] < 0.3 and row["m_score"] >= 4 for row in cannot)
    said = rfm_spark(spark, "segment", own, "--as-of", date(1998, 3, 1), *at)
    assert said.code == 0
    assert any(
        "no predictions are published at or before 1998-03-01, so p_alive is null" in line for line in said.lines
    )
    later = rfm_spark(
        spark, "segment", own, "--as-of", date(1998, 7, 5), *at
    )  # causes: the same predictions, two snapshots
    assert later.code == 0
    assert "no predictions" not in later.out


def test_a_crash_and_a_second_run_change_nothing(spark, cdnow, monkeypatch):
    """Between the two tables, readers see the run before; the next run leaves the same."""
    config, _ = cdnow
    before = {table: sorted(map(repr, read(spark, config, table))) for table in ("predictions", "models")}
    with monkeypatch.context() as patch:
        faults.kill_after(patch, "predictions")
        with pytest.raises(faults.Killed):
            project_of(config, "prediction.horizon_days=10").predict(spark, AS_OF)
    assert sorted(map(repr, read(spark, config, "predictions"))) == before["predictions"]
    project_of(config).predict(spark, AS_OF)
    for table, rows in before.items():
        assert sorted(map(repr, read(spark, config, table))) == rows


def test_maintain_drops_predictions_as_it_does_snapshots(spark, cdnow, tmp_path):
    """But never the newest; what is kept is read as before."""
    config, _ = cdnow
    lake = shutil.copytree(project_of(config).config.lake.path, tmp_path / "lake")
    own = project_of(config, f"lake={{path: {lake}}}", "maintenance={keep: {daily: 1}}")
    for day in (EARLIER, AS_OF):
        own.predict(spark, day)
    before = own.read(spark, "predictions").filter(f"snapshot_date = '{AS_OF}'").collect()
    own.maintain(spark, date(1998, 12, 1))
    assert sorted(own.read(spark, "predictions").collect()) == sorted(before)
    assert {row["snapshot_date"] for row in own.read(spark, "models").collect()} == {AS_OF}


@pytest.mark.slow
def test_maintain_keeps_the_last_snapshot_of_a_month_and_its_last_predictions(spark, cdnow, tmp_path):
    """Each among its own, whichever of the two is the later."""
    config, _ = cdnow
    lake = shutil.copytree(project_of(config).config.lake.path, tmp_path / "lake")
    keep = "maintenance={keep: {daily: 1, monthly: 6}}"
    own = project_of(config, f"lake={{path: {lake}}}", "prediction.models=[bg_nbd]", keep)
    snapshots, predictions = [date(1998, 5, 20), date(1998, 6, 10)], [date(1998, 5, 10), date(1998, 6, 20)]
    for day in (*snapshots, date(1998, 6, 5)):
        own.segment(spark, day)
    for day in (*predictions, date(1998, 6, 15)):
        own.predict(spark, day, force=True)
    own.maintain(spark, date(1998, 9, 1))
    for table, kept in (("customer_segments", snapshots), ("predictions", predictions)):
        found = {row["snapshot_date"] for row in own.read(spark, table).select("snapshot_date").distinct().collect()}
        assert sorted(day for day in found if day.month in (5, 6)) == kept, table


def test_bad_input_is_told(spark, cdnow, tmp_path):
    config, _ = cdnow
    said = rfm_spark(spark, "predict", config, "--as-of", date(1997, 6, 1))
    assert said.code == 2
    assert "prediction.calibration_end" in said.log
    assert "expected a day before 1997-05-31" in said.log
    bad.write(tmp_path, {"orders.csv": bad.HEAD + "A,2023-01-01,1.00\nB,2023-02-01,2.00\n"})
    few = bad.project_file(tmp_path, [bad.source_of("orders", "orders.csv")])
    assert rfm_spark(spark, "predict", few, "--as-of", date(2023, 3, 1)).code == 2  # nothing ingested
    assert rfm_spark(spark, "ingest", few, "--as-of", date(2023, 3, 1)).code == 0
    said = rfm_spark(spark, "predict", few, "--as-of", date(2023, 3, 1))
    assert said.code == 3
    assert "there is too little to predict from" in said.log
    wrong = rfm_spark(None, "check", config, "--set", "prediction.models=[gamma_gamma, bgnbd]")
    assert wrong.code == 2
    assert "bg_nbd" in wrong.log


def test_segments_are_forecast_by_the_moves_between_snapshots(spark, cdnow, tmp_path):
    """What the chain says of the next period sums to the population, and is tested on the last one."""
    config, _ = cdnow
    own = project_of(config, f"lake={{path: {tmp_path / 'lake'}}}")
    own.ingest(spark, AS_OF)
    own.backfill(spark, date(1998, 4, 1), date(1998, 6, 1))
    _, outcome = own.predict(spark, EARLIER)
    chain = outcome.segments["value"].chain
    assert (chain.periods, chain.period_days, chain.until) == (2, 31, EARLIER)
    assert chain.off(chain.tested) < 0.02  # one period foretells the next
    assert chain.off(chain.naive) < 0.02
    rows = [row.asDict() for row in own.read(spark, "segment_forecasts").collect()]
    profiles = own.read(spark, "segment_profiles").filter(f"snapshot_date = '{EARLIER}'").collect()
    assert {row["segment"]: row["customers"] for row in rows} == {row["segment"]: row["customers"] for row in profiles}
    assert sum(row["next_customers"] for row in rows) == pytest.approx(2357)
    assert sum(row["backtest_customers"] for row in rows) == pytest.approx(2357)
    predicted = [row for row in own.read(spark, "predictions").collect() if row["model"] == "pareto_nbd"]
    assert sum(row["expected_orders"] for row in rows) == pytest.approx(
        sum(row["expected_orders"] for row in predicted)
    )
    shares: dict[str, float] = {}
    for row in own.read(spark, "segment_transitions").collect():
        if row["probability"] is not None:
            shares[row["from_segment"]] = shares.get(row["from_segment"], 0) + row["probability"]
    assert shares.keys() <= {row["segment"] for row in rows}
    assert list(shares.values()) == pytest.approx([1.0] * len(shares))


@pytest.mark.slow
def test_online_retail_is_answered_with_the_baseline(spark, tmp_path):
    """On a year of it nobody can be told to have left: said, and NBD is used."""
    config = shipped.ROOT / "conf" / "online_retail.yaml"
    asked = ["--as-of", "2011-12-10", "--lake", tmp_path / "lake"]
    assert rfm_spark(spark, "ingest", config, *asked).code == 0
    said = rfm_spark(
        spark, "predict", config, *asked, "--force", "--set", "prediction={calibration_end: 2011-08-31, unit: week}"
    )
    assert said.code == 0, said.log
    assert "pareto_nbd is not used: dropout is not identified" in said.out
    assert "Chosen: nbd" in said.out
    project = project_of(config, f"lake={{path: {tmp_path / 'lake'}}}")
    models = {row["model"]: row for row in project.read(spark, "models").collect()}
    with gzip.open(DATA / "online_retail_statistics.csv.gz", "rt") as file:
        customers = len(file.readlines()) - 1
    assert models["nbd"]["customers"] == pytest.approx(customers, rel=0.01)  # whose rows the contract differs in
    assert models["nbd"]["chosen"]
    assert not models["bg_nbd"]["identified"]
    assert {row["model"] for row in project.read(spark, "predictions").select("model").distinct().collect()} == {"nbd"}
