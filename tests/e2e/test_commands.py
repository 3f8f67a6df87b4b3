"""`init`, `check`, `run`, `run --dry-run`, `show` and `explain`, on the project that `init` writes.

Its twelve customers of 2024 are few enough to be reckoned by hand:

    days since the last order  lena 11, hugo 17, mo 24 | carla 33, kim 43 | eva 57, ines 83, jan 156 | ben 204, gita 258
                               | fred 286, dan 334
    orders                     dan, fred, gita, jan, mo 1 | ines, kim, lena 2 | ben, hugo 3 | eva 4, carla 5
    money                      gita 15, jan 18, fred 22.5 | dan 35, mo 55 | kim 68, ines 75, lena 96 | hugo 130.5,
                               ben 178.8 | eva 239, carla 657.5

so the cut-points, of rank ceil(12·i/5) = 3, 5, 8, 10, are 24, 43, 156, 258; 1, 1, 2, 3 and 22.5, 55, 96, 178.8.
Anna bought in 2023 only.
"""

import re
from types import SimpleNamespace

import pytest
import yaml
from e2e.commands import rfm_spark

AS_OF, LATER = "2025-01-01", "2025-02-01"
SEGMENTS = {
    "prospect": 0, "inactive": 1, "champions": 1, "loyal": 2, "potential_loyalist": 2, "promising": 0, "new": 1,
    "need_attention": 1, "about_to_sleep": 1, "at_risk": 1, "cant_lose": 0, "hibernating": 3,
}  # fmt: skip
NO_TIME = "1028,1,sale,mo,someday,1,1.00\n"
# In January Anna comes back with the most money; Ben's and Carla's first orders leave the year.
JANUARY = "1029,1,sale,anna,2025-01-15 10:00,1,500.00\n"


@pytest.fixture(scope="module")
def shop(_session, tmp_path_factory):
    """The project with a bad row more, run at the end of 2024; then another order, and a dry run a month later."""
    folder = tmp_path_factory.mktemp("init") / "shop"
    made = rfm_spark(None, "init", folder)
    config = folder / "project.yaml"
    checked = rfm_spark(None, "check", config)
    deliver(folder, NO_TIME)
    ran = rfm_spark(_session, "run", config, "--as-of", AS_OF)
    deliver(folder, JANUARY)
    before = files(folder / "lake")
    dry = rfm_spark(_session, "run", config, "--as-of", LATER, "--dry-run")
    return SimpleNamespace(folder=folder, config=config, made=made, checked=checked, ran=ran, dry=dry, before=before)


def deliver(folder, rows: str) -> None:
    with (folder / "orders.csv").open("a", encoding="utf-8") as file:
        file.write(rows)


def files(lake) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()}


# --- init and check ------------------------------------------------------------------------------------------------


def test_init_writes_a_project_that_is_clean(shop):
    assert shop.made.code == shop.checked.code == 0
    assert sorted(path.name for path in shop.folder.iterdir() if path.is_file()) == [
        "orders.csv",
        "project.schema.json",
        "project.yaml",
    ]
    assert shop.made.lines[-1] == f"Next: rfm-spark check {shop.config}"
    assert shop.checked.out == f"{shop.config}: 1 source, 1 segmentation, 12 segments: good\n"


def test_init_overwrites_nothing(shop):
    again = rfm_spark(None, "init", shop.folder)
    assert again.code == 2
    assert "init overwrites none" in again.log


# --- run -----------------------------------------------------------------------------------------------------------


def test_run_tells_rows_and_segments(shop):
    assert shop.ran.code == 0
    assert shop.ran.row("orders") == ("32", "31", "1", "0")
    assert {row[0]: int(row[1]) for row in shop.ran.rows if row[0] in SEGMENTS} == SEGMENTS
    #                                       customers share   money    share median r, f, m
    assert shop.ran.row("loyal")[:7] == ("2", "15.4%", "896.50", "56.4%", "33", "4", "239")
    assert "Nobody is in: prospect, promising, cant_lose." in shop.ran.out


def test_run_logs_one_line_a_stage(shop):
    lines = [line for line in shop.ran.log.splitlines() if re.search(r" \d+\.\d s$", line)]
    assert [line.split("  ")[0].strip() for line in lines] == [
        *("sources", "contract", "events", "quarantine", "customers"),
        *("metrics", "cut points", "segments", "profiles", "migrations"),
    ]


def test_dry_run_publishes_nothing(shop):
    assert shop.dry.code == 0
    assert files(shop.folder / "lake") == shop.before
    assert shop.dry.lines[-1] == "Dry run: nothing was published."


def test_dry_run_tells_gates_sizes_and_changes(shop):
    """Thirteen of 2025-02-01: Anna is new again, Mo's one order has aged, Jan's is asleep; the rest stay."""
    assert shop.dry.row("orders") == ("33", "1", "1", "31")
    assert "orders, quarantined for: unparseable_time 1" in shop.dry.lines
    moved = [row for row in shop.dry.rows if row[0] == "value"]
    assert sorted(moved) == [
        ("value", "about_to_sleep", "hibernating", "1"),
        ("value", "inactive", "new", "1"),
        ("value", "new", "promising", "1"),
    ]
    assert f"Changes since the snapshot of {AS_OF}" in shop.dry.lines
    assert "value: 3 of 13 customers would move" in shop.dry.lines


