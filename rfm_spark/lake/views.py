"""Views of a catalog over tables as some runs left them."""

from collections.abc import Mapping

from rfm_spark.lake.faults import translated
from rfm_spark.lake.place import types
from rfm_spark.lake.tables import Lake


def define_view(
    lake: Lake, name: str, table: str, conditions: Mapping[int, str], query: str = "SELECT * FROM placed"
) -> None:
    """Make or replace a view of the catalog: a query of `placed`, the rows of some versions of a table that meet a
    condition. A column that a version does not have is null in its rows.
    """
    with translated(f"view {name} in {lake.place}"):
        known = {version: types(lake.read(table, version)) for version in sorted(conditions)}
        columns = {column: type_ for each in known.values() for column, type_ in each.items()}
        parts = []
        for version, there in known.items():
            cells = (f"`{c}`" if c in there else f"CAST(NULL AS {columns[c]}) AS `{c}`" for c in columns)
            rows = f"{lake.place.identifier(table)} VERSION AS OF {version} WHERE {conditions[version]}"
            parts.append(f"SELECT {', '.join(cells)} FROM {rows}")
        placed = f"WITH placed AS ({' UNION ALL '.join(parts)})"
        lake.spark.sql(f"CREATE OR REPLACE VIEW {lake.place.identifier(name)} AS {placed} {query}")
