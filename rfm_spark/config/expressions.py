"""The SQL of a project file, parsed without Spark: does it parse, is it a scalar, which columns does it name.

Every expression of a project is judged row by row and gives the same answer on any day, so aggregates, windows,
subqueries, the clock and chance are refused here, before Spark would accept or misread them.
"""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from rfm_spark.config.words import found, without_secrets

DIALECT = "spark"


class SqlFault(ValueError):
    """Why an expression is refused, in words."""


_CLOCK = "it reads the clock, and as_of is an argument; use a fixed date, or snapshot_date in criteria and segments"
_CHANCE = "it gives another answer each time; the same input must give the same tables"
_SESSION = "it depends on who runs the job and where; the same input must give the same tables"
_AGGREGATE = "it is an aggregate, and each row is judged by itself; use a column that is already aggregated"
_WINDOW = "it needs other rows, and each row is judged by itself"
_GENERATOR = "it makes several rows of one"
_CODE = "it calls other code"

_NODES: tuple[tuple[tuple[type[exp.Expr], ...], str], ...] = (
    ((exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime, exp.Localtimestamp), _CLOCK),
    ((exp.Rand, exp.Randn, exp.Uuid, exp.Shuffle), _CHANCE),
    ((exp.CurrentUser, exp.CurrentTimezone), _SESSION),
    ((exp.Window, exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile), _WINDOW),
    ((exp.Lag, exp.Lead), _WINDOW),
    ((exp.AggFunc, exp.AnyValue), _AGGREGATE),
    ((exp.UDTF, exp.Explode, exp.Inline, exp.Stack), _GENERATOR),
)
_FUNCTIONS = {
    _CLOCK: "now curdate current_date current_timestamp current_time localtimestamp getdate",
    _CHANCE: "random uuid randstr uniform monotonically_increasing_id",
    _SESSION: "current_user session_user user current_catalog current_database current_schema current_timezone "
    "spark_partition_id input_file_name input_file_block_start input_file_block_length version",
    _AGGREGATE: "try_sum try_avg std histogram_numeric count_min_sketch mean percentile approx_percentile some every "
    "grouping_id schema_of_json_agg bitmap_construct_agg bitmap_or_agg hll_sketch_agg hll_union_agg mode listagg",
    _CODE: "java_method reflect try_reflect ai_query http_request",
}
_FORBIDDEN = {name: why for why, names in _FUNCTIONS.items() for name in names.split()}
_BARE_CLOCK = {"localtimestamp", "current_time"}
# texts that stand for a time of the clock where a date or time is wanted, a zone behind them or not
_CLOCK_WORD = re.compile(r"\s*(now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE)
_IN_ZONES = (exp.FromTimeZone, exp.AtTimeZone)  # to_utc_timestamp, from_utc_timestamp
_OF_TIMES = (
    exp.TsOrDsToDate, exp.TimeStrToTime, exp.TsOrDsAdd, exp.TsOrDsDiff, exp.DateAdd, exp.DateSub, exp.DateDiff,
    exp.MonthsBetween, exp.AddMonths, exp.LastDay, exp.NextDay, exp.DateTrunc, exp.TimestampTrunc, exp.TimestampDiff,
    exp.TimestampAdd, exp.Extract, exp.Year, exp.Quarter, exp.Month, exp.Week, exp.Day, exp.Hour, exp.Minute,
    exp.Second, exp.UnixDate, exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros, exp.TimeToStr, *_IN_ZONES,
)  # fmt: skip
_ORDERS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.Add, exp.Sub)  # of texts they mean nothing here
_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In)
_KEYWORDS = ("and", "or", "not", "between", "in", "is", "like", "null", "case", "when", "then", "else", "end")


@lru_cache(maxsize=1024)
def parse(sql: str) -> exp.Expr:
    """The expression as a tree; it is shared, so it must not be changed.

    Raises: SqlFault where it does not parse, with the place in words, or is more than an expression.
    """
    try:
        tree = sqlglot.parse_one(sql, read=DIALECT)
    except ParseError as error:
        raise SqlFault(_explain(sql, error)) from None
    except SqlglotError:
        quote = next((q for q in "'\"`" if sql.count(q) % 2), "a quote")
        raise SqlFault(f"does not parse: {quote} is opened and not closed") from None
    except RecursionError:
        raise SqlFault("does not parse: it is nested too deeply") from None
    if isinstance(tree, exp.Alias):
        name = tree.alias
        near = _near_keyword(sql, name)
        raise SqlFault(f"does not parse as one expression: `{name}` reads as a new name{near}")
    if isinstance(tree, exp.Query) or not isinstance(tree, (exp.Condition, exp.Interval, *_IN_ZONES)):
        raise SqlFault("is a statement, expected one expression over columns")
    try:
        return tree.transform(_positive)
    except RecursionError:
        raise SqlFault("does not parse: it is nested too deeply") from None


def _positive(node: exp.Expr) -> exp.Expr:
    """`x not like y` as `not (x like y)`, as all other negations are."""
    if node.args.get("negate"):
        node.set("negate", None)
        return exp.Not(this=node)
    return node


