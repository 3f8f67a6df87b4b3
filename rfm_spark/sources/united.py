"""Files whose columns differ in type as one frame, in which each row is what it is where its file is read alone."""

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.source import Source
from rfm_spark.errors import InputError
from rfm_spark.sources.columns import place
from rfm_spark.sql import as_text, quoted, union

_WIDENED = "rfm_spark.widened"
_WHOLE = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}  # the digits that each holds


def united(source: Source, frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of all frames, their columns by name; one that a frame lacks is null there.

    Rules: a column of which a frame has no value is of any type. Of whole numbers the widest type is all rows'. Where
        other numbers differ the column is text, as its own type writes each row's, so that neither an id nor the
        identity of a row depends on what it is read beside; `widened` tells SQL the type that holds them all.
    Raises: InputError for other types that differ.
    """
    if len(frames) == 1:
        return frames[0]
    names = {field.name.lower(): field.name for frame in reversed(frames) for field in frame.schema}
    own = [{field.name.lower(): field.dataType for field in frame.schema} for frame in frames]
    targets, told, refused = dict[str, T.DataType](), dict[str, str](), []
    for name, shown in names.items():
        types = [each.get(name, T.NullType()) for each in own]
        if len({each[name] for each in own if name in each}) == 1:
            continue
        common = common_type(types)
        if common is None:
            having = [_has_value(frame, name) for frame in frames]
            common = common_type([type_ if has else T.NullType() for type_, has in zip(types, having, strict=True)])
        if common is None:
            one, other = [type_.simpleString() for type_ in dict.fromkeys(types) if type_ != T.NullType()][:2]
            refused.append(f"{shown} is {one} and {other}")
        elif _all_text(common, types):
            targets[name], told[shown] = T.StringType(), common.simpleString()
        else:
            targets[name] = common
    if refused:
        where = f"the files of {place(source)} differ in type"
        raise InputError(f"source {source.name}: {where}: {', '.join(refused)}; make them one type")
    whole = union(_cast(frame, types, targets) for frame, types in zip(frames, own, strict=True))
    columns = ((name, F.col(quoted(name))) for name in whole.columns)
    return whole.select(*(c.alias(name, metadata={_WIDENED: told[name]}) if name in told else c for name, c in columns))


def widened(field: T.StructField) -> str | None:
    """The type of a column that is text only since its files differ, or None."""
    return field.metadata.get(_WIDENED)


def fitted(frame: DataFrame, name: str, type_: str) -> Column | None:
    """A column as a type that holds every value of it, by its own type or since there is none; else None."""
    nothing = F.lit(None).cast(type_)
    wanted = frame.select(nothing).schema[0].dataType
    if common_type([frame.schema[name].dataType, wanted]) == wanted:
        return F.col(quoted(name)).cast(type_)
    return None if _has_value(frame, name) else nothing


def common_type(types: Iterable[T.DataType]) -> T.DataType | None:
    """The type that holds the values of all; None where there is none but text."""
    distinct = {type_.simpleString(): type_ for type_ in types if type_ != T.NullType()}
    if len(distinct) < 2:
        return next(iter(distinct.values()), T.StringType())
    if not all(isinstance(type_, T.NumericType) for type_ in distinct.values()):
        return None
    if all(name in _WHOLE for name in distinct):
        return distinct[max(distinct, key=lambda name: _WHOLE[name])]
    decimals = [type_ for type_ in distinct.values() if isinstance(type_, T.DecimalType)]
    scale = max((type_.scale for type_ in decimals), default=0)
    digits = max([type_.precision - type_.scale for type_ in decimals] + [_WHOLE.get(name, 0) for name in distinct])
    exact = all(name in _WHOLE or isinstance(type_, T.DecimalType) for name, type_ in distinct.items())
    return T.DecimalType(digits + scale, scale) if exact and digits + scale <= 38 else T.DoubleType()


def _all_text(common: T.DataType, types: Iterable[T.DataType]) -> bool:
    """Whether numbers differ in how they are written."""
    others = [type_ for type_ in types if isinstance(type_, T.NumericType) and type_ != common]
    return isinstance(common, T.FractionalType) and bool(others)


def _has_value(frame: DataFrame, name: str) -> bool:
    known = {column.lower(): column for column in frame.columns}
    return name in known and not frame.filter(F.col(quoted(known[name])).isNotNull()).isEmpty()


def _cast(frame: DataFrame, types: Mapping[str, T.DataType], targets: Mapping[str, T.DataType]) -> DataFrame:
    """The columns as their targets; one that neither is of its target nor a number has no value."""

    def cast(name: str) -> Column:
        column, is_, target = F.col(quoted(name)), types[name.lower()], targets.get(name.lower())
        if target is None or is_ == target:
            return column
        if not isinstance(is_, T.NumericType):
            return F.lit(None).cast(target).alias(name)
        return (as_text(frame, column, is_) if target == T.StringType() else column.cast(target)).alias(name)

    return frame.select(*map(cast, frame.columns))
