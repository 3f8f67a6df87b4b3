"""Profiles: what a segment is like, one row a segment, empty ones too."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from rfm_spark.config.scoring import Segmentation
from rfm_spark.order_statistics import Quantile, Summary, cleaned, summarise

_ERROR = 0.001  # in rank, of the brackets that locate medians; the medians are exact
_EXACT = "decimal(28,6)"
_MOST = 9e18  # below 2**63
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Profiles:
    """Rows of `segment_profiles` in the order of its columns; segmentation: (customers, money) in no segment."""

    rows: list[tuple]
    unassigned: dict[str, tuple[int, Decimal]]


def narrow(assigned: DataFrame, segmentation: str, metrics: Mapping[str, str]) -> DataFrame:
    """One row a customer and segmentation, with what is profiled: segmentation, segment, one column a metric.

    Reads: a frame of `segments.assign`; `metrics`, name in the profile: column. No shuffle.
    """
    columns = [F.col(f"`{column}`").alias(name) for name, column in metrics.items()]
    return assigned.select(F.lit(segmentation).alias("segmentation"), "segment", *columns)


def profile(assigned: DataFrame, segmentations: Sequence[Segmentation], snapshot: date, at_most: int) -> Profiles:
    """One row a segmentation and segment, in the config's order, with means and medians of each metric.

    Reads: frames of `narrow`, of one set of metrics with `monetary` among them, in one; `at_most`, a number of rows
        that it does not exceed.
    Rules: shares are of all customers, those in no segment too; means (of values in whole millionths) and (lower)
        medians leave nulls out, and are exact and the same whatever the partitions.
    One aggregate (some passes above EXACT_UP_TO values, see `order_statistics`), however many segmentations; no
    customer leaves the executors.
    """
    names = [name for name in assigned.columns if name not in ("segmentation", "segment")]
    medians = {name: Quantile(f"x{i}", 1, 2) for i, name in enumerate(names)}
    exact = {name: _exact(assigned, name).alias(f"exact_{name}") for name in names}
    totals = {
        "customers": F.count(F.lit(1)),
        "money": F.sum("monetary"),
        **{f"sum_{name}": F.sum(f"exact_{name}") for name in names},
        **{f"n_{name}": F.count(f"exact_{name}") for name in names},
    }
    group = F.concat_ws(_SEPARATOR, "segmentation", F.coalesce("segment", F.lit("")))
    values = [cleaned(F.col(name)).alias(medians[name].column) for name in names]
    frame = assigned.select(group.alias("_group"), "monetary", *exact.values(), *values)
    groups = summarise(
        frame,
        [median.column for median in medians.values()],
        medians.values(),
        totals,
        group_by="_group",
        values=at_most * len(names),
        relative_error=_ERROR,
    )
    done = Profiles([], {})
    for segmentation in segmentations:
        of = {key.split(_SEPARATOR)[1]: found for key, found in groups.items() if _belongs(key, segmentation)}
        population = sum(found.totals["customers"] for found in of.values())
        money = sum((found.totals["money"] for found in of.values()), Decimal(0))
        if "" in of:
            done.unassigned[segmentation.name] = of[""].totals["customers"], of[""].totals["money"]
        for segment in segmentation.segments:
            found = of.get(segment.name, _nobody(totals, medians.values()))
            customers, monetary = found.totals["customers"], found.totals["money"]
            done.rows.append(
                (
                    snapshot,
                    segmentation.name,
                    segment.name,
                    customers,
                    customers / population if population else 0.0,
                    monetary,
                    float(monetary / money) if money else None,
                    json.dumps(segment.action.model_dump(exclude_none=True), ensure_ascii=False, sort_keys=True),
                    *(_mean(found.totals[f"sum_{name}"], found.totals[f"n_{name}"]) for name in names),
                    *(found.value(medians[name]) for name in names),
                )
            )
    return done


def _belongs(key: str, segmentation: Segmentation) -> bool:
    return key.split(_SEPARATOR)[0] == segmentation.name


def _nobody(totals: Mapping[str, Column], medians: Iterable[Quantile]) -> Summary:
    return Summary(
        dict.fromkeys(totals) | {"customers": 0, "money": Decimal("0.00")}, {q.column: 0 for q in medians}, {}
    )


def _exact(frame: DataFrame, column: str) -> Column:
    """A metric as a decimal of whole millionths, halves up: a sum of those does not depend on the order of the rows.

    A fraction from 9e18 on, endless ones too, and what is no number are null.
    """
    value, data_type = F.col(column), frame.schema[column].dataType
    if not isinstance(data_type, T.DoubleType | T.FloatType):
        return value.try_cast(_EXACT)
    whole = F.floor(value)
    millionths = F.floor((value - whole) * 1e6 + 0.5)  # the same on any engine
    exact = whole.cast("bigint").cast("decimal(20,0)") + millionths.cast("bigint") * F.lit(Decimal("0.000001"))
    return F.when(F.abs(value) < _MOST, exact.try_cast(_EXACT))


def _mean(total: Decimal | None, n: int | None) -> float | None:
    return float(total) / n if total is not None and n else None
