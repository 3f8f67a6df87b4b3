"""The budget's cut, caps and messages: against plain Python, over generated cases in one frame each."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from rfm_spark.config import messages
from rfm_spark.config.campaigns import Campaign, FrequencyCap, QuietHours
from rfm_spark.steps import audiences, send_times, targeting

SEND = datetime(2024, 5, 1, 9, tzinfo=UTC)


@pytest.mark.slow_on_spark
def test_the_budget_line_reaches_exactly_the_best(spark):
    rng = random.Random(7)
    for distinct, people in ((1, 400), (3, 700), (100, 900)):
        rows = [(f"c{n}", float(rng.randrange(distinct)) / 7, rng.randrange(1 << 40)) for n in range(people)]
        frame = spark.createDataFrame(rows, "who string, expected_value double, ticket bigint")
        best = [who for who, *_ in sorted(rows, key=lambda row: (-row[1], row[2]))]
        for places in (1, people // 3, people - 1):
            line = targeting.budget_line(frame, places)
            assert {row["who"] for row in frame.filter(line.reaches()).collect()} == set(best[:places])
        assert targeting.budget_line(frame, people) is None


def test_tickets_that_collide_never_break_the_budget(spark):
    frame = spark.createDataFrame([(1.0, 5)] * 4 + [(2.0, 9)], "expected_value double, ticket bigint")
    assert frame.filter(targeting.budget_line(frame, 3).reaches()).count() == 1


def test_caps_and_cool_down_against_the_contacts_one_by_one(spark):
    rng, people, contacts = random.Random(8), [], []
    for n in range(2000):
        people.append((f"c{n}", SEND))
        contacts += [(f"c{n}", SEND + timedelta(hours=rng.randrange(-24 * 40, 48))) for _ in range(rng.randrange(5))]
    frame = spark.createDataFrame(people, "customer_key string, send_at timestamp")
    made = spark.createDataFrame(contacts, "customer_key string, at timestamp")
    found = targeting.contact_refusals(frame, made, 7, FrequencyCap(contacts=2, days=30)).collect()

    def expected(who):
        mine = [at for name, at in contacts if name == who]
        if any(abs(SEND - at) < timedelta(days=7) for at in mine):
            return targeting.COOLING
        return targeting.CAPPED if sum(timedelta(0) <= SEND - at <= timedelta(days=30) for at in mine) >= 2 else None

    told = {row["customer_key"]: row["contact_refusal"] for row in found}
    by_person: dict = {}
    for name, at in contacts:
        by_person.setdefault(name, []).append(at)
    assert len(told) == len(found) == 2000
    sample = rng.sample(sorted(told), 300)
    assert {who: told[who] for who in sample} == {who: expected(who) for who in sample}


def test_what_was_assigned_is_a_contact_unless_an_event_tells_of_it(spark):
    sent = datetime(2024, 5, 1, 22, 30, tzinfo=UTC)  # the second of May in Paris
    hours = {"before_it": -0.4, "same_day": 1, "next_day": 25, "day_before": -10, "two_days": 48}
    people = [(who, sent) for who in (*hours, "nobody")]
    assigned = spark.createDataFrame(people, "customer_key string, send_at timestamp")
    events = [(who, sent + timedelta(hours=n)) for who, n in hours.items()]
    made = spark.createDataFrame(events, "customer_key string, event_ts timestamp").withColumn(
        "event_date", F.from_utc_timestamp("event_ts", "Europe/Paris").cast("date")
    )
    found = targeting.contacts(made, assigned, "Europe/Paris").groupBy("customer_key").count().collect()
    counted = {row["customer_key"]: row["count"] for row in found}
    assert counted == {"before_it": 1, "same_day": 1, "next_day": 1, "day_before": 2, "two_days": 2, "nobody": 1}


def test_a_message_escapes_values_and_not_its_author(spark):
    template = "<p>Hi {name|friend}, {{ok}} {n} {x}</p>"
    frame = spark.createDataFrame(
        [("<b>&\"'", 3, 1.239), ("", 3, 2.0), (None, None, 1.0), ("a\r\nb", 1, 0.5)], "name string, n int, x double"
    )
    types = {field.name: field.dataType for field in frame.schema}
    for escapes, first, last in (("html", "&lt;b&gt;&amp;&quot;&#39;", "a b"), ("text", "<b>&\"'", "a b")):
        column = audiences.message(messages.parts(template), escapes, types)
        found = [row[0] for row in frame.select(column).collect()]
        assert found[0] == f"<p>Hi {first}, {{ok}} 3 1.24</p>"
        assert found[1] == "<p>Hi friend, {ok} 3 2.00</p>"
        assert found[2] is None, "n has no default"
        assert found[3] == f"<p>Hi {last}, {{ok}} 1 0.50</p>"


def test_send_times_keep_quiet_hours_in_the_zone():
    day = SEND.date()
    night = QuietHours.model_validate({"from": "21:00", "to": "08:00"})

    def at(clock, quiet=None, zone="Europe/London", when=day):
        return send_times.send_at(when, clock, quiet, zone).isoformat()

    assert at("09:00") == "2024-05-01T08:00:00+00:00"
    assert at("09:00", zone="America/New_York") == "2024-05-01T13:00:00+00:00"
    assert at("07:00", night) == "2024-05-01T07:00:00+00:00"
    assert at("21:00", night) == "2024-05-02T07:00:00+00:00"
    assert at("20:59", night) == "2024-05-01T19:59:00+00:00"
    lunch = QuietHours.model_validate({"from": "12:00", "to": "14:00"})
    assert at("12:00", lunch, "+02:00") == "2024-05-01T12:00:00+00:00"
    assert at("01:30", when=SEND.date().replace(month=3, day=31)) == "2024-03-31T01:30:00+00:00", "a gap moves on"


def test_what_is_expected_takes_the_best_that_is_known(spark):
    rows = [("a", 365.0, None, None), ("b", 365.0, None, None), ("c", 365.0, 100.0, 50), ("c", 0.0, None, None)]
    frame = spark.createDataFrame(rows, "segment string, monetary double, predicted_value double, predicted_days int")

    def told(measured, **campaign):
        given = {"name": "x", "start": "2024-05-01", "success": {"window_days": 10}, **campaign}
        found = targeting.with_expected_value(frame, Campaign.model_validate(given), measured, 365)
        return [(row["expected_value"], row["basis"]) for row in found.collect()]

    assert told({}) == [(1.0, "assumed"), (1.0, "assumed"), (2.0, "predicted"), (0.0, "assumed")]
    assert told({"a": -2.0, "all": 7.0}) == [(-2.0, "measured"), *[(7.0, "measured")] * 3]
    assert told({"b": 3.0}, expected={"response": 0.1, "value": 20})[:2] == [(2.0, "stated"), (3.0, "measured")]
    assert told({}, expected={"lift": 0.5})[2:] == [(10.0, "predicted"), (0.0, "stated")]
