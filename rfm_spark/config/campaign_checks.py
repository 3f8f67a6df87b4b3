"""What is wrong with campaigns although their shape is right."""

import re
from collections.abc import Iterator

from rfm_spark.config import expressions, messages
from rfm_spark.config.campaigns import GLOBAL_HOLDOUT, HOLDOUT, Assignment, Campaign, Export
from rfm_spark.config.database_checks import option_findings, url_findings
from rfm_spark.config.known import attributes, metrics, repeated
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.patterns import type_fault
from rfm_spark.config.words import Finding, did_you_mean, found, listed, near
from rfm_spark.schemas import AUDIENCES

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_ASSIGNED = ("source_customer_id", "group")


def campaign_findings(config: ProjectConfig, names: bool) -> Iterator[Finding]:
    """Path and message of every fault of the campaigns; with `names`, unknown names too."""
    given = [campaign.name for campaign in config.campaigns]
    for i, first in repeated(given).items():
        yield (
            f"campaigns[{i}].name",
            f"found {found(given[i])}, which campaigns[{first}] is named, expected another name",
        )
    places: dict[str, str] = {}
    for i, campaign in enumerate(config.campaigns):
        path = f"campaigns[{i}]"
        if campaign.name.casefold() == GLOBAL_HOLDOUT:
            yield f"{path}.name", f"found {campaign.name}, expected another name: it stands for all campaigns at once"
        yield from _required(campaign, path)
        yield from _money(campaign, path)
        yield from _message(campaign, path, config, names)
        yield from _times(campaign, path)
        yield from _assignment(campaign, path)
        yield from _exports(campaign, path, places)
        if names:
            yield from _segments(campaign, path, config)
            yield from _names(campaign, path, config)