# --- show ----------------------------------------------------------------------------------------------------------


def test_show_prints_the_published_segments(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "--as-of", AS_OF)
    assert said.code == 0
    assert said.out.strip() in shop.ran.out


def test_show_cut_points(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "cut_points", "--as-of", AS_OF)
    cuts = {name: [float(row[4]) for row in said.rows if row[1] == name] for name in ("r", "f", "m")}
    assert cuts == {"r": [24, 43, 156, 258], "f": [1, 1, 2, 3], "m": [22.5, 55, 96, 178.8]}
    # one order in five is the smallest score, two orders are the third: nobody can have a 2
    assert {row[8] for row in said.rows if row[1] == "f"} == {"[1, 3, 4, 5]"}


def test_show_a_snapshot_that_is_not_there(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "--as-of", LATER)
    assert said.code == 2
    assert f"no snapshot of {LATER}; published: {AS_OF}" in said.log


def test_show_runs(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "runs", "--as-of", AS_OF)
    assert [(row[2], row[3], row[4]) for row in said.rows] == [("run", AS_OF, "complete")]


def test_show_quarantine_masks_its_examples(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "quarantine", "--as-of", AS_OF)
    assert said.code == 0
    assert said.rows[0][:3] == ("orders", "unparseable_time", "1")
    example = " ".join(row[3] for row in said.rows)
    assert '"ordered_at": "xxxxxxx"' in example
    assert '"price": "9.99"' in example
    assert "someday" not in said.out
    assert '"mo"' not in said.out


def test_show_describes_a_table_of_customers(shop, spark):
    said = rfm_spark(spark, "show", shop.config, "customer_metrics", "--as-of", AS_OF)
    assert "13 rows" in said.lines
    assert said.row("monetary")[0] == "decimal(18,2)"
    assert "carla" not in said.out


def test_show_an_unknown_table(shop):
    said = rfm_spark(None, "show", shop.config, "segmnts", "--as-of", AS_OF)
    assert said.code == 2
    assert "did you mean segments?" in said.log


# --- explain -------------------------------------------------------------------------------------------------------


def test_explain_says_why(shop, spark):
    said = rfm_spark(spark, "explain", shop.config, "--as-of", AS_OF, "--customer", "carla")
    assert said.code == 0
    inputs = {row[0]: row[1] for row in said.rows if len(row) == 2}
    assert inputs["recency_days"] == "33"
    assert inputs["frequency"] == "5"
    assert inputs["monetary"] == "657.50"
    assert inputs["average_order_value"] == "131.5"
    assert inputs["last_order_date"] == "2024-11-29"
    # thirty-three days are above 24 and not above 43, so one cut-point is passed: 5 - 1
    assert said.row("r") == ("recency_days", "33", "24; 43; 156; 258", "4", "9 less (at most 24)")
    assert said.row("f") == ("frequency", "5", "1; 1; 2; 3", "5", "the best score")
    assert said.row("m") == ("monetary", "657.50", "22.5; 55; 96; 178.8", "5", "the best score")
    assert "Rules that did not hold: prospect, inactive, champions" in said.lines
    assert "Segment loyal, by the rule: r in (3, 4) and f >= 4" in said.lines


def test_a_snapshot_is_judged_by_the_project_file_that_made_it(shop, spark):
    """Since then a criterion was added, and a segment renamed."""
    data = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    data["criteria"] = dict.fromkeys(("d", "r", "f", "m"))
    for segment in data["segmentations"][0]["segments"]:
        segment["name"] = segment["name"].replace("loyal", "faithful")
    today = shop.folder / "today.yaml"
    today.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    for command in (["show"], ["explain", "--customer", "carla"]):
        then, now = (rfm_spark(spark, *command, config, "--as-of", AS_OF) for config in (shop.config, today))
        assert (now.code, now.out) == (0, then.out)


def test_explain_the_distance_where_more_is_better(shop, spark):
    """Two orders are at the cut-point of 2, and only above it is the next score."""
    said = rfm_spark(spark, "explain", shop.config, "--as-of", AS_OF, "--customer", "ines")
    assert said.row("f") == ("frequency", "2", "1; 1; 2; 3", "3", "any more (above 2)")
    assert said.row("m") == ("monetary", "75.00", "22.5; 55; 96; 178.8", "3", "over 21 more (above 96)")


def test_explain_an_unknown_customer(shop, spark):
    said = rfm_spark(spark, "explain", shop.config, "--as-of", AS_OF, "--customer", "nobody")
    assert said.code == 2
    assert f"no such customer in the snapshot of {AS_OF}" in said.log
    assert "nobody" not in said.log


def test_explain_a_snapshot_that_is_not_there(shop, spark):
    said = rfm_spark(spark, "explain", shop.config, "--as-of", LATER, "--customer", "carla")
    assert said.code == 2
    assert f"no snapshot of {LATER}; published: {AS_OF}" in said.log
