"""`ingest --replay`: rows that a looser contract lets through leave the quarantine, once, and nothing else changes.

A strict ingest, a replay under a looser contract, an ordinary ingest after it; one that was loose from the start, in a
lake of its own, which must hold the same; and one of a file more. All of them are slow tests: a replay of one reason,
in test_currencies, is not.
"""

import json
from collections import Counter
from datetime import date
from types import SimpleNamespace

import pytest
from e2e import bad_input as bad
from e2e.commands import rfm_spark

pytestmark = pytest.mark.slow_on_spark

AS_OF = date(2024, 7, 1)
HEAD = "line,customer,ref,at,kind,total\n"
FILES = {
    "shop/1.csv": HEAD
    + "1,anna,o1,2024-01-01,sale,50\n"
    + "2,anna,o2,2024-01-02,sale,300\n"  # above the strict limit
    + "3,,o3,2024-01-03,sale,400\n"  # and nobody's: stays
    + "4,ben,o4,2024-01-04,sale,5000\n"  # above the loose one as well: stays
    + "5,ben,o2,2024-01-05,return,10\n"  # of an order that Ben does not have: stays
    + "6,anna,o2,2024-01-06,return,20\n"  # of the order that comes with the replay
    + "7,carla,o7,2024-01-07,sale,70\n"
    + "7,carla,o7,2024-01-07,sale,71\n"  # contradict each other: stay
    + "8,dan,o8,2024-01-08,sale,800\n"
    + "9,dan,o9,2024-01-09,sale,90,more\n",  # a cell too many: stays
    "shop/2.csv": HEAD + "8,dan,o8,2024-01-08,sale,800\n",  # the same once more: an exact duplicate, when it passes
    # no event_id: equal rows are different rows
    "till.csv": "customer,at,total\n" + "eva,2024-02-01,200\n" * 3 + "eva,2024-02-01,20\n",
}
DRIFTED = HEAD.replace("total", "total,note") + "10,ben,o10,2024-01-10,sale,10,x\n"
STRICT, LOOSE = "total <= 100", "total <= 1000"
COUNTED = ("rows_read", "accepted", "quarantined", "exact_duplicates")


@pytest.fixture(scope="module")
def world(_session, tmp_path_factory):
    """Gives a project over the files, under a limit and in a lake of its own; and what a run of it leaves."""
    from rfm_spark import Project

    folder = tmp_path_factory.mktemp("replay")
    bad.write(folder, FILES)

    def project(limit: str, lake: str) -> Project:
        common = {"types": {"total": "decimal(18,2)"}}
        orders = {"source_customer_id": "customer", "event_ts": "at", "amount": "total"}
        kinds = {"column": "kind", "values": {"sale": "purchase", "return": "refund"}}
        shop = bad.source_of(
            "shop", "shop/*.csv", event_id="line", event_type=kinds, columns=orders | {"order_id": "ref"}, **common
        )
        till = bad.source_of("till", "till.csv", columns=orders, **common)
        contract = {"max_quarantined_share": 1.0, "rules": [{"name": "limit", "sql": limit}]}
        return Project.load(bad.project_file(folder, [shop, till], contract=contract, lake={"path": lake}))

    def left(limit: str, lake: str, job: str, **more: str) -> SimpleNamespace:
        bad.write(folder, {f"shop/{name}.csv": text for name, text in more.items()})
        each = project(limit, lake)
        run = getattr(each, job)(_session, as_of=AS_OF)
        tables = {name: each.read(_session, name).collect() for name in ("events", "quarantine")}
        return SimpleNamespace(counts=run.counts, **tables)

    return left


@pytest.fixture(scope="module")
def done(world):
    return SimpleNamespace(first=world(STRICT, "lake", "ingest"), replayed=world(LOOSE, "lake", "replay"))


@pytest.fixture(scope="module")
def later(world, done):
    again, other = world(LOOSE, "lake", "ingest"), world(LOOSE, "other", "ingest")
    drifted = world(LOOSE, "lake", "ingest", drifted=DRIFTED)
    return SimpleNamespace(again=again, other=other, drifted=drifted)


def parts(ingested: SimpleNamespace, source: str) -> list[int]:
    return [ingested.counts.get(f"{source}.{part}", 0) for part in COUNTED]


def held(ingested: SimpleNamespace) -> list[tuple]:
    """What is in quarantine: the row's own number, or its customer, with its reasons."""
    rows = [(json.loads(row["record"]), row["reasons"]) for row in ingested.quarantine]
    return sorted((record.get("line") or record["customer"], *reasons) for record, reasons in rows)


def events(ingested: SimpleNamespace) -> Counter:
    return Counter((row["customer_key"], row["event_type"], str(row["amount"])) for row in ingested.events)


