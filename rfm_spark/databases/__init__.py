"""Databases by JDBC: how one is reached, read in parallel, and written to in one transaction.

`connection` says where it is and who connects, `reading` makes frames of its rows, `writing` replaces rows of a table,
`faults` says what is wrong in words that a user can act on.
"""

from rfm_spark.databases.connection import Database
from rfm_spark.databases.faults import cause, translated
from rfm_spark.databases.reading import Ranges, literal, rows, table_schema
from rfm_spark.databases.writing import replace_rows

__all__ = ["Database", "Ranges", "cause", "literal", "replace_rows", "rows", "table_schema", "translated"]
