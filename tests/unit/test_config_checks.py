"""Malformed configs: every fault has its path, names what was found and expected, and all come at once."""

import pytest
from config_examples import ACTION, project, put

from rfm_spark.config import config_warnings, from_data
from rfm_spark.errors import ConfigError

SOURCE, CRM, SEGMENTATION = "sources.0", "sources.1", "segmentations.0"
RATES = {
    "name": "rates", "kind": "rates", "format": "csv", "path": "r.csv",
    "columns": {"currency": "c", "date": "d", "rate": "r"},
}  # fmt: skip
# columns that rows are given on their way to `events`
OF_ROWS = (
    "outcome known held on_change by_other record reasons event_base declared_id order_is_event source_file "
    "content_hash earlier_content c_event_ts c_amount"
)


def faults_of(changes):
    data = project()
    for path, value in changes.items():
        put(data, path, value)
    with pytest.raises(ConfigError) as error:
        from_data(data)
    return error.value.faults


# changes, path of the fault, words that its message must have
MALFORMED = [
    # --- shape ---
    ({"question": ...}, "question", ["missing", "text"]),
    ({"project": 2024}, "project", ["2024", "a name", "quotes"]),
    ({"projekt": "x"}, "projekt", ["unknown key", "did you mean project?"]),
    ({"campains": []}, "campains", ["unknown key", "did you mean campaigns?"]),
    ({"question": "  "}, "question", ["'  '", "text"]),
    ({"sources": []}, "sources", ["an empty list", "at least one"]),
    ({"sources": {"orders": {}}}, "sources", ["a section with orders", "a list"]),
    ({"lake": {}}, "lake", ["an empty section", "path"]),
    ({"lake": {"path": "x", "catalog": "y", "schema": "z"}}, "lake", ["path, catalog, schema", "or catalog"]),
    ({"lake": {"catalog": "y"}}, "lake", ["a section with catalog", "schema"]),
    ({f"{SOURCE}.format": "cvs"}, "sources[0].format", ["'cvs'", "csv, json", "did you mean csv?"]),
    ({f"{SOURCE}.fromat": "csv", f"{SOURCE}.format": ...}, "sources[0].fromat", ["did you mean format?"]),
    ({f"{SOURCE}.options": {"header": None}}, "sources[0].options.header", ["nothing", "true or false"]),
    ({f"{SOURCE}.event_type": "purchse"}, "sources[0].event_type", ["'purchse'", "did you mean purchase?"]),
    (
        {f"{SOURCE}.event_type.values.gift": "sale"},
        "sources[0].event_type.values.gift",
        ["'sale'", "purchase, refund, contact, engagement"],
    ),
    ({f"{SOURCE}.event_type": {"column": "kind"}}, "sources[0].event_type", ["a section with column", "values"]),
    ({f"{SOURCE}.columns.amount": {"sql": "a", "column": "b"}}, "sources[0].columns.amount", ["column", "{sql: …}"]),
    ({f"{SOURCE}.columns.amount": ["a"]}, "sources[0].columns.amount", ["a list of 1", "text"]),
    ({f"{SOURCE}.event_id": ["order", 2]}, "sources[0].event_id[1]", ["2 (a number)", "text"]),
    ({f"{SOURCE}.event_id": 7}, "sources[0].event_id", ["7 (a number)", "text or a list"]),
    ({"contract.max_quarantined_share": 5}, "contract.max_quarantined_share", ["5", "at most 1"]),
    ({"contract.earliest": "yesterday"}, "contract.earliest", ["'yesterday'", "a date such as"]),
    ({"refunds": {"policy": "net"}}, "refunds.policy", ["'net'", "net_on_order_date"]),
    ({"reference_period": {"months": 12, "all": True}}, "reference_period", ["months, all", "not both"]),
    ({"reference_period": {"months": 12, "sub_periods": 5}}, "reference_period", ["12 months", "5 sub_periods"]),
    ({"reference_period": {"months": 0}}, "reference_period.months", ["0 (a number)", "at least 1"]),
    ({"criteria.R": {"metric": "frequency", "better": "high"}}, "criteria.R", ["the key R", "a-z"]),
    ({"criteria.x": {"better": "high"}}, "criteria.x", ["better", "metric"]),
    ({"criteria.f": {"metric": "frequency", "better": "up"}}, "criteria.f.better", ["'up'", "low, high"]),
    ({f"{SEGMENTATION}.scoring.bins": "5"}, "segmentations[0].scoring.bins", ["'5'", "a whole number"]),
    ({f"{SEGMENTATION}.scoring.bins": 1}, "segmentations[0].scoring.bins", ["1 (a number)", "at least 2"]),
    ({f"{SEGMENTATION}.scoring.bins": True}, "segmentations[0].scoring.bins", ["true", "a whole number"]),
    (
        {f"{SEGMENTATION}.scoring.method": "aprox_quantile"},
        "segmentations[0].scoring.method",
        ["did you mean approx_quantile?"],
    ),
    (
        {f"{SEGMENTATION}.segments.0.action.channel": ..., f"{SEGMENTATION}.segments.0.action.chanel": "x"},
        "segmentations[0].segments[0].action.chanel",
        ["unknown key", "did you mean channel?"],
    ),
    ({f"{SEGMENTATION}.segments.0.action": "call"}, "segmentations[0].segments[0].action", ["'call'", "decision"]),
    ({f"{SEGMENTATION}.segments.0.when": ...}, "segmentations[0].segments[0]", ["name, action", "otherwise: true"]),
    ({f"{SEGMENTATION}.segments.1.otherwise": False}, "segmentations[0].segments[1].otherwise", ["false", "true"]),
    ({f"{SEGMENTATION}.segments.0.name": "(new)"}, "segmentations[0].segments[0].name", ["'(new)'", "a name"]),
    (
        {f"{SEGMENTATION}.segments.0.action.budget_per_customer": float("inf")},
        "segmentations[0].segments[0].action.budget_per_customer",
        ["inf", "a number"],
    ),
    # --- texts with a meaning ---
    ({"timezone": "America/NewYork"}, "timezone", ["'America/NewYork'", "did you mean America/New_York?"]),
    ({"timezone": "London"}, "timezone", ["'London'", "did you mean Europe/London?"]),
    ({"currency": "gbp"}, "currency", ["'gbp'", "three letters", "did you mean GBP?"]),
    ({f"{SOURCE}.timezone": "CEST+1"}, "sources[0].timezone", ["'CEST+1'", "a time zone"]),
    ({f"{SOURCE}.types.price": "decimal(50,2)"}, "sources[0].types.price", ["decimal(50,2)", "from 1 to 38"]),
    ({f"{SOURCE}.types.price": "strng"}, "sources[0].types.price", ["'strng'", "did you mean string?"]),
    ({f"{SOURCE}.types.price": "varchar(10)"}, "sources[0].types.price", ["did you mean string?"]),
    ({f"{SOURCE}.timestamp_format": "yyyy-mm-dd"}, "sources[0].timestamp_format", ["months are MM"]),
    ({f"{SOURCE}.timestamp_format": "YYYY-MM-dd"}, "sources[0].timestamp_format", ["the year is yyyy"]),
    ({f"{SOURCE}.timestamp_format": "dd/MM/yyyy hh:mm"}, "sources[0].timestamp_format", ["HH"]),
    ({f"{SOURCE}.timestamp_format": ["yyyyMMdd", "%Y%m%d"]}, "sources[0].timestamp_format[1]", ["Spark"]),
    # --- sources ---
    ({f"{CRM}.name": "Orders"}, "sources[1].name", ["'Orders'", "sources[0]", "another name"]),
    ({f"{SOURCE}.path": ...}, "sources[0].path", ["missing", "format: csv"]),
    ({f"{SOURCE}.format": "table", f"{SOURCE}.path": ...}, "sources[0].table", ["missing", "format: table"]),
    ({f"{SOURCE}.event_type": ...}, "sources[0].event_type", ["missing", "purchase", "kind: profile"]),
    ({f"{SOURCE}.columns.event_ts": ...}, "sources[0].columns.event_ts", ["missing", "event_ts"]),
    ({f"{SOURCE}.columns.amount": ...}, "sources[0].columns.amount", ["missing", "an amount"]),
    (
        {f"{SOURCE}.columns.amount": ..., f"{SOURCE}.columns.ammount": "x"},
        "sources[0].columns.ammount",
        ["did you mean amount?"],
    ),
    ({f"{SOURCE}.columns.event_month": "x"}, "sources[0].columns.event_month", ["fills itself", "another name"]),
    ({f"{SOURCE}.columns.event_id": "x"}, "sources[0].columns.event_id", ["event_id: beside columns"]),
    *(
        ({f"{SOURCE}.columns.{name}": "x"}, f"sources[0].columns.{name}", [f"found {name}", "another name"])
        for name in OF_ROWS.split()
    ),
    ({f"{SOURCE}.columns._nth": "x"}, "sources[0].columns._nth", ["'_nth'", "starts with a letter"]),
    ({f"{SOURCE}.columns.Land": "x"}, "sources[0].columns.Land", ["'Land'", "a-z"]),
    ({f"{SOURCE}.attributes": {"a": "b"}}, "sources[0].attributes", ["kind: events", "kind: profile"]),
    ({f"{SOURCE}.event_id": ..., f"{SOURCE}.on_change": "replace"}, "sources[0].on_change", ["event_id"]),
    ({f"{SOURCE}.currency": "EUR"}, "sources[0].currency", ["EUR", "GBP", "kind: rates"]),
    ({f"{CRM}.event_type": "purchase"}, "sources[1].event_type", ["kind: profile", "expected none"]),
    ({f"{CRM}.columns.city": "x"}, "sources[1].columns.city", ["kind: profile", "under attributes"]),
    ({f"{CRM}.attributes.monetary": "x"}, "sources[1].attributes.monetary", ["another name"]),
    *(
        ({f"{CRM}.attributes.{name}": "x"}, f"sources[1].attributes.{name}", [f"found {name}", "another name"])
        for name in ("event_date", "event_ts", "source_customer_id", "profile_date", "record", "c_source_customer_id")
    ),
    ({"sources.2": {**RATES, "columns": {"currency": "c", "date": "d"}}}, "sources[2].columns.rate", ["missing"]),
    ({"sources": [project()["sources"][1]]}, "sources", ["no source of events"]),
    # --- contract ---
    ({"contract.latest": "1999-01-01"}, "contract.earliest", ["2000-01-01", "before latest (1999-01-01)"]),
    ({"contract.rules.0.sources": ["order"]}, "contract.rules[0].sources[0]", ["'order'", "did you mean orders?"]),
    ({"contract.rules.1": {"name": "positive", "sql": "a > 0"}}, "contract.rules[1].name", ["contract.rules[0]"]),
    ({"contract.rules.0.name": "no_customer"}, "contract.rules[0].name", ["a reason of the contract itself"]),
    ({"contract.rules.0.sql": "price > "}, "contract.rules[0].sql", ["missing after `>` at character 7"]),
    ({"contract.rules.0.sql": "price * 2"}, "contract.rules[0].sql", ["`price * 2`", "true or false"]),
    # --- SQL ---
    ({f"{SOURCE}.columns.amount.sql": "quantity *"}, "sources[0].columns.amount.sql", ["does not parse"]),
    ({f"{SOURCE}.columns.amount.sql": "sum(price)"}, "sources[0].columns.amount.sql", ["sum()", "aggregate"]),
    ({f"{CRM}.attributes.age": {"sql": "datediff(now(), dob)"}}, "sources[1].attributes.age.sql", ["now()", "as_of"]),
    ({"criteria.trend.sql": "monetary_q5 - monetary_q1"}, "criteria.trend.sql", ["monetary_q5", "monetary_q"]),
    ({"criteria.trend.sql": "rand()"}, "criteria.trend.sql", ["rand()", "another answer each time"]),
    # --- criteria and segmentations ---
    ({"criteria.f.metric": "freqency"}, "criteria.f.metric", ["freqency", "did you mean frequency?"]),
    ({"criteria.f.metric": "last_order_date"}, "criteria.f.metric", ["a date", "a number"]),
    ({"criteria.frequency": {"metric": "frequency", "better": "high"}}, "criteria.frequency", ["a metric as well"]),
    ({"criteria.age": {"metric": "age", "better": "high"}}, "criteria.age", ["an attribute as well"]),
    ({"criteria.r_score": {"metric": "monetary", "better": "high"}}, "criteria.r_score", ["the score of r"]),
    ({"criteria.rfm": {"metric": "monetary", "better": "high"}}, "criteria.rfm", ["rfm_score"]),
    *(
        ({f"criteria.{name}": {"metric": "monetary", "better": "high"}}, f"criteria.{name}", ["of customer_segments"])
        for name in ("segment", "rule", "segmentation", "previous_segment")
    ),
    (
        {"criteria.trend_value": {"metric": "monetary", "better": "high"}},
        "criteria.trend",
        ["trend_value", "a criterion as well", "another name"],
    ),
    (
        {"criteria.average_order": {"sql": "monetary / 2", "better": "high"}},
        "criteria.average_order",
        ["average_order_value", "a metric as well"],
    ),
    ({f"{CRM}.attributes.trend_value": "x"}, "criteria.trend", ["trend_value", "an attribute as well"]),
    (
        {f"{SEGMENTATION}.criteria": ["r", "f", "m", "trnd"]},
        "segmentations[0].criteria[3]",
        ["trnd", "did you mean trend?"],
    ),
    ({f"{SEGMENTATION}.criteria": ["r", "f", "m", "r"]}, "segmentations[0].criteria[3]", ["r twice"]),
    (
        {f"{SEGMENTATION}.scoring.criteria.q": {"bins": 3}},
        "segmentations[0].scoring.criteria.q",
        ["found q", "a criterion that this segmentation scores"],
    ),
    (
        {f"{SEGMENTATION}.scoring.criteria.m": {"method": "fixed"}},
        "segmentations[0].scoring.criteria.m.cuts",
        ["missing", "ascending"],
    ),
    (
        {f"{SEGMENTATION}.scoring.criteria.m": {"method": "fixed", "cuts": [1, 3, 3]}},
        "segmentations[0].scoring.criteria.m.cuts[2]",
        ["3 after 3", "ascending"],
    ),
    (
        {f"{SEGMENTATION}.scoring.criteria.m": {"method": "fixed", "cuts": [1, 3], "bins": 5}},
        "segmentations[0].scoring.criteria.m.bins",
        ["5 bins and 2 cuts", "3 bins"],
    ),
    ({f"{SEGMENTATION}.scoring.method": "frozen"}, "segmentations[0].scoring.snapshot", ["missing", "frozen"]),
    ({f"{SEGMENTATION}.scoring.group_by": "contry"}, "segmentations[0].scoring.group_by", ["did you mean country?"]),
    ({f"{SEGMENTATION}.segments.0.when": "r >= 4 andd f = 5"}, "segmentations[0].segments[0].when", ["`and`"]),
    (
        {f"{SEGMENTATION}.segments.0.when": "r >= 4 and g = 5"},
        "segmentations[0].segments[0].when",
        ["found g", "r, f, m"],
    ),
    ({f"{SEGMENTATION}.segments.0.when": "trend > 3"}, "segmentations[0].segments[0].when", ["does not score"]),
    ({f"{SEGMENTATION}.segments.0.when": "r_score > 3"}, "segmentations[0].segments[0].when", ["did you mean r?"]),
    (
        {f"{SEGMENTATION}.segments.0.when": "contry = 'UK'"},
        "segmentations[0].segments[0].when",
        ["did you mean country?"],
    ),
    (
        {f"{SEGMENTATION}.segments.0.when": "last_order_date < current_date"},
        "segmentations[0].segments[0].when",
        ["current_date()", "as_of is an argument"],
    ),
    (
        {f"{SEGMENTATION}.segments.0.when": "r in (select 1)"},
        "segmentations[0].segments[0].when",
        ["a subquery", "other rows"],
    ),
    ({f"{SEGMENTATION}.segments.1.name": "best"}, "segmentations[0].segments[1].name", ["'best'", "segments[0]"]),
    ({f"{SEGMENTATION}.segments.1.name": "all"}, "segmentations[0].segments[1].name", ["'all'", "another name"]),
    (
        {f"{SEGMENTATION}.segments.2": {"name": "last", "otherwise": True, "action": ACTION}},
        "segmentations[0].segments[1].otherwise",
        ["before 1 more segment", "last and once"],
    ),
    ({"segmentations.1": project()["segmentations"][0]}, "segmentations[1].name", ["'value'", "segmentations[0]"]),
]