def _explain(sql: str, error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    word, column = str(first.get("highlight") or ""), int(first.get("col") or 0)
    if not word:
        return "does not parse: found no expression"
    line = int(first.get("line") or 1)
    place = f"character {max(column - len(word) + 1, 1)}{f' of its line {line}' if chr(10) in sql.strip() else ''}"
    description = str(first.get("description") or "")
    if "Required keyword" in description:
        return f"does not parse: something is missing after `{word}` at {place}"
    if "Expecting )" in description:
        return f"does not parse: a `(` is not closed at `{word}`, {place}"
    before = str(first.get("start_context") or "").split()
    return f"does not parse: `{word}` at {place} is not expected{_near_keyword(sql, before[-1] if before else '')}"


def _near_keyword(sql: str, after: str) -> str:
    """A hint where a word is nearly a keyword, such as `andd`."""
    for word in [after, *re.findall(r"[A-Za-z_]+", sql)]:
        near = difflib.get_close_matches(word.lower(), _KEYWORDS, n=1, cutoff=0.66 if word == after else 0.75)
        if near and word.lower() not in _KEYWORDS and len(word) > 2:
            return f"; did you mean `{near[0]}` for `{word}`?"
    return ""


def faults(sql: str, boolean: bool = False) -> list[str]:
    """Everything that is wrong with an expression by itself; with `boolean` it must be a condition."""
    try:
        tree = parse(sql)
    except SqlFault as fault:
        return [f"found {shown(sql)}, expected SQL; it {fault}"]
    messages = [f"found {what} in {shown(sql)}, expected SQL over one row: {why}" for what, why in _refused(tree)]
    if boolean and not messages and not _is_condition(tree):
        messages.append(f"found {shown(sql)}, expected a condition that is true or false")
    return list(dict.fromkeys(messages))


def shown(sql: str) -> str:
    """The expression as a message quotes it."""
    text = without_secrets(" ".join(sql.split()))
    return f"`{text[:77]}…`" if len(text) > 80 else f"`{text}`"


def names(sql: str) -> set[str]:
    """The columns that an expression names, in lower case; of a.b, a struct's field, it is a.

    Raises: SqlFault where it does not parse.
    """
    return {name_of(column) for column in parse(sql).find_all(exp.Column)}


def name_of(column: exp.Expr) -> str:
    """The name of a column in lower case, as Spark resolves it."""
    assert isinstance(column, exp.Column)
    return column.parts[0].name.lower()


def unwrapped(tree: exp.Expr) -> exp.Expr:
    """The expression without the parentheses around it."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree


def _refused(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    for node in tree.walk():
        if isinstance(node, exp.Query):
            yield "a subquery", _WINDOW
        elif isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            yield "`*`", "name the column"
        else:
            why = _why_refused(node)
            if why:
                yield _call(node), why


def _why_refused(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Anonymous):
        return _FORBIDDEN.get(str(node.this).lower())
    if isinstance(node, exp.Column) and node.name.lower() in _BARE_CLOCK and len(node.parts) == 1:
        return _CLOCK
    if isinstance(node, exp.Literal) and node.is_string and _CLOCK_WORD.match(node.name) and _is_read_as_time(node):
        return _CLOCK
    return next((why for kinds, why in _NODES if isinstance(node, kinds)), None)


def _is_read_as_time(text: exp.Expr) -> bool:
    """Whether a text, or what is made of it without a column, becomes a date or time."""
    node = text
    while node.parent is not None and not node.find(exp.Column):
        node = node.parent
        if _makes_time(node) or isinstance(node, _ORDERS):
            return True
        if isinstance(node, _EQUALITIES):
            return any(map(_is_time, node.iter_expressions()))
    return False


def _makes_time(node: exp.Expr) -> bool:
    if isinstance(node, exp.Cast):
        return node.to.is_type(*exp.DataType.TEMPORAL_TYPES)
    if isinstance(node, exp.Anonymous):
        return re.search("date|day|time|month", str(node.this), re.IGNORECASE) is not None
    return isinstance(node, _OF_TIMES)


def takes_as_utc(sql: str) -> bool:
    """Whether an expression makes an instant of what may be the text of a local time, and is told no zone."""
    return any(_is_instant(node) and not node.find_ancestor(exp.FromTimeZone) for node in parse(sql).walk())


def _is_instant(node: exp.Expr) -> bool:
    if isinstance(node, exp.Cast):
        return node.to.is_type(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ)
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in ("try_to_timestamp", "to_timestamp_ltz")
    return isinstance(node, exp.StrToTime | exp.TimestampFromParts)


def _is_time(node: exp.Expr) -> bool:
    node = unwrapped(node)
    return name_of(node).endswith(("_date", "_ts")) if isinstance(node, exp.Column) else _makes_time(node)


def _call(node: exp.Expr) -> str:
    if isinstance(node, exp.Window):
        return "a window (over …)"
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Literal):
        return found(node.name)
    return f"{node.name if isinstance(node, exp.Anonymous) else node.sql(dialect=DIALECT).split('(')[0].lower()}()"


_NO_CONDITION = (exp.Literal, exp.Null, exp.Neg, exp.Concat, exp.DPipe, exp.Interval)


def _is_condition(tree: exp.Expr) -> bool:
    tree = unwrapped(tree)
    if isinstance(tree, exp.And | exp.Or):
        return all(_is_condition(part) for part in tree.flatten())
    if isinstance(tree, exp.Not):
        return _is_condition(tree.this)
    if isinstance(tree, exp.Binary) and not isinstance(tree, exp.Predicate | exp.Connector | exp.Dot):
        return isinstance(tree, exp.Func)
    return not isinstance(tree, _NO_CONDITION)


def unknown_names(sql: str, known: set[str]) -> list[str]:
    """The names in an expression that are none of the known ones, sorted; none where it does not parse."""
    try:
        return sorted(names(sql) - known - _BARE_CLOCK)
    except SqlFault:
        return []
