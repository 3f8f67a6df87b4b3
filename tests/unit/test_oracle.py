"""The oracle against published numbers and against itself: what judges the pipeline is judged first. No JVM."""

import csv
import gzip
import statistics
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from oracle import generate, oracle, published
from oracle.reading import Event, Ingested, cast_text, ingest, parse_local, round_half_up, to_utc

DATA = Path(__file__).parents[1] / "data"


# --- published numbers ------------------------------------------------------------------


@pytest.fixture(scope="module", params=["approx_quantile", "interpolated"])
def r_orders(request):
    """The 995 customers of the R package rfm, by either kind of quantile."""
    config = published.r_orders_config("unused", request.param)
    return request.param, oracle.snapshot(config, ingest(config, Path()), published.R_ORDERS_AS_OF)


def test_r_orders_cut_points(r_orders):
    method, snapshot = r_orders
    for criterion, expected in published.R_ORDERS_CUTS[method].items():
        cuts = snapshot.cut_points["value", criterion].cuts
        assert [float(cut) for cut in cuts] == pytest.approx(expected, abs=1e-12)


def test_r_orders_scores_and_segments(r_orders):
    _, snapshot = r_orders
    segments = {customer: row for (_, customer), row in snapshot.segments.items()}
    for criterion, expected in published.R_ORDERS_CUSTOMERS_PER_SCORE.items():
        assert Counter(row[f"{criterion}_score"] for row in segments.values()) == expected
    for customer, expected in published.R_ORDERS_ROWS.items():
        metrics = snapshot.metrics[customer]
        row = (metrics["recency_days"], metrics["frequency"], metrics["monetary"], segments[customer]["rfm_score"])
        assert row == expected
    assert Counter(row["segment"] for row in segments.values()) == published.R_ORDERS_SEGMENTS


def test_r_orders_own_scores_differ_in_three_rows_only(r_orders):
    """Which and why is said beside `R_ORDERS_DIFFERENCES`."""
    _, snapshot = r_orders
    with (DATA / "rfm_data_orders_expected.csv").open(encoding="utf-8", newline="") as handle:
        r_scores = {row["customer_id"]: row for row in csv.DictReader(handle)}
    ours = {customer: row for (_, customer), row in snapshot.segments.items()}
    assert published.score_differences(r_scores, ours) == published.R_ORDERS_DIFFERENCES


def test_r_customers_all_39_999_scores_equal():
    with gzip.open(DATA / "rfm_data_customer_expected.csv.gz", "rt", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 39_999
    for criterion, (column, low_is_good) in published.R_CUSTOMER_COLUMNS.items():
        values = [Fraction(row[column]) for row in rows]
        for how in ({"method": "approx_quantile", "bins": 5}, {"method": "interpolated", "bins": 5}):
            cuts = oracle.fit(values, how)
            assert cuts == published.R_CUSTOMER_CUTS[criterion]
            ours = [oracle.score_of(value, cuts, 5, low_is_good) for value in values]
            assert ours == [int(float(row[published.R_SCORE_COLUMNS[criterion]])) for row in rows]


@pytest.mark.parametrize("span", published.CDNOW, ids=str)
def test_cdnow_purchase_days(span):
    expected = published.CDNOW[span]
    config = published.cdnow_config("unused")
    ingested = ingest(config, Path())
    snapshot = oracle.snapshot(config, ingested, expected["as_of"])
    assert ingested.counts["orders.accepted"] == published.CDNOW_ROWS
    assert snapshot.cut_points["value", "f"].cuts == expected["cuts"]
    assert Counter(row["f_score"] for row in snapshot.segments.values()) == expected["customers_per_score"]
    assert sum(metrics["frequency"] for metrics in snapshot.metrics.values()) == expected["purchase_days"]
    assert len(snapshot.metrics) == published.CDNOW_CUSTOMERS
    if span == "whole span":
        assert sum(metrics["monetary"] for metrics in snapshot.metrics.values()) == published.CDNOW_MONEY
        assert sum(metrics["monetary"] == 0 for metrics in snapshot.metrics.values()) == published.CDNOW_SPEND_NOTHING


# --- definitions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("America/New_York", "2024-03-10 01:59", "2024-03-10 06:59"),
        ("America/New_York", "2024-03-10 02:30", "2024-03-10 07:30"),  # does not exist: reads as 03:30 daylight time
        ("America/New_York", "2023-11-05 01:30", "2023-11-05 05:30"),  # happens twice: the first
        ("Europe/London", "2024-03-31 01:00", "2024-03-31 01:00"),  # does not exist: reads as 02:00 summer time
        ("Europe/London", "2023-10-29 01:30", "2023-10-29 00:30"),  # happens twice: the first
        ("Australia/Lord_Howe", "2023-10-01 02:15", "2023-09-30 15:45"),  # a gap of half an hour: reads as 02:45
        ("Australia/Lord_Howe", "2024-04-07 01:45", "2024-04-06 14:45"),  # happens twice: the first
    ],
)
def test_wall_clock_times_become_instants(zone, local, utc):
    assert to_utc(datetime.fromisoformat(local), ZoneInfo(zone)) == datetime.fromisoformat(utc + "+00:00")