@pytest.mark.parametrize(("changes", "path", "words"), MALFORMED, ids=[f"{i}-{c[1]}" for i, c in enumerate(MALFORMED)])
def test_a_malformed_config_has_one_fault_with_path_found_and_expected(changes, path, words):
    faults = faults_of(changes)
    assert [fault.path for fault in faults] == [path], "\n".join(map(str, faults))
    message = faults[0].message
    assert "expected" in message
    assert "found" in message
    for word in words:
        assert word in message


def test_the_example_itself_is_right():
    config = from_data(project())
    assert config.project == "shop"
    assert config_warnings(config) == []


def test_all_faults_of_shape_and_meaning_come_at_once():
    faults = faults_of(
        {
            "qestion": "x",
            "timezone": "Europe/Londn",
            f"{SOURCE}.format": "cvs",
            f"{SOURCE}.timestamp_format": "yyyy-mm-dd",
            f"{SEGMENTATION}.segments.0.wehn": "r >= 9 and",
            f"{SEGMENTATION}.segments.0.when": ...,
            f"{SEGMENTATION}.segments.1.action.message": 3,
            f"{SEGMENTATION}.segments.1.when": "f = 1",
        }
    )
    assert sorted(fault.path for fault in faults) == [
        "qestion",
        "segmentations[0].segments[0].wehn",
        "segmentations[0].segments[0].when",
        "segmentations[0].segments[1]",
        "segmentations[0].segments[1].action.message",
        "sources[0].format",
        "sources[0].timestamp_format",
        "timezone",
    ]


