"""What a snapshot is: metrics, cut-points, segments and their profiles, and the history of segments."""

from collections.abc import Sequence

from rfm_spark.schemas.spec import MONEY, SUM_OF_MONEY, Column, TableSpec, required

CUSTOMER_METRICS = TableSpec(
    "customer_metrics",
    "one row a customer and snapshot",
    (
        required("snapshot_date", "date", "as_of: the first instant not seen"),
        required("customer_key", "string", "the unified person"),
        Column("recency_days", "int", "from the last counted order ever to the snapshot", "days"),
        Column("contact_recency_days", "int", "from the last contact or engagement ever to the snapshot", "days"),
        required("frequency", "bigint", "counted orders in the reference period", "orders"),
        required("monetary", MONEY, "net amount in the reference period", "project's currency"),
        required("contacts", "bigint", "contacts in the reference period", "contacts"),
        required("engagements", "bigint", "engagements in the reference period", "engagements"),
        required("duration_seconds", "bigint", "duration in the reference period", "seconds"),
        Column("tenure_days", "int", "from the first counted order ever to the snapshot", "days"),
        Column("average_order_value", "double", "monetary / frequency", "project's currency an order"),
        Column("mean_gap_days", "double", "between counted orders of the reference period", "days"),
        Column("momentum", "double", "change of monetary between the last two sub-periods, -1 to 1", "ratio"),
        Column("first_order_date", "date", "first counted order ever", "project's time zone"),
        Column("last_order_date", "date", "last counted order ever", "project's time zone"),
        Column("last_contact_date", "date", "last contact or engagement ever", "project's time zone"),
        Column("has_events", "boolean", "any event before the snapshot; false: a profile alone is known"),
    ),
    ("snapshot_date", "customer_key"),
    ("snapshot_date",),
    "customer_key",
    added_columns="orders_q1…, monetary_q1…, one a sub-period, criteria in SQL, attributes in use",
)

CUT_POINTS = TableSpec(
    "cut_points",
    "one row a cut between two scores of a criterion, per segmentation and group",
    (
        required("snapshot_date", "date", "snapshot that was scored with it"),
        required("segmentation", "string", "name of the segmentation"),
        required("criterion", "string", "name of the criterion"),
        required("group", "string", "value of group_by; `all` where cut-points are not grouped"),
        required("position", "int", "1..bins-1, ascending"),
        required("metric", "string", "column of customer_metrics that is cut"),
        required("value", "double", "the cut: scores change strictly above it", "of the metric"),
        Column("probability", "double", "share of the fit population at or below; null for fixed cuts"),
        required("method", "string", "approx_quantile, interpolated, fixed or frozen"),
        Column("relative_error", "double", "of the stored value, in rank; 0 where it is exact", "share of customers"),
        Column("customers", "bigint", "customers it was fitted on", "customers"),
        Column("distinct_values", "bigint", "distinct values among them; above 8 million values, within 5 %"),
        Column("attainable_scores", "array<int>", "scores that occur among them; ties can leave some out"),
    ),
    ("snapshot_date", "segmentation", "criterion", "group", "position"),
    ("snapshot_date",),
)

CUSTOMER_SEGMENTS = TableSpec(
    "customer_segments",
    "one row a customer, snapshot and segmentation",
    (
        required("snapshot_date", "date", "as_of: the first instant not seen"),
        required("segmentation", "string", "name of the segmentation"),
        required("customer_key", "string", "the unified person"),
        Column("segment", "string", "first segment whose rule holds; null where none does"),
        required("rfm_score", "string", "the scores joined in the config's order"),
        Column("rule", "string", "the condition that fired"),
        Column("previous_segment", "string", "segment in the newest earlier complete snapshot"),
        Column("segment_since", "date", "first snapshot of the unbroken stay in the segment"),
    ),
    ("snapshot_date", "segmentation", "customer_key"),
    ("segmentation", "snapshot_date"),
    "customer_key",
    added_columns="r_score, f_score, m_score, one a criterion",
)

SEGMENT_PROFILES = TableSpec(
    "segment_profiles",
    "one row a segment and snapshot, empty segments too",
    (
        required("snapshot_date", "date", "snapshot"),
        required("segmentation", "string", "name of the segmentation"),
        required("segment", "string", "name of the segment"),
        required("customers", "bigint", "customers in it", "customers"),
        required("share", "double", "of the population", "share"),
        required("monetary", SUM_OF_MONEY, "their net amount in the reference period", "project's currency"),
        Column("monetary_share", "double", "of the population's net amount; null where that is 0", "share"),
        Column("action", "string", "decision, channel and message, as JSON"),
    ),
    ("snapshot_date", "segmentation", "segment"),
    ("snapshot_date",),
    added_columns="mean_… and median_… of each metric",
)

SEGMENT_HISTORY = TableSpec(
    "segment_history",
    "one row a customer, segmentation and unbroken stay in a segment; a view of `customer_segments`",
    (
        required("segmentation", "string", "name of the segmentation"),
        required("customer_key", "string", "the unified person"),
        required("segment", "string", "segment of the stay"),
        required("valid_from", "date", "first published snapshot of the stay"),
        Column("valid_to", "date", "first later snapshot that has the customer elsewhere or not; null while it lasts"),
        required("snapshots", "bigint", "published snapshots of the stay", "snapshots"),
    ),
    ("segmentation", "customer_key", "valid_from"),
    subject_key="customer_key",
)


def sub_period_columns(sub_periods: int) -> tuple[Column, ...]:
    """orders_q1..qn and monetary_q1..qn, qn the latest."""
    orders = tuple(
        required(f"orders_q{i}", "bigint", f"counted orders in sub-period {i}", "orders")
        for i in range(1, sub_periods + 1)
    )
    monetary = tuple(
        required(f"monetary_q{i}", MONEY, f"net amount in sub-period {i}", "project's currency")
        for i in range(1, sub_periods + 1)
    )
    return orders + monetary


def customer_metrics(sub_periods: int) -> TableSpec:
    """`customer_metrics` with its sub-periods; criteria and attributes are added by `with_columns`."""
    return CUSTOMER_METRICS.with_columns(*sub_period_columns(sub_periods))


def customer_segments(criteria: tuple[str, ...]) -> TableSpec:
    """`customer_segments` with one score column a criterion used by any segmentation."""
    return CUSTOMER_SEGMENTS.with_columns(
        *(Column(f"{name}_score", "int", f"score of criterion {name}; null where not used") for name in criteria)
    )


PROFILED_METRICS = (
    "recency_days",
    "contact_recency_days",
    "frequency",
    "monetary",
    "contacts",
    "engagements",
    "duration_seconds",
    "tenure_days",
    "average_order_value",
    "mean_gap_days",
    "momentum",
)


def segment_profiles(criteria: Sequence[str]) -> TableSpec:
    """`segment_profiles` with mean and median of each standard metric and of each numeric criterion of the user's."""
    names = PROFILED_METRICS + tuple(name for name in criteria if name not in PROFILED_METRICS)
    return SEGMENT_PROFILES.with_columns(
        *(Column(f"mean_{name}", "double", f"mean of {name}, nulls left out") for name in names),
        *(Column(f"median_{name}", "double", f"median (lower) of {name}, nulls left out") for name in names),
    )