@pytest.mark.parametrize(
    ("text", "pattern", "good"),
    [
        ("2024-02-29", "yyyy-MM-dd", True),
        ("2023-02-29", "yyyy-MM-dd", False),
        ("2024-2-9", "yyyy-MM-dd", False),
        ("19970101", "yyyyMMdd", True),
        ("31/12/2023 23:59", "dd/MM/yyyy HH:mm", True),
        ("2023-12-31 23:59", "dd/MM/yyyy HH:mm", False),
    ],
)
def test_times_are_read_strictly(text, pattern, good):
    assert (parse_local(text, pattern) is not None) == good


@pytest.mark.parametrize(
    ("as_of", "starts"),
    [
        (date(2024, 5, 31), ["2023-05-31", "2023-08-31", "2023-11-30", "2024-02-29"]),
        (date(2024, 2, 29), ["2023-02-28", "2023-05-28", "2023-08-28", "2023-11-28"]),
    ],
)
def test_month_ends_are_clamped(as_of, starts):
    assert oracle.sub_period_starts({"months": 12}, [], as_of) == [date.fromisoformat(day) for day in starts]


def test_the_whole_span_is_split_evenly_with_the_remainder_last():
    starts = oracle.sub_period_starts({"all": True}, [purchase("2024-01-01", "1")], date(2024, 1, 12))
    assert [start.day for start in starts] == [1, 3, 5, 7]


def test_amounts_round_a_half_away_from_zero():
    assert [str(round_half_up(Decimal(text), 2)) for text in ("0.005", "12.345", "-0.005")] == [
        "0.01",
        "12.35",
        "-0.01",
    ]
    assert cast_text("1.23455", "decimal(18,4)") == Decimal("1.2346")
    assert [cast_text(text, "int") for text in ("7", "two", "99999999999")] == [7, None, None]


@pytest.mark.parametrize("count", [5, 11, 997])
def test_interpolated_quantiles_are_those_of_the_standard_library(count):
    values = [Fraction(i * i % 101) for i in range(count)]
    ours = oracle.fit(values, {"method": "interpolated", "bins": 5})
    assert ours == statistics.quantiles(values, n=5, method="inclusive")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        # recency_days, frequency, monetary, monetary of the last two sub-periods
        ("net_on_order_date", (30, 1, Decimal("75.00"), Decimal("-5.00"), Decimal("80.00"))),
        ("net_on_refund_date", (30, 2, Decimal("75.00"), Decimal("100.00"), Decimal("-25.00"))),
        ("ignore", (30, 2, Decimal("200.00"), Decimal("100.00"), Decimal("100.00"))),
    ],
)
def test_refund_policies(policy, expected):
    events = [
        purchase("2024-02-01", "100", "over-refunded"),
        purchase("2024-05-01", "100", "kept"),
        refund("2024-05-02", "105", "over-refunded"),
        refund("2024-05-03", "20", "kept"),
        refund("2024-06-01", "80", "kept"),  # after as_of: not seen
    ]
    config = {"refunds": {"policy": policy}, "reference_period": {"months": 12, "sub_periods": 4}}
    metrics = oracle.customer_metrics(config, Ingested(events, {}, [], Counter()), date(2024, 5, 31))["c"]
    names = ("recency_days", "frequency", "monetary", "monetary_q3", "monetary_q4")
    assert tuple(metrics[name] for name in names) == expected