STAYS = [
    ("3", "no_customer"),
    ("4", "limit"),
    ("5", "refund_without_order"),
    ("7", "duplicate_conflict"),
    ("7", "duplicate_conflict"),
    ("9", "malformed_row"),
]
FREED = Counter(
    {
        ("anna", "purchase", "300.00"): 1,
        ("anna", "refund", "20.00"): 1,
        ("dan", "purchase", "800.00"): 1,
        ("eva", "purchase", "200.00"): 3,
    }
)


@pytest.mark.slow
def test_the_strict_contract_holds_them(done):
    assert parts(done.first, "shop") == [11, 1, 10, 0]
    assert parts(done.first, "till") == [4, 1, 3, 0]
    assert held(done.first) == sorted(
        [
            *[("2", "limit"), ("3", "limit", "no_customer"), ("4", "limit"), *[("8", "limit")] * 2],
            *[("5", "refund_without_order"), ("6", "refund_without_order"), *[("7", "duplicate_conflict")] * 2],
            *[("9", "malformed_row"), *[("eva", "limit")] * 3],
        ]
    )
    assert events(done.first) == {("anna", "purchase", "50.00"): 1, ("eva", "purchase", "20.00"): 1}


@pytest.mark.slow
def test_a_replay_frees_what_passes(done):
    """Three rows of the shop pass, a refund among them, whose order was held too; one is their double."""
    assert parts(done.replayed, "shop") == [10, 3, 6, 1]
    assert parts(done.replayed, "till") == [3, 3, 0, 0]
    assert events(done.replayed) == events(done.first) + FREED
    assert held(done.replayed) == STAYS


@pytest.mark.slow
def test_an_ordinary_ingest_after_it_adds_nothing(done, later):
    assert parts(later.again, "shop") == [11, 0, 6, 5]
    assert parts(later.again, "till") == [4, 0, 0, 4]
    assert (events(later.again), held(later.again)) == (events(done.replayed), held(done.replayed))


@pytest.mark.slow
def test_the_way_there_makes_no_difference(later):
    """Judged strictly and replayed, or judged loosely at once: the same events by the same ids, the same quarantine."""
    ways = [later.again, later.other]
    assert parts(later.other, "shop") == [11, 4, 6, 1]
    columns = ("source", "event_id", "customer_key", "order_id", "amount", "event_ts", "content_hash")
    one, other = (sorted(tuple(str(row[name]) for name in columns) for row in way.events) for way in ways)
    assert one == other
    one, other = (sorted((row["quarantine_id"], row["record"]) for row in way.quarantine) for way in ways)
    assert one == other
    assert held(later.again) == held(later.other)


@pytest.mark.slow
def test_a_column_more_in_a_later_file_makes_no_held_row_another(later):
    assert parts(later.drifted, "shop") == [1, 1, 0, 0]  # of that file alone
    one, other = (sorted(row["quarantine_id"] for row in way.quarantine) for way in (later.again, later.drifted))
    assert one == other


@pytest.mark.slow
def test_every_count_is_conserved(done):
    for each in vars(done).values():
        for source in ("shop", "till"):
            read, *rest = parts(each, source)
            assert read == sum(rest)


def test_a_column_that_no_row_of_a_file_has_a_value_in_is_of_any_type(spark, tmp_path):
    """As it is read, and as what waits of that file and of another is judged again."""
    from rfm_spark import Project

    source = bad.source_of("orders", "in/*.json", format="json", columns=bad.COLUMNS | {"tags": "tags"})
    project = Project.load(bad.project_file(tmp_path, [source]))
    row = '{{"id":"{}","date":"2011-01-02","amount":1,"tags":{}}}\n'.format
    for n, (lines, quarantined) in enumerate([(row("A1", '["x"]') + row("", '["y"]'), 1), (row("", "null"), 1)]):
        bad.write(tmp_path, {f"in/{n}.json": lines})
        assert project.ingest(spark, as_of=AS_OF).counts["orders.quarantined"] == quarantined
    replayed = project.replay(spark, as_of=AS_OF)
    assert (replayed.counts["orders.rows_read"], replayed.counts["orders.quarantined"]) == (2, 2)
    assert [row["tags"] for row in project.read(spark, "events").collect()] == [["x"]]


def test_replay_where_nothing_was_ever_quarantined(spark, tmp_path):
    bad.write(tmp_path, {"f.csv": bad.GOOD})
    config = bad.project_file(tmp_path, [bad.source_of("orders", "f.csv")])
    said = rfm_spark(spark, "ingest", config, "--as-of", AS_OF, "--replay")
    assert said.code == 2
    assert "nothing was ever quarantined" in said.log


def test_a_reason_without_replay(tmp_path):
    config = bad.project_file(tmp_path, [bad.source_of("orders", "f.csv")])
    said = rfm_spark(None, "ingest", config, "--as-of", AS_OF, "--reason", "limit")
    assert said.code == 2
    assert "--reason goes with --replay" in said.log
