"""Matching: pairs of customers that are probably one person, by Splink."""

from pyspark.sql import DataFrame

from rfm_spark.config.identity import Identity
from rfm_spark.errors import EnvironmentFault
from rfm_spark.pipelines.run_record import Run


def alike(run: Run, identity: Identity, rows: list[DataFrame], nodes: DataFrame) -> DataFrame | None:
    """(a, b, id_value, weight) of pairs of nodes."""
    raise EnvironmentFault("identity.probabilistic is not there yet")
