"""Amounts in several currencies by dated rates, and profiles of customers that rules and criteria use; by hand.

One run as of 2024-04-01, in euros and Berlin's time; then rates that were missing arrive, and a replay; then a rate
is corrected, and one more comes.
"""

from collections import Counter
from datetime import date
from types import SimpleNamespace

import pytest
import yaml
from e2e import bad_input as bad

pytestmark = pytest.mark.slow_on_spark

AS_OF = date(2024, 4, 1)
# 2024-01-05 is a Friday. Of two rates of a day the greater counts.
RATES = """currency,date,rate
USD,2024-01-05,0.90
USD,2024-01-05,0.85
USD,2024-01-08,0.80
usd,2024-02-01,0.75
GBP,2024-01-05,1.15
GBP,2024-01-05,1.15
,2024-01-05,1.1
CHF,soon,1.0
CHF,2024-01-05,one
CHF,2024-01-05,-1
"""
LATE_RATES = "CHF,2024-01-01,1.05\nUSD,2024-01-02,1.00\n"
SHOP = """line,customer,ref,at,kind,total,cur
1,anna,o1,2024-01-06 12:00,sale,100.00,USD
2,anna,o2,2024-01-08 00:00,sale,100.00,usd
3,anna,o2,2024-01-20 00:00,return,10.00,USD
4,ben,o3,2024-01-04 12:00,sale,50.00,USD
5,ben,o4,2024-01-10 12:00,sale,50.00,CHF
6,ben,o5,2024-01-10 12:00,sale,33.33,GBP
7,ben,o6,2024-01-10 12:00,sale,20.00,
8,carla,o7,2024-03-01 12:00,sale,10.01,USD
9,dan,o8,2024-01-09 12:00,sale,9999999999999999.99,GBP
"""
# on Sunday evening in New York, which is Monday in Berlin
AMERICA = "customer,ref,at,total\neva,a1,2024-01-07 20:00,100.00\n"
# the same row twice, a customer with two rows, nobody, and an age that is none
CRM = """id,country,birth
anna,DE,1980
ben,FR,1990
ben,FR,1990
carla,US,
carla,,1970
,DE,1950
dan,DE,nineteen
frank,DE,2000
"""
LOYALTY = """id,points,country,since
anna,900,XX,2024-01-02
anna,700,XX,2024-02-10
dan,5,AT,2030-01-01
ben,1,XX,soon
"""
EVENTS = {  # order and kind: euros, what came, in which currency (None: euros came)
    ("o1", "purchase"): ("90.00", "100.00", "USD"),  # Saturday has Friday's rate
    ("o2", "purchase"): ("80.00", "100.00", "USD"),
    ("o2", "refund"): ("8.00", "10.00", "USD"),  # at the rate of its own day
    ("o5", "purchase"): ("38.33", "33.33", "GBP"),  # 38.3295
    ("o6", "purchase"): ("20.00", None, None),
    ("o7", "purchase"): ("7.51", "10.01", "USD"),  # 7.5075
    ("a1", "purchase"): ("80.00", "100.00", "USD"),
}
SEGMENTS = {"loyal": "points >= 600", "german": "country = 'DE'", "older": "age >= 3", "rest": None}


