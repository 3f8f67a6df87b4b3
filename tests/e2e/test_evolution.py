"""How a segmentation evolves: the cause of each move on built cases, sums on real data, and the feed of changes."""

import json
import shutil
from collections import Counter
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from e2e import bad_input as bad
from e2e.commands import rfm_spark

from rfm_spark.errors import InputError
from rfm_spark.report.moves import IN_WORDS

pytestmark = pytest.mark.slow_on_spark

PAGE = Path(__file__).parents[2] / "conf" / "README.md"
_ENDS = ("segmentation", "from_segment", "to_segment", "cause")
JULY, AUGUST, AUGUST_2, SEPTEMBER = date(2020, 7, 1), date(2020, 8, 1), date(2020, 8, 2), date(2020, 9, 1)


def _segments(*rules: tuple[str, str | None]) -> list[dict]:
    return [
        {"name": name, **({"when": when} if when else {"otherwise": True}), "action": bad.ACTION}
        for name, when in rules
    ]


def _config(folder: Path, frequent: str = "f = 2") -> Path:
    """Orders, profiles that come and go, one segmentation by fixed cut-points and one by fitted ones."""
    crm = {
        "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv", "columns": {"source_customer_id": "id"},
    }  # fmt: skip
    fixed = {"criteria": {"r": {"cuts": [45]}, "f": {"cuts": [2]}}}
    segmentations = [
        {
            "name": "value", "question": "Who?", "criteria": ["r", "f"], "scoring": fixed,
            "segments": _segments(("frequent", frequent), ("recent", "r = 2"), ("lapsed", None)),
        },
        {
            "name": "money", "question": "Who?", "criteria": ["m"], "scoring": {"bins": 2},
            "segments": _segments(("rich", "m = 2"), ("poor", None)),
        },
    ]  # fmt: skip
    return bad.project_file(folder, [bad.source_of("orders", "orders/*.csv"), crm], segmentations=segmentations)


@pytest.fixture(scope="module")
def evolved(_session, tmp_path_factory):
    """Four snapshots: of July, August, of August 2 by another rule, of September; with a move of each cause."""
    from rfm_spark import Project

    folder = tmp_path_factory.mktemp("evolved")
    june = ["late,2020-06-10,10", "late,2020-06-11,10", "ages,2020-06-05,20"]
    june += ["buys,2020-06-20,10", "buys,2020-06-21,10"]
    june += ["middle,2020-06-20,50", "rises,2020-06-25,20", "top,2020-06-25,60", "calm,2020-06-29,70"]
    july = ["late,2020-06-12,60", "buys,2020-07-20,60", "rises,2020-07-25,80", "newcomer,2020-07-30,5"]
    july += ["middle,2020-07-28,0.01", "ages,2020-08-02,1"]
    bad.write(folder, {"orders/june.csv": bad.HEAD + "\n".join(june) + "\n", "crm.csv": "id\nleaves\n"})
    Project.load(_config(folder)).run(_session, as_of=JULY)
    bad.write(folder, {"orders/july.csv": bad.HEAD + "\n".join(july) + "\n", "crm.csv": "id\nother\n"})
    Project.load(_config(folder)).run(_session, as_of=AUGUST)
    Project.load(_config(folder, "f = 2 and r = 2")).run(_session, as_of=AUGUST_2)
    bad.write(folder, {"crm.csv": "id\nother\nleaves\n"})
    project = Project.load(_config(folder, "f = 2"))
    project.run(_session, as_of=SEPTEMBER)
    return project


def _moves(project, spark, to: date, segmentation: str = "value") -> Counter:
    rows = project.read(spark, "segment_migrations").collect()
    mine = [row for row in rows if (row["to_snapshot"], row["segmentation"]) == (to, segmentation)]
    moved = [row for row in mine if row["cause"] != "none"]
    return Counter({(r["from_segment"], r["to_segment"], r["cause"]): r["customers"] for r in moved})


