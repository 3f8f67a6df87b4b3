"""Moved sums: snapshot after snapshot moved on from the one before, each cell for cell what all events give.

Seeded customers of every kind, over dates where sub-periods turn; a failure shows the rows that differ, repeat it with
the RFM_SPARK_TEST_SEED it prints.
"""

import os
import random
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest

from rfm_spark.config.models import ReferencePeriod
from rfm_spark.steps import periods

SEED = int(os.environ.get("RFM_SPARK_TEST_SEED", 20240229))
FIRST_DAY = date(2022, 6, 1)
# a day, month ends, the leap day and what follows it, a week, and steps that are longer than some sub-periods
DAYS = [
    date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 31), date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1),
    date(2024, 3, 2), date(2024, 3, 9), date(2024, 3, 31), date(2024, 4, 30), date(2024, 5, 1), date(2024, 6, 10),
]  # fmt: skip
COLUMNS = (
    "customer_key string, event_type string, event_date date, event_month date, order_id string, "
    "amount decimal(18,2), duration_seconds bigint, ingested_run_id string"
)
PROFILES = "customer_key string, profile_date date, country string"


@dataclass(frozen=True)
class Event:
    """One event, and the snapshot that is the first to see it."""

    customer: str
    kind: str
    day: date
    order: str | None = None
    amount: Decimal | None = None
    seconds: int | None = None
    delivery: int = 0

    def row(self) -> tuple:
        """As `events` has it."""
        brought_by = f"run {self.delivery}"
        month = self.day.replace(day=1)
        return (self.customer, self.kind, self.day, month, self.order, self.amount, self.seconds, brought_by)


def delivered(rng: random.Random, day: date) -> int:
    """The first snapshot that may see a day, now and then a later one, or one before which it lies in the future."""
    usual = next((i for i, as_of in enumerate(DAYS) if as_of > day), len(DAYS) - 1)
    return min(len(DAYS) - 1, max(0, usual + rng.choice([0] * 12 + [-1, 1, 2, 4])))


