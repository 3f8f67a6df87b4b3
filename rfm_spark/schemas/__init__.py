"""Every published table, declared once: columns with type, unit and meaning, key, partitioning, subject key.

Types are Spark SQL type strings, so reading this package needs no session. Tables whose columns depend on the config
(sub-periods, criteria, attributes) are extended by functions beside them.
"""

from collections.abc import Mapping

from rfm_spark.schemas.campaigns import AUDIENCES, CAMPAIGN_RESULTS, CONSENTS
from rfm_spark.schemas.evolution import SEGMENT_CHANGES, SEGMENT_MIGRATIONS
from rfm_spark.schemas.ingested import ATTRIBUTE_SOURCES, CUSTOMERS, EVENTS, INGESTED_FILES, INGESTED_TABLES, QUARANTINE
from rfm_spark.schemas.people import ID_HASHES, IDENTITIES, IDENTITY_CHANGES, IDENTITY_LINKS, IDENTITY_ROUNDS
from rfm_spark.schemas.predicted import MODELS, PREDICTIONS, SEGMENT_FORECASTS, SEGMENT_TRANSITIONS
from rfm_spark.schemas.runs import RUNS
from rfm_spark.schemas.segmented import (
    CUSTOMER_METRICS,
    CUSTOMER_SEGMENTS,
    CUT_POINTS,
    PROFILED_METRICS,
    SEGMENT_HISTORY,
    SEGMENT_PROFILES,
    customer_metrics,
    customer_segments,
    segment_profiles,
    sub_period_columns,
)
from rfm_spark.schemas.spec import (
    COST,
    GONE,
    MONEY,
    NEW,
    SNAPSHOTS,
    SUM_OF_MONEY,
    UNASSIGNED,
    Column,
    TableSpec,
    configured,
)

__all__ = [
    "ATTRIBUTE_SOURCES",
    "AUDIENCES",
    "CAMPAIGN_RESULTS",
    "CONSENTS",
    "COST",
    "CUSTOMERS",
    "CUSTOMER_METRICS",
    "CUSTOMER_SEGMENTS",
    "CUT_POINTS",
    "EVENTS",
    "GONE",
    "IDENTITIES",
    "IDENTITY_CHANGES",
    "IDENTITY_LINKS",
    "IDENTITY_ROUNDS",
    "ID_HASHES",
    "INGESTED_FILES",
    "INGESTED_TABLES",
    "MODELS",
    "MONEY",
    "NEW",
    "PREDICTIONS",
    "PROFILED_METRICS",
    "QUARANTINE",
    "RUNS",
    "SEGMENT_CHANGES",
    "SEGMENT_FORECASTS",
    "SEGMENT_HISTORY",
    "SEGMENT_MIGRATIONS",
    "SEGMENT_PROFILES",
    "SEGMENT_TRANSITIONS",
    "SNAPSHOTS",
    "SUM_OF_MONEY",
    "TABLES",
    "UNASSIGNED",
    "Column",
    "TableSpec",
    "configured",
    "customer_metrics",
    "customer_segments",
    "segment_profiles",
    "sub_period_columns",
]

TABLES: Mapping[str, TableSpec] = {
    spec.name: spec
    for spec in (
        EVENTS,
        CUSTOMERS,
        QUARANTINE,
        IDENTITIES,
        IDENTITY_LINKS,
        IDENTITY_CHANGES,
        IDENTITY_ROUNDS,
        INGESTED_FILES,
        INGESTED_TABLES,
        CUSTOMER_METRICS,
        CUT_POINTS,
        CUSTOMER_SEGMENTS,
        SEGMENT_PROFILES,
        SEGMENT_MIGRATIONS,
        SEGMENT_CHANGES,
        PREDICTIONS,
        MODELS,
        SEGMENT_FORECASTS,
        SEGMENT_TRANSITIONS,
        CONSENTS,
        AUDIENCES,
        CAMPAIGN_RESULTS,
        RUNS,
    )
}