def test_each_cause_on_a_built_case(spark, evolved):
    """Fixed cut-points, so that nothing moves anybody but what the case is about."""
    assert _moves(evolved, spark, AUGUST) == {
        ("recent", "frequent", "late_data"): 1,  # `late`: an order of June came in July
        ("recent", "lapsed", "time_passing"): 1,  # `ages` did nothing for 57 days
        ("recent", "frequent", "behaviour"): 1,  # `buys` has bought
        ("(new)", "recent", "new"): 1,
        ("(new)", "lapsed", "new"): 1,
        ("lapsed", "(gone)", "departed"): 1,
    }
    assert _moves(evolved, spark, AUGUST_2) == {("frequent", "lapsed", "rules"): 1}
    assert _moves(evolved, spark, SEPTEMBER) == {
        ("lapsed", "frequent", "rules"): 1,  # the old rule is back
        ("recent", "lapsed", "time_passing"): 2,
        ("lapsed", "recent", "behaviour"): 1,
        ("(new)", "lapsed", "returned"): 1,
    }


def test_cut_points_move_who_did_nothing(spark, evolved):
    """The median spent rises; the one cent of `middle` in July changes nothing by itself."""
    assert _moves(evolved, spark, AUGUST, "money") == {
        ("rich", "poor", "cut_points"): 2,
        ("poor", "rich", "behaviour"): 2,
        ("poor", "rich", "late_data"): 1,
        ("(new)", "poor", "new"): 2,
        ("poor", "(gone)", "departed"): 1,
    }


def test_moves_add_up_to_the_population(spark, evolved):
    assert_moves_add_up(spark, evolved)


@pytest.mark.on_sail
def test_moves_of_real_data_add_up_and_are_those_that_readme_shows(spark, tmp_path):
    from rfm_spark import Project

    config, lake = PAGE.parent / "cdnow.yaml", tmp_path / "lake"
    for day in (date(1997, 10, 1), date(1997, 11, 1)):
        assert rfm_spark(spark, "run", config, "--as-of", day, "--lake", lake).code == 0
    assert_moves_add_up(spark, Project.load(config, lake=str(lake)))
    said = rfm_spark(spark, "show", config, "--as-of", day, "--moves", "--lake", lake)
    (shown,) = (part for part in PAGE.read_text(encoding="utf-8").split("```\n") if part.startswith("171 changes"))
    first = said.lines.index(shown.splitlines()[0])
    assert said.lines[first : first + 4] == shown.splitlines()


def assert_moves_add_up(spark, project):
    """Customers and money, of every pair and segmentation; the first snapshot has nothing to compare with."""
    population, money, came, moved = Counter(), Counter(), Counter(), Counter()
    amounts = {(r["snapshot_date"], r["customer_key"]): r["monetary"] for r in
               project.read(spark, "customer_metrics").collect()}  # fmt: skip
    for row in project.read(spark, "customer_segments").collect():
        population[row["snapshot_date"], row["segmentation"]] += 1
        money[row["snapshot_date"], row["segmentation"]] += amounts[row["snapshot_date"], row["customer_key"]]
    for row in project.read(spark, "segment_migrations").collect():
        if row["to_segment"] != "(gone)":
            came[row["to_snapshot"], row["segmentation"]] += row["customers"]
            moved[row["to_snapshot"], row["segmentation"]] += row["monetary"]
    later = {key for key in population if key[0] != min(population)[0]}
    assert dict(came) == {key: population[key] for key in later}
    assert dict(moved) == {key: money[key] for key in later}


def test_the_feed_replays_to_what_is_current(spark, evolved):
    """Run after run in the order they ended, each customer once a run, each change from where the one before left."""
    changes = evolved.read(spark, "segment_changes")
    once = changes.select("run_id", "segmentation", "customer_key").distinct()
    assert once.count() == changes.count() > 0
    assert replayed(evolved, spark) == current(evolved, spark)


