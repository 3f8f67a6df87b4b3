"""The lake: the only code that reads and writes the project's own tables.

`tables` reads and writes as one run sees it, `by_sql` and `by_delta_rs` make the commits and read the `history` of each
kind of engine, `upkeep` looks after the tables, `views` are of a catalog, `place` knows where they are, `faults` what
can go wrong.
"""

from rfm_spark.lake.faults import cause, damaged, translated, where_files_are_gone
from rfm_spark.lake.tables import Lake, Written
from rfm_spark.lake.upkeep import Done, Upkeep
from rfm_spark.lake.views import define_view

__all__ = ["Done", "Lake", "Upkeep", "Written", "cause", "damaged", "define_view", "translated", "where_files_are_gone"]