@pytest.fixture(scope="module")
def done(_session, tmp_path_factory):
    from rfm_spark import Project
    from rfm_spark.errors import InputError

    folder = tmp_path_factory.mktemp("currencies")
    files = {"shop.csv": SHOP, "america.csv": AMERICA, "rates.csv": RATES, "crm.csv": CRM, "loyalty.csv": LOYALTY}
    bad.write(folder, files)
    config = folder / "project.yaml"
    config.write_text(yaml.safe_dump(project(), sort_keys=False), encoding="utf-8")
    tiny = Project.load(config)

    def read(name: str) -> list[dict]:
        return [row.asDict() for row in tiny.read(_session, name).collect()]

    run = tiny.run(_session, as_of=AS_OF)
    names = ("events", "quarantine", "customers", "customer_metrics", "cut_points", "customer_segments")
    first = SimpleNamespace(counts=run.counts, **{name: read(name) for name in names})
    bad.write(folder, {"rates.csv": RATES + LATE_RATES})
    freed = tiny.replay(_session, as_of=AS_OF, reason="no_rate")
    after = SimpleNamespace(counts=freed.counts, events=read("events"), quarantine=read("quarantine"))
    changed = Project.load(config, ["sources.crm.types={birth: bigint}"])
    with pytest.raises(InputError, match=r"attribute birth: found .*, and the snapshots in .* have it as"):
        changed.run(_session, as_of=AS_OF)
    bad.write(folder, {"rates.csv": RATES.replace("0.80", "0.70") + LATE_RATES})
    again = SimpleNamespace(counts=tiny.run(_session, as_of=AS_OF).counts, events=read("events"))
    bad.write(folder, {"rates.csv": RATES.replace("0.80", "0.70") + LATE_RATES + "USD,2024-03-01,0.74\n"})
    later = SimpleNamespace(counts=tiny.ingest(_session, as_of=AS_OF).counts, events=read("events"))
    return SimpleNamespace(first=first, after=after, again=again, later=later)


def project() -> dict:
    csv = {"format": "csv", "options": {"header": True}}
    orders = {"source_customer_id": "customer", "event_ts": "at", "order_id": "ref", "amount": "total"}
    kinds = {"column": "kind", "values": {"sale": "purchase", "return": "refund"}}
    crm = {"country": "country", "birth": {"sql": "birth"}}
    segments = [
        {"name": name, **({"when": when} if when else {"otherwise": True}), "action": bad.ACTION}
        for name, when in SEGMENTS.items()
    ]
    return {
        "project": "abroad",
        "question": "Who is worth what, in one currency?",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "lake": {"path": "lake"},
        "sources": [
            {"name": "shop", **csv, "path": "shop.csv", "event_type": kinds, "columns": orders | {"currency": "cur"},
             "timestamp_format": "yyyy-MM-dd HH:mm", "event_id": "line"},
            {"name": "america", **csv, "path": "america.csv", "event_type": "purchase", "columns": orders,
             "timestamp_format": "yyyy-MM-dd HH:mm", "timezone": "America/New_York", "currency": "USD"},
            {"name": "fx", "kind": "rates", **csv, "path": "rates.csv",
             "columns": {"currency": "currency", "date": "date", "rate": "rate"}},
            {"name": "crm", "kind": "profile", **csv, "path": "crm.csv", "columns": {"source_customer_id": "id"},
             "attributes": crm, "types": {"birth": "int"}},
            {"name": "loyalty", "kind": "profile", **csv, "path": "loyalty.csv",
             "columns": {"source_customer_id": "id", "event_ts": "since"},
             "attributes": {"country": "country", "points": {"sql": "points"}}, "types": {"points": "int"}},
        ],
        "contract": {"max_quarantined_share": 1.0},
        "criteria": {"m": {}, "age": {"sql": "2024 - birth", "better": "high"}},
        "segmentations": [
            {"name": "people", "question": "Who is who?",
             "scoring": {"bins": 2, "criteria": {"age": {"method": "fixed", "cuts": [30, 40]}}}, "segments": segments}
        ],
    }  # fmt: skip


def parts(counts: dict[str, int], source: str) -> list[int]:
    return [counts[f"{source}.{part}"] for part in ("rows_read", "accepted", "quarantined", "exact_duplicates")]


def reasons(rows: list[dict], source: str) -> Counter:
    return bad.reasons_of([row for row in rows if row["source"] == source])


# --- currencies ----------------------------------------------------------------------------------------------------


def test_amounts_are_converted_and_the_original_kept(done):
    found = {
        (row["order_id"], row["event_type"]): (
            str(row["amount"]),
            text(row["original_amount"]),
            row["original_currency"],
        )
        for row in done.first.events
    }
    assert found == EVENTS


def test_rows_without_a_rate_are_quarantined(done):
    """Before the first rate, in a currency without a clean one; and an amount that no longer fits once converted."""
    assert parts(done.first.counts, "shop") == [9, 6, 3, 0]
    assert reasons(done.first.quarantine, "shop") == {"no_rate": 2, "amount_out_of_range": 1}