@pytest.mark.on_sail
def test_moves_are_shown_with_their_causes_in_words(spark, evolved):
    """Rates and the reason of each segment's status too; and as nodes and links."""
    config = Path(evolved.config.lake.path).parent / "project.yaml"
    said = rfm_spark(spark, "show", config, "--as-of", AUGUST, "--moves")
    assert said.code == 0
    assert "  late_data 1: events of before came late or were corrected" in said.lines
    assert ("recent", "frequent", "late_data", "1", "80.00") in said.rows
    assert ("frequent", "0", "2", "", "", "100.0%", "growing", f"+2, of which +1: {IN_WORDS['late_data']}") in said.rows
    (lapsed,) = (row for row in said.rows if row[0] == "lapsed" and row[1:3] == ("1", "2"))
    assert lapsed[3:7] == ("0.0%", "100.0%", "100.0%", "growing")
    picture = json.loads(rfm_spark(spark, "show", config, "--as-of", AUGUST, "--moves", "--json").out)
    population = evolved.read(spark, "customer_segments").filter(f"snapshot_date = DATE'{AUGUST}'").count()
    ends = picture["nodes"]
    assert sum(link["value"] for link in picture["links"] if ends[link["target"]]["segment"] != "(gone)") == population
    assert rfm_spark(spark, "show", config, "--as-of", JULY, "--moves").code == 2


def test_moves_between_any_two_snapshots(spark, evolved):
    """Between neighbours what their run has written; over several, what the two differ in, and nothing is written."""
    config = Path(evolved.config.lake.path).parent / "project.yaml"
    versions = {path.name: DeltaTable(path).version() for path in Path(evolved.config.lake.path).iterdir()}
    written = [row.asDict() for row in evolved.read(spark, "segment_migrations").collect()]
    for since, to in pairwise((JULY, AUGUST, AUGUST_2, SEPTEMBER)):
        found = evolved.moves(spark, since, to)
        assert sorted(map(repr, found)) == sorted(repr(row) for row in written if row["to_snapshot"] == to)
    found = evolved.moves(spark, JULY, SEPTEMBER)
    mine = [row for row in found if row["segmentation"] == "value"]
    moved = {(r["from_segment"], r["to_segment"], r["cause"]): r["customers"] for r in mine if r["cause"] != "none"}
    assert moved == {
        ("recent", "frequent", "late_data"): 1,
        ("recent", "frequent", "time_passing"): 1,  # `buys` would not be recent any more without what they bought
        ("recent", "lapsed", "time_passing"): 2,
        ("(new)", "recent", "new"): 1,
        ("(new)", "lapsed", "new"): 1,  # `leaves` was gone in between, and is where they were
    }
    population = evolved.read(spark, "customer_segments").filter(f"snapshot_date = DATE'{SEPTEMBER}'").count()
    assert sum(row["customers"] for row in found if row["to_segment"] != "(gone)") == population
    asked = ("show", config, "--as-of", SEPTEMBER, "--moves", "--since")
    assert f"value: Who?\n6 changes among 10 customers from {JULY} to {SEPTEMBER}" in rfm_spark(spark, *asked, JULY).out
    links = json.loads(rfm_spark(spark, *asked, JULY, "--json").out)["links"]
    assert sum(link["value"] for link in links) == sum(row["customers"] for row in found)
    said = rfm_spark(spark, *asked, "2020-07-02")
    assert said.code == 2
    assert f"no snapshot of 2020-07-02 in {evolved.config.lake.path}; published: {JULY}, {AUGUST}" in said.log
    assert (
        rfm_spark(spark, *asked, SEPTEMBER).code
        == rfm_spark(spark, "show", config, *asked[2:4], *asked[5:], JULY).code
        == 2
    )
    assert {path.name: DeltaTable(path).version() for path in Path(evolved.config.lake.path).iterdir()} == versions


