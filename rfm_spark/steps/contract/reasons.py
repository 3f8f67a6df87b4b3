"""Why a row does not meet the contract, whatever its kind: {name: the condition under which it has that reason}.

What is costly to tell (was the text blank, was it a number?) is asked only of rows whose parsed value is null.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.contract import Rule
from rfm_spark.config.expressions import SqlFault
from rfm_spark.config.models import ProjectConfig
from rfm_spark.config.source import Source
from rfm_spark.errors import ConfigError, Fault
from rfm_spark.sql import quoted, type_of
from rfm_spark.steps.contract import values

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_SEPARATOR = "\x1f"
TIME_OUT_OF_RANGE = "time_out_of_range"


def that_hold(parsed: DataFrame, reasons: dict[str, Column]) -> Column:
    """The names of all reasons that hold, sorted."""
    faults = {
        name.removeprefix("_fault:"): F.col(quoted(name)) for name in parsed.columns if name.startswith("_fault:")
    }
    for name in faults.keys() & reasons.keys():  # a source's column may be named as a canonical one is
        faults[name] = F.coalesce(faults[name], F.lit(False)) | F.coalesce(reasons[name], F.lit(False))
    names = [F.when(condition, F.lit(name)) for name, condition in sorted((reasons | faults).items())]
    text = F.concat_ws(_SEPARATOR, *names)
    return F.when(text == "", F.array().cast("array<string>")).otherwise(F.split(text, _SEPARATOR))


def blank(name: str) -> Column:
    """Whether nothing is written in a cell."""
    return F.coalesce(values.trimmed(F.col(name)), F.lit("")) == ""


def is_number(name: str) -> Column:
    """Whether a cell is written as a number, however large."""
    return F.coalesce(F.col(name).cast("string").rlike(_NUMBER), F.lit(False))


def of_time(config: ProjectConfig) -> dict[str, Column]:
    """No time, none that can be read, or one out of the contract's range."""
    contract, missing = config.contract, F.col("event_ts").isNull()
    return {
        "missing_time": missing & blank("c_event_ts"),
        "unparseable_time": missing & ~blank("c_event_ts"),
        TIME_OUT_OF_RANGE: ~F.col("event_date").between(F.lit(contract.earliest), F.lit(contract.latest)),
    }


def of_shape(parsed: DataFrame, source: Source) -> dict[str, Column]:
    """A row that did not parse as its format, or that was not text in the file's encoding."""
    if source.format not in ("csv", "json"):
        return {}
    raw = parsed.schema["_raw"].dataType
    assert isinstance(raw, T.StructType)
    texts = [F.col(f"_raw.{quoted(field.name)}") for field in raw if isinstance(field.dataType, T.StringType)]
    corrupt = "_corrupt_record" in raw.fieldNames()
    return {
        "malformed_row": F.col("_raw._corrupt_record").isNotNull() if corrupt else F.lit(False),
        "undecodable_text": F.concat_ws("", *texts).contains("\ufffd"),
    }


def of_rules(parsed: DataFrame, config: ProjectConfig, source: Source) -> dict[str, Column]:
    """The user's own rules; those without `sources` hold for every source of events. Raises: ConfigError."""
    own = [source.name] if source.kind == "events" else []
    rules = {i: rule for i, rule in enumerate(config.contract.rules) if source.name in (rule.sources or own)}
    faults = [fault for i, rule in rules.items() for fault in _rule_faults(parsed, i, rule, source)]
    if faults:
        raise ConfigError(faults)
    return {rule.name: ~F.coalesce(F.expr(rule.sql), F.lit(False)) for rule in rules.values()}


def _rule_faults(parsed: DataFrame, i: int, rule: Rule, source: Source) -> list[Fault]:
    path = f"contract.rules[{i}].sql"
    try:
        found = type_of(parsed, rule.sql)
    except SqlFault as fault:
        hint = "; where the rule is not for this source, name its sources" if rule.sources is None else ""
        return [Fault(path, f"rule {rule.name} does not fit source {source.name}: {fault}{hint}")]
    if isinstance(found, T.BooleanType | T.NullType):
        return []
    return [Fault(path, f"rule {rule.name} gives {found.simpleString()}, expected a condition that is true or false")]