def test_names_that_do_not_exist_are_told_beside_faults_of_shape():
    """A fault that takes no name away hides none, such as that of a source's format or of a criterion's other key."""
    faults = faults_of(
        {
            f"{SOURCE}.format": "cvs",
            f"{CRM}.colums": {},
            "criteria.r.metric": "recency_dayz",
            "criteria.f.better": "hi",
            "criteria.trend": {"better": "low"},
            f"{SEGMENTATION}.scoring.group_by": "countri",
            f"{SEGMENTATION}.segments.0.when": "rr >= 4",
        }
    )
    assert {fault.path for fault in faults} >= {
        "criteria.r.metric",
        "criteria.f.better",
        "segmentations[0].scoring.group_by",
        "segmentations[0].segments[0].when",
    }


def test_a_broken_profile_source_does_not_make_its_attributes_unknown():
    faults = faults_of({f"{CRM}.attributes": 3})
    assert [fault.path for fault in faults] == ["sources[1].attributes"]


def test_a_foreign_currency_with_rates_and_standard_criteria_are_right():
    data = project()
    data["sources"][0]["currency"] = "EUR"
    data["sources"].append(RATES)
    data["criteria"] = {"r": None, "f": {}, "d": None}
    data["segmentations"][0] |= {"criteria": None, "scoring": {"bins": 3}}
    config = from_data(data)
    assert [c.metric for c in config.criteria.values()] == ["recency_days", "frequency", "duration_seconds"]


