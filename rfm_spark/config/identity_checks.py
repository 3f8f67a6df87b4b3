"""What is wrong with the ids of sources and with the section `identity` although their shape is right."""

import re
import warnings
from collections.abc import Iterator

from rfm_spark.config.identity import OWN_ID, Identity, IdType, Survivorship
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.config.words import Finding, did_you_mean, found, listed, near

# Java's, Python's and Rust's regular expressions agree but for these
_UNPORTABLE = re.compile(r"\(\?(<?[=!]|P|>|\(|[a-z]*[aLu])|(?<!\\)(\\\\)*(\\[1-9NZ]|\{(?!\d+(,\d*)?\}))|[*+?}]\+")
_SETS = re.compile(r"(\\.)|\[\^?\]?(\\.|[^\]\\])*\]")  # where all but a few characters stand for themselves


def id_findings(source: Source, path: str, config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of every fault of one source's `ids`."""
    if source.ids and source.kind == "rates":
        yield f"{path}.ids", "found ids with kind: rates, expected them with kind: events or profile"
    types = list(config.identity.ids) if config.identity else []
    for name in source.ids:
        if name == OWN_ID:
            yield f"{path}.ids.{name}", f"found {name}, which every row has by columns, expected another id type"
        elif config.identity is None:
            yield (
                f"{path}.ids.{name}",
                f"found the id type {name} and no section identity, expected identity: {{ids: {{{name}: {{}}}}}}",
            )
        elif name not in types:
            message = f"found the id type {name}, expected one of identity.ids: {listed(types)}"
            yield f"{path}.ids.{name}", message + did_you_mean(name, types)


def identity_findings(config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of every fault of the section `identity`."""
    if config.identity is None:
        return
    for name, id_type in config.identity.ids.items():
        yield from _id_type(name, id_type, f"identity.ids.{name}")
    for i, pattern in enumerate(config.identity.blocked.patterns):
        if message := _pattern_fault(pattern):
            yield f"identity.blocked.patterns[{i}]", message
    attributes = list(dict.fromkeys(name for source in config.sources for name in source.attributes))
    for name, survivorship in config.identity.survivorship.items():
        yield from _survivorship(name, survivorship, attributes, config)
    yield from _probabilistic(config.identity, attributes)


_OF_OTHERS = ("profile", "consent", "suppression", "exclusion")  # kinds that say something of people of other sources


def identity_warnings(config: ProjectConfig) -> Iterator[Finding]:
    """Path and message of what is allowed and probably not meant."""
    if config.identity is None:
        return
    used = {name for source in config.sources for name in source.ids}
    for name in config.identity.ids:
        if name not in used:
            yield f"identity.ids.{name}", "no source has ids of this type under its ids, so it joins nobody"
    by_ids = set(_OF_OTHERS)
    if config.identity.probabilistic is not None:
        by_ids.remove("profile")  # whose attributes tell of people, too
    for i, source in enumerate(config.sources):
        shared = {name for other in config.sources if other is not source for name in other.ids}
        if source.kind in by_ids and not shared & source.ids.keys():
            told = "has no id type in common with another source, so it reaches nobody that the others know"
            yield f"sources[{i}].ids", f"{source.kind} source {source.name} {told}"


def _id_type(name: str, id_type: IdType, path: str) -> Iterator[Finding]:
    if name == OWN_ID:
        yield path, f"found {name}, which is of each source a type of its own, expected another name"
    for option, normaliser in (("region", "phone"), ("plus_addressing", "email")):
        if option in id_type.model_fields_set and id_type.normalise != normaliser:
            message = f"found {option} with normalise: {id_type.normalise}, expected it with normalise: {normaliser}"
            yield f"{path}.{option}", message
    fault = _region_fault(id_type.region) if id_type.region is not None and id_type.normalise == "phone" else None
    if fault:
        yield f"{path}.region", fault


def _region_fault(region: str) -> str | None:
    expected = "expected a country of two capitals such as GB or DE"
    if not re.fullmatch("[A-Z]{2}", region):
        upper = region.upper()
        return f"found {found(region)}, {expected}" + (f"; did you mean {upper}?" if len(region) == 2 else "")
    try:
        from phonenumbers import SUPPORTED_REGIONS
    except ImportError:
        return None  # a run says what is to be installed
    if region in SUPPORTED_REGIONS:
        return None
    meant = {"UK": "GB", "EN": "GB", "EL": "GR"}.get(region) or near(region, SUPPORTED_REGIONS)
    return f"found {region}, which has no telephone numbers, {expected}" + (f"; did you mean {meant}?" if meant else "")


def _pattern_fault(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # of sets within sets
            re.compile(pattern)
    except (re.error, FutureWarning) as error:
        return f"found {found(pattern)}, expected a regular expression: {error}"
    if _UNPORTABLE.search(_SETS.sub(lambda one: one[1] or "x", pattern)):
        return (
            f"found {found(pattern)}, expected a regular expression without look-around, back-references, possessive "
            "repeats, flags of Python, \\N, \\Z and a { that begins no repeat, which not every engine knows"
        )
    return None


def _survivorship(
    name: str, survivorship: Survivorship, attributes: list[str], config: ProjectConfig
) -> Iterator[Finding]:
    path = f"identity.survivorship.{name}"
    if name not in attributes:
        yield path, _no_attribute(name, attributes)
    if survivorship.sources is not None and survivorship.rule != "source_priority":
        message = f"found sources with rule: {survivorship.rule}, expected them with rule: source_priority"
        yield f"{path}.sources", message
    known = [source.name for source in config.sources if source.kind == "profile"]
    for i, source in enumerate(survivorship.sources or ()):
        if source not in known:
            message = f"found {found(source)}, expected one of the profile sources {listed(known)}"
            yield f"{path}.sources[{i}]", message + did_you_mean(source, known)


def _probabilistic(identity: Identity, attributes: list[str]) -> Iterator[Finding]:
    if identity.probabilistic is None:
        return
    compared = identity.probabilistic.compare
    for name in compared:
        if name not in attributes:
            yield f"identity.probabilistic.compare.{name}", _no_attribute(name, attributes)
    for i, names in enumerate(identity.probabilistic.block_on or ()):
        if not names:
            yield f"identity.probabilistic.block_on[{i}]", "found an empty list, expected at least one attribute"
        for j, name in enumerate(names):
            if name not in compared:
                message = f"found {name}, expected one of compare: {listed(compared)}"
                yield f"identity.probabilistic.block_on[{i}][{j}]", message + did_you_mean(name, compared)


def _no_attribute(name: str, attributes: list[str]) -> str:
    known = listed(attributes) or "none is declared"
    return f"found {name}, expected an attribute of a profile source: {known}" + did_you_mean(name, attributes)
