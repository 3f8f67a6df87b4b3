"""Contract: every row is parsed and judged; a row that fails keeps all its reasons and its raw record.

One module a kind of source rows (of profiles: what a source knows of a customer); `values` reads their cells, `reasons`
says what is wrong with any kind, and `records` keeps the raw row.
"""

from rfm_spark.steps.contract.consents import GRANTED, REFUSALS, judge_consents
from rfm_spark.steps.contract.events import judge_events
from rfm_spark.steps.contract.profiles import judge_profiles
from rfm_spark.steps.contract.rates import judge_rates
from rfm_spark.steps.contract.reasons import TIME_OUT_OF_RANGE
from rfm_spark.steps.contract.records import with_record
from rfm_spark.steps.contract.values import id_column

__all__ = [
    "GRANTED",
    "REFUSALS",
    "TIME_OUT_OF_RANGE",
    "id_column",
    "judge_consents",
    "judge_events",
    "judge_profiles",
    "judge_rates",
    "with_record",
]