@pytest.mark.slow
@pytest.mark.on_sail
def test_moves_are_told_by_what_the_later_snapshot_saw(spark, tmp_path):
    """Not by events that came since; where earlier ones were changed since and are not kept, it says what to do."""
    from rfm_spark import Project

    june = bad.HEAD + "ages,2020-06-05,20\nbuys,2020-06-20,10\nbuys,2020-06-21,10\n"
    bad.write(tmp_path, {"orders/june.csv": june, "crm.csv": "id\n"})
    project = Project.load(_config(tmp_path), ["maintenance={retention_hours: 0, allow_short_retention: true}"])
    project.run(spark, as_of=JULY)
    bad.write(tmp_path, {"orders/july.csv": bad.HEAD + "buys,2020-07-20,60\n"})
    project.run(spark, as_of=AUGUST)
    told = project.moves(spark, JULY, AUGUST)
    assert told == [row.asDict() for row in project.read(spark, "segment_migrations").sort(*_ENDS).collect()]
    bad.write(tmp_path, {"orders/late.csv": bad.HEAD + "buys,2020-06-26,1\nages,2020-06-27,1\n"})
    project.ingest(spark, as_of=SEPTEMBER)
    assert project.moves(spark, JULY, AUGUST) == told
    bad.write(tmp_path, {"orders/june.csv": june.replace(",20\n", ",30\n")})
    project.run(spark, as_of=SEPTEMBER)
    assert project.moves(spark, JULY, AUGUST) == told
    for _ in range(2):  # the first leaves what readers were sent to
        project.maintain(spark, as_of=SEPTEMBER)
    with pytest.raises(InputError, match=f"restate the later snapshot first, `segment --as-of {AUGUST}`"):
        project.moves(spark, JULY, AUGUST)
    project.segment(spark, as_of=AUGUST)
    assert {row["cause"] for row in project.moves(spark, JULY, AUGUST)} >= {"late_data"}


