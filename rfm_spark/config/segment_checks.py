"""What is wrong with criteria and segmentations although their shape is right."""

import math
from collections.abc import Iterator

from rfm_spark.config import expressions
from rfm_spark.config.known import attributes, columns, is_numeric, metrics, predicted, repeated
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.scoring import Criterion, CriterionScoring, Scoring, Segmentation
from rfm_spark.config.words import Finding, counted, did_you_mean, found, listed
from rfm_spark.schemas import CUSTOMER_SEGMENTS

_RESERVED_SEGMENTS = {"all": "it stands for all segments in campaign_results"}


def criteria_findings(config: ProjectConfig, names: bool) -> Iterator[Finding]:
    """Path and message of every fault of the criteria; with `names`, unknown names too."""
    if not config.criteria:
        yield "criteria", "found none, expected at least one; leave criteria out for r, f and m"
    taken = columns(config)
    for name, criterion in config.criteria.items():
        path = f"criteria.{name}"
        yield from _criterion_name(config, name, path, taken)
        yield from _value_column(config, name, path, taken)
        if criterion.sql is not None:
            for message in expressions.faults(criterion.sql):
                yield f"{path}.sql", message
        if names:
            yield from _criterion_columns(config, criterion, path, taken)


def _criterion_name(config: ProjectConfig, name: str, path: str, taken: set[str]) -> Iterator[Finding]:
    if name in taken:
        kind = "an attribute" if name in attributes(config) else "a metric"
        yield path, f"found {name}, which is {kind} as well, expected another name: in rules it would mean both"
    base = name.removesuffix("_score")
    if base != name and base in config.criteria:
        yield path, f"found {name}, which is the column of the score of {base}, expected another name"
    if name in CUSTOMER_SEGMENTS.column_names() and name not in taken:
        yield path, f"found {name}, which is a column of {CUSTOMER_SEGMENTS.name}, expected another name"
    if f"{name}_score" in CUSTOMER_SEGMENTS.column_names():
        yield path, f"found {name}, and {name}_score is a column of its own, expected another name"


def _value_column(config: ProjectConfig, name: str, path: str, taken: set[str]) -> Iterator[Finding]:
    """A criterion that is SQL has its value under `<name>_value`, since its score has its name."""
    value = f"{name}_value"
    if config.criteria[name].sql is not None and value in {*taken, *config.criteria}:
        what = "a criterion" if value in config.criteria else "an attribute" if value in attributes(config) else ""
        message = f"found {name}, whose value is called {value}, which is {what or 'a metric'} as well"
        yield path, f"{message}, expected another name"


def _criterion_columns(config: ProjectConfig, criterion: Criterion, path: str, taken: set[str]) -> Iterator[Finding]:
    if criterion.sql is not None:
        for name in expressions.unknown_names(criterion.sql, taken):
            yield (
                f"{path}.sql",
                _unknown_name(name, taken, "a metric, an attribute of a profile source or a prediction"),
            )
    elif criterion.metric is not None:
        known, declared = metrics(config), attributes(config) | predicted(config)
        type_ = known[criterion.metric].type if criterion.metric in known else declared.get(criterion.metric)
        numeric = sorted(name for name, column in known.items() if is_numeric(column.type)) + sorted(declared)
        if type_ is None:
            yield f"{path}.metric", _unknown_name(criterion.metric, numeric, "a metric")
        elif type_ and not is_numeric(type_):
            yield f"{path}.metric", f"found {criterion.metric} (a {type_}), expected a number: {listed(numeric)}"


def _unknown_name(name: str, known: set[str] | list[str], what: str) -> str:
    hint = did_you_mean(name, sorted(known)) or f": {listed(sorted(known), 40)}"
    return f"found {name}, expected {what}{hint}"


def segmentation_findings(
    segmentation: Segmentation, path: str, config: ProjectConfig, names: bool
) -> Iterator[Finding]:
    """Path and message of every fault of one segmentation; with `names`, unknown names too."""
    scored = segmentation.criteria if segmentation.criteria is not None else list(config.criteria)
    if names:
        yield from _scored(segmentation, path, config)
    yield from _scoring(segmentation.scoring, f"{path}.scoring", scored, config, names)
    yield from _segments(segmentation, path)
    for i, segment in enumerate(segmentation.segments):
        if segment.when is None:
            continue
        where = f"{path}.segments[{i}].when"
        for message in expressions.faults(segment.when, boolean=True):
            yield where, message
        if names:
            yield from _rule_names(segment.when, where, scored, config)


def _scored(segmentation: Segmentation, path: str, config: ProjectConfig) -> Iterator[Finding]:
    given = segmentation.criteria
    if given is None:
        return
    if not given:
        yield f"{path}.criteria", "found an empty list, expected at least one criterion; leave it out for all"
    for i, name in enumerate(given):
        if name not in config.criteria:
            yield f"{path}.criteria[{i}]", _unknown_name(name, list(config.criteria), "a criterion of the project")
    for i in repeated(given):
        yield f"{path}.criteria[{i}]", f"found {given[i]} twice, expected each criterion once"


