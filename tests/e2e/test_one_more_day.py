"""One more day: metrics moved on from the snapshot before, or made of all events where that would not be exact."""

from datetime import date, timedelta

import pytest
from e2e import bad_input as bad

pytestmark = pytest.mark.on_sail

FIRST = date(2024, 2, 29)
NEXT, THIRD, FOURTH = (FIRST + timedelta(days=n) for n in (1, 2, 3))
HEAD = "line,customer,order,date,kind,amount\n"
# twenty who ordered in summer and have no day in a window, and who orders, returns and writes around it
QUIET = "".join(f"q{n},quiet{n},o,2023-07-{n + 1:02d},sale,10\nw{n},quiet{n},,2024-01-05,mail,\n" for n in range(20))
ORDERS = HEAD + QUIET + "1,anna,a1,2023-08-05,sale,30\n2,anna,a2,2023-09-05,sale,20\n3,ben,b1,2023-02-28,sale,7\n"
NEXT_DAY = HEAD + (
    "10,anna,a1,2024-02-29,return,30\n"  # of an order long ago
    "11,new,n1,2024-02-29,sale,5\n"
    "12,fan,,2024-02-29,mail,\n"  # new, and only in contact
    "13,quiet3,,2024-02-29,mail,\n"
    "14,quiet4,o,2023-07-20,sale,90\n"  # late
    "15,later,l1,2024-03-01,sale,1\n"  # of tomorrow
)


@pytest.fixture
def shop(spark, tmp_path, monkeypatch):
    """A shop whose files come one by one; gives a project over them with the sections that are to be other ones."""
    from rfm_spark import Project
    from rfm_spark.pipelines import customer_metrics

    for few in ("_FEW", "_FEW_COMPILED"):
        monkeypatch.setattr(customer_metrics, few, 0.3)  # of two dozen customers six are few
    bad.write(tmp_path, {"in/1.csv": ORDERS, "crm.csv": "id,country\nquiet1,UK\nonly crm,FR\n"})

    def project(files: dict[str, str] | None = None, on_change: str = "quarantine", **sections) -> Project:
        bad.write(tmp_path, files or {})
        kinds = {"column": "kind", "values": {"sale": "purchase", "return": "refund", "mail": "contact"}}
        columns = {"source_customer_id": "customer", "event_ts": "date", "order_id": "order", "amount": "amount"}
        orders = bad.source_of(
            "orders", "in/*.csv", event_type=kinds, columns=columns, event_id="line", on_change=on_change
        )
        crm = {
            "name": "crm", "kind": "profile", "format": "csv", "path": "crm.csv", "attributes": {"country": "country"},
            "columns": {"source_customer_id": "id"},
        }  # fmt: skip
        return Project.load(bad.project_file(tmp_path, [orders, crm], **sections))

    first = project().run(spark, as_of=FIRST)
    assert (first.counts["customer_metrics.moved"], first.counts["customer_metrics.recomputed"]) == (0, 23)
    return project


def ways(run) -> tuple[int, int]:
    """How many customers were moved on, and how many recomputed."""
    return run.counts["customer_metrics.moved"], run.counts["customer_metrics.recomputed"]


def assert_whole(spark, project, as_of: date) -> None:
    """The published metrics are those of all events."""
    from rfm_spark.steps import activity, metrics, periods

    config = project.config
    boundaries = periods.boundaries(config.reference_period, as_of, None)
    done = activity.activity(project.read(spark, "events"), config.refunds.policy, as_of)
    profiles = project.read(spark, "customers").select("customer_key", "profile_date")
    expected = metrics.metrics(done, profiles, boundaries).orderBy("customer_key")
    found = project.read(spark, "customer_metrics").filter(f"snapshot_date = DATE'{as_of}'").orderBy("customer_key")
    assert found.select(expected.columns).collect() == expected.collect()


def test_a_day_with_a_return_newcomers_and_a_late_row(spark, shop):
    project = shop({"in/2.csv": NEXT_DAY})
    project.ingest(spark, as_of=NEXT)
    done = project.segment(spark, as_of=NEXT)
    assert ways(done) == (21, 4)  # anna, new and quiet4; ben, whose order of a year ago leaves the period
    assert_whole(spark, project, NEXT)
    crm = "id,country\nonly crm,FR\nquiet2,DE\n"  # quiet1 leaves the customer file
    done = shop({"crm.csv": crm}).run(spark, as_of=THIRD)
    assert ways(done) == (25, 1)  # later
    assert_whole(spark, project, THIRD)


