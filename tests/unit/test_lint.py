"""The rule linter: published tables, single findings, and SQLite as an independent judge of random rules."""

import random
import re
import sqlite3
import time
from itertools import product

import pytest
from config_examples import DEFAULT_MAP, with_rules

from rfm_spark.config import from_data, lint

# REFERENCE.md, section 3: three bins, 27 of 27 cells.
THREE_BINS = {
    "champions": "333 332 323",
    "loyal": "321 322 331 232 233",
    "recent": "312 313 311 222 223",
    "needs_attention": "213 221 123 132 133",
    "at_risk": "231 212 122 131 211",
    "inactive": "111 112 113 121",
}
RECENCY_FIXED = {"bins": 3, "criteria": {"r": {"cuts": [180, 365]}}}
ALL = ["r", "f", "m"]


def report(rules, **segmentation):
    return lint(from_data(with_rules(rules, **segmentation)))


def clean(rules, **segmentation):
    found = report(rules, **segmentation)
    return found.errors == [] and found.warnings == []


def only(findings):
    (finding,) = findings
    return finding


# --- tables ---


def test_the_default_map_is_complete():
    assert clean(DEFAULT_MAP)
    assert clean({"prospect": "recency_days is null", "inactive": "frequency = 0", **DEFAULT_MAP})


@pytest.mark.parametrize(
    "rule",
    [
        lambda codes: " or ".join("(r = {} and f = {} and m = {})".format(*code) for code in codes),
        lambda codes: f"concat(r, f, m) in ({', '.join(map(repr, codes))})",
        lambda codes: f"r || f || m in ({', '.join(map(repr, codes))})",
        lambda codes: f"r * 100 + f * 10 + m in ({', '.join(codes)})",
    ],
)
def test_the_three_bin_table_is_complete_however_it_is_written(rule):
    rules = {name: rule(codes.split()) for name, codes in THREE_BINS.items()}
    assert clean(rules, scoring=RECENCY_FIXED, criteria=ALL)
    del rules["at_risk"]
    assert "5 of 27 cells" in only(report(rules, scoring=RECENCY_FIXED, criteria=ALL).errors).message


@pytest.mark.parametrize("missing", DEFAULT_MAP)
def test_the_default_map_without_a_segment_has_a_gap(missing):
    error = only(report({name: when for name, when in DEFAULT_MAP.items() if name != missing}).errors)
    assert error.path == "segmentations[0].segments"
    assert "of 25 cells" in error.message


def test_a_gap_is_counted_and_shown():
    rules = {name: when for name, when in DEFAULT_MAP.items() if name != "new"}
    assert only(report(rules).errors).message.startswith("1 of 25 cells, such as r=5 f=1, match no segment")


def test_otherwise_closes_every_gap():
    assert clean({"best": "r = 5", "rest": None})
    warning = only(report({**DEFAULT_MAP, "rest": None}).warnings)
    assert warning.path == "segmentations[0].segments[10]"


# --- single findings ---


@pytest.mark.parametrize("when", ["r >= 6", "r < 2 and r > 3", "r = 0", "r = 2.5", "r = null", "r + f > 10", "false"])
def test_a_rule_that_is_impossible_by_itself(when):
    error = only(report({"never": when, "rest": None}).errors)
    assert error.path == "segmentations[0].segments[0].when"
    assert "never can never fire" in error.message


def test_a_rule_that_earlier_ones_shadow_names_them():
    found = report({"a": "r >= 4", "x": "f = 1 and r < 4", "b": "f < 2", "rest": None})
    assert found.warnings == []
    assert "b can never fire" in only(found.errors).message
    assert "(a, x)" in only(found.errors).message


def test_a_rule_that_is_partly_shadowed_is_a_warning_a_pair():
    found = report({"a": "r = 5", "b": "f = 5", "c": "r >= 4 or f >= 4", "rest": None})
    assert found.errors == []
    assert [(w.path, w.message) for w in found.warnings] == [
        (
            "segmentations[0].segments[1].when",
            "b matches 5 cells, and a before it wins 1 of them, such as r=5 f=5",
        ),
        (
            "segmentations[0].segments[2].when",
            "c matches 16 cells, and a before it wins 5 of them, such as r=5 f=1",
        ),
        (
            "segmentations[0].segments[2].when",
            "c matches 16 cells, and b before it wins 4 of them, such as r=1 f=5",
        ),
    ]


def test_an_exception_by_a_metric_first_is_no_warning():
    assert clean({"vip": "monetary > 1000 or country = 'UK'", **DEFAULT_MAP})


