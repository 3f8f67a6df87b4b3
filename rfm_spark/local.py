"""Small frames from Python values, for which no Python worker is started."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from rfm_spark import engines


def local_frame(spark: SparkSession, rows: Sequence[Sequence[Any]], columns: Sequence[tuple[str, str]]) -> DataFrame:
    """A frame of the given rows; `columns` are (name, Spark SQL type) in the rows' order.

    Values are None, str, bool, int, finite float, Decimal, date, aware datetime, and lists and dicts of them.
    """
    if engines.is_connect(spark):  # rows travel as Arrow, and no worker is needed either
        return spark.createDataFrame(rows, ", ".join(f"`{name}` {type_}" for name, type_ in columns))
    names = [name for name, _ in columns]
    text = json.dumps([dict(zip(names, map(_plain, row), strict=True)) for row in rows], ensure_ascii=False)
    fields = ", ".join(f"`{name}`: {type_}" for name, type_ in columns)
    parsed = F.from_json(
        F.lit(text), f"array<struct<{fields}>>", {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}
    )
    return spark.range(1).select(F.inline(parsed))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value