def test_equal_values_score_equal_and_null_scores_one():
    cuts = [Fraction(cut) for cut in (1, 1, 2, 3)]
    assert [oracle.score_of(value, cuts, 5, False) for value in (0, 1, 2, 3, 4, None)] == [1, 1, 3, 4, 5, 1]
    assert [oracle.score_of(value, cuts, 5, True) for value in (0, 1, 2, 3, 4, None)] == [5, 5, 3, 2, 1, 1]


def purchase(day: str, amount: str, order: str | None = None) -> Event:
    """A purchase of customer c at noon."""
    return event("purchase", day, amount, order)


def refund(day: str, amount: str, order: str) -> Event:
    """A refund of customer c at noon."""
    return event("refund", day, amount, order)


def event(kind: str, day: str, amount: str, order: str | None) -> Event:
    """One event of customer c at noon."""
    noon = datetime.fromisoformat(day + " 12:00+00:00")
    return Event("s", "c", kind, noon, noon.date(), order, Decimal(amount), None)


# --- the generated project --------------------------------------------------------------

EVERY_REASON = {
    "no_customer", "missing_time", "unparseable_time", "time_out_of_range", "missing_amount", "not_a_number:amount",
    "not_a_number:quantity", "not_a_number:price", "not_a_number:age", "amount_out_of_range", "negative_amount",
    "refund_without_order", "missing_duration", "not_a_number:duration_seconds", "negative_duration", "absurd_duration",
    "unknown_event_type", "duplicate_conflict", "no_test_customers", "forbidden_amount",
}  # fmt: skip


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The generated project under the default refund policy."""
    folder = tmp_path_factory.mktemp("generated")
    generate.write(folder, generate.seed_from_environment())
    config, ingested = oracle.load(generate.write_config(folder, "lake"))
    return ingested, oracle.snapshot(config, ingested, generate.AS_OF)


def test_the_generator_repeats_itself():
    assert generate.generate(7, 50) == generate.generate(7, 50)
    assert generate.generate(7, 50) != generate.generate(8, 50)


def test_every_reason_occurs_and_some_rows_have_several(generated):
    ingested, _ = generated
    assert set().union(*(row.reasons for row in ingested.quarantined)) == EVERY_REASON
    assert max(len(row.reasons) for row in ingested.quarantined) >= 3


def test_every_row_ends_in_one_place(generated):
    counts = generated[0].counts
    for name in ("shop", "web", "touches", "crm"):
        parts = [counts[f"{name}.{part}"] for part in ("accepted", "quarantined", "exact_duplicates")]
        assert counts[f"{name}.rows_read"] == sum(parts) > 1000


def test_every_corner_is_reached(generated):
    """Every segment, both kinds of customer without an order, ties that cost a score, orders that refunds undid."""
    ingested, snapshot = generated
    found = {(name, row["segment"]) for (name, _), row in snapshot.segments.items()}
    assert len(found) == 12 + 5
    assert None not in {segment for _, segment in found}
    assert snapshot.cut_points["value", "f"].attainable_scores != [1, 2, 3, 4, 5]
    assert any(metrics["monetary"] < 0 for metrics in snapshot.metrics.values())
    assert any(not metrics["frequency"] and metrics["recency_days"] for metrics in snapshot.metrics.values())
    seen = {event.customer for event in ingested.events}
    assert seen - set(snapshot.metrics), "no customer has events after as_of only"
    assert set(snapshot.metrics) - seen, "no customer has a profile only"


def test_a_difference_is_reported():
    """The comparison that judges the pipeline can fail, shows what differs and stops at its limit."""
    from oracle.compare import differences

    expected = {number: {"frequency": 1, "monetary": Decimal("2.00")} for number in range(40)}
    assert differences(expected, {number: dict(row) for number, row in expected.items()}) == []
    wrong = {number: row | {"monetary": Decimal("2.01")} for number, row in expected.items()}
    found = differences(expected, wrong)
    assert len(found) == 11
    assert "monetary: expected 2.00, found 2.01" in found[0]
    assert "40 differences" in found[-1]
    assert differences(expected, {}) != []
    assert differences({}, expected) != []