def test_bins_are_those_of_each_criterion():
    data = {"a": "r <= 3 and f <= 9", "b": "f = 10", "rest": None}
    scoring = {"bins": 10, "criteria": {"r": {"method": "fixed", "cuts": [30, 90]}}}
    warning = only(report(data, scoring=scoring, criteria=["r", "f"]).warnings)
    assert "nobody is left for rest" in warning.message
    assert (
        "can never fire"
        in only(report({"a": "r = 4", "rest": None}, scoring=scoring, criteria=["r", "f"]).errors).message
    )


@pytest.mark.parametrize("channel", ["none", "None", "nobody"])
def test_a_segment_that_nobody_acts_on(channel):
    data = with_rules(DEFAULT_MAP)
    data["segmentations"][0]["segments"][3]["action"]["channel"] = channel
    warning = only(lint(from_data(data)).warnings)
    assert warning.path == "segmentations[0].segments[3].action.channel"


# --- metrics and attributes ---

COMPLETE = [
    ("monetary > 100", "monetary between 50 and 100", "monetary < 50"),
    ("frequency = 0", "frequency = 1", "frequency >= 2"),
    ("frequency > 2", "frequency <= 2"),
    ("recency_days < 30", "recency_days >= 30", "recency_days is null"),
    ("country = 'UK' and r >= 3", "country <> 'UK'", "country is null", "r < 3"),
    ("country in ('UK', 'IE')", "not (country in ('UK', 'IE'))", "country is null"),
    ("country <=> 'UK'", "not (country <=> 'UK')"),
    ("coalesce(country, '') = 'UK'", "coalesce(country, '') <> 'UK'"),
    ("country like 'U%'", "country not like 'U%'", "country is null"),
    ("lower(country) = 'uk'", "lower(country) <> 'uk'", "country is null"),
    ("country < 'M'", "country >= 'M'", "country is null"),
    ("member", "not member", "member is null"),
    ("member is true", "member is not true"),
    ("momentum < -0.2", "momentum >= -0.2", "momentum is null"),
    ("last_order_date < '2011-01-01'", "last_order_date >= date '2011-01-01'", "last_order_date is null"),
    ("monetary / frequency > 100", "monetary / frequency <= 100", "frequency = 0"),
    ("monetary > average_order_value * 3", "monetary <= average_order_value * 3", "average_order_value is null"),
    ("frequency = 0", "average_order_value > 50", "average_order_value <= 50"),
    ("recency_days is null", "tenure_days > 365", "tenure_days <= 365"),
    ("r + f + m >= 12", "r + f + m between 7 and 11", "r + f + m < 7"),
    ("r > f", "r = f", "r < f"),
    ("30 <= recency_days", "recency_days < 30 or recency_days is null"),
    ("orders_q4 > 0", "orders_q4 = 0"),
    ("monetary / 12 >= 10", "monetary / 12 < 10"),
    ("monetary / (-12.5) >= 10", "monetary / (-12.5) < 10"),
    ("monetary / tenure_days > 3", "monetary / tenure_days <= 3", "monetary / tenure_days is null"),
    ("duration_seconds div 60 > 3", "duration_seconds div 60 <= 3"),
    ("frequency % 2 = 0", "frequency % 2 <> 0"),
    ("round(monetary) > 10", "round(monetary) <= 10"),
    ("abs(monetary) > 10", "abs(monetary) <= 10"),
    ("floor(duration_seconds / 60) > 10", "floor(duration_seconds / 60) <= 10"),
    ("year(snapshot_date) > 2020", "year(snapshot_date) <= 2020"),
    ("greatest(monetary_q4, monetary_q3) > 10", "greatest(monetary_q4, monetary_q3) <= 10"),
    ("greatest(monetary_q4, momentum) > 10", "greatest(monetary_q4, momentum) <= 10"),
    ("least(recency_days, tenure_days) > 10", "least(recency_days, tenure_days) <= 10", "recency_days is null"),
    ("cast(monetary as int) > 10", "cast(monetary as int) <= 10"),
    ("cast(monetary as double) > 10", "cast(monetary as double) <= 10"),
    ("cast(frequency + 1 as bigint) > 10", "cast(frequency + 1 as bigint) <= 10"),
    ("cast(tenure_days as double) > 10", "cast(tenure_days as double) <= 10", "tenure_days is null"),
    ("cast(frequency as string) = '1'", "cast(frequency as string) <> '1'"),
    ("if(monetary > 5, frequency, 0) > 1", "if(monetary > 5, frequency, 0) <= 1"),
    ("case when r > 2 then monetary else 0 end > 1", "case when r > 2 then monetary else 0 end <= 1"),
    ("monetary / 2 > duration_seconds", "monetary / 2 <= duration_seconds"),
    ("has_events", "not has_events"),
]  # fmt: skip