def _rule_names(when: str, path: str, scored: list[str], config: ProjectConfig) -> Iterator[Finding]:
    known = columns(config) | set(scored)
    for name in expressions.unknown_names(when, known):
        if name in config.criteria:
            yield path, f"found {name}, which this segmentation does not score, expected it in its criteria"
        elif name.removesuffix("_score") in scored:
            yield path, f"found {name}, expected the criterion's own name; did you mean {name.removesuffix('_score')}?"
        else:
            what = f"a score ({listed(scored)}), a metric, an attribute or a prediction"
            yield path, _unknown_name(name, known, what)


# --- scoring ---------------------------------------------------------------------------------------------------------


def _scoring(scoring: Scoring, path: str, scored: list[str], config: ProjectConfig, names: bool) -> Iterator[Finding]:
    groups = columns(config) | {name for name, criterion in config.criteria.items() if criterion.sql}
    if names and scoring.group_by is not None and scoring.group_by not in groups:
        yield f"{path}.group_by", _unknown_name(scoring.group_by, groups, "an attribute or a metric")
    own_snapshots = any(own.method == "frozen" for own in scoring.criteria.values())
    if scoring.method == "frozen" and scoring.snapshot is None:
        yield f"{path}.snapshot", _NO_SNAPSHOT
    if scoring.snapshot is not None and scoring.method != "frozen" and not own_snapshots:
        yield f"{path}.snapshot", f"found snapshot with method: {scoring.method}, expected it with method: frozen only"
    for name, own in scoring.criteria.items():
        where = f"{path}.criteria.{name}"
        if names and name not in scored:
            yield where, _unknown_name(name, scored, "a criterion that this segmentation scores")
        if names and own.group_by is not None and own.group_by not in groups:
            yield f"{where}.group_by", _unknown_name(own.group_by, groups, "an attribute or a metric")
        yield from _cuts(own, where)
        yield from _snapshot(own, where, scoring)


_NO_SNAPSHOT = "missing; found method: frozen, expected snapshot: the date whose cut-points are used"


def _snapshot(own: CriterionScoring, path: str, scoring: Scoring) -> Iterator[Finding]:
    method = own.method or ("fixed" if own.cuts else scoring.method)
    if own.method == "frozen" and own.snapshot is None and scoring.snapshot is None:
        yield f"{path}.snapshot", _NO_SNAPSHOT
    if own.snapshot is not None and method != "frozen":
        yield f"{path}.snapshot", f"found snapshot with method: {method}, expected it with method: frozen only"


def _cuts(own: CriterionScoring, path: str) -> Iterator[Finding]:
    if own.method == "fixed" and own.cuts is None:
        yield f"{path}.cuts", "missing; found method: fixed, expected cuts: a list of ascending numbers"
    if own.cuts is None:
        return
    if own.method not in (None, "fixed"):
        yield f"{path}.cuts", f"found cuts with method: {own.method}, expected them with method: fixed only"
    if not own.cuts:
        yield f"{path}.cuts", "found an empty list, expected at least one number"
    for i, (low, high) in enumerate(zip(own.cuts, own.cuts[1:], strict=False)):
        if not low < high:
            yield f"{path}.cuts[{i + 1}]", f"found {high} after {low}, expected ascending numbers, each once"
    for i, cut in enumerate(own.cuts):
        if not math.isfinite(cut):
            yield f"{path}.cuts[{i}]", f"found {cut}, expected a finite number"
    if own.bins is not None and own.cuts and own.bins != len(own.cuts) + 1:
        message = f"found {own.bins} bins and {len(own.cuts)} cuts, expected {len(own.cuts) + 1} bins, or none"
        yield f"{path}.bins", message


# --- segments --------------------------------------------------------------------------------------------------------


def _segments(segmentation: Segmentation, path: str) -> Iterator[Finding]:
    segments = segmentation.segments
    for i, first in repeated(segment.name for segment in segments).items():
        where = f"{path}.segments[{i}].name"
        yield where, f"found {found(segments[i].name)}, which {path}.segments[{first}] is named, expected another name"
    for i, segment in enumerate(segments):
        if segment.otherwise and i < len(segments) - 1:
            more = len(segments) - 1 - i
            others = counted(more, "more segment")
            yield f"{path}.segments[{i}].otherwise", f"found otherwise: true before {others}, expected it last and once"
        if segment.name.casefold() in _RESERVED_SEGMENTS:
            why = _RESERVED_SEGMENTS[segment.name.casefold()]
            yield f"{path}.segments[{i}].name", f"found {found(segment.name)}, expected another name: {why}"
