"""`python -m rfm_spark.report.reference README.md` writes the tables into README, between its two markers."""

import sys
from pathlib import Path

from rfm_spark.schemas import TABLES, TableSpec

BEGIN, END = (
    "<!-- tables: written by python -m rfm_spark.report.reference README.md -->\n",
    "<!-- end of tables -->",
)
_HEAD = "| table | one row is | key | partitioned by | columns |\n|---|---|---|---|---|\n"


def updated(text: str) -> str:
    """The text with the tables as `schemas` declares them between its two markers."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + _HEAD + "".join(map(_row, TABLES.values())) + END + rest.split(END)[1]


def _row(spec: TableSpec) -> str:
    grain, key = spec.grain.removeprefix("one row "), ", ".join(spec.key)
    columns = ", ".join(spec.column_names()) + (f"; {spec.added_columns}" if spec.added_columns else "")
    return f"| `{spec.name}` | {grain} | {key} | {', '.join(spec.partitioned_by) or '–'} | {columns} |\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