@pytest.mark.parametrize("by", [pytest.param("deltalake", marks=pytest.mark.on_sail), "spark"])
def test_another_system_reads_the_feed_by_the_example(spark, evolved, by):
    """With deltalake or with Spark, and nothing of this project; what it has read it does not read again."""
    names: dict = {}
    examples = [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```py\n")[1:]]
    exec(compile(examples[["deltalake", "spark"].index(by)], str(PAGE), "exec"), names)
    lake = evolved.config.lake.path
    unread = partial(names["unread"], *([spark] if by == "spark" else []), lake)
    state: dict[tuple, str] = {}
    found = list(unread(set()))
    for _, changes in found:
        for change in changes.collect() if by == "spark" else changes:
            state[change["segmentation"], change["customer_key"]] = change["to_segment"]
    there = {key: segment for key, segment in state.items() if segment != "(gone)"}
    assert there == current(evolved, spark)
    assert [run for run, _ in unread({run for run, _ in found[:-1]})] == [found[-1][0]]


@pytest.mark.on_sail
def test_a_restatement_tells_what_it_changed(spark, evolved, tmp_path):
    """An event of June that comes late changes no published snapshot; the next one at that date does, and says how."""
    from rfm_spark import Project

    folder = tmp_path / "restated"
    shutil.copytree(Path(evolved.config.lake.path).parent, folder)
    project = Project.load(_config(folder, "f = 2"))
    bad.write(folder, {"orders/late.csv": bad.HEAD + "top,2020-06-26,1\ntop,2020-06-27,1\n"})
    before = sorted(map(tuple, project.read(spark, "customer_segments").collect()), key=str)
    project.ingest(spark, as_of=SEPTEMBER)
    assert sorted(map(tuple, project.read(spark, "customer_segments").collect()), key=str) == before
    done = project.segment(spark, as_of=SEPTEMBER)
    changes = project.read(spark, "segment_changes").filter(f"run_id = '{done.run_id}'").collect()
    told = {(r["customer_key"], r["segmentation"], r["from_segment"], r["to_segment"], r["cause"]) for r in changes}
    assert ("top", "value", "lapsed", "frequent", "late_data") in told
    assert {r["from_snapshot"] for r in changes} == {r["snapshot_date"] for r in changes} == {SEPTEMBER}
    config = folder / "project.yaml"
    said = rfm_spark(spark, "show", config, "--as-of", SEPTEMBER, "--diff", done.run_id[:12])
    assert said.code == 0
    assert "value: 10 customers before, 10 after; EUR" in said.out
    assert ("lapsed", "frequent", "1", "60.00", "62.00") in said.rows
    assert rfm_spark(spark, "show", config, "--as-of", SEPTEMBER, "--diff", "nobody").code == 2
    said = rfm_spark(spark, "show", config, "--as-of", "2001-01-01", "--diff", done.run_id)
    assert (said.code, f"ask with --as-of {SEPTEMBER}" in " ".join(said.log.split())) == (2, True)
    older = project.segment(spark, as_of=AUGUST)
    past = f"{AUGUST} is of the past: the snapshot of {SEPTEMBER} stays the current one"
    assert (past in older.warnings, past in done.warnings) == (True, False)
    again = project.segment(spark, as_of=SEPTEMBER)  # what the restatement changed is still told
    runs = project.read(spark, "runs").filter(f"as_of = '{SEPTEMBER}' and job in ('run', 'segment')")
    first, *_ = (row["run_id"] for row in runs.orderBy("ended_at").collect())
    beside = [
        (first, first, again.run_id),
        (done.run_id, first, done.run_id),
        (again.run_id, done.run_id, again.run_id),
    ]
    for run_id, *pair in beside:
        found = project.restatement(spark, run_id)
        assert [found.earlier_run, found.later_run] == pair
    assert project.read(spark, "segment_changes").filter(f"run_id = '{older.run_id}'").isEmpty()
    short = Project.load(config, ["maintenance={retention_hours: 0, allow_short_retention: true}"])
    for _ in range(2):  # the first leaves what readers were sent to
        short.maintain(spark, as_of=SEPTEMBER)
    said = rfm_spark(spark, "show", config, "--as-of", SEPTEMBER, "--diff", done.run_id)
    assert (said.code, f"the tables of run {first} are not kept any more" in " ".join(said.log.split())) == (2, True)


@pytest.mark.on_sail
def test_projects_that_change_what_they_name(spark, tmp_path):
    """A rule over the key, an attribute that only the old rules or only the new ones use, a criterion in SQL that
    comes, a segmentation that comes, goes and comes back: each move has a cause, a dry run tells as much, and the feed
    replays to what is current."""
    from rfm_spark import Project

    rows = "".join(f"c{n},2020-0{1 + n % 6}-03,{n}\n" for n in range(20))
    crm = "id,city,variant\n" + "".join(f"c{n},{'AB'[n % 2]},v{n % 3}\n" for n in range(20))
    bad.write(tmp_path, {"orders/1.csv": bad.HEAD + rows, "crm.csv": crm})

    def project(*rules: tuple[str, str | None], other: bool, **sections: Any) -> Project:
        source = {
            "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv",
            "columns": {"source_customer_id": "id"}, "attributes": {"city": "city", "variant": "variant"},
        }  # fmt: skip
        segmentations = [{"name": "value", "question": "Who?", "segments": _segments(*rules)}]
        second = _segments(("many", "f > 1"), ("few", None))
        segmentations += [{"name": "other", "question": "Who?", "segments": second}] if other else []
        orders = bad.source_of("orders", "orders/*.csv")
        return Project.load(bad.project_file(tmp_path, [orders, source], segmentations=segmentations, **sections))

    by_city = (("key", "customer_key like 'c1%'"), ("can't lose (& co.)", "city = 'A'"), ("rest", None))
    by_variant = (
        ("key", "customer_key like 'c1%' and variant <> 'v1'"),
        ("can't lose (& co.)", "r >= 3"),
        ("rest", None),
    )
    project(*by_city, other=True).run(spark, as_of=JULY)
    dry = project(*by_variant, other=False).run(spark, as_of=AUGUST, dry_run=True)
    done = project(*by_variant, other=False).segment(spark, as_of=AUGUST)
    moved = [row for row in done.migrations if row["cause"] != "none"]
    assert {row["cause"] for row in moved} == {"rules"}
    assert [row for row in dry.migrations if row["cause"] != "none"] == moved
    criteria = {"f": {"metric": "frequency", "better": "high"}, "v": {"sql": "monetary * 2", "better": "high"}}
    last = project(("rich", "v >= 4"), *by_city[1:], other=True, criteria=criteria)
    done = last.segment(spark, as_of=SEPTEMBER)
    assert {row["cause"] for row in done.migrations if row["segmentation"] == "other"} == {"returned"}
    assert replayed(last, spark) == current(last, spark)
    first = last.read(spark, "segment_changes").filter("segmentation = 'other'")
    assert {str(row["from_snapshot"]) for row in first.collect()} <= {"None", str(JULY)}


@pytest.mark.slow
@pytest.mark.on_sail
def test_a_restatement_without_a_segmentation_tells_what_is_current_of_it_then(spark, tmp_path):
    """Nobody, or where an older snapshot has it, what that says; and it comes back from there."""
    from rfm_spark import Project

    bad.write(tmp_path, {"orders/1.csv": bad.HEAD + "stays,2020-06-03,1\nmoves,2020-06-04,2\n"})

    def restated(*segmentations: str, at: date = AUGUST) -> list[tuple]:
        """What the feed tells of `other` as the project, with these segmentations, restates a snapshot."""
        segments = _segments(("many", "f > 1"), ("few", None))
        named = [{"name": name, "question": "Who?", "segments": segments} for name in segmentations]
        path = bad.project_file(tmp_path, [bad.source_of("orders", "orders/*.csv")], segmentations=named)
        project = Project.load(path)
        run = project.run(spark, as_of=at)
        assert replayed(project, spark) == current(project, spark)
        told = project.read(spark, "segment_changes").filter(f"run_id = '{run.run_id}' and segmentation = 'other'")
        columns = ("customer_key", "from_segment", "to_segment", "cause", "from_snapshot", "snapshot_date")
        return sorted(tuple(row) for row in told.select(*columns).collect())

    restated("value", "other")
    gone = [(who, "few", "(gone)", "departed", AUGUST, AUGUST) for who in ("moves", "stays")]
    assert restated("value") == gone
    assert restated("value") == []
    back = restated("value", "other", at=JULY)
    assert back == [(who, "(new)", "few", "new", None, JULY) for who in ("moves", "stays")]
    bad.write(tmp_path, {"orders/2.csv": bad.HEAD + "moves,2020-07-05,2\ncomes,2020-07-06,2\n"})
    restated("value", "other")
    assert restated("value", at=SEPTEMBER) == []  # August stays current of it
    assert restated("value") == [
        ("comes", "few", "(gone)", "departed", AUGUST, JULY),
        ("moves", "many", "few", "rules", AUGUST, JULY),
    ]
    assert [row[:3] for row in restated("value", "other", at=SEPTEMBER)] == [
        ("comes", "(new)", "few"),
        ("moves", "few", "many"),
    ]


def replayed(project, spark) -> dict[tuple, str]:
    """The segment of each customer by the feed alone."""
    complete = project.read(spark, "runs").filter("status = 'complete'").orderBy("ended_at").collect()
    changes = project.read(spark, "segment_changes").collect()
    state: dict[tuple, str] = {}
    for run in complete:
        for row in (row for row in changes if row["run_id"] == run["run_id"]):
            key = row["segmentation"], row["customer_key"]
            assert state.pop(key, "(new)") == row["from_segment"]
            if row["to_segment"] != "(gone)":
                state[key] = row["to_segment"]
    return state


def current(project, spark) -> dict[tuple, str]:
    """The segment of each customer as it is published."""
    current = project.read(spark, "current_segments").collect()
    return {(r["segmentation"], r["customer_key"]): r["segment"] for r in current}