def campaign_warnings(config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of what is allowed and probably not meant."""
    kinds = {source.kind for source in config.sources}
    for i, campaign in enumerate(config.campaigns):
        path = f"campaigns[{i}]"
        if campaign.assignment is not None:
            continue
        if "consent" not in kinds:
            yield path, "found no source with kind: consent, and unknown means no: nobody will be contacted"
        if campaign.drawn_share == 0:
            yield f"{path}.holdout_share", "found 0: without a holdout its effect cannot be measured"
        if campaign.repeat is not None and campaign.repeat.every_days < campaign.success.window_days:
            yield (
                f"{path}.repeat.every_days",
                f"found {campaign.repeat.every_days}, less than the {campaign.success.window_days} days of "
                "success.window_days: a wave replaces the one before it while that is still measured",
            )
    salts = [campaign.key for campaign in config.campaigns if campaign.assignment is None]
    for i, first in repeated(salts).items():
        yield f"campaigns[{i}].salt", f"found the salt of campaigns[{first}]: the same people are held out of both"


def template_fields(config: ProjectConfig) -> set[str]:
    """What a message may name: attributes, metrics, the segment, and extra columns of the last purchase."""
    return {*attributes(config), *metrics(config), "segment", *last_fields(config)}


def last_fields(config: ProjectConfig) -> dict[str, str]:
    """Field of a message: the extra column of events that it is the last purchase's value of."""
    extras = (
        name
        for source in config.event_sources()
        if source.event_type is not None and "purchase" in source.event_type.possible()
        for name in source.extra_columns
    )
    return {f"last_{name}": name for name in extras}


def _required(campaign: Campaign, path: str) -> Iterator[Finding]:
    if campaign.assignment is not None:
        return
    for name, what in (("segments", "{segmentation: [segments]}"), ("channel", "such as email"), ("message", "a text")):
        if not getattr(campaign, name):
            yield f"{path}.{name}", f"missing; found none, expected {what}; or an assignment, to measure what was sent"
    for name in campaign.segments:
        if not campaign.segments[name]:
            yield f"{path}.segments.{name}", "found an empty list, expected at least one segment"


def _money(campaign: Campaign, path: str) -> Iterator[Finding]:
    if round(campaign.cost_per_contact, 4) != campaign.cost_per_contact:
        yield f"{path}.cost_per_contact", f"found {campaign.cost_per_contact}, expected at most four decimals"
    if campaign.budget is not None and campaign.budget < campaign.cost_per_contact:
        message = f"found {campaign.budget:g}, expected at least cost_per_contact ({campaign.cost_per_contact:g})"
        yield f"{path}.budget", f"{message}: it pays for nobody"


def _segments(campaign: Campaign, path: str, config: ProjectConfig) -> Iterator[Finding]:
    known = {segmentation.name: segmentation for segmentation in config.segmentations}
    if len(campaign.segments) > 1:
        yield (
            f"{path}.segments",
            f"found {len(campaign.segments)} segmentations, expected one: a person is in one segment",
        )
    for name, wanted in campaign.segments.items():
        where = f"{path}.segments.{name}"
        if name not in known:
            yield where, f"found {found(name)}, expected a segmentation: {listed(known)}{did_you_mean(name, known)}"
            continue
        there = [segment.name for segment in known[name].segments]
        for j, segment in enumerate(wanted):
            if segment not in there:
                message = f"found {found(segment)}, expected a segment of {name}: {listed(there)}"
                yield f"{where}[{j}]", message + did_you_mean(segment, there)
        for j in repeated(wanted):
            yield f"{where}[{j}]", f"found {wanted[j]} twice, expected each segment once"


def _names(campaign: Campaign, path: str, config: ProjectConfig) -> Iterator[Finding]:
    known = attributes(config)
    if campaign.zone is not None and campaign.zone not in known:
        message = (
            f"found {campaign.zone}, expected an attribute of a profile source: {listed(known) or 'there is none'}"
        )
        yield f"{path}.zone", message + did_you_mean(campaign.zone, known)
    lists = [source.name for source in config.sources if source.kind == "exclusion"]
    for j, name in enumerate(campaign.exclude):
        if name not in lists:
            message = f"found {found(name)}, expected a source with kind: exclusion: {listed(lists) or 'there is none'}"
            yield f"{path}.exclude[{j}]", message + did_you_mean(name, lists)


def _message(campaign: Campaign, path: str, config: ProjectConfig, names: bool) -> Iterator[Finding]:
    if campaign.message is None:
        return
    wrong = list(dict.fromkeys(messages.faults(campaign.message)))
    for message in wrong:
        yield f"{path}.message", message
    known = template_fields(config)
    for field in messages.fields(campaign.message) if names and not wrong else ():
        if field not in known:
            hint = did_you_mean(field, sorted(known)) or f": {listed(sorted(known), 40)}"
            yield f"{path}.message", f"found the field {field}, expected an attribute, a metric or segment{hint}"


def _times(campaign: Campaign, path: str) -> Iterator[Finding]:
    quiet, repeat = campaign.quiet_hours, campaign.repeat
    if quiet is not None and quiet.from_ == quiet.to:
        yield f"{path}.quiet_hours", f"found from and to both {quiet.to}, expected a span, which may go over midnight"
    if repeat is not None and repeat.until is not None and repeat.until < campaign.start:
        yield f"{path}.repeat.until", f"found {repeat.until}, expected a date from the start ({campaign.start}) on"


def _assignment(campaign: Campaign, path: str) -> Iterator[Finding]:
    given, path = campaign.assignment, f"{path}.assignment"
    if given is None:
        return
    yield from _place(given, path)
    yield from _assigned_columns(given, path)
    yield from _arms(given, path)
    for column, type_ in given.types.items():
        if message := type_fault(type_):
            yield f"{path}.types.{column}", message
    if campaign.export:
        yield f"{path.removesuffix('.assignment')}.export", "found export with an assignment, expected one of them"


def _assigned_columns(given: Assignment, path: str) -> Iterator[Finding]:
    extras = [name for name in given.columns if name not in _ASSIGNED]
    for name in _ASSIGNED:
        if name not in given.columns:
            meant = near(name, extras)
            hint = f"; did you mean it by {meant}?" if meant else ""
            yield f"{path}.columns.{name}", f"missing; found {listed(given.columns) or 'none'}, expected {name}{hint}"
    for name in extras:
        yield f"{path}.columns.{name}", f"found {name}, expected {listed(_ASSIGNED)}{did_you_mean(name, _ASSIGNED)}"
    for name, expression in given.columns.items():
        for message in expressions.faults(expression.sql) if expression.sql else ():
            yield f"{path}.columns.{name}.sql", message


def _arms(given: Assignment, path: str) -> Iterator[Finding]:
    for j in repeated(given.arms):
        yield f"{path}.arms[{j}]", f"found {given.arms[j]} twice, expected each group once"
    for j, arm in enumerate(given.arms):
        if arm.casefold() == HOLDOUT:
            yield f"{path}.arms[{j}]", f"found {arm}, which is always the group that was not treated"


def _place(given: Assignment, path: str) -> Iterator[Finding]:
    wanted, other = ("table", "path") if given.format == "table" else ("path", "table")
    if getattr(given, wanted) is None:
        yield f"{path}.{wanted}", f"missing; found format: {given.format}, expected {wanted}: where its rows are"
    if getattr(given, other) is not None:
        yield f"{path}.{other}", f"found {other} with format: {given.format}, expected only {wanted}"


def _exports(campaign: Campaign, path: str, places: dict[str, str]) -> Iterator[Finding]:
    for j, export in enumerate(campaign.export):
        where = f"{path}.export[{j}]"
        yield from _export(export, where)
        if export.path and (first := places.setdefault(export.path.rstrip("/"), where)) != where:
            yield f"{where}.path", f"found the path of {first}, expected a place of its own"


def _export(export: Export, path: str) -> Iterator[Finding]:
    of_database = export.format == "jdbc"
    of_files, of_tables = ["path"], ["url", "table"]
    for name in of_tables if of_database else of_files:
        if getattr(export, name) is None:
            yield f"{path}.{name}", f"missing; found format: {export.format}, expected {name}: where the rows go"
    for name in of_files if of_database else [*of_tables, "user", "password"]:
        if getattr(export, name) is not None:
            yield f"{path}.{name}", f"found {name} with format: {export.format}, expected none"
    if of_database:
        yield from _table_export(export, path)
    elif export.path and export.format != "delta" and _URL.match(export.path) and not export.path.startswith("file:"):
        yield f"{path}.path", f"found a URL with format: {export.format}, expected a folder; or format: delta"
    yield from _exported_columns(export, path)


def _exported_columns(export: Export, path: str) -> Iterator[Finding]:
    known = AUDIENCES.column_names()
    for theirs, ours in export.columns.items():
        if ours not in known:
            message = f"found {ours}, expected a column of audiences: {listed(known)}"
            yield f"{path}.columns.{theirs}", message + did_you_mean(ours, known)
    for theirs in [theirs for i, theirs in enumerate(export.columns) if i in repeated(export.columns)]:
        yield f"{path}.columns.{theirs}", f"found {theirs} twice, expected each name once, whatever its capitals"


def _table_export(export: Export, path: str) -> Iterator[Finding]:
    if export.url is not None:
        yield from url_findings(export.url, f"{path}.url")
    yield from option_findings(export.options, f"{path}.options")
    if export.columns and "customer_key" not in export.columns.values():
        yield f"{path}.columns", "found no customer_key, expected it under a name: it is the key of the table"
    if export.differences:
        yield (
            f"{path}.differences",
            "found true with format: jdbc, expected none: rows are replaced in one transaction",
        )