def test_bad_rates_are_quarantined(done):
    assert parts(done.first.counts, "fx") == [10, 5, 4, 1]
    expected = {"no_currency": 1, "unparseable_time": 1, "not_a_number:rate": 1, "rate_out_of_range": 1}
    assert reasons(done.first.quarantine, "fx") == expected


def test_money_is_summed_in_one_currency(done):
    found = {row["customer_key"]: (row["frequency"], str(row["monetary"])) for row in done.first.customer_metrics}
    assert found == {
        "anna": (2, "162.00"),
        "ben": (2, "58.33"),
        "carla": (1, "7.51"),
        "eva": (1, "80.00"),
        "frank": (0, "0.00"),
    }


def test_a_replay_uses_the_rates_that_came_since(done):
    assert parts(done.after.counts, "shop") == [2, 2, 0, 0]
    amounts = {row["order_id"]: str(row["amount"]) for row in done.after.events if row["event_type"] == "purchase"}
    assert (amounts["o3"], amounts["o4"]) == ("50.00", "52.50")
    assert amounts["o1"] == "90.00"
    assert reasons(done.after.quarantine, "shop") == {"amount_out_of_range": 1}
    for source in ("fx", "crm", "loyalty"):
        assert reasons(done.after.quarantine, source) == reasons(done.first.quarantine, source)


def test_a_corrected_rate_corrects_what_was_converted_by_it(done):
    """The rows are read again, and of those that are as they were only the three of other amounts are written."""
    was = {(row["source"], row["event_id"]): row["amount"] for row in done.after.events}
    now = {(row["source"], row["event_id"]): row["amount"] for row in done.again.events}
    assert was.keys() == now.keys()
    changed = {key: (str(was[key]), str(now[key])) for key in was if was[key] != now[key]}
    assert sorted(changed.values()) == [("8.00", "7.00"), ("80.00", "70.00"), ("80.00", "70.00")]
    assert parts(done.again.counts, "shop") == [9, 2, 1, 6]
    assert parts(done.again.counts, "america") == [1, 1, 0, 0]


def test_a_rate_more_is_a_look_at_files_with_later_events_alone(done):
    assert parts(done.later.counts, "shop") == [9, 1, 1, 7]
    assert parts(done.later.counts, "america") == [0, 0, 0, 0]
    (o7,) = [str(row["amount"]) for row in done.later.events if row["order_id"] == "o7"]
    assert o7 == "7.41"  # 7.4074


# --- profiles ------------------------------------------------------------------------------------------------------


def test_profiles_are_conserved(done):
    assert parts(done.first.counts, "crm") == [8, 5, 2, 1]
    assert parts(done.first.counts, "loyalty") == [4, 3, 1, 0]
    assert reasons(done.first.quarantine, "crm") == {"no_customer": 1, "not_a_number:birth": 1}
    assert reasons(done.first.quarantine, "loyalty") == {"unparseable_time": 1}


def test_one_profile_a_customer(done):
    """The newest value of a source that has one; of two sources the first in the config's order."""
    found = {row["customer_key"]: (row["country"], row["birth"], row["points"]) for row in done.first.customers}
    assert found == {
        "anna": ("DE", 1980, 700),
        "ben": ("FR", 1990, None),
        "carla": ("US", 1970, None),
        "dan": ("AT", None, 5),
        "frank": ("DE", 2000, None),
    }


def test_criteria_and_rules_use_attributes(done):
    """Frank is known by his profile alone; Dan's profile begins after the snapshot."""
    ages = {row["customer_key"]: row["age"] for row in done.first.customer_metrics}
    assert ages == {"anna": 44, "ben": 34, "carla": 54, "eva": None, "frank": 24}
    found = {row["customer_key"]: (row["rfm_score"], row["segment"]) for row in done.first.customer_segments}
    # the buyers' money is 7.51, 58.33, 80, 162: half of them have 58.33 or less
    assert found == {
        "anna": ("23", "loyal"),
        "ben": ("12", "rest"),
        "carla": ("13", "older"),
        "eva": ("21", "rest"),
        "frank": ("11", "german"),
    }


def text(value) -> str | None:
    return None if value is None else str(value)
