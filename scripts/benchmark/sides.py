"""Who takes part in which job."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmark.job import Data

OURS, ON_SAIL = "rfm_spark", "rfm_spark, Sail"
SAME_CUTS, NTILE = "textbook Spark, equal cuts", "textbook Spark, ntile"
_TEXTBOOK, _DUCKDB = "benchmark.peers.textbook", "benchmark.peers.with_duckdb"
_POLARS, _PANDAS = "benchmark.peers.with_polars", "benchmark.peers.with_pandas"

# job: {side: (module, function)}, in the order of the table
SIDES: dict[str, dict[str, tuple[str, str]]] = {
    "classic": {
        OURS: ("benchmark.ours", "classic"),
        ON_SAIL: ("benchmark.ours_on_sail", "classic"),
        SAME_CUTS: (_TEXTBOOK, "same_cuts"),
        NTILE: (_TEXTBOOK, "ntile"),
        "DuckDB": (_DUCKDB, "classic"),
        "Polars": (_POLARS, "classic"),
        "pandas": (_PANDAS, "classic"),
    },
    "whole": {
        OURS: ("benchmark.ours", "whole"),
        ON_SAIL: ("benchmark.ours_on_sail", "whole"),
        SAME_CUTS: (_TEXTBOOK, "whole"),
        "DuckDB": (_DUCKDB, "whole"),
        "Polars": (_POLARS, "whole"),
        "pandas": (_PANDAS, "whole"),
    },
}
_FLOORS = {
    OURS: "benchmark.ours",
    ON_SAIL: "benchmark.ours_on_sail",
    "textbook Spark": _TEXTBOOK,
    "DuckDB": _DUCKDB,
    "Polars": _POLARS,
    "pandas": _PANDAS,
}
SIDES |= {job: {side: (module, job) for side, module in _FLOORS.items()} for job in ("scan", "start")}
DELTA = (OURS, ON_SAIL, SAME_CUTS, NTILE)  # the others leave Parquet


def one(job: str, side: str, folder: str, out: str) -> None:
    """A side's work, in its own process."""
    work(job, side)(Data(Path(folder)), Path(out))


def work(job: str, side: str) -> Callable[[Data, Path], None]:
    """The function that does it; only its own engine is imported."""
    module, name = SIDES[job][side]
    return getattr(import_module(module), name)
