"""Targeting: who is worth a contact, who has had enough of them, and whom the budget reaches."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from rfm_spark.config.campaigns import Campaign, FrequencyCap
from rfm_spark.order_statistics import Quantile, summarise
from rfm_spark.sql import any_of

COOLING, CAPPED, NO_FIELD, TAKEN, NOT_WORTH_IT, OVER_BUDGET, GLOBALLY_HELD_OUT = (
    "cooling_down", "frequency_cap", "missing_field", "other_campaign", "not_worth_it", "over_budget",
    "global_holdout",
)  # fmt: skip
SELECTED, HELD_OUT = "selected", "held_out"
MEASURED, STATED, PREDICTED, ASSUMED = "measured", "stated", "predicted", "assumed"
DEFAULT_LIFT = 0.1  # of the money that a customer would spend within the window anyway
_DAY, _ERROR = 86_400, 0.001


def contacts(made: DataFrame, assigned: DataFrame, zone: str) -> DataFrame:
    """One row a contact (customer_key, at): those that were made, and those that audiences assigned.

    Reads: made (customer_key, event_ts, event_date in `zone`), the contact events; assigned (customer_key, send_at),
        who was or is to be contacted.
    Rules: what was assigned counts as a contact, unless a contact event of the person on the day of the send or the
        day after tells of it: so it counts once, whether contacts are fed back or not.
    One shuffle of either by customer_key.
    """
    told = made.select(F.col("customer_key").alias("_person"), F.col("event_date").alias("_day"))
    days = F.datediff("_day", F.from_utc_timestamp("send_at", zone).cast("date"))
    untold = assigned.join(told, (F.col("customer_key") == F.col("_person")) & days.isin(0, 1), "left_anti")
    events = made.select("customer_key", F.col("event_ts").alias("at"))
    return events.unionAll(untold.select("customer_key", F.col("send_at").alias("at")))


def contact_refusals(
    people: DataFrame, contacts: DataFrame, cool_down_days: int, cap: FrequencyCap | None
) -> DataFrame:
    """The same people with `contact_refusal`: cooling_down or frequency_cap where they have had enough, else null.

    Reads: people (customer_key, send_at, …), a row a person; contacts (customer_key, at), a row a contact that was
        made or is planned.
    Rules: a contact less than `cool_down_days` from the send, before or after it; as many contacts within the cap's
        days before it as the cap allows.
    One shuffle of the contacts by customer_key.
    """
    if not cool_down_days and cap is None:
        return people.withColumn("contact_refusal", F.lit(None).cast("string"))
    asked = people.select(F.col("customer_key").alias("_person"), "send_at")
    seen = contacts.join(asked, contacts.customer_key == asked["_person"])
    before = F.unix_timestamp("send_at") - F.unix_timestamp("at")
    within = (before >= 0) & (before <= (cap.days if cap else 0) * _DAY)
    counted = seen.groupBy("_person").agg(
        any_of(F.abs(before) < cool_down_days * _DAY).alias("_cooling"),
        F.sum(F.when(within, F.lit(1)).otherwise(F.lit(0))).alias("_contacts"),
    )
    refusal = F.when(F.col("_cooling") == 1, F.lit(COOLING))
    if cap is not None:
        refusal = refusal.when(F.col("_contacts") >= cap.contacts, F.lit(CAPPED))
    joined = people.join(counted, people.customer_key == counted["_person"], "left")
    return joined.withColumn("contact_refusal", refusal).drop("_person", "_cooling", "_contacts")


def with_expected_value(
    people: DataFrame, campaign: Campaign, measured: Mapping[str, float], reference_days: int
) -> DataFrame:
    """The same people with `expected_value`, the money more that a contact is expected to bring, and its `basis`.

    Reads: people (segment, monetary, predicted_value and predicted_days, null where nothing is predicted);
        `measured`, segment: uplift in money a person, `all` for the others.
    Rules: the first that is known of what was measured; what the campaign states; a lift of the money predicted within
        the horizon; the same of what was spent in as many days of the reference period. Six decimals. No shuffle.
    """
    stated, days = campaign.expected, campaign.horizon_days or campaign.success.window_days
    lift = stated.lift if stated is not None and stated.lift is not None else DEFAULT_LIFT
    known = F.lit(measured.get("all")).cast("double")  # null where it is not known
    for segment in sorted(measured.keys() - {"all"}):
        known = F.when(F.col("segment") == segment, F.lit(float(measured[segment]))).otherwise(known)
    predicted = F.col("predicted_value") * (F.lit(lift * days) / F.col("predicted_days"))
    past = F.col("monetary").cast("double") * F.lit(lift * days / max(reference_days, 1))
    constant = F.lit(None).cast("double")
    if stated is not None and stated.value is not None:
        constant = F.lit(stated.value * (stated.response or 1.0))
    basis = (
        F.when(known.isNotNull(), F.lit(MEASURED))
        .when(constant.isNotNull(), F.lit(STATED))
        .when(predicted.isNotNull(), F.lit(PREDICTED))
        .otherwise(F.lit(ASSUMED if stated is None else STATED))
    )
    value = F.coalesce(known, constant, predicted, past, F.lit(0.0))
    return people.withColumns({"expected_value": F.round(value, 6), "basis": basis})


def is_not_worth_it(campaign: Campaign) -> Column:
    """Whether a contact costs as much as it is expected to earn; never where the value is only assumed, to rank by."""
    earned = F.col("expected_value") * campaign.success.margin
    return (F.col("basis") != ASSUMED) & (earned <= F.lit(campaign.cost_per_contact))


@dataclass(frozen=True)
class BudgetLine:
    """The last place that the budget reaches: the expected value there, and among its equals the last ticket."""

    value: float
    ticket: float
    inclusive: bool = True

    def reaches(self) -> Column:
        """Whether a person's place is within it."""
        at = F.col("ticket") <= self.ticket if self.inclusive else F.col("ticket") < self.ticket
        return (F.col("expected_value") > self.value) | ((F.col("expected_value") == self.value) & at)