def test_causes_are_those_of_all_events(spark, shop, monkeypatch):
    """Whichever way the metrics were made."""
    from rfm_spark.pipelines import customer_metrics

    names = {"rich": "monetary >= 25", "recent": "recency_days < 200", "there": "contact_recency_days < 56"}
    rules = [{"name": name, "when": when, "action": bad.ACTION} for name, when in names.items()]
    rules.append({"name": "others", "otherwise": True, "action": bad.ACTION})
    segmentations = [{"name": "value", "question": "Who?", "segments": rules}]
    shop(segmentations=segmentations).segment(spark, as_of=FIRST)
    project = shop({"in/2.csv": NEXT_DAY}, segmentations=segmentations)
    project.run(spark, as_of=NEXT)
    moves = _moves(project, spark)
    monkeypatch.setattr(customer_metrics, "_moved", lambda *_: None)
    assert ways(project.segment(spark, as_of=NEXT)) == (0, 25)
    assert _moves(project, spark) == moves
    assert {move[-3] for move in moves} >= {"late_data", "time_passing", "behaviour"}  # or nothing was shown


def _moves(project, spark) -> list[tuple]:
    return sorted(tuple(row) for row in project.read(spark, "segment_migrations").collect())


def test_an_event_replaced_since(spark, shop):
    """Who had it loses it, and no event of theirs tells: all is made anew."""
    project = shop({"in/2.csv": HEAD + "q5,quiet6,o,2023-07-06,sale,10\n"}, on_change="replace")
    done = project.run(spark, as_of=NEXT)
    assert ways(done) == (0, 23)
    assert_whole(spark, project, NEXT)


@pytest.mark.parametrize(
    ("as_of", "sections"),
    [
        (NEXT, {"refunds": {"policy": "ignore"}}),
        pytest.param(NEXT, {"reference_period": {"months": 6, "sub_periods": 3}}, marks=pytest.mark.slow),
        pytest.param(NEXT, {"reference_period": {"all": True, "sub_periods": 2}}, marks=pytest.mark.slow),
        pytest.param(date(2024, 4, 15), {}, marks=pytest.mark.slow),
        pytest.param(FIRST - timedelta(days=1), {}, marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_moved_on_is_made_of_all_events(spark, shop, as_of, sections):
    """Other sections of the project file, a step of more than a month, and a day before."""
    project = shop(**sections)
    assert ways(project.segment(spark, as_of=as_of)) == (0, 23)


def test_a_dry_run_sees_new_rows_beside_those_of_all_time(spark, shop):
    project = shop({"in/2.csv": NEXT_DAY}, reference_period={"all": True})
    assert project.run(spark, as_of=NEXT, dry_run=True).counts["customer_metrics.rows"] == 25


@pytest.mark.slow
def test_where_nearly_everybody_orders_all_is_made_anew(spark, shop):
    rows = "".join(f"z{n},quiet{n},z,2024-02-29,sale,1\n" for n in range(10))
    project = shop({"in/2.csv": HEAD + rows})
    assert ways(project.run(spark, as_of=NEXT)) == (0, 23)
    assert_whole(spark, project, NEXT)


def test_rows_of_a_run_that_died_are_late_too(spark, shop, monkeypatch):
    """It never completed, but its events are there when the next run looks."""
    from e2e import faults

    project = shop({"in/2.csv": NEXT_DAY})
    with monkeypatch.context() as patched:
        faults.kill_after(patched, "events")
        with pytest.raises(faults.Killed):
            project.ingest(spark, as_of=NEXT)
    shop({"in/3.csv": HEAD + "20,quiet7,,2024-02-29,mail,\n"}).ingest(spark, as_of=NEXT)
    done = project.segment(spark, as_of=NEXT)
    assert ways(done) == (21, 4)
    assert_whole(spark, project, NEXT)


@pytest.mark.slow
def test_moved_on_from_the_day_before_that(spark, shop):
    """Each from a snapshot that was moved on itself; and again at a date that is published."""
    project = shop({"in/2.csv": NEXT_DAY})
    project.run(spark, as_of=NEXT)
    for day in (THIRD, FOURTH, FOURTH):
        done = project.segment(spark, as_of=day)
        assert ways(done)[0] > 20
        assert_whole(spark, project, day)
