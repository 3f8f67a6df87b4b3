"""Uplift: what a campaign changed.

`outcomes` sums what people did, by Spark; `statistics` says what that tells, of the sums alone.
"""

from rfm_spark.steps.uplift.outcomes import BUCKETS, RATE, VALUE, followed, once, outcomes, sums
from rfm_spark.steps.uplift.statistics import (
    DID_NOT,
    INCONCLUSIVE,
    SAMPLE_RATIO_FAULT,
    WORKED,
    Difference,
    Sums,
    bootstrap,
    cuped,
    detectable,
    holm,
    is_faulty,
    needed,
    pooled_rate,
    pooled_sd,
    sample_ratio,
    verdict,
    welch,
)

__all__ = [
    "BUCKETS",
    "DID_NOT",
    "INCONCLUSIVE",
    "RATE",
    "SAMPLE_RATIO_FAULT",
    "VALUE",
    "WORKED",
    "Difference",
    "Sums",
    "bootstrap",
    "cuped",
    "detectable",
    "followed",
    "holm",
    "is_faulty",
    "needed",
    "once",
    "outcomes",
    "pooled_rate",
    "pooled_sd",
    "sample_ratio",
    "sums",
    "verdict",
    "welch",
]
