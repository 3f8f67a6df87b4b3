"""The JSON Schema: the stored one is the generated one, right projects fit it, wrong ones do not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from config_examples import project, put
from jsonschema import Draft202012Validator

from rfm_spark.config import json_schema, template

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(json_schema())
    return Draft202012Validator(json_schema())


def test_the_stored_schema_is_the_generated_one():
    written = subprocess.run(
        [sys.executable, "-m", "rfm_spark.config"], check=True, capture_output=True, timeout=60, cwd=CONF.parent
    ).stdout.decode()
    assert (CONF / "project.schema.json").read_text(encoding="utf-8") == written, (
        "write it again: python -m rfm_spark.config > conf/project.schema.json"
    )


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_projects_fit(validator, path):
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(json.loads(json.dumps(data, default=str)))) == []


def test_the_template_and_the_short_forms_fit(validator):
    data = json.loads(json.dumps(yaml.safe_load(template.PROJECT), default=str))
    assert list(validator.iter_errors(data)) == []
    data = project()
    data["criteria"] = {"r": None, "f": {}, "m": {"better": "low"}, "own": {"sql": "frequency * 2", "better": "high"}}
    data["sources"][0]["event_type"] = "purchase"
    assert list(validator.iter_errors(data)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("qestion", "x"),
        ("currency", 5),
        ("sources.0.format", "cvs"),
        ("sources.0.event_type", "purchse"),
        ("sources.0.columns.amount", {"sq": "x"}),
        ("sources.1.attributes", {"Bad Name": "x"}),
        ("criteria.F", {"metric": "frequency", "better": "high"}),
        ("criteria.own", None),
        ("segmentations.0.scoring.bins", 1),
        ("segmentations.0.segments.0.action", {"decision": "x"}),
    ],
)
def test_wrong_projects_do_not_fit(validator, path, value):
    data = project()
    put(data, path, value)
    assert list(validator.iter_errors(data))


def test_every_key_that_needs_a_word_has_one():
    sections = json_schema()["$defs"]
    assert all(section.get("description") for section in sections.values())
    assert "constant" not in sections["EventType"]["anyOf"][1]["properties"]
