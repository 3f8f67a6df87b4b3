"""What `check` says of ids and of the section `identity`."""

import pytest
from config_examples import project, put

from rfm_spark.config import config_warnings, from_data
from rfm_spark.errors import ConfigError


def people(changes=()):
    """The example with a CRM and a section identity."""
    data = project()
    data["sources"][0]["ids"] = {"email": "mail", "phone": "tel"}
    data["sources"][1]["ids"] = {"email": "mail"}
    data["sources"][1]["attributes"] |= {"city": "city", "surname": "last"}
    data["identity"] = {"ids": {"email": {"normalise": "email"}, "phone": {"normalise": "phone", "region": "GB"}}}
    for path, value in dict(changes).items():
        put(data, path, value)
    return data


MALFORMED = [
    ({"sources.1.ids": {"emial": "mail"}}, "sources[1].ids.emial", "did you mean email?"),
    ({"identity": None}, "sources[0].ids.email", "no section identity"),
    ({"identity.ids.phone": {"normalise": "phon"}}, "identity.ids.phone.normalise", "phone"),
    ({"identity.ids.phone": {"normalise": "phone", "region": "UK"}}, "identity.ids.phone.region", "did you mean GB?"),
    ({"identity.ids.email": {"normalise": "email", "region": "GB"}}, "identity.ids.email.region", "normalise: phone"),
    ({"identity.ids.email": {"max_customers": 0}}, "identity.ids.email.max_customers", "1"),
    ({"identity.blocked": {"patterns": ["(test"]}}, "identity.blocked.patterns[0]", "regular expression"),
    ({"identity.blocked": {"patterns": ["a(?!b)"]}}, "identity.blocked.patterns[0]", "look-around"),
    ({"identity.blocked": {"patterns": ["{test}"]}}, "identity.blocked.patterns[0]", "begins no repeat"),
    ({"identity.blocked": {"patterns": [r"^0000\Z"]}}, "identity.blocked.patterns[0]", "\\Z"),
    ({"identity.blocked": {"patterns": ["(?a)x"]}}, "identity.blocked.patterns[0]", "flags"),
    ({"identity.blocked": {"patterns": ["[[]"]}}, "identity.blocked.patterns[0]", "nested set"),
    ({"identity.survivorship": {"cty": "newest"}}, "identity.survivorship.cty", "did you mean city?"),
    (
        {"identity.survivorship": {"city": {"rule": "source_priority", "sources": ["crn"]}}},
        "identity.survivorship.city.sources[0]",
        "did you mean crm?",
    ),
    (
        {"identity.probabilistic": {"compare": {"surnam": "name"}, "threshold": 0.9}},
        "identity.probabilistic.compare.surnam",
        "did you mean surname?",
    ),
]


@pytest.mark.parametrize(("changes", "path", "words"), MALFORMED, ids=[f"{i}-{c[1]}" for i, c in enumerate(MALFORMED)])
def test_a_fault_has_its_path_and_what_is_expected(changes, path, words):
    with pytest.raises(ConfigError) as raised:
        from_data(people(changes))
    told = {fault.path: fault.message for fault in raised.value.faults}
    assert path in told, told
    assert words in told[path]


def test_the_example_itself_is_right():
    assert config_warnings(from_data(people())) == []
    patterns = [r"^test@", r"(?i:no)", r"[{}]\{1,2\}x{2,3}y{4}", r"[]*+?]+\\", r"a\[{2}"]
    from_data(people({"identity.blocked": {"patterns": patterns}}))


def test_a_list_that_reaches_nobody_is_warned_of():
    """A suppression list is of no use where its people cannot be told."""
    data = people()
    data["sources"].append(
        {
            "name": "stop",
            "kind": "suppression",
            "format": "csv",
            "path": "stop.csv",
            "columns": {"source_customer_id": "id"},
        }
    )
    (warning,) = config_warnings(from_data(data))
    assert warning.path == "sources[2].ids"
    assert "stop has no id type in common" in warning.message
    data["sources"][2]["kind"] = "profile"
    assert [one.path for one in config_warnings(from_data(data))] == ["sources[2].ids"]
    data["identity"]["probabilistic"] = {"compare": {"surname": "name", "city": "exact"}, "threshold": 0.95}
    assert "sources[2].ids" not in [one.path for one in config_warnings(from_data(data))]
    del data["identity"]["probabilistic"]
    data["sources"][2]["kind"] = "suppression"
    data["sources"][2]["ids"] = {"email": "mail"}
    assert config_warnings(from_data(data)) == []