def orders(rng: random.Random, customer: str, count: int, days: list[date]) -> list[Event]:
    """Orders of one to three rows, some over several days, some without an id, some worth nothing, some sent back."""
    found = []
    for number in range(count):
        day = rng.choice(days)
        order = None if rng.random() < 0.15 else f"{customer}-{number}"
        paid = Decimal(0)
        for _ in range(rng.choice([1, 1, 2, 3])):
            line_day = day + timedelta(days=rng.choice([0] * 8 + [1, 2, 40]))
            price = Decimal(rng.choice(["0.00", "9.99", "10.00", "0.01"]))
            paid += price
            seconds = rng.choice([None, None, 5])
            found.append(Event(customer, "purchase", line_day, order, price, seconds, delivered(rng, line_day)))
        if rng.random() < 0.3:
            back_day = day + timedelta(days=rng.choice([0, 1, 7, 90, 400]))
            back = rng.choice([paid, paid, paid / 2 // Decimal("0.01") * Decimal("0.01")])
            found.append(Event(customer, "refund", back_day, order, back, None, delivered(rng, back_day)))
    return found


def touches(rng: random.Random, customer: str, count: int, days: list[date]) -> list[Event]:
    """Contacts, engagements and refunds that belong to no order."""
    found = []
    for _ in range(count):
        kind, day = rng.choice(["contact", "engagement", "engagement"]), rng.choice(days)
        seconds = rng.choice([None, 30]) if kind == "engagement" else None
        found.append(Event(customer, kind, day, None, None, seconds, delivered(rng, day)))
    if rng.random() < 0.2:
        day = rng.choice(days)
        found.append(Event(customer, "refund", day, None, Decimal("3.00"), 7, delivered(rng, day)))
    return found


def generate(rng: random.Random, customers: int = 240) -> list[Event]:
    """Some order often, some once, some are only in contact; a third begins late, a third ends early."""
    everyday = [FIRST_DAY + timedelta(days=n) for n in range((DAYS[-1] - FIRST_DAY).days + 20)]
    corners = [day + timedelta(days=n) for day in DAYS for n in (-1, 0)]
    corners += [periods.add_months(day, -m) + timedelta(days=n) for day in DAYS for m in (3, 6, 12) for n in (-1, 0)]
    found: list[Event] = []
    for number in range(customers):
        customer = f"c{number:03d}"
        lived = rng.choice([everyday, everyday[450:], everyday[:400]])
        days = lived + [day for day in corners if lived[0] <= day <= lived[-1]] * 4
        kind = rng.random()
        found += orders(rng, customer, rng.choice([1, 2, 3, 12]), days) if kind < 0.6 else []
        found += touches(rng, customer, rng.choice([1, 3, 30]), days) if kind > 0.35 else []
    return found


@pytest.fixture(scope="module")
def seen(_session):
    """The events that each snapshot sees, as frames."""
    print(f"RFM_SPARK_TEST_SEED={SEED}")
    events = generate(random.Random(SEED))
    whole = _session.createDataFrame([event.row() for event in events], COLUMNS)
    runs = [[f"run {i}" for i in range(n + 1)] for n in range(len(DAYS))]
    return [whole.filter(whole["ingested_run_id"].isin(some)) for some in runs]


def profiles_at(spark, i: int):
    """A customer file that is another at each snapshot: some are known by it alone, some are no longer in it."""
    rows = [(f"c{n:03d}", DAYS[n % len(DAYS)] - timedelta(days=1), "UK") for n in range(0, 240, 11)]
    rows += [(f"p{n:02d}", None if n % 2 else DAYS[n % len(DAYS)], "FR") for n in range(20) if (n + i) % 5]
    return spark.createDataFrame(rows, PROFILES)


@pytest.mark.parametrize(
    ("policy", "months", "sub_periods"),
    [
        pytest.param("net_on_order_date", 12, 4, marks=pytest.mark.slow_on_spark),
        pytest.param("net_on_refund_date", 12, 3, marks=pytest.mark.slow),
        pytest.param("ignore", 6, 1, marks=pytest.mark.slow),
        pytest.param("net_on_order_date", 1, 1, marks=pytest.mark.slow),
    ],
)
def test_each_snapshot_moved_on_is_the_one_of_all_events(spark, seen, policy, months, sub_periods):
    period = ReferencePeriod(months=months, sub_periods=sub_periods)
    at = [periods.boundaries(period, day, None) for day in DAYS]
    before = full(spark, seen, policy, at, 0)
    ways = {"moved": 0, "recomputed": 0}
    for i in range(1, len(DAYS)):
        after, recomputed = moved_on(spark, before, seen, policy, at, i)
        expected = full(spark, seen, policy, at, i)
        assert differences(expected, after) == [], f"{DAYS[i - 1]} to {DAYS[i]}"
        ways["recomputed"] += recomputed
        ways["moved"] += after.num_rows - recomputed
        before = after
    assert min(ways.values()) > 100, ways  # or nothing was shown


def full(spark, seen, policy, at, i):
    from rfm_spark.steps import activity, metrics

    done = activity.activity(seen[i], policy, at[i][-1])
    return metrics.metrics(done, profiles_at(spark, i), at[i]).toArrow()


def moved_on(spark, before, seen, policy, at, i):
    """As `pipelines.customer_metrics` does; and how many were recomputed."""
    from rfm_spark.steps import activity, metrics, moved_sums

    earlier, unseen = spark.createDataFrame(before), frozenset([f"run {i}"])
    found = moved_sums.touched(seen[i], policy, at[i - 1], at[i], unseen).toArrow()
    touched = spark.createDataFrame(found)
    history = seen[i].join(touched.filter("recompute").select("customer_key"), "customer_key", "left_semi")
    anew = metrics.sums(activity.activity(history, policy, at[i][-1]), at[i])
    moved = moved_sums.moved(earlier, touched, len(at[i]) - 1)
    done = metrics.from_sums(moved.unionByName(anew), profiles_at(spark, i), at[i])
    return done.toArrow(), found["recompute"].to_pylist().count(True)


def differences(expected, found) -> list[str]:
    """Customers whose rows differ, and how; at most ten."""
    assert found.column_names == expected.column_names
    mine, theirs = ({row["customer_key"]: row for row in table.to_pylist()} for table in (found, expected))
    assert len(mine) == found.num_rows
    told = [f"{key}: not there" for key in theirs.keys() - mine.keys()]
    told += [f"{key}: too much" for key in mine.keys() - theirs.keys()]
    for key in theirs.keys() & mine.keys():
        cells = [f"{n} {mine[key][n]} for {v}" for n, v in theirs[key].items() if mine[key][n] != v]
        told += [f"{key}: {', '.join(cells)}"] if cells else []
    return sorted(told)[:10]
