"""SQL of a project: what it names, what is refused and in which words."""

import re

import pytest

from rfm_spark.config import expressions


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("r >= 5 and F between 4 and 5", {"r", "f"}),
        ("country in ('UK', 'IE') or `age` is null", {"country", "age"}),
        ("address.city = 'x' and exists(tags, t -> t = m)", {"address", "tags", "m"}),
        (
            "case when momentum < -0.1 then monetary / nullif(frequency, 0) else 0 end",
            {"momentum", "monetary", "frequency"},
        ),
        ("date '2011-01-01' <= last_order_date", {"last_order_date"}),
        ("to_utc_timestamp(at, zone)", {"at", "zone"}),
        ("from_utc_timestamp(at, 'Asia/Tokyo')", {"at"}),
        ("true", set()),
    ],
)
def test_names(sql, names):
    assert expressions.names(sql) == names
    assert expressions.faults(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "r = 5",
        "member",
        "not (r > 3 and country like 'U%')",
        "isnull(age)",
        "coalesce(member, false)",
        "array_contains(tags, 'x')",
        "case when r > 3 then true else false end",
        "country rlike '^U'",
        "recency_days <=> null",
        "age is distinct from 3",
        "try_cast(age as int) > 3",
    ],
)
def test_conditions(sql):
    assert expressions.faults(sql, boolean=True) == []


@pytest.mark.parametrize("sql", ["r + f", "'yes'", "5", "null", "-r", "r > 3 or 5", "not 'x'", "r % 2", "concat(r, f)"])
def test_what_is_no_condition(sql):
    (message,) = expressions.faults(sql, boolean=True)
    assert "true or false" in message
    assert expressions.faults(sql) == []


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("r >=", "missing after `>=` at character 3"),
        ("r = 5 andd f = 3", "`f` at character 12 is not expected; did you mean `and` for `andd`?"),
        ("r = 5 f = 3", "at character 9"),
        ("(r > 3", "`(` is not closed"),
        ("r > 3)", "`)` at character 6"),
        ("r = '5", "' is opened and not closed"),
        ("r && f", "`&&` at character 3"),
        ("r between 1", "missing after `1`"),
        ("r >= 4 and\n f >", "at character 4 of its line 2"),
        ("", "no expression"),
        ("r orr", "reads as a new name; did you mean `or` for `orr`?"),
        ("select 1", "is a statement"),
        ("r; drop table x", "is a statement"),
        ("delete from x", "is a statement"),
        ("(" * 3000 + "r" + ")" * 3000, "nested too deeply"),
    ],
)
def test_what_does_not_parse_says_where(sql, words):
    (message,) = expressions.faults(sql)
    assert words in message
    assert "class" not in message


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        *((sql, "as_of is an argument") for sql in ("current_date() > d", "d < current_timestamp", "now() > d")),
        *((sql, "as_of is an argument") for sql in ("unix_timestamp() > 3", "localtimestamp > d", "curdate() > d")),
        *(
            (sql, "another answer each time")
            for sql in ("rand() > 0.5", "uuid() = x", "shuffle(a)[0] = 1", "random() > 1")
        ),
        ("monotonically_increasing_id() > 5", "another answer each time"),
        *((sql, "who runs the job") for sql in ("current_user() = 'x'", "input_file_name() = 'x'")),
        *(
            (sql, "is an aggregate")
            for sql in ("sum(x) > 1", "count(*) > 1", "max_by(a, b) = 1", "collect_list(a)[0] = 1")
        ),
        *((sql, "is an aggregate") for sql in ("any_value(a) = 1", "first(a) = 1", "try_sum(a) = 1", "std(a) = 1")),
        *((sql, "needs other rows") for sql in ("row_number() over (order by x) = 1", "lag(x) over (order by y) = 1")),
        *((sql, "needs other rows") for sql in ("x in (select 1)", "exists(select 1)", "(select 1) > 2", "rank() = 1")),
        *((sql, "several rows") for sql in ("explode(a) = 1", "posexplode(a)", "inline(a)")),
        ("struct(*) = a", "name the column"),
    ],
)
def test_what_is_refused_everywhere(sql, words):
    assert any(words in message for message in expressions.faults(sql)), expressions.faults(sql)


_CLOCK_WORDS = [
    "d > date'today'", "d > date 'Yesterday'", "d > timestamp'now'", "d > timestamp_ntz 'now'", "d > date' today UTC'",
    "d > cast('now' as timestamp)", "d > try_cast('tomorrow' as date)", "d > date('today')", "d > 'now'::timestamp",
    "d > to_date('today')", "d > to_timestamp('now')", "try_to_timestamp('now') > d",
    "to_utc_timestamp('now', 'UTC') > d", "d > cast(lower('TODAY') as date)",
    "last_order_date < 'today'", "last_order_date in ('today', 'yesterday')", "'today' = first_order_date",
    "d between 'yesterday' and date '2011-01-01'", "datediff('today', d) > 30", "date_add('today', -30) < d",
    "months_between('now', d) > 3", "year('today') = 2011", "date_format('now', 'yyyy') = y", "d - 'today' > 3",
    "case when d < date'today' then 1 else 0 end = 1", "to_date(d) = 'today'", "dayofweek('today') = 1",
    "date_trunc('month', 'today') = d", "weekday('today') = 1", "extract(year from 'today') = 1",
]  # fmt: skip


@pytest.mark.parametrize("sql", _CLOCK_WORDS)
def test_a_word_for_a_time_of_the_clock_is_refused_where_a_time_is_read(sql):
    messages = expressions.faults(sql)
    assert messages
    assert all("as_of is an argument" in message for message in messages)
    assert re.search("found '[^']+' in", messages[0])


@pytest.mark.parametrize(
    "sql",
    [
        "status = 'today'",
        "status in ('now', 'later')",
        "coalesce(status, 'now') <> 'today'",
        "lower(concat('now ', status)) like 'now%'",
        "case when status = 'now' then last_order_date end > date'2011-01-01'",
        "d > date'2011-01-01' and d > timestamp'epoch'",
        "d > to_date(concat(y, '-01-01'))",
        "nowadays > 'todayish'",
        "array_contains(tags, 'today')",
    ],
)
def test_the_same_word_is_a_text_elsewhere(sql):
    assert expressions.faults(sql) == []


def test_unknown_names_and_messages_without_secrets():
    assert expressions.unknown_names("r > 3 and contry = 'x'", {"r", "country"}) == ["contry"]
    assert expressions.unknown_names("r > ", {"r"}) == []
    assert "hunter2" not in expressions.faults("x = 's3://me:hunter2@bucket' and")[0]
    assert len(expressions.shown("x" * 500)) < 90


def test_the_shared_tree_of_a_negated_like_is_a_negation():
    assert expressions.parse("a not like 'x%'") == expressions.parse("not a like 'x%'")
