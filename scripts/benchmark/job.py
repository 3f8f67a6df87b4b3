"""What every side has to do: the dates, the rules, the columns of the result, and where data and results lie.

The classic job reads clean events and leaves one row a customer, in a table partitioned by segment: recency, frequency
(orders, not rows), monetary value net of refunds, both by quarter, three scores and a segment. Cut-points are those of
rank ceil(i·N/5) of the customers who ordered in the year; k of them lie strictly below a value.

The whole job begins with raw rows of three sources. It parses and judges every row, quarantines the bad ones with all
their reasons and their record, drops exact duplicates, and writes the clean events by month before it segments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

AS_OF = date(2025, 1, 1)
BOUNDARIES = [date(2024, 1, 1), date(2024, 4, 1), date(2024, 7, 1), date(2024, 10, 1), AS_OF]
QUARTERS = list(pairwise(BOUNDARIES))
BINS = 5
SOURCES = ("shop", "app", "till")
EARLIEST, LATEST = date(1990, 1, 1), date(2100, 1, 1)

MEASURES = [
    "recency_days",
    "frequency",
    "monetary",
    *(f"orders_q{i}" for i in range(1, 5)),
    *(f"monetary_q{i}" for i in range(1, 5)),
]
SCORES = ["r_score", "f_score", "m_score"]
COLUMNS = ["customer_key", *MEASURES, *SCORES, "segment"]
CRITERIA = {"r": ("recency_days", "low"), "f": ("frequency", "high"), "m": ("monetary", "high")}


@dataclass(frozen=True)
class Box:
    """A segment: scores from and to, both included."""

    segment: str
    r: tuple[int, int]
    f: tuple[int, int]

    def sql(self, r: str = "r", f: str = "f") -> str:
        """The condition, over the named columns."""
        return f"{r} between {self.r[0]} and {self.r[1]} and {f} between {self.f[0]} and {self.f[1]}"


INACTIVE = "inactive"  # no order in the year, whatever the scores
BOXES = [
    Box("champions", (5, 5), (4, 5)),
    Box("loyal", (3, 4), (4, 5)),
    Box("potential_loyalist", (4, 5), (2, 3)),
    Box("promising", (4, 4), (1, 1)),
    Box("new", (5, 5), (1, 1)),
    Box("need_attention", (3, 3), (3, 3)),
    Box("about_to_sleep", (3, 3), (1, 2)),
    Box("cant_lose", (1, 2), (5, 5)),
    Box("at_risk", (1, 2), (3, 4)),
    Box("hibernating", (1, 2), (1, 2)),
]


def segment_sql(r: str = "r_score", f: str = "f_score") -> str:
    """The rules as one SQL expression."""
    whens = " ".join(f"when {box.sql(r, f)} then '{box.segment}'" for box in BOXES)
    return f"case when frequency = 0 then '{INACTIVE}' {whens} end"


@dataclass(frozen=True)
class Data:
    """One generated data set: `events` are clean Parquet files, `raw` one folder a source."""

    folder: Path

    @property
    def events(self) -> str:
        """The folder of the clean events."""
        return str(self.folder / "events")

    def raw(self, source: str) -> str:
        """The folder of a source."""
        return str(self.folder / "raw" / source)

    def bytes(self, part: str) -> int:
        """The size of `events` or `raw`."""
        return sum(file.stat().st_size for file in (self.folder / part).rglob("*.parquet"))


Work = Callable[[Data, Path], None]
