"""Consent against an oracle in plain Python, over generated histories; and the draw of holdouts against hashlib."""

import random
from datetime import UTC, datetime, timedelta

from rfm_spark.steps import consent, holdouts

PEOPLE, SEED, SEND = 3000, 20240501, datetime(2024, 5, 1, 9, tzinfo=UTC)
COLUMNS = (
    "source string, customer_key string, kind string, channel string, purpose string, status string, "
    "decided_at timestamp, expires_at timestamp"
)


def history(rng: random.Random, who: str) -> list[tuple]:
    """Up to six decisions and entries of lists; times are few, so that ties are many."""
    times = [None, *(SEND + timedelta(days=n) for n in (-30, -30, -7, -1, 0, 1, 7))]
    rows = []
    for _ in range(rng.randrange(7)):
        kind = rng.choice(["consent"] * 12 + ["suppression", "exclusion"])
        granted = kind == "consent" and rng.random() < 0.7
        rows.append((
            rng.choice(["crm", "staff", "rivals"]), who, kind,
            rng.choice(["email", "email", "sms"]) if granted else rng.choice(["email", "sms", None]),
            rng.choice(["marketing", "service", "marketing" if granted else None]),
            "granted" if granted else "refused",
            None if kind != "consent" else rng.choice(times[1:] if granted else times),
            rng.choice([None, SEND + timedelta(days=-3), SEND, SEND + timedelta(seconds=1)]) if granted else None,
        ))  # fmt: skip
    return rows


def allowed(rows: list[tuple], channel: str, purpose: str, at: datetime, lists: list[str]) -> str | None:
    """The reason not to contact, told from the definitions alone; None where it is allowed."""
    covers = [r for r in rows if r[3] in (None, channel) and r[4] in (None, purpose)]
    if any(r[2] == "suppression" for r in covers):
        return consent.SUPPRESSED
    if any(r[2] == "exclusion" and r[0] in lists for r in covers):
        return consent.EXCLUDED
    decisions = [r for r in covers if r[2] == "consent"]
    if any(r[5] == "refused" and r[6] is None for r in decisions):
        return consent.REFUSED
    past = [r for r in decisions if r[6] is not None and r[6] <= at]
    if not past:
        return consent.NONE
    newest = [r for r in past if r[6] == max(p[6] for p in past)]
    if any(r[5] == "refused" for r in newest):
        return consent.REFUSED
    return consent.EXPIRED if any(r[7] is not None and r[7] <= at for r in newest) else None


def test_nobody_is_let_through_without_a_decision_that_allows_it(spark):
    rng = random.Random(SEED)
    histories = {f"c{n:04d}": history(rng, f"c{n:04d}") for n in range(PEOPLE)}
    at = {who: SEND + timedelta(days=rng.choice([0, 0, 3])) for who in histories}
    people = spark.createDataFrame(list(at.items()), "customer_key string, send_at timestamp")
    rows = spark.createDataFrame([row for one in histories.values() for row in one], COLUMNS)
    found = consent.refusals(people, rows, "Email", "marketing", ["staff"]).collect()
    assert len(found) == PEOPLE
    told = {row["customer_key"]: row["refusal"] for row in found}
    expected = {who: allowed(histories[who], "email", "marketing", at[who], ["staff"]) for who in histories}
    assert told == expected, SEED
    assert set(told.values()) == {
        None,
        *(getattr(consent, n) for n in ("SUPPRESSED", "EXCLUDED", "REFUSED", "NONE", "EXPIRED")),
    }


def test_without_any_decision_nobody_is_let_through(spark):
    people = spark.createDataFrame([("c1", SEND)], "customer_key string, send_at timestamp")
    assert [row["refusal"] for row in consent.refusals(people, None, "email", "marketing", []).collect()] == [
        consent.NONE
    ]


def test_a_draw_is_the_same_everywhere(spark):
    ids = ["", "c1", "Zoë", "a\x1fb", "1", *(f"customer {n}" for n in range(3000))]
    frame = spark.createDataFrame([(one,) for one in ids], "id string")
    for key in ("winback", "zwölf"):
        found = {row[0]: row[1] for row in frame.select("id", holdouts.draw(key, "id")).collect()}
        assert found == {one: holdouts.draw_in_python(key, one) for one in ids}
    held = sum(holdouts.draw_in_python("winback", one) < 1000 for one in ids)
    assert 240 <= held <= 360
    both = sum(holdouts.draw_in_python("winback", one) < 1000 > holdouts.draw_in_python("other", one) for one in ids)
    assert both <= 60, "another key draws by itself"
