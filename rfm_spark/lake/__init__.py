"""The lake: the only code that knows Delta.

`tables` reads and writes as one run sees it, `by_sql` and `by_delta_rs` make the commits and read the `history` of each
kind of engine, `place` knows where tables are, `faults` what can go wrong.
"""

from rfm_spark.lake.faults import cause, translated
from rfm_spark.lake.tables import Lake, Written

__all__ = ["Lake", "Written", "cause", "translated"]
