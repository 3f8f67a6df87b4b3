"""Matching: pairs of profiles that are probably one person, by Splink's model of how likely attributes agree by chance.

Splink runs in DuckDB within the driver's process, whatever the engine: what it compares has to fit that machine.
"""

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.identity import Identity, Probabilistic
from rfm_spark.errors import EnvironmentFault, InputError
from rfm_spark.pipelines.run_record import Run
from rfm_spark.sql import quoted, union
from rfm_spark.steps.identity.links import OWNER

_SEED, _MOST_PAIRS = 1, 1_000_000  # of the pairs by whom chance is measured: the same data, the same model
_FEW = 20  # profiles, of which nothing is learned
_BLOCKS_ALONE = ("email", "date", "digits")


def alike(run: Run, identity: Identity, profiles: list[DataFrame], nodes: DataFrame) -> DataFrame | None:
    """One row a pair of customers that are probably one person: a, b (their nodes, a < b), id_value (the pair), weight.

    Reads: clean judged rows of sources with attributes; nodes (source, source_customer_id, node).
    Rules: a customer is compared by the greatest value of each attribute. Records: identity.compared, identity.alike.
    """
    asked = identity.probabilistic
    assert asked is not None
    names = list(asked.compare)
    frames = [frame for frame in profiles if any(name in frame.columns for name in names)]
    if not frames:
        return None
    texts = [
        frame.select(*OWNER, *(F.col(quoted(n)).cast("string").alias(n) for n in names if n in frame.columns))
        for frame in frames
    ]
    each = union(texts).groupBy(*OWNER).agg(*(F.max(F.lower(F.btrim(F.col(n)))).alias(n) for n in names))
    blank = [F.when(F.col(n) != "", F.col(n)).alias(n) for n in names]
    rows = each.join(nodes.select(*OWNER, "node"), OWNER).select(F.col("node").alias("unique_id"), *blank)
    table = rows.toArrow().sort_by("unique_id")
    run.counts["identity.compared"] = table.num_rows
    found = scored(table, asked) if table.num_rows >= _FEW else []
    run.counts["identity.alike"] = len(found)
    if not found:
        return None
    import pyarrow as pa

    columns = dict(zip(("a", "b", "id_value", "weight"), map(list, zip(*found, strict=True)), strict=True))
    return run.checkpoint(run.spark.createDataFrame(pa.table(columns)))


def scored(table: Any, asked: Probabilistic) -> list[tuple[int, int, str, float]]:
    """(a, b, pair, probability) of the pairs of a table (unique_id and the attributes as texts) above the threshold.

    Rules: how often attributes agree by chance is measured on random pairs, with a fixed seed; how often they agree
        in a person, by expectation maximisation over the pairs of each blocking rule in turn.
    Raises: InputError where the attributes have too little in common to learn from; EnvironmentFault.
    """
    try:
        import splink.comparison_library as library
        from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    except ImportError:
        raise EnvironmentFault.not_installed("splink", "identity.probabilistic", "identity") from None
    blocks: Sequence[Sequence[str]] = asked.block_on or _blocks(asked.compare)
    rules: list[Any] = [block_on(*names) for names in blocks]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(library, name, how) for name, how in asked.compare.items()],
        blocking_rules_to_generate_predictions=rules,
        retain_intermediate_calculation_columns=False,
        retain_matching_columns=False,
    )
    logging.getLogger("splink").setLevel(logging.ERROR)  # it tells all that it tries, line by line
    linker = Linker(DuckDBAPI().register(table), settings)
    try:
        strict: list[Any] = [block_on(*names) for names in blocks if len(names) > 1] or rules
        linker.training.estimate_probability_two_random_records_match(strict, recall=0.8)
        linker.training.estimate_u_using_random_sampling(max_pairs=_MOST_PAIRS, seed=_SEED)
        for rule in rules:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
    except Exception as error:
        if "splink" not in type(error).__module__:
            raise
        raise InputError(
            f"identity.probabilistic: the attributes {', '.join(asked.compare)} have too little in common to learn "
            "from; compare others, or leave the section out"
        ) from None
    pairs = linker.inference.predict(threshold_match_probability=asked.threshold).as_pandas_dataframe()
    ordered = sorted(
        (min(one, other), max(one, other), float(weight))
        for one, other, weight in zip(
            pairs["unique_id_l"], pairs["unique_id_r"], pairs["match_probability"], strict=True
        )
    )
    return [(int(a), int(b), f"{a} {b}", weight) for a, b, weight in ordered]


def _blocks(compare: Mapping[str, Any]) -> list[list[str]]:
    """Each two attributes, and each one that is nearly an id."""
    return [list(pair) for pair in itertools.combinations(compare, 2)] + [
        [name] for name, how in compare.items() if how in _BLOCKS_ALONE
    ]


def _comparison(library: Any, name: str, how: str) -> Any:
    if how == "name":
        return library.JaroWinklerAtThresholds(name, [0.92, 0.8]).configure(term_frequency_adjustments=True)
    if how == "text":
        return library.JaroWinklerAtThresholds(name, [0.9, 0.7])
    if how == "email":
        return library.EmailComparison(name)
    if how == "exact":
        return library.ExactMatch(name).configure(term_frequency_adjustments=True)
    return library.DamerauLevenshteinAtThresholds(name, [1, 2])