# rules, and whom none of them takes
INCOMPLETE = [
    (("monetary / frequency > 3", "monetary / frequency <= 3"), "monetary / frequency null"),
    (("monetary / '0' > 3", "monetary / '0' <= 3"), "monetary / '0' null"),
    (("tenure_days / 12 > 3", "tenure_days / 12 <= 3"), "tenure_days / 12 null"),
    (("round(momentum) > 1", "round(momentum) <= 1"), "ROUND(momentum) null"),
    (("abs(age) > 3", "abs(age) <= 3"), "ABS(age) null"),
    (("year(last_order_date) > 3", "year(last_order_date) <= 3"), "null"),
    (("greatest(age, tenure_days) > 3", "greatest(age, tenure_days) <= 3"), "null"),
    (("cast(country as double) > 3", "cast(country as double) <= 3", "country is null"), "null"),
    (("try_cast(monetary as int) > 3", "try_cast(monetary as int) <= 3"), "null"),
    (("cast(monetary as decimal(4,2)) > 3", "cast(monetary as decimal(4,2)) <= 3"), "null"),
    (("if(monetary > 5, frequency, null) > 1", "if(monetary > 5, frequency, null) <= 1"), "null"),
    (("case when r > 2 then monetary end > 1", "case when r > 2 then monetary end <= 1"), "null"),
    (("member", "not member"), "member null"),
    (("monetary / 12 > 10", "monetary / 12 < 10"), "monetary / 12 = 10"),
]


@pytest.mark.parametrize(("rules", "gap"), INCOMPLETE, ids=[rules[0] for rules, _ in INCOMPLETE])
def test_what_can_be_null_is_a_gap(rules, gap):
    named = {f"s{i}": when for i, when in enumerate(rules)}
    assert gap in only(report(named, criteria=ALL).errors).message


def test_what_is_divided_by_zero_is_always_null():
    above, below = report({"a": "monetary / 0 > 3", "rest": "monetary / 0 is null", "none": "monetary / 0 <= 3"}).errors
    assert "a can never fire" in above.message
    assert "none can never fire" in below.message


@pytest.mark.parametrize("rules", COMPLETE, ids=[rules[0] for rules in COMPLETE])
def test_complete_by_metrics_and_attributes_and_incomplete_without_each_rule(rules):
    named = {f"s{i}": when for i, when in enumerate(rules)}
    assert report(named, criteria=ALL).errors == []
    for name in named:
        less = {other: when for other, when in named.items() if other != name}
        assert report(less, criteria=ALL).errors, f"without {named[name]}"


def test_a_gap_beside_scores_says_which_customers():
    error = only(report({"a": "r >= 4", "b": "country = 'UK'"}).errors)
    assert "15 of 25 cells" not in error.message
    assert "3 of 5 cells, such as r=1, country another value" in error.message
    error = only(report({"a": "monetary > 100", "b": "monetary < 100"}).errors)
    assert error.message.startswith("customers with monetary = 100 match no segment")


def test_a_metric_and_its_own_score_go_together():
    rules = {"a": "recency_days <= 180 and r < 3", "rest": None}
    assert "a can never fire" in only(report(rules, scoring=RECENCY_FIXED).errors).message
    assert "a can never fire" in only(report({"a": "recency_days is null and r > 1", "rest": None}).errors).message
    assert "a can never fire" in only(report({"a": "frequency = 0 and f > 1", "rest": None}).errors).message
    assert clean({"a": "recency_days is null and r = 1", "rest": None})


# --- bounds ---


def test_ten_bins_three_criteria_twelve_rules_are_quick():
    rng = random.Random(1)
    rules = {f"s{i}": _random_rule(rng, 10) for i in range(11)}
    config = from_data(with_rules({**rules, "rest": None}, scoring={"bins": 10}, criteria=ALL))
    start = time.perf_counter()
    lint(config)
    assert time.perf_counter() - start < 1


def test_too_many_cells_are_not_judged_and_said():
    warning = only(report({"a": "r + f + m > 150", "b": "r > 101"}, scoring={"bins": 100}, criteria=ALL).warnings)
    assert "not judged: found 1,000,000 cells" in warning.message


