"""The JSON Schema of a project file, generated from the models: editors complete by it, faults are worded by it."""

from functools import cache
from typing import Any

from rfm_spark.config.base import NAME_PATTERN, TEXT_PATTERN
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import STANDARD_CRITERIA
from rfm_spark.config.source import EVENT_TYPES

Schema = dict[str, Any]

# What a section looks like where more than its required keys make it right.
_EXAMPLES: dict[str, list[Any]] = {
    "Expression": ["x", {"sql": "quantity * price"}],
    "EventType": ["purchase", {"column": "kind", "values": {"sale": "purchase"}}, {"sql": "case … end"}],
    "ReferencePeriod": [{"months": 12}, {"all": True}],
    "Criterion": [{"metric": "frequency", "better": "high"}],
    "Segment": [
        {
            "name": "champions",
            "when": "r >= 4",
            "action": {"decision": "Thank", "channel": "email", "message": "thanks"},
        }
    ],
    "Survivorship": ["newest", {"rule": "source_priority", "sources": ["crm"]}],
    "Lake": [{"path": "lake"}, {"catalog": "main", "schema": "marketing"}],
}
# Sections that may be given as one text, too.
_SHORT: dict[str, Schema] = {
    "Expression": {"pattern": TEXT_PATTERN, "description": "a source column"},
    "EventType": {"enum": list(EVENT_TYPES), "description": "what every row is"},
    "Survivorship": {"enum": ["newest", "most_frequent", "source_priority"], "description": "the rule"},
}


@cache
def json_schema() -> Schema:
    """The JSON Schema of a project file."""
    schema: Schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ProjectConfig.model_json_schema()}
    sections = schema["$defs"]
    del sections["EventType"]["properties"]["constant"]
    for name, text in _SHORT.items():
        _allow_text(sections[name], text)
    for name, examples in _EXAMPLES.items():
        sections[name]["examples"] = examples
    _allow_standard_criteria(schema["properties"]["criteria"])
    _tidy(schema)
    return schema


def _allow_text(section: Schema, text: Schema) -> None:
    keys = ("type", "properties", "additionalProperties", "required")
    section["anyOf"] = [{"type": "string", **text}, {key: section.pop(key) for key in keys if key in section}]


def _allow_standard_criteria(criteria: Schema) -> None:
    """r, f, m and d may be empty, or change one thing."""
    fields: dict[str, Schema] = {key: {"type": "string"} for key in ("metric", "sql", "better")}
    fields["better"]["enum"] = ["low", "high"]
    partial = {"type": ["object", "null"], "additionalProperties": False, "properties": fields}
    criteria["additionalProperties"] = criteria.pop("patternProperties")[NAME_PATTERN]
    criteria["propertyNames"] = {"pattern": NAME_PATTERN}
    criteria["properties"] = {
        name: {**partial, "description": f"default: {standard['metric']}, {standard['better']} is better"}
        for name, standard in STANDARD_CRITERIA.items()
    }


def _tidy(schema: Any) -> None:
    """Drop the titles that only repeat a key, and close maps whose keys have a pattern."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    elif isinstance(schema, dict):
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        for name, value in schema.items():
            if name == "properties":
                for field in value.values():
                    field.pop("title", None)
            _tidy(value)
