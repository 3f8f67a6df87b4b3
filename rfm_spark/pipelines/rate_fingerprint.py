"""The rates of today, as what a file was judged by: of them all those that its events may be converted at."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.sql import union


@dataclass(frozen=True)
class Rates:
    """The dates that have rates, and of each a sum of the hashes of all rates up to it."""

    dates: tuple[date, ...] = ()
    sums: tuple[int, ...] = ()

    def until(self, last: date | None) -> str:
        """A text that differs whenever a rate dated up to `last` does; no later one converts an event of that day."""
        n = bisect_right(self.dates, last) if last is not None else 0
        return f"{n}:{self.sums[n - 1]}" if n else ""


NONE = Rates()


def fingerprint(judged: Iterable[DataFrame]) -> Rates:
    """Of judged rates (date, content_hash, reasons) the clean ones. One job over them, a row a date to the driver."""
    clean = [frame.filter(F.size("reasons") == 0).select("date", "content_hash") for frame in judged]
    if not clean:
        return NONE
    hashes = F.sum(F.col("content_hash").cast("decimal(38,0)")).alias("hashes")
    rows = sorted(union(clean).groupBy("date").agg(hashes).collect())
    return Rates(tuple(row["date"] for row in rows), tuple(accumulate(int(row["hashes"]) for row in rows)))