def test_too_many_conditions_fall_back_to_free_ones_and_say_so():
    metrics = ("monetary", "duration_seconds", "tenure_days", "contacts", "engagements", "mean_gap_days")
    ladder = {m: f"{m} between 1 and {i + 2} or {m} in (11, 13, 15, 17, 19, 21)" for i, m in enumerate(metrics)}
    found = report({**ladder, "never": "r > 5"})
    assert [w.path for w in found.warnings] == ["segmentations[0]", "segmentations[0].segments"]
    assert "as if each were free" in found.warnings[0].message
    assert "never can never fire" in only(found.errors).message


# --- an independent judge ---


def _random_rule(rng: random.Random, bins: int, others: bool = False, depth: int = 2) -> str:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(_ATOMS if others else _ATOMS[:6])(rng, bins)
    kind = rng.random()
    left, right = (_random_rule(rng, bins, others, depth - 1) for _ in range(2))
    return f"not ({left})" if kind < 0.15 else f"({left} and {right})" if kind < 0.6 else f"({left} or {right})"


def _score(rng: random.Random) -> str:
    return rng.choice(ALL)


_ATOMS = [
    lambda rng, n: f"{_score(rng)} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {rng.randint(0, n + 1)}",
    lambda rng, n: f"{_score(rng)} between {rng.randint(1, n)} and {rng.randint(1, n)}",
    lambda rng, n: f"{_score(rng)} in ({rng.randint(1, n)}, {rng.randint(1, n)})",
    lambda rng, n: f"{_score(rng)} {rng.choice(['<', '=', '>='])} {_score(rng)}",
    lambda rng, n: f"r + f {rng.choice(['<', '>='])} {rng.randint(2, 2 * n)}",
    lambda rng, n: f"coalesce(case when {_score(rng)} > 1 then f end, 9) > {rng.randint(0, n)}",
    lambda rng, n: f"age {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {rng.randint(20, 22)}",
    lambda rng, n: f"age is {rng.choice(['null', 'not null'])}",
    lambda rng, n: f"country {rng.choice(['=', '<>'])} '{rng.choice(['UK', 'IE'])}'",
    lambda rng, n: f"country in ('UK', '{rng.choice(['IE', 'FR'])}')",
    lambda rng, n: f"tenure_days * 2 >= {rng.randint(1, 3)}",
    lambda rng, n: f"country is {rng.choice(['null', 'not null'])}",
]
_AGES = (None, 18, 19, 20, 21, 22, 23, 40)
_COUNTRIES = (None, "UK", "IE", "FR", "ZZ")
_TENURES = (None, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 9)


def _by_sqlite(rules: list[str], bins: int, others: bool) -> tuple[set[tuple], set[int]]:
    """Cells with a gap, and rules that never win, by trying every combination in SQLite."""
    base = sqlite3.connect(":memory:")
    base.execute("create table c (r, f, m, age, country, tenure_days)")
    rest = product(_AGES, _COUNTRIES, _TENURES) if others else [(None, None, None)]
    scores = range(1, bins + 1)
    cells = list(product(scores, scores, scores))
    base.executemany("insert into c values (?, ?, ?, ?, ?, ?)", ((*cell, *more) for more in rest for cell in cells))
    winner = "case " + " ".join(f"when {when} then {i}" for i, when in enumerate(rules)) + " end"
    won = {row[0] for row in base.execute(f"select distinct {winner} from c")}
    gaps = set(base.execute(f"select distinct r, f, m from c where {winner} is null"))
    base.close()
    return gaps, set(range(len(rules))) - won


@pytest.mark.parametrize("others", [False, True], ids=["scores", "metrics too"])
@pytest.mark.parametrize("seed", range(40))
def test_random_rules_are_judged_as_sqlite_judges_them(seed, others):
    rng = random.Random(seed)
    bins = rng.randint(2, 4)
    rules = [_random_rule(rng, bins, others) for _ in range(rng.randint(1, 6))]
    gaps, never = _by_sqlite(rules, bins, others)
    named = {f"s{i}": when for i, when in enumerate(rules)}
    # a rule of every score, so that each is an axis and cells count alike
    every = " and ".join(f"{name} >= 0" for name in ALL) + " and r < 0"
    found = report({"every": every, **named}, scoring={"bins": bins}, criteria=ALL)
    messages = [error.message for error in found.errors if not error.message.startswith("every ")]
    assert {int(m[1]) for m in (re.match(r"s(\d+) can never fire", text) for text in messages) if m} == never, rules
    counts = [int(m[1].replace(",", "")) for m in (re.match(r"([\d,]+) of", text) for text in messages) if m]
    assert counts == ([len(gaps)] if gaps else []), rules