@pytest.mark.parametrize("pattern", ["yyyyMMdd", "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX", "M/d/yyyy h:mm a", "dd-MMM-yy"])
def test_right_patterns_have_no_fault(pattern):
    data = project()
    data["sources"][0]["timestamp_format"] = pattern
    assert from_data(data).sources[0].timestamp_formats == [pattern]


def test_refunds_that_can_find_no_order_are_warned_about():
    data = project()
    del data["sources"][0]["columns"]["order_id"]
    (warning,) = config_warnings(from_data(data))
    assert warning.path == "sources[0].columns"
    assert "order_id" in warning.message


@pytest.mark.parametrize(
    ("sql", "warned"),
    [
        ("to_timestamp(concat(day, at), 'yyyyMMddHHmm')", True),
        ("coalesce(try_to_timestamp(at), cast(day as timestamp))", True),
        ("to_utc_timestamp(to_timestamp(at), zone)", False),
        ("concat(day, ' ', at)", False),
        ("to_timestamp_ntz(at)", False),
        ("timestamp_seconds(bigint(at))", False),
    ],
)
def test_local_times_that_sql_takes_as_utc_are_warned_about(sql, warned):
    data = project()
    data["sources"][0]["columns"]["event_ts"] = {"sql": sql}
    data["sources"][0].pop("timestamp_format")
    found = [(warning.path, "not as Europe/London" in warning.message) for warning in config_warnings(from_data(data))]
    assert found == ([("sources[0].columns.event_ts.sql", True)] if warned else [])
    put(data, f"{SOURCE}.timezone", "UTC")
    assert config_warnings(from_data(data)) == []


def test_a_currency_column_without_rates_is_warned_about():
    data = project()
    data["sources"][0]["columns"]["currency"] = "cur"
    (warning,) = config_warnings(from_data(data))
    assert warning.path == "sources[0].columns.currency"