def budget_line(contactable: DataFrame, places: int) -> BudgetLine | None:
    """Where the best `places` of those that would be contacted end; None where all have a place.

    Reads: contactable (expected_value, ticket), a row a person who is not held out; `places` of at least one.
    Rules: the greater expected value first, its equals in the order of their tickets; never more than `places`.
    At most four aggregates; no one is moved or sorted but as `order_statistics` says.
    """
    ranked = contactable.select(
        (F.lit(0.0) - F.col("expected_value")).alias("rank"),
        F.col("expected_value"),
        F.col("ticket").cast("double").alias("ticket"),
    )
    total = ranked.count()
    if total <= places:
        return None
    value = -_at(ranked, "rank", places, total)
    better = F.sum(F.when(F.col("expected_value") > value, F.lit(1)).otherwise(F.lit(0)))
    equal = F.sum(F.when(F.col("expected_value") == value, F.lit(1)).otherwise(F.lit(0)))
    n_better, n_equal = ranked.agg(better, equal).collect()[0]
    ticket = _at(ranked.filter(F.col("expected_value") == value), "ticket", places - n_better, n_equal)
    found = BudgetLine(value, ticket)
    within = ranked.filter(found.reaches()).count()
    return found if within <= places else BudgetLine(value, ticket, inclusive=False)


def _at(frame: DataFrame, column: str, rank: int, total: int) -> float:
    """The value of a rank, from 1, of so many."""
    wanted = Quantile(column, rank, total)
    found = summarise(frame.select(column), [column], [wanted], {}, values=total, relative_error=_ERROR)
    value = found["all"].value(wanted)
    assert value is not None
    return float(value)


def totals(judged: DataFrame) -> DataFrame:
    """One row a segment, whether it is bound, outcome and basis: customers, and sums of what is expected and usual.

    Reads: judged (segment, bound, outcome, basis, expected_value, average_order_value).
    Returns: customers, expected_value, order_value (of buyers' mean orders) and buyers. One shuffle of partial results.
    """
    return judged.groupBy("segment", "bound", "outcome", "basis").agg(
        F.count(F.lit(1)).alias("customers"),
        F.sum("expected_value").alias("expected_value"),
        F.sum("average_order_value").alias("order_value"),
        F.count("average_order_value").alias("buyers"),
    )
