"""Campaigns in a project file: every fault with its path, all at once; templates evaluate nothing."""

from datetime import date

import pytest
from config_examples import project, put

from rfm_spark.config import config_warnings, from_data, messages, resolved
from rfm_spark.config.campaigns import Campaign
from rfm_spark.errors import ConfigError

CAMPAIGN = {
    "name": "winback",
    "segments": {"value": ["best"]},
    "channel": "email",
    "message": "Hello {country|there}, it is {recency_days} days",
    "start": "2011-12-12",
    "cost_per_contact": 0.4,
    "budget": 500,
    "holdout_share": 0.1,
    "success": {"event_type": "purchase", "window_days": 14},
}
SENT = {"format": "csv", "path": "sent.csv", "columns": {"source_customer_id": "id", "group": "arm"}}
CONSENT = {
    "name": "permissions", "kind": "consent", "format": "csv", "path": "c.csv",
    "columns": {n: n for n in ("source_customer_id", "channel", "purpose", "status", "granted_at", "expires_at")},
}  # fmt: skip


def with_campaign(changes=(), **campaign):
    data = project()
    data["campaigns"] = [{**CAMPAIGN, **campaign}]
    for path, value in dict(changes).items():
        put(data, path, value)
    return data


MALFORMED = [
    ({"name": "global_holdout"}, "name", ["all campaigns", "another name"]),
    ({"segments": {"valu": ["best"]}}, "segments.valu", ["'valu'", "did you mean value?"]),
    ({"segments": {"value": ["bst"]}}, "segments.value[0]", ["'bst'", "did you mean best?"]),
    ({"segments": {"value": ["all"]}}, "segments.value[0]", ["'all'", "best, rest"]),
    ({"segments": {"value": ["best", "best"]}}, "segments.value[1]", ["twice"]),
    ({"segments": {"value": []}}, "segments.value", ["an empty list"]),
    ({"segments": {}}, "segments", ["missing", "assignment"]),
    ({"channel": None}, "channel", ["missing", "email"]),
    ({"budget": 0}, "budget", ["0 (a number)", "more than 0"]),
    ({"budget": 0.1}, "budget", ["0.1", "cost_per_contact (0.4)", "nobody"]),
    ({"holdout_share": 1}, "holdout_share", ["1 (a number)", "less than 1"]),
    ({"holdout_share": "100 %"}, "holdout_share", ["'100 %'", "a number"]),
    ({"message": "Hi {first_name}"}, "message", ["found the field first_name", "an attribute"]),
    ({"message": "Hi {contry}"}, "message", ["contry", "did you mean country?"]),
    ({"message": "Hi {country.__class__}"}, "message", ["'{country.__class__}'", "a field alone"]),
    ({"message": "Hi {country!r}"}, "message", ["'{country!r}'"]),
    ({"message": "Hi {0}"}, "message", ["'{0}'"]),
    ({"message": "Hi {country"}, "message", ["found { alone"]),
    ({"quiet_hours": {"from": "25:00", "to": "08:00"}}, "quiet_hours.from", ["'25:00'"]),
    ({"quiet_hours": {"from": "08:00", "to": "08:00"}}, "quiet_hours", ["both 08:00"]),
    ({"send_time": "9"}, "send_time", ["'9'"]),
    ({"zone": "contry"}, "zone", ["contry", "did you mean country?"]),
    ({"exclude": ["staff"]}, "exclude[0]", ["'staff'", "kind: exclusion"]),
    ({"repeat": {"every_days": 30, "until": "2011-01-01"}}, "repeat.until", ["2011-01-01", "2011-12-12"]),
    ({"expected": {"lift": 0.1, "value": 3}}, "expected", ["lift, or value"]),
    ({"success": {"event_type": "purchse"}}, "success.event_type", ["did you mean purchase?"]),
    ({"assignment": {**SENT, "path": None}}, "assignment.path", ["missing", "format: csv"]),
    ({"assignment": {**SENT, "columns": {"source_customer_id": "i"}}}, "assignment.columns.group", ["missing"]),
    (
        {"assignment": {**SENT, "columns": {**SENT["columns"], "grp": "x"}}},
        "assignment.columns.grp",
        ["did you mean group?"],
    ),
    ({"assignment": {**SENT, "arms": ["holdout"]}}, "assignment.arms[0]", ["always"]),
    ({"export": [{"format": "csv", "path": "s3://a/b"}]}, "export[0].path", ["a URL", "delta"]),
    (
        {"export": [{"format": "csv", "path": "o", "columns": {"mail": "customer_kee"}}]},
        "export[0].columns.mail",
        ["did you mean customer_key?"],
    ),
    ({"cost_per_contact": 1e300, "budget": None}, "cost_per_contact", ["1e+300", "at most 1000000000000"]),
    ({"budget": 1e30}, "budget", ["1e+30", "at most 1000000000000000"]),
    ({"name": "x" * 81}, "name", ["at most 80"]),
    ({"start": "soon"}, "start", ["'soon'", "a date"]),
    ({"budgett": 5}, "budgett", ["did you mean budget?"]),
]


