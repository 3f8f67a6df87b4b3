"""Faults that need more than one section to see: names that must exist elsewhere, values that must go together."""

from collections.abc import Iterator, Mapping

from rfm_spark.config import expressions, known
from rfm_spark.config.campaign_checks import campaign_findings, campaign_warnings
from rfm_spark.config.identity_checks import identity_findings, identity_warnings
from rfm_spark.config.models import ProjectConfig, line_of
from rfm_spark.config.patterns import currency_fault, timezone_fault
from rfm_spark.config.prediction_checks import prediction_findings
from rfm_spark.config.segment_checks import criteria_findings, segmentation_findings
from rfm_spark.config.source_checks import source_findings, source_warnings
from rfm_spark.config.words import Finding, did_you_mean, found, listed
from rfm_spark.errors import Fault


def check(config: ProjectConfig, lines: Mapping[str, int] | None = None, names: bool = True) -> list[Fault]:
    """Every fault of a config whose shape is right.

    `lines` gives the line of a path where the config comes from a file. Without `names`, whether the names in SQL
    exist is not judged, because the sections that would declare them are broken themselves.
    """
    return _placed(_findings(config, names), lines or {})


def config_warnings(config: ProjectConfig) -> list[Fault]:
    """What is allowed and probably not meant, beside the rules that `lint` judges."""
    findings = [
        finding
        for i, source in enumerate(config.sources)
        for finding in source_warnings(source, f"sources[{i}]", config)
    ]
    findings += campaign_warnings(config)
    findings += identity_warnings(config)
    return [Fault(path, message, config.line(path)) for path, message in findings]


def _placed(findings: Iterator[Finding], lines: Mapping[str, int]) -> list[Fault]:
    unique = dict.fromkeys(findings)
    return [Fault(path, message, line_of(dict(lines), path)) for path, message in unique]


def _findings(config: ProjectConfig, names: bool) -> Iterator[Finding]:
    for path, message in (("timezone", timezone_fault(config.timezone)), ("currency", currency_fault(config.currency))):
        if message:
            yield path, message
    yield from _names(config)
    for i, source in enumerate(config.sources):
        yield from source_findings(source, f"sources[{i}]", config)
    if not config.event_sources():
        yield "sources", "found no source of events, expected at least one"
    yield from _contract(config)
    yield from identity_findings(config)
    yield from criteria_findings(config, names)
    for i, segmentation in enumerate(config.segmentations):
        yield from segmentation_findings(segmentation, f"segmentations[{i}]", config, names)
    yield from prediction_findings(config)
    yield from campaign_findings(config, names)


def _names(config: ProjectConfig) -> Iterator[Finding]:
    lists = {
        "sources": [source.name for source in config.sources],
        "contract.rules": [rule.name for rule in config.contract.rules],
        "segmentations": [segmentation.name for segmentation in config.segmentations],
    }
    for section, names in lists.items():
        for i, first in known.repeated(names).items():
            message = f"found {found(names[i])}, which {section}[{first}] is named, expected another name"
            yield f"{section}[{i}].name", message


def _contract(config: ProjectConfig) -> Iterator[Finding]:
    contract = config.contract
    if not contract.earliest < contract.latest:
        yield "contract.earliest", f"found {contract.earliest}, expected a date before latest ({contract.latest})"
    sources = [source.name for source in config.sources]
    for i, rule in enumerate(contract.rules):
        path = f"contract.rules[{i}]"
        if rule.name in known.REASONS:
            yield f"{path}.name", f"found {rule.name}, a reason of the contract itself, expected another name"
        for message in expressions.faults(rule.sql, boolean=True):
            yield f"{path}.sql", message
        if rule.sources == []:
            yield f"{path}.sources", "found an empty list, expected at least one source; leave it out for all"
        for j, name in enumerate(rule.sources or ()):
            if name not in sources:
                message = f"found {found(name)}, expected one of the sources {listed(sources)}"
                yield f"{path}.sources[{j}]", message + did_you_mean(name, sources)
