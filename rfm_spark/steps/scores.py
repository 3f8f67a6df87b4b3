"""Scores: 1..n for each criterion, higher always better, equal values always equal scores."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.cuts import Cuts
from rfm_spark.local import local_frame
from rfm_spark.order_statistics import ALL, cleaned, group_column


def score_all(frame: DataFrame, cuts: Mapping[str, Cuts]) -> DataFrame:
    """The same customers with one column a criterion, named as the criterion, holding its score.

    Reads: one row a customer with its metrics, attributes and own criteria; the cuts of each criterion.
    Returns: all columns and the scores 1..bins. A criterion that is SQL has its value under the same name; it moves to
        `<name>_value`.
    Rules: as `score`; a customer whose group has no cuts scores 1.
    No shuffle: cuts are literals, or where they are grouped a broadcast table of them.
    """
    scores: dict[str, Column] = {}
    joined_frame = frame
    for name, one in cuts.items():
        values: list[Column | float]
        if one.group_by is None:
            values = list(one.by_group.get(ALL, ())) or [F.lit(None).cast("double")] * (one.bins - 1)
        else:
            columns = [f"_{name}_cut_{i}" for i in range(1, one.bins)]
            joined_frame = _with_group_cuts(joined_frame, one, f"_{name}_group", columns)
            values = [F.col(column) for column in columns]
        scores[name] = score(cleaned(F.col(f"`{one.metric}`")), values, one.better)
    kept = [F.col(f"`{name}`").alias(f"{name}_value" if name in cuts else name) for name in frame.columns]
    return joined_frame.select(*kept, *(column.alias(name) for name, column in scores.items()))


def _with_group_cuts(frame: DataFrame, cuts: Cuts, key: str, columns: Sequence[str]) -> DataFrame:
    rows = [(group, *values) for group, values in cuts.by_group.items() if values]
    types = [(key, "string"), *((column, "double") for column in columns)]
    table = F.broadcast(local_frame(frame.sparkSession, rows, types))
    return frame.join(table, group_column(cuts.group_by) == F.col(key), "left").drop(key)


def score(value: Column, cuts: Sequence[Column | float], better: str) -> Column:
    """The score of a value between ascending cuts: k of n-1 cuts lie strictly below it.

    Rules: 1 + k where high is better, n - k where low is; a null value scores 1, and so does every value where there
        are no cuts (null ones: nobody was there to fit them on).
    """
    above: Column = F.lit(0)
    for cut in cuts:
        above = above + (value > cut).cast("int")
    scored = above + 1 if better == "high" else F.lit(len(cuts) + 1) - above
    return F.coalesce(scored, F.lit(1)).cast("int")


def rfm_score(cuts: Mapping[str, Cuts]) -> Column:
    """The scores of the criteria in their order, such as 545, with `-` between where any has more than 9 bins."""
    separator = "-" if max((one.bins for one in cuts.values()), default=0) > 9 else ""
    return F.concat_ws(separator, *(F.col(f"`{name}`").cast("string") for name in cuts))