@pytest.mark.parametrize(("campaign", "path", "words"), MALFORMED, ids=[f"{i}-{c[1]}" for i, c in enumerate(MALFORMED)])
def test_a_fault_has_its_path_and_says_what_was_expected(campaign, path, words):
    with pytest.raises(ConfigError) as error:
        from_data(with_campaign(**campaign))
    found = {fault.path: fault.message for fault in error.value.faults}
    assert list(found) == [f"campaigns[0].{path}"]
    assert [word for word in words if word not in found[f"campaigns[0].{path}"]] == []


def test_all_faults_come_at_once():
    changes = {"campaigns.1": {**CAMPAIGN, "name": "Winback", "segments": {"vlue": ["best"]}}, "campaigns.0.zone": "zz"}
    with pytest.raises(ConfigError) as error:
        from_data(with_campaign(changes, message="{x.y}"))
    paths = {fault.path for fault in error.value.faults}
    assert paths == {"campaigns[1].name", "campaigns[0].message", "campaigns[0].zone", "campaigns[1].segments.vlue"}


def test_a_consent_source_names_its_columns():
    columns = {name: name for name in CONSENT["columns"] if name != "status"}
    with pytest.raises(ConfigError) as error:
        from_data(with_campaign({"sources.2": {**CONSENT, "columns": columns}}))
    assert [fault.path for fault in error.value.faults] == ["sources[2].columns.status"]
    assert from_data(with_campaign({"sources.2": CONSENT})).sources[2].kind == "consent"


def test_what_is_probably_not_meant_is_warned_of():
    config = from_data(with_campaign(holdout_share=0, repeat={"every_days": 7}))
    told = {fault.path: fault.message for fault in config_warnings(config)}
    assert "unknown means no" in told["campaigns[0]"]
    assert "cannot be measured" in told["campaigns[0].holdout_share"]
    assert "14 days" in told["campaigns[0].repeat.every_days"]
    assert config_warnings(from_data(with_campaign(assignment=SENT))) == []


def test_secrets_of_an_assignment_are_masked():
    given = {**SENT, "options": {"password": "hunter2"}}
    assert "hunter2" not in str(resolved(from_data(with_campaign(assignment=given))))


def test_the_parts_of_a_message():
    assert messages.fields("{a} {b|x} {a}") == ["a", "b"]
    assert [part.text for part in messages.parts("{{a}} 100 %")] == ["{", "a", "}", " 100 %"]
    assert [(p.field, p.default) for p in messages.parts("{a|}{b| there }")] == [("a", ""), ("b", " there ")]


def test_waves_follow_the_start():
    of = Campaign.model_validate({**CAMPAIGN, "repeat": {"every_days": 30, "until": "2012-03-01"}}).wave
    assert of(date(2011, 12, 1)) == of(date(2011, 12, 12)) == date(2011, 12, 12)
    assert of(date(2011, 12, 13)) == of(date(2012, 1, 11)) == date(2012, 1, 11)
    assert of(date(2012, 1, 12)) == date(2012, 2, 10)
    assert of(date(2012, 2, 11)) is None
    assert Campaign.model_validate(CAMPAIGN).wave(date(2011, 12, 13)) is None
